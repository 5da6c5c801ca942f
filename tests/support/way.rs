//! Intermediaries between a client and a service, on loopback: an HTTP proxy, and TLS with a private authority.
#![allow(dead_code, reason = "included by several test programs, each of which uses another part")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The address of a `http://HOST:PORT/…`.
pub fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's server lives as long as its value")]
fn serve<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let served = serve(stream);
            // Either side may disconnect at any time.
            connections.spawn(async move { drop(served.await) });
        }
    })
}

/// An HTTP proxy that forwards all hosts to one service.
pub struct Proxy {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy for the service; optionally with `user:password`.
    pub async fn start(service: SocketAddr, login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&seen);
        let task = serve(listener, move |stream| pass(stream, service, login, Arc::clone(&notes)));
        Self { address, seen, task }
    }

    /// The first lines of the received requests.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut stream: TcpStream,
    service: SocketAddr,
    login: Option<&'static str>,
    seen: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(first.clone());
    if let Some(login) = login {
        let wanted = format!("proxy-authorization: basic {}", base64::engine::general_purpose::STANDARD.encode(login)).to_lowercase();
        if !head.lines().any(|line| line.to_lowercase() == wanted) {
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(refusal).await;
        }
    }
    let mut behind = TcpStream::connect(service).await?;
    if first.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        behind.write_all(&buffer[end..]).await?;
    } else {
        // The proxy gets the complete address, the service the path.
        let (method, rest) = first.split_once(' ').unwrap_or_default();
        let path = rest.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/ HTTP/1.1");
        behind.write_all(format!("{method} {path}{}", &head[first.len()..]).as_bytes()).await?;
        behind.write_all(&buffer[end..]).await?;
    }
    copy_bidirectional(&mut stream, &mut behind).await.map(drop)
}

/// TLS for a service, with a certificate of a private authority.
pub struct Tls {
    pub address: SocketAddr,
    /// The authority's certificate.
    pub authority: String,
    task: JoinHandle<()>,
}

impl Tls {
    /// TLS for a name.
    pub async fn start(service: SocketAddr, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let own_key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = serve(listener, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut behind = TcpStream::connect(service).await?;
                copy_bidirectional(&mut stream, &mut behind).await.map(drop)
            }
        });
        Self { address, authority, task }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.task.abort();
    }
}
