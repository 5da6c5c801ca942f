//! Answers HTTP requests: the guard first, then by path and method.

use std::sync::Arc;

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
};
use soketto::handshake::http::is_upgrade_request;

use super::{
    assets::{Asset, CONTENT_SECURITY_POLICY, asset},
    client_view::ClientView,
    guard::{Refusal, parameter},
    post::post,
    response::{Reply, empty, json, plain, with},
    site::{RemotePeer, Site},
    token::Token,
    websocket,
};
use crate::{project::directory, rpc::error::Error, serve::answer, stdx::paths::AbsPath};

/// Answers a request.
pub async fn respond(site: Arc<Site>, peer: RemotePeer, request: Request<Incoming>) -> Reply {
    let view = ClientView::see(request.headers(), request.uri(), site.secure, peer.address, site.options.trust_forwarded);
    if let Err(refusal) = site.guard.look(&view, request.headers()) {
        tracing::info!(client = %view.client, host = ?request.headers().get(header::HOST), origin = ?request.headers().get(header::ORIGIN), "{refusal}");
        return refuse(&refusal);
    }
    // The origin is allowed to see the answer.
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = route(site, peer, &view, request).await;
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

async fn route(site: Arc<Site>, peer: RemotePeer, view: &ClientView, request: Request<Incoming>) -> Reply {
    let Some(path) = request.uri().path().strip_prefix(site.options.base_path.as_str()).map(str::to_owned) else { return nothing_here() };
    let (method, reads) = (request.method(), matches!(*request.method(), Method::GET | Method::HEAD));
    match path.as_str() {
        "" | "/" if *method == Method::POST => match admit(&site, view, &request).await {
            Ok((_, directory)) => post(&site, directory, request).await,
            Err(response) => *response,
        },
        "" | "/" if *method == Method::GET && is_upgrade_request(&request) => match admit(&site, view, &request).await {
            Ok((token, directory)) => websocket::accept(&site, peer, token, directory, request),
            Err(response) => *response,
        },
        "" | "/" if *method == Method::OPTIONS && request.headers().contains_key(header::ORIGIN) => preflight(request.headers()),
        // The page refers to its files with relative paths.
        "" if reads => {
            let to = HeaderValue::from_str(&format!("{}{}/", view.prefix, site.options.base_path));
            to.map_or_else(|_| nothing_here(), |to| with(StatusCode::PERMANENT_REDIRECT, header::LOCATION, to))
        }
        "" | "/" if !reads => not_allowed("GET, HEAD, POST"),
        "/healthz" if reads => empty(StatusCode::OK),
        "/healthz" => not_allowed("GET, HEAD"),
        path => match asset(path) {
            Some(asset) if reads => page(&asset, request.headers()),
            Some(_) => not_allowed("GET, HEAD"),
            None => nothing_here(),
        },
    }
}

/// Checks the token, and resolves the directory of the client's requests.
async fn admit(site: &Site, view: &ClientView, request: &Request<Incoming>) -> Result<(Token, Option<AbsPath>), Box<Reply>> {
    let query = request.uri().query().unwrap_or_default();
    let token = site.guard.ask(request.headers(), query).await.map_err(|refusal| {
        if refusal != Refusal::NoToken {
            tracing::info!(client = %view.client, "{refusal}");
        }
        Box::new(refuse(&refusal))
    })?;
    let directory = match parameter(query, "directory") {
        Some(text) => directory::resolved(&text).await.map(Some),
        None => Ok(None),
    };
    let directory = directory.map_err(|error| {
        let error = Error::from(error);
        error.log();
        Box::new(json(StatusCode::BAD_REQUEST, answer::failure(None, &error)))
    })?;
    Ok((token, directory))
}

fn refuse(refusal: &Refusal) -> Reply {
    let mut response = plain(refusal.status(), &refusal.to_string());
    match refusal.status() {
        StatusCode::UNAUTHORIZED => {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"polytree\""));
        }
        StatusCode::TOO_MANY_REQUESTS => {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

fn nothing_here() -> Reply {
    plain(StatusCode::NOT_FOUND, "not found")
}

fn not_allowed(methods: &'static str) -> Reply {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, &format!("only {methods}"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// Answers a CORS preflight of an allowed origin.
fn preflight(headers: &HeaderMap) -> Reply {
    let mut response = with(StatusCode::NO_CONTENT, header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    let to = response.headers_mut();
    to.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    to.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if headers.contains_key("access-control-request-private-network") {
        to.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}

/// A file of the page. Browsers revalidate it each time, and it is sent only if it has changed.
fn page(asset: &Asset, headers: &HeaderMap) -> Reply {
    let tag = format!("\"{}\"", &blake3::hash(asset.body).to_hex()[..32]);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        with(StatusCode::OK, header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type))
            .map(|_| Bytes::from_static(asset.body).into())
    };
    let to = response.headers_mut();
    // A quoted hash is always a valid header value.
    to.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        to.insert(name, HeaderValue::from_static(value));
    }
    response
}
