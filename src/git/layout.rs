//! Finds the repository of a directory from `.git`, `commondir`, `gitdir` and `config` alone. Works for every
//! repository that git supports, with any owner and extensions, without running or writing anything. Environment
//! variables such as `GIT_DIR` are ignored: the daemon serves many directories.

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

/// The size limit of a config file; a larger one is treated as empty.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// git creates the files of a new worktree within this time.
const MAX_CREATION_GAP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Git(GitLayout),
    Plain {
        /// The directory itself; with `broken`, the directory that contains the broken `.git`.
        root: AbsPath,
        /// There is a `.git` that points nowhere or cannot be read.
        broken: bool,
    },
}

/// The directories of a repository, as real paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitLayout {
    /// The root of the checkout that contains the located directory.
    pub worktree: AbsPath,
    /// The git directory of this checkout.
    pub git_dir: AbsPath,
    /// The common git directory of all checkouts.
    pub common_dir: AbsPath,
    /// The main checkout; the common directory itself if there is none.
    pub main_worktree: AbsPath,
    /// Whether `main_worktree` is certain. A git directory outside its checkout does not name it, so from a linked
    /// worktree it can only be guessed.
    pub main_known: bool,
    /// The repository has no main checkout.
    pub bare: bool,
    pub checkout: CheckoutKind,
}

/// One of a repository's checkouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutKind {
    /// The main checkout, or the bare directory.
    Main,
    Linked {
        /// The name of its directory in `worktrees/` in the common directory; does not change when the worktree moves.
        name: String,
    },
    /// Anything else that points to the repository: a copy of a linked worktree, the inside of a git directory.
    Other,
}

impl GitLayout {
    /// Whether the directory only claims to belong to the repository: its `.git` points there, but nothing points back.
    /// Such a file may come from an archive that was unpacked beside the repository.
    pub fn is_foreign(&self) -> bool {
        self.checkout == CheckoutKind::Other && !self.worktree.is_within(&self.common_dir)
    }

    /// Whether the repository names this main checkout. A git directory outside of it may not.
    pub fn main_leads_back(&self) -> bool {
        self.bare || self.common_dir == self.worktree.join(".git") || main_checkout(&self.common_dir).top.as_ref() == Some(&self.worktree)
    }
}

impl Location {
    /// The root of the checkout, or the directory itself outside git.
    pub fn worktree(&self) -> &AbsPath {
        match self {
            Location::Git(layout) => &layout.worktree,
            Location::Plain { root, .. } => root,
        }
    }

    /// The main checkout, or the directory itself outside git.
    pub fn main_worktree(&self) -> &AbsPath {
        match self {
            Location::Git(layout) => &layout.main_worktree,
            Location::Plain { root, .. } => root,
        }
    }

    pub fn is_git(&self) -> bool {
        matches!(self, Location::Git(_))
    }

    pub fn git(&self) -> Option<&GitLayout> {
        match self {
            Location::Git(layout) => Some(layout),
            Location::Plain { .. } => None,
        }
    }
}

/// Finds the repository of a directory, which must be a real path, see [`AbsPath::real`].
///
/// As git does, it searches upwards for the first `.git` that points to a repository, or for a directory that is itself
/// a git directory. A `.git` file that points nowhere ends the search: a repository above is another one.
///
/// # Errors
/// When the path does not exist, is not a directory, or cannot be accessed.
pub fn locate(directory: &AbsPath) -> io::Result<Location> {
    small_file::with_descriptor_check(|| look_up(directory))
}

fn look_up(directory: &AbsPath) -> io::Result<Location> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    for top in directory.ancestors() {
        match read_dot_git(&top) {
            DotGit::PointsTo(git_dir) => return Ok(Location::Git(checkout_at(top, git_dir))),
            DotGit::Broken => return Ok(Location::Plain { root: top, broken: true }),
            DotGit::Absent if is_git_directory(top.as_path()) => return Ok(Location::Git(inside_git_directory(directory, top))),
            DotGit::Absent => {}
        }
    }
    Ok(Location::Plain { root: directory.clone(), broken: false })
}

/// Whether the `.git` in `top` points to the repository with this common directory.
pub fn leads_to(top: &AbsPath, common_dir: &AbsPath) -> bool {
    matches!(read_dot_git(top), DotGit::PointsTo(git_dir) if common_directory(&git_dir) == *common_dir)
}

/// The current path of the linked worktree of this name by the repository's record; `None` if that is stale.
pub fn linked_worktree(common_dir: &AbsPath, name: &str) -> Option<AbsPath> {
    let git_dir = common_dir.join("worktrees").join(name);
    let dot_git = back_link(&git_dir)?;
    let top = real(dot_git.parent()?).ok()?;
    matches!(read_dot_git(&top), DotGit::PointsTo(found) if found == git_dir).then_some(top)
}

/// The settings that decide the layout of a repository.
fn layout_config(common_dir: &AbsPath) -> LayoutConfig {
    let read = |name: &str| small_file::read(common_dir.join(name).as_path(), MAX_CONFIG_BYTES, Links::Follow).unwrap_or_default();
    let mut config = LayoutConfig::default();
    config.read(&String::from_utf8_lossy(&read("config")));
    if config.worktree_config {
        config.read(&String::from_utf8_lossy(&read("config.worktree")));
    }
    config
}

enum DotGit {
    /// The git directory that it is or points to, a real path.
    PointsTo(AbsPath),
    /// A file that points nowhere, or one that cannot be read.
    Broken,
    /// Nothing, or a directory that is not a git directory.
    Absent,
}

fn read_dot_git(top: &AbsPath) -> DotGit {
    let path = top.join(".git");
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => match real(path.as_path()) {
            Ok(git_dir) if is_git_directory(git_dir.as_path()) => DotGit::PointsTo(git_dir),
            // It may be a repository; using one above it would be a guess.
            _ if fs::read_dir(&path).is_err() => DotGit::Broken,
            _ => DotGit::Absent,
        },
        Ok(_) => {
            let target = one_line(path.as_path()).and_then(|line| Some(line.strip_prefix("gitdir:")?.trim_start().to_owned()));
            // Joined as text and resolved by the operating system: `..` after a symbolic link is not lexical.
            match target.map(|target| real(&top.as_path().join(target))) {
                Some(Ok(git_dir)) if is_git_directory(git_dir.as_path()) => DotGit::PointsTo(git_dir),
                _ => DotGit::Broken,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => DotGit::Broken,
        Err(_) => DotGit::Absent,
    }
}

/// git's own test: a plausible `HEAD`, and `objects` and `refs` in the common directory.
fn is_git_directory(path: &Path) -> bool {
    head::text(path).is_some_and(|head| head::is_plausible(&head))
        && common_path(path).is_some_and(|common| common.join("objects").is_dir() && common.join("refs").exists())
}

/// The path in `commondir`, or the directory itself without one; `None` if it is malformed.
fn common_path(git_dir: &Path) -> Option<PathBuf> {
    let path = git_dir.join("commondir");
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(git_dir.to_owned()),
        _ => one_line(&path).map(|line| git_dir.join(line)),
    }
}

fn common_directory(git_dir: &AbsPath) -> AbsPath {
    // The caller has just seen the common directory; if it was removed since, fall back.
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

/// For a directory inside a git directory, such as `.git/hooks`: it belongs to the main checkout if that contains it.
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

/// Determines the main checkout from the common directory alone, so that every checkout gets the same result.
fn main_checkout(common_dir: &AbsPath) -> MainCheckout {
    let config = layout_config(common_dir);
    let named_dot_git = common_dir.as_path().file_name().is_some_and(|name| name == ".git");
    let bare = config.bare.unwrap_or(!named_dot_git && config.worktree.is_none());
    // An untrusted config may name any directory, so the directory must point back. Submodules have this setting.
    let configured =
        config.worktree.and_then(|path| real(&common_dir.as_path().join(path)).ok()).filter(|top| !bare && leads_to(top, common_dir));
    // `.git` in its checkout, or a directory of another name with a `.git` file beside it that points there.
    let beside = || common_dir.parent().filter(|parent| (named_dot_git && !bare) || leads_to(parent, common_dir));
    let top = configured.or_else(beside);
    MainCheckout { bare: bare && top.is_none(), top }
}

/// The name of a linked worktree, if `top` is the one in the repository's record.
fn linked_name(top: &AbsPath, git_dir: &AbsPath, common_dir: &AbsPath) -> Option<String> {
    if git_dir.parent()? != common_dir.join("worktrees") {
        return None;
    }
    let recorded = back_link(git_dir).and_then(|dot_git| real(dot_git.parent()?).ok());
    // After a plain `mv` the record is stale, and git still works; but if it points to another checkout, this is a
    // copy.
    let taken = || recorded.as_ref().is_some_and(|other| matches!(read_dot_git(other), DotGit::PointsTo(found) if found == *git_dir));
    let leads_back = recorded.as_ref() == Some(top) || !taken() && was_created_with(&top.join(".git"), &git_dir.join("commondir"));
    if leads_back { git_dir.as_path().file_name()?.to_str().map(str::to_owned) } else { None }
}

/// Whether both files were created at the same time, as git does for a new worktree. A `.git` that was written later,
/// to claim the stale record of a removed worktree, was not.
fn was_created_with(one: &AbsPath, other: &AbsPath) -> bool {
    let born = |path: &AbsPath| fs::symlink_metadata(path).and_then(|metadata| metadata.created()).ok();
    let (Some(one), Some(other)) = (born(one), born(other)) else { return false };
    one.duration_since(other).unwrap_or_else(|error| error.duration()) < MAX_CREATION_GAP
}

/// The `.git` file in the record of a linked worktree.
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
    fn files_of_different_age_were_not_created_together() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| AbsPath::new(directory.path()).unwrap().join(name);
        for name in ["one", "two"] {
            fs::write(path(name), "").unwrap();
        }
        let old = AbsPath::new(std::env::current_exe().unwrap()).unwrap();
        let is_old = fs::metadata(&old).unwrap().created().is_ok_and(|born| born.elapsed().is_ok_and(|age| age > MAX_CREATION_GAP));
        let has_creation_time = fs::metadata(path("one")).unwrap().created().is_ok();
        assert_eq!(was_created_with(&path("one"), &path("two")), has_creation_time);
        assert!(!is_old || !was_created_with(&path("one"), &old));
        assert!(!was_created_with(&path("one"), &path("three")));
    }
}
