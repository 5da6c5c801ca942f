//! Forged id files.

use std::{fs, os::unix::fs::symlink};

use super::support::{Registry, Sandbox, git, id_file};

#[test]
fn a_pipe_does_not_block() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    for name in ["config", "HEAD", "commondir", "polytree-id"] {
        let file = repo.join(".git").join(name);
        let _ = fs::remove_file(&file);
        rustix::fs::mknodat(rustix::fs::CWD, file.as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        Registry::new().claim(&repo);
    }
}

/// Grants and trust of a repository apply only in its checkouts.
#[test]
fn who_only_leads_to_a_repository_is_another_project() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let tree = sandbox.linked(&repo, "tree");
    git(&sandbox.root, &["init", "--quiet", "--separate-git-dir=store", "apart"]);
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    let apart = registry.claim_id(&sandbox.path("apart"));
    assert_eq!(registry.claim_id(&tree), id);
    let file = |name: &str, target: &str| {
        let directory = sandbox.make_directory(name);
        fs::write(directory.join(".git"), format!("gitdir: {target}\n")).unwrap();
        directory
    };
    let mut liars = vec![
        file("file", "../repo/.git"),
        file("repo/vendor", "../.git"),
        file("copied", &repo.join(".git/worktrees/tree").to_string()),
        file("store-too", "../store"),
    ];
    liars.push(sandbox.make_directory("link"));
    symlink("../repo/.git", liars[4].join(".git")).unwrap();
    liars.push(sandbox.make_directory("common"));
    for directory in [sandbox.make_directory("common/.git"), sandbox.make_directory("inside")] {
        fs::write(directory.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(directory.join("commondir"), format!("{}\n", repo.join(".git"))).unwrap();
    }
    liars.push(sandbox.path("inside"));
    for liar in &liars {
        let own = registry.peek_id(liar);
        assert!(own != id && own != apart, "{liar}");
        assert_eq!([registry.claim_id(liar), registry.peek_id(liar)], [own.clone(), own], "{liar}");
        assert_eq!(registry.peek(liar).project.worktree, *liar);
    }
    assert_eq!([registry.peek_id(&repo), registry.peek_id(&tree)], [id.clone(), id.clone()]);
    assert_eq!((id_file(&repo), registry.peek_id(&sandbox.path("apart"))), (Some(format!("{id}\n")), apart));
}

#[test]
fn an_id_file_that_is_a_link() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let before = fs::read("/etc/passwd").unwrap();
    symlink("/etc/passwd", repo.join(".git/polytree-id")).unwrap();
    let mut registry = Registry::new();
    let id = registry.peek_id(&repo);
    assert!(fs::symlink_metadata(repo.join(".git/polytree-id")).unwrap().is_symlink(), "a read repairs nothing");
    assert_eq!(registry.claim_id(&repo), id);
    assert_eq!(id_file(&repo), Some(format!("{id}\n")));
    assert!(fs::symlink_metadata(repo.join(".git/polytree-id")).unwrap().is_file());
    assert_eq!(fs::read("/etc/passwd").unwrap(), before);
}

#[test]
fn an_id_file_that_is_a_directory() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    fs::create_dir(repo.join(".git/polytree-id")).unwrap();
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    assert_eq!(registry.claim_id(&repo), id, "the registry serves");
}
