//! The test data of the protocol; its recorded streams are in `cells`.

use crate::provider::wire::{
    openai::{body::media_block, cells::cells},
    tests::Column,
};

/// The test data of this protocol.
pub(crate) fn column() -> Column {
    Column {
        cells: cells(),
        model: "m",
        // Only some compatible services have signatures: the details that they want back.
        signature: Some(r#"reasoning_details:[{"type":"reasoning.encrypted","data":"c2ln"}]"#),
        metadata: None,
        spine: &["choices", "delta", "content", "refusal", "finish_reason"],
        text: r#"{"choices":[{"index":0,"delta":{"content":"$X"}}]}"#,
        thinking: r#"{"choices":[{"index":0,"delta":{"reasoning_content":"$X"}}]}"#,
        call: &[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"write","arguments":"$1"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"$2"}}]}}]}"#,
        ],
        whole_call: r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"a","arguments":$X}}]}}]}"#,
        end: &[r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#],
        unstreamed: r#"{"choices":[{"message":{"content":"?","content":"a\ud83d"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3.0,"completion_tokens":"2"}}"#,
        unusual: &[
            r#"{"choices":[{"index":0,"delta":{"content":"","tool_calls":[null]},"logprobs":{"content":[{"logprob":-Infinity}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":null,"refusal":"","function_call":null}}],"usage":{"cost":NaN}}"#,
        ],
        endless: &[
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"bash","arguments":""}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"$X"}}]}}]}"#,
            ),
            ("{}", r#"{"choices":[{"delta":{"tool_calls":[{"index":$N}]}}]}"#),
            ("{}", r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"extra_content":{"a":"$X"}}]}}]}"#),
            ("{}", r#"{"choices":[{"delta":{"tool_calls":[{"id":"$N","function":{"name":"$X"}}]}}]}"#),
            ("{}", r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"$X"}]}}]}"#),
        ],
        media: media_block,
    }
}
