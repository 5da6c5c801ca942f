//! The settings file, field by field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Params of `config.get`.
    ConfigGetParams {}
}

/// The settings of a directory, merged from all files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model for prompts, as `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}
