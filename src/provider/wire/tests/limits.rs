//! Kept data is limited like text, whatever part of an answer never ends.

use crate::provider::{
    definition::{Delta, Error, MAX_ANSWER},
    model_server::{Answer, ModelServer},
    testing::{remote, settings},
    wire::{
        ALL,
        decode::Fault,
        tests::{Ability, OPENAI, decoding, event, items, requests, splits::decode, unexpected::end},
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
        assert!(matches!(&deltas[1], Delta::ToolCallDone { arguments, .. } if arguments.len() == count * PIECE_BYTES), "{wire:?}");
    }
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
