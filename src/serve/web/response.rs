//! Responses with their headers.

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::value::RawValue;

/// A response whose body is in memory.
pub type Reply = Response<Full<Bytes>>;

/// A response without a body.
pub fn empty(status: StatusCode) -> Reply {
    with_body(status, Bytes::new())
}

/// A response without a body, with one header.
pub fn with(status: StatusCode, name: HeaderName, value: HeaderValue) -> Reply {
    let mut response = empty(status);
    response.headers_mut().insert(name, value);
    response
}

/// A response with a plain text.
pub fn plain(status: StatusCode, text: &str) -> Reply {
    let mut response = with_body(status, format!("{text}\n"));
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    to.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response with JSON.
pub fn json(status: StatusCode, message: Box<RawValue>) -> Reply {
    let mut response = with_body(status, String::from(Box::<str>::from(message)));
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    to.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    to.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn with_body(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
