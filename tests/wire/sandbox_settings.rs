//! Settings of the sandbox, and what cannot be said to the kernel, from end to end.

use std::os::unix::net::UnixListener;

use serde_json::json;

use super::{
    sandbox::{Place, edits, output, python, unguarded},
    support::{client::Client, fixture::Fixture, model_server::Answer},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_required_is_whole_or_asked_for() {
    let fixture = Fixture::new().await;
    let socket = fixture.path("socket");
    for (sandbox, is_whole) in [(json!({ "required": true }), true), (json!({ "required": true, "sockets": [socket] }), false)] {
        let fixture = Fixture::new().await;
        let mut settings = unguarded();
        settings["sandbox"] = sandbox;
        let mut place = Place::new(fixture, "repo", &settings).await;
        let abilities = place.diagnosis().await;
        let has_all = |policy: &str| abilities["policies"][policy]["missing"].as_array().unwrap().iter().all(|word| word == "sockets");
        let names_sockets = abilities["landlock"].as_u64().unwrap() >= 9;
        for (more, policy) in [(edits(), "workspace"), (json!({ "agent": "plan" }), "read-only")] {
            assert!(has_all(policy), "these tests need namespaces or bubblewrap: {abilities}");
            let (state, questions) = place.call(json!({ "command": python("print(1)"), "description": "x" }), more).await;
            if is_whole || names_sockets {
                assert_eq!((questions.len(), &state["metadata"]["exit"]), (0, &json!(0)), "{policy}: {state}");
                continue;
            }
            let [question] = &questions[..] else { panic!("{policy}: {state}") };
            if policy == "read-only" {
                assert_eq!((&question["type"], &question["metadata"]["sandbox"]["policy"]), (&json!("sandbox"), &json!(policy)));
                assert!(question["metadata"]["reason"].as_str().unwrap().contains("sandbox.required"), "{question}");
                assert!(question["metadata"]["sandbox"]["missing"].as_array().unwrap().contains(&json!("sockets")), "{question}");
            } else {
                // What cannot be confined is not allowed by the mode.
                assert_eq!(question["type"], "bash", "{question}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_sockets_are_reached_where_the_kernel_knows_them_and_else_missing() {
    let fixture = Fixture::new().await;
    let sockets = ["named", "other"].map(|name| fixture.path(name));
    let listeners = sockets.clone().map(|path| UnixListener::bind(path).unwrap());
    listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
    let mut place = Place::new(fixture, "repo", &json!({ "sandbox": { "sockets": [sockets[0]] } })).await;
    let knows = place.diagnosis().await["landlock"].as_u64().unwrap() >= 9;
    for (path, is_named) in sockets.iter().zip([true, false]) {
        let code = format!(r#"import socket; s = socket.socket(socket.AF_UNIX); s.connect("{}")"#, path.display());
        let state = place.run(&python(&code), edits()).await;
        assert_eq!(state["metadata"]["exit"] == 0, is_named && knows, "{path:?}: {state}");
        let missing = state["metadata"]["sandbox"]["missing"].as_array().unwrap();
        assert_eq!(missing.contains(&json!("sockets")), !knows, "{state}");
    }
    assert_eq!(listeners.map(|listener| listener.accept().is_ok()), [knows, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rules_than_the_kernel_takes_are_asked_for() {
    let fixture = Fixture::new().await;
    for number in 0..1001 {
        std::fs::write(fixture.path(&format!("repo/f{number}")), "").unwrap();
    }
    std::fs::write(fixture.path("repo/.env"), "SECRET-ENV\n").unwrap();
    let mut place = Place::new(fixture, "repo", &unguarded()).await;
    let call = json!({ "command": python("print(1)"), "description": "x" });
    let (_, questions) = place.call(call.clone(), json!({ "agent": "plan" })).await;
    let [question] = &questions[..] else { panic!("{questions:?}") };
    assert_eq!((&question["type"], &question["metadata"]["sandbox"]["policy"]), (&json!("sandbox"), &json!("read-only")));
    assert!(question["metadata"]["reason"].as_str().unwrap().contains("too many files"), "{question}");
    // A mount hides the file, whatever lies beside it.
    let state = place.run(&python(r#"print(open(".env").read())"#), edits()).await;
    assert!(state["metadata"]["exit"] != 0 && !output(&state).contains("SECRET"), "{state}");
    // Without the secret there is one rule.
    std::fs::remove_file(place.fixture.path("repo/.env")).unwrap();
    let (state, questions) = place.call(call, json!({ "agent": "plan" })).await;
    assert!(questions.is_empty() && state["metadata"]["exit"] == 0, "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_command_leaves_in_its_temporary_directory_stays() {
    let mut place = Place::new(Fixture::new().await, "repo", &json!({})).await;
    for line in [
        r#"import os; t = os.environ["TMPDIR"]; os.makedirs(t + "/a/b"); open(t + "/a/b/c", "w"); [os.chmod(t + d, 0) for d in ("/a/b", "/a", "")]; print(t)"#,
        r#"import os; t = os.environ["TMPDIR"]; os.mkdir(t + "/a"); os.symlink(os.getcwd(), t + "/a/link"); os.chmod(t + "/a", 0o500); print(t)"#,
    ] {
        let state = place.run(&python(line), edits()).await;
        let path = std::path::Path::new(output(&state).trim());
        assert!(path.is_absolute() && std::fs::symlink_metadata(path).is_err(), "{line}: {state}");
    }
    assert!(place.fixture.path("repo/a.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_left_in_the_directory_for_temporary_files_is_removed_by_the_next() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "mode": "edits" }));
    let directory = fixture.path("tmp");
    std::fs::create_dir(&directory).unwrap();
    let variables = [("TMPDIR", directory.to_str().unwrap())];
    let left = || std::fs::read_dir(&directory).unwrap().flatten().map(|entry| entry.path()).find(|path| path.join("x").exists());
    let code = r#"import os, time; open(os.environ["TMPDIR"] + "/x", "w"); time.sleep(60)"#;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": python(code), "description": "x" }))]));
    let mut client = Client::start_with(&fixture, "repo", &variables);
    let session = client.session().await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    while left().is_none() {
        tokio::task::yield_now().await;
    }
    client.kill().await;
    assert!(left().is_some());
    let _client = Client::start_with(&fixture, "repo", &variables);
    while std::fs::read_dir(&directory).unwrap().next().is_some() {
        tokio::task::yield_now().await;
    }
}
