//! The result does not depend on how the bytes of a recorded stream are split, and a truncated stream is never taken
//! for a complete one.

use proptest::prelude::*;

use crate::provider::{
    definition::{Delta, Error},
    wire::{
        ALL,
        decode::Fault,
        protocol::Wire,
        tests::{cells, decoding, shown},
    },
};

/// The deltas of a stream in these pieces, and its error.
pub(crate) fn decode<'a>(wire: &dyn Wire, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Delta>, Option<Fault>) {
    let mut decoding = decoding(wire);
    let mut fault = None;
    for piece in pieces {
        fault = decoding.push(piece).err();
        if fault.is_some() || decoding.has_ended() {
            break;
        }
    }
    if fault.is_none() && !decoding.has_ended() {
        fault = decoding.end().err();
    }
    (std::iter::from_fn(|| decoding.pop()).collect(), fault)
}

/// With generated ids replaced by `*`.
fn text(deltas: Vec<Delta>) -> Vec<String> {
    deltas.into_iter().map(|delta| shown(&[Ok::<_, Error>(delta)])).collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same_deltas(wire in 0..ALL.len(), sizes in proptest::collection::vec(1_usize..200, 1..8)) {
        let wire = ALL[wire];
        for cell in cells(wire) {
            let mut rest = cell.stream.as_bytes();
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            let (whole, whole_fault) = decode(wire, [cell.stream.as_bytes()]);
            let (split, split_fault) = decode(wire, pieces);
            prop_assert_eq!(text(split), text(whole));
            prop_assert_eq!(split_fault, whole_fault);
        }
    }

    #[test]
    fn a_truncated_stream_gives_a_prefix_and_a_fault(wire in 0..ALL.len(), place in 0.0..1.0_f64) {
        let wire = ALL[wire];
        for cell in cells(wire) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let end = (cell.stream.len() as f64 * place) as usize;
            let (whole, whole_fault) = decode(wire, [cell.stream.as_bytes()]);
            let (early, fault) = decode(wire, [&cell.stream.as_bytes()[..end]]);
            let (whole, early) = (text(whole), text(early));
            match fault {
                Some(fault) => {
                    prop_assert!(fault == Fault::Cut || Some(&fault) == whole_fault.as_ref(), "{:?}", fault);
                    prop_assert!(whole.starts_with(&early), "{:?} {:?}", whole, early);
                }
                // Only the usage may be missing.
                None => prop_assert_eq!(&whole[..whole.len() - 1], &early[..early.len() - 1]),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(wire in 0..ALL.len(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode(ALL[wire], [bytes.as_slice()]);
    }

    #[test]
    fn modified_streams_do_not_panic(wire in 0..ALL.len(), from in ".{1,3}", to in ".{0,3}", word in "(null|\"text\"|\\{|\\[|0|-1|\"\")") {
        let wire = ALL[wire];
        for cell in cells(wire) {
            decode(wire, [cell.stream.replace(&from, &to).as_bytes()]);
            decode(wire, [cell.stream.replace("\":\"", &format!("\":{word},\"x\":\"")).as_bytes()]);
        }
    }
}
