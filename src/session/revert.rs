//! Reverts: the conversation is marked as undone from a message on, and the files that the session has changed since get
//! their earlier contents. The next prompt removes what is undone; until then it can be taken back.

use std::collections::BTreeMap;

use polytree_protocol::{
    events::{EventPayload, FilePath},
    id::{MessageId, PartId, SessionId},
    message::Message,
    part::{Part, PatchPart},
    revert::RevertedFile,
    session::{Session, SessionRevert},
};
use serde::{Deserialize, Serialize};

use super::{Error, Workspace, mailbox::Undo, review, shared::Shared};
use crate::{
    snapshot::{self, ChangeSet, Done, FilePlan, IMAGE_GONE, Recovered, Request, Uncovered},
    stdx::paths::AbsPath,
    store::{Messages, Revert, Scope, SessionChange, Undone, Unit, undone},
};

/// The largest conversation in which a revert is possible, in bytes as stored.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Why a file of a change without a set cannot be restored.
const NO_IMAGE: &str = "this session has no earlier content of it: the session was copied, or the content could not be stored";

/// What the journal of a revert says about its session, to store the outcome after a restart.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    session: SessionId,
    /// What is undone; `None` if a revert is taken back.
    marker: Option<SessionRevert>,
    /// The change set of the earlier revert that this one extends.
    earlier: Option<String>,
    root: String,
}

/// Does a revert, or takes one back.
pub(super) async fn run(shared: &Shared, id: &SessionId, undo: Undo) -> Result<Session, Error> {
    let (open, queue) = shared.store.unfinished(id.clone()).await?;
    if open.is_some() || !queue.is_empty() {
        return Err(Error::Busy);
    }
    let session = shared.session(id).await?;
    if session.missing {
        return Err(Error::DirectoryGone(session.directory));
    }
    let Undo { to, preview, partial, workspace } = undo;
    let root = workspace.checkout.worktree.clone();
    let wanted = match to {
        Some((message, part)) => target(shared, &session, &root, message, part).await?,
        None => taken_back(shared, &session, &root).await?,
    };
    if preview {
        return wanted.preview(shared, session, &workspace).await;
    }
    let Wanted { sets, marker, earlier, is_moved } = wanted;
    let label = Label { session: id.clone(), marker, earlier, root: root.to_string() };
    let json = serde_json::to_value(&label).map_err(|error| Error::Undo(error.into()))?;
    let reverted = shared.snapshots.revert(&root, id.clone(), Request { sets, partial, label: json }, workspace.buffers).await;
    match reverted {
        Ok(snapshot::Reverted { done, journal }) => {
            let session = store(shared, label, done).await?;
            journal.finish();
            session.ok_or_else(|| Error::UnknownSession(id.clone()))
        }
        Err(snapshot::Error::Conflict(plan)) => Err(Error::Files(plan.conflicts().map(review::wire).collect())),
        Err(snapshot::Error::Nothing(plan)) if is_moved => {
            let done = Done { files: plan.files, uncovered: plan.uncovered, changes: None };
            store(shared, label, done).await?.ok_or_else(|| Error::UnknownSession(id.clone()))
        }
        Err(snapshot::Error::Nothing(_)) => Err(Error::State("there is nothing more to undo from this message on".into())),
        Err(snapshot::Error::Io(error)) => Err(Error::Undo(error)),
        Err(error @ snapshot::Error::Killed) => Err(Error::Undo(std::io::Error::other(error))),
    }
}

/// Stores the outcomes of reverts that an earlier daemon has begun; their files are written first.
pub(super) async fn recover(shared: &Shared) {
    for recovered in shared.snapshots.recover().await {
        if let Ok(label) = serde_json::from_value(recovered.label.clone()) {
            // The next start tries again where this fails.
            if let Err(error) = review::recover(shared, label, recovered).await {
                tracing::warn!(%error, "the outcome of an interrupted review cannot be stored");
            }
            continue;
        }
        let Recovered { label, done, journal } = recovered;
        let label = match serde_json::from_value::<Label>(label) {
            Ok(label) => label,
            Err(error) => {
                tracing::warn!(%error, "the journal of an interrupted revert names no session");
                continue;
            }
        };
        match store(shared, label, done).await {
            Ok(_) => journal.finish(),
            // The next start tries again.
            Err(error) => tracing::warn!(%error, "the outcome of an interrupted revert cannot be stored"),
        }
    }
}

/// A revert that is to be made.
struct Wanted {
    /// The change sets to undo, oldest first.
    sets: Vec<ChangeSet>,
    /// What is undone of the conversation then.
    marker: Option<SessionRevert>,
    earlier: Option<String>,
    /// Whether the marker changes, even if no file does.
    is_moved: bool,
}

impl Wanted {
    async fn preview(self, shared: &Shared, session: Session, workspace: &Workspace) -> Result<Session, Error> {
        let plan =
            shared.snapshots.preview(self.sets, workspace.buffers).await.map_err(|error| Error::Undo(std::io::Error::other(error)))?;
        let Some(marker) = self.marker.or_else(|| session.revert.clone()) else { return Ok(session) };
        let revert = SessionRevert { preview: true, snapshot: None, ..filled(marker, &plan.files, &plan.uncovered) };
        Ok(Session { revert: Some(revert), ..session })
    }
}

async fn target(shared: &Shared, session: &Session, root: &AbsPath, message: MessageId, part: Option<PartId>) -> Result<Wanted, Error> {
    let messages = match shared.store.messages(session.id.clone(), None, None, MAX_BYTES).await? {
        Messages::Found(messages) => messages,
        Messages::TooLarge => {
            return Err(Error::TooLarge { what: "the conversation is too long to undo a part of it".into(), limit: MAX_BYTES });
        }
        Messages::NoSession | Messages::NoMessage => return Err(Error::UnknownSession(session.id.clone())),
    };
    let Some(found) = messages.iter().find(|other| *other.info.id() == message) else { return Err(Error::UnknownMessage(message)) };
    let part = match part {
        Some(part) => {
            let Some(index) = found.parts.iter().position(|other| *other.id() == part) else { return Err(Error::UnknownPart(part)) };
            let is_useful = |part: &Part| matches!(part, Part::Text(_) | Part::Tool(_));
            found.parts[..index].iter().any(is_useful).then_some(part)
        }
        None => None,
    };
    let first = match &found.info {
        // Without its answer a prompt is of no use.
        Message::Assistant(answer) if part.is_none() && messages.iter().any(|other| *other.info.id() == answer.parent_id) => {
            answer.parent_id.clone()
        }
        _ => message,
    };
    let all = undone(messages.clone(), &first, part.as_ref()).ok_or_else(|| Error::UnknownMessage(first.clone()))?;
    let marker = SessionRevert {
        message_id: first,
        part_id: part,
        files: Vec::new(),
        uncovered: Vec::new(),
        reasons: BTreeMap::new(),
        preview: false,
        snapshot: None,
    };
    let Some(now) = &session.revert else {
        return Ok(Wanted { sets: sets(shared, root, &all, None).await, marker: Some(marker), earlier: None, is_moved: true });
    };
    let is_moved = (&now.message_id, &now.part_id) != (&marker.message_id, &marker.part_id);
    let before = undone(messages, &now.message_id, now.part_id.as_ref());
    let earlier = now.snapshot.clone();
    if let Some(before) = before.filter(|before| is_moved && before.all_parts().count() < all.all_parts().count()) {
        // More is undone: what is undone already stays as it is.
        let marker = SessionRevert { files: now.files.clone(), uncovered: now.uncovered.clone(), reasons: now.reasons.clone(), ..marker };
        return Ok(Wanted { sets: sets(shared, root, &all, Some(&before)).await, marker: Some(marker), earlier, is_moved });
    }
    // Less is undone, or the same again where files were left out: the earlier revert is taken back in the same step.
    let mut sets = sets(shared, root, &all, None).await;
    sets.extend(made(shared, root, now).await?);
    Ok(Wanted { sets, marker: Some(marker), earlier, is_moved })
}

async fn taken_back(shared: &Shared, session: &Session, root: &AbsPath) -> Result<Wanted, Error> {
    let Some(revert) = &session.revert else { return Err(Error::State("no undo can be taken back in this session".into())) };
    let sets = made(shared, root, revert).await?.into_iter().collect();
    Ok(Wanted { sets, marker: None, earlier: None, is_moved: true })
}

/// What a revert has changed in files.
async fn made(shared: &Shared, root: &AbsPath, revert: &SessionRevert) -> Result<Option<ChangeSet>, Error> {
    let Some(snapshot) = &revert.snapshot else { return Ok(None) };
    let set = match snapshot.parse() {
        Ok(id) => shared.snapshots.changes(root, id).await,
        Err(_) => None,
    };
    let gone = || Error::State(format!("the undo cannot be taken back: {IMAGE_GONE}"));
    set.map(Some).ok_or_else(gone)
}

/// The changes in what is undone, oldest first, without those of `but`.
async fn sets(shared: &Shared, root: &AbsPath, undone: &Undone, but: Option<&Undone>) -> Vec<ChangeSet> {
    let patches = |undone: &Undone| {
        let patches = undone.all_parts().filter_map(|part| if let Part::Patch(patch) = part { Some(patch.clone()) } else { None });
        patches.collect::<Vec<PatchPart>>()
    };
    let but = but.map(patches).unwrap_or_default();
    let mut sets = Vec::new();
    for patch in patches(undone).into_iter().filter(|patch| !but.iter().any(|other| other.id == patch.id)) {
        let set = match patch.hash.parse() {
            Ok(id) => shared.snapshots.changes(root, id).await,
            Err(_) => None,
        };
        sets.push(set.unwrap_or_else(|| {
            let paths = patch.files.iter().chain(&patch.uncovered).filter_map(AbsPath::new);
            let reason = if patch.hash.is_empty() { NO_IMAGE } else { IMAGE_GONE };
            let uncovered = paths.map(|path| Uncovered { path, reason: reason.into() }).collect();
            ChangeSet { uncovered, ..ChangeSet::new(root.clone()) }
        }));
    }
    sets
}

/// Stores the outcome of a revert; `None` if its session or message is not there any more.
async fn store(shared: &Shared, label: Label, done: Done) -> Result<Option<Session>, Error> {
    let Some(session) = shared.store.session(label.session.clone()).await?.0 else { return Ok(None) };
    let change = match label.marker {
        None => Revert::Clear,
        Some(marker) => {
            if shared.store.message(session.id.clone(), marker.message_id.clone()).await?.is_none() {
                return Ok(None);
            }
            let made = done.changes.map(|id| id.to_string());
            let snapshot = joined(shared, &label.root, label.earlier, made).await?;
            Revert::Set(Box::new(SessionRevert { snapshot, ..filled(marker, &done.files, &done.uncovered) }))
        }
    };
    let unit = Unit::new(&Scope::of(&session)).session(SessionChange { revert: Some(change), ..SessionChange::default() });
    // Also where the file stays as it is: its hunks are undone with their messages, or are there again.
    let paths: Vec<String> = done.files.iter().map(|file| file.path.to_string()).collect();
    let edited = |file: &FilePlan| EventPayload::FileEdited(FilePath { path: file.path.to_string() });
    let changed = done.files.iter().filter(|file| file.is_change());
    shared.store.commit(changed.fold(unit, |unit, file| unit.event(edited(file)))).await?;
    let session = shared.store.session(session.id).await?.0;
    if let Some(session) = &session
        && let Err(error) = review::tell(shared, session, &paths).await
    {
        tracing::warn!(%error, "the hunks of files cannot be announced");
    }
    Ok(session)
}

/// One change set of two reverts, the earlier one first.
async fn joined(shared: &Shared, root: &str, earlier: Option<String>, later: Option<String>) -> Result<Option<String>, Error> {
    let (Some(earlier), Some(later)) = (&earlier, &later) else { return Ok(earlier.or(later)) };
    let mut joined: Option<ChangeSet> = None;
    for id in [earlier, later] {
        let (Some(root), Ok(id)) = (AbsPath::new(root), id.parse()) else { continue };
        let Some(set) = shared.snapshots.changes(&root, id).await else { continue };
        match &mut joined {
            Some(joined) => joined.changes.extend(set.changes),
            None => joined = Some(set),
        }
    }
    let Some(joined) = joined else { return Ok(None) };
    let id = shared.snapshots.keep(&joined).await.map_err(Error::Undo)?;
    Ok(Some(id.to_string()))
}

/// The marker with what happened to the files; of an earlier revert, which it extends, the other files stay listed.
fn filled(marker: SessionRevert, files: &[FilePlan], uncovered: &[Uncovered]) -> SessionRevert {
    let mut listed: Vec<RevertedFile> = files.iter().map(review::wire).collect();
    listed.extend(marker.files.into_iter().filter(|old| !files.iter().any(|new| new.path.to_string() == old.path)));
    listed.sort_by(|one, other| one.path.cmp(&other.path));
    let mut paths = marker.uncovered;
    paths.extend(uncovered.iter().map(|uncovered| uncovered.path.to_string()));
    paths.sort_unstable();
    paths.dedup();
    let mut reasons = marker.reasons;
    reasons.extend(uncovered.iter().map(|uncovered| (uncovered.path.to_string(), uncovered.reason.clone())));
    SessionRevert { files: listed, uncovered: paths, reasons, ..marker }
}
