//! The shapes of errors in error bodies and in streams: finds the message and the codes, and detects whether JSON is an
//! error. Pure.

use serde_json::Value;

/// How deeply an error may be nested as JSON in strings.
const MAX_DEPTH: usize = 4;

/// The message in a body of any shape.
pub(crate) fn message_of(body: &Value) -> Option<String> {
    message_in(body, MAX_DEPTH)
}

fn message_in(body: &Value, depth: usize) -> Option<String> {
    let places = [
        "/error/message",
        "/error/error/message",
        "/message",
        "/error/msg",
        "/error/detail",
        "/error",
        "/detail/message",
        "/detail/error",
        "/detail",
        "/detail/0/msg",
        "/errors/0/message",
        "/errors/0",
        "/0/error/message",
        "/base_resp/status_msg",
        "/error_msg",
        "/errorMessage",
        "/error_description",
        "/error_message",
        "/msg",
        "/reason",
        "/error/code",
        "/error/type",
    ];
    let text = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let found = places.iter().find_map(|place| body.pointer(place).and_then(text));
    let outer = found.or_else(|| text(body).filter(|text| !text.starts_with('<')));
    // Gateways put the response of the actual service into a field, or into the message.
    let raw = ["/error/metadata/raw", "/metadata/raw"].iter().find_map(|place| body.pointer(place)).filter(|_| depth > 0);
    let inner = raw.and_then(|raw| unwrapped(raw, depth).or_else(|| text(raw).filter(|text| !text.starts_with('<'))));
    match (outer, inner) {
        (Some(outer), Some(inner)) if !outer.contains(&inner) => Some(format!("{outer}: {inner}")),
        (None, Some(inner)) => Some(inner),
        (Some(outer), _) => Some(unwrapped(&Value::String(outer.clone()), depth).unwrap_or(outer)),
        (None, None) => None,
    }
}

/// The message of an error that is JSON in a string.
fn unwrapped(value: &Value, depth: usize) -> Option<String> {
    let inner = parsed(value).filter(|_| depth > 0)?;
    message_in(&inner, depth - 1)
}

fn parsed(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => serde_json::from_str(text.trim()).ok(),
        Value::Object(_) | Value::Array(_) => Some(value.clone()),
        _ => None,
    }
}

/// All types and codes of an error body, separated by spaces.
pub(crate) fn code_of(body: &Value) -> String {
    let mut words = Vec::new();
    codes_in(body, MAX_DEPTH, &mut words);
    words.join(" ")
}

fn codes_in(body: &Value, depth: usize, words: &mut Vec<String>) {
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    let inner = error.get("error").filter(|error| error.is_object());
    for (place, field) in [(error, "type"), (error, "code"), (error, "status"), (error, "error_type"), (body, "code"), (body, "error_code")]
    {
        words.extend(place.get(field).and_then(code).filter(|word| !words.contains(word)));
    }
    words.extend(error.pointer("/metadata/error_type").and_then(code));
    // Prefixed, because its numbers have other meanings elsewhere.
    words.extend(body.pointer("/base_resp/status_code").and_then(code).map(|number| format!("base_resp:{number}")));
    if depth == 0 {
        return;
    }
    if let Some(inner) = inner {
        codes_in(inner, depth - 1, words);
    }
    for wrapped in [error.pointer("/metadata/raw"), error.get("message")].into_iter().flatten().filter_map(parsed) {
        codes_in(&wrapped, depth - 1, words);
    }
}

fn code(value: &Value) -> Option<String> {
    match value {
        Value::String(word) if word != "error" && !word.is_empty() => Some(word.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The kind of JSON in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A piece of an answer, or unknown.
    Piece,
    /// Only a message: an error if nothing follows.
    Message,
    Error,
}

/// Detects errors of any shape. JSON with fields of a protocol is left to that protocol.
pub(crate) fn shape(value: &Value) -> Shape {
    let Value::Object(object) = value else { return Shape::Piece };
    if value.pointer("/base_resp/status_code").and_then(Value::as_i64).is_some_and(|code| code != 0) {
        return Shape::Error;
    }
    let word = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let speaks = ["choices", "candidates", "done", "usage", "usageMetadata", "response", "delta", "item", "content_block"];
    let is_named = !word("type").is_empty() && !word("type").contains("error") || word("object").contains("chunk");
    if is_named || speaks.iter().any(|field| object.contains_key(*field)) {
        return Shape::Piece;
    }
    let says = |field: &str| match object.get(field) {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Object(inner)) => !inner.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    if matches!(word("status").to_ascii_lowercase().as_str(), "error" | "failed" | "failure") {
        return Shape::Error;
    }
    let fields = ["error", "detail", "errors", "error_msg", "errorMessage", "error_message", "error_description"];
    if fields.into_iter().any(says) {
        return Shape::Error;
    }
    if word("message").trim().is_empty() && word("msg").trim().is_empty() {
        return Shape::Piece;
    }
    let coded = ["code", "status", "statusCode", "status_code", "error_code", "success", "type", "object"];
    if coded.iter().any(|field| object.contains_key(*field)) { Shape::Error } else { Shape::Message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_messages_are_found() {
        for (body, expected) in [
            (json!({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}), "insufficient balance"),
            (json!({"code": 500, "msg": "busy", "success": false}), "busy"),
            (json!({"error_code": 336_501, "error_msg": "slow down"}), "slow down"),
            (json!({"detail": {"error": {"message": "x"}, "message": "gone"}}), "gone"),
            (json!({"errors": ["first"]}), "first"),
            (json!({"status": "error", "reason": "no worker"}), "no worker"),
            (json!({"error": {"message": "{\"error\":{\"message\":\"inner\"}}"}}), "inner"),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"message\":\"too long\"}}"}}}),
                "Provider returned error: too long",
            ),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "upstream died"}}}),
                "Provider returned error: upstream died",
            ),
            (json!({"error": {"message": "no", "metadata": {"raw": {"message": "object"}}}}), "no: object"),
            (json!({"error": {"message": "same", "metadata": {"raw": "same"}}}), "same"),
            (json!({"error": {"type": "overloaded_error"}}), "overloaded_error"),
        ] {
            assert_eq!(message_of(&body).as_deref(), Some(expected), "{body}");
        }
        let deep = (0..6).fold(json!({"message": "bottom"}), |inner, _| json!({"error": {"message": inner.to_string()}}));
        assert!(message_of(&deep).is_some());
    }

    #[test]
    fn codes_are_collected_from_all_levels() {
        let wrapped =
            json!({"error": {"code": 400, "metadata": {"raw": "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"}}});
        assert_eq!(code_of(&wrapped), "400 overloaded_error");
        assert_eq!(code_of(&json!({"base_resp": {"status_code": 1002}})), "base_resp:1002");
        assert_eq!(code_of(&json!({"code": "Arrearage", "message": "no"})), "arrearage");
    }

    #[test]
    fn errors_are_distinguished_from_pieces_of_an_answer() {
        for body in [
            json!({"detail": "Not authenticated"}),
            json!({"detail": [{"msg": "field required"}]}),
            json!({"code": 1113, "message": "no credit"}),
            json!({"code": 1001, "msg": "token expired", "success": false}),
            json!({"message": "Unauthorized", "statusCode": 401}),
            json!({"errors": [{"message": "bad"}]}),
            json!({"status": "error", "reason": "bad"}),
            json!({"error": "bad"}),
            json!({"error": {"metadata": {"raw": "bad"}}}),
            json!({"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "choices": null}),
            json!({"type": "invalid_request_error", "message": "bad"}),
        ] {
            assert_eq!(shape(&body), Shape::Error, "{body}");
        }
        for body in [
            json!({"type": "ping", "message": "still here"}),
            json!({"type": "message_start", "message": {"usage": {}}}),
            json!({"message": "text", "done": false}),
            json!({"choices": [{"delta": {}}], "base_resp": {"status_code": 0, "status_msg": ""}}),
            json!({"choices": [], "error": null}),
            json!({"message": {"content": ""}}),
            json!({"error": {}, "detail": "", "errors": []}),
            json!({"object": "chat.completion.chunk", "message": "x"}),
            json!({"status": "completed", "reason": "x"}),
            json!({"type": "response.failed", "status": "failed"}),
            json!({}),
            json!(["detail"]),
        ] {
            assert_eq!(shape(&body), Shape::Piece, "{body}");
        }
        assert_eq!(shape(&json!({"message": "loading"})), Shape::Message);
    }
}
