//! Asks for a summary where the service refuses the conversation as too long, and measures whether summaries help.

use async_trait::async_trait;
use polytree_protocol::message::MessageErrorName;

use crate::{
    session::{
        Error,
        shared::Breaker,
        turn::{
            compact::{has_room, may_begin},
            next::{End, Next, StepEnd},
            state::{Guest, Step, Turn},
        },
    },
    stdx::time::now_ms,
};

struct Compaction;

pub(super) fn join(_: &Turn) -> Box<dyn Guest> {
    Box::new(Compaction)
}

#[async_trait]
impl Guest for Compaction {
    async fn after_step(&self, turn: &Turn, step: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        match ended {
            StepEnd::Failed { error, retry: false } if error.name == MessageErrorName::ContextOverflowError => {
                if !turn.workspace.compaction.auto {
                    return Ok(None);
                }
                if may_begin(turn, now_ms()) {
                    return Ok(Some(Next::Compact(error.clone())));
                }
                let mut error = error.clone();
                error.data.hint = Some(
                    "the conversation was summarised three times within half an hour, and that did not help; start a new session, or use a model with a longer context"
                        .to_owned(),
                );
                Ok(Some(Next::End(End::Failed(error))))
            }
            StepEnd::Answered | StepEnd::Called if has_room(turn, &step.tokens) => {
                turn.shared.breaker(&turn.session.id, Breaker::succeed);
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}
