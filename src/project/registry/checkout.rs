//! The checkouts of each project. A session is in one of them, at a path inside it, and so finds itself again when the
//! checkout has moved: the main one with its project, a linked worktree by the name that the repository keeps for it.

use polytree_protocol::id::ProjectId;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Error, Result, id_column, path_column, place, text};
use crate::{
    git::layout::{self, CheckoutKind, Location},
    project::identity::Stamp,
    stdx::paths::AbsPath,
};

/// A checkout of a project, or the directory itself outside git. Never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckoutId(pub i64);

/// Where a checkout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCheckout {
    /// Its id.
    pub id: CheckoutId,
    /// Its project.
    pub project: ProjectId,
    /// Its top; where it was last, if it is missing.
    pub path: AbsPath,
    /// Nothing is there any more, or another checkout is.
    pub missing: bool,
}

const MAIN: &str = "main";
const LINKED: &str = "linked:";

/// Where the checkout is now; `None` if there never was one of this id. Looks at the disk: a linked worktree that has
/// moved is found by its repository's own record, the main checkout where it was last seen.
///
/// # Errors
/// When the store fails.
pub fn resolve_checkout(conn: &Connection, id: CheckoutId) -> Result<Option<KnownCheckout>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_checkout WHERE id = ?1"))?;
    let stored = statement.query_row([id.0], from_row).optional()?;
    stored.map(|stored| look(conn, stored)).transpose()
}

/// All checkouts of a project that were ever used, in the order of their first use.
///
/// # Errors
/// When the store fails.
pub fn checkouts(conn: &Connection, project: &ProjectId) -> Result<Vec<KnownCheckout>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_checkout WHERE project_id = ?1 ORDER BY id"))?;
    let stored: Vec<Stored> = statement.query_map([project.as_str()], from_row)?.collect::<rusqlite::Result<_>>()?;
    stored.into_iter().map(|stored| look(conn, stored)).collect()
}

/// Where a linked worktree is since git has moved it, by its repository's own record. `None` when it is where it was last
/// seen, or nobody knows. Looks at the disk.
///
/// # Errors
/// When the store fails.
pub fn moved_checkout(conn: &Connection, id: CheckoutId) -> Result<Option<AbsPath>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_checkout WHERE id = ?1"))?;
    let Some(stored) = statement.query_row([id.0], from_row).optional()? else { return Ok(None) };
    let Some(name) = stored.key.as_ref().and_then(|key| key.strip_prefix(LINKED)) else { return Ok(None) };
    let Some(place) = place::git_of(conn, &stored.project)? else { return Ok(None) };
    let common_dir = place.sighting.path;
    let Some(found) = layout::linked_worktree(&common_dir, name).filter(|found| *found != stored.path) else { return Ok(None) };
    // git gives the name of a removed worktree to the next one, whose record is another directory.
    let record = Stamp::of(&common_dir.join("worktrees").join(name));
    let is_same = record.is_ok_and(|record| record.inode == stored.stamp.inode && record.born == stored.stamp.born);
    Ok(is_same.then_some(found))
}

/// Remembers where a checkout is now.
///
/// # Errors
/// When the store fails.
pub fn follow_checkout(conn: &Connection, id: CheckoutId, to: &AbsPath) -> Result<()> {
    conn.execute("UPDATE project_checkout SET path = ?2 WHERE id = ?1", (id.0, text(to)?))?;
    Ok(())
}

fn look(conn: &Connection, stored: Stored) -> Result<KnownCheckout> {
    let Stored { id, project, key, path, .. } = stored;
    let known = |path, missing| KnownCheckout { id, project: project.clone(), path, missing };
    let Some(key) = key else { return Ok(known(path, true)) };
    let Some(name) = key.strip_prefix(LINKED) else {
        let missing = !path.as_path().is_dir();
        return Ok(known(path, missing));
    };
    let common_dir = place::git_of(conn, &project)?.map(|place| place.sighting.path);
    if let Some(found) = common_dir.and_then(|common_dir| layout::linked_worktree(&common_dir, name)) {
        return Ok(known(found, false));
    }
    // The repository's record is stale, as after a plain `mv`, or the repository itself is out of sight.
    let missing = match layout::locate(&path) {
        Ok(Location::Git(layout)) => layout.worktree != path || layout.checkout != CheckoutKind::Linked { name: name.to_owned() },
        Ok(Location::Plain { root, broken }) => !broken || root != path,
        Err(_) => true,
    };
    Ok(known(path, missing))
}

/// The checkout's id if it is known exactly as it is now.
pub fn unchanged(conn: &Connection, project: &ProjectId, location: &Location) -> Result<Option<CheckoutId>> {
    let stored = stored(conn, project, &key(location)?)?;
    let stamp = stamp(location)?;
    Ok(stored.filter(|stored| stored.path == *location.worktree() && stored.stamp == stamp).map(|stored| stored.id))
}

/// Remembers the checkout where it is now, and gives its id.
pub fn note(conn: &Connection, project: &ProjectId, location: &Location) -> Result<CheckoutId> {
    let (key, stamp, path) = (key(location)?, stamp(location)?, location.worktree());
    let mut known = stored(conn, project, &key)?;
    if let Some(stored) = &known
        && key.starts_with(LINKED)
        && stored.path != *path
        && !(stored.stamp.inode == stamp.inode && stored.stamp.born == stamp.born)
    {
        // git gives the name of a removed worktree to the next one: neither its place nor its record is the same.
        conn.execute("UPDATE project_checkout SET key = NULL WHERE id = ?1", [stored.id.0])?;
        known = None;
    }
    let place = (text(path)?, stamp.device.cast_signed(), stamp.inode.cast_signed(), stamp.born);
    if let Some(Stored { id, .. }) = known {
        conn.execute(
            "UPDATE project_checkout SET path = ?1, device = ?2, inode = ?3, born = ?4 WHERE id = ?5",
            (place.0, place.1, place.2, place.3, id.0),
        )?;
        return Ok(id);
    }
    conn.execute(
        "INSERT INTO project_checkout (project_id, key, path, device, inode, born) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (project.as_str(), key, place.0, place.1, place.2, place.3),
    )?;
    Ok(CheckoutId(conn.last_insert_rowid()))
}

/// The checkout of a repository that was at this path: what a worktree is whose `.git` leads nowhere for the moment.
pub fn of_git_at(conn: &Connection, path: &AbsPath) -> Result<Option<(CheckoutId, ProjectId)>> {
    let mut statement = conn.prepare_cached(
        "SELECT checkout.id, project.id FROM project_checkout AS checkout JOIN project ON project.id = checkout.project_id
         WHERE checkout.path = ?1 AND checkout.key IS NOT NULL AND project.vcs = 'git' ORDER BY checkout.id DESC LIMIT 1",
    )?;
    let found = statement.query_row([text(path)?], |row| Ok((CheckoutId(row.get(0)?), id_column(row, 1)?)));
    Ok(found.optional()?)
}

struct Stored {
    id: CheckoutId,
    project: ProjectId,
    key: Option<String>,
    path: AbsPath,
    stamp: Stamp,
}

const COLUMNS: &str = "id, project_id, key, path, device, inode, born";

fn stored(conn: &Connection, project: &ProjectId, key: &str) -> Result<Option<Stored>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_checkout WHERE project_id = ?1 AND key = ?2"))?;
    Ok(statement.query_row((project.as_str(), key), from_row).optional()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: CheckoutId(row.get(0)?),
        project: id_column(row, 1)?,
        key: row.get(2)?,
        path: path_column(row, 3)?,
        stamp: place::stamp_columns(row, 4)?,
    })
}

fn key(location: &Location) -> Result<String> {
    Ok(match location {
        Location::Git(layout) => match &layout.checkout {
            CheckoutKind::Main => MAIN.to_owned(),
            CheckoutKind::Linked { name } => format!("{LINKED}{name}"),
            CheckoutKind::Other => format!("path:{}", text(&layout.worktree)?),
        },
        // The same key as the main checkout that it becomes by `git init`.
        Location::Plain { .. } => MAIN.to_owned(),
    })
}

/// Of the record that git keeps for a linked worktree, since that stays when the worktree moves; else of the top.
fn stamp(location: &Location) -> Result<Stamp> {
    let path = match location {
        Location::Git(layout) if layout.checkout != CheckoutKind::Main => &layout.git_dir,
        _ => location.worktree(),
    };
    Stamp::of(path).map_err(|source| Error::Vanished { path: path.clone(), source })
}
