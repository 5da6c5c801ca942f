//! The books of an answer: how it is begun, ended, cut off, and what it cost.

use polytree_protocol::{
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, Tokens},
    part::{Part, StepFinishPart, StepStartPart},
    permission::PermissionOutcome,
};

use super::state::Turn;
use crate::{
    provider::definition::FinishReason,
    session::{Error, ResolvedModel, ids, shared::Shared},
    stdx::time::now_ms,
    store::{SessionChange, new_answer, usage},
};

impl Turn {
    /// Stores an empty answer.
    pub(super) async fn begin(&self) -> Result<AssistantMessage, Error> {
        let answer = new_answer(&self.user, &self.workspace.directory.to_string(), &self.workspace.worktree.to_string());
        let start = Part::StepStart(StepStartPart {
            id: ids::part_id(),
            session_id: self.session.id.clone(),
            message_id: answer.id.clone(),
            snapshot: None,
        });
        self.shared.store.commit(self.unit().message(Message::Assistant(answer.clone())).part(start)).await?;
        Ok(answer)
    }

    /// Ends an answer: its last part, its cost, its error, and what the session has used by now.
    pub(super) async fn complete(
        &self,
        mut answer: AssistantMessage,
        error: Option<MessageError>,
        reason: FinishReason,
        tokens: Tokens,
        tell_error: bool,
    ) -> Result<(), Error> {
        let cost = usage::cost(&tokens, &self.model.info.cost);
        answer.time.completed = Some(now_ms());
        answer.tokens = tokens;
        answer.cost = cost;
        answer.error = error.clone();
        answer.finish = error.is_none().then(|| reason.word().to_owned());
        let word = if error.is_some() { "error" } else { reason.word() };
        let finish = Part::StepFinish(StepFinishPart {
            id: ids::part_id(),
            session_id: self.session.id.clone(),
            message_id: answer.id.clone(),
            reason: word.to_owned(),
            snapshot: None,
            cost,
            tokens,
        });
        let mut unit = self.unit().part(finish).message(Message::Assistant(answer));
        if tokens != Tokens::default() {
            unit = unit.session(SessionChange { used: Some((cost, tokens)), ..SessionChange::default() });
        }
        if let Some(error) = error.filter(|_| tell_error) {
            unit = unit.error(error);
        }
        Ok(self.shared.store.commit(unit).await?)
    }

    /// Ends an answer that was cut off: by the user, or because the daemon ends.
    pub(super) async fn abort(&self, mut answer: AssistantMessage) -> Result<(), Error> {
        let error = abort_error(&self.shared);
        answer.time.completed = Some(now_ms());
        answer.error = Some(error.clone());
        let unit = self.unit().withdraw(PermissionOutcome::Aborted).message(Message::Assistant(answer)).error(error);
        Ok(self.shared.store.commit(unit).await?)
    }
}

/// What is written on an answer that was cut off.
pub(super) fn abort_error(shared: &Shared) -> MessageError {
    let (name, message) = if shared.is_leaving() {
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
