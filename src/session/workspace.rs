//! What a turn works with in its directory: agents, rules, tools, models, instructions. Built anew for each turn, so that
//! changed settings apply to the next prompt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt as _, future::BoxFuture};
use polytree_protocol::{
    agent::Agent,
    config::{CompactionConfig, TaskConfig},
    id::{MessageId, SessionId},
    permission::Rule,
    provider::{Model, ModelRef},
    sandbox::Mode,
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    find::Recent,
    git::Checkout,
    overlay::{Overlay, Policy},
    provider::{Variants, definition::Provider},
    stdx::paths::AbsPath,
    tool::{
        context::{Environment, Host, OutputLimits, Sandboxing, ToolContext},
        definition::AnyTool,
        file_times::FileTimes,
        guard::Guard,
    },
};

/// The agent whose model and prompt are used for summaries, if the user has made one.
const SUMMARY_AGENT: &str = "compaction";

#[derive(Clone)]
pub struct ResolvedModel {
    pub reference: ModelRef,
    pub info: Model,
    pub provider: Arc<dyn Provider>,
    /// Further fields of every request.
    pub options: Map<String, Value>,
    /// Fields that override those, by the name of the variant.
    pub variants: Variants,
    /// The wire protocol.
    pub api: String,
    /// Which variable of the provider's settings is not set, as a sentence.
    pub unset: Option<String>,
}

pub trait Models: Send + Sync {
    /// The first that applies: the request's, the agent's, the session's last, the settings', the first provider with
    /// a key, the offline model.
    fn choose(&self, request: Option<&ModelRef>, agent: Option<&ModelRef>, session: Option<&ModelRef>) -> Result<ModelRef, Error>;
    /// Before `resolve`: asks a local server which models it has.
    fn prepare<'a>(&'a self, _model: &'a ModelRef) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }
    fn resolve(&self, model: &ModelRef) -> Result<ResolvedModel, Error>;
    /// The model that the settings name.
    fn configured(&self) -> Option<&ModelRef>;
    /// The model for titles and summaries beside the given one.
    fn small(&self, model: &ModelRef) -> ModelRef;
}

pub struct Workspace {
    pub checkout: Checkout,
    /// Their rules are the fourth layer.
    pub agents: Vec<Agent>,
    /// The agent for prompts that name none.
    pub default_agent: Option<String>,
    /// The rules that the user, not the project, wrote for each agent: a deny among them is final.
    pub agent_rules: BTreeMap<String, Vec<Rule>>,
    pub user_rules: Vec<Rule>,
    /// The trusted project's rules.
    pub project_rules: Vec<Rule>,
    /// Tools switched on or off by the settings.
    pub tool_switches: BTreeMap<String, bool>,
    pub tools: Vec<Arc<dyn AnyTool>>,
    /// The rules of the tools.
    pub default_rules: Vec<Rule>,
    /// The rules of AGENTS.md and its like, one text for each file.
    pub instructions: Vec<String>,
    pub models: Arc<dyn Models>,
    pub overlay: Arc<Overlay>,
    pub buffers: Policy,
    /// The files of the project that were used last.
    pub recent: Arc<Recent>,
    /// What is done without a question where the session does not say.
    pub mode: Mode,
    /// What confines commands.
    pub sandbox: Arc<Sandboxing>,
    /// The variables of the client that started the turn, without keys.
    pub environment: Environment,
    /// What tools have no access to.
    pub guard: Arc<Guard>,
    /// Where oversized outputs are kept.
    pub output_directory: AbsPath,
    /// Where the temporary files of writes are listed while they exist.
    pub unfinished: AbsPath,
    /// The device number of the directory's file system.
    pub device: Option<u64>,
    /// When conversations are summarised.
    pub compaction: CompactionConfig,
    /// Limits of child sessions.
    pub task: TaskConfig,
    /// How much of a tool's output the model gets.
    pub output_limits: OutputLimits,
    /// What tools change in files is kept, so that it can be undone.
    pub keeps_changes: bool,
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

    /// The model of the agent that writes summaries, if there is one.
    pub(super) fn summary_model(&self) -> Option<&ModelRef> {
        self.summary_agent()?.model.as_ref()
    }

    /// The prompt of that agent.
    pub(super) fn summary_prompt(&self) -> Option<&str> {
        self.summary_agent()?.prompt.as_deref()
    }

    fn summary_agent(&self) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.name == SUMMARY_AGENT)
    }

    /// What a tool gets in this directory.
    pub(super) fn tool_context(
        &self,
        session: &SessionId,
        message: &MessageId,
        file_times: Arc<FileTimes>,
        cancel: CancellationToken,
        host: Arc<dyn Host>,
    ) -> ToolContext {
        ToolContext {
            session_id: session.clone(),
            message_id: message.clone(),
            call_id: String::new(),
            agent: String::new(),
            directory: self.checkout.directory.clone(),
            worktree: self.checkout.worktree.clone(),
            output_directory: self.output_directory.clone(),
            unfinished: self.unfinished.clone(),
            device: self.device,
            output_limits: self.output_limits,
            cancel,
            environment: Arc::clone(&self.environment),
            guard: Arc::clone(&self.guard),
            file_times,
            overlay: Arc::clone(&self.overlay),
            buffers: self.buffers,
            recent: Arc::clone(&self.recent),
            sandbox: Some(Arc::clone(&self.sandbox)),
            host,
        }
    }
}

#[async_trait]
pub trait Workspaces: Send + Sync {
    /// The workspace of a directory as it is now, for a client with the given variables.
    async fn open(&self, directory: &AbsPath, environment: &Environment) -> Result<Arc<Workspace>, Error>;
    /// Finds where these checkouts (rows of the project registry) are now, and stores it; returns whether any has moved. File
    /// systems that do not answer in time are skipped.
    async fn follow(&self, checkouts: Vec<i64>, timeout: Duration) -> Result<bool, Error>;
}
