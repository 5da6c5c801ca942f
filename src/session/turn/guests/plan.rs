//! Reminds the agent `plan` to change nothing, and the agent `build` that it may carry out a plan.

use polytree_protocol::message::{Message, MessageWithParts};

use crate::{
    provider::definition::ModelRequest,
    session::turn::{
        request::remind,
        state::{Guest, Turn},
    },
};

const PLAN: &str = "<system-reminder>\nPlan mode is on: look, think and propose, but change nothing. Do not edit files and do not run commands that change anything, whatever was said before. End with a plan that the user can approve.\n</system-reminder>";
const BUILD: &str = "<system-reminder>\nPlan mode is off: files may be changed and commands may be run again. If there is a plan above, carry it out.\n</system-reminder>";

struct Reminders;

pub(super) fn join(turn: &Turn) -> Option<Box<dyn Guest>> {
    matches!(turn.agent.name.as_str(), "plan" | "build").then(|| Box::new(Reminders) as _)
}

impl Guest for Reminders {
    fn before_request(&self, turn: &Turn, history: &[MessageWithParts], request: &mut ModelRequest) {
        if turn.agent.name == "plan" {
            remind(request, PLAN);
        } else if was_planned(history) {
            remind(request, BUILD);
        }
    }
}

/// Whether the last answer is a plan.
fn was_planned(history: &[MessageWithParts]) -> bool {
    let agent = |message: &MessageWithParts| if let Message::Assistant(info) = &message.info { Some(info.agent == "plan") } else { None };
    history.iter().rev().find_map(agent) == Some(true)
}
