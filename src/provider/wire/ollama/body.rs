//! The body of a request to Ollama's own `/api/chat`. Pure.
//!
//! The service silently truncates the beginning of a history that exceeds its context, which is small by default. So
//! the request contains the context size of the settings.

use serde_json::{Map, Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult},
    wire::{
        body::{function_tools, joined, map, merge_options, object},
        media::{Piece, media_piece, user_pieces},
    },
};

const FIXED_FIELDS: [&str; 4] = ["model", "messages", "tools", "stream"];

/// The body, all but `stream`.
pub(crate) fn body(request: &ModelRequest) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model.model_id));
    body.insert("messages".to_owned(), messages(request));
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), function_tools(&request.tools));
    }
    // Models without thinking reject the field.
    if request.info.reasoning {
        body.insert("think".to_owned(), json!(true));
    }
    // Rather an error, or a truncated answer, than a truncated history.
    body.insert("truncate".to_owned(), json!(false));
    body.insert("shift".to_owned(), json!(false));
    let mut options = Map::new();
    if request.info.limit.context > 0 {
        options.insert("num_ctx".to_owned(), json!(request.info.limit.context));
    }
    if request.max_output_tokens > 0 {
        options.insert("num_predict".to_owned(), json!(request.max_output_tokens));
    }
    if request.info.temperature {
        options.extend(request.temperature.map(|value| ("temperature".to_owned(), json!(value))));
        options.extend(request.top_p.map(|value| ("top_p".to_owned(), json!(value))));
    }
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    merge_options(&mut body, &request.options, &FIXED_FIELDS);
    body
}

fn messages(request: &ModelRequest) -> Value {
    let mut messages = Vec::new();
    messages.extend(joined(&request.system).map(|text| json!({"role": "system", "content": text})));
    // Thinking is sent back only within its turn, as the templates of local models expect.
    let turn = request.messages.iter().rposition(|message| matches!(message, ModelMessage::User(_))).unwrap_or(0);
    for (place, message) in request.messages.iter().enumerate() {
        match message {
            ModelMessage::User(content) => {
                let pieces = user_pieces(content, media_block, &request.info);
                messages.extend((!pieces.is_empty()).then(|| user(pieces)));
            }
            ModelMessage::Assistant(content) => messages.extend(assistant(content, place > turn && request.info.reasoning)),
            ModelMessage::Tool(results) => tool_results(results, request, &mut messages),
        }
    }
    Value::Array(messages)
}

/// Images are in a separate field.
fn user(pieces: Vec<Piece>) -> Value {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(text) => texts.push(text),
            Piece::Block(image) => images.push(image),
        }
    }
    let mut message = map([("role", "user".into()), ("content", texts.join("\n\n").into())]);
    if !images.is_empty() {
        message["images"] = Value::Array(images);
    }
    message
}

fn assistant(content: &[AssistantContent], with_thinking: bool) -> Option<Value> {
    let (mut texts, mut thinking, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for piece in content {
        match piece {
            AssistantContent::Text(text) if !text.is_empty() => texts.push(text.as_str()),
            AssistantContent::Reasoning { text, .. } if with_thinking && !text.is_empty() => thinking.push(text.as_str()),
            AssistantContent::Text(_) | AssistantContent::Reasoning { .. } => {}
            AssistantContent::ToolCall { call_id, name, input, .. } => {
                calls.push(json!({"id": call_id, "function": {"name": name, "arguments": object(input)}}));
            }
        }
    }
    if texts.is_empty() && calls.is_empty() {
        return None;
    }
    let mut message = map([("role", "assistant".into()), ("content", texts.join("\n\n").into())]);
    if !thinking.is_empty() {
        message["thinking"] = json!(thinking.join("\n"));
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    Some(message)
}

/// Older servers match results by tool and order, newer ones by id; images are only supported in user messages.
fn tool_results(results: &[ToolResult], request: &ModelRequest, messages: &mut Vec<Value>) {
    let mut attached = Vec::new();
    for result in results {
        messages.push(json!({"role": "tool", "tool_name": result.name, "tool_call_id": result.call_id, "content": result.output}));
        if !result.media.is_empty() {
            attached.push(Piece::Text(format!("Attached to the result of {}:", result.name)));
            attached.extend(result.media.iter().map(|media| media_piece(media, media_block, &request.info)));
        }
    }
    if !attached.is_empty() {
        messages.push(user(attached));
    }
}

/// The block for an image or document; `None` if the protocol does not support its media type.
pub(crate) fn media_block(media: &Media, mime: &str) -> Option<Value> {
    matches!(mime, "image/png" | "image/jpeg" | "image/webp").then(|| json!(media.base64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing::request;

    #[test]
    fn the_context_size_is_that_of_the_settings() {
        let mut request = request("m");
        assert_eq!(body(&request)["options"], json!({"num_predict": 500}));
        request.info.limit.context = 32_768;
        assert_eq!(body(&request)["options"], json!({"num_ctx": 32_768, "num_predict": 500}));
        request.options = json!({"options": {"num_ctx": 8192}, "keep_alive": "1h", "think": "high"}).as_object().unwrap().clone();
        let body = body(&request);
        assert_eq!(body["options"], json!({"num_ctx": 8192, "num_predict": 500}));
        assert_eq!(body["keep_alive"], "1h");
        assert_eq!(body["think"], "high");
    }
}
