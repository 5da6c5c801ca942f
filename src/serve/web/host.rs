//! Hosts and origins as browsers write them, normalized.

use std::{fmt, net::IpAddr};

/// The name or address of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Text(String),
}

/// A host with an optional port, as in the `Host` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: Name,
    port: Option<u16>,
}

impl Host {
    /// Parses `name`, `name:port`, `1.2.3.4:port` or `[ipv6]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
                (Name::Address(IpAddr::V6(address.parse().ok()?).to_canonical()), port)
            }
            None => {
                let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
                let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
                if !sound {
                    return None;
                }
                (name.parse().map_or_else(|_| Name::Text(name.to_ascii_lowercase()), Name::Address), port)
            }
        };
        let digits = |port: &str| (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then(|| port.parse().ok())?;
        let port = match port {
            None => None,
            Some(port) => Some(digits(port)?),
        };
        Some(Self { name, port })
    }

    /// A host with this address and any port.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self { name: Name::Address(address.to_canonical()), port: None }
    }

    /// Whether it is an address and not a name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        matches!(self.name, Name::Address(_))
    }

    /// Whether it is a loopback host.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.name {
            Name::Address(address) => address.is_loopback(),
            Name::Text(name) => name == "localhost",
        }
    }

    /// As a rule: whether it matches the other host, and its port if the rule has one.
    #[must_use]
    pub fn covers(&self, other: &Host) -> bool {
        self.name == other.name && (self.port.is_none() || self.port == other.port)
    }

    fn with_port_of(&self, scheme: &str) -> (&Name, Option<u16>) {
        (&self.name, self.port.or_else(|| default_port(scheme)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Name::Address(address) => write!(f, "{address}")?,
            Name::Text(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The origin of a page, as in the `Origin` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: Host,
}

impl Origin {
    /// Parses `scheme://host` or `scheme://host:port`. `null`, which any page can have, is not an origin.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let host = Host::parse(host).filter(|_| sound)?;
        let scheme = scheme.to_ascii_lowercase();
        // Browsers omit the default port; users may write it.
        let port = host.port.filter(|port| default_port(&scheme) != Some(*port));
        Some(Self { host: Host { port, ..host }, scheme })
    }

    /// Whether it is the origin of a listener with this scheme and host.
    #[must_use]
    pub fn is(&self, scheme: &str, host: &Host) -> bool {
        self.scheme == scheme && self.host.with_port_of(scheme) == host.with_port_of(scheme)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn hosts_have_one_spelling() {
        assert_eq!(host("LocalHost:80").to_string(), "localhost:80");
        assert_eq!(host("[0:0:0:0:0:0:0:1]:9").to_string(), "[::1]:9");
        assert_eq!(host("[::ffff:127.0.0.1]"), host("127.0.0.1"));
        for odd in ["", ":80", "a b", "a:", "a:+1", "a:70000", "a:1:2", "::1", "[::1", "[::1]x", "[a]", "user@a", "a/b", "a,b", "é"] {
            assert_eq!(Host::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn loopback_is_what_cannot_be_anywhere_else() {
        for local in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8", "[::ffff:127.0.0.1]"] {
            assert!(host(local).is_loopback(), "{local}");
        }
        // Some resolvers parse the last ones as addresses, but no browser sends them.
        for other in
            ["localhost.example", "127.0.0.1.example", "example.localhost.evil", "0.0.0.0", "10.0.0.1", "[::]", "127.1", "2130706433"]
        {
            assert!(!host(other).is_loopback(), "{other}");
        }
    }

    #[test]
    fn a_rule_without_a_port_covers_all() {
        assert!(host("a.example").covers(&host("A.example:81")));
        assert!(host("a.example:81").covers(&host("a.example:81")));
        assert!(!host("a.example:81").covers(&host("a.example")));
        assert!(!host("a.example").covers(&host("b.a.example")));
        assert!(Host::at("::ffff:10.0.0.1".parse().unwrap()).covers(&host("10.0.0.1:5")));
    }

    #[test]
    fn origins() {
        let origin = |text: &str| Origin::parse(text);
        assert_eq!(origin("HTTPS://Example.com:443"), origin("https://example.com"));
        assert_ne!(origin("http://example.com:443"), origin("https://example.com"));
        assert_eq!(origin("vscode-webview://0ab-c").unwrap().to_string(), "vscode-webview://0ab-c");
        for odd in ["null", "", "*", "https://", "https://a/", "https://a/b", "//a", "1a://b", "a", "https://u@a", "https://*.a"] {
            assert_eq!(origin(odd), None, "{odd}");
        }
    }

    #[test]
    fn own_pages_have_the_origin_by_which_the_listener_was_reached() {
        let own = |origin: &str, scheme: &str, at: &str| Origin::parse(origin).unwrap().is(scheme, &host(at));
        assert!(own("http://localhost:4096", "http", "localhost:4096"));
        assert!(own("https://tree.example", "https", "tree.example:443"));
        assert!(own("http://[::1]:4096", "http", "[::1]:4096"));
        assert!(!own("http://localhost:3000", "http", "localhost:4096"), "another program on this machine");
        assert!(!own("http://127.0.0.1:4096", "http", "localhost:4096"));
        assert!(!own("https://localhost:4096", "http", "localhost:4096"));
        assert!(!own("http://evil.example:4096", "http", "localhost:4096"));
    }
}
