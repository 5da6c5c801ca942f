//! The client that asks for a report, and the timeout of each part.

use std::{sync::Arc, time::Duration};

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
/// How the error of a part begins that timed out.
pub(super) const TIMED_OUT: &str = "no answer";

/// The client that asks.
#[derive(Clone, Default)]
pub struct Requester {
    pub connection: Option<u64>,
    /// The directory whose settings are checked; a real path.
    pub directory: Option<AbsPath>,
    /// The client's variables: which keys it has.
    pub environment: Environment,
    /// The stored keys, which never appear in a report.
    pub stored: Arc<Keys>,
}

impl Requester {
    /// The text without secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        let variables = self.environment.iter().filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value.as_str());
        redact(text, variables.chain(self.stored.values().map(Secret::expose)))
    }
}
