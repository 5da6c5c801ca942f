//! Chat Completions, as `OpenAI`, OpenRouter and vLLM document it.

use expect_test::expect;

use crate::provider::wire::tests::{Ability, Cell};

const TEXT: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}

data: [DONE]

"#;

const TOOL: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_DdmO9pD3xa9XTPNJ32zg2hcA","type":"function","function":{"name":"read","arguments":""}}],"refusal":null},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"filePath"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\":\""}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"a.rs"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}

data: [DONE]

"#;

const PARALLEL_CALLS: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"read","arguments":""}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"read","arguments":""}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"filePath\":\"a\"}"}},{"index":1,"function":{"arguments":"{\"filePath\":"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"\"b\"}"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}

data: [DONE]

"#;

const ANSWER: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"A square."},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}

data: [DONE]

"#;

const THINKING: &str = r#": OPENROUTER PROCESSING

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"","reasoning":"The user ","reasoning_details":[{"type":"reasoning.text","text":"The user ","format":"anthropic-claude-v1","index":0}]},"logprobs":null,"finish_reason":null}]}

: OPENROUTER PROCESSING

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"","reasoning":"asks.","reasoning_details":[{"type":"reasoning.text","text":"asks.","format":"anthropic-claude-v1","index":0}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"c2lnbmVk","format":"anthropic-claude-v1","index":0}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Yes."},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

"#;

const USAGE: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","choices":[],"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":192,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

data: [DONE]

"#;

const LENGTH: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Once upon"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" a"},"logprobs":null,"finish_reason":"length"}]}

data: [DONE]

"#;

const REFUSAL: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"refusal":"I'm sorry, "},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"refusal":"I cannot assist with that request."},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

"#;

const ERROR: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Once"},"logprobs":null,"finish_reason":null}]}

data: {"id":"cmpl-abc123","object":"chat.completion.chunk","created":1234567890,"model":"m","provider":"x","error":{"code":"server_error","message":"Provider disconnected unexpectedly"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}

"#;

/// A recorded stream for each ability.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell {
            ability: Ability::Text,
            source: "OpenAI API reference, Chat Completions, Streaming: the chat completion chunk object; stream_options.include_usage",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 19, cached 0, written 0, output 10, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Tool,
            source: "OpenAI guide Function calling, Streaming",
            stream: TOOL,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_DdmO9pD3xa9XTPNJ32zg2hcA read
                done call_DdmO9pD3xa9XTPNJ32zg2hcA read {"filePath":"a.rs"}
                finish tool-calls: input 0, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ParallelCalls,
            source: "OpenAI guide Function calling, Streaming: pieces belong together by index",
            stream: PARALLEL_CALLS,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":null,"tool_calls":[{"id":"one","type":"function","function":{"name":"read","arguments":"{\"filePath\":\"a\"}"}},{"id":"two","type":"function","function":{"name":"read","arguments":"{\"filePath\":\"b\"}"}}]}
                  {"role":"tool","tool_call_id":"one","content":"text of a"}
                  {"role":"tool","tool_call_id":"two","content":"no such file"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                start call_a read
                start call_b read
                done call_a read {"filePath":"a"}
                done call_b read {"filePath":"b"}
                finish tool-calls: input 0, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Image,
            source: "OpenAI guide Images and vision, Chat Completions: image_url",
            stream: ANSWER,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":[{"type":"text","text":"what is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}
                  {"role":"assistant","content":"A square.","tool_calls":[{"id":"one","type":"function","function":{"name":"read","arguments":"{\"filePath\":\"b.png\"}"}}]}
                  {"role":"tool","tool_call_id":"one","content":"an image"}
                  {"role":"user","content":[{"type":"text","text":"Attached to the result of read (call one):"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "A square."
                finish stop: input 19, cached 0, written 0, output 10, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Document,
            source: "OpenAI guide File inputs, Chat Completions: file_data",
            stream: ANSWER,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":[{"type":"text","text":"what does it say?"},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}}]}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "A square."
                finish stop: input 19, cached 0, written 0, output 10, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Thinking,
            source: "OpenRouter guide Reasoning tokens, Streaming with reasoning_details; API streaming, comments",
            stream: THINKING,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":"I read.","reasoning_details":[{"type":"reasoning.encrypted","data":"c2ln"}],"tool_calls":[{"id":"one","type":"function","function":{"name":"read","arguments":"{\"filePath\":\"a\"}"}}]}
                  {"role":"tool","tool_call_id":"one","content":"text of a"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                think "The user "
                think "asks."
                sign reasoning_details:[{"type":"reasoning.text","text":"The user asks.","format":"anthropic-claude-v1","index":0,"signature":"c2lnbmVk"}]
                text "Yes."
                finish stop: input 0, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Caching,
            source: "OpenAI guide Prompt caching: prompt_cache_key, by the same prefix",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /chat/completions
                accept: text/event-stream
                content-type: application/json
                authorization: Bearer sk-secret-key
                model: "m"
                messages:
                  {"role":"system","content":"Be brief.\n\nToday is Friday."}
                  {"role":"user","content":"hello"}
                  {"role":"assistant","content":"Hello."}
                  {"role":"user","content":"And now?"}
                tools: [{"type":"function","function":{"name":"read","description":"reads","parameters":{"type":"object","properties":{}}}}]
                stream_options: {"include_usage":true}
                max_tokens: 500
                stream: true
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text "!"
                finish stop: input 19, cached 0, written 0, output 10, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Usage,
            source: "OpenAI guide Prompt caching, usage; API reference, completion_tokens_details",
            stream: USAGE,
            sent: None,
            decoded: expect![[r#"
                text "Hi"
                finish stop: input 86, cached 1920, written 0, output 108, reasoning 192
            "#]],
        },
        Cell {
            ability: Ability::Length,
            source: "OpenAI API reference, finish_reason length",
            stream: LENGTH,
            sent: None,
            decoded: expect![[r#"
                text "Once upon"
                text " a"
                finish length: input 0, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Refusal,
            source: "OpenAI guide Structured outputs, Refusals, streaming",
            stream: REFUSAL,
            sent: None,
            decoded: expect![[r#"
                text "I'm sorry, "
                text "I cannot assist with that request."
                finish content-filter: input 0, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ErrorInStream,
            source: "OpenRouter API reference, Errors, Mid-stream errors",
            stream: ERROR,
            sent: None,
            decoded: expect![[r#"
                text "Once"
                error Stream { message: "Provider disconnected unexpectedly", retryable: true }
            "#]],
        },
    ]
}
