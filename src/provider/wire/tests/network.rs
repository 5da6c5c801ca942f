//! Proxies, authorities, and failed connections, over real sockets on loopback.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    provider::{
        definition::{Delta, Error},
        http::network::{Network, NetworkSettings},
        model_server::{Answer, ModelServer},
        retry::is_retryable,
        secret::Secret,
        testing::{items, remote, request, settings, text_of},
        way::{Proxy, Tls, address},
        wire::{remote::RemoteSettings, tests::OPENAI},
    },
    stdx::paths::AbsPath,
};

struct Place {
    server: ModelServer,
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { server: ModelServer::start().await, directory: tempfile::tempdir().unwrap() };
        place.server.rule(|_| Some(Answer::openai_text("hello")));
        place
    }

    fn file(&self, name: &str, text: &str) -> AbsPath {
        let path = AbsPath::new(self.directory.path().join(name)).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn ask(&self, base_url: &str, settings_of_way: NetworkSettings, variables: &[(&str, &str)]) -> Result<String, Error> {
        let environment: BTreeMap<_, _> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let network = Network::new(&settings_of_way, &environment);
        let remote = remote(RemoteSettings { base_url: Some(base_url.to_owned()), network, ..settings(&self.server, OPENAI) });
        let items: Result<Vec<Delta>, Error> = items(&remote, request("m")).await.into_iter().collect();
        items.map(|deltas| text_of(&deltas))
    }
}

fn by(proxy: &Proxy) -> NetworkSettings {
    NetworkSettings { proxy: Secret::new(&format!("http://{}", proxy.address)), ..NetworkSettings::default() }
}

/// The message and hint of a network error, which is not retried.
fn misconfigured(result: Result<String, Error>) -> (String, String) {
    let error = result.unwrap_err();
    assert!(!is_retryable(&error), "{error:?}");
    let Error::Network { message, hint } = error else { panic!("{error:?}") };
    (message, hint.unwrap_or_default())
}

#[tokio::test]
async fn a_service_behind_a_proxy_and_a_private_authority() {
    let place = Place::new().await;
    let tls = Tls::start(address(&place.server.url()), "models.test").await;
    let proxy = Proxy::start(tls.address, None).await;
    let ca = place.file("ca.pem", &tls.authority);
    let trusting = NetworkSettings { ca: Some(ca.clone()), ..by(&proxy) };
    assert_eq!(place.ask("https://models.test/v1", trusting, &[]).await.unwrap(), "hello");
    assert_eq!(proxy.seen(), ["CONNECT models.test:443 HTTP/1.1"]);

    // The same from the client's environment.
    let url = format!("http://{}", proxy.address);
    for authority in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        let variables = [("HTTPS_PROXY", url.as_str()), (authority, ca.as_path().to_str().unwrap())];
        let result = place.ask("https://models.test/v1", NetworkSettings::default(), &variables).await;
        assert_eq!(result.unwrap(), "hello", "{authority}");
    }
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn an_untrusted_certificate_is_explained() {
    let place = Place::new().await;
    let tls = Tls::start(address(&place.server.url()), "models.test").await;
    let direct = format!("https://{}/v1", tls.address);
    let (message, hint) = misconfigured(place.ask(&direct, NetworkSettings::default(), &[]).await);
    assert!(message.contains("unknown issuer") && message.contains(&tls.address.to_string()), "{message}");
    assert!(hint.contains("options.ca") && hint.contains("SSL_CERT_FILE"), "{hint}");

    let trusting = NetworkSettings { ca: Some(place.file("ca.pem", &tls.authority)), ..NetworkSettings::default() };
    let (message, hint) = misconfigured(place.ask(&direct, trusting, &[]).await);
    assert!(message.contains("for another name"), "{message}");
    assert!(hint.contains("base URL"), "{hint}");

    // A server without TLS rejects the handshake as a bad request.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{}/v1", listener.local_addr().unwrap());
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await.unwrap();
        // Until the client disconnects.
        while stream.read(&mut [0; 512]).await.is_ok_and(|length| length > 0) {}
    };
    let (result, ()) = tokio::join!(place.ask(&plain, NetworkSettings::default(), &[]), answer);
    let (message, hint) = misconfigured(result);
    assert!(message.contains("does not speak TLS") && hint.contains("http://"), "{message}; {hint}");

    // A missing file for additional authorities is ignored; one that replaces the system's is an error.
    let (message, _) = misconfigured(place.ask(&direct, NetworkSettings::default(), &[("NODE_EXTRA_CA_CERTS", "/nowhere/at/all")]).await);
    assert!(message.contains("unknown issuer"), "{message}");
    let error = place.ask(&direct, NetworkSettings::default(), &[("SSL_CERT_FILE", "/nowhere/at/all")]).await.unwrap_err();
    assert!(matches!(&error, Error::Request { message } if message.contains("SSL_CERT_FILE")), "{error:?}");
}

#[tokio::test]
async fn a_proxy_that_requires_a_password() {
    let place = Place::new().await;
    let tls = Tls::start(address(&place.server.url()), "models.test").await;
    let ca = place.file("ca.pem", &tls.authority);
    for (service, base_url) in [(tls.address, "https://models.test/v1"), (address(&place.server.url()), "http://models.test/v1")] {
        let proxy = Proxy::start(service, Some("me:hunter22")).await;
        let ask = |login: &str| {
            let proxy = Secret::new(&format!("http://{login}{}", proxy.address));
            place.ask(base_url, NetworkSettings { proxy, ca: Some(ca.clone()), ..NetworkSettings::default() }, &[])
        };
        assert_eq!(ask("me:hunter22@").await.unwrap(), "hello");
        for login in ["", "me:wrong-password@"] {
            let (message, hint) = misconfigured(ask(login).await);
            assert!(message.contains("asks for a user and a password") && hint.contains("user:password@"), "{message}; {hint}");
            assert!(!message.contains("wrong-password"), "{message}");
        }
        let first = &proxy.seen()[0];
        let expected =
            if base_url.starts_with("https") { "CONNECT models.test:443 " } else { "POST http://models.test/v1/chat/completions " };
        assert!(first.starts_with(expected), "{first}");
    }
}

#[tokio::test]
async fn direct_connections() {
    let place = Place::new().await;
    let proxy = Proxy::start(address(&place.server.url()), None).await;
    let url = format!("http://{}", proxy.address);
    let ask = |base_url: String, exceptions: &'static str| {
        let url = url.clone();
        let place = &place;
        async move { place.ask(&base_url, NetworkSettings::default(), &[("http_proxy", &url), ("NO_PROXY", exceptions)]).await.unwrap() }
    };
    // Loopback is always direct, in any form.
    ask(place.server.url(), "").await;
    ask(format!("http://[::ffff:127.0.0.1]:{}/v1", address(&place.server.url()).port()), "").await;
    assert!(proxy.seen().is_empty());
    ask("http://models.test/v1".to_owned(), "models.test:8080").await;
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn an_unreachable_proxy_is_named() {
    let place = Place::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = format!("http://me:hunter22@{address}");
    for base_url in ["http://models.test/v1", "https://models.test/v1"] {
        let variables = [("ALL_PROXY", proxy.as_str())];
        let error = place.ask(base_url, NetworkSettings::default(), &variables).await.unwrap_err();
        assert!(is_retryable(&error), "{error:?}");
        let expected = format!("models.test (by the proxy {address} of ALL_PROXY)");
        assert!(error.to_string().contains(&expected) && error.to_string().contains("refused"), "{error}");
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }
}
