//! The test data of the protocol; its recorded streams are in `cells`.

use crate::provider::wire::{
    responses::{body::media_block, cells::cells},
    tests::Column,
};

/// The test data of this protocol.
pub(crate) fn column() -> Column {
    Column {
        cells: cells(),
        model: "m",
        signature: Some("c2ln"),
        metadata: None,
        spine: &["type", "delta", "response", "status", "error", "object"],
        text: r#"{"type":"response.output_text.delta","output_index":0,"delta":"$X"}"#,
        thinking: r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"$X"}"#,
        call: &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"write"}}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"$1"}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"$2"}"#,
        ],
        whole_call: r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"a","arguments":$X}}"#,
        end: &[
            r#"{"type":"response.completed","response":{"status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":2}}}"#,
        ],
        unstreamed: r#"{"object":"response","status":"completed","error":{},"output":[null,{"type":"message","content":[{"type":"output_text","text":"?","text":"a\ud83d"}]}],
            "usage":{"input_tokens":3.0,"output_tokens":"2"}}"#,
        unusual: &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"tool_search_call","arguments":{"q":"x"}}}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"vendor_note","content":"abc"}}"#,
        ],
        endless: &[
            (
                r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"bash","arguments":""}}"#,
                r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"$X"}"#,
            ),
            (
                "{}",
                r#"{"type":"response.output_item.done","output_index":$N,"item":{"type":"function_call","call_id":"c","name":"bash","arguments":"$X"}}"#,
            ),
        ],
        media: media_block,
    }
}
