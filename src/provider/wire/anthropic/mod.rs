//! Anthropic Messages.

mod body;
#[cfg(test)]
mod cells;
#[cfg(test)]
mod recorded;
mod stream;

use std::borrow::Cow;

use polytree_protocol::provider::Model;
use serde_json::{Map, Value, json};

use crate::provider::{
    definition::ModelRequest,
    http::address::Address,
    wire::{
        body::streamed,
        decode::Decode,
        protocol::Wire,
        variants::{Variants, budgets, named, object},
    },
};

pub(crate) const WIRE: &dyn Wire = &Messages;

struct Messages;

impl Wire for Messages {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn base_url(&self) -> &'static str {
        "https://api.anthropic.com/v1"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["@ai-sdk/anthropic"]
    }

    fn path(&self, _: &str) -> Cow<'static, str> {
        "messages".into()
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-api-key", "")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn body(&self, request: &ModelRequest, _: &Address) -> Map<String, Value> {
        streamed(body::body(request))
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::<stream::Decoder>::default()
    }

    fn variants(&self, model: &Model) -> Variants {
        if model.temperature {
            return budgets(model, |budget| json!({ "thinking": { "type": "enabled", "budget_tokens": budget } }));
        }
        // Models without a temperature choose the amount of thinking themselves, and have effort levels.
        let adaptive = |effort: &str| json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": effort } });
        named(&["low", "medium", "high", "max"], adaptive)
    }

    /// Thinking and a forced call exclude each other.
    fn forced_call(&self, options: &Map<String, Value>, model: &Model) -> Map<String, Value> {
        if !model.temperature || options.contains_key("thinking") {
            return Map::new();
        }
        object(json!({ "tool_choice": { "type": "any" } }))
    }

    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column {
        recorded::column()
    }
}
