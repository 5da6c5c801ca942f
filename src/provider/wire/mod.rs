//! The wire protocols of remote models, and the client for all of them.
//!
//! A protocol is a folder (`body` writes requests, `stream` reads answers, `recorded` contains its tests) that
//! implements [`Wire`](protocol::Wire), and an entry in [`ALL`]. Shared code: `body` and `media` for requests, `decode`
//! for answers, `error` for the errors of services, `remote` and `incoming` for the HTTP exchange.

mod body;
pub(crate) mod decode;
mod error;
mod incoming;
mod media;
mod opening;
pub(crate) mod protocol;
pub(crate) mod remote;
pub(crate) mod variants;

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;

#[cfg(test)]
pub(crate) mod tests;

use polytree_protocol::provider::Model;
use protocol::Wire;
use serde_json::{Map, Value};
use variants::Variants;

/// All wire protocols, in the order of messages.
pub(crate) const ALL: &[&dyn Wire] = &[openai::WIRE, responses::WIRE, anthropic::WIRE, gemini::WIRE, ollama::WIRE];

/// The protocol of unknown services.
pub(crate) const DEFAULT: &dyn Wire = openai::WIRE;

pub(crate) fn by_name(name: &str) -> Option<&'static dyn Wire> {
    ALL.iter().copied().find(|wire| wire.name() == name)
}

/// The protocol of services for which models.dev names this package.
pub(crate) fn by_package(package: &str) -> Option<&'static dyn Wire> {
    ALL.iter().copied().find(|wire| wire.packages().contains(&package))
}

/// The variants of a model over a protocol, in display order.
pub(crate) fn variants_of(api: &str, model: &Model) -> Variants {
    by_name(api).filter(|_| model.reasoning).map(|wire| wire.variants(model)).unwrap_or_default()
}

/// The fields of a request's body that force a tool call; empty if that is not supported. The caller must still expect
/// an answer without a call: not every service obeys.
pub fn forced_call(api: &str, options: &Map<String, Value>, model: &Model) -> Map<String, Value> {
    by_name(api).map(|wire| wire.forced_call(options, model)).unwrap_or_default()
}
