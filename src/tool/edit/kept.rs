//! Lines that an edit quotes and repeats unchanged. They keep the bytes of the file where the quotation differs from it
//! in white space. Pure.

use std::collections::BTreeMap;

use super::lines::{Lines, is_blank};

/// `put`, which is `new` after its indentation was adapted, with the file's own lines where `new` repeats a quoted line.
/// `place` holds the lines of the file that were quoted. `None` where it is not clear which line is repeated, or where
/// the result is longer than `limit`.
pub fn keep(quoted: &Lines<'_>, place: &Lines<'_>, new: &str, put: &str, limit: usize) -> Option<String> {
    if quoted.lines() == place.lines() || quoted.len() != place.len() {
        return Some(put.to_owned());
    }
    let new = Lines::new(new);
    let (old, own) = (quoted.lines(), place.lines());
    let shorter = old.len().min(new.len());
    let before = old.iter().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let after = old.iter().rev().zip(new.lines().iter().rev()).take(shorter - before).take_while(|(old, new)| old == new).count();
    // Lines that were moved; `None` where the file has several forms of them.
    let mut moved: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (old, own) in old.iter().zip(own).filter(|(old, _)| !is_blank(old)) {
        let known = moved.entry(old).or_insert(Some(own));
        if *known != Some(own) {
            *known = None;
        }
    }
    let mut text = String::with_capacity(put.len());
    for (index, line) in put.split_inclusive('\n').enumerate() {
        let written = new.lines().get(index)?;
        let kept = if index < before {
            Some(own[index])
        } else if index >= new.len() - after {
            Some(own[own.len() - (new.len() - index)])
        } else {
            match moved.get(written) {
                Some(known) => Some((*known)?),
                None => None,
            }
        };
        match kept {
            Some(kept) => {
                text.push_str(kept);
                text.push_str(if line.ends_with('\n') { "\n" } else { "" });
            }
            None => text.push_str(line),
        }
        if text.len() > limit {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quoted: &str, place: &str, new: &str) -> Option<String> {
        keep(&Lines::new(quoted), &Lines::new(place), new, new, 1_000)
    }

    #[test]
    fn repeated_lines_keep_their_bytes() {
        assert_eq!(check("a b\nx = 1", "a  b\nx = 1", "a b\nx = 2").unwrap(), "a  b\nx = 2");
        assert_eq!(check("x = 1\na b\n", "x  = 1\na\tb \n", "x = 2\ny\na b\n").unwrap(), "x = 2\ny\na\tb \n");
        assert_eq!(check("a b\nc d\ne", "a  b\nc  d\ne", "c d\na b\ne").unwrap(), "c  d\na  b\ne");
        assert_eq!(check("a b\nc\na b", "a  b\nc\na   b", "a b\na b").unwrap(), "a  b\na   b");
        assert_eq!(check("a b\nc", "a  b\nc", "").unwrap(), "");
    }

    #[test]
    fn a_line_that_may_be_either_is_refused() {
        assert_eq!(check("a b\nc\na b\nd", "a  b\nc\na   b\nd", "x\na b\ny"), None);
        assert_eq!(keep(&Lines::new("a b"), &Lines::new("a   b"), "x\na b", "x\na b", 5), None, "too long");
    }
}
