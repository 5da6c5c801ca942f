//! Reads the stream of the Responses protocol. Pure.
//!
//! Not read by genai, whose decoder copies all arguments of a call again with each piece, drops refusals, the code of a
//! failure and the reason of an answer that stays incomplete, and gives signatures only after everything else.

use std::borrow::Cow;

use polytree_protocol::message::{CacheTokens, Tokens};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    definition::FinishReason,
    remote_answer::{Answer, reason},
    remote_calls::Fragment,
    remote_decode::{Decode, Fault, parse},
    remote_frames::{Frame, Wanted},
};

/// Reads events.
#[derive(Debug, Default)]
pub(super) struct ResponsesDecoder {
    /// The part of a summary that is being written: parts are paragraphs.
    part: Option<(u64, u64)>,
    /// Text has come in pieces, so that its repetition is none.
    has_text: bool,
}

/// All events in one: what an event does not have is absent.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    delta: Option<String>,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    item: Option<Item>,
    response: Option<Response>,
    // A response that came without streaming.
    object: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type", default)]
    kind: String,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    encrypted_content: Option<String>,
    content: Option<Vec<Content>>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    status: Option<String>,
    error: Option<Value>,
    incomplete_details: Option<Incomplete>,
    output: Option<Vec<Item>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl Decode for ResponsesDecoder {
    fn read(&mut self, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        // Repetitions of what has come in pieces; long, and nothing in them is new.
        if matches!(frame.event, Some("response.output_text.done" | "response.content_part.done" | "response.reasoning_summary_text.done"))
        {
            return Ok(Wanted::More);
        }
        let event: Event<'_> = parse(frame.data)?;
        match event.kind.as_ref() {
            "response.output_text.delta" => {
                self.has_text = true;
                answer.text(event.delta.unwrap_or_default());
            }
            "response.refusal.delta" => {
                self.has_text = true;
                answer.refusal(event.delta.unwrap_or_default());
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let part = (event.output_index.unwrap_or(0), event.summary_index.unwrap_or(0));
                let delta = event.delta.unwrap_or_default();
                let begins = self.part.is_some_and(|last| last.0 == part.0 && last != part);
                answer.reasoning(if begins { format!("\n\n{delta}") } else { delta });
                self.part = Some(part);
            }
            "response.function_call_arguments.delta" => {
                let index = Some(event.output_index.unwrap_or(0));
                answer.fragment(Fragment { index, arguments: event.delta.unwrap_or_default(), ..Fragment::default() });
            }
            "response.output_item.added" => {
                if let Some(item) = event.item.filter(|item| item.kind == "function_call") {
                    Self::call(event.output_index.unwrap_or(0), item, false, answer);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.item(event.output_index.unwrap_or(0), item, frame.shortened, answer);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.done" => {
                let response = event.response.ok_or_else(|| Fault::Malformed("an end without a response".to_owned()))?;
                return self.end(response, frame.shortened, answer);
            }
            "" if event.object.as_deref() == Some("response") => return self.end(parse(frame.data)?, frame.shortened, answer),
            "error" => return Err(Fault::Said(parse(frame.data)?)),
            "" if frame.event == Some("error") || frame.data.contains("\"error\"") => return Err(Fault::Said(parse(frame.data)?)),
            _ => {}
        }
        Ok(Wanted::More)
    }
}

impl ResponsesDecoder {
    /// A call's beginning, or the call as a whole, of which its pieces win over the repetition.
    fn call(index: u64, item: Item, done: bool, answer: &mut Answer) {
        let arguments = item.arguments.filter(|arguments| !arguments.is_empty());
        let (whole, arguments) = if done { (arguments, String::new()) } else { (None, arguments.unwrap_or_default()) };
        answer.fragment(Fragment { index: Some(index), id: item.call_id, name: item.name, arguments, whole, metadata: None });
    }

    /// A complete item.
    fn item(&mut self, index: u64, item: Item, shortened: bool, answer: &mut Answer) {
        match item.kind.as_str() {
            "function_call" if !shortened => Self::call(index, item, true, answer),
            // A cut signature would be refused; thinking without one is not sent back.
            "reasoning" if !shortened => answer.signature(item.encrypted_content.unwrap_or_default()),
            "message" if !shortened && !self.has_text => {
                for content in item.content.into_iter().flatten() {
                    match content.kind.as_str() {
                        "output_text" => answer.text(content.text.unwrap_or_default()),
                        "refusal" => answer.refusal(content.refusal.unwrap_or_default()),
                        _ => {}
                    }
                }
                self.has_text = true;
            }
            _ => {}
        }
    }

    fn end(&mut self, response: Response, shortened: bool, answer: &mut Answer) -> Result<Wanted, Fault> {
        if let Some(usage) = response.usage {
            answer.tokens = tokens(usage);
        }
        let status = response.status.unwrap_or_default();
        if status == "failed" || response.error.as_ref().is_some_and(|error| !error.is_null()) {
            let error = response.error.unwrap_or_else(|| json!({"code": "server_error", "message": "the service gave the answer up"}));
            return Err(Fault::Said(json!({ "error": error })));
        }
        // Some services send only the end, or a whole response.
        if !answer.has_spoken() {
            for (index, item) in (0..).zip(response.output.into_iter().flatten()) {
                self.has_text = false;
                self.item(index, item, shortened, answer);
            }
        }
        let word = response.incomplete_details.and_then(|details| details.reason);
        answer.ends(match (status.as_str(), word) {
            ("incomplete", Some(word)) => reason(&word),
            ("incomplete" | "cancelled", None) => FinishReason::Other,
            _ => FinishReason::Stop,
        });
        Ok(Wanted::Enough)
    }
}

fn tokens(usage: Usage) -> Tokens {
    let details = usage.input_tokens_details.unwrap_or_default();
    let cache = CacheTokens { read: details.cached_tokens.unwrap_or(0), write: details.cache_write_tokens.unwrap_or(0) };
    let reasoning = usage.output_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0);
    Tokens {
        input: usage.input_tokens.unwrap_or(0).saturating_sub(cache.read + cache.write),
        output: usage.output_tokens.unwrap_or(0).saturating_sub(reasoning),
        reasoning,
        cache,
    }
}
