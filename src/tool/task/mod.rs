//! Starts child sessions: each does one job with an agent of its own, and reports back.

use std::sync::Arc;

use async_trait::async_trait;
use polytree_protocol::{agent::Agent, id::SessionId, permission::Rule};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    context::{Ask, Job, ToolContext},
    definition::{ALLOWED, AnyTool, Defaults, Tool, ToolError, ToolOutput, erase},
};
use crate::stdx::{paths::AbsPath, text::one_line};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 200;

pub struct Task;

/// A job for an agent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskArgs {
    /// What it is about, in three to six words.
    description: String,
    /// The job: all that the agent must know, and what its report shall hold.
    prompt: String,
    /// The name of the agent.
    subagent_type: String,
    /// The session of an earlier call, to continue it.
    #[serde(default)]
    task_id: Option<String>,
    /// Do not wait for the end: you are told of it at a later step.
    #[serde(default)]
    background: Option<bool>,
}

#[async_trait]
impl Tool for Task {
    const NAME: &'static str = "task";
    const DESCRIPTION: &'static str = include_str!("task.md");
    const PERMISSION: &'static str = "task";
    const DEFAULTS: Defaults = ALLOWED;
    type Args = TaskArgs;

    fn subject(args: &TaskArgs, _: &AbsPath) -> String {
        subject(&args.description, &args.subagent_type)
    }

    async fn run(&self, context: &ToolContext, args: TaskArgs) -> Result<ToolOutput, ToolError> {
        let TaskArgs { description, prompt, subagent_type: agent, task_id, background } = args;
        let session = match task_id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => Some(SessionId::parse(id).map_err(|_| {
                ToolError::failed(format!("`task_id` is {id:?}, which is not the name of a session; leave it out to start a new one"))
            })?),
        };
        if prompt.trim().is_empty() {
            return Err(ToolError::failed("the prompt is empty: say what the agent shall do"));
        }
        let description = one_line(&description, MAX_DESCRIPTION);
        let job = Job { description, prompt, agent, model: None, session, background: background == Some(true) };
        run(context, job).await
    }
}

/// What a call is about, in one line for people.
pub fn subject(description: &str, agent: &str) -> String {
    format!("{} (@{agent})", one_line(description, MAX_DESCRIPTION))
}

/// Asks for permission and does the job.
pub async fn run(context: &ToolContext, job: Job) -> Result<ToolOutput, ToolError> {
    let name = vec![job.agent.clone()];
    let title = format!("Start the agent {:?}: {}", job.agent, job.description);
    context
        .ask(Ask { kind: Task::PERMISSION.into(), patterns: name.clone(), always: name, title, metadata: json!({}), ..Ask::default() })
        .await?;
    context.host.run_child(context, job).await
}

/// The tool with the agents that can be started.
pub fn with_agents<'a>(agents: impl Iterator<Item = &'a Agent>) -> Arc<dyn AnyTool> {
    let line = |agent: &Agent| {
        let about = agent.description.as_deref().unwrap_or("Without a description: only where the user asks for it.");
        format!("\n- {}: {}", agent.name, one_line(about, 1000))
    };
    let description = format!("{}\nThe agents are:{}", Task::DESCRIPTION, agents.map(line).collect::<String>());
    Arc::new(WithAgents { tool: erase(Task), description })
}

struct WithAgents {
    tool: Arc<dyn AnyTool>,
    description: String,
}

#[async_trait]
impl AnyTool for WithAgents {
    fn name(&self) -> &str {
        self.tool.name()
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn permission(&self) -> &str {
        self.tool.permission()
    }

    fn default_rules(&self) -> Vec<Rule> {
        self.tool.default_rules()
    }

    fn parameters(&self) -> Value {
        self.tool.parameters()
    }

    fn check(&self, input: &Value) -> Result<Value, String> {
        self.tool.check(input)
    }

    fn subject(&self, input: &Value, directory: &AbsPath) -> Option<String> {
        self.tool.subject(input, directory)
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        self.tool.call(context, input).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::builtin, tool::test_host::Place};

    #[tokio::test]
    async fn a_job_is_checked_before_anything_is_asked() {
        let place = Place::new();
        let call = async |over: Value| {
            let mut input = json!({ "description": "Look", "prompt": "look", "subagent_type": "general" });
            input.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
            place.call(&erase(Task), input).await.unwrap_err().to_string()
        };
        assert!(call(json!({ "task_id": "one" })).await.contains("\"one\", which is not the name of a session"));
        assert!(call(json!({ "prompt": " " })).await.contains("the prompt is empty"));
        assert!(call(json!({ "agent": "general" })).await.contains("agent"));
        assert!(place.host.asks().is_empty());
        assert!(call(json!({ "task_id": " " })).await.contains("no child sessions here"));
        let ask = &place.host.asks()[0];
        assert_eq!((&*ask.kind, &ask.patterns[..], &ask.always[..]), ("task", &["general".to_owned()][..], &["general".to_owned()][..]));
    }

    #[test]
    fn the_model_reads_which_agents_there_are() {
        let agents = builtin::agents();
        let tool = with_agents(agents.iter().filter(|agent| agent.name == "general"));
        assert!(tool.description().starts_with(Task::DESCRIPTION) && tool.description().contains("\n- general: Takes on one"));
        assert!(!tool.description().contains("- build"));
        let input = json!({ "description": " Look\nat it ", "prompt": "p", "subagent_type": "general" });
        assert_eq!(tool.subject(&input, &AbsPath::new("/").unwrap()).unwrap(), "Look at it (@general)");
    }
}
