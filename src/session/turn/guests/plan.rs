//! The agent `plan` changes nothing until the user has approved its plan: it is reminded of that at each step, and asks by
//! a tool that shows the plan. After a yes the same turn goes on as `build`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use polytree_protocol::message::{Message, MessageWithParts};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    agent::builtin::{DEFAULT as BUILD_AGENT, PLAN as PLAN_AGENT},
    provider::definition::ModelRequest,
    session::{
        Error,
        turn::{
            next::{Next, StepEnd},
            request::remind,
            state::{Guest, Step, Turn},
        },
    },
    stdx::paths::AbsPath,
    tool::{
        context::{Ask, ToolContext},
        definition::{AnyTool, Tool, ToolError, ToolOutput, erase},
    },
};

const PLAN: &str = "<system-reminder>\nPlan mode is on: look, think and propose, but change nothing. Do not edit files and do not run commands that change anything, whatever was said before. End with a plan that the user can approve.\n</system-reminder>";
const BUILD: &str = "<system-reminder>\nPlan mode is off: files may be changed and commands may be run again. If there is a plan above, carry it out.\n</system-reminder>";

struct Reminders {
    /// The user has approved the plan; only where the turn can go on as `build`.
    approved: Option<Arc<AtomicBool>>,
}

pub(super) fn join(turn: &Turn) -> Option<Box<dyn Guest>> {
    let has_build = || turn.workspace.agents.iter().any(|agent| agent.name == BUILD_AGENT);
    match turn.agent.name.as_str() {
        // A child plans for its parent.
        PLAN_AGENT if turn.session.parent_id.is_none() && turn.user.format.is_none() && has_build() => {
            Some(Box::new(Reminders { approved: Some(Arc::default()) }))
        }
        PLAN_AGENT | BUILD_AGENT => Some(Box::new(Reminders { approved: None })),
        _ => None,
    }
}

#[async_trait]
impl Guest for Reminders {
    fn tools(&self) -> Vec<Arc<dyn AnyTool>> {
        self.approved.iter().map(|approved| erase(PlanExit { approved: Arc::clone(approved) })).collect()
    }

    fn before_request(&self, turn: &Turn, history: &[MessageWithParts], request: &mut ModelRequest) {
        if turn.agent.name == PLAN_AGENT {
            remind(request, PLAN);
        } else if was_planned(history) {
            remind(request, BUILD);
        }
    }

    async fn after_step(&self, _: &Turn, _: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        let is_approved = self.approved.as_ref().is_some_and(|approved| approved.load(Ordering::Relaxed));
        Ok((*ended == StepEnd::Called && is_approved).then_some(Next::Switch(BUILD_AGENT)))
    }
}

/// Whether the last answer is a plan.
fn was_planned(history: &[MessageWithParts]) -> bool {
    let agent =
        |message: &MessageWithParts| if let Message::Assistant(info) = &message.info { Some(info.agent == PLAN_AGENT) } else { None };
    history.iter().rev().find_map(agent) == Some(true)
}

/// Asks the user to approve the plan.
struct PlanExit {
    approved: Arc<AtomicBool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlanExitArgs {
    /// The whole plan, as Markdown. The user reads it before answering.
    plan: String,
}

#[async_trait]
impl Tool for PlanExit {
    const NAME: &'static str = "plan_exit";
    const DESCRIPTION: &'static str = "Shows the user a finished plan and asks whether to carry it out now. Call it once, alone, when the user wants the work to be done and the plan is complete; not when only a plan or an explanation was asked for. After a yes, plan mode is off and you carry out the plan. After a no, change the plan as the user says.";
    const PERMISSION: &'static str = "plan";
    type Args = PlanExitArgs;

    fn subject(_: &PlanExitArgs, _: &AbsPath) -> String {
        "carry out the plan".to_owned()
    }

    async fn run(&self, context: &ToolContext, args: PlanExitArgs) -> Result<ToolOutput, ToolError> {
        if args.plan.trim().is_empty() {
            return Err(ToolError::failed("The plan is empty. Please call this again with the whole plan."));
        }
        let metadata = json!({ "plan": args.plan });
        let ask = Ask {
            kind: Self::PERMISSION.into(),
            patterns: vec![BUILD_AGENT.to_owned()],
            // Only a person approves a plan; a rule can only forbid it.
            force: true,
            title: format!("Carry out this plan with the agent {BUILD_AGENT}?"),
            metadata: metadata.clone(),
            ..Ask::default()
        };
        context.ask(ask).await?;
        self.approved.store(true, Ordering::Relaxed);
        let output = "The user has approved the plan. Plan mode is off: carry the plan out now.".to_owned();
        Ok(ToolOutput { title: "plan approved".to_owned(), output, metadata, ..ToolOutput::default() })
    }
}
