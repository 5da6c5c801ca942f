//! The names in one directory, in one piece that never changes: worktrees in which a directory holds the same share it.
//! Costs eight bytes a name beyond the names, and the directory's own path once.

use std::cmp::Ordering;

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A file, or a symbolic link, which is never followed.
    File,
    /// A directory.
    Directory,
}

/// The characters that a text holds, as a set: 26 letters in either case, digits in two groups, and three signs. A text
/// with anything beyond ASCII has them all, since `é` may be found by `e`.
pub type Characters = u32;

const DIRECTORY: u32 = 1 << 31;
/// Every character that a set can tell.
pub const ALL: Characters = !DIRECTORY;

/// The set of a text's characters.
#[must_use]
pub fn characters(text: &[u8]) -> Characters {
    text.iter().fold(0, |set, byte| set | SETS[usize::from(*byte)])
}

const SETS: [Characters; 256] = {
    let mut sets = [ALL; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        sets[byte as usize] = match byte {
            b'a'..=b'z' => 1 << (byte - b'a'),
            b'A'..=b'Z' => 1 << (byte - b'A'),
            b'0'..=b'4' => 1 << 26,
            b'5'..=b'9' => 1 << 27,
            b'.' => 1 << 28,
            b'_' => 1 << 29,
            b'-' => 1 << 30,
            _ => 0,
        };
        byte += 1;
    }
    sets
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where the name ends; it begins where the one before ends.
    end: u32,
    /// The name's characters, and whether it is a directory.
    set: u32,
}

/// The names in one directory, in the order of their bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    directory: Box<[u8]>,
    names: Box<[u8]>,
    entries: Box<[Entry]>,
}

impl Listing {
    /// The names of the directory at a path relative to the index's root; the root's own is empty. Names that would make it
    /// longer than four gigabytes are left out.
    #[must_use]
    pub fn new(directory: &[u8], mut found: Vec<(&[u8], What)>) -> Self {
        found.sort_unstable();
        let mut names = Vec::with_capacity(found.iter().map(|(name, _)| name.len()).sum());
        let mut entries = Vec::with_capacity(found.len());
        for (name, what) in found {
            let Ok(end) = u32::try_from(names.len() + name.len()) else { break };
            names.extend_from_slice(name);
            entries.push(Entry { end, set: characters(name) | if what == What::Directory { DIRECTORY } else { 0 } });
        }
        Self { directory: directory.into(), names: names.into(), entries: entries.into() }
    }

    /// The path of the directory, relative to the index's root.
    #[must_use]
    pub fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The name at a place in the order.
    #[must_use]
    pub fn get(&self, index: usize) -> (&[u8], What) {
        let start = if index == 0 { 0 } else { self.entries[index - 1].end };
        let entry = self.entries[index];
        (&self.names[start as usize..entry.end as usize], entry.what())
    }

    /// The characters of the name at a place in the order.
    #[must_use]
    pub fn characters(&self, index: usize) -> Characters {
        self.entries[index].set & ALL
    }

    /// All names in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], What)> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The place of a name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<(usize, What)> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let (other, what) = self.get(middle);
            match other.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some((middle, what)),
            }
        }
        None
    }

    /// The same without one name.
    #[must_use]
    pub fn without(&self, name: &[u8]) -> Self {
        Self::new(&self.directory, self.iter().filter(|(other, _)| *other != name).collect())
    }

    /// The path of a name, relative to the index's root.
    #[must_use]
    pub fn path(&self, name: &[u8]) -> Vec<u8> {
        child(&self.directory, name)
    }

    /// The bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.directory.len() + self.names.len() + size_of_val(&*self.entries)
    }
}

impl Entry {
    fn what(self) -> What {
        if self.set & DIRECTORY == 0 { What::File } else { What::Directory }
    }
}

/// The path of a name in a directory; both relative to the index's root.
#[must_use]
pub fn child(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The directory and the name of a path; `None` for the root.
#[must_use]
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    })
}

/// Whether a path is the directory or lies below it.
#[must_use]
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The order in which a directory comes directly before all that lies below it.
#[must_use]
pub fn order(one: &[u8], other: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    // Most paths have much in common at their beginning.
    let words = one.chunks_exact(8).zip(other.chunks_exact(8)).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[words * 8..], &other[words * 8..]);
    one.iter().map(|byte| rank(*byte)).cmp(other.iter().map(|byte| rank(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_found_and_nothing_else(names in prop::collection::btree_map(prop::collection::vec(1u8.., 1..6), any::<bool>(), 0..40), other in prop::collection::vec(1u8.., 1..3)) {
            let what = |directory: bool| if directory { What::Directory } else { What::File };
            let mut found: Vec<_> = names.iter().map(|(name, directory)| (&name[..], what(*directory))).collect();
            found.reverse();
            let listing = Listing::new(b"a/b", found);
            prop_assert!(listing.iter().eq(names.iter().map(|(name, directory)| (&name[..], what(*directory)))));
            for (index, (name, directory)) in names.iter().enumerate() {
                prop_assert_eq!(listing.find(name), Some((index, what(*directory))));
                prop_assert_eq!(listing.characters(index), characters(name));
            }
            prop_assert_eq!(listing.find(&other).is_some(), names.contains_key(&other));
            prop_assert_eq!(listing.without(&other).len(), names.len() - usize::from(names.contains_key(&other)));
        }

        #[test]
        fn what_lies_below_stands_together(mut paths in prop::collection::vec("[a\u{1}.-]{1,2}(/[a.]{1,2}){0,3}", 1..30), at: prop::sample::Index) {
            paths.sort_by(|one, other| order(one.as_bytes(), other.as_bytes()));
            let directory = paths[at.index(paths.len())].clone();
            let places: Vec<usize> = paths.iter().enumerate().filter(|(_, path)| is_within(path.as_bytes(), directory.as_bytes())).map(|(place, _)| place).collect();
            prop_assert_eq!(places.last().unwrap() - places[0] + 1, places.len());
            prop_assert_eq!(&paths[places[0]], &directory, "the directory itself comes first");
        }
    }

    #[test]
    fn a_set_never_lacks_a_character_that_can_match() {
        let has = |name: &str, query: &str| characters(query.as_bytes()) & !characters(name.as_bytes()) == 0;
        assert!(has("Session-Store_9.rs", "sessionstore-_8.RS") && has("caf\u{e9}", "cafe") && has("a b", "a b"));
        assert!(!has("session", "sessionz") && !has("a4", "5"));
    }
}
