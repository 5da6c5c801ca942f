//! What a turn works with in its directory: agents, rules, tools, models, instructions. Made by the project's
//! instance at the start of each turn, so that changed settings count at the next prompt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt as _, future::BoxFuture};
use polytree_protocol::{
    agent::Agent,
    id::ProjectId,
    permission::Rule,
    provider::{Model, ModelRef},
    sandbox::Mode,
};
use serde_json::{Map, Value};

use super::Error;
use crate::{
    find::Recent,
    overlay::{Overlay, Policy},
    provider::{Variants, definition::Provider},
    sandbox::{self, Sandbox},
    stdx::paths::AbsPath,
    tool::{
        context::{Environment, OutputLimits},
        definition::AnyTool,
        guard::Guard,
    },
};

/// A model that can be called.
#[derive(Clone)]
pub struct ResolvedModel {
    /// Which model.
    pub reference: ModelRef,
    /// Its limits, prices and abilities.
    pub info: Model,
    /// The service.
    pub provider: Arc<dyn Provider>,
    /// Further fields of every request.
    pub options: Map<String, Value>,
    /// Fields that a prompt may have put over those, by name.
    pub variants: Variants,
    /// The wire protocol.
    pub api: String,
    /// What the settings of its provider name and is not set, in words.
    pub unset: Option<String>,
}

/// The models of a directory.
pub trait Models: Send + Sync {
    /// The first that applies: the request's, the agent's, the session's last, the settings', the first provider with
    /// a key, the offline model.
    ///
    /// # Errors
    /// When the chosen one is not known.
    fn choose(&self, request: Option<&ModelRef>, agent: Option<&ModelRef>, session: Option<&ModelRef>) -> Result<ModelRef, Error>;
    /// Looks at where the model is, if that is a server that may have been started or ended since; before `resolve`.
    fn prepare<'a>(&'a self, _model: &'a ModelRef) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }
    /// A model that can be called.
    ///
    /// # Errors
    /// When it is not known.
    fn resolve(&self, model: &ModelRef) -> Result<ResolvedModel, Error>;
    /// The model for titles and summaries beside the given one.
    fn small(&self, model: &ModelRef) -> ModelRef;
}

/// What a turn works with.
pub struct Workspace {
    /// The project.
    pub project_id: ProjectId,
    /// The session's directory, a real path.
    pub directory: AbsPath,
    /// The top of the checkout, a real path.
    pub worktree: AbsPath,
    /// Whether it is a git checkout.
    pub git: bool,
    /// The agents; their rules are the fourth layer.
    pub agents: Vec<Agent>,
    /// The agent for prompts that name none.
    pub default_agent: Option<String>,
    /// The rules that the user, not the project, wrote for each agent: a deny among them is final.
    pub agent_rules: BTreeMap<String, Vec<Rule>>,
    /// The user's rules.
    pub user_rules: Vec<Rule>,
    /// The trusted project's rules.
    pub project_rules: Vec<Rule>,
    /// Tools switched on or off by the settings.
    pub tool_switches: BTreeMap<String, bool>,
    /// All tools.
    pub tools: Vec<Arc<dyn AnyTool>>,
    /// The rules of AGENTS.md and its like, one text for each file.
    pub instructions: Vec<String>,
    /// The models.
    pub models: Arc<dyn Models>,
    /// Texts that editors hold and have not saved.
    pub overlay: Arc<Overlay>,
    /// What is done about these.
    pub buffers: Policy,
    /// The project's files that were used last.
    pub recent: Arc<Recent>,
    /// What is done without a question where the session says nothing about it.
    pub mode: Mode,
    /// What commands are confined by.
    pub sandbox: Arc<Sandbox>,
    /// What the settings say of it.
    pub sandbox_settings: Arc<sandbox::Settings>,
    /// The variables of the client that started the turn, without keys.
    pub environment: Environment,
    /// What tools are kept from.
    pub guard: Arc<Guard>,
    /// Where oversized outputs are kept.
    pub output_directory: AbsPath,
    /// Where temporary files of writes are noted while they are there.
    pub unfinished: AbsPath,
    /// The file system that the directory is on, by its number.
    pub device: Option<u64>,
    /// How much of a tool's output the model gets.
    pub output_limits: OutputLimits,
}

impl Workspace {
    /// The agent of that name, or the default one.
    pub(super) fn agent(&self, name: Option<&str>) -> Result<&Agent, Error> {
        let name = name.or(self.default_agent.as_deref()).unwrap_or("build");
        self.agents.iter().find(|agent| agent.name == name).ok_or_else(|| Error::UnknownAgent {
            name: name.to_owned(),
            known: self.agents.iter().map(|agent| agent.name.clone()).collect(),
        })
    }
}

/// Who makes workspaces.
#[async_trait]
pub trait Workspaces: Send + Sync {
    /// The workspace of a directory as it is now, for a client with the given variables.
    async fn open(&self, directory: &AbsPath, environment: &Environment) -> Result<Arc<Workspace>, Error>;
    /// Looks where these checkouts (rows of the project registry) are now, and remembers it; tells whether any has moved. A
    /// file system that does not answer in time is not looked at.
    async fn follow(&self, checkouts: Vec<i64>, timeout: Duration) -> Result<bool, Error>;
}
