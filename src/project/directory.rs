//! The `directory` that a client names: any spelling of it becomes the one absolute real path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::stdx::paths::{self, AbsPath};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Empty, relative, or no path at all: the request itself is wrong.
    #[error("the directory {given:?} is not an absolute path; a leading ~ stands for the home directory")]
    NotAbsolute {
        /// What was given.
        given: String,
    },
    /// Its real path cannot be written as text.
    #[error("the real path of {given:?} is not valid Unicode")]
    NotText {
        /// What was given.
        given: String,
    },
    /// There is nothing, or nothing that can be reached.
    #[error("there is no directory {given:?}")]
    Missing {
        /// What was given.
        given: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else.
    #[error("{given:?} is not a directory")]
    NotADirectory {
        /// What was given.
        given: String,
    },
}

/// The real path of a directory that must exist: absolute, or with a leading `~`.
///
/// # Errors
/// See [`Error`].
pub fn resolve(given: &str) -> Result<AbsPath, Error> {
    let missing = |source| Error::Missing { given: given.to_owned(), source };
    // Resolved by the system and not by text: `..` after a symbolic link leads to the parent of its target.
    let real = fs::canonicalize(spelled(given)?).map_err(missing)?;
    if !fs::metadata(&real).map_err(missing)?.is_dir() {
        return Err(Error::NotADirectory { given: given.to_owned() });
    }
    if real.to_str().is_none() {
        return Err(Error::NotText { given: given.to_owned() });
    }
    AbsPath::new(real).ok_or_else(|| Error::NotAbsolute { given: given.to_owned() })
}

/// Like [`resolve`], and makes the directory, and those above it, where they are not there.
///
/// # Errors
/// See [`Error`]; `Missing` when it cannot be made.
pub fn resolve_or_create(given: &str) -> Result<AbsPath, Error> {
    let path = spelled(given)?;
    match fs::create_dir_all(&path) {
        Err(_) if path.exists() => {}
        Err(source) => return Err(Error::Missing { given: given.to_owned(), source }),
        Ok(()) => {}
    }
    resolve(given)
}

fn spelled(given: &str) -> Result<PathBuf, Error> {
    let path = match given.strip_prefix('~') {
        None => Some(PathBuf::from(given)),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            paths::home().map(|home| home.as_path().join(rest.trim_start_matches('/')))
        }
        // The home of another user: shells know it, we do not.
        Some(_) => None,
    };
    path.filter(|path| Path::is_absolute(path) && !given.contains('\0')).ok_or_else(|| Error::NotAbsolute { given: given.to_owned() })
}
