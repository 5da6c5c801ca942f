//! The base URL of a service, and its form for messages.

use reqwest::Url;

use crate::provider::{
    definition::Error,
    http::network::{self, NamedProxy, Network},
    secret::Secret,
};

#[derive(Debug, Clone)]
pub(crate) struct Address {
    base: Url,
}

impl Address {
    /// Parses a URL from the settings or the catalogue.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Request {
            message: format!("the base URL of the provider is not usable: {why}; expected something like http://127.0.0.1:8080/v1"),
        };
        let base = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is `{}`", base.scheme())));
        }
        Ok(Self { base })
    }

    /// Appends a path, and adds a query to that of the base.
    pub(crate) fn join(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        match (self.base.query(), query) {
            (Some(base), Some(query)) => url.set_query(Some(&format!("{base}&{query}"))),
            (None, Some(query)) => url.set_query(Some(query)),
            (_, None) => {}
        }
        url
    }

    /// Scheme, host and port, for messages.
    pub(crate) fn service(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The URL without user, password and query.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.service(), self.base.path())
    }

    /// The base URL; may contain a password.
    pub(crate) fn url(&self) -> &Url {
        &self.base
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        self.base.path()
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.base.host_str().is_some_and(network::is_loopback)
    }

    /// As [`Address::service`], with the proxy if there is one.
    pub(crate) fn service_by(&self, network: &Network) -> String {
        let service = self.service();
        let Some(NamedProxy { address, name }) = network.proxy(&self.base) else { return service };
        // Without user and password.
        match proxy_url(address.expose()) {
            Ok(url) => format!("{service} (by the proxy {} of {name})", host_and_port(&url)),
            Err(_) => format!("{service} (by the proxy of {name})"),
        }
    }

    /// Whether the host is the given domain or a subdomain.
    pub(crate) fn is_at(&self, domain: &str) -> bool {
        self.base.host_str().is_some_and(|host| network::is_at(host, domain))
    }
}

/// Removes credentials from a URL that a header contains already: the key, and, beside an `authorization` header, user
/// and password, which would become a second one.
pub(crate) fn without_duplicate_credentials(mut url: Url, key: Option<&Secret>, has_authorization: bool) -> Url {
    let is_key = |text: &str| key.is_some_and(|key| key.expose() == text);
    if has_authorization || is_key(url.username()) || url.password().is_some_and(is_key) {
        // Both fail only for URLs without a host, which have neither.
        let _ = (url.set_username(""), url.set_password(None));
    }
    if url.query_pairs().any(|(_, value)| is_key(&value)) {
        let kept: Vec<_> =
            url.query_pairs().filter(|(_, value)| !is_key(value)).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    url
}

fn host_and_port(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

pub(crate) fn proxy_url(text: &str) -> Result<Url, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::provider::http::network::NetworkSettings;

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
    fn loopback_is_detected_by_host() {
        let is_loopback = |base: &str| Address::parse(base).unwrap().is_loopback();
        for base in
            ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1/v1", "http://localhost/", "http://LOCALHOST", "http://a.localhost"]
        {
            assert!(is_loopback(base), "{base}");
        }
        for base in ["http://192.168.1.2", "https://api.example.com", "http://127.0.0.1.example.com", "http://notlocalhost"] {
            assert!(!is_loopback(base), "{base}");
        }
    }

    #[test]
    fn messages_contain_neither_user_nor_query() {
        let address = Address::parse("https://me:pass@host:8443/v1?key=1").unwrap();
        assert_eq!(address.service(), "https://host:8443");
        assert_eq!(address.service_by(&network(None)), "https://host:8443");
        let proxied = address.service_by(&network(Some("http://me:p/ss@p.test:1/x")));
        assert!(proxied.starts_with("https://host:8443 (by the proxy ") && !proxied.contains("ss@"), "{proxied}");
        let proxied = address.service_by(&network(Some("http://me:pass@p.test:1/x")));
        assert_eq!(proxied, "https://host:8443 (by the proxy p.test:1 of options.proxy)");
    }

    fn network(proxy: Option<&str>) -> Network {
        let settings = NetworkSettings { proxy: proxy.and_then(Secret::new), ..NetworkSettings::default() };
        Network::new(&settings, &BTreeMap::new())
    }
}
