//! The body of a Gemini `generateContent` request. Pure.
//!
//! Signatures of thinking are sent back on their original parts. Caching is automatic by prefix. It does not use genai,
//! whose builder moves thinking and derives effort levels from model names.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult, ToolSpec},
    wire::{
        body::{joined, map, merge_options, object},
        media::{Piece, media_piece, user_pieces},
    },
};

const FIXED_FIELDS: [&str; 3] = ["contents", "systemInstruction", "tools"];

/// The documented placeholder for calls of other models, which have no signature: from Gemini 3 on a call without one
/// is rejected.
const PLACEHOLDER_SIGNATURE: &str = "skip_thought_signature_validator";

pub(crate) fn body(request: &ModelRequest) -> Map<String, Value> {
    let mut body = Map::new();
    body.extend(joined(&request.system).map(|text| ("systemInstruction".to_owned(), json!({"parts": [{"text": text}]}))));
    body.insert("contents".to_owned(), contents(request));
    if !request.tools.is_empty() {
        let tool = |tool: &ToolSpec| json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters});
        body.insert("tools".to_owned(), json!([{"functionDeclarations": request.tools.iter().map(tool).collect::<Value>()}]));
    }
    let mut generation = Map::new();
    if request.max_output_tokens > 0 {
        generation.insert("maxOutputTokens".to_owned(), json!(request.max_output_tokens));
    }
    if request.info.temperature {
        generation.extend(request.temperature.map(|value| ("temperature".to_owned(), json!(value))));
        generation.extend(request.top_p.map(|value| ("topP".to_owned(), json!(value))));
    }
    if request.info.reasoning {
        generation.insert("thinkingConfig".to_owned(), json!({"includeThoughts": true}));
    }
    if !generation.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(generation));
    }
    merge_options(&mut body, &request.options, &FIXED_FIELDS);
    body
}

fn contents(request: &ModelRequest) -> Value {
    let needs_signatures = needs_signatures(&request.model.model_id);
    let mut given_ids = HashSet::new();
    let mut contents = Vec::new();
    for message in &request.messages {
        let (role, parts) = match message {
            ModelMessage::User(content) => ("user", user_pieces(content, media_block, &request.info).into_iter().map(part).collect()),
            ModelMessage::Assistant(content) => ("model", assistant(content, needs_signatures, &mut given_ids)),
            ModelMessage::Tool(results) => ("user", tool_results(results, request, &given_ids)),
        };
        if !parts.is_empty() {
            contents.push(map([("role", role.into()), ("parts", Value::Array(parts))]));
        }
    }
    Value::Array(contents)
}

fn needs_signatures(model: &str) -> bool {
    let version = model.rsplit('/').next().unwrap_or_default().strip_prefix("gemini-");
    version.is_some_and(|version| !["1", "2"].iter().any(|old| version.starts_with(old)))
}

fn part(piece: Piece) -> Value {
    match piece {
        Piece::Text(text) => map([("text", text.into())]),
        Piece::Block(block) => block,
    }
}

fn assistant<'a>(content: &'a [AssistantContent], needs_signatures: bool, given_ids: &mut HashSet<&'a str>) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    let mut has_signed_call = false;
    for piece in content {
        match piece {
            AssistantContent::Text(text) if !text.is_empty() => parts.push(json!({ "text": text })),
            // The text of thinking is a summary for users; the service only uses the signature, which is on the last
            // part of a text, or on a part of its own.
            AssistantContent::Reasoning { signature: Some(signature), .. } if !signature.is_empty() => match parts.last_mut() {
                Some(last) if last.get("text").is_some() && last.get("thoughtSignature").is_none() => {
                    last["thoughtSignature"] = json!(signature);
                }
                _ => parts.push(json!({"text": "", "thoughtSignature": signature})),
            },
            AssistantContent::Text(_) | AssistantContent::Reasoning { .. } => {}
            AssistantContent::ToolCall { call_id, name, input, metadata } => {
                let kept = |field: &str| metadata.as_ref().and_then(|metadata| metadata[field].as_str());
                let mut call = json!({"name": name, "args": object(input)});
                if let Some(id) = kept("id") {
                    call["id"] = json!(id);
                    given_ids.insert(call_id);
                }
                let mut part = json!({ "functionCall": call });
                // Only the first of parallel calls is signed.
                let missing = (needs_signatures && !has_signed_call).then_some(PLACEHOLDER_SIGNATURE);
                if let Some(signature) = kept("thoughtSignature").or(missing) {
                    part["thoughtSignature"] = json!(signature);
                    has_signed_call = true;
                }
                parts.push(part);
            }
        }
    }
    parts
}

/// The results of all calls in one message, followed by their media.
fn tool_results(results: &[ToolResult], request: &ModelRequest, given_ids: &HashSet<&str>) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut attached = Vec::new();
    for result in results {
        let outcome = if result.is_error { "error" } else { "output" };
        let mut response = json!({"name": result.name, "response": {outcome: result.output}});
        if given_ids.contains(result.call_id.as_str()) {
            response["id"] = json!(result.call_id);
        }
        parts.push(json!({ "functionResponse": response }));
        if !result.media.is_empty() {
            attached.push(json!({"text": format!("Attached to the result of {}:", result.name)}));
            attached.extend(result.media.iter().map(|media| part(media_piece(media, media_block, &request.info))));
        }
    }
    parts.extend(attached);
    parts
}

/// The block for an image or document; `None` if the protocol does not support its media type.
pub(crate) fn media_block(media: &Media, mime: &str) -> Option<Value> {
    let is_taken = matches!(mime, "application/pdf" | "image/png" | "image/jpeg" | "image/webp" | "image/heic" | "image/heif")
        || mime.starts_with("audio/")
        || mime.starts_with("video/");
    is_taken.then(|| json!({"inlineData": {"mimeType": mime, "data": media.base64}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing::request;

    fn call(call_id: &str, metadata: Option<Value>) -> AssistantContent {
        AssistantContent::ToolCall { call_id: call_id.to_owned(), name: "read".to_owned(), input: json!({"filePath": "a"}), metadata }
    }

    #[test]
    fn signatures_keep_their_parts() {
        let content = [
            AssistantContent::Reasoning { text: "hm".to_owned(), signature: None },
            AssistantContent::Text("I read.".to_owned()),
            AssistantContent::Reasoning { text: String::new(), signature: Some("c2ln".to_owned()) },
            call("one", Some(json!({"thoughtSignature": "Y2FsbA==", "id": "one"}))),
            call("call_2", None),
        ];
        let mut given = HashSet::new();
        let expected = [
            json!({"text": "I read.", "thoughtSignature": "c2ln"}),
            json!({"functionCall": {"name": "read", "args": {"filePath": "a"}, "id": "one"}, "thoughtSignature": "Y2FsbA=="}),
            json!({"functionCall": {"name": "read", "args": {"filePath": "a"}}}),
        ];
        assert_eq!(assistant(&content, true, &mut given), expected);
        assert_eq!(given, HashSet::from(["one"]));
        let alone = [AssistantContent::Reasoning { text: String::new(), signature: Some("c2ln".to_owned()) }];
        assert_eq!(assistant(&alone, true, &mut given), [json!({"text": "", "thoughtSignature": "c2ln"})]);
    }

    #[test]
    fn calls_of_other_models_get_a_placeholder_signature() {
        let content = [call("a", None), call("b", None)];
        let parts = assistant(&content, true, &mut HashSet::new());
        assert_eq!(parts[0]["thoughtSignature"], PLACEHOLDER_SIGNATURE);
        assert!(parts[1].get("thoughtSignature").is_none());
        for (model, expected) in
            [("gemini-2.5-pro", false), ("gemini-3-pro-preview", true), ("models/gemini-3.1-flash", true), ("gemma-3", false)]
        {
            assert_eq!(needs_signatures(model), expected, "{model}");
        }
    }

    #[test]
    fn options_are_merged_into_the_generation_config() {
        let mut request = request("gemini-3-pro");
        request.info.reasoning = true;
        let options = json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}, "contents": [], "cachedContent": "c"});
        request.options = options.as_object().unwrap().clone();
        let body = body(&request);
        let expected = json!({"maxOutputTokens": 500, "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "low"}});
        assert_eq!(body["generationConfig"], expected);
        assert_eq!(body["contents"].as_array().unwrap().len(), 1);
        assert_eq!(body["cachedContent"], "c");
    }
}
