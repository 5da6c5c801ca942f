//! Answers as text: results within the limit, errors with their word, number and hint.

use std::{borrow::Cow, error::Error as _, sync::Arc};

use jsonrpsee::{
    MethodResponse, ResponsePayload,
    types::{ErrorObject, ErrorObjectOwned, Id, error::OVERSIZED_RESPONSE_CODE},
};
use polytree_protocol::errors::ErrorKind;
use serde::Serialize;

use crate::{
    api::error::Error,
    jsonrpc::{
        envelope,
        framing::{Frame, MESSAGE_LIMIT},
    },
};

/// An id as jsonrpsee has it; none is `null`.
pub fn id(id: Option<&envelope::Id>) -> Id<'static> {
    match id {
        None => Id::Null,
        Some(envelope::Id::Number(number)) => Id::Number(*number),
        Some(envelope::Id::Text(text)) => Id::Str(Cow::Owned(text.to_string())),
    }
}

/// The error object of the wire.
pub fn object(error: &Error) -> ErrorObjectOwned {
    ErrorObject::owned(error.kind().code(), error.message(), Some(error.data()))
}

/// The answer of a failed call; what clients are not told goes to the log.
pub fn failure(id: Id<'_>, error: &Error) -> MethodResponse {
    log(error);
    MethodResponse::error(id, object(error))
}

/// Notes a failure: a defect loudly, a refusal softly.
pub fn log(error: &Error) {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(cause = causes(error), "{error}");
    } else {
        tracing::debug!(kind = error.kind().word(), cause = causes(error), "{error}");
    }
}

fn causes(error: &Error) -> String {
    let mut next = error.source();
    let mut text = Vec::new();
    while let Some(cause) = next {
        text.push(cause.to_string());
        next = cause.source();
    }
    text.join(": ")
}

/// The answer of a call. The result is written once, and not further than the limit.
pub fn success<T: Serialize>(id: Id<'_>, result: T, limit: usize) -> MethodResponse {
    // Shared, because jsonrpsee asks for a value that can be cloned.
    let response = MethodResponse::response(id.clone(), ResponsePayload::success(Arc::new(result)), limit);
    if response.as_error_code() == Some(OVERSIZED_RESPONSE_CODE) {
        return failure(id, &too_large(limit));
    }
    response
}

/// An answer over the limit.
pub fn too_large(limit: usize) -> Error {
    Error::too_large("the answer is too large", limit as u64).hint("ask for less at once")
}

/// The text of a message, or the answer that a frame without any deserves.
pub fn text(frame: Frame<'_>) -> Result<&str, MethodResponse> {
    match frame {
        Frame::Message(bytes) => match str::from_utf8(bytes) {
            // Some write a byte order mark before what they send.
            Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => Err(failure(Id::Null, &Error::parse(format!("the message is not UTF-8: {error}")))),
        },
        Frame::TooLarge(request) => Err(failure(id(request), &Error::too_large("the message is too large", MESSAGE_LIMIT as u64))),
        Frame::BadHeaders => Err(failure(Id::Null, &Error::parse("the headers of the message have no usable `Content-Length`"))),
        Frame::Truncated => Err(failure(Id::Null, &Error::parse("the input ended within a message"))),
    }
}
