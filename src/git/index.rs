//! git's index file as bytes: which files it holds, what it knows of each, and where its mark stands that a file is to be
//! taken as unchanged. Versions 2 to 4 with SHA-1; what is split, sparse or unknown is left to git. Pure.

use std::ops::Range;

const ID: usize = 20;
const FLAGS: usize = 40 + ID;
const NAME: usize = FLAGS + 2;

const ASSUME_VALID: u8 = 0x80;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
/// Of the flags that extended entries have.
const SKIP_WORKTREE: u16 = 0x4000;

/// An index.
#[derive(Debug)]
pub struct Index {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    paths: Vec<u8>,
    version: u32,
    tree: Option<[u8; ID]>,
    is_common: bool,
}

/// A file in the index.
#[derive(Debug)]
struct Entry {
    at: usize,
    /// Where its name begins, with what version 4 puts before it.
    name: usize,
    path: Range<usize>,
    /// Nothing is special about it.
    is_plain: bool,
}

/// What git knew of a file when it last looked: seconds, nanoseconds and numbers cut to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Of the last change of what is known about it.
    pub changed: (u32, u32),
    /// Of the last change of its content.
    pub modified: (u32, u32),
    /// Its number on its disk.
    pub inode: u32,
    /// `100644`, `100755` or `120000`, octal.
    pub mode: u32,
    /// Whose it is.
    pub owner: (u32, u32),
    /// In bytes.
    pub size: u32,
}

impl Index {
    /// Takes the bytes apart; `None` where git alone should read them.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let version = number(&bytes, 4)?;
        if bytes.get(..4)? != b"DIRC" || !(2..=4).contains(&version) {
            return None;
        }
        let count = usize::try_from(number(&bytes, 8)?).ok()?;
        // A file that is too short for so many entries would have us keep memory for nothing.
        if count > bytes.len() / NAME {
            return None;
        }
        let (mut entries, mut paths, mut at) = (Vec::with_capacity(count), Vec::new(), 12);
        let mut last: Range<usize> = 0..0;
        let mut is_common = true;
        for _ in 0..count {
            let flags = u16::from_be_bytes(bytes.get(at + FLAGS..at + NAME)?.try_into().ok()?);
            let name = if flags & EXTENDED == 0 { at + NAME } else { at + NAME + 2 };
            let (path, next) = if version == 4 {
                let (cut, start) = varint(&bytes, name)?;
                let end = start + bytes.get(start..)?.iter().position(|byte| *byte == 0)?;
                let kept = last.start..last.end.checked_sub(cut).filter(|end| *end >= last.start)?;
                let from = paths.len();
                paths.extend_from_within(kept);
                paths.extend(&bytes[start..end]);
                (from..paths.len(), end + 1)
            } else {
                let length = bytes.get(name..)?.iter().position(|byte| *byte == 0)?;
                let from = paths.len();
                paths.extend(&bytes[name..name + length]);
                (from..paths.len(), at + (name - at + length + 8) / 8 * 8)
            };
            let is_plain = flags & (EXTENDED | STAGE) == 0 && bytes[at + FLAGS] & ASSUME_VALID == 0;
            let extended = if flags & EXTENDED == 0 { 0 } else { u16::from_be_bytes(bytes.get(at + NAME..name)?.try_into().ok()?) };
            is_common &= flags & STAGE == 0 && extended & SKIP_WORKTREE == 0;
            // git refuses what is out of order.
            if paths[last.clone()] > paths[path.clone()] {
                return None;
            }
            last = path.clone();
            entries.push(Entry { at, name, path, is_plain });
            at = next;
        }
        let end = bytes.len().checked_sub(ID)?;
        let mut tree = None;
        while at < end {
            let size = usize::try_from(number(&bytes, at + 4)?).ok()?;
            // Extensions that must be understood are written small.
            if !bytes.get(at)?.is_ascii_uppercase() {
                return None;
            }
            let next = at.checked_add(8)?.checked_add(size)?;
            if bytes[at..].starts_with(b"TREE") {
                tree = root_tree(bytes.get(at + 8..next)?);
            }
            at = next;
        }
        (at == end).then_some(Self { bytes, entries, paths, version, tree, is_common })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The path of a file, with `/` between names.
    pub fn path(&self, number: usize) -> &[u8] {
        &self.paths[self.entries[number].path.clone()]
    }

    /// What git knew of a file; `None` where something is special about it, as with conflicts.
    pub fn stamp(&self, entry: usize) -> Option<Stamp> {
        let Entry { at, is_plain, .. } = self.entries[entry];
        let field = |index: usize| number(&self.bytes, at + 4 * index);
        let stamp = Stamp {
            changed: (field(0)?, field(1)?),
            modified: (field(2)?, field(3)?),
            inode: field(5)?,
            mode: field(6)?,
            owner: (field(7)?, field(8)?),
            size: field(9)?,
        };
        is_plain.then_some(stamp)
    }

    /// The id of the tree that a commit of the index would have, in hexadecimal digits, where git has noted it.
    pub fn tree(&self) -> Option<String> {
        Some(self.tree?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether there are neither conflicts nor files that are kept off the disk.
    pub fn is_common(&self) -> bool {
        self.is_common
    }

    /// Whether a file is a repository of its own, of which only the commit is kept.
    pub fn is_module(&self, file: usize) -> bool {
        number(&self.bytes, self.entries[file].at + 24) == Some(0o160_000)
    }

    /// The number of the file with this path.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.paths[entry.path.clone()].cmp(path)).ok()
    }

    /// An index of these files alone, which must be in order.
    pub fn of(&self, files: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
        // Names are written whole; there are never more files than a number of 32 bits counts.
        let count = u32::try_from(files.len()).unwrap_or(u32::MAX).to_be_bytes();
        let version = self.version.min(3).to_be_bytes();
        let mut bytes = [&b"DIRC"[..], &version, &count].concat();
        for file in files {
            let Entry { at, name, .. } = self.entries[file];
            let start = bytes.len();
            bytes.extend(&self.bytes[at..name]);
            bytes.extend(self.path(file));
            let length = bytes.len() - start;
            bytes.resize(start + (length + 8) / 8 * 8, 0);
        }
        bytes.extend([0; ID]);
        bytes
    }

    /// The same index with these files marked to be taken as unchanged. git does not look at the sum at the end when it reads.
    pub fn with_unchanged(&self, files: &[usize]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for file in files {
            bytes[self.entries[*file].at + FLAGS] |= ASSUME_VALID;
        }
        bytes
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The id of the uppermost tree in git's notes about trees, if they are up to date.
fn root_tree(notes: &[u8]) -> Option<[u8; ID]> {
    // An empty name, how many files, how many trees, the id; no id where something has changed since.
    let rest = notes.strip_prefix(b"\0")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    if !rest[0].is_ascii_digit() {
        return None;
    }
    rest.get(end + 1..end + 1 + ID)?.try_into().ok()
}

/// A number in as many bytes as it needs, and where it ends.
fn varint(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
        value = value.checked_add(1)?.checked_mul(128)?;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::tests::support::{Sandbox, ask, command, git};

    #[test]
    fn every_version_reads_as_git_reads_it() {
        let sandbox = Sandbox::new();
        let root = sandbox.make_directory("r");
        git(&root, &["init", "--quiet"]);
        for number in 0..300 {
            std::fs::create_dir_all(root.join(format!("d{}", number % 7))).unwrap();
            std::fs::write(root.join(format!("d{}/{}", number % 7, "x".repeat(number % 200 + 1))), "").unwrap();
        }
        git(&root, &["add", "-A"]);
        for version in ["2", "3", "4"] {
            git(&root, &["update-index", "--index-version", version]);
            if version == "3" {
                git(&root, &["update-index", "--skip-worktree", "d0/x"]);
            }
            let index = Index::parse(std::fs::read(root.join(".git/index")).unwrap()).unwrap();
            let paths: Vec<u8> = (0..index.len()).flat_map(|file| [index.path(file), b"\0"].concat()).collect();
            assert_eq!(paths, ask(&root, &["ls-files", "-z"]));
            let plain = (0..index.len()).filter(|file| index.stamp(*file).is_some_and(|stamp| stamp.mode == 0o100_644)).count();
            assert_eq!(plain, index.len() - usize::from(version != "2"));
            let all: Vec<usize> = (0..index.len()).collect();
            let with = |bytes: Vec<u8>, args: &[&str]| {
                std::fs::write(root.join("other index"), bytes).unwrap();
                let mut command = command("git");
                let command = command.current_dir(&root).env("GIT_INDEX_FILE", root.join("other index").as_path());
                command.args(args).output().unwrap().stdout
            };
            assert!(
                with(index.with_unchanged(&all), &["ls-files", "-v"])
                    .split(|byte| *byte == b'\n')
                    .all(|line| line.first().is_none_or(u8::is_ascii_lowercase))
            );
            let some: Vec<usize> = all.iter().copied().filter(|file| file % 3 == 1).collect();
            let staged = ask(&root, &["ls-files", "--stage", "--debug", "-z"]);
            let staged = String::from_utf8(staged).unwrap();
            let told = String::from_utf8(with(index.of(some.iter().copied()), &["ls-files", "--stage", "--debug", "-z"])).unwrap();
            assert!(some.iter().all(|file| told.contains(std::str::from_utf8(index.path(*file)).unwrap())));
            assert!(told.lines().all(|part| staged.contains(part)), "{version}");
            assert!(all.iter().all(|file| index.find(index.path(*file)) == Some(*file)));
            assert_eq!((index.is_common(), index.tree()), (version == "2", None));
        }
        git(&root, &["update-index", "--split-index"]);
        assert!(Index::parse(std::fs::read(root.join(".git/index")).unwrap()).is_none(), "left to git");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(version in 2..5u8, count in 0..4u8, rest in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [b"DIRC\0\0\0", &[version, 0, 0, 0, count][..], &rest].concat();
            if let Some(index) = Index::parse(bytes) {
                for file in 0..index.len() {
                    let _ = (index.path(file).len(), index.stamp(file));
                }
                let all: Vec<usize> = (0..index.len()).collect();
                drop((index.with_unchanged(&all), index.of(all.iter().copied()), index.tree()));
            }
        }
    }
}
