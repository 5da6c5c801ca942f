//! Decodes the stream of Messages. Pure.
//!
//! It does not use genai, which repeats all arguments of a call with each fragment, so that a long call in small
//! fragments costs quadratic time; see also `decode::frames`.

use crate::provider::wire::decode::{
    Decode, Fault,
    answer::{Answer, reason},
    calls::Fragment,
    frames::{Flow, Frame},
    json::Json,
};

/// The prefix of a signature for a block of redacted thinking. Signatures are base64, so no real one begins like this.
pub(crate) const REDACTED: &str = "redacted:";

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The signature of the current block.
    signature: String,
    /// The indexes of calls: other blocks have JSON fragments too.
    calls: Vec<Option<u64>>,
}

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        // A message without streaming contains content and finish reason.
        let [kind, index, delta, block, message, usage, content, stop_reason, error] =
            json.fields(["type", "index", "delta", "content_block", "message", "usage", "content", "stop_reason", "error"]);
        let kind = kind.name();
        match if kind.is_empty() { frame.event.unwrap_or_default() } else { kind.as_ref() } {
            "content_block_delta" => self.delta(index.count(), delta, answer),
            "content_block_start" => self.block(index.count(), block, answer),
            "content_block_stop" => self.sign(answer),
            "message_start" => count(message.field("usage"), answer),
            "message_delta" => {
                count(usage, answer);
                let word = delta.field("stop_reason").name();
                if !word.is_empty() {
                    answer.set_reason(reason(&word));
                }
            }
            "message_stop" => return Ok(Flow::Stop),
            "message" => {
                for (index, block) in (0..).zip(content.objects()) {
                    self.block(Some(index), block, answer);
                    self.sign(answer);
                }
                count(usage, answer);
                answer.set_reason(reason(&stop_reason.name()));
                return Ok(Flow::Stop);
            }
            "error" => return Err(Fault::Said(json.value())),
            "" if error.is_truthy() => return Err(Fault::Said(json.value())),
            // Pings, and unknown events.
            _ => {}
        }
        Ok(Flow::Continue)
    }

    fn knows(&self, event: &str) -> bool {
        event == "error" || event.starts_with("content_block_") || event.starts_with("message_")
    }
}

impl Decoder {
    fn delta(&mut self, index: Option<u64>, delta: Json<'_>, answer: &mut Answer) {
        let [kind, text, thinking, signature, arguments] = delta.fields(["type", "text", "thinking", "signature", "partial_json"]);
        match kind.name().as_ref() {
            "text_delta" | "" => answer.text(text.text()),
            "thinking_delta" => answer.reasoning(thinking.text()),
            "signature_delta" => {
                answer.keep(signature.len());
                self.signature.push_str(&signature.name());
            }
            "input_json_delta" if self.calls.contains(&index) => {
                let mut fragment = Fragment { index, ..Fragment::default() };
                fragment.set_arguments(arguments);
                answer.fragment(fragment);
            }
            _ => {}
        }
    }

    fn block(&mut self, index: Option<u64>, block: Json<'_>, answer: &mut Answer) {
        let [kind, id, name, input, text, thinking, signature, data] =
            block.fields(["type", "id", "name", "input", "text", "thinking", "signature", "data"]);
        match kind.name().as_ref() {
            "text" | "" => answer.text(text.text()),
            "thinking" => {
                answer.reasoning(thinking.text());
                answer.keep(signature.len());
                self.signature = signature.name().into_owned();
            }
            "redacted_thinking" => answer.signature(format!("{REDACTED}{}", data.name())),
            "tool_use" => {
                if !self.calls.contains(&index) {
                    self.calls.push(index);
                }
                answer.fragment(Fragment { index, id: id.word(), name: name.word(), whole: input.arguments(), ..Fragment::default() });
            }
            _ => {}
        }
    }

    fn sign(&mut self, answer: &mut Answer) {
        answer.signature(std::mem::take(&mut self.signature));
    }
}

/// Counts are cumulative: a later one replaces an earlier one; missing ones stay.
fn count(usage: Json<'_>, answer: &mut Answer) {
    let [input, output, read, written, details] =
        usage.fields(["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens_details"]);
    let tokens = &mut answer.tokens;
    let so_far = tokens.output + tokens.reasoning;
    tokens.reasoning = details.field("thinking_tokens").count().unwrap_or(tokens.reasoning);
    tokens.output = output.count().unwrap_or(so_far).saturating_sub(tokens.reasoning);
    tokens.input = input.count().unwrap_or(tokens.input);
    tokens.cache.read = read.count().unwrap_or(tokens.cache.read);
    tokens.cache.write = written.count().unwrap_or(tokens.cache.write);
}

#[cfg(test)]
mod tests {
    use polytree_protocol::message::{CacheTokens, Tokens};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn usage_is_cumulative() {
        let mut answer = Answer::default();
        let mut counted = |usage: Value| {
            count(Json::parse(&usage.to_string()).unwrap().0, &mut answer);
            answer.tokens
        };
        counted(json!({"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}));
        let expected = Tokens { input: 7, output: 20, reasoning: 30, cache: CacheTokens { read: 100, write: 20 } };
        assert_eq!(counted(json!({"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}})), expected);
        assert_eq!(counted(json!({})), expected);
        assert_eq!(
            counted(json!({"input_tokens": -1, "output_tokens": 50.0, "cache_read_input_tokens": "100", "output_tokens_details": 5})),
            expected
        );
    }
}
