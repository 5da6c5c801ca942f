//! The journal of a revert, written and synced before the first file changes. It is removed when the outcome is stored.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{
    change::{Name, Uncovered},
    objects::make_private,
    plan::{Action, FilePlan},
    state::State,
};
use crate::{
    git::objects::Id,
    stdx::{paths::AbsPath, private_file},
};

/// The size limit of a journal.
const MAX_BYTES: u64 = 256 << 20;
const VERSION: u32 = 1;

/// The outcome of a revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What happened to each file.
    pub files: Vec<FilePlan>,
    /// The files without an image.
    pub uncovered: Vec<Uncovered>,
    /// The change set of the revert itself, with which it can be undone; `None` if no file changed.
    pub changes: Option<Id>,
}

/// A revert that an earlier process had begun and this one has completed.
pub struct Recovered {
    /// The label of the request.
    pub label: serde_json::Value,
    /// The outcome.
    pub done: Done,
    /// To be finished as soon as the outcome is stored.
    pub journal: Journal,
}

/// The journal of one revert. Unless it is finished, the next process reads it again.
#[must_use = "a revert is over when its journal is finished"]
#[derive(Debug)]
pub struct Journal {
    path: AbsPath,
    progress: AbsPath,
    /// Its content.
    pub(super) text: Text,
    done: BTreeSet<usize>,
}

/// The content of a journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Text {
    version: u32,
    pub root: String,
    pub label: serde_json::Value,
    /// The files, in the order in which they are written.
    pub files: Vec<Entry>,
    uncovered: Vec<(Name, String)>,
}

/// The plan of one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    path: Name,
    pub action: Action,
    pub reason: Option<String>,
    pub from: State,
    pub to: State,
    pub new_directories: u32,
    pub in_editor: bool,
}

impl Entry {
    pub fn path(&self, root: &AbsPath) -> AbsPath {
        self.path.at(root)
    }
}

impl Text {
    pub fn new(root: &AbsPath, label: serde_json::Value, files: &[FilePlan], uncovered: &[Uncovered]) -> Self {
        let entry = |file: &FilePlan| Entry {
            path: Name::new(root, &file.path),
            action: file.action,
            reason: file.reason.clone(),
            from: file.from.clone(),
            to: file.to.clone(),
            new_directories: file.new_directories,
            in_editor: file.document.is_some(),
        };
        let uncovered = uncovered.iter().map(|uncovered| (Name::new(root, &uncovered.path), uncovered.reason.clone())).collect();
        Self { version: VERSION, root: root.to_string(), label, files: files.iter().map(entry).collect(), uncovered }
    }

    pub fn uncovered(&self, root: &AbsPath) -> Vec<Uncovered> {
        self.uncovered.iter().map(|(path, reason)| Uncovered { path: path.at(root), reason: reason.clone() }).collect()
    }
}

impl Journal {
    /// Writes and syncs a journal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(directory: &AbsPath, text: Text) -> io::Result<Self> {
        make_private(directory)?;
        let id = Ulid::generate();
        let journal = Self::at(directory, id, text);
        private_file::replace(&journal.path, &serde_json::to_vec(&journal.text)?)?;
        Ok(journal)
    }

    fn at(directory: &AbsPath, id: Ulid, text: Text) -> Self {
        let [path, progress] = ["json", "progress"].map(|ending| directory.join(format!("{id}.{ending}")));
        Self { path, progress, text, done: BTreeSet::new() }
    }

    /// All journals, oldest first. Other files are ignored.
    pub(super) fn all(directory: &AbsPath) -> Vec<Self> {
        let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut ids: Vec<Ulid> = names.filter_map(|name| Ulid::from_string(name.to_str()?.strip_suffix(".json")?).ok()).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| Self::read(directory, id)).collect()
    }

    fn read(directory: &AbsPath, id: Ulid) -> Option<Self> {
        let path = directory.join(format!("{id}.json"));
        let bytes =
            private_file::read(&path, MAX_BYTES).inspect_err(|error| tracing::warn!(%path, %error, "a journal cannot be read")).ok()??;
        let text = serde_json::from_slice(&bytes).inspect_err(|error| tracing::warn!(%path, %error, "a journal cannot be read")).ok();
        let mut journal = Self::at(directory, id, text.filter(|text: &Text| text.version == VERSION)?);
        let progress = fs::read_to_string(&journal.progress).unwrap_or_default();
        journal.done = progress.lines().filter_map(|line| line.parse().ok()).collect();
        Some(journal)
    }

    /// The ids of the contents that it needs.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.text.files.iter().flat_map(|entry| [&entry.from, &entry.to]).filter_map(State::content).map(|(id, _)| id)
    }

    /// Whether a file was written already.
    pub(super) fn is_done(&self, file: usize) -> bool {
        self.done.contains(&file)
    }

    /// Records that a file was written.
    pub(super) fn note(&mut self, file: usize) {
        self.done.insert(file);
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let noted = options.open(&self.progress).and_then(|mut progress| writeln!(progress, "{file}"));
        if let Err(error) = noted {
            tracing::warn!(%error, "the progress of a revert cannot be noted");
        }
    }

    /// Removes the journal.
    pub fn finish(self) {
        let _ = fs::remove_file(&self.progress);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path, %error, "a journal cannot be removed; the revert will be looked at again");
        }
    }
}
