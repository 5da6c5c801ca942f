//! What a wire protocol has to say about itself. Everything else that models need is the same for all of them.

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

    /// Whether other services offer it too. One that only its maker offers is not used at a base URL elsewhere, unless
    /// the settings name it.
    fn is_widely_offered(&self) -> bool {
        true
    }

    /// The packages by which models.dev names the services that offer it.
    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    /// The path below the base URL for that model.
    fn path(&self, model: &str) -> Cow<'static, str>;

    /// The query of the URL.
    fn query(&self) -> Option<&'static str> {
        None
    }

    /// The header that carries the key, and what stands before the key in it.
    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    /// Headers of the protocol's own.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The body of a request.
    fn body(&self, request: &ModelRequest, address: &Address) -> Map<String, Value>;

    /// Changes a body that the service has refused with status 400 and this message; false when nothing can be changed.
    /// A changed body is sent once more.
    fn amend(&self, _body: &mut Map<String, Value>, _message: &str) -> bool {
        false
    }

    /// How the bytes of an answer are divided.
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// A decoder for one answer.
    fn decoder(&self) -> Box<dyn Decode>;

    /// The variants of a model that thinks: by name, the fields of the body that choose how much.
    fn variants(&self, model: &Model) -> Variants;

    /// The fields of the body that make a model call one of its tools, none where the protocol or the request allows none.
    /// Not every service obeys them.
    fn forced_call(&self, _options: &Map<String, Value>, _model: &Model) -> Map<String, Value> {
        Map::new()
    }

    /// What the tests of all protocols know of this one.
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
