//! Shared by the tests of remote models: a request, a service on loopback, and its answer as a list.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt as _;
use polytree_protocol::provider::ModelRef;
use serde_json::{Map, json};

use crate::provider::{
    definition::{Delta, Error, ModelMessage, ModelRequest, Provider, ToolSpec, UserContent, unknown_model},
    http::{client::Clients, network::Network},
    model_server::ModelServer,
    secret::Secret,
    wire::{
        protocol::Wire,
        remote::{Remote, RemoteSettings},
    },
};

pub(crate) fn request(model: &str) -> ModelRequest {
    ModelRequest {
        model: ModelRef { provider_id: "test".to_owned(), model_id: model.to_owned() },
        info: unknown_model(model),
        system: vec!["You are a test.".to_owned()],
        messages: vec![ModelMessage::User(vec![UserContent::Text("hello".to_owned())])],
        tools: vec![ToolSpec {
            name: "read".to_owned(),
            description: "reads".to_owned(),
            parameters: json!({"type": "object", "properties": {}}),
        }],
        temperature: None,
        top_p: None,
        max_output_tokens: 500,
        options: Map::new(),
        cache_key: "ses_1".to_owned(),
    }
}

pub(crate) fn settings(server: &ModelServer, api: &'static dyn Wire) -> RemoteSettings {
    RemoteSettings {
        api,
        base_url: Some(server.url()),
        api_key: Secret::new("sk-secret-key"),
        headers: BTreeMap::new(),
        timeout_ms: 20_000,
        network: Network::default(),
    }
}

pub(crate) fn remote(settings: RemoteSettings) -> Remote {
    Remote::new(settings, Arc::new(Clients::default()))
}

/// All items of the answer.
pub(crate) async fn items(remote: &dyn Provider, request: ModelRequest) -> Vec<Result<Delta, Error>> {
    let items: Vec<_> = remote.stream(request).collect().await;
    // Their own tests look at the pieces of arguments.
    items.into_iter().filter(|item| !matches!(item, Ok(Delta::ToolCallArguments { .. }))).collect()
}

/// The deltas of a successful answer.
pub(crate) async fn deltas(remote: &Remote, request: ModelRequest) -> Vec<Delta> {
    deltas_of(remote, request).await
}

/// The deltas of a successful answer of any provider.
pub(crate) async fn deltas_of(provider: &dyn Provider, request: ModelRequest) -> Vec<Delta> {
    items(provider, request).await.into_iter().map(|item| item.expect("a good stream")).collect()
}

/// The deltas and the error of a failed answer.
pub(crate) async fn failure(remote: &Remote, request: ModelRequest) -> (Vec<Delta>, Error) {
    let mut items = items(remote, request).await;
    let error = items.pop().expect("an item").expect_err("an error at the end");
    (items.into_iter().map(|item| item.expect("only one error")).collect(), error)
}

pub(crate) fn text_of(deltas: &[Delta]) -> String {
    let text = |delta: &Delta| if let Delta::Text(text) = delta { Some(text.clone()) } else { None };
    deltas.iter().filter_map(text).collect()
}

pub(crate) fn start(call_id: &str, name: &str) -> Delta {
    Delta::ToolCallStart { call_id: call_id.to_owned(), name: name.to_owned() }
}

pub(crate) fn done(call_id: &str, name: &str, arguments: &str) -> Delta {
    Delta::ToolCallDone { call_id: call_id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned(), metadata: None }
}
