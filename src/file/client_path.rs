//! Resolves paths from clients. The result is inside the worktree, whatever symbolic links and `..` the path contains.

use std::path::{Component, PathBuf};

use super::Error;
use crate::{
    git::Checkout,
    stdx::paths::{AbsPath, home},
};

/// The real path; for a file that does not exist, the path that it would have.
///
/// # Errors
/// When it is not a valid path, or is outside the worktree.
pub(super) fn resolve(checkout: &Checkout, given: &str) -> Result<AbsPath, Error> {
    if given.contains('\0') {
        return Err(Error::Path("`path` contains a NUL character"));
    }
    let named = match given.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(rest) => home().ok_or(Error::Path("the home directory is not known"))?.as_path().join(rest.trim_start_matches('/')),
        None => checkout.directory.as_path().join(given),
    };
    // Resolved by the operating system and not lexically: `..` after a symbolic link is the parent of its target.
    let real = match std::fs::canonicalize(&named).ok().and_then(AbsPath::new) {
        Some(real) => real,
        None => AbsPath::new(&named).ok_or(Error::Path("`path` is not a valid path"))?.real_or_nearest(),
    };
    if real.is_within(&checkout.worktree) {
        return Ok(real);
    }
    Err(Error::Outside { path: given.to_owned(), worktree: checkout.worktree.to_string() })
}

/// The same of something that exists.
///
/// # Errors
/// As [`resolve`], and when there is nothing at the path.
pub fn existing(checkout: &Checkout, given: &str) -> Result<AbsPath, Error> {
    let real = resolve(checkout, given)?;
    if real.as_path().symlink_metadata().is_err() {
        return Err(Error::NotFound(given.to_owned()));
    }
    Ok(real)
}

/// The path for clients: relative to the directory, with `/` between names.
pub(super) fn shown(checkout: &Checkout, path: &AbsPath) -> String {
    let common = path.ancestors().find(|above| checkout.directory.is_within(above));
    let Some(common) = common else { return path.to_string() };
    let up = checkout.directory.as_path().strip_prefix(&common).map_or(0, |rest| rest.components().count());
    let down = path.as_path().strip_prefix(&common).unwrap_or(path.as_path());
    let parts = std::iter::repeat_n(Component::ParentDir, up).chain(down.components());
    let text = parts.collect::<PathBuf>().to_string_lossy().into_owned();
    if cfg!(windows) { text.replace('\\', "/") } else { text }
}
