//! Model servers on this machine, probed on their default ports when a client asks for the list of models, and at no other
//! time. What answers is not trusted: only loopback addresses are asked, no key is sent, no redirect is followed, and an
//! answer that is large, slow or of another shape is ignored.

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

/// The variable that says where servers are looked for: `KIND=ADDRESS` or `KIND=off`, with commas between; kinds that are
/// not named are not looked for. `off` alone: none is.
pub(crate) const VARIABLE: &str = "POLYTREE_LOCAL_SERVERS";

/// How long a probe of one address may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(700);
/// How long the result of a probe is reused.
const PROBE_TTL: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How many models of a server are taken.
const MAX_MODELS: usize = 500;
/// Capacity of the cache of results.
const MAX_CACHED: usize = 64;

/// A program that serves models.
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

    /// The provider's id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::LlamaCpp => "llamacpp",
            Self::LmStudio => "lmstudio",
            Self::Vllm => "vllm",
        }
    }

    /// The kind of that id.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::LlamaCpp => "llama.cpp",
            Self::LmStudio => "LM Studio",
            Self::Vllm => "vLLM",
        }
    }

    /// Where it listens unless it is told otherwise.
    #[must_use]
    pub fn default_address(self) -> &'static str {
        match self {
            Self::Ollama => "http://127.0.0.1:11434",
            Self::LlamaCpp => "http://127.0.0.1:8080",
            Self::LmStudio => "http://127.0.0.1:1234",
            Self::Vllm => "http://127.0.0.1:8000",
        }
    }

    /// Where the list of models is, the one that tells most first.
    fn lists(self) -> &'static [&'static str] {
        match self {
            Self::Ollama => &["/api/tags"],
            Self::LmStudio => &["/api/v0/models", "/v1/models"],
            Self::LlamaCpp | Self::Vllm => &["/v1/models"],
        }
    }

    /// The wire protocol for its models, and the address below which that lies.
    #[must_use]
    pub fn wire(self, address: &str) -> (String, String) {
        // Ollama's own protocol lets a prompt have as large a window as it needs.
        let own = (self == Self::Ollama).then(|| wire::by_name("ollama")).flatten();
        let path = own.and_then(|wire| Address::parse(wire.base_url()).ok()).map(|base| base.path().trim_end_matches('/').to_owned());
        let api = own.unwrap_or(wire::DEFAULT);
        (api.name().to_owned(), format!("{}{}", address.trim_end_matches('/'), path.as_deref().unwrap_or("/v1")))
    }
}

/// What a probe of an address has shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// It serves these models.
    Found(Vec<Model>),
    /// Nothing listens there.
    Nothing,
    /// Something is there that does not answer like a model server, or not in time.
    Silent,
}

/// Where each kind of server is looked for.
pub type Addresses = BTreeMap<Kind, String>;

/// The addresses to probe, from the settings and the client's environment. An address that is not on loopback is not
/// probed; the second value says so.
#[must_use]
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

/// The port of `HOST:PORT` or `http://HOST:PORT`, if that is this machine.
fn ollama_port(host: &str) -> Option<u16> {
    let host = host.trim().trim_start_matches("http://").trim_end_matches('/');
    let (name, port) = host.rsplit_once(':')?;
    matches!(name, "" | "localhost" | "127.0.0.1" | "0.0.0.0").then(|| port.parse().ok())?
}

type Going = Shared<BoxFuture<'static, Arc<Probe>>>;

/// Looks at model servers, each address at most once in some seconds, however many ask.
#[derive(Default)]
pub struct LocalServers {
    // Never held across an await.
    probes: Mutex<HashMap<(Kind, String), (Instant, Going)>>,
}

impl LocalServers {
    /// Looks at one address.
    pub async fn probe(&self, kind: Kind, address: &str) -> Arc<Probe> {
        let going = {
            let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (kind, address.to_owned());
            match probes.get(&key).filter(|(begun, _)| begun.elapsed() < PROBE_TTL) {
                Some((_, going)) => going.clone(),
                None => {
                    if probes.len() >= MAX_CACHED {
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

    /// Looks at all addresses at once.
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

/// The answer as JSON; `None` when it is something else.
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

/// The models in an answer; `None` when it is no list of models.
fn models(kind: Kind, answer: &Value) -> Option<Vec<Model>> {
    let list = answer.get(if kind == Kind::Ollama { "models" } else { "data" })?.as_array()?;
    Some(list.iter().take(MAX_MODELS).filter_map(|entry| model(kind, entry)).collect())
}

fn model(kind: Kind, entry: &Value) -> Option<Model> {
    let id = entry.get(if kind == Kind::Ollama { "name" } else { "id" })?.as_str()?;
    let sound = !id.is_empty() && id.len() <= 200 && !id.chars().any(|c| c.is_control() || c.is_whitespace());
    // They only turn text into numbers.
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
