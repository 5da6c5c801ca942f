//! Kept data is limited like text, whatever part of an answer never ends.

use crate::provider::{
    definition::{Delta, Error, MAX_ANSWER},
    model_server::{Answer, ModelServer},
    testing::{remote, settings},
    wire::{
        ALL,
        decode::Fault,
        tests::{Ability, OPENAI, RESPONSES, decoding, event, items, requests, splits::decode, unexpected::end},
    },
};

/// The length of the long text.
const PIECE_BYTES: usize = 8000;

#[test]
fn endless_answers_are_ended() {
    for &wire in ALL {
        let endless = wire.column().endless;
        assert!(!endless.is_empty(), "{wire:?}");
        for (first, again) in endless {
            let text = "x".repeat(PIECE_BYTES);
            let mut decoding = decoding(wire);
            decoding.push(event(wire, first).as_bytes()).unwrap();
            let mut came = 0;
            let fault = (0..).find_map(|number: usize| {
                let piece = event(wire, &again.replace("$X", &text).replace("$N", &number.to_string()));
                came += piece.len();
                assert!(came < MAX_ANSWER + MAX_ANSWER / 4, "{wire:?}: {again}");
                let fault = decoding.push(piece.as_bytes()).err();
                while decoding.pop().is_some() {}
                fault
            });
            assert_eq!(fault, Some(Fault::TooLong), "{wire:?}: {again}");
        }
    }
}

#[test]
fn a_long_call_within_the_limit_is_accepted() {
    for &wire in ALL.iter().filter(|wire| wire.column().call.len() > 1) {
        let (first, again) = wire.column().endless[0];
        let again = event(wire, &again.replace("$X", &"x".repeat(PIECE_BYTES)));
        let count = MAX_ANSWER / PIECE_BYTES - 10;
        let (first, end) = (event(wire, first), end(wire));
        let pieces = std::iter::once(first.as_bytes()).chain(std::iter::repeat_n(again.as_bytes(), count)).chain([end.as_bytes()]);
        let (deltas, fault) = decode(wire, pieces);
        assert_eq!(fault, None, "{wire:?}");
        let done = deltas.iter().find(|delta| matches!(delta, Delta::ToolCallDone { .. }));
        assert!(matches!(done, Some(Delta::ToolCallDone { arguments, .. }) if arguments.len() == count * PIECE_BYTES), "{wire:?}");
    }
}

#[test]
fn the_end_of_a_responses_stream_repeats_a_long_text() {
    let piece = "ä\\n".repeat(1 << 16);
    let count = 12 * (1 << 20) / piece.len();
    let delta = event(RESPONSES, &format!(r#"{{"type":"response.output_text.delta","output_index":0,"delta":"{piece}"}}"#));
    let text = piece.repeat(count);
    let item = format!(r#"{{"type":"message","content":[{{"type":"output_text","text":"{text}"}}]}}"#);
    let done = event(RESPONSES, &format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{item}}}"#));
    let usage = r#"{"input_tokens":3,"output_tokens":2}"#;
    let end = event(RESPONSES, &format!(r#"{{"type":"response.completed","response":{{"output":[{item}],"usage":{usage}}}}}"#));
    let pieces = std::iter::repeat_n(delta.as_bytes(), count).chain([done.as_bytes(), end.as_bytes()]);
    let (deltas, fault) = decode(RESPONSES, pieces);
    assert_eq!(fault, None);
    let length: usize = deltas.iter().map(|delta| if let Delta::Text(text) = delta { text.len() } else { 0 }).sum();
    assert_eq!(length, count * "ä\n".repeat(1 << 16).len());
    assert!(matches!(deltas.last(), Some(Delta::Finish { tokens, .. }) if tokens.output == 2), "{:?}", deltas.last());
}

#[tokio::test]
async fn the_error_is_not_retried() {
    let server = ModelServer::start().await;
    let wire = OPENAI;
    let (first, again) = wire.column().endless[0];
    let body = event(wire, first) + &event(wire, &again.replace("$X", &"x".repeat(1 << 20))).repeat(17);
    server.push(Answer::body(200, "text/event-stream", &body).hang());
    let items = items(&remote(settings(&server, wire)), requests::request(wire, Ability::Text)).await;
    let expected = Error::Stream { message: "the answer is longer than 16 MiB".to_owned(), retryable: false };
    assert_eq!(items.last(), Some(&Err(expected)));
}
