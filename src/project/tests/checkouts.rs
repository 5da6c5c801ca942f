//! Sessions find their checkout again.

use std::fs;

use super::support::{Registry, Sandbox, commit, git};

#[test]
fn each_checkout_is_its_own_and_the_same_each_time() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    let mut registry = Registry::new();
    let (main, linked) = (registry.peek(&repo), registry.claim(&tree));
    assert_ne!(main.checkout, linked.checkout);
    assert_eq!(registry.peek(&sandbox.make_directory("tree/deep")).checkout, linked.checkout);
    assert_eq!(registry.peek(&repo.join(".git/hooks")).checkout, main.checkout);
    assert_eq!([registry.moved(main.checkout), registry.moved(linked.checkout)], [None, None]);
}

#[test]
fn a_moved_worktree_is_found_before_it_is_seen_again() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    let mut registry = Registry::new();
    let checkout = registry.claim(&tree).checkout;
    git(&repo, &["worktree", "move", "../tree", "../moved"]);
    let moved = sandbox.path("moved");
    assert_eq!(registry.moved(checkout), Some(moved.clone()));
    // A new worktree at the old path is another one, although git gives it the same name.
    let next = sandbox.linked(&repo, "tree");
    assert_ne!(registry.peek(&next).checkout, checkout);
    assert_eq!(registry.peek(&moved).checkout, checkout);
    assert_eq!(registry.moved(checkout), None, "where it was last seen");
}

#[test]
fn a_worktree_moved_behind_the_back_of_git() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    let mut registry = Registry::new();
    let seen = registry.claim(&tree);
    let moved = sandbox.rename("tree", "moved");
    assert_eq!(registry.moved(seen.checkout), None, "nobody knows where it is");
    let again = registry.peek(&moved);
    assert_eq!((again.checkout, &again.project.id), (seen.checkout, &seen.project.id));
}

#[test]
fn a_removed_worktree_is_missing_and_its_name_may_be_given_again() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    let mut registry = Registry::new();
    let first = registry.claim(&tree).checkout;
    git(&repo, &["worktree", "remove", "../tree"]);
    assert_eq!(registry.moved(first), None);
    let second = sandbox.make_directory("elsewhere").join("tree");
    git(&repo, &["worktree", "add", "--quiet", "--force", second.to_string().as_str(), "tree"]);
    assert_ne!(registry.peek(&second).checkout, first);
    assert_eq!(registry.moved(first), None);
    // At the old path it is the same checkout again.
    git(&repo, &["worktree", "add", "--quiet", "--force", tree.to_string().as_str(), "main", "--detach"]);
    registry.peek(&tree);
}

#[test]
fn worktrees_go_on_while_their_repository_is_moved() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    let mut registry = Registry::new();
    let (main, linked) = (registry.claim(&repo), registry.claim(&tree));
    let moved = sandbox.rename("repo", "moved");
    // The worktree's `.git` is dangling now, but the checkout is known.
    let broken = registry.claim(&tree);
    assert_eq!((&broken.project.id, broken.checkout), (&linked.project.id, linked.checkout));
    assert_eq!(registry.peek(&moved).checkout, main.checkout);
    git(&moved, &["worktree", "repair", "../tree"]);
    let repaired = registry.peek(&tree);
    assert_eq!((&repaired.project.id, repaired.checkout), (&main.project.id, linked.checkout));
}

#[test]
fn a_main_checkout_apart_from_its_git_directory_is_remembered() {
    let sandbox = Sandbox::new();
    git(&sandbox.root, &["init", "--quiet", "--separate-git-dir=store", "top"]);
    let top = sandbox.path("top");
    commit(&top);
    let tree = sandbox.linked(&top, "tree");
    let mut registry = Registry::new();
    assert_eq!(registry.peek(&tree).project.worktree, sandbox.path("store"), "a guess");
    let seen = registry.claim(&top);
    assert_eq!(seen.project.worktree, top);
    let again = registry.peek(&tree);
    assert_eq!((&again.project.id, &again.project.worktree, again.changed), (&seen.project.id, &top, false));
    fs::rename(&top, sandbox.path("moved")).unwrap();
    assert_eq!(registry.peek(&sandbox.path("moved")).checkout, seen.checkout);
}

#[test]
fn submodules_and_bare_repositories() {
    let sandbox = Sandbox::new();
    let outer = sandbox.repository("outer");
    sandbox.repository("library");
    git(&outer, &["submodule", "--quiet", "add", "../library", "sub"]);
    let mut registry = Registry::new();
    let (outside, inside) = (registry.claim(&outer), registry.claim(&outer.join("sub")));
    assert_ne!(outside.project.id, inside.project.id);
    assert_eq!(inside.project.worktree, outer.join("sub"));
    let moved = sandbox.rename("outer", "moved");
    assert_eq!(registry.peek(&moved.join("sub")).checkout, inside.checkout);

    git(&sandbox.root, &["clone", "--quiet", "--bare", "library", "bare"]);
    let tree = sandbox.linked(&sandbox.path("bare"), "tree");
    let (bare, linked) = (registry.claim(&sandbox.path("bare")), registry.claim(&tree));
    assert_eq!(bare.project, linked.project);
    assert_eq!(bare.project.worktree, sandbox.path("bare"));
    assert_ne!(bare.checkout, linked.checkout);
}
