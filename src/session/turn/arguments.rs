//! The arguments of tool calls as models write them, repaired where the model erred. Pure.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::tool::definition::AnyTool;

/// Arguments as a JSON object; no arguments are an empty one. Some models encode the object once more, as text.
pub(super) fn parse_input(arguments: &str) -> Result<Value, String> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Ok(Value::Object(input)),
        Ok(Value::Null) => Ok(json!({})),
        Ok(Value::String(text)) => parse_input(&text),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
    }
}

/// Whether a call has no arguments: at the output limit they were about to come. Providers hand on none as `{}`.
pub(super) fn is_unwritten(arguments: &str) -> bool {
    parse_input(arguments).is_ok_and(|input| input.as_object().is_none_or(serde_json::Map::is_empty))
}

/// The tool and arguments that the model meant.
pub(super) fn repair(tools: &[Arc<dyn AnyTool>], name: &str, arguments: &str) -> Result<(Arc<dyn AnyTool>, Value), String> {
    let lower = name.to_lowercase();
    let found = tools.iter().find(|tool| tool.name() == name).or_else(|| tools.iter().find(|tool| tool.name() == lower)).cloned();
    let Some(tool) = found else {
        let known: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
        return Err(format!("There is no tool `{name}`. The tools are: {}.", known.join(", ")));
    };
    let input = parse_input(arguments)?;
    let input = tool.check(&input)?;
    Ok((tool, input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_however_often_they_were_encoded() {
        let object = json!({ "filePath": "a" });
        let mut arguments = object.to_string();
        for _ in 0..3 {
            assert_eq!(parse_input(&arguments), Ok(object.clone()), "{arguments}");
            arguments = json!(arguments).to_string();
        }
        for nothing in ["", " ", "null", "\"\"", "\"null\""] {
            assert_eq!(parse_input(nothing), Ok(json!({})), "{nothing}");
        }
        for nothing in ["", "{}", " { } ", "null"] {
            assert!(is_unwritten(nothing), "{nothing}");
        }
        assert!(!is_unwritten("{\"a\":1}") && !is_unwritten("{"));
        for wrong in ["[1]", "\"text\"", "{", "5"] {
            assert!(parse_input(wrong).is_err(), "{wrong}");
        }
    }
}
