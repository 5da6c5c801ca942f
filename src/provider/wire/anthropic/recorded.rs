//! The test data of the protocol; its recorded streams are in `cells`.

use crate::provider::wire::{
    anthropic::{body::media_block, cells::cells},
    tests::Column,
};

/// The test data of this protocol.
pub(crate) fn column() -> Column {
    Column {
        cells: cells(),
        model: "m",
        signature: Some("c2ln"),
        metadata: None,
        spine: &["type", "delta", "text", "content_block", "stop_reason"],
        text: r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"$X"}}"#,
        thinking: r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"$X"}}"#,
        call: &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"write","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"$1"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"$2"}}"#,
        ],
        whole_call: r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"a","input":$X}}"#,
        end: &[
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"output_tokens":2}}"#,
            r#"{"type":"message_stop"}"#,
        ],
        unstreamed: r#"{"type":"message","content":[{"type":"text","text":"?","text":"a\ud83d"},null],"stop_reason":"end_turn","usage":{"input_tokens":3.0,"output_tokens":"2"}}"#,
        unusual: &[
            r#"{"type":"content_block_start","index":0,"content_block":{"text":""}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":"text"}"#,
            r#"{"type":"message_start","message":"text"}"#,
        ],
        endless: &[
            (
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"bash","input":{}}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"$X"}}"#,
            ),
            (
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"$X"}}"#,
            ),
            ("{}", r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","signature":"$X"}}"#),
            ("{}", r#"{"type":"content_block_start","index":$N,"content_block":{"type":"tool_use","name":"a","input":{"a":"$X"}}}"#),
        ],
        media: media_block,
    }
}
