//! How the answer of a step is begun and ended in the store, and what it cost.

use polytree_protocol::{
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessageWithParts, Tokens},
    part::{Part, StepFinishPart, StepStartPart},
    permission::PermissionOutcome,
    provider::ModelCost,
};

use super::{
    failure::repeat_error,
    next::{End, Next},
    state::{Step, Turn},
};
use crate::{
    provider::definition::FinishReason,
    session::{Error, ResolvedModel, ids, shared::Shared},
    stdx::time::now_ms,
    store::{SessionChange, Unit, new_answer, usage},
};

impl Turn {
    /// Asks the guests to prepare a step, and stores its empty answer.
    pub(super) async fn begin(&self, history: &mut Vec<MessageWithParts>) -> Result<AssistantMessage, Error> {
        let checkout = &self.workspace.checkout;
        let mut answer = new_answer(&self.user, &checkout.directory.to_string(), &checkout.worktree.to_string());
        let (id, session_id, message_id) = (ids::part_id(), self.session.id.clone(), answer.id.clone());
        let mut start = StepStartPart { id, session_id, message_id, snapshot: None };
        for guest in &self.guests {
            guest.before_step(self, history, &mut start).await?;
        }
        answer.parent_id = self.prompt();
        self.shared.store.commit(self.unit().message(Message::Assistant(answer.clone())).part(Part::StepStart(start))).await?;
        Ok(answer)
    }

    /// Ends the answer of a step in the way that fits what follows.
    pub(super) async fn close(&self, step: Step, next: &Next) -> Result<(), Error> {
        match next {
            Next::End(End::Suspended) => Ok(()),
            Next::End(End::Aborted) => self.abort(step.answer).await,
            Next::End(End::Failed(error)) => self.complete(step, Some(error.clone()), true).await,
            Next::End(End::Stuck(repeat)) => self.complete(step, Some(repeat_error(repeat, &self.model.reference)), true).await,
            Next::Retry(error) => self.complete(step, Some(error.clone()), false).await,
            Next::Remind { error, .. } => self.complete(step, error.clone(), false).await,
            // It becomes the summary.
            Next::Compact(_) => Ok(()),
            Next::Step | Next::Switch(_) | Next::End(End::Done) => self.complete(step, None, false).await,
        }
    }

    async fn complete(&self, step: Step, error: Option<MessageError>, tell_error: bool) -> Result<(), Error> {
        Ok(self.shared.store.commit(self.ended(step, error, tell_error, &self.model.info.cost)).await?)
    }

    /// What ends an answer: its last part, its cost, its error, and what the session has used by now.
    pub(super) fn ended(&self, step: Step, error: Option<MessageError>, tell_error: bool, price: &ModelCost) -> Unit {
        let Step { mut answer, reason, tokens, snapshot, .. } = step;
        let cost = usage::cost(&tokens, price);
        answer.time.completed = Some(now_ms());
        answer.tokens = tokens;
        answer.cost = cost;
        answer.error.clone_from(&error);
        answer.finish = error.is_none().then(|| reason.word().to_owned());
        let finish = Part::StepFinish(StepFinishPart {
            id: ids::part_id(),
            session_id: self.session.id.clone(),
            message_id: answer.id.clone(),
            reason: if error.is_some() { "error" } else { reason.word() }.to_owned(),
            snapshot,
            cost,
            tokens,
        });
        let mut unit = self.unit().part(finish).message(Message::Assistant(answer));
        if tokens != Tokens::default() {
            let used_by = Some(self.model.reference.clone());
            unit = unit.session(SessionChange { used: Some((cost, tokens)), used_by, ..SessionChange::default() });
        }
        if let Some(error) = error.filter(|_| tell_error) {
            unit = unit.error(error);
        }
        unit
    }

    /// Ends an answer that was interrupted by the user or by a shutdown.
    pub(super) async fn abort(&self, mut answer: AssistantMessage) -> Result<(), Error> {
        let error = abort_error(&self.shared);
        answer.time.completed = Some(now_ms());
        answer.error = Some(error.clone());
        let unit = self.unit().withdraw(PermissionOutcome::Aborted).message(Message::Assistant(answer)).error(error);
        Ok(self.shared.store.commit(unit).await?)
    }
}

/// The error of an answer that was interrupted.
pub(super) fn abort_error(shared: &Shared) -> MessageError {
    let (name, message) = if shared.is_shutting_down() {
        (MessageErrorName::MessageInterruptedError, "the daemon was stopped while this answer was written")
    } else {
        (MessageErrorName::MessageAbortedError, "the turn was aborted")
    };
    MessageError { name, data: MessageErrorData { message: message.into(), ..MessageErrorData::default() } }
}

pub(super) fn finish_error(reason: FinishReason, model: &ResolvedModel) -> Option<MessageError> {
    let (name, message, hint) = match reason {
        FinishReason::Length => (
            MessageErrorName::MessageOutputLengthError,
            format!("{} reached its output limit", model.reference),
            "ask it to go on, or raise the model's limit.output in the settings",
        ),
        FinishReason::ContentFilter => (
            MessageErrorName::ContentFilterError,
            format!("the service of {} withheld the answer", model.reference),
            "put the request in other words, or use another model",
        ),
        _ => return None,
    };
    Some(MessageError {
        name,
        data: MessageErrorData {
            message,
            hint: Some(hint.to_owned()),
            provider_id: Some(model.reference.provider_id.clone()),
            ..MessageErrorData::default()
        },
    })
}
