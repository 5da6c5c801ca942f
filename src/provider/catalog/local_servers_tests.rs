//! Probing servers on loopback, and other programs that may answer.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::model_server::{Answer, ModelServer};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn origin(server: &ModelServer) -> String {
    server.url().trim_end_matches("/v1").to_owned()
}

#[test]
fn addresses_to_probe() {
    let of = |settings: &[(&str, &str)], environment: &[(&str, &str)]| {
        let (addresses, problems) = addresses(&map(settings), &map(environment));
        let addresses: Vec<_> = addresses.into_iter().map(|(kind, address)| format!("{}={address}", kind.id())).collect();
        (addresses.join(" "), problems.join(" | "))
    };
    let all = "ollama=http://127.0.0.1:11434 llamacpp=http://127.0.0.1:8080 lmstudio=http://127.0.0.1:1234 vllm=http://127.0.0.1:8000";
    assert_eq!(of(&[], &[]), (all.to_owned(), String::new()));
    let moved = of(&[("vllm", "off"), ("llamacpp", "http://localhost:9/v1/"), ("lmstudio", "off")], &[("OLLAMA_HOST", "0.0.0.0:7")]);
    assert_eq!(moved.0, "ollama=http://127.0.0.1:7 llamacpp=http://localhost:9");
    assert_eq!(of(&[("vllm", "http://127.0.0.1:9")], &[(VARIABLE, "off")]).0, "");
    assert_eq!(of(&[], &[(VARIABLE, "vllm=http://[::1]:5, ollama=off")]).0, "vllm=http://[::1]:5");
    let (addresses, problems) = of(&[("ollama", "http://192.0.2.1:1"), ("vllm", "file:///etc/passwd"), ("other", "off")], &[]);
    assert_eq!(addresses, "llamacpp=http://127.0.0.1:8080 lmstudio=http://127.0.0.1:1234");
    assert!(problems.contains("ollama must be") && problems.contains("vllm must be") && problems.contains("\"other\""), "{problems}");
    assert_eq!(of(&[], &[("OLLAMA_HOST", "https://ollama.example:443")]).0, all);
}

#[tokio::test]
async fn servers_list_their_models() {
    let server = ModelServer::start().await;
    for (kind, path, answer, expected) in [
        (
            Kind::Ollama,
            "/api/tags",
            json!({ "models": [{ "name": "llama3:latest" }, { "name": "nomic-embed-text:latest" }, { "name": "bad\nname" }, 5] }),
            vec![("llama3:latest", 0, false)],
        ),
        (
            Kind::LlamaCpp,
            "/v1/models",
            json!({ "data": [{ "id": "qwen.gguf", "meta": { "n_ctx_train": 32768 } }] }),
            vec![("qwen.gguf", 32768, false)],
        ),
        (Kind::Vllm, "/v1/models", json!({ "data": [{ "id": "a/b", "max_model_len": 8192 }] }), vec![("a/b", 8192, false)]),
        (
            Kind::LmStudio,
            "/api/v0/models",
            json!({ "data": [{ "id": "v", "type": "vlm", "max_context_length": 4096 }, { "id": "e", "type": "embeddings" }] }),
            vec![("v", 4096, true)],
        ),
    ] {
        server.push(Answer::json(200, &answer));
        let Probe::Found(models) = probe(kind, &origin(&server)).await else { panic!("{kind:?}") };
        let found: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.limit.context, model.attachment)).collect();
        assert_eq!(found, expected);
        let request = server.requests().pop().unwrap();
        assert_eq!(request.path, path);
        assert!(["authorization", "x-api-key", "cookie"].iter().all(|name| request.header(name).is_none()));
    }
}

#[tokio::test]
async fn other_responses_are_ignored() {
    let server = ModelServer::start().await;
    for answer in [
        Answer::json(404, &json!({})),
        Answer::json(302, &json!({})).header("location", &format!("{}/elsewhere", origin(&server))),
        Answer::body(200, "text/html", "<html>hello</html>"),
        Answer::json(200, &json!({ "data": "none" })),
        Answer::body(200, "application/json", &format!("{{\"data\": [{}]}}", " ".repeat(2 << 20))),
        Answer::body(200, "application/json", "{\"data\": [").cut(),
        Answer::body(200, "application/json", "{\"data\": [").hang(),
    ] {
        server.push(answer);
        let asked = server.requests().len();
        assert_eq!(probe(Kind::Vllm, &origin(&server)).await, Probe::Silent);
        assert_eq!(server.requests().len(), asked + 1, "nothing is followed");
    }
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(probe(Kind::Vllm, &format!("http://{free}")).await, Probe::Nothing);
}

#[tokio::test]
async fn concurrent_requests_share_one_probe() {
    let server = ModelServer::start().await;
    server.push(Answer::json(200, &json!({ "data": [{ "id": "m" }] })));
    let servers = LocalServers::default();
    let address = origin(&server);
    let probes = join_all((0..50).map(|_| servers.probe(Kind::Vllm, &address))).await;
    assert!(probes.iter().all(|probe| matches!(&**probe, Probe::Found(models) if models.len() == 1)));
    assert_eq!(server.requests().len(), 1);
}

proptest! {
    #[test]
    fn any_response_is_parsed_or_ignored(text in r#"\{"(data|models)": ?\[(\{"(id|name|type|meta)": ?("[^"\\]{0,5}"|-?[0-9]{1,20}|\{\})\},?){0,3}\]?\}?"#) {
        let Ok(answer) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
        for kind in Kind::ALL {
            for model in models(kind, &answer).unwrap_or_default() {
                prop_assert!(!model.id.is_empty() && model.limit.context <= 1_000_000_000);
            }
        }
    }
}
