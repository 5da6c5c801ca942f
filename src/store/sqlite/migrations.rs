//! The numbered migrations in order. A released migration is never changed; a change of the tables is a new file.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::store::Error;

const ALL: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_project.sql")),
    M::up(include_str!("migrations/0003_turn.sql")),
    M::up(include_str!("migrations/0004_answers.sql")),
    M::up(include_str!("migrations/0005_usage.sql")),
    M::up(include_str!("migrations/0006_session_grants.sql")),
    M::up(include_str!("migrations/0007_hidden.sql")),
    M::up(include_str!("migrations/0008_review.sql")),
    M::up(include_str!("migrations/0009_question.sql")),
];

/// The newest version of the tables.
pub const KNOWN: usize = ALL.len();

pub fn run(connection: &mut Connection) -> Result<(), Error> {
    Ok(Migrations::from_slice(ALL).to_latest(connection)?)
}

/// Refuses a store whose version is newer than this program.
pub fn check(path: &Path, found: usize) -> Result<(), Error> {
    if found > KNOWN {
        return Err(Error::Newer { path: path.to_owned(), found, known: KNOWN });
    }
    Ok(())
}
