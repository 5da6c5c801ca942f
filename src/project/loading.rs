//! Loads the settings, agents and instructions of a directory, and creates the workspace of a turn from them. Reads files,
//! so it must run on a thread that may block.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Error, Instance, guard, models::DirectoryModels};
use crate::{
    agent::{self, Agents},
    config::{Loader, Places, Settings, instructions, trust::TrustedFile},
    find::Finder,
    overlay::{Overlay, Policy},
    provider::{Pool, Recordings},
    sandbox::{self, Sandbox},
    session::Workspace,
    stdx::paths,
    tool::{
        self,
        context::{Environment, OutputLimits, Sandboxing},
        definition::AnyTool,
    },
};

/// What loading needs.
pub(super) struct Loading {
    pub places: Places,
    pub loader: Loader,
    pub models: Arc<Pool>,
    pub recordings: Recordings,
    // Held for a copy or an insert.
    pub tools: Mutex<Vec<Arc<dyn AnyTool>>>,
    overlay: Arc<Overlay>,
    finder: Arc<Finder>,
    pub sandbox: Arc<Sandbox>,
}

impl Loading {
    pub fn new(places: Places, overlay: Arc<Overlay>, finder: Arc<Finder>) -> Self {
        let models = Arc::new(Pool::new(&places.data));
        let sandbox = Arc::new(Sandbox::new(&places.data, &[&places.config, &places.runtime]));
        Self {
            loader: Loader::new(),
            models,
            places,
            recordings: Recordings::default(),
            tools: Mutex::new(tool::builtin()),
            overlay,
            finder,
            sandbox,
        }
    }

    /// The current settings of the directory for a client with the given variables.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub fn settings(&self, instance: &Instance, environment: &Environment) -> Result<Arc<Settings>, Error> {
        let is_trusted = |file: &TrustedFile| instance.trusted.contains(file);
        Ok(self.loader.load(&self.places, instance.worktree(), instance.directory(), &is_trusted, environment)?)
    }

    /// The user's own settings.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub fn user_settings(&self, environment: &Environment) -> Result<Arc<Settings>, Error> {
        Ok(self.loader.load_user(&self.places, environment)?)
    }

    /// The current workspace of a turn in the directory.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub fn workspace(&self, instance: &Instance, environment: &Environment) -> Result<Arc<Workspace>, Error> {
        let is_trusted = |file: &TrustedFile| instance.trusted.contains(file);
        let (worktree, directory) = (instance.worktree(), instance.directory());
        let settings = self.settings(instance, environment)?;
        let Agents { list: agents, user_rules: agent_rules } = agent::load(&self.places, worktree, directory, &settings, &is_trusted)?;
        let config = &settings.config;
        let models =
            DirectoryModels::new(&self.models, &settings, environment, false).with_recordings(&self.recordings, &settings, directory);
        // One per project: projects do not share outputs.
        let output_directory = self.places.data.join("output").join(instance.project.id.as_str());
        let keys = models.known_keys();
        let guard = guard::guard(&self.places, instance, &output_directory, &keys, environment);
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let default_rules = tool::default_rules(&tools);
        let may_read = guard::may_read(&settings, &default_rules, worktree, &guard);
        let texts = instructions::discover(&self.places, worktree, directory, &settings, environment, &may_read);
        Ok(Arc::new(Workspace {
            checkout: instance.checkout.clone(),
            agents,
            default_agent: config.default_agent.clone(),
            agent_rules,
            user_rules: settings.user_rules.clone(),
            project_rules: settings.project_rules.clone(),
            tool_switches: config.tools.clone().into_iter().collect(),
            default_rules,
            tools,
            instructions: texts.into_iter().map(|instruction| instruction.text).collect(),
            models: Arc::new(models),
            overlay: Arc::clone(&self.overlay),
            recent: self.finder.recent(&instance.project.id),
            buffers: Policy { diagnostics: Duration::from_millis(config.diagnostics.wait), ..Policy::from(&config.buffer) },
            mode: config.mode.unwrap_or_default(),
            sandbox: Arc::new(Sandboxing {
                sandbox: Arc::clone(&self.sandbox),
                settings: Arc::new(sandbox::Settings::new(&config.sandbox)),
            }),
            environment: guard::without_keys(environment, &keys, &guard.secrets, &config.sandbox.environment),
            output_directory,
            guard,
            unfinished: self.places.data.join("unfinished"),
            device: paths::device(directory),
            keeps_changes: config.snapshot.unwrap_or(true),
            compaction: config.compaction,
            task: config.task,
            output_limits: OutputLimits::new(config.tool_output.max_lines, config.tool_output.max_bytes),
        }))
    }
}
