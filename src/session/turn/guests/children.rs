//! Tells the model which child sessions have ended that it did not wait for.

use async_trait::async_trait;
use polytree_protocol::{
    message::MessageWithParts,
    part::{Part, StepStartPart, TextPart},
};

use crate::session::{
    Error, children, ids,
    turn::state::{Guest, Turn},
};

struct Children;

pub(super) fn join() -> Box<dyn Guest> {
    Box::new(Children)
}

#[async_trait]
impl Guest for Children {
    async fn before_step(&self, turn: &Turn, history: &mut Vec<MessageWithParts>, _: &mut StepStartPart) -> Result<(), Error> {
        let store = &turn.shared.store;
        for child in store.untold(turn.session.id.clone()).await? {
            let text = children::told(&turn.shared, &child).await?;
            // In later turns the model reads it beside the prompt of this one.
            let part = Part::Text(TextPart {
                id: ids::part_id(),
                session_id: turn.session.id.clone(),
                message_id: turn.prompt(),
                text: text.clone(),
                synthetic: true,
                time: None,
                metadata: None,
            });
            store.tell_parent(child.id, Some(part)).await?;
            history.push(turn.reminder(text));
        }
        Ok(())
    }
}
