//! Keys of model services: storing them, and where they come from. No method returns a key.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::provider::KeySource;

params! {
    /// Params of `auth.set`.
    AuthSetParams {
        /// The provider.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// The kind of key; `api` is the only one.
        #[serde(rename = "type")]
        kind: AuthKind,
        /// The key.
        key: KeyText,
    }
}

params! {
    /// Params of `auth.remove`.
    AuthRemoveParams {
        /// The provider.
        #[serde(rename = "providerID")]
        provider_id: String,
    }
}

params! {
    /// Params of `auth.list`.
    AuthListParams {}
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthKind {
    /// A key for the service's programming interface.
    #[default]
    Api,
}

/// Does not repeat what it refuses: a client that mixes up fields has put the key here.
impl<'de> Deserialize<'de> for AuthKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = secret_text(deserializer)?;
        if text == "api" { Ok(Self::Api) } else { Err(serde::de::Error::custom("the kind of key must be `api`")) }
    }
}

/// A key on its way. It prints as `***`, and what is no text is refused without being repeated.
#[derive(Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct KeyText(String);

impl KeyText {
    /// Takes a key.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        secret_text(deserializer).map(Self)
    }
}

/// A text; anything else is refused by a message that does not show it.
fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(serde::de::Error::custom("a text is expected")),
    }
}

/// A place that can hold a provider's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPlace {
    /// The kind of place.
    pub source: KeySource,
    /// The variable, where it is the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// Where a provider's keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthEntry {
    /// The provider's id.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The provider's name for people; its id where no provider of that id is known here.
    pub name: String,
    /// All places that hold a key for it; the first one is used.
    pub keys: Vec<KeyPlace>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_repeated() {
        for text in [
            r#"{"providerID": "a", "type": "sk-secret", "key": "api"}"#,
            r#"{"providerID": "a", "type": "api", "key": 123456789}"#,
            r#"{"providerID": "a", "type": "api", "key": ["sk-secret"]}"#,
            r#"{"providerID": "a", "type": {"sk-secret": 1}, "key": "k"}"#,
        ] {
            let error = serde_json::from_str::<AuthSetParams>(text).unwrap_err().to_string();
            assert!(!error.contains("secret") && !error.contains("123456789"), "{error}");
        }
        let params: AuthSetParams = serde_json::from_str(r#"{"providerID": "a", "type": "api", "key": "sk-secret"}"#).unwrap();
        assert!(!format!("{params:?}").contains("secret"));
        assert_eq!(params.key.expose(), "sk-secret");
    }
}
