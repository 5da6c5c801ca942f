//! The body of a Chat Completions request. Pure.
//!
//! It does not use genai, whose builder derives effort levels and namespaces from model names, does not support media
//! in tool results, and drops what a service wants back with a call.

use polytree_protocol::provider::Model;
use serde_json::{Map, Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult, UserContent},
    http::address::Address,
    wire::{
        body::{function_tools, joined, map, merge_options, only_text},
        media::{Piece, media_piece, user_pieces},
        openai::stream::DETAILS,
    },
};

/// Fields that options cannot replace.
const FIXED_FIELDS: [&str; 4] = ["model", "messages", "stream", "tools"];

/// The body, all but `stream`.
pub(crate) fn body(request: &ModelRequest, address: &Address) -> Map<String, Value> {
    // Compatible services often reject unknown fields.
    let is_original = address.is_at("api.openai.com") || address.is_at("openai.azure.com");
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model.model_id));
    body.insert("messages".to_owned(), messages(request, is_original));
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), function_tools(&request.tools));
        if is_original && wants_effort_none(&request.model.model_id) {
            body.insert("reasoning_effort".to_owned(), json!("none"));
        }
    }
    // Mistral always reports the usage, and rejects the option.
    if !address.is_at("api.mistral.ai") {
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if request.max_output_tokens > 0 {
        let field = if is_original { "max_completion_tokens" } else { "max_tokens" };
        body.insert(field.to_owned(), json!(request.max_output_tokens));
    }
    if request.info.temperature {
        body.extend(request.temperature.map(|value| ("temperature".to_owned(), json!(value))));
        body.extend(request.top_p.map(|value| ("top_p".to_owned(), json!(value))));
    }
    if is_original && !request.cache_key.is_empty() {
        body.insert("prompt_cache_key".to_owned(), json!(request.cache_key));
    }
    merge_options(&mut body, &request.options, &FIXED_FIELDS);
    body
}

/// From GPT-5.4 on, this protocol allows tools only without thinking; both together need the Responses API.
fn wants_effort_none(model: &str) -> bool {
    let Some(version) = model.strip_prefix("gpt-") else { return false };
    let number: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let (major, minor) = number.split_once('.').unwrap_or((number.as_str(), "0"));
    matches!((major.parse::<u32>(), minor.parse::<u32>()), (Ok(major), Ok(minor)) if (major, minor) >= (5, 4))
}

fn messages(request: &ModelRequest, is_original: bool) -> Value {
    let mut messages = Vec::new();
    // One message: the templates of many local models accept a system message only at the beginning.
    messages.extend(joined(&request.system).map(|text| json!({"role": "system", "content": text})));
    // Thinking is sent back only within its turn: services that use it need it there, and earlier thinking would only
    // cost tokens.
    let turn = request.messages.iter().rposition(|message| matches!(message, ModelMessage::User(_))).unwrap_or(0);
    for (place, message) in request.messages.iter().enumerate() {
        match message {
            ModelMessage::User(content) => messages.extend(user(content, &request.info)),
            ModelMessage::Assistant(content) => messages.extend(assistant(content, place > turn && !is_original)),
            ModelMessage::Tool(results) => tool_results(results, &request.info, &mut messages),
        }
    }
    Value::Array(messages)
}

fn user(content: &[UserContent], info: &Model) -> Option<Value> {
    let pieces = user_pieces(content, media_block, info);
    (!pieces.is_empty()).then(|| map([("role", "user".into()), ("content", content_of(pieces))]))
}

/// A text where there is only text, else parts.
fn content_of(pieces: Vec<Piece>) -> Value {
    let part = |piece| match piece {
        Piece::Text(text) => map([("type", "text".into()), ("text", text.into())]),
        Piece::Block(block) => block,
    };
    match only_text(pieces) {
        Ok(text) => text.into(),
        Err(pieces) => pieces.into_iter().map(part).collect(),
    }
}

fn assistant(content: &[AssistantContent], with_reasoning: bool) -> Option<Value> {
    let mut texts = Vec::new();
    let mut reasoning = Vec::new();
    let mut details = Vec::new();
    let mut calls = Vec::new();
    for piece in content {
        match piece {
            AssistantContent::Text(text) if !text.is_empty() => texts.push(text.as_str()),
            AssistantContent::Reasoning { text, signature } if with_reasoning => {
                match signature.as_deref().and_then(|signature| signature.strip_prefix(DETAILS)) {
                    Some(signed) => details.extend(serde_json::from_str::<Vec<Value>>(signed).unwrap_or_default()),
                    None if !text.is_empty() => reasoning.push(text.as_str()),
                    None => {}
                }
            }
            AssistantContent::Text(_) | AssistantContent::Reasoning { .. } => {}
            AssistantContent::ToolCall { call_id, name, input, metadata } => {
                let arguments = input.as_str().map_or_else(|| input.to_string(), ToOwned::to_owned);
                let function = map([("name", name.as_str().into()), ("arguments", arguments.into())]);
                let mut call = map([("id", call_id.as_str().into()), ("type", "function".into()), ("function", function)]);
                if let (Some(call), Some(Value::Object(metadata))) = (call.as_object_mut(), metadata) {
                    call.extend(metadata.clone());
                }
                calls.push(call);
            }
        }
    }
    if texts.is_empty() && calls.is_empty() {
        return None;
    }
    let content = if texts.is_empty() { Value::Null } else { texts.join("\n\n").into() };
    let mut message = map([("role", "assistant".into()), ("content", content)]);
    if !reasoning.is_empty() {
        message["reasoning_content"] = json!(reasoning.join("\n"));
    }
    if !details.is_empty() {
        message["reasoning_details"] = Value::Array(details);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    Some(message)
}

fn tool_results(results: &[ToolResult], info: &Model, messages: &mut Vec<Value>) {
    let mut attached = Vec::new();
    for result in results {
        messages.push(json!({"role": "tool", "tool_call_id": result.call_id, "content": result.output}));
        if !result.media.is_empty() {
            attached.push(Piece::Text(format!("Attached to the result of {} (call {}):", result.name, result.call_id)));
            attached.extend(result.media.iter().map(|media| media_piece(media, media_block, info)));
        }
    }
    // Results are text only in this protocol, and must all come before the next message.
    if !attached.is_empty() {
        messages.push(map([("role", "user".into()), ("content", content_of(attached))]));
    }
}

/// The block for an image or document; `None` if the protocol does not support its media type.
pub(crate) fn media_block(media: &Media, mime: &str) -> Option<Value> {
    let data = &media.base64;
    match mime {
        "application/pdf" => {
            let filename = media.filename.as_deref().unwrap_or("document.pdf");
            Some(json!({"type": "file", "file": {"filename": filename, "file_data": format!("data:{mime};base64,{data}")}}))
        }
        "audio/wav" | "audio/x-wav" => Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})),
        "audio/mpeg" | "audio/mp3" => Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}})),
        _ if mime.starts_with("image/") => Some(json!({"type": "image_url", "image_url": {"url": format!("data:{mime};base64,{data}")}})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::provider::ModelRef;

    use super::*;
    use crate::provider::definition::{Media, ToolSpec, unknown_model};

    fn request(messages: Vec<ModelMessage>) -> ModelRequest {
        ModelRequest {
            model: ModelRef { provider_id: "p".to_owned(), model_id: "m".to_owned() },
            info: unknown_model("m"),
            system: Vec::new(),
            messages,
            tools: Vec::new(),
            temperature: None,
            top_p: None,
            max_output_tokens: 0,
            options: Map::new(),
            cache_key: "ses_1".to_owned(),
        }
    }

    fn local() -> Address {
        Address::parse("http://127.0.0.1:1/v1").unwrap()
    }

    fn original() -> Address {
        Address::parse("https://api.openai.com/v1").unwrap()
    }

    fn user_text(text: &str) -> ModelMessage {
        ModelMessage::User(vec![UserContent::Text(text.to_owned())])
    }

    #[test]
    fn the_smallest_body() {
        let body = Value::Object(body(&request(vec![user_text("hi")]), &local()));
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": true}});
        assert_eq!(body, expected);
    }

    #[test]
    fn fields_only_for_the_original_service() {
        let mut request = ModelRequest { max_output_tokens: 100, ..request(vec![user_text("hi")]) };
        request.model.model_id = "gpt-6-sol".to_owned();
        request.tools.push(ToolSpec { name: "read".to_owned(), description: "d".to_owned(), parameters: json!({"type": "object"}) });
        let here = body(&request, &local());
        assert_eq!(here["max_tokens"], 100);
        assert!(!here.contains_key("prompt_cache_key") && !here.contains_key("reasoning_effort"));
        let there = body(&request, &original());
        assert_eq!(there["max_completion_tokens"], 100);
        assert_eq!(there["prompt_cache_key"], "ses_1");
        assert_eq!(there["reasoning_effort"], "none");
        assert!(!there.contains_key("max_tokens"));
        for (model, expected) in
            [("gpt-5", false), ("gpt-5.3-codex", false), ("gpt-5.4-mini", true), ("gpt-6", true), ("gpt-4o", false), ("o3", false)]
        {
            assert_eq!(wants_effort_none(model), expected, "{model}");
        }
    }

    #[test]
    fn options_cannot_replace_fixed_fields() {
        let options = json!({"reasoning_effort": "high", "model": "other", "messages": [], "stream": false, "temperature": 0.1});
        let mut request =
            ModelRequest { options: options.as_object().unwrap().clone(), temperature: Some(0.9), ..request(vec![user_text("hi")]) };
        request.info.temperature = true;
        let body = body(&request, &local());
        assert_eq!(body["reasoning_effort"], "high");
        assert_eq!(body["temperature"], 0.1);
        assert_eq!(body["model"], "m");
        assert_eq!(body["messages"].as_array().unwrap().len(), 1);
        assert!(!body.contains_key("stream"));
    }

    #[test]
    fn a_turn_with_tools_and_thinking() {
        let call = |id: &str, metadata| AssistantContent::ToolCall {
            call_id: id.to_owned(),
            name: "read".to_owned(),
            input: json!({"filePath": "a"}),
            metadata,
        };
        let thinking = || AssistantContent::Reasoning { text: "hm".to_owned(), signature: None };
        let image = Media { mime: "image/png".to_owned(), filename: None, base64: "AAAA".to_owned() };
        let result = |id: &str, media| ToolResult {
            call_id: id.to_owned(),
            name: "read".to_owned(),
            output: "text".to_owned(),
            is_error: false,
            media,
        };
        let mut request = request(vec![
            user_text("one"),
            ModelMessage::Assistant(vec![thinking(), AssistantContent::Text("old".to_owned())]),
            user_text("two"),
            ModelMessage::Assistant(vec![thinking(), call("a", Some(json!({"extra_content": {"x": 1}}))), call("b", None)]),
            ModelMessage::Tool(vec![result("a", vec![image]), result("b", vec![])]),
        ]);
        request.system = vec!["first".to_owned(), " ".to_owned(), "second".to_owned()];
        request.info.attachment = true;
        let function = json!({"name": "read", "arguments": "{\"filePath\":\"a\"}"});
        let expected = json!([
            {"role": "system", "content": "first\n\nsecond"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "old"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "a", "type": "function", "function": function, "extra_content": {"x": 1}},
                {"id": "b", "type": "function", "function": function},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "text"},
            {"role": "tool", "tool_call_id": "b", "content": "text"},
            {"role": "user", "content": [
                {"type": "text", "text": "Attached to the result of read (call a):"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
        ]);
        assert_eq!(messages(&request, false), expected);
        assert!(!messages(&request, true).to_string().contains("reasoning_content"));
    }
}
