//! A model service over HTTP, with any wire protocol.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream, stream::BoxStream};

use crate::{
    provider::{
        definition::{Delta, Error, ModelRequest, Provider},
        http::{
            address::{self, Address},
            client::Clients,
            network::Network,
        },
        secret::Secret,
        wire::{
            error,
            incoming::{self, Incoming},
            protocol::Wire,
        },
    },
    stdx::{secrets::redact::is_secret_name, tasks::Tasks},
};

/// The default timeout without data.
pub(crate) const DEFAULT_TIMEOUT_MS: u64 = 300_000;

/// Address, protocol and credentials of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RemoteSettings {
    pub(crate) api: &'static dyn Wire,
    /// The base URL; `None` for that of the protocol's original service.
    pub(crate) base_url: Option<String>,
    /// Services on loopback often need none.
    pub(crate) api_key: Option<Secret>,
    /// Additional headers; they override the default ones.
    pub(crate) headers: BTreeMap<String, Secret>,
    /// The timeout without data, before and within an answer, in milliseconds.
    pub(crate) timeout_ms: u64,
    pub(crate) network: Network,
}

/// A service. Cheap to create: the HTTP client is built at the first request.
#[derive(Clone)]
pub(crate) struct Remote {
    settings: Arc<RemoteSettings>,
    clients: Arc<Clients>,
}

impl Remote {
    pub(crate) fn new(settings: RemoteSettings, clients: Arc<Clients>) -> Self {
        Self { settings: Arc::new(settings), clients }
    }

    async fn open(&self, request: ModelRequest) -> Result<Incoming, Error> {
        let settings = &*self.settings;
        let wire = settings.api;
        let address = Address::parse(settings.base_url.as_deref().unwrap_or(wire.base_url()))?;
        let url = address.join(&wire.path(&request.model.model_id), wire.query());
        let service = address.service_by(&settings.network);
        let mut body = wire.body(&request, &address);
        drop(request);
        let client = self.client(address).await?;
        let headers = self.headers();
        let url = address::without_duplicate_credentials(url, settings.api_key.as_ref(), headers.contains_key("authorization"));
        let timeout = Duration::from_millis(settings.timeout_ms);
        let send = |body: String| {
            let call = headers.iter().fold(client.post(url.clone()), |call, (name, value)| call.header(name, value));
            incoming::open(call.body(body), wire, timeout, service.clone())
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        match send(text).await {
            Err(Error::Status { status: 400, message, .. }) if wire.amend(&mut body, &message) => {
                send(serde_json::to_string(&body).unwrap_or_default()).await
            }
            opened => opened,
        }
    }

    async fn client(&self, address: Address) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.clients.known(&address, &self.settings.network) {
            return Ok(client);
        }
        // May read certificate files.
        let (clients, settings) = (Arc::clone(&self.clients), Arc::clone(&self.settings));
        let built = Tasks::spawn_blocking(move || clients.get(&address, &settings.network)).await;
        built.unwrap_or_else(|error| Err(Error::Request { message: format!("the HTTP client cannot be built: {error}") }))
    }

    fn headers(&self) -> BTreeMap<String, String> {
        let settings = &*self.settings;
        let mut headers = BTreeMap::from([
            ("accept".to_owned(), settings.api.framing().media_type().to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ]);
        // The key is not sent twice if an additional header contains it.
        let shows = |key: &Secret| settings.headers.iter().any(|(name, value)| is_secret_name(name) && is_last_word(value, key));
        if let Some(key) = settings.api_key.as_ref().filter(|key| !shows(key)) {
            let (name, before) = settings.api.key_header();
            headers.insert(name.to_owned(), format!("{before}{}", key.expose()));
        }
        headers.extend(settings.api.headers().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        // Lower case, because header names are case-insensitive.
        headers.extend(settings.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.expose().to_owned())));
        headers
    }

    /// Redacts the key, and header values that look like one.
    fn redact(&self, text: String) -> String {
        let is_secret =
            |name: &str| ["auth", "key", "token", "secret", "cookie"].iter().any(|word| name.to_ascii_lowercase().contains(word));
        let headers = self.settings.headers.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        self.settings.api_key.iter().chain(headers).fold(text, |text, secret| secret.redact(text))
    }
}

/// Whether a header's value is the key, possibly after a scheme.
fn is_last_word(value: &Secret, key: &Secret) -> bool {
    value.expose().split_ascii_whitespace().next_back() == Some(key.expose())
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
                Ok(incoming) => incoming.deltas().left_stream(),
                Err(error) => stream::once(std::future::ready(Err(error))).right_stream(),
            })
            .map(move |item| item.map_err(|error| error::presentable(error, |text| this.redact(text))))
            .boxed()
    }
}
