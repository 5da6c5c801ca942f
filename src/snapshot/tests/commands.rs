//! What commands did, and what nobody knows of it.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use polytree_protocol::id::SessionId;

use super::support::{KINDS, Kind, World, chmod, write};
use crate::{
    git::tests::support::git,
    snapshot::{Action, ChangeSet, Error, State, ledger::Limits},
    stdx::{ids, paths::AbsPath},
};

fn names(world: &World, set: &ChangeSet) -> Vec<String> {
    set.changes.iter().map(|change| change.path.relative_to(&world.root)).collect()
}

#[tokio::test]
async fn only_what_the_command_did_is_its_own() {
    for kind in KINDS {
        let world = World::new(kind, &[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]).await;
        write(&world.root, "a", "mine before\n");
        chmod(&world.root, "c", 0o755);
        let set = world.command(|root| write(root, "b", "two\n")).await;
        assert_eq!(names(&world, &set), ["b"], "{kind:?}");
        write(&world.root, "c", "mine after\n");
        let set = world.command(|_| {}).await;
        assert!(set.is_empty(), "{set:?}");
        // Touched, written with the same, or made and removed again: nothing has changed.
        let set = world
            .command(|root| {
                write(root, "a", "mine before\n");
                chmod(root, "b", 0o600);
                chmod(root, "b", 0o644);
                write(root, "t", "");
                fs::remove_file(root.join("t")).unwrap();
            })
            .await;
        assert!(set.is_empty(), "{kind:?} {set:?}");
    }
}

#[tokio::test]
async fn commits_and_checkouts_are_seen_through() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n")]).await;
    let before = world.map();
    let set = world
        .command(|root| {
            git(root, &["checkout", "--quiet", "-b", "other"]);
            write(root, "a", "one\n");
            write(root, "n", "new\n");
            git(root, &["rm", "--quiet", "b"]);
            git(root, &["add", "-A"]);
            git(root, &["commit", "--quiet", "-m", "two"]);
        })
        .await;
    assert_eq!(names(&world, &set), ["a", "b", "n"]);
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!(world.map(), before);
    // The index says something else of a file that nobody has written.
    git(&world.root, &["rm", "--quiet", "--cached", "a"]);
    let set = world.command(|root| write(root, "a", "again\n")).await;
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!(world.map(), before);
    git(&world.root, &["checkout", "--quiet", "--force", "main"]);
    let set = world.command(|root| git(root, &["checkout", "--quiet", "other"])).await;
    assert_eq!(names(&world, &set), ["a", "b", "n"]);
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!(world.map(), before);
}

#[tokio::test]
async fn what_is_too_much_is_uncovered_and_named() {
    let limits = Limits { file_bytes: 100, files: 3, bytes: 150 };
    let world = World::limited(Kind::Plain, &[("a", "1\n"), ("b", "2\n"), ("large", &"x".repeat(101))], limits).await;
    let set = world
        .command(|root| {
            write(root, "a", "one\n");
            write(root, "large", "small now\n");
        })
        .await;
    assert_eq!(names(&world, &set), ["a", "large"]);
    assert!(matches!(&set.changes[1].before, State::Unknown { reason } if reason.contains("101 bytes")), "{set:?}");
    let reverted = world.revert(&[set]).await.unwrap();
    assert_eq!(reverted.done.uncovered.len(), 1);
    assert_eq!(reverted.done.uncovered[0].path, world.root.join("large"));
    assert_eq!((world.read("a"), world.read("large")), ("1\n".into(), "small now\n".into()));
    reverted.journal.finish();
    // What a tool changes is kept whatever its size.
    let set = world.tool("large", "by a tool\n").await;
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!(world.read("large"), "small now\n");
    write(&world.root, "more", "3\n");
    write(&world.root, "most", "4\n");
    let set = world.command(|root| write(root, "most", "5\n")).await;
    assert!(matches!(&set.changes[0].before, State::Unknown { reason } if reason.contains("more than 3 files")), "{set:?}");
}

#[tokio::test]
async fn tools_and_commands_at_once_are_told_apart() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n")]).await;
    let running = world.following.begin(world.session.clone()).await;
    write(&world.root, "a", "by the command\n");
    let tool = world.tool("a", "by the tool\n").await;
    let new = world.tool("new", "by the tool\n").await;
    write(&world.root, "b", "by the command\n");
    let set = running.end().await;
    assert_eq!(names(&world, &set), ["a", "b"]);
    world.made(world.revert(&[tool, new]).await.unwrap()).await;
    assert_eq!((world.read("a"), world.root.join("new").as_path().exists()), ("by the command\n".into(), false));
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!((world.read("a"), world.read("b")), ("1\n".into(), "2\n".into()));
}

#[tokio::test]
async fn with_commands_of_several_sessions_nobody_knows_whose_it_is() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n")]).await;
    let mine = world.following.begin(world.session.clone()).await;
    write(&world.root, "a", "mine\n");
    let theirs = world.following.begin(SessionId::from_ulid(ids::next())).await;
    write(&world.root, "b", "whose?\n");
    let (mine, theirs) = (mine.end().await, theirs.end().await);
    assert_eq!((names(&world, &mine), names(&world, &theirs)), (vec!["a".into(), "b".into()], vec!["b".into()]));
    let reverted = world.revert(&[mine]).await.unwrap();
    assert_eq!(reverted.done.files.iter().map(|file| file.action).collect::<Vec<_>>(), [Action::Restore]);
    assert_eq!(reverted.done.uncovered.len(), 1, "{reverted:?}");
    assert_eq!(world.read("b"), "whose?\n");
    reverted.journal.finish();
    // A session's own commands side by side are its own.
    let one = world.following.begin(world.session.clone()).await;
    let two = world.following.begin(world.session.clone()).await;
    write(&world.root, "b", "both\n");
    let sets = [one.end().await, two.end().await];
    world.made(world.revert(&sets).await.unwrap()).await;
    assert_eq!(world.read("b"), "whose?\n");
}

#[tokio::test]
async fn contents_that_a_filter_changes_are_copied() {
    let world = World::new(Kind::Repository, &[(".gitattributes", "*.x filter=turn\n"), ("a.x", "abc\n")]).await;
    // The repository holds other bytes than the work tree, and as many.
    git(&world.root, &["config", "filter.turn.clean", "tr abc xyz"]);
    git(&world.root, &["config", "filter.turn.smudge", "tr xyz abc"]);
    git(&world.root, &["add", "--renormalize", "-A"]);
    git(&world.root, &["commit", "--quiet", "-m", "filtered"]);
    let set = world.command(|root| write(root, "a.x", "other\n")).await;
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!(world.read("a.x"), "abc\n");
}

#[tokio::test]
async fn a_file_that_came_from_a_place_that_is_not_covered_is_not_deleted() {
    for kind in KINDS {
        let world = World::new(kind, &[(".gitignore", "*.key\n"), ("a", "1\n"), ("b", "2\n")]).await;
        for (directory, path, text) in [(&world.root, "secret.key", "key\n"), (&world.data, "outside", "outside\n")] {
            write(directory, path, text);
            let long_ago = SystemTime::now() - Duration::from_secs(1000);
            fs::File::options().append(true).open(directory.join(path)).unwrap().set_modified(long_ago).unwrap();
        }
        let moves = |root: &AbsPath| {
            fs::rename(root.join("secret.key"), root.join("kept")).unwrap();
            fs::rename(world.data.join("outside"), root.join("kept too")).unwrap();
            fs::rename(root.join("a"), root.join("moved")).unwrap();
            write(root, "new", "3\n");
        };
        let set = world.command(moves).await;
        let plan = world.preview(std::slice::from_ref(&set)).await;
        let uncovered: Vec<String> = plan.uncovered.iter().map(|file| file.path.relative_to(&world.root)).collect();
        assert_eq!(uncovered, ["kept", "kept too"], "{kind:?}");
        world.made(world.revert(&[set]).await.unwrap()).await;
        assert_eq!((world.read("kept too"), world.read("a")), ("outside\n".into(), "1\n".into()));
        assert!(!world.root.join("moved").as_path().exists() && !world.root.join("new").as_path().exists());
    }
}

#[tokio::test]
async fn what_is_made_beside_the_removal_of_what_has_no_image_stays() {
    let limits = Limits { file_bytes: 10, ..Limits::default() };
    let world = World::limited(Kind::Plain, &[("data", "more than ten bytes\n")], limits).await;
    let set = world
        .command(|root| {
            fs::remove_file(root.join("data")).unwrap();
            write(root, "packed", "packed\n");
        })
        .await;
    let reverted = world.revert(&[set]).await;
    assert!(matches!(reverted, Err(Error::Nothing(_))), "{reverted:?}");
    assert_eq!(world.read("packed"), "packed\n");
}
