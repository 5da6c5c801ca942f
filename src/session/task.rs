//! The task of one working session: its mailbox, its queue, its current turn. It starts with the first message and
//! ends as soon as there is nothing left to do.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError},
    time::Duration,
};

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{Message, UserMessage},
    part::Part,
    session::SessionStatus,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    Error, Workspace,
    announce::Voice,
    sessions::{Shared, TurnEnd},
    store,
    turn::{self, Outcome},
};
use crate::{stdx::tasks::Tasks, tool::context::Environment};

/// An abort is answered after this long even if the turn is still closing its books.
const ABORT_ANSWER: Duration = Duration::from_millis(80);

type PromptReply = oneshot::Sender<Result<(bool, oneshot::Receiver<TurnEnd>), Error>>;

/// What a session's task is asked.
pub(super) enum Command {
    /// Store a prompt and start or queue its turn.
    Prompt {
        message: Box<UserMessage>,
        parts: Vec<Part>,
        digest: String,
        environment: Environment,
        workspace: Arc<Workspace>,
        reply: PromptReply,
    },
    /// Wait for the turn of a prompt that is stored.
    Join { message_id: MessageId, environment: Environment, reply: PromptReply },
    /// End the turn, cancel the queue.
    Abort { reply: oneshot::Sender<bool> },
    /// A question was answered.
    Resume { environment: Environment },
    /// End the turn because the session is deleted.
    End { reply: oneshot::Sender<()> },
}

struct Current {
    message_id: MessageId,
    tasks: Tasks,
    handle: JoinHandle<Outcome>,
    aborts: Vec<oneshot::Sender<bool>>,
}

/// The owner of one session while it works.
pub(super) struct SessionTask {
    shared: Arc<Shared>,
    id: SessionId,
    mailbox: mpsc::UnboundedReceiver<Command>,
    queue: VecDeque<(MessageId, Environment)>,
    waiters: HashMap<MessageId, Vec<oneshot::Sender<TurnEnd>>>,
    current: Option<Current>,
}

impl SessionTask {
    /// Starts the task and gives the way to its mailbox.
    pub fn start(shared: &Arc<Shared>, id: SessionId) -> mpsc::UnboundedSender<Command> {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let task = Self { shared: Arc::clone(shared), id, mailbox, queue: VecDeque::new(), waiters: HashMap::new(), current: None };
        drop(shared.tasks.spawn("session", task.run()));
        sender
    }

    async fn run(mut self) {
        let mut took_up = false;
        loop {
            if self.current.is_none() && self.mailbox.is_empty() && self.try_leave() {
                return;
            }
            tokio::select! {
                outcome = async { (&mut self.current.as_mut().expect("guarded").handle).await }, if self.current.is_some() => {
                    self.turn_ended(outcome.unwrap_or(Outcome { last: None, aborted: true, left: false })).await;
                }
                command = self.mailbox.recv() => {
                    let Some(command) = command else { return };
                    // What a daemon before this one left waiting is this session's current turn.
                    if !took_up {
                        took_up = true;
                        self.take_up(environment(&command)).await;
                    }
                    self.obey(command).await;
                }
            }
            self.shared.activity.set_queued(&self.id, self.queue.len());
        }
    }

    /// Leaves the map of working sessions, unless a message has come in between.
    fn try_leave(&mut self) -> bool {
        let mut live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.mailbox.is_empty() {
            return false;
        }
        live.remove(&self.id);
        drop(live);
        self.shared.activity.tell();
        true
    }

    async fn take_up(&mut self, environment: Environment) {
        let id = self.id.clone();
        let read = self.shared.database.read(move |connection| {
            let open = store::sessions_with_open_messages(connection)?.into_iter().find(|(session, _)| *session == id);
            let Some((_, message)) = open else { return Ok(None) };
            let Some(message) = store::get_message(connection, &id, &message)? else { return Ok(None) };
            Ok::<_, crate::storage::Error>(Some(message))
        });
        if let Ok(Some(message)) = read.await
            && let Message::Assistant(answer) = &message.info
        {
            let user = answer.parent_id.clone();
            self.start_turn(user, environment, None, Some(message));
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Prompt { message, parts, digest, environment, workspace, reply } => {
                let result = self.prompt(*message, parts, digest, environment, workspace).await;
                let _ = reply.send(result);
            }
            Command::Join { message_id, environment, reply } => {
                let result = self.join(message_id, environment).await;
                let _ = reply.send(result);
            }
            Command::Abort { reply } => self.abort(reply).await,
            Command::Resume { .. } => {}
            Command::End { reply } => {
                if let Some(mut current) = self.current.take() {
                    current.tasks.cancel();
                    let _ = (&mut current.handle).await;
                    for abort in current.aborts {
                        let _ = abort.send(true);
                    }
                }
                self.queue.clear();
                for waiter in self.waiters.drain().flat_map(|(_, waiters)| waiters) {
                    let _ = waiter.send(TurnEnd::Deleted);
                }
                let _ = reply.send(());
            }
        }
    }

    async fn prompt(
        &mut self,
        message: UserMessage,
        parts: Vec<Part>,
        digest: String,
        environment: Environment,
        workspace: Arc<Workspace>,
    ) -> Result<(bool, oneshot::Receiver<TurnEnd>), Error> {
        let message_id = message.id.clone();
        let wanted = message_id.clone();
        if let Some((session, params)) = self.shared.database.read(move |c| store::message_origin(c, &wanted)).await? {
            // The same prompt was sent twice at once.
            return match params {
                Some(params) if params == digest && session == self.id.as_str() => self.join(message_id, environment).await,
                _ => Err(Error::Conflict(format!("the message {message_id} already exists and was sent with other params"))),
            };
        }
        let busy = self.current.is_some();
        let session = self.shared.session(&self.id).await?;
        let voice = Voice::new(&self.shared.events, &session);
        let statuses = self.shared.statuses.clone();
        let leftover = self
            .shared
            .database
            .write::<_, Error>(move |write| {
                let id = message.id.clone();
                // Prompts that were waiting when a daemon ended go first.
                let leftover = if busy { Vec::new() } else { store::queue(write, &voice.session_id)? };
                let (agent, model) = (message.agent.clone(), message.model.clone());
                voice.message(write, &Message::User(message), Some(&digest))?;
                for part in &parts {
                    voice.part(write, part)?;
                }
                voice.session(write, |session| {
                    session.agent = Some(agent);
                    session.model = Some(model);
                })?;
                if busy || !leftover.is_empty() {
                    store::enqueue(write, &voice.session_id, &id)?;
                    voice.queue(write)?;
                }
                if !busy && let Some(status) = statuses.set(&voice.session_id, SessionStatus::Busy) {
                    voice.status(write, status)?;
                }
                Ok(leftover)
            })
            .await?;
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(message_id.clone()).or_default().push(sender);
        let queued = busy || !leftover.is_empty();
        if queued {
            for waiting in leftover {
                self.queue.push_back((waiting, Arc::clone(&environment)));
            }
            self.queue.push_back((message_id, environment));
            if !busy {
                self.start_next().await;
            }
        } else {
            self.start_turn(message_id, environment, Some(workspace), None);
        }
        Ok((queued, receiver))
    }

    async fn join(&mut self, message_id: MessageId, environment: Environment) -> Result<(bool, oneshot::Receiver<TurnEnd>), Error> {
        let (sender, receiver) = oneshot::channel();
        let running = self.current.as_ref().is_some_and(|current| current.message_id == message_id);
        let mut queued = self.queue.iter().any(|(id, _)| *id == message_id);
        if !running && !queued {
            let (session, wanted) = (self.id.clone(), message_id.clone());
            let (last, waiting) =
                self.shared.database.read::<_, Error>(move |c| Ok((store::last_answer(c, &wanted)?, store::queue(c, &session)?))).await?;
            if let Some(last) = last {
                let _ = sender.send(TurnEnd::Message(last));
                return Ok((false, receiver));
            }
            if waiting.contains(&message_id) && self.current.is_none() {
                self.queue.extend(waiting.into_iter().map(|id| (id, Arc::clone(&environment))));
                queued = true;
                self.waiters.entry(message_id).or_default().push(sender);
                self.start_next().await;
                return Ok((queued, receiver));
            }
            // It was cancelled while it waited: nothing will answer it.
            let _ = sender.send(TurnEnd::Message(message_id));
            return Ok((false, receiver));
        }
        self.waiters.entry(message_id).or_default().push(sender);
        Ok((queued, receiver))
    }

    fn start_turn(
        &mut self,
        message_id: MessageId,
        environment: Environment,
        workspace: Option<Arc<Workspace>>,
        open: Option<polytree_protocol::message::MessageWithParts>,
    ) {
        let tasks = self.shared.tasks.child();
        let turn = turn::run(Arc::clone(&self.shared), self.id.clone(), message_id.clone(), environment, workspace, tasks.clone(), open);
        self.current = Some(Current { message_id, handle: tasks.spawn("turn", turn), tasks, aborts: Vec::new() });
    }

    async fn start_next(&mut self) {
        let Some((message_id, environment)) = self.queue.pop_front() else { return };
        let (id, message) = (self.id.clone(), message_id.clone());
        let Ok(session) = self.shared.session(&id).await else { return };
        let voice = Voice::new(&self.shared.events, &session);
        let statuses = self.shared.statuses.clone();
        let written = self.shared.database.write::<_, crate::storage::Error>(move |write| {
            store::dequeue(write, &message)?;
            voice.queue(write)?;
            if let Some(status) = statuses.set(&id, SessionStatus::Busy) {
                voice.status(write, status)?;
            }
            Ok(())
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "a queued prompt could not be started");
        }
        self.start_turn(message_id, environment, None, None);
    }

    async fn abort(&mut self, reply: oneshot::Sender<bool>) {
        let Some(current) = &mut self.current else {
            let _ = reply.send(false);
            return;
        };
        current.tasks.cancel();
        current.aborts.push(reply);
        // The answer must not wait for a slow disk or a process that dies slowly.
        if let Ok(outcome) = tokio::time::timeout(ABORT_ANSWER, &mut current.handle).await {
            let outcome = outcome.unwrap_or(Outcome { last: None, aborted: true, left: false });
            self.turn_ended(outcome).await;
        } else {
            for abort in current.aborts.drain(..) {
                let _ = abort.send(true);
            }
        }
    }

    async fn turn_ended(&mut self, outcome: Outcome) {
        let Some(current) = self.current.take() else { return };
        let aborted = outcome.aborted || current.tasks.token().is_cancelled();
        if outcome.left {
            // The next daemon takes it up; nothing is told, because nothing has ended.
            return;
        }
        let cancelled: Vec<MessageId> = if aborted { self.queue.drain(..).map(|(id, _)| id).collect() } else { Vec::new() };
        // A daemon that is about to stop starts no more turns; what waits is kept in the store.
        let more = !self.queue.is_empty() && !self.shared.activity.is_closed();
        let leaving = self.shared.is_leaving();
        if let Ok(session) = self.shared.session(&self.id).await {
            let voice = Voice::new(&self.shared.events, &session);
            let statuses = self.shared.statuses.clone();
            let ended = cancelled.clone();
            let written = self.shared.database.write::<_, crate::storage::Error>(move |write| {
                // A daemon that ends keeps the queue for the next one.
                if !ended.is_empty() && !leaving {
                    for id in &ended {
                        store::dequeue(write, id)?;
                    }
                    voice.queue(write)?;
                }
                if !more && let Some(status) = statuses.clear(&voice.session_id) {
                    voice.status(write, status)?;
                }
                voice.idle(write)
            });
            if let Err(error) = written.await {
                tracing::error!(%error, "the end of a turn could not be stored");
                self.shared.statuses.clear(&self.id);
            }
        }
        let end = outcome.last.map_or(TurnEnd::Deleted, TurnEnd::Message);
        for id in std::iter::once(&current.message_id).chain(&cancelled) {
            for waiter in self.waiters.remove(id).unwrap_or_default() {
                let _ = waiter.send(end.clone());
            }
        }
        for abort in current.aborts {
            let _ = abort.send(true);
        }
        if more {
            self.start_next().await;
        } else {
            // Their callers are told that the daemon ends.
            for (id, _) in self.queue.drain(..) {
                self.waiters.remove(&id);
            }
        }
    }
}

fn environment(command: &Command) -> Environment {
    match command {
        Command::Prompt { environment, .. } | Command::Join { environment, .. } | Command::Resume { environment } => {
            Arc::clone(environment)
        }
        Command::Abort { .. } | Command::End { .. } => Environment::default(),
    }
}
