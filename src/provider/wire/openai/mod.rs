//! `OpenAI` Chat Completions, and everything that is compatible with it.

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

pub(crate) const WIRE: &dyn Wire = &ChatCompletions;

struct ChatCompletions;

impl Wire for ChatCompletions {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn base_url(&self) -> &'static str {
        "https://api.openai.com/v1"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["@ai-sdk/openai-compatible", "@ai-sdk/openai"]
    }

    fn path(&self, _: &str) -> Cow<'static, str> {
        "chat/completions".into()
    }

    fn body(&self, request: &ModelRequest, address: &Address) -> Map<String, Value> {
        streamed(body::body(request, address))
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::<stream::Decoder>::default()
    }

    fn variants(&self, model: &Model) -> Variants {
        named(efforts(model), |effort| json!({ "reasoning_effort": effort }))
    }

    fn forced_call(&self, _: &Map<String, Value>, _: &Model) -> Map<String, Value> {
        object(json!({ "tool_choice": "required" }))
    }

    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column {
        recorded::column()
    }
}
