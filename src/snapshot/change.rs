//! The changes that a session made to files.

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::{
    git::path::{git_bytes, os_string},
    stdx::paths::AbsPath,
};

/// A change to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file: a real path, except that the file itself may be a link.
    pub path: AbsPath,
    /// The state before.
    pub before: State,
    /// The state that the session left.
    pub after: State,
    /// The number of parent directories that were created with it.
    pub new_directories: u32,
}

/// A file without an image, which cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// The file, or a directory in which any file may have changed.
    pub path: AbsPath,
    /// Why.
    pub reason: String,
}

/// The changes of one tool call or command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// The top of the checkout. Paths are stored relative to it, so they survive a move.
    pub root: AbsPath,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// What may have changed without an image.
    pub uncovered: Vec<Uncovered>,
}

impl ChangeSet {
    /// An empty set.
    #[must_use]
    pub fn new(root: AbsPath) -> Self {
        Self { root, changes: Vec::new(), uncovered: Vec::new() }
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.uncovered.is_empty()
    }

    /// Encodes the set for [`ChangeSet::decode`].
    ///
    /// # Errors
    /// Never in practice.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let name = |path: &AbsPath| Name::new(&self.root, path);
        let changes = self.changes.iter().map(|change| StoredChange {
            path: name(&change.path),
            before: change.before.clone(),
            after: change.after.clone(),
            new_directories: change.new_directories,
        });
        let uncovered =
            self.uncovered.iter().map(|uncovered| StoredUncovered { path: name(&uncovered.path), reason: uncovered.reason.clone() });
        serde_json::to_vec(&Stored { version: VERSION, changes: changes.collect(), uncovered: uncovered.collect() })
    }

    /// Decodes a set of a checkout whose top is at `root` now; `None` if the bytes are no change set.
    #[must_use]
    pub fn decode(root: &AbsPath, bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok().filter(|stored: &Stored| stored.version == VERSION)?;
        let changes = stored.changes.into_iter().map(|change| Change {
            path: change.path.at(root),
            before: change.before,
            after: change.after,
            new_directories: change.new_directories,
        });
        let uncovered = stored.uncovered.into_iter().map(|uncovered| Uncovered { path: uncovered.path.at(root), reason: uncovered.reason });
        Some(Self { root: root.clone(), changes: changes.collect(), uncovered: uncovered.collect() })
    }
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    changes: Vec<StoredChange>,
    uncovered: Vec<StoredUncovered>,
}

#[derive(Serialize, Deserialize)]
struct StoredChange {
    path: Name,
    before: State,
    after: State,
    new_directories: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredUncovered {
    path: Name,
    reason: String,
}

/// A path, relative to the top of the checkout or absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Text(String),
    /// A path that is not valid UTF-8.
    Bytes(Vec<u8>),
}

impl Name {
    pub(super) fn new(root: &AbsPath, path: &AbsPath) -> Self {
        let path = path.as_path().strip_prefix(root).unwrap_or(path.as_path());
        String::from_utf8(git_bytes(path.as_os_str())).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }

    pub(super) fn at(&self, root: &AbsPath) -> AbsPath {
        let bytes = match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        root.join(os_string(bytes))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{git::objects::Id, snapshot::state::Mode};

    #[test]
    fn sets_are_read_as_written_and_move_with_their_checkout() {
        let [old, new] = ["/old/place", "/new"].map(|path| AbsPath::new(path).unwrap());
        let change = |path: AbsPath| Change {
            path,
            before: State::Absent,
            after: State::File { id: Id::of(b"x"), size: 1, mode: Mode::exact(0o640) },
            new_directories: 2,
        };
        let outside = AbsPath::new("/elsewhere/f").unwrap();
        let set = |root: &AbsPath| ChangeSet {
            root: root.clone(),
            changes: vec![change(root.join("a/b")), change(root.join(os_string(b"odd \xff"))), change(outside.clone())],
            uncovered: vec![Uncovered { path: root.join("large"), reason: "it is large".into() }],
        };
        let bytes = set(&old).encode().unwrap();
        assert_eq!(ChangeSet::decode(&old, &bytes), Some(set(&old)));
        assert_eq!(ChangeSet::decode(&new, &bytes), Some(set(&new)));
        assert_eq!(ChangeSet::decode(&new, b"{}"), None);
    }
}
