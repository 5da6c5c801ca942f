//! Tokens of a model call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens, as the provider counted them; `input` excludes what came from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Read, not from the cache.
    pub input: u64,
    /// Written, without the thinking.
    pub output: u64,
    /// Thought.
    pub reasoning: u64,
    /// The provider's cache.
    pub cache: CacheTokens,
}

/// Tokens of the provider's prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CacheTokens {
    /// Read from it.
    pub read: u64,
    /// Written to it.
    pub write: u64,
}
