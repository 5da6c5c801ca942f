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
