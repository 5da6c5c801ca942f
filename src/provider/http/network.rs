//! The network configuration of a service: proxy, certificate authorities and connect timeout, from the provider's
//! settings and the client's environment; the environment of the daemon is ignored. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use reqwest::Url;

use crate::{provider::secret::Secret, stdx::paths::AbsPath};

/// The default connect timeout.
pub(crate) const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 30_000;

/// The value of the setting that disables proxies.
const NO_PROXY: &str = "none";

/// The network settings of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The proxy's address, or `none`. May contain a password.
    pub proxy: Option<Secret>,
    /// A PEM file with additional trusted authorities.
    pub ca: Option<AbsPath>,
    /// The connect timeout, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
}

/// A network configuration. Equal values share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Network {
    https_proxy: Option<NamedProxy>,
    http_proxy: Option<NamedProxy>,
    /// The list of hosts without a proxy, as in `NO_PROXY`.
    exceptions: String,
    /// A PEM file that replaces the system's authorities (`SSL_CERT_FILE`).
    pub(crate) authorities: Option<AbsPath>,
    /// Additional PEM files; the first from the settings, the others from variables.
    pub(crate) further_authorities: Vec<(AbsPath, Source)>,
    /// The connect timeout, in milliseconds.
    pub(crate) connect_timeout_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// In the provider's settings: an unusable file is an error.
    Settings,
    /// In a variable that is not specific to this program.
    Variable,
}

/// A proxy, and the setting or variable that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NamedProxy {
    /// May contain a password.
    pub(crate) address: Secret,
    pub(crate) name: String,
}

impl Default for Network {
    /// Without a proxy.
    fn default() -> Self {
        Self::new(&NetworkSettings::default(), &BTreeMap::new())
    }
}

impl Network {
    /// Combines the settings and the client's variables; the settings take precedence.
    pub fn new(settings: &NetworkSettings, environment: &BTreeMap<String, String>) -> Self {
        let (https_proxy, http_proxy, exceptions) = match &settings.proxy {
            Some(proxy) if proxy.expose() == NO_PROXY => (None, None, String::new()),
            Some(proxy) => {
                let named = NamedProxy { address: proxy.clone(), name: "options.proxy".to_owned() };
                (Some(named.clone()), Some(named), String::new())
            }
            None => {
                // In a CGI program HTTP_PROXY is the header `Proxy` of the request.
                let is_cgi = environment.contains_key("REQUEST_METHOD");
                let all = variable(environment, &["all_proxy", "ALL_PROXY"]);
                let http = variable(environment, if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] });
                let https = variable(environment, &["https_proxy", "HTTPS_PROXY"]);
                let exceptions = variable(environment, &["no_proxy", "NO_PROXY"]).map(|(_, list)| list.to_owned());
                let named = |found: (&str, &str)| Some(NamedProxy { address: Secret::new(found.1)?, name: found.0.to_owned() });
                (https.or(all).and_then(named), http.or(all).and_then(named), exceptions.unwrap_or_default())
            }
        };
        let file = |name: &str| environment.get(name).and_then(AbsPath::new);
        let further = settings.ca.clone().map(|path| (path, Source::Settings));
        Self {
            https_proxy,
            http_proxy,
            exceptions,
            authorities: file("SSL_CERT_FILE"),
            further_authorities: further.into_iter().chain(file("NODE_EXTRA_CA_CERTS").map(|path| (path, Source::Variable))).collect(),
            connect_timeout_ms: settings.connect_timeout_ms.unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS),
        }
    }

    /// The proxy for an address; none for loopback.
    pub(crate) fn proxy(&self, address: &Url) -> Option<&NamedProxy> {
        let host = address.host_str()?;
        let proxy = if address.scheme() == "https" { &self.https_proxy } else { &self.http_proxy };
        proxy.as_ref().filter(|_| !is_loopback(host) && !is_excepted(&self.exceptions, host, address.port_or_known_default()))
    }
}

fn variable<'a>(environment: &'a BTreeMap<String, String>, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    names.iter().find_map(|name| Some((*name, environment.get(*name)?.trim()))).filter(|(_, value)| !value.is_empty())
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    match ip(host) {
        Some(ip) => ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified(),
        None => is_at(host, "localhost"),
    }
}

/// Whether the host is the given domain or a subdomain.
pub(crate) fn is_at(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Whether a list in the form of `NO_PROXY` contains the host: names (with subdomains), `*`, addresses, networks such
/// as `10.0.0.0/8`; a name or an address may have a port.
fn is_excepted(list: &str, host: &str, port: Option<u16>) -> bool {
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| matches(&entry.to_lowercase(), host, port))
}

fn matches(entry: &str, host: &str, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    if let (Some(address), Some((network, bits))) = (ip(host), entry.split_once('/')) {
        return ip(network).zip(bits.parse().ok()).is_some_and(|(network, bits)| is_in(address, network, bits));
    }
    // IPv6 addresses contain colons; with a port they are in brackets.
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, number)) if ip(entry).is_none() => match number.parse::<u16>() {
            Ok(number) => (name, Some(number)),
            Err(_) => return false,
        },
        _ => (entry, None),
    };
    if wanted.is_some() && wanted != port {
        return false;
    }
    match (ip(host), ip(name)) {
        (Some(address), Some(excepted)) => address == excepted,
        (None, None) => {
            let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
            !name.is_empty() && is_at(host.trim_end_matches('.'), name)
        }
        _ => false,
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (u128::from(address.to_bits()), u128::from(network.to_bits()), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (bits == 0 || (address ^ network) >> (width - bits) == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(setting: Option<&str>, variables: &[(&str, &str)]) -> Network {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Network::new(&NetworkSettings { proxy: setting.and_then(Secret::new), ..NetworkSettings::default() }, &environment)
    }

    fn proxy(network: &Network, address: &str) -> Option<String> {
        network.proxy(&Url::parse(address).unwrap()).map(|proxy| format!("{} {}", proxy.name, proxy.address.expose()))
    }

    #[test]
    fn the_proxy_of_an_address() {
        let all = [("HTTPS_PROXY", "http://s"), ("HTTP_PROXY", "http://p"), ("all_proxy", "http://a"), ("NO_PROXY", "x.test")];
        for (setting, variables, address, expected) in [
            (None, &all[..], "https://m.test/v1", Some("HTTPS_PROXY http://s")),
            (None, &all[..], "http://m.test/v1", Some("HTTP_PROXY http://p")),
            (None, &all[..], "https://x.test/v1", None),
            (None, &all[2..], "https://m.test/v1", Some("all_proxy http://a")),
            (None, &[("https_proxy", "http://l"), ("HTTPS_PROXY", "http://s")], "https://m.test", Some("https_proxy http://l")),
            // An empty variable disables the proxy.
            (None, &[("https_proxy", ""), ("HTTPS_PROXY", "http://s")], "https://m.test", None),
            (None, &[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")], "http://m.test", None),
            (Some("http://mine"), &all[..], "https://x.test", Some("options.proxy http://mine")),
            (Some("none"), &all[..], "https://m.test", None),
            (Some("http://mine"), &all[..], "http://127.0.0.1:8080/v1", None),
            (None, &all[..], "https://[::1]/v1", None),
            (None, &all[..], "http://[::ffff:127.0.0.1]:1", None),
            (None, &all[..], "http://[::ffff:10.0.0.1]:1", Some("HTTP_PROXY http://p")),
            (None, &all[..], "http://localhost:11434", None),
            (None, &[], "https://m.test", None),
        ] {
            assert_eq!(proxy(&network(setting, variables), address).as_deref(), expected, "{setting:?} {variables:?} {address}");
        }
    }

    #[test]
    fn exceptions() {
        for (list, host, port, expected) in [
            ("*", "a.test", 443, true),
            ("a.test", "a.test", 443, true),
            ("a.test", "b.a.test", 443, true),
            (".a.test", "a.test", 443, true),
            ("*.a.test", "b.a.test", 443, true),
            ("A.Test", "a.test", 443, true),
            ("a.test", "ba.test", 443, false),
            ("a.test:8443", "a.test", 443, false),
            ("a.test:443", "a.test", 443, true),
            ("a.test:http", "a.test", 80, false),
            ("b, a.test", "a.test", 443, true),
            ("b a.test", "a.test", 443, true),
            ("", "a.test", 443, false),
            (".", "a.test", 443, false),
            ("10.0.0.0/8", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "11.1.2.3", 443, false),
            ("0.0.0.0/0", "11.1.2.3", 443, true),
            ("10.0.0.0/99", "10.1.2.3", 443, false),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3:443", "10.1.2.3", 443, true),
            ("2001:db8::/32", "[2001:db8::1]", 443, true),
            ("2001:db8::1", "[2001:db8::1]", 443, true),
            ("[2001:db8::1]:443", "[2001:db8::1]", 443, true),
            ("[2001:db8::1]:80", "[2001:db8::1]", 443, false),
            ("10.0.0.0/8", "a.test", 443, false),
        ] {
            assert_eq!(is_excepted(list, host, Some(port)), expected, "{list} {host}:{port}");
        }
    }

    #[test]
    fn authorities_come_from_settings_and_variables() {
        let environment = [("SSL_CERT_FILE", "/s"), ("NODE_EXTRA_CA_CERTS", "/n")].map(|(name, path)| (name.to_owned(), path.to_owned()));
        let settings = NetworkSettings { ca: AbsPath::new("/c"), connect_timeout_ms: Some(5), ..NetworkSettings::default() };
        let network = Network::new(&settings, &environment.into());
        assert_eq!(network.authorities, AbsPath::new("/s"));
        let further: Vec<_> = network.further_authorities.iter().map(|(path, source)| (path.to_string(), *source)).collect();
        assert_eq!(further, [("/c".to_owned(), Source::Settings), ("/n".to_owned(), Source::Variable)]);
        assert_eq!((network.connect_timeout_ms, Network::default().connect_timeout_ms), (5, DEFAULT_CONNECT_TIMEOUT_MS));
    }

    #[test]
    fn passwords_are_not_formatted() {
        let network = network(Some("http://me:hunter22@proxy"), &[]);
        assert!(!format!("{network:?}").contains("hunter22"));
    }

    proptest! {
        #[test]
        fn arbitrary_lists_do_not_panic(list in ".{0,40}", host in "[a-z0-9.:\\[\\]-]{1,20}", port in 1_u16..) {
            is_excepted(&list, &host, Some(port));
        }

        #[test]
        fn an_address_is_in_the_networks_with_its_prefix(address: u32, bits in 0_u32..=32, other: u32) {
            let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
            let [host, network] = [address, other].map(|bits| std::net::Ipv4Addr::from_bits(bits).to_string());
            prop_assert_eq!(is_excepted(&format!("{network}/{bits}"), &host, None), address & mask == other & mask);
        }
    }
}
