//! What a tool call changes in files: kept in the store of images, so that it can be undone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::part::{PatchPart, ToolPart};

use crate::{
    file::save::lock,
    session::ids,
    snapshot::{ChangeSet, Edit, Snapshots, State, Uncovered},
    stdx::paths::AbsPath,
    tool::definition::ToolError,
};

pub(super) struct CallChanges {
    snapshots: Arc<Snapshots>,
    // A plain mutex: held for single operations.
    found: Mutex<Found>,
}

struct Found {
    /// `None` when the call is closed.
    set: Option<ChangeSet>,
    /// Edits whose outcome the tool has not told.
    pending: HashMap<AbsPath, Edit>,
}

impl CallChanges {
    pub fn new(snapshots: &Arc<Snapshots>, root: &AbsPath) -> Self {
        let found = Found { set: Some(ChangeSet::new(root.clone())), pending: HashMap::new() };
        Self { snapshots: Arc::clone(snapshots), found: Mutex::new(found) }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the content of a file before it is changed; an error if the call is closed.
    pub async fn before_edit(&self, path: &AbsPath) -> Result<(), ToolError> {
        let edit = self.snapshots.before_edit(path).await;
        let mut found = self.found();
        if found.set.is_none() {
            return Err(ToolError::Aborted);
        }
        found.pending.insert(path.clone(), edit);
        Ok(())
    }

    /// Stores what the file was changed to; `None` if that is not known.
    pub async fn after_edit(&self, path: &AbsPath, content: Option<Vec<u8>>) {
        let Some(edit) = self.found().pending.remove(path) else { return };
        let Some(content) = content else {
            let uncovered = Uncovered { path: path.clone(), reason: "it was changed on disk while an editor held another text".into() };
            self.found().set.iter_mut().for_each(|set| set.uncovered.push(uncovered.clone()));
            return;
        };
        let change = edit.done(content).await;
        self.found().set.iter_mut().for_each(|set| set.changes.extend(change.clone()));
    }

    /// Closes the call. Returns the part that names what it has changed, if anything.
    pub async fn close(&self, call: &ToolPart) -> Option<PatchPart> {
        let (set, pending) = {
            let mut found = self.found();
            (found.set.take(), std::mem::take(&mut found.pending))
        };
        let mut set = set?;
        for (path, edit) in pending {
            // The tool was cut off or has failed: what it has begun to write is written when the lock is free.
            let _guard = lock::lock(&path).await;
            set.changes.extend(self.snapshots.left(edit).await);
        }
        if set.is_empty() {
            return None;
        }
        let (mut files, mut uncovered) = (Vec::new(), Vec::new());
        let unknown = |state: &State| matches!(state, State::Unknown { .. });
        for change in &set.changes {
            let is_covered = !unknown(&change.before) && !unknown(&change.after);
            if is_covered { &mut files } else { &mut uncovered }.push(change.path.to_string());
        }
        uncovered.extend(set.uncovered.iter().map(|uncovered| uncovered.path.to_string()));
        let hash = match self.snapshots.keep(&set).await {
            Ok(id) => id.to_string(),
            Err(error) => {
                tracing::warn!(%error, "what a tool call has changed cannot be stored");
                uncovered.append(&mut files);
                String::new()
            }
        };
        for list in [&mut files, &mut uncovered] {
            list.sort_unstable();
            list.dedup();
        }
        Some(PatchPart {
            id: ids::part_id(),
            session_id: call.session_id.clone(),
            message_id: call.message_id.clone(),
            hash,
            files,
            uncovered,
            call_id: Some(call.call_id.clone()),
        })
    }
}
