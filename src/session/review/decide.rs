//! What the user decides about hunks. Where a file changes by that, it is a revert like any other: journalled, through
//! editors, and with what others have written merged.

use std::sync::Arc;

use polytree_protocol::{
    events::{EventPayload, FilePath},
    hunk::{Hunk, HunkState},
    id::{HunkId, SessionId},
    revert::{RevertAction, RevertedFile},
    session::Session,
};
use serde::{Deserialize, Serialize};

use super::{
    Chain, Contents, Now, Reviewed, View, at,
    chain::{Record, Verdict},
    tell,
    text::Refusal,
};
use crate::{
    session::{Error, mailbox::Decision, shared::Shared},
    snapshot::{self, Action, Change, ChangeSet, Done, FilePlan, Mode, Objects, Recovered, Request, State, Uncovered},
    stdx::{paths::AbsPath, text::prefix},
    store::{Scope, Unit},
};

/// What the model is told of a hunk, in bytes.
const MAX_TOLD: usize = 400;

/// What the journal says, to store the decision after a restart.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::session) struct Label {
    session: SessionId,
    review: Vec<Record>,
}

/// What becomes of one file.
struct Target {
    record: Record,
    /// Where the file changes.
    change: Option<Change>,
}

/// What was found for a decision.
#[derive(Default)]
struct Targets {
    files: Vec<Target>,
    conflicts: Vec<RevertedFile>,
    /// The hunk is there, or hunks were not asked for by id.
    is_known: bool,
}

/// Keeps or undoes hunks. `is_busy`: a turn runs, so no file can be changed. Returns the hunks that changed.
pub(in crate::session) async fn run(shared: &Shared, id: &SessionId, decision: Decision, is_busy: bool) -> Result<Vec<Hunk>, Error> {
    let session = shared.session(id).await?;
    if session.missing {
        return Err(Error::DirectoryGone(session.directory));
    }
    let Decision { state, hunk, path, partial, workspace } = decision;
    let only = path.as_ref().map(|path| at(&session, path).into_iter().collect());
    let reviewed = Reviewed::load(shared, &session, workspace.buffers, only).await?;
    if let Some(path) = path.filter(|_| reviewed.files.is_empty()) {
        return Err(Error::Params {
            field: "path",
            message: format!("the session has changed no file {path}; `hunk.list` names those that it has"),
        });
    }
    let (root, snapshots, asked) = (reviewed.root.clone(), Arc::clone(&reviewed.snapshots), hunk.clone());
    let found = snapshots.with_objects(move |objects| targets(&reviewed, state, asked.as_ref(), objects)).await.map_err(Error::Undo)?;
    let mut found = found.map_err(Error::Undo)?;
    if let Some(hunk) = hunk.filter(|_| !found.is_known) {
        return Err(Error::UnknownHunk(hunk));
    }
    if !found.conflicts.is_empty() && (!partial || found.files.is_empty()) {
        return Err(Error::Files(found.conflicts));
    }
    let ids: Vec<HunkId> = found.files.iter().flat_map(|file| &file.record.verdicts).map(|verdict| verdict.id.clone()).collect();
    let (changes, records): (Vec<Option<Change>>, Vec<Record>) =
        std::mem::take(&mut found.files).into_iter().map(|file| (file.change, file.record)).unzip();
    let changes: Vec<Change> = changes.into_iter().flatten().collect();
    if changes.is_empty() {
        store(shared, &session, records, None).await?;
    } else {
        let (open, queue) = shared.store.unfinished(id.clone()).await?;
        if is_busy || open.is_some() || !queue.is_empty() {
            return Err(Error::Busy);
        }
        let label = Label { session: id.clone(), review: records };
        let json = serde_json::to_value(&label).map_err(|error| Error::Undo(error.into()))?;
        let sets = vec![ChangeSet { changes, ..ChangeSet::new(root.clone()) }];
        let plan = shared.snapshots.preview(sets.clone(), workspace.buffers).await;
        let plan = plan.map_err(|error| Error::Undo(std::io::Error::other(error)))?;
        if !plan.uncovered.is_empty() && (!partial || plan.is_empty()) {
            let conflict =
                |file: Uncovered| RevertedFile { path: file.path.to_string(), action: RevertAction::Conflict, reason: Some(file.reason) };
            found.conflicts.extend(plan.uncovered.into_iter().map(conflict));
            return Err(Error::Files(found.conflicts));
        }
        let request = Request { sets, partial, label: json };
        match shared.snapshots.revert(&root, id.clone(), request, workspace.buffers).await {
            Ok(snapshot::Reverted { done, journal }) => {
                store(shared, &session, label.review, Some((&root, &done))).await?;
                journal.finish();
            }
            // Somebody was faster.
            Err(snapshot::Error::Nothing(plan)) => {
                let done = Done { files: plan.files, uncovered: plan.uncovered, changes: None };
                store(shared, &session, label.review, Some((&root, &done))).await?;
            }
            Err(snapshot::Error::Conflict(plan)) => return Err(Error::Files(plan.conflicts().map(wire).collect())),
            Err(snapshot::Error::Io(error)) => return Err(Error::Undo(error)),
            Err(error @ snapshot::Error::Killed) => return Err(Error::Undo(std::io::Error::other(error))),
        }
    }
    let hunks = Reviewed::load(shared, &session, workspace.buffers, None).await?.hunks().await?;
    Ok(hunks.into_values().flatten().filter(|hunk| hunk.state == state && ids.contains(&hunk.hunk_id)).collect())
}

/// Stores a decision whose files were written at the start of this daemon.
pub(in crate::session) async fn recover(shared: &Shared, label: Label, recovered: Recovered) -> Result<(), Error> {
    let Recovered { done, journal, .. } = recovered;
    if let Some(session) = shared.store.session(label.session).await?.0 {
        let root = shared.root(&session).await?;
        store(shared, &session, label.review, Some((&root, &done))).await?;
    }
    journal.finish();
    Ok(())
}

/// Stores decisions, with the texts that their files really had, and tells clients.
async fn store(shared: &Shared, session: &Session, records: Vec<Record>, done: Option<(&AbsPath, &Done)>) -> Result<(), Error> {
    let mut unit = Unit::new(&Scope::of(session));
    let mut paths = Vec::new();
    let root = shared.root(session).await?;
    for mut record in records {
        let path = root.join(&record.path);
        let plan = done.and_then(|(_, done)| done.files.iter().find(|file| file.path == path));
        match plan {
            Some(file) if file.action == Action::Conflict => continue,
            Some(file) => {
                let content = |state: &State| state.content().map(|(id, _)| id);
                (record.text, record.result) = (content(&file.from), content(&file.to));
                if file.is_change() {
                    unit = unit.event(EventPayload::FileEdited(FilePath { path: path.to_string() }));
                }
            }
            None if done.is_some_and(|(_, done)| done.uncovered.iter().any(|file| file.path == path)) => continue,
            // The file itself stays as it is.
            None => {}
        }
        paths.push(path.to_string());
        unit = unit.review(serde_json::to_string(&record).map_err(|error| Error::Undo(error.into()))?);
    }
    if paths.is_empty() {
        return Ok(());
    }
    shared.store.commit(unit).await?;
    tell(shared, session, &paths).await
}

/// What a decision does to each file. Stores the texts that it needs.
fn targets(reviewed: &Reviewed, state: HunkState, hunk: Option<&HunkId>, objects: &Objects) -> std::io::Result<Targets> {
    let mut found = Targets { is_known: hunk.is_none(), ..Targets::default() };
    for (file, now, disk) in &reviewed.files {
        let contents = Contents::load(file, objects);
        let Some(view) = file.view(&reviewed.origins, now, &contents) else { continue };
        // All open hunks, or this one whatever its state.
        let wants = |id: &HunkId, now: HunkState| hunk.map_or(now == HunkState::Open, |hunk| hunk == id) && now != state;
        let path = file.path.relative_to(&reviewed.root);
        let verdict = |id: &HunkId, line: usize, before: &str, after: &str| {
            let (before, after) = (prefix(before, MAX_TOLD).to_owned(), prefix(after, MAX_TOLD).to_owned());
            Verdict { id: id.clone(), state, line: line + 1, before, after }
        };
        let record =
            |verdicts| Record { path: path.clone(), after: reviewed.last.clone(), text: None, result: None, is_whole: false, verdicts };
        match view {
            View::Whole(id, old) => {
                found.is_known |= hunk == Some(&id);
                if !wants(&id, old) {
                    continue;
                }
                let change = |before: &State, after: &State| Change {
                    path: file.path.clone(),
                    before: before.clone(),
                    after: after.clone(),
                    new_directories: file.new_directories,
                };
                let change = match (old, state) {
                    (_, HunkState::Undone) => Some(change(file.first(), file.last())),
                    (HunkState::Undone, _) => Some(change(file.last(), file.first())),
                    _ => None,
                };
                let record = Record { is_whole: true, ..record(vec![verdict(&id, 0, "", "")]) };
                found.files.push(Target { record, change });
            }
            View::Text(mut text) => {
                let pieces: Vec<_> = text.pieces().map(|(line, piece)| (line, piece.clone())).collect();
                found.is_known |= pieces.iter().any(|(_, piece)| hunk == Some(&piece.id));
                let mut verdicts = Vec::new();
                for (line, piece) in pieces.iter().filter(|(_, piece)| wants(&piece.id, piece.state)) {
                    match text.decide(&piece.id, state) {
                        Ok(()) => verdicts.push(verdict(&piece.id, *line, &piece.before.concat(), &piece.after.concat())),
                        Err(Refusal::Unknown) => {}
                        Err(Refusal::Mixed) => found.conflicts.push(RevertedFile {
                            path: file.path.to_string(),
                            action: RevertAction::Conflict,
                            reason: Some(format!("somebody else has changed the lines from {} on too; edit them by hand", line + 1)),
                        }),
                    }
                }
                if verdicts.is_empty() {
                    continue;
                }
                let mut record = record(verdicts);
                let old = if let Now::Text(text) = now { Some(text.as_str()) } else { None };
                let new = text.lines().concat();
                record.text = old.map(|old| objects.write(old.as_bytes())).transpose()?;
                record.result = record.text;
                let change = if old.unwrap_or_default() == new {
                    None
                } else {
                    let before = result(file, state, &new, disk, &contents, objects)?;
                    record.result = before.content().map(|(id, _)| id);
                    Some(Change { path: file.path.clone(), before, after: disk.clone(), new_directories: file.new_directories })
                };
                found.files.push(Target { record, change });
            }
        }
    }
    Ok(found)
}

/// The state of a file with this text, after hunks were kept or undone. With all of them it is what it was before the session,
/// or what the session left: it may not be there, or have another mode.
fn result(file: &Chain, decided: HunkState, text: &str, now: &State, contents: &Contents, objects: &Objects) -> std::io::Result<State> {
    let mode = |state: &State| if let State::File { mode, .. } = state { Some(*mode) } else { None };
    let (from, to) = if decided == HunkState::Undone { (file.last(), file.first()) } else { (file.first(), file.last()) };
    let is_whole = contents.of(to) == Some(text);
    if is_whole && *to == State::Absent {
        return Ok(State::Absent);
    }
    // Unless somebody else has changed the mode.
    let is_of_session = mode(now).is_none() || mode(now).zip(mode(from)).is_some_and(|(now, from)| now.is_same(from));
    let target = mode(to).filter(|_| is_whole && is_of_session);
    let mode = target.or_else(|| [now, file.first(), file.last()].into_iter().find_map(mode));
    let id = objects.write(text.as_bytes())?;
    Ok(State::File { id, size: text.len() as u64, mode: mode.unwrap_or(Mode::of_git(false)) })
}

/// What happens to a file.
pub(in crate::session) fn wire(file: &FilePlan) -> RevertedFile {
    let action = match file.action {
        Action::Restore => RevertAction::Restore,
        Action::Create => RevertAction::Create,
        Action::Delete => RevertAction::Delete,
        Action::Merge => RevertAction::Merge,
        Action::Skip => RevertAction::Skip,
        Action::Conflict => RevertAction::Conflict,
    };
    RevertedFile { path: file.path.to_string(), action, reason: file.reason.clone() }
}
