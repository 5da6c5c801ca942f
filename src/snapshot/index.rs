//! Clean tracked files, whose contents the repository has. Read from git's index, which is never written.

use std::{fs::Metadata, path::Path};

use super::{
    look::Stat,
    state::{Mode, State},
};
use crate::{
    git::{
        checkout::GitDirs,
        index::{Index, Stamp},
        objects::Id,
        path::os_string,
        small_file::{self, Links},
    },
    stdx::paths::{self, AbsPath},
};

/// The size limit of an index file; a checkout with a larger one is treated as a plain directory.
const MAX_INDEX_BYTES: u64 = 512 << 20;
/// The size limit of an attributes file; a larger one is assumed to name a filter.
const MAX_ATTRIBUTES_BYTES: u64 = 1 << 20;
const LINK: u32 = 0o120_000;

/// The index of a checkout.
pub struct Tracked {
    index: Index,
    /// The stat data of the index file.
    stat: Stat,
    /// The modification time of the index file. Files modified at the same time or later are not known to be clean.
    written: (u32, u32),
    /// Filters may change contents at checkout, so the repository does not have them.
    is_filtered: bool,
}

impl Tracked {
    /// Reads the index; `None` if there is none or its format is not supported.
    pub fn read(root: &AbsPath, git: &GitDirs) -> Option<Self> {
        let path = git.own.join("index");
        let (bytes, metadata) = small_file::read_with_metadata(path.as_path(), MAX_INDEX_BYTES, Links::Follow).ok()?;
        let index = Index::parse(bytes)?;
        let is_filtered = is_filtered(root, git, &index);
        let written = Stamp::of(&metadata)?.modified;
        Some(Self { index, stat: Stat::of(&metadata), written, is_filtered })
    }

    /// Whether the index file is unchanged.
    pub fn is_current(&self, git: &GitDirs) -> bool {
        std::fs::metadata(git.own.join("index")).is_ok_and(|metadata| Stat::of(&metadata) == self.stat)
    }

    /// The number of a file.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        self.index.find(path)
    }

    /// Whether the repository has the file's content.
    pub fn is_clean(&self, file: usize, metadata: &Metadata) -> bool {
        !self.is_filtered && self.index.stamp(file).is_some_and(|stamp| stamp.modified < self.written && Stamp::of(metadata) == Some(stamp))
    }

    /// The state of a clean file.
    pub fn state(&self, file: usize) -> Option<State> {
        let stamp = self.index.stamp(file).filter(|_| !self.is_filtered && !self.index.is_submodule(file))?;
        let (id, size) = (Id::from_bytes(self.index.id(file)?), u64::from(stamp.size));
        Some(match stamp.mode {
            LINK => State::Link { id, size },
            mode => State::File { id, size, mode: Mode::of_git(mode & 0o100 != 0) },
        })
    }

    /// The file with this path, and the files below it.
    pub fn below(&self, path: &[u8]) -> impl Iterator<Item = &[u8]> {
        let start = self.position(|other| other < path);
        let end = self.position(|other| other <= path || is_below(other, path) || other < [path, b"/"].concat().as_slice());
        (start..end).map(|file| self.index.path(file)).filter(move |other| *other == path || is_below(other, path))
    }

    fn position(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.index.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.index.path(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// All files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.index.len()).map(|file| self.index.path(file))
    }

    /// The files whose entries differ in a later index.
    pub fn difference(&self, later: &Self) -> Vec<Vec<u8>> {
        let (mut old, mut new, mut found) = (0, 0, Vec::new());
        let all_differ = self.is_filtered != later.is_filtered;
        while old < self.index.len() || new < later.index.len() {
            let before = (old < self.index.len()).then(|| self.index.path(old));
            let after = (new < later.index.len()).then(|| later.index.path(new));
            match (before, after) {
                (Some(before), Some(after)) if before == after => {
                    if all_differ || self.index.raw(old) != later.index.raw(new) {
                        found.push(before.to_owned());
                    }
                    (old, new) = (old + 1, new + 1);
                }
                (Some(before), after) if after.is_none_or(|after| before < after) => {
                    found.push(before.to_owned());
                    old += 1;
                }
                (_, after) => {
                    found.extend(after.map(<[u8]>::to_owned));
                    new += 1;
                }
            }
        }
        found
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Whether an attributes file names a filter.
fn is_filtered(root: &AbsPath, git: &GitDirs, index: &Index) -> bool {
    let names_one = |path: &Path| match small_file::read(path, MAX_ATTRIBUTES_BYTES, Links::Follow) {
        Ok(text) => text.windows(6).any(|word| word == b"filter"),
        Err(error) => error.kind() == std::io::ErrorKind::InvalidData,
    };
    let of_user = paths::home().is_some_and(|home| names_one(home.join(".config/git/attributes").as_path()));
    let is_attributes = |path: &[u8]| path == b".gitattributes" || path.ends_with(b"/.gitattributes");
    let mut tracked = (0..index.len()).map(|file| index.path(file)).filter(|path| is_attributes(path));
    of_user
        || names_one(git.common.join("info/attributes").as_path())
        || names_one(root.join(".gitattributes").as_path())
        || tracked.any(|path| names_one(root.join(os_string(path)).as_path()))
}
