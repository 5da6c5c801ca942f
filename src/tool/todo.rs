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

/// Replaces the task list.
pub struct TodoWrite;

/// Gives the task list.
pub struct TodoRead;

/// The new list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TodoWriteArgs {
    /// The whole list; it replaces the old one.
    todos: Vec<Item>,
}

/// Nothing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TodoReadArgs {}

/// One task.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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

impl From<Item> for Todo {
    fn from(item: Item) -> Self {
        let status = match item.status {
            Status::Pending => "pending",
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
        };
        let priority = match item.priority {
            Priority::High => "high",
            Priority::Medium => "medium",
            Priority::Low => "low",
        };
        Self { content: item.content, status: status.to_owned(), priority: priority.to_owned() }
    }
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
        let todos: Vec<Todo> = args.todos.into_iter().map(Todo::from).collect();
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
    context.host.ask(context, ask).await
}

fn render(todos: &[Todo]) -> ToolOutput {
    let open = todos.iter().filter(|todo| !matches!(todo.status.as_str(), "completed" | "cancelled")).count();
    ToolOutput {
        title: format!("{open} todos"),
        output: serde_json::to_string_pretty(todos).unwrap_or_default(),
        metadata: json!({ "todos": todos }),
        attachments: Vec::new(),
    }
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
