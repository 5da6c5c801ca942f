//! A turn that is a shell line of the user: one call of bash that asks nothing, and no request to a model.

use std::sync::Arc;

use polytree_protocol::{
    id::MessageId,
    message::{Message, MessageWithParts},
};

use super::{
    calls,
    next::{End, Next, StepEnd},
    state::{Step, Turn},
};
use crate::{
    provider::definition::FinishReason,
    session::{Error, prompt::called::shell_of},
    store::new_answer,
};

/// The shell line that the prompt of a turn stands for.
pub(super) fn line(history: &[MessageWithParts], prompt: &MessageId) -> Option<String> {
    history.iter().find(|message| message.info.id() == prompt).and_then(|message| shell_of(&message.parts))
}

/// Runs it.
pub(super) async fn run(turn: &Arc<Turn>, line: String, last: &mut Option<MessageId>) -> Result<End, Error> {
    let checkout = &turn.workspace.checkout;
    let answer = new_answer(&turn.user, &checkout.directory.to_string(), &checkout.worktree.to_string());
    turn.shared.store.commit(turn.unit().message(Message::Assistant(answer.clone()))).await?;
    *last = Some(answer.id.clone());
    let end = match calls::run_for_user(turn, &answer.id, line).await? {
        StepEnd::Aborted => End::Aborted,
        StepEnd::Suspended => End::Suspended,
        _ => End::Done,
    };
    turn.close(Step::new(answer, FinishReason::Stop), &Next::End(end.clone())).await?;
    Ok(end)
}
