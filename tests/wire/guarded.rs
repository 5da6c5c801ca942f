//! Protection that is independent of rules: keys stay out of commands, results and foreign servers; the state of files is
//! checked again after a question was answered.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, ModelServer},
};

fn bash(arguments: Value) -> Answer {
    let mut arguments = arguments;
    arguments["description"] = json!("x");
    Answer::openai_calls(&[("c", "bash", arguments)])
}

async fn asked(client: &Client) -> Value {
    client.event_of("permission.asked").await["properties"].clone()
}

#[tokio::test]
async fn keys_are_not_in_commands_and_not_in_results() {
    const KEYS: [&str; 3] = ["sk-OPENAISECRET9", "sk-SETTINGS-KEY-1", "sk-STORED-KEY-22"];
    let fixture = Fixture::new().await;
    let provider = json!({ "test": {
        "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "{env:MINE}" }, "models": { "main": {}, "small": {} },
    } });
    fixture.settings(&json!({ "provider": provider, "permission": { "*": "allow" }, "sandbox": { "environment": ["GEMINI_API_KEY"] } }));
    std::fs::write(fixture.path("repo/keys.txt"), KEYS.join("\n") + "\n").unwrap();
    let variables = [("OPENAI_API_KEY", KEYS[0]), ("MINE", KEYS[1]), ("GEMINI_API_KEY", "kept")];
    let mut client = Client::start_with(&fixture, "repo", &variables);
    client.call("auth.set", json!({ "providerID": "anthropic", "type": "api", "key": KEYS[2] })).await;
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let line = "echo \"[$OPENAI_API_KEY$MINE$GEMINI_API_KEY]\"; cat keys.txt; printf 'sk-OPENAI'; printf 'SECRET9\\n'; yes $(cat keys.txt) | head -3000";
    fixture.models.push(bash(json!({ "command": line })));
    fixture
        .models
        .push(Answer::openai_calls(&[("d", "read", json!({ "filePath": "keys.txt" })), ("e", "grep", json!({ "pattern": "sk-" }))]));
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "1").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let output = parts(&messages[1], "tool")[0]["state"]["output"].as_str().unwrap();
    assert!(output.starts_with("[kept]\n[redacted key]\n[redacted key]\n[redacted key]\n[redacted key]\n"), "{output:.200}");
    let events = Value::from(client.events_until("session.idle").await).to_string();
    let sent: String = fixture.models.requests().iter().map(|request| request.body.to_string()).collect();
    let kept =
        std::fs::read_dir(fixture.path("data/output")).unwrap().flat_map(|project| std::fs::read_dir(project.unwrap().path()).unwrap());
    let kept: String = kept.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(kept.contains("[redacted key]"));
    for key in KEYS {
        // The command itself is shown unchanged; it contains no key.
        for (place, text) in
            [("messages", messages.to_string()), ("events", events.clone()), ("requests", sent.clone()), ("files", kept.clone())]
        {
            assert!(!text.contains(key), "{key} is in the {place}");
        }
    }
}

#[tokio::test]
async fn no_cut_leaves_a_part_of_a_key() {
    const KEY: &str = "QWERTYUIOP0987654321ASDFGHJKL1234567890ZXCVBNM";
    let fixture = Fixture::new().await;
    let provider = json!({ "test": {
        "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": KEY }, "models": { "main": {}, "small": {} },
    } });
    fixture.settings(&json!({ "provider": provider, "permission": { "*": "allow" } }));
    // The key is at the position where a line is truncated, by characters and by bytes.
    for (name, around, before) in [("wide", "\u{1f511}", 1980), ("plain", "x", 1980), ("key", "", 0)] {
        let line = format!("{}{KEY}{}\n", around.repeat(before), around.repeat(3000));
        std::fs::write(fixture.path(&format!("repo/{name}.txt")), line).unwrap();
    }
    // A match whose excerpt begins within the key, and one whose excerpt ends within it.
    let found = format!("{KEY}{}NEEDLE{}{KEY}\n", "x".repeat(245), "y".repeat(1720));
    std::fs::write(fixture.path("repo/found.txt"), "z".repeat(3000) + &found).unwrap();
    let lines =
        |last: &str| format!("fn quoted() {{\n    let first = 1;\n    let second = 2;\n    let {} = 3;\n}}\n", "q".repeat(280) + last);
    std::fs::write(fixture.path("repo/quoted.txt"), lines(KEY)).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let bash = "k=$(cat key.txt); printf %s \"${k:0:20}\"; read -t 0.2 x < <(sleep 1); printf '%s\\n' \"${k:20}\"";
    for calls in [
        vec![("a", "read", json!({ "filePath": "wide.txt" })), ("b", "read", json!({ "filePath": "plain.txt" }))],
        vec![("c", "grep", json!({ "pattern": "NEEDLE" })), ("d", "grep", json!({ "pattern": "^x{20}" }))],
        vec![("q", "read", json!({ "filePath": "quoted.txt" }))],
        vec![("e", "edit", json!({ "filePath": "quoted.txt", "oldString": lines("other"), "newString": "x" }))],
        vec![("f", "bash", json!({ "command": bash, "description": "x" }))],
    ] {
        fixture.models.push(Answer::openai_calls(&calls));
    }
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "1").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await.to_string();
    let events = Value::from(client.events_until("session.idle").await).to_string();
    assert!(
        messages.matches("[redacted key]").count() >= 6 && messages.contains("NEEDLE") && messages.contains("nearest text"),
        "{messages}"
    );
    for (place, text) in [("messages", messages), ("events", events)] {
        for part in KEY.as_bytes().windows(5).map(|part| str::from_utf8(part).unwrap()) {
            assert!(!text.contains(part), "{part} is in the {place}");
        }
    }
    let description = format!("{} {KEY}", "d".repeat(180));
    fixture.models.push(Answer::openai_calls(&[("g", "bash", json!({ "command": "true", "description": description }))]));
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "2").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let state = &messages.as_array().unwrap().iter().rev().find_map(|message| parts(message, "tool").first().copied()).unwrap()["state"];
    assert!(state["title"].as_str().unwrap().ends_with("[redacted key]"), "{state}");
}

#[tokio::test]
async fn a_projects_address_gets_a_key_once_the_user_names_it() {
    let fixture = Fixture::new().await;
    let other = ModelServer::start().await;
    std::fs::write(
        fixture.path("repo/polytree.json"),
        json!({ "provider": { "test": { "options": { "baseURL": other.url() } } } }).to_string(),
    )
    .unwrap();
    let mut client = Client::start(&fixture);
    client.call("project.trust", json!({ "trusted": true })).await;
    let session = client.session().await;
    let answer = client.prompt(&session, "1").await;
    let error = &answer["info"]["error"];
    assert_eq!(error["name"], "ProviderAuthError", "{answer}");
    assert!(error["data"]["hint"].as_str().unwrap().contains("provider.test.options.trustedURLs"), "{error}");
    assert_eq!((other.requests().len(), fixture.models.requests().len()), (0, 0));
    let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
    let options = json!({ "baseURL": fixture.models.url(), "apiKey": "secret-key", "trustedURLs": [other.url()] });
    fixture
        .settings(&json!({ "provider": { "test": { "api": "openai", "options": options, "models": { "main": model, "small": model } } } }));
    other.rule(|_| Some(Answer::openai_text("from there")));
    assert_eq!(text(&client.prompt(&session, "2").await), "from there");
    assert_eq!(other.requests()[0].header("authorization"), Some("Bearer secret-key"));
}

#[tokio::test]
async fn a_question_tells_where_and_a_swapped_directory_is_not_worked_in() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("repo/sub")).unwrap();
    std::fs::create_dir(fixture.path("outside")).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let calls = [
        bash(json!({ "command": "touch made # \u{202e}", "workdir": "sub" })),
        Answer::openai_calls(&[("e", "write", json!({ "filePath": "sub/made", "content": "x" }))]),
    ];
    for (call, kind) in calls.into_iter().zip(["bash", "edit"]) {
        fixture.models.push(call);
        fixture.models.push(Answer::openai_text("done"));
        let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": kind })).await;
        let question = asked(&client).await;
        assert_eq!(&question["type"], &json!(kind));
        if kind == "bash" {
            let metadata = &question["metadata"];
            assert_eq!(metadata["workdir"], fixture.path("repo/sub").to_str().unwrap());
            assert_eq!((&metadata["command"], &metadata["shown"]), (&json!("touch made # \u{202e}"), &json!("touch made # \\u{202e}")));
        }
        std::fs::rename(fixture.path("repo/sub"), fixture.path("repo/old")).unwrap();
        std::os::unix::fs::symlink(fixture.path("outside"), fixture.path("repo/sub")).unwrap();
        client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "once" })).await;
        turn.result().await;
        assert_eq!(std::fs::read_dir(fixture.path("outside")).unwrap().count(), 0, "{kind}");
        std::fs::remove_file(fixture.path("repo/sub")).unwrap();
        std::fs::rename(fixture.path("repo/old"), fixture.path("repo/sub")).unwrap();
        assert_eq!(std::fs::read_dir(fixture.path("repo/sub")).unwrap().count(), 0, "{kind}");
    }
}

#[tokio::test]
async fn keys_and_our_own_files_are_asked_for_inside_the_worktree_too() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "*": "allow" } }));
    std::fs::create_dir_all(fixture.path(".ssh")).unwrap();
    std::fs::write(fixture.path(".ssh/id"), "KEYTEXT").unwrap();
    std::os::unix::fs::symlink(".ssh/id", fixture.path("link")).unwrap();
    // The session is in the home directory, which contains everything.
    let mut client = Client::start_with(&fixture, "", &[]);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    for (tool, arguments) in [
        ("read", json!({ "filePath": ".ssh/id" })),
        ("read", json!({ "filePath": "link" })),
        ("write", json!({ "filePath": "config/polytree.json", "content": "{}" })),
        ("list", json!({ "path": ".ssh" })),
        ("grep", json!({ "pattern": "KEY", "path": ".ssh" })),
        ("glob", json!({ "pattern": "*", "path": "data" })),
        ("bash", json!({ "command": "cat .ssh/id", "description": "x" })),
        ("bash", json!({ "command": "ls", "workdir": "config", "description": "x" })),
    ] {
        fixture.models.push(Answer::openai_calls(&[("c", tool, arguments.clone())]));
        let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": arguments.to_string() })).await;
        let question = asked(&client).await;
        assert_eq!((&question["type"], &question["always"]), (&json!("external_directory"), &json!([])), "{tool} {arguments}");
        client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
        assert!(!turn.result().await.to_string().contains("KEYTEXT"), "{tool} {arguments}");
    }
    // A walk over all of it omits them, and reports this.
    for (tool, arguments) in
        [("grep", json!({ "pattern": "KEYTEXT|apiKey" })), ("glob", json!({ "pattern": "**/id" })), ("list", json!({}))]
    {
        fixture.models.push(Answer::openai_calls(&[("c", tool, arguments)]));
        fixture.models.push(Answer::openai_text("done"));
        client.prompt(&session, tool).await;
        let messages = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
        let output = parts(&messages[0], "tool")[0]["state"]["output"].as_str().unwrap();
        assert!(output.contains("Left out") && output.contains(".ssh") && !output.contains(".ssh/id:"), "{tool}: {output}");
    }
}

#[tokio::test]
async fn always_answers_what_the_rules_and_the_grant_allow_together() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "ask", "ls*": "allow" } } }));
    let mut client = Client::start(&fixture);
    client.subscribe(json!({})).await;
    let mut turns = Vec::new();
    let mut questions = Vec::new();
    for line in ["git status", "ls && git status -s", "git push"] {
        let session = client.session().await;
        fixture.models.push(bash(json!({ "command": line })));
        turns.push(client.send("session.prompt", json!({ "sessionID": session, "parts": line })).await);
        questions.push(asked(&client).await);
    }
    fixture.models.rule(|_| Some(Answer::openai_text("done")));
    let first = &questions[0];
    client.call("permission.reply", json!({ "sessionID": first["sessionID"], "permissionID": first["id"], "response": "always" })).await;
    for turn in turns.drain(..2) {
        turn.result().await;
    }
    let open = client.call("permission.list", json!({})).await;
    assert_eq!(open.as_array().unwrap().iter().map(|question| &question["id"]).collect::<Vec<_>>(), [&questions[2]["id"]]);
}

/// A rule for everything does not let git reach a remote, nor run what the repository names; "always" grants the command.
#[tokio::test]
async fn git_is_asked_about_remotes_and_programs_of_the_repository_until_it_is_named() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": "allow" } }));
    fixture.git("repo", &["config", "filter.evil.clean", "touch zapped; cat"]);
    std::fs::write(fixture.path("repo/.gitattributes"), "* filter=evil\n").unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    for (line, reason) in [("git fetch nowhere", "talks to a remote"), ("git add .gitattributes", "filter.evil.clean")] {
        fixture.models.push(bash(json!({ "command": line })));
        fixture.models.push(Answer::openai_text("done"));
        let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": line })).await;
        let question = asked(&client).await;
        assert!(question["metadata"]["git"].to_string().contains(reason), "{question}");
        assert!(question["title"].as_str().unwrap().contains(reason), "{question}");
        assert_eq!(question["always"].as_array().unwrap().len(), 1, "{question}");
        client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "always" })).await;
        turn.result().await;
        // Granted by its name, it is no question any more.
        fixture.models.push(bash(json!({ "command": line })));
        fixture.models.push(Answer::openai_text("done"));
        client.prompt(&session, line).await;
    }
    // Looking was never one, and runs nothing of the repository.
    std::fs::remove_file(fixture.path("repo/zapped")).unwrap();
    std::fs::write(fixture.path("repo/.gitattributes"), "*  filter=evil\n").unwrap();
    fixture.models.push(bash(json!({ "command": "git status --short && git diff" })));
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "look").await;
    assert!(!fixture.path("repo/zapped").exists());
}

#[tokio::test]
async fn a_line_that_is_not_understood_needs_a_person_while_a_deny_exists() {
    let fixture = Fixture::new().await;
    for (rules, expected) in [(json!({ "*": "ask" }), None), (json!({ "*": "ask", "zap *": "deny" }), Some(&json!(["zap *"])))] {
        fixture.settings(&json!({ "permission": { "bash": rules } }));
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        client.subscribe(json!({ "sessionID": session })).await;
        fixture.models.push(bash(json!({ "command": "A=zap; $A x" })));
        let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
        let question = asked(&client).await;
        assert_eq!((question["metadata"].get("denies"), &question["metadata"]["understood"]), (expected, &json!(false)), "{question}");
        client.call("session.abort", json!({ "sessionID": session })).await;
        client.end().await;
    }
}
