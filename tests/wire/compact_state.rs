//! What a summary carries and what it leaves alone: tasks, agents, instructions, forms, attachments; undo, copies, old outputs.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    compact::{asked, called, is_summary, messages, said, summaries, summarises, too_long},
    support::{
        client::{Client, parts, text},
        fixture::Fixture,
        model_server::{Answer, Recorded, openai},
    },
};

/// An image of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The last request of a step, as it was sent.
fn last_step(fixture: &Fixture) -> Value {
    let is_step = |request: &&Recorded| request.body["model"] == "main" && !is_summary(request);
    fixture.models.requests().iter().rfind(is_step).unwrap().body.clone()
}

async fn turn(fixture: &Fixture, client: &mut Client, session: &str, prompt: &str, used: u64) -> Value {
    fixture.models.push(said(&format!("answer to {prompt}"), used));
    client.prompt(session, prompt).await
}

#[tokio::test]
async fn tasks_and_running_children_are_carried_as_they_are() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    fixture.models.rule(|request| request.body.to_string().contains("child work").then(|| Answer::sse([openai::text("working")]).hang()));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let child = client.call("session.create", json!({ "parentID": session, "title": "Look at the parser" })).await["id"].clone();
    client.call("session.create", json!({ "parentID": session, "title": "Idle" })).await;
    client.call("session.submit", json!({ "sessionID": child, "parts": "child work" })).await;
    let todos = json!({ "todos": [{ "content": "write the parser", "status": "in_progress", "priority": "high" },
        { "content": "test it", "status": "pending", "priority": "low" }] });
    fixture.models.push(called("todowrite", &todos, 1_000));
    turn(&fixture, &mut client, &session, "one", 97_000).await;
    turn(&fixture, &mut client, &session, "two", 1_000).await;
    let found = summaries(&mut client, &session).await;
    let state = &parts(&found[0], "compaction")[0]["state"];
    assert_eq!(state["todos"], todos["todos"]);
    assert_eq!(state["children"], json!([{ "sessionID": child, "title": "Look at the parser" }]));
    let sent = last_step(&fixture)["messages"].to_string();
    for told in ["- [in_progress] write the parser (high priority)", "- [pending] test it (low priority)", "Look at the parser"] {
        assert!(sent.contains(told), "{told}: {sent}");
    }
    assert!(!sent.contains("Idle"), "{sent}");
    assert_eq!(client.call("session.todo", json!({ "sessionID": session })).await, todos["todos"]);
    // A copy has tasks and no children.
    let fork = client.call("session.fork", json!({ "sessionID": session })).await["id"].as_str().unwrap().to_owned();
    let copied = summaries(&mut client, &fork).await;
    assert_eq!(parts(&copied[0], "compaction")[0]["state"], json!({ "todos": todos["todos"] }));
}

#[tokio::test]
async fn agent_mode_and_instructions_stay() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    std::fs::write(fixture.path("repo/AGENTS.md"), "Always answer in rhymes.").unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.call("session.update", json!({ "sessionID": session, "mode": "edits" })).await;
    turn(&fixture, &mut client, &session, "one", 1_000).await;
    let plan = json!({ "sessionID": session, "parts": format!("plan {}", "x".repeat(30_000)), "agent": "plan" });
    fixture.models.push(said("the plan", 97_000));
    client.call("session.prompt", plan).await;
    // The plan is in the summary only, and still a plan: the next agent may carry it out.
    fixture.models.push(said("carried out", 1_000));
    client.call("session.prompt", json!({ "sessionID": session, "parts": "do it", "agent": "build" })).await;
    assert_eq!(summaries(&mut client, &session).await.len(), 1);
    let sent = last_step(&fixture)["messages"].to_string();
    assert!(sent.contains("Plan mode is off") && sent.contains("SUMMARY 1") && !sent.contains("xxxx"), "{sent}");
    assert_eq!(sent.matches("Always answer in rhymes.").count(), 1, "{sent}");
    let info = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!((&info["mode"], &info["agent"]), (&json!("edits"), &json!("build")));
    // Plan mode itself stays on over a summary within a turn.
    fixture.models.push(called("read", &json!({ "filePath": "a.txt" }), 97_000));
    fixture.models.push(said("planned", 1_000));
    let answer = client.call("session.prompt", json!({ "sessionID": session, "parts": "plan on", "agent": "plan" })).await;
    assert_eq!((text(&answer), &answer["info"]["agent"]), ("planned".to_owned(), &json!("plan")));
    let sent = last_step(&fixture);
    assert!(sent["messages"].to_string().contains("Plan mode is on"), "{sent}");
    assert_eq!(client.call("session.get", json!({ "sessionID": session })).await["agent"], "plan");
    client.call("session.compact", json!({ "sessionID": session })).await;
    assert_eq!(client.call("session.get", json!({ "sessionID": session })).await["agent"], "plan");
}

#[tokio::test]
async fn an_answer_in_a_form_is_given_over_a_summary() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "one", 97_000).await;
    fixture.models.push(called("read", &json!({ "filePath": "a.txt" }), 98_000));
    fixture.models.push(called("StructuredOutput", &json!({ "name": 5 }), 1_000));
    fixture.models.push(called("StructuredOutput", &json!({ "name": "Bern" }), 1_100));
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    let form = json!({ "type": "json_schema", "schema": schema });
    let answer = client.call("session.prompt", json!({ "sessionID": session, "parts": "Which city?", "format": form })).await;
    assert_eq!(answer["info"]["structured"], json!({ "name": "Bern" }), "{answer}");
    assert_eq!(summaries(&mut client, &session).await.len(), 2);
    let requests = fixture.models.requests();
    let of_summaries: Vec<&Recorded> = requests.iter().filter(|request| is_summary(request)).collect();
    assert!(of_summaries.iter().all(|request| request.body.get("tools").is_none() && request.body.get("tool_choice").is_none()));
}

#[tokio::test]
async fn images_of_old_turns_are_named_and_not_sent() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let model = json!({ "limit": { "context": 100_000, "output": 4000 }, "attachment": true });
    fixture.settings(&json!({ "compaction": { "tail_turns": 1 }, "provider": { "test": { "api": "openai",
        "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": { "main": model, "small": {} } } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let image =
        |name: &str| json!({ "type": "file", "mime": "image/png", "filename": name, "url": format!("data:image/png;base64,{PNG}") });
    for (name, used) in [("old.png", 1_000), ("new.png", 97_000)] {
        fixture.models.push(said("seen", used));
        client.call("session.prompt", json!({ "sessionID": session, "parts": [{ "type": "text", "text": name }, image(name)] })).await;
    }
    turn(&fixture, &mut client, &session, "three", 1_000).await;
    let requests = fixture.models.requests();
    let summary = requests.iter().find(|request| is_summary(request)).unwrap().body.to_string();
    assert!(summary.contains("old.png (image/png)") && !summary.contains(PNG) && !summary.contains("new.png"), "{summary}");
    // That of the last turn stays.
    let sent = last_step(&fixture)["messages"].to_string();
    assert!(!sent.contains("old.png") && sent.matches(PNG).count() == 1, "{sent}");
    // A refusal is answered with a summary before attachments are given up.
    fixture.models.push(too_long());
    turn(&fixture, &mut client, &session, "four", 1_000).await;
    let all = messages(&mut client, &session).await;
    assert!(all.iter().flat_map(|message| parts(message, "retry")).next().is_none(), "{all:?}");
    assert_eq!(summaries(&mut client, &session).await.len(), 2);
}

#[tokio::test]
async fn a_model_with_a_smaller_context_gets_a_summary_first() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "one", 20_000).await;
    turn(&fixture, &mut client, &session, "two", 50_000).await;
    let provider = json!({ "test": { "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "k" },
        "models": { "main": { "limit": { "context": 100_000, "output": 4000 } }, "tiny": { "limit": { "context": 32_000, "output": 4000 } }, "small": {} } } });
    fixture.settings(&json!({ "provider": provider }));
    fixture.models.push(said("third", 1_000));
    let tiny = json!({ "providerID": "test", "modelID": "tiny" });
    let answer = client.call("session.prompt", json!({ "sessionID": session, "parts": "three", "model": tiny })).await;
    assert_eq!((text(&answer), &answer["info"]["modelID"]), ("third".to_owned(), &json!("tiny")));
    assert_eq!(summaries(&mut client, &session).await.len(), 1);
    // Another session with the larger model is not concerned.
    let other = client.session().await;
    turn(&fixture, &mut client, &other, "one", 50_000).await;
    turn(&fixture, &mut client, &other, "two", 50_000).await;
    assert_eq!(summaries(&mut client, &other).await.len(), 0);
}

/// Answers requests for summaries when the gate opens.
fn summarises_later(fixture: &Fixture) -> Arc<Notify> {
    let gate = Arc::new(Notify::new());
    let of_rule = Arc::clone(&gate);
    fixture.models.rule(move |request| is_summary(request).then(|| said("SUMMARY", 500).gate(0, &of_rule)));
    gate
}

async fn idle(client: &Client) {
    client.event(|event| event["type"] == "session.status" && event["properties"]["status"]["type"] == "idle").await;
}

/// The prompts of a session with their states.
async fn prompts(client: &mut Client, session: &str) -> Vec<(String, Value)> {
    let all = messages(client, session).await;
    let prompts = all.iter().filter(|message| message["info"]["role"] == "user");
    prompts.map(|prompt| (text(prompt), prompt["info"]["state"].clone())).collect()
}

#[tokio::test]
async fn a_prompt_that_enters_before_the_first_step_is_answered_together_with_that_of_the_turn() {
    let fixture = Fixture::new().await;
    let gate = summarises_later(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "one", 97_000).await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(said("both", 1_000));
    client.call("session.submit", json!({ "sessionID": session, "parts": "delete nothing" })).await;
    client.event(|event| event["properties"]["info"]["summary"] == true).await;
    client.call("session.steer", json!({ "sessionID": session, "parts": "clean up" })).await;
    gate.notify_one();
    idle(&client).await;
    turn(&fixture, &mut client, &session, "next", 1_000).await;
    let sent = last_step(&fixture)["messages"].to_string();
    assert!(sent.contains("delete nothing") && sent.contains("clean up"), "{sent}");
    let states = prompts(&mut client, &session).await;
    assert!(states.iter().all(|(_, state)| state == "answered"), "{states:?}");
    let fork = client.call("session.fork", json!({ "sessionID": session })).await["id"].as_str().unwrap().to_owned();
    assert_eq!(prompts(&mut client, &fork).await, states);
}

#[tokio::test]
async fn prompts_that_were_sent_before_a_summary_and_entered_after_it_are_read_after_it() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    turn(&fixture, &mut client, &session, "one", 1_000).await;
    let gate = Arc::new(Notify::new());
    let call = json!({ "filePath": "a.txt" });
    fixture.models.push(called("read", &call, 97_000).gate(0, &gate));
    fixture.models.push(said("both", 1_000));
    client.call("session.submit", json!({ "sessionID": session, "parts": "two" })).await;
    client.event_of("message.updated").await;
    for prompt in ["use tabs", "be quick"] {
        client.call("session.steer", json!({ "sessionID": session, "parts": prompt })).await;
    }
    gate.notify_one();
    client.event_of("session.compacted").await;
    idle(&client).await;
    turn(&fixture, &mut client, &session, "next", 1_000).await;
    let sent = last_step(&fixture)["messages"].to_string();
    assert!(sent.contains("SUMMARY 1") && sent.contains("use tabs") && sent.contains("be quick"), "{sent}");
}

#[tokio::test]
async fn an_undo_that_takes_back_a_summary_brings_back_what_it_stood_for() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (prompt, used) in [("one", 1_000), ("two", 2_000), ("three", 97_000), ("four", 3_000)] {
        turn(&fixture, &mut client, &session, prompt, used).await;
    }
    let all = messages(&mut client, &session).await;
    let id = |prompt: &str| all.iter().find(|message| text(message) == prompt).unwrap()["info"]["id"].clone();
    // Of the turn with the summary.
    client.call("session.revert", json!({ "sessionID": session, "messageID": id("four") })).await;
    turn(&fixture, &mut client, &session, "other", 4_000).await;
    assert_eq!(summaries(&mut client, &session).await.len(), 1, "the conversation was full again");
    assert!(last_step(&fixture)["messages"].to_string().contains("SUMMARY 2"));
    // Of what the summary stands for.
    client.call("session.revert", json!({ "sessionID": session, "messageID": id("two") })).await;
    turn(&fixture, &mut client, &session, "again", 4_000).await;
    assert_eq!(summaries(&mut client, &session).await.len(), 0);
    let shown = asked(&fixture);
    assert!(shown.ends_with("- step\n  user: one\n  assistant: answer to one\n  user: again\n"), "{shown}");
    // Of a summary that was asked for, and nothing else.
    client.call("session.compact", json!({ "sessionID": session })).await;
    let all = messages(&mut client, &session).await;
    let request = all.iter().find(|message| message["info"]["role"] == "user" && !parts(message, "compaction").is_empty()).unwrap();
    client.call("session.revert", json!({ "sessionID": session, "messageID": request["info"]["id"] })).await;
    turn(&fixture, &mut client, &session, "last", 4_000).await;
    let shown = asked(&fixture);
    assert!(
        shown.ends_with("- step\n  user: one\n  assistant: answer to one\n  user: again\n  assistant: answer to again\n  user: last\n"),
        "{shown}"
    );
}

#[tokio::test]
async fn copies_of_a_summarised_session_read_what_the_original_reads() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (prompt, used) in [("one", 1_000), ("two", 2_000), ("three", 97_000), ("four", 3_000)] {
        turn(&fixture, &mut client, &session, prompt, used).await;
    }
    turn(&fixture, &mut client, &session, "next", 4_000).await;
    let expected = last_step(&fixture)["messages"].clone();
    let five = messages(&mut client, &session).await.into_iter().find(|message| text(message) == "next").unwrap()["info"]["id"].clone();
    let fork = client.call("session.fork", json!({ "sessionID": session, "messageID": five })).await["id"].as_str().unwrap().to_owned();
    let export = client.call("session.export", json!({ "sessionID": fork })).await;
    let imported = client.call("session.import", json!({ "session": export })).await["id"].as_str().unwrap().to_owned();
    for copy in [fork, imported] {
        let found = summaries(&mut client, &copy).await;
        let all = messages(&mut client, &copy).await;
        let tail = &parts(&found[0], "compaction")[0]["tailStartID"];
        assert_eq!(text(all.iter().find(|message| message["info"]["id"] == *tail).unwrap()), "two");
        assert_eq!(all.len(), 9, "the whole conversation");
        turn(&fixture, &mut client, &copy, "next", 4_000).await;
        assert_eq!(last_step(&fixture)["messages"], expected);
    }
}

#[tokio::test]
async fn old_outputs_are_marked_and_not_sent_and_stay_readable() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "prune": true } }));
    std::fs::write(fixture.path("repo/long.txt"), "0123456789 abcdefghij\n".repeat(1500)).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Some 11,000 tokens each.
    for number in 0..9_u64 {
        fixture.models.push(called("read", &json!({ "filePath": "long.txt" }), 1_000 + number));
        turn(&fixture, &mut client, &session, &format!("read {number}"), 1_000).await;
    }
    let marked = |all: &[Value]| -> String {
        let calls = all.iter().flat_map(|message| parts(message, "tool"));
        calls.map(|call| if call["state"]["time"]["compacted"].is_number() { 'x' } else { '.' }).collect()
    };
    let all = messages(&mut client, &session).await;
    assert_eq!(marked(&all), "xx.......");
    let first = all.iter().flat_map(|message| parts(message, "tool")).next().unwrap();
    assert!(first["state"]["output"].as_str().unwrap().len() > 40_000, "the store keeps it");
    let sent = last_step(&fixture)["messages"].to_string();
    assert_eq!((sent.matches("This output was removed").count(), sent.matches("abcdefghij").count()), (2, 7 * 1500), "{}", sent.len());
    // Without the setting nothing is marked.
    fixture.settings(&json!({}));
    for number in 10..15_u64 {
        fixture.models.push(called("read", &json!({ "filePath": "long.txt" }), 1_000 + number));
        turn(&fixture, &mut client, &session, &format!("read {number}"), 1_000).await;
    }
    assert_eq!(marked(&messages(&mut client, &session).await), "xx............");
}

#[tokio::test]
async fn a_model_that_calls_tools_in_a_summary_runs_none() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "one", 1_000).await;
    fixture.models.push(called("bash", &json!({ "command": "touch made" }), 10));
    fixture.models.push(said("SUMMARY", 10));
    assert_eq!(client.call("session.compact", json!({ "sessionID": session })).await, true);
    assert!(!fixture.path("repo/made").exists());
    let found = summaries(&mut client, &session).await;
    assert_eq!(text(&found[0]), "SUMMARY");
    assert!(parts(&found[0], "tool").iter().all(|call| call["state"]["status"] == "error"), "{found:?}");
    // An empty answer is asked again; empty for good, it is an error.
    turn(&fixture, &mut client, &session, "two", 1_000).await;
    for _ in 0..4 {
        fixture.models.push(Answer::openai_text(""));
    }
    let failed = client.refused("session.compact", json!({ "sessionID": session })).await;
    assert!(failed["message"].as_str().unwrap().contains("test/main wrote no summary"), "{failed}");
}
