//! Converts failures of model services: status codes, error bodies, retry delays, broken connections. Pure.

mod causes;
pub(crate) mod shapes;

use std::time::UNIX_EPOCH;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{
    provider::{
        definition::Error,
        wire::error::{
            causes::{is_filtered, is_invalid_key, is_overflow, is_quota, is_rate_limit, is_temporary, is_unknown_model},
            shapes::{code_of, message_of},
        },
    },
    stdx::{text::ellipsis, time::now_ms},
};

const MAX_MESSAGE_CHARS: usize = 2000;

/// Redacts and truncates the message. In this order, so that no part of a key remains.
pub(crate) fn presentable(mut error: Error, redact: impl FnOnce(String) -> String) -> Error {
    let (Error::Credentials { message }
    | Error::Quota { message }
    | Error::ModelNotFound { message }
    | Error::ContentFilter { message }
    | Error::Network { message, .. }
    | Error::Status { message, .. }
    | Error::Connection { message }
    | Error::Unreachable { message, .. }
    | Error::Empty { message }
    | Error::ContextOverflow { message }
    | Error::Stream { message, .. }
    | Error::Request { message }) = &mut error;
    *message = ellipsis(&redact(std::mem::take(message)), MAX_MESSAGE_CHARS);
    error
}

/// The error of a stream that ended too early.
pub(crate) fn cut(service: &str) -> Error {
    Error::Connection { message: format!("the connection to {service} ended before the answer was complete") }
}

/// The error of a response that violates the protocol.
pub(crate) fn no_protocol(service: &str, detail: &str) -> Error {
    let message = format!("{service} sent something that is not its protocol: {detail}");
    Error::Stream { message, retryable: false }
}

/// The error of a timeout.
pub(crate) fn silent(service: &str, what: &str) -> Error {
    Error::Connection { message: format!("{service} {what}") }
}

/// Converts an HTTP error response.
pub(crate) fn from_status(status: u16, body: &str, headers: &HeaderMap) -> Error {
    let body = serde_json::from_str::<Value>(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    // Google responds to a streaming request with a list of one element.
    let body = match body {
        Value::Array(mut list) if list.len() == 1 => list.remove(0),
        body => body,
    };
    let reported = message_of(&body);
    let code = code_of(&body);
    let message = reported.clone().unwrap_or_else(|| match (status, location(headers)) {
        (300..400, Some(target)) => format!("the service answered with status {status} and points to {target}: set that as the base URL"),
        _ => format!("the service answered with status {status}"),
    });
    let reported = reported.unwrap_or_default();
    match status {
        402 => Error::Quota { message },
        400..=499 if is_quota(&code, &reported) => Error::Quota { message },
        // Temporary, although the status is not.
        400 | 422 if is_rate_limit(&code, &reported) && !is_overflow(&code, &reported) => Error::Stream { message, retryable: true },
        // Checked early: other causes have similar messages.
        400 | 422 | 500 | 502 | 503 if is_overflow(&code, &reported) => Error::ContextOverflow { message },
        400 | 403 if is_filtered(&code) => Error::ContentFilter { message },
        401 | 403 => Error::Credentials { message },
        400 | 429 if is_invalid_key(&code, &reported) => Error::Credentials { message },
        400 | 404 if is_unknown_model(&code, &reported) => Error::ModelNotFound { message },
        // A shorter history helps, as with too many tokens.
        413 => Error::ContextOverflow { message },
        _ => Error::Status { status, message, retry_after: retry_after(headers, now_ms()).or_else(|| retry_delay(&body)) },
    }
}

/// The retry delay in the body of Google's services, such as `17s`.
fn retry_delay(body: &Value) -> Option<u64> {
    let details = body.pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'))?;
    milliseconds(delay.parse::<f64>().ok()? * 1000.0)
}

fn location(headers: &HeaderMap) -> Option<&str> {
    headers.get("location")?.to_str().ok()
}

/// Converts an error that is an event of the stream, or its only content.
pub(crate) fn from_event(body: &Value) -> Error {
    let message = message_of(body).unwrap_or_else(|| format!("the service reported an error: {body}"));
    let code = code_of(body);
    if is_overflow(&code, &message) {
        return Error::ContextOverflow { message };
    }
    let refused = code.split(' ').any(|word| matches!(word, "authentication_error" | "permission_error" | "unauthorized" | "401" | "403"));
    if is_quota(&code, &message) {
        return Error::Quota { message };
    }
    if refused || is_invalid_key(&code, &message) {
        return Error::Credentials { message };
    }
    if is_filtered(&code) {
        return Error::ContentFilter { message };
    }
    if is_unknown_model(&code, &message) {
        return Error::ModelNotFound { message };
    }
    Error::Stream { retryable: is_temporary(&code, &message), message }
}

/// The error for a response that is not of the protocol at all: a web page, or a text.
pub(crate) fn from_text(service: &str, text: &str) -> Error {
    let text = text.trim();
    if !text.starts_with('<') {
        return from_event(&Value::String(text.to_owned()));
    }
    let title = title_of(text).map(|title| format!(" ({title:?})")).unwrap_or_default();
    Error::Network {
        message: format!("{service} answered with a web page instead of an answer of a model{title}"),
        hint: Some("check the base URL of the provider; a proxy or a login page on the way may have answered in its place".to_owned()),
    }
}

fn title_of(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find('<')?;
    let title = page[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then(|| ellipsis(&title, 100))
}

/// The retry delay in the headers, in milliseconds; `now` in milliseconds since 1970.
pub(crate) fn retry_after(headers: &HeaderMap, now: i64) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()).and_then(milliseconds) {
        return Some(wait);
    }
    let text = text("retry-after")?;
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds * 1000.0);
    }
    let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
    u64::try_from(at.saturating_sub(u128::try_from(now).unwrap_or(0))).ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is finite and not negative")]
fn milliseconds(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn status(code: u16, body: &Value) -> Error {
        from_status(code, &body.to_string(), &HeaderMap::new())
    }

    #[test]
    fn the_message_is_found_in_all_known_shapes() {
        for body in [
            json!({"error": {"message": "bad", "type": "invalid_request_error"}}),
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}),
            json!({"error": "bad"}),
            json!({"message": "bad"}),
            json!({"detail": "bad"}),
            json!({"detail": [{"msg": "bad"}]}),
            json!({"object": "error", "message": "bad", "code": 400}),
            json!("bad"),
        ] {
            assert_eq!(status(404, &body), Error::Status { status: 404, message: "bad".to_owned(), retry_after: None }, "{body}");
        }
        let html = from_status(502, "<html>Bad Gateway</html>", &HeaderMap::new());
        assert_eq!(html.to_string(), "the service answered with status 502");
        assert_eq!(from_status(503, " ", &HeaderMap::new()).to_string(), "the service answered with status 503");
    }

    #[test]
    fn keys_are_redacted_before_truncation() {
        let key = "sk-0123456789";
        let body = format!("{}{key}{}", "x".repeat(MAX_MESSAGE_CHARS - 7), "y".repeat(50));
        let error = presentable(from_status(500, &body, &HeaderMap::new()), |text| text.replace(key, "***"));
        assert_eq!(error.to_string().chars().count(), MAX_MESSAGE_CHARS);
        assert!(!error.to_string().contains("sk-"), "{error}");
    }

    #[test]
    fn overflow_is_recognised() {
        for message in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
            "the request exceeds the available context size. try increasing the context size",
        ] {
            assert!(matches!(status(400, &json!({"error": {"message": message}})), Error::ContextOverflow { .. }), "{message}");
        }
        let coded = json!({"error": {"message": "no", "type": "invalid_request_error", "code": "context_length_exceeded"}});
        assert!(matches!(status(400, &coded), Error::ContextOverflow { .. }));
        assert!(matches!(from_event(&coded), Error::ContextOverflow { .. }));
        assert!(matches!(
            status(413, &json!({"error": {"type": "request_too_large", "message": "too big"}})),
            Error::ContextOverflow { .. }
        ));
        assert!(matches!(status(400, &json!({"error": {"message": "unknown field"}})), Error::Status { status: 400, .. }));
        assert!(matches!(status(429, &json!({"error": {"message": "too many tokens per minute"}})), Error::Status { status: 429, .. }));
    }

    #[test]
    fn a_rate_limit_in_tokens_is_retried() {
        let message = "This request would exceed your organization's rate limit of 30,000 input tokens per minute";
        let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": message}});
        for code in [429, 503] {
            assert!(matches!(status(code, &body), Error::Status { .. }), "{code}");
        }
        for error in [from_event(&body), status(400, &body), from_event(&json!({"error": {"message": message}}))] {
            assert_eq!(error, Error::Stream { message: message.to_owned(), retryable: true });
        }
    }

    #[test]
    fn credentials_and_quota() {
        assert!(matches!(status(401, &json!({"error": {"message": "no key"}})), Error::Credentials { .. }));
        assert!(matches!(status(403, &json!({"error": {"message": "no"}})), Error::Credentials { .. }));
        let quota =
            json!({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}});
        assert!(matches!(status(429, &quota), Error::Quota { .. }));
        assert!(matches!(from_event(&quota), Error::Quota { .. }));
        assert!(matches!(status(400, &json!({"error": {"message": "Your credit balance is too low"}})), Error::Quota { .. }));
        assert!(matches!(status(402, &json!({"error": {"message": "pay"}})), Error::Quota { .. }));
        // A quota per minute is a rate limit.
        let limited = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for requests per minute",
            "details": [{"@type": "x"}, {"retryDelay": "17.5s"}]}});
        assert!(matches!(status(429, &limited), Error::Status { status: 429, retry_after: Some(17_500), .. }));
        assert!(matches!(from_event(&json!({"error": {"type": "authentication_error", "message": "no"}})), Error::Credentials { .. }));
    }

    #[test]
    fn unknown_models_and_filtered_contents() {
        for body in [
            json!({"error": {"message": "The model `x` does not exist or you do not have access to it.", "code": "model_not_found"}}),
            json!({"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}}),
            json!({"error": "model \"x\" not found, try pulling it first"}),
            json!({"error": {"code": 404, "message": "models/x is not found for API version v1beta", "status": "NOT_FOUND"}}),
        ] {
            assert!(matches!(status(404, &body), Error::ModelNotFound { .. }), "{body}");
        }
        assert!(matches!(status(404, &json!({"detail": "Not Found"})), Error::Status { status: 404, .. }));
        let filtered = json!({"error": {"message": "The response was filtered", "code": "content_filter"}});
        assert!(matches!(status(400, &filtered), Error::ContentFilter { .. }));
        assert!(matches!(from_event(&filtered), Error::ContentFilter { .. }));
    }

    #[test]
    fn errors_in_events_are_temporary_or_not() {
        let retryable = |body: Value| match from_event(&body) {
            Error::Stream { retryable, .. } => retryable,
            other => panic!("{other:?}"),
        };
        assert!(retryable(json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})));
        assert!(retryable(json!({"type": "error", "error": {"type": "api_error", "message": "x"}})));
        assert!(retryable(json!({"message": "x", "type": "server_error"})));
        assert!(retryable(json!({"message": "x", "code": 502})));
        assert!(retryable(json!({"message": "x", "code": "rate_limit_exceeded"})));
        assert!(!retryable(json!({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}})));
        assert!(!retryable(json!("just a text")));
        assert!(!retryable(json!({"message": "x", "code": 400})));
    }

    #[test]
    fn retry_delays() {
        let now = 784_111_000_000;
        assert_eq!(retry_after(&headers(&[("retry-after", "7")]), now), Some(7000));
        assert_eq!(retry_after(&headers(&[("retry-after", "0.5")]), now), Some(500));
        assert_eq!(retry_after(&headers(&[("retry-after-ms", "250"), ("retry-after", "7")]), now), Some(250));
        assert_eq!(retry_after(&headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), now), Some(777_000));
        assert_eq!(retry_after(&headers(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), now), Some(0));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")]), now), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "-3")]), now), None);
        assert_eq!(retry_after(&headers(&[("retry-after-ms", "NaN"), ("retry-after", "2")]), now), Some(2000));
    }

    proptest! {
        #[test]
        fn arbitrary_responses_do_not_panic(code in 100_u16..600, body in ".{0,300}") {
            let error = presentable(from_status(code, &body, &HeaderMap::new()), |text| text);
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(error.to_string().chars().count() <= MAX_MESSAGE_CHARS);
        }
    }
}
