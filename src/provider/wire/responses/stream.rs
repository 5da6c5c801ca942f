//! Decodes the stream of the Responses protocol. Pure.
//!
//! It does not use genai, whose decoder copies all arguments of a call again with each fragment, drops refusals, error
//! codes and the reason of an incomplete answer, and returns signatures only after everything else.

use std::borrow::Cow;

use polytree_protocol::message::{CacheTokens, Tokens};
use serde_json::json;

use crate::provider::{
    definition::FinishReason,
    wire::decode::{
        Decode, Fault,
        answer::{Answer, reason},
        calls::Fragment,
        frames::{Flow, Frame},
        json::Json,
    },
};

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The current part of a summary: parts are paragraphs.
    part: Option<(u64, u64)>,
    /// Text was streamed, so events that repeat it as a whole are ignored.
    has_text: bool,
}

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        // Repetitions of streamed content.
        if matches!(frame.event, Some("response.output_text.done" | "response.content_part.done" | "response.reasoning_summary_text.done"))
        {
            return Ok(Flow::Continue);
        }
        let [kind, delta, output_index, summary_index, item, response, object, error] =
            json.fields(["type", "delta", "output_index", "summary_index", "item", "response", "object", "error"]);
        let index = output_index.count().unwrap_or(0);
        let kind = kind.name();
        let is_response = object.name() == "response";
        match if kind.is_empty() && !is_response { frame.event.unwrap_or_default() } else { kind.as_ref() } {
            "response.output_text.delta" => {
                self.has_text = true;
                answer.text(delta.text());
            }
            "response.refusal.delta" => {
                self.has_text = true;
                answer.refusal(delta.text());
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let part = (index, summary_index.count().unwrap_or(0));
                let begins = self.part.is_some_and(|last| last.0 == part.0 && last != part);
                answer.reasoning(if begins { delta.text().with_prefix("\n\n") } else { delta.text() });
                self.part = Some(part);
            }
            "response.function_call_arguments.delta" => {
                let mut fragment = Fragment { index: Some(index), ..Fragment::default() };
                fragment.set_arguments(delta);
                answer.fragment(fragment);
            }
            "response.output_item.added" if item.field("type").name() == "function_call" => Self::call(index, item, false, answer),
            "response.output_item.done" => self.item(index, item, answer),
            kind @ ("response.completed" | "response.incomplete" | "response.failed" | "response.done") => {
                return self.end(kind, response, answer);
            }
            "" if is_response => return self.end("", json, answer),
            "error" => return Err(Fault::Said(json.value())),
            "" if error.is_truthy() => return Err(Fault::Said(json.value())),
            _ => {}
        }
        Ok(Flow::Continue)
    }

    fn knows(&self, event: &str) -> bool {
        event == "error" || event.starts_with("response.")
    }
}

impl Decoder {
    /// The start of a call, or the complete call; streamed fragments override the repetition.
    fn call(index: u64, item: Json<'_>, done: bool, answer: &mut Answer) {
        let [id, name, arguments] = item.fields(["call_id", "name", "arguments"]);
        let mut fragment = Fragment { index: Some(index), id: id.word(), name: name.word(), ..Fragment::default() };
        if done {
            fragment.whole = arguments.arguments();
        } else {
            fragment.set_arguments(arguments);
        }
        answer.fragment(fragment);
    }

    fn item(&mut self, index: u64, item: Json<'_>, answer: &mut Answer) {
        let [kind, signature, content] = item.fields(["type", "encrypted_content", "content"]);
        match kind.name().as_ref() {
            "function_call" => Self::call(index, item, true, answer),
            "reasoning" => answer.signature(signature.name().into_owned()),
            "message" if !self.has_text => {
                for content in content.objects() {
                    let [kind, text, refusal] = content.fields(["type", "text", "refusal"]);
                    match kind.name().as_ref() {
                        "output_text" => answer.text(text.text()),
                        "refusal" => answer.refusal(refusal.text()),
                        _ => {}
                    }
                }
                self.has_text = true;
            }
            _ => {}
        }
    }

    /// The final event. Missing fields of the response are derived from the event's type.
    fn end(&mut self, kind: &str, response: Json<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        let [status, error, details, output, usage] = response.fields(["status", "error", "incomplete_details", "output", "usage"]);
        if usage.is_object() {
            answer.tokens = tokens(usage);
        }
        let status = match status.name() {
            status if status.is_empty() => Cow::Borrowed(kind.trim_start_matches("response.")),
            status => status,
        };
        if status == "failed" || error.is_truthy() {
            let missing = || json!({"code": "server_error", "message": "the service gave the answer up"});
            return Err(Fault::Said(json!({ "error": if error.is_truthy() { error.value() } else { missing() } })));
        }
        // Some services send only the final event, or a response without streaming.
        if !answer.has_content() {
            for (index, item) in (0..).zip(output.objects()) {
                self.has_text = false;
                self.item(index, item, answer);
            }
        }
        let word = if details.is_object() { details.field("reason").name() } else { details.name() };
        answer.set_reason(match (status.as_ref(), word.as_ref()) {
            // The output limit is the usual reason, and the only one after which an answer can be continued.
            ("incomplete", "") => FinishReason::Length,
            ("incomplete", word) => reason(word),
            ("cancelled", _) => FinishReason::Other,
            _ => FinishReason::Stop,
        });
        Ok(Flow::Stop)
    }
}

fn tokens(usage: Json<'_>) -> Tokens {
    let [input, output, input_details, output_details] =
        usage.fields(["input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"]);
    let [read, write] = input_details.fields(["cached_tokens", "cache_write_tokens"]).map(|count| count.count().unwrap_or(0));
    let reasoning = output_details.field("reasoning_tokens").count().unwrap_or(0);
    Tokens {
        input: input.count().unwrap_or(0).saturating_sub(read + write),
        output: output.count().unwrap_or(0).saturating_sub(reasoning),
        reasoning,
        cache: CacheTokens { read, write },
    }
}
