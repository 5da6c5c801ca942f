//! Questions that a model asks the user: answered by any client, rejected, withdrawn, and kept over a restart.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::Answer,
};

fn option(label: &str) -> Value {
    json!({ "label": label, "description": "what it means" })
}

fn asks() -> Answer {
    let questions = json!([
        { "header": "Store", "question": "Which database?", "options": [option("SQLite"), option("Postgres")], "custom": false },
        { "header": "Extras", "question": "What else?", "options": [option("tests"), option("docs")], "multiple": true },
    ]);
    Answer::openai_calls(&[("c", "question", json!({ "questions": questions }))])
}

/// Submits a prompt whose answer asks, and returns what was asked.
async fn asked(fixture: &Fixture, client: &mut Client, session: &str) -> Value {
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(asks());
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    client.event_of("question.asked").await["properties"].clone()
}

/// The last thing that was sent to the model.
fn sent(fixture: &Fixture) -> String {
    fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string()
}

#[tokio::test]
async fn the_answers_go_to_the_model() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let question = asked(&fixture, &mut client, &session).await;
    let status = client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    assert_eq!(status["properties"]["status"]["questionID"], question["id"]);
    assert_eq!(client.call("question.list", json!({})).await, json!([question]));
    assert_eq!(client.call("question.list", json!({ "sessionID": session })).await, json!([question]));
    let report = client.call("server.diagnose", json!({})).await;
    assert_eq!((&report["questions"]["list"][0]["id"], &report["questions"]["list"][0]["type"]), (&question["id"], &json!("question")));

    let reply = |session: &str, answers: Value| json!({ "sessionID": session, "questionID": question["id"], "answers": answers });
    for answers in [json!([["MySQL"], []]), json!([["SQLite"]]), json!([["SQLite", "Postgres"], []]), json!([["SQLite"], "tests"])] {
        let error = client.refused("question.reply", reply(&session, answers.clone())).await;
        assert_eq!(error["code"], -32602, "{answers}");
    }
    let stranger = client.session().await;
    let foreign = client.refused("question.reply", reply(&stranger, json!([["SQLite"], []]))).await;
    assert_eq!(foreign["data"]["kind"], "not_found");

    fixture.models.push(Answer::openai_text("as you wish"));
    client.call("question.reply", reply(&session, json!([["SQLite"], ["docs", "and speed"]]))).await;
    let replied = client.event_of("question.replied").await["properties"].clone();
    assert_eq!((&replied["outcome"], &replied["answers"]), (&json!("answered"), &json!([["SQLite"], ["docs", "and speed"]])));
    client.event_of("session.idle").await;
    assert!(sent(&fixture).contains("Which database?\\n=> SQLite\\n\\nWhat else?\\n=> docs; and speed"), "{}", sent(&fixture));
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let metadata = &parts(&messages[1], "tool")[0]["state"]["metadata"];
    assert_eq!((&metadata["answers"][0], &metadata["questions"][1]["multiple"]), (&json!(["SQLite"]), &json!(true)));
    assert_eq!(client.call("question.list", json!({})).await, json!([]));
    let again = client.refused("question.reply", reply(&session, json!([["SQLite"], []]))).await;
    assert_eq!(again["data"]["kind"], "conflict");
}

#[tokio::test]
async fn a_rejection_is_told_to_the_model_and_the_turn_goes_on() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    for (message, said) in [(None, "does not want to answer"), (Some("decide yourself"), "decide yourself")] {
        let session = client.session().await;
        let question = asked(&fixture, &mut client, &session).await;
        fixture.models.push(Answer::openai_text("then so"));
        let reject = json!({ "sessionID": session, "questionID": question["id"], "message": message });
        client.call("question.reject", reject).await;
        let replied = client.event_of("question.replied").await["properties"].clone();
        assert_eq!((&replied["outcome"], &replied["answers"]), (&json!("rejected"), &Value::Null));
        client.event_of("session.idle").await;
        assert!(sent(&fixture).contains(said), "{}", sent(&fixture));
        let messages = client.call("session.messages", json!({ "sessionID": session })).await;
        assert_eq!((parts(&messages[1], "tool")[0]["state"]["status"].as_str(), text(&messages[2]).as_str()), (Some("error"), "then so"));
    }
}

#[tokio::test]
async fn a_question_outlives_the_daemon_and_its_answer_resumes_the_turn() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let question = asked(&fixture, &mut client, &session).await;
    // Without a word of goodbye, and with one.
    client.kill().await;
    let client = Client::start(&fixture);
    client.end().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("question.list", json!({})).await, json!([question]));
    assert_eq!(client.call("session.status", json!({})).await[&session]["questionID"], question["id"]);
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("resumed"));
    let reply = json!({ "sessionID": session, "questionID": question["id"], "answers": [["Postgres"], []] });
    client.call("question.reply", reply).await;
    client.event_of("session.idle").await;
    assert!(sent(&fixture).contains("=> Postgres"), "{}", sent(&fixture));
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(text(&messages[2]), "resumed");
}

#[tokio::test]
async fn what_nobody_waits_for_is_withdrawn() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let first = asked(&fixture, &mut client, &session).await;
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
    let replied = client.event_of("question.replied").await["properties"].clone();
    assert_eq!((&replied["questionID"], &replied["outcome"]), (&first["id"], &json!("aborted")));
    let late = json!({ "sessionID": session, "questionID": first["id"], "answers": [[], []] });
    assert_eq!(client.refused("question.reply", late).await["data"]["kind"], "conflict");

    // Of a session that is gone nothing is left, of one whose daemon was stopped the next abort withdraws it.
    let other = client.session().await;
    asked(&fixture, &mut client, &other).await;
    assert_eq!(client.call("session.delete", json!({ "sessionID": other })).await, true);
    assert_eq!(client.call("question.list", json!({})).await, json!([]));
    let third = client.session().await;
    asked(&fixture, &mut client, &third).await;
    client.terminate().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.abort", json!({ "sessionID": third })).await, true);
    assert_eq!(client.call("question.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_rule_may_forbid_questions() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "question": "deny" } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hello"));
    client.prompt(&session, "go").await;
    let request = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap();
    assert!(!request.body["tools"].to_string().contains(r#""name":"question""#));
}
