//! Messages, as Anthropic documents it.

use expect_test::expect;

use crate::provider::wire::tests::{Ability, Cell};

const TEXT: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"!"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const TOOL: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":", let"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"read","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"filePa"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"th\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"a.rs\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;

const PARALLEL_CALLS: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_01","name":"read","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"filePath\": \"a\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_02","name":"read","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"filePath\": "}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"b\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const THINKING: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"The user "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"asks."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Yes."}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const USAGE: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":248,"cache_read_input_tokens":1800,"cache_creation":{"ephemeral_5m_input_tokens":248,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":7,"cache_creation_input_tokens":248,"cache_read_input_tokens":1800,"output_tokens":503,"output_tokens_details":{"thinking_tokens":400}}}

event: message_stop
data: {"type":"message_stop"}

"#;

const LENGTH: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_01","name":"read","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"filePath\": \"unfin"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const REFUSAL: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Here is"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const ERROR: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Once"}}

event: error
data: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

"#;

/// A recorded stream for each ability.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell {
            ability: Ability::Text,
            source: "Anthropic docs, Streaming messages, Basic streaming request",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"hello","cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Tool,
            source: "Anthropic docs, Streaming messages, Streaming request with tool use",
            stream: TOOL,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"hello","cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Okay"
                text ", let"
                start toolu_01T1x1fJ34qAmk2tNTrN7Up6 read
                done toolu_01T1x1fJ34qAmk2tNTrN7Up6 read {"filePath": "a.rs"}
                finish tool-calls: input 25, cached 0, written 0, output 89, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ParallelCalls,
            source: "Anthropic docs, Tool use, Parallel tool use: all results in one message",
            stream: PARALLEL_CALLS,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"hello"}]}
                  {"role":"assistant","content":[{"type":"tool_use","id":"one","name":"read","input":{"filePath":"a"}},{"type":"tool_use","id":"two","name":"read","input":{"filePath":"b"},"cache_control":{"type":"ephemeral"}}]}
                  {"role":"user","content":[{"type":"tool_result","tool_use_id":"one","content":"text of a"},{"type":"tool_result","tool_use_id":"two","content":"no such file","is_error":true,"cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                start toolu_01 read
                start toolu_02 read
                done toolu_01 read {"filePath": "a"}
                done toolu_02 read {"filePath": "b"}
                finish tool-calls: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Image,
            source: "Anthropic docs, Vision, base64 images; Tool use, results with images",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"what is this?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}
                  {"role":"assistant","content":[{"type":"text","text":"A square."},{"type":"tool_use","id":"one","name":"read","input":{"filePath":"b.png"},"cache_control":{"type":"ephemeral"}}]}
                  {"role":"user","content":[{"type":"tool_result","tool_use_id":"one","content":[{"type":"text","text":"an image"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}],"cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Document,
            source: "Anthropic docs, PDF support, base64",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"what does it say?"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"},"title":"a.pdf","cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Thinking,
            source: "Anthropic docs, Streaming messages, with extended thinking; Extended thinking, redacted blocks",
            stream: THINKING,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"hello"}]}
                  {"role":"assistant","content":[{"type":"thinking","thinking":"Let me see.","signature":"c2ln"},{"type":"text","text":"I read."},{"type":"tool_use","id":"one","name":"read","input":{"filePath":"a"},"cache_control":{"type":"ephemeral"}}]}
                  {"role":"user","content":[{"type":"tool_result","tool_use_id":"one","content":"text of a","cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                think "The user "
                think "asks."
                sign EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds
                sign redacted:EmwKAhgBEgy3va3pzix
                text "Yes."
                finish stop: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Caching,
            source: "Anthropic docs, Prompt caching, cache breakpoints: at most four",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /messages
                accept: text/event-stream
                content-type: application/json
                x-api-key: sk-secret-key
                anthropic-version: 2023-06-01
                model: "m"
                max_tokens: 500
                system: [{"type":"text","text":"Be brief."},{"type":"text","text":"Today is Friday.","cache_control":{"type":"ephemeral"}}]
                tools: [{"name":"read","description":"reads","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]
                messages:
                  {"role":"user","content":[{"type":"text","text":"hello"}]}
                  {"role":"assistant","content":[{"type":"text","text":"Hello.","cache_control":{"type":"ephemeral"}}]}
                  {"role":"user","content":[{"type":"text","text":"And now?","cache_control":{"type":"ephemeral"}}]}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Usage,
            source: "Anthropic docs, Prompt caching, Tracking cache performance; Streaming messages, cumulative usage",
            stream: USAGE,
            sent: None,
            decoded: expect![[r#"
                text "Hi"
                finish stop: input 7, cached 1800, written 248, output 103, reasoning 400
            "#]],
        },
        Cell {
            ability: Ability::Length,
            source: "Anthropic docs, Handling stop reasons, max_tokens within a tool_use block",
            stream: LENGTH,
            sent: None,
            decoded: expect![[r#"
                start toolu_01 read
                done toolu_01 read {"filePath": "unfin
                finish length: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Refusal,
            source: "Anthropic docs, Handling stop reasons, refusal",
            stream: REFUSAL,
            sent: None,
            decoded: expect![[r#"
                text "Here is"
                finish content-filter: input 25, cached 0, written 0, output 15, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ErrorInStream,
            source: "Anthropic docs, Streaming messages, Error events",
            stream: ERROR,
            sent: None,
            decoded: expect![[r#"
                text "Once"
                error Stream { message: "Overloaded", retryable: true }
            "#]],
        },
    ]
}
