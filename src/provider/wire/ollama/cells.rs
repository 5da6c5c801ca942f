//! Ollama's `/api/chat`, as its documentation has it.

use expect_test::expect;

use crate::provider::wire::tests::{Ability, Cell};

const TEXT: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"The","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":" sky","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const TOOL: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"read","arguments":{"filePath":"a.rs"}}}]},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const PARALLEL_CALLS: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_x1","function":{"index":0,"name":"read","arguments":{"filePath":"a"}}}]},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_x2","function":{"index":1,"name":"read","arguments":{"filePath":"b"}}}]},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const THINKING: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"","thinking":"The user "},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"","thinking":"asks."},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"Yes.","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const USAGE: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"Hi","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":2006,"prompt_eval_cached_count":1920,"eval_count":108}
"#;

const LENGTH: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"Once upon","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"length","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const REFUSAL: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"I cannot help with that.","images":null},"done":false}
{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}
"#;

const ERROR: &str = r#"{"model":"m","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"Once","images":null},"done":false}
{"error":"an error was encountered while running the model"}
"#;

/// A recorded stream for each ability.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell {
            ability: Ability::Text,
            source: "Ollama docs, API, Generate a chat completion, Chat request (Streaming)",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "The"
                text " sky"
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Tool,
            source: "Ollama docs, API, Chat request (Streaming with tools)",
            stream: TOOL,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_* read
                done call_* read {"filePath":"a.rs"}
                finish tool-calls: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ParallelCalls,
            source: "Ollama docs, Tool calling, Parallel tool calling",
            stream: PARALLEL_CALLS,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":"","tool_calls":[{"id":"one","function":{"name":"read","arguments":{"filePath":"a"}}},{"id":"two","function":{"name":"read","arguments":{"filePath":"b"}}}]}
                  {"role":"tool","tool_name":"read","tool_call_id":"one","content":"text of a"}
                  {"role":"tool","tool_name":"read","tool_call_id":"two","content":"no such file"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_x1 read
                start call_x2 read
                done call_x1 read {"filePath":"a"}
                done call_x2 read {"filePath":"b"}
                finish tool-calls: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Image,
            source: "Ollama docs, API, Chat request (with images)",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"what is this?","images":["AAAA"]}
                  {"role":"assistant","content":"A square.","tool_calls":[{"id":"one","function":{"name":"read","arguments":{"filePath":"b.png"}}}]}
                  {"role":"tool","tool_name":"read","tool_call_id":"one","content":"an image"}
                  {"role":"user","content":"Attached to the result of read:","images":["AAAA"]}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "The"
                text " sky"
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Document,
            source: "Ollama docs, API: a message has images and no documents",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"what does it say?\n\n[An attachment (a.pdf, application/pdf) was left out: this model service does not take files of that type.]"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "The"
                text " sky"
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Thinking,
            source: "Ollama docs, Thinking, streaming",
            stream: THINKING,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":"I read.","thinking":"Let me see.","tool_calls":[{"id":"one","function":{"name":"read","arguments":{"filePath":"a"}}}]}
                  {"role":"tool","tool_name":"read","tool_call_id":"one","content":"text of a"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                think: true
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                think "The user "
                think "asks."
                text "Yes."
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Caching,
            source: "Ollama docs, API: nothing is asked for, a prefix stays with the loaded model",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /api/chat
                accept: application/x-ndjson
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief.\n\nToday is Friday."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":"Hello."}
                  {"role":"user","content":"And now?"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                truncate: false
                shift: false
                options: {"num_predict":500}
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "The"
                text " sky"
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Usage,
            source: "Ollama docs, Usage, prompt_eval_count and what of it was cached",
            stream: USAGE,
            sent: None,
            decoded: expect![[r#"
                text "Hi"
                finish stop: input 86, cached 1920, written 0, output 108, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Length,
            source: "Ollama docs, API, done_reason",
            stream: LENGTH,
            sent: None,
            decoded: expect![[r#"
                text "Once upon"
                finish length: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Refusal,
            source: "Ollama docs, API: no field of its own, a refusal is text",
            stream: REFUSAL,
            sent: None,
            decoded: expect![[r#"
                text "I cannot help with that."
                finish stop: input 26, cached 0, written 0, output 282, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ErrorInStream,
            source: "Ollama docs, Errors, Errors that occur while streaming",
            stream: ERROR,
            sent: None,
            decoded: expect![[r#"
                text "Once"
                error Stream { message: "an error was encountered while running the model", retryable: false }
            "#]],
        },
    ]
}
