//! The body of a Messages request. Pure.
//!
//! It does not use genai, whose builder moves thinking before text (the service wants it at its place), derives effort
//! levels from model names, and supports neither failed results nor images in results.

use polytree_protocol::provider::Model;
use serde_json::{Map, Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult, ToolSpec},
    wire::{
        anthropic::stream::REDACTED,
        body::{map, merge_options, object},
        media::{Piece, media_piece, user_pieces},
    },
};

const FIXED_FIELDS: [&str; 5] = ["model", "messages", "stream", "tools", "system"];

/// The output limit if neither the model nor the request has one: the protocol requires it.
const DEFAULT_MAX_TOKENS: u64 = 32_000;

/// The body, all but `stream`.
pub(crate) fn body(request: &ModelRequest) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model.model_id));
    let (thinks, max_tokens) = limits(request);
    body.insert("max_tokens".to_owned(), json!(max_tokens));
    body.extend(system(&request.system).map(|system| ("system".to_owned(), system)));
    if !request.tools.is_empty() {
        let tool = |tool: &ToolSpec| json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters});
        let mut tools: Vec<_> = request.tools.iter().map(tool).collect();
        // Tools stay cached when the system texts change, as they do daily.
        if let Some(last) = tools.last_mut() {
            last["cache_control"] = cache_marker();
        }
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    body.insert("messages".to_owned(), messages(request));
    // With thinking the service rejects sampling parameters.
    if request.info.temperature && !thinks {
        body.extend(request.temperature.map(|value| ("temperature".to_owned(), json!(value))));
        body.extend(request.top_p.map(|value| ("top_p".to_owned(), json!(value))));
    }
    merge_options(&mut body, &request.options, &FIXED_FIELDS);
    body
}

/// Whether thinking is enabled, and the output limit including the thinking budget.
fn limits(request: &ModelRequest) -> (bool, u64) {
    let asked = if request.max_output_tokens == 0 { DEFAULT_MAX_TOKENS } else { request.max_output_tokens };
    let Some(thinking) = request.options.get("thinking") else { return (false, asked) };
    let thinks = thinking.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "disabled");
    match thinking.get("budget_tokens").and_then(Value::as_u64) {
        Some(budget) if budget >= asked => {
            let sum = budget.saturating_add(asked);
            let most = if request.info.limit.output == 0 { sum } else { request.info.limit.output };
            (thinks, sum.min(most).max(budget.saturating_add(1)))
        }
        _ => (thinks, asked),
    }
}

fn cache_marker() -> Value {
    json!({"type": "ephemeral"})
}

/// The last block has a cache marker: everything up to it is cached.
fn system(texts: &[String]) -> Option<Value> {
    let mut blocks: Vec<_> =
        texts.iter().filter(|text| !text.trim().is_empty()).map(|text| json!({"type": "text", "text": text})).collect();
    blocks.last_mut()?["cache_control"] = cache_marker();
    Some(Value::Array(blocks))
}

fn messages(request: &ModelRequest) -> Value {
    let info = &request.info;
    let mut messages = Vec::new();
    for message in &request.messages {
        let (role, blocks) = match message {
            ModelMessage::User(content) => ("user", user_pieces(content, media_block, info).into_iter().map(block).collect()),
            ModelMessage::Assistant(content) => ("assistant", content.iter().filter_map(assistant_block).collect::<Vec<_>>()),
            ModelMessage::Tool(results) => ("user", results.iter().map(|result| tool_result(result, info)).collect()),
        };
        if !blocks.is_empty() {
            messages.push((role, blocks));
        }
    }
    // The last message marks the whole history; the one before keeps the previous request's cache entry in use.
    for (_, blocks) in messages.iter_mut().rev().take(2) {
        // Thinking cannot have a cache marker.
        let last = blocks.last_mut().filter(|block| !matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking")));
        if let Some(last) = last {
            last["cache_control"] = cache_marker();
        }
    }
    messages.into_iter().map(|(role, blocks)| map([("role", role.into()), ("content", Value::Array(blocks))])).collect()
}

fn block(piece: Piece) -> Value {
    match piece {
        Piece::Text(text) => map([("type", "text".into()), ("text", text.into())]),
        Piece::Block(block) => block,
    }
}

fn assistant_block(content: &AssistantContent) -> Option<Value> {
    match content {
        AssistantContent::Text(text) => (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text})),
        AssistantContent::Reasoning { text, signature } => {
            // Unsigned thinking is from another service and would be rejected.
            let signature = signature.as_deref().filter(|signature| !signature.is_empty())?;
            Some(match signature.strip_prefix(REDACTED) {
                Some(data) => json!({"type": "redacted_thinking", "data": data}),
                None => json!({"type": "thinking", "thinking": text, "signature": signature}),
            })
        }
        AssistantContent::ToolCall { call_id, name, input, .. } => {
            Some(json!({"type": "tool_use", "id": allowed_id(call_id), "name": name, "input": object(input)}))
        }
    }
}

fn tool_result(result: &ToolResult, info: &Model) -> Value {
    let content = if result.media.is_empty() {
        json!(result.output)
    } else {
        let text = (!result.output.trim().is_empty()).then(|| Piece::Text(result.output.clone()));
        text.into_iter().chain(result.media.iter().map(|media| media_piece(media, media_block, info))).map(block).collect()
    };
    let mut block = map([("type", "tool_result".into()), ("tool_use_id", allowed_id(&result.call_id).into()), ("content", content)]);
    if result.is_error {
        block["is_error"] = json!(true);
    }
    block
}

/// Replaces characters that the service does not allow in ids (only letters, digits, `_` and `-`), as in ids of another
/// provider. A digest keeps different ids distinct.
fn allowed_id(id: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.chars().all(is_allowed) {
        return id.to_owned();
    }
    let digest = blake3::hash(id.as_bytes()).to_hex();
    let replaced: String = id.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    format!("{replaced}_{}", &digest[..8])
}

/// The block for an image or document; `None` if the protocol does not support its media type.
pub(crate) fn media_block(media: &Media, mime: &str) -> Option<Value> {
    let source = || json!({"type": "base64", "media_type": mime, "data": media.base64});
    match mime {
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Some(json!({"type": "image", "source": source()})),
        "application/pdf" => {
            let mut block = json!({"type": "document", "source": source()});
            if let Some(name) = &media.filename {
                block["title"] = json!(name);
            }
            Some(block)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::provider::ModelRef;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::definition::{Media, ToolSpec, UserContent, unknown_model};

    fn request(messages: Vec<ModelMessage>) -> ModelRequest {
        ModelRequest {
            model: ModelRef { provider_id: "p".to_owned(), model_id: "m".to_owned() },
            info: unknown_model("m"),
            system: Vec::new(),
            messages,
            tools: Vec::new(),
            temperature: Some(0.5),
            top_p: None,
            max_output_tokens: 1000,
            options: Map::new(),
            cache_key: String::new(),
        }
    }

    fn user(text: &str) -> ModelMessage {
        ModelMessage::User(vec![UserContent::Text(text.to_owned())])
    }

    fn signed(text: &str, signature: &str) -> AssistantContent {
        AssistantContent::Reasoning { text: text.to_owned(), signature: Some(signature.to_owned()) }
    }

    #[test]
    fn system_and_last_two_messages_are_marked() {
        let mut request =
            request(vec![user("one"), ModelMessage::Assistant(vec![AssistantContent::Text("two".to_owned())]), user("three")]);
        request.system = vec!["stable".to_owned(), "changing".to_owned()];
        request.tools.push(ToolSpec { name: "read".to_owned(), description: "d".to_owned(), parameters: json!({"type": "object"}) });
        let mark = json!({"type": "ephemeral"});
        let expected = json!({
            "model": "m",
            "max_tokens": 1000,
            "system": [{"type": "text", "text": "stable"}, {"type": "text", "text": "changing", "cache_control": mark}],
            "tools": [{"name": "read", "description": "d", "input_schema": {"type": "object"}, "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "one"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "two", "cache_control": mark}]},
                {"role": "user", "content": [{"type": "text", "text": "three", "cache_control": mark}]},
            ],
        });
        assert_eq!(Value::Object(body(&request)), expected);
    }

    #[test]
    fn thinking_keeps_its_position() {
        let call =
            AssistantContent::ToolCall { call_id: "a.b".to_owned(), name: "read".to_owned(), input: json!("broken"), metadata: None };
        let unsigned = AssistantContent::Reasoning { text: "foreign".to_owned(), signature: None };
        let messages = messages(&request(vec![
            user("one"),
            ModelMessage::Assistant(vec![
                signed("t1", "s1"),
                AssistantContent::Text("x".to_owned()),
                signed("", "redacted:d"),
                unsigned,
                signed("", "s2"),
                call,
            ]),
        ]));
        let id = allowed_id("a.b");
        let expected = json!([
            {"type": "thinking", "thinking": "t1", "signature": "s1"},
            {"type": "text", "text": "x"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "thinking", "thinking": "", "signature": "s2"},
            {"type": "tool_use", "id": id, "name": "read", "input": {}, "cache_control": {"type": "ephemeral"}},
        ]);
        assert_eq!(messages[1]["content"], expected);
    }

    #[test]
    fn thinking_is_never_marked() {
        let messages = messages(&request(vec![user("one"), ModelMessage::Assistant(vec![signed("t", "s")])]));
        assert_eq!(messages[1]["content"], json!([{"type": "thinking", "thinking": "t", "signature": "s"}]));
    }

    #[test]
    fn results_contain_errors_and_images() {
        let image = Media { mime: "image/png".to_owned(), filename: None, base64: "AAAA".to_owned() };
        let result =
            ToolResult { call_id: "c".to_owned(), name: "read".to_owned(), output: "text".to_owned(), is_error: true, media: vec![image] };
        let source = json!({"type": "base64", "media_type": "image/png", "data": "AAAA"});
        let content = json!([{"type": "text", "text": "text"}, {"type": "image", "source": source}]);
        let expected = json!({"type": "tool_result", "tool_use_id": "c", "content": content, "is_error": true});
        let blind = unknown_model("m");
        let sees = Model { attachment: true, ..blind.clone() };
        assert_eq!(tool_result(&result, &sees), expected);
        assert_eq!(tool_result(&ToolResult { media: vec![], is_error: false, ..result.clone() }, &sees)["content"], "text");
        assert!(tool_result(&result, &blind)["content"][1]["text"].as_str().unwrap().contains("cannot see"));
    }

    #[test]
    fn thinking_excludes_sampling_and_adds_its_budget() {
        let mut request = request(vec![user("one")]);
        request.info.temperature = true;
        assert_eq!(body(&request)["temperature"], 0.5);
        request.options = json!({"thinking": {"type": "enabled", "budget_tokens": 4000}}).as_object().unwrap().clone();
        let with_thinking = body(&request);
        assert_eq!(with_thinking["max_tokens"], 5000);
        assert!(!with_thinking.contains_key("temperature"));
        assert_eq!(with_thinking["thinking"]["budget_tokens"], 4000);
        request.info.limit.output = 4500;
        assert_eq!(body(&request)["max_tokens"], 4500);
        request.options = json!({"thinking": {"type": "disabled"}}).as_object().unwrap().clone();
        assert_eq!(body(&request)["temperature"], 0.5);
    }

    proptest! {
        #[test]
        fn replaced_ids_are_allowed_and_distinct(one in ".{0,20}", other in ".{0,20}") {
            let (first, second) = (allowed_id(&one), allowed_id(&other));
            prop_assert!(!first.is_empty() && first.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'));
            prop_assert_eq!(first == second, one == other);
        }
    }
}
