//! Ollama's own `/api/chat`.

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
        decode::{Decode, frames::Framing},
        protocol::Wire,
        variants::{Variants, named},
    },
};

pub(crate) const WIRE: &dyn Wire = &Chat;

struct Chat;

impl Wire for Chat {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn base_url(&self) -> &'static str {
        "http://127.0.0.1:11434"
    }

    fn path(&self, _: &str) -> Cow<'static, str> {
        "api/chat".into()
    }

    fn body(&self, request: &ModelRequest, _: &Address) -> Map<String, Value> {
        streamed(body::body(request))
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(stream::Decoder)
    }

    fn variants(&self, _: &Model) -> Variants {
        let mut all = named(&["none"], |_| json!({ "think": false }));
        all.extend(named(&["low", "medium", "high"], |level| json!({ "think": level })));
        all
    }

    #[cfg(test)]
    fn column(&self) -> crate::provider::wire::tests::Column {
        recorded::column()
    }
}
