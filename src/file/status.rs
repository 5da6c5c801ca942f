//! Which files differ from the last commit, each once, as git itself sees it: the git program is asked, so every
//! repository that git can read is read as git reads it. Two processes do it side by side, one for what is tracked and
//! one for what is not. In large repositories the directories are first looked at without it, and it is asked only about
//! the files that may differ and the names that it may not track, which spares it nearly all of its work. libgit2 is no help: in a repository of 100,000 files its status alone takes most of the time that git needs
//! for status and diff.

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
        program::{Answer, Git, TOP, is_promised},
        scan::{self, Scan},
        status_output::{self, Difference},
        tracked::is_below,
    },
    stdx::paths::AbsPath,
};

/// The limit of changes in an answer; with more, something is generated that git should ignore.
const MAX_CHANGES: usize = 100_000;
/// git's rename limit, its own default: how many new files are compared with how many deleted ones.
const RENAME_LIMIT: &str = "-l1000";
/// How many files git is asked about by name: it compares each file that it meets with each name.
const MAX_NAMED: usize = 300;
/// The size limit of the names in a command line.
const MAX_NAMED_BYTES: usize = 48 << 10;

/// A file that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is, or was when it is gone, relative to the directory that was asked about.
    pub path: PathBuf,
    /// It is a repository inside this one that is not part of it.
    pub is_repository: bool,
    /// Lines that the last commit has not; 0 where git counts none.
    pub added: u64,
    /// Lines that only the last commit has.
    pub removed: u64,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a file differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new, tracked or not.
    Added,
    /// It is gone.
    Deleted,
    /// Its content, mode or kind is another, or it is in conflict.
    Modified,
    /// It was somewhere else.
    Renamed {
        /// Relative to the directory that was asked about.
        from: PathBuf,
    },
}

/// What differs from the last commit at and below a directory, which must be a real path, by path. Outside git and where
/// there is no work tree nothing does.
///
/// # Errors
/// When git cannot read the repository, or there are more changes than [`Error::TooLarge`] allows.
pub async fn status(directory: &AbsPath) -> Result<Vec<Change>, Error> {
    let Some(git) = Git::in_work_tree(directory).await? else { return Ok(Vec::new()) };
    let looked = Looked::at(&git, directory).await?;
    let (tracked, others) =
        tokio::join!(tracked(&git, looked.as_ref()), untracked::others(&git, looked.as_ref().map(|looked| &looked.scan)));
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
    // What the last commit has and the index has not, whether or not something new looks like it.
    let gone: BTreeMap<&[u8], &Difference> = tracked
        .iter()
        .filter_map(|(path, difference)| match &difference.from {
            Some(from) => Some((&from[..], difference)),
            None => (difference.letter == b'D').then_some((&path[..], difference)),
        })
        .collect();
    let mut new = Vec::new();
    for path in untracked {
        let Some(difference) = gone.get(&path[..]) else {
            new.push(path);
            continue;
        };
        // Taken out of the index but still there: what counts is how it differs.
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
        let there = directory.join(os_string(&path)).as_path().symlink_metadata().is_ok();
        let kind = if there { ChangeKind::Modified } else { ChangeKind::Deleted };
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

/// What was seen without git.
struct Looked {
    read: scan::Read,
    scan: Scan,
    /// The id of the last commit's tree.
    head: Option<Vec<u8>>,
}

impl Looked {
    /// Looks at and below the directory; `None` where git may as well look by itself.
    async fn at(git: &Git, directory: &AbsPath) -> Result<Option<Self>, Error> {
        let Some(tree) = git.tree() else { return Ok(None) };
        let Some(read) = scan::read(tree).await else { return Ok(None) };
        let head = git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]);
        let (scan, head) = tokio::join!(scan::scan(&read, tree, directory), head);
        let Some(scan) = scan else { return Ok(None) };
        let head = if let Answer::Yes(id) = head? { Some(id.trim_ascii().to_owned()) } else { None };
        Ok(Some(Self { read, scan, head }))
    }

    /// How the tracked files differ, where few of them may: git is asked about those alone, and not at all where there are
    /// none. `None` where it has to be asked about all.
    async fn few(&self, git: &Git) -> Result<Option<BTreeMap<Vec<u8>, Difference>>, Error> {
        let Self { read, scan, head: Some(head) } = self else { return Ok(None) };
        let index = &read.index;
        if !index.is_common() || scan.changed.len() > MAX_NAMED {
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
        if paths.len() > MAX_NAMED || paths.iter().map(Vec::len).sum::<usize>() > MAX_NAMED_BYTES {
            return Ok(None);
        }
        let files = paths.iter().filter_map(|path| index.find(path)).collect();
        let Some(small) = read.of(files).await else { return Ok(None) };
        let head = os_string(head);
        let named: Vec<_> = paths.iter().map(|path| os_string(&[TOP, path].concat())).collect();
        let arguments: Vec<&OsStr> = diff(&head).into_iter().chain(named.iter().map(|path| &path[..])).collect();
        let Answer::Yes(output) = git.with_index(small.path()).ask(&arguments).await? else { return Ok(None) };
        Ok(Some(status_output::differences(&output)))
    }
}

/// How the tracked files differ.
async fn tracked(git: &Git, looked: Option<&Looked>) -> Result<BTreeMap<Vec<u8>, Difference>, Error> {
    if let Some(looked) = looked {
        if let Some(found) = looked.few(git).await? {
            return Ok(found);
        }
        if let Some(marked) = looked.read.marked(&looked.scan).await
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
        return if is_promised(&failed) { without_contents(git).await } else { Err(git::Error::Failed(failed).into()) };
    }
    // No commits yet: compared with nothing.
    let empty = git.ask(&["hash-object", "-t", "tree", "--stdin"]).await?.text()?;
    let output = git.ask(&diff(&os_string(empty.trim_ascii()))).await?.text()?;
    Ok(status_output::differences(&output))
}

const FIXED: [&str; 8] = [
    "-z",
    "--no-abbrev",
    "--relative",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    // Of a module only its commit counts, and nothing is run in it.
    "--ignore-submodules=dirty",
    "-O/dev/null",
];

fn diff(base: &(impl AsRef<OsStr> + ?Sized)) -> Vec<&OsStr> {
    let options = ["diff", "--raw", "--numstat", "-M", RENAME_LIMIT, "--submodule=short"].into_iter().chain(FIXED);
    options.map(OsStr::new).chain([base.as_ref(), OsStr::new("--")]).collect()
}

/// Which tracked files differ, told without the contents that a partial clone lacks: no lines, no renames.
async fn without_contents(git: &Git) -> Result<BTreeMap<Vec<u8>, Difference>, Error> {
    let options = || ["diff-index", "--raw", "--no-renames"].into_iter().chain(FIXED);
    let all: Vec<_> = options().chain(["HEAD"]).collect();
    let staged: Vec<_> = options().chain(["--cached", "HEAD"]).collect();
    let (all, staged) = tokio::try_join!(git.ask(&all), git.ask(&staged))?;
    let mut all = status_output::differences(&all.text()?);
    let staged = status_output::differences(&staged.text()?);
    // What was only touched is among them; git compares it with the index by its hash.
    let edited = git.ask(&["ls-files", "-z", "--modified"]).await?.text()?;
    let edited: BTreeSet<&[u8]> = edited.split(|byte| *byte == 0).collect();
    all.retain(|path, difference| {
        difference.letter != b'M' || !difference.is_on_disk_only || edited.contains(&path[..]) || staged.contains_key(path)
    });
    Ok(all)
}
