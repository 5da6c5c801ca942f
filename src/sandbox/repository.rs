//! Where git keeps the files of a worktree. A `.git` that any command could have written must not open other places, so
//! a git directory outside of the worktree counts only if it leads back to the worktree.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    git::layout::{CheckoutKind, locate},
    stdx::paths::AbsPath,
};

/// Where git keeps the list of object stores elsewhere, in the common directory.
pub const ALTERNATES: &str = "objects/info/alternates";

/// Where git keeps its files for a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The git directory of the worktree.
    pub own: PathBuf,
    /// The git directory that all worktrees of the repository share.
    pub common: PathBuf,
}

impl Repository {
    /// The repository of a worktree, whose path is real; `None` where there is none, or where it neither leads back nor is one of
    /// the `named` directories, which commands may write anyway. All paths are real.
    #[must_use]
    pub fn of(worktree: &Path, named: &[PathBuf]) -> Option<Self> {
        let entry = worktree.join(".git");
        if fs::symlink_metadata(&entry).is_ok_and(|found| found.is_dir()) {
            // It lies in the worktree, and a `commondir` in it is not followed.
            return Some(Self { own: entry.clone(), common: entry });
        }
        let location = locate(&AbsPath::new(worktree)?).ok()?;
        let layout = location.git().filter(|layout| layout.worktree.as_path() == worktree)?;
        let leads_back = match layout.checkout {
            CheckoutKind::Main => layout.main_leads_back(),
            CheckoutKind::Linked { .. } => true,
            CheckoutKind::Other => false,
        };
        // Without a `commondir`, which could lead anywhere.
        let is_named = layout.git_dir == layout.common_dir && named.iter().any(|path| path == layout.git_dir.as_path());
        (leads_back || is_named).then(|| Self { own: layout.git_dir.as_path().to_owned(), common: layout.common_dir.as_path().to_owned() })
    }

    /// Whether it is the repository's main worktree, with all of git's files in it.
    #[must_use]
    pub fn is_main(&self) -> bool {
        self.own == self.common
    }

    /// The directories that a command may read besides the worktree: no private place, and none that holds one.
    #[must_use]
    pub fn readable(&self, private: &HashSet<PathBuf>) -> Vec<PathBuf> {
        let own = [&self.own, &self.common].into_iter().cloned();
        own.chain(self.alternates()).filter(|path| is_apart(path, private)).collect()
    }

    /// The directories that a command may write besides the worktree. What other worktrees have of their own is not among them.
    #[must_use]
    pub fn writable(&self, private: &HashSet<PathBuf>) -> Vec<PathBuf> {
        let mut paths = vec![self.own.clone()];
        if !self.is_main() {
            paths.extend(["objects", "refs", "logs", "rr-cache"].map(|name| self.common.join(name)));
        }
        // A link is not followed.
        paths.retain(|path| is_apart(path, private) && fs::canonicalize(path).is_ok_and(|real| real == *path));
        paths
    }

    /// The stores of objects elsewhere that are those of a repository.
    fn alternates(&self) -> Vec<PathBuf> {
        let list = self.common.join(ALTERNATES);
        if !fs::canonicalize(&list).is_ok_and(|real| real == list) {
            return Vec::new();
        }
        let text = fs::read_to_string(&list).unwrap_or_default();
        let stores = text.lines().filter_map(|line| fs::canonicalize(self.common.join("objects").join(line)).ok());
        stores.filter(|store| is_store(store)).collect()
    }
}

/// Whether it is the directory `objects` of a repository.
fn is_store(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| name == "objects");
    let is_filled = path.join("pack").is_dir() || path.join("info").is_dir();
    is_named && is_filled && path.parent().is_some_and(|parent| parent.join("HEAD").is_file() && parent.join("refs").is_dir())
}

/// Whether it is neither private, nor below a private place, nor holds one, as a home directory does.
fn is_apart(path: &Path, private: &HashSet<PathBuf>) -> bool {
    path.parent().is_some() && !private.iter().any(|other| path.starts_with(other) || other.starts_with(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What git takes for a git directory.
    fn make_git(path: &Path) {
        for name in ["objects/info", "objects/pack", "refs"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        write(&path.join("HEAD"), "ref: refs/heads/main\n");
        write(&path.join("config"), "[core]\n\tbare = false\n");
    }

    #[test]
    fn a_git_directory_outside_counts_only_if_it_leads_back() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (home, tree) = (top.join("home"), top.join("tree"));
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir_all(home.join("x")).unwrap();
        make_git(&home.join("other/.git"));
        assert_eq!(Repository::of(&tree, &[]), None);
        for target in ["home", "home/x", "home/other/.git"] {
            let target = top.join(target);
            write(&tree.join(".git"), &format!("gitdir: {}\n", target.display()));
            assert_eq!(Repository::of(&tree, &[]), None, "a file that names {target:?}");
            fs::remove_file(tree.join(".git")).unwrap();
            symlink(&target, tree.join(".git")).unwrap();
            assert_eq!(Repository::of(&tree, &[]), None, "a link to {target:?}");
            fs::remove_file(tree.join(".git")).unwrap();
        }

        // But one that the settings open does, since that is protected then.
        let apart = home.join("apart");
        make_git(&apart);
        write(&tree.join(".git"), &format!("gitdir: {}\n", apart.display()));
        assert_eq!(Repository::of(&tree, &[home.join("other/.git"), home.clone()]), None);
        assert_eq!(Repository::of(&tree, std::slice::from_ref(&apart)), Some(Repository { own: apart.clone(), common: apart.clone() }));
        write(&apart.join("commondir"), &format!("{}\n", home.join("other/.git").display()));
        assert_eq!(Repository::of(&tree, &[apart]), None);

        // A linked worktree leads back, and so does a submodule.
        let own = home.join("other/.git/worktrees/tree");
        write(&own.join("HEAD"), "ref: refs/heads/side\n");
        write(&own.join("commondir"), "../..\n");
        write(&own.join("gitdir"), &format!("{}\n", tree.join(".git").display()));
        write(&tree.join(".git"), &format!("gitdir: {}\n", own.display()));
        assert_eq!(Repository::of(&tree, &[]), Some(Repository { own, common: home.join("other/.git") }));
        let module = home.join("other/.git/modules/m");
        make_git(&module);
        write(&module.join("config"), &format!("[core]\n\tbare = false\n\tworktree = {}\n", tree.display()));
        write(&tree.join(".git"), &format!("gitdir: {}\n", module.display()));
        assert_eq!(Repository::of(&tree, &[]), Some(Repository { own: module.clone(), common: module }));

        // A directory does not lead out of the worktree.
        fs::remove_file(tree.join(".git")).unwrap();
        write(&tree.join(".git/commondir"), &format!("{}\n", home.display()));
        assert_eq!(Repository::of(&tree, &[]), Some(Repository { own: tree.join(".git"), common: tree.join(".git") }));
    }

    #[test]
    fn only_stores_of_objects_that_are_not_private_are_alternates() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (home, tree) = (top.join("home"), top.join("tree"));
        for name in ["tree/.git", "home/good/.git", "home/keys/.git"] {
            make_git(&top.join(name));
        }
        for name in ["home/plain/objects/pack", "home/bare/info"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        let private = HashSet::from([home.join("keys"), home.join(".ssh")]);
        let lines = ["/".into(), home.clone(), top.join("home/plain/objects"), top.join("home/bare")];
        let lines = lines.into_iter().chain(["home/keys/.git/objects", "home/good/.git/objects"].map(|name| top.join(name)));
        let text: String = lines.map(|path| format!("{}\n", path.display())).collect();
        let list = tree.join(".git").join(ALTERNATES);
        write(&list, &text);
        let repository = Repository::of(&tree, &[]).unwrap();
        let git = tree.join(".git");
        assert_eq!(repository.readable(&private), [git.clone(), git.clone(), home.join("good/.git/objects")]);

        // A list that a link leads to is not read.
        fs::rename(&list, tree.join("list")).unwrap();
        symlink(tree.join("list"), &list).unwrap();
        assert_eq!(repository.readable(&private), [git.clone(), git]);
    }

    #[test]
    fn private_places_and_what_holds_them_are_not_granted() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        for name in ["home/objects", "home/worktrees/w", "data/objects"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        symlink(top.join("data"), top.join("home/logs")).unwrap();
        let (home, own) = (top.join("home"), top.join("home/worktrees/w"));
        let repository = Repository { own: own.clone(), common: home.clone() };
        let private = HashSet::from([home.join(".ssh"), top.join("data")]);
        assert_eq!(repository.writable(&private), [own.clone(), home.join("objects")]);
        assert_eq!(repository.readable(&private), [own]);
        let other = Repository { own: top.join("data"), common: top.join("data") };
        assert!(other.readable(&private).is_empty() && other.writable(&private).is_empty());
    }
}
