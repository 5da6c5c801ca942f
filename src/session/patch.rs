//! The part that names what a tool call has changed in files, also for a call whose process was killed before the part was
//! stored.

use std::collections::BTreeMap;

use polytree_protocol::{
    id::{MessageId, SessionId},
    part::{Part, PatchPart, ToolPart},
};
use serde::{Deserialize, Serialize};

use super::{Error, ids, shared::Shared};
use crate::{
    overlay::Policy,
    snapshot::{Change, ChangeSet, IMAGE_GONE, LeftOver, Objects, Pending, Snapshots, State, Uncovered},
    stdx::paths::AbsPath,
    store::{Scope, Unit},
};

/// A tool call, as the notes of its changes name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallRef {
    session: SessionId,
    message: MessageId,
    call: String,
}

impl CallRef {
    pub fn of(call: &ToolPart) -> Self {
        Self { session: call.session_id.clone(), message: call.message_id.clone(), call: call.call_id.clone() }
    }
}

/// Stores the changes of a call. Returns the part that names them.
pub(super) async fn part(snapshots: &Snapshots, set: &ChangeSet, call: CallRef) -> PatchPart {
    let mut files = Vec::new();
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    for change in &set.changes {
        match (&change.before, &change.after) {
            (State::Unknown { reason }, _) | (_, State::Unknown { reason }) => {
                reasons.insert(change.path.to_string(), reason.clone());
            }
            _ => files.push(change.path.to_string()),
        }
    }
    reasons.extend(set.uncovered.iter().map(|uncovered| (uncovered.path.to_string(), uncovered.reason.clone())));
    let hash = match snapshots.keep(set).await {
        Ok(id) => id.to_string(),
        Err(error) => {
            tracing::warn!(%error, "what a tool call has changed cannot be stored");
            reasons.extend(files.drain(..).map(|file| (file, format!("its earlier content could not be stored: {error}"))));
            String::new()
        }
    };
    files.sort_unstable();
    files.dedup();
    PatchPart {
        id: ids::part_id(),
        session_id: call.session,
        message_id: call.message,
        hash,
        files,
        uncovered: reasons.keys().cloned().collect(),
        reasons,
        call_id: Some(call.call),
    }
}

/// The changes that a part names. Of a change set that was removed only the files are known; of a copied session, or of changes
/// that were never stored, nothing.
pub(super) fn changes(root: &AbsPath, patch: &PatchPart, objects: &Objects) -> Vec<Change> {
    let set = patch.hash.parse().ok().and_then(|id| ChangeSet::decode(root, &objects.read(id)?));
    if let Some(ChangeSet { mut changes, uncovered, .. }) = set {
        // What may have changed somewhere below a directory is no file to show.
        for Uncovered { path, reason } in uncovered.into_iter().filter(|file| file.path != *root && !file.path.as_path().is_dir()) {
            let state = State::unknown(reason);
            changes.push(Change { path, before: state.clone(), after: state, new_directories: 0 });
        }
        return changes;
    }
    let gone = |path| Change { path, before: State::unknown(IMAGE_GONE), after: State::unknown(IMAGE_GONE), new_directories: 0 };
    let files = patch.files.iter().filter(|_| !patch.hash.is_empty());
    files.filter_map(AbsPath::new).map(gone).collect()
}

/// Adds the parts of calls whose daemon was killed after they had changed files and before the part was stored.
pub(super) async fn recover(shared: &Shared) {
    let mut calls: Vec<(CallRef, ChangeSet, Vec<Pending>)> = Vec::new();
    for LeftOver { label, set, pending } in shared.snapshots.left_over().await {
        let Ok(call) = serde_json::from_value::<CallRef>(label) else {
            pending.remove();
            continue;
        };
        match calls.iter_mut().find(|(other, ..)| *other == call) {
            Some((_, all, notes)) => {
                all.changes.extend(set.changes);
                all.uncovered.extend(set.uncovered);
                notes.push(pending);
            }
            None => calls.push((call, set, vec![pending])),
        }
    }
    for (call, set, notes) in calls {
        match add(shared, call, set).await {
            Ok(()) => notes.into_iter().for_each(Pending::remove),
            // The next start tries again.
            Err(error) => tracing::warn!(%error, "what a tool call changed before the daemon was killed cannot be stored"),
        }
    }
}

async fn add(shared: &Shared, call: CallRef, planned: ChangeSet) -> Result<(), Error> {
    let Some(session) = shared.store.session(call.session.clone()).await?.0 else { return Ok(()) };
    let Some(message) = shared.store.message(call.session.clone(), call.message.clone()).await? else { return Ok(()) };
    // It was killed after the part was stored, before the note was removed.
    let is_stored = |part: &Part| matches!(part, Part::Patch(patch) if patch.call_id.as_ref() == Some(&call.call));
    if message.parts.iter().any(is_stored) {
        return Ok(());
    }
    let mut set = ChangeSet { changes: Vec::new(), ..planned.clone() };
    for changes in by_file(planned.changes) {
        let (now, _) = shared.snapshots.now(&changes[0].path, Policy::default()).await;
        set.changes.extend(made(changes, &now));
    }
    if set.is_empty() {
        return Ok(());
    }
    let part = part(&shared.snapshots, &set, call).await;
    Ok(shared.store.commit(Unit::new(&Scope::of(&session)).part(Part::Patch(part))).await?)
}

/// The changes of each file, in order.
fn by_file(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut files: Vec<Vec<Change>> = Vec::new();
    for change in changes {
        match files.iter_mut().find(|file| file[0].path == change.path) {
            Some(file) => file.push(change),
            None => files.push(vec![change]),
        }
    }
    files
}

/// Which of the planned changes of one file were made, if it is `now` like this.
fn made(mut planned: Vec<Change>, now: &State) -> Vec<Change> {
    while planned.last().is_some_and(|last| now.is_same(&last.before)) {
        planned.pop();
    }
    // A planned state has only the executable bit of its mode.
    if let Some(last) = planned.last_mut().filter(|last| last.after.is_same(now)) {
        last.after = now.clone();
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{git::objects::Id, snapshot::Mode};

    fn state(text: &str) -> State {
        State::File { id: Id::of(text.as_bytes()), size: 1, mode: Mode::of_git(false) }
    }

    fn made_of(states: &str, now: &str) -> usize {
        let states: Vec<State> = states.chars().map(|text| state(&text.to_string())).collect();
        let path = AbsPath::new("/f").unwrap();
        let change = |pair: &[State]| Change { path: path.clone(), before: pair[0].clone(), after: pair[1].clone(), new_directories: 0 };
        made(states.windows(2).map(change).collect(), &state(now)).len()
    }

    #[test]
    fn changes_that_were_not_made_are_left_out() {
        let cases = [("ab", "a", 0), ("ab", "b", 1), ("abc", "b", 1), ("abc", "c", 2), ("abc", "a", 2), ("aba", "a", 2), ("ab", "x", 1)];
        for (states, now, expected) in cases {
            assert_eq!(made_of(states, now), expected, "{states} {now}");
        }
    }

    #[test]
    fn the_mode_is_that_of_the_file() {
        let State::File { id, size, .. } = state("b") else { unreachable!() };
        let now = State::File { id, size, mode: Mode::exact(0o600) };
        let change = Change { path: AbsPath::new("/f").unwrap(), before: State::Absent, after: state("b"), new_directories: 0 };
        assert_eq!(made(vec![change], &now)[0].after, now);
    }
}
