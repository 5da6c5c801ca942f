//! Repositories and directories that are not writable, as an unprivileged user.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use super::support::{Registry, Sandbox, again, command, git, id_file, layout, location, names_below};
use crate::{
    git::{head::Head, layout::Location},
    provider::{KeyStore, KeyStoreError},
    stdx::paths::AbsPath,
};

/// An unprivileged user: `nobody`, if `tests/run` has not created one.
fn somebody() -> u32 {
    std::env::var("POLYTREE_TEST_UID").ok().and_then(|uid| uid.parse().ok()).unwrap_or(65534)
}

/// File modes do not restrict root, so root runs the test again in a process of another user.
fn unprivileged(test: &str, body: impl FnOnce()) {
    if rustix::process::geteuid().is_root() {
        let prepare = |command: &mut Command| {
            command.uid(somebody()).gid(65534);
        };
        again(&format!("project::tests::unwritable::{test}"), prepare, body);
    } else {
        body();
    }
}

fn set_mode(path: &AbsPath, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_read_only_repository_is_known_by_its_place() {
    unprivileged("a_read_only_repository_is_known_by_its_place", || {
        let sandbox = Sandbox::new();
        let repo = sandbox.repository("repo");
        git(&sandbox.root, &["clone", "--quiet", "repo", "clone"]);
        let clone = sandbox.path("clone");
        let tree = sandbox.linked(&repo, "tree");
        set_mode(&repo.join(".git"), 0o555);
        set_mode(&clone.join(".git"), 0o555);
        assert!(fs::write(repo.join(".git/probe"), "").is_err(), "modes must count here");
        let before = names_below(&repo);

        let mut registry = Registry::new();
        let id = registry.claim_id(&repo);
        assert_eq!([registry.claim_id(&repo), registry.peek_id(&tree), registry.claim_id(&tree)], [id.clone(), id.clone(), id.clone()]);
        assert_ne!(registry.claim_id(&clone), id);
        assert_eq!((id_file(&repo), names_below(&repo)), (None, before));

        let moved = sandbox.rename("repo", "moved");
        let born = fs::metadata(moved.join(".git")).unwrap().created().is_ok();
        assert_eq!(registry.claim_id(&moved) == id, born);

        // A copy of it, with another inode, is another project; its id is written once it is writable.
        sandbox.copy("moved", "copy");
        let copied = registry.claim_id(&sandbox.path("copy"));
        assert_ne!(copied, id);
        set_mode(&sandbox.path("copy/.git"), 0o755);
        assert_eq!(registry.claim_id(&sandbox.path("copy")), copied);
        assert_eq!(id_file(&sandbox.path("copy")), Some(format!("{copied}\n")));
        set_mode(&moved.join(".git"), 0o755);
        set_mode(&clone.join(".git"), 0o755);
    });
}

#[test]
fn a_copy_that_cannot_be_written_is_still_told_apart() {
    unprivileged("a_copy_that_cannot_be_written_is_still_told_apart", || {
        let sandbox = Sandbox::new();
        let repo = sandbox.repository("repo");
        let mut registry = Registry::new();
        let id = registry.claim_id(&repo);
        let copy = sandbox.copy("repo", "copy");
        set_mode(&copy.join(".git"), 0o555);
        let copied = registry.claim_id(&copy);
        assert_ne!(copied, id);
        assert_eq!([registry.peek_id(&copy), registry.claim_id(&copy), registry.claim_id(&repo)], [copied.clone(), copied, id.clone()]);
        assert_eq!(id_file(&copy), Some(format!("{id}\n")));
        set_mode(&copy.join(".git"), 0o755);
    });
}

#[test]
fn what_may_not_be_read_is_not_crossed() {
    unprivileged("what_may_not_be_read_is_not_crossed", || {
        let sandbox = Sandbox::new();
        sandbox.repository("outer");
        let inner = sandbox.repository("outer/inner");
        set_mode(&inner.join(".git"), 0o000);
        assert_eq!(location(&inner), Location::Plain { root: inner.clone(), broken: true });
        let mut registry = Registry::new();
        assert_ne!(registry.claim_id(&inner), registry.claim_id(&sandbox.path("outer")));
        set_mode(&inner.join(".git"), 0o755);
        assert!(matches!(location(&inner), Location::Git(_)));
    });
}

#[test]
fn a_key_store_in_a_place_that_cannot_be_written() {
    unprivileged("a_key_store_in_a_place_that_cannot_be_written", || {
        let sandbox = Sandbox::new();
        let data = sandbox.make_directory("data");
        let store = KeyStore::new(&data);
        store.set("groq", "sk-before").unwrap();
        set_mode(&data, 0o555);
        for error in [store.set("xai", "sk-new"), store.remove("groq").map(drop)] {
            let error = error.unwrap_err();
            assert!(matches!(error, KeyStoreError::File { .. }) && !error.to_string().contains("sk-"), "{error}");
        }
        assert_eq!(store.keys().unwrap()["groq"].expose(), "sk-before");
        set_mode(&data, 0o755);
        set_mode(&data.join("auth.json"), 0o000);
        // Mode 0000 must not lose its identity.
        assert!(matches!(store.set("xai", "sk-new"), Err(KeyStoreError::File { .. })));
        set_mode(&data.join("auth.json"), 0o644);
        assert_eq!(store.keys().unwrap()["groq"].expose(), "sk-before");
        assert_eq!(fs::metadata(data.join("auth.json")).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

/// Only root can change an owner.
#[test]
fn a_key_store_of_another_owner_is_refused() {
    if rustix::process::geteuid().is_root() {
        let sandbox = Sandbox::new();
        let store = KeyStore::new(&sandbox.root);
        store.set("groq", "sk-before").unwrap();
        let file = sandbox.path("auth.json");
        std::os::unix::fs::chown(file.as_path(), Some(somebody()), None).unwrap();
        for result in [store.keys().map(drop), store.set("xai", "sk-new")] {
            assert!(result.unwrap_err().to_string().contains("another user"));
        }
    }
}

/// git and its library refuse to open such a repository; identifying its project needs neither. Only root can change an owner.
#[test]
fn a_repository_of_another_owner() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    if rustix::process::geteuid().is_root() {
        assert!(command("chown").arg("-R").arg(somebody().to_string()).arg(repo.as_path()).status().unwrap().success());
    }
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    assert_eq!(id_file(&repo), Some(format!("{id}\n")));
    let head = Head::read(layout(&repo).git_dir.as_path()).unwrap();
    assert_eq!(head.branch(), Some("main"));
}
