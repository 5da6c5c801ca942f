//! Review of what a session changed, hunk by hunk.

use std::fs;

use serde_json::{Value, json};

use super::{
    revert::World,
    support::{client::Client, fixture::Fixture, model_server::Answer},
};

const OLD: &str = "1\n2\n3\n4\n5\n6\n7\n8\n";

/// A world with `b.txt`, which the session is about to change.
async fn world() -> World {
    let fixture = Fixture::new().await;
    fs::write(fixture.path("repo/b.txt"), OLD).unwrap();
    let client = Client::start(&fixture);
    World::in_session(fixture, client, "repo").await
}

impl World {
    /// The session replaces lines of `b.txt`.
    async fn replace(&mut self, replaced: &[(&str, &str)]) {
        let edit = |(old, new): &(&str, &str)| ("edit", json!({ "filePath": "b.txt", "oldString": old, "newString": new }));
        let calls: Vec<(&str, Value)> =
            std::iter::once(("read", json!({ "filePath": "b.txt" }))).chain(replaced.iter().map(edit)).collect();
        self.turn("edit", &calls).await;
    }

    async fn hunks(&mut self) -> Vec<Value> {
        self.client.call("hunk.list", json!({ "sessionID": self.session })).await.as_array().unwrap().clone()
    }

    async fn keep(&mut self, params: Value) -> Vec<Value> {
        self.decide("hunk.keep", params).await
    }

    async fn undo(&mut self, params: Value) -> Vec<Value> {
        self.decide("hunk.undo", params).await
    }

    async fn decide(&mut self, method: &str, mut params: Value) -> Vec<Value> {
        params["sessionID"] = json!(self.session);
        self.client.call(method, params).await.as_array().unwrap().clone()
    }

    async fn refused(&mut self, method: &str, mut params: Value) -> Value {
        params["sessionID"] = json!(self.session);
        self.client.refused(method, params).await
    }
}

/// The lines, texts and state of each hunk.
fn shown(hunks: &[Value]) -> Vec<String> {
    let show = |hunk: &Value| {
        let range = &hunk["range"];
        let (start, end) = (&range["start"]["line"], &range["end"]["line"]);
        format!("{start}-{end} {} -> {} {}", hunk["before"], hunk["after"], hunk["state"].as_str().unwrap())
    };
    hunks.iter().map(show).collect()
}

fn id(hunk: &Value) -> Value {
    json!({ "hunkID": hunk["hunkID"] })
}

fn states(hunks: &[Value]) -> Vec<&str> {
    hunks.iter().map(|hunk| hunk["state"].as_str().unwrap()).collect()
}

/// What the model was told in the last request.
fn last_request(world: &World) -> String {
    let requests = world.fixture.models.requests();
    requests.into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string()
}

#[tokio::test]
async fn hunks_are_kept_and_undone_and_the_model_is_told() {
    let mut world = world().await;
    let session = world.session.clone();
    world.client.subscribe(json!({ "sessionID": session, "types": ["hunk.updated"] })).await;
    world.replace(&[("2", "two\nand a half"), ("5\n", ""), ("8", "eight")]).await;
    let hunks = world.hunks().await;
    let expected = [r#"1-3 "2\n" -> "two\nand a half\n" open"#, r#"5-5 "5\n" -> "" open"#, r#"7-8 "8\n" -> "eight\n" open"#];
    assert_eq!(shown(&hunks), expected);
    let messages = world.messages().await;
    let call = messages.iter().flat_map(|message| message["parts"].as_array().unwrap()).filter(|part| part["type"] == "tool").nth(1);
    let call = call.unwrap();
    assert_eq!((&hunks[0]["messageID"], &hunks[0]["callID"]), (&call["messageID"], &call["callID"]));
    assert_eq!(hunks[0]["path"], json!(world.path("b.txt")));
    // One event for each step that changed the file.
    for count in 1..=3 {
        let event = world.client.event_of("hunk.updated").await;
        assert_eq!(event["properties"]["hunks"].as_array().unwrap().len(), count, "{event}");
        assert_eq!((&event["properties"]["sessionID"], &event["properties"]["path"]), (&json!(session), &hunks[0]["path"]));
    }

    let kept = world.keep(id(&hunks[0])).await;
    assert_eq!(shown(&kept), [r#"1-3 "2\n" -> "two\nand a half\n" kept"#]);
    let event = world.client.event_of("hunk.updated").await;
    assert_eq!(states(event["properties"]["hunks"].as_array().unwrap()), ["kept", "open", "open"]);
    let undone = world.undo(id(&hunks[1])).await;
    assert_eq!(shown(&undone), [r#"5-6 "5\n" -> "" undone"#]);
    let event = world.client.event_of("hunk.updated").await;
    assert_eq!(states(event["properties"]["hunks"].as_array().unwrap()), ["kept", "undone", "open"]);
    assert_eq!(world.read("b.txt"), "1\ntwo\nand a half\n3\n4\n5\n6\n7\neight\n");
    // The same again changes nothing.
    assert_eq!((world.undo(id(&hunks[1])).await, world.keep(id(&hunks[0])).await), (vec![], vec![]));

    // Decisions outlive the daemon.
    world.client.kill().await;
    world.client = Client::start(&world.fixture);
    assert_eq!(states(&world.hunks().await), ["kept", "undone", "open"]);
    world.turn("next", &[]).await;
    let told = last_request(&world);
    assert!(told.contains(r"b.txt, line 6:\n+5\n") && told.contains("b.txt: 1 change"), "{told}");
    world.turn("another", &[]).await;
    assert!(!last_request(&world).contains("reviewed"), "once is enough");

    // A change that was undone can be made again, and one that was kept can be undone.
    let redone = world.keep(id(&hunks[1])).await;
    assert_eq!(states(&redone), ["kept"]);
    world.undo(id(&hunks[0])).await;
    assert_eq!(world.read("b.txt"), "1\n2\n3\n4\n6\n7\neight\n");
    // What is left of the file, then nothing.
    assert_eq!(states(&world.undo(json!({ "path": world.path("b.txt") })).await), ["undone"]);
    assert_eq!(world.read("b.txt"), "1\n2\n3\n4\n6\n7\n8\n");
    assert_eq!(world.undo(json!({})).await, [] as [Value; 0]);
    let unknown = world.refused("hunk.undo", json!({ "hunkID": "hnk_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await;
    assert_eq!(unknown["data"]["kind"], "not_found");
}

#[tokio::test]
async fn hunks_follow_the_session_and_the_user() {
    let mut world = world().await;
    world.replace(&[("2", "two"), ("6", "six")]).await;
    let first = world.hunks().await;
    world.keep(id(&first[0])).await;
    // The user changes other lines.
    world.write("b.txt", "0\n1\ntwo\n3\nfour\n5\nsix\n7\n8\n");
    let hunks = world.hunks().await;
    assert_eq!(shown(&hunks), [r#"2-3 "2\n" -> "two\n" kept"#, r#"6-7 "6\n" -> "six\n" open"#]);
    assert_eq!((&hunks[0]["hunkID"], &hunks[1]["hunkID"]), (&first[0]["hunkID"], &first[1]["hunkID"]));
    world.undo(id(&hunks[1])).await;
    assert_eq!(world.read("b.txt"), "0\n1\ntwo\n3\nfour\n5\n6\n7\n8\n");
    // The session changes what was kept.
    world.replace(&[("two", "TWO")]).await;
    assert_eq!(shown(&world.hunks().await), [r#"2-3 "two\n" -> "TWO\n" open"#, r#"6-7 "6\n" -> "six\n" undone"#]);
    // The user changes the lines of a hunk.
    world.write("b.txt", "0\n1\nTWO of mine\n3\nfour\n5\n6\n7\n8\n");
    let hunks = world.hunks().await;
    assert_eq!(hunks[0]["state"], "open");
    for params in [id(&hunks[0]), json!({ "path": hunks[0]["path"] }), json!({})] {
        let error = world.refused("hunk.undo", params).await;
        assert_eq!(
            (&error["data"]["kind"], world.actions(&error["data"])),
            (&json!("conflict"), vec![("b.txt".into(), "conflict".into())])
        );
    }
    assert_eq!(world.read("b.txt"), "0\n1\nTWO of mine\n3\nfour\n5\n6\n7\n8\n");
    world.replace(&[("8", "eight")]).await;
    assert_eq!(states(&world.undo(json!({ "partial": true })).await), ["undone"]);
    assert_eq!(world.read("b.txt"), "0\n1\nTWO of mine\n3\nfour\n5\n6\n7\n8\n");
    let hunks = world.hunks().await;
    assert_eq!(states(&world.keep(id(&hunks[0])).await), ["kept"], "it can still be kept");
}

#[tokio::test]
async fn whole_files_are_undone_too() {
    let mut world = world().await;
    fs::write(world.path("data"), b"\0one").unwrap();
    let line = "echo new > new.txt; rm a.txt; printf '\\0two' > data; chmod +x b.txt";
    world.turn("command", &[("bash", json!({ "command": line }))]).await;
    let hunks = world.hunks().await;
    let names: Vec<String> = hunks.iter().map(|hunk| hunk["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.txt", "b.txt", "data", "new.txt"]);
    assert_eq!(
        shown(&hunks),
        [r#"0-0 "one\ntwo\nthree\n" -> "" open"#, "0-0 null -> null open", "0-0 null -> null open", r#"0-1 "" -> "new\n" open"#,]
    );
    world.keep(id(&hunks[2])).await;
    assert_eq!(states(&world.undo(json!({})).await), ["undone"; 3]);
    assert_eq!((world.read("a.txt").as_str(), world.path("new.txt").exists()), ("one\ntwo\nthree\n", false));
    assert_eq!(fs::read(world.path("data")).unwrap(), b"\0two");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.path("b.txt")).unwrap().permissions()) & 0o111, 0);
    assert_eq!(states(&world.hunks().await), ["undone", "undone", "kept", "undone"]);
    world.undo(id(&hunks[2])).await;
    assert_eq!(fs::read(world.path("data")).unwrap(), b"\0one");
    for hunk in &hunks {
        world.keep(id(hunk)).await;
    }
    assert_eq!((world.path("a.txt").exists(), world.read("new.txt").as_str()), (false, "new\n"));
    assert_eq!(fs::read(world.path("data")).unwrap(), b"\0two");
}

#[tokio::test]
async fn what_has_no_earlier_content_is_named_and_not_called_undone() {
    let mut world = world().await;
    fs::write(world.path("large"), vec![b'x'; 3_000_000]).unwrap();
    world.turn("command", &[("bash", json!({ "command": "echo more >> large; echo new > new.txt" }))]).await;
    let hunks = world.hunks().await;
    assert_eq!((states(&hunks), hunks[0]["path"].clone()), (vec!["open"; 2], json!(world.path("large"))));
    let error = world.refused("hunk.undo", id(&hunks[0])).await;
    assert_eq!((&error["data"]["kind"], world.actions(&error["data"])), (&json!("conflict"), vec![("large".into(), "conflict".into())]));
    assert!(error["data"]["files"][0]["reason"].as_str().unwrap().contains("not known"), "{error}");
    let error = world.refused("hunk.undo", json!({})).await;
    assert_eq!(world.actions(&error["data"]), [("large".to_owned(), "conflict".to_owned())]);
    assert!(world.path("new.txt").exists(), "nothing is undone");
    assert_eq!(states(&world.undo(json!({ "partial": true })).await), ["undone"]);
    assert_eq!((states(&world.hunks().await), world.path("new.txt").exists()), (vec!["open", "undone"], false));
    world.turn("next", &[]).await;
    assert!(!last_request(&world).contains("large, line"), "{}", last_request(&world));
}

#[tokio::test]
async fn a_part_can_be_undone_beside_a_file_that_is_not_text_and_that_somebody_changed() {
    let mut world = world().await;
    fs::write(world.path("data"), b"\0one").unwrap();
    world.turn("command", &[("bash", json!({ "command": "printf '\\0two' > data; sed -i s/2/two/ b.txt" }))]).await;
    fs::write(world.path("data"), b"\0mine").unwrap();
    let error = world.refused("hunk.undo", json!({})).await;
    assert_eq!(world.actions(&error["data"]), [("data".to_owned(), "conflict".to_owned())]);
    assert_eq!(states(&world.undo(json!({ "partial": true })).await), ["undone"]);
    assert_eq!((world.read("b.txt").as_str(), fs::read(world.path("data")).unwrap()), (OLD, b"\0mine".to_vec()));
}

#[tokio::test]
async fn decisions_move_with_the_worktree() {
    let fixture = Fixture::new().await;
    fs::write(fixture.path("repo/b.txt"), OLD).unwrap();
    fixture.git("repo", &["add", "-A"]);
    fixture.git("repo", &["-c", "user.name=u", "-c", "user.email=u@e", "commit", "-qm", "b"]);
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    let client = Client::start(&fixture);
    let mut world = World::in_session(fixture, client, "linked").await;
    world.replace(&[("2", "two"), ("6", "six")]).await;
    let hunks = world.hunks().await;
    world.undo(id(&hunks[0])).await;
    world.keep(id(&hunks[1])).await;
    world.fixture.git("repo", &["worktree", "move", "../linked", "../moved"]);
    let moved = world.hunks().await;
    assert_eq!(states(&moved), ["undone", "kept"], "{moved:?}");
    assert!(moved[0]["path"].as_str().unwrap().contains("/moved/"), "{moved:?}");
}

#[tokio::test]
async fn the_model_is_told_by_the_next_prompt_where_a_turn_fails() {
    let mut world = world().await;
    world.replace(&[("2", "two")]).await;
    world.undo(json!({})).await;
    world.fixture.models.push(Answer::json(401, &json!({ "error": { "message": "no" } })));
    let session = world.session.clone();
    let failed = world.client.prompt(&session, "fails").await;
    assert!(failed["info"]["error"].is_object(), "{failed}");
    for is_told in [true, false] {
        world.turn("next", &[]).await;
        assert_eq!(last_request(&world).contains("Undone: these changes"), is_told);
    }
}

#[tokio::test]
async fn a_mode_is_undone_with_its_text_and_made_again() {
    let mut world = world().await;
    let mode = |world: &World| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.path("b.txt")).unwrap().permissions()) & 0o777;
    fs::set_permissions(world.path("b.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    world.turn("command", &[("bash", json!({ "command": "sed -i s/2/two/ b.txt; chmod 755 b.txt" }))]).await;
    let hunks = world.hunks().await;
    world.undo(json!({})).await;
    assert_eq!((world.read("b.txt").as_str(), mode(&world)), (OLD, 0o640));
    world.keep(id(&hunks[0])).await;
    assert_eq!((world.read("b.txt"), mode(&world)), (OLD.replace('2', "two"), 0o755));
}

#[tokio::test]
async fn a_file_is_named_by_any_of_its_paths() {
    let mut world = world().await;
    world.replace(&[("2", "two")]).await;
    std::os::unix::fs::symlink(world.path(""), world.fixture.path("link")).unwrap();
    for path in [json!("b.txt"), json!("./x/../b.txt"), json!(world.path("b.txt")), json!(world.fixture.path("link/b.txt"))] {
        let params = json!({ "sessionID": world.session, "path": path });
        assert_eq!(world.client.call("hunk.list", params).await.as_array().unwrap().len(), 1, "{path}");
    }
    for method in ["hunk.keep", "hunk.undo"] {
        let error = world.refused(method, json!({ "path": "other.txt" })).await;
        assert!(error["message"].as_str().unwrap().contains("has changed no file other.txt"), "{error}");
    }
    assert_eq!(states(&world.keep(json!({ "path": "b.txt" })).await), ["kept"]);
}

#[tokio::test]
async fn a_revert_and_a_review_go_together() {
    let mut world = world().await;
    world.replace(&[("2", "two"), ("6", "six")]).await;
    world.replace(&[("4", "four")]).await;
    let hunks = world.hunks().await;
    world.undo(id(&hunks[0])).await;
    let prompts = world.prompts().await;
    world.revert(&prompts[1]).await;
    assert_eq!(world.read("b.txt"), "1\n2\n3\n4\n5\nsix\n7\n8\n");
    assert_eq!(shown(&world.hunks().await).last().unwrap(), r#"5-6 "6\n" -> "six\n" open"#);
    world.revert(&prompts[0]).await;
    assert_eq!(world.read("b.txt"), OLD);
    assert_eq!(world.hunks().await, [] as [Value; 0]);
    world.unrevert().await;
    assert_eq!(world.read("b.txt"), "1\n2\n3\nfour\n5\nsix\n7\n8\n");
    assert_eq!(states(&world.hunks().await), ["undone", "open", "open"]);
}

#[tokio::test]
async fn a_busy_session_undoes_nothing_but_keeps() {
    let mut world = world().await;
    world.replace(&[("2", "two")]).await;
    let hunks = world.hunks().await;
    let session = world.session.clone();
    world.client.subscribe(json!({ "sessionID": session, "types": ["message.part.delta", "session.idle"] })).await;
    world.fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo started; sleep 60" }))]));
    world.client.call("session.submit", json!({ "sessionID": session, "parts": "wait" })).await;
    world.client.event_of("message.part.delta").await;
    assert_eq!(world.refused("hunk.undo", id(&hunks[0])).await["data"]["kind"], "busy");
    assert_eq!(states(&world.keep(id(&hunks[0])).await), ["kept"]);
    world.client.call("session.abort", json!({ "sessionID": session })).await;
    world.client.event_of("session.idle").await;
    assert_eq!(states(&world.undo(id(&hunks[0])).await), ["undone"]);
    assert_eq!(world.read("b.txt"), OLD);
}

#[tokio::test]
async fn unsaved_text_is_reviewed_and_changed_in_the_editor() {
    let mut world = world().await;
    world.replace(&[("2", "two"), ("6", "six")]).await;
    let on_disk = world.read("b.txt");
    let unsaved = "unsaved\n1\ntwo\n3\n4\n5\nsix\n7\n8\n";
    world.client.call("buffer.open", json!({ "path": "b.txt", "version": 1, "text": unsaved })).await;
    let hunks = world.hunks().await;
    assert_eq!(shown(&hunks), [r#"2-3 "2\n" -> "two\n" open"#, r#"6-7 "6\n" -> "six\n" open"#]);
    let params = json!({ "sessionID": world.session, "hunkID": hunks[1]["hunkID"] });
    let undo = world.client.send("hunk.undo", params).await;
    let asked = world.client.event_of("buffer.edit").await["properties"].clone();
    let range = json!({ "start": { "line": 6, "character": 0 }, "end": { "line": 7, "character": 0 } });
    assert_eq!(asked["edits"], json!([{ "range": range, "text": "6\n" }]));
    world.client.call("buffer.reply", json!({ "editID": asked["editID"], "applied": true, "version": 2 })).await;
    assert_eq!(shown(undo.result().await.as_array().unwrap()), [r#"6-7 "6\n" -> "six\n" undone"#]);
    assert_eq!(world.read("b.txt"), on_disk, "the editor saves, nobody else");
}

#[tokio::test]
async fn texts_are_read_at_a_revision() {
    let mut world = world().await;
    world.replace(&[("2", "two")]).await;
    world.turn("more", &[("bash", json!({ "command": "echo nine >> b.txt; echo x > new.txt; rm a.txt" }))]).await;
    let prompts = world.prompts().await;
    let session = world.session.clone();
    let read = |path: &str, at: &Value| json!({ "path": path, "sessionID": session, "at": at });
    for (path, at, expected) in [
        ("b.txt", &prompts[0], OLD),
        ("b.txt", &prompts[1], "1\ntwo\n3\n4\n5\n6\n7\n8\n"),
        ("a.txt", &json!("HEAD"), "one\ntwo\nthree\n"),
        ("a.txt", &prompts[0], "one\ntwo\nthree\n"),
    ] {
        let content = world.client.call("file.read", read(path, at)).await;
        assert_eq!((&content["type"], content["content"].as_str()), (&json!("raw"), Some(expected)), "{path} at {at}");
    }
    for (path, at, kind) in [
        ("b.txt", &json!("HEAD"), "not_found"),
        ("new.txt", &prompts[0], "not_found"),
        ("b.txt", &json!("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "not_found"),
        ("b.txt", &json!("main"), "invalid_params"),
        ("../outside", &json!("HEAD"), "denied"),
    ] {
        let error = world.client.refused("file.read", read(path, at)).await;
        assert_eq!(error["data"]["kind"], kind, "{path} at {at}: {error}");
    }
    let lines = json!({ "path": "a.txt", "sessionID": session, "at": "HEAD", "offset": 2, "limit": 1 });
    assert_eq!(world.client.call("file.read", lines).await["content"], "two\n");
    let diff = world.client.call("session.diff", json!({ "sessionID": session })).await;
    let texts: Vec<(&Value, &Value)> = diff.as_array().unwrap().iter().map(|file| (&file["before"], &file["after"])).collect();
    let new = "1\ntwo\n3\n4\n5\n6\n7\n8\nnine\n";
    assert_eq!(texts, [(&json!("one\ntwo\nthree\n"), &Value::Null), (&json!(OLD), &json!(new)), (&Value::Null, &json!("x\n"))]);
}
