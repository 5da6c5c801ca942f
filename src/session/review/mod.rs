//! Review of what a session changed: its hunks, and what the user decided about each of them.
//!
//! Hunks are not stored. They follow from the stored changes of the session, the decisions of the user, and the files as they
//! are, so they follow every later change. A decision is stored with the texts before and after it.

mod chain;
mod decide;
mod text;
mod told;

use std::{collections::BTreeMap, sync::Arc};

use polytree_protocol::{
    buffer::TextRange,
    events::{EventPayload, HunksInfo},
    hunk::{Hunk, HunkState},
    id::{HunkId, PartId},
    session::Session,
};

use self::chain::{Chain, Chains, Contents, Now, Origin, Record, View};
use super::{Error, shared::Shared};
use crate::{
    overlay::{Policy, position},
    snapshot::{Snapshots, State},
    stdx::paths::AbsPath,
    store::{Messages, Scope, Unit, undone},
};

pub(super) use decide::{recover, run, wire};
pub(super) use told::told;

/// The longest conversation that is read to find what is undone, in bytes as stored.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The longest texts of one answer.
const MAX_TEXTS: usize = 24 * 1024 * 1024;
/// The longest texts of one event.
const MAX_EVENT_TEXTS: usize = 64 * 1024;

/// The most files of which the hunks are announced at once.
const MAX_EVENTS: usize = 200;

/// The hunks of a session, or of one of its files, by path and line.
pub(super) async fn list(shared: &Shared, session: &Session, path: Option<&str>) -> Result<Vec<Hunk>, Error> {
    let only = path.map(|path| at(session, path).into_iter().collect());
    let reviewed = Reviewed::load(shared, session, Policy::default(), only);
    let hunks: Vec<Hunk> = reviewed.await?.hunks().await?.into_values().flatten().collect();
    if hunks.iter().map(length).sum::<usize>() > MAX_TEXTS {
        let what = "these hunks are too long for one answer; ask for those of one file with `path`".into();
        return Err(Error::TooLarge { what, limit: MAX_TEXTS as u64 });
    }
    Ok(hunks)
}

/// The path of a file as changes name it: the file itself may be a link.
fn at(session: &Session, path: &str) -> Option<AbsPath> {
    let path = AbsPath::new(&session.directory)?.join(path);
    Some(path.parent()?.real_or_nearest().join(path.as_path().file_name()?))
}

/// Tells clients the hunks of these files, unless there are too many.
pub(super) async fn tell(shared: &Shared, session: &Session, paths: &[String]) -> Result<(), Error> {
    if paths.is_empty() || paths.len() > MAX_EVENTS {
        return Ok(());
    }
    let only = paths.iter().filter_map(AbsPath::new).collect();
    let reviewed = Reviewed::load(shared, session, Policy::default(), Some(only)).await?;
    let mut hunks = reviewed.hunks().await?;
    let unit = paths.iter().fold(Unit::new(&Scope::of(session)), |unit, path| {
        let mut hunks = AbsPath::new(path).and_then(|path| hunks.remove(&path)).unwrap_or_default();
        if hunks.iter().map(length).sum::<usize>() > MAX_EVENT_TEXTS {
            hunks.iter_mut().for_each(|hunk| (hunk.before, hunk.after) = (None, None));
        }
        unit.event(EventPayload::HunkUpdated(HunksInfo { session_id: session.id.clone(), path: path.clone(), hunks }))
    });
    Ok(shared.store.commit(unit).await?)
}

fn length(hunk: &Hunk) -> usize {
    hunk.before.as_ref().map_or(0, String::len) + hunk.after.as_ref().map_or(0, String::len)
}

/// What a session has changed, with the files as they are now.
struct Reviewed {
    root: AbsPath,
    snapshots: Arc<Snapshots>,
    files: Vec<(Chain, Now, State)>,
    origins: Vec<Origin>,
    last: Option<PartId>,
}

impl Reviewed {
    /// What the session has changed in all files, or `only` in these.
    async fn load(shared: &Shared, session: &Session, policy: Policy, only: Option<Vec<AbsPath>>) -> Result<Self, Error> {
        let root = shared.root(session).await?;
        let (mut parts, reviews) = shared.store.changes(session.id.clone()).await?;
        let gone = gone(shared, session).await?;
        parts.retain(|part| !gone.contains(&part.id));
        // Decisions of a newer version are left out.
        let records: Vec<Record> = reviews.iter().filter_map(|review| serde_json::from_str(&review.data).ok()).collect();
        let top = root.clone();
        let chains = shared.snapshots.with_objects(move |objects| Chains::load(&top, &parts, &records, only.as_deref(), objects)).await;
        let chains = chains.map_err(Error::Undo)?;
        let last = chains.last();
        let mut files = Vec::new();
        for file in chains.files {
            let (state, content) = shared.snapshots.now(&file.path, policy).await;
            let now = match &state {
                State::Absent => Now::Absent,
                State::File { .. } => content.and_then(chain::text).map_or(Now::Other, Now::Text),
                State::Link { .. } | State::Unknown { .. } => Now::Other,
            };
            files.push((file, now, state));
        }
        Ok(Self { root, snapshots: Arc::clone(&shared.snapshots), files, origins: chains.origins, last })
    }

    /// The hunks of each file.
    async fn hunks(self) -> Result<BTreeMap<AbsPath, Vec<Hunk>>, Error> {
        let Self { snapshots, files, origins, .. } = self;
        let hunks = snapshots.with_objects(move |objects| {
            let all = files.iter().map(|(file, now, _)| {
                let contents = Contents::load(file, objects);
                (file.path.clone(), file.view(&origins, now, &contents).map_or(Vec::new(), |view| listed(file, &view, &origins)))
            });
            all.collect()
        });
        hunks.await.map_err(Error::Undo)
    }
}

/// The changes that are undone with their messages.
async fn gone(shared: &Shared, session: &Session) -> Result<Vec<PartId>, Error> {
    let Some(revert) = &session.revert else { return Ok(Vec::new()) };
    match shared.store.messages(session.id.clone(), None, None, MAX_BYTES).await? {
        Messages::Found(messages) => {
            let undone = undone(messages, &revert.message_id, revert.part_id.as_ref());
            Ok(undone.map(|undone| undone.all_parts().map(|part| part.id().clone()).collect()).unwrap_or_default())
        }
        Messages::TooLarge => {
            Err(Error::TooLarge { what: "the conversation is too long for a review of a part of it".into(), limit: MAX_BYTES })
        }
        Messages::NoSession | Messages::NoMessage => Err(Error::UnknownSession(session.id.clone())),
    }
}

fn listed(file: &Chain, view: &View<'_>, origins: &[Origin]) -> Vec<Hunk> {
    let hunk = |id: &HunkId, state: HunkState, origin: usize| Hunk {
        hunk_id: id.clone(),
        path: file.path.to_string(),
        range: TextRange::default(),
        before: None,
        after: None,
        message_id: origins[origin].message.clone(),
        call_id: origins[origin].call.clone(),
        state,
    };
    match view {
        View::Whole(id, state) => vec![hunk(id, *state, file.last_change())],
        View::Text(text) => {
            let lines = text.lines();
            let range = |start: usize, count: usize| TextRange { start: position(&lines, start), end: position(&lines, start + count) };
            let pieces = text.pieces().map(|(line, piece)| Hunk {
                range: range(line, piece.now().len()),
                before: Some(piece.before.concat()),
                after: Some(piece.after.concat()),
                ..hunk(&piece.id, piece.state, piece.origin)
            });
            pieces.collect()
        }
    }
}
