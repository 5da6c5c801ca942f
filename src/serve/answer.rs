//! Answers as JSON-RPC messages: results, and errors with their kind, code and hint.

use std::borrow::Cow;

use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Id, Response, ResponsePayload};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    jsonrpc::{
        envelope,
        framing::{Frame, MESSAGE_LIMIT},
    },
    rpc::{call::too_large, error::Error},
};

/// An id as JSON; `null` without one.
pub fn id(id: Option<&envelope::Id>) -> Id<'_> {
    match id {
        None => Id::Null,
        Some(envelope::Id::Number(number)) => Id::Number(*number),
        Some(envelope::Id::Text(text)) => Id::Str(Cow::Borrowed(text)),
    }
}

/// The error object of the wire.
pub fn object(error: &Error) -> ErrorObjectOwned {
    ErrorObject::owned(error.kind().code(), error.message(), Some(error.data()))
}

/// The answer of a failed call; without an id it has `null`.
pub fn failure(request: Option<&envelope::Id>, error: &Error) -> Box<RawValue> {
    // Strings, numbers and structs of them can always be serialized.
    to_raw_value(&Response::new(ResponsePayload::<()>::error(object(error)), id(request))).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The answer to a call, or the error if it is over the limit.
pub fn success<T: Serialize + Clone>(request: Option<&envelope::Id>, result: &T, limit: usize) -> Box<RawValue> {
    match to_raw_value(&Response::new(ResponsePayload::success_borrowed(result), id(request))) {
        Ok(answer) if answer.get().len() <= limit => answer,
        Ok(_) => failure(request, &too_large(limit)),
        Err(error) => failure(request, &Error::internal(error)),
    }
}

/// The text of a frame, or the error answer to an invalid frame.
pub fn text(frame: Frame<'_>) -> Result<&str, Box<RawValue>> {
    let refuse = |request: Option<&envelope::Id>, error: &Error| {
        error.log();
        Err(failure(request, error))
    };
    match frame {
        Frame::Message(bytes) => match str::from_utf8(bytes) {
            // Some programs send a byte order mark first.
            Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => refuse(None, &Error::parse(format!("the message is not UTF-8: {error}"))),
        },
        Frame::TooLarge(request) => refuse(request, &Error::too_large("the message is too large", MESSAGE_LIMIT as u64)),
        Frame::BadHeaders => refuse(None, &Error::parse("the headers of the message have no usable `Content-Length`")),
        Frame::Truncated => refuse(None, &Error::parse("the input ended within a message")),
    }
}
