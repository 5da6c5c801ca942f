//! The branch of a checkout, whether it has commits, and creating a repository. References are read from the
//! repository's files, which works with any owner and runs nothing. The git program is used only if references are not
//! stored as files.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use super::{
    Error,
    head::{self, Head},
    layout::{self, GitLayout},
    program::{Answer, Git},
    small_file::{self, Links},
};
use crate::stdx::{paths::AbsPath, tasks::Tasks};

/// The size limit of a loose reference, in bytes.
const MAX_REF_BYTES: u64 = 4 << 10;
/// How many bytes of `packed-refs` are read; even very large repositories have less.
const MAX_PACKED_REFS_BYTES: u64 = 256 << 20;

/// The short name of the checked out branch, with or without commits; `None` if `HEAD` is detached.
///
/// # Errors
/// When the repository cannot be read.
pub async fn head_branch(layout: &GitLayout) -> Result<Option<String>, Error> {
    let head = match read_head(layout)? {
        Some(head) => Some(head),
        None => ask(layout, &["symbolic-ref", "--quiet", "HEAD"]).await?.map(Head::Reference),
    };
    Ok(head.as_ref().and_then(Head::branch).map(str::to_owned))
}

/// Whether `HEAD` resolves to a commit: false in a new repository and on an orphan branch.
///
/// # Errors
/// When the repository cannot be read.
pub async fn has_commits(layout: &GitLayout) -> Result<bool, Error> {
    match read_head(layout)? {
        Some(Head::Detached(_)) => Ok(true),
        Some(Head::Reference(name)) => ref_exists(layout, &name).map_err(|source| unreadable(layout, source)),
        None => Ok(ask(layout, &["rev-parse", "--verify", "--quiet", "HEAD"]).await?.is_some()),
    }
}

/// Creates a repository in a directory outside any repository. The first branch is named by the user's settings.
///
/// # Errors
/// When neither libgit2 nor the git program can create it.
pub async fn init(directory: &AbsPath) -> Result<(), Error> {
    let failed = |source| Error::Init { directory: directory.clone(), source };
    let path = directory.as_path().to_owned();
    let created = Tasks::spawn_blocking(move || git2::Repository::init(path).map(drop)).await;
    match created {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => tracing::debug!(%directory, %error, "libgit2 cannot create the repository; using the git program"),
        Err(error) => return Err(failed(error.into())),
    }
    let answer = Git::new(directory).ask(&["init", "--quiet"]).await.and_then(Answer::text);
    answer.map(drop).map_err(|error| failed(error.into()))
}

/// The content of `HEAD`; `None` if references are not stored as files.
fn read_head(layout: &GitLayout) -> Result<Option<Head>, Error> {
    let wrong = || unreadable(layout, io::Error::new(io::ErrorKind::InvalidData, "HEAD is missing or malformed"));
    if layout::layout_config(&layout.common_dir).foreign_refs {
        return head::text(layout.git_dir.as_path()).map(|_| None).ok_or_else(wrong);
    }
    Head::read(layout.git_dir.as_path()).map(Some).ok_or_else(wrong)
}

fn ref_exists(layout: &GitLayout, name: &str) -> io::Result<bool> {
    // The `HEAD` of an untrusted repository may point outside of it.
    if !name.starts_with("refs/") || name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Ok(false);
    }
    if small_file::read(layout.common_dir.join(name).as_path(), MAX_REF_BYTES, Links::Follow).is_ok_and(|content| content.len() >= 40) {
        return Ok(true);
    }
    packed_ref_exists(layout.common_dir.join("packed-refs").as_path(), name)
}

fn packed_ref_exists(path: &Path, name: &str) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(false),
    }
    for line in BufReader::new(File::open(path)?.take(MAX_PACKED_REFS_BYTES)).split(b'\n') {
        let line = line?;
        if line.split(|byte| *byte == b' ').nth(1) == Some(name.as_bytes()) && !line.starts_with(b"#") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a command that prints one line, or nothing and status 1 for "none".
async fn ask(layout: &GitLayout, args: &[&str]) -> Result<Option<String>, Error> {
    match Git::of_repository(&layout.worktree, &layout.git_dir).ask_briefly(args).await? {
        Answer::Yes(output) => Ok(Some(String::from_utf8_lossy(&output).trim().to_owned())),
        Answer::No => Ok(None),
        Answer::Failed(message) => Err(unreadable(layout, io::Error::other(message))),
    }
}

fn unreadable(layout: &GitLayout, source: io::Error) -> Error {
    Error::Unreadable { git_dir: layout.git_dir.clone(), source }
}
