//! The test data of the protocol; its recorded streams are in `cells`.

use serde_json::json;

use crate::provider::wire::{
    gemini::{body::media_block, cells::cells},
    tests::Column,
};

/// The test data of this protocol.
pub(crate) fn column() -> Column {
    Column {
        cells: cells(),
        model: "gemini-3-pro-preview",
        signature: Some("c2ln"),
        metadata: Some(json!({"thoughtSignature": "Y2FsbA==", "id": "one"})),
        spine: &["candidates", "content", "parts", "text", "thought", "finishReason"],
        text: r#"{"candidates":[{"content":{"parts":[{"text":"$X"}]}}]}"#,
        thinking: r#"{"candidates":[{"content":{"parts":[{"text":"$X","thought":true}]}}]}"#,
        call: &[r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c","name":"write","args":"$1$2"}}]}}]}"#],
        whole_call: r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":$X}}]}}]}"#,
        end: &[r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#],
        unstreamed: r#"[{"candidates":[{"content":{"parts":[{"text":"?","text":"a\ud83d"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3.0,"candidatesTokenCount":"2"}}]"#,
        unusual: &[r#"{"candidates":[{"content":{"parts":[{"text":"","thought":null},null,"x"]}}]}"#],
        endless: &[
            ("{}", r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":{"a":"$X"}}}]}}]}"#),
            ("{}", r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a"},"thoughtSignature":"$X"}]}}]}"#),
        ],
        media: media_block,
    }
}
