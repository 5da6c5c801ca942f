//! How a message failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MessageErrorName {
    /// The key is missing or was refused.
    ProviderAuthError,
    /// The account has no credit left or is over its quota; waiting does not help.
    QuotaExceededError,
    /// The rate limit of the service was still exceeded after all retries.
    RateLimitError,
    /// The service was still overloaded after all retries.
    OverloadedError,
    /// The model service answered with an error, could not be reached, or its answer broke off.
    #[serde(rename = "APIError")]
    ApiError,
    /// The history is longer than the model's context.
    ContextOverflowError,
    /// The service refused the content.
    ContentFilterError,
    /// The answer was cut at the output limit.
    MessageOutputLengthError,
    /// The turn was aborted.
    MessageAbortedError,
    /// The daemon ended in mid-turn.
    MessageInterruptedError,
    /// The provider or model is not known.
    ProviderModelNotFoundError,
    /// The model gave no valid answer in the requested format; `retries` is how often it was asked again.
    StructuredOutputError,
    /// A limit of `spend` in the settings was reached; `limit` says which, `spent` how much.
    SpendLimitError,
    /// Anything else.
    UnknownError,
}

/// A limit of `spend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpendLimit {
    /// Of a session with its descendants.
    Session,
    /// Of all sessions of a day, in UTC.
    Day,
}

/// How a message failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageError {
    /// Which failure.
    pub name: MessageErrorName,
    /// What is known about it.
    pub data: MessageErrorData,
}

/// What is known about a failure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageErrorData {
    /// For people.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The provider.
    #[serde(default, rename = "providerID", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The HTTP status of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Whether trying again may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_retryable: Option<bool>,
    /// The model, where it is the one that is not known.
    #[serde(default, rename = "modelID", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// How often the model was asked again for an answer in the right form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The limit of `spend` that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<SpendLimit>,
    /// What was spent, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<f64>,
}
