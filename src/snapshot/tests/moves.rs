//! Files that a command moved or packed out of places that undo does not cover: they stay, and are named.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use super::support::{KINDS, Kind, World, write};
use crate::{
    snapshot::{Action, Error, Plan, ledger::Limits},
    stdx::paths::AbsPath,
};

/// A file that nobody has written for a while.
fn old(directory: &AbsPath, path: &str, text: &str) {
    write(directory, path, text);
    age(&directory.join(path));
}

fn age(path: &AbsPath) {
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

fn rename(from: &AbsPath, to: &AbsPath) {
    fs::rename(from, to).unwrap();
}

fn uncovered(world: &World, plan: &Plan) -> Vec<String> {
    plan.uncovered.iter().map(|file| file.path.relative_to(&world.root)).collect()
}

fn there(world: &World, paths: &[&str]) -> Vec<bool> {
    paths.iter().map(|path| world.root.join(path).as_path().exists()).collect()
}

#[tokio::test]
async fn what_came_from_a_place_that_is_not_covered_stays() {
    for kind in KINDS {
        let world = World::new(kind, &[(".gitignore", "*.key\nbuild/\n"), ("a", "1\n"), ("b", "2\n")]).await;
        let deep = world.root.join("d/".repeat(30));
        fs::create_dir_all(&deep).unwrap();
        for (directory, path) in [(&world.root, "x.key"), (&world.root, "build/report"), (&world.data, "outside"), (&deep, "deep")] {
            old(directory, path, &format!("{path}\n"));
        }
        // Made before the command, however it was touched later.
        write(&world.root, "young.key", "young\n");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = world.command(|_| {}).await;
        assert!(before.is_empty(), "{before:?}");
        let set = world
            .command(|root| {
                rename(&root.join("x.key"), &root.join("x.old"));
                rename(&root.join("build/report"), &root.join("report"));
                rename(&world.data.join("outside"), &root.join("outside"));
                rename(&deep.join("deep"), &root.join("deep"));
                rename(&root.join("young.key"), &root.join("young"));
                fs::write(root.join("young"), "written after\n").unwrap();
                // A copy to another file system, or of a program that packs.
                old(root, "packed", "packed\n");
                // These are covered: a rename, and a copy of a file that is still there.
                rename(&root.join("a"), &root.join("moved"));
                old(root, "copy", "2\n");
                write(root, "new", "3\n");
            })
            .await;
        let plan = world.preview(std::slice::from_ref(&set)).await;
        // A repository is covered at any depth.
        let stay = ["deep", "outside", "packed", "report", "x.old", "young"];
        let stay = if kind == Kind::Plain { &stay[..] } else { &stay[1..] };
        assert_eq!(uncovered(&world, &plan), stay, "{kind:?}");
        assert!(plan.uncovered.iter().all(|file| file.reason.contains("may be the only copy")), "{plan:?}");
        world.made(world.revert(&[set]).await.unwrap()).await;
        assert!(there(&world, stay).iter().all(|is_there| *is_there));
        assert!(kind == Kind::Plain || deep.join("deep").as_path().exists());
        assert_eq!(there(&world, &["a", "moved", "copy", "new"]), [true, false, false, false]);
    }
}

#[tokio::test]
async fn what_was_made_of_a_file_without_a_copy_stays() {
    let limits = Limits { file_bytes: 10, ..Limits::default() };
    let files = [("data", "more than ten bytes\n"), ("log", "more than ten bytes\n")];
    let world = World::limited(Kind::Plain, &files, limits).await;
    let set = world
        .command(|root| {
            fs::remove_file(root.join("data")).unwrap();
            write(root, "packed", "packed\n");
        })
        .await;
    let reverted = world.revert(&[set]).await;
    assert!(matches!(&reverted, Err(Error::Nothing(plan)) if uncovered(&world, plan) == ["data", "packed"]), "{reverted:?}");
    let set = world
        .command(|root| {
            write(root, "log.1", "packed log\n");
            write(root, "log", "");
        })
        .await;
    let reverted = world.revert(&[set]).await;
    assert!(matches!(&reverted, Err(Error::Nothing(plan)) if uncovered(&world, plan) == ["log", "log.1"]), "{reverted:?}");
    assert_eq!(there(&world, &["packed", "log.1"]), [true; 2]);
}

#[tokio::test]
async fn a_renamed_file_stays_where_its_old_place_is_taken() {
    let world = World::new(Kind::Plain, &[("a", "1\n")]).await;
    let set = world.command(|root| rename(&root.join("a"), &root.join("moved"))).await;
    write(&world.root, "a", "of the user\n");
    assert!(matches!(world.revert(std::slice::from_ref(&set)).await, Err(Error::Conflict(_))));
    let other = world.command(|root| write(root, "other", "2\n")).await;
    let reverted = world.revert_part(&[set, other], true).await.unwrap();
    let actions: Vec<Action> = reverted.done.files.iter().map(|file| file.action).collect();
    assert_eq!(actions, [Action::Delete, Action::Conflict, Action::Skip], "{reverted:?}");
    reverted.journal.finish();
    assert_eq!((world.read("a"), world.read("moved")), ("of the user\n".into(), "1\n".into()));
}

#[tokio::test]
async fn a_moved_file_that_a_tool_writes_while_the_command_runs_is_not_deleted() {
    let world = World::new(Kind::Repository, &[(".gitignore", "*.key\n")]).await;
    old(&world.root, "x.key", "key\n");
    let running = world.following.begin(world.session.clone()).await;
    rename(&world.root.join("x.key"), &world.root.join("kept"));
    let tool = world.tool("kept", "by the tool\n").await;
    let set = running.end().await;
    let plan = world.preview(&[set, tool]).await;
    assert_eq!(uncovered(&world, &plan), ["kept"], "{plan:?}");
}
