//! Agents of a directory: the shipped ones, then what settings and Markdown files say, nearest last. Files of a
//! project count only where its user trusts them.

use std::{collections::BTreeMap, io};

use polytree_protocol::{
    agent::Agent,
    config::{AgentConfig, Config},
    permission::Rule,
    provider::ModelRef,
};
use serde_json::{Map, Value};

use super::builtin;
use crate::{
    config::{
        Error, Origin, Places, Settings, check, files, folders,
        front_matter::Document,
        trust::{self, PROJECT_FOLDER, Trust},
    },
    stdx::paths::AbsPath,
};

/// The agents of a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Agents {
    /// All agents: the shipped ones first, then the others by name.
    pub list: Vec<Agent>,
    /// The permission rules that the user, not the project, wrote for each agent. They also stand in the agent's
    /// own list; here they are so that a `deny` among them can be final, as in [`Settings::user_rules`].
    pub user_rules: BTreeMap<String, Vec<Rule>>,
}

impl Agents {
    /// The agent of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Agent> {
        self.list.iter().find(|agent| agent.name == name)
    }
}

/// Loads the agents of a directory of a worktree (both real paths).
///
/// # Errors
/// When a file that counts cannot be read or understood.
pub fn load(places: &Places, worktree: &AbsPath, directory: &AbsPath, settings: &Settings, trust: &Trust<'_>) -> Result<Agents, Error> {
    let mut drafts = Drafts::default();
    drafts.layers(settings, &Origin::User);
    for (name, path) in folders::markdown(&places.config.join("agent"), None) {
        let read = files::read_regular(path.as_path(), files::MAX_BYTES);
        let (bytes, _) = read.map_err(|source| Error::Unreadable { file: path.to_string(), source })?;
        drafts.markdown(name, &path, bytes, &Origin::User)?;
    }
    for directory in folders::from_root(worktree, directory) {
        let origin = Origin::Project(directory.clone());
        drafts.layers(settings, &origin);
        for (name, path) in folders::markdown(&directory.join(PROJECT_FOLDER).join("agent"), Some(worktree)) {
            if let Some(bytes) = trusted(worktree, &path, trust) {
                drafts.markdown(name, &path, bytes, &origin)?;
            }
        }
    }
    drafts.layers(settings, &Origin::Environment);
    Ok(drafts.finish(&settings.config))
}

/// The content of a project's file, if the user trusts it.
fn trusted(worktree: &AbsPath, path: &AbsPath, trust: &Trust<'_>) -> Option<Vec<u8>> {
    let read = || -> io::Result<_> {
        let (bytes, _) = files::read_regular(path.as_path(), files::MAX_BYTES)?;
        Ok((trust::identify(worktree, path, bytes.as_slice())?, bytes))
    };
    let (file, bytes) =
        read().inspect_err(|error| tracing::warn!(%path, %error, "a project's agent cannot be read and is not used")).ok()?;
    trust(&file).then_some(bytes)
}

/// What all sources together say about each agent.
#[derive(Default)]
struct Drafts(BTreeMap<String, Draft>);

#[derive(Default)]
struct Draft {
    config: AgentConfig,
    rules: Vec<Rule>,
    user_rules: Vec<Rule>,
}

impl Drafts {
    fn layers(&mut self, settings: &Settings, origin: &Origin) {
        for layer in settings.layers.iter().filter(|layer| layer.origin == *origin) {
            for (name, config) in &layer.config.agent {
                self.add(name.clone(), config.clone(), origin);
            }
        }
    }

    fn markdown(&mut self, name: String, path: &AbsPath, bytes: Vec<u8>, origin: &Origin) -> Result<(), Error> {
        let file = path.to_string();
        let text = String::from_utf8(bytes).map_err(|error| Error::Unreadable {
            file: file.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
        })?;
        let mut document = Document::parse(&file, &text)?;
        let name = document.take_text("name")?.filter(|name| !name.trim().is_empty()).unwrap_or(name);
        let mut config: AgentConfig = document.fields()?;
        check::agent_entry(&config).map_err(|(key, message)| document.error_at(key, &message))?;
        if !document.body.is_empty() {
            config.prompt = Some(document.body);
        }
        self.add(name, config, origin);
        Ok(())
    }

    fn add(&mut self, name: String, config: AgentConfig, origin: &Origin) {
        let draft = self.0.entry(name).or_default();
        let rules = config.permission.rules();
        if origin.is_user() {
            draft.user_rules.extend(rules.iter().cloned());
        }
        draft.rules.extend(rules);
        overlay(&mut draft.config, config);
    }

    fn finish(mut self, settings: &Config) -> Agents {
        let mut agents = Agents { list: Vec::new(), user_rules: BTreeMap::new() };
        for agent in builtin::agents() {
            let draft = self.0.remove(&agent.name).unwrap_or_default();
            agents.add(agent, draft, settings);
        }
        for (name, draft) in self.0 {
            let blank = Agent {
                name,
                description: None,
                mode: polytree_protocol::agent::AgentMode::All,
                built_in: false,
                model: None,
                prompt: None,
                temperature: None,
                top_p: None,
                max_output_tokens: None,
                variant: None,
                steps: None,
                tools: BTreeMap::new(),
                permission: Vec::new(),
                options: BTreeMap::new(),
            };
            agents.add(blank, draft, settings);
        }
        agents
    }
}

impl Agents {
    fn add(&mut self, base: Agent, draft: Draft, settings: &Config) {
        let Draft { config, rules, user_rules } = draft;
        if config.disable == Some(true) {
            return;
        }
        let mut tools = settings.tools.clone();
        tools.extend(base.tools);
        tools.extend(config.tools);
        let mut permission = base.permission;
        permission.extend(rules);
        if !user_rules.is_empty() {
            self.user_rules.insert(base.name.clone(), user_rules);
        }
        self.list.push(Agent {
            description: config.description.or(base.description),
            mode: config.mode.unwrap_or(base.mode),
            model: config.model.as_deref().and_then(ModelRef::parse).or(base.model),
            prompt: config.prompt.or(base.prompt),
            temperature: config.temperature.or(base.temperature),
            top_p: config.top_p.or(base.top_p),
            max_output_tokens: config.max_output_tokens.or(base.max_output_tokens),
            variant: config.variant.or(base.variant),
            steps: config.steps.or(base.steps),
            options: config.options.into_iter().collect(),
            tools,
            permission,
            name: base.name,
            built_in: base.built_in,
        });
    }
}

/// Puts one source's words over those before; rules are collected elsewhere, for none is ever merged away.
fn overlay(base: &mut AgentConfig, over: AgentConfig) {
    let AgentConfig {
        disable,
        model,
        prompt,
        description,
        temperature,
        top_p,
        max_output_tokens,
        variant,
        mode,
        steps,
        tools,
        permission: _,
        options,
    } = over;
    base.disable = disable.or(base.disable);
    base.model = model.or(base.model.take());
    base.prompt = prompt.or(base.prompt.take());
    base.description = description.or(base.description.take());
    base.temperature = temperature.or(base.temperature);
    base.top_p = top_p.or(base.top_p);
    base.max_output_tokens = max_output_tokens.or(base.max_output_tokens);
    base.variant = variant.or(base.variant.take());
    base.mode = mode.or(base.mode);
    base.steps = steps.or(base.steps);
    base.tools.extend(tools);
    merge_options(&mut base.options, options);
}

fn merge_options(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_options(old, new),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}
