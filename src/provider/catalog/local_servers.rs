//! Model servers on this machine, found on their default ports when a client asks for the list of models, and never
//! otherwise. What answers there is not trusted: only loopback is asked, no key is sent, no redirect followed, and an answer
//! is small, quick and of the right shape or none.

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
pub const VARIABLE: &str = "POLYTREE_LOCAL_SERVERS";

/// A whole look takes no longer.
const PATIENCE: Duration = Duration::from_millis(700);
/// What was found counts for so long.
const FRESH: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const MOST_BYTES: usize = 1 << 20;
/// The most models of a server.
const MOST_MODELS: usize = 500;
/// Addresses that are remembered.
const MOST_KNOWN: usize = 64;

/// A program that serves models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Ollama.
    Ollama,
    /// The server of llama.cpp.
    LlamaCpp,
    /// LM Studio.
    LmStudio,
    /// vLLM.
    Vllm,
}

impl Kind {
    /// All of them.
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

/// What a look at an address has shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// It serves these models.
    Found(Vec<Model>),
    /// Nothing listens there.
    Nothing,
    /// Something is there that does not answer like a model server, or not in time.
    Silent,
}

/// Where each kind of server is looked for.
pub type Addresses = BTreeMap<Kind, String>;

/// Where servers are looked for, by the settings and the client's environment. What is no address on loopback is told in
/// the second place and not looked at.
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

type Going = Shared<BoxFuture<'static, Arc<Look>>>;

/// Looks at model servers, each address at most once in some seconds, however many ask.
#[derive(Default)]
pub struct LocalServers {
    // Never held across an await.
    looks: Mutex<HashMap<(Kind, String), (Instant, Going)>>,
}

impl LocalServers {
    /// Looks at one address.
    pub async fn look(&self, kind: Kind, address: &str) -> Arc<Look> {
        let going = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (kind, address.to_owned());
            match looks.get(&key).filter(|(begun, _)| begun.elapsed() < FRESH) {
                Some((_, going)) => going.clone(),
                None => {
                    if looks.len() >= MOST_KNOWN {
                        looks.clear();
                    }
                    let address = address.to_owned();
                    let going = async move { Arc::new(look(kind, &address).await) }.boxed().shared();
                    looks.insert(key, (Instant::now(), going.clone()));
                    going
                }
            }
        };
        going.await
    }

    /// Looks at all addresses at once.
    pub async fn look_at_all(&self, addresses: &Addresses) -> Vec<(Kind, String, Arc<Look>)> {
        join_all(addresses.iter().map(async |(kind, address)| (*kind, address.clone(), self.look(*kind, address).await))).await
    }
}

async fn look(kind: Kind, address: &str) -> Look {
    let looked = tokio::time::timeout(PATIENCE, async {
        let Ok(parsed) = Address::parse(address) else { return Look::Nothing };
        let Ok(client) = client::client(parsed, Network::default()).await else { return Look::Silent };
        for path in kind.lists() {
            match ask(&client, &format!("{address}{path}")).await {
                Ok(Some(answer)) => return models(kind, &answer).map_or(Look::Silent, Look::Found),
                Ok(None) => {}
                Err(error) if error.is_connect() => return Look::Nothing,
                Err(_) => return Look::Silent,
            }
        }
        Look::Silent
    });
    looked.await.unwrap_or(Look::Silent)
}

/// The answer as JSON; `None` when it is something else.
async fn ask(client: &reqwest::Client, url: &str) -> Result<Option<Value>, reqwest::Error> {
    let mut answer = client.get(url).send().await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&bytes).ok())
}

/// The models in an answer; `None` when it is no list of models.
fn models(kind: Kind, answer: &Value) -> Option<Vec<Model>> {
    let list = answer.get(if kind == Kind::Ollama { "models" } else { "data" })?.as_array()?;
    Some(list.iter().take(MOST_MODELS).filter_map(|entry| model(kind, entry)).collect())
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
