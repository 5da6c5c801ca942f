//! `OpenAI` Responses.

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
        variants::{Variants, efforts, named, object},
    },
};

pub(crate) const WIRE: &dyn Wire = &Responses;

struct Responses;

impl Wire for Responses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn base_url(&self) -> &'static str {
        "https://api.openai.com/v1"
    }

    fn is_widely_offered(&self) -> bool {
        false
    }

    fn path(&self, _: &str) -> Cow<'static, str> {
        "responses".into()
    }

    fn body(&self, request: &ModelRequest, address: &Address) -> Map<String, Value> {
        streamed(body::body(request, address))
    }

    /// Summaries of thinking need a verified organisation; without them the answer is the same.
    fn amend(&self, body: &mut Map<String, Value>, message: &str) -> bool {
        let message = message.to_lowercase();
        if !message.contains("reasoning summaries") && !message.contains("reasoning.summary") {
            return false;
        }
        if let Some(Value::Object(reasoning)) = body.get_mut("reasoning") {
            reasoning.shift_remove("summary");
        }
        true
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::<stream::Decoder>::default()
    }

    fn variants(&self, model: &Model) -> Variants {
        named(efforts(model), |effort| json!({ "reasoning": { "effort": effort, "summary": "auto" } }))
    }

    fn forced_call(&self, _: &Map<String, Value>, _: &Model) -> Map<String, Value> {
        object(json!({ "tool_choice": "required" }))
    }

    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column {
        recorded::column()
    }
}
