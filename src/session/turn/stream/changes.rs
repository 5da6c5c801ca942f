//! The changes of an answer, as the unit that stores them and tells of them.

use polytree_protocol::{events::PartDelta, id::MessageId};

use super::fold::Change;
use crate::store::{Scope, Unit};

/// A longer text would travel as a reference, and nothing can be appended from that.
const MAX_DELTA: usize = 32 * 1024;

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(MAX_DELTA));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

pub(super) fn unit(scope: &Scope, message_id: &MessageId, changes: Vec<Change>) -> Unit {
    let session_id = scope.session_id.clone().unwrap_or_default();
    changes.into_iter().fold(Unit::new(scope), |unit, change| match change {
        Change::Put(part) => unit.part(part),
        Change::End { part, bytes } => unit.ended_part(part, bytes),
        Change::Append { id, text } => pieces(&text).fold(unit, |unit, piece| {
            unit.delta(PartDelta {
                session_id: session_id.clone(),
                message_id: message_id.clone(),
                part_id: id.clone(),
                field: "text".into(),
                delta: piece.to_owned(),
            })
        }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_short_and_make_the_whole(length in 0..100_000usize, wide: bool) {
            let text = if wide { "\u{20ac}" } else { "x" }.repeat(length);
            prop_assert!(super::pieces(&text).all(|piece| piece.len() <= super::MAX_DELTA));
            prop_assert_eq!(super::pieces(&text).collect::<String>(), text);
        }
    }
}
