//! The test data of the protocol; its recorded streams are in `cells`.

use crate::provider::wire::{
    ollama::{body::media_block, cells::cells},
    tests::Column,
};

/// The test data of this protocol.
pub(crate) fn column() -> Column {
    Column {
        cells: cells(),
        model: "m",
        signature: None,
        metadata: None,
        spine: &["message", "content", "done"],
        text: r#"{"message":{"content":"$X"},"done":false}"#,
        thinking: r#"{"message":{"thinking":"$X"},"done":false}"#,
        call: &[r#"{"message":{"tool_calls":[{"id":"c","function":{"name":"write","arguments":"$1$2"}}]}}"#],
        whole_call: r#"{"message":{"tool_calls":[{"function":{"name":"a","arguments":$X}}]}}"#,
        end: &[r#"{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#],
        unstreamed: r#"{"message":{"content":"?","content":"a\ud83d"},"done":true,"prompt_eval_count":3.0,"eval_count":"2"}"#,
        unusual: &[r#"{"message":"loading"}"#],
        endless: &[("{}", r#"{"message":{"tool_calls":[{"function":{"name":"a","arguments":"$X"}}]}}"#)],
        media: media_block,
    }
}
