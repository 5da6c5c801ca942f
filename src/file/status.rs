//! The files that differ from the last commit, each once, by the git program, so that every repository is read exactly
//! as git reads it. Two processes run concurrently, one for tracked and one for untracked files. Large repositories are
//! first scanned without git, which then only gets the files that may differ and the names that may be untracked; that
//! saves it nearly all of its work. libgit2 would be slower: in a repository of 100,000 files its status alone takes
//! most of the time that git needs for status and diff.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::PathBuf,
};

use super::{Error, head_patch, line_count, untracked};
use crate::{
    git::{
        self,
        path::os_string,
        program::{Answer, Git, TOP, is_missing_object},
        scan::{self, Scan},
        status_output::{self, Difference},
        tracked::is_below,
    },
    stdx::paths::AbsPath,
};

/// The limit of changes; with more, there are probably generated files that git should ignore.
const MAX_CHANGES: usize = 100_000;
/// git's own default for the rename limit: how many new files are compared with how many deleted ones.
const RENAME_LIMIT: &str = "-l1000";
/// The limit of pathspecs in a command: git compares each file with each of them.
const MAX_PATHSPECS: usize = 300;
/// The size limit of the names in a command line.
const MAX_PATHSPEC_BYTES: usize = 48 << 10;

/// A file that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The current path, or the last one of a deleted file, relative to the queried directory.
    pub path: PathBuf,
    /// It is a nested repository that is not a submodule.
    pub is_repository: bool,
    /// Added lines; 0 if git does not count them.
    pub added: u64,
    /// Removed lines; 0 if git does not count them.
    pub removed: u64,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// New, tracked or not.
    Added,
    Deleted,
    /// Its content, mode or type has changed, or it is in conflict.
    Modified,
    Renamed {
        /// Relative to the queried directory.
        from: PathBuf,
    },
}

/// The changes since the last commit in a directory, recursively, sorted by path; empty outside git and without a work
/// tree. `directory` must be a real path.
///
/// # Errors
/// When git cannot read the repository, or there are too many changes ([`Error::TooLarge`]).
pub async fn status(directory: &AbsPath) -> Result<Vec<Change>, Error> {
    let Some(git) = Git::in_work_tree(directory).await? else { return Ok(Vec::new()) };
    let scanned = Scanned::at(&git, directory).await?;
    let (tracked, others) =
        tokio::join!(tracked(&git, scanned.as_ref()), untracked::others(&git, scanned.as_ref().map(|scanned| &scanned.scan)));
    let (tracked, (untracked, conflicts)) = (tracked?, others?);
    if tracked.len() + untracked.len() + conflicts.len() > MAX_CHANGES {
        return Err(Error::TooLarge {
            what: format!("more than {MAX_CHANGES} files differ from the last commit"),
            limit: MAX_CHANGES as u64,
            hint: "ask for a directory further down, or have git ignore what is generated",
        });
    }
    let mut changes: BTreeMap<Vec<u8>, Change> =
        tracked.iter().map(|(path, difference)| (path.clone(), change(path, difference))).collect();
    // Files in the last commit that are not in the index, whether or not they are sources of renames.
    let removed_from_index: BTreeMap<&[u8], &Difference> = tracked
        .iter()
        .filter_map(|(path, difference)| match &difference.from {
            Some(from) => Some((&from[..], difference)),
            None => (difference.letter == b'D').then_some((&path[..], difference)),
        })
        .collect();
    let mut new = Vec::new();
    for path in untracked {
        let Some(difference) = removed_from_index.get(&path[..]) else {
            new.push(path);
            continue;
        };
        // Removed from the index but still on disk: shown by its difference.
        let (added, removed) = head_patch::lines_between(&git, &difference.old_id, &directory.join(os_string(&path))).await?;
        let shown = os_string(&path).into();
        changes.insert(path, Change { path: shown, is_repository: false, added, removed, kind: ChangeKind::Modified });
    }
    let counts = line_count::count(new.iter().map(|path| directory.join(os_string(path))).collect()).await?;
    for (path, added) in new.into_iter().zip(counts) {
        let is_repository = path.ends_with(b"/");
        let shown = path.strip_suffix(b"/").unwrap_or(&path);
        let change = Change { path: os_string(shown).into(), is_repository, added, removed: 0, kind: ChangeKind::Added };
        changes.entry(path).or_insert(change);
    }
    for path in conflicts {
        let exists = directory.join(os_string(&path)).as_path().symlink_metadata().is_ok();
        let kind = if exists { ChangeKind::Modified } else { ChangeKind::Deleted };
        let shown = os_string(&path).into();
        let change = changes.entry(path).or_insert(Change { path: shown, is_repository: false, added: 0, removed: 0, kind: kind.clone() });
        change.kind = kind;
    }
    Ok(changes.into_values().collect())
}

fn change(path: &[u8], difference: &Difference) -> Change {
    let (added, removed) = difference.lines.unwrap_or_default();
    let kind = match (difference.letter, &difference.from) {
        (b'R', Some(from)) => ChangeKind::Renamed { from: os_string(from).into() },
        (b'A', _) => ChangeKind::Added,
        (b'D', _) => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    };
    Change { path: os_string(path).into(), is_repository: false, added, removed, kind }
}

/// The result of the scan without git.
struct Scanned {
    read: scan::IndexSnapshot,
    scan: Scan,
    /// The id of the last commit's tree.
    head: Option<Vec<u8>>,
}

impl Scanned {
    /// Scans the directory; `None` if scanning is of no use.
    async fn at(git: &Git, directory: &AbsPath) -> Result<Option<Self>, Error> {
        let Some(tree) = git.tree() else { return Ok(None) };
        let Some(read) = scan::read(tree).await else { return Ok(None) };
        let head = git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]);
        let (scan, head) = tokio::join!(scan::scan(&read, tree, directory), head);
        let Some(scan) = scan else { return Ok(None) };
        let head = if let Answer::Yes(id) = head? { Some(id.trim_ascii().to_owned()) } else { None };
        Ok(Some(Self { read, scan, head }))
    }

    /// The differences of tracked files if only few files may differ: git compares only those. `None` if git has to
    /// compare all.
    async fn few_differences(&self, git: &Git) -> Result<Option<BTreeMap<Vec<u8>, Difference>>, Error> {
        let Self { read, scan, head: Some(head) } = self else { return Ok(None) };
        let index = &read.index;
        if !index.has_only_normal_entries() || scan.changed.len() > MAX_PATHSPECS {
            return Ok(None);
        }
        let mut paths: BTreeSet<Vec<u8>> = scan.changed.iter().map(|file| index.path(*file).to_owned()).collect();
        if index.tree().is_none_or(|tree| tree.as_bytes() != head) {
            let head = os_string(head);
            let options = ["diff-index", "--cached", "--name-only", "--no-renames", "--no-relative", "-z", "--ignore-submodules=dirty"];
            let options: Vec<_> = options.into_iter().map(OsStr::new).chain([&head[..], OsStr::new("--")]).collect();
            let Answer::Yes(staged) = git.ask(&options).await? else { return Ok(None) };
            if !read.is_current() {
                return Ok(None);
            }
            let staged = staged.split(|byte| *byte == 0).filter(|path| !path.is_empty() && is_below(path, &scan.below));
            paths.extend(staged.map(<[u8]>::to_owned));
        }
        if paths.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        if paths.len() > MAX_PATHSPECS || paths.iter().map(Vec::len).sum::<usize>() > MAX_PATHSPEC_BYTES {
            return Ok(None);
        }
        let files = paths.iter().filter_map(|path| index.find(path)).collect();
        let Some(small) = read.subset(files).await else { return Ok(None) };
        let head = os_string(head);
        let named: Vec<_> = paths.iter().map(|path| os_string(&[TOP, path].concat())).collect();
        let arguments: Vec<&OsStr> = diff(&head).into_iter().chain(named.iter().map(|path| &path[..])).collect();
        let Answer::Yes(output) = git.with_index(small.path()).ask(&arguments).await? else { return Ok(None) };
        Ok(Some(status_output::differences(&output)))
    }
}

/// The differences of tracked files.
async fn tracked(git: &Git, scanned: Option<&Scanned>) -> Result<BTreeMap<Vec<u8>, Difference>, Error> {
    if let Some(scanned) = scanned {
        if let Some(found) = scanned.few_differences(git).await? {
            return Ok(found);
        }
        if let Some(marked) = scanned.read.with_unchanged(&scanned.scan).await
            && let Answer::Yes(output) = git.with_index(marked.path()).ask(&diff("HEAD")).await?
        {
            return Ok(status_output::differences(&output));
        }
    }
    let failed = match git.ask(&diff("HEAD")).await? {
        Answer::Failed(message) => message,
        answer => return Ok(status_output::differences(&answer.text()?)),
    };
    if matches!(git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await?, Answer::Yes(_)) {
        return if is_missing_object(&failed) { without_contents(git).await } else { Err(git::Error::Failed(failed).into()) };
    }
    // Before the first commit the base is the empty tree.
    let empty = git.ask(&["hash-object", "-t", "tree", "--stdin"]).await?.text()?;
    let output = git.ask(&diff(&os_string(empty.trim_ascii()))).await?.text()?;
    Ok(status_output::differences(&output))
}

const COMMON_OPTIONS: [&str; 8] = [
    "-z",
    "--no-abbrev",
    "--relative",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    // Only the commit of a submodule counts; git is not run in it.
    "--ignore-submodules=dirty",
    "-O/dev/null",
];

fn diff(base: &(impl AsRef<OsStr> + ?Sized)) -> Vec<&OsStr> {
    let options = ["diff", "--raw", "--numstat", "-M", RENAME_LIMIT, "--submodule=short"].into_iter().chain(COMMON_OPTIONS);
    options.map(OsStr::new).chain([base.as_ref(), OsStr::new("--")]).collect()
}

/// The tracked files that differ, without contents that a partial clone lacks: no line counts, no renames.
async fn without_contents(git: &Git) -> Result<BTreeMap<Vec<u8>, Difference>, Error> {
    let options = || ["diff-index", "--raw", "--no-renames"].into_iter().chain(COMMON_OPTIONS);
    let all: Vec<_> = options().chain(["HEAD"]).collect();
    let staged: Vec<_> = options().chain(["--cached", "HEAD"]).collect();
    let (all, staged) = tokio::try_join!(git.ask(&all), git.ask(&staged))?;
    let mut all = status_output::differences(&all.text()?);
    let staged = status_output::differences(&staged.text()?);
    // This includes touched files; `ls-files` compares them with the index by hash.
    let edited = git.ask(&["ls-files", "-z", "--modified"]).await?.text()?;
    let edited: BTreeSet<&[u8]> = edited.split(|byte| *byte == 0).collect();
    all.retain(|path, difference| {
        difference.letter != b'M' || !difference.is_on_disk_only || edited.contains(&path[..]) || staged.contains_key(path)
    });
    Ok(all)
}
