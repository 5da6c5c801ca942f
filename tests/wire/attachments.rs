//! Images that a model service refuses are dropped; the session stays usable.

use base64::Engine as _;
use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::Answer,
};

/// A PNG image by its structure.
fn png(width: u32, height: u32, data: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    for (name, content) in [(b"IHDR", header), (b"IDAT", vec![7; data]), (b"IEND", Vec::new())] {
        png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        png.extend(name);
        png.extend(content);
        png.extend([0; 4]);
    }
    png
}

fn data_url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// A home whose model sees images.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let url = fixture.models.url();
    fixture.settings(&json!({ "provider": { "test": {
        "api": "openai",
        "options": { "baseURL": url, "apiKey": "secret-key" },
        "models": { "main": { "attachment": true }, "small": {} },
    } } }));
    fixture
}

/// The requests of turns, as text.
fn requests(fixture: &Fixture) -> Vec<String> {
    let bodies = fixture.models.requests().into_iter().map(|request| request.body);
    bodies.filter(|body| body["model"] == "main").map(|body| body.to_string()).collect()
}

fn refusal() -> Answer {
    Answer::json(400, &json!({ "error": { "message": "Could not process image", "type": "invalid_request_error" } }))
}

async fn prompt(client: &mut Client, session: &str, parts: Value) -> Value {
    client.call("session.prompt", json!({ "sessionID": session, "parts": parts })).await
}

#[tokio::test]
async fn after_a_refusal_the_session_goes_on_without_the_image() {
    let fixture = fixture().await;
    std::fs::write(fixture.path("repo/shot.png"), png(20, 20, 50)).unwrap();
    fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": "shot.png" }))]));
    fixture.models.push(refusal());
    fixture.models.push(Answer::openai_text("without it"));
    fixture.models.push(Answer::openai_text("and on"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let attached = json!([{ "type": "text", "text": "look" }, { "type": "file", "mime": "image/png", "filename": "mine.png", "url": data_url(&png(9, 9, 50)) }]);
    let answer = prompt(&mut client, &session, attached).await;
    assert_eq!((text(&answer).as_str(), answer["info"].get("error")), ("without it", None));
    // The user gets a notice.
    let retry = parts(&answer, "retry")[0];
    assert_eq!((&retry["withoutAttachments"], &retry["error"]["data"]["statusCode"]), (&json!(true), &json!(400)), "{retry}");
    assert!(retry["error"]["data"]["message"].as_str().unwrap().contains("Could not process image"), "{retry}");
    assert!(retry["error"]["data"]["hint"].as_str().unwrap().contains("without the attached images"), "{retry}");
    let answer = prompt(&mut client, &session, json!("more")).await;
    assert_eq!((text(&answer).as_str(), answer["info"].get("error")), ("and on", None));
    // The model gets a note in place of each image.
    let requests = requests(&fixture);
    let sent = |request: &str| request.matches("data:image/png;base64,").count();
    assert_eq!(requests.iter().map(|request| sent(request)).collect::<Vec<_>>(), [1, 2, 0, 0]);
    for request in &requests[2..] {
        assert!(request.contains("(mine.png, image/png) was left out: the model service refused it"), "{request}");
        assert!(request.contains("(shot.png, image/png) was left out: the model service refused it"), "{request}");
    }
    // Later images are sent.
    fixture.models.push(Answer::openai_text("seen"));
    let attached =
        json!([{ "type": "text", "text": "and this" }, { "type": "file", "mime": "image/png", "url": data_url(&png(8, 8, 50)) }]);
    assert_eq!(text(&prompt(&mut client, &session, attached).await), "seen");
    assert_eq!(sent(self::requests(&fixture).last().unwrap()), 1);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_image_keeps_it() {
    let fixture = fixture().await;
    fixture.models.push(refusal());
    fixture.models.push(Answer::json(400, &json!({ "error": { "message": "temperature is not supported" } })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let attached = json!([{ "type": "text", "text": "look" }, { "type": "file", "mime": "image/png", "url": data_url(&png(9, 9, 50)) }]);
    let answer = prompt(&mut client, &session, attached).await;
    assert_eq!(answer["info"]["error"]["data"]["message"], "temperature is not supported");
    assert_eq!(parts(&answer, "retry")[0].get("withoutAttachments"), None);
    fixture.models.push(Answer::openai_text("now"));
    assert_eq!(text(&prompt(&mut client, &session, json!("again")).await), "now");
    assert!(requests(&fixture).last().unwrap().contains("data:image/png;base64,"));
}

#[tokio::test]
async fn an_image_that_is_forbidden_does_not_block_the_session() {
    let fixture = fixture().await;
    fixture.models.push(Answer::json(403, &json!({ "error": { "message": "image blocked by policy" } })));
    fixture.models.push(Answer::openai_text("without it"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let attached = json!([{ "type": "text", "text": "look" }, { "type": "file", "mime": "image/png", "url": data_url(&png(9, 9, 50)) }]);
    assert_eq!(text(&prompt(&mut client, &session, attached).await), "without it");
    fixture.models.push(Answer::openai_text("now"));
    assert_eq!(text(&prompt(&mut client, &session, json!("again")).await), "now");
    assert!(!requests(&fixture).last().unwrap().contains("data:image/png;base64,"));
}

#[tokio::test]
async fn an_image_beyond_the_limits_is_never_sent_and_that_is_said() {
    let fixture = fixture().await;
    let images = [("large.png", png(20, 20, 4 << 20)), ("wide.png", png(9000, 2, 50)), ("broken.png", b"\x89PNG\r\n\x1a\njunk".to_vec())];
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (name, bytes) in &images {
        std::fs::write(fixture.path("repo").join(name), bytes).unwrap();
        fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": name }))]));
        fixture.models.push(Answer::openai_text("read"));
        assert_eq!(text(&prompt(&mut client, &session, json!("read it")).await), "read");
        let messages = client.call("session.messages", json!({ "sessionID": session })).await;
        let list = messages.as_array().unwrap();
        let call = parts(&list[list.len() - 2], "tool")[0];
        assert!(call["state"]["error"].as_str().unwrap().contains(&format!("{name} (image/png) cannot be attached: it ")), "{call}");
        for url in [data_url(bytes), format!("file://{}", fixture.path("repo").join(name).display())] {
            fixture.models.push(Answer::openai_text("heard"));
            let file = json!([{ "type": "text", "text": "look" }, { "type": "file", "mime": "image/png", "filename": name, "url": url }]);
            assert_eq!(text(&prompt(&mut client, &session, file).await), "heard");
            let request = requests(&fixture).pop().unwrap();
            assert!(request.contains(&format!("The image \\\"{name}\\\" is not sent to the model: it ")), "{request}");
            assert!(!request.contains("data:image/png"), "{request}");
        }
    }
    // An image with a wrong declared type is sent with its real type.
    fixture.models.push(Answer::openai_text("seen"));
    let url = data_url(&png(9, 9, 50)).replace("image/png", "image/jpeg");
    let file = json!([{ "type": "text", "text": "look" }, { "type": "file", "mime": "image/jpeg", "url": url }]);
    assert_eq!(text(&prompt(&mut client, &session, file).await), "seen");
    assert!(requests(&fixture).pop().unwrap().contains("data:image/png;base64,"));
}

#[tokio::test]
async fn what_an_editor_shows_becomes_a_text_for_the_model() {
    let fixture = Fixture::new().await;
    let options = json!({ "baseURL": fixture.models.url(), "apiKey": "sk-0123456789abcdefghijklmnop" });
    let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
    let models = json!({ "main": model, "small": model });
    fixture.settings(&json!({ "provider": { "test": { "api": "openai", "options": options, "models": models } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let range = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 2, "character": 0 } });
    let parts = json!([
        { "type": "text", "text": "explain this" },
        { "type": "context", "kind": "selection", "path": "a.txt", "range": range, "text": "two" },
        { "type": "context", "kind": "terminal", "text": format!("START{}the key is sk-0123456789abcdefghijklmnop", "x".repeat(100_000)) },
    ]);
    fixture.models.push(Answer::openai_text("explained"));
    client.call("session.prompt", json!({ "sessionID": session, "parts": parts })).await;
    let sent = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string();
    assert!(sent.contains("The user has selected line 2 of a.txt in the editor:\\n<selection>\\ntwo\\n</selection>"), "{sent}");
    assert!(!sent.contains("START") && sent.contains("the key is ") && !sent.contains("sk-0123"), "{sent}");
    assert!(sent.len() < 60_000, "{}", sent.len());
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[0]["parts"][1]["metadata"]["context"]["path"], "a.txt");
    let wrong = json!([{ "type": "context", "kind": "terminal" }]);
    assert_eq!(client.refused("session.prompt", json!({ "sessionID": session, "parts": wrong })).await["code"], -32602);
}
