//! Reads the lines of Ollama's own `/api/chat`. Pure.
//!
//! Not read by genai, whose decoder takes an error in mid-stream for nothing and a broken connection for a good end.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde::Deserialize;
use serde_json::Value;

use super::{
    remote_answer::{Answer, reason},
    remote_decode::{Decode, Fault, parse},
    remote_frames::{Frame, Wanted},
};

/// Reads lines.
#[derive(Debug)]
pub(super) struct OllamaDecoder;

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    prompt_eval_cached_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<Value>,
}

impl Decode for OllamaDecoder {
    fn read(&mut self, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        let line: Line = parse(frame.data)?;
        if line.error.is_some() {
            return Err(Fault::Said(parse(frame.data)?));
        }
        if let Some(message) = line.message {
            answer.reasoning(message.thinking.unwrap_or_default());
            answer.text(message.content.unwrap_or_default());
            for call in message.tool_calls.into_iter().flatten() {
                let arguments = match call.function.arguments {
                    None | Some(Value::Null) => "{}".to_owned(),
                    Some(Value::String(text)) => text,
                    Some(value) => value.to_string(),
                };
                answer.call(call.id, call.function.name, arguments, None);
            }
        }
        if !line.done {
            return Ok(Wanted::More);
        }
        let read = line.prompt_eval_cached_count.unwrap_or(0);
        answer.tokens = Tokens {
            input: line.prompt_eval_count.unwrap_or(0).saturating_sub(read),
            output: line.eval_count.unwrap_or(0),
            reasoning: 0,
            cache: CacheTokens { read, write: 0 },
        };
        answer.ends(reason(line.done_reason.as_deref().unwrap_or("stop")));
        Ok(Wanted::Enough)
    }
}
