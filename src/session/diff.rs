//! What a session has changed in files, as diffs.

use std::collections::BTreeMap;

use polytree_protocol::{
    file::FileStatus,
    hunk::Hunk,
    id::MessageId,
    message::{Message, MessageWithParts},
    part::{Part, PatchPart},
    revert::FileDiff,
    session::Session,
};

use super::{Error, Sessions, patch, review};
use crate::{
    snapshot::{Change, Snapshots, State},
    stdx::{paths::AbsPath, tasks::Tasks, text::unified_diff},
    store::{Messages, in_order, undone},
};

/// The largest conversation of which diffs are made, in bytes as stored.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// A file that is larger has no diff.
const MAX_FILE: u64 = 2 * 1024 * 1024;
/// The most that the diffs of one answer take together.
const MAX_DIFFS: usize = 24 * 1024 * 1024;

impl Sessions {
    /// What the session has changed in files, by path; with a message only its changes, of a prompt those of its answers.
    /// What is undone does not count.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`], [`Error::TooLarge`].
    pub async fn diff(&self, session: &Session, message: Option<MessageId>) -> Result<Vec<FileDiff>, Error> {
        let shared = &self.shared;
        let messages = self.all(session).await?;
        if let Some(message) = &message
            && !messages.iter().any(|other| other.info.id() == message)
        {
            return Err(Error::UnknownMessage(message.clone()));
        }
        let gone = session.revert.as_ref().and_then(|revert| undone(messages.clone(), &revert.message_id, revert.part_id.as_ref()));
        let is_gone = |part: &Part| gone.as_ref().is_some_and(|gone| gone.all_parts().any(|other| other.id() == part.id()));
        let messages = in_order(messages).into_iter().filter(|other| message.as_ref().is_none_or(|message| belongs(other, message)));
        let parts = messages.flat_map(|message| message.parts).filter(|part| !is_gone(part));
        let root = shared.root(session).await?;
        let mut files: BTreeMap<AbsPath, (State, State)> = BTreeMap::new();
        for part in parts {
            let Part::Patch(patch) = part else { continue };
            for change in changes(&shared.snapshots, &root, patch).await? {
                let (before, after) = (change.before, change.after);
                files.entry(change.path).and_modify(|(_, last)| *last = after.clone()).or_insert((before, after));
            }
        }
        let (mut diffs, mut bytes) = (Vec::new(), 0);
        for (path, (before, after)) in files.into_iter().filter(|(_, (before, after))| !before.is_same(after)) {
            let diff = diff(&shared.snapshots, path, &before, &after).await;
            bytes += diff.patch.len() + [&diff.before, &diff.after].into_iter().flatten().map(String::len).sum::<usize>();
            if bytes > MAX_DIFFS {
                let what = "these diffs are too long for one answer; ask for those of one message".into();
                return Err(Error::TooLarge { what, limit: MAX_DIFFS as u64 });
            }
            diffs.push(diff);
        }
        Ok(diffs)
    }
}

/// A file before a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// As it is now: the session has not changed it from the message on.
    Unchanged,
    /// There was none.
    Absent,
    Content(Vec<u8>),
}

impl Sessions {
    /// A file as it was before the session changed it in this message or after it.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`], [`Error::TooLarge`], and when its content was not stored.
    pub async fn text_before(&self, session: &Session, message: MessageId, path: &AbsPath) -> Result<Before, Error> {
        let shared = &self.shared;
        let messages = in_order(self.all(session).await?);
        let first = messages.iter().position(|other| *other.info.id() == message);
        let first = first.ok_or_else(|| Error::UnknownMessage(message.clone()))?;
        let gone = session.revert.as_ref().and_then(|revert| undone(messages.clone(), &revert.message_id, revert.part_id.as_ref()));
        let is_gone = |part: &Part| gone.as_ref().is_some_and(|gone| gone.all_parts().any(|other| other.id() == part.id()));
        let root = shared.root(session).await?;
        for part in messages[first..].iter().flat_map(|message| &message.parts).filter(|part| !is_gone(part)) {
            let Part::Patch(patch) = part else { continue };
            let changes = changes(&shared.snapshots, &root, patch.clone()).await?;
            let Some(change) = changes.into_iter().find(|change| change.path == *path) else { continue };
            let Some((id, _)) = change.before.content() else {
                return match change.before {
                    State::Unknown { reason } => Err(Error::State(format!("the text of {path} was not stored: {reason}"))),
                    _ => Ok(Before::Absent),
                };
            };
            let content = shared.snapshots.content(id).await;
            return content.map(Before::Content).ok_or_else(|| Error::State(format!("the text of {path} is not stored any more")));
        }
        Ok(Before::Unchanged)
    }

    /// The hunks of what the session changed and what is not undone with its message, by path and line.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or when the store cannot be read.
    pub async fn hunks(&self, session: &Session, path: Option<&str>) -> Result<Vec<Hunk>, Error> {
        review::list(&self.shared, session, path).await
    }

    async fn all(&self, session: &Session) -> Result<Vec<MessageWithParts>, Error> {
        match self.shared.store.messages(session.id.clone(), None, None, MAX_BYTES).await? {
            Messages::Found(messages) => Ok(messages),
            Messages::TooLarge => Err(Error::TooLarge { what: "the conversation is too long for its diffs".into(), limit: MAX_BYTES }),
            Messages::NoSession | Messages::NoMessage => Err(Error::UnknownSession(session.id.clone())),
        }
    }
}

async fn changes(snapshots: &Snapshots, root: &AbsPath, patch: PatchPart) -> Result<Vec<Change>, Error> {
    let root = root.clone();
    snapshots.with_objects(move |objects| patch::changes(&root, &patch, objects)).await.map_err(Error::Undo)
}

/// Whether the message is this one or answers it.
fn belongs(message: &MessageWithParts, wanted: &MessageId) -> bool {
    message.info.id() == wanted || matches!(&message.info, Message::Assistant(answer) if answer.parent_id == *wanted)
}

async fn diff(snapshots: &Snapshots, path: AbsPath, before: &State, after: &State) -> FileDiff {
    let status = match (before, after) {
        (State::Absent, _) => FileStatus::Added,
        (_, State::Absent) => FileStatus::Deleted,
        _ => FileStatus::Modified,
    };
    let texts = (text(snapshots, before).await, text(snapshots, after).await);
    let path = path.to_string();
    let (Some(old), Some(new)) = texts else {
        return FileDiff { path, before: None, after: None, patch: String::new(), added: 0, removed: 0, status };
    };
    let (name, texts) = (path.clone(), (old.clone(), new.clone()));
    let patch = Tasks::spawn_blocking(move || unified_diff(&name, &texts.0, &texts.1)).await.unwrap_or_default();
    let (before, after) = (Some(old).filter(|_| *before != State::Absent), Some(new).filter(|_| *after != State::Absent));
    // The first two lines are the header.
    let count = |sign: char| patch.lines().skip(2).filter(|line| line.starts_with(sign)).count() as u64;
    let (added, removed) = (count('+'), count('-'));
    FileDiff { path, before, after, patch, added, removed, status }
}

/// The text of a state; of a file that is not there an empty one.
async fn text(snapshots: &Snapshots, state: &State) -> Option<String> {
    match state {
        State::Absent => Some(String::new()),
        State::File { id, size, .. } | State::Link { id, size } if *size <= MAX_FILE => {
            String::from_utf8(snapshots.content(*id).await?).ok().filter(|text| !text.contains('\0'))
        }
        _ => None,
    }
}
