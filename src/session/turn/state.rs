//! What all steps of a turn share.

use std::sync::Arc;

use polytree_protocol::{
    agent::Agent,
    id::{MessageId, SessionId},
    message::{MessageWithParts, UserMessage},
    permission::Rule,
    sandbox::Mode,
    session::Session,
};

use super::guests::structured::Form;
use crate::{
    permission::rules::{Origin, Rules},
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
    /// Its last message.
    pub last: Option<MessageId>,
    /// It was aborted.
    pub aborted: bool,
    /// It waits for a person and was left for the next daemon.
    pub left: bool,
    /// Its end could not be stored, for this reason: what the store says of it is not true.
    pub unstored: Option<String>,
}

/// Which turn to run.
pub(in crate::session) struct Start {
    /// The session.
    pub session_id: SessionId,
    /// The stored prompt.
    pub message_id: MessageId,
    /// The variables of the client that started it.
    pub environment: Environment,
    /// What was read for the prompt a moment ago.
    pub fresh: Option<Fresh>,
    /// The unfinished answer of a turn that is taken up again.
    pub open: Option<MessageWithParts>,
}

/// What a turn begins with.
pub(in crate::session) struct Fresh {
    pub session: Session,
    pub user: UserMessage,
    pub workspace: Arc<Workspace>,
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
    /// The form that its answer is to have.
    pub form: Option<Arc<Form>>,
    /// The same as a tool.
    pub form_tool: Option<Arc<dyn AnyTool>>,
    pub tasks: Tasks,
    /// For those who wonder what it is doing.
    pub progress: Arc<Progress>,
}

impl Turn {
    /// What is done without a question now: as the prompt says, else the root of the family, else the settings.
    pub async fn mode(&self) -> Result<Mode, ToolError> {
        if let Some(mode) = self.user.mode {
            return Ok(mode);
        }
        let chosen = self.shared.store.root_mode(self.session.id.clone()).await;
        let chosen = chosen.map_err(|error| ToolError::failed(error.to_string()))?;
        Ok(chosen.unwrap_or(self.workspace.mode))
    }

    /// The rules in force, the grants of "always" last.
    pub fn rules(&self, grants: &[Rule]) -> Rules {
        let home = paths::home().map(|home| home.to_string());
        let own = self.workspace.agent_rules.get(&self.agent.name).map_or(&[][..], Vec::as_slice);
        Rules::new(home.as_deref())
            .with(Origin::User, &self.workspace.user_rules)
            .with(Origin::UserAgent, own)
            .with(Origin::Project, &self.workspace.project_rules)
            .with(Origin::Agent, &self.agent.permission)
            .with(Origin::Grants, grants)
    }

    /// A unit of this session, still empty.
    pub fn unit(&self) -> Unit {
        Unit::new(&self.scope)
    }

    pub async fn stored(&self, id: &MessageId) -> Result<Option<MessageWithParts>, Error> {
        Ok(self.shared.store.message(self.session.id.clone(), id.clone()).await?)
    }
}
