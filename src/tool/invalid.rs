//! Where calls end that cannot be made: the model wrote a name that is no tool, or arguments that a tool refuses.
//! The call becomes one of this hidden tool, whose result tells the model what was wrong.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
};
use crate::stdx::paths::AbsPath;

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
    // It asks for nothing.
    const PERMISSION: &'static str = Self::NAME;
    type Args = InvalidArgs;

    fn subject(args: &InvalidArgs, _: &AbsPath) -> String {
        args.tool.clone()
    }

    async fn run(&self, _: &ToolContext, args: InvalidArgs) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::new(
            "Invalid Tool",
            format!("The call of `{}` could not be made. {}", args.tool, args.error),
            json!({ "tool": args.tool }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{definition::erase, test_host::Place};

    #[tokio::test]
    async fn the_model_is_told_what_was_wrong() {
        let output = Place::new().call(&erase(Invalid), json!({ "tool": "find", "error": "There is no such tool." })).await.unwrap();
        assert_eq!(
            (output.title.as_str(), output.output.as_str()),
            ("Invalid Tool", "The call of `find` could not be made. There is no such tool.")
        );
    }
}
