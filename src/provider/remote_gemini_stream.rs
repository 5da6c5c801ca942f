//! Reads the stream of Gemini's `generateContent`. Pure.
//!
//! Not read by genai, whose decoder keeps only the last piece of thinking in a frame, gives the signatures of a frame
//! before the parts that they belong to, and knows no prompt that was blocked. The protocol has no mark for the end of
//! an answer: it ends with the body, after a reason has been named.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    definition::FinishReason,
    remote_answer::{Answer, reason},
    remote_decode::{Decode, Fault, parse},
    remote_frames::{Frame, Wanted},
};

/// Reads chunks.
#[derive(Debug)]
pub(super) struct GeminiDecoder;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<Call>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    #[serde(default)]
    name: String,
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Usage {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

impl Decode for GeminiDecoder {
    fn read(&mut self, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        let chunk: Chunk = parse(frame.data)?;
        if chunk.error.is_some() {
            return Err(Fault::Said(parse(frame.data)?));
        }
        if let Some(usage) = chunk.usage_metadata {
            answer.tokens = tokens(&usage);
        }
        // Only one candidate is ever asked for.
        if let Some(candidate) = chunk.candidates.into_iter().flatten().next() {
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                read_part(part, answer);
            }
            match candidate.finish_reason.as_deref() {
                None | Some("" | "FINISH_REASON_UNSPECIFIED") => {}
                Some(word @ ("MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" | "UNEXPECTED_TOOL_CALL")) => {
                    let detail = candidate.finish_message.unwrap_or_else(|| "the model wrote a call that cannot be read".to_owned());
                    return Err(Fault::Garbled(format!("{detail} ({word})")));
                }
                Some(word) => answer.ends(reason(word)),
            }
        }
        if chunk.prompt_feedback.and_then(|feedback| feedback.block_reason).is_some() {
            answer.ends(FinishReason::ContentFilter);
        }
        Ok(Wanted::More)
    }
}

fn read_part(part: Part, answer: &mut Answer) {
    if let Some(call) = part.function_call {
        let arguments = call.args.filter(|args| !args.is_null()).map_or_else(|| "{}".to_owned(), |args| args.to_string());
        let id = call.id.filter(|id| !id.is_empty());
        // Both go back with the call; an id that the service did not give is not shown to it.
        let mut metadata = Map::new();
        metadata.extend(part.thought_signature.map(|signature| ("thoughtSignature".to_owned(), Value::String(signature))));
        metadata.extend(id.clone().map(|id| ("id".to_owned(), Value::String(id))));
        answer.call(id, call.name, arguments, (!metadata.is_empty()).then_some(Value::Object(metadata)));
        return;
    }
    let text = part.text.unwrap_or_default();
    if part.thought {
        answer.reasoning(text);
    } else {
        answer.text(text);
    }
    answer.signature(part.thought_signature.unwrap_or_default());
}

fn tokens(usage: &Usage) -> Tokens {
    let read = usage.cached_content_token_count.unwrap_or(0);
    let prompt = usage.prompt_token_count.unwrap_or(0) + usage.tool_use_prompt_token_count.unwrap_or(0);
    Tokens {
        input: prompt.saturating_sub(read),
        output: usage.candidates_token_count.unwrap_or(0),
        reasoning: usage.thoughts_token_count.unwrap_or(0),
        cache: CacheTokens { read, write: 0 },
    }
}
