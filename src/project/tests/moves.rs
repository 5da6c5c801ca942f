//! Which directories keep their identity, and which get a new one.

use std::{fs, sync::Barrier, thread};

use polytree_protocol::id::ProjectId;

use super::support::{Registry, Sandbox, git, id_file, names_below};
use crate::store::ProjectChange;

#[test]
fn a_mere_read_writes_nothing_and_is_kept() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let before = names_below(&repo);
    let mut registry = Registry::new();
    let seen = registry.peek(&repo);
    assert!(seen.changed && !seen.project.claimed);
    assert!(!registry.peek(&repo).changed);
    assert_eq!(names_below(&repo), before);

    let claimed = registry.claim(&repo);
    assert_eq!((&claimed.project.id, claimed.checkout), (&seen.project.id, seen.checkout));
    assert!(claimed.project.claimed && !claimed.changed, "clients see no difference");
    assert_eq!(claimed.project.time, seen.project.time);
    let mut after = before;
    after.push(".git/polytree-id".to_owned());
    after.sort();
    assert_eq!(names_below(&repo), after);
    assert_eq!(id_file(&repo), Some(format!("{}\n", seen.project.id)));
}

#[test]
fn worktrees_share_and_clones_do_not() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("repo");
    let (one, two) = (sandbox.linked(&repo, "one"), sandbox.linked(&repo, "two"));
    git(&sandbox.root, &["clone", "--quiet", "repo", "clone"]);
    let mut registry = Registry::new();
    let id = registry.claim_id(&one);
    assert_eq!([registry.peek_id(&repo), registry.peek_id(&two), registry.claim_id(&repo)], [id.clone(), id.clone(), id.clone()]);
    let clone = registry.claim_id(&sandbox.path("clone"));
    assert_ne!(clone, id);
    let listed: Vec<_> = registry.list().into_iter().map(|project| (project.id, project.worktree)).collect();
    assert_eq!(listed, [(clone, sandbox.path("clone")), (id, repo)]);
}

#[test]
fn a_moved_repository_stays_the_same() {
    let sandbox = Sandbox::new();
    sandbox.repository("a");
    let mut registry = Registry::new();
    let first = registry.claim(&sandbox.path("a"));
    registry.change(&first.project.id, ProjectChange::Name("Name".to_owned()));
    let moved = sandbox.rename("a", "b");
    let second = registry.peek(&moved);
    assert!(second.changed);
    assert_eq!((second.checkout, &second.project.worktree), (first.checkout, &moved));
    assert_eq!(second.project.name.as_deref(), Some("Name"));
    assert_eq!(second.project.time.created, first.project.time.created);

    // Another repository at its path is another project.
    let other = sandbox.repository("a");
    assert_ne!(registry.claim_id(&other), first.project.id);
    assert_eq!(registry.peek_id(&sandbox.path("b")), first.project.id);
}

#[test]
fn a_repository_that_was_only_read_may_move_too() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    let id = registry.peek_id(&repo);
    let born = fs::metadata(repo.join(".git")).unwrap().created().is_ok();
    let moved = sandbox.rename("a", "b");
    assert_eq!(registry.peek_id(&moved) == id, born, "known by the time of its birth, where there is one");
}

#[test]
fn a_moved_repository_whose_place_was_taken() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    sandbox.rename("a", "b");
    let new = sandbox.repository("a");
    let other = registry.claim(&new).project;
    assert_ne!(other.id, id);
    assert!(registry.is_missing(&id), "another project is at its place");
    assert_eq!(registry.peek_id(&sandbox.path("b")), id);
    assert!(!registry.is_missing(&id));
    assert_eq!(registry.peek_id(&new), other.id);
}

#[test]
fn a_copied_repository_gets_its_own() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    registry.change(&id, ProjectChange::Trust(vec![("f".to_owned(), "d".to_owned())]));
    let copy = sandbox.copy("a", "b");
    let own = registry.peek(&copy).project;
    assert_ne!(own.id, id);
    assert!(!own.trusted);
    assert_eq!(id_file(&copy), Some(format!("{id}\n")), "a read does not repair it");
    assert_eq!(registry.peek_id(&copy), own.id);
    assert_eq!(registry.claim_id(&copy), own.id);
    assert_eq!(id_file(&copy), Some(format!("{}\n", own.id)));
    assert_eq!(registry.peek_id(&repo), id);
    assert_eq!(id_file(&repo), Some(format!("{id}\n")));
    // Another daemon sees two projects as well.
    let mut other = Registry::new();
    assert_eq!((other.peek_id(&repo), other.peek_id(&copy)), (id, own.id));
}

#[test]
fn a_copy_that_was_read_keeps_what_it_was_told() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    registry.claim(&repo);
    let copy = sandbox.copy("a", "b");
    let own = registry.peek_id(&copy);
    fs::remove_dir_all(&repo).unwrap();
    assert_eq!(registry.claim_id(&copy), own);
    assert_eq!(id_file(&copy), Some(format!("{own}\n")));
}

#[test]
fn a_copy_in_place_of_the_original_is_the_project() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    sandbox.copy("a", "backup");
    fs::remove_dir_all(&repo).unwrap();
    let restored = sandbox.rename("backup", "a");
    assert_eq!(registry.claim_id(&restored), id, "restored");
    sandbox.copy("a", "c");
    fs::remove_dir_all(&restored).unwrap();
    assert_eq!(registry.peek_id(&sandbox.path("c")), id, "moved to another disk");
}

#[test]
fn outside_git_the_path_is_the_project() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.make_directory("one"), sandbox.make_directory("two"));
    let inside = sandbox.make_directory("one/inside");
    let mut registry = Registry::new();
    let ids = [registry.claim_id(&one), registry.peek_id(&two), registry.peek_id(&inside)];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    std::os::unix::fs::symlink(&one, sandbox.path("link")).unwrap();
    assert_eq!(registry.peek_id(&sandbox.path("link")), ids[0]);
    assert_eq!(names_below(&one), ["inside"]);
    fs::remove_dir_all(&one).unwrap();
    assert!(registry.is_missing(&ids[0]));
    sandbox.make_directory("one");
    assert_eq!(registry.peek_id(&one), ids[0]);
}

#[test]
fn git_init_keeps_the_id() {
    let sandbox = Sandbox::new();
    let path = sandbox.make_directory("a");
    let mut registry = Registry::new();
    let plain = registry.claim(&path);
    assert_eq!(plain.project.vcs, None);
    git(&path, &["init", "--quiet"]);
    let read = registry.peek(&path);
    assert_eq!((&read.project.id, read.checkout), (&plain.project.id, plain.checkout));
    assert!(read.changed && read.project.vcs.is_some());
    assert_eq!(id_file(&path), None);
    assert_eq!(registry.claim_id(&path), plain.project.id);
    assert_eq!(id_file(&path), Some(format!("{}\n", plain.project.id)));

    // The id now belongs to the repository, and moves with it.
    let moved = sandbox.rename("a", "b");
    assert_eq!(registry.peek_id(&moved), plain.project.id);
    sandbox.make_directory("a");
    assert_ne!(registry.peek_id(&path), plain.project.id);
}

#[test]
fn an_id_of_another_daemon_is_adopted() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let (mut mine, mut theirs) = (Registry::new(), Registry::new());
    let read = mine.peek_id(&repo);
    let id = theirs.claim_id(&repo);
    assert_ne!(read, id);
    assert_eq!([mine.peek_id(&repo), mine.claim_id(&repo)], [id.clone(), id]);
    assert_eq!(mine.get(&read), None, "what was only read is forgotten");
    assert_eq!(mine.list().len(), 1);
}

#[test]
fn a_lost_id_file_is_written_again() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let mut registry = Registry::new();
    let id = registry.claim_id(&repo);
    for damage in [None, Some(""), Some("rubbish")] {
        fs::remove_file(repo.join(".git/polytree-id")).unwrap();
        if let Some(text) = damage {
            fs::write(repo.join(".git/polytree-id"), text).unwrap();
        }
        assert_eq!(registry.peek_id(&repo), id);
        assert_eq!(registry.claim_id(&repo), id);
        assert_eq!(id_file(&repo), Some(format!("{id}\n")));
    }
}

#[test]
fn all_who_claim_at_once_agree() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repository("a");
    let paths = [repo.clone(), sandbox.linked(&repo, "tree")];
    let shared = Registry::new();
    let barrier = Barrier::new(8);
    let claim = |number: usize| {
        // Half of them are daemons with separate stores, half share one.
        let mut registry = if number.is_multiple_of(2) { shared.clone() } else { Registry::new() };
        barrier.wait();
        registry.claim_id(&paths[number / 2 % 2])
    };
    let ids: Vec<ProjectId> = thread::scope(|scope| {
        let claimants: Vec<_> = (0..8).map(|number| scope.spawn(move || claim(number))).collect();
        claimants.into_iter().map(|claimant| claimant.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(shared.list().len(), 1);
}
