//! The projects that the daemon knows. Every function takes the connection or transaction of its caller; those that
//! may write (`peek`, `claim` and the setters) belong into a write transaction begun as such.
//!
//! `peek` serves mere reads: it may remember a directory here but touches nothing in it. `claim` serves the first
//! session and `project.init`: it also writes the id into the repository, where that is possible.

mod checkout;
mod place;
mod seen;
mod trust;

pub use checkout::{CheckoutId, KnownCheckout, checkouts, follow_checkout, moved_checkout, resolve_checkout};
pub use seen::{Seen, claim, find, peek};
pub use trust::{Trust, distrust, trust, trusted};

use polytree_protocol::{
    id::ProjectId,
    project::{Project, ProjectTime, Vcs},
};
use rusqlite::{Connection, OptionalExtension as _, Row, types::Type};

use crate::stdx::{paths::AbsPath, text::one_line};

/// A project's name has at most this many characters.
const MOST_NAME: usize = 500;

/// The tables, as one migration.
pub const SCHEMA: &str = include_str!("../../storage/migrations/0002_project.sql");

/// Why the registry could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("the store of projects failed")]
    Store(#[from] rusqlite::Error),
    /// A directory of the project has a name that is no text, so that it can be neither stored nor sent.
    #[error("the path {path:?} is not valid Unicode")]
    NotText {
        /// The path.
        path: AbsPath,
    },
    /// The directory went away while it was looked at.
    #[error("cannot look at {path}")]
    Vanished {
        /// The path.
        path: AbsPath,
        /// What the system said.
        source: std::io::Error,
    },
}

type Result<T> = std::result::Result<T, Error>;

/// A project as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProject {
    /// The project's id.
    pub id: ProjectId,
    /// The main checkout, or the directory itself outside git.
    pub worktree: AbsPath,
    /// The version control system.
    pub vcs: Option<Vcs>,
    /// A name for people.
    pub name: Option<String>,
    /// Sessions may refer to it. If not, it was only read so far.
    pub claimed: bool,
    /// The user trusts the project's own settings; see [`trusted`] for which contents.
    pub trusted: bool,
    /// Whether its place is still its own; if not, another project was found there.
    pub placed: bool,
    /// Times in milliseconds since 1970.
    pub time: ProjectTime,
}

impl KnownProject {
    /// The project as clients see it; looks whether its directory is there. `pending` are the files that wait for trust.
    #[must_use]
    pub fn to_wire(&self, pending: Vec<String>) -> Project {
        Project {
            id: self.id.clone(),
            worktree: self.worktree.to_string(),
            vcs: self.vcs,
            name: self.name.clone(),
            missing: !self.placed || !self.worktree.as_path().is_dir(),
            trusted: self.trusted,
            pending,
            time: self.time,
        }
    }

    /// Whether clients can see a difference.
    fn differs_visibly(&self, other: &Self) -> bool {
        (Self { claimed: other.claimed, ..self.clone() }) != *other
    }
}

const COLUMNS: &str = "id, worktree, vcs, name, claimed, trusted, created, updated, initialized,
    EXISTS (SELECT 1 FROM project_place WHERE project_id = project.id)";

/// All projects, most recently used first.
///
/// # Errors
/// When the store fails.
pub fn list(conn: &Connection) -> Result<Vec<KnownProject>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project ORDER BY updated DESC, id DESC"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The project of this id.
///
/// # Errors
/// When the store fails.
pub fn get(conn: &Connection, id: &ProjectId) -> Result<Option<KnownProject>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM project WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], from_row).optional()?)
}

/// Gives the project a name, an empty one takes it away. It is kept as one line without control characters. `None` if there is no such project.
///
/// # Errors
/// When the store fails.
pub fn rename(conn: &Connection, id: &ProjectId, name: &str, now: i64) -> Result<Option<KnownProject>> {
    let name = Some(one_line(name, MOST_NAME)).filter(|name| !name.is_empty());
    conn.execute("UPDATE project SET name = ?2, updated = max(updated, ?3) WHERE id = ?1", (id.as_str(), name, now))?;
    get(conn, id)
}

/// Notes that the project was used now; time never goes back. `None` if there is no such project.
///
/// # Errors
/// When the store fails.
pub fn touch(conn: &Connection, id: &ProjectId, now: i64) -> Result<Option<KnownProject>> {
    conn.execute("UPDATE project SET updated = max(updated, ?2) WHERE id = ?1", (id.as_str(), now))?;
    get(conn, id)
}

/// Notes that the project's AGENTS.md was written now. `None` if there is no such project.
///
/// # Errors
/// When the store fails.
pub fn set_initialized(conn: &Connection, id: &ProjectId, now: i64) -> Result<Option<KnownProject>> {
    conn.execute("UPDATE project SET initialized = ?2, updated = max(updated, ?2) WHERE id = ?1", (id.as_str(), now))?;
    get(conn, id)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<KnownProject> {
    Ok(KnownProject {
        id: id_column(row, 0)?,
        worktree: path_column(row, 1)?,
        vcs: row.get::<_, Option<String>>(2)?.map(|_| Vcs::Git),
        name: row.get(3)?,
        claimed: row.get(4)?,
        trusted: row.get(5)?,
        time: ProjectTime { created: row.get(6)?, updated: row.get(7)?, initialized: row.get(8)? },
        placed: row.get(9)?,
    })
}

fn id_column(row: &Row<'_>, index: usize) -> rusqlite::Result<ProjectId> {
    let text: String = row.get(index)?;
    ProjectId::parse(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

fn path_column(row: &Row<'_>, index: usize) -> rusqlite::Result<AbsPath> {
    let text: String = row.get(index)?;
    AbsPath::new(text).ok_or_else(|| rusqlite::Error::InvalidColumnType(index, "an absolute path".to_owned(), Type::Text))
}

fn text(path: &AbsPath) -> Result<&str> {
    path.as_path().to_str().ok_or_else(|| Error::NotText { path: path.clone() })
}
