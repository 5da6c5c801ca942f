//! Helpers for request bodies that several protocols share. Pure.

use serde_json::{Map, Value, json};

use crate::provider::{
    definition::ToolSpec,
    wire::{media::Piece, variants::merge},
};

/// Merges the options of settings and agents into a body: objects field by field, other values are replaced. `fixed`
/// fields cannot be replaced.
pub(crate) fn merge_options(body: &mut Map<String, Value>, options: &Map<String, Value>, fixed: &[&str]) {
    let free = options.iter().filter(|(name, _)| !fixed.contains(&name.as_str()));
    merge(body, &free.map(|(name, value)| (name.clone(), value.clone())).collect());
}

/// Adds the field that requests a stream.
pub(crate) fn streamed(mut body: Map<String, Value>) -> Map<String, Value> {
    body.insert("stream".to_owned(), Value::Bool(true));
    body
}

/// Joins the system texts, for protocols with a single system text; `None` if there are none.
pub(crate) fn joined(system: &[String]) -> Option<String> {
    let texts: Vec<_> = system.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// An object with these fields. `json!` would copy each value.
pub(crate) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Joins the pieces if all are text, for services that do not support lists; otherwise they come back.
pub(crate) fn only_text(pieces: Vec<Piece>) -> Result<String, Vec<Piece>> {
    if pieces.iter().any(|piece| matches!(piece, Piece::Block(_))) {
        return Err(pieces);
    }
    let texts = pieces.into_iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
    Ok(texts.reduce(|joined, text| joined + "\n\n" + &text).unwrap_or_default())
}

/// The arguments of a call as an object; empty for anything else, which services reject.
pub(crate) fn object(input: &Value) -> Value {
    if input.is_object() { input.clone() } else { json!({}) }
}

/// Tools in the form of Chat Completions and Ollama.
pub(crate) fn function_tools(tools: &[ToolSpec]) -> Value {
    let tool = |tool: &ToolSpec| json!({"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}});
    tools.iter().map(tool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_merged_field_by_field() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut body = object(json!({"model": "m", "a": {"b": 1, "c": {"d": 2}}, "list": [1, 2]}));
        let options = object(json!({"model": "other", "a": {"c": {"e": 3}, "b": null}, "list": [3], "new": {"x": 1}}));
        merge_options(&mut body, &options, &["model"]);
        let expected = json!({"model": "m", "a": {"b": null, "c": {"d": 2, "e": 3}}, "list": [3], "new": {"x": 1}});
        assert_eq!(Value::Object(body), expected);
    }
}
