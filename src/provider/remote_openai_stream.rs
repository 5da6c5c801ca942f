//! Reads the stream of Chat Completions, of its maker and of everybody who is compatible in his own way. Pure.
//!
//! Not read by genai, whose decoder takes only calls with an index and arguments that are a string, ends at the first
//! frame that is no JSON, and copies all arguments again with each piece; see `remote_frames` for the lines.

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

/// Marks a signature that is a list of OpenRouter's `reasoning_details`. Other signatures are base64.
pub(super) const DETAILS: &str = "reasoning_details:";

/// Reads chunks.
#[derive(Debug, Default)]
pub(super) struct OpenAiDecoder {
    /// Thinking as OpenRouter wants it back, in pieces as they came.
    details: Vec<Value>,
}

// What is odd in some service is a `Value`, so that an unexpected type costs a field and not the call.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
    x_groq: Option<Value>,
    object: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Piece>,
    // In an answer that was not streamed.
    message: Option<Piece>,
    finish_reason: Option<Value>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Piece {
    content: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    reasoning_details: Option<Value>,
    refusal: Option<Value>,
    tool_calls: Option<Vec<Call>>,
    function_call: Option<Function>,
}

#[derive(Deserialize)]
struct Call {
    index: Option<Value>,
    id: Option<Value>,
    function: Option<Function>,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<Value>,
    arguments: Option<Value>,
}

impl Decode for OpenAiDecoder {
    fn read(&mut self, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        let chunk: Chunk = parse(frame.data)?;
        let is_error = frame.event == Some("error") || chunk.object.as_ref().is_some_and(|object| object == "error");
        if is_error || chunk.error.as_ref().is_some_and(is_something) {
            return Err(Fault::Said(parse(frame.data)?));
        }
        let choices = chunk.choices.unwrap_or_default();
        let is_tail = choices.is_empty();
        // Only one choice is ever asked for.
        let choice = choices.into_iter().next();
        let usage = [chunk.usage, chunk.x_groq.map(|mut groq| groq["usage"].take())];
        let own = choice.as_ref().and_then(|choice| choice.usage.clone());
        if let Some(usage) = usage.into_iter().flatten().chain(own).find(Value::is_object) {
            answer.tokens = tokens(usage);
            // A chunk with nothing but the usage is the last one, also of services that give no reason.
            if is_tail && answer.has_spoken() && !answer.is_complete() {
                answer.ends(FinishReason::Other);
            }
        }
        let Some(choice) = choice else { return Ok(Wanted::More) };
        if let Some(error) = choice.error.filter(is_something) {
            return Err(Fault::Said(json!({ "error": error })));
        }
        if let Some(piece) = choice.delta.or(choice.message) {
            self.piece(piece, answer);
        }
        match choice.finish_reason {
            Some(Value::String(word)) if word == "error" => {
                return Err(Fault::Said(
                    json!({"error": {"message": "the service ended the answer with an error", "type": "server_error"}}),
                ));
            }
            Some(Value::String(word)) if !word.is_empty() => {
                self.sign(answer);
                answer.ends(reason(&word));
            }
            _ => {}
        }
        Ok(Wanted::More)
    }
}

impl OpenAiDecoder {
    fn piece(&mut self, piece: Piece, answer: &mut Answer) {
        let reasoning = [piece.reasoning_content, piece.reasoning].into_iter().flatten().find_map(text);
        if let Some(reasoning) = reasoning.filter(|text| !text.is_empty()) {
            answer.reasoning(reasoning);
        }
        if let Some(Value::Array(details)) = piece.reasoning_details {
            self.details.extend(details);
        }
        match piece.content {
            Some(Value::String(text)) if !text.is_empty() => {
                self.sign(answer);
                answer.text(text);
            }
            Some(Value::Array(parts)) => {
                for part in parts {
                    self.part(&part, answer);
                }
            }
            _ => {}
        }
        if let Some(refusal) = piece.refusal.and_then(text) {
            answer.refusal(refusal);
        }
        let old =
            piece.function_call.map(|function| Call { index: Some(json!(0)), id: None, function: Some(function), extra_content: None });
        for call in piece.tool_calls.into_iter().flatten().chain(old) {
            self.sign(answer);
            answer.fragment(fragment(call));
        }
    }

    /// A part of a content that is a list, as Mistral sends it.
    fn part(&mut self, part: &Value, answer: &mut Answer) {
        match part["type"].as_str() {
            Some("thinking") => match &part["thinking"] {
                Value::String(text) => answer.reasoning(text.clone()),
                Value::Array(parts) => {
                    parts.iter().filter_map(|part| part["text"].as_str()).for_each(|text| answer.reasoning(text.to_owned()));
                }
                _ => {}
            },
            Some("text") | None => {
                if let Some(text) = part["text"].as_str().filter(|text| !text.is_empty()) {
                    self.sign(answer);
                    answer.text(text.to_owned());
                }
            }
            Some(_) => {}
        }
    }

    /// What has to go back with the thinking so far.
    fn sign(&mut self, answer: &mut Answer) {
        let details = joined(std::mem::take(&mut self.details));
        // Without a signature or secret thinking there is nothing to verify, and nothing to send.
        let is_signed =
            |detail: &Value| ["signature", "data"].iter().any(|field| detail[field].as_str().is_some_and(|text| !text.is_empty()));
        if details.iter().any(is_signed) {
            answer.signature(format!("{DETAILS}{}", Value::Array(details)));
        }
    }
}

/// Pieces of one detail follow each other with the same type and place.
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

fn fragment(call: Call) -> Fragment {
    let function = call.function.unwrap_or(Function { name: None, arguments: None });
    let arguments = match function.arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    let index = call.index.and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok()));
    let metadata = call.extra_content.filter(|extra| !extra.is_null()).map(|extra| json!({ "extra_content": extra }));
    Fragment { index, id: call.id.and_then(text), name: function.name.and_then(text), arguments, whole: None, metadata }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    }
}

/// The counts of a usage object, whatever else is in it.
fn tokens(usage: Value) -> Tokens {
    let count = |place: &str| usage.pointer(place).and_then(Value::as_u64);
    let read = count("/prompt_tokens_details/cached_tokens").or(count("/prompt_cache_hit_tokens")).or(count("/cached_tokens")).unwrap_or(0);
    let write = count("/prompt_tokens_details/cache_write_tokens").unwrap_or(0);
    let prompt = count("/prompt_tokens").unwrap_or(0);
    let completion = count("/completion_tokens").unwrap_or(0);
    let reasoning = count("/completion_tokens_details/reasoning_tokens").unwrap_or(0);
    // Most services count thinking as part of the completion, some beside it; the total tells which.
    let is_beside = reasoning > completion || reasoning > 0 && count("/total_tokens") == Some(prompt + completion + reasoning);
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
    fn usage_is_taken_apart() {
        assert_eq!(tokens(json!({"prompt_tokens": 10, "completion_tokens": 5})), of(10, 5, 0, 0, 0));
        let details = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 30}});
        assert_eq!(tokens(details), of(30, 20, 30, 60, 10));
        let beside = json!({"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 237, "completion_tokens_details": {"reasoning_tokens": 192}});
        assert_eq!(tokens(beside), of(10, 35, 192, 0, 0));
        assert_eq!(tokens(json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4})), of(6, 0, 0, 4, 0));
        assert_eq!(tokens(json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}})), of(0, 0, 0, 4, 0));
        assert_eq!(tokens(json!({"prompt_tokens_details": null, "queue_time": 0.1, "completion_tokens": "odd"})), Tokens::default());
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
