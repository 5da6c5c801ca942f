//! Summaries of a conversation: before a step, after a refusal of the service, and on request. What the model is asked is
//! shown as text.

use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{
    client::{Client, parts, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, Recorded, anthropic, openai},
};

/// An answer in words that used so many tokens.
pub fn said(text: &str, input: u64) -> Answer {
    Answer::sse([openai::text(text), openai::finish("stop"), openai::usage(input, 10), openai::DONE.to_owned()])
}

/// A call of a tool in an answer that used so many tokens.
pub fn called(tool: &str, arguments: &Value, input: u64) -> Answer {
    let call = openai::call(0, &format!("call_{input}"), tool, &arguments.to_string());
    Answer::sse([call, openai::finish("tool_calls"), openai::usage(input, 10), openai::DONE.to_owned()])
}

/// What OpenAI answers to a conversation that is too long.
pub fn too_long() -> Answer {
    let message = "This model's maximum context length is 100000 tokens. However, your messages resulted in 123456 tokens.";
    Answer::json(400, &json!({ "error": { "message": message, "type": "invalid_request_error", "code": "context_length_exceeded" } }))
}

/// Whether a request asks for a summary.
pub fn is_summary(request: &Recorded) -> bool {
    request.body.to_string().contains("You summarise conversations")
}

/// Answers requests for summaries with numbered ones.
pub fn summarises(fixture: &Fixture) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    fixture.models.rule(move |request| {
        let number = || count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        is_summary(request).then(|| said(&format!("SUMMARY {}", number()), 500))
    });
}

/// The requests to the model `main`, each as its roles and texts, without instructions.
pub fn asked(fixture: &Fixture) -> String {
    let mut shown = String::new();
    for request in fixture.models.requests().iter().filter(|request| request.body["model"] == "main") {
        shown.push_str(if is_summary(request) { "- summary\n" } else { "- step\n" });
        for message in request.body["messages"].as_array().unwrap().iter().filter(|message| message["role"] != "system") {
            let pieces: Vec<String> = match &message["content"] {
                Value::Array(pieces) => {
                    pieces.iter().map(|piece| piece["text"].as_str().map_or_else(|| piece["type"].to_string(), str::to_owned)).collect()
                }
                Value::String(text) => vec![text.clone()],
                _ => vec![message["tool_calls"][0]["function"]["name"].to_string()],
            };
            let lines = pieces.join("\n").lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
            shown.push_str(&format!("  {}: {lines}\n", message["role"].as_str().unwrap()));
        }
    }
    shown
}

pub async fn messages(client: &mut Client, session: &str) -> Vec<Value> {
    client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().clone()
}

/// The summaries of a session that are complete.
pub async fn summaries(client: &mut Client, session: &str) -> Vec<Value> {
    let messages = messages(client, session).await;
    messages.into_iter().filter(|message| message["info"]["summary"] == true && message["info"]["error"].is_null()).collect()
}

#[tokio::test]
async fn a_full_conversation_is_summarised_before_the_next_prompt_is_answered() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    for (prompt, used) in [("one", 1_000), ("two", 2_000), ("three", 96_000), ("four", 3_000), ("five", 3_100)] {
        fixture.models.push(said(&format!("answer to {prompt}"), used));
        let answer = client.prompt(&session, prompt).await;
        assert_eq!((text(&answer), &answer["info"]["error"]), (format!("answer to {prompt}"), &Value::Null));
    }
    client.event_of("session.compacted").await;
    expect![[r#"
        - step
          user: one
        - step
          user: one
          assistant: answer to one
          user: two
        - step
          user: one
          assistant: answer to one
          user: two
          assistant: answer to two
          user: three
        - summary
          user: <conversation> | [user] | one | [agent] | answer to one | </conversation> | Summarise the conversation above, as your instructions say.
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | two
          assistant: answer to two
          user: three
          assistant: answer to three
          user: four
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | two
          assistant: answer to two
          user: three
          assistant: answer to three
          user: four
          assistant: answer to four
          user: five
    "#]]
    .assert_eq(&asked(&fixture));
    // Everything can still be read, and no prompt is there twice.
    let all = messages(&mut client, &session).await;
    let texts: Vec<String> = all.iter().map(text).collect();
    assert_eq!(
        texts,
        [
            "one",
            "answer to one",
            "two",
            "answer to two",
            "three",
            "answer to three",
            "four",
            "SUMMARY 1",
            "answer to four",
            "five",
            "answer to five"
        ]
    );
    let summary = &all[7];
    assert_eq!((&summary["info"]["summary"], &summary["info"]["parentID"]), (&json!(true), &all[6]["info"]["id"]));
    let part = parts(summary, "compaction")[0];
    assert_eq!((&part["auto"], &part["tailStartID"], &part["overflow"]), (&json!(true), &all[2]["info"]["id"], &Value::Null));
    // It cost something, as the title did (10).
    let info = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!(info["tokens"]["input"], 1_000 + 2_000 + 96_000 + 500 + 3_000 + 3_100 + 10);
}

#[tokio::test]
async fn a_long_turn_is_summarised_between_two_steps_and_goes_on() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(said("earlier", 1_000));
    client.prompt(&session, "before").await;
    // What is too long to stay as it is.
    let prompt = format!("read a.txt {}", "x".repeat(30_000));
    fixture.models.push(called("read", &json!({ "filePath": "a.txt" }), 97_000));
    fixture.models.push(called("read", &json!({ "filePath": "a.txt", "limit": 1 }), 4_000));
    fixture.models.push(said("done", 5_000));
    let answer = client.prompt(&session, &prompt).await;
    assert_eq!(text(&answer), "done");
    let shown = asked(&fixture).replace(&"x".repeat(30_000), "…").replace(fixture.path("repo").to_str().unwrap(), "REPO");
    let shown = &shown[shown.find("- summary").unwrap()..];
    expect![[r#"
        - summary
          user: <conversation> | [user] | before | [agent] | earlier | [user] | read a.txt … | [call of read] | {"filePath":"a.txt"} | [result] | <path>REPO/a.txt</path> | <type>file</type> | <content> | 1: one | 2: two | 3: three | (End of file, 3 lines in total.) | </content> | </conversation> | Summarise the conversation above, as your instructions say.
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | read a.txt … | <system-reminder> | Work on this request has begun: the summary above says what was done and what comes next. Continue from there and do not begin again. | </system-reminder>
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | read a.txt … | <system-reminder> | Work on this request has begun: the summary above says what was done and what comes next. Continue from there and do not begin again. | </system-reminder>
          assistant: "read"
          tool: <path>REPO/a.txt</path> | <type>file</type> | <content> | 1: one | (Lines 1 to 1 of 3. Go on with offset 2.) | </content>
    "#]]
    .assert_eq(shown);
}

#[tokio::test]
async fn a_refused_conversation_is_summarised_and_the_turn_goes_on() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for prompt in ["one", "two", "three"] {
        fixture.models.push(said(&format!("answer to {prompt}"), 1_000));
        client.prompt(&session, prompt).await;
    }
    fixture.models.push(too_long());
    // Again, with the turns that were left as they are.
    fixture.models.push(too_long());
    fixture.models.push(said("answer to four", 2_000));
    let answer = client.prompt(&session, "four").await;
    assert_eq!((text(&answer), &answer["info"]["error"]), ("answer to four".to_owned(), &Value::Null));
    let shown = asked(&fixture);
    let shown = &shown[shown.find("- summary").unwrap()..];
    expect![[r#"
        - summary
          user: <conversation> | [user] | one | [agent] | answer to one | </conversation> | Summarise the conversation above, as your instructions say.
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | two
          assistant: answer to two
          user: three
          assistant: answer to three
          user: four
        - summary
          user: <earlier-summary> | SUMMARY 1 | </earlier-summary> | <conversation> | [user] | two | [agent] | answer to two | [user] | three | [agent] | answer to three | </conversation> | Summarise the conversation above, as your instructions say.
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 2 | </conversation-summary> | four
    "#]]
    .assert_eq(shown);
    let all = messages(&mut client, &session).await;
    let prompts: Vec<String> = all.iter().filter(|message| message["info"]["role"] == "user").map(text).collect();
    assert_eq!(prompts, ["one", "two", "three", "four"], "no prompt is there twice");
    assert!(all.iter().all(|message| message["info"]["error"].is_null()), "the refusal is no failure: {all:?}");
    let found = summaries(&mut client, &session).await;
    assert!(found.iter().all(|summary| parts(summary, "compaction")[0]["overflow"] == true), "{found:?}");
}

/// The answer of a service that says a text.
type Says = fn(&str) -> Answer;

#[tokio::test]
async fn every_service_says_in_its_own_words_that_a_conversation_is_too_long() {
    let gemini = |text: &str| {
        let candidate = json!({ "content": { "parts": [{ "text": text }], "role": "model" }, "finishReason": "STOP" });
        Answer::sse([openai::frame(
            &json!({ "candidates": [candidate], "usageMetadata": { "promptTokenCount": 10, "candidatesTokenCount": 1 } }),
        )])
    };
    let claude = |text: &str| {
        let frames = [anthropic::start(&json!({ "input_tokens": 10 }))].into_iter().chain(anthropic::text(0, &[text]));
        Answer::sse(frames.chain(anthropic::end("end_turn", &json!({ "output_tokens": 1 }))))
    };
    let chat = |text: &str| said(text, 10);
    let services: [(&str, Says, Answer); 3] = [
        ("openai", chat, too_long()),
        (
            "anthropic",
            claude,
            Answer::json(
                400,
                &json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "prompt is too long: 201234 tokens > 200000 maximum" } }),
            ),
        ),
        (
            "gemini",
            gemini,
            Answer::json(
                400,
                &json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT",
                    "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)." } }),
            ),
        ),
    ];
    for (api, says, refusal) in services {
        let fixture = Fixture::new().await;
        // Without a known context only the refusal tells.
        let provider = json!({ "api": api, "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": { "main": {} } });
        fixture.settings(&json!({ "provider": { "test": provider }, "small_model": "test/main" }));
        fixture.models.rule(|request| request.body.to_string().contains("You name conversations").then(|| Answer::json(404, &json!({}))));
        fixture.models.rule(move |request| is_summary(request).then(|| says("SUMMARY")));
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        fixture.models.push(says("ANSWER 1"));
        client.prompt(&session, "one").await;
        fixture.models.push(refusal);
        fixture.models.push(says("second"));
        let answer = client.prompt(&session, "two").await;
        assert_eq!((text(&answer), &answer["info"]["error"]), ("second".to_owned(), &Value::Null), "{api}: {answer}");
        let last = fixture.models.requests().pop().unwrap().body.to_string();
        assert!(last.contains("SUMMARY") && last.contains("two") && !last.contains("ANSWER 1"), "{api}: {last}");
    }
}

#[tokio::test]
async fn a_session_is_summarised_on_request() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let empty = client.refused("session.compact", json!({ "sessionID": session })).await;
    assert_eq!(empty["data"]["kind"], "invalid_state", "{empty}");
    fixture.models.push(said("first", 100));
    client.prompt(&session, "one").await;
    client.subscribe(json!({ "sessionID": session })).await;
    assert_eq!(client.call("session.compact", json!({ "sessionID": session })).await, true);
    let seen: Vec<Value> = client.events_until("session.idle").await.iter().map(|event| event["type"].clone()).collect();
    assert!(seen.contains(&json!("session.compacted")) && seen.contains(&json!("session.status")), "{seen:?}");
    let again = client.refused("session.compact", json!({ "sessionID": session })).await;
    assert_eq!(again["data"]["kind"], "invalid_state", "{again}");

    let all = messages(&mut client, &session).await;
    assert_eq!(all.iter().map(text).collect::<Vec<_>>(), ["one", "first", "", "SUMMARY 1"]);
    assert_eq!((&parts(&all[2], "compaction")[0]["auto"], all[3]["parts"].as_array().unwrap().len()), (&json!(false), 3));
    assert_eq!(all[2]["info"]["state"], "answered");
    fixture.models.push(said("second", 100));
    client.prompt(&session, "two").await;
    let shown = asked(&fixture);
    expect![[r#"
        - step
          user: <conversation-summary> | The conversation before this point was replaced by this summary. | SUMMARY 1 | </conversation-summary> | two
    "#]]
    .assert_eq(&shown[shown.rfind("- step").unwrap()..]);
    let missing =
        client.refused("session.compact", json!({ "sessionID": session, "model": { "providerID": "test", "modelID": "none" } })).await;
    assert!(missing["message"].as_str().unwrap().contains("none"), "{missing}");
}

#[tokio::test]
async fn another_model_can_write_the_summary() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(said("first", 100));
    client.prompt(&session, "one").await;
    let small = json!({ "providerID": "test", "modelID": "small" });
    client.call("session.compact", json!({ "sessionID": session, "model": small })).await;
    let all = messages(&mut client, &session).await;
    assert_eq!((text(&all[3]), &all[3]["info"]["modelID"]), ("A title".to_owned(), &json!("small")));
    // The session keeps its own.
    let info = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!((&info["model"]["modelID"], &info["agent"]), (&json!("main"), &json!("build")));

    // The agent for summaries has a model and a prompt.
    let agent = json!({ "compaction": { "model": "test/small", "prompt": "Condense it." } });
    fixture.settings(&json!({ "agent": agent }));
    fixture.models.push(said("second", 97_000));
    fixture.models.push(said("third", 100));
    for prompt in ["two", "three"] {
        client.prompt(&session, prompt).await;
    }
    let request = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "small").unwrap();
    assert_eq!(request.body["messages"][0]["content"], "Condense it.");
}

#[tokio::test]
async fn a_session_that_has_something_to_do_is_not_summarised() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(said("first", 100));
    client.prompt(&session, "one").await;
    let gate = Arc::new(Notify::new());
    fixture.models.push(said("second", 100).gate(1, &gate));
    let running = client.send("session.prompt", json!({ "sessionID": session, "parts": "two" })).await;
    fixture.models.arrived(3).await;
    let busy = client.refused("session.compact", json!({ "sessionID": session })).await;
    assert_eq!(busy["data"]["kind"], "busy", "{busy}");
    gate.notify_one();
    assert_eq!(text(&running.result().await), "second");
}

#[tokio::test]
async fn the_command_line_summarises_and_shows_it() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    fixture.models.push(said("first", 100));
    fixture.models.push(said("second", 97_000));
    fixture.models.push(said("third", 100));
    let (code, ..) = polytree(&fixture, &["run", "one"]).await;
    assert_eq!(code, 0);
    let (_, listed, _) = polytree(&fixture, &["sessions", "list", "--json"]).await;
    let session: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = session["id"].as_str().unwrap();
    let (code, out, told) = polytree(&fixture, &["sessions", "compact", id]).await;
    assert_eq!((code, out.as_str()), (0, ""), "{told}");
    assert!(told.contains("the conversation was summarised") && told.contains(&format!("sessions show {id}")), "{told}");
    let (code, _, told) = polytree(&fixture, &["sessions", "compact", id]).await;
    assert!(code == 1 && told.contains("nothing to summarise"), "{told}");
    let (_, shown, _) = polytree(&fixture, &["sessions", "show", id]).await;
    assert!(shown.contains("the history before this was summarised") && shown.contains("SUMMARY 1"), "{shown}");
    for format in ["markdown", "html"] {
        let (_, page, _) = polytree(&fixture, &["sessions", "export", id, "--format", format]).await;
        assert!(page.contains("The conversation before this was summarised.") && page.contains("SUMMARY 1"), "{page}");
    }
    // A summary is no answer: what a program reads is the answer alone.
    polytree(&fixture, &["run", "--continue", "two"]).await;
    let (code, out, told) = polytree(&fixture, &["run", "--continue", "three"]).await;
    assert_eq!((code, out.trim()), (0, "third"), "{told}");
    assert!(told.contains("the history is being summarised"), "{told}");
}
