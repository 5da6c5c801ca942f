//! Decodes the stream of Chat Completions, of OpenAI and of compatible services with their deviations. Pure.
//!
//! It does not use genai, whose decoder supports only calls with an index and string arguments, stops at the first
//! frame that is not JSON, and copies all arguments again with each fragment; see also `decode::frames`.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde_json::{Value, json};

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

/// The prefix of a signature that is a list of OpenRouter's `reasoning_details`. Other signatures are base64.
pub(crate) const DETAILS: &str = "reasoning_details:";

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Thinking in the form that OpenRouter wants back, in pieces.
    details: Vec<Value>,
}

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        let [choices, usage, error, groq, object] = json.fields(["choices", "usage", "error", "x_groq", "object"]);
        if frame.event == Some("error") || object.name() == "error" || error.is_truthy() {
            return Err(Fault::Said(json.value()));
        }
        let mut is_tail = true;
        let mut ours = None;
        for choice in choices.objects() {
            is_tail = false;
            let [index, delta, message, finish_reason, usage, error] =
                choice.fields(["index", "delta", "message", "finish_reason", "usage", "error"]);
            if ours.is_none() && answer.is_selected_choice(index.count()) {
                // An answer without streaming has a message instead of a delta.
                ours = Some((if delta.is_object() { delta } else { message }, finish_reason, usage, error));
            }
        }
        let own = ours.map(|(_, _, usage, _)| usage);
        if let Some(usage) = [usage, groq.field("usage")].into_iter().chain(own).find(|usage| usage.is_object()) {
            answer.tokens = tokens(usage);
            // A chunk with only the usage is the last one, even if there was no finish reason.
            if is_tail && answer.has_content() && !answer.is_complete() {
                answer.set_reason(FinishReason::Other);
            }
        }
        let Some((piece, finish_reason, _, error)) = ours else { return Ok(Flow::Continue) };
        if error.is_truthy() {
            return Err(Fault::Said(json!({ "error": error.value() })));
        }
        self.piece(piece, answer);
        match finish_reason.name().as_ref() {
            "" => {}
            "error" => {
                return Err(Fault::Said(
                    json!({"error": {"message": "the service ended the answer with an error", "type": "server_error"}}),
                ));
            }
            word => {
                self.sign(answer);
                answer.set_reason(reason(word));
            }
        }
        Ok(Flow::Continue)
    }

    fn ends_with_done(&self) -> bool {
        true
    }
}

impl Decoder {
    fn piece(&mut self, piece: Json<'_>, answer: &mut Answer) {
        let [content, reasoning_content, reasoning, details, refusal, calls, old_call] =
            piece.fields(["content", "reasoning_content", "reasoning", "reasoning_details", "refusal", "tool_calls", "function_call"]);
        // Some services send both, one of them empty.
        if let Some(thinking) = [reasoning_content, reasoning].into_iter().map(Json::text).find(|text| !text.is_empty()) {
            answer.reasoning(thinking);
        }
        for detail in details.objects() {
            answer.keep(detail.len());
            self.details.push(detail.value());
        }
        if content.is_list() {
            content.elements().for_each(|part| self.part(part, answer));
        } else {
            self.part(content, answer);
        }
        answer.refusal(refusal.text());
        if old_call.is_object() {
            self.sign(answer);
            let mut fragment = Fragment { index: Some(0), ..Fragment::default() };
            function(old_call, &mut fragment);
            answer.fragment(fragment);
        }
        for call in calls.objects() {
            self.sign(answer);
            let [index, id, called, extra] = call.fields(["index", "id", "function", "extra_content"]);
            let metadata = extra.is_truthy().then(|| json!({ "extra_content": extra.value() }));
            answer.keep(extra.len());
            let mut fragment = Fragment { index: index.count(), id: id.word(), metadata, ..Fragment::default() };
            function(called, &mut fragment);
            answer.fragment(fragment);
        }
    }

    /// The content, or an element of a content list, as Mistral sends it.
    fn part(&mut self, part: Json<'_>, answer: &mut Answer) {
        let text = if part.is_object() {
            let [kind, text, thinking] = part.fields(["type", "text", "thinking"]);
            match kind.name().as_ref() {
                "thinking" if thinking.is_list() => return thinking.objects().for_each(|part| answer.reasoning(part.field("text").text())),
                "thinking" => return answer.reasoning(thinking.text()),
                "text" | "output_text" | "" => text.text(),
                _ => return,
            }
        } else {
            part.text()
        };
        if !text.is_empty() {
            self.sign(answer);
            answer.text(text);
        }
    }

    /// Ends the thinking with the details to send back.
    fn sign(&mut self, answer: &mut Answer) {
        let details = joined(std::mem::take(&mut self.details));
        // Without a signature or encrypted thinking there is nothing to send back.
        let is_signed =
            |detail: &Value| ["signature", "data"].iter().any(|field| detail[field].as_str().is_some_and(|text| !text.is_empty()));
        if details.iter().any(is_signed) {
            answer.signature(format!("{DETAILS}{}", Value::Array(details)));
        }
    }
}

/// Joins adjacent pieces of one detail, which have the same type and index.
fn joined(pieces: Vec<Value>) -> Vec<Value> {
    let mut details: Vec<Value> = Vec::new();
    for piece in pieces {
        let continues = |last: &&mut Value| ["type", "index", "format"].iter().all(|field| last[field] == piece[field]);
        let Some(last) = details.last_mut().filter(continues) else {
            details.push(piece);
            continue;
        };
        let Value::Object(piece) = piece else { continue };
        for (field, value) in piece {
            match (&mut last[field.as_str()], value) {
                (Value::String(text), Value::String(more)) if matches!(field.as_str(), "text" | "summary" | "data") => text.push_str(&more),
                (_, Value::Null) => {}
                (place, value) => *place = value,
            }
        }
    }
    details
}

fn function(function: Json<'_>, fragment: &mut Fragment) {
    let [name, arguments] = function.fields(["name", "arguments"]);
    fragment.name = name.word();
    fragment.set_arguments(arguments);
}

/// The counts of a usage object.
fn tokens(usage: Json<'_>) -> Tokens {
    let [prompt, completion, total, hit, cached, prompt_details, completion_details] = usage.fields([
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_cache_hit_tokens",
        "cached_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ]);
    let [cached_detail, written] = prompt_details.fields(["cached_tokens", "cache_write_tokens"]);
    let read = [cached_detail, hit, cached].into_iter().find_map(Json::count).unwrap_or(0);
    let write = written.count().unwrap_or(0);
    let prompt = prompt.count().unwrap_or(0);
    let completion = completion.count().unwrap_or(0);
    let reasoning = completion_details.field("reasoning_tokens").count().unwrap_or(0);
    // Most services include thinking in the completion tokens, some do not; the total tells which.
    let is_beside = reasoning > completion || reasoning > 0 && total.count() == Some(prompt + completion + reasoning);
    let output = if is_beside { completion } else { completion - reasoning };
    Tokens { input: prompt.saturating_sub(read + write), output, reasoning, cache: CacheTokens { read, write } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: u64, output: u64, reasoning: u64, read: u64, write: u64) -> Tokens {
        Tokens { input, output, reasoning, cache: CacheTokens { read, write } }
    }

    #[test]
    fn usage_is_parsed() {
        let tokens = |usage: Value| tokens(Json::parse(&usage.to_string()).unwrap().0);
        assert_eq!(tokens(json!({"prompt_tokens": 10, "completion_tokens": 5})), of(10, 5, 0, 0, 0));
        let details = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 30}});
        assert_eq!(tokens(details), of(30, 20, 30, 60, 10));
        let beside = json!({"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 237, "completion_tokens_details": {"reasoning_tokens": 192}});
        assert_eq!(tokens(beside), of(10, 35, 192, 0, 0));
        assert_eq!(tokens(json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4})), of(6, 0, 0, 4, 0));
        assert_eq!(tokens(json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}})), of(0, 0, 0, 4, 0));
        assert_eq!(tokens(json!({"prompt_tokens_details": null, "queue_time": 0.1, "completion_tokens": "odd"})), Tokens::default());
        assert_eq!(
            tokens(json!({"prompt_tokens": 3.0, "completion_tokens": "2", "prompt_tokens_details": {"cached_tokens": -1}})),
            of(3, 2, 0, 0, 0)
        );
    }

    #[test]
    fn pieces_of_details_are_joined() {
        let pieces = vec![
            json!({"type": "reasoning.text", "text": "a", "index": 0, "format": "x"}),
            json!({"type": "reasoning.text", "text": "b", "index": 0, "format": "x"}),
            json!({"type": "reasoning.text", "signature": "s", "text": null, "index": 0, "format": "x"}),
            json!({"type": "reasoning.encrypted", "data": "d", "index": 1, "format": "x"}),
        ];
        let expected = [
            json!({"type": "reasoning.text", "text": "ab", "index": 0, "format": "x", "signature": "s"}),
            json!({"type": "reasoning.encrypted", "data": "d", "index": 1, "format": "x"}),
        ];
        assert_eq!(joined(pieces), expected);
    }
}
