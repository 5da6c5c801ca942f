//! What is kept from tools, and how far the project is believed.

use super::private::PrivatePlaces;
use crate::stdx::secrets::known::KnownSecrets;

/// What holds for all tools of a turn, whatever the rules say.
#[derive(Debug, Default)]
pub struct Guard {
    /// Places that a person is asked about each time.
    pub private: PrivatePlaces,
    /// Keys that are taken out of results.
    pub secrets: KnownSecrets,
    /// The user trusts the project's files.
    pub trusted: bool,
}
