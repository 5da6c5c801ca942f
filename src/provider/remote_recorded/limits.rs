//! What is kept of an answer has the limit that its text has, whatever it is that never ends.

use super::{Ability, items, requests, splits::decode};
use crate::provider::{
    definition::{Delta, Error, MOST_ANSWER},
    model_server::{Answer, ModelServer},
    remote_decode::{Decoding, Fault},
    remote_testing::{remote, settings},
    remote_wire::Wire,
};

const PIECE: usize = 8000;

/// The beginning, and what comes again and again after it, where `X` stands for a long text and `N` for a number.
const ENDLESS: [(Wire, &str, &str); 14] = [
    (
        Wire::OpenAi,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"bash","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"X"}}]}}]}"#,
    ),
    (Wire::OpenAi, "{}", r#"{"choices":[{"delta":{"tool_calls":[{"index":N}]}}]}"#),
    (Wire::OpenAi, "{}", r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"extra_content":{"a":"X"}}]}}]}"#),
    (Wire::OpenAi, "{}", r#"{"choices":[{"delta":{"tool_calls":[{"id":"N","function":{"name":"X"}}]}}]}"#),
    (Wire::OpenAi, "{}", r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"X"}]}}]}"#),
    (
        Wire::OpenAiResponses,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"bash","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"X"}"#,
    ),
    (
        Wire::OpenAiResponses,
        "{}",
        r#"{"type":"response.output_item.done","output_index":N,"item":{"type":"function_call","call_id":"c","name":"bash","arguments":"X"}}"#,
    ),
    (
        Wire::Anthropic,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"bash","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"X"}}"#,
    ),
    (
        Wire::Anthropic,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"X"}}"#,
    ),
    (Wire::Anthropic, "{}", r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","signature":"X"}}"#),
    (Wire::Anthropic, "{}", r#"{"type":"content_block_start","index":N,"content_block":{"type":"tool_use","name":"a","input":{"a":"X"}}}"#),
    (Wire::Gemini, "{}", r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":{"a":"X"}}}]}}]}"#),
    (Wire::Gemini, "{}", r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a"},"thoughtSignature":"X"}]}}]}"#),
    (Wire::Ollama, "{}", r#"{"message":{"tool_calls":[{"function":{"name":"a","arguments":"X"}}]}}"#),
];

fn frame(wire: Wire, json: &str) -> String {
    if wire == Wire::Ollama { format!("{json}\n") } else { format!("data: {json}\n\n") }
}

#[test]
fn what_never_ends_is_ended() {
    for wire in Wire::ALL {
        assert!(ENDLESS.iter().any(|endless| endless.0 == wire), "{wire:?}");
    }
    for (wire, first, again) in ENDLESS {
        let text = "x".repeat(PIECE);
        let mut decoding = Decoding::new(wire);
        decoding.push(frame(wire, first).as_bytes()).unwrap();
        let mut came = 0;
        let fault = (0..).find_map(|number: usize| {
            let piece = frame(wire, &again.replace('X', &text).replace('N', &number.to_string()));
            came += piece.len();
            assert!(came < MOST_ANSWER + MOST_ANSWER / 4, "{wire:?}: {again}");
            let fault = decoding.push(piece.as_bytes()).err();
            while decoding.pop().is_some() {}
            fault
        });
        assert_eq!(fault, Some(Fault::TooLong), "{wire:?}: {again}");
    }
}

#[test]
fn a_long_call_within_the_limit_is_taken() {
    for wire in [Wire::OpenAi, Wire::OpenAiResponses, Wire::Anthropic] {
        let (_, first, again) = ENDLESS.into_iter().find(|endless| endless.0 == wire).unwrap();
        let again = frame(wire, &again.replace('X', &"x".repeat(PIECE)));
        let count = MOST_ANSWER / PIECE - 10;
        let end = match wire {
            Wire::OpenAi => r#"{"choices":[{"finish_reason":"stop"}]}"#,
            Wire::Anthropic => r#"{"type":"message_stop"}"#,
            _ => r#"{"type":"response.completed"}"#,
        };
        let (first, end) = (frame(wire, first), frame(wire, end));
        let pieces = std::iter::once(first.as_bytes()).chain(std::iter::repeat_n(again.as_bytes(), count)).chain([end.as_bytes()]);
        let (deltas, fault) = decode(wire, pieces);
        assert_eq!(fault, None, "{wire:?}");
        assert!(matches!(&deltas[1], Delta::ToolCallDone { arguments, .. } if arguments.len() == count * PIECE), "{wire:?}");
    }
}

#[tokio::test]
async fn it_is_told_and_not_tried_again() {
    let server = ModelServer::start().await;
    let (wire, first, again) = ENDLESS[0];
    let body = frame(wire, first) + &frame(wire, &again.replace('X', &"x".repeat(1 << 20))).repeat(17);
    server.push(Answer::body(200, "text/event-stream", &body).hang());
    let items = items(&remote(settings(&server, wire)), requests::request(wire, Ability::Text)).await;
    let expected = Error::Stream { message: "the answer is longer than 16 MiB".to_owned(), retryable: false };
    assert_eq!(items.last(), Some(&Err(expected)));
}
