//! Parses git's index file: its entries with their cached stat data, and the position of their assume-valid bits.
//! Supports versions 2 to 4 with SHA-1; split, sparse and unknown indexes are left to git. Pure.

use std::ops::Range;

const ID_BYTES: usize = 20;
const FLAGS_OFFSET: usize = 40 + ID_BYTES;
const NAME_OFFSET: usize = FLAGS_OFFSET + 2;

const ASSUME_VALID: u8 = 0x80;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
/// In the flags of extended entries.
const SKIP_WORKTREE: u16 = 0x4000;

#[derive(Debug)]
pub struct Index {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    paths: Vec<u8>,
    version: u32,
    tree: Option<[u8; ID_BYTES]>,
    has_only_normal_entries: bool,
}

/// A file in the index.
#[derive(Debug)]
struct Entry {
    at: usize,
    /// The offset of its name, or of the prefix length before it in version 4.
    name: usize,
    path: Range<usize>,
    /// Neither extended, in conflict, nor assume-valid.
    is_plain: bool,
}

/// The cached stat data of a file: times in seconds and nanoseconds, and numbers truncated to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The change time of its metadata.
    pub changed: (u32, u32),
    /// The change time of its content.
    pub modified: (u32, u32),
    pub inode: u32,
    /// `100644`, `100755` or `120000`, octal.
    pub mode: u32,
    pub owner: (u32, u32),
    /// In bytes.
    pub size: u32,
}

#[cfg(not(unix))]
impl Stamp {
    /// Always `None`: git compares by itself.
    pub fn of(_: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

#[cfg(unix)]
impl Stamp {
    /// The stat data that git would cache for a file; `None` unless it is a regular file or a symlink.
    pub fn of(metadata: &std::fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        // git truncates each number; 32 bits always fit.
        let low = |number: i128| u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX);
        let mode = match metadata.mode() & 0o170_000 {
            0o120_000 => 0o120_000,
            0o100_000 if metadata.mode() & 0o100 == 0 => 0o100_644,
            0o100_000 => 0o100_755,
            _ => return None,
        };
        Some(Self {
            changed: (low(metadata.ctime().into()), low(metadata.ctime_nsec().into())),
            modified: (low(metadata.mtime().into()), low(metadata.mtime_nsec().into())),
            inode: low(metadata.ino().into()),
            mode,
            owner: (metadata.uid(), metadata.gid()),
            size: low(metadata.len().into()),
        })
    }
}

impl Index {
    /// Parses an index; `None` if it is of a kind that is left to git.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let version = number(&bytes, 4)?;
        if bytes.get(..4)? != b"DIRC" || !(2..=4).contains(&version) {
            return None;
        }
        let count = usize::try_from(number(&bytes, 8)?).ok()?;
        // Do not allocate for more entries than the file can contain.
        if count > bytes.len() / NAME_OFFSET {
            return None;
        }
        let (mut entries, mut paths, mut at) = (Vec::with_capacity(count), Vec::new(), 12);
        let mut last: Range<usize> = 0..0;
        let mut has_only_normal_entries = true;
        for _ in 0..count {
            let flags = u16::from_be_bytes(bytes.get(at + FLAGS_OFFSET..at + NAME_OFFSET)?.try_into().ok()?);
            let name = if flags & EXTENDED == 0 { at + NAME_OFFSET } else { at + NAME_OFFSET + 2 };
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
            let is_plain = flags & (EXTENDED | STAGE) == 0 && bytes[at + FLAGS_OFFSET] & ASSUME_VALID == 0;
            let extended = if flags & EXTENDED == 0 { 0 } else { u16::from_be_bytes(bytes.get(at + NAME_OFFSET..name)?.try_into().ok()?) };
            has_only_normal_entries &= flags & STAGE == 0 && extended & SKIP_WORKTREE == 0;
            // git requires sorted entries.
            if paths[last.clone()] > paths[path.clone()] {
                return None;
            }
            last = path.clone();
            entries.push(Entry { at, name, path, is_plain });
            at = next;
        }
        let end = bytes.len().checked_sub(ID_BYTES)?;
        let mut tree = None;
        while at < end {
            let size = usize::try_from(number(&bytes, at + 4)?).ok()?;
            // Extensions with a lower-case name are mandatory.
            if !bytes.get(at)?.is_ascii_uppercase() {
                return None;
            }
            let next = at.checked_add(8)?.checked_add(size)?;
            if bytes[at..].starts_with(b"TREE") {
                tree = root_tree(bytes.get(at + 8..next)?);
            }
            at = next;
        }
        (at == end).then_some(Self { bytes, entries, paths, version, tree, has_only_normal_entries })
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The path of a file, with `/` between names.
    pub fn path(&self, number: usize) -> &[u8] {
        &self.paths[self.entries[number].path.clone()]
    }

    /// The cached stat data of a plain entry; `None` for others, such as conflicts.
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

    /// The object id of a file's content.
    pub fn id(&self, file: usize) -> Option<[u8; ID_BYTES]> {
        let at = self.entries[file].at + 40;
        self.bytes.get(at..at + ID_BYTES)?.try_into().ok()
    }

    /// The fixed-size part of an entry.
    pub fn raw(&self, file: usize) -> &[u8] {
        let Entry { at, .. } = self.entries[file];
        &self.bytes[at..at + NAME_OFFSET]
    }

    /// The id of the tree of a commit of this index, in hexadecimal digits, if git has cached it.
    pub fn tree(&self) -> Option<String> {
        Some(self.tree?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether there are neither conflicts nor skip-worktree entries.
    pub fn has_only_normal_entries(&self) -> bool {
        self.has_only_normal_entries
    }

    /// Whether an entry is a submodule.
    pub fn is_submodule(&self, file: usize) -> bool {
        number(&self.bytes, self.entries[file].at + 24) == Some(0o160_000)
    }

    /// The number of the entry with this path.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.paths[entry.path.clone()].cmp(path)).ok()
    }

    /// An index with only these entries, which must be sorted.
    pub fn subset(&self, files: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
        // Version 4 is written as version 3, with whole names; the number of entries always fits into 32 bits.
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
        bytes.extend([0; ID_BYTES]);
        bytes
    }

    /// The same index with the assume-valid bit of these entries set. git does not verify the checksum when it reads.
    pub fn with_unchanged(&self, files: &[usize]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for file in files {
            bytes[self.entries[*file].at + FLAGS_OFFSET] |= ASSUME_VALID;
        }
        bytes
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The id of the root tree in the `TREE` extension, if it is valid.
fn root_tree(extension: &[u8]) -> Option<[u8; ID_BYTES]> {
    // An empty name, the number of entries and of subtrees, the id; without an id if the tree is invalidated.
    let rest = extension.strip_prefix(b"\0")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    if !rest[0].is_ascii_digit() {
        return None;
    }
    rest.get(end + 1..end + 1 + ID_BYTES)?.try_into().ok()
}

/// A variable-length integer, and the offset after it.
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
            let listed = String::from_utf8(with(index.subset(some.iter().copied()), &["ls-files", "--stage", "--debug", "-z"])).unwrap();
            assert!(some.iter().all(|file| listed.contains(std::str::from_utf8(index.path(*file)).unwrap())));
            assert!(listed.lines().all(|part| staged.contains(part)), "{version}");
            assert!(all.iter().all(|file| index.find(index.path(*file)) == Some(*file)));
            assert_eq!((index.has_only_normal_entries(), index.tree()), (version == "2", None));
        }
        git(&root, &["update-index", "--split-index"]);
        assert!(Index::parse(std::fs::read(root.join(".git/index")).unwrap()).is_none(), "left to git");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(version in 2..5u8, count in 0..4u8, rest in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [b"DIRC\0\0\0", &[version, 0, 0, 0, count][..], &rest].concat();
            if let Some(index) = Index::parse(bytes) {
                for file in 0..index.len() {
                    let _ = (index.path(file).len(), index.stamp(file));
                }
                let all: Vec<usize> = (0..index.len()).collect();
                drop((index.with_unchanged(&all), index.subset(all.iter().copied()), index.tree()));
            }
        }
    }
}
