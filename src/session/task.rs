//! The task of one session: its mailbox, its queue, its current turn. It starts with the first command and stops when
//! there is nothing left to do. While the store cannot be written, it retries, so that the store does not keep a turn open
//! that has ended.

mod unsettled;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use polytree_protocol::{
    hunk::Hunk,
    id::{MessageId, SessionId},
    message::{Message, MessageWithParts, PromptState},
    session::{Session, SessionStatus},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use self::unsettled::Unsettled;
use super::{
    Error,
    error::MAX_QUEUED,
    mailbox::{Accepted, Command, Decision, Prepared, TurnEnd, Undo},
    revert, review,
    shared::Shared,
    turn::{self, Fresh, Open, Outcome, Start, Steering},
};
use crate::{
    stdx::tasks::Tasks,
    store::{Admitted, Cause, QueueChange, QueueChanged, Scope, Unit},
    tool::context::Environment,
};

/// An abort is answered after this time even if the turn has not ended yet.
const ABORT_REPLY_TIMEOUT: Duration = Duration::from_millis(80);
/// How long a deletion waits for a turn to end. Later writes of the turn fail, because the session is gone.
const DELETE_TIMEOUT: Duration = Duration::from_secs(5);

struct Current {
    message_id: MessageId,
    tasks: Tasks,
    handle: JoinHandle<Outcome>,
    /// The prompts that enter it.
    steering: Arc<Steering>,
    aborts: Vec<oneshot::Sender<Result<bool, Error>>>,
}

pub(super) struct SessionTask {
    shared: Arc<Shared>,
    id: SessionId,
    mailbox: mpsc::UnboundedReceiver<Command>,
    queue: VecDeque<(MessageId, Environment)>,
    waiters: HashMap<MessageId, Vec<oneshot::Sender<TurnEnd>>>,
    current: Option<Current>,
    unsettled: Option<Unsettled>,
}

impl SessionTask {
    /// Starts the task; returns its mailbox.
    pub fn start(shared: &Arc<Shared>, id: SessionId) -> mpsc::UnboundedSender<Command> {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let task = Self {
            shared: Arc::clone(shared),
            id,
            mailbox,
            queue: VecDeque::new(),
            waiters: HashMap::new(),
            current: None,
            unsettled: None,
        };
        drop(shared.tasks.spawn("session", task.run()));
        sender
    }

    async fn run(mut self) {
        loop {
            let is_idle = self.current.is_none() && self.unsettled.is_none();
            if is_idle && self.mailbox.is_empty() {
                // A queue of an earlier daemon does not start by itself.
                self.defer_queue();
                if self.try_stop() {
                    return;
                }
            }
            let retries = self.current.is_none() && self.unsettled.is_some();
            let next = self.unsettled.as_ref().map_or_else(Instant::now, |unsettled| unsettled.next);
            let (ending, activity) = (self.shared.tasks.token().clone(), Arc::clone(&self.shared.activity));
            tokio::select! {
                outcome = async { (&mut self.current.as_mut().expect("guarded").handle).await }, if self.current.is_some() => {
                    self.turn_ended(of_turn(outcome)).await;
                }
                // The next daemon will find it and close it.
                () = ending.cancelled(), if retries => self.unsettled = None,
                () = activity.closed(), if retries => self.unsettled = None,
                () = tokio::time::sleep_until(next), if retries => {
                    if self.settle().await.is_ok() {
                        self.start_next().await;
                    }
                }
                command = self.mailbox.recv() => {
                    let Some(command) = command else { return };
                    self.handle(command).await;
                }
            }
            self.shared.activity.set_queued(&self.id, self.queue.len());
        }
    }

    /// Removes the task from the map of sessions, unless a command has arrived.
    fn try_stop(&mut self) -> bool {
        let mut live = self.shared.live();
        if !self.mailbox.is_empty() {
            return false;
        }
        live.remove(&self.id);
        drop(live);
        self.shared.activity.tell();
        true
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Prompt { prompt, reply } => {
                let result = self.prompt(*prompt).await;
                let _ = reply.send(result);
            }
            Command::Join { message_id, environment, reply } => {
                let result = self.join(message_id, environment).await;
                let _ = reply.send(result);
            }
            Command::ChangeQueue { message_id, change, reply } => {
                let result = self.change_queue(message_id, change).await;
                let _ = reply.send(result);
            }
            Command::Steering { reply } => {
                let _ = reply.send(self.current.as_ref().map(|current| current.steering.offered()).unwrap_or_default());
            }
            Command::WhenIdle { prompt, reply } => {
                let result = self.when_idle(*prompt).await;
                let _ = reply.send(result);
            }
            Command::Undo { undo, reply } => {
                let result = self.undo(*undo).await;
                let _ = reply.send(result);
            }
            Command::Decide { decision, reply } => {
                let result = self.decide(*decision).await;
                let _ = reply.send(result);
            }
            Command::Abort { reply } => self.abort(reply).await,
            Command::Resume { environment } => {
                if let Err(error) = self.make_ready(&environment).await {
                    tracing::error!(%error, session = %self.id, "an answered turn could not be resumed");
                }
            }
            Command::Settle => {
                self.shared.take_deferred(&self.id);
                self.unsettled = Some(Unsettled::new(Cause::Restart));
            }
            Command::Delete { reply } => {
                let result = self.delete().await;
                let _ = reply.send(result);
            }
        }
    }

    /// Before anything begins: writes what could not be stored, and resumes what an earlier daemon left.
    async fn make_ready(&mut self, environment: &Environment) -> Result<(), Error> {
        self.settle().await?;
        if self.current.is_some() || !self.shared.take_deferred(&self.id) {
            return Ok(());
        }
        let read = self.shared.store.unfinished(self.id.clone()).await;
        let (open, queue) = read.inspect_err(|_| self.shared.defer(&self.id))?;
        for waiting in queue {
            if !self.queue.iter().any(|(id, _)| *id == waiting) {
                self.queue.push_back((waiting, Arc::clone(environment)));
            }
        }
        if let Some(MessageWithParts { info: Message::Assistant(answer), parts, .. }) = open {
            let prompt = answer.parent_id.clone();
            // Its open questions are announced again when its calls ask.
            let status = self.shared.statuses.restart(&self.id);
            if let Err(error) = self.tell(status).await {
                tracing::warn!(%error, session = %self.id, "a status could not be told");
            }
            self.start_turn(prompt, Arc::clone(environment), None, Some(Open { answer, parts }));
        }
        Ok(())
    }

    async fn tell(&self, status: Option<SessionStatus>) -> Result<(), Error> {
        let Some(status) = status else { return Ok(()) };
        let session = self.shared.stored(&self.id).await?;
        Ok(self.shared.store.commit(Unit::new(&Scope::of(&session)).status(status)).await?)
    }

    async fn prompt(&mut self, prompt: Prepared) -> Accepted {
        let Prepared { prompt: mut new, steers, environment, workspace } = prompt;
        self.make_ready(&environment).await?;
        if self.queue.len() >= MAX_QUEUED {
            // After a restart nothing else starts a full queue: every prompt would be refused.
            self.start_next().await;
        }
        if self.queue.len() >= MAX_QUEUED {
            return Err(Error::QueueFull);
        }
        let queued = self.current.is_some() || !self.queue.is_empty();
        new.queued = queued;
        new.message.state = if queued { PromptState::Queued } else { PromptState::Running };
        let (message, message_id) = (new.message.clone(), new.message.id.clone());
        // Set before the prompt is stored, so that the turn's first status comes after it; cleared if it is not stored.
        new.status = if queued { None } else { self.shared.statuses.set(&self.id, SessionStatus::Busy) };
        let admitted = self.shared.store.admit_prompt(self.id.clone(), new).await;
        if !queued && !matches!(admitted, Ok(Admitted::New(_))) {
            self.shared.statuses.clear(&self.id);
        }
        let session = match admitted? {
            Admitted::New(session) => *session,
            Admitted::Known => return self.join(message_id, environment).await,
            Admitted::MessageTaken => {
                return Err(Error::Conflict(format!("the message {message_id} already exists and was sent with other params")));
            }
            Admitted::PartTaken(part) => return Err(Error::Conflict(format!("the part {part} already exists"))),
            Admitted::NoSession => return Err(Error::UnknownSession(self.id.clone())),
        };
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(message_id.clone()).or_default().push(sender);
        if queued {
            if let Some(current) = self.current.as_ref().filter(|_| steers) {
                current.steering.offer(message_id.clone());
            }
            self.queue.push_back((message_id, environment));
            self.start_next().await;
        } else {
            self.start_turn(message_id, environment, Some(Fresh { session, user: message, workspace }), None);
        }
        Ok((queued, receiver))
    }

    async fn join(&mut self, message_id: MessageId, environment: Environment) -> Accepted {
        self.make_ready(&environment).await?;
        let (sender, receiver) = oneshot::channel();
        let running = self.current.as_ref().is_some_and(|current| current.message_id == message_id);
        let queued = self.queue.iter().any(|(id, _)| *id == message_id);
        if running || queued {
            self.waiters.entry(message_id).or_default().push(sender);
            self.start_next().await;
            return Ok((queued, receiver));
        }
        let last = self.shared.store.last_answer(message_id.clone()).await?;
        // Without an answer, the prompt was cancelled in the queue.
        let _ = sender.send(TurnEnd::Message(last.unwrap_or(message_id)));
        Ok((false, receiver))
    }

    async fn change_queue(&mut self, prompt: MessageId, change: QueueChange) -> Result<QueueChanged, Error> {
        let (place, removes) = match &change {
            QueueChange::Remove => (None, true),
            QueueChange::Move(before) => (Some(before.clone()), false),
            QueueChange::Replace(_) | QueueChange::Steer => (None, false),
        };
        let steers = matches!(change, QueueChange::Steer);
        let changed = self.shared.store.change_queue(self.id.clone(), prompt.clone(), change).await?;
        if steers && changed == QueueChanged::Done {
            let current = self.current.as_ref().ok_or_else(|| Error::State("no turn runs that the prompt could enter".into()))?;
            current.steering.offer(prompt);
            return Ok(changed);
        }
        // The queue of an earlier daemon is only in the store.
        let index = self.queue.iter().position(|(id, _)| *id == prompt).filter(|_| changed == QueueChanged::Done);
        let Some(index) = index.filter(|_| removes || place.is_some()) else { return Ok(changed) };
        let queued = self.queue.remove(index);
        if let Some(before) = place {
            let place = before.and_then(|before| self.queue.iter().position(|(id, _)| *id == before));
            self.queue.insert(place.unwrap_or(self.queue.len()), queued.expect("found above"));
        } else {
            self.answer(&prompt, &TurnEnd::Message(prompt.clone()));
        }
        Ok(changed)
    }

    async fn when_idle(&mut self, prompt: Prepared) -> Accepted {
        self.make_ready(&prompt.environment).await?;
        if self.current.is_some() || !self.queue.is_empty() {
            return Err(Error::Busy);
        }
        self.prompt(prompt).await
    }

    /// Whether the session, or a child in the background, may change files.
    async fn is_busy(&self) -> Result<bool, Error> {
        Ok(self.current.is_some()
            || !self.queue.is_empty()
            || self.shared.at_work.has_turns(&self.shared.store.family(self.id.clone()).await?))
    }

    async fn undo(&mut self, undo: Undo) -> Result<Session, Error> {
        if self.is_busy().await? {
            return Err(Error::Busy);
        }
        self.settle().await?;
        revert::run(&self.shared, &self.id, undo).await
    }

    async fn decide(&mut self, decision: Decision) -> Result<Vec<Hunk>, Error> {
        let is_busy = self.is_busy().await?;
        if !is_busy {
            self.settle().await?;
        }
        review::run(&self.shared, &self.id, decision, is_busy).await
    }

    fn start_turn(&mut self, message_id: MessageId, environment: Environment, fresh: Option<Fresh>, open: Option<Open>) {
        let tasks = self.shared.tasks.child();
        let (session_id, prompt) = (self.id.clone(), message_id.clone());
        let start = Start { session_id, message_id: prompt, environment, fresh, open, steering: Arc::default() };
        let steering = Arc::clone(&start.steering);
        self.shared.at_work.begin_turn(&self.id, tasks.token().clone());
        let handle = tasks.spawn("turn", turn::run(Arc::clone(&self.shared), start, tasks.clone()));
        self.current = Some(Current { message_id, handle, tasks, steering, aborts: Vec::new() });
    }

    /// Starts the turn of the first prompt that waits, unless one runs or the daemon is about to stop.
    async fn start_next(&mut self) {
        if self.current.is_none() && !self.shared.activity.is_closed() {
            self.start_first().await;
        }
    }

    async fn start_first(&mut self) {
        let Some((message_id, environment)) = self.queue.pop_front() else { return };
        let status = self.shared.statuses.set(&self.id, SessionStatus::Busy);
        let begun = self.shared.store.begin_turn(self.id.clone(), message_id.clone(), status).await.map_err(Error::from);
        let begun = begun.and_then(|begun| if begun { Ok(()) } else { Err(Error::UnknownSession(self.id.clone())) });
        match begun {
            Ok(()) => self.start_turn(message_id, environment, None, None),
            Err(error) => {
                tracing::error!(%error, session = %self.id, "a queued prompt could not be started");
                self.queue.push_front((message_id, environment));
                self.give_up(&error.to_string());
            }
        }
    }

    fn answer(&mut self, prompt: &MessageId, end: &TurnEnd) {
        for waiter in self.waiters.remove(prompt).unwrap_or_default() {
            let _ = waiter.send(end.clone());
        }
    }

    async fn abort(&mut self, reply: oneshot::Sender<Result<bool, Error>>) {
        let Some(current) = &mut self.current else {
            let result = self.abort_deferred().await;
            let _ = reply.send(result);
            return;
        };
        current.tasks.cancel();
        current.aborts.push(reply);
        // The reply must not wait for a slow disk or a process that is slow to exit.
        if let Ok(outcome) = tokio::time::timeout(ABORT_REPLY_TIMEOUT, &mut current.handle).await {
            self.turn_ended(of_turn(outcome)).await;
        } else {
            for abort in current.aborts.drain(..) {
                let _ = abort.send(Ok(true));
            }
        }
    }

    async fn turn_ended(&mut self, outcome: Outcome) {
        let Some(current) = self.current.take() else { return };
        self.shared.at_work.end_turn(&self.id);
        if outcome.suspended {
            // The next daemon resumes it: nothing has ended, so nothing is announced.
            return;
        }
        let entered = current.steering.taken();
        self.queue.retain(|(id, _)| !entered.contains(id));
        let shutting_down = self.shared.is_shutting_down();
        let aborted = outcome.aborted || current.tasks.token().is_cancelled();
        // Nothing of it may go on, even if it could not end by itself.
        current.tasks.cancel();
        let cancelled: Vec<MessageId> = if aborted { self.queue.drain(..).map(|(id, _)| id).collect() } else { Vec::new() };
        // A daemon that shuts down starts no more turns; the queue stays in the store.
        let next = self.queue.front().map(|(id, _)| id.clone()).filter(|_| !self.shared.activity.is_closed());
        let more = next.is_some();
        let mut begun = next.is_some();
        let (end, ended) = match outcome.unstored {
            None => {
                let ended = self.store_end(&current.message_id, aborted && !shutting_down, next).await.map_err(|error| error.to_string());
                (outcome.last.map_or(TurnEnd::Deleted, TurnEnd::Message), ended)
            }
            Some(error) => (TurnEnd::Unstored(error.clone()), Err(error)),
        };
        if let Err(error) = ended {
            tracing::error!(error, session = %self.id, "the end of a turn could not be stored");
            begun = false;
            self.shared.statuses.clear(&self.id);
            let cause = if aborted && !shutting_down { Cause::Abort } else { Cause::Store(error.clone()) };
            self.unsettled = Some(Unsettled::new(cause));
            if self.settle().await.is_err() {
                self.give_up(&error);
            }
        }
        for id in std::iter::once(&current.message_id).chain(&entered).chain(&cancelled) {
            self.answer(id, &end);
        }
        for abort in current.aborts {
            let _ = abort.send(Ok(true));
        }
        if self.unsettled.is_some() {
            return;
        }
        if begun && let Some((message_id, environment)) = self.queue.pop_front() {
            self.start_turn(message_id, environment, None, None);
        } else if more {
            self.start_first().await;
        } else {
            self.defer_queue();
        }
    }

    /// Ends the turn of a prompt and begins the next one in the same commit; without a next one the session is idle.
    async fn store_end(&mut self, ended: &MessageId, cancels_queue: bool, next: Option<MessageId>) -> Result<(), Error> {
        let status = if next.is_some() { None } else { self.shared.statuses.clear(&self.id) };
        Ok(self.shared.store.end_turn(self.id.clone(), ended.clone(), cancels_queue, status, next).await?)
    }

    /// Ends the turn, then deletes the session. Waiters learn of the deletion, not of the end before it.
    async fn delete(&mut self) -> Result<bool, Error> {
        let waiters = std::mem::take(&mut self.waiters);
        let mut end = None;
        if let Some(current) = &mut self.current {
            current.tasks.cancel();
            let outcome = tokio::time::timeout(DELETE_TIMEOUT, &mut current.handle).await;
            let outcome = outcome.map_or_else(|_| Outcome { aborted: true, ..Outcome::default() }, of_turn);
            end = outcome.last.clone().map(TurnEnd::Message);
            self.turn_ended(outcome).await;
        }
        let deleted = match self.shared.session(&self.id).await {
            Ok(session) => {
                let deleted = self.shared.store.delete_session(self.id.clone(), session.missing).await;
                deleted.map_err(Error::from).and_then(|deleted| deleted.ok_or_else(|| Error::UnknownSession(self.id.clone())))
            }
            Err(error) => Err(error),
        };
        if matches!(deleted, Ok(true)) {
            self.queue.clear();
            self.unsettled = None;
            self.shared.forget(&self.id);
            end = Some(TurnEnd::Deleted);
        }
        for waiter in waiters.into_values().flatten() {
            let _ = waiter.send(end.clone().unwrap_or(TurnEnd::Deleted));
        }
        deleted
    }
}

/// Sends a command to the session's task, and starts the task if there is none.
pub(super) fn send(shared: &Arc<Shared>, id: &SessionId, command: Command) -> Result<(), Error> {
    if shared.tasks.token().is_cancelled() {
        return Err(Error::Closing);
    }
    let mut live = shared.live();
    // A task leaves the map under this lock and with an empty mailbox, so it reads what is sent here. One that panicked is
    // still in the map and reads nothing.
    let sender = live.entry(id.clone()).or_insert_with(|| SessionTask::start(shared, id.clone()));
    if sender.is_closed() {
        *sender = SessionTask::start(shared, id.clone());
    }
    let sent = sender.send(command).map_err(|_| Error::Closing);
    drop(live);
    shared.activity.tell();
    sent
}

/// A turn that panicked has not stored its end.
fn of_turn(outcome: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    outcome.unwrap_or_else(|_| Outcome { unstored: Some("a defect of polytree; its log has the details".into()), ..Outcome::default() })
}
