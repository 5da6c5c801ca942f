//! The page about tools: its examples are executed as they stand there.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::Answer,
};

/// The fenced blocks of the page, with their languages, in order.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text))) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    found
}

/// A server with one page, for as long as the value is there.
async fn site() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "it is aborted by the test")]
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = "<title>Guide</title><p>Read the <a href='/manual'>manual</a>.</p>";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    });
    (url, served)
}

#[tokio::test]
async fn the_examples_do_what_the_page_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let (url, served) = site().await;
    let fixture = Fixture::new().await;
    let here = format!("{url}/*");
    fixture.settings(&json!({ "mode": "all", "permission": { "bash": "allow", "webfetch": { here: "allow" } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    // So that the model knows the file that an example changes.
    let mut calls = vec![json!({ "tool": "read", "input": { "filePath": "a.txt" } })];
    let (mut done, mut result) = (Vec::new(), String::new());
    let mut examples = blocks(&page).into_iter().peekable();
    while let Some((language, text)) = examples.next() {
        if language == "text" {
            assert!(result.contains(text.trim_end()), "the page says\n{text}\nand it is\n{result}");
            continue;
        }
        if language == "markdown" {
            let path = fixture.path("config/skill/release/SKILL.md");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            continue;
        }
        assert_eq!(language, "json");
        let example: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if example.get("settings").is_some() {
            let other = Fixture::new().await;
            other.settings(&example["settings"]);
            let settings = Client::start(&other).call("config.get", json!({})).await;
            assert_eq!(settings["permission"], example["settings"]["permission"]);
            continue;
        }
        calls.push(example);
        for call in calls.drain(..) {
            done.push(call["tool"].as_str().unwrap().to_owned());
            let input: Value = serde_json::from_str(&call["input"].to_string().replace("https://docs.example.org", &url)).unwrap();
            fixture.models.push(Answer::openai_calls(&[("c", call["tool"].as_str().unwrap(), input)]));
            fixture.models.push(Answer::openai_text("done"));
            let submitted = client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
            if call["tool"] == "question" {
                let question = client.event_of("question.asked").await["properties"].clone();
                let reply: Value = serde_json::from_str(&examples.next().unwrap().1).unwrap();
                let mut params = reply["params"].clone();
                (params["sessionID"], params["questionID"]) = (json!(session), question["id"].clone());
                client.call(reply["method"].as_str().unwrap(), params).await;
            }
            client.event_of("session.idle").await;
            let messages = client.call("session.messages", json!({ "sessionID": session })).await;
            let own = |message: &&Value| message["info"]["parentID"] == submitted["messageID"];
            let answer = messages.as_array().unwrap().iter().find(own).unwrap().clone();
            let state = &parts(&answer, "tool")[0]["state"];
            assert_eq!(state["status"], "completed", "{state}");
            result = state["output"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!(done, ["read", "question", "bash", "process", "patch", "webfetch", "skill", "read"]);
    served.abort();
}
