//! Limits on input from models and clients.

use serde_json::json;

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::Answer,
};

#[tokio::test]
async fn of_many_calls_few_work_at_once_and_not_all_are_run() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let command = |number: usize| {
        format!("touch run.{number}; ls run.* | wc -l >> counts; if [ {number} -lt 20 ]; then sleep 0.2; fi; rm run.{number}")
    };
    let ids: Vec<String> = (0..150).map(|number| format!("c{number}")).collect();
    let calls: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| (id.as_str(), "bash", json!({ "command": command(number), "description": "x" })))
        .collect();
    fixture.models.push(Answer::openai_calls(&calls));
    fixture.models.push(Answer::openai_text("done"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    assert_eq!(text(&client.prompt(&session, "go").await), "done");
    let counts = std::fs::read_to_string(fixture.path("repo/counts")).unwrap();
    let most = counts.lines().map(|line| line.trim().parse::<u32>().unwrap()).max().unwrap();
    assert!((2..=8).contains(&most), "{most} at once");
    assert_eq!(counts.lines().count(), 128);
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let tools = parts(&messages[1], "tool");
    assert_eq!(tools.len(), 150, "each call has its result, which the model reads");
    assert!(tools[128..].iter().all(|part| part["state"]["error"].as_str().unwrap().contains("at most 128")));
}

#[tokio::test]
async fn a_question_does_not_hold_up_the_other_calls() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "allow", "cat *": "ask" } } }));
    let ids: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
    let calls: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let command = if number == 11 { "touch last".to_owned() } else { format!("cat a.txt {number}") };
            (id.as_str(), "bash", json!({ "command": command, "description": "x" }))
        })
        .collect();
    fixture.models.push(Answer::openai_calls(&calls));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    for _ in 0..11 {
        client.event_of("permission.asked").await;
    }
    while !fixture.path("repo/last").exists() {
        tokio::task::yield_now().await;
    }
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(turn.result().await["info"]["error"]["name"], "MessageAbortedError");
}

#[tokio::test]
async fn a_long_piece_of_an_answer_arrives_as_text() {
    let fixture = Fixture::new().await;
    let long = "ä".repeat(150_000);
    fixture.models.push(Answer::openai_text(&long));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.prompt(&session, "go").await;
    let events = client.events_until("session.idle").await;
    let deltas: String = events.iter().filter_map(|event| event["properties"]["delta"].as_str()).collect();
    assert!(deltas == long, "{} of {} bytes", deltas.len(), long.len());
}

#[tokio::test]
async fn prompts_and_lists_that_no_answer_could_hold_are_refused() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "auto": false } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for name in ["one.png", "two.png"] {
        std::fs::File::create(fixture.path("repo").join(name)).unwrap().set_len(15 << 20).unwrap();
    }
    let file =
        |name: &str| json!({ "type": "file", "mime": "image/png", "url": format!("file://{}", fixture.path("repo").join(name).display()) });
    let refused = client.refused("session.submit", json!({ "sessionID": session, "parts": [file("one.png"), file("two.png")] })).await;
    assert_eq!(refused["data"]["kind"], "too_large", "{refused}");
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await, json!([]));
    for number in 0..2 {
        fixture.models.push(Answer::openai_text("ok"));
        let long = "x".repeat(18 << 20);
        let answer = client.call("session.prompt", json!({ "sessionID": session, "parts": long })).await;
        assert_eq!(text(&answer), "ok", "{number}");
    }
    let refused = client.refused("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(refused["data"]["kind"], "too_large", "{refused}");
    let last = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
    assert_eq!(text(&last[1]), "ok");
}
