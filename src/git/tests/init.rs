//! Creating a repository, bare repositories, and variables of the environment.

use super::support::{Sandbox, again, git, layout, location};
use crate::git::{init::init, program::Git};

#[tokio::test]
async fn a_bare_repository_is_not_read() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    for format in ["files", "reftable"] {
        git(&work, &["init", "--quiet", "--bare", "--initial-branch=trunk", &format!("--ref-format={format}"), format]);
        let bare = work.join(format);
        assert!(Git::in_work_tree(&bare).await.unwrap().is_none(), "an untrusted bare repository is not read");
    }
}

#[tokio::test]
async fn creates_a_repository() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("new");
    assert!(!location(&path).is_git());
    init(&path).await.unwrap();
    assert!(location(&path).is_git());
    std::fs::write(path.join("file"), "").unwrap();
    assert!(init(&path.join("file")).await.is_err());
}

/// A daemon that was started from a git hook has such variables.
#[test]
fn environment_variables_do_not_redirect_git() {
    let decoy = Sandbox::new();
    let other = decoy.repository("other");
    again(
        "git::tests::init::environment_variables_do_not_redirect_git",
        |command| {
            command.env("GIT_DIR", other.join(".git").as_path()).env("GIT_WORK_TREE", other.as_path());
        },
        || {
            let sandbox = Sandbox::new();
            git(&sandbox.root, &["init", "--quiet", "--initial-branch=trunk", "--ref-format=reftable", "repo"]);
            let repo = sandbox.path("repo");
            assert_eq!(layout(&repo).worktree, repo);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let git = runtime.block_on(Git::in_work_tree(&repo)).unwrap().unwrap();
            let head = runtime.block_on(git.ask(&["symbolic-ref", "HEAD"])).unwrap().text().unwrap();
            assert_eq!(head, b"refs/heads/trunk\n");
        },
    );
}
