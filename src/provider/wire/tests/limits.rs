//! What is kept of an answer has the limit that its text has, whatever it is that never ends.

use crate::provider::{
    definition::{Delta, Error, MAX_ANSWER},
    model_server::{Answer, ModelServer},
    testing::{remote, settings},
    wire::{
        ALL,
        decode::Fault,
        tests::{Ability, OPENAI, decoding, event, items, odd::end, requests, splits::decode},
    },
};

/// The length of the long text.
const PIECE: usize = 8000;

#[test]
fn what_never_ends_is_ended() {
    for &wire in ALL {
        let endless = wire.column().endless;
        assert!(!endless.is_empty(), "{wire:?}");
        for (first, again) in endless {
            let text = "x".repeat(PIECE);
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
fn a_long_call_within_the_limit_is_taken() {
    for &wire in ALL.iter().filter(|wire| wire.column().call.len() > 1) {
        let (first, again) = wire.column().endless[0];
        let again = event(wire, &again.replace("$X", &"x".repeat(PIECE)));
        let count = MAX_ANSWER / PIECE - 10;
        let (first, end) = (event(wire, first), end(wire));
        let pieces = std::iter::once(first.as_bytes()).chain(std::iter::repeat_n(again.as_bytes(), count)).chain([end.as_bytes()]);
        let (deltas, fault) = decode(wire, pieces);
        assert_eq!(fault, None, "{wire:?}");
        assert!(matches!(&deltas[1], Delta::ToolCallDone { arguments, .. } if arguments.len() == count * PIECE), "{wire:?}");
    }
}

#[tokio::test]
async fn it_is_told_and_not_tried_again() {
    let server = ModelServer::start().await;
    let wire = OPENAI;
    let (first, again) = wire.column().endless[0];
    let body = event(wire, first) + &event(wire, &again.replace("$X", &"x".repeat(1 << 20))).repeat(17);
    server.push(Answer::body(200, "text/event-stream", &body).hang());
    let items = items(&remote(settings(&server, wire)), requests::request(wire, Ability::Text)).await;
    let expected = Error::Stream { message: "the answer is longer than 16 MiB".to_owned(), retryable: false };
    assert_eq!(items.last(), Some(&Err(expected)));
}
