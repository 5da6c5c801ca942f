//! Prompts that enter the running turn: the model reads them before its next step, and its answers answer the last of them.
//! Those that come too late stay in the queue and become turns of their own.

use std::sync::Arc;

use async_trait::async_trait;
use polytree_protocol::{message::MessageWithParts, part::StepStartPart};

use crate::session::{
    Error,
    turn::{
        next::{Next, StepEnd},
        state::{Guest, Step, Turn},
        steering::Steering,
    },
};

struct Steer(Arc<Steering>);

pub(super) fn join(turn: &Turn) -> Box<dyn Guest> {
    Box::new(Steer(Arc::clone(&turn.steering)))
}

#[async_trait]
impl Guest for Steer {
    async fn before_step(&self, turn: &Turn, history: &mut Vec<MessageWithParts>, _: &mut StepStartPart) -> Result<(), Error> {
        let offered = self.0.take_offered();
        if offered.is_empty() {
            return Ok(());
        }
        let entered = turn.shared.store.take_into_turn(turn.session.id.clone(), offered).await?;
        self.0.entered(entered.iter().map(|prompt| prompt.info.id().clone()));
        history.extend(entered);
        Ok(())
    }

    async fn after_step(&self, _: &Turn, _: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        let goes_on = matches!(ended, StepEnd::Answered | StepEnd::Called) && self.0.is_offered();
        Ok(goes_on.then_some(Next::Step))
    }
}
