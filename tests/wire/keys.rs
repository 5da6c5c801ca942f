//! Keys of model services: stored, used at the next prompt, removed, and never shown.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::{Answer, Recorded},
    served::Served,
};

/// Settings for the test models with a key from a variable that is not set.
fn keyless(fixture: &Fixture) {
    let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
    let provider = json!({
        "api": "openai", "env": ["TEST_KEY"], "options": { "baseURL": fixture.models.url() }, "models": { "main": model, "small": model },
    });
    fixture.settings(&json!({ "provider": { "test": provider } }));
}

/// The keys in requests to the main model.
fn used(fixture: &Fixture) -> Vec<String> {
    let main = |request: &Recorded| request.body["model"] == "main";
    fixture.models.requests().iter().filter(|r| main(r)).map(|r| r.header("authorization").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_new_key_counts_at_the_next_prompt_of_every_client() {
    let fixture = Fixture::new().await;
    keyless(&fixture);
    let mut first = Client::start(&fixture);
    let session = first.session().await;
    let refused = first.refused("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    assert_eq!(refused["data"]["kind"], "credentials", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("polytree auth login test"), "{refused}");

    let mut second = Client::connect(&fixture).await;
    assert_eq!(second.call("auth.set", json!({ "providerID": "test", "type": "api", "key": " sk-one\n" })).await, true);
    for (key, answer) in [("sk-one", "one"), ("sk-two", "two")] {
        assert_eq!(first.call("auth.set", json!({ "providerID": "test", "type": "api", "key": key })).await, true);
        fixture.models.push(Answer::openai_text(answer));
        assert_eq!(text(&first.prompt(&session, "go").await), answer);
    }
    assert_eq!(used(&fixture), ["Bearer sk-one", "Bearer sk-two"]);
    let mode = std::fs::metadata(fixture.path("data/auth.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let list = first.call("auth.list", json!({})).await;
    assert_eq!(list, json!([{ "providerID": "test", "name": "test", "keys": [{ "source": "stored" }] }]));
    let providers = second.call("provider.list", json!({})).await;
    assert_eq!(providers["connected"], json!(["test", "offline"]));

    assert_eq!(second.call("auth.remove", json!({ "providerID": "test" })).await, true);
    assert_eq!(second.call("auth.remove", json!({ "providerID": "test" })).await, false);
    assert_eq!(first.refused("session.prompt", json!({ "sessionID": session, "parts": "go" })).await["data"]["kind"], "credentials");
    assert_eq!(first.call("auth.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_variable_of_the_client_comes_before_the_stored_key() {
    let fixture = Fixture::new().await;
    keyless(&fixture);
    let mut client = Client::start_with(&fixture, "repo", &[("TEST_KEY", "sk-variable")]);
    client.call("auth.set", json!({ "providerID": "test", "type": "api", "key": "sk-stored" })).await;
    fixture.models.push(Answer::openai_text("one"));
    let session = client.session().await;
    client.prompt(&session, "go").await;
    // Another client of the same daemon has another environment.
    let mut other = Client::connect(&fixture).await;
    fixture.models.push(Answer::openai_text("two"));
    let session = other.session().await;
    other.prompt(&session, "go").await;
    assert_eq!(used(&fixture), ["Bearer sk-variable", "Bearer sk-stored"]);
    let keys = client.call("auth.list", json!({})).await[0]["keys"].clone();
    assert_eq!(keys, json!([{ "source": "environment", "variable": "TEST_KEY" }, { "source": "stored" }]));
}

#[tokio::test]
async fn a_client_over_the_network_may_store_a_key() {
    let fixture = Fixture::new().await;
    let served = Served::start(&fixture, &["--listen", "127.0.0.1:0"]).await;
    let mut client = served.connect().await;
    assert_eq!(client.call("auth.set", json!({ "providerID": "groq", "type": "api", "key": "sk-web" })).await, true);
    let list = client.call("auth.list", json!({})).await;
    assert_eq!(list[0]["providerID"], "groq", "without a directory too");
    assert!(!list.to_string().contains("sk-web"));
}

#[tokio::test]
async fn a_store_that_cannot_be_written_keeps_what_it_has() {
    let fixture = Fixture::new().await;
    let mut client = Client::start_without_signal(&fixture);
    let set = |id: &str, key: &str| json!({ "providerID": id, "type": "api", "key": key });
    client.call("auth.set", set("groq", "sk-groq-before")).await;
    let before = std::fs::read(fixture.path("data/auth.json")).unwrap();
    client.limit_files(Some(0));
    let refused = client.refused("auth.set", set("xai", "sk-never-stored")).await;
    assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
    assert!(!refused.to_string().contains("sk-never"), "{refused}");
    assert_eq!(client.refused("auth.remove", json!({ "providerID": "groq" })).await["data"]["kind"], "unavailable");
    client.limit_files(None);
    assert_eq!(std::fs::read(fixture.path("data/auth.json")).unwrap(), before);
    let left = |name: &std::ffi::OsStr| name.to_str().unwrap().starts_with(".auth");
    assert!(!std::fs::read_dir(fixture.path("data")).unwrap().any(|entry| left(&entry.unwrap().file_name())), "nothing half is left");
    // A link is followed neither for reading nor for writing.
    std::fs::rename(fixture.path("data/auth.json"), fixture.path("elsewhere.json")).unwrap();
    std::os::unix::fs::symlink(fixture.path("elsewhere.json"), fixture.path("data/auth.json")).unwrap();
    for refused in [client.refused("auth.set", set("xai", "sk-x")).await, client.refused("auth.list", json!({})).await] {
        assert!(refused["message"].as_str().unwrap().contains("remove that"), "{refused}");
    }
    assert_eq!(std::fs::read(fixture.path("elsewhere.json")).unwrap(), before);
    // Everything else works, and reports it.
    let providers = client.call("provider.list", json!({})).await;
    assert!(providers["problems"][0].as_str().unwrap().contains("auth.json"), "{}", providers["problems"]);
    fixture.models.push(Answer::openai_text("fine"));
    let session = client.session().await;
    assert_eq!(text(&client.prompt(&session, "go").await), "fine");
}

/// Every file below a directory.
fn files(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() { files(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

#[tokio::test]
async fn no_key_is_ever_seen_again() {
    const STORED: &str = "stored-Kq7vZ2mXw9";
    const SECRETS: &[&str] =
        &[STORED, "setting-Jw3nB8xLp4", "header-Tz6cD1yRs5", "variable-Hf2gM7kVq8", "refused-Nb9sW4jPe6", "mixed-Xy5tC3uLa1"];
    let fixture = Fixture::new().await;
    let model = json!({ "main": { "limit": { "context": 100_000, "output": 4000 } } });
    let options = |key: Value| json!({ "baseURL": fixture.models.url(), "apiKey": key, "headers": { "x-api-key": SECRETS[2] } });
    let mut stored = json!({ "api": "openai", "env": ["TEST_KEY"], "options": options(Value::Null), "models": model });
    stored["options"].as_object_mut().unwrap().remove("apiKey");
    fixture.settings(&json!({ "model": "test/main", "small_model": "test/main", "provider": {
        "test": stored,
        "set": { "api": "openai", "options": options(json!(SECRETS[1])), "models": model },
        "var": { "api": "anthropic", "env": ["VAR_KEY"], "options": { "baseURL": fixture.models.url() }, "models": model },
    }}));
    // A service that returns everything that it received.
    fixture.models.rule(|request| {
        let said = format!("you sent {:?}", request.headers);
        let status = if request.path.contains("messages") { 401 } else { [400, 401, 403, 404][request.connection % 4] };
        Some(Answer::json(status, &json!({ "error": { "message": said, "type": "x" } })))
    });
    let mut client = Client::start_talkative(&fixture, &[("VAR_KEY", SECRETS[3])]);
    client.subscribe(json!({})).await;
    let mut seen = Vec::new();
    client.call("auth.set", json!({ "providerID": "test", "type": "api", "key": STORED })).await;
    for params in [
        json!({ "providerID": "test", "type": "api", "key": format!("{} {}", SECRETS[4], SECRETS[4]) }),
        json!({ "providerID": "test", "type": SECRETS[5], "key": "api" }),
        json!({ "providerID": "test", "type": "api", "key": [SECRETS[4]] }),
        json!({ "providerID": "te st", "type": "api", "key": SECRETS[4] }),
        json!({ "type": "api", "key": SECRETS[4] }),
        json!({ "providerID": SECRETS[5], "type": "api", "key": SECRETS[5] }),
        json!({ "providerID": "test", "type": "api", "key": SECRETS[4], "more": 1 }),
    ] {
        seen.push(client.refused("auth.set", params).await.to_string());
    }
    for name in ["test/main", "set/main", "var/main"] {
        let session = client.session().await;
        let (provider, model) = name.split_once('/').unwrap();
        let prompt = json!({ "sessionID": session, "parts": "go", "model": { "providerID": provider, "modelID": model } });
        let answer = client.call("session.prompt", prompt).await;
        assert!(answer["info"]["error"].is_object(), "{answer}");
        seen.push(answer.to_string());
        seen.push(client.call("session.messages", json!({ "sessionID": session })).await.to_string());
    }
    for method in ["config.get", "provider.list", "model.list", "auth.list", "server.diagnose", "server.info", "agent.list", "session.list"]
    {
        seen.push(client.call(method, json!({})).await.to_string());
    }
    seen.push(client.call("event.list", json!({ "since": 0 })).await.to_string());
    client.call("log.write", json!({ "service": "test", "level": "info", "message": "the end" })).await;
    std::fs::write(fixture.path("data/auth.json"), format!("{{ {STORED}")).unwrap();
    seen.push(client.refused("auth.list", json!({})).await.to_string());
    seen.push(client.refused("auth.set", json!({ "providerID": "test", "type": "api", "key": SECRETS[4] })).await.to_string());
    seen.push(client.call("provider.list", json!({})).await.to_string());
    seen.push(client.call("server.diagnose", json!({})).await.to_string());
    client.terminate().await;

    assert!(fixture.models.requests().iter().any(|request| format!("{request:?}").contains(STORED)), "it was used");
    let mut paths = Vec::new();
    files(&fixture.path("data"), &mut paths);
    files(&fixture.path("repo"), &mut paths);
    assert!(
        paths.iter().any(|path| path.to_string_lossy().contains("log/polytree")) && paths.iter().any(|path| path.ends_with("polytree.db"))
    );
    for path in paths.iter().filter(|path| !path.ends_with("auth.json")) {
        seen.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&std::fs::read(path).unwrap())));
    }
    for secret in SECRETS {
        for text in &seen {
            let at = text.find(secret).map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>());
            assert_eq!(at, None, "{secret} was seen");
        }
    }
}
