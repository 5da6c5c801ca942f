//! Files that an editor holds.

use std::{fs, time::Duration};

use super::support::{Client, Kind, Manner, World, write};
use crate::snapshot::{Action, Error};

#[tokio::test]
async fn unsaved_text_is_seen_and_changed_in_the_editor() {
    for manner in [Manner::Edits, Manner::Saves] {
        let world = World::new(Kind::Repository, &[("a", "1\n2\n3\n4\n"), ("b", "b\n")]).await;
        let editor = Client::open(&world, 1, "a", "mine\n2\n3\n4\n", manner);
        let sets = [world.tool("a", "mine\n2\n3\nfour\n").await, world.tool("b", "B\n").await];
        let disk = world.read("a");
        editor.type_text("mine too\n2\n3\nfour\n");
        let reverted = world.revert(&sets).await.unwrap();
        assert_eq!(reverted.done.files.iter().map(|file| file.action).collect::<Vec<_>>(), [Action::Merge, Action::Restore]);
        assert_eq!(editor.text(), "mine too\n2\n3\n4\n");
        assert_eq!(world.read("a"), if manner == Manner::Saves { editor.text() } else { disk });
        assert_eq!(world.read("b"), "b\n");
        let made = world.made(reverted).await;
        world.made(world.revert(&[made]).await.unwrap()).await;
        assert_eq!((editor.text(), world.read("b")), ("mine too\n2\n3\nfour\n".into(), "B\n".into()));
    }
}

#[tokio::test]
async fn an_editor_that_refuses_leaves_all_as_it_is() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]).await;
    let sets = [world.tool("a", "one\n").await, world.tool("b", "two\n").await, world.tool("c", "three\n").await];
    let (willing, unwilling) =
        (Client::open(&world, 1, "a", "one\n", Manner::Edits), Client::open(&world, 2, "b", "two\n", Manner::Refuses));
    let Err(Error::Conflict(plan)) = world.revert(&sets).await else { panic!("it is a conflict") };
    assert!(plan.conflicts().next().unwrap().reason.as_ref().unwrap().contains("not now"), "{plan:?}");
    assert_eq!((willing.text(), unwilling.text(), world.read("c")), ("one\n".into(), "two\n".into(), "three\n".into()));
    let reverted = world.revert_part(&sets, true).await.unwrap();
    assert_eq!(
        reverted.done.files.iter().map(|file| file.action).collect::<Vec<_>>(),
        [Action::Restore, Action::Conflict, Action::Restore]
    );
    assert_eq!((willing.text(), unwilling.text(), world.read("c")), ("1\n".into(), "two\n".into(), "3\n".into()));
    reverted.journal.finish();
}

#[tokio::test]
async fn a_new_file_with_unsaved_text_stays() {
    let world = World::new(Kind::Plain, &[]).await;
    let set = world.tool("new", "by the tool\n").await;
    let editor = Client::open(&world, 1, "new", "by the tool\nand by me\n", Manner::Edits);
    assert!(matches!(world.revert(std::slice::from_ref(&set)).await, Err(Error::Conflict(_))));
    editor.type_text("by the tool\n");
    write(&world.root, "new", "something else\n");
    assert!(matches!(world.revert(std::slice::from_ref(&set)).await, Err(Error::Conflict(_))));
    write(&world.root, "new", "by the tool\n");
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert!(fs::symlink_metadata(world.root.join("new")).is_err());
    editor.close();
}

#[tokio::test]
async fn what_an_editor_saves_while_a_command_runs_is_not_the_commands() {
    let world = World::new(Kind::Repository, &[("a", "1\n"), ("b", "2\n"), ("c", "3\n"), ("d", "4\n")]).await;
    let unsaved = Client::open(&world, 1, "a", "typed before\n", Manner::Edits);
    let [typed, reloaded] =
        [(2, "b", "2\n"), (3, "c", "3\n")].map(|(number, path, text)| Client::open(&world, number, path, text, Manner::Edits));
    let pause = || tokio::time::sleep(Duration::from_millis(100));
    let running = world.following.begin(world.session.clone()).await;
    write(&world.root, "d", "by the command\n");
    write(&world.root, "c", "by the command\n");
    write(&world.root, "a", &unsaved.text());
    typed.type_text("typed\n");
    write(&world.root, "b", "typed\n");
    pause().await;
    // The user goes on, and another editor reads what the command has written.
    typed.type_text("typed and not saved\n");
    reloaded.type_text("by the command\n");
    let set = running.end().await;
    let names: Vec<String> = set.changes.iter().map(|change| change.path.relative_to(&world.root)).collect();
    assert_eq!(names, ["c", "d"]);
    world.made(world.revert(&[set]).await.unwrap()).await;
    assert_eq!((world.read("a"), world.read("b"), world.read("d")), ("typed before\n".into(), "typed\n".into(), "4\n".into()));
    // A text that was told long ago is not one that is saved now.
    let set = world.command(|root| write(root, "b", "2\n")).await;
    assert_eq!(set.changes.len(), 1, "{set:?}");
}
