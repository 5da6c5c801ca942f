//! How the client sees the listener: directly, or through a proxy with `X-Forwarded-*` headers, which are trusted only if
//! the user has configured it.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Uri,
    header::{self, AsHeaderName},
};

use super::{host::Host, options::base_path};

/// A request from the client's point of view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host name that the client used; `None` if it is missing or invalid.
    pub host: Option<Host>,
    pub client: IpAddr,
    /// The prefix that the proxy has removed from the path.
    pub prefix: String,
}

impl ClientView {
    /// From the headers of a request. `secure` and `peer` describe the connection itself.
    #[must_use]
    pub fn see(headers: &HeaderMap, uri: &Uri, secure: bool, peer: IpAddr, trust_forwarded: bool) -> Self {
        let mut view =
            Self { scheme: if secure { "https" } else { "http" }, host: host(headers, uri), client: peer, prefix: String::new() };
        if !trust_forwarded {
            return view;
        }
        match last(headers, "x-forwarded-proto") {
            Some("https") => view.scheme = "https",
            Some("http") => view.scheme = "http",
            _ => {}
        }
        if headers.contains_key("x-forwarded-host") {
            view.host = last(headers, "x-forwarded-host").and_then(Host::parse);
        }
        if let Some(client) = last(headers, "x-forwarded-for").and_then(|text| text.parse().ok()) {
            view.client = client;
        }
        if let Some(prefix) = last(headers, "x-forwarded-prefix").and_then(|text| base_path(text).ok()) {
            view.prefix = prefix;
        }
        view
    }
}

/// The host of the request. Two hosts, or a different one in the target, are invalid.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<Host> {
    let mut given = headers.get_all(header::HOST).iter();
    let host = Host::parse(given.next()?.to_str().ok()?)?;
    let agreed = given.next().is_none() && uri.authority().is_none_or(|authority| Host::parse(authority.as_str()).as_ref() == Some(&host));
    agreed.then_some(host)
}

/// The last entry, which the nearest proxy has added. Clients can forge the entries before it.
fn last(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn see(headers: &[(&str, &str)], uri: &str, trust: bool) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let seen = ClientView::see(&map, &uri.parse().unwrap(), false, "127.0.0.1".parse().unwrap(), trust);
        format!("{} {} {} {}", seen.scheme, seen.host.map_or("-".to_owned(), |host| host.to_string()), seen.client, seen.prefix)
    }

    const PROXY: &[(&str, &str)] = &[
        ("host", "127.0.0.1:4096"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example, tree.example"),
        ("x-forwarded-for", "6.6.6.6, 10.0.0.9"),
        ("x-forwarded-prefix", "/polytree/"),
    ];

    #[test]
    fn headers_of_a_proxy_count_only_when_there_is_one() {
        assert_eq!(see(PROXY, "/", false), "http 127.0.0.1:4096 127.0.0.1 ");
        assert_eq!(see(PROXY, "/", true), "https tree.example 10.0.0.9 /polytree");
    }

    #[test]
    fn nonsense_of_a_proxy_is_not_believed() {
        let odd =
            [("host", "a"), ("x-forwarded-proto", "gopher"), ("x-forwarded-for", "unknown"), ("x-forwarded-prefix", "//evil.example")];
        assert_eq!(see(&odd, "/", true), "http a 127.0.0.1 ");
        assert_eq!(see(&[("host", "localhost"), ("x-forwarded-host", "a b")], "/", true), "http - 127.0.0.1 ", "without a fallback");
    }

    #[test]
    fn one_host_is_said_once() {
        assert_eq!(see(&[], "/", false), "http - 127.0.0.1 ");
        assert_eq!(see(&[("host", "localhost"), ("host", "evil.example")], "/", false), "http - 127.0.0.1 ");
        assert_eq!(see(&[("host", "localhost")], "http://evil.example/", false), "http - 127.0.0.1 ");
        assert_eq!(see(&[("host", "localhost")], "http://localhost/", false), "http localhost 127.0.0.1 ");
    }
}
