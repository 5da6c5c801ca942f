//! Patches of real files.

use std::{fs, sync::Arc};

use serde_json::json;

use super::*;
use crate::tool::{
    definition::erase,
    read::Read,
    test_host::{Answer, Place},
};

async fn read(place: &Place, paths: &[&str]) {
    for path in paths {
        place.call(&erase(Read), json!({ "filePath": path })).await.unwrap();
    }
    place.host.clear();
}

async fn patch(place: &Place, body: &str) -> Result<ToolOutput, String> {
    let text = format!("*** Begin Patch\n{body}\n*** End Patch");
    place.call(&erase(Patch), json!({ "patchText": text })).await.map_err(|error| error.to_string())
}

/// A place with three files that the session knows.
async fn known() -> Place {
    let place = Place::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        place.write(name, "one\ntwo\nthree\n");
    }
    read(&place, &["a.txt", "b.txt", "c.txt"]).await;
    place
}

const ALL: &str = "*** Add File: new/n.txt\n+hello\n*** Update File: a.txt\n@@\n one\n-two\n+2\n*** Update File: b.txt\n*** Move to: moved/b.txt\n@@\n-three\n+3\n*** Delete File: c.txt";

#[tokio::test]
async fn a_patch_adds_changes_moves_and_deletes() {
    let place = known().await;
    let output = patch(&place, ALL).await.unwrap();
    assert_eq!((place.read("new/n.txt"), place.read("a.txt")), (b"hello\n".to_vec(), b"one\n2\nthree\n".to_vec()));
    assert_eq!(place.read("moved/b.txt"), b"one\ntwo\n3\n");
    assert!(!place.worktree.join("b.txt").as_path().exists() && !place.worktree.join("c.txt").as_path().exists());
    let asks = place.host.asks();
    assert_eq!(asks.len(), 1, "one question for all");
    assert_eq!(asks[0].patterns, ["new/n.txt", "a.txt", "moved/b.txt", "b.txt", "c.txt"]);
    assert_eq!(asks[0].title, "Patch: add new/n.txt, update a.txt, move moved/b.txt, delete b.txt, delete c.txt");
    assert!(asks[0].metadata["diff"].as_str().unwrap().contains("-two\n+2\n"));
    assert_eq!(asks[0].metadata["changes"].as_array().unwrap().len(), 5);
    assert_eq!(output.output, "Added new/n.txt.\nUpdated a.txt.\nMoved to moved/b.txt.\nDeleted b.txt.\nDeleted c.txt.");
    assert_eq!((&output.metadata["additions"], &output.metadata["deletions"]), (&json!(3), &json!(5)));
    assert_eq!(output.metadata["files"][2]["action"], "move");
    // What was written is known, and can be changed further.
    patch(&place, "*** Update File: moved/b.txt\n@@\n-3\n+4").await.unwrap();
    assert_eq!(place.read("moved/b.txt"), b"one\ntwo\n4\n");
}

#[tokio::test]
async fn where_one_part_fails_nothing_is_changed() {
    for (last, said) in [
        ("*** Update File: b.txt\n@@\n-nothing\n+x", "was not found in b.txt"),
        ("*** Update File: missing.txt\n@@\n-a\n+x", "missing.txt does not exist"),
        ("*** Delete File: missing.txt", "missing.txt does not exist"),
        ("*** Delete File: unread.txt", "have not read it"),
        ("*** Update File: unread.txt\n@@\n-u\n+x", "have not read it"),
        ("*** Add File: c.txt\n+x", "c.txt exists"),
        ("*** Update File: b.txt\n*** Move to: c.txt", "c.txt exists, so b.txt cannot be moved there"),
        ("*** Delete File: ./a.txt", "names a.txt twice"),
    ] {
        let place = known().await;
        place.write("unread.txt", "u\n");
        let error = patch(&place, &format!("*** Update File: a.txt\n@@\n-two\n+2\n*** Add File: n.txt\n+n\n{last}")).await.unwrap_err();
        assert!(error.contains(said), "{last}: {error}");
        assert_eq!(place.read("a.txt"), b"one\ntwo\nthree\n", "{last}");
        assert!(!place.worktree.join("n.txt").as_path().exists(), "{last}");
        assert!(place.host.asks().is_empty(), "{last}: nothing is asked that cannot be done");
    }
}

#[tokio::test]
async fn a_refusal_of_one_file_refuses_all() {
    let place = known().await;
    place.host.answer("edit", Answer::DenyContaining("c.txt"));
    assert!(patch(&place, ALL).await.unwrap_err().contains("a rule forbids it"));
    assert_eq!(place.read("a.txt"), b"one\ntwo\nthree\n");
    assert!(place.worktree.join("c.txt").as_path().exists());
}

#[tokio::test]
async fn a_change_by_someone_else_during_the_question_is_noticed() {
    let place = known().await;
    let path = place.worktree.join("c.txt");
    place.host.answer("edit", Answer::After(Arc::new(move || fs::write(&path, "mine\n").unwrap())));
    assert!(patch(&place, ALL).await.unwrap_err().contains("c.txt was changed by someone else"));
    assert_eq!((place.read("a.txt"), place.read("c.txt")), (b"one\ntwo\nthree\n".to_vec(), b"mine\n".to_vec()));
    assert!(!place.worktree.join("new").as_path().exists());
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_written_is_taken_back_when_a_later_file_cannot_be() {
    let place = known().await;
    // No file system has such names, which only shows when the file is written.
    let last = format!("made/{}", "x".repeat(300));
    let body = format!("*** Update File: a.txt\n@@\n-two\n+2\n*** Add File: n.txt\n+n\n*** Delete File: c.txt\n*** Add File: {last}\n+x");
    let error = patch(&place, &body).await.unwrap_err();
    assert!(error.contains("cannot be written") && error.contains("Nothing was changed."), "{error}");
    assert_eq!((place.read("a.txt"), place.read("c.txt")), (b"one\ntwo\nthree\n".to_vec(), b"one\ntwo\nthree\n".to_vec()));
    assert!(!place.worktree.join("n.txt").as_path().exists(), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_moved_file_keeps_its_bytes_and_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.write("run.sh", "#!/bin/sh\r\necho caf\u{e9}\r\n");
    fs::set_permissions(place.worktree.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    read(&place, &["run.sh"]).await;
    patch(&place, "*** Update File: run.sh\n*** Move to: bin/run.sh\n@@\n-echo caf\u{e9}\n+echo tea").await.unwrap();
    assert_eq!(place.read("bin/run.sh"), b"#!/bin/sh\r\necho tea\r\n");
    let mode = fs::metadata(place.worktree.join("bin/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[tokio::test]
async fn files_outside_are_asked_for() {
    let place = known().await;
    let outside = place.outside.join("x.txt");
    patch(&place, &format!("*** Add File: {outside}\n+x")).await.unwrap();
    assert_eq!(place.host.kinds(), ["external_directory", "edit"]);
    place.host.answer("external_directory", Answer::Deny);
    assert!(patch(&place, &format!("*** Update File: a.txt\n*** Move to: {}\n", place.outside.join("y.txt"))).await.is_err());
    assert!(place.worktree.join("a.txt").as_path().exists());
}
