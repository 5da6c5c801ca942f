//! Model servers on this machine, probed on their default ports only when a client lists models. Responses are not
//! trusted: only loopback addresses are probed, no key is sent, no redirect is followed, and a response that is large,
//! slow or malformed is ignored.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, join_all},
};
use polytree_protocol::provider::{Model, ModelLimit};
use serde_json::Value;

use crate::{
    provider::{
        definition::unknown_model,
        http::{address::Address, client, network::Network},
        wire,
    },
    stdx::text::ellipsis,
};

/// The variable with the addresses to probe: a comma-separated list of `KIND=ADDRESS` or `KIND=off`; other kinds are
/// not probed. `off` alone disables probing.
pub(crate) const VARIABLE: &str = "POLYTREE_LOCAL_SERVERS";

/// The timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(700);
/// How long the result of a probe is cached.
const PROBE_TTL: Duration = Duration::from_secs(5);
/// The size limit of a response, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The limit of models of a server.
const MAX_MODELS: usize = 500;
/// The capacity of the cache.
const CACHE_CAPACITY: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Ollama,
    /// The server of llama.cpp.
    LlamaCpp,
    LmStudio,
    Vllm,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Ollama, Self::LlamaCpp, Self::LmStudio, Self::Vllm];

    pub fn id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::LlamaCpp => "llamacpp",
            Self::LmStudio => "lmstudio",
            Self::Vllm => "vllm",
        }
    }

    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::LlamaCpp => "llama.cpp",
            Self::LmStudio => "LM Studio",
            Self::Vllm => "vLLM",
        }
    }

    pub fn default_address(self) -> &'static str {
        match self {
            Self::Ollama => "http://127.0.0.1:11434",
            Self::LlamaCpp => "http://127.0.0.1:8080",
            Self::LmStudio => "http://127.0.0.1:1234",
            Self::Vllm => "http://127.0.0.1:8000",
        }
    }

    /// The paths of model lists, the most detailed first.
    fn lists(self) -> &'static [&'static str] {
        match self {
            Self::Ollama => &["/api/tags"],
            Self::LmStudio => &["/api/v0/models", "/v1/models"],
            Self::LlamaCpp | Self::Vllm => &["/v1/models"],
        }
    }

    /// The wire protocol for its models, and the base URL.
    pub fn wire(self, address: &str) -> (String, String) {
        // Only Ollama's own protocol can set the context size.
        let own = (self == Self::Ollama).then(|| wire::by_name("ollama")).flatten();
        let path = own.and_then(|wire| Address::parse(wire.base_url()).ok()).map(|base| base.path().trim_end_matches('/').to_owned());
        let api = own.unwrap_or(wire::DEFAULT);
        (api.name().to_owned(), format!("{}{}", address.trim_end_matches('/'), path.as_deref().unwrap_or("/v1")))
    }
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    Found(Vec<Model>),
    /// Nothing listens there.
    Nothing,
    /// The response is not that of a model server, or did not arrive in time.
    Silent,
}

/// The address of each kind to probe.
pub type Addresses = BTreeMap<Kind, String>;

/// The addresses to probe, from the settings and the client's environment, and messages about rejected ones, such as
/// addresses that are not on loopback.
pub fn addresses(settings: &BTreeMap<String, String>, environment: &BTreeMap<String, String>) -> (Addresses, Vec<String>) {
    let mut problems = Vec::new();
    let mut addresses = Addresses::new();
    if let Some(text) = environment.get(VARIABLE) {
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty() && *entry != "off") {
            let (id, address) = entry.split_once('=').unwrap_or((entry, ""));
            add(&mut addresses, &mut problems, VARIABLE, id.trim(), address.trim());
        }
        return (addresses, problems);
    }
    for kind in Kind::ALL {
        addresses.insert(kind, kind.default_address().to_owned());
    }
    if let Some(port) = environment.get("OLLAMA_HOST").and_then(|host| ollama_port(host)) {
        addresses.insert(Kind::Ollama, format!("http://127.0.0.1:{port}"));
    }
    for (id, address) in settings {
        add(&mut addresses, &mut problems, "local_servers", id, address);
    }
    (addresses, problems)
}

fn add(addresses: &mut Addresses, problems: &mut Vec<String>, origin: &str, id: &str, address: &str) {
    let Some(kind) = Kind::parse(id) else {
        let known = Kind::ALL.map(Kind::id).join(", ");
        return problems.push(format!("{origin}: there is no kind of server {:?}; known are {known}", ellipsis(id, 40)));
    };
    if address == "off" {
        addresses.remove(&kind);
        return;
    }
    match Address::parse(address) {
        Ok(parsed) if parsed.is_loopback() => drop(addresses.insert(kind, parsed.service())),
        _ => {
            addresses.remove(&kind);
            problems.push(format!("{origin}: {id} must be `off` or an address on this machine such as {}", kind.default_address()));
        }
    }
}

/// The port of `HOST:PORT` or `http://HOST:PORT`, if the host is this machine.
fn ollama_port(host: &str) -> Option<u16> {
    let host = host.trim().trim_start_matches("http://").trim_end_matches('/');
    let (name, port) = host.rsplit_once(':')?;
    matches!(name, "" | "localhost" | "127.0.0.1" | "0.0.0.0").then(|| port.parse().ok())?
}

type SharedProbe = Shared<BoxFuture<'static, Arc<Probe>>>;

/// Probes model servers. Concurrent and repeated requests for an address share one probe.
#[derive(Default)]
pub struct LocalServers {
    // Never locked across an await.
    probes: Mutex<HashMap<(Kind, String), (Instant, SharedProbe)>>,
}

impl LocalServers {
    pub async fn probe(&self, kind: Kind, address: &str) -> Arc<Probe> {
        let going = {
            let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (kind, address.to_owned());
            match probes.get(&key).filter(|(begun, _)| begun.elapsed() < PROBE_TTL) {
                Some((_, going)) => going.clone(),
                None => {
                    if probes.len() >= CACHE_CAPACITY {
                        probes.clear();
                    }
                    let address = address.to_owned();
                    let going = async move { Arc::new(probe(kind, &address).await) }.boxed().shared();
                    probes.insert(key, (Instant::now(), going.clone()));
                    going
                }
            }
        };
        going.await
    }

    /// Probes all addresses concurrently.
    pub async fn probe_all(&self, addresses: &Addresses) -> Vec<(Kind, String, Arc<Probe>)> {
        join_all(addresses.iter().map(async |(kind, address)| (*kind, address.clone(), self.probe(*kind, address).await))).await
    }
}

async fn probe(kind: Kind, address: &str) -> Probe {
    let looked = tokio::time::timeout(PROBE_TIMEOUT, async {
        let Ok(parsed) = Address::parse(address) else { return Probe::Nothing };
        let Ok(client) = client::client(parsed, Network::default()).await else { return Probe::Silent };
        for path in kind.lists() {
            match ask(&client, &format!("{address}{path}")).await {
                Ok(Some(answer)) => return models(kind, &answer).map_or(Probe::Silent, Probe::Found),
                Ok(None) => {}
                Err(error) if error.is_connect() => return Probe::Nothing,
                Err(_) => return Probe::Silent,
            }
        }
        Probe::Silent
    });
    looked.await.unwrap_or(Probe::Silent)
}

/// The response as JSON; `None` if it is not JSON.
async fn ask(client: &reqwest::Client, url: &str) -> Result<Option<Value>, reqwest::Error> {
    let mut answer = client.get(url).send().await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&bytes).ok())
}

/// The models in a response; `None` if it is not a list of models.
fn models(kind: Kind, answer: &Value) -> Option<Vec<Model>> {
    let list = answer.get(if kind == Kind::Ollama { "models" } else { "data" })?.as_array()?;
    Some(list.iter().take(MAX_MODELS).filter_map(|entry| model(kind, entry)).collect())
}

fn model(kind: Kind, entry: &Value) -> Option<Model> {
    let id = entry.get(if kind == Kind::Ollama { "name" } else { "id" })?.as_str()?;
    let sound = !id.is_empty() && id.len() <= 200 && !id.chars().any(|c| c.is_control() || c.is_whitespace());
    // Embedding models cannot answer.
    let embeds = entry["type"] == "embeddings" || id.contains("embed");
    if !sound || embeds {
        return None;
    }
    let number = |path: &str| entry.pointer(path).and_then(Value::as_u64).filter(|count| *count <= 1_000_000_000);
    let context = ["/loaded_context_length", "/max_model_len", "/meta/n_ctx", "/meta/n_ctx_train", "/max_context_length"];
    Some(Model {
        attachment: entry["type"] == "vlm",
        temperature: true,
        limit: ModelLimit { context: context.into_iter().find_map(number).unwrap_or(0), output: 0 },
        ..unknown_model(id)
    })
}

#[cfg(test)]
#[path = "local_servers_tests.rs"]
mod tests;
