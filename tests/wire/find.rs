//! Finding files by name, and events about changes, in two worktrees.

use serde_json::{Value, json};

use super::support::{client::Client, fixture::Fixture, model_server::Answer};

fn write(fixture: &Fixture, path: &str, text: &str) {
    let path = fixture.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn files_are_found_in_their_worktree() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/.gitignore", "*.log\n");
    write(&fixture, "repo/src/parser/lexer.rs", "");
    write(&fixture, "repo/src/lexer.log", "");
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    write(&fixture, "linked/src/other_lexer.rs", "");
    let mut client = Client::start(&fixture);
    let linked = fixture.path("linked");
    assert_eq!(client.call("file.find", json!({ "query": "lexer" })).await, json!(["src/parser/lexer.rs"]));
    assert_eq!(client.call("file.find", json!({ "query": "lexer", "directory": linked })).await, json!(["src/other_lexer.rs"]));
    let session = client.call("session.create", json!({ "directory": linked.join("src") })).await;
    let found = client.call("file.find", json!({ "query": "lexer", "sessionID": session["id"] })).await;
    assert_eq!(found, json!(["other_lexer.rs"]), "relative to the session's directory");
    // A new file is found immediately, independent of who creates it.
    for number in 0..20 {
        write(&fixture, &format!("repo/made/deep{number}/fresh{number}.txt"), "");
        let found = client.call("file.find", json!({ "query": format!("fresh{number}.txt$"), "limit": 1 })).await;
        assert_eq!(found, json!([format!("made/deep{number}/fresh{number}.txt")]));
    }
    let directories = client.call("file.find", json!({ "query": "", "type": "directory", "limit": 2 })).await;
    assert_eq!(directories, json!(["made/", "src/"]));
    let files = client.call("file.find", json!({ "query": "a.txt", "type": "file", "limit": 1 })).await;
    assert_eq!(files, json!(["a.txt"]));
    for (params, names) in [
        (json!({ "query": "x", "limit": 0 }), "limit"),
        (json!({ "query": "x", "limit": 1001 }), "limit"),
        (json!({ "query": "x".repeat(1001) }), "query"),
        (json!({ "query": "x", "type": "folder" }), "folder"),
        (json!({}), "query"),
    ] {
        let error = client.refused("file.find", params).await;
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(names), "{error}");
    }
    let gone = client.refused("file.find", json!({ "query": "x", "directory": fixture.path("none") })).await;
    assert_eq!(gone["data"]["kind"], "not_found");
}

#[tokio::test]
async fn what_a_tool_reads_is_found_first() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/one/notes.md", "");
    write(&fixture, "repo/two/notes.md", "read me");
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("file.find", json!({ "query": "notes" })).await, json!(["one/notes.md", "two/notes.md"]));
    fixture.models.push(Answer::openai_calls(&[("call_1", "read", json!({ "filePath": "two/notes.md" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let session = client.session().await;
    client.prompt(&session, "go").await;
    assert_eq!(client.call("file.find", json!({ "query": "notes" })).await, json!(["two/notes.md", "one/notes.md"]));
    assert_eq!(client.call("file.find", json!({ "query": "", "limit": 1 })).await, json!(["two/notes.md"]));
    client.call("buffer.open", json!({ "path": "one/notes.md", "version": 1, "text": "open" })).await;
    // The answer does not wait for it.
    let mut tries = 0..10_000;
    while client.call("file.find", json!({ "query": "notes" })).await != json!(["one/notes.md", "two/notes.md"]) {
        assert!(tries.next().is_some(), "an open file never came first");
    }
}

#[tokio::test]
async fn changes_and_branches_are_told_to_those_who_ask() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/.gitignore", "*.log\n");
    fixture.git("repo", &["worktree", "add", "-q", "-b", "side", "../linked"]);
    write(&fixture, "linked/.gitignore", "*.log\n");
    let mut client = Client::start(&fixture);
    let [repo, linked] = ["repo", "linked"].map(|name| fixture.path(name));
    let types = json!(["file.changed", "vcs.branch.updated"]);
    client.subscribe(json!({ "types": types, "directory": repo })).await;
    client.subscribe(json!({ "types": types, "directory": linked })).await;
    // A later answer means that both indexes exist.
    for directory in [&repo, &linked] {
        client.call("file.find", json!({ "query": "a", "directory": directory })).await;
    }
    let told = |event: &Value| {
        let properties = &event["properties"];
        (event["type"] == "file.changed").then(|| (properties["path"].clone(), properties["event"].clone()))
    };
    write(&fixture, "linked/src/noise.log", "");
    write(&fixture, "linked/src/new.rs", "1");
    let event = client.event(|event| told(event).is_some()).await;
    assert_eq!(told(&event), Some((json!(linked.join("src/new.rs")), json!("add"))));
    assert_eq!(event["directory"], json!(linked.join("src")));
    write(&fixture, "repo/a.txt", "changed\n");
    let event = client.event(|event| told(event).is_some()).await;
    assert_eq!(told(&event), Some((json!(repo.join("a.txt")), json!("change"))));
    std::fs::remove_file(repo.join("a.txt")).unwrap();
    let event = client.event(|event| told(event).is_some_and(|(_, event)| event == "unlink")).await;
    assert_eq!(event["properties"]["path"], json!(repo.join("a.txt")));
    fixture.git("linked", &["switch", "-q", "-c", "topic"]);
    let event = client.event_of("vcs.branch.updated").await;
    assert_eq!((&event["properties"], &event["directory"]), (&json!({ "branch": "topic" }), &json!(linked)));
    fixture.git("repo", &["checkout", "-q", "--detach"]);
    let event = client.event_of("vcs.branch.updated").await;
    assert_eq!((&event["properties"], &event["directory"]), (&json!({}), &json!(repo)));
}

#[tokio::test]
async fn a_large_checkout_is_told_in_few_events() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["checkout", "-q", "-b", "large"]);
    for number in 0..3000 {
        write(&fixture, &format!("repo/generated/part{}/file{number}.rs", number % 30), "");
    }
    fixture.git("repo", &["add", "-A"]);
    fixture.git("repo", &["commit", "-qm", "large"]);
    fixture.git("repo", &["checkout", "-q", "main"]);
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["file.changed"] })).await;
    client.call("file.find", json!({ "query": "a" })).await;
    let began = std::time::Instant::now();
    fixture.git("repo", &["checkout", "-q", "large"]);
    write(&fixture, "repo/last.txt", "");
    client
        .event(|event| event["properties"]["path"].as_str().is_some_and(|path| path.ends_with("last.txt") || path.ends_with("repo")))
        .await;
    let page = client.call("event.list", json!({ "since": 0, "types": ["file.changed"], "limit": 10_000 })).await;
    let told = page["events"].as_array().unwrap().len();
    // 500 at once and 50 a second; a slow machine takes a while for the checkout.
    assert!(told as u64 <= 600 + 50 * began.elapsed().as_secs(), "{told} after {:?}", began.elapsed());
    let found = client.call("file.find", json!({ "query": "file2999", "limit": 1 })).await;
    assert_eq!(found, json!(["generated/part29/file2999.rs"]));
}

#[tokio::test]
async fn matches_have_their_places() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/src/😀/lexer.rs", "");
    let mut client = Client::start(&fixture);
    // The face has two UTF-16 code units.
    let expected = json!([{ "path": "src/😀/lexer.rs", "positions": [7, 8, 9, 13, 14] }]);
    assert_eq!(client.call("file.match", json!({ "query": "lex rs$" })).await, expected);
    let session = client.call("session.create", json!({ "directory": fixture.path("repo/src") })).await["id"].clone();
    let below = client.call("file.match", json!({ "query": "'LEX | ^😀", "sessionID": session, "type": "file", "limit": 1 })).await;
    assert_eq!(below[0]["path"], "😀/lexer.rs");
    assert_eq!(client.call("file.match", json!({ "query": "", "limit": 1 })).await[0]["positions"], json!([]));
    for params in [
        json!({ "query": "x", "limit": 0 }),
        json!({ "query": "x", "limit": 1001 }),
        json!({ "query": "x".repeat(1001) }),
        json!({ "query": ["x"] }),
        json!({}),
    ] {
        assert_eq!(client.refused("file.match", params.clone()).await["code"], -32602, "{params}");
    }
    let other = json!({ "query": "x", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    assert_eq!(client.refused("file.match", other).await["data"]["kind"], "not_found");
}
