//! A listening socket: its address, its maximum of connections, and the timeouts of each.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    host::Host,
    http::respond,
    options::invalid,
    site::{RemotePeer, Site},
};
use crate::{daemon::listeners::Error, stdx::process::descriptors};

/// The maximum size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The maximum number of headers of a request.
const MAX_HEADERS: usize = 100;

/// The size of the read buffer of a connection, in bytes.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How long answers may take during shutdown.
const STOP_TIMEOUT: Duration = Duration::from_millis(300);

/// Resolves `HOST:PORT`; also returns the host as written.
///
/// # Errors
/// If it is not an address, or other machines can reach it and there is no TLS.
pub async fn resolve(text: &str, secure: bool) -> Result<(SocketAddr, String), Error> {
    let odd = || invalid("address", format!("`{text}` is not HOST:PORT, such as 127.0.0.1:4096, [::1]:4096 or localhost:0"));
    let (name, port) = text.rsplit_once(':').ok_or_else(odd)?;
    let sound = Host::parse(text).is_some() && !port.is_empty();
    let port: u16 = port.parse().ok().filter(|_| sound).ok_or_else(odd)?;
    let addresses: Vec<SocketAddr> = match lookup_host((name.trim_start_matches('[').trim_end_matches(']'), port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(invalid("address", format!("`{name}` cannot be resolved: {error}"))),
    };
    let open = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    if let Some(address) = addresses.iter().find(open).filter(|_| !secure) {
        return Err(Error::Invalid {
            field: "address",
            reason: format!("other machines can reach {address}, and without TLS the token could be read on the network"),
            hint: Some("add a certificate and its key, or listen on 127.0.0.1 behind a proxy with TLS".to_owned()),
        });
    }
    let address = addresses.first().ok_or_else(|| invalid("address", format!("`{name}` has no address")))?;
    Ok((*address, name.to_owned()))
}

/// Binds the address.
///
/// # Errors
/// `Unavailable`, with the operating system's message.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refuse = |error: io::Error| {
        let (reason, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => (format!("{address} is in use by another program"), "use another port, or 0 for a free one"),
            io::ErrorKind::PermissionDenied => (format!("this user may not listen on {address}"), "use a port from 1024 on"),
            io::ErrorKind::AddrNotAvailable => (format!("{address} is not an address of this machine"), "use 127.0.0.1"),
            _ => (format!("cannot listen on {address}: {error}"), "127.0.0.1:0 uses any free port"),
        };
        Error::Unavailable { reason, hint: Some(hint.to_owned()) }
    };
    let socket = TcpListener::bind(address).await.map_err(refuse)?;
    let bound = socket.local_addr().map_err(refuse)?;
    Ok((socket, bound))
}

/// Serves clients until the daemon shuts down.
pub async fn serve(site: Arc<Site>, socket: TcpListener, tls: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(site.limits.connections));
    loop {
        let accepted = tokio::select! {
            () = site.tasks.token().cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Probably out of file descriptors; others may be closed meanwhile.
                tracing::warn!("cannot accept a network connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.clone().try_acquire_owned().ok().filter(|_| !descriptors::are_short()) else {
            tracing::warn!("refused a network connection over the limit");
            turn_away(stream, tls.is_some());
            continue;
        };
        let (inner, tls) = (site.clone(), tls.clone());
        drop(site.tasks.spawn("network connection", async move { welcome(inner, stream, peer, place, tls).await }));
    }
}

/// Answers 503 to a client over the maximum of connections; over TLS it only closes.
fn turn_away(stream: TcpStream, secure: bool) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    if !secure && let Ok(mut stream) = stream.into_std() {
        // The send buffer of a new socket has space for it.
        let _ = io::Write::write(&mut stream, FULL);
    }
}

async fn welcome(site: Arc<Site>, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit, tls: Option<TlsAcceptor>) {
    // Answers are small and urgent.
    let _ = stream.set_nodelay(true);
    let remote = peer.ip().to_canonical();
    let peer = RemotePeer::new(remote, slot);
    let Some(tls) = tls else { return converse(site, peer, stream).await };
    let agreed = tokio::select! {
        agreed = timeout(site.limits.handshake, tls.accept(stream)) => agreed,
        () = site.tasks.token().cancelled() => return,
    };
    match agreed {
        Ok(Ok(stream)) => converse(site, peer, stream).await,
        Ok(Err(error)) => tracing::debug!(client = %remote, "the TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(client = %remote, "the TLS handshake timed out"),
    }
}

async fn converse(site: Arc<Site>, remote: RemotePeer, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let (peer, token) = (remote.address, site.tasks.token().clone());
    let head = site.limits.head;
    let service = service_fn(move |request| {
        let answer = Box::pin(respond(site.clone(), remote.clone(), request));
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_header_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .max_buf_size(READ_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = token.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(STOP_TIMEOUT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client = %peer, "a network connection has ended: {error}");
    }
}
