//! Lists one directory for a file tree: every entry except `.git` and `.DS_Store`, directories first. A symbolic link
//! counts as its target, as in editors. Ignored entries are marked by git's own rules, including nested ignore files
//! and the user's; tracked files are never ignored.

use std::{cmp::Reverse, collections::BTreeSet, ffi::OsString, io::Read as _};

use super::{
    Error, client_path, natural_order,
    open::{self, Extent, Kind},
};
use crate::{
    git::{
        Checkout,
        path::git_bytes,
        program::{Answer, Git},
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// The limit of entries.
const MAX_ENTRIES: usize = 10_000;
/// Names that are never shown.
const HIDDEN: [&str; 2] = [".git", ".DS_Store"];

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// Relative to the checkout's directory, with `/` between names.
    pub shown: String,
    pub path: AbsPath,
    /// Whether it is a directory or a symbolic link to one.
    pub is_directory: bool,
    pub is_symlink: bool,
    pub is_ignored: bool,
}

/// The entries of a directory, given by a client's path, in natural order.
///
/// # Errors
/// When it is not a directory in the worktree, or has too many entries.
pub async fn list(checkout: &Checkout, given: &str) -> Result<Vec<Entry>, Error> {
    let (at, path) = (checkout.clone(), given.to_owned());
    let (directory, mut names) = Tasks::spawn_blocking(move || read(&at, &path)).await??;
    let ignored = ignored(&directory, &names).await?;
    names.retain(|(name, ..)| !HIDDEN.iter().any(|hidden| name == hidden));
    let entry = |(name, is_directory, is_symlink): (OsString, bool, bool)| {
        let path = directory.join(&name);
        Entry {
            shown: client_path::shown(checkout, &path),
            is_ignored: ignored.contains(&git_bytes(&name)),
            name: name.to_string_lossy().into_owned(),
            path,
            is_directory,
            is_symlink,
        }
    };
    let mut entries: Vec<Entry> = names.into_iter().map(entry).collect();
    entries.sort_by(|one, other| {
        let directories_first = Reverse(one.is_directory).cmp(&Reverse(other.is_directory));
        directories_first.then_with(|| natural_order::compare(&one.name, &other.name)).then_with(|| one.path.cmp(&other.path))
    });
    Ok(entries)
}

/// The names in a directory, whether each is a directory, and whether it is a symbolic link.
type Names = Vec<(OsString, bool, bool)>;

fn read(checkout: &Checkout, given: &str) -> Result<(AbsPath, Names), Error> {
    let real = client_path::resolve(checkout, given)?;
    let (names, extent) = open::directory(&real, MAX_ENTRIES + HIDDEN.len()).map_err(|error| Error::opening(given, error))?;
    if extent == Extent::Part || names.len() > MAX_ENTRIES + HIDDEN.len() {
        return Err(Error::TooLarge {
            what: format!("{given} has more than {MAX_ENTRIES} entries"),
            limit: MAX_ENTRIES as u64,
            hint: "look for files in it by name with file.find",
        });
    }
    let names = names.into_iter().map(|(name, kind)| {
        let is_link_to_directory = || real.join(&name).as_path().is_dir();
        let is_directory = kind == Kind::Directory || (kind == Kind::Symlink && is_link_to_directory());
        (name, is_directory, kind == Kind::Symlink)
    });
    let names = names.collect();
    Ok((real, names))
}

/// The names that git ignores.
async fn ignored(directory: &AbsPath, names: &Names) -> Result<BTreeSet<Vec<u8>>, Error> {
    if names.is_empty() || !directory.ancestors().any(|above| above.join(".git").as_path().symlink_metadata().is_ok()) {
        return Ok(BTreeSet::new());
    }
    let Some(git) = Git::in_work_tree(directory).await? else { return Ok(BTreeSet::new()) };
    // `./` protects names that begin with a colon, which git treats as pathspec magic.
    let input: Vec<u8> = names.iter().flat_map(|(name, ..)| [b"./", &git_bytes(name)[..], &[0]].concat()).collect();
    let Some(tree) = git.tree().cloned() else { return ask(&git, &ALL, input).await };
    if !Tasks::spawn_blocking(move || has_only_files_on_disk(&tree.index)).await? {
        return ask(&git, &ALL, input).await;
    }
    // Reading the index is slow, and is needed only for names that a rule matches.
    let matched = ask(&git, &BY_RULES, input).await?;
    if matched.is_empty() {
        return Ok(matched);
    }
    ask(&git, &ALL, matched.iter().flat_map(|name| [b"./", &name[..], &[0]].concat()).collect()).await
}

const ALL: [&str; 3] = ["check-ignore", "-z", "--stdin"];
const BY_RULES: [&str; 4] = ["check-ignore", "-z", "--no-index", "--stdin"];

/// The names of the input that git ignores.
async fn ask(git: &Git, command: &[&str], input: Vec<u8>) -> Result<BTreeSet<Vec<u8>>, Error> {
    match git.ask_ignore(command, input).await? {
        Answer::Yes(output) => {
            Ok(output.split(|byte| *byte == 0).filter_map(|path| path.strip_prefix(b"./")).map(<[u8]>::to_owned).collect())
        }
        Answer::No => Ok(BTreeSet::new()),
        // The list is useful without it, even in a broken repository.
        Answer::Failed(message) => {
            tracing::debug!(message, "git cannot tell which names are ignored");
            Ok(BTreeSet::new())
        }
    }
}

/// Whether the index has no skip-worktree entries: it is of version 2, which cannot have them, and not split. git reads
/// the rules of an ignore file with such an entry from the index.
fn has_only_files_on_disk(index: &AbsPath) -> bool {
    let mut head = [0; 8];
    let opened = index.real().ok().and_then(|path| open::regular(&path).ok());
    let is_plain = opened.is_some_and(|(mut file, _)| file.read_exact(&mut head).is_ok() && head == *b"DIRC\0\0\0\x02");
    let is_shared_index =
        |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|entry| git_bytes(&entry.file_name()).starts_with(b"sharedindex."));
    is_plain && index.parent().and_then(|git| std::fs::read_dir(git).ok()).is_some_and(|mut entries| !entries.any(is_shared_index))
}
