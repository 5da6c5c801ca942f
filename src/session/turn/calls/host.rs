//! What a running tool call may do to its session: ask for permission, report progress, change the task list. Owns the
//! part of the call: the first to close it wins, and nothing is written afterwards.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use polytree_protocol::{
    events::{EventPayload, FilePath, PartDelta},
    id::{PermissionId, QuestionId},
    part::{Part, Span, ToolCompleted, ToolFailed, ToolPart, ToolRunning, ToolState, ToolTime},
    permission::{Action, Permission, PermissionTime, Rule},
    question::QuestionItem,
    sandbox::{Mode, SandboxReport},
    todo::Todo,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedSemaphorePermit, oneshot};

use super::{batch::Batch, changes::CallChanges, child};
use crate::{
    permission::{
        Answer, Inquiry, InquiryEnd, Question, grant_rule, granted_as,
        mode::{self, Authority, Request},
        rules::{Decision, Rules, stricter},
    },
    session::{Error, turn::state::Turn},
    stdx::{ids, paths::AbsPath, time::now_ms, visible},
    store::{self, Unit, WaitsFor},
    tool::{
        context::{Approval, Ask, Host, Job, ToolContext},
        definition::{ToolError, ToolOutput},
    },
};

/// The session's side of one tool call.
pub(super) struct CallHost {
    turn: Arc<Turn>,
    // Taken when the call is closed. A tokio mutex: held while the part is written, so that writes keep their order.
    part: Mutex<Option<ToolPart>>,
    waiting: AtomicUsize,
    /// A person has said yes.
    answered: AtomicBool,
    batch: Arc<Batch>,
    changes: CallChanges,
    // Released while the call waits for a person. A plain mutex: held to set it or to take it.
    slot: std::sync::Mutex<Option<OwnedSemaphorePermit>>,
}

impl CallHost {
    pub fn new(turn: &Arc<Turn>, part: ToolPart, batch: &Arc<Batch>) -> Arc<Self> {
        Arc::new(Self {
            turn: Arc::clone(turn),
            waiting: AtomicUsize::new(0),
            answered: AtomicBool::new(false),
            batch: Arc::clone(batch),
            changes: CallChanges::new(&turn.shared.snapshots, &turn.workspace.checkout.worktree, turn.workspace.keeps_changes, &part),
            part: Mutex::new(Some(part)),
            slot: std::sync::Mutex::default(),
        })
    }

    /// What the calls of the answer share.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Waits for a slot; false when the turn was aborted meanwhile.
    pub async fn begin(&self) -> bool {
        let slot = self.batch.slot().await;
        let begun = slot.is_some();
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
        begun
    }

    /// Releases the slot.
    pub fn rest(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether a question of this call is open.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Stores the call's end, unless it is closed already.
    pub async fn close(&self, result: Result<ToolOutput, ToolError>) -> Result<(), Error> {
        let mut slot = self.part.lock().await;
        let Some(mut part) = slot.take() else { return Ok(()) };
        let ToolState::Running(running) = &part.state else { return Ok(()) };
        part.state = closed(running, result);
        let patch = self.changes.close().await;
        let unit = patch.map(Part::Patch).into_iter().fold(self.turn.unit().part(Part::Tool(part)), Unit::part);
        self.turn.shared.store.commit(unit).await?;
        self.changes.stored().await;
        self.rest();
        Ok(())
    }

    async fn write(&self, part: ToolPart) -> Result<(), store::Error> {
        self.turn.shared.store.commit(self.turn.unit().part(Part::Tool(part))).await
    }

    /// Of what nothing has to allow, only what a rule asks for or denies is asked for.
    fn complete(&self, ask: &mut Ask) {
        let rules = self.turn.rules(&[]);
        let quiet = std::mem::take(&mut ask.quiet).into_iter();
        ask.patterns.extend(quiet.filter(|pattern| rules.evaluate_quiet(&ask.kind, pattern) != Action::Allow));
        ask.patterns.dedup();
        if is_not_understood(ask) && ask.kind == "bash" {
            // Nobody but a person may say yes to what could be one of these.
            let denies: Vec<&str> = rules.denied(&ask.kind).collect();
            if !denies.is_empty() {
                ask.metadata["denies"] = denies.into();
            }
        }
    }

    /// What the mode says of something that would be asked for.
    async fn by_mode(&self, ask: &Ask, decisions: &[Decision]) -> Result<Option<mode::Answer>, ToolError> {
        let rules = self.turn.rules(&[]);
        // No mode makes an agent that only looks do more.
        if rules.denies_all("edit") {
            return Ok(None);
        }
        let request = Request {
            kind: &ask.kind,
            patterns: &ask.patterns,
            decisions,
            force: is_not_understood(ask),
            denies: rules.denies_a_command(),
        };
        Ok(request.answered_by(self.turn.mode().await?))
    }

    /// What the rules say, then the grants.
    async fn decide(&self, ask: &Ask) -> Result<Decided, ToolError> {
        let by = |rules: &Rules| {
            let decisions: Vec<Decision> =
                ask.patterns.iter().map(|pattern| rules.decide_bound(&ask.kind, pattern, &granted_as(&ask.metadata, pattern))).collect();
            let start = if ask.force { Action::Ask } else { Action::Allow };
            let action = decisions.iter().map(|decision| decision.action).fold(start, stricter);
            Decided { action, decisions }
        };
        let rules = self.turn.rules(&[]);
        let decided = by(&rules);
        // What was granted to an agent that works is not granted to one that only looks.
        if decided.action != Action::Ask || ask.force || rules.denies_all("edit") {
            return Ok(decided);
        }
        let grants = self.granted().await?;
        if grants.is_empty() {
            return Ok(decided);
        }
        Ok(by(&self.turn.rules(&grants)))
    }

    /// What was answered with "always".
    async fn granted(&self) -> Result<Vec<Rule>, ToolError> {
        let session = &self.turn.session;
        let grants = self.turn.shared.broker.grants_in(session.project_id.clone(), session.id.clone()).await;
        Ok(grants.map_err(|error| ToolError::failed(error.to_string()))?.iter().map(grant_rule).collect())
    }

    async fn wait_for_answer(&self, context: &ToolContext, ask: Ask) -> Result<(), ToolError> {
        let failed = |error: &dyn std::fmt::Display| ToolError::failed(format!("the permission could not be asked for: {error}"));
        let created = now_ms();
        // A grant given elsewhere answers no question of an agent that only looks.
        let rules = self.turn.rules(&[]);
        let forced = ask.force || rules.denies_all("edit");
        let session = &self.turn.session;
        let title = if session.parent_id.is_some() { format!("{}: {}", session.title, ask.title) } else { ask.title };
        let permission = Permission {
            id: PermissionId::from_ulid(ids::next()),
            session_id: context.session_id.clone(),
            message_id: context.message_id.clone(),
            call_id: context.call_id.clone(),
            kind: ask.kind.into_owned(),
            patterns: ask.patterns,
            always: ask.always,
            title: visible::exact(&title),
            metadata: ask.metadata,
            time: PermissionTime { created },
        };
        let question = Question { permission, project_id: session.project_id.clone(), directory: session.directory.clone(), forced };
        let asked = self.asked(self.turn.shared.broker.ask(question, rules)).await;
        let (id, mut answer) = asked.map_err(|error| failed(&error))?;
        if let Ok(answer) = answer.try_recv() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.take(answer);
        }
        match self.waited(context, WaitsFor::Permission(id), created, answer).await? {
            Some(answer) => {
                self.take(answer)?;
                if self.begin().await { Ok(()) } else { Err(ToolError::Aborted) }
            }
            None => Err(ToolError::Aborted),
        }
    }

    /// Asks something of a person. The call counts as waiting from now on, because clients see the question before this returns.
    async fn asked<T, E>(&self, ask: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let asked = ask.await;
        if asked.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        asked
    }

    /// Waits for the answer to a question that is stored, without a slot; `None` when the turn was aborted.
    async fn waited<T: Send>(
        &self,
        context: &ToolContext,
        waits_for: WaitsFor,
        since: i64,
        answer: oneshot::Receiver<T>,
    ) -> Result<Option<T>, ToolError> {
        let (shared, scope) = (&self.turn.shared, &self.turn.scope);
        self.rest();
        // The question is stored, and that is what counts.
        if let Err(error) = shared.statuses.open_question(&shared.store, scope, waits_for.clone(), since).await {
            tracing::warn!(%error, "a status could not be told");
        }
        // Without a sender the daemon is ending.
        let answer = tokio::select! {
            () = context.cancel.cancelled() => None,
            answer = answer => answer.ok(),
        };
        // Still counted as waiting where there is no answer: whether the question outlives the turn is for the turn to decide.
        let Some(answer) = answer else { return Ok(None) };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let closed = shared.statuses.close_question(&shared.store, scope, &waits_for).await;
        closed.map_err(|error| ToolError::failed(format!("the answer could not be taken: {error}")))?;
        Ok(Some(answer))
    }

    fn take_answers(end: InquiryEnd) -> Result<Vec<Vec<String>>, ToolError> {
        match end {
            InquiryEnd::Answered(answers) => Ok(answers),
            InquiryEnd::Rejected(None) => Err(ToolError::failed(
                "The user does not want to answer. Do not ask the same again: go on with what you know, or say what you need.",
            )),
            InquiryEnd::Rejected(Some(message)) => {
                Err(ToolError::failed(format!("The user does not answer the questions and says: {message}")))
            }
            InquiryEnd::Aborted | InquiryEnd::Expired => Err(ToolError::Aborted),
        }
    }

    fn take(&self, answer: Answer) -> Result<(), ToolError> {
        self.answered.fetch_or(answer == Answer::Allowed, Ordering::Relaxed);
        as_result(answer)
    }
}

/// The closed state of a call.
pub(super) fn closed(running: &ToolRunning, result: Result<ToolOutput, ToolError>) -> ToolState {
    let time = Span { start: running.time.start, end: Some(now_ms()) };
    match result {
        Ok(output) => ToolState::Completed(ToolCompleted {
            input: running.input.clone(),
            output: output.output,
            title: output.title,
            metadata: if output.metadata.is_null() { json!({}) } else { output.metadata },
            time: ToolTime { start: time.start, end: time.end, compacted: None },
            attachments: output.attachments,
        }),
        Err(error) => {
            let mut metadata = running.metadata.clone();
            if error == ToolError::Aborted {
                let fields = metadata.get_or_insert_with(|| json!({}));
                fields["aborted"] = Value::Bool(true);
            }
            ToolState::Error(ToolFailed { input: running.input.clone(), error: error.to_string(), metadata, time })
        }
    }
}

/// What the rules say of something that is asked for.
struct Decided {
    /// Of all of it.
    action: Action,
    /// Of each pattern.
    decisions: Vec<Decision>,
}

/// Whether nothing can be granted of what is asked whatever the rules say: nobody knows what a command does, or whose a
/// place is.
fn is_not_understood(ask: &Ask) -> bool {
    ask.force && (ask.kind != "bash" || ask.always.is_empty())
}

fn denied(ask: &Ask) -> ToolError {
    ToolError::Denied(format!(
        "a permission rule of the user denies `{}` for {}; do not try to reach the same end by another way",
        ask.kind,
        ask.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
    ))
}

fn as_result(answer: Answer) -> Result<(), ToolError> {
    match answer {
        Answer::Allowed => Ok(()),
        Answer::Rejected(message) => Err(ToolError::Rejected { message }),
        Answer::Withdrawn => Err(ToolError::Aborted),
    }
}

#[async_trait]
impl Host for CallHost {
    async fn ask(&self, context: &ToolContext, mut ask: Ask) -> Result<(), ToolError> {
        if self.batch.is_of_user {
            return Ok(());
        }
        self.turn.read_rules().await?;
        self.complete(&mut ask);
        let decided = self.decide(&ask).await?;
        match decided.action {
            Action::Allow => Ok(()),
            Action::Deny => Err(denied(&ask)),
            Action::Ask if self.by_mode(&ask, &decided.decisions).await? == Some(mode::Answer::Yes) => Ok(()),
            Action::Ask => self.wait_for_answer(context, ask).await,
        }
    }

    fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    fn rules(&self) -> Rules {
        self.turn.rules(&[])
    }

    async fn is_named(&self, command: &str, granted: &[String], words: &[String]) -> bool {
        let by = |grants: &[Rule]| self.turn.rules(grants).name_command(command, granted, words);
        // A grant that names it counts, but for an agent that only looks.
        by(&[]) || (!self.turn.rules(&[]).denies_all("edit") && self.granted().await.is_ok_and(|grants| by(&grants)))
    }

    async fn ask_command(&self, context: &ToolContext, mut ask: Ask, can_confine: bool) -> Result<Approval, ToolError> {
        if self.batch.is_of_user {
            return Ok(Approval::User);
        }
        self.turn.read_rules().await?;
        self.complete(&mut ask);
        let Decided { action, decisions } = self.decide(&ask).await?;
        match action {
            Action::Deny => return Err(denied(&ask)),
            Action::Ask => {
                return match self.by_mode(&ask, &decisions).await? {
                    Some(mode::Answer::Yes) => Ok(Approval::User),
                    Some(mode::Answer::Confined) if can_confine => Ok(Approval::Sandboxed),
                    // What a person allows runs without the sandbox, and the question says so.
                    _ => {
                        ask.metadata["sandbox"] = json!(SandboxReport::default());
                        self.wait_for_answer(context, ask).await.map(|()| Approval::User)
                    }
                };
            }
            Action::Allow => {}
        }
        if self.turn.rules(&[]).denies_all("edit") {
            return Ok(Approval::ReadRules);
        }
        let own = self.turn.workspace.agent_rules.get(&self.turn.agent.name).map_or(&[][..], Vec::as_slice);
        Ok(match (mode::authority(&decisions, own), self.turn.mode().await?) {
            (_, Mode::All) | (Authority::User, _) => Approval::User,
            (Authority::BuiltIn, _) => Approval::ReadRules,
            (Authority::Project, Mode::Edits) if can_confine => Approval::Sandboxed,
            (Authority::Project, _) => Approval::User,
        })
    }

    async fn progress(&self, context: &ToolContext, title: Option<String>, mut metadata: Value) {
        self.turn.progress.touch();
        context.guard.secrets.clean_value(&mut metadata);
        let title = title.map(|title| context.guard.secrets.redact(&title).into_owned());
        let mut slot = self.part.lock().await;
        let Some(part) = slot.as_mut() else { return };
        if let ToolState::Running(running) = &mut part.state {
            running.title = title;
            running.metadata = Some(metadata);
        }
        if let Err(error) = self.write(part.clone()).await {
            tracing::warn!(%error, "progress of a tool could not be stored");
            self.batch.fail(error.into());
        }
    }

    async fn output(&self, context: &ToolContext, text: String) {
        self.turn.progress.touch();
        let slot = self.part.lock().await;
        let Some(part) = slot.as_ref() else { return };
        let delta = PartDelta {
            session_id: context.session_id.clone(),
            message_id: context.message_id.clone(),
            part_id: part.id.clone(),
            field: "output".into(),
            delta: text,
        };
        if let Err(error) = self.turn.shared.store.commit_delta(self.turn.unit().delta(delta)).await {
            tracing::warn!(%error, "output of a tool could not be stored");
            self.batch.fail(error.into());
        }
    }

    async fn file_edited(&self, _context: &ToolContext, path: &AbsPath) {
        let edited = EventPayload::FileEdited(FilePath { path: path.to_string() });
        if let Err(error) = self.turn.shared.store.commit(self.turn.unit().event(edited)).await {
            tracing::warn!(%error, "an edit could not be announced");
            self.batch.fail(error.into());
        }
    }

    async fn before_edit(&self, path: &AbsPath, planned: Option<&[u8]>) -> Result<(), ToolError> {
        self.changes.before_edit(path, planned).await
    }

    async fn after_edit(&self, path: &AbsPath, content: Option<Vec<u8>>) {
        self.changes.after_edit(path, content).await;
    }

    async fn before_command(&self, directory: &AbsPath) -> Result<(), ToolError> {
        if !self.turn.workspace.keeps_changes {
            return self.changes.before_unseen_command();
        }
        let following = self.turn.shared.follow(&self.turn.workspace.checkout);
        self.changes.before_command(&following, &self.turn.session.id, directory).await
    }

    async fn after_command(&self) {
        self.changes.after_command().await;
    }

    async fn run_child(&self, context: &ToolContext, job: Job) -> Result<ToolOutput, ToolError> {
        child::run(&self.turn, context, job, || self.rest()).await
    }

    async fn question(&self, context: &ToolContext, questions: Vec<QuestionItem>) -> Result<Vec<Vec<String>>, ToolError> {
        let created = now_ms();
        let question = polytree_protocol::question::Question {
            id: QuestionId::from_ulid(ids::next()),
            session_id: context.session_id.clone(),
            message_id: context.message_id.clone(),
            call_id: context.call_id.clone(),
            questions,
            time: PermissionTime { created },
        };
        let session = &self.turn.session;
        let inquiry = Inquiry { question, project_id: session.project_id.clone(), directory: session.directory.clone() };
        let asked = self.asked(self.turn.shared.inquirer.ask(inquiry)).await;
        let (id, mut answer) = asked.map_err(|error| ToolError::failed(format!("the user could not be asked: {error}")))?;
        if let Ok(end) = answer.try_recv() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Self::take_answers(end);
        }
        let Some(end) = self.waited(context, WaitsFor::Question(id), created, answer).await? else { return Err(ToolError::Aborted) };
        let answers = Self::take_answers(end)?;
        if self.begin().await { Ok(answers) } else { Err(ToolError::Aborted) }
    }

    async fn todos(&self) -> Result<Vec<Todo>, ToolError> {
        let todos = self.turn.shared.store.todos(self.turn.session.id.clone()).await;
        todos.map_err(|error| ToolError::failed(error.to_string()))
    }

    async fn set_todos(&self, todos: Vec<Todo>) -> Result<(), ToolError> {
        let stored = self.turn.shared.store.commit(self.turn.unit().todos(todos)).await;
        stored.map_err(|error| ToolError::failed(error.to_string()))
    }
}
