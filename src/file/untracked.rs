//! The untracked files that are not ignored. After a scan git only has to check which of the few names outside the
//! index are ignored, and to list directories without tracked files.

use std::{collections::BTreeSet, ffi::OsStr};

use super::Error;
use crate::git::{
    path::os_string,
    program::{Answer, Git, TOP},
    scan::Scan,
    status_output,
};

const LIST: [&str; 6] = ["ls-files", "-z", "-t", "--others", "--unmerged", "--exclude-standard"];
/// With more directories a full listing by git is as fast.
const MAX_DIRECTORIES: usize = 100;
/// The size limit of the names in a command line.
const MAX_PATHSPEC_BYTES: usize = 48 << 10;

type Paths = BTreeSet<Vec<u8>>;

/// The untracked files, and the files in conflict.
pub(super) async fn others(git: &Git, scan: Option<&Scan>) -> Result<(Paths, Paths), Error> {
    if let Some(scan) = scan
        && let Some(others) = &scan.untracked
        && let Some(untracked) = filter_scanned(git, scan, others).await?
    {
        // `scan.untracked` is known only if there are no conflicts.
        return Ok((untracked, Paths::new()));
    }
    Ok(status_output::others(&git.ask_ignore(&LIST, Vec::new()).await?.text()?))
}

/// The names that git does not ignore, with the contents of directories; `None` if git should list everything.
async fn filter_scanned(git: &Git, scan: &Scan, others: &[(Vec<u8>, bool)]) -> Result<Option<Paths>, Error> {
    if others.is_empty() {
        return Ok(Some(Paths::new()));
    }
    let start = scan.below.len() + usize::from(!scan.below.is_empty());
    // `./` protects names that begin with a colon, which git treats as pathspec magic.
    let input = others.iter().flat_map(|(path, _)| [b"./", &path[start..], &[0]].concat()).collect();
    // None of the names is in the index, so git need not read it.
    let output = match git.ask_ignore(&["check-ignore", "-z", "--no-index", "--stdin"], input).await? {
        Answer::Yes(output) => output,
        Answer::No => Vec::new(),
        Answer::Failed(_) => return Ok(None),
    };
    let ignored: BTreeSet<&[u8]> = output.split(|byte| *byte == 0).filter_map(|path| path.strip_prefix(b"./")).collect();
    let kept = || others.iter().filter(|(path, _)| !ignored.contains(&path[start..]));
    let mut untracked: Paths = kept().filter(|(_, is_directory)| !is_directory).map(|(path, _)| path[start..].to_owned()).collect();
    let directories: Vec<_> = kept().filter(|(_, is_directory)| *is_directory).map(|(path, _)| os_string(&[TOP, path].concat())).collect();
    if directories.is_empty() {
        return Ok(Some(untracked));
    }
    if directories.len() > MAX_DIRECTORIES || directories.iter().map(|path| path.len()).sum::<usize>() > MAX_PATHSPEC_BYTES {
        return Ok(None);
    }
    let arguments: Vec<&OsStr> =
        LIST.iter().map(OsStr::new).chain([OsStr::new("--")]).chain(directories.iter().map(|path| &path[..])).collect();
    let Answer::Yes(output) = git.ask_ignore(&arguments, Vec::new()).await? else { return Ok(None) };
    untracked.extend(status_output::others(&output).0);
    Ok(Some(untracked))
}
