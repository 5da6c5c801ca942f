//! Every hosted or local model service, through the genai crate: it makes the call and decodes the stream; request
//! bodies, calls in fragments, usage and errors are ours, see the files beside this one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream, stream::BoxStream};
use genai::{
    Headers, ModelIden, ServiceTarget,
    chat::{ChatOptions, ChatRequest},
    resolver::{AuthData, Endpoint},
};
use serde_json::Value;

use super::{
    credentials::Secret,
    definition::{Delta, Error, ModelRequest, Provider},
    network::Network,
    remote_anthropic,
    remote_client::{Address, Clients},
    remote_error,
    remote_notes::Observer,
    remote_openai,
    remote_stream::DeltaStream,
    remote_wire::Wire,
};
use crate::stdx::tasks::Tasks;

/// How long a service may send nothing, in milliseconds, where the settings do not say.
pub const DEFAULT_TIMEOUT_MS: u64 = 300_000;

/// The model name that genai sees; the real one is in the body. genai reads namespaces, adapters and effort levels
/// into names, and this one has none of them.
const NEUTRAL_NAME: &str = "model";

/// Where a service is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteSettings {
    /// The wire protocol.
    pub api: Wire,
    /// The address below which the protocol's paths lie; `None` for its maker's own.
    pub base_url: Option<String>,
    /// The key; services on loopback often need none.
    pub api_key: Option<Secret>,
    /// Further headers; they win over ours.
    pub headers: BTreeMap<String, Secret>,
    /// The longest silence of the service, before and within an answer, in milliseconds.
    pub timeout_ms: u64,
    /// The way to it.
    pub network: Network,
}

/// A service. Cheap to make: the HTTP client behind it is built at the first call.
#[derive(Clone)]
pub struct Remote {
    settings: Arc<RemoteSettings>,
    clients: Arc<Clients>,
}

impl Remote {
    /// A service with the given settings that shares HTTP clients with others.
    #[must_use]
    pub fn new(settings: RemoteSettings, clients: Arc<Clients>) -> Self {
        Self { settings: Arc::new(settings), clients }
    }

    async fn open(&self, request: ModelRequest) -> Result<DeltaStream, Error> {
        let settings = &*self.settings;
        let address = Address::parse(settings.base_url.as_deref().unwrap_or(settings.api.default_base_url()))?;
        let service = address.service_by(&settings.network);
        let body = match settings.api {
            Wire::OpenAi => remote_openai::body(&request, &address),
            Wire::Anthropic => remote_anthropic::body(&request),
        };
        drop(request);
        let observer = Observer::new(settings.api);
        let timeout = Duration::from_millis(settings.timeout_ms);
        let options = ChatOptions::default()
            .with_extra_body(Value::Object(body))
            .with_raw_frame_sink(observer.clone())
            .with_stream_header_timeout(timeout)
            .with_stream_read_timeout(timeout);
        let target = ServiceTarget {
            endpoint: Endpoint::from_static(settings.api.default_base_url()),
            auth: AuthData::RequestOverride { url: address.join(settings.api.path()), headers: self.headers() },
            model: ModelIden::from_static(settings.api.adapter(), NEUTRAL_NAME),
        };
        let client = self.client(address).await?;
        let answer = client.exec_chat_stream(target, ChatRequest::default(), Some(&options)).await;
        let events = answer.map_err(|error| remote_error::translate(error, &service))?.stream;
        Ok(DeltaStream::new(events, observer, service))
    }

    async fn client(&self, address: Address) -> Result<genai::Client, Error> {
        if let Some(client) = self.clients.known(&address, &self.settings.network) {
            return Ok(client);
        }
        // Certificates may have to be read.
        let (clients, settings) = (Arc::clone(&self.clients), Arc::clone(&self.settings));
        let built = Tasks::spawn_blocking(move || clients.get(&address, &settings.network)).await;
        built.unwrap_or_else(|error| Err(Error::Request { message: format!("the HTTP client cannot be built: {error}") }))
    }

    fn headers(&self) -> Headers {
        let mut headers = BTreeMap::from([("accept".to_owned(), "text/event-stream".to_owned())]);
        let key = self.settings.api_key.as_ref().map(Secret::expose);
        match self.settings.api {
            Wire::OpenAi => headers.extend(key.map(|key| ("authorization".to_owned(), format!("Bearer {key}")))),
            Wire::Anthropic => {
                headers.extend(key.map(|key| ("x-api-key".to_owned(), key.to_owned())));
                headers.insert("anthropic-version".to_owned(), "2023-06-01".to_owned());
            }
        }
        // Lower case, because names that differ in case only are the same header.
        headers.extend(self.settings.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.expose().to_owned())));
        Headers::from(headers.into_iter().collect::<Vec<_>>())
    }

    /// Takes the key, and headers that look like one, out of a text.
    fn redact(&self, text: String) -> String {
        let is_secret =
            |name: &str| ["auth", "key", "token", "secret", "cookie"].iter().any(|word| name.to_ascii_lowercase().contains(word));
        let headers = self.settings.headers.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        self.settings.api_key.iter().chain(headers).fold(text, |text, secret| secret.redact(text))
    }
}

impl Provider for Remote {
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        let this = self.clone();
        let opened = {
            let this = self.clone();
            stream::once(async move { this.open(request).await })
        };
        opened
            .flat_map(|opened| match opened {
                Ok(deltas) => deltas.left_stream(),
                Err(error) => stream::once(std::future::ready(Err(error))).right_stream(),
            })
            .map(move |item| item.map_err(|error| remote_error::presentable(error, |text| this.redact(text))))
            .boxed()
    }
}
