//! One HTTP exchange with a model service: sends the request, reads the response, and produces deltas.
//!
//! It does not use genai, which couples requests to decoders that are unsuitable here: the file `stream` of each
//! protocol explains why for its decoder, `decode::frames` for all.

use std::time::Duration;

use futures::{Stream, stream};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use crate::provider::{
    definition::{Delta, Error},
    http::unreachable::{refused_by_proxy, unreachable},
    wire::{
        decode::{Decoding, Fault},
        error,
        opening::Opening,
        protocol::Wire,
    },
};

/// How much of an error body is read, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 256 * 1024;
/// The timeout for the usage and the end of the stream after the finish reason; also for more data after a response
/// that is not of the protocol.
const GRACE_PERIOD: Duration = Duration::from_secs(3);
/// The same if content came with the finish reason or after it: Gemini does so, and some services send a reason in
/// every chunk.
const UNCERTAIN_GRACE_PERIOD: Duration = Duration::from_secs(6);
/// Keep-alive messages extend the timeout up to this factor.
const KEEP_ALIVE_FACTOR: u32 = 2;

/// An answer that is being received.
pub(crate) struct Incoming {
    response: Response,
    decoding: Decoding,
    /// The timeout without data.
    timeout: Duration,
    /// The progress of the answer.
    progress: u64,
    /// The time spent waiting since the last progress, without the time in which the consumer did not poll.
    waited: Duration,
    /// The body so far, while it contains nothing of the protocol.
    opening: Opening,
    /// The address for messages.
    service: String,
    /// The item after the last delta.
    end: Option<Error>,
    ended: bool,
}

/// Sends the request, and returns when the response has begun.
pub(crate) async fn open(request: RequestBuilder, wire: &dyn Wire, timeout: Duration, service: String) -> Result<Incoming, Error> {
    let sent = tokio::time::timeout(timeout, request.send()).await;
    let response = sent.map_err(|_| error::silent(&service, "did not answer in time"))?.map_err(|error| unreachable(&error, &service))?;
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(refused_by_proxy(&service));
    }
    if !response.status().is_success() {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = error_body(response, timeout).await;
        return Err(error::from_status(status, &String::from_utf8_lossy(&body), &headers));
    }
    let (decoding, opening) = (Decoding::new(wire.framing(), wire.decoder()), Opening::default());
    Ok(Incoming { response, decoding, timeout, progress: 0, waited: Duration::ZERO, opening, service, end: None, ended: false })
}

/// The part of an error body that arrives in time; it is only needed for the message.
async fn error_body(mut response: Response, timeout: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let until = Instant::now() + timeout;
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout_at(until, response.chunk()).await {
        let room = MAX_ERROR_BODY_BYTES - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() == MAX_ERROR_BODY_BYTES {
            break;
        }
    }
    body
}

impl Incoming {
    /// All deltas, then `Finish` or an error.
    pub(crate) fn deltas(self) -> impl Stream<Item = Result<Delta, Error>> + Send {
        // Boxed, so that the state is not moved with each delta.
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

    /// The timeout for the next bytes.
    fn remaining_timeout(&self) -> Duration {
        if self.decoding.is_complete() {
            let grace = if self.decoding.has_certainly_ended() { GRACE_PERIOD } else { UNCERTAIN_GRACE_PERIOD };
            return grace.saturating_sub(self.waited);
        }
        let silence = if self.opening.may_be_complete() { GRACE_PERIOD.min(self.timeout) } else { self.timeout };
        silence.min(self.timeout.saturating_mul(KEEP_ALIVE_FACTOR).saturating_sub(self.waited))
    }

    /// Receives the next bytes. Deltas before an error are returned before it.
    async fn receive(&mut self) {
        let (since, remaining_timeout) = (Instant::now(), self.remaining_timeout());
        // Without this check, bytes that are always ready would never time out.
        let next =
            if remaining_timeout.is_zero() { None } else { tokio::time::timeout(remaining_timeout, self.response.chunk()).await.ok() };
        let received = match next {
            Some(Ok(Some(bytes))) => self.push(&bytes),
            Some(Ok(None)) => self.finish(error::cut),
            // A connection that breaks after a complete answer is not an error.
            Some(Err(error)) => self.finish(|service| unreachable(&error, service)),
            None if remaining_timeout < self.timeout => {
                self.finish(|service| error::silent(service, "sent signs of life and nothing of an answer for too long"))
            }
            None => self.finish(|service| error::silent(service, "sent nothing for too long")),
        };
        let progress = self.decoding.progress();
        self.waited = if progress == self.progress { self.waited + since.elapsed() } else { Duration::ZERO };
        self.progress = progress;
        self.ended = received.is_err() || self.decoding.has_ended();
        self.end = received.err();
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.decoding.push(bytes).map_err(|fault| self.error(fault))?;
        self.opening.add(bytes, self.decoding.has_framed());
        Ok(())
    }

    /// Called when no more data will come: the answer is complete, or this is an error.
    fn finish(&mut self, error: impl FnOnce(&str) -> Error) -> Result<(), Error> {
        match self.decoding.end() {
            Err(Fault::Cut) => match self.opening.text() {
                Some(text) => Err(error::from_text(&self.service, &text)),
                None => Err(error(&self.service)),
            },
            other => other.map_err(|fault| self.error(fault)),
        }
    }

    fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Said(body) => error::from_event(&body),
            Fault::Malformed(what) => error::no_protocol(&self.service, &what),
            Fault::Garbled(message) => Error::Stream { message, retryable: true },
            Fault::TooLong => Error::answer_too_long(),
            Fault::Cut => error::cut(&self.service),
        }
    }
}
