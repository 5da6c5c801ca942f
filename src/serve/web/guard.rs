//! Access checks: the `Host` header must be one of the listener's names (against DNS rebinding), a page must come from an
//! allowed origin (against other sites in the user's browser), and a client must send the token.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderValue},
};
use tokio::sync::Semaphore;

use super::{
    client_view::ClientView,
    host::{Host, Origin},
    options::Options,
    token::{self, Token, TokenFile},
};

/// The WebSocket sub-protocol.
pub const PROTOCOL: &str = "polytree.v1";

/// The sub-protocol with the token, for browsers, which cannot set headers for a WebSocket.
const TOKEN_PROTOCOL: &str = "polytree.token.";

/// The maximum number of delayed answers to wrong tokens; more are refused immediately.
const MAX_DELAYED_REFUSALS: usize = 16;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The `Host` header is not one of the listener's names.
    #[error("the Host header is not one of this listener's names; --allow-host adds one")]
    Host,
    /// The page's origin is not allowed.
    #[error("pages from this origin may not connect; --allow-origin adds one")]
    Origin,
    /// It has no token.
    #[error("a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN, or the sub-protocols polytree.v1, polytree.token.TOKEN")]
    NoToken,
    /// It has a wrong token.
    #[error("wrong token")]
    WrongToken,
    /// Too many requests have wrong tokens.
    #[error("too many wrong tokens; try again later")]
    TooManyWrong,
    /// The daemon cannot read its token.
    #[error("the daemon cannot read its token; its log has the details")]
    Unknown,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The access rules of one listener.
#[derive(Debug)]
pub struct Guard {
    origins: Vec<Origin>,
    hosts: Vec<Host>,
    tokens: TokenFile,
    wrong: Semaphore,
    delay: Duration,
}

impl Guard {
    /// The rules for a listener at this address. A wrong token is answered after `delay`.
    #[must_use]
    pub fn new(options: &Options, address: IpAddr, tokens: TokenFile, delay: Duration) -> Self {
        let mut hosts = options.hosts.clone();
        if !address.is_unspecified() {
            // DNS rebinding does not work with addresses: a page that was loaded from one comes from this listener.
            hosts.push(Host::at(address));
        }
        Self { origins: options.origins.clone(), hosts, tokens, wrong: Semaphore::new(MAX_DELAYED_REFUSALS), delay }
    }

    /// Checks host and origin.
    ///
    /// # Errors
    /// `Host` or `Origin`.
    pub fn look(&self, view: &ClientView, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = view.host.as_ref().ok_or(Refusal::Host)?;
        if !host.is_loopback() && !self.hosts.iter().any(|rule| rule.covers(host)) {
            return Err(Refusal::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().ok().and_then(Origin::parse).filter(|_| origins.next().is_none()).ok_or(Refusal::Origin)?;
        let allowed = origin.is(view.scheme, host) || self.origins.contains(&origin);
        if allowed { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// Checks the token. Waits if it is wrong, without delaying other requests.
    ///
    /// # Errors
    /// All but `Host` and `Origin`.
    pub async fn ask(&self, headers: &HeaderMap, query: &str) -> Result<Token, Refusal> {
        let token = self.tokens.current().map_err(|error| {
            tracing::error!("{error}");
            Refusal::Unknown
        })?;
        let shown = shown(headers, query).ok_or(Refusal::NoToken)?;
        if token.matches(&shown) {
            return Ok(token);
        }
        let _turn = self.wrong.try_acquire().map_err(|_| Refusal::TooManyWrong)?;
        tokio::time::sleep(self.delay).await;
        Err(Refusal::WrongToken)
    }

    /// Whether a client's token is still valid.
    #[must_use]
    pub fn holds(&self, token: &Token) -> bool {
        match self.tokens.current() {
            Ok(current) => current == *token,
            // A temporary read error does not disconnect the client.
            Err(token::Error::File { .. }) => true,
            Err(token::Error::Content { .. }) => false,
        }
    }
}

/// The client's token, from the first of the three ways that is present.
fn shown<'a>(headers: &'a HeaderMap, query: &'a str) -> Option<Cow<'a, str>> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        // A proxy may use basic authentication of its own.
        scheme.eq_ignore_ascii_case("bearer").then(|| Cow::Borrowed(token.trim()))
    });
    bearer
        .or_else(|| protocols(headers).find_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL)).map(Cow::Borrowed))
        .or_else(|| parameter(query, "token"))
}

/// The sub-protocols that a client offers.
pub fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// A parameter of the query.
#[must_use]
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
