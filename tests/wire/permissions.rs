//! Permissions: asked, granted, refused, stored, and never bypassed.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::Answer,
};

fn bash(command: &str) -> Answer {
    Answer::openai_calls(&[("c", "bash", json!({ "command": command, "description": "x" }))])
}

async fn asked(client: &Client) -> Value {
    client.event_of("permission.asked").await["properties"].clone()
}

#[tokio::test]
async fn once_always_and_what_always_has_granted() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(bash("git status --short"));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    let question = asked(&client).await;
    assert_eq!((&question["type"], &question["patterns"]), (&json!("bash"), &json!(["git status --short"])));
    let status = client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    assert_eq!(status["properties"]["status"]["permissionID"], question["id"]);
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "always" })).await;
    assert_eq!(client.event_of("permission.replied").await["properties"]["response"], "always");
    turn.result().await;
    let again =
        client.refused("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "once" })).await;
    assert_eq!(again["data"]["kind"], "conflict");

    // Granted in the whole project, also for another session and after a restart.
    let grants = client.call("permission.grants", json!({})).await;
    assert_eq!(grants[0]["type"], "bash");
    client.end().await;
    let mut client = Client::start(&fixture);
    let other = client.session().await;
    fixture.models.push(bash("git status"));
    fixture.models.push(Answer::openai_text("not asked"));
    assert_eq!(text(&client.prompt(&other, "2").await), "not asked");
    assert_eq!(client.call("permission.revoke", json!({ "id": grants[0]["id"] })).await, true);
    client.subscribe(json!({ "sessionID": other })).await;
    fixture.models.push(bash("git status"));
    let _turn = client.send("session.prompt", json!({ "sessionID": other, "parts": "3" })).await;
    asked(&client).await;
}

#[tokio::test]
async fn a_refusal_ends_the_turn_and_one_with_words_goes_to_the_model() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(bash("touch made"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    let question = asked(&client).await;
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
    let answer = turn.result().await;
    assert_eq!(parts(&answer, "tool")[0]["state"]["status"], "error");
    assert!(answer["info"].get("error").is_none(), "{answer}");

    fixture.models.push(bash("touch made"));
    fixture.models.push(Answer::openai_text("as you wish"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "2" })).await;
    let question = asked(&client).await;
    client
        .call(
            "permission.reply",
            json!({ "sessionID": session, "permissionID": question["id"], "response": "reject", "message": "use make instead" }),
        )
        .await;
    assert_eq!(text(&turn.result().await), "as you wish");
    let sent = fixture.models.requests().into_iter().rfind(|r| r.body["model"] == "main").unwrap().body["messages"].to_string();
    assert!(sent.contains("use make instead"));
    assert!(!fixture.path("repo/made").exists());
}

#[tokio::test]
async fn a_deny_is_final_and_a_hidden_command_is_found() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "allow", "rm *": "deny" } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for command in ["rm a.txt", "echo $(rm a.txt)", "true && 'rm' a.txt", "(cd . ; \\rm a.txt)", "env rm a.txt", "bash -c 'rm a.txt'"] {
        fixture.models.push(bash(command));
        fixture.models.push(Answer::openai_text("ok"));
        client.prompt(&session, command).await;
        assert!(fixture.path("repo/a.txt").exists(), "{command} got through");
    }
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let refused = messages
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| parts(message, "tool").iter().any(|part| part["state"]["status"] == "error"))
        .count();
    assert_eq!(refused, 6);
    fixture.models.push(bash("echo fine"));
    fixture.models.push(Answer::openai_text("ok"));
    client.prompt(&session, "allowed").await;
    let messages = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
    assert!(parts(&messages[0], "tool")[0]["state"]["output"].as_str().unwrap().contains("fine"));
}

#[tokio::test]
async fn outside_the_worktree_needs_leave_also_through_a_symlink() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("secret.txt"), "hidden").unwrap();
    std::os::unix::fs::symlink(fixture.path("secret.txt"), fixture.path("repo/link.txt")).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    for path in ["../secret.txt", "link.txt", fixture.path("secret.txt").to_str().unwrap()] {
        fixture.models.push(Answer::openai_calls(&[("c", "read", json!({ "filePath": path }))]));
        let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": path })).await;
        let question = asked(&client).await;
        assert_eq!(question["type"], "external_directory", "{path}");
        client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
        let answer = turn.result().await;
        assert!(!answer.to_string().contains("hidden"), "{path}");
        // Each round has a call of the same arguments at most once, so the repeated-call guard stays out of it.
    }
}

#[tokio::test]
async fn the_same_call_three_times_is_asked_about() {
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        fixture.models.push(Answer::openai_calls(&[("c", "read", json!({ "filePath": "a.txt" }))]));
    }
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let question = asked(&client).await;
    assert_eq!(question["type"], "repeat");
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
    turn.result().await;
    assert_eq!(fixture.models.requests().iter().filter(|r| r.body["model"] == "main").count(), 3);
}

#[tokio::test]
async fn a_project_has_no_say_until_it_is_trusted() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("repo/polytree.json"), r#"{ "permission": { "bash": "allow" } }"#).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let project = client.call("project.current", json!({})).await;
    assert_eq!((&project["trusted"], &project["pending"]), (&json!(false), &json!(["polytree.json"])));
    fixture.models.push(bash("echo 1"));
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    asked(&client).await;
    client.call("session.abort", json!({ "sessionID": session })).await;
    let project = client.call("project.trust", json!({ "trusted": true })).await;
    assert_eq!((&project["trusted"], project.get("pending")), (&json!(true), None));
    fixture.models.push(bash("echo 2"));
    fixture.models.push(Answer::openai_text("trusted"));
    assert_eq!(text(&client.prompt(&session, "2").await), "trusted");
    // A change of the file is pending again.
    std::fs::write(fixture.path("repo/polytree.json"), r#"{ "permission": { "bash": "allow", "edit": "allow" } }"#).unwrap();
    fixture.models.push(bash("echo 3"));
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "3" })).await;
    asked(&client).await;
}

/// Submits a prompt whose answer calls bash, and returns the question.
async fn waiting(fixture: &Fixture, client: &mut Client, session: &str, command: &str) -> Value {
    fixture.models.push(bash(command));
    client.call("session.submit", json!({ "sessionID": session, "parts": command })).await;
    asked(client).await
}

/// The same, and what the model says when it was answered.
async fn question(fixture: &Fixture, client: &mut Client, session: &str, command: &str) -> Value {
    let question = waiting(fixture, client, session, command).await;
    fixture.models.push(Answer::openai_text("done"));
    question
}

/// Prompts, without a question.
async fn unasked(fixture: &Fixture, client: &mut Client, session: &str, command: &str) {
    fixture.models.push(bash(command));
    fixture.models.push(Answer::openai_text("not asked"));
    assert_eq!(text(&client.prompt(session, command).await), "not asked", "{command}");
}

#[tokio::test]
async fn a_grant_may_hold_in_the_session_alone() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let child = client.call("session.create", json!({ "parentID": session })).await["id"].as_str().unwrap().to_owned();
    client.subscribe(json!({ "types": ["permission.asked", "permission.replied", "session.idle"] })).await;
    let first = waiting(&fixture, &mut client, &session, "git status --short").await;
    assert_eq!(first["always"], json!(["git status *"]));
    // The child's question is answered too, that of another session is not.
    let second = waiting(&fixture, &mut client, &child, "git status --long").await;
    let other = client.session().await;
    let third = waiting(&fixture, &mut client, &other, "git status -b").await;
    fixture.models.push(Answer::openai_text("done"));
    fixture.models.push(Answer::openai_text("done"));
    let reply = json!({ "sessionID": session, "permissionID": first["id"], "response": "always", "scope": "session" });
    client.call("permission.reply", reply).await;
    for id in [&first["id"], &second["id"]] {
        assert_eq!(client.event_of("permission.replied").await["properties"]["permissionID"], *id);
    }
    let open = client.call("permission.list", json!({})).await;
    assert_eq!((open.as_array().unwrap().len(), &open[0]["id"]), (1, &third["id"]));
    client.event_of("session.idle").await;
    client.event_of("session.idle").await;
    unasked(&fixture, &mut client, &session, "git status -z").await;

    let grants = client.call("permission.grants", json!({})).await;
    assert_eq!((&grants[0]["sessionID"], &grants[0]["pattern"]), (&json!(session), &json!("git status *")));
    assert_eq!(client.call("permission.grants", json!({ "sessionID": child })).await, grants);
    assert_eq!(client.call("permission.grants", json!({ "sessionID": other })).await, json!([]));
    assert_eq!(client.call("permission.revoke", json!({ "id": grants[0]["id"] })).await, true);
    assert_eq!(client.call("permission.grants", json!({})).await, json!([]));
    question(&fixture, &mut client, &session, "git status -uno").await;
}

#[tokio::test]
async fn a_grant_may_be_narrower_than_what_was_offered() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let first = question(&fixture, &mut client, &session, "git status --short").await;
    let reply = |fields: Value| {
        let mut params = json!({ "sessionID": session, "permissionID": first["id"], "response": "always" });
        params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        params
    };
    for (fields, expected) in [
        (json!({ "always": ["rm *"] }), "does not cover"),
        (json!({ "always": ["*"] }), "does not cover"),
        (json!({ "always": ["git status *", "git*"] }), "does not cover"),
        (json!({ "always": [] }), "at least one"),
        (json!({ "always": "git status *" }), "always"),
        (json!({ "always": vec!["git status *"; 1001] }), "at most 1000"),
        (json!({ "always": ["x".repeat(70_000)] }), "limit"),
        (json!({ "response": "once", "always": ["git status *"] }), "belongs to the response"),
        (json!({ "response": "reject", "scope": "session" }), "belongs to the response"),
        (json!({ "scope": "everywhere" }), "everywhere"),
    ] {
        let error = client.refused("permission.reply", reply(fields.clone())).await;
        assert_eq!(error["code"], -32602, "{fields}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{fields}: {error}");
    }
    let stranger = client.session().await;
    let foreign = json!({ "sessionID": stranger, "permissionID": first["id"], "response": "always", "scope": "session" });
    assert_eq!(client.refused("permission.reply", foreign).await["data"]["kind"], "not_found");
    client.call("permission.reply", reply(json!({ "always": ["git status --short *"] }))).await;
    client.event_of("session.idle").await;
    assert_eq!(client.call("permission.grants", json!({})).await[0]["pattern"], "git status --short *");
    unasked(&fixture, &mut client, &session, "git status --short").await;
    question(&fixture, &mut client, &session, "git status --long").await;
}

#[tokio::test]
async fn rules_of_a_session_hold_in_it_and_its_children() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "touch denied": "deny" } } }));
    let mut client = Client::start(&fixture);
    let rule = |pattern: &str, action: &str| json!({ "permission": "bash", "pattern": pattern, "action": action });
    let rules = json!([rule("touch *", "allow"), rule("touch no", "deny")]);
    let created = client.call("session.create", json!({ "permission": rules })).await;
    assert_eq!(created["permission"], rules);
    let session = created["id"].as_str().unwrap().to_owned();
    let child = client.call("session.create", json!({ "parentID": session })).await["id"].as_str().unwrap().to_owned();
    for session in [&session, &child] {
        unasked(&fixture, &mut client, session, "touch yes").await;
        for denied in ["touch no", "touch denied"] {
            unasked(&fixture, &mut client, session, denied).await;
        }
    }
    assert!(fixture.path("repo/yes").exists() && !fixture.path("repo/no").exists() && !fixture.path("repo/denied").exists());
    // A mode lifts no deny.
    client.call("session.update", json!({ "sessionID": session, "mode": "all" })).await;
    unasked(&fixture, &mut client, &session, "touch no").await;
    assert!(!fixture.path("repo/no").exists());
    // They change with the next call, also of a turn that runs.
    client.call("session.update", json!({ "sessionID": session, "mode": "ask", "permission": [] })).await;
    client.subscribe(json!({ "sessionID": session })).await;
    let first = question(&fixture, &mut client, &session, "touch a").await;
    client.call("session.update", json!({ "sessionID": session, "permission": [rule("touch b", "allow")] })).await;
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": first["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    unasked(&fixture, &mut client, &session, "touch b").await;
    // A file grants nothing, and its denies stay.
    client.call("session.update", json!({ "sessionID": session, "permission": rules })).await;
    let export = client.call("session.export", json!({ "sessionID": session })).await;
    let copy = client.call("session.import", json!({ "session": export })).await;
    assert_eq!(copy["permission"], json!([rule("touch no", "deny")]));
    for (rules, expected) in [
        (json!([{ "permission": "bsh", "pattern": "*", "action": "deny" }]), "bsh"),
        (json!([{ "permission": "bash", "pattern": "*", "action": "never" }]), "never"),
        (json!([{ "permission": "bash", "pattern": "*" }]), "action"),
        (json!({ "bash": "deny" }), "array"),
        (json!(vec![rule("x", "deny"); 501]), "at most 500"),
        (json!([rule(&"x".repeat(5000), "deny")]), "limit"),
        (json!([{ "permission": "bash", "pattern": "*", "action": "deny", "reason": "x" }]), "reason"),
    ] {
        for (method, params) in
            [("session.create", json!({ "permission": rules })), ("session.update", json!({ "sessionID": session, "permission": rules }))]
        {
            let error = client.refused(method, params).await;
            assert!(error["code"] == -32602 && error["message"].as_str().unwrap().contains(expected), "{method} {expected}: {error}");
        }
    }
}
