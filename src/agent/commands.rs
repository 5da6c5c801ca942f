//! Commands of a directory: the shipped ones, then what settings and Markdown files say, nearest last. As agents, those of
//! a project count only where its user trusts them.

use std::{collections::BTreeMap, sync::Arc};

use polytree_protocol::{
    command::Command,
    config::{CommandConfig, Config},
    provider::ModelRef,
};

use super::{
    Agents,
    files::{Broken, Definitions, Place, visit},
};
use crate::{
    config::{Error, Origin, check, front_matter::Document},
    stdx::nearest,
};

/// The command that writes or improves AGENTS.md.
pub const INIT: &str = "init";

/// The commands of a directory.
#[derive(Debug, Clone)]
pub struct Commands {
    /// All commands by name.
    pub list: Vec<Command>,
    /// The files that cannot be used. The commands that they are about are not in the list.
    pub broken: Vec<Broken>,
}

/// Loads the commands of a directory whose agents these are.
#[must_use]
pub fn load(place: Place<'_>, agents: &Agents) -> Commands {
    let mut drafts = Drafts { drafts: BTreeMap::new(), agents, broken: Vec::new() };
    let template = include_str!("init.md").trim().to_owned();
    let description = Some("Writes AGENTS.md, or improves it.".to_owned());
    let init = CommandConfig { template: Some(template), description, ..CommandConfig::default() };
    drafts.drafts.insert(INIT.to_owned(), Draft { config: init, built_in: true, sources: Vec::new() });
    let mut broken = visit(place, &mut drafts);
    broken.append(&mut drafts.broken);
    let mut drafts = drafts.drafts;
    for name in broken.iter().flat_map(|broken| &broken.names) {
        drafts.remove(name);
    }
    let mut list = Vec::new();
    for (name, Draft { config, built_in, sources }) in drafts {
        if config.disable == Some(true) {
            continue;
        }
        let Some(template) = config.template.filter(|template| !template.trim().is_empty()) else {
            let file = sources.last().cloned().unwrap_or_default();
            let message = format!("the command {name:?} has no template");
            broken.push(Broken { names: vec![name], error: Arc::new(Error::Definition { file, message }) });
            continue;
        };
        let model = config.model.as_deref().and_then(ModelRef::parse);
        list.push(Command { name, description: config.description, agent: config.agent, model, template, built_in, sources });
    }
    Commands { list, broken }
}

struct Draft {
    config: CommandConfig,
    built_in: bool,
    sources: Vec<String>,
}

struct Drafts<'a> {
    drafts: BTreeMap<String, Draft>,
    agents: &'a Agents,
    /// Commands of settings that name an unknown agent.
    broken: Vec<Broken>,
}

impl Definitions for Drafts<'_> {
    const KIND: &'static str = "command";

    fn settings(&mut self, config: &Config, _: &Origin, source: &str) {
        for (name, config) in &config.command {
            if let Some(problem) = self.unknown_agent(config) {
                let message = format!("`command.{name}.agent`: {problem}");
                let error = Arc::new(Error::Definition { file: source.to_owned(), message });
                self.broken.push(Broken { names: vec![name.clone()], error });
            } else {
                self.add(name.clone(), config.clone(), source);
            }
        }
    }

    fn document(&mut self, name: String, document: Document, _: &Origin, source: &str) -> Result<(), Error> {
        let mut config: CommandConfig = document.fields()?;
        check::command_entry(&config).map_err(|(key, message)| document.error_at(key, &message))?;
        if let Some(problem) = self.unknown_agent(&config) {
            return Err(document.error_at("agent", &problem));
        }
        if !document.body.is_empty() {
            config.template = Some(document.body);
        }
        self.add(name, config, source);
        Ok(())
    }
}

impl Drafts<'_> {
    /// The agent that a command names and that does not exist, as a message.
    fn unknown_agent(&self, config: &CommandConfig) -> Option<String> {
        let name = config.agent.as_deref()?;
        let known = || self.agents.list.iter().map(|agent| agent.name.as_str());
        // One that a broken file defines is a matter of that file.
        let is_broken = self.agents.broken.iter().any(|broken| broken.names.iter().any(|broken| broken == name));
        if is_broken || known().any(|agent| agent == name) {
            return None;
        }
        Some(match nearest::one(name, known()) {
            Some(meant) => format!("there is no agent {name:?}; did you mean `{meant}`?"),
            None => format!("there is no agent {name:?}; known are {}", known().collect::<Vec<_>>().join(", ")),
        })
    }

    fn add(&mut self, name: String, over: CommandConfig, source: &str) {
        let empty = || Draft { config: CommandConfig::default(), built_in: false, sources: Vec::new() };
        let Draft { config, sources, .. } = self.drafts.entry(name).or_insert_with(empty);
        sources.push(source.to_owned());
        let CommandConfig { template, description, agent, model, disable } = over;
        config.template = template.or(config.template.take());
        config.description = description.or(config.description.take());
        config.agent = agent.or(config.agent.take());
        config.model = model.or(config.model.take());
        config.disable = disable.or(config.disable);
    }
}
