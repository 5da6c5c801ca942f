//! One HTTP exchange with a model service: the request goes out, the bytes of the answer come in, deltas come out.
//!
//! The request is made here and not through genai, which couples it to decoders that this program cannot use: the file
//! `stream` of each protocol says what is wrong with the one for it, `decode::frames` what all share.

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
const MAX_ERROR_BODY: usize = 256 * 1024;
/// Timeout for the usage and the end of the stream, once the service has said why its answer ends; also for what follows
/// a text that is no answer.
const GRACE_PERIOD: Duration = Duration::from_secs(3);
/// The same where content has come with the reason or after it: Gemini ends so, and some services name a reason in every
/// chunk.
const DOUBTFUL_GRACE_PERIOD: Duration = Duration::from_secs(6);
/// Keep-alive messages that add nothing to the answer prolong the timeout up to this many times.
const KEEP_ALIVE_FACTOR: u32 = 2;

/// An answer that is coming in.
pub(crate) struct Incoming {
    response: Response,
    decoding: Decoding,
    /// How long the service may send nothing.
    timeout: Duration,
    /// How far the answer is.
    progress: u64,
    /// How long has been waited since something was last added to it. Time in which nobody wants more is not waiting.
    waited: Duration,
    /// The body so far, while nothing in it is of the protocol.
    opening: Opening,
    /// The address as messages may name it.
    service: String,
    /// What comes after the last delta.
    end: Option<Error>,
    ended: bool,
}

/// Sends the request; the answer has begun when this returns.
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

/// As much of an error's body as comes in time; what is missing costs only words.
async fn error_body(mut response: Response, timeout: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let until = Instant::now() + timeout;
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout_at(until, response.chunk()).await {
        let room = MAX_ERROR_BODY - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() == MAX_ERROR_BODY {
            break;
        }
    }
    body
}

impl Incoming {
    /// All deltas, then `Finish` or an error.
    pub(crate) fn deltas(self) -> impl Stream<Item = Result<Delta, Error>> + Send {
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

    /// How long to wait for the next bytes.
    fn allowance(&self) -> Duration {
        if self.decoding.is_complete() {
            let grace = if self.decoding.has_surely_ended() { GRACE_PERIOD } else { DOUBTFUL_GRACE_PERIOD };
            return grace.saturating_sub(self.waited);
        }
        let silence = if self.opening.could_be_all() { GRACE_PERIOD.min(self.timeout) } else { self.timeout };
        silence.min(self.timeout.saturating_mul(KEEP_ALIVE_FACTOR).saturating_sub(self.waited))
    }

    /// Takes the next bytes. Deltas that came before an error are handed out before it.
    async fn receive(&mut self) {
        let (since, allowance) = (Instant::now(), self.allowance());
        // Without the check, bytes that are always ready would never time out.
        let next = if allowance.is_zero() { None } else { tokio::time::timeout(allowance, self.response.chunk()).await.ok() };
        let received = match next {
            Some(Ok(Some(bytes))) => self.push(&bytes),
            Some(Ok(None)) => self.over(error::cut),
            // A connection that breaks after all has been said costs nothing.
            Some(Err(error)) => self.over(|service| unreachable(&error, service)),
            None if allowance < self.timeout => {
                self.over(|service| error::silent(service, "sent signs of life and nothing of an answer for too long"))
            }
            None => self.over(|service| error::silent(service, "sent nothing for too long")),
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

    /// Nothing more will come: the answer is complete, or there is an error.
    fn over(&mut self, error: impl FnOnce(&str) -> Error) -> Result<(), Error> {
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
