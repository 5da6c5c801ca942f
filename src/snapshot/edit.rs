//! A tool's change to one file.

use std::sync::Arc;

use super::{
    change::Change,
    follow::Following,
    look,
    objects::Objects,
    state::{Mode, State},
};
use crate::stdx::{paths::AbsPath, tasks::Tasks};

/// The mode of a file; of anything else that of a new one.
pub fn mode(state: &State) -> Mode {
    match state {
        State::File { mode, .. } => *mode,
        _ => Mode::of_git(false),
    }
}

/// Stores a content.
pub fn kept(objects: &Objects, content: &[u8], mode: Mode) -> State {
    match objects.write(content) {
        Ok(id) => State::File { id, size: content.len() as u64, mode },
        Err(error) => State::unknown(format!("its image could not be kept: {error}")),
    }
}

/// A tool's change to a file, between the before-image and the write.
pub struct Edit {
    pub(super) path: AbsPath,
    pub(super) before: State,
    pub(super) new_directories: u32,
    pub(super) objects: Arc<Objects>,
    pub(super) followers: Vec<Arc<Following>>,
}

impl Edit {
    /// The state before the change.
    #[must_use]
    pub fn before(&self) -> &State {
        &self.before
    }

    /// The change if the file gets this content, or is deleted. Of the mode only the executable bit is known.
    pub async fn planned(&self, content: Option<Vec<u8>>) -> Change {
        let after = match content {
            Some(content) => {
                let (objects, is_executable) = (Arc::clone(&self.objects), mode(&self.before).is_executable());
                let after = Tasks::spawn_blocking(move || kept(&objects, &content, Mode::of_git(is_executable))).await;
                after.unwrap_or_else(|error| State::unknown(error.to_string()))
            }
            None => State::Absent,
        };
        Change { path: self.path.clone(), before: self.before.clone(), after, new_directories: self.new_directories }
    }

    /// Completes the checkpoint after the tool has written this content. `None` if nothing changed.
    pub async fn done(self, content: Vec<u8>) -> Option<Change> {
        for following in &self.followers {
            following.after(vec![self.path.clone()]).await;
        }
        let Self { path, before, new_directories, objects, .. } = self;
        let (at, of_before) = (path.clone(), mode(&before));
        let after = Tasks::spawn_blocking(move || {
            let mode = std::fs::symlink_metadata(&at).map_or(of_before, |metadata| look::mode_of(&metadata));
            kept(&objects, &content, mode)
        });
        let after = after.await.unwrap_or_else(|error| State::unknown(error.to_string()));
        let is_new = before == State::Absent;
        (!before.is_same(&after)).then_some(Change { path, before, after, new_directories: if is_new { new_directories } else { 0 } })
    }
}
