//! One request or batch in the body of an HTTP POST. It is a connection of its own that ends with the answer; when the
//! client disconnects, its requests are cancelled.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{
    Request, StatusCode,
    body::{Body as _, Incoming},
    header::{self, HeaderValue},
};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{
    response::{Reply, empty, json, plain},
    site::Site,
};
use crate::{
    jsonrpc::{
        framing::{Frame, MESSAGE_LIMIT},
        id_finder::IdFinder,
    },
    rpc::connection::{Connection, Door},
    serve::{
        dispatch::Dispatcher,
        outbox::{Outbox, Outgoing},
    },
    stdx::paths::AbsPath,
};

/// The limit of bytes of an oversize body that are read and dropped: a client reads the answer only after it has sent
/// everything.
const MAX_SKIPPED_BYTES: u64 = 1 << 30;

/// The maximum initial capacity for a body, independent of its announced length.
const MAX_INITIAL_CAPACITY: u64 = 64 * 1024;

/// How long answers may take during shutdown.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// Answers a POST request of an authenticated client.
pub async fn post(site: &Site, directory: Option<AbsPath>, request: Request<Incoming>) -> Reply {
    // Pages of other sites can send forms and plain text without a CORS preflight, but not this.
    if !is_json(request.headers().get(header::CONTENT_TYPE)) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json");
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be encoded");
    }
    let body = match read(request.into_body(), site.limits.body).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    let connection = Arc::new(Connection::new(Door::Http, directory, site.environment.clone()));
    let frame = match &body {
        Body::Whole(bytes) => Frame::Message(bytes),
        Body::TooLarge(finder) => Frame::TooLarge(finder.id()),
    };
    match call(site, connection, frame).await {
        Some(answer) => json(StatusCode::OK, answer),
        None => empty(StatusCode::NO_CONTENT),
    }
}

/// Executes the message and returns the answer, if there is one.
async fn call(site: &Site, connection: Arc<Connection>, frame: Frame<'_>) -> Option<Box<RawValue>> {
    let _presence = site.rpc.clients().enter(connection.clone());
    let (outbox, mut queue) = Outbox::new(connection.traffic());
    let dispatcher = CancelOnDrop(Dispatcher::new(site.rpc.clone(), connection, outbox, site.tasks.clone()));
    // One message has one answer, for which the queue has space.
    dispatcher.0.receive(frame).await.ok()?;
    let in_time = async {
        site.tasks.token().cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        () = dispatcher.0.idle() => {}
        () = in_time => {
            dispatcher.0.cancel_all();
            dispatcher.0.idle().await;
        }
    }
    match queue.try_recv() {
        Ok(Outgoing::Answer { message, .. }) => Some(message),
        _ => None,
    }
}

/// Cancels the calls when the client disconnects.
struct CancelOnDrop(Dispatcher);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

enum Body {
    Whole(Vec<u8>),
    /// The body is too large and was dropped.
    TooLarge(IdFinder),
}

/// Reads a body; `pause` is the timeout between two reads.
async fn read(mut incoming: Incoming, pause: Duration) -> Result<Body, Box<Reply>> {
    let announced = incoming.size_hint().lower();
    let mut body = Body::Whole(Vec::with_capacity(usize::try_from(announced.min(MAX_INITIAL_CAPACITY)).unwrap_or_default()));
    let mut length = 0;
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    while !incoming.is_end_stream() {
        let frame = match timeout(pause, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) => return refuse(StatusCode::BAD_REQUEST, "the body cannot be read"),
            Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "reading the body timed out"),
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > MAX_SKIPPED_BYTES {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        }
        match &mut body {
            Body::Whole(bytes) if length <= MESSAGE_LIMIT as u64 => bytes.extend_from_slice(&data),
            Body::Whole(bytes) => {
                let mut finder = IdFinder::default();
                finder.take(bytes);
                finder.take(&data);
                body = Body::TooLarge(finder);
            }
            Body::TooLarge(finder) => finder.take(&data),
        }
    }
    Ok(body)
}

fn is_json(value: Option<&HeaderValue>) -> bool {
    let kind = value.and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
