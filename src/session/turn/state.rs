//! What all steps of a turn share, and the guests that take part in them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use polytree_protocol::{
    agent::Agent,
    id::{MessageId, SessionId},
    message::{AssistantMessage, MessageWithParts, Tokens, UserMessage},
    part::{Part, StepStartPart},
    permission::Rule,
    sandbox::Mode,
    session::Session,
};

use super::{
    next::{Next, StepEnd},
    steering::Steering,
};
use crate::{
    permission::rules::{Origin, Rules},
    provider::definition::{Error as ModelError, FinishReason, ModelRequest},
    session::{Error, ResolvedModel, Workspace, progress::Progress, shared::Shared},
    stdx::{paths, tasks::Tasks},
    store::{Scope, Unit},
    tool::{
        context::Environment,
        definition::{AnyTool, ToolError},
    },
};

/// How a turn ended.
#[derive(Debug, Default)]
pub(in crate::session) struct Outcome {
    pub last: Option<MessageId>,
    pub aborted: bool,
    /// It waits for a person, and the next daemon resumes it.
    pub suspended: bool,
    /// Why its end could not be stored: the store does not have the truth about it.
    pub unstored: Option<String>,
}

/// Which turn to run.
pub(in crate::session) struct Start {
    pub session_id: SessionId,
    pub message_id: MessageId,
    /// The variables of the client that started it.
    pub environment: Environment,
    /// What was read for the prompt a moment ago.
    pub fresh: Option<Fresh>,
    /// The unfinished answer of a turn that is resumed.
    pub open: Option<Open>,
    /// The prompts that enter the turn.
    pub steering: Arc<Steering>,
}

pub(in crate::session) struct Fresh {
    pub session: Session,
    pub user: UserMessage,
    pub workspace: Arc<Workspace>,
}

pub(in crate::session) struct Open {
    pub answer: AssistantMessage,
    pub parts: Vec<Part>,
}

/// What all steps of a turn share.
pub(in crate::session) struct Turn {
    pub shared: Arc<Shared>,
    pub scope: Scope,
    pub session: Session,
    pub workspace: Arc<Workspace>,
    pub user: UserMessage,
    pub agent: Agent,
    pub model: ResolvedModel,
    pub steering: Arc<Steering>,
    /// Asked in this order.
    pub guests: Vec<Box<dyn Guest>>,
    pub tasks: Tasks,
    /// What the turn is doing, for diagnosis.
    pub progress: Arc<Progress>,
    /// The rules of the session when they were last read. Held for a copy.
    pub session_rules: Mutex<Vec<Rule>>,
    /// The variables of the client that started it.
    pub environment: Environment,
    /// How many sessions are above this one.
    pub depth: usize,
    /// Who started the session by a call, and who started that one: it can do no more than they.
    pub callers: Vec<CallingAgent>,
}

/// The agent that started a child session.
pub(in crate::session) struct CallingAgent {
    pub agent: Agent,
    /// The tools that were switched on or off for its prompt.
    pub tools: BTreeMap<String, bool>,
}

/// One step: its answer, and what the model did in it.
pub(in crate::session) struct Step {
    pub answer: AssistantMessage,
    /// The names of the tools that the model called, as it wrote them.
    pub called: Vec<String>,
    pub reason: FinishReason,
    pub tokens: Tokens,
    /// The state of the work tree after the step, where a guest has recorded it.
    pub snapshot: Option<String>,
}

impl Step {
    pub fn new(answer: AssistantMessage, reason: FinishReason) -> Self {
        Self { answer, called: Vec::new(), reason, tokens: Tokens::default(), snapshot: None }
    }
}

/// A feature that takes part in a turn without being named by its loop. Each method is a point at which guests are asked,
/// and does nothing by default.
#[async_trait]
pub(in crate::session) trait Guest: Send + Sync {
    /// Tools by which the guest takes part. No rule and no switch withholds them, and they stay in the last step.
    fn tools(&self) -> Vec<Arc<dyn AnyTool>> {
        Vec::new()
    }

    /// Before a step begins: may change what the model reads of the conversation, and the part that begins the answer.
    async fn before_step(&self, _: &Turn, _history: &mut Vec<MessageWithParts>, _start: &mut StepStartPart) -> Result<(), Error> {
        Ok(())
    }

    /// Before a request is sent: may add reminders, instructions and options.
    fn before_request(&self, _: &Turn, _history: &[MessageWithParts], _request: &mut ModelRequest) {}

    /// The service refused the request: true where `before_request` will now make another one, which is sent at once.
    fn adapts_to(&self, _: &ModelError) -> bool {
        false
    }

    /// After a step, however it ended: may add to the answer and say what is to follow, such as another step with a
    /// reminder, or the end of the turn with an error. [`super::next::next`] says where the wish counts.
    async fn after_step(&self, _: &Turn, _step: &mut Step, _ended: &StepEnd) -> Result<Option<Next>, Error> {
        Ok(None)
    }
}

impl Turn {
    /// What is done without a question: as the prompt says, else the root of the family, else the settings.
    pub async fn mode(&self) -> Result<Mode, ToolError> {
        if let Some(mode) = self.user.mode {
            return Ok(mode);
        }
        let chosen = self.shared.store.root_mode(self.session.id.clone()).await;
        let chosen = chosen.map_err(|error| ToolError::failed(error.to_string()))?;
        Ok(chosen.unwrap_or(self.workspace.mode))
    }

    /// Reads the rules of the session again: they count from the next tool call on.
    pub async fn read_rules(&self) -> Result<(), ToolError> {
        let rules = self.shared.store.session_rules(self.session.id.clone()).await;
        let rules = rules.map_err(|error| ToolError::failed(error.to_string()))?;
        *self.session_rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// The rules in force, the grants of "always" last.
    pub fn rules(&self, grants: &[Rule]) -> Rules {
        let own = self.rules_of(&self.agent, grants);
        self.callers.iter().fold(own, |rules, caller| rules.below(self.rules_of(&caller.agent, grants)))
    }

    fn rules_of(&self, agent: &Agent, grants: &[Rule]) -> Rules {
        let home = paths::home().map(|home| home.to_string());
        let own = self.workspace.agent_rules.get(&agent.name).map_or(&[][..], Vec::as_slice);
        Rules::new(home.as_deref())
            .with(Origin::BuiltIn, &self.workspace.default_rules)
            .with(Origin::User, &self.workspace.user_rules)
            .with(Origin::UserAgent, own)
            .with(Origin::Project, &self.workspace.project_rules)
            .with(Origin::Agent, &agent.permission)
            .with(Origin::Session, &self.session_rules.lock().unwrap_or_else(PoisonError::into_inner))
            .with(Origin::Grants, grants)
    }

    /// The prompt that is answered now: the last one that has entered the turn.
    pub fn prompt(&self) -> MessageId {
        self.steering.taken().pop().unwrap_or_else(|| self.user.id.clone())
    }

    pub fn unit(&self) -> Unit {
        Unit::new(&self.scope)
    }

    pub async fn stored(&self, id: &MessageId) -> Result<Option<MessageWithParts>, Error> {
        Ok(self.shared.store.message(self.session.id.clone(), id.clone()).await?)
    }

    pub fn guest_tools(&self) -> Vec<Arc<dyn AnyTool>> {
        self.guests.iter().flat_map(|guest| guest.tools()).collect()
    }
}
