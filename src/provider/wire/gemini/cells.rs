//! `streamGenerateContent`, as Google documents it.

use expect_test::expect;

use crate::provider::wire::tests::{Ability, Cell};

const TEXT: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":" there"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":"!"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":73,"totalTokenCount":84,"promptTokensDetails":[{"modality":"TEXT","tokenCount":11}]},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const TOOL: &str = r#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"read","args":{"filePath":"a.rs"}},"thoughtSignature":"Y2FsbGVk"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":73,"totalTokenCount":84,"promptTokensDetails":[{"modality":"TEXT","tokenCount":11}]},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const PARALLEL_CALLS: &str = r#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"id":"8f2b1a3c","name":"read","args":{"filePath":"a"}},"thoughtSignature":"Y2FsbGVk"},{"functionCall":{"id":"8f2b1a3d","name":"read","args":{"filePath":"b"}}}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":73,"totalTokenCount":84,"promptTokensDetails":[{"modality":"TEXT","tokenCount":11}]},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const THINKING: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"**Reading** the ","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":"file.","thought":true},{"text":" Then"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":" yes."}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"dGhvdWdodA=="}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"thoughtsTokenCount":40,"totalTokenCount":54},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const USAGE: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":"!"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":2006,"candidatesTokenCount":108,"thoughtsTokenCount":192,"cachedContentTokenCount":1920,"totalTokenCount":2306,"cacheTokensDetails":[{"modality":"TEXT","tokenCount":1920}]},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const LENGTH: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Once upon"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"candidates":[{"content":{"parts":[{"text":" a"}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":73,"totalTokenCount":84,"promptTokensDetails":[{"modality":"TEXT","tokenCount":11}]},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

"#;

const REFUSAL: &str = r#"data: {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},"usageMetadata": {"promptTokenCount": 14,"totalTokenCount": 14},"modelVersion": "gemini-3-pro-preview"}

"#;

const ERROR: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Once"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"gemini-3-pro-preview","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}

data: {"error": {"code": 503,"message": "The model is overloaded. Please try again later.","status": "UNAVAILABLE"}}

"#;

/// A recorded stream for each ability.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell {
            ability: Ability::Text,
            source: "Gemini API reference, models.streamGenerateContent with alt=sse",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"hello"}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text " there"
                text "!"
                finish stop: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Tool,
            source: "Gemini API, Function calling; Thought signatures, on the first call of a step",
            stream: TOOL,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"hello"}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                start call_* read
                done call_* read {"filePath":"a.rs"} {"thoughtSignature":"Y2FsbGVk"}
                finish tool-calls: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ParallelCalls,
            source: "Gemini API, Function calling, Parallel function calling; ids",
            stream: PARALLEL_CALLS,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"hello"}]}
                  {"role":"model","parts":[{"functionCall":{"name":"read","args":{"filePath":"a"}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"name":"read","args":{"filePath":"b"}}}]}
                  {"role":"user","parts":[{"functionResponse":{"name":"read","response":{"output":"text of a"}}},{"functionResponse":{"name":"read","response":{"error":"no such file"}}}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                start 8f2b1a3c read
                start 8f2b1a3d read
                done 8f2b1a3c read {"filePath":"a"} {"thoughtSignature":"Y2FsbGVk","id":"8f2b1a3c"}
                done 8f2b1a3d read {"filePath":"b"} {"id":"8f2b1a3d"}
                finish tool-calls: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Image,
            source: "Gemini API, Image understanding, Passing inline image data",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"what is this?"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}
                  {"role":"model","parts":[{"text":"A square."},{"functionCall":{"name":"read","args":{"filePath":"b.png"}},"thoughtSignature":"skip_thought_signature_validator"}]}
                  {"role":"user","parts":[{"functionResponse":{"name":"read","response":{"output":"an image"}}},{"text":"Attached to the result of read:"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text " there"
                text "!"
                finish stop: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Document,
            source: "Gemini API, Document understanding, Passing inline PDF data",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"what does it say?"},{"inlineData":{"mimeType":"application/pdf","data":"AAAA"}}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text " there"
                text "!"
                finish stop: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Thinking,
            source: "Gemini API, Thinking, Thought summaries with streaming; Thought signatures, in a last part without text",
            stream: THINKING,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief."}]}
                contents:
                  {"role":"user","parts":[{"text":"hello"}]}
                  {"role":"model","parts":[{"text":"","thoughtSignature":"c2ln"},{"text":"I read."},{"functionCall":{"name":"read","args":{"filePath":"a"},"id":"one"},"thoughtSignature":"Y2FsbA=="}]}
                  {"role":"user","parts":[{"functionResponse":{"name":"read","response":{"output":"text of a"},"id":"one"}}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500,"thinkingConfig":{"includeThoughts":true}}
            "#]]),
            decoded: expect![[r#"
                think "**Reading** the "
                think "file."
                text " Then"
                text " yes."
                sign dGhvdWdodA==
                finish stop: input 11, cached 0, written 0, output 3, reasoning 40
            "#]],
        },
        Cell {
            ability: Ability::Caching,
            source: "Gemini API, Context caching, Implicit caching: nothing is asked for",
            stream: TEXT,
            sent: Some(expect![[r#"
                POST /models/gemini-3-pro-preview:streamGenerateContent?alt=sse
                accept: text/event-stream
                content-type: application/json
                x-goog-api-key: sk-secret-key
                systemInstruction: {"parts":[{"text":"Be brief.\n\nToday is Friday."}]}
                contents:
                  {"role":"user","parts":[{"text":"hello"}]}
                  {"role":"model","parts":[{"text":"Hello."}]}
                  {"role":"user","parts":[{"text":"And now?"}]}
                tools: [{"functionDeclarations":[{"name":"read","description":"reads","parametersJsonSchema":{"type":"object","properties":{}}}]}]
                generationConfig: {"maxOutputTokens":500}
            "#]]),
            decoded: expect![[r#"
                text "Hello"
                text " there"
                text "!"
                finish stop: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Usage,
            source: "Gemini API reference, UsageMetadata",
            stream: USAGE,
            sent: None,
            decoded: expect![[r#"
                text "Hi"
                text "!"
                finish stop: input 86, cached 1920, written 0, output 108, reasoning 192
            "#]],
        },
        Cell {
            ability: Ability::Length,
            source: "Gemini API reference, FinishReason MAX_TOKENS",
            stream: LENGTH,
            sent: None,
            decoded: expect![[r#"
                text "Once upon"
                text " a"
                finish length: input 11, cached 0, written 0, output 73, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::Refusal,
            source: "Gemini API reference, PromptFeedback, blockReason",
            stream: REFUSAL,
            sent: None,
            decoded: expect![[r#"
                finish content-filter: input 14, cached 0, written 0, output 0, reasoning 0
            "#]],
        },
        Cell {
            ability: Ability::ErrorInStream,
            source: "Gemini API, Troubleshooting, 503 UNAVAILABLE, as an element of the stream",
            stream: ERROR,
            sent: None,
            decoded: expect![[r#"
                text "Once"
                error Stream { message: "The model is overloaded. Please try again later.", retryable: true }
            "#]],
        },
    ]
}
