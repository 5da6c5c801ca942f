//! One request to one host: its addresses are resolved here and judged, and only to those is a connection made. What is judged
//! is what is connected to, whatever a name server says a moment later.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use encoding_rs::{Encoding, UTF_8};
use reqwest::{
    StatusCode, Url,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION},
};

use super::address::is_public;
use crate::provider::use_ring;

/// The largest body, as it is after decompression.
pub const MAX_BODY: usize = 5 * 1024 * 1024;
/// Servers with more addresses than this are tried at the first ones.
const MAX_ADDRESSES: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ACCEPTED: &str = "text/markdown, text/html;q=0.9, application/xhtml+xml;q=0.9, text/plain;q=0.8, application/json;q=0.8, */*;q=0.1";

/// What a server has answered.
#[derive(Debug)]
pub enum Answer {
    /// It is elsewhere.
    Redirect(Url),
    Page(Page),
}

#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    /// The media type without parameters, in lower case; empty if there is none.
    pub kind: String,
    pub charset: Option<String>,
    pub body: Vec<u8>,
}

impl Page {
    /// The body as text. A byte order mark counts most, then the header, then what HTML says of itself, then UTF-8.
    pub fn text(&self) -> String {
        let named = |label: &str| Encoding::for_label(label.trim().as_bytes());
        let own = || if self.kind.contains("html") { named(&html_charset(&self.body)?) } else { None };
        let encoding = self.charset.as_deref().and_then(named).or_else(own).unwrap_or(UTF_8);
        // This looks at the mark.
        encoding.decode(&self.body).0.into_owned()
    }
}

/// What the first bytes of a page say in `<meta charset=…>` or in its older form.
fn html_charset(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(2048)]).to_ascii_lowercase();
    let after = head.split_once("charset=")?.1;
    let value: String =
        after.trim_start_matches(['"', '\'']).chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    Some(value).filter(|value| !value.is_empty())
}

/// The addresses of the URL's host. With `is_named` the user has named the host, so that they need not be public.
///
/// # Errors
/// A sentence for the model.
pub async fn addresses(url: &Url, is_named: bool) -> Result<Vec<SocketAddr>, String> {
    let host = url.host_str().ok_or("the URL has no host")?;
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let found: Vec<SocketAddr> = match literal {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => {
            let looked_up = tokio::net::lookup_host((host, port)).await;
            looked_up.map_err(|error| format!("the host {host} was not found: {error}"))?.take(MAX_ADDRESSES).collect()
        }
    };
    if found.is_empty() {
        return Err(format!("the host {host} has no address"));
    }
    // One that is not public refuses all: a name that leads to both kinds is made to lead astray.
    match found.iter().find(|address| !is_named && !is_public(address.ip())) {
        Some(private) => Err(format!(
            "{host} has the address {}, which is not one of the public internet. Such servers are reached only if the user's own settings have a `webfetch` rule that names the host, such as \"{}/*\": \"ask\". Tell the user if it is needed.",
            private.ip(),
            url.origin().ascii_serialization()
        )),
        None => Ok(found),
    }
}

/// Sends the request to one of these addresses and reads the answer.
///
/// # Errors
/// A sentence for the model.
pub async fn get(url: &Url, addresses: &[SocketAddr]) -> Result<Answer, String> {
    use_ring();
    let host = url.host_str().unwrap_or_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("polytree/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .gzip(true)
        // A proxy would look up the name by itself.
        .no_proxy()
        .resolve_to_addrs(host, addresses)
        .build()
        .map_err(|error| told(&error))?;
    let mut response = client.get(url.clone()).header(ACCEPT, ACCEPTED).send().await.map_err(|error| told(&error))?;
    let status = response.status();
    if status.is_redirection()
        && let Some(location) = response.headers().get(LOCATION)
    {
        let location = location.to_str().map_err(|_| "the server redirects to something that is no URL")?;
        return Ok(Answer::Redirect(url.join(location).map_err(|_| format!("the server redirects to {location:?}, which is no URL"))?));
    }
    let too_large = || format!("the answer has more than {} MiB, which is the limit", MAX_BODY / 1024 / 1024);
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let (kind, charset) = media_type(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer::Page(Page { status, kind, charset, body }))
}

fn media_type(headers: &HeaderMap) -> (String, Option<String>) {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    (kind, charset)
}

/// The error with its causes, without the URL, which the model knows.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "the server did not answer in time".to_owned() } else { "the request failed".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
