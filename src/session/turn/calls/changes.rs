//! What a tool call changes in files: kept in the store of images, so that it can be undone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use polytree_protocol::{
    id::SessionId,
    part::{PatchPart, ToolPart},
};
use tokio::sync::watch;

use crate::{
    file::save::lock,
    session::patch::{self, CallRef},
    snapshot::{ChangeSet, Edit, Following, Pending, Running, Snapshots, Uncovered},
    stdx::{paths::AbsPath, tasks::Tasks},
    tool::definition::ToolError,
};

/// How long the end of an aborted call waits for its command to end.
const COMMAND_END: Duration = Duration::from_millis(500);

/// Why nothing is known of a change.
const SWITCHED_OFF: &str = "contents of changed files are not kept: `snapshot` is off in the settings";

pub(super) struct CallChanges {
    snapshots: Arc<Snapshots>,
    /// Whether contents are stored.
    keeps: bool,
    // A plain mutex: held for single operations.
    found: Mutex<Found>,
    /// Whether a command runs.
    runs: watch::Sender<bool>,
    call: CallRef,
}

struct Found {
    /// `None` when the call is closed.
    set: Option<ChangeSet>,
    /// Edits whose outcome the tool has not told.
    pending: HashMap<AbsPath, Edit>,
    /// The command that runs, with its note.
    command: Option<(Running, Option<Pending>)>,
    /// A note of each change.
    notes: Vec<Pending>,
}

impl CallChanges {
    pub fn new(snapshots: &Arc<Snapshots>, root: &AbsPath, keeps: bool, call: &ToolPart) -> Self {
        let found = Found { set: Some(ChangeSet::new(root.clone())), pending: HashMap::new(), command: None, notes: Vec::new() };
        let (snapshots, call) = (Arc::clone(snapshots), CallRef::of(call));
        Self { snapshots, call, keeps, found: Mutex::new(found), runs: watch::Sender::new(false) }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the content of a file before it is changed, and the content that it is planned to have (`None`: it is deleted); an
    /// error if the call is closed.
    pub async fn before_edit(&self, path: &AbsPath, planned: Option<&[u8]>) -> Result<(), ToolError> {
        let edit = if self.keeps { Some(self.snapshots.before_edit(path).await) } else { None };
        let note = match &edit {
            Some(edit) => {
                let planned = edit.planned(planned.map(<[u8]>::to_vec)).await;
                self.note(|set| set.changes.push(planned)).await
            }
            None => None,
        };
        let mut found = self.found();
        found.notes.extend(note);
        if found.set.is_none() {
            found.notes.drain(..).for_each(Pending::remove);
            return Err(ToolError::Aborted);
        }
        found.pending.extend(edit.map(|edit| (path.clone(), edit)));
        Ok(())
    }

    /// Stores what the file was changed to; `None` if that is not known.
    pub async fn after_edit(&self, path: &AbsPath, content: Option<Vec<u8>>) {
        if !self.keeps {
            let uncovered = Uncovered { path: path.clone(), reason: SWITCHED_OFF.to_owned() };
            return self.found().set.iter_mut().for_each(|set| set.uncovered.push(uncovered.clone()));
        }
        let Some(edit) = self.found().pending.remove(path) else { return };
        let Some(content) = content else {
            let uncovered = Uncovered { path: path.clone(), reason: "it was changed on disk while an editor held another text".into() };
            self.found().set.iter_mut().for_each(|set| set.uncovered.push(uncovered.clone()));
            return;
        };
        let change = edit.done(content).await;
        self.found().set.iter_mut().for_each(|set| set.changes.extend(change.clone()));
    }

    /// Notes the state of the files before a command runs in this directory; an error if the call is closed.
    pub async fn before_command(&self, following: &Arc<Following>, session: &SessionId, directory: &AbsPath) -> Result<(), ToolError> {
        let running = following.begin(session.clone()).await;
        let reason = "the daemon ended while a command ran".to_owned();
        let note = self.note(|set| set.uncovered.push(Uncovered { path: set.root.clone(), reason })).await;
        let mut found = self.found();
        let Some(set) = &mut found.set else {
            note.into_iter().for_each(Pending::remove);
            return Err(ToolError::Aborted);
        };
        if !directory.is_within(following.root()) {
            set.uncovered.push(Uncovered { path: directory.clone(), reason: "a command ran there, outside of the project".into() });
        }
        found.command = Some((running, note));
        self.runs.send_replace(true);
        Ok(())
    }

    /// A command runs, and what it changes is not kept; an error if the call is closed.
    pub fn before_unseen_command(&self) -> Result<(), ToolError> {
        let mut found = self.found();
        let Some(set) = &mut found.set else { return Err(ToolError::Aborted) };
        set.uncovered.push(Uncovered { path: set.root.clone(), reason: SWITCHED_OFF.to_owned() });
        Ok(())
    }

    /// The command has ended.
    pub async fn after_command(&self) {
        let command = self.found().command.take();
        if let Some((command, of_command)) = command {
            let made = command.end().await;
            let note = if made.is_empty() { None } else { self.note(|set| add(set, &made)).await };
            let mut found = self.found();
            if note.is_some() || made.is_empty() {
                of_command.into_iter().for_each(Pending::remove);
            } else {
                found.notes.extend(of_command);
            }
            found.notes.extend(note);
            found.set.iter_mut().for_each(|set| add(set, &made));
        }
        self.runs.send_replace(false);
    }

    /// Writes a note of changes that the conversation does not have yet.
    async fn note(&self, add: impl FnOnce(&mut ChangeSet)) -> Option<Pending> {
        let root = self.found().set.as_ref().map(|set| set.root.clone())?;
        let mut set = ChangeSet::new(root);
        add(&mut set);
        let label = serde_json::to_value(&self.call).unwrap_or_default();
        let note = self.snapshots.note(label, set).await;
        // It is only needed if the process is killed.
        note.inspect_err(|error| tracing::warn!(%error, "a change cannot be noted before it is made")).ok()
    }

    /// The conversation has the part that [`Self::close`] has returned.
    pub async fn stored(&self) {
        let notes = std::mem::take(&mut self.found().notes);
        let _ = Tasks::spawn_blocking(move || notes.into_iter().for_each(Pending::remove)).await;
    }

    /// Closes the call. Returns the part that names what it has changed, if anything.
    pub async fn close(&self) -> Option<PatchPart> {
        // After an abort the command has a moment to end.
        let _ = tokio::time::timeout(COMMAND_END, self.runs.subscribe().wait_for(|runs| !*runs)).await;
        let (set, pending, command) = {
            let mut found = self.found();
            (found.set.take(), std::mem::take(&mut found.pending), found.command.take())
        };
        let mut set = set?;
        if let Some((command, note)) = command {
            self.found().notes.extend(note);
            add(&mut set, &command.end().await);
            let reason = "a command had not ended when its call was closed".into();
            set.uncovered.push(Uncovered { path: set.root.clone(), reason });
        }
        for (path, edit) in pending {
            // The tool was cut off or has failed: what it has begun to write is written when the lock is free.
            let _guard = lock::lock(&path).await;
            set.changes.extend(self.snapshots.left(edit).await);
        }
        if set.is_empty() { None } else { Some(patch::part(&self.snapshots, &set, self.call.clone()).await) }
    }
}

fn add(set: &mut ChangeSet, made: &ChangeSet) {
    set.changes.extend_from_slice(&made.changes);
    set.uncovered.extend_from_slice(&made.uncovered);
}
