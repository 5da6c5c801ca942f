//! Responses, as `OpenAI` documents it.

use expect_test::expect;

use crate::provider::wire::tests::{Ability, Cell};

const TEXT: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.in_progress
data: {"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":4,"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Hi"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":6,"item_id":"msg_0","output_index":0,"content_index":0,"delta":" there!"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":7,"item_id":"msg_0","output_index":0,"content_index":0,"text":"Hi there!"}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":8,"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi there!","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":9,"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi there!","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":10,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[{"id":"msg_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi there!","annotations":[]}]}],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const TOOL: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","id":"fc_0","call_id":"call_4XAdUrGz","name":"read","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_0","output_index":0,"delta":"{\""}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc_0","output_index":0,"delta":"filePath"}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":6,"item_id":"fc_0","output_index":0,"delta":"\":\""}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":7,"item_id":"fc_0","output_index":0,"delta":"a.rs"}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":8,"item_id":"fc_0","output_index":0,"delta":"\"}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","sequence_number":9,"item_id":"fc_0","output_index":0,"arguments":"{\"filePath\":\"a.rs\"}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":10,"output_index":0,"item":{"type":"function_call","id":"fc_0","call_id":"call_4XAdUrGz","name":"read","arguments":"{\"filePath\":\"a.rs\"}","status":"completed"}}

event: response.completed
data: {"type":"response.completed","sequence_number":11,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const PARALLEL_CALLS: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","id":"fc_0","call_id":"call_a","name":"read","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_0","output_index":0,"delta":"{\"filePath\":"}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc_0","output_index":0,"delta":"\"a\"}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","sequence_number":6,"item_id":"fc_0","output_index":0,"arguments":"{\"filePath\":\"a\"}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"type":"function_call","id":"fc_0","call_id":"call_a","name":"read","arguments":"{\"filePath\":\"a\"}","status":"completed"}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":8,"output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_b","name":"read","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":9,"item_id":"fc_1","output_index":1,"delta":"{\"filePath\":\"b\"}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","sequence_number":10,"item_id":"fc_1","output_index":1,"arguments":"{\"filePath\":\"b\"}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":11,"output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_b","name":"read","arguments":"{\"filePath\":\"b\"}","status":"completed"}}

event: response.completed
data: {"type":"response.completed","sequence_number":12,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const THINKING: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":""}}

event: response.reasoning_summary_part.added
data: {"type":"response.reasoning_summary_part.added","sequence_number":4,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","sequence_number":5,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"**Reading** the "}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","sequence_number":6,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"file."}

event: response.reasoning_summary_text.done
data: {"type":"response.reasoning_summary_text.done","sequence_number":7,"item_id":"rs_1","output_index":0,"summary_index":0,"text":"**Reading** the file."}

event: response.reasoning_summary_part.done
data: {"type":"response.reasoning_summary_part.done","sequence_number":8,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"**Reading** the file."}}

event: response.reasoning_summary_part.added
data: {"type":"response.reasoning_summary_part.added","sequence_number":9,"item_id":"rs_1","output_index":0,"summary_index":1,"part":{"type":"summary_text","text":""}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","sequence_number":10,"item_id":"rs_1","output_index":0,"summary_index":1,"delta":"Second."}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":11,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"**Reading** the file."},{"type":"summary_text","text":"Second."}],"encrypted_content":"gAAAAABo"}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":12,"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":14,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Yes."}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":15,"item_id":"msg_1","output_index":1,"content_index":0,"text":"Yes."}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":16,"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"Yes.","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":17,"output_index":1,"item":{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Yes.","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":18,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const USAGE: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Hi"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_0","output_index":0,"content_index":0,"text":"Hi"}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":2006,"input_tokens_details":{"cached_tokens":1920},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":192},"total_tokens":2306}}}

"#;

const LENGTH: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Once upon a"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_0","output_index":0,"content_index":0,"text":"Once upon a"}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Once upon a","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Once upon a","annotations":[]}]}}

event: response.incomplete
data: {"type":"response.incomplete","sequence_number":9,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const REFUSAL: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.refusal.delta
data: {"type":"response.refusal.delta","sequence_number":4,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"I'm sorry, "}

event: response.refusal.delta
data: {"type":"response.refusal.delta","sequence_number":5,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"I cannot."}

event: response.refusal.done
data: {"type":"response.refusal.done","sequence_number":6,"item_id":"msg_0","output_index":0,"content_index":0,"refusal":"I'm sorry, I cannot."}

event: response.completed
data: {"type":"response.completed","sequence_number":7,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"completed","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const ERROR: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":1,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Once"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_0","output_index":0,"content_index":0,"text":"Once"}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Once","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Once","annotations":[]}]}}

event: response.failed
data: {"type":"response.failed","sequence_number":9,"response":{"id":"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654","object":"response","created_at":1741487325,"status":"failed","error":{"code":"server_error","message":"The model failed to generate a response."},"incomplete_details":null,"instructions":"Be brief.","model":"m","output":[],"parallel_tool_calls":true,"store":false,"usage":null}}

"#;

/// A recorded stream for each ability.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell {
            ability: Ability::Text,
            source: "OpenAI API reference, Responses, Streaming events: response.output_text.delta",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hi"
                text " there!"
                finish stop: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Tool,
            source: "OpenAI guide Function calling, Streaming, Responses",
            stream: TOOL,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_4XAdUrGz read
                done call_4XAdUrGz read {"filePath":"a.rs"}
                finish tool-calls: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ParallelCalls,
            source: "OpenAI guide Function calling, Streaming: pieces belong together by output_index",
            stream: PARALLEL_CALLS,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}
                  {"type":"function_call","call_id":"one","name":"read","arguments":"{\"filePath\":\"a\"}"}
                  {"type":"function_call","call_id":"two","name":"read","arguments":"{\"filePath\":\"b\"}"}
                  {"type":"function_call_output","call_id":"one","output":"text of a"}
                  {"type":"function_call_output","call_id":"two","output":"no such file"}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_a read
                start call_b read
                done call_a read {"filePath":"a"}
                done call_b read {"filePath":"b"}
                finish tool-calls: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Image,
            source: "OpenAI guide Images and vision, Responses: input_image; API reference, function_call_output as a list",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"what is this?"},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,AAAA"}]}
                  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"A square."}]}
                  {"type":"function_call","call_id":"one","name":"read","arguments":"{\"filePath\":\"b.png\"}"}
                  {"type":"function_call_output","call_id":"one","output":[{"type":"input_text","text":"an image"},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,AAAA"}]}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hi"
                text " there!"
                finish stop: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Document,
            source: "OpenAI guide File inputs, Responses: input_file with file_data",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"what does it say?"},{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}]}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hi"
                text " there!"
                finish stop: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Thinking,
            source: "OpenAI guide Reasoning, Encrypted reasoning items; API reference, response.reasoning_summary_text.delta",
            stream: THINKING,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}
                  {"type":"reasoning","summary":[{"type":"summary_text","text":"Let me see."}],"encrypted_content":"c2ln"}
                  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I read."}]}
                  {"type":"function_call","call_id":"one","name":"read","arguments":"{\"filePath\":\"a\"}"}
                  {"type":"function_call_output","call_id":"one","output":"text of a"}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                include: ["reasoning.encrypted_content"]
                reasoning: {"summary":"auto"}
                stream: true
            "#]]),
            decoded: expect![[r#"
                think "**Reading** the "
                think "file."
                think "\n\nSecond."
                sign gAAAAABo
                text "Yes."
                finish stop: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Caching,
            source: "OpenAI guide Prompt caching: by the same prefix",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /responses
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                instructions: "Be brief.\n\nToday is Friday."
                input:
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}
                  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello."}]}
                  {"type":"message","role":"user","content":[{"type":"input_text","text":"And now?"}]}
                tools: [{"type":"function","name":"read","description":"reads","parameters":{"type":"object","properties":{}},"strict":false}]
                store: false
                max_output_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hi"
                text " there!"
                finish stop: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Usage,
            source: "OpenAI API reference, Responses, usage",
            stream: USAGE,
            sent: None,
            decoded: expect![[r#"
                text "Hi"
                finish stop: input 86, cached 1920, written 0, output 108, reasoning 192
            "#]],
        },
        Cell {
            ability: Ability::Length,
            source: "OpenAI API reference, Responses, Streaming events: response.incomplete",
            stream: LENGTH,
            sent: None,
            decoded: expect![[r#"
                text "Once upon a"
                finish length: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Refusal,
            source: "OpenAI API reference, Responses, Streaming events: response.refusal.delta",
            stream: REFUSAL,
            sent: None,
            decoded: expect![[r#"
                text "I'm sorry, "
                text "I cannot."
                finish content-filter: input 37, cached 0, written 0, output 11, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ErrorInStream,
            source: "OpenAI API reference, Responses, Streaming events: response.failed",
            stream: ERROR,
            sent: None,
            decoded: expect![[r#"
                text "Once"
                error Stream { message: "The model failed to generate a response.", retryable: true }
            "#]],
        },
    ]
}
