//! All layouts of directories and repositories.

use std::fs;

use super::support::{Sandbox, commit, git, layout, location};
use crate::git::layout::{CheckoutKind, GitLayout, Location, locate};

fn linked(name: &str) -> CheckoutKind {
    CheckoutKind::Linked { name: name.to_owned() }
}

#[test]
fn outside_git() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("a/b");
    assert_eq!(location(&path), Location::Plain { root: path, broken: false });
    fs::write(sandbox.path("file"), "").unwrap();
    assert!(locate(&sandbox.path("file")).is_err());
    assert!(locate(&sandbox.path("none")).is_err());
}

#[test]
fn a_clone_and_what_is_inside() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let expected = GitLayout {
        worktree: repo.clone(),
        git_dir: repo.join(".git"),
        common_dir: repo.join(".git"),
        main_worktree: repo.clone(),
        main_known: true,
        bare: false,
        checkout: CheckoutKind::Main,
    };
    let inside = sandbox.make_directory("repo/deep/er");
    for path in [&repo, &inside, &repo.join(".git"), &repo.join(".git/objects"), &repo.join(".git/hooks")] {
        assert_eq!(layout(path), expected, "{path}");
    }
    std::os::unix::fs::symlink(&inside, sandbox.path("link")).unwrap();
    assert_eq!(layout(&sandbox.path("link")), expected);
    std::os::unix::fs::symlink(&repo, sandbox.path("top")).unwrap();
    assert_eq!(layout(&sandbox.path("top").join("deep")), expected);
}

#[test]
fn a_repository_without_commits() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("new");
    git(&path, &["init", "--quiet"]);
    assert_eq!(layout(&path).checkout, CheckoutKind::Main);
}

#[test]
fn a_repository_in_a_repository() {
    let sandbox = Sandbox::new();
    sandbox.repository("outer");
    let inner = sandbox.repository("outer/inner");
    assert_eq!(layout(&inner).worktree, inner);
    let deep = sandbox.make_directory("outer/not/a/repo");
    fs::create_dir(deep.join(".git")).unwrap();
    assert_eq!(layout(&deep).worktree, sandbox.path("outer"), "an empty .git is none");
}

#[test]
fn linked_worktrees() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let one = sandbox.linked(&repo, "one");
    let two = sandbox.linked(&one, "repo/two");
    for (path, name) in [(&one, "one"), (&two, "two")] {
        let expected = GitLayout {
            worktree: path.clone(),
            git_dir: repo.join(".git/worktrees").join(name),
            common_dir: repo.join(".git"),
            main_worktree: repo.clone(),
            main_known: true,
            bare: false,
            checkout: linked(name),
        };
        assert_eq!(layout(path), expected);
    }
    assert_eq!(layout(&repo.join(".git/worktrees/one")).worktree, repo, "the inside of .git is the main checkout's");
    let moved = sandbox.rename("one", "moved");
    assert_eq!(layout(&moved).checkout, linked("one"), "git goes on after a plain mv, so do we");
    let copy = sandbox.copy("repo/two", "copy");
    assert_eq!((layout(&copy).checkout, layout(&copy).common_dir), (CheckoutKind::Other, repo.join(".git")));
    assert_eq!(layout(&two).checkout, linked("two"));
}

#[test]
fn bare_repositories() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    git(&sandbox.root, &["clone", "--quiet", "--bare", "repo", "bare"]);
    let bare = sandbox.path("bare");
    let expected = GitLayout {
        worktree: bare.clone(),
        git_dir: bare.clone(),
        common_dir: bare.clone(),
        main_worktree: bare.clone(),
        main_known: true,
        bare: true,
        checkout: CheckoutKind::Main,
    };
    assert_eq!(layout(&bare), expected);
    assert_eq!(layout(&bare.join("refs/heads")), expected);
    let tree = sandbox.linked(&bare, "tree");
    let GitLayout { worktree, common_dir, main_worktree, bare: is_bare, checkout, .. } = layout(&tree);
    assert_eq!((worktree, common_dir, main_worktree, is_bare), (tree, bare.clone(), bare, true));
    assert_eq!(checkout, linked("tree"));
    assert!(!layout(&repo).bare);
}

/// A common layout: a bare repository and its worktrees in one directory.
#[test]
fn a_bare_repository_with_a_git_file_beside_it() {
    let sandbox = Sandbox::new();
    sandbox.repository("repo");
    let top = sandbox.make_directory("top");
    git(&top, &["clone", "--quiet", "--bare", "../repo", ".bare"]);
    fs::write(top.join(".git"), "gitdir: ./.bare\n").unwrap();
    let tree = sandbox.linked(&top, "top/tree");
    for path in [&top, &tree, &top.join(".bare")] {
        let layout = layout(path);
        assert_eq!((layout.main_worktree, layout.common_dir), (top.clone(), top.join(".bare")), "{path}");
    }
    assert_eq!(layout(&tree).checkout, linked("tree"));
    assert_eq!(layout(&top).checkout, CheckoutKind::Main);
}

#[test]
fn submodules() {
    let sandbox = Sandbox::new();
    sandbox.repository("library");
    let outer = sandbox.repository("outer");
    git(&outer, &["submodule", "--quiet", "add", "../library", "vendor/lib"]);
    let module = outer.join("vendor/lib");
    let expected = GitLayout {
        worktree: module.clone(),
        git_dir: outer.join(".git/modules/vendor/lib"),
        common_dir: outer.join(".git/modules/vendor/lib"),
        main_worktree: module.clone(),
        main_known: true,
        bare: false,
        checkout: CheckoutKind::Main,
    };
    assert_eq!(layout(&module), expected);
    // This moves `core.worktree` to a second file.
    git(&module, &["sparse-checkout", "init"]);
    assert_eq!(layout(&module), expected);
    let tree = sandbox.linked(&module, "tree");
    assert_eq!((layout(&tree).main_worktree, layout(&tree).checkout), (module.clone(), linked("tree")));
    let inside = layout(&outer.join(".git/modules/vendor/lib/refs"));
    assert_eq!((inside.worktree, inside.main_worktree), (outer.join(".git/modules/vendor/lib"), module));
}

#[test]
fn a_separate_git_directory() {
    let sandbox = Sandbox::new();
    let top = sandbox.path("top");
    git(&sandbox.root, &["init", "--quiet", "--separate-git-dir=store", "top"]);
    commit(&top);
    let GitLayout { worktree, common_dir, main_worktree, main_known, checkout, .. } = layout(&top);
    assert_eq!((worktree, common_dir, main_worktree), (top.clone(), sandbox.path("store"), top.clone()));
    assert!(main_known);
    assert_eq!(checkout, CheckoutKind::Main);
    let tree = sandbox.linked(&top, "tree");
    assert_eq!((layout(&tree).main_worktree, layout(&tree).main_known), (sandbox.path("store"), false), "git does not know better");
}

#[test]
fn repositories_that_libraries_cannot_open() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    git(&repo, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{repo}");
    git(&sandbox.root, &["clone", "--quiet", "--filter=blob:none", url.as_str(), "partial"]);
    assert_eq!(layout(&sandbox.path("partial")).checkout, CheckoutKind::Main);

    git(&sandbox.root, &["init", "--quiet", "--ref-format=reftable", "reftable"]);
    let reftable = sandbox.path("reftable");
    assert!(reftable.join(".git/reftable").as_path().is_dir(), "this needs git 2.45");
    commit(&reftable);
    assert_eq!(layout(&reftable).checkout, CheckoutKind::Main);
    let tree = sandbox.linked(&reftable, "tree");
    assert_eq!((layout(&tree).main_worktree, layout(&tree).checkout), (reftable, linked("tree")));

    git(&sandbox.root, &["init", "--quiet", "--object-format=sha256", "sha256"]);
    let sha256 = sandbox.path("sha256");
    commit(&sha256);
    git(&sha256, &["checkout", "--quiet", "--detach"]);
    assert_eq!(layout(&sha256).checkout, CheckoutKind::Main);
}
