//! The model's task list: it writes the whole list, the session keeps it, clients show it.

use async_trait::async_trait;
use polytree_protocol::todo::Todo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    context::{Ask, ToolContext},
    definition::{ALLOWED, Defaults, Tool, ToolError, ToolOutput},
};
use crate::stdx::paths::AbsPath;

pub struct TodoWrite;

pub struct TodoRead;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TodoWriteArgs {
    /// The whole list; it replaces the old one.
    todos: Vec<Item>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TodoReadArgs {}

/// One task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    /// What is to be done, in a few words.
    content: String,
    /// How far it is.
    status: Status,
    /// How much it matters.
    priority: Priority,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
    Cancelled,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Priority {
    High,
    Medium,
    Low,
}

#[async_trait]
impl Tool for TodoWrite {
    const NAME: &'static str = "todowrite";
    const DESCRIPTION: &'static str = include_str!("todowrite.md");
    const PERMISSION: &'static str = "todo";
    const DEFAULTS: Defaults = ALLOWED;
    type Args = TodoWriteArgs;

    fn subject(args: &TodoWriteArgs, _: &AbsPath) -> String {
        format!("{} tasks", args.todos.len())
    }

    async fn run(&self, context: &ToolContext, args: TodoWriteArgs) -> Result<ToolOutput, ToolError> {
        if args.todos.iter().any(|item| item.content.trim().is_empty()) {
            return Err(ToolError::failed("a task has no content"));
        }
        ask(context, "Change the task list").await?;
        let todos: Vec<Todo> = serde_json::from_value(json!(args.todos)).map_err(|error| ToolError::failed(error.to_string()))?;
        context.host.set_todos(todos.clone()).await?;
        Ok(render(&todos))
    }
}

#[async_trait]
impl Tool for TodoRead {
    const NAME: &'static str = "todoread";
    const DESCRIPTION: &'static str = include_str!("todoread.md");
    const PERMISSION: &'static str = "todo";
    const DEFAULTS: Defaults = ALLOWED;
    const READS_ONLY: bool = true;
    type Args = TodoReadArgs;

    fn subject(_: &TodoReadArgs, _: &AbsPath) -> String {
        String::new()
    }

    async fn run(&self, context: &ToolContext, _: TodoReadArgs) -> Result<ToolOutput, ToolError> {
        ask(context, "Read the task list").await?;
        Ok(render(&context.host.todos().await?))
    }
}

async fn ask(context: &ToolContext, title: &str) -> Result<(), ToolError> {
    let any = vec!["*".to_owned()];
    let kind = TodoWrite::PERMISSION.into();
    let ask = Ask { kind, patterns: any.clone(), always: any, title: title.to_owned(), metadata: json!({}), ..Ask::default() };
    context.ask(ask).await
}

fn render(todos: &[Todo]) -> ToolOutput {
    let open = todos.iter().filter(|todo| !matches!(todo.status.as_str(), "completed" | "cancelled")).count();
    ToolOutput::new(format!("{open} todos"), serde_json::to_string_pretty(todos).unwrap_or_default(), json!({ "todos": todos }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{definition::erase, test_host::Place};

    #[tokio::test]
    async fn the_list_is_kept_and_given() {
        let place = Place::new();
        let todos = json!([
            { "content": "look", "status": "completed", "priority": "high" },
            { "content": "build", "status": "in_progress", "priority": "medium" },
            { "content": "skip", "status": "cancelled", "priority": "low" },
        ]);
        let written = place.call(&erase(TodoWrite), json!({ "todos": todos })).await.unwrap();
        assert_eq!((written.title.as_str(), &written.metadata["todos"]), ("1 todos", &todos));
        assert_eq!(place.call(&erase(TodoRead), json!({})).await.unwrap(), written);
        assert_eq!(place.host.kinds(), ["todo", "todo"]);
    }

    #[tokio::test]
    async fn words_are_checked() {
        let place = Place::new();
        for (status, priority, word) in [("done", "high", "done"), ("pending", "urgent", "urgent")] {
            let todos = json!({ "todos": [{ "content": "a", "status": status, "priority": priority }] });
            let error = place.call(&erase(TodoWrite), todos).await.unwrap_err().to_string();
            assert!(error.contains(&format!("unknown variant `{word}`")) && error.contains("todos[0]"), "{error}");
        }
        let todos = json!({ "todos": [{ "content": " ", "status": "pending", "priority": "low" }] });
        assert!(place.call(&erase(TodoWrite), todos).await.is_err());
        assert!(place.host.asks().is_empty());
    }
}
