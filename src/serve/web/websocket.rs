//! WebSockets: one JSON-RPC message per text message. A silent client is pinged, and disconnected if it does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use soketto::handshake::http::Server;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    frames::{CloseReason, Decoder, Event, Frames, code, ping, pong},
    guard::{PROTOCOL, protocols},
    response::{Reply, plain},
    site::{RemotePeer, Site},
    token::Token,
};
use crate::{
    jsonrpc::{
        framing::{Frame, MESSAGE_LIMIT},
        id_finder::IdFinder,
    },
    rpc::connection::{Connection, Door},
    serve::engine::{End, Engine},
    stdx::paths::AbsPath,
};

/// The limit of unanswered pings.
const MAX_MISSED_PINGS: u32 = 2;

/// How long answers may take during shutdown.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// The timeout of the client's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The client has disconnected.
    Gone,
    /// The client answers no pings.
    Silent,
    /// The daemon shuts down.
    Stopped,
    /// Close with this code and reason.
    Closed(u16, &'static str),
}

/// Answers the handshake of an authenticated client and serves the connection.
pub fn accept(site: &Arc<Site>, peer: RemotePeer, token: Token, directory: Option<AbsPath>, mut request: Request<Incoming>) -> Reply {
    if request.headers().get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = plain(StatusCode::UPGRADE_REQUIRED, "the version of the WebSocket protocol must be 13");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    let mut response = match Server::new().receive_request(&request) {
        Ok(response) => response.map(|()| Full::default()),
        Err(error) => return plain(StatusCode::BAD_REQUEST, &format!("not a WebSocket handshake: {error}")),
    };
    if protocols(request.headers()).any(|protocol| protocol == PROTOCOL) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let connection = Arc::new(Connection::new(Door::WebSocket, directory, site.environment.clone()));
    let (site, upgrade) = (site.clone(), hyper::upgrade::on(&mut request));
    let tasks = site.tasks.clone();
    drop(tasks.spawn("websocket", async move {
        match upgrade.await {
            Ok(upgraded) => serve(&site, connection, token, upgraded).await,
            Err(error) => tracing::debug!("a WebSocket client has disconnected during the handshake: {error}"),
        }
        // The connection's permit is held until here.
        drop(peer);
    }));
    response
}

async fn serve(site: &Site, connection: Arc<Connection>, token: Token, upgraded: Upgraded) {
    // Without TLS the two directions of the socket need no common lock.
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let (reader, writer) = parts.io.into_inner().into_split();
            converse(site, connection, token, parts.read_buf.as_ref(), reader, writer).await;
        }
        Err(upgraded) => {
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            converse(site, connection, token, &[], reader, writer).await;
        }
    }
}

async fn converse(
    site: &Site,
    connection: Arc<Connection>,
    token: Token,
    early: &[u8],
    mut reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) {
    tracing::debug!(connection = connection.id(), "a WebSocket client has connected");
    let close_reason = CloseReason::default();
    let engine = Engine::start_encoded(&site.rpc, connection.clone(), &site.tasks, writer, Frames::new(close_reason.clone()));
    let mut decoder = Decoder::new(MESSAGE_LIMIT);
    decoder.space().extend_from_slice(early);
    let heard = AtomicBool::new(true);
    let over = tokio::select! {
        biased;
        end = engine.ended() => if end == End::Stopped { Over::Stopped } else { Over::Gone },
        over = receive(&engine, &mut decoder, &mut reader, &heard) => over,
        over = watch(site, &engine, &token, &heard) => over,
    };
    tracing::debug!(connection = connection.id(), ?over, "a WebSocket client disconnects");
    // Set only here, once.
    let _ = match over {
        Over::Closed(code, reason) => close_reason.set((code, reason)),
        Over::Stopped => close_reason.set((code::GOING_AWAY, "the daemon shuts down")),
        Over::Silent => close_reason.set((code::POLICY, "no answer to pings")),
        Over::Gone => Ok(()),
    };
    if over == Over::Stopped {
        // Some requests may not be answered in time.
        let _ = timeout(STOP_TIMEOUT, engine.idle()).await;
    }
    engine.close().await;
    if !matches!(over, Over::Gone | Over::Silent) {
        // Closing a socket with unread input would discard the last output.
        let _ = timeout(CLOSE_TIMEOUT, drain(reader)).await;
    }
}

async fn receive(engine: &Engine, decoder: &mut Decoder, reader: &mut (impl AsyncRead + Unpin), heard: &AtomicBool) -> Over {
    loop {
        while let Some(event) = decoder.next() {
            let taken = match event {
                Event::Text(text) if str::from_utf8(text).is_err() => return Over::Closed(code::NOT_TEXT, "a text message is not UTF-8"),
                Event::Text(text) => engine.receive(Frame::Message(text)).await,
                Event::TooLarge(beginning) => {
                    let mut finder = IdFinder::default();
                    finder.take(beginning);
                    engine.receive(Frame::TooLarge(finder.id())).await
                }
                Event::Binary => return Over::Closed(code::UNSUPPORTED, "JSON-RPC messages must be text messages"),
                Event::Ping(payload) => engine.outbox().control(pong(payload)).await,
                Event::Pong => Ok(()),
                Event::Close(code) => return Over::Closed(code.unwrap_or(code::NORMAL), ""),
                Event::Broken(code, reason) => return Over::Closed(code, reason),
            };
            if taken.is_err() {
                return Over::Gone;
            }
        }
        match reader.read_buf(decoder.space()).await {
            Ok(length) if length > 0 => heard.store(true, Ordering::Relaxed),
            _ => return Over::Gone,
        }
    }
}

/// Pings the client, and ends the connection if it does not answer or its token was replaced.
async fn watch(site: &Site, engine: &Engine, token: &Token, heard: &AtomicBool) -> Over {
    let mut missed = 0;
    loop {
        sleep(site.limits.ping).await;
        missed = if heard.swap(false, Ordering::Relaxed) { 0 } else { missed + 1 };
        if missed == MAX_MISSED_PINGS {
            return Over::Silent;
        }
        if !site.guard.holds(token) {
            return Over::Closed(code::POLICY, "the token was replaced");
        }
        engine.outbox().try_control(ping());
    }
}

async fn drain(mut reader: impl AsyncRead + Unpin) {
    let mut bytes = [0; 1024];
    while reader.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
}
