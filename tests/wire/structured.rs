//! Answers in JSON with a schema: by a tool call or as text, with retries after invalid answers, and a final failure.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::Answer,
};

fn format(retries: u64) -> Value {
    json!({ "type": "json_schema", "name": "city", "retries": retries, "schema": {
        "type": "object",
        "properties": { "name": { "type": "string" }, "people": { "type": "integer" } },
        "required": ["name", "people"],
        "additionalProperties": false
    } })
}

fn gives(id: &str, answer: &Value) -> Answer {
    Answer::openai_calls(&[(id, "StructuredOutput", answer.clone())])
}

async fn ask(client: &mut Client, session: &str, format: Value) -> Value {
    client.call("session.prompt", json!({ "sessionID": session, "parts": "Which city?", "format": format })).await
}

fn bodies(fixture: &Fixture) -> Vec<Value> {
    fixture.models.requests().into_iter().map(|request| request.body).filter(|body| body["model"] == "main").collect()
}

#[tokio::test]
async fn a_model_works_and_then_gives_the_answer_by_a_call() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": "a.txt" }))]));
    let bern = json!({ "name": "Bern", "people": 137_995 });
    fixture.models.push(gives("c2", &bern));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Disabling tools does not disable the answer.
    let params = json!({ "sessionID": session, "parts": "Which city?", "format": format(2), "tools": { "*": false, "read": true } });
    let answer = client.call("session.prompt", params).await;
    assert_eq!(answer["info"]["structured"], bern);
    assert_eq!((&answer["info"]["finish"], answer["info"].get("error")), (&json!("tool-calls"), None));
    let call = parts(&answer, "tool")[0];
    assert_eq!(
        (&call["tool"], &call["state"]["status"], &call["state"]["input"]),
        (&json!("StructuredOutput"), &json!("completed"), &bern)
    );
    let bodies = bodies(&fixture);
    assert_eq!(bodies.len(), 2);
    let names: Vec<&str> = bodies[0]["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["read", "StructuredOutput"]);
    assert_eq!(bodies[0]["tools"][1]["function"]["parameters"]["required"], json!(["name", "people"]));
    assert_eq!(bodies[0]["tool_choice"], "required");
    assert!(bodies[0]["messages"][0].to_string().contains("it is called \\\"city\\\""), "{}", bodies[0]["messages"][0]);
    // The next prompt is an ordinary one.
    fixture.models.push(Answer::openai_text("fine"));
    assert_eq!(text(&client.prompt(&session, "thanks").await), "fine");
    assert!(!self::bodies(&fixture)[2]["tools"].to_string().contains("StructuredOutput"));
}

#[tokio::test]
async fn what_does_not_fit_is_told_to_the_model() {
    let fixture = Fixture::new().await;
    fixture.models.push(gives("c1", &json!({ "name": "Bern", "people": "many" })));
    fixture.models.push(gives("c2", &json!({ "name": "Bern", "people": 137_995 })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = ask(&mut client, &session, format(1)).await;
    assert_eq!(answer["info"]["structured"]["people"], 137_995);
    let told = bodies(&fixture)[1]["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
    assert!(told.contains("at /people: ") && told.contains("is not of type"), "{told}");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages.as_array().unwrap().len(), 3);
    assert_eq!(parts(&messages[1], "tool")[0]["tool"], "invalid");
}

#[tokio::test]
async fn words_that_are_such_json_do_and_others_are_asked_again() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("It is Bern."));
    fixture.models.push(Answer::openai_text("```json\n{\"name\": \"Bern\", \"people\": 137995}\n```"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = ask(&mut client, &session, format(2)).await;
    assert_eq!(answer["info"]["structured"]["name"], "Bern");
    assert!(text(&answer).starts_with("```json"));
    let asked = bodies(&fixture)[1]["messages"].as_array().unwrap().clone();
    let [.., words, reminder] = &asked[..] else { panic!() };
    assert_eq!(words["content"], "It is Bern.");
    assert!(reminder["content"].as_str().unwrap().contains("it is not JSON"), "{reminder}");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "StructuredOutputError");
    assert_eq!(text(&messages[1]), "It is Bern.");
}

#[tokio::test]
async fn a_model_without_tools_writes_json() {
    let fixture = Fixture::new().await;
    let models = json!({ "main": { "tool_call": false }, "small": {} });
    fixture.settings(
        &json!({ "provider": { "test": { "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": models } } }),
    );
    fixture.models.push(Answer::openai_text("[1, 2, 3]"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let schema = json!({ "type": "array", "items": { "type": "integer" } });
    let answer = ask(&mut client, &session, json!({ "type": "json_schema", "schema": schema })).await;
    assert_eq!(answer["info"]["structured"], json!([1, 2, 3]));
    let body = &bodies(&fixture)[0];
    assert!(body.get("tools").is_none() && body.get("tool_choice").is_none(), "{body}");
    assert!(body["messages"][0]["content"].as_str().unwrap().contains(r#""items":{"type":"integer"}"#));
}

#[tokio::test]
async fn after_all_retries_it_is_an_error_of_the_message() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("Bern"));
    fixture.models.push(gives("c1", &json!({ "name": "Bern" })));
    fixture.models.push(Answer::openai_calls(&[("c2", "StructuredOutput", json!({ "people": 1 }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.error"] })).await;
    let answer = ask(&mut client, &session, format(2)).await;
    let error = &answer["info"]["error"];
    assert_eq!((&error["name"], &error["data"]["retries"]), (&json!("StructuredOutputError"), &json!(2)), "{answer}");
    assert!(error["data"]["message"].as_str().unwrap().contains("\"name\" is a required property"), "{error}");
    assert!(error["data"]["hint"].is_string() && answer["info"].get("structured").is_none());
    assert_eq!(bodies(&fixture).len(), 3);
    // Reported once: retried answers are not failures of the turn.
    assert_eq!(client.event_of("session.error").await["properties"]["error"], *error);
    fixture.models.push(Answer::openai_text("fine"));
    assert_eq!(text(&client.prompt(&session, "thanks").await), "fine");
}

#[tokio::test]
async fn a_service_that_cannot_be_forced_is_asked_without() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::json(400, &json!({ "error": { "message": "`tool_choice` must be auto or none" } })));
    fixture.models.push(gives("c1", &json!({ "name": "Bern", "people": 1 })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = ask(&mut client, &session, format(0)).await;
    assert_eq!(answer["info"]["structured"]["name"], "Bern");
    assert!(parts(&answer, "retry").is_empty());
    let choices: Vec<Value> = bodies(&fixture).iter().map(|body| body["tool_choice"].clone()).collect();
    assert_eq!(choices, [json!("required"), Value::Null]);
}

#[tokio::test]
async fn a_bad_schema_is_refused_with_its_place_and_nothing_is_stored() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (format, expected) in [
        (
            json!({ "type": "json_schema", "schema": { "type": "object", "properties": { "a": { "type": "text" } } } }),
            "`format.schema`: at /properties/a/type: ",
        ),
        (json!({ "type": "json_schema", "schema": { "$ref": "https://example.com/x.json" } }), "`format.schema`: at /$ref: "),
        (json!({ "type": "json_schema", "schema": { "$ref": "#" } }), "refers to itself"),
        (json!({ "type": "json_schema", "schema": { "description": "x".repeat(70_000) } }), "at most 65536"),
        (json!({ "type": "json_schema", "schema": {}, "retries": 11 }), "`format.retries`: "),
        (json!({ "type": "json_schema", "shema": {} }), "shema"),
        (json!({ "type": "xml" }), "json_schema"),
    ] {
        let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x", "format": format })).await;
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await, json!([]));
    assert!(fixture.models.requests().is_empty());
}
