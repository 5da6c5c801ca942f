//! How a failed model call is told to people and programs: a name, what the service said, and what to do about it. Pure.

use polytree_protocol::{
    message::{MessageError, MessageErrorData, MessageErrorName as Name},
    provider::ModelRef,
};

use super::repeats::Repeat;
use crate::{
    provider::{definition::Error as ModelError, retry},
    session::Error,
};

/// What is written on an answer whose model call has failed. `unset` says which variable of the provider's settings is not
/// set, if there is one.
pub(super) fn message_error(error: &ModelError, model: &ModelRef, unset: Option<&str>) -> MessageError {
    let ModelRef { provider_id: provider, model_id } = model;
    let (name, hint) = match error {
        ModelError::Credentials { .. } => {
            (Name::ProviderAuthError, Some(format!("check the key of provider {provider:?} in the environment or the settings")))
        }
        ModelError::Quota { .. } => {
            let hint = format!("check the plan and the credit of the account at provider {provider:?}, or use another model");
            (Name::QuotaExceededError, Some(hint))
        }
        ModelError::ModelNotFound { .. } => {
            let hint = format!(
                "`polytree models` names the models that are known; the service of {provider:?} knows no {model_id:?}, or not for this key"
            );
            (Name::ProviderModelNotFoundError, Some(hint))
        }
        ModelError::ContentFilter { .. } => {
            (Name::ContentFilterError, Some("put the request in other words, or use another model".to_owned()))
        }
        ModelError::ContextOverflow { .. } => {
            (Name::ContextOverflowError, Some("start a new session, or use a model with a longer context".to_owned()))
        }
        ModelError::Network { hint, .. } | ModelError::Unreachable { hint, .. } => (Name::ApiError, hint.clone()),
        ModelError::Empty { .. } => (Name::ApiError, Some("ask again in other words, or use another model".to_owned())),
        ModelError::Connection { .. } => (Name::ApiError, Some(format!("check the network and the address of provider {provider:?}"))),
        ModelError::Status { .. } | ModelError::Stream { .. } if is_overload(error) => {
            (Name::OverloadedError, Some("try again in some minutes, or use another model".to_owned()))
        }
        ModelError::Status { status: 429, retry_after, .. } => {
            let hint = match retry_after.map(|wait| wait.div_ceil(60_000)) {
                Some(minutes) if minutes > 1 => format!("the service wants to be left alone for {minutes} minutes; or use another model"),
                _ => "wait some minutes, or use another model".to_owned(),
            };
            (Name::RateLimitError, Some(hint))
        }
        ModelError::Status { .. } | ModelError::Stream { .. } => (Name::ApiError, None),
        ModelError::Request { .. } => (Name::UnknownError, None),
    };
    // A refused key, an address that is none or nobody's: that is why.
    let explains = matches!(
        error,
        ModelError::Credentials { .. }
            | ModelError::Request { .. }
            | ModelError::Unreachable { .. }
            | ModelError::Status { status: 400..=499, .. }
    );
    let hint = unset.filter(|_| explains).map(str::to_owned).or(hint);
    let status = if let ModelError::Status { status, .. } = error { Some(*status) } else { None };
    MessageError {
        data: MessageErrorData {
            message: error.to_string(),
            hint,
            provider_id: Some(provider.clone()),
            status_code: status,
            is_retryable: Some(retry::is_retryable(error)),
            model_id: (name == Name::ProviderModelNotFoundError).then(|| model_id.clone()),
            ..MessageErrorData::default()
        },
        name,
    }
}

/// What is written on the answer of a turn that is ended because the model repeats itself.
pub(super) fn repeat_error(repeat: &Repeat, model: &ModelRef) -> MessageError {
    let (name, message, hint) = match repeat {
        Repeat::Cut(times) => (
            Name::MessageOutputLengthError,
            format!("{model} reached its output limit in the middle of a tool call, {times} times in a row"),
            "ask for smaller steps, or raise the model's limit.output in the settings",
        ),
        Repeat::CutInTurn(times) => (
            Name::MessageOutputLengthError,
            format!("{model} reached its output limit in the middle of a tool call, {times} times in this turn"),
            "ask for smaller steps, or raise the model's limit.output in the settings",
        ),
        Repeat::Unusable(times) => (
            Name::UnknownError,
            format!("{model} made {times} answers in a row with tool calls that cannot be run"),
            "use another model, or ask in other words",
        ),
        Repeat::Same(tool, times) => (
            Name::UnknownError,
            format!("{model} called {tool} {times} times in a row with the same arguments"),
            "tell it what to do instead, or use another model",
        ),
    };
    let provider_id = Some(model.provider_id.clone());
    MessageError { name, data: MessageErrorData { message, hint: Some(hint.to_owned()), provider_id, ..MessageErrorData::default() } }
}

/// A service that says so, by its status or in words.
fn is_overload(error: &ModelError) -> bool {
    let says_so = |message: &str| message.to_lowercase().contains("overloaded");
    match error {
        ModelError::Status { status, message, .. } => *status == 529 || *status >= 500 && says_so(message),
        ModelError::Stream { message, retryable } => *retryable && says_so(message),
        _ => false,
    }
}

/// What is written on the answer of a turn that cannot begin.
pub(super) fn start_error(error: &Error) -> MessageError {
    let (name, hint) = match error {
        Error::UnknownModel { hint, .. } => (Name::ProviderModelNotFoundError, hint.clone()),
        Error::Credentials { hint, .. } => (Name::ProviderAuthError, hint.clone()),
        _ => (Name::UnknownError, None),
    };
    MessageError { name, data: MessageErrorData { message: error.to_string(), hint, ..MessageErrorData::default() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_name_and_most_a_hint() {
        let said = |message: &str| message.to_owned();
        let status = |status, message: &str, retry_after| ModelError::Status { status, message: said(message), retry_after };
        let told: String = [
            ModelError::Credentials { message: said("no") },
            ModelError::Quota { message: said("no") },
            ModelError::ModelNotFound { message: said("no") },
            ModelError::ContentFilter { message: said("no") },
            ModelError::ContextOverflow { message: said("no") },
            ModelError::Network { message: said("no"), hint: Some(said("do this")) },
            ModelError::Connection { message: said("no") },
            ModelError::Unreachable { message: said("no"), hint: Some(said("start it")) },
            ModelError::Empty { message: said("no") },
            status(529, "x", None),
            status(503, "The server is Overloaded", None),
            status(503, "x", None),
            status(429, "x", None),
            status(429, "x", Some(5_400_000)),
            status(400, "overloaded word", None),
            ModelError::Stream { message: said("Overloaded"), retryable: true },
            ModelError::Stream { message: said("overloaded operator"), retryable: false },
            ModelError::Request { message: said("no") },
        ]
        .iter()
        .map(|error| {
            let MessageError { name, data } = message_error(error, &ModelRef::parse("p/m").unwrap(), None);
            format!("{name:?} {:?} {:?}: {:.50}\n", data.status_code, data.is_retryable.unwrap(), data.hint.unwrap_or_default())
        })
        .collect();
        expect_test::expect![[r#"
            ProviderAuthError None false: check the key of provider "p" in the environment o
            QuotaExceededError None false: check the plan and the credit of the account at pr
            ProviderModelNotFoundError None false: `polytree models` names the models that are known;
            ContentFilterError None false: put the request in other words, or use another mod
            ContextOverflowError None false: start a new session, or use a model with a longer 
            ApiError None false: do this
            ApiError None true: check the network and the address of provider "p"
            ApiError None true: start it
            ApiError None true: ask again in other words, or use another model
            OverloadedError Some(529) true: try again in some minutes, or use another model
            OverloadedError Some(503) true: try again in some minutes, or use another model
            ApiError Some(503) true: 
            RateLimitError Some(429) true: wait some minutes, or use another model
            RateLimitError Some(429) true: the service wants to be left alone for 90 minutes;
            ApiError Some(400) false: 
            OverloadedError None true: try again in some minutes, or use another model
            ApiError None false: 
            UnknownError None false: 
        "#]]
        .assert_eq(&told);
        let unset = |error: &ModelError| message_error(error, &ModelRef::parse("p/m").unwrap(), Some("KEY is not set")).data.hint;
        assert_eq!(unset(&ModelError::Credentials { message: said("no") }).as_deref(), Some("KEY is not set"));
        assert_eq!(unset(&status(400, "no", None)).as_deref(), Some("KEY is not set"));
        assert_eq!(unset(&status(503, "x", None)), None);
    }
}
