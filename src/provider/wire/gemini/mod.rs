//! Gemini's `generateContent`.

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
        decode::Decode,
        protocol::Wire,
        variants::{Variants, budgets, named, object},
    },
};

pub(crate) const WIRE: &dyn Wire = &GenerateContent;

struct GenerateContent;

impl Wire for GenerateContent {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn base_url(&self) -> &'static str {
        "https://generativelanguage.googleapis.com/v1beta"
    }

    fn path(&self, model: &str) -> Cow<'static, str> {
        // Tuned models have a separate collection.
        let collection = if model.contains('/') { "" } else { "models/" };
        format!("{collection}{model}:streamGenerateContent").into()
    }

    /// Without it the answer is a single array.
    fn query(&self) -> Option<&'static str> {
        Some("alt=sse")
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-goog-api-key", "")
    }

    fn body(&self, request: &ModelRequest, _: &Address) -> Map<String, Value> {
        body::body(request)
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(stream::Decoder)
    }

    fn variants(&self, model: &Model) -> Variants {
        let thinking = |config: Value| json!({ "generationConfig": { "thinkingConfig": config } });
        if model.id.starts_with("gemini-2") {
            budgets(model, |budget| thinking(json!({ "thinkingBudget": budget, "includeThoughts": true })))
        } else {
            named(&["low", "medium", "high"], |level| thinking(json!({ "thinkingLevel": level, "includeThoughts": true })))
        }
    }

    fn forced_call(&self, _: &Map<String, Value>, _: &Model) -> Map<String, Value> {
        object(json!({ "toolConfig": { "functionCallingConfig": { "mode": "ANY" } } }))
    }

    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column {
        recorded::column()
    }
}
