//! Where each project was last seen.

use polytree_protocol::id::ProjectId;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Result, id_column, path_column, text};
use crate::{
    project::identity::{Sighting, Stamp},
    stdx::paths::AbsPath,
};

/// What kind of directory a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A common git directory.
    Git,
    /// A directory outside git.
    Plain,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Git => "git",
            Kind::Plain => "plain",
        }
    }
}

/// A project's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub project: ProjectId,
    pub sighting: Sighting,
    /// What the id file said when this was decided.
    pub file: Option<ProjectId>,
}

const COLUMNS: &str = "project_id, path, device, inode, born, file_id";

/// The place that is the same git directory as the one seen, whatever it was called then.
pub fn same(conn: &Connection, seen: &Sighting) -> Result<Option<Place>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM project_place WHERE kind = 'git' AND (path = ?1 OR inode = ?2) ORDER BY path = ?1 DESC"
    ))?;
    let places = statement.query_map((text(&seen.path)?, seen.stamp.inode.cast_signed()), from_row)?;
    for place in places {
        let place = place?;
        if place.sighting.is_same(seen) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// The place at this path.
pub fn at(conn: &Connection, kind: Kind, path: &AbsPath) -> Result<Option<Place>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_place WHERE kind = ?1 AND path = ?2"))?;
    Ok(statement.query_row((kind.word(), text(path)?), from_row).optional()?)
}

/// The git directory of a project.
pub fn git_of(conn: &Connection, project: &ProjectId) -> Result<Option<Place>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project_place WHERE kind = 'git' AND project_id = ?1"))?;
    Ok(statement.query_row([project.as_str()], from_row).optional()?)
}

/// Takes the place from any other project and gives it to this one, which leaves the one it had.
/// A project that loses its place and was only ever read is forgotten: nothing can refer to it.
pub fn put(conn: &Connection, kind: Kind, place: &Place) -> Result<()> {
    let Place { project, sighting: Sighting { path, stamp }, file } = place;
    let mut losers = vec![at(conn, kind, path)?];
    if kind == Kind::Git {
        losers.push(same(conn, &place.sighting)?);
    }
    for loser in losers.into_iter().flatten().filter(|loser| loser.project != *project) {
        conn.execute("DELETE FROM project_place WHERE project_id = ?1", [loser.project.as_str()])?;
        conn.execute(
            "DELETE FROM project WHERE id = ?1 AND NOT claimed AND NOT trusted AND name IS NULL AND initialized IS NULL",
            [loser.project.as_str()],
        )?;
    }
    conn.execute(
        "INSERT INTO project_place (project_id, kind, path, device, inode, born, file_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (project_id) DO UPDATE SET kind = excluded.kind, path = excluded.path, device = excluded.device,
             inode = excluded.inode, born = excluded.born, file_id = excluded.file_id",
        (
            project.as_str(),
            kind.word(),
            text(path)?,
            stamp.device.cast_signed(),
            stamp.inode.cast_signed(),
            stamp.born,
            file.as_ref().map(ProjectId::as_str),
        ),
    )?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Place> {
    let file: Option<String> = row.get(5)?;
    Ok(Place {
        project: id_column(row, 0)?,
        sighting: Sighting { path: path_column(row, 1)?, stamp: stamp_columns(row, 2)? },
        file: if file.is_some() { Some(id_column(row, 5)?) } else { None },
    })
}

/// A stamp from three columns: device, inode, born.
pub fn stamp_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        device: row.get::<_, i64>(first)?.cast_unsigned(),
        inode: row.get::<_, i64>(first + 1)?.cast_unsigned(),
        born: row.get(first + 2)?,
    })
}
