//! The stream of a remote model in our terms: the request goes out, the bytes of the answer come in, deltas come out.
//!
//! The request is made here and not through genai, which couples it to decoders that this program cannot use: each of
//! the files `remote_*_stream` says what is wrong with the one for its protocol, `remote_frames` what all share.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use futures::{Stream, stream};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, Sleep};

use super::{
    definition::{Delta, Error},
    remote_decode::{Decoding, Fault},
    remote_error,
    remote_unreachable::{refused_by_proxy, unreachable},
    remote_wire::Wire,
};

/// The longest error body that is read, in bytes.
const LONGEST_ERROR: usize = 256 * 1024;

/// An answer that is coming in.
pub(super) struct Incoming {
    response: Response,
    decoding: Decoding,
    /// The longest silence.
    patience: Duration,
    /// Rings at the end of it, or before.
    silence: Pin<Box<Sleep>>,
    /// The address as messages may name it.
    service: String,
    /// What comes after the last delta.
    end: Option<Error>,
    ended: bool,
}

/// Sends the request; the answer has begun when this returns.
pub(super) async fn open(request: RequestBuilder, wire: Wire, patience: Duration, service: String) -> Result<Incoming, Error> {
    let sent = tokio::time::timeout(patience, request.send()).await;
    let response =
        sent.map_err(|_| remote_error::silent(&service, "did not answer in time"))?.map_err(|error| unreachable(&error, &service))?;
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(refused_by_proxy(&service));
    }
    if !response.status().is_success() {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = error_body(response, patience).await;
        return Err(remote_error::from_status(status, &String::from_utf8_lossy(&body), &headers));
    }
    let silence = Box::pin(tokio::time::sleep(patience));
    Ok(Incoming { response, decoding: Decoding::new(wire), patience, silence, service, end: None, ended: false })
}

/// As much of an error's body as comes in time; what is missing costs only words.
async fn error_body(mut response: Response, patience: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout(patience, response.chunk()).await {
        let room = LONGEST_ERROR - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() == LONGEST_ERROR {
            break;
        }
    }
    body
}

/// Nothing came for too long.
struct Silent;

/// Waits for the next bytes. The clock is set again only when it has rung: that is costly to do for each delta.
async fn in_time<T>(clock: &mut Pin<Box<Sleep>>, patience: Duration, next: impl Future<Output = T>) -> Result<T, Silent> {
    let (since, mut next) = (Instant::now(), pin!(next));
    loop {
        tokio::select! {
            biased;
            next = &mut next => return Ok(next),
            () = &mut *clock => {
                if since.elapsed() >= patience {
                    return Err(Silent);
                }
                clock.as_mut().reset(since + patience);
            }
        }
    }
}

impl Incoming {
    /// All deltas, then `Finish` or an error.
    pub(super) fn deltas(self) -> impl Stream<Item = Result<Delta, Error>> + Send {
        // Boxed, so that not the whole state moves with each delta.
        stream::unfold(Box::new(self), |mut this| async move { Some((this.next().await?, this)) })
    }

    async fn next(&mut self) -> Option<Result<Delta, Error>> {
        loop {
            if let Some(delta) = self.decoding.pop() {
                return Some(Ok(delta));
            }
            if self.ended {
                return self.end.take().map(Err);
            }
            self.receive().await;
        }
    }

    /// Takes the next bytes. Deltas that came before an error are handed out before it.
    async fn receive(&mut self) {
        let received = match in_time(&mut self.silence, self.patience, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => self.decoding.push(&bytes).map_err(|fault| self.error(fault)),
            Ok(Ok(None)) => self.decoding.end().map_err(|fault| self.error(fault)),
            // A connection that breaks after all has been said costs nothing.
            Ok(Err(error)) => self.broken(|service| unreachable(&error, service)),
            Err(Silent) => self.broken(|service| remote_error::silent(service, "sent nothing for too long")),
        };
        self.ended = received.is_err() || self.decoding.has_ended();
        self.end = received.err();
    }

    fn broken(&mut self, error: impl FnOnce(&str) -> Error) -> Result<(), Error> {
        match self.decoding.end() {
            Err(Fault::Cut) => Err(error(&self.service)),
            other => other.map_err(|fault| self.error(fault)),
        }
    }

    fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Said(body) => remote_error::from_event(&body),
            Fault::Malformed(what) => remote_error::no_protocol(&self.service, &what),
            Fault::Garbled(message) => Error::Stream { message, retryable: true },
            Fault::TooLong => Error::answer_too_long(),
            Fault::Cut => remote_error::cut(&self.service),
        }
    }
}
