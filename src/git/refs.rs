//! The branch of a checkout, whether it has commits, and making a repository. What the repository's files tell is read
//! there, which works for repositories of other owners and runs nothing of theirs. The git program is asked only where
//! references are not kept as files.

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

/// The size limit of a loose reference, which is one line.
const REF_BYTES: u64 = 4 << 10;
/// The size limit of packed references; those of very large repositories stay below it.
const PACKED_REFS_BYTES: u64 = 256 << 20;

/// The branch that is checked out, without `refs/heads/`, whether or not it has commits; `None` when HEAD is detached.
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

/// Whether HEAD names a commit: false in a new repository and on an orphan branch.
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

/// Makes a repository in the directory, which must not be in one; its first branch is the one that the user's settings
/// name.
///
/// # Errors
/// When that is not possible.
pub async fn init(directory: &AbsPath) -> Result<(), Error> {
    let failed = |source| Error::Init { directory: directory.clone(), source };
    let path = directory.as_path().to_owned();
    let made = Tasks::spawn_blocking(move || git2::Repository::init(path).map(drop)).await;
    match made {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => tracing::debug!(%directory, %error, "the git program makes the repository, since the library cannot"),
        Err(error) => return Err(failed(error.into())),
    }
    let answer = Git::new(directory).ask(&["init", "--quiet"]).await.and_then(Answer::text);
    answer.map(drop).map_err(|error| failed(error.into()))
}

/// What `HEAD` says; `None` where references are not kept as files.
fn read_head(layout: &GitLayout) -> Result<Option<Head>, Error> {
    let wrong = || unreadable(layout, io::Error::new(io::ErrorKind::InvalidData, "HEAD is missing or malformed"));
    if layout::layout_config(&layout.common_dir).foreign_refs {
        return head::text(layout.git_dir.as_path()).map(|_| None).ok_or_else(wrong);
    }
    Head::read(layout.git_dir.as_path()).map(Some).ok_or_else(wrong)
}

fn ref_exists(layout: &GitLayout, name: &str) -> io::Result<bool> {
    // The HEAD of an untrusted repository may try to climb out of it.
    if !name.starts_with("refs/") || name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Ok(false);
    }
    if small_file::read(layout.common_dir.join(name).as_path(), REF_BYTES, Links::Follow).is_ok_and(|content| content.len() >= 40) {
        return Ok(true);
    }
    packed_ref_exists(layout.common_dir.join("packed-refs").as_path(), name)
}

fn packed_ref_exists(path: &Path, name: &str) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(false),
    }
    for line in BufReader::new(File::open(path)?.take(PACKED_REFS_BYTES)).split(b'\n') {
        let line = line?;
        if line.split(|byte| *byte == b' ').nth(1) == Some(name.as_bytes()) && !line.starts_with(b"#") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A question to which git answers with a line, or with status 1 and silence for "none".
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
