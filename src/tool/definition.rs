//! What a tool is: a name, typed arguments, a text for the model, and something it does.

use std::sync::Arc;

use async_trait::async_trait;
use polytree_protocol::permission::{Action, Rule};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{context::ToolContext, lenient};
use crate::stdx::{paths::AbsPath, text::ellipsis};

pub use super::outcome::{ToolError, ToolOutput};

/// Patterns and actions; the last match wins.
pub type Defaults = &'static [(&'static str, Action)];

/// The rule of a tool that needs no question.
pub const ALLOWED: Defaults = &[("*", Action::Allow)];

/// A tool. Add one by implementing this in a file of its own and naming it in [`super::builtin`].
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// The name that the model calls.
    const NAME: &'static str;
    /// What the model reads about it.
    const DESCRIPTION: &'static str;
    /// The type of the permission that a call asks for, one of `PERMISSION_TYPES`. Several tools may share one.
    const PERMISSION: &'static str;
    /// The rules for this permission that hold before any settings. Without one, every call is a question.
    const DEFAULTS: Defaults = &[];
    /// Whether a call changes nothing, so that it may run again after a restart.
    const READS_ONLY: bool = false;
    /// Whether the arguments limit the output: then it is given whole.
    const IS_PAGED: bool = false;
    /// Its arguments; the doc comments of the fields are what the model reads about them. Unknown fields are refused.
    type Args: DeserializeOwned + JsonSchema + Send;

    /// What a call is about, in one line for people: a command, a file, a pattern. `directory` is the session's.
    fn subject(args: &Self::Args, directory: &AbsPath) -> String;

    /// Does it. Must end soon after `context.cancel` is cancelled, with `ToolError::Aborted` or with what there is.
    async fn run(&self, context: &ToolContext, args: Self::Args) -> Result<ToolOutput, ToolError>;
}

/// A tool with its types erased; also one that is known only at run time, which implements this itself.
#[async_trait]
pub trait AnyTool: Send + Sync {
    /// The name that the model calls.
    fn name(&self) -> &str;
    /// What the model reads about it.
    fn description(&self) -> &str;
    /// The type of the permission that a call asks for.
    fn permission(&self) -> &str;
    /// The rules for its permission that hold before any settings.
    fn default_rules(&self) -> Vec<Rule> {
        Vec::new()
    }
    /// Whether a call changes nothing.
    fn reads_only(&self) -> bool {
        false
    }
    /// Whether the arguments limit the output.
    fn is_paged(&self) -> bool {
        false
    }
    /// The JSON Schema of its arguments.
    fn parameters(&self) -> Value;
    /// Checks the arguments, and gives them as they were meant where that is certain.
    ///
    /// # Errors
    /// A sentence that the model can act on.
    fn check(&self, input: &Value) -> Result<Value, String>;
    /// What a call with these arguments is about, in one line for people; `None` where only the arguments can tell.
    fn subject(&self, _input: &Value, _directory: &AbsPath) -> Option<String> {
        None
    }
    /// Parses the arguments and does it.
    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError>;
}

/// The most characters of a subject.
const MAX_SUBJECT: usize = 500;

struct Erased<T>(T);

#[async_trait]
impl<T: Tool> AnyTool for Erased<T> {
    fn name(&self) -> &str {
        T::NAME
    }

    fn description(&self) -> &str {
        T::DESCRIPTION
    }

    fn permission(&self) -> &str {
        T::PERMISSION
    }

    fn default_rules(&self) -> Vec<Rule> {
        let rule = |&(pattern, action): &(&str, Action)| Rule { permission: T::PERMISSION.to_owned(), pattern: pattern.to_owned(), action };
        T::DEFAULTS.iter().map(rule).collect()
    }

    fn reads_only(&self) -> bool {
        T::READS_ONLY
    }

    fn is_paged(&self) -> bool {
        T::IS_PAGED
    }

    fn parameters(&self) -> Value {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<T::Args>().to_value();
        if let Some(object) = schema.as_object_mut() {
            object.remove("$schema");
            object.remove("title");
            object.remove("description");
            object.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        schema
    }

    fn check(&self, input: &Value) -> Result<Value, String> {
        self.read(input).map(|(input, _)| input)
    }

    fn subject(&self, input: &Value, directory: &AbsPath) -> Option<String> {
        self.read(input).ok().map(|(_, args)| ellipsis(&T::subject(&args, directory), MAX_SUBJECT))
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let (_, args) = self.read(&input).map_err(ToolError::Failed)?;
        self.0.run(context, args).await
    }
}

impl<T: Tool> Erased<T> {
    /// Arguments that satisfy the schema are taken as they are; of others the error names what is wrong besides
    /// what could be repaired.
    fn read(&self, input: &Value) -> Result<(Value, T::Args), String> {
        if let Ok(args) = parse::<T>(input) {
            return Ok((input.clone(), args));
        }
        let repaired = lenient::repaired(&self.parameters(), input);
        let args = parse::<T>(&repaired)?;
        Ok((repaired, args))
    }
}

/// What the types of numbers of this program are called.
const WHOLE: &str = "expected a whole number that is not negative";

fn parse<T: Tool>(input: &Value) -> Result<T::Args, String> {
    serde_path_to_error::deserialize(input).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(" at `{path}`") };
        format!(
            "The arguments of the tool `{}` are not valid{place}: {}. Please call it again with arguments that satisfy its schema.",
            T::NAME,
            error.into_inner().to_string().replace("expected usize", WHOLE).replace("expected u64", WHOLE)
        )
    })
}

/// Erases a tool's types.
pub fn erase<T: Tool>(tool: T) -> Arc<dyn AnyTool> {
    Arc::new(Erased(tool))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Counts {
        first: u64,
        second: u64,
    }

    struct Adds;

    #[async_trait]
    impl Tool for Adds {
        const NAME: &'static str = "adds";
        const DESCRIPTION: &'static str = "";
        const PERMISSION: &'static str = "plugin";
        type Args = Counts;

        fn subject(args: &Counts, _: &AbsPath) -> String {
            "x".repeat(usize::try_from(args.first).unwrap())
        }

        async fn run(&self, _: &ToolContext, args: Counts) -> Result<ToolOutput, ToolError> {
            Err(ToolError::Failed((args.first + args.second).to_string()))
        }
    }

    #[test]
    fn the_error_tells_what_cannot_be_repaired() {
        let tool = erase(Adds);
        assert_eq!(tool.check(&json!({"first": "1", "second": 2})), Ok(json!({"first": 1, "second": 2})));
        let subject = |first: u64| tool.subject(&json!({"first": first.to_string(), "second": 2}), &AbsPath::new("/").unwrap());
        assert_eq!((subject(3).unwrap().as_str(), subject(501).unwrap().len()), ("xxx", MAX_SUBJECT));
        let error = tool.check(&json!({"first": "1", "second": "many"})).unwrap_err();
        assert!(error.contains("`second`") && !error.contains("`first`"), "{error}");
    }
}
