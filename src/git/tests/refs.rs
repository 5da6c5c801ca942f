//! Branches and commits, and creating a repository.

use std::fs;

use super::support::{Sandbox, again, commit, git, layout, location};
use crate::{
    git::{
        program::Git,
        refs::{has_commits, head_branch, init},
    },
    stdx::paths::AbsPath,
};

async fn state(path: &AbsPath) -> (Option<String>, bool) {
    let layout = layout(path);
    (head_branch(&layout).await.unwrap(), has_commits(&layout).await.unwrap())
}

#[tokio::test]
async fn branches_and_commits() {
    let sandbox = Sandbox::new();
    for (name, format) in [("files", "--ref-format=files"), ("reftable", "--ref-format=reftable")] {
        git(&sandbox.root, &["init", "--quiet", "--initial-branch=trunk", format, name]);
        let path = sandbox.path(name);
        assert_eq!(state(&path).await, (Some("trunk".to_owned()), false), "{name}");
        commit(&path);
        assert_eq!(state(&path).await, (Some("trunk".to_owned()), true), "{name}");
        git(&path, &["pack-refs", "--all"]);
        assert_eq!(state(&path).await, (Some("trunk".to_owned()), true), "{name}, packed");
        git(&path, &["checkout", "--quiet", "-b", "topic/one"]);
        let tree = sandbox.linked(&path, &format!("{name}-tree"));
        assert_eq!(state(&path).await, (Some("topic/one".to_owned()), true), "{name}");
        assert_eq!(state(&tree).await, (Some(format!("{name}-tree")), true), "{name}");
        git(&path, &["checkout", "--quiet", "--detach"]);
        assert_eq!(state(&path).await, (None, true), "{name}, detached");
        git(&path, &["checkout", "--quiet", "--orphan", "empty"]);
        assert_eq!(state(&path).await, (Some("empty".to_owned()), false), "{name}, orphan");
    }
}

#[tokio::test]
async fn a_bare_repository_needs_an_explicit_git_directory() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    for format in ["files", "reftable"] {
        git(&work, &["init", "--quiet", "--bare", "--initial-branch=trunk", &format!("--ref-format={format}"), format]);
        let bare = work.join(format);
        assert_eq!(state(&bare).await, (Some("trunk".to_owned()), false), "{format}");
        assert!(Git::in_work_tree(&bare).await.unwrap().is_none(), "an untrusted bare repository is not read");
    }
}

#[tokio::test]
async fn a_head_that_points_outside_has_no_commit() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    fs::write(sandbox.path("outside"), "0".repeat(40)).unwrap();
    fs::write(repo.join(".git/HEAD"), "ref: refs/../../../outside\n").unwrap();
    assert!(!has_commits(&layout(&repo)).await.unwrap());
}

#[tokio::test]
async fn creates_a_repository() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("new");
    assert!(!location(&path).is_git());
    init(&path).await.unwrap();
    assert!(location(&path).is_git());
    assert!(!has_commits(&layout(&path)).await.unwrap());
    commit(&path);
    assert!(has_commits(&layout(&path)).await.unwrap());
    assert!(init(&path.join("file")).await.is_err());
}

/// A daemon that was started from a git hook has such variables.
#[test]
fn environment_variables_do_not_redirect_git() {
    let decoy = Sandbox::new();
    let other = decoy.repository("other");
    again(
        "git::tests::refs::environment_variables_do_not_redirect_git",
        |command| {
            command.env("GIT_DIR", other.join(".git").as_path()).env("GIT_WORK_TREE", other.as_path());
        },
        || {
            let sandbox = Sandbox::new();
            git(&sandbox.root, &["init", "--quiet", "--initial-branch=trunk", "--ref-format=reftable", "repo"]);
            let repo = sandbox.path("repo");
            assert_eq!(layout(&repo).worktree, repo);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            assert_eq!(runtime.block_on(state(&repo)), (Some("trunk".to_owned()), false));
        },
    );
}
