//! Fetching the catalogue from a server on loopback, and reading stored files.

use serde_json::{Value, json};

use super::*;
use crate::provider::model_server::{Answer, ModelServer};

fn cache() -> (tempfile::TempDir, CatalogCache, AbsPath) {
    let directory = tempfile::tempdir().unwrap();
    let data = AbsPath::new(directory.path()).unwrap();
    let cache = CatalogCache::new(&data);
    (directory, cache, data.join("models.json"))
}

fn published() -> Value {
    let model = json!({
        "name": "New", "tool_call": true, "release_date": "2026-11-01", "modalities": { "input": ["text"], "output": ["text"] },
        "limit": { "context": 9000, "output": 900 }, "cost": { "input": 1, "output": 2 },
    });
    json!({ "openai": { "npm": "@ai-sdk/openai", "models": { "gpt-new": model, "broken": 5 } } })
}

#[tokio::test]
async fn a_fetched_catalogue_is_used_and_private() {
    let (_directory, cache, path) = cache();
    assert_eq!(cache.current().info().source, CatalogSource::BuiltIn);
    let server = ModelServer::start().await;
    server.push(Answer::json(200, &published()));
    let result = cache.refresh(&server.url(), Network::default()).await.unwrap();
    assert_eq!((result.providers, result.models, result.skipped), (1, 1, 1));
    let current = cache.current();
    assert_eq!((current.info(), &current.problem), (result.catalog.clone(), &None));
    assert_eq!(result.catalog, CatalogInfo { source: CatalogSource::Fetched, as_of: day(now_ms()), url: Some(server.url()) });
    assert_eq!(current.file().provider("openai").unwrap().models[0].id, "gpt-new");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    let request = server.request();
    assert_eq!((request.path.as_str(), request.header("authorization"), request.header("x-api-key")), ("/v1", None, None));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(cache.current().info().source, CatalogSource::BuiltIn);
}

#[tokio::test]
async fn invalid_responses_change_nothing() {
    let (_directory, cache, path) = cache();
    let server = ModelServer::start().await;
    server.push(Answer::json(200, &published()));
    cache.refresh(&server.url(), Network::default()).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    for (answer, why) in [
        (Answer::json(404, &json!({})), "status 404"),
        (Answer::json(302, &json!({})).header("location", "http://127.0.0.1:1/"), "leads elsewhere"),
        (Answer::body(200, "text/html", "<html>"), "is no catalogue"),
        (Answer::json(200, &json!({ "a": 1 })), "no model"),
        (Answer::body(200, "application/json", &" ".repeat(usize::try_from(MAX_BYTES + 1).unwrap())), "more than"),
        (Answer::body(200, "application/json", "{\"openai\"").cut(), ""),
    ] {
        server.push(answer);
        let error = cache.refresh(&server.url(), Network::default()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    for url in ["", "models.dev", "ftp://a/b", "http://192.0.2.1/api.json"] {
        assert!(matches!(cache.refresh(url, Network::default()).await, Err(Error::Address(_))), "{url}");
    }
    let error = cache.refresh("http://me:hunter2@127.0.0.1:1/x?key=hunter2", Network::default()).await.unwrap_err();
    assert!(matches!(error, Error::Service { .. }) && !error.to_string().contains("hunter2"), "{error}");
    assert!(matches!(CatalogCache::default().refresh(&server.url(), Network::default()).await, Err(Error::None)));
}

#[test]
fn an_invalid_or_old_file_is_ignored_and_reported() {
    let (_directory, cache, path) = cache();
    let with_day = |day: &str| json!({ "asOf": day, "services": published() });
    for (text, why) in [
        ("{".to_owned(), "cannot be used"),
        (String::new(), "cannot be used"),
        (json!({ "asOf": "2099-01-01", "services": {} }).to_string(), "no model"),
        (with_day("2025-01-01").to_string(), "of 2025-01-01 is older"),
    ] {
        std::fs::write(&path, text).unwrap();
        let current = cache.current();
        let problem = current.problem.clone().unwrap();
        assert!(problem.contains(why) && problem.contains("--refresh"), "{problem}");
        assert_eq!((current.info().source, current.file()), (CatalogSource::BuiltIn, built_in()));
    }
    std::fs::write(&path, with_day("2099-01-01").to_string()).unwrap();
    assert_eq!(cache.current().info().as_of, "2099-01-01");
}
