//! What the frames of a stream say beyond text: calls with their places, signatures, usage, the reason for the end.
//! genai drops the places of calls, repeats all arguments in each delta and loses usage when a stream lacks its last
//! marker; so this reads the few frames that matter itself. Frames with nothing but text are only searched, not parsed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use polytree_protocol::message::{CacheTokens, Tokens};
use serde::Deserialize;
use serde_json::Value;

use super::{remote_calls::Fragment, remote_wire::Wire};

/// Marks a signature that stands for a block of thinking which the service keeps secret. Signatures are base64, so
/// no real one begins like this.
pub(super) const REDACTED: &str = "redacted:";

/// What has been noted and not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Fragments of calls.
    pub(super) fragments: Vec<Fragment>,
    /// Complete signatures of blocks of thinking.
    pub(super) signatures: Vec<String>,
    /// Why the answer ended; set as soon as the service says so.
    pub(super) finish: Option<String>,
    /// The usage so far.
    pub(super) tokens: Tokens,
    /// The signature of the block that is being streamed.
    open_signature: String,
}

/// Watches the frames of one stream.
#[derive(Debug, Clone)]
pub(super) struct Observer {
    wire: Wire,
    // Held only while a frame is read or notes are taken, never across an await.
    notes: Arc<Mutex<Notes>>,
}

impl Observer {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, notes: Arc::default() }
    }

    /// The notes, to take from.
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Observer {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        match self.wire {
            Wire::OpenAi
                if has(frame.data, "\"tool_calls\":") || has(frame.data, "\"finish_reason\":") || has(frame.data, "\"usage\":") =>
            {
                if let Ok(chunk) = serde_json::from_str(frame.data) {
                    self.notes().openai(chunk);
                }
            }
            Wire::Anthropic if is_worth_reading(frame) => {
                if let Ok(event) = serde_json::from_str(frame.data) {
                    self.notes().anthropic(event);
                }
            }
            _ => {}
        }
    }
}

/// Whether the field is there with a value other than null. The key cannot be part of a text: there its quotes
/// would be escaped.
fn has(json: &str, key: &str) -> bool {
    json.match_indices(key).any(|(at, _)| !json[at + key.len()..].trim_start().starts_with("null"))
}

fn is_worth_reading(frame: RawFrameRef<'_>) -> bool {
    match frame.event {
        Some("content_block_delta") => frame.data.contains("\"input_json_delta\"") || frame.data.contains("\"signature_delta\""),
        Some("ping") => false,
        _ => true,
    }
}

#[derive(Deserialize)]
struct OpenAiChunk {
    #[serde(default)]
    choices: Vec<OpenAiChoice>,
    // Read apart, so that odd usage never costs a call.
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct OpenAiChoice {
    delta: Option<OpenAiDelta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiDelta {
    tool_calls: Option<Vec<OpenAiCall>>,
}

#[derive(Deserialize)]
struct OpenAiCall {
    index: Option<u64>,
    id: Option<String>,
    function: Option<OpenAiFunction>,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct OpenAiFunction {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OpenAiUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<OpenAiPromptDetails>,
    completion_tokens_details: Option<OpenAiCompletionDetails>,
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OpenAiPromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OpenAiCompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl OpenAiUsage {
    fn tokens(&self) -> Tokens {
        let details = self.prompt_tokens_details.as_ref();
        let read = details.and_then(|details| details.cached_tokens).or(self.prompt_cache_hit_tokens).unwrap_or(0);
        let write = details.and_then(|details| details.cache_write_tokens).unwrap_or(0);
        let prompt = self.prompt_tokens.unwrap_or(0);
        let completion = self.completion_tokens.unwrap_or(0);
        let reasoning = self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens).unwrap_or(0);
        // Most services count thinking as part of the completion, some beside it; the total tells which.
        let is_beside = reasoning > completion || reasoning > 0 && self.total_tokens == Some(prompt + completion + reasoning);
        let output = if is_beside { completion } else { completion - reasoning };
        Tokens { input: prompt.saturating_sub(read + write), output, reasoning, cache: CacheTokens { read, write } }
    }
}

impl Notes {
    fn openai(&mut self, chunk: OpenAiChunk) {
        if let Some(usage) = chunk.usage.and_then(|usage| serde_json::from_value::<OpenAiUsage>(usage).ok()) {
            self.tokens = usage.tokens();
        }
        // Only one choice is ever asked for.
        let Some(choice) = chunk.choices.into_iter().next() else { return };
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(reason);
        }
        for call in choice.delta.and_then(|delta| delta.tool_calls).into_iter().flatten() {
            let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
            let arguments = match arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(value) => value.to_string(),
            };
            let metadata = call.extra_content.map(|extra| serde_json::json!({ "extra_content": extra }));
            self.fragments.push(Fragment { index: call.index, id: call.id, name, arguments, whole: None, metadata });
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnthropicEvent {
    MessageStart {
        message: AnthropicMessage,
    },
    MessageDelta {
        delta: AnthropicEnd,
        usage: Option<AnthropicUsage>,
    },
    ContentBlockStart {
        index: u64,
        content_block: AnthropicBlock,
    },
    ContentBlockDelta {
        index: u64,
        delta: AnthropicDelta,
    },
    ContentBlockStop {},
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct AnthropicMessage {
    usage: Option<AnthropicUsage>,
}

#[derive(Deserialize)]
struct AnthropicEnd {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnthropicBlock {
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    Thinking {
        #[serde(default)]
        signature: String,
    },
    RedactedThinking {
        data: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnthropicDelta {
    InputJsonDelta {
        partial_json: String,
    },
    SignatureDelta {
        signature: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnthropicUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<AnthropicOutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnthropicOutputDetails {
    thinking_tokens: Option<u64>,
}

impl Notes {
    fn anthropic(&mut self, event: AnthropicEvent) {
        match event {
            AnthropicEvent::MessageStart { message } => self.anthropic_usage(message.usage.unwrap_or_default()),
            AnthropicEvent::MessageDelta { delta, usage } => {
                self.anthropic_usage(usage.unwrap_or_default());
                self.finish = delta.stop_reason.or(self.finish.take());
            }
            AnthropicEvent::ContentBlockStart { index, content_block } => match content_block {
                AnthropicBlock::ToolUse { id, name, input } => {
                    let whole = input.as_object().filter(|input| !input.is_empty()).map(|_| input.to_string());
                    self.fragments.push(Fragment { index: Some(index), id: Some(id), name: Some(name), whole, ..Fragment::default() });
                }
                AnthropicBlock::Thinking { signature } => self.open_signature = signature,
                AnthropicBlock::RedactedThinking { data } => self.signatures.push(format!("{REDACTED}{data}")),
                AnthropicBlock::Other => {}
            },
            AnthropicEvent::ContentBlockDelta { index, delta } => match delta {
                AnthropicDelta::InputJsonDelta { partial_json } => {
                    self.fragments.push(Fragment { index: Some(index), arguments: partial_json, ..Fragment::default() });
                }
                AnthropicDelta::SignatureDelta { signature } => self.open_signature.push_str(&signature),
                AnthropicDelta::Other => {}
            },
            AnthropicEvent::ContentBlockStop {} => {
                if !self.open_signature.is_empty() {
                    self.signatures.push(std::mem::take(&mut self.open_signature));
                }
            }
            AnthropicEvent::Other => {}
        }
    }

    /// Counts are cumulative: a later one replaces an earlier one, and what is not repeated stays.
    fn anthropic_usage(&mut self, usage: AnthropicUsage) {
        let written = self.tokens.output + self.tokens.reasoning;
        let thought = usage.output_tokens_details.unwrap_or_default().thinking_tokens.unwrap_or(self.tokens.reasoning);
        self.tokens.reasoning = thought;
        self.tokens.output = usage.output_tokens.unwrap_or(written).saturating_sub(thought);
        self.tokens.input = usage.input_tokens.unwrap_or(self.tokens.input);
        self.tokens.cache.read = usage.cache_read_input_tokens.unwrap_or(self.tokens.cache.read);
        self.tokens.cache.write = usage.cache_creation_input_tokens.unwrap_or(self.tokens.cache.write);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokens(input: u64, output: u64, reasoning: u64, read: u64, write: u64) -> Tokens {
        Tokens { input, output, reasoning, cache: CacheTokens { read, write } }
    }

    fn openai(usage: Value) -> Tokens {
        serde_json::from_value::<OpenAiUsage>(usage).unwrap().tokens()
    }

    #[test]
    fn openai_usage_is_taken_apart() {
        assert_eq!(openai(json!({"prompt_tokens": 10, "completion_tokens": 5})), tokens(10, 5, 0, 0, 0));
        let details = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 30}});
        assert_eq!(openai(details), tokens(30, 20, 30, 60, 10));
        let beside = json!({"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 237, "completion_tokens_details": {"reasoning_tokens": 192}});
        assert_eq!(openai(beside), tokens(10, 35, 192, 0, 0));
        assert_eq!(openai(json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4})), tokens(6, 0, 0, 4, 0));
        assert_eq!(openai(json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}})), tokens(0, 0, 0, 4, 0));
        assert_eq!(openai(json!({"prompt_tokens_details": null, "queue_time": 0.1})), Tokens::default());
    }

    #[test]
    fn only_frames_with_a_value_are_read() {
        assert!(!has(r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}],"usage":null}"#, "\"usage\":"));
        assert!(has(r#"{"usage": {"prompt_tokens":1}}"#, "\"usage\":"));
        assert!(has(r#"{"a":{"usage":null},"usage":{}}"#, "\"usage\":"));
        let text = json!({"content": "say \"usage\": 3 and \"tool_calls\": [1]"}).to_string();
        assert!(!has(&text, "\"usage\":") && !has(&text, "\"tool_calls\":"));
    }

    #[test]
    fn anthropic_usage_is_cumulative() {
        let mut notes = Notes::default();
        let usage = |value| serde_json::from_value::<AnthropicUsage>(value).unwrap();
        notes.anthropic_usage(usage(
            json!({"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}),
        ));
        notes.anthropic_usage(usage(json!({"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}})));
        assert_eq!(notes.tokens, tokens(7, 20, 30, 100, 20));
        notes.anthropic_usage(usage(json!({})));
        assert_eq!(notes.tokens, tokens(7, 20, 30, 100, 20));
    }
}
