//! The HTTP clients behind all remote models: built at the first call that needs one, then shared, so that
//! connections are used again. Root certificates are only loaded for `https`, and loopback is never proxied.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use reqwest::Url;

use super::definition::Error;
use crate::stdx::tasks::Tasks;

/// The base address of a service.
#[derive(Debug, Clone)]
pub(super) struct Address {
    base: Url,
}

impl Address {
    /// Checks an address from the settings or the catalogue.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Request {
            message: format!("the base URL of the provider is not usable: {why}; expected something like http://127.0.0.1:8080/v1"),
        };
        let base = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is `{}`", base.scheme())));
        }
        Ok(Self { base })
    }

    /// The address of `path` below the base, with a query of its own behind that of the base.
    pub(super) fn join(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        match (self.base.query(), query) {
            (Some(base), Some(query)) => url.set_query(Some(&format!("{base}&{query}"))),
            (None, Some(query)) => url.set_query(Some(query)),
            (_, None) => {}
        }
        url
    }

    /// Scheme, host and port: what messages may name.
    pub(super) fn service(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The whole address but for a user, a password and a query.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.service(), self.base.path())
    }

    /// Whether the line is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The path.
    pub(super) fn path(&self) -> &str {
        self.base.path()
    }

    /// Whether the host is the given domain or below it.
    pub(super) fn is_at(&self, domain: &str) -> bool {
        let below = |host: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.base.host_str().is_some_and(below)
    }

    /// Whether it is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        ip.map_or_else(|_| self.is_at("localhost"), |ip| ip.is_loopback() || ip.is_unspecified())
    }
}

/// One client for each kind of address.
#[derive(Default)]
pub struct Clients {
    plain: OnceLock<reqwest::Client>,
    plain_loopback: OnceLock<reqwest::Client>,
    secure: OnceLock<reqwest::Client>,
    secure_loopback: OnceLock<reqwest::Client>,
}

impl Clients {
    /// The client for that address. The first for an `https` address reads the system's certificates.
    pub(super) fn get(&self, address: &Address) -> Result<reqwest::Client, Error> {
        let secure = address.base.scheme() == "https";
        let cell = match (secure, address.is_loopback()) {
            (false, false) => &self.plain,
            (false, true) => &self.plain_loopback,
            (true, false) => &self.secure,
            (true, true) => &self.secure_loopback,
        };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = build(address, secure)?;
        Ok(cell.get_or_init(|| client).clone())
    }

    /// Whether [`Clients::get`] has to build one first, which may read files.
    pub(super) fn is_cold(&self, address: &Address) -> bool {
        address.base.scheme() == "https" && if address.is_loopback() { &self.secure_loopback } else { &self.secure }.get().is_none()
    }
}

fn build(address: &Address, secure: bool) -> Result<reqwest::Client, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Request { message: format!("the HTTP client cannot be built: {error}") };
    builder(address, secure).build().map_err(|error| failed(&error))
}

/// A client for one request that is no call of a model.
pub(super) async fn client(address: Address) -> Result<reqwest::Client, String> {
    // The first for an encrypted line reads files.
    let built = Tasks::spawn_blocking(move || builder(&address, address.is_secure()).build().map_err(|error| error.to_string())).await;
    built.unwrap_or_else(|error| Err(error.to_string()))
}

/// How services are reached: models, and the catalogue of them.
fn builder(address: &Address, secure: bool) -> reqwest::ClientBuilder {
    // A redirect would turn the POST into a GET or carry the key to another host.
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("polytree/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .gzip(true)
        .pool_max_idle_per_host(4)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_adaptive_window(true);
    if !secure {
        builder = builder.tls_certs_only([]);
    }
    if address.is_loopback() {
        builder = builder.no_proxy();
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_to_the_base() {
        for (base, expected) in [
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/chat/completions"),
            ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/chat/completions"),
            (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080/chat/completions"),
            ("https://host/a/b//?api-version=1", "https://host/a/b/chat/completions?api-version=1"),
        ] {
            assert_eq!(Address::parse(base).unwrap().join("chat/completions", None).as_str(), expected);
        }
        let joined = |base: &str| Address::parse(base).unwrap().join("models/gemini-3:x", Some("alt=sse")).to_string();
        assert_eq!(joined("https://host/v1beta"), "https://host/v1beta/models/gemini-3:x?alt=sse");
        assert_eq!(joined("https://host/v1beta?key=1"), "https://host/v1beta/models/gemini-3:x?key=1&alt=sse");
        for base in ["", "127.0.0.1:8080", "localhost:1/v1", "ftp://x/", "/v1"] {
            assert!(matches!(Address::parse(base), Err(Error::Request { .. })), "{base}");
        }
    }

    #[test]
    fn loopback_is_known_by_its_host() {
        for base in
            ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1/v1", "http://localhost/", "http://LOCALHOST", "http://a.localhost"]
        {
            assert!(Address::parse(base).unwrap().is_loopback(), "{base}");
        }
        for base in ["http://192.168.1.2", "https://api.example.com", "http://127.0.0.1.example.com", "http://notlocalhost"] {
            assert!(!Address::parse(base).unwrap().is_loopback(), "{base}");
        }
    }

    #[test]
    fn messages_name_neither_user_nor_query() {
        assert_eq!(Address::parse("https://me:pass@host:8443/v1?key=1").unwrap().service(), "https://host:8443");
    }

    #[test]
    fn clients_are_shared_and_plain_ones_need_no_certificates() {
        let clients = Clients::default();
        let address = Address::parse("http://127.0.0.1:1/v1").unwrap();
        assert!(!clients.is_cold(&address));
        clients.get(&address).unwrap();
        assert!(clients.plain_loopback.get().is_some());
        assert!(clients.secure.get().is_none() && clients.plain.get().is_none());
        assert!(clients.is_cold(&Address::parse("https://host").unwrap()));
    }
}
