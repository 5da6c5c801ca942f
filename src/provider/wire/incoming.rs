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

/// The longest error body that is read, in bytes.
const LONGEST_ERROR: usize = 256 * 1024;
/// After the service has said why its answer ends, it has so long for the usage and the end of the stream. The same for
/// what follows a text that is no answer.
const GRACE: Duration = Duration::from_secs(3);
/// The same where content has come with the reason or after it: Gemini ends so, and some services name a reason in every
/// chunk.
const DOUBTFUL_GRACE: Duration = Duration::from_secs(6);
/// Signs of life that add nothing to the answer keep it for this many times the longest silence.
const SIGNS_OF_LIFE: u32 = 2;

/// An answer that is coming in.
pub(crate) struct Incoming {
    response: Response,
    decoding: Decoding,
    /// The longest silence.
    patience: Duration,
    /// Rings at the end of it, or before.
    clock: Pin<Box<Sleep>>,
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
pub(crate) async fn open(request: RequestBuilder, wire: &dyn Wire, patience: Duration, service: String) -> Result<Incoming, Error> {
    let sent = tokio::time::timeout(patience, request.send()).await;
    let response = sent.map_err(|_| error::silent(&service, "did not answer in time"))?.map_err(|error| unreachable(&error, &service))?;
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(refused_by_proxy(&service));
    }
    if !response.status().is_success() {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = error_body(response, patience).await;
        return Err(error::from_status(status, &String::from_utf8_lossy(&body), &headers));
    }
    let clock = Box::pin(tokio::time::sleep(patience));
    let (decoding, opening) = (Decoding::new(wire.framing(), wire.decoder()), Opening::default());
    Ok(Incoming { response, decoding, patience, clock, progress: 0, waited: Duration::ZERO, opening, service, end: None, ended: false })
}

/// As much of an error's body as comes in time; what is missing costs only words.
async fn error_body(mut response: Response, patience: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let until = Instant::now() + patience;
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout_at(until, response.chunk()).await {
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

/// Waits for the next bytes. The clock is set again only when it has rung or would ring too late: that is costly to do
/// for each delta.
async fn in_time<T>(clock: &mut Pin<Box<Sleep>>, until: Instant, next: impl Future<Output = T>) -> Result<T, Silent> {
    let mut next = pin!(next);
    if clock.deadline() > until {
        clock.as_mut().reset(until);
    }
    loop {
        tokio::select! {
            biased;
            next = &mut next => return Ok(next),
            () = &mut *clock => {
                if Instant::now() >= until {
                    return Err(Silent);
                }
                clock.as_mut().reset(until);
            }
        }
    }
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
            let grace = if self.decoding.has_surely_ended() { GRACE } else { DOUBTFUL_GRACE };
            return grace.saturating_sub(self.waited);
        }
        let silence = if self.opening.could_be_all() { GRACE.min(self.patience) } else { self.patience };
        silence.min(self.patience.saturating_mul(SIGNS_OF_LIFE).saturating_sub(self.waited))
    }

    /// Takes the next bytes. Deltas that came before an error are handed out before it.
    async fn receive(&mut self) {
        let (since, allowance) = (Instant::now(), self.allowance());
        // Bytes that are always ready must not keep the clock from being looked at.
        let next = if allowance.is_zero() { Err(Silent) } else { in_time(&mut self.clock, since + allowance, self.response.chunk()).await };
        let received = match next {
            Ok(Ok(Some(bytes))) => self.push(&bytes),
            Ok(Ok(None)) => self.over(error::cut),
            // A connection that breaks after all has been said costs nothing.
            Ok(Err(error)) => self.over(|service| unreachable(&error, service)),
            Err(Silent) if allowance < self.patience => {
                self.over(|service| error::silent(service, "sent signs of life and nothing of an answer for too long"))
            }
            Err(Silent) => self.over(|service| error::silent(service, "sent nothing for too long")),
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
