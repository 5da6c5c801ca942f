//! Text search: complete results and streams, through all doors.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::support::{client::Client, fixture::Fixture};

/// The paths and lines of a result's matches.
fn places(result: &Value) -> Vec<String> {
    let matches = result.as_array().unwrap().iter().filter(|item| item["type"] == "match");
    matches.map(|item| format!("{}:{}", item["path"].as_str().unwrap(), item["line"])).collect()
}

#[tokio::test]
async fn all_at_once() {
    let fixture = Fixture::new().await;
    std::fs::create_dir_all(fixture.path("repo/src/inner")).unwrap();
    for (path, text) in
        [("src/b.rs", "fn Two()\nfn three()\n"), ("src/inner/a.rs", "fn four()\n"), (".gitignore", "*.log\n"), ("x.log", "two\n")]
    {
        std::fs::write(fixture.path("repo").join(path), text).unwrap();
    }
    let mut client = Client::start(&fixture);
    let found = client.call("text.find", json!({ "pattern": "two" })).await;
    assert_eq!(
        found,
        json!([
            { "type": "match", "path": "a.txt", "line": 2, "column": 1, "text": "two", "submatches": [{ "start": 0, "end": 3 }] },
            { "type": "match", "path": "src/b.rs", "line": 1, "column": 4, "text": "fn Two()", "submatches": [{ "start": 3, "end": 6 }] },
        ])
    );
    for (params, expected) in [
        (json!({ "pattern": "Two" }), vec!["src/b.rs:1"]),
        (json!({ "pattern": "two", "letterCase": "sensitive" }), vec!["a.txt:2"]),
        (json!({ "pattern": "TWO", "letterCase": "insensitive" }), vec!["a.txt:2", "src/b.rs:1"]),
        (json!({ "pattern": "t", "word": true }), vec![]),
        (json!({ "pattern": "e()", "fixed": true }), vec!["src/b.rs:2"]),
        (json!({ "pattern": "fn", "include": ["inner"] }), vec!["src/inner/a.rs:1"]),
        (json!({ "pattern": "fn|o", "exclude": ["src/b.rs"], "types": ["rust"] }), vec!["src/inner/a.rs:1"]),
        (json!({ "pattern": "fn", "path": "src/inner" }), vec!["src/inner/a.rs:1"]),
        (json!({ "pattern": "two", "path": "x.log" }), vec!["x.log:1"]),
        (json!({ "pattern": "one\ntwo", "multiline": true }), vec!["a.txt:1"]),
        (json!({ "pattern": "fn", "limitPerFile": 1 }), vec!["src/b.rs:1", "src/inner/a.rs:1"]),
        (json!({ "pattern": "fn", "directory": fixture.path("repo/src/inner") }), vec!["a.rs:1"]),
    ] {
        assert_eq!(places(&client.call("text.find", params.clone()).await), expected, "{params}");
    }
    let cut = client.call("text.find", json!({ "pattern": "fn", "limit": 2 })).await;
    assert_eq!(
        (places(&cut), &cut[2]),
        (vec!["src/b.rs:1".to_owned(), "src/b.rs:2".to_owned()], &json!({ "type": "truncated", "limit": 2 }))
    );
    let with_context = client.call("text.find", json!({ "pattern": "two", "path": "a.txt", "context": 1 })).await;
    assert_eq!(with_context[2], json!({ "type": "context", "path": "a.txt", "line": 3, "text": "three" }));
    assert_eq!(client.call("text.find", json!({ "pattern": "nothing of that" })).await, json!([]));
    // By a session's directory as well as by an explicit one.
    let inner = client.call("session.create", json!({ "directory": fixture.path("repo/src/inner") })).await;
    assert_eq!(places(&client.call("text.find", json!({ "pattern": "fn", "sessionID": inner["id"] })).await), ["a.rs:1"]);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    for (params, kind, message) in [
        (json!({ "pattern": "a(b" }), "invalid_params", "    a(b\n     ^\nerror: unclosed group"),
        (json!({ "pattern": "a\\nb" }), "invalid_params", "line by line"),
        (json!({ "pattern": "" }), "invalid_params", "`pattern`: the pattern is empty"),
        (json!({ "pattern": "a", "limit": 0 }), "invalid_params", "`limit` must be from 1 to 100000"),
        (json!({ "pattern": "a", "context": 101 }), "invalid_params", "`context` must be from 0 to 100"),
        (json!({ "pattern": "a", "limitPerFile": 0 }), "invalid_params", "`limitPerFile` must be from 1"),
        (json!({ "pattern": "a", "types": ["rusty"] }), "invalid_params", "`types`: there is no file type \"rusty\"; near it are rust"),
        (json!({ "pattern": "a", "exclude": ["["] }), "invalid_params", "`exclude`: the pattern \"[\" is malformed"),
        (json!({ "pattern": "a", "path": ".." }), "denied", "leads out of the directory"),
        (json!({ "pattern": "a", "path": "/etc/hostname" }), "denied", "leads out of the directory"),
        (json!({ "pattern": "a", "path": "b.txt" }), "not_found", "b.txt"),
        (json!({ "pattern": "a", "letterCase": "smrat" }), "invalid_params", "smart"),
        (json!({ "pattern": "a", "directory": "/nowhere" }), "not_found", "/nowhere"),
        (json!({ "pattern": "a", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" }), "not_found", "ses_"),
    ] {
        for method in ["text.find", "text.subscribe"] {
            let error = client.refused(method, params.clone()).await;
            assert_eq!(error["data"]["kind"], kind, "{params}: {error}");
            assert!(error["message"].as_str().unwrap().contains(message), "{params}: {error}");
        }
    }
    let hint = client.refused("text.find", json!({ "pattern": "a(b" })).await["data"]["hint"].clone();
    assert!(hint.as_str().unwrap().contains("set `fixed`") && hint.as_str().unwrap().contains("character 2"), "{hint}");
}

/// Everything on a search's subscription, up to its end.
async fn follow(client: &Client, subscription: u64) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let told = client.event(|told| told["subscription"] == subscription).await;
        assert!(told.get("error").is_none(), "{told}");
        items.push(told["result"].clone());
        if told["result"]["type"] == "end" {
            return items;
        }
    }
}

#[tokio::test]
async fn as_it_is_found_through_a_relay_and_without() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("repo/b.txt"), "one\n".repeat(50)).unwrap();
    for through_relay in [false, true] {
        let mut client = if through_relay { Client::relay(&fixture, &[]) } else { Client::start(&fixture) };
        let all = client.call("text.find", json!({ "pattern": "one" })).await;
        let subscription = client.call("text.subscribe", json!({ "pattern": "one" })).await.as_u64().unwrap();
        let mut items = follow(&client, subscription).await;
        let end = items.pop().unwrap();
        assert_eq!(
            (&end["files"], &end["matches"], &end["truncated"], &end["unreadable"]),
            (&json!(2), &json!(51), &json!(false), &json!(0))
        );
        assert!(end["elapsed"].is_u64());
        items.sort_by_key(|item| (item["path"].to_string(), item["line"].as_u64()));
        assert_eq!(Value::Array(items), all);
        // It has ended by itself, so unsubscribing does nothing.
        assert_eq!(client.call("text.unsubscribe", json!({ "subscription": subscription })).await, false);
        let subscription = client.call("text.subscribe", json!({ "pattern": "one", "limit": 7 })).await.as_u64().unwrap();
        let items = follow(&client, subscription).await;
        assert_eq!((items.len(), &items[7], &items[8]["truncated"]), (9, &json!({ "type": "truncated", "limit": 7 }), &json!(true)));
        assert!(client.end().await.success());
    }
}

/// Fills a directory with more matches than the queues hold.
fn plenty(fixture: &Fixture) {
    let mut line = String::new();
    for number in 0..20 {
        let _ = write!(line, "{number} one of many ");
    }
    line.push('\n');
    for number in 0..40 {
        std::fs::write(fixture.path(&format!("repo/many{number}")), line.repeat(150)).unwrap();
    }
}

#[tokio::test]
async fn a_slow_reader_makes_only_its_own_search_wait() {
    let fixture = Fixture::new().await;
    plenty(&fixture);
    let mut slow = Client::relay(&fixture, &[]);
    let mut other = Client::relay(&fixture, &[]);
    // As many as one client may have: each finds megabytes, which the client does not read.
    let mut raw = Vec::new();
    slow.call("server.initialize", json!({ "clientInfo": { "name": "slow" } })).await;
    slow.pause();
    for _ in 0..8 {
        raw.push(slow.send("text.subscribe", json!({ "pattern": "many", "limit": 100_000 })).await);
    }
    // All wait when the queue is full; other clients are served meanwhile.
    let waiting = |diagnosis: &Value| -> u64 {
        let clients = diagnosis["clients"].as_array().unwrap();
        clients.iter().find(|client| client["name"] == "slow").and_then(|client| client["waitingBytes"].as_u64()).unwrap()
    };
    while waiting(&other.call("server.diagnose", json!({})).await) == 0 {}
    for _ in 0..20 {
        assert_eq!(places(&other.call("text.find", json!({ "pattern": "^two$" })).await), ["a.txt:2"]);
        let bytes = waiting(&other.call("server.diagnose", json!({})).await);
        assert!(bytes < 9 * 1024 * 1024, "{bytes} bytes wait");
    }
    let subscription = other.call("text.subscribe", json!({ "pattern": "^two$" })).await.as_u64().unwrap();
    assert_eq!(follow(&other, subscription).await.len(), 2);
    // A search whose results are read continues to its end, in order within each file.
    slow.go_on();
    let first = raw.remove(0).result().await.as_u64().unwrap();
    let items = follow(&slow, first).await;
    assert_eq!((items.len(), &items.last().unwrap()["matches"]), (6001, &json!(6000)));
}

#[tokio::test]
async fn too_many_open_searches_are_refused() {
    let fixture = Fixture::new().await;
    plenty(&fixture);
    let mut client = Client::start(&fixture);
    client.call("server.info", json!({})).await;
    client.pause();
    let mut opened = Vec::new();
    for _ in 0..9 {
        opened.push(client.send("text.subscribe", json!({ "pattern": "many", "limit": 100_000 })).await);
    }
    client.go_on();
    let mut answers = Vec::new();
    for pending in opened {
        answers.push(pending.answer().await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer["error"]["data"]["kind"] == "overloaded").collect();
    assert!(refused.len() == 1, "{refused:?}");
    for answer in answers.iter().filter_map(|answer| answer["result"].as_u64()) {
        client.call("text.unsubscribe", json!({ "subscription": answer })).await;
    }
    let again = client.call("text.subscribe", json!({ "pattern": "^two$" })).await.as_u64().unwrap();
    assert_eq!(follow(&client, again).await.len(), 2);
}

#[tokio::test]
async fn cancelled_searches_leave_no_threads_behind() {
    let fixture = Fixture::new().await;
    // A pattern that takes minutes: from each position it tries hundreds of ends.
    let line = format!("{}\n", "ä word and another ".repeat(50));
    for number in 0..40 {
        std::fs::write(fixture.path(&format!("repo/slow{number}")), line.repeat(2000)).unwrap();
    }
    let slow = json!({ "pattern": "[\\w\\s]{200,400}[^\\w\\s]", "path": "." });
    let mut client = Client::start(&fixture);
    let mut pending = Vec::new();
    for _ in 0..4 {
        pending.push(client.send("text.find", slow.clone()).await);
    }
    let unsubscribed = client.call("text.subscribe", slow).await.as_u64().unwrap();
    for one in pending {
        client.send_line(&json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": one.id } }).to_string()).await;
        assert_eq!(one.answer().await["error"]["code"], -32800);
    }
    assert_eq!(client.call("text.unsubscribe", json!({ "subscription": unsubscribed })).await, true);
    // Search slots are limited, so this one is answered only when the threads of those have ended.
    assert_eq!(places(&client.call("text.find", json!({ "pattern": "^two$" })).await), ["a.txt:2"]);
}

#[tokio::test]
async fn a_search_whose_daemon_dies_is_told_to_have_ended() {
    let fixture = Fixture::new().await;
    plenty(&fixture);
    let mut client = Client::relay(&fixture, &[]);
    let pid = client.call("server.info", json!({})).await["pid"].as_u64().unwrap();
    client.pause();
    let opened = client.send("text.subscribe", json!({ "pattern": "many", "limit": 100_000 })).await;
    let mut other = Client::relay(&fixture, &[]);
    // The search is running when output of it waits.
    while !other.call("server.diagnose", json!({})).await["clients"].as_array().unwrap().iter().any(|client| client["waitingBytes"] != 0) {}
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    client.go_on();
    let subscription = opened.result().await.as_u64().unwrap();
    let told = client.event(|told| told["subscription"] == subscription && told.get("error").is_some()).await;
    assert_eq!(told["error"]["data"]["kind"], "unavailable", "{told}");
    // The next one uses another daemon.
    let again = client.call("text.subscribe", json!({ "pattern": "^two$" })).await.as_u64().unwrap();
    assert_ne!(again, subscription);
    assert_eq!(follow(&client, again).await.len(), 2);
    assert_ne!(client.call("server.info", json!({})).await["pid"].as_u64().unwrap(), pid);
}
