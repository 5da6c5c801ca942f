//! Id files that lie.

use std::{fs, os::unix::fs::symlink};

use super::support::{Registry, Sandbox, id_file};

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
