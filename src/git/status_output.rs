//! Parses git's output about changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A tracked file that differs from the last commit, from `git diff --raw --numstat -z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `A`, `D`, `M`, `R` or `T`.
    pub letter: u8,
    /// The id of the old content.
    pub old_id: Vec<u8>,
    /// The mode of the old content, such as `100644`.
    pub old_mode: Vec<u8>,
    /// The new content has no id: it is only on disk.
    pub is_on_disk_only: bool,
    /// The old path of a renamed file.
    pub from: Option<Vec<u8>>,
    /// Lines added and removed; `None` for binary files.
    pub lines: Option<(u64, u64)>,
}

/// The differences by path. Malformed records are skipped.
pub fn differences(output: &[u8]) -> BTreeMap<Vec<u8>, Difference> {
    let mut found = BTreeMap::new();
    let mut tokens = output.split(|byte| *byte == 0);
    while let Some(token) = tokens.next() {
        if let Some(head) = token.strip_prefix(b":") {
            let mut fields = head.split(|byte| *byte == b' ');
            let (Some(old_mode), Some(old_id), Some(new_id)) = (fields.next(), fields.nth(1), fields.next()) else { continue };
            let Some(letter) = fields.next().and_then(|field| field.first()) else { continue };
            let Some(first) = tokens.next() else { break };
            let (path, from) = match letter {
                b'R' | b'C' => (tokens.next().unwrap_or_default(), (*letter == b'R').then(|| first.to_owned())),
                _ => (first, None),
            };
            // A file in conflict has a second record with its current state.
            if *letter != b'U' {
                let difference = Difference {
                    letter: *letter,
                    old_id: old_id.to_owned(),
                    old_mode: old_mode.to_owned(),
                    is_on_disk_only: new_id.iter().all(|digit| *digit == b'0'),
                    from,
                    lines: None,
                };
                found.insert(path.to_owned(), difference);
            }
        } else {
            let mut fields = token.splitn(3, |byte| *byte == b'\t');
            let (Some(added), Some(removed), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
            let path = if path.is_empty() { tokens.nth(1).unwrap_or_default() } else { path };
            if let Some(difference) = found.get_mut(path) {
                difference.lines = number(added).zip(number(removed));
            }
        }
    }
    found
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses `git ls-files -t -o -u -z`: untracked files, and files in conflict.
pub fn others(output: &[u8]) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let (mut untracked, mut conflicts) = (BTreeSet::new(), BTreeSet::new());
    for entry in output.split(|byte| *byte == 0) {
        if let Some(path) = entry.strip_prefix(b"? ") {
            untracked.insert(path.to_owned());
        } else if let Some(at) = entry.iter().position(|byte| *byte == b'\t') {
            conflicts.insert(entry[at + 1..].to_owned());
        }
    }
    (untracked, conflicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record() {
        let output = b":100644 100644 88c5 0000 M\0a\tb\n\0:000000 000000 0000 0000 U\0a\tb\n\0:120000 100644 4d1a 0000 T\0l\0\
            :100644 100644 00ae 3d3e R083\0old\0new\0:100644 000000 00ae 0000 D\0-\0\
            4\t0\ta\tb\n\0-\t-\tl\x001\t2\t\0old\0new\x000\t7\t-\0";
        let found = differences(output);
        let show = |path: &str| {
            let difference = &found[path.as_bytes()];
            (char::from(difference.letter), difference.lines, difference.from.clone())
        };
        assert_eq!(found.len(), 4);
        assert_eq!(show("a\tb\n"), ('M', Some((4, 0)), None));
        assert_eq!(show("l"), ('T', None, None));
        assert_eq!(show("new"), ('R', Some((1, 2)), Some(b"old".to_vec())));
        assert_eq!(show("-"), ('D', Some((0, 7)), None));
        assert_eq!(found[&b"l"[..]].old_mode, b"120000");
        assert!(differences(b":\0:1 2\0x\0").is_empty());
    }

    #[test]
    fn untracked_files_and_conflicts() {
        let (untracked, conflicts) = others(b"? M a\tb\0M 100644 587b 1\tg\th\0M 100644 587b 3\tg\th\0? sub/\0");
        assert_eq!(untracked.into_iter().collect::<Vec<_>>(), [b"M a\tb".to_vec(), b"sub/".to_vec()]);
        assert_eq!(conflicts.into_iter().collect::<Vec<_>>(), [b"g\th".to_vec()]);
    }
}
