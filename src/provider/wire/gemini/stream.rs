//! Decodes the stream of Gemini's `generateContent`. Pure.
//!
//! It does not use genai, whose decoder keeps only the last piece of thinking in a frame, returns signatures before
//! their parts, and does not support blocked prompts. The protocol has no end marker: an answer ends with the body,
//! after a finish reason.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde_json::{Map, Value};

use crate::provider::{
    definition::FinishReason,
    wire::decode::{
        Decode, Fault,
        answer::{Answer, reason},
        frames::{Flow, Frame},
        json::Json,
    },
};

#[derive(Debug)]
pub(crate) struct Decoder;

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, _: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        let [candidates, feedback, usage, error] = json.fields(["candidates", "promptFeedback", "usageMetadata", "error"]);
        if error.is_truthy() {
            return Err(Fault::Said(json.value()));
        }
        if usage.is_object() {
            answer.tokens = tokens(usage);
        }
        if let Some(candidate) = candidates.objects().find(|candidate| answer.is_selected_choice(candidate.field("index").count())) {
            let [content, finish_reason, message] = candidate.fields(["content", "finishReason", "finishMessage"]);
            content.field("parts").objects().for_each(|part| read_part(part, answer));
            match finish_reason.name().as_ref() {
                "" | "FINISH_REASON_UNSPECIFIED" => {}
                word @ ("MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" | "UNEXPECTED_TOOL_CALL") => {
                    let detail = message.word().unwrap_or_else(|| "the model wrote a call that cannot be read".to_owned());
                    return Err(Fault::Garbled(format!("{detail} ({word})")));
                }
                word => answer.set_reason(reason(word)),
            }
        }
        if !feedback.field("blockReason").name().is_empty() {
            answer.set_reason(FinishReason::ContentFilter);
        }
        Ok(Flow::Continue)
    }
}

fn read_part(part: Json<'_>, answer: &mut Answer) {
    let [text, thought, signature, call] = part.fields(["text", "thought", "thoughtSignature", "functionCall"]);
    let signature = signature.name().into_owned();
    if call.is_object() {
        let [id, name, arguments] = call.fields(["id", "name", "args"]);
        let arguments = arguments.arguments().unwrap_or_else(|| "{}".to_owned());
        let id = id.word();
        answer.keep(signature.len());
        // Both are sent back with the call; an id that was generated here is not sent.
        let signature = Some(signature).filter(|signature| !signature.is_empty());
        let fields = [("thoughtSignature", signature), ("id", id.clone())];
        let metadata: Map<_, _> = fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?)))).collect();
        answer.call(id, name.word().unwrap_or_default(), arguments, (!metadata.is_empty()).then_some(Value::Object(metadata)));
        return;
    }
    if thought.is_true() {
        answer.reasoning(text.text());
    } else {
        answer.text(text.text());
    }
    answer.signature(signature);
}

fn tokens(usage: Json<'_>) -> Tokens {
    let [prompt, tools, output, reasoning, read] = usage
        .fields(["promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"])
        .map(|count| count.count().unwrap_or(0));
    Tokens { input: (prompt + tools).saturating_sub(read), output, reasoning, cache: CacheTokens { read, write: 0 } }
}
