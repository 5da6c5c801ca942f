//! Reverts of what tools and commands did.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::support::{KINDS, Kind, World, chmod, link, map, write};
use crate::{
    git::tests::support::git,
    snapshot::{Action, Error, Plan},
    stdx::paths::AbsPath,
};

fn actions(plan: &Plan, root: &AbsPath) -> Vec<(String, Action)> {
    plan.files.iter().map(|file| (file.path.relative_to(root), file.action)).collect()
}

#[tokio::test]
async fn files_are_as_before_and_then_as_after_again_in_every_kind_of_directory() {
    for kind in KINDS {
        let world = World::new(kind, &[("a", "1\n"), ("d/b", "2\n"), ("run", "3\n"), ("gone", "4\n"), ("moved", "5\n")]).await;
        write(&world.root, "untracked", "6\n");
        link(&world.root, "link", "a");
        let before = world.map();
        let mut sets = vec![world.tool("a", "one\n").await, world.tool("new/deep/c", "c\n").await];
        let set = world
            .command(|root| {
                write(root, "d/b", "two\n");
                write(root, "a", "one and more\n");
                chmod(root, "run", 0o755);
                fs::remove_file(root.join("gone")).unwrap();
                fs::rename(root.join("moved"), root.join("d/moved")).unwrap();
                write(root, "untracked", "six\n");
                write(root, "made/by/command", "7\n");
                link(root, "link", "d/b");
            })
            .await;
        assert_eq!(set.uncovered, []);
        assert_eq!(set.changes.len(), 9, "{kind:?}: {set:#?}");
        sets.push(set);
        write(&world.root, "other", "of somebody else\n");
        let after = world.map();

        let plan = world.preview(&sets).await;
        assert_eq!(world.map(), after, "a preview changes nothing");
        let expected = [
            ("d/moved", Action::Delete),
            ("made/by/command", Action::Delete),
            ("new/deep/c", Action::Delete),
            ("a", Action::Restore),
            ("d/b", Action::Restore),
            ("gone", Action::Create),
            ("link", Action::Restore),
            ("moved", Action::Create),
            ("run", Action::Restore),
            ("untracked", Action::Restore),
        ];
        assert_eq!(actions(&plan, &world.root), expected.map(|(path, action)| (path.to_owned(), action)), "{kind:?}");
        let reverted = world.revert(&sets).await.unwrap();
        assert_eq!(reverted.done.files, plan.files);
        let mut expected = before.clone();
        expected.extend(map(&world.root).remove_entry("other"));
        assert_eq!(world.map(), expected, "{kind:?}");
        let made = world.made(reverted).await;
        let again = world.revert(&[made]).await.unwrap();
        assert_eq!(world.map(), after, "{kind:?}");
        let made = world.made(again).await;
        world.made(world.revert(&[made]).await.unwrap()).await;
        assert_eq!(world.map(), expected, "{kind:?}: once more");
    }
}

#[tokio::test]
async fn what_somebody_changed_since_is_merged_or_named() {
    for kind in KINDS {
        let world = World::new(kind, &[("a", "1\n2\n3\n4\n5\n"), ("b", "1\n2\n3\n"), ("c", "c\n")]).await;
        let sets = [
            world.tool("a", "1\n2\n3\n4\nfive\n").await,
            world.tool("b", "1\ntwo\n3\n").await,
            world.tool("c", "C\n").await,
            world.tool("n", "new\n").await,
        ];
        write(&world.root, "a", "mine\n2\n3\n4\nfive\n");
        write(&world.root, "b", "1\nmine\n3\n");
        let mine = world.map();
        let Err(Error::Conflict(plan)) = world.revert(&sets).await else { panic!("it is a conflict") };
        assert_eq!(plan.conflicts().map(|file| file.path.relative_to(&world.root)).collect::<Vec<_>>(), ["b"]);
        assert!(plan.conflicts().all(|file| file.reason.is_some()));
        assert_eq!(world.map(), mine, "nothing was changed");

        let reverted = world.revert_part(&sets, true).await.unwrap();
        let kinds: Vec<Action> = reverted.done.files.iter().map(|file| file.action).collect();
        assert_eq!(kinds, [Action::Delete, Action::Merge, Action::Conflict, Action::Restore]);
        assert_eq!((world.read("a"), world.read("b"), world.read("c")), ("mine\n2\n3\n4\n5\n".into(), "1\nmine\n3\n".into(), "c\n".into()));
        assert!(!world.root.join("n").as_path().exists());
        let made = world.made(reverted).await;
        // And on the way back what came since is merged too.
        write(&world.root, "a", "mine\n2\n3\n4\n5\nmore\n");
        assert!(matches!(world.revert(std::slice::from_ref(&made)).await, Err(Error::Conflict(_))));
        write(&world.root, "a", "mine\n2\nalso\n3\n4\n5\n");
        world.made(world.revert(&[made]).await.unwrap()).await;
        assert_eq!(world.read("a"), "mine\n2\nalso\n3\n4\nfive\n");
    }
}

#[tokio::test]
async fn a_directory_goes_with_its_last_file() {
    let world = World::new(Kind::Plain, &[("a", "1\n")]).await;
    let before = world.map();
    let sets = [world.tool("new/1", "1\n").await, world.tool("new/2", "2\n").await, world.tool("new/deep/3", "3\n").await];
    let made = world.made(world.revert(&sets[1..]).await.unwrap()).await;
    assert!(world.root.join("new/1").as_path().exists() && !world.root.join("new/deep").as_path().exists());
    world.made(world.revert(&[made]).await.unwrap()).await;
    world.made(world.revert(&sets).await.unwrap()).await;
    assert_eq!(world.map(), before);
}

#[tokio::test]
async fn nothing_to_undo_is_said() {
    let world = World::new(Kind::Plain, &[("a", "1\n")]).await;
    assert!(matches!(world.revert(&[]).await, Err(Error::Nothing(_))));
    let set = world.tool("a", "2\n").await;
    write(&world.root, "a", "1\n");
    let Err(Error::Nothing(plan)) = world.revert(std::slice::from_ref(&set)).await else { panic!("there is nothing") };
    assert_eq!(plan.files[0].action, Action::Skip);
    fs::remove_file(world.root.join("a")).unwrap();
    assert!(matches!(world.revert_part(&[set], true).await, Err(Error::Conflict(_))), "it was deleted by somebody else");
}

#[tokio::test]
async fn the_repository_is_never_written() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n")]).await;
    write(&world.root, "b", "staged\n");
    git(&world.root, &["add", "b"]);
    write(&world.root, "a", "stashed\n");
    git(&world.root, &["stash", "push", "--quiet", "a"]);
    let of_git = || {
        let mut all = map(&world.root.join(".git"));
        all.retain(|path, _| !path.ends_with('/'));
        all
    };
    let before = of_git();
    let number = fs::metadata(world.root.join(".git/index")).unwrap().ino();
    let sets = [world.tool("a", "x\n").await, world.command(|root| write(root, "b", "y\n")).await];
    world.made(world.revert(&sets).await.unwrap()).await;
    assert_eq!((world.read("a"), world.read("b")), ("1\n".into(), "staged\n".into()));
    assert!(of_git() == before);
    assert_eq!(fs::metadata(world.root.join(".git/index")).unwrap().ino(), number);
}

#[tokio::test]
async fn ignored_files_that_a_tool_names_come_back() {
    let world = World::new(Kind::Repository, &[(".gitignore", "*.log\nsecret/\n")]).await;
    write(&world.root, "x.log", "1\n");
    chmod(&world.root, "x.log", 0o600);
    let sets = [world.tool("x.log", "2\n").await, world.tool("secret/y", "3\n").await];
    world.made(world.revert(&sets).await.unwrap()).await;
    assert_eq!(world.read("x.log"), "1\n");
    assert_eq!(fs::metadata(world.root.join("x.log")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.root.join("secret").as_path().exists());
}

#[tokio::test]
async fn a_link_is_never_followed() {
    let world = World::new(Kind::Plain, &[("d/a", "1\n"), ("elsewhere/a", "theirs\n")]).await;
    let set = world.tool("d/a", "2\n").await;
    fs::rename(world.root.join("d"), world.root.join("real")).unwrap();
    link(&world.root, "d", "elsewhere");
    let before = world.map();
    let Err(Error::Conflict(plan)) = world.revert(&[set]).await else { panic!("it is a conflict") };
    assert!(plan.files[0].reason.as_ref().unwrap().contains("symbolic link"), "{plan:?}");
    assert_eq!(world.map(), before);
}

#[tokio::test]
async fn a_file_and_a_directory_take_each_others_place() {
    for kind in KINDS {
        let world = World::new(kind, &[("a", "file\n"), ("d/b", "below\n")]).await;
        let before = world.map();
        let set = world
            .command(|root| {
                fs::remove_file(root.join("a")).unwrap();
                write(root, "a/x/y", "1\n");
                fs::remove_dir_all(root.join("d")).unwrap();
                write(root, "d", "2\n");
            })
            .await;
        let after = world.map();
        let made = world.made(world.revert(std::slice::from_ref(&set)).await.unwrap()).await;
        assert_eq!(world.map(), before);
        world.made(world.revert(&[made]).await.unwrap()).await;
        assert_eq!(world.map(), after);
        // A file of somebody else is in the way.
        write(&world.root, "a/theirs", "3\n");
        let theirs = world.map();
        assert!(matches!(world.revert(&[set]).await, Err(Error::Conflict(_))));
        assert_eq!(world.map(), theirs);
    }
}

#[tokio::test]
async fn a_process_that_ends_anywhere_is_followed_by_one_that_finishes() {
    // A revert of four files passes so many places.
    for end in 0..30 {
        let mut world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n"), ("l", "3\n"), ("r", "4\n")]).await;
        let before = world.map();
        let sets = [
            world.tool("a", "one\n").await,
            world.tool("new/c", "c\n").await,
            world
                .command(|root| {
                    link(root, "l", "a");
                    write(root, "r", "four\n");
                    chmod(root, "r", 0o755);
                })
                .await,
        ];
        let after = world.map();
        let passed = Arc::new(AtomicUsize::new(0));
        let (counted, at) = (Arc::clone(&passed), Arc::new(std::sync::Mutex::new(String::new())));
        let noted = Arc::clone(&at);
        world
            .restart(move |place| {
                let is_end = counted.fetch_add(1, Ordering::SeqCst) == end;
                if is_end {
                    place.clone_into(&mut noted.lock().unwrap());
                }
                is_end
            })
            .await;
        match world.revert(&sets).await {
            Ok(_) => {
                assert!(end > 10, "it passes more places than {end}");
                return;
            }
            Err(Error::Killed) => {}
            Err(error) => panic!("{error}"),
        }
        let at = at.lock().unwrap().clone();
        // Somebody works on before the next process starts.
        write(&world.root, "theirs", "5\n");
        world.restart(|_| false).await;
        let mut recovered = world.snapshots.recover().await;
        fs::remove_file(world.root.join("theirs")).unwrap();
        if at == "planned" {
            assert!(recovered.is_empty());
            assert_eq!(world.map(), after);
            continue;
        }
        let recovered = recovered.pop().unwrap();
        assert_eq!(recovered.label, serde_json::json!("label"));
        assert_eq!(world.map(), before, "ended at {end}, {at}");
        let id = recovered.done.changes.unwrap();
        // It is not noted yet, so the next process does the same once more.
        world.restart(|_| false).await;
        let again = world.snapshots.recover().await.pop().unwrap();
        assert_eq!(again.done.changes, Some(id), "ended at {at}");
        again.journal.finish();
        assert!(world.snapshots.recover().await.is_empty());
        let made = world.snapshots.changes(&world.root, id).await.unwrap();
        world.made(world.revert(&[made]).await.unwrap()).await;
        assert_eq!(world.map(), after, "ended at {at}");
    }
    panic!("it never came to an end");
}
