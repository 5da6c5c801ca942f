//! What every part of the report needs: who asks, and a timeout.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use crate::{
    provider::{Keys, Secret},
    stdx::{
        paths::AbsPath,
        secrets::redact::{is_secret_name, redact},
    },
    tool::context::Environment,
};

/// The timeout of each part.
pub(super) const PART_TIMEOUT: Duration = Duration::from_millis(400);
/// The beginning of the text for a part that was not ready in time.
pub(super) const LATE: &str = "no answer";
/// The client that asks.
#[derive(Clone, Default)]
pub struct Asker {
    /// The connection.
    pub connection: Option<u64>,
    /// The directory whose settings are looked at; a real path.
    pub directory: Option<AbsPath>,
    /// The client's variables: which keys it has.
    pub environment: Environment,
    /// The stored keys, which never appear in a report.
    pub stored: Arc<Keys>,
}

impl Asker {
    /// The text without anything secret.
    pub(super) fn clean(&self, text: &str) -> String {
        let variables = self.environment.iter().filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value.as_str());
        redact(text, variables.chain(self.stored.values().map(Secret::expose)))
    }
}

/// Why a part is missing.
pub(super) enum Missing<E> {
    Late,
    Failed(E),
}

pub(super) async fn within<T, E: Display>(part: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match wait(part).await {
        Ok(value) => Ok(value),
        Err(Missing::Late) => Err(late()),
        Err(Missing::Failed(error)) => Err(error.to_string()),
    }
}

pub(super) async fn wait<T, E>(part: impl Future<Output = Result<T, E>>) -> Result<T, Missing<E>> {
    match tokio::time::timeout(PART_TIMEOUT, part).await {
        Ok(result) => result.map_err(Missing::Failed),
        Err(_) => Err(Missing::Late),
    }
}

pub(super) fn late() -> String {
    format!("{LATE} within {} ms", PART_TIMEOUT.as_millis())
}

/// Whether a part is missing only because it took too long, which says nothing about the thing itself.
pub(super) fn is_late(error: &str) -> bool {
    error.starts_with(LATE)
}
