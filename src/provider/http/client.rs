//! A cache of HTTP clients: one for each combination of proxy, certificate authorities and connect timeout, built on
//! demand and shared, so that connections are reused. The environment of this process is ignored, and root certificates
//! are only loaded for `https`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::{Certificate, ClientBuilder, Proxy};
use tokio_rustls::rustls::crypto::ring;

use crate::{
    provider::{
        definition::Error,
        http::{
            address::{Address, proxy_url},
            network::{NamedProxy, Network, Source},
        },
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// The capacity of the cache; beyond it the clients are from former settings. Requests in progress keep theirs.
const CACHE_CAPACITY: usize = 32;
/// The size limit of a certificate file, in bytes.
const MAX_CERTIFICATE_BYTES: u64 = 16 * 1024 * 1024;

/// The configuration of a client. It includes the state of certificate files, so that a change takes effect at the next
/// request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    is_secure: bool,
    proxy: Option<NamedProxy>,
    authorities: Option<(AbsPath, FileState)>,
    further_authorities: Vec<(AbsPath, Source, FileState)>,
    connect_timeout_ms: u64,
}

/// Length and modification time; `None` if the file does not exist.
type FileState = Option<(u64, Option<SystemTime>)>;

impl ClientKey {
    fn new(address: &Address, network: &Network) -> Self {
        let is_secure = address.is_secure();
        let state = |path: &AbsPath| std::fs::metadata(path).ok().map(|data| (data.len(), data.modified().ok()));
        let further = network.further_authorities.iter().filter(|_| is_secure);
        Self {
            is_secure,
            proxy: network.proxy(address.url()).cloned(),
            authorities: network.authorities.clone().filter(|_| is_secure).map(|path| (path.clone(), state(&path))),
            further_authorities: further.map(|(path, source)| (path.clone(), *source, state(path))).collect(),
            connect_timeout_ms: network.connect_timeout_ms,
        }
    }
}

/// One client for each key.
#[derive(Default)]
pub(crate) struct Clients {
    // Locked for a look-up or an insert, never while a client is built.
    known: Mutex<HashMap<ClientKey, reqwest::Client>>,
}

impl Clients {
    /// The cached client for an address.
    pub(crate) fn known(&self, address: &Address, network: &Network) -> Option<reqwest::Client> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&ClientKey::new(address, network)).cloned()
    }

    /// The client for an address. Building one for `https` reads certificates.
    pub(crate) fn get(&self, address: &Address, network: &Network) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.known(address, network) {
            return Ok(client);
        }
        let key = ClientKey::new(address, network);
        let client = build(&key)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CACHE_CAPACITY {
            known.clear();
        }
        Ok(known.entry(key).or_insert(client).clone())
    }
}

/// Installs the cryptography of TLS connections, before a client is built. ring builds in a tenth of the time that aws-lc, the
/// default of reqwest, takes.
pub(crate) fn use_ring() {
    // Fails where a provider is installed.
    let _ = ring::default_provider().install_default();
}

fn build(key: &ClientKey) -> Result<reqwest::Client, Error> {
    use_ring();
    // A redirect would turn the POST into a GET or carry the key to another host.
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("polytree/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_millis(key.connect_timeout_ms))
        .tcp_nodelay(true)
        .gzip(true)
        .pool_max_idle_per_host(4)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_adaptive_window(true)
        // The proxy variables of this process do not apply.
        .no_proxy();
    builder = if key.is_secure { with_authorities(builder, key)? } else { builder.tls_certs_only([]) };
    if let Some(proxy) = &key.proxy {
        builder = builder.proxy(proxy_of(proxy)?);
    }
    let failed = |error: &dyn std::fmt::Display| Error::Request { message: format!("the HTTP client cannot be built: {error}") };
    builder.build().map_err(|error| failed(&error))
}

/// A client for a single request that is not to a model.
pub(crate) async fn client(address: Address, network: Network) -> Result<reqwest::Client, String> {
    // May read certificate files.
    let built = Tasks::spawn_blocking(move || build(&ClientKey::new(&address, &network)).map_err(|error| error.to_string())).await;
    built.unwrap_or_else(|error| Err(error.to_string()))
}

/// Parses the address of a proxy, which may lack a scheme. Messages contain no password.
fn proxy_of(NamedProxy { address, name }: &NamedProxy) -> Result<Proxy, Error> {
    let wrong = |why: &str| Error::Request {
        message: format!("{name} is no usable proxy: {why}; expected something like http://host:3128 or socks5://host:1080"),
    };
    let url = proxy_url(address.expose()).map_err(|error| wrong(&error))?;
    if !matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") {
        return Err(wrong(&format!("its scheme is `{}`", url.scheme())));
    }
    Proxy::all(url).map_err(|_| wrong("it is not understood"))
}

fn with_authorities(builder: ClientBuilder, key: &ClientKey) -> Result<ClientBuilder, Error> {
    let mut further = Vec::new();
    for (path, source, _) in &key.further_authorities {
        match (certificates(path), source) {
            (Ok(found), _) => further.extend(found),
            (Err(why), Source::Settings) => return Err(Error::Request { message: format!("options.ca cannot be used: {why}") }),
            // The variable may be meant for other programs. If it matters here, connecting fails with an error about
            // trust.
            (Err(why), Source::Variable) => tracing::warn!(why, "NODE_EXTRA_CA_CERTS cannot be used"),
        }
    }
    match &key.authorities {
        Some((path, _)) => {
            let only = certificates(path).map_err(|why| Error::Request { message: format!("SSL_CERT_FILE cannot be used: {why}") })?;
            Ok(builder.tls_certs_only(only.into_iter().chain(further)))
        }
        None if further.is_empty() => Ok(builder),
        None => Ok(builder.tls_certs_merge(further)),
    }
}

fn certificates(path: &AbsPath) -> Result<Vec<Certificate>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let data = std::fs::metadata(path).map_err(|error| told(&error))?;
    if !data.is_file() || data.len() > MAX_CERTIFICATE_BYTES {
        return Err(told(&"it is no file with certificates"));
    }
    let bytes = std::fs::read(path).map_err(|error| told(&error))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|_| told(&"it holds a certificate that cannot be read"))?;
    if found.is_empty() { Err(told(&"it holds no certificate in the PEM form")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::provider::{http::network::NetworkSettings, secret::Secret};

    fn network(proxy: Option<&str>, ca: Option<&AbsPath>) -> Network {
        let settings = NetworkSettings { proxy: proxy.and_then(Secret::new), ca: ca.cloned(), ..NetworkSettings::default() };
        Network::new(&settings, &BTreeMap::new())
    }

    #[test]
    fn clients_are_shared_by_equal_configurations() {
        let clients = Clients::default();
        let [here, there, other] = ["http://127.0.0.1:1/v1", "http://m.test/v1", "http://o.test"].map(|base| Address::parse(base).unwrap());
        let direct = network(None, None);
        let proxied = network(Some("http://p.test:1"), None);
        assert!(clients.known(&here, &direct).is_none());
        for (address, network, count) in
            [(&here, &direct, 1), (&there, &direct, 1), (&other, &proxied, 2), (&there, &proxied, 2), (&here, &proxied, 2)]
        {
            clients.get(address, network).unwrap();
            assert_eq!(clients.known.lock().unwrap().len(), count);
        }
        for number in 0..2 * CACHE_CAPACITY {
            clients.get(&there, &network(Some(&format!("http://p{number}.test")), None)).unwrap();
        }
        assert!(clients.known.lock().unwrap().len() <= CACHE_CAPACITY);
    }

    #[test]
    fn errors_contain_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let file = AbsPath::new(directory.path().join("ca.pem")).unwrap();
        let secure = Address::parse("https://m.test/v1").unwrap();
        let message = |network: &Network| match Clients::default().get(&secure, network) {
            Err(Error::Request { message }) => message,
            other => panic!("{:?}", other.map(drop)),
        };
        let missing = message(&network(None, Some(&file)));
        assert!(missing.starts_with("options.ca cannot be used: ") && missing.contains("ca.pem"), "{missing}");
        std::fs::write(&file, "no certificate").unwrap();
        assert!(message(&network(None, Some(&file))).contains("no certificate in the PEM form"));
        for (proxy, why) in [("gopher://me:hunter22@p.test", "its scheme is `gopher`"), ("http://me:hunter22@", "empty host")] {
            let message = message(&network(Some(proxy), None));
            assert!(message.starts_with("options.proxy is no usable proxy") && message.contains(why), "{message}");
            assert!(!message.contains("hunter22"), "{message}");
        }
    }
}
