//! The newest output of a command, within a limit. Offsets count the bytes since its beginning, so that a reader can go on
//! where it has stopped, and learns of what is no longer kept.

use std::collections::VecDeque;

/// A part of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// Where it begins: after the offset that was asked for where that is no longer kept.
    pub offset: u64,
    /// Where the next output begins.
    pub next: u64,
}

#[derive(Debug)]
pub struct Tail {
    kept: VecDeque<u8>,
    /// The bytes before those that are kept.
    dropped: u64,
    limit: usize,
}

impl Tail {
    /// Keeps so many bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), dropped: 0, limit }
    }

    pub fn push(&mut self, text: &str) {
        self.kept.extend(text.as_bytes());
        let mut excess = self.kept.len().saturating_sub(self.limit);
        // No character is torn.
        while self.kept.get(excess).is_some_and(|byte| excess > 0 && is_continuation(*byte)) {
            excess += 1;
        }
        self.kept.drain(..excess);
        self.dropped += excess as u64;
    }

    /// Where the next output will begin.
    pub fn end(&self) -> u64 {
        self.dropped + self.kept.len() as u64
    }

    /// At most `limit` bytes from the offset on; characters are never torn.
    pub fn read(&self, offset: u64, limit: usize) -> Piece {
        let offset = offset.clamp(self.dropped, self.end());
        let mut start = usize::try_from(offset - self.dropped).unwrap_or(usize::MAX);
        while self.kept.get(start).is_some_and(|byte| is_continuation(*byte)) {
            start += 1;
        }
        let mut end = start.saturating_add(limit).min(self.kept.len());
        while end > start && self.kept.get(end).is_some_and(|byte| is_continuation(*byte)) {
            end -= 1;
        }
        if end == start && limit > 0 {
            // A whole character, or a reader would never get on.
            end = (start + 1..self.kept.len()).find(|at| !is_continuation(self.kept[*at])).unwrap_or(self.kept.len());
        }
        let bytes: Vec<u8> = self.kept.range(start..end).copied().collect();
        // Nothing but whole characters of texts is kept.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Piece { text, offset: self.dropped + start as u64, next: self.dropped + end as u64 }
    }

    /// The last bytes, at most so many.
    pub fn last(&self, limit: usize) -> Piece {
        self.read(self.end().saturating_sub(limit as u64), limit)
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_longer_kept_is_seen_from_the_offset() {
        let mut tail = Tail::new(6);
        tail.push("abc");
        assert_eq!(tail.read(0, 100), Piece { text: "abc".to_owned(), offset: 0, next: 3 });
        tail.push("defgh");
        assert_eq!(tail.read(1, 100), Piece { text: "cdefgh".to_owned(), offset: 2, next: 8 });
        assert_eq!(tail.read(3, 2), Piece { text: "de".to_owned(), offset: 3, next: 5 });
        assert_eq!(tail.last(3).text, "fgh");
        assert_eq!(tail.read(999, 100), Piece { text: String::new(), offset: 8, next: 8 });
    }

    proptest! {
        #[test]
        fn pages_give_the_end_of_the_text_whole(pieces in prop::collection::vec("[aä€😀]{0,9}", 0..20), limit in 4usize..40, page in 1usize..20) {
            let mut tail = Tail::new(limit);
            pieces.iter().for_each(|piece| tail.push(piece));
            let whole = pieces.concat();
            prop_assert_eq!(tail.end(), whole.len() as u64);
            let (mut text, mut at) = (String::new(), 0);
            loop {
                let piece = tail.read(at, page);
                if piece.next == at || piece.text.is_empty() {
                    break;
                }
                text.push_str(&piece.text);
                at = piece.next;
            }
            prop_assert!(text.len() <= limit && whole.ends_with(&text));
            prop_assert!(whole.len() < limit || text.len() + 4 > limit.min(whole.len()));
        }
    }
}
