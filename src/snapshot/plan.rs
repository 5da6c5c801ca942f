//! Plans the revert of change sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    change::{Change, ChangeSet, Uncovered},
    look::{self, Seen},
    objects::{IMAGE_GONE, Objects},
    state::{Mode, State},
    undo::{Piece, Refusal, Undone, undo},
};
use crate::{file::save::MAX_BYTES, git::objects::Id, overlay::Document, stdx::paths::AbsPath};

/// The limit of names that are checked in a directory that is in the place of a file.
const MAX_NAMES: usize = 10_000;

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It gets its earlier content or mode.
    Restore,
    /// It is created again.
    Create,
    /// It is deleted, since the session created it.
    Delete,
    /// The session's changes are removed; the changes of others stay.
    Merge,
    /// Nothing: it already has its target state, or cannot be written.
    Skip,
    /// Nothing: somebody else has changed it, and a merge is not clean.
    Conflict,
}

/// What happens to one file.
#[derive(Debug, Clone)]
pub struct FilePlan {
    /// The file.
    pub path: AbsPath,
    /// What happens to it.
    pub action: Action,
    /// Why nothing happens.
    pub reason: Option<String>,
    /// The current state.
    pub from: State,
    /// The target state.
    pub to: State,
    /// The number of parent directories that are created or removed with it. A directory that is not empty stays.
    pub new_directories: u32,
    /// The editor's text, if an editor has the file open and is asked to change it.
    pub document: Option<Arc<Document>>,
}

impl PartialEq for FilePlan {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
            && self.action == other.action
            && self.reason == other.reason
            && self.from == other.from
            && self.to == other.to
    }
}

impl Eq for FilePlan {}

impl FilePlan {
    /// Whether the file changes.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self.action, Action::Skip | Action::Conflict)
    }

    /// Leaves the file as it is.
    pub(super) fn refuse(&mut self, action: Action, reason: impl Into<String>) {
        (self.action, self.reason, self.to) = (action, Some(reason.into()), self.from.clone());
    }
}

/// A request to revert.
#[derive(Debug, Clone)]
pub struct Request {
    /// The change sets, oldest first.
    pub sets: Vec<ChangeSet>,
    /// Reverts the other files even if some are in conflict.
    pub partial: bool,
    /// Stored in the journal, for use after a restart.
    pub label: serde_json::Value,
}

/// What a revert would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The files: deletions first, then the others, each ordered by path.
    pub files: Vec<FilePlan>,
    /// The files without an image, which stay as they are.
    pub uncovered: Vec<Uncovered>,
}

impl Plan {
    /// The files in conflict.
    pub fn conflicts(&self) -> impl Iterator<Item = &FilePlan> {
        self.files.iter().filter(|file| file.action == Action::Conflict)
    }

    /// Whether no file changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.files.iter().any(FilePlan::is_change)
    }
}

/// A buffer of an editor.
pub struct Held {
    /// Its text.
    pub document: Option<Arc<Document>>,
    /// The text is not known.
    pub is_untold: bool,
}

/// Checks all files and plans the revert. Stores the contents that the revert and its undo will need.
pub fn plan(sets: &[ChangeSet], held: &BTreeMap<AbsPath, Held>, objects: &Objects) -> Plan {
    let mut plan = Plan { files: Vec::new(), uncovered: Vec::new() };
    let mut by_path: BTreeMap<&AbsPath, Vec<&Change>> = BTreeMap::new();
    let mut made: BTreeSet<AbsPath> = BTreeSet::new();
    for set in sets {
        for change in &set.changes {
            by_path.entry(&change.path).or_default().push(change);
            made.extend(change.path.ancestors().skip(1).take(change.new_directories as usize));
        }
        plan.uncovered.extend(set.uncovered.iter().cloned());
    }
    for (path, changes) in &by_path {
        match one(path, changes, held.get(*path), objects) {
            Ok(mut file) => {
                if file.action == Action::Delete {
                    // The last file that goes takes the directory along, whichever file it was made for.
                    let parents = file.path.ancestors().skip(1).take_while(|parent| made.contains(parent));
                    file.new_directories = u32::try_from(parents.count()).unwrap_or(0);
                }
                plan.files.push(file);
            }
            Err(reason) => plan.uncovered.push(Uncovered { path: (*path).clone(), reason }),
        }
    }
    let going: BTreeSet<AbsPath> = plan.files.iter().filter(|file| file.action == Action::Delete).map(|file| file.path.clone()).collect();
    for file in plan.files.iter_mut().filter(|file| file.is_change() && file.to != State::Absent && file.document.is_none()) {
        if let Err(reason) = has_room(&file.path, &going) {
            file.refuse(Action::Conflict, reason);
        }
    }
    plan.files.sort_by_key(|file| file.action != Action::Delete);
    plan.uncovered.sort_by(|one, other| one.path.cmp(&other.path));
    plan.uncovered.dedup();
    plan
}

/// Plans one file; an error says why it is not covered.
fn one(path: &AbsPath, changes: &[&Change], held: Option<&Held>, objects: &Objects) -> Result<FilePlan, String> {
    let disk = look::look(path, MAX_BYTES);
    let document = held.and_then(|held| held.document.clone());
    let now = document.as_ref().map_or_else(|| disk.clone(), |document| of_text(document, &disk));
    let new_directories = changes.first().map_or(0, |change| change.new_directories);
    let mut file = FilePlan {
        path: path.clone(),
        action: Action::Skip,
        reason: None,
        from: now.state.clone(),
        to: now.state.clone(),
        new_directories,
        document,
    };
    if held.is_some_and(|held| held.is_untold) {
        file.refuse(Action::Conflict, "it is open in an editor whose text is not known yet; save the file there");
        return Ok(file);
    }
    let read = |id: Id| objects.read(id);
    let undone = match undo(Piece { state: now.state.clone(), content: now.content.clone() }, changes, &read) {
        Ok(undone) => undone,
        Err(Refusal::Uncovered(reason)) => return Err(reason),
        Err(Refusal::Conflict(reason)) => {
            file.refuse(Action::Conflict, reason);
            return Ok(file);
        }
    };
    let Undone { piece: Piece { state: to, content }, is_merged } = undone;
    if to.is_same(&now.state) {
        file.refuse(Action::Skip, "it already is as it was before");
        return Ok(file);
    }
    if let Some(document) = &file.document {
        let is_saved = disk.content.as_deref() == Some(document.text.as_bytes());
        match &to {
            State::Absent if !is_saved => {
                file.refuse(Action::Conflict, "it is open in an editor with unsaved changes");
                return Ok(file);
            }
            // The file on disk is deleted; the editor keeps its buffer.
            State::Absent => file.document = None,
            State::File { .. } => {}
            State::Link { .. } | State::Unknown { .. } => {
                file.refuse(Action::Conflict, "it is open in an editor, and was not a regular file before");
                return Ok(file);
            }
        }
    }
    // The current content is needed to undo the revert, and the target content for the revert.
    let keep = |content: &[u8]| objects.write(content).map_err(|error| format!("its content cannot be kept: {error}"));
    if let Some(content) = &now.content {
        keep(content)?;
    }
    match (content, to.content()) {
        (Some(content), _) => drop(keep(&content)?),
        (None, Some((id, _))) if objects.read(id).is_none() => return Err(IMAGE_GONE.into()),
        (None, _) => {}
    }
    file.action = match (&file.from, &to) {
        (State::Absent, _) => Action::Create,
        (_, State::Absent) => Action::Delete,
        _ if is_merged => Action::Merge,
        _ => Action::Restore,
    };
    if file.action == Action::Create {
        file.new_directories = missing_directories(path);
    }
    file.to = to;
    Ok(file)
}

/// The number of missing parent directories.
pub fn missing_directories(path: &AbsPath) -> u32 {
    let missing = path.ancestors().skip(1).take_while(|parent| !parent.as_path().is_dir()).count();
    u32::try_from(missing).unwrap_or(0)
}

/// The state of a file that is open in an editor.
pub fn of_text(document: &Document, disk: &Seen) -> Seen {
    let mode = match &disk.state {
        State::File { mode, .. } => *mode,
        _ => Mode::of_git(false),
    };
    let content = document.text.as_bytes().to_vec();
    let state = State::File { id: Id::of(&content), size: content.len() as u64, mode };
    Seen { state, content: Some(content), is_directory: false }
}

/// Checks that a file can be created at a path after these files were deleted.
fn has_room(path: &AbsPath, going: &BTreeSet<AbsPath>) -> Result<(), String> {
    for parent in path.ancestors().skip(1) {
        match parent.as_path().symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) if !going.contains(&parent) => return Err(format!("{parent} is not a directory any more")),
            Ok(_) => break,
            Err(_) => {}
        }
    }
    if !path.as_path().symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    let mut below = vec![path.clone()];
    let mut names = 0;
    while let Some(directory) = below.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|error| format!("a directory is in its place: {error}"))?.flatten() {
            names += 1;
            let path = directory.join(entry.file_name());
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if names > MAX_NAMES || (!is_directory && !going.contains(&path)) {
                return Err("a directory with other files is in its place".into());
            }
            if is_directory {
                below.push(path);
            }
        }
    }
    Ok(())
}
