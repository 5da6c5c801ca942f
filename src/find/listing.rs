//! The names in one directory as one immutable allocation, which worktrees with equal directories share. Needs eight
//! bytes per name beside the names, and the directory's path once.

use std::{cmp::Ordering, path::Path, sync::Arc};

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A file or a symbolic link, which is never followed.
    File,
    Directory,
}

/// The set of characters in a text: 26 case-insensitive letters, digits in two groups, and three punctuation
/// characters. A text with non-ASCII characters has all of them, since `e` matches `é`.
pub type Characters = u32;

const DIRECTORY_FLAG: u32 = 1 << 31;
/// The set of all characters.
pub const ALL: Characters = !DIRECTORY_FLAG;

/// The characters of a text.
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

/// The header, as four-byte numbers: the number of entries, the length of the directory's path, the characters of that
/// path, and the characters of all names together.
const HEADER_BYTES: usize = 16;
/// An entry is two four-byte numbers: the end of its name, which begins where the previous one ends, and the name's
/// characters with the directory flag.
const ENTRY_BYTES: usize = 8;

/// The names in one directory, sorted by their bytes. All data is contiguous: a search through a hundred thousand names
/// is limited by memory latency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(Arc<[u8]>);

impl Listing {
    /// The names of a directory, given by its path relative to the index's root; the root's own path is empty. Names
    /// beyond four gigabytes are dropped.
    pub fn new(directory: &[u8], mut found: Vec<(&[u8], EntryKind)>) -> Self {
        found.sort_unstable();
        let mut end: usize = 0;
        let fits = found.iter().take_while(|(name, _)| {
            end += name.len();
            u32::try_from(end).is_ok()
        });
        let count = fits.count();
        found.truncate(count);
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes();
        let length = found.iter().map(|(name, _)| name.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + ENTRY_BYTES * found.len() + directory.len() + length);
        bytes.extend(number(found.len()));
        bytes.extend(number(directory.len()));
        bytes.extend(characters(directory).to_ne_bytes());
        bytes.extend([0; 4]);
        let (mut end, mut all) = (0, 0);
        for (name, what) in &found {
            end += name.len();
            let set = characters(name);
            all |= set;
            bytes.extend(number(end));
            bytes.extend((set | if *what == EntryKind::Directory { DIRECTORY_FLAG } else { 0 }).to_ne_bytes());
        }
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&all.to_ne_bytes());
        bytes.extend_from_slice(directory);
        found.iter().for_each(|(name, _)| bytes.extend_from_slice(name));
        Self(bytes.into())
    }

    fn number(&self, at: usize) -> u32 {
        self.0[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn length(&self) -> usize {
        self.number(4) as usize
    }

    fn start(&self) -> usize {
        HEADER_BYTES + ENTRY_BYTES * self.len() + self.length()
    }

    /// The path of the directory, relative to the index's root.
    pub fn directory(&self) -> &[u8] {
        let end = self.start();
        &self.0[end - self.length()..end]
    }

    /// The characters of the directory's path.
    pub fn directory_characters(&self) -> Characters {
        self.number(8)
    }

    /// The characters of all names together.
    pub fn all_characters(&self) -> Characters {
        self.number(12)
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.number(0) as usize
    }

    /// Whether both are the same allocation.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name with this index.
    pub fn get(&self, index: usize) -> (&[u8], EntryKind) {
        let entry = HEADER_BYTES + ENTRY_BYTES * index;
        let start = if index == 0 { 0 } else { self.number(entry - ENTRY_BYTES) };
        let names = &self.0[self.start()..];
        (&names[start as usize..self.number(entry) as usize], what(self.number(entry + 4)))
    }

    /// All names in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], EntryKind)> {
        self.entries().map(|(name, what, _)| (name, what))
    }

    /// All names in order, with their characters.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], EntryKind, Characters)> {
        let (entries, _) = self.0[HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES * self.len()].as_chunks::<ENTRY_BYTES>();
        let names = &self.0[self.start()..];
        let mut start = 0;
        entries.iter().map(move |entry| {
            let [a, b, c, d, set @ ..] = *entry;
            let (end, set) = (u32::from_ne_bytes([a, b, c, d]) as usize, u32::from_ne_bytes(set));
            (&names[std::mem::replace(&mut start, end)..end], what(set), set & ALL)
        })
    }

    /// The index of a name.
    pub fn find(&self, name: &[u8]) -> Option<(usize, EntryKind)> {
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

    /// A copy without one name.
    pub fn without(&self, name: &[u8]) -> Self {
        Self::new(self.directory(), self.iter().filter(|(other, _)| *other != name).collect())
    }

    /// The path of a name, relative to the index's root.
    pub fn path(&self, name: &[u8]) -> Vec<u8> {
        child(self.directory(), name)
    }

    /// The memory use in bytes, including the reference counts.
    pub fn bytes(&self) -> usize {
        2 * size_of::<usize>() + self.0.len()
    }
}

fn what(set: u32) -> EntryKind {
    if set & DIRECTORY_FLAG == 0 { EntryKind::File } else { EntryKind::Directory }
}

/// The path of a name in a directory, both relative to the index's root.
pub fn child(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Converts a relative path to the index's form: names separated by `/`.
pub fn path_bytes(path: &Path) -> Vec<u8> {
    let names: Vec<&[u8]> = path.components().map(|name| name.as_os_str().as_encoded_bytes()).collect();
    names.join(&b'/')
}

/// Splits a path into directory and name; `None` for the root.
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    })
}

/// Whether a path is the directory or is inside of it.
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// An order in which a directory comes directly before its contents.
pub fn order(one: &[u8], other: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    // Most paths have a long common prefix.
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
        fn only_existing_names_are_found(names in prop::collection::btree_map(prop::collection::vec(1u8.., 1..6), any::<bool>(), 0..40), other in prop::collection::vec(1u8.., 1..3)) {
            let what = |directory: bool| if directory { EntryKind::Directory } else { EntryKind::File };
            let mut found: Vec<_> = names.iter().map(|(name, directory)| (&name[..], what(*directory))).collect();
            found.reverse();
            let listing = Listing::new(b"a/b", found);
            prop_assert!(listing.iter().eq(names.iter().map(|(name, directory)| (&name[..], what(*directory)))));
            prop_assert_eq!(listing.directory(), b"a/b");
            prop_assert_eq!(listing.directory_characters(), characters(b"a/b"));
            prop_assert_eq!(listing.all_characters(), names.keys().fold(0, |all, name| all | characters(name)));
            for ((index, (name, directory)), (other, _, set)) in names.iter().enumerate().zip(listing.entries()) {
                prop_assert_eq!(listing.find(name), Some((index, what(*directory))));
                prop_assert_eq!(listing.get(index), (&name[..], what(*directory)));
                prop_assert_eq!((other, set), (&name[..], characters(name)));
            }
            prop_assert_eq!(listing.find(&other).is_some(), names.contains_key(&other));
            prop_assert_eq!(listing.without(&other).len(), names.len() - usize::from(names.contains_key(&other)));
        }

        #[test]
        fn the_contents_of_a_directory_are_contiguous(mut paths in prop::collection::vec("[a\u{1}.-]{1,2}(/[a.]{1,2}){0,3}", 1..30), at: prop::sample::Index) {
            paths.sort_by(|one, other| order(one.as_bytes(), other.as_bytes()));
            let directory = paths[at.index(paths.len())].clone();
            let places: Vec<usize> = paths.iter().enumerate().filter(|(_, path)| is_within(path.as_bytes(), directory.as_bytes())).map(|(place, _)| place).collect();
            prop_assert_eq!(places.last().unwrap() - places[0] + 1, places.len());
            prop_assert_eq!(&paths[places[0]], &directory, "the directory itself comes first");
        }
    }

    #[test]
    fn a_set_contains_every_character_that_can_match() {
        let has = |name: &str, query: &str| characters(query.as_bytes()) & !characters(name.as_bytes()) == 0;
        assert!(has("Session-Store_9.rs", "sessionstore-_8.RS") && has("caf\u{e9}", "cafe") && has("a b", "a b"));
        assert!(!has("session", "sessionz") && !has("a4", "5"));
    }
}
