//! The books of an answer: how it is begun, ended, cut off, and what it cost.

use std::sync::Arc;

use polytree_protocol::{
    id::MessageId,
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessagePath, MessageTime, Tokens, UserMessage},
    part::{Part, StepFinishPart, StepStartPart},
    permission::PermissionOutcome,
};

use super::{
    Error, ResolvedModel,
    sessions::Shared,
    turn::{Turn, part_id},
    usage,
};
use crate::{
    provider::definition::FinishReason,
    stdx::{ids, time::now_ms},
};

pub(super) fn new_answer(user: &UserMessage, cwd: &str, root: &str) -> AssistantMessage {
    AssistantMessage {
        id: MessageId::from_ulid(ids::next()),
        session_id: user.session_id.clone(),
        parent_id: user.id.clone(),
        time: MessageTime { created: now_ms(), completed: None },
        error: None,
        agent: user.agent.clone(),
        mode: user.agent.clone(),
        provider_id: user.model.provider_id.clone(),
        model_id: user.model.model_id.clone(),
        path: MessagePath { cwd: cwd.to_owned(), root: root.to_owned() },
        summary: false,
        cost: 0.0,
        tokens: Tokens::default(),
        finish: None,
        variant: user.variant.clone(),
        structured: None,
    }
}

impl Turn {
    /// Stores an empty answer.
    pub(super) async fn begin(&self) -> Result<AssistantMessage, Error> {
        let answer = new_answer(&self.user, &self.workspace.directory.to_string(), &self.workspace.worktree.to_string());
        let start = Part::StepStart(StepStartPart {
            id: part_id(),
            session_id: self.session.id.clone(),
            message_id: answer.id.clone(),
            snapshot: None,
        });
        let (voice, message) = (self.voice.clone(), answer.clone());
        self.shared
            .database
            .write::<_, Error>(move |write| {
                voice.message(write, &Message::Assistant(message), None)?;
                voice.part(write, &start)?;
                Ok(())
            })
            .await?;
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
            id: part_id(),
            session_id: self.session.id.clone(),
            message_id: answer.id.clone(),
            reason: word.to_owned(),
            snapshot: None,
            cost,
            tokens,
        });
        let voice = self.voice.clone();
        self.shared
            .database
            .write(move |write| {
                voice.part(write, &finish)?;
                voice.message(write, &Message::Assistant(answer), None)?;
                if tokens != Tokens::default() {
                    voice.session(write, |session| {
                        session.cost = usage::sum(session.cost, cost);
                        usage::add(&mut session.tokens, &tokens);
                    })?;
                }
                if let Some(error) = error
                    && tell_error
                {
                    voice.error(write, error)?;
                }
                Ok(())
            })
            .await
    }

    /// Ends an answer that was cut off: by the user, or because the daemon ends.
    pub(super) async fn abort(&self, mut answer: AssistantMessage) -> Result<(), Error> {
        let error = abort_error(&self.shared);
        answer.time.completed = Some(now_ms());
        answer.error = Some(error.clone());
        let (voice, broker, id) = (self.voice.clone(), Arc::clone(&self.shared.broker), self.session.id.clone());
        self.shared
            .database
            .write::<_, Error>(move |write| {
                broker.withdraw(write, &id, PermissionOutcome::Aborted)?;
                voice.message(write, &Message::Assistant(answer), None)?;
                voice.error(write, error)?;
                Ok(())
            })
            .await
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
