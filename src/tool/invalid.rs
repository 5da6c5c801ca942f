//! Where calls end that cannot be made: the model wrote a name that is no tool, or arguments that a tool refuses.
//! The call becomes one of this hidden tool, whose result tells the model what was wrong.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    context::ToolContext,
    definition::{AnyTool, Tool, ToolError, ToolOutput, erase},
};

/// Tells what was wrong with a call.
pub struct Invalid;

/// What was wrong.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvalidArgs {
    /// The name that was called.
    tool: String,
    /// What was wrong.
    error: String,
}

#[async_trait]
impl Tool for Invalid {
    const NAME: &'static str = "invalid";
    const DESCRIPTION: &'static str = include_str!("invalid.md");
    type Args = InvalidArgs;

    async fn run(&self, _: &ToolContext, args: InvalidArgs) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput {
            title: "Invalid Tool".to_owned(),
            output: format!("The call of `{}` could not be made. {}", args.tool, args.error),
            metadata: json!({ "tool": args.tool }),
            attachments: Vec::new(),
        })
    }
}

/// The tool to call for what the model wrote, and with which arguments: the tool of that name, else of that name in
/// lower case, else [`Invalid`]. `tools` are those that this model was offered.
#[must_use]
pub fn resolve(tools: &[Arc<dyn AnyTool>], name: &str, input: Value) -> (Arc<dyn AnyTool>, Value) {
    let find = |name: &str| tools.iter().find(|tool| tool.name() == name && name != Invalid::NAME);
    let error = if let Some(tool) = find(name).or_else(|| find(&name.to_lowercase())) {
        match tool.check(&input) {
            Ok(input) => return (tool.clone(), input),
            Err(error) => error,
        }
    } else {
        let names: Vec<_> = tools.iter().map(|tool| tool.name()).filter(|name| *name != Invalid::NAME).collect();
        format!("There is no tool of that name. The tools are: {}.", names.join(", "))
    };
    (erase(Invalid), json!({ "tool": name, "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{
        search::{glob::Glob, list::List},
        test_host::Place,
    };

    #[tokio::test]
    async fn calls_are_repaired() {
        let tools = [erase(Glob), erase(List), erase(Invalid)];
        let pattern = json!({ "pattern": "*" });
        for (name, input, called, told) in [
            ("glob", pattern.clone(), "glob", None),
            ("Glob", pattern.clone(), "glob", None),
            ("find", pattern.clone(), "invalid", Some("There is no tool of that name. The tools are: glob, list.")),
            ("invalid", pattern, "invalid", Some("There is no tool")),
            ("glob", json!({ "patern": "*" }), "invalid", Some("unknown field `patern`")),
        ] {
            let (tool, arguments) = resolve(&tools, name, input.clone());
            assert_eq!(tool.name(), called, "{name} {input}");
            let Some(told) = told else {
                assert_eq!(arguments, input);
                continue;
            };
            let output = tool.call(&Place::new().context, arguments).await.unwrap();
            assert_eq!(output.title, "Invalid Tool");
            assert!(output.output.contains(told), "{}", output.output);
        }
    }
}
