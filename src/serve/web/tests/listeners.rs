//! Where the daemon listens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use polytree_protocol::listen::{ServerListenParams, ServerListenResult};

use super::support::{House, TIMEOUT, Web, limits, status};
use crate::{daemon::listeners::Error, serve::web::site::Limits};

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;

fn at(address: &str) -> ServerListenParams {
    ServerListenParams { address: address.into(), ..ServerListenParams::default() }
}

fn http_client() -> reqwest::ClientBuilder {
    // Fails where one is installed.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

async fn open(house: &mut House, params: &ServerListenParams) -> Result<ServerListenResult, Error> {
    house.doors.open(params, Arc::new(BTreeMap::new())).await
}

#[tokio::test]
async fn several_at_once_and_each_once() {
    let mut house = House::new(limits());
    let first = open(&mut house, &at("127.0.0.1:0")).await.unwrap();
    assert_eq!(first.token_file, house.data.join("token").to_string());
    assert_eq!(open(&mut house, &at("127.0.0.1:0")).await.unwrap(), first, "the same request");
    let bound = first.url.trim_start_matches("http://").trim_end_matches('/');
    assert_eq!(open(&mut house, &at(bound)).await.unwrap(), first, "its real address");
    let second = open(&mut house, &at("[::1]:0")).await.unwrap();
    assert!(second.url.starts_with("http://[::1]:"), "{}", second.url);
    let urls: Vec<String> = house.listeners.list().into_iter().map(|listener| listener.address).collect();
    assert_eq!(urls, [first.url.clone(), second.url]);
    let other = ServerListenParams { base_path: Some("/x".into()), ..at("127.0.0.1:0") };
    assert!(matches!(open(&mut house, &other).await, Err(Error::Conflict { url }) if url == first.url));
    house.tasks.cancel();
    tokio::time::timeout(TIMEOUT, house.tasks.finished()).await.unwrap();
    assert!(house.listeners.list().is_empty());
    assert!(tokio::net::TcpStream::connect(bound).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn both_kinds_of_addresses_serve() {
    for address in ["[::1]:0", "localhost:0", "127.0.0.2:0"] {
        let mut house = House::new(limits());
        let url = open(&mut house, &at(address)).await.unwrap().url;
        let token = house.tokens().current().unwrap().reveal().to_owned();
        let answer = http_client()
            .build()
            .unwrap()
            .post(format!("{url}?token={token}"))
            .header("content-type", "application/json")
            .body(ECHO)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
}

#[tokio::test]
async fn addresses_that_do_not_do_are_told() {
    let mut house = House::new(limits());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let reason = async |house: &mut House, address: &str| open(house, &at(address)).await.map(drop).unwrap_err();
    let error = reason(&mut house, &taken).await;
    assert!(matches!(error, Error::Unavailable { .. }));
    assert_eq!(error.to_string(), format!("{taken} is in use by another program"));
    assert_eq!(error.hint(), Some("use another port, or 0 for a free one"));
    for odd in ["", "4096", ":4096", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:80", "http://localhost:80", "a b:1"]
    {
        let error = reason(&mut house, odd).await;
        assert!(error.to_string().starts_with(&format!("`address`: `{odd}` is not HOST:PORT")), "{error}");
    }
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let error = reason(&mut house, open).await;
        assert!(error.to_string().contains("other machines can reach"), "{error}");
        assert!(error.hint().unwrap().contains("certificate"), "{error}");
    }
    assert!(house.listeners.list().is_empty());
}

/// A certificate for `localhost` and its key, in the data directory; and the certificate's bytes.
fn certificate(house: &House) -> (ServerListenParams, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = house.data.join(name);
        std::fs::write(&path, text).unwrap();
        Some(path.to_string())
    };
    let params = ServerListenParams {
        certificate: write("certificate.pem", made.cert.pem()),
        key: write("key.pem", made.signing_key.serialize_pem()),
        ..at("0.0.0.0:0")
    };
    (params, made.cert.der().to_vec())
}

#[tokio::test]
async fn with_tls_it_may_listen_for_other_machines() {
    let mut house = House::new(Limits { handshake: Duration::from_millis(300), ..limits() });
    let (params, trusted) = certificate(&house);
    let url = open(&mut house, &params).await.unwrap().url;
    assert!(url.starts_with("https://0.0.0.0:"), "{url}");
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}/?token={}", house.tokens().current().unwrap().reveal());
    let client = |builder: reqwest::ClientBuilder| builder.resolve("localhost", ([127, 0, 0, 1], 0).into()).build().unwrap();
    let post = async |client: &reqwest::Client| client.post(&url).header("content-type", "application/json").body(ECHO).send().await;
    let trusting = client(http_client().tls_certs_only([reqwest::Certificate::from_der(&trusted).unwrap()]));
    let answer = post(&trusting).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, r#"{"jsonrpc":"2.0","id":1,"result":null}"#));
    let (_, other) = certificate(&house);
    let distrusting = client(http_client().tls_certs_only([reqwest::Certificate::from_der(&other).unwrap()]));
    assert!(post(&distrusting).await.is_err(), "another certificate is not this one");
    // By an address that it does not have; the certificate is not the client's concern here.
    let careless = client(http_client().tls_danger_accept_invalid_certs(true));
    let rebound = careless.get(format!("https://127.0.0.1:{port}/")).header("host", "192.0.2.7").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
    // Who does not speak TLS, or nothing at all, is closed in time.
    let mut plain = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    let mut silent = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    assert_eq!(super::support::rest(&mut silent).await, "");
    house.tasks.cancel();
    tokio::time::timeout(TIMEOUT, house.tasks.finished()).await.unwrap();
}

#[tokio::test]
async fn a_websocket_speaks_tls_too() {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio_rustls::rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    };
    let mut house = House::new(limits());
    let (params, trusted) = certificate(&house);
    let url = open(&mut house, &ServerListenParams { address: "127.0.0.1:0".into(), ..params }).await.unwrap().url;
    let address = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted)).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let request = format!("wss://{address}/?token={}", house.tokens().current().unwrap().reveal());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(ECHO.into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().to_text().unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    house.tasks.cancel();
    tokio::time::timeout(TIMEOUT, house.tasks.finished()).await.unwrap();
}

#[tokio::test]
async fn a_token_file_that_holds_none_keeps_the_listener_closed() {
    let mut house = House::new(limits());
    std::fs::write(house.tokens().path(), "short").unwrap();
    let error = open(&mut house, &at("127.0.0.1:0")).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("holds no token"), "{error}");
    let web = Web::start().await;
    std::fs::write(web.house.tokens().path(), "short").unwrap();
    let (code, _) = web.post(ECHO).await;
    assert_eq!(code, 500);
    std::fs::remove_file(web.house.tokens().path()).unwrap();
    assert_eq!(web.post(ECHO).await.0, 401, "there is a new one now");
    assert_eq!(status(&web.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await), 200);
    web.stop().await;
}
