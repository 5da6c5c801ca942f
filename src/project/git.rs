//! The few things the project asks of git beyond its layout. What can be read from the repository's files is read there,
//! since that works for repositories of other owners too and runs nothing of theirs. Only where the files do not tell,
//! as with reftable, the git program is asked; its own guard against repositories of other owners stays in force, for
//! a repository's settings can name programs to run.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use tokio::process::Command;

use super::{
    git_layout::{self, GitLayout, Location},
    small_file::{self, Links},
};
use crate::stdx::{paths::AbsPath, process, tasks::Tasks};

/// A loose ref is one line.
const REF: u64 = 4 << 10;
/// Packed refs of very large repositories stay below this.
const PACKED_REFS: u64 = 256 << 20;

/// Why git could not help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository cannot be read.
    #[error("cannot read the repository in {git_dir}")]
    Unreadable {
        /// Its git directory.
        git_dir: AbsPath,
        /// What the system or git said.
        source: io::Error,
    },
    /// A repository cannot be made.
    #[error("cannot initialise a git repository in {directory}")]
    Init {
        /// Where.
        directory: AbsPath,
        /// What the system or git said.
        source: io::Error,
    },
}

/// Whether the location is in a repository.
#[must_use]
pub fn is_repo(location: &Location) -> bool {
    location.git().is_some()
}

/// The branch that is checked out, without `refs/heads/`, whether or not it has commits; `None` when HEAD is detached.
///
/// # Errors
/// When the repository cannot be read.
pub async fn head_branch(layout: &GitLayout) -> Result<Option<String>, Error> {
    match read_head(layout)? {
        Head::Branch(name) => Ok(name.strip_prefix("refs/heads/").map(str::to_owned)),
        Head::Commit => Ok(None),
        Head::ElsewhereStored => {
            let name = ask(layout, &["symbolic-ref", "--quiet", "HEAD"]).await?;
            Ok(name.as_deref().and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned))
        }
    }
}

/// Whether HEAD names a commit: false in a new repository and on an orphan branch.
///
/// # Errors
/// When the repository cannot be read.
pub async fn has_commits(layout: &GitLayout) -> Result<bool, Error> {
    match read_head(layout)? {
        Head::Commit => Ok(true),
        Head::Branch(name) => ref_exists(layout, &name).map_err(|source| unreadable(layout, source)),
        Head::ElsewhereStored => Ok(ask(layout, &["rev-parse", "--verify", "--quiet", "HEAD"]).await?.is_some()),
    }
}

/// Makes a repository in the directory, which must not be in one; its first branch is the one that the user's settings name.
///
/// # Errors
/// When that is not possible.
pub async fn init(directory: &AbsPath) -> Result<(), Error> {
    let failed = |source| Error::Init { directory: directory.clone(), source };
    let path = directory.as_path().to_owned();
    let made = Tasks::spawn_blocking(move || git2::Repository::init(path).map(drop)).await;
    if let Ok(Ok(())) = made {
        return Ok(());
    }
    let mut command = git(directory);
    command.args(["init", "--quiet"]);
    process::output(command).await.map(drop).map_err(failed)
}

enum Head {
    /// The full name of a ref.
    Branch(String),
    /// Detached.
    Commit,
    /// The file says nothing: the refs are not stored as files.
    ElsewhereStored,
}

fn read_head(layout: &GitLayout) -> Result<Head, Error> {
    let head = git_layout::head(layout.git_dir.as_path());
    let head = head.ok_or_else(|| unreadable(layout, io::Error::new(io::ErrorKind::InvalidData, "HEAD is no such file")))?;
    if git_layout::layout_config(&layout.common_dir).foreign_refs {
        return Ok(Head::ElsewhereStored);
    }
    Ok(match head.strip_prefix("ref:") {
        Some(name) => Head::Branch(name.trim().to_owned()),
        None => Head::Commit,
    })
}

fn ref_exists(layout: &GitLayout, name: &str) -> io::Result<bool> {
    // A stranger's HEAD may try to climb out of the repository.
    if !name.starts_with("refs/") || name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Ok(false);
    }
    if small_file::read(layout.common_dir.join(name).as_path(), REF, Links::Follow).is_ok_and(|content| content.len() >= 40) {
        return Ok(true);
    }
    packed_ref_exists(layout.common_dir.join("packed-refs").as_path(), name)
}

fn packed_ref_exists(path: &Path, name: &str) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(false),
    }
    for line in BufReader::new(File::open(path)?.take(PACKED_REFS)).split(b'\n') {
        let line = line?;
        if line.split(|byte| *byte == b' ').nth(1) == Some(name.as_bytes()) && !line.starts_with(b"#") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A question to which git answers with a line, or with status 1 and silence for "none".
async fn ask(layout: &GitLayout, args: &[&str]) -> Result<Option<String>, Error> {
    let mut command = git(&layout.worktree);
    // Found by git itself: naming the git directory would switch its guard against other owners off.
    command.args(args);
    let output = process::run(command).await.map_err(|source| unreadable(layout, source))?;
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
        Some(1) => Ok(None),
        _ => Err(unreadable(layout, io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))),
    }
}

/// The git program, untouched by variables that would point it to another repository, and with nobody to ask.
fn git(directory: &AbsPath) -> Command {
    let mut command = process::command("git", directory);
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_CEILING_DIRECTORIES",
    ] {
        command.env_remove(name);
    }
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command
}

fn unreadable(layout: &GitLayout, source: io::Error) -> Error {
    Error::Unreadable { git_dir: layout.git_dir.clone(), source }
}
