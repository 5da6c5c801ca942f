//! Reads the stream of Messages. Pure.
//!
//! Not read by genai, which gives all arguments of a call again with each of their pieces, so that a long call in small
//! pieces costs quadratic time; see `remote_frames` for the lines.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{
    remote_answer::{Answer, reason},
    remote_calls::Fragment,
    remote_decode::{Decode, Fault, parse},
    remote_frames::{Frame, Wanted},
};

/// Marks a signature that stands for a block of thinking which the service keeps secret. Signatures are base64, so
/// no real one begins like this.
pub(super) const REDACTED: &str = "redacted:";

/// Reads events.
#[derive(Debug, Default)]
pub(super) struct AnthropicDecoder {
    /// The signature of the block that is being streamed.
    signature: String,
    /// The places of the calls: other blocks too are written in pieces of JSON, which are no calls of ours.
    calls: Vec<Option<u64>>,
}

/// All events in one: what an event does not have is absent.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Piece<'a>>,
    content_block: Option<Block>,
    message: Option<Message>,
    usage: Option<Usage>,
    // A message that came without streaming.
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Decode for AnthropicDecoder {
    fn read(&mut self, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        let event: Event<'_> = parse(frame.data)?;
        match event.kind.as_ref() {
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    self.delta(event.index, delta, answer);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.block(event.index, block, answer);
                }
            }
            "content_block_stop" => self.sign(answer),
            "message_start" => count(event.message.and_then(|message| message.usage), answer),
            "message_delta" => {
                count(event.usage, answer);
                if let Some(word) = event.delta.and_then(|delta| delta.stop_reason) {
                    answer.ends(reason(&word));
                }
            }
            "message_stop" => return Ok(Wanted::Enough),
            "message" => {
                for (index, block) in (0..).zip(event.content.into_iter().flatten()) {
                    self.block(Some(index), block, answer);
                    self.sign(answer);
                }
                count(event.usage, answer);
                answer.ends(reason(&event.stop_reason.unwrap_or_default()));
                return Ok(Wanted::Enough);
            }
            "error" => return Err(Fault::Said(parse(frame.data)?)),
            "" if frame.event == Some("error") || frame.data.contains("\"error\"") => return Err(Fault::Said(parse(frame.data)?)),
            // Pings, and whatever will be invented.
            _ => {}
        }
        Ok(Wanted::More)
    }
}

impl AnthropicDecoder {
    fn delta(&mut self, index: Option<u64>, delta: Piece<'_>, answer: &mut Answer) {
        match delta.kind.as_ref() {
            "text_delta" => answer.text(delta.text.unwrap_or_default()),
            "thinking_delta" => answer.reasoning(delta.thinking.unwrap_or_default()),
            "signature_delta" => self.signature.push_str(&delta.signature.unwrap_or_default()),
            "input_json_delta" if self.calls.contains(&index) => {
                answer.fragment(Fragment { index, arguments: delta.partial_json.unwrap_or_default(), ..Fragment::default() });
            }
            _ => {}
        }
    }

    fn block(&mut self, index: Option<u64>, block: Block, answer: &mut Answer) {
        match block.kind.as_str() {
            "text" => answer.text(block.text.unwrap_or_default()),
            "thinking" => {
                answer.reasoning(block.thinking.unwrap_or_default());
                self.signature = block.signature.unwrap_or_default();
            }
            "redacted_thinking" => answer.signature(format!("{REDACTED}{}", block.data.unwrap_or_default())),
            "tool_use" => {
                self.calls.push(index);
                let whole = block.input.filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
                let whole = whole.map(|input| input.to_string());
                answer.fragment(Fragment { index, id: block.id, name: block.name, whole, ..Fragment::default() });
            }
            _ => {}
        }
    }

    fn sign(&mut self, answer: &mut Answer) {
        answer.signature(std::mem::take(&mut self.signature));
    }
}

/// Counts are cumulative: a later one replaces an earlier one, and what is not repeated stays.
fn count(usage: Option<Usage>, answer: &mut Answer) {
    let Some(usage) = usage else { return };
    let tokens = &mut answer.tokens;
    let written = tokens.output + tokens.reasoning;
    tokens.reasoning = usage.output_tokens_details.unwrap_or_default().thinking_tokens.unwrap_or(tokens.reasoning);
    tokens.output = usage.output_tokens.unwrap_or(written).saturating_sub(tokens.reasoning);
    tokens.input = usage.input_tokens.unwrap_or(tokens.input);
    tokens.cache.read = usage.cache_read_input_tokens.unwrap_or(tokens.cache.read);
    tokens.cache.write = usage.cache_creation_input_tokens.unwrap_or(tokens.cache.write);
}

#[cfg(test)]
mod tests {
    use polytree_protocol::message::{CacheTokens, Tokens};
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_cumulative() {
        let mut answer = Answer::default();
        let usage = |value| Some(serde_json::from_value::<Usage>(value).unwrap());
        count(
            usage(json!({"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1})),
            &mut answer,
        );
        count(usage(json!({"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}})), &mut answer);
        let expected = Tokens { input: 7, output: 20, reasoning: 30, cache: CacheTokens { read: 100, write: 20 } };
        assert_eq!(answer.tokens, expected);
        count(usage(json!({})), &mut answer);
        assert_eq!(answer.tokens, expected);
    }
}
