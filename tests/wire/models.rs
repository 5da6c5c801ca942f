//! The catalogue of models: fetched on request, stored, set aside if it is damaged; and model servers on this machine.

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    command::{command, ended},
    fixture::Fixture,
    model_server::{Answer, ModelServer},
};

async fn models(fixture: &Fixture, url: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = command(fixture, &[&["models"], arguments].concat()).env("POLYTREE_MODELS_URL", url).output().await;
    ended(output.unwrap())
}

fn published() -> Value {
    let model = |name: &str| {
        json!({
            "name": name, "tool_call": true, "reasoning": true, "release_date": "2026-11-01",
            "modalities": { "input": ["text", "image", "pdf"], "output": ["text"] }, "limit": { "context": 200_000, "output": 8000 },
            "cost": { "input": 1, "output": 2, "cache_read": 0.1 },
        })
    };
    json!({
        "groq": { "npm": "@ai-sdk/groq", "models": { "brand-new": model("Brand New") } },
        "farther": { "name": "Farther", "npm": "@ai-sdk/openai-compatible", "api": "https://farther.example/v1", "env": ["FARTHER_KEY"], "models": { "m": model("M") } },
    })
}

#[tokio::test]
async fn the_catalogue_is_fetched_when_it_is_asked_for_and_kept() {
    let fixture = Fixture::new().await;
    let server = ModelServer::start().await;
    let (code, page, err) = models(&fixture, &server.url(), &[]).await;
    assert!(
        code == 0 && page.contains("--refresh fetches newer ones") && page.contains("groq (Groq) not connected: set GROQ_API_KEY"),
        "{page}{err}"
    );
    assert!(server.requests().is_empty(), "nothing is fetched unasked");
    server.push(Answer::json(200, &published()));
    let (code, page, err) = models(&fixture, &server.url(), &["groq", "farther", "--refresh"]).await;
    assert_eq!((code, err.as_str()), (0, "fetched 2 models of 2 providers\n"));
    assert!(page.contains("groq/brand-new  200k context, 8000 answer  $1/$2, cached $0.1  thinks, images, documents"), "{page}");
    assert!(
        page.contains("farther (Farther) not connected: set FARTHER_KEY") && page.contains(&format!("from {}", server.url())),
        "{page}"
    );
    let (_, page, _) = models(&fixture, &server.url(), &["--all"]).await;
    assert!(page.contains("brand-new") && !page.contains("farther"), "{page}");
    let (_, lines, _) = models(&fixture, &server.url(), &["--json", "groq"]).await;
    let line: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!((&line["model"], &line["info"]["release_date"]), (&json!("groq/brand-new"), &json!("2026-11-01")));
    // A failed fetch changes nothing; a damaged file is set aside.
    let (code, _, err) = models(&fixture, &server.url(), &["--refresh"]).await;
    assert!(code == 1 && err.contains("status 500"), "{err}");
    assert!(models(&fixture, &server.url(), &["groq"]).await.1.contains("brand-new"));
    std::fs::write(fixture.path("data/models.json"), "{").unwrap();
    let (code, page, err) = models(&fixture, &server.url(), &["--all"]).await;
    assert!(code == 0 && err.contains("cannot be used") && err.contains("built-in") && !page.contains("brand-new"), "{err}{page}");
    let (code, _, err) = models(&fixture, &server.url(), &["grok"]).await;
    assert!(code == 2 && err.contains("the nearest is `groq`"), "{err}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_server_on_this_machine_is_listed_and_used_when_it_is_named() {
    let fixture = Fixture::new().await;
    let server = ModelServer::start().await;
    server.rule(|request| {
        let list = json!({ "object": "list", "data": [{ "id": "served/model", "max_model_len": 4096 }] });
        match request.path.as_str() {
            "/v1/models" => Some(Answer::json(200, &list)),
            "/v1/chat/completions" => Some(Answer::openai_text("served")),
            _ => None,
        }
    });
    let origin = server.url().trim_end_matches("/v1").to_owned();
    // No model is configured.
    std::fs::write(fixture.path("config/polytree.json"), "{}").unwrap();
    let variables = [("POLYTREE_LOCAL_SERVERS", format!("vllm={origin},lmstudio=http://192.0.2.1:1"))];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut client = Client::start_with(&fixture, "repo", &variables);
    let session = client.session().await;
    assert!(text(&client.prompt(&session, "help").await).contains("offline"));
    assert!(server.requests().is_empty(), "nobody is asked before a client asks");

    let list = client.call("provider.list", json!({})).await;
    assert_eq!(list["connected"], json!(["offline", "vllm"]));
    let vllm = list["providers"].as_array().unwrap().iter().find(|provider| provider["id"] == "vllm").unwrap();
    assert_eq!((&vllm["local"], &vllm["models"]["served/model"]["limit"]["context"]), (&json!(true), &json!(4096)));
    assert!(list["problems"][0].as_str().unwrap().contains("lmstudio must be"), "{list}");
    let models = client.call("model.list", json!({})).await;
    let named: Vec<_> =
        models.as_array().unwrap().iter().map(|model| (model["providerID"].as_str().unwrap(), model["local"] == true)).collect();
    assert_eq!(named, [("offline", false), ("vllm", true)]);
    assert_eq!(server.requests().len(), 1, "one look serves both");

    let named = |model: &str| json!({ "parts": "go", "model": { "providerID": "vllm", "modelID": model } });
    assert_eq!(text(&client.call("session.prompt", named("served/model")).await), "served");
    let request = server.requests().into_iter().find(|request| request.path == "/v1/chat/completions").unwrap();
    assert_eq!((&request.body["model"], request.header("authorization")), (&json!("served/model"), None));
    let refused = client.refused("session.prompt", named("other")).await;
    assert!(refused["data"]["kind"] == "not_found" && refused["message"].as_str().unwrap().contains("`served/model`"), "{refused}");
    // A session without a model still uses the offline model.
    let session = client.session().await;
    assert!(text(&client.prompt(&session, "help").await).contains("offline"));
}

#[tokio::test]
async fn a_server_that_does_not_run_is_told() {
    let fixture = Fixture::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("ollama=http://{free}");
    let mut client = Client::start_with(&fixture, "repo", &[("POLYTREE_LOCAL_SERVERS", &address)]);
    assert_eq!(client.call("provider.list", json!({})).await["connected"], json!(["test", "offline"]));
    let prompt = json!({ "parts": "go", "model": { "providerID": "ollama", "modelID": "llama3" } });
    let refused = client.refused("session.prompt", prompt).await;
    assert_eq!(refused["data"]["kind"], "not_found");
    assert!(refused["message"].as_str().unwrap().contains(&format!("Ollama does not run at http://{free}")), "{refused}");
}

#[tokio::test]
async fn ollama_names_models_with_tags() {
    let fixture = Fixture::new().await;
    let server = ModelServer::start().await;
    server.rule(|request| match request.path.as_str() {
        "/api/tags" => Some(Answer::json(200, &json!({ "models": [{ "name": "llama3:latest" }] }))),
        "/v1/chat/completions" => Some(Answer::openai_text("hi")),
        // Ollama's own protocol.
        "/api/chat" => {
            let lines = [
                json!({ "message": { "role": "assistant", "content": "hi" }, "done": false }),
                json!({ "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": "stop" }),
            ];
            Some(Answer::body(200, "application/x-ndjson", &lines.map(|line| line.to_string() + "\n").concat()))
        }
        _ => None,
    });
    let address = format!("ollama={}", server.url().trim_end_matches("/v1"));
    let mut client = Client::start_with(&fixture, "repo", &[("POLYTREE_LOCAL_SERVERS", &address)]);
    let named = |model: &str| json!({ "parts": "go", "model": { "providerID": "ollama", "modelID": model } });
    for model in ["llama3", "llama3:latest"] {
        assert_eq!(text(&client.call("session.prompt", named(model)).await), "hi");
    }
    assert!(client.refused("session.prompt", named("llama")).await["message"].as_str().unwrap().contains("`llama3:latest`"));
}
