//! The numbered migrations, in order. A released one is never changed; a change of the tables is a new file.

use std::{io::Read as _, path::Path};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::Error;

const ALL: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_project.sql")),
    M::up(include_str!("migrations/0003_turn.sql")),
    M::up(include_str!("migrations/0004_answers.sql")),
];

/// The newest version of the tables.
pub const KNOWN: usize = ALL.len();

/// Brings the tables up to date.
pub fn run(connection: &mut Connection) -> Result<(), Error> {
    Ok(Migrations::from_slice(ALL).to_latest(connection)?)
}

/// Refuses a store of a newer program without touching it: the version stands in the file's header.
pub fn refuse_newer(path: &Path) -> Result<(), Error> {
    let mut header = [0u8; 64];
    let found = match std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => u32::from_be_bytes([header[60], header[61], header[62], header[63]]) as usize,
        // Not there, or too short to hold anything.
        Err(_) => return Ok(()),
    };
    check(path, found)
}

/// Refuses a store whose version is newer than this program.
pub fn check(path: &Path, found: usize) -> Result<(), Error> {
    if found > KNOWN {
        return Err(Error::Newer { path: path.to_owned(), found, known: KNOWN });
    }
    Ok(())
}
