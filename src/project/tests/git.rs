//! Branches and commits, and making a repository.

use std::fs;

use super::support::{Sandbox, commit, git, layout, location};
use crate::{
    project::git::{has_commits, head_branch, init, is_repo},
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
async fn a_head_that_climbs_out_names_no_commit() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    fs::write(sandbox.path("outside"), "0".repeat(40)).unwrap();
    fs::write(repo.join(".git/HEAD"), "ref: refs/../../../outside\n").unwrap();
    assert!(!has_commits(&layout(&repo)).await.unwrap());
}

#[tokio::test]
async fn makes_a_repository() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("new");
    assert!(!is_repo(&location(&path)));
    init(&path).await.unwrap();
    assert!(is_repo(&location(&path)));
    assert!(!has_commits(&layout(&path)).await.unwrap());
    commit(&path);
    assert!(has_commits(&layout(&path)).await.unwrap());
    assert!(init(&sandbox.path("none/such\0")).await.is_err());
}
