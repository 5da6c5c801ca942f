//! Converts SQLite's errors.

use std::path::Path;

use rusqlite::ErrorCode::{
    CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, PermissionDenied, ReadOnly, SystemIoFailure,
};

use crate::store::{Error, error::Fault};

fn fault(error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => Fault::Damage,
        Some(DatabaseBusy | DatabaseLocked) => Fault::Lock,
        Some(DiskFull | ReadOnly | SystemIoFailure | CannotOpen | PermissionDenied) => Fault::Disk,
        _ => Fault::Other,
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine { fault: fault(&error), message: error.to_string() }
    }
}

impl From<rusqlite_migration::Error> for Error {
    fn from(error: rusqlite_migration::Error) -> Self {
        let fault = if let rusqlite_migration::Error::RusqliteError { err, .. } = &error { fault(err) } else { Fault::Other };
        Self::Migration { fault, message: error.to_string() }
    }
}

/// Converts an error of opening the store at `path`.
pub(super) fn opening(path: &Path, error: impl Into<Error>) -> Error {
    match error.into() {
        Error::Engine { fault: Fault::Lock, .. } => Error::Locked { path: path.to_owned() },
        other => other,
    }
}
