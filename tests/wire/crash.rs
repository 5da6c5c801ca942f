//! A killed daemon: everything that a client has seen is kept, interrupted work is marked, and questions stay open.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn every_delta_that_was_seen_is_kept_and_the_half_message_is_marked() {
    let fixture = Fixture::new().await;
    let frames = (0..200).map(|number| openai::text(&format!("{number} ")));
    fixture.models.push(Answer::sse(frames).pace(std::time::Duration::from_millis(2)).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let mut seen = String::new();
    let mut cursor = 0;
    while seen.len() < 150 {
        let event = client.event_of("message.part.delta").await;
        seen.push_str(event["properties"]["delta"].as_str().unwrap());
        cursor = event["cursor"].as_u64().unwrap();
    }
    client.kill().await;
    let mut client = Client::start(&fixture);
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let kept = text(&messages[1]);
    assert!(kept.starts_with(&seen), "seen {seen:?}, kept {kept:?}");
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageInterruptedError");
    assert!(messages[1]["info"]["time"]["completed"].is_number());
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    // The stream continues, with new and larger cursors only.
    let page = client.call("event.list", json!({ "since": cursor, "sessionID": session })).await;
    let cursors: Vec<u64> = page["events"].as_array().unwrap().iter().map(|event| event["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.is_sorted() && cursors.first().is_some_and(|first| *first > cursor), "{cursors:?}");
    assert_eq!(page["events"].as_array().unwrap().last().unwrap()["type"], "session.idle");
    fixture.models.push(Answer::openai_text("on"));
    assert_eq!(text(&client.prompt(&session, "again").await), "on");
}

#[tokio::test]
async fn a_question_survives_and_its_answer_resumes_the_turn_at_that_call() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[
        ("c1", "read", json!({ "filePath": "a.txt" })),
        ("c2", "bash", json!({ "command": "echo ran >> log", "description": "log" })),
    ]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    client.kill().await;
    assert!(!fixture.path("repo/log").exists());

    let mut client = Client::start(&fixture);
    assert_eq!(client.call("permission.list", json!({})).await, json!([asked]));
    assert_eq!(client.call("session.status", json!({})).await[&session]["permissionID"], asked["id"]);
    fixture.models.push(Answer::openai_text("resumed"));
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n", "it ran exactly once");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let states: Vec<&Value> = parts(&messages[1], "tool").iter().map(|part| &part["state"]["status"]).collect();
    assert_eq!(states, ["completed", "completed"]);
    assert_eq!(text(messages.as_array().unwrap().last().unwrap()), "resumed");
    assert_eq!(messages.as_array().unwrap().len(), 3, "nothing was said twice");
}

#[tokio::test]
async fn a_signal_leaves_questions_open_and_marks_the_rest() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo ran >> log", "description": "log" }))]));
    let mut client = Client::start(&fixture);
    let (asking, streaming) = (client.session().await, client.session().await);
    client.subscribe(json!({})).await;
    client.call("session.submit", json!({ "sessionID": asking, "parts": "ask" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    client.call("session.submit", json!({ "sessionID": streaming, "parts": "stream" })).await;
    client.event_of("message.part.delta").await;
    client.terminate().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("permission.list", json!({})).await, json!([asked]));
    let cut = client.call("session.messages", json!({ "sessionID": streaming })).await;
    assert_eq!(cut[1]["info"]["error"]["name"], "MessageInterruptedError");
    assert_eq!(text(&cut[1]), "half");
    fixture.models.push(Answer::openai_text("resumed"));
    client.subscribe(json!({ "sessionID": asking })).await;
    client.call("permission.reply", json!({ "sessionID": asking, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n");
}

#[tokio::test]
async fn an_abort_after_the_restart_is_an_abort() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo x > made", "description": "x" }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
    assert_eq!(client.call("permission.list", json!({})).await, json!([]));
    let late = client.refused("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    assert_eq!(late["data"]["kind"], "conflict");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(parts(&messages[1], "tool")[0]["state"]["status"], "error");
    assert!(!fixture.path("repo/made").exists());
}

#[tokio::test]
async fn a_command_that_ran_at_the_kill_is_not_run_again() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo ran >> log; sleep 60", "description": "x" }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    while !fixture.path("repo/log").exists() {
        tokio::task::yield_now().await;
    }
    client.kill().await;
    let mut client = Client::start(&fixture);
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let state = parts(&messages[1], "tool")[0]["state"].clone();
    assert_eq!(state["status"], "error");
    assert_eq!(state["metadata"]["interrupted"], true, "{state}");
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n");
}

#[tokio::test]
async fn queued_prompts_are_kept_and_do_not_start_by_themselves() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("x")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await;
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    fixture.models.push(Answer::openai_text("to 2"));
    fixture.models.push(Answer::openai_text("to 3"));
    assert_eq!(text(&client.prompt(&session, "3").await), "to 3");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let said: Vec<String> = messages.as_array().unwrap().iter().map(text).collect();
    assert_eq!(said, ["1", "x", "2", "3", "to 2", "to 3"]);
}

#[tokio::test]
async fn the_temporary_file_of_a_killed_write_is_removed_by_the_next_daemon() {
    let fixture = Fixture::new().await;
    let id = ulid::Ulid::generate();
    let (temporary, other) = (fixture.path(&format!("repo/.polytree-{id}.tmp")), fixture.path("repo/.polytree-other.tmp"));
    for path in [&temporary, &other] {
        std::fs::write(path, "half").unwrap();
    }
    std::fs::create_dir(fixture.path("data/unfinished")).unwrap();
    let note = fixture.path("data/unfinished").join(id.to_string());
    std::fs::write(&note, fixture.path("repo").as_os_str().as_encoded_bytes()).unwrap();
    let mut client = Client::start(&fixture);
    client.session().await;
    let gone = async {
        while temporary.exists() || note.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("it stays");
    assert!(other.exists(), "only what was noted is removed");
}

/// Fills the queue of prompts, by copying the one that waits.
fn fill_queue(fixture: &Fixture) {
    let connection = rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 999),
                 waiting AS (SELECT message.* FROM queue JOIN message ON message.id = queue.message_id)
             INSERT INTO message (id, session_id, data)
             SELECT new, session_id, replace(data, waiting.id, new)
             FROM (SELECT n, 'msg_01ARZ3NDEKTSV4RRF' || printf('%09d', n) AS new FROM number), waiting ORDER BY n;
             INSERT INTO queue (session_id, message_id) SELECT session_id, id FROM message WHERE id LIKE 'msg_01ARZ3NDEKTSV4RRF%';",
        )
        .unwrap();
}

#[tokio::test]
async fn a_full_queue_is_started_by_the_next_prompt_and_emptied_by_an_abort() {
    for started in [false, true] {
        let fixture = Fixture::new().await;
        fixture.models.push(Answer::sse([openai::text("x")]).hang());
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        client.subscribe(json!({ "sessionID": session })).await;
        client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
        client.event_of("message.part.delta").await;
        client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await;
        client.kill().await;
        fill_queue(&fixture);

        let mut client = Client::start(&fixture);
        let submit = json!({ "sessionID": session, "parts": "3" });
        if started {
            fixture.models.push(Answer::sse([openai::text("y")]).hang());
            client.subscribe(json!({ "sessionID": session })).await;
            assert_eq!(client.call("session.submit", submit.clone()).await["queued"], true, "the first of the queue has begun");
            assert_eq!(client.refused("session.submit", submit).await["data"]["kind"], "overloaded");
            client.event_of("message.part.delta").await;
        }
        client.call("session.abort", json!({ "sessionID": session })).await;
        fixture.models.push(Answer::openai_text("to 4"));
        assert_eq!(text(&client.prompt(&session, "4").await), "to 4", "nothing waits any more");
    }
}
