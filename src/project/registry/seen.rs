//! Recognises the project of a directory, and remembers what was seen.

use polytree_protocol::id::ProjectId;
use rusqlite::Connection;
use ulid::Ulid;

use super::{
    CheckoutId, Error, KnownProject, Result, checkout, get,
    place::{self, Kind, Place},
    text,
};
use crate::{
    git::layout::{GitLayout, Location, leads_to},
    project::{
        id_file,
        identity::{Decision, Evidence, Remembered, Sighting, Stamp, decide},
    },
    stdx::paths::AbsPath,
};

/// The project and checkout of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The project.
    pub project: KnownProject,
    /// The checkout that the directory is in.
    pub checkout: CheckoutId,
    /// Clients can see a difference to before: the project is new, or somewhere else.
    pub changed: bool,
}

/// How often an id that another process writes at the same time is followed.
const ATTEMPTS: usize = 4;

/// The project of a directory, if it is known exactly as it is now. Only reads: `None` means that [`peek`] would have
/// something to remember.
///
/// # Errors
/// When the store fails or the directory went away.
pub fn find(conn: &Connection, location: &Location) -> Result<Option<Seen>> {
    let Some(verdict) = recognise(conn, location)? else { return known_but_broken(conn, location) };
    unchanged(conn, location, &verdict)
}

/// The project of a directory, for a mere read: an unknown one is remembered here, and nothing is written to it.
///
/// # Errors
/// When the store fails or the directory went away.
pub fn peek(conn: &Connection, location: &Location, now: i64) -> Result<Seen> {
    let Some(verdict) = recognise(conn, location)? else { return known_or_gone(conn, location) };
    match unchanged(conn, location, &verdict)? {
        Some(seen) => Ok(seen),
        None => remember(conn, location, verdict, Use::Read, now),
    }
}

/// The project of a directory in which something begins: also writes the id into the repository. Where that cannot be
/// written, what is remembered here serves.
///
/// # Errors
/// When the store fails or the directory went away.
pub fn claim(conn: &Connection, location: &Location, now: i64) -> Result<Seen> {
    let Some(mut verdict) = recognise(conn, location)? else { return known_or_gone(conn, location) };
    if let Location::Git(layout) = location {
        for _ in 0..ATTEMPTS {
            let (common_dir, project) = (&layout.common_dir, &verdict.place.project);
            let written = match &verdict.place.file {
                Some(file) if file == project => break,
                Some(file) => id_file::replace(common_dir, file, project),
                None => id_file::create(common_dir, project),
            };
            match written {
                Ok(id) if id == *project => verdict.place.file = Some(id),
                // Another daemon was first. Its id is judged like any other that is found.
                Ok(_) => verdict = recognise_repository(conn, layout)?,
                Err(error) => {
                    tracing::debug!(%common_dir, %error, "the repository keeps no project id");
                    break;
                }
            }
        }
    }
    match unchanged(conn, location, &verdict)? {
        Some(seen) if seen.project.claimed => Ok(seen),
        _ => remember(conn, location, verdict, Use::Claim, now),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Claim,
}

/// What was recognised, with the place as it should be remembered.
struct Verdict {
    kind: Kind,
    place: Place,
}

/// `None` for a worktree of a known repository whose `.git` leads nowhere: it stays what it was.
fn recognise(conn: &Connection, location: &Location) -> Result<Option<Verdict>> {
    match location {
        Location::Git(layout) => recognise_repository(conn, layout).map(Some),
        Location::Plain { root, broken: true } if checkout::of_git_at(conn, root)?.is_some() => Ok(None),
        Location::Plain { root, .. } => {
            let project = place::at(conn, Kind::Plain, root)?.map_or_else(mint, |place| place.project);
            Ok(Some(Verdict { kind: Kind::Plain, place: Place { project, sighting: look(root)?, file: None } }))
        }
    }
}

fn recognise_repository(conn: &Connection, layout: &GitLayout) -> Result<Verdict> {
    let sighting = look(&layout.common_dir)?;
    let file = id_file::read(&layout.common_dir).id().cloned();
    let here = place::same(conn, &sighting)?.map(|place| Remembered { project: place.project, file: place.file });
    let file_is_taken = match &file {
        Some(id) => place::git_of(conn, id)?.is_some_and(|owner| is_elsewhere(&owner, id, &sighting)),
        None => false,
    };
    let plain = place::at(conn, Kind::Plain, &layout.main_worktree)?.map(|place| place.project);
    let project = match decide(Evidence { file: file.clone(), here, file_is_taken, plain }) {
        Decision::Keep(id) | Decision::Adopt(id) | Decision::Convert(id) => id,
        Decision::Mint => mint(),
    };
    Ok(Verdict { kind: Kind::Git, place: Place { project, sighting, file } })
}

/// Whether the owner of the id is still where it was, with that id, and is another directory than the one seen.
fn is_elsewhere(owner: &Place, id: &ProjectId, seen: &Sighting) -> bool {
    let path = &owner.sighting.path;
    *path != seen.path && id_file::read(path).id() == Some(id) && Stamp::of(path).is_ok_and(|stamp| stamp != seen.stamp)
}

fn unchanged(conn: &Connection, location: &Location, verdict: &Verdict) -> Result<Option<Seen>> {
    let Verdict { kind, place } = verdict;
    let Some(project) = get(conn, &place.project)? else { return Ok(None) };
    if place::at(conn, *kind, &place.sighting.path)?.as_ref() != Some(place) || project.worktree != main_worktree(location, Some(&project))
    {
        return Ok(None);
    }
    let checkout = checkout::unchanged(conn, &place.project, location)?;
    Ok(checkout.map(|checkout| Seen { project, checkout, changed: false }))
}

fn remember(conn: &Connection, location: &Location, verdict: Verdict, purpose: Use, now: i64) -> Result<Seen> {
    let Verdict { kind, place } = verdict;
    let before = get(conn, &place.project)?;
    let worktree = main_worktree(location, before.as_ref());
    // Only what was seen is updated: name, trust and times are the project's own.
    conn.execute(
        "INSERT INTO project (id, worktree, vcs, claimed, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (id) DO UPDATE SET worktree = excluded.worktree, vcs = excluded.vcs, claimed = max(claimed, excluded.claimed)",
        (place.project.as_str(), text(&worktree)?, location.git().map(|_| "git"), purpose == Use::Claim, now),
    )?;
    place::put(conn, kind, &place)?;
    let checkout = checkout::note(conn, &place.project, location)?;
    let project = get(conn, &place.project)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let changed = before.is_none_or(|before| before.differs_visibly(&project));
    Ok(Seen { project, checkout, changed })
}

/// The main checkout. Where the location can only guess it, one that was seen before and still is one is better.
fn main_worktree(location: &Location, known: Option<&KnownProject>) -> AbsPath {
    if let Location::Git(layout) = location
        && !layout.main_known
        && let Some(known) = known
        && leads_to(&known.worktree, &layout.common_dir)
    {
        return known.worktree.clone();
    }
    location.main_worktree().clone()
}

fn known_or_gone(conn: &Connection, location: &Location) -> Result<Seen> {
    Ok(known_but_broken(conn, location)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
}

fn known_but_broken(conn: &Connection, location: &Location) -> Result<Option<Seen>> {
    let Some((checkout, id)) = checkout::of_git_at(conn, location.worktree())? else { return Ok(None) };
    Ok(get(conn, &id)?.map(|project| Seen { project, checkout, changed: false }))
}

fn look(path: &AbsPath) -> Result<Sighting> {
    Sighting::of(path).map_err(|source| Error::Vanished { path: path.clone(), source })
}

fn mint() -> ProjectId {
    ProjectId::from_ulid(Ulid::generate())
}
