//! Malicious repositories.

use std::{fs, os::unix::fs::symlink};

use super::support::{Sandbox, git, layout, location};
use crate::git::layout::{CheckoutKind, Location};

#[test]
fn git_files_that_point_nowhere() {
    let sandbox = Sandbox::new();
    sandbox.repository("outer");
    let path = sandbox.make_directory("outer/inner");
    let deep = sandbox.make_directory("outer/inner/deep");
    let broken = Location::Plain { root: path.clone(), broken: true };
    let huge = format!("gitdir: {}", "/x".repeat(1 << 20));
    for content in [
        "",
        "gitdir: /no/such/place\n",
        "gitdir: .git\n",
        "gitdir: .\n",
        "gitdir:\n",
        "gitdir: /dev/zero\n",
        "rubbish",
        "gitdir: a\nb",
        "gitdir: a\0b",
        &huge,
    ] {
        fs::write(path.join(".git"), content).unwrap();
        assert_eq!(location(&path), broken, "{content:.40?}");
        assert_eq!(location(&deep), broken, "{content:.40?}");
    }
    fs::write(path.join(".git"), b"gitdir: \xff\xfe").unwrap();
    assert_eq!(location(&path), broken);
}

#[test]
fn git_files_in_a_circle() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.make_directory("one"), sandbox.make_directory("two"));
    fs::write(one.join(".git"), "gitdir: ../two/.git").unwrap();
    fs::write(two.join(".git"), "gitdir: ../one/.git").unwrap();
    assert_eq!(location(&one), Location::Plain { root: one, broken: true });
    let three = sandbox.make_directory("three");
    symlink(".git", three.join(".git")).unwrap();
    assert_eq!(location(&three), Location::Plain { root: three, broken: false }, "a link to itself is nothing");
}

#[test]
fn a_pipe_does_not_block() {
    let sandbox = Sandbox::new();
    let pipe = |path: &crate::stdx::paths::AbsPath| {
        rustix::fs::mknodat(rustix::fs::CWD, path.as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    };
    let path = sandbox.make_directory("top");
    pipe(&path.join(".git"));
    assert_eq!(location(&path), Location::Plain { root: path, broken: true });
    let repo = sandbox.repository("repo");
    for name in ["config", "HEAD", "commondir"] {
        let file = repo.join(".git").join(name);
        let _ = fs::remove_file(&file);
        pipe(&file);
        let _ = location(&repo);
    }
}

#[test]
fn a_config_may_not_point_at_a_directory_that_is_not_its_own() {
    let sandbox = Sandbox::new();
    let (repo, victim) = (sandbox.repository("repo"), sandbox.repository("victim"));
    sandbox.make_directory("home");
    for target in ["../../home", "../../victim", "/", "../../no-such"] {
        git(&repo, &["config", "--file", ".git/config", "core.worktree", target]);
        let layout = layout(&repo);
        assert_eq!((layout.worktree, layout.main_worktree), (repo.clone(), repo.clone()), "{target}");
    }
    fs::write(repo.join(".git/config"), "x".repeat(2 << 20)).unwrap();
    assert_eq!(layout(&repo).main_worktree, repo);
    assert_eq!(layout(&victim).main_worktree, victim);
}

#[test]
fn a_common_directory_must_be_a_git_directory() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    for content in ["/", "/no/such", ".", "../..", &"../".repeat(5000), ""] {
        fs::write(repo.join(".git/commondir"), content).unwrap();
        match location(&repo) {
            Location::Plain { root, .. } => assert_eq!(root, repo),
            Location::Git(layout) => assert_eq!(layout.common_dir, repo.join(".git"), "{content:.20}"),
        }
    }
}

/// A `.git` file can point to any repository, as in a linked worktree; but that never makes it the main checkout.
#[test]
fn a_pointer_to_another_repository_is_not_a_checkout_of_it() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    sandbox.linked(&repo, "tree");
    let liar = sandbox.make_directory("liar");
    for target in [".git", ".git/worktrees/tree"] {
        fs::write(liar.join(".git"), format!("gitdir: {}\n", repo.join(target))).unwrap();
        let layout = layout(&liar);
        assert_eq!((layout.checkout, layout.main_worktree, layout.worktree), (CheckoutKind::Other, repo.clone(), liar.clone()));
    }
}
