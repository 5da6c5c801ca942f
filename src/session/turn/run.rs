//! One prompt until the model stops: model calls and their tool calls in turn. Also takes up a turn again that a
//! daemon before this one has left waiting for an answer.

use std::sync::Arc;

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageWithParts, Tokens, UserMessage},
    part::{Part, TextPart},
};

use super::{
    answer::{abort_error, finish_error},
    calls::{self, CallsEnd},
    failure::{circle_error, start_error},
    guests::structured::{self, Form},
    repeats::Circles,
    state::{Fresh, Outcome, Start, Turn},
    step::{self, StepEnd},
    title,
};
use crate::{
    provider::{definition::FinishReason, retry::Failures},
    session::{Error, ids, progress::Progress, shared::Shared},
    stdx::{paths::AbsPath, tasks::Tasks},
    store::Scope,
    tool::context::Environment,
};

/// Runs a turn.
pub(in crate::session) async fn run(shared: Arc<Shared>, start: Start, tasks: Tasks) -> Outcome {
    let Start { session_id, message_id, environment, fresh, open } = start;
    let mut last = open.as_ref().map(|open| open.info.id().clone());
    let present = shared.progress.begin(&session_id, &message_id);
    let prepared = tokio::select! {
        // Opening a directory may take long, and an abort does not wait for it.
        biased;
        () = tasks.token().cancelled() => None,
        prepared = prepare(&shared, &session_id, &message_id, environment, fresh, &tasks, &present.progress) => Some(prepared),
    };
    let result = match prepared {
        Some(Ok(turn)) => Arc::new(turn).run(open, &mut last).await,
        Some(Err(Error::Storage(error))) => Err(error.into()),
        Some(Err(error)) => {
            end_before_start(&shared, &session_id, &message_id, &start_error(&error), &mut last).await.map(|()| Ended::Done)
        }
        // The question of a turn that was just taken up again is still the next daemon's.
        None if shared.is_leaving() && last.is_some() => Ok(Ended::Left),
        None => end_before_start(&shared, &session_id, &message_id, &abort_error(&shared), &mut last).await.map(|()| Ended::Aborted),
    };
    let aborted = tasks.token().is_cancelled();
    match result {
        Ok(Ended::Left) => Outcome { last, aborted, left: true, unstored: None },
        Ok(ended) => Outcome { last, aborted: matches!(ended, Ended::Aborted), left: false, unstored: None },
        Err(error) => {
            tracing::error!(%error, session = %session_id, "a turn could not be stored");
            Outcome { last, aborted, left: false, unstored: Some(error.to_string()) }
        }
    }
}

enum Ended {
    Done,
    Aborted,
    Left,
}

async fn prepare(
    shared: &Arc<Shared>,
    id: &SessionId,
    message: &MessageId,
    environment: Environment,
    fresh: Option<Fresh>,
    tasks: &Tasks,
    progress: &Arc<Progress>,
) -> Result<Turn, Error> {
    let Fresh { session, user, workspace } = match fresh {
        Some(fresh) => {
            progress.is_in(&fresh.session.directory);
            fresh
        }
        None => read(shared, id, message, &environment, progress).await?,
    };
    let agent = workspace.agent(Some(&user.agent))?.clone();
    workspace.models.prepare(&user.model).await;
    let model = workspace.models.resolve(&user.model)?;
    let form = Form::of(user.format.as_ref())?.map(Arc::new);
    Ok(Turn {
        form_tool: form.clone().map(|form| form as _),
        form,
        scope: Scope::of(&session),
        shared: Arc::clone(shared),
        session,
        workspace,
        user,
        agent,
        model,
        tasks: tasks.clone(),
        progress: Arc::clone(progress),
    })
}

async fn read(
    shared: &Arc<Shared>,
    id: &SessionId,
    message: &MessageId,
    environment: &Environment,
    progress: &Progress,
) -> Result<Fresh, Error> {
    let session = shared.session(id).await?;
    progress.is_in(&session.directory);
    let stored = shared.store.message(id.clone(), message.clone()).await?;
    let Some(MessageWithParts { info: Message::User(user), .. }) = stored else { return Err(Error::UnknownMessage(message.clone())) };
    let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
        return Err(Error::DirectoryGone(session.directory));
    };
    let workspace = shared.workspaces.open(&directory, environment).await?;
    Ok(Fresh { session, user, workspace })
}

/// The turn ends before the model is asked: because the settings changed while the prompt waited, or by an abort. Its
/// answer says so; one that was to be taken up again is closed with everything in it.
async fn end_before_start(
    shared: &Arc<Shared>,
    id: &SessionId,
    message: &MessageId,
    error: &MessageError,
    last: &mut Option<MessageId>,
) -> Result<(), Error> {
    *last = shared.store.end_before_start(id.clone(), message.clone(), last.clone(), error.clone()).await?;
    Ok(())
}

impl Turn {
    async fn run(self: Arc<Self>, open: Option<MessageWithParts>, last: &mut Option<MessageId>) -> Result<Ended, Error> {
        let mut history = self.history().await?;
        let mut circles = Circles::default();
        let mut steps: u32 = 0;
        // Calls that failed since the last one that did not, over all messages.
        let mut failures = Failures::default();
        if let Some(open) = open {
            history.retain(|message| message.info.id() != open.info.id());
            let Message::Assistant(answer) = open.info else { return Ok(Ended::Done) };
            let end = calls::take_up(&self, &answer.id, open.parts).await?;
            match self.after_calls(answer, end, FinishReason::ToolCalls, Tokens::default(), &mut history).await? {
                Next::Step => steps = 1,
                Next::End(ended) => return Ok(ended),
            }
        } else {
            title::start(&self, &history);
        }
        loop {
            steps += 1;
            let final_step = self.agent.steps.is_some_and(|most| steps >= most);
            let answer = self.begin().await?;
            *last = Some(answer.id.clone());
            match step::run(&self, answer, &history, final_step, &mut failures).await? {
                StepEnd::Failed(answer, error, again, tokens) => {
                    self.complete(answer, Some(error.clone()), FinishReason::Other, tokens, !again).await?;
                    if !again {
                        return Ok(Ended::Done);
                    }
                    // What it had said stays on record; the next attempt is a message of its own.
                    steps -= 1;
                }
                StepEnd::Aborted(answer) => return self.abort(answer).await.map(|()| Ended::Aborted),
                StepEnd::Finished(answer, calls, reason, tokens) => {
                    failures = Failures::default();
                    if calls.is_empty() {
                        match self.after_words(answer, reason, tokens, &mut history).await? {
                            // What has not the right form is no step.
                            Next::Step => steps -= 1,
                            Next::End(ended) => return Ok(ended),
                        }
                        continue;
                    }
                    let gives = calls.iter().any(|call| call.name == structured::TOOL);
                    let end = calls::run(&self, &answer.id, calls, reason == FinishReason::Length, &mut circles).await?;
                    if let Some(circle) = circles.given_up().filter(|_| end == CallsEnd::Done) {
                        self.complete(answer, Some(circle_error(circle, &self.model.reference)), reason, tokens, true).await?;
                        return Ok(Ended::Done);
                    }
                    let given = self.form.as_ref().filter(|_| gives && end == CallsEnd::Done).map(|form| (form, form.take()));
                    let mut answer = answer;
                    let mut again = !final_step;
                    match given {
                        None => {}
                        Some((_, Some(value))) => {
                            answer.structured = Some(value);
                            again = false;
                        }
                        Some((form, None)) => match form.failed(None) {
                            // The result of the call has told it.
                            (_, true) => again = true,
                            (error, false) => {
                                self.complete(answer, Some(error), reason, tokens, true).await?;
                                return Ok(Ended::Done);
                            }
                        },
                    }
                    match self.after_calls(answer, end, reason, tokens, &mut history).await? {
                        Next::Step if again => {}
                        Next::Step => return Ok(Ended::Done),
                        Next::End(ended) => return Ok(ended),
                    }
                }
            }
        }
    }

    /// An answer without calls ends the turn, unless it should have had another form.
    async fn after_words(
        &self,
        mut answer: AssistantMessage,
        reason: FinishReason,
        tokens: Tokens,
        history: &mut Vec<MessageWithParts>,
    ) -> Result<Next, Error> {
        let error = finish_error(reason, &self.model);
        let Some(form) = self.form.as_ref().filter(|_| error.is_none()) else {
            self.complete(answer, error, reason, tokens, true).await?;
            return Ok(Next::End(Ended::Done));
        };
        let stored = self.stored(&answer.id).await?;
        let spoken = stored.iter().flat_map(|message| &message.parts);
        let text: String = spoken.filter_map(|part| if let Part::Text(part) = part { Some(part.text.as_str()) } else { None }).collect();
        let why = match form.read(&text) {
            Ok(value) => {
                answer.structured = Some(value);
                self.complete(answer, None, reason, tokens, true).await?;
                return Ok(Next::End(Ended::Done));
            }
            Err(why) => why,
        };
        let (error, again) = form.failed(Some(&why));
        self.complete(answer, Some(error), reason, tokens, !again).await?;
        if !again {
            return Ok(Next::End(Ended::Done));
        }
        // It stays on record as a failure; the model has to see what it was.
        history.extend(stored);
        let text = Form::reminder(&why, self.model.info.tool_call);
        history.push(self.reminded(text));
        Ok(Next::Step)
    }

    /// A word to the model that is not stored.
    fn reminded(&self, text: String) -> MessageWithParts {
        let id = ids::message_id();
        let part = Part::Text(TextPart {
            id: ids::part_id(),
            session_id: self.session.id.clone(),
            message_id: id.clone(),
            text,
            synthetic: true,
            time: None,
            metadata: None,
        });
        MessageWithParts { info: Message::User(UserMessage { id, ..self.user.clone() }), parts: vec![part], cursor: 0 }
    }

    async fn after_calls(
        &self,
        answer: AssistantMessage,
        end: CallsEnd,
        reason: FinishReason,
        tokens: Tokens,
        history: &mut Vec<MessageWithParts>,
    ) -> Result<Next, Error> {
        match end {
            CallsEnd::Left => return Ok(Next::End(Ended::Left)),
            CallsEnd::Aborted => return self.abort(answer).await.map(|()| Next::End(Ended::Aborted)),
            CallsEnd::Done | CallsEnd::Rejected => {}
        }
        let id = answer.id.clone();
        self.complete(answer, None, reason, tokens, true).await?;
        if matches!(end, CallsEnd::Rejected) {
            return Ok(Next::End(Ended::Done));
        }
        history.extend(self.stored(&id).await?);
        Ok(Next::Step)
    }

    /// The conversation as it is before this turn's next answer: every prompt with its answers, in the order of the
    /// prompts; what still waits in the queue has not been said yet.
    async fn history(&self) -> Result<Vec<MessageWithParts>, Error> {
        let (messages, waiting) = self.shared.store.conversation(self.session.id.clone()).await?;
        let mut prompts: Vec<(MessageId, Vec<MessageWithParts>)> = Vec::new();
        for message in messages {
            match &message.info {
                Message::User(info) if waiting.contains(&info.id) => {}
                Message::User(info) => prompts.push((info.id.clone(), vec![message])),
                Message::Assistant(info) => {
                    let parent = info.parent_id.clone();
                    if let Some((_, said)) = prompts.iter_mut().rev().find(|(id, _)| *id == parent) {
                        said.push(message);
                    }
                }
            }
        }
        if let Some(end) = prompts.iter().position(|(id, _)| *id == self.user.id) {
            prompts.truncate(end + 1);
        }
        Ok(prompts.into_iter().flat_map(|(_, said)| said).collect())
    }
}

enum Next {
    Step,
    End(Ended),
}
