//! Notes of changes that tool calls make. A note is on disk before the change, and is removed when the conversation has the
//! change, so that the next process knows of a change whose process was killed between the two.
//!
//! Notes are not synced: they survive the end of the process, and not that of the machine.

use std::{
    fs,
    io::{self, Write as _},
};

use serde::{Deserialize, Serialize};

use super::{change::ChangeSet, objects::make_private};
use crate::stdx::{ids, paths::AbsPath};

/// A note on disk.
#[must_use = "it must be removed when the conversation has its change"]
#[derive(Debug)]
pub struct Pending(AbsPath);

/// The note of an earlier process.
#[derive(Debug)]
pub struct LeftOver {
    /// The label of the note.
    pub label: serde_json::Value,
    /// The change as it was planned.
    pub set: ChangeSet,
    /// To be removed when the conversation has the change.
    pub pending: Pending,
}

#[derive(Serialize, Deserialize)]
struct Text {
    label: serde_json::Value,
    root: String,
    set: serde_json::Value,
}

impl Pending {
    /// Writes a note.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(directory: &AbsPath, label: serde_json::Value, set: &ChangeSet) -> io::Result<Self> {
        make_private(directory)?;
        let text = Text { label, root: set.root.to_string(), set: serde_json::from_slice(&set.encode()?)? };
        let path = directory.join(format!("{}.json", ids::next()));
        let mut file = tempfile::Builder::new().prefix("new-").tempfile_in(directory)?;
        file.write_all(&serde_json::to_vec(&text)?)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(Self(path))
    }

    /// All notes, oldest first. Other files are ignored.
    pub(super) fn all(directory: &AbsPath) -> Vec<LeftOver> {
        let paths = fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|entry| AbsPath::new(entry.path()));
        let mut paths: Vec<AbsPath> = paths.filter(|path| path.as_path().extension().is_some_and(|ending| ending == "json")).collect();
        // Their names are in order.
        paths.sort_unstable();
        let read = |path: AbsPath| {
            let Text { label, root, set } = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            let set = ChangeSet::decode(&AbsPath::new(root)?, &serde_json::to_vec(&set).ok()?)?;
            Some(LeftOver { label, set, pending: Self(path) })
        };
        paths.into_iter().filter_map(read).collect()
    }

    /// Removes the files of earlier processes that are not notes.
    pub(super) fn sweep(directory: &AbsPath, notes: &[LeftOver]) {
        let files = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in files.filter(|path| !notes.iter().any(|note| note.pending.0.as_path() == path)) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an unfinished note of a change cannot be removed");
            }
        }
    }

    /// Removes the note.
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0, %error, "the note of a change cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Uncovered;

    #[test]
    fn notes_are_read_in_their_order_until_they_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let root = AbsPath::new(place.path()).unwrap();
        let directory = root.join("pending");
        let set = |name: &str| ChangeSet {
            uncovered: vec![Uncovered { path: root.join(name), reason: "none".into() }],
            ..ChangeSet::new(root.clone())
        };
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        for name in &names {
            let _ = Pending::write(&directory, name.as_str().into(), &set(name)).unwrap();
        }
        fs::write(directory.join("damaged.json"), "{").unwrap();
        fs::write(directory.join("new-unfinished"), "{").unwrap();
        let notes = Pending::all(&directory);
        for (note, name) in notes.iter().zip(&names) {
            assert_eq!((note.label.as_str(), &note.set), (Some(name.as_str()), &set(name)));
        }
        assert_eq!(notes.len(), names.len());
        Pending::sweep(&directory, &notes);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), names.len());
        notes.into_iter().for_each(|note| note.pending.remove());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}
