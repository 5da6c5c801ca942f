//! The arguments of a call are told while the model writes them, whatever the protocol of its service.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::{Answer, anthropic, openai},
};

const PIECES: [&str; 3] = ["{\"file", "Path\": \"a", ".txt\"}"];

/// The frames of a call of `read` with these arguments, and of an answer to its result.
fn answers(api: &str) -> [Vec<String>; 2] {
    match api {
        "openai" => {
            let mut call = vec![openai::call(0, "c", "read", "")];
            call.extend(PIECES.map(|piece| openai::arguments(0, piece)));
            call.extend([openai::finish("tool_calls"), openai::DONE.to_owned()]);
            [call, vec![openai::text("done"), openai::finish("stop"), openai::DONE.to_owned()]]
        }
        "anthropic" => {
            let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
            let whole =
                |content: Vec<String>, reason: &str| [vec![anthropic::start(&usage)], content, anthropic::end(reason, &usage)].concat();
            [whole(anthropic::call(0, "c", "read", &PIECES), "tool_use"), whole(anthropic::text(0, &["done"]), "end_turn")]
        }
        "openai-responses" => {
            let frame = |value: Value| format!("data: {value}\n\n");
            let item = json!({ "type": "function_call", "call_id": "c", "name": "read", "arguments": "" });
            let mut call = vec![frame(json!({ "type": "response.output_item.added", "output_index": 0, "item": item }))];
            call.extend(
                PIECES.map(|piece| frame(json!({ "type": "response.function_call_arguments.delta", "output_index": 0, "delta": piece }))),
            );
            let end = || frame(json!({ "type": "response.completed", "response": { "status": "completed" } }));
            call.push(end());
            [call, vec![frame(json!({ "type": "response.output_text.delta", "delta": "done" })), end()]]
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn pieces_arrive_before_the_call_is_complete_and_make_it() {
    for api in ["openai", "anthropic", "openai-responses"] {
        let fixture = Fixture::new().await;
        let url = fixture.models.url();
        let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
        let provider = json!({ "api": api, "options": { "baseURL": url, "apiKey": "k" }, "models": { "main": model } });
        fixture.settings(&json!({ "provider": { "test": provider }, "small_model": "offline/guide" }));
        let gate = Arc::new(Notify::new());
        let [call, answer] = answers(api);
        // The service stops within the arguments until the gate opens.
        let within = call.iter().position(|frame| frame.contains("Path")).unwrap() + 1;
        fixture.models.push(Answer::sse(call).gate(within, &gate));
        fixture.models.push(Answer::sse(answer));
        let mut client = Client::start(&fixture);
        let session = client.call("session.create", json!({ "title": "t" })).await["id"].as_str().unwrap().to_owned();
        client.subscribe(json!({ "sessionID": session })).await;
        let submitted = client.call("session.submit", json!({ "sessionID": session, "parts": "x" })).await;
        let mut raw = String::new();
        while !raw.ends_with(PIECES[1]) {
            let delta = client.event_of("message.part.delta").await["properties"].clone();
            assert_eq!(delta["field"], "raw", "{api}");
            raw.push_str(delta["delta"].as_str().unwrap());
        }
        assert_eq!(raw, PIECES[..2].concat(), "{api}");
        // Who joins now reads as much.
        let messages = client.call("session.messages", json!({ "sessionID": session })).await;
        let answer = messages.as_array().unwrap().iter().find(|message| message["info"]["parentID"] == submitted["messageID"]).unwrap();
        assert_eq!(parts(answer, "tool")[0]["state"]["raw"], raw, "{api}");
        gate.notify_one();
        let events = client.events_until("session.idle").await;
        let rest: String = events
            .iter()
            .filter_map(|event| event["properties"]["delta"].as_str().filter(|_| event["properties"]["field"] == "raw"))
            .collect();
        assert_eq!(raw + &rest, PIECES.concat(), "{api}");
        let states: Vec<&Value> =
            events.iter().map(|event| &event["properties"]["part"]["state"]).filter(|state| state["status"] == "pending").collect();
        assert_eq!(states[0]["raw"], PIECES.concat(), "{api}: the complete call");
        assert_eq!(states[0]["input"], json!({ "filePath": "a.txt" }), "{api}");
    }
}

#[tokio::test]
async fn a_call_that_breaks_off_keeps_no_half() {
    let fixture = Fixture::new().await;
    let [call, _] = answers("openai");
    fixture.models.push(Answer::sse(call[..3].to_vec()).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "x" })).await;
    client.event_of("message.part.delta").await;
    client.call("session.abort", json!({ "sessionID": session })).await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let state = &parts(&messages[1], "tool")[0]["state"];
    assert_eq!((&state["status"], &state["input"]), (&json!("error"), &json!({})), "{messages}");
}
