//! The body of a Responses request. Pure.
//!
//! Nothing is stored at the service: each request has the whole history, with thinking in its encrypted form. It does
//! not use genai, whose builder derives effort levels from model names and does not support media in results.

use serde_json::{Map, Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult, ToolSpec},
    http::address::Address,
    wire::{
        body::{joined, map, merge_options},
        media::{Piece, media_piece, user_pieces},
    },
};

const FIXED_FIELDS: [&str; 5] = ["model", "input", "instructions", "tools", "stream"];

/// The service's length limit of ids.
const MAX_ID_BYTES: usize = 64;

/// The body, all but `stream`.
pub(crate) fn body(request: &ModelRequest, address: &Address) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model.model_id));
    body.extend(joined(&request.system).map(|text| ("instructions".to_owned(), json!(text))));
    body.insert("input".to_owned(), input(request));
    if !request.tools.is_empty() {
        let tool = |tool: &ToolSpec| json!({"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": false});
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
    }
    body.insert("store".to_owned(), json!(false));
    if request.max_output_tokens > 0 {
        body.insert("max_output_tokens".to_owned(), json!(request.max_output_tokens));
    }
    if request.info.temperature {
        body.extend(request.temperature.map(|value| ("temperature".to_owned(), json!(value))));
        body.extend(request.top_p.map(|value| ("top_p".to_owned(), json!(value))));
    }
    if request.info.reasoning {
        body.insert("include".to_owned(), json!(["reasoning.encrypted_content"]));
        body.insert("reasoning".to_owned(), json!({"summary": "auto"}));
    }
    // Compatible services often reject unknown fields.
    if (address.is_at("api.openai.com") || address.is_at("openai.azure.com")) && !request.cache_key.is_empty() {
        body.insert("prompt_cache_key".to_owned(), json!(request.cache_key));
    }
    merge_options(&mut body, &request.options, &FIXED_FIELDS);
    body
}

fn input(request: &ModelRequest) -> Value {
    let mut items = Vec::new();
    for message in &request.messages {
        match message {
            ModelMessage::User(content) => {
                let pieces = user_pieces(content, media_block, &request.info);
                if !pieces.is_empty() {
                    let content = pieces.into_iter().map(part).collect();
                    items.push(map([("type", "message".into()), ("role", "user".into()), ("content", content)]));
                }
            }
            ModelMessage::Assistant(content) => {
                items.extend(content.iter().filter_map(|content| assistant(content, request.info.reasoning)));
            }
            ModelMessage::Tool(results) => items.extend(results.iter().map(|result| tool_result(result, request))),
        }
    }
    Value::Array(items)
}

fn part(piece: Piece) -> Value {
    match piece {
        Piece::Text(text) => map([("type", "input_text".into()), ("text", text.into())]),
        Piece::Block(block) => block,
    }
}

fn assistant(content: &AssistantContent, thinks: bool) -> Option<Value> {
    match content {
        AssistantContent::Text(text) => {
            (!text.is_empty()).then(|| json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}))
        }
        AssistantContent::Reasoning { text, signature } => {
            // The service accepts thinking only in its encrypted form.
            let encrypted = signature.as_deref().filter(|signature| thinks && !signature.is_empty())?;
            let summary = if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
            Some(json!({"type": "reasoning", "summary": summary, "encrypted_content": encrypted}))
        }
        AssistantContent::ToolCall { call_id, name, input, .. } => {
            let arguments = input.as_str().map_or_else(|| input.to_string(), ToOwned::to_owned);
            Some(json!({"type": "function_call", "call_id": short_id(call_id), "name": name, "arguments": arguments}))
        }
    }
}

fn tool_result(result: &ToolResult, request: &ModelRequest) -> Value {
    let output = if result.media.is_empty() {
        json!(result.output)
    } else {
        let text = (!result.output.trim().is_empty()).then(|| Piece::Text(result.output.clone()));
        let media = result.media.iter().map(|media| media_piece(media, media_block, &request.info));
        text.into_iter().chain(media).map(part).collect()
    };
    map([("type", "function_call_output".into()), ("call_id", short_id(&result.call_id).into()), ("output", output)])
}

/// Shortens ids of other services; a digest keeps them distinct.
fn short_id(id: &str) -> String {
    if (1..=MAX_ID_BYTES).contains(&id.len()) { id.to_owned() } else { format!("call_{}", &blake3::hash(id.as_bytes()).to_hex()[..32]) }
}

/// The block for an image or document; `None` if the protocol does not support its media type.
pub(crate) fn media_block(media: &Media, mime: &str) -> Option<Value> {
    let data = &media.base64;
    match mime {
        "application/pdf" => {
            let filename = media.filename.as_deref().unwrap_or("document.pdf");
            Some(json!({"type": "input_file", "filename": filename, "file_data": format!("data:{mime};base64,{data}")}))
        }
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => {
            Some(json!({"type": "input_image", "detail": "auto", "image_url": format!("data:{mime};base64,{data}")}))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing::request;

    #[test]
    fn fields_only_for_the_original_service() {
        let original = Address::parse("https://api.openai.com/v1").unwrap();
        let other = Address::parse("http://127.0.0.1:1/v1").unwrap();
        assert_eq!(body(&request("m"), &original)["prompt_cache_key"], "ses_1");
        assert!(!body(&request("m"), &other).contains_key("prompt_cache_key"));
    }

    #[test]
    fn thinking_is_requested_for_thinking_models() {
        let address = Address::parse("http://127.0.0.1:1/v1").unwrap();
        let mut request = request("m");
        assert!(!body(&request, &address).contains_key("include"));
        request.info.reasoning = true;
        request.options = json!({"reasoning": {"effort": "high"}, "input": [], "store": true}).as_object().unwrap().clone();
        let body = body(&request, &address);
        assert_eq!(body["reasoning"], json!({"summary": "auto", "effort": "high"}));
        assert_eq!(body["input"].as_array().unwrap().len(), 1);
        assert_eq!(body["store"], true);
    }

    #[test]
    fn long_ids_are_shortened_in_the_same_way_in_call_and_result() {
        let long = "x".repeat(65);
        assert_eq!(short_id("call_1"), "call_1");
        assert_eq!(short_id(&long), short_id(&long));
        assert_ne!(short_id(&long), short_id(&"x".repeat(66)));
        assert!(short_id(&long).len() <= MAX_ID_BYTES && !short_id("").is_empty());
    }
}
