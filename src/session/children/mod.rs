//! The work of child sessions: how a tool call starts one and waits for it, and how a parent is told of its end later.

mod report;

use std::{sync::Arc, time::Duration};

use polytree_protocol::{
    agent::{Agent, AgentMode},
    config::TaskConfig,
    id::{MessageId, SessionId},
    message::{Message, MessageWithParts, Tokens, UserMessage},
    permission::Action,
    provider::ModelRef,
    session::Session,
    task::TaskCall,
    task::TaskStatus,
    tools::TaskMetadata,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::report::Report;
use super::{
    Error, Workspace,
    mailbox::TurnEnd,
    shared::{ChildAtWork, ChildPrompt, Shared},
};
use crate::{
    permission::rules::Rules,
    stdx::nearest,
    store::{in_order, usage},
    tool::{
        context::{Environment, Job},
        definition::Tool as _,
        task::Task,
    },
};

/// How often it is checked whether a child is late.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// How long the end of an aborted child is waited for.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that a parent is told of the work of a child that it did not wait for, in bytes.
const MAX_TOLD_BYTES: usize = 50 * 1024;

/// The call that starts a child.
pub struct Caller<'a> {
    pub shared: &'a Arc<Shared>,
    pub session: &'a Session,
    pub workspace: &'a Workspace,
    pub agent: &'a Agent,
    /// The prompt that the caller answers.
    pub user: &'a UserMessage,
    pub model: &'a ModelRef,
    pub rules: &'a Rules,
    pub environment: &'a Environment,
    /// How many sessions are above the caller's.
    pub depth: usize,
    pub message_id: &'a MessageId,
    pub call_id: &'a str,
}

/// The agents that a model may start: those that are not for users only, as far as the rules do not deny them.
pub fn agents<'a>(agents: &'a [Agent], rules: &'a Rules) -> impl Iterator<Item = &'a Agent> {
    agents.iter().filter(|agent| agent.mode != AgentMode::Primary && rules.evaluate(Task::PERMISSION, &agent.name) != Action::Deny)
}

/// Whether a session with so many above it may have children that models start.
pub fn may_have_children(limits: &TaskConfig, depth: usize) -> bool {
    limits.children > 0 && depth < limits.depth as usize
}

/// A child session that works for a call.
pub struct Child {
    shared: Arc<Shared>,
    id: SessionId,
    prompt: MessageId,
    agent: String,
    model: ModelRef,
    background: bool,
    end: oneshot::Receiver<TurnEnd>,
    timeout: Option<Duration>,
    /// What it had used before.
    before: (f64, Tokens),
    at_work: ChildAtWork,
}

/// Starts a child session, or continues one. The error is a sentence for the model.
pub async fn start(caller: &Caller<'_>, job: Job) -> Result<Child, String> {
    let Caller { shared, session, workspace, .. } = caller;
    let limits = &workspace.task;
    if caller.depth >= limits.depth as usize {
        let limit = limits.depth;
        return Err(format!(
            "No agent was started: agents may start others only down to depth {limit} (setting `task.depth`). Do the job yourself."
        ));
    }
    let agent = agents(&workspace.agents, caller.rules).find(|agent| agent.name == job.agent);
    let agent = agent.ok_or_else(|| unknown_agent(workspace, caller.rules, &job.agent))?;
    let root = shared.store.ancestors(session.id.clone()).await.map_err(|error| error.to_string())?.pop();
    let root = root.map_or_else(|| session.id.clone(), |root| root.id);
    let at_work = shared.at_work.begin_child(&root, limits.children).ok_or_else(|| {
        format!(
            "No agent was started: {} are at work, which is the limit (setting `task.children`). Call again when one has ended.",
            limits.children
        )
    })?;
    let launch = shared.launch().map_err(|error| error.to_string())?;
    let call = TaskCall {
        message_id: caller.message_id.clone(),
        call_id: caller.call_id.to_owned(),
        caller: caller.agent.name.clone(),
        tools: caller.user.tools.clone().unwrap_or_default(),
        background: job.background,
        told: false,
    };
    let is_new = job.session.is_none();
    let child = match &job.session {
        Some(id) => resumed(caller, id, call).await?,
        None => {
            let title = format!("{} (@{} subagent)", job.description, agent.name);
            launch.create(session, title, call).await.map_err(|error| format!("No agent was started: {error}."))?
        }
    };
    // One that continues keeps its model.
    let inherits = is_new && agent.model.is_none() && job.model.is_none();
    let prompt = ChildPrompt {
        text: job.prompt,
        agent: agent.name.clone(),
        model: job.model.or_else(|| inherits.then(|| caller.model.clone())),
        variant: caller.user.variant.clone().filter(|_| inherits && agent.variant.is_none()),
        mode: caller.user.mode,
        environment: Arc::clone(caller.environment),
    };
    let (prompt, end) = match launch.prompt(&child.id, prompt).await {
        Ok(prompted) => prompted,
        Err(error) => {
            if is_new && let Err(error) = launch.delete(&child.id).await {
                tracing::warn!(%error, session = %child.id, "a child session without a prompt could not be removed");
            }
            return Err(format!("The agent could not be started: {error}."));
        }
    };
    let now = shared.stored(&child.id).await.map_err(|error| error.to_string())?;
    Ok(Child {
        shared: Arc::clone(shared),
        id: child.id,
        prompt,
        agent: agent.name.clone(),
        model: now.model.unwrap_or_else(|| caller.model.clone()),
        background: job.background,
        end,
        timeout: limits.timeout.map(Duration::from_millis),
        before: (child.cost, child.tokens),
        at_work,
    })
}

fn unknown_agent(workspace: &Workspace, rules: &Rules, name: &str) -> String {
    let known: Vec<&str> = agents(&workspace.agents, rules).map(|agent| agent.name.as_str()).collect();
    let meant = nearest::one(name, known.iter().copied()).map(|near| format!(" Did you mean {near:?}?")).unwrap_or_default();
    let is_primary = workspace.agents.iter().any(|agent| agent.name == name && agent.mode == AgentMode::Primary);
    let why = if is_primary { "is for users only" } else { "does not exist or is denied by a rule" };
    format!("No agent was started: the agent {name:?} {why}.{meant} The agents are: {}.", known.join(", "))
}

/// The child of an earlier call, which now works for this one.
async fn resumed(caller: &Caller<'_>, id: &SessionId, call: TaskCall) -> Result<Session, String> {
    let shared = caller.shared;
    let children = shared.store.children(caller.session.id.clone()).await.map_err(|error| error.to_string())?;
    let children: Vec<Session> = children.into_iter().filter(|child| child.task.is_some()).collect();
    let Some(child) = children.iter().find(|child| child.id == *id) else {
        let known: Vec<String> = children.iter().rev().take(10).map(|child| format!("{} ({})", child.id, child.title)).collect();
        let known =
            if known.is_empty() { "There are none: leave out `task_id`.".to_owned() } else { format!("There are: {}.", known.join(", ")) };
        return Err(format!("No child session of this one has the id {id}. {known}"));
    };
    if shared.statuses.all().iter().any(|(busy, _)| busy == id) {
        return Err(format!("The agent in {id} is still at work, or waits for an answer of the user. You are told when it has ended."));
    }
    shared.store.set_task(id.clone(), call).await.map_err(|error| error.to_string())?;
    Ok(child.clone())
}

/// How the wait for a child ended.
enum Stop {
    Ended(Option<TurnEnd>),
    Late,
    Cancelled,
}

impl Child {
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// What clients are told while it works.
    pub fn running(&self) -> Value {
        json!(self.metadata(TaskStatus::Running))
    }

    fn metadata(&self, status: TaskStatus) -> TaskMetadata {
        TaskMetadata {
            session_id: self.id.clone(),
            message_id: self.prompt.clone(),
            agent: self.agent.clone(),
            model: self.model.clone(),
            status,
            reason: None,
            background: self.background.then_some(true),
            calls: None,
            cost: None,
            tokens: None,
            truncated: None,
            output_path: None,
        }
    }

    /// Waits for the end. Returns what the model reads and what clients are told; `None` if the call was cancelled, which
    /// aborts the child too.
    pub async fn wait(mut self, cancel: &CancellationToken) -> Result<Option<Done>, Error> {
        let stop = self.stop(cancel).await;
        let report = match stop {
            Stop::Cancelled => {
                self.cancelled().await;
                return Ok(None);
            }
            Stop::Late => {
                let _ = self.shared.launch()?.abort(&self.id).await?;
                let _ = tokio::time::timeout(ABORT_TIMEOUT, &mut self.end).await;
                let limit = self.timeout.unwrap_or_default().as_secs_f64();
                self.report(Some(format!("it worked for longer than {limit} seconds (setting `task.timeout`)"))).await?
            }
            Stop::Ended(Some(TurnEnd::Message(_))) => self.report(None).await?,
            Stop::Ended(Some(TurnEnd::Deleted)) => Report::failed("its session was deleted"),
            Stop::Ended(Some(TurnEnd::Unstored(error))) => Report::failed(error),
            // It was suspended, or the daemon shuts down.
            Stop::Ended(None) => return Ok(None),
        };
        self.shared.store.tell_parent(self.id.clone(), None).await?;
        let now = self.shared.store.session(self.id.clone()).await?.0;
        let mut metadata = self.metadata(report.status);
        metadata.reason.clone_from(&report.reason);
        metadata.calls = Some(report.calls.len() as u64);
        if let Some(now) = now {
            metadata.cost = Some(usage::difference(now.cost, self.before.0));
            metadata.tokens = Some(usage::since(&now.tokens, &self.before.1));
        }
        let text = report.written(&self.id, usize::MAX);
        Ok(Some(Done { text, metadata: json!(metadata), has_failed: report.status == TaskStatus::Failed }))
    }

    /// Aborts it.
    pub async fn abort(self) {
        self.cancelled().await;
    }

    /// Ends it where it works for too long, without anybody waiting for it.
    pub fn leave(mut self) {
        let tasks = self.shared.tasks.clone();
        let watch = async move {
            let never = self.shared.tasks.token().clone();
            if let Stop::Late = self.stop(&never).await {
                if let Ok(launch) = self.shared.launch()
                    && let Err(error) = launch.abort(&self.id).await
                {
                    tracing::warn!(%error, session = %self.id, "a late child session could not be aborted");
                }
                let _ = tokio::time::timeout(ABORT_TIMEOUT, &mut self.end).await;
            }
            drop(self.at_work);
        };
        drop(tasks.spawn("child", watch));
    }

    async fn stop(&mut self, cancel: &CancellationToken) -> Stop {
        let late = is_late(&self.shared, &self.id, self.timeout);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Stop::Cancelled,
            end = &mut self.end => Stop::Ended(end.ok()),
            () = late => Stop::Late,
        }
    }

    /// The call was aborted with its turn, or the daemon shuts down: then a question of the child stays open.
    async fn cancelled(self) {
        if self.shared.is_shutting_down() {
            return;
        }
        let Ok(launch) = self.shared.launch() else { return };
        if let Err(error) = launch.abort(&self.id).await {
            tracing::debug!(%error, session = %self.id, "a child session could not be aborted");
        }
        let _ = tokio::time::timeout(ABORT_TIMEOUT, self.end).await;
        if let Err(error) = self.shared.store.tell_parent(self.id.clone(), None).await {
            tracing::debug!(%error, session = %self.id, "the end of a child session could not be noted");
        }
    }

    async fn report(&self, cut: Option<String>) -> Result<Report, Error> {
        let (messages, _) = self.shared.store.conversation(self.id.clone()).await?;
        Ok(Report::new(&in_order(messages), &self.prompt, cut))
    }
}

/// What became of a child.
pub struct Done {
    pub text: String,
    pub metadata: Value,
    pub has_failed: bool,
}

/// Returns when a child has worked for this long, without the time in which it waits for a person.
async fn is_late(shared: &Shared, id: &SessionId, timeout: Option<Duration>) {
    let Some(mut left) = timeout else { return std::future::pending().await };
    while !left.is_zero() {
        let pause = left.min(CHECK_INTERVAL);
        tokio::time::sleep(pause).await;
        // While the store cannot be read, the time counts.
        let family = shared.store.family(id.clone()).await.unwrap_or_default();
        if !family.iter().any(|member| shared.statuses.waits(member)) {
            left -= pause;
        }
    }
}

/// What a parent is told of a child that has ended without its waiting for it.
pub async fn told(shared: &Shared, child: &Session) -> Result<String, Error> {
    let (messages, waiting) = shared.store.conversation(child.id.clone()).await?;
    let messages = in_order(messages);
    let is_prompt = |message: &&MessageWithParts| matches!(message.info, Message::User(_)) && !waiting.contains(message.info.id());
    let report = match messages.iter().rev().find(is_prompt) {
        Some(prompt) => Report::new(&messages, prompt.info.id(), None),
        None => Report::failed("it had not begun"),
    };
    let started = child.task.as_ref().is_some_and(|task| task.background);
    let started = if started { "that you started in the background" } else { "that you started before the daemon ended" };
    Ok(format!(
        "<system-reminder>\nThe agent {started} has ended: {}\n{}\n</system-reminder>",
        child.title,
        report.written(&child.id, MAX_TOLD_BYTES)
    ))
}
