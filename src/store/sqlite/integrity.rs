//! SQLite's integrity checks, with a time limit.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::store::Error;

/// The result of a check.
pub(super) enum CheckResult {
    Intact,
    Damaged(String),
    TimedOut,
}

/// Opens a store for reading. One that was closed properly is opened as immutable: otherwise SQLite would leave files
/// beside it.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let text = path.to_str().filter(|_| !has_log);
    Ok(match text {
        Some(text) => {
            let mut address = String::from("file:");
            for byte in text.bytes() {
                match byte {
                    b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => address.push(char::from(byte)),
                    other => address.push_str(&format!("%{other:02X}")),
                }
            }
            Connection::open_with_flags(address + "?immutable=1", read_only | OpenFlags::SQLITE_OPEN_URI)?
        }
        None => Connection::open_with_flags(path, read_only)?,
    })
}

/// Checks that all pages are well formed; takes time in proportion to the size.
pub(super) fn quick(connection: &Connection, timeout: Duration) -> Result<CheckResult, Error> {
    run(connection, "PRAGMA quick_check(5)", timeout)
}

/// As [`quick`], and checks the indexes against the tables.
pub(super) fn thorough(connection: &Connection, timeout: Duration) -> Result<CheckResult, Error> {
    run(connection, "PRAGMA integrity_check(5)", timeout)
}

fn run(connection: &Connection, pragma: &str, timeout: Duration) -> Result<CheckResult, Error> {
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let found: rusqlite::Result<Vec<String>> = connection.prepare(pragma).and_then(|mut statement| {
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    });
    drop(done);
    let _ = watch.join();
    match found {
        Ok(lines) if lines == ["ok"] => Ok(CheckResult::Intact),
        Ok(lines) => Ok(CheckResult::Damaged(lines.join("; "))),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(CheckResult::TimedOut),
        Err(error) => Err(error.into()),
    }
}
