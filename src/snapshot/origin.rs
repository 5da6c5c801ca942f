//! Which of the changes that were found after a command are its own, and which of its new files may be the only copy of their
//! content.
//!
//! What an editor saves while a command runs is not the command's: its text was announced before the file was written.
//!
//! Undo deletes what a command has created, but it does not see all
//! files: not the ignored ones, not other directories, no directories beyond the depth limit of the index, no large files. A
//! file that was moved or packed out of one of those looks new, and must stay.
//!
//! A moved file keeps its times, and programs that pack a file or move it to another file system copy them. So a new file that
//! is older than the command came from elsewhere. It is deleted only if undo knows its content from another file.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    time::SystemTime,
};

use super::{
    change::Change,
    look::{self, TICK},
    state::State,
};
use crate::{file::save::MAX_BYTES, git::objects::Id, overlay::Overlay, stdx::paths::AbsPath};

/// Why a new file that is older than the command stays.
pub const OLDER: &str =
    "it is older than the command that put it there, so it may be the only copy of a file that was in a place that undo does not cover";

/// Whether a file was created or last written before this time.
pub fn is_older(path: &AbsPath, time: SystemTime) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    [metadata.modified(), metadata.created()].into_iter().flatten().any(|of_file| of_file + TICK < time)
}

/// Marks the new files that must stay: what was there before them counts as unknown. `began`: when the command began.
/// `elsewhere`: those of these contents that unchanged files have.
pub fn mark(changes: &mut [Change], began: SystemTime, elsewhere: impl FnOnce(&HashSet<Id>) -> HashSet<Id>) {
    let id = |state: &State| state.content().map(|(id, _)| id);
    // What is not known after the command either is large, so its content is still there.
    let is_unknown = |state: &State| matches!(state, State::Unknown { reason } if reason != OLDER);
    let lost = changes.iter().find(|change| is_unknown(&change.before) && !is_unknown(&change.after));
    let lost = lost.map(|change| format!("the command that made it removed or emptied {}, of which undo has no copy", change.path));
    // Undo gives these back.
    let kept: HashSet<Id> = changes.iter().filter_map(|change| id(&change.before)).collect();
    let mut suspects = BTreeMap::new();
    for (number, change) in changes.iter().enumerate() {
        let is_new = change.before == State::Absent && change.after != State::Absent;
        if is_new && id(&change.after).is_none_or(|id| !kept.contains(&id)) {
            let reason = lost.clone().or_else(|| is_older(&change.path, began).then(|| OLDER.to_owned()));
            suspects.extend(reason.map(|reason| (number, reason)));
        }
    }
    if suspects.is_empty() {
        return;
    }
    let known = elsewhere(&suspects.keys().filter_map(|number| id(&changes[*number].after)).collect());
    for (number, reason) in suspects {
        if id(&changes[number].after).is_none_or(|id| !known.contains(&id)) {
            changes[number].before = State::unknown(reason);
        }
    }
}

/// Whether the file has a text that an editor has saved since the command began.
pub fn is_of_editor(change: &Change, began: SystemTime, overlay: &Overlay) -> bool {
    overlay.had_announced(&change.path, began, || {
        let time = fs::symlink_metadata(&change.path).and_then(|metadata| metadata.modified()).ok()?;
        let seen = look::look(&change.path, MAX_BYTES);
        Some((time + TICK, seen.content.filter(|_| seen.state.is_same(&change.after))?))
    })
}
