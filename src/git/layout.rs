//! Where a directory stands in git, read from `.git`, `commondir`, `gitdir` and `config` alone: works for every
//! repository that git knows, whoever owns it and whatever extensions it uses, runs nothing, and writes nothing.
//! The environment (`GIT_DIR` and its kin) has no say: the daemon serves many directories.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    config::LayoutConfig,
    head,
    small_file::{self, Links, one_line},
};
use crate::stdx::paths::AbsPath;

/// The size limit of a repository's config file; a longer one is treated as empty.
const CONFIG_BYTES: u64 = 1 << 20;
/// git writes the files of a new worktree one after the other, within this time.
const SAME_TIME: Duration = Duration::from_secs(10);

/// Where a directory stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a repository.
    Git(GitLayout),
    /// Outside git.
    Plain {
        /// The directory itself; with `broken`, the directory that holds the broken `.git`.
        root: AbsPath,
        /// There is a `.git`, but it leads nowhere or cannot be read.
        broken: bool,
    },
}

/// The directories of a repository, as real paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitLayout {
    /// The top of the checkout in use: contains the directory that was located.
    pub worktree: AbsPath,
    /// The git directory of this checkout.
    pub git_dir: AbsPath,
    /// The git directory that all checkouts share.
    pub common_dir: AbsPath,
    /// The main checkout; the common directory itself where there is none.
    pub main_worktree: AbsPath,
    /// Whether `main_worktree` is certain. A git directory that stands apart from its checkout does not name it, so
    /// seen from a linked worktree it can only be guessed.
    pub main_known: bool,
    /// The repository has no main checkout.
    pub bare: bool,
    /// Which of the repository's checkouts this is.
    pub checkout: CheckoutKind,
}

/// One of a repository's checkouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutKind {
    /// The main one, or the bare directory.
    Main,
    /// A linked worktree.
    Linked {
        /// The name of its directory below `worktrees/` in the common directory; stays when the worktree moves.
        name: String,
    },
    /// Anything else that leads to the repository: a copy of a linked worktree, the inside of a git directory.
    Other,
}

impl GitLayout {
    /// Whether the directory only claims to be of the repository: a `.git` that leads there, and nothing that leads
    /// back. Anybody can write such a file, also into an archive that is unpacked beside the repository.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.checkout == CheckoutKind::Other && !self.worktree.is_within(&self.common_dir)
    }

    /// Whether the repository names this main checkout. A git directory that stands apart from it may not.
    #[must_use]
    pub fn main_leads_back(&self) -> bool {
        self.bare || self.common_dir == self.worktree.join(".git") || main_checkout(&self.common_dir).top.as_ref() == Some(&self.worktree)
    }
}

impl Location {
    /// The top of the checkout in use, or the directory itself outside git.
    #[must_use]
    pub fn worktree(&self) -> &AbsPath {
        match self {
            Location::Git(layout) => &layout.worktree,
            Location::Plain { root, .. } => root,
        }
    }

    /// The main checkout, or the directory itself outside git.
    #[must_use]
    pub fn main_worktree(&self) -> &AbsPath {
        match self {
            Location::Git(layout) => &layout.main_worktree,
            Location::Plain { root, .. } => root,
        }
    }

    /// Whether it is in a repository.
    #[must_use]
    pub fn is_git(&self) -> bool {
        matches!(self, Location::Git(_))
    }

    /// The repository, if there is one.
    #[must_use]
    pub fn git(&self) -> Option<&GitLayout> {
        match self {
            Location::Git(layout) => Some(layout),
            Location::Plain { .. } => None,
        }
    }
}

/// Finds where a directory stands. It must be a real path, see [`AbsPath::real`].
///
/// As git does, it looks upwards for the first `.git` that leads to a repository, or for a directory that is a git
/// directory itself. A `.git` file that leads nowhere ends the search: what lies above is another repository's.
///
/// # Errors
/// When the directory is not there, is no directory, or cannot be asked for.
pub fn locate(directory: &AbsPath) -> io::Result<Location> {
    small_file::certain(|| look_up(directory))
}

fn look_up(directory: &AbsPath) -> io::Result<Location> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    for top in directory.ancestors() {
        match read_dot_git(&top) {
            DotGit::Leads(git_dir) => return Ok(Location::Git(checkout_at(top, git_dir))),
            DotGit::Broken => return Ok(Location::Plain { root: top, broken: true }),
            DotGit::Absent if is_git_directory(top.as_path()) => return Ok(Location::Git(inside_git_directory(directory, top))),
            DotGit::Absent => {}
        }
    }
    Ok(Location::Plain { root: directory.clone(), broken: false })
}

/// Whether the `.git` in `top` leads to a checkout of the repository with this common directory.
#[must_use]
pub fn leads_to(top: &AbsPath, common_dir: &AbsPath) -> bool {
    matches!(read_dot_git(top), DotGit::Leads(git_dir) if common_directory(&git_dir) == *common_dir)
}

/// Where the linked worktree of this name is now, by the repository's own record; `None` when that is stale.
#[must_use]
pub fn linked_worktree(common_dir: &AbsPath, name: &str) -> Option<AbsPath> {
    let git_dir = common_dir.join("worktrees").join(name);
    let dot_git = back_link(&git_dir)?;
    let top = real(dot_git.parent()?).ok()?;
    matches!(read_dot_git(&top), DotGit::Leads(found) if found == git_dir).then_some(top)
}

/// The settings that decide the layout, of the repository with this common directory.
#[must_use]
pub fn layout_config(common_dir: &AbsPath) -> LayoutConfig {
    let read = |name: &str| small_file::read(common_dir.join(name).as_path(), CONFIG_BYTES, Links::Follow).unwrap_or_default();
    let mut config = LayoutConfig::default();
    config.read(&String::from_utf8_lossy(&read("config")));
    if config.worktree_config {
        config.read(&String::from_utf8_lossy(&read("config.worktree")));
    }
    config
}

enum DotGit {
    /// The git directory that it is or leads to, a real path.
    Leads(AbsPath),
    /// A file that leads nowhere, or something that may not be read.
    Broken,
    /// Nothing, or a directory that is not git's.
    Absent,
}

fn read_dot_git(top: &AbsPath) -> DotGit {
    let path = top.join(".git");
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => match real(path.as_path()) {
            Ok(git_dir) if is_git_directory(git_dir.as_path()) => DotGit::Leads(git_dir),
            // It might be the repository or not; taking the one above it instead would be a guess.
            _ if fs::read_dir(&path).is_err() => DotGit::Broken,
            _ => DotGit::Absent,
        },
        Ok(_) => {
            let target = one_line(path.as_path()).and_then(|line| Some(line.strip_prefix("gitdir:")?.trim_start().to_owned()));
            // Joined as text and resolved by the system: `..` after a symbolic link is not lexical.
            match target.map(|target| real(&top.as_path().join(target))) {
                Some(Ok(git_dir)) if is_git_directory(git_dir.as_path()) => DotGit::Leads(git_dir),
                _ => DotGit::Broken,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => DotGit::Broken,
        Err(_) => DotGit::Absent,
    }
}

/// git's own test: a `HEAD` that looks like one, and `objects` and `refs` in the common directory.
fn is_git_directory(path: &Path) -> bool {
    head::text(path).is_some_and(|head| head::is_plausible(&head))
        && common_path(path).is_some_and(|common| common.join("objects").is_dir() && common.join("refs").exists())
}

/// What `commondir` says, or the directory itself without one; `None` when it cannot be understood.
fn common_path(git_dir: &Path) -> Option<PathBuf> {
    let path = git_dir.join("commondir");
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(git_dir.to_owned()),
        _ => one_line(&path).map(|line| git_dir.join(line)),
    }
}

fn common_directory(git_dir: &AbsPath) -> AbsPath {
    // Only asked of a git directory, whose common directory was just seen; if it has gone since, there is none.
    common_path(git_dir.as_path()).and_then(|path| real(&path).ok()).unwrap_or_else(|| git_dir.clone())
}

fn checkout_at(top: AbsPath, git_dir: AbsPath) -> GitLayout {
    let common_dir = common_directory(&git_dir);
    let mut main = main_checkout(&common_dir);
    if main.top.is_none() && !main.bare && git_dir == common_dir {
        main.top = Some(top.clone());
    }
    let checkout = if git_dir == common_dir {
        if main.top.as_ref() == Some(&top) { CheckoutKind::Main } else { CheckoutKind::Other }
    } else {
        linked_name(&top, &git_dir, &common_dir).map_or(CheckoutKind::Other, |name| CheckoutKind::Linked { name })
    };
    main.layout(top, git_dir, common_dir, checkout)
}

/// For a directory inside a git directory: it belongs to the main checkout where it lies in that, as `.git/hooks` does.
fn inside_git_directory(directory: &AbsPath, found: AbsPath) -> GitLayout {
    let common_dir = common_directory(&found);
    let main = main_checkout(&common_dir);
    match &main.top {
        Some(top) if directory.is_within(top) => {
            let top = top.clone();
            main.layout(top, common_dir.clone(), common_dir, CheckoutKind::Main)
        }
        _ if main.bare && directory.is_within(&common_dir) => {
            main.layout(common_dir.clone(), common_dir.clone(), common_dir, CheckoutKind::Main)
        }
        _ if directory.is_within(&common_dir) => main.layout(common_dir.clone(), common_dir.clone(), common_dir, CheckoutKind::Other),
        _ => main.layout(found.clone(), found, common_dir, CheckoutKind::Other),
    }
}

struct MainCheckout {
    top: Option<AbsPath>,
    bare: bool,
}

impl MainCheckout {
    fn layout(self, worktree: AbsPath, git_dir: AbsPath, common_dir: AbsPath, checkout: CheckoutKind) -> GitLayout {
        let main_known = self.top.is_some() || self.bare;
        let main_worktree = self.top.unwrap_or_else(|| common_dir.clone());
        GitLayout { worktree, git_dir, common_dir, main_worktree, main_known, bare: self.bare, checkout }
    }
}

/// The main checkout as the common directory alone tells it, so that every checkout gets the same answer.
fn main_checkout(common_dir: &AbsPath) -> MainCheckout {
    let config = layout_config(common_dir);
    let named_dot_git = common_dir.as_path().file_name().is_some_and(|name| name == ".git");
    let bare = config.bare.unwrap_or(!named_dot_git && config.worktree.is_none());
    // A stranger's config may name any directory, so what it names must lead back. This is what submodules have.
    let configured =
        config.worktree.and_then(|path| real(&common_dir.as_path().join(path)).ok()).filter(|top| !bare && leads_to(top, common_dir));
    // `.git` in its checkout, or a directory of another name with a `.git` file beside it that leads there.
    let beside = || common_dir.parent().filter(|parent| (named_dot_git && !bare) || leads_to(parent, common_dir));
    let top = configured.or_else(beside);
    MainCheckout { bare: bare && top.is_none(), top }
}

/// The name of a linked worktree, if `top` is really the one that the repository records under it.
fn linked_name(top: &AbsPath, git_dir: &AbsPath, common_dir: &AbsPath) -> Option<String> {
    if git_dir.parent()? != common_dir.join("worktrees") {
        return None;
    }
    let recorded = back_link(git_dir).and_then(|dot_git| real(dot_git.parent()?).ok());
    // After a plain `mv` the record is stale and git goes on; but where it leads to another checkout, this is a copy.
    let taken = || recorded.as_ref().is_some_and(|other| matches!(read_dot_git(other), DotGit::Leads(found) if found == *git_dir));
    let leads_back = recorded.as_ref() == Some(top) || !taken() && was_born_with(&top.join(".git"), &git_dir.join("commondir"));
    if leads_back { git_dir.as_path().file_name()?.to_str().map(str::to_owned) } else { None }
}

/// Whether both files were made at the same time, as git makes them for a new worktree. A `.git` that somebody writes
/// later, to take the place of a worktree whose record was left behind, was not.
fn was_born_with(one: &AbsPath, other: &AbsPath) -> bool {
    let born = |path: &AbsPath| fs::symlink_metadata(path).and_then(|metadata| metadata.created()).ok();
    let (Some(one), Some(other)) = (born(one), born(other)) else { return false };
    one.duration_since(other).unwrap_or_else(|error| error.duration()) < SAME_TIME
}

/// The `.git` file that a linked worktree's git directory says is its own.
fn back_link(git_dir: &AbsPath) -> Option<PathBuf> {
    one_line(git_dir.join("gitdir").as_path()).map(|line| git_dir.as_path().join(line))
}

fn real(path: &Path) -> io::Result<AbsPath> {
    AbsPath::new(fs::canonicalize(path)?).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_now_was_not_born_with_one_of_long_ago() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| AbsPath::new(directory.path()).unwrap().join(name);
        for name in ["one", "two"] {
            fs::write(path(name), "").unwrap();
        }
        let old = AbsPath::new(std::env::current_exe().unwrap()).unwrap();
        let is_old = fs::metadata(&old).unwrap().created().is_ok_and(|born| born.elapsed().is_ok_and(|age| age > SAME_TIME));
        let keeps_birth = fs::metadata(path("one")).unwrap().created().is_ok();
        assert_eq!(was_born_with(&path("one"), &path("two")), keeps_birth);
        assert!(!is_old || !was_born_with(&path("one"), &old));
        assert!(!was_born_with(&path("one"), &path("three")));
    }
}
