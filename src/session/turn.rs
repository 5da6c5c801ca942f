//! One prompt until the model stops: model calls and their tool calls in turn. Also takes up a turn again that a
//! daemon before this one has left waiting for an answer.

use std::sync::Arc;

use polytree_protocol::{
    agent::Agent,
    id::{MessageId, PartId, SessionId},
    message::{
        AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessagePath, MessageTime, MessageWithParts, Tokens,
        UserMessage,
    },
    part::{Part, StepFinishPart, StepStartPart},
    permission::PermissionOutcome,
    session::Session,
};

use super::{
    Error, ResolvedModel, Workspace,
    announce::Voice,
    calls::{self, CallsEnd},
    progress::Progress,
    sessions::Shared,
    step::{self, StepEnd},
    store, title,
};
use crate::{
    provider::definition::FinishReason,
    stdx::{ids, paths::AbsPath, tasks::Tasks, time::now_ms},
    tool::context::Environment,
};

/// How a turn ended.
pub(super) struct Outcome {
    /// Its last message.
    pub last: Option<MessageId>,
    /// It was aborted.
    pub aborted: bool,
    /// It waits for a person and was left for the next daemon.
    pub left: bool,
}

/// What all steps of a turn share.
pub(super) struct Turn {
    pub shared: Arc<Shared>,
    pub voice: Voice,
    pub session: Session,
    pub workspace: Arc<Workspace>,
    pub user: UserMessage,
    pub agent: Agent,
    pub model: ResolvedModel,
    pub tasks: Tasks,
    /// For those who wonder what it is doing.
    pub progress: Arc<Progress>,
}

pub(super) fn part_id() -> PartId {
    PartId::from_ulid(ids::next())
}

/// Runs the turn of a stored prompt. `workspace` is given when it was opened for the prompt a moment ago; `open` is the
/// unfinished answer of a turn that is taken up again.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: SessionId,
    message: MessageId,
    environment: Environment,
    workspace: Option<Arc<Workspace>>,
    tasks: Tasks,
    open: Option<MessageWithParts>,
) -> Outcome {
    let mut last = open.as_ref().map(|open| open.info.id().clone());
    let present = shared.progress.begin(&id, &message);
    let result = prepare(&shared, &id, &message, environment, workspace, &tasks, &present.progress).await;
    let result = match result {
        Ok(turn) => Arc::new(turn).run(open, &mut last).await,
        Err(error) => fail_before_start(&shared, &id, &message, error, &mut last).await.map(|()| Ended::Done),
    };
    match result {
        Ok(ended) => Outcome { last, aborted: matches!(ended, Ended::Aborted), left: matches!(ended, Ended::Left) },
        Err(error) => {
            tracing::error!(%error, session = %id, "a turn could not be stored");
            Outcome { last, aborted: tasks.token().is_cancelled(), left: false }
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
    workspace: Option<Arc<Workspace>>,
    tasks: &Tasks,
    progress: &Arc<Progress>,
) -> Result<Turn, Error> {
    let session = shared.session(id).await?;
    progress.is_in(&session.directory);
    let (session_id, wanted) = (id.clone(), message.clone());
    let stored = shared.database.read(move |c| store::get_message(c, &session_id, &wanted)).await?;
    let Some(MessageWithParts { info: Message::User(user), .. }) = stored else { return Err(Error::UnknownMessage(message.clone())) };
    let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
        return Err(Error::DirectoryGone(session.directory));
    };
    let workspace = match workspace {
        Some(workspace) => workspace,
        None => shared.workspaces.open(&directory, &environment).await?,
    };
    let agent = workspace.agent(Some(&user.agent))?.clone();
    let model = workspace.models.resolve(&user.model)?;
    Ok(Turn {
        voice: Voice::new(&shared.events, &session),
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

/// The settings changed while the prompt waited: its answer says what is wrong.
async fn fail_before_start(
    shared: &Arc<Shared>,
    id: &SessionId,
    message: &MessageId,
    error: Error,
    last: &mut Option<MessageId>,
) -> Result<(), Error> {
    let session = shared.session(id).await?;
    let (session_id, wanted) = (id.clone(), message.clone());
    let stored = shared.database.read(move |c| store::get_message(c, &session_id, &wanted)).await?;
    let Some(MessageWithParts { info: Message::User(user), .. }) = stored else { return Ok(()) };
    let voice = Voice::new(&shared.events, &session);
    let name = match &error {
        Error::UnknownModel { .. } => MessageErrorName::ProviderModelNotFoundError,
        Error::Credentials { .. } => MessageErrorName::ProviderAuthError,
        _ => MessageErrorName::UnknownError,
    };
    let error = MessageError { name, data: MessageErrorData { message: error.to_string(), ..MessageErrorData::default() } };
    let mut answer = new_answer(&user, &session.directory, &session.directory);
    if let Some(open) = last.as_ref() {
        answer.id = open.clone();
    }
    answer.time.completed = Some(now_ms());
    answer.error = Some(error.clone());
    *last = Some(answer.id.clone());
    shared
        .database
        .write(move |write| {
            voice.message(write, &Message::Assistant(answer), None)?;
            voice.error(write, error)?;
            Ok(())
        })
        .await
}

fn new_answer(user: &UserMessage, cwd: &str, root: &str) -> AssistantMessage {
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
    }
}

impl Turn {
    async fn run(self: Arc<Self>, open: Option<MessageWithParts>, last: &mut Option<MessageId>) -> Result<Ended, Error> {
        let mut history = self.history().await?;
        let mut repeats = calls::Repeats::default();
        let mut steps: u32 = 0;
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
            match step::run(&self, answer, &history, final_step).await? {
                StepEnd::Failed(answer, error, again) => {
                    self.complete(answer, Some(error.clone()), FinishReason::Other, Tokens::default(), !again).await?;
                    if !again {
                        return Ok(Ended::Done);
                    }
                    // What it had said stays on record; the next attempt is a message of its own.
                    steps -= 1;
                }
                StepEnd::Aborted(answer) => return self.abort(answer).await,
                StepEnd::Finished(answer, calls, reason, tokens) => {
                    if calls.is_empty() {
                        let error = finish_error(reason, &self.model);
                        self.complete(answer, error, reason, tokens, true).await?;
                        return Ok(Ended::Done);
                    }
                    let end = calls::run(&self, &answer.id, calls, &mut repeats).await?;
                    match self.after_calls(answer, end, reason, tokens, &mut history).await? {
                        Next::Step => {}
                        Next::End(ended) => return Ok(ended),
                    }
                    if final_step {
                        return Ok(Ended::Done);
                    }
                }
            }
        }
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
            CallsEnd::Aborted => return self.abort(answer).await.map(Next::End),
            CallsEnd::Done | CallsEnd::Rejected => {}
        }
        let id = answer.id.clone();
        self.complete(answer, None, reason, tokens, true).await?;
        if matches!(end, CallsEnd::Rejected) {
            return Ok(Next::End(Ended::Done));
        }
        let session_id = self.session.id.clone();
        if let Some(message) = self.shared.database.read(move |c| store::get_message(c, &session_id, &id)).await? {
            history.push(message);
        }
        Ok(Next::Step)
    }

    /// The conversation as it is before this turn's next answer: every prompt with its answers, in the order of the
    /// prompts; what still waits in the queue has not been said yet.
    async fn history(&self) -> Result<Vec<MessageWithParts>, Error> {
        let (id, user) = (self.session.id.clone(), self.user.id.clone());
        let (messages, waiting) = self
            .shared
            .database
            .read::<_, Error>(move |connection| Ok((store::list_messages(connection, &id, None, None)?, store::queue(connection, &id)?)))
            .await?;
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
        if let Some(end) = prompts.iter().position(|(id, _)| *id == user) {
            prompts.truncate(end + 1);
        }
        Ok(prompts.into_iter().flat_map(|(_, said)| said).collect())
    }

    /// Stores an empty answer.
    async fn begin(&self) -> Result<AssistantMessage, Error> {
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
    async fn complete(
        &self,
        mut answer: AssistantMessage,
        error: Option<MessageError>,
        reason: FinishReason,
        tokens: Tokens,
        tell_error: bool,
    ) -> Result<(), Error> {
        let cost = cost(&tokens, &self.model);
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
                        session.cost += cost;
                        add(&mut session.tokens, &tokens);
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
    async fn abort(&self, mut answer: AssistantMessage) -> Result<Ended, Error> {
        let error = if self.shared.is_leaving() {
            MessageError {
                name: MessageErrorName::MessageInterruptedError,
                data: MessageErrorData {
                    message: "the daemon was stopped while this answer was written".into(),
                    ..MessageErrorData::default()
                },
            }
        } else {
            MessageError {
                name: MessageErrorName::MessageAbortedError,
                data: MessageErrorData { message: "the turn was aborted".into(), ..MessageErrorData::default() },
            }
        };
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
            .await?;
        Ok(Ended::Aborted)
    }
}

enum Next {
    Step,
    End(Ended),
}

fn finish_error(reason: FinishReason, model: &ResolvedModel) -> Option<MessageError> {
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

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn cost(tokens: &Tokens, model: &ResolvedModel) -> f64 {
    let price = &model.info.cost;
    let million = |count: u64, price: f64| count as f64 * price / 1_000_000.0;
    million(tokens.input, price.input)
        + million(tokens.output + tokens.reasoning, price.output)
        + million(tokens.cache.read, price.cache_read)
        + million(tokens.cache.write, price.cache_write)
}

fn add(total: &mut Tokens, tokens: &Tokens) {
    total.input += tokens.input;
    total.output += tokens.output;
    total.reasoning += tokens.reasoning;
    total.cache.read += tokens.cache.read;
    total.cache.write += tokens.cache.write;
}
