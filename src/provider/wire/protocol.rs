//! The trait for wire protocols: all that differs between them.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
};

use polytree_protocol::provider::Model;
use serde_json::{Map, Value};

use crate::provider::{
    definition::ModelRequest,
    http::address::Address,
    wire::{
        decode::{Decode, frames::Framing},
        variants::Variants,
    },
};

/// A wire protocol. Each has a folder beside this file and an entry in [`ALL`](super::ALL).
pub(crate) trait Wire: Send + Sync {
    /// The name in the settings (`provider.ID.api`).
    fn name(&self) -> &'static str;

    /// The base URL of the service that the protocol was made for.
    fn base_url(&self) -> &'static str;

    /// Whether other services offer it too. If not, it is not used at another base URL unless the settings name it.
    fn is_widely_offered(&self) -> bool {
        true
    }

    /// The npm packages by which models.dev marks services with this protocol.
    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    /// The path relative to the base URL.
    fn path(&self, model: &str) -> Cow<'static, str>;

    /// The query of the URL.
    fn query(&self) -> Option<&'static str> {
        None
    }

    /// The header for the key, and the prefix of its value.
    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    /// Additional headers of the protocol.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The body of a request.
    fn body(&self, request: &ModelRequest, address: &Address) -> Map<String, Value>;

    /// Changes a body that the service has rejected with status 400 and this message, to send it once more; false if
    /// nothing can be changed.
    fn amend(&self, _body: &mut Map<String, Value>, _message: &str) -> bool {
        false
    }

    /// The framing of answers.
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// A decoder for one answer.
    fn decoder(&self) -> Box<dyn Decode>;

    /// The variants of a thinking model: by name, the fields of the body that choose the effort.
    fn variants(&self, model: &Model) -> Variants;

    /// The fields of the body that force a tool call; empty if the protocol or the request does not support it. Not
    /// every service obeys them.
    fn forced_call(&self, _options: &Map<String, Value>, _model: &Model) -> Map<String, Value> {
        Map::new()
    }

    /// The test data of this protocol.
    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column;
}

impl fmt::Debug for dyn Wire + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Wire + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Wire + '_ {}

impl Hash for dyn Wire + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
