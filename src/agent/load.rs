//! Agents of a directory: the shipped ones, then what settings and Markdown files say, nearest last. Files of a
//! project count only where its user trusts them.

use std::collections::BTreeMap;

use polytree_protocol::{
    agent::Agent,
    config::{AgentConfig, Config},
    permission::Rule,
    provider::ModelRef,
};
use serde_json::{Map, Value};

use super::{
    builtin,
    files::{Broken, Definitions, Place, visit},
};
use crate::config::{Error, Origin, check, front_matter::Document};

/// The agents of a directory.
#[derive(Debug, Clone)]
pub struct Agents {
    /// All agents: the shipped ones first, then the others by name.
    pub list: Vec<Agent>,
    /// The permission rules that the user, not the project, wrote for each agent. They also stand in the agent's
    /// own list; here they are so that a `deny` among them can be final, as in [`Settings::user_rules`].
    ///
    /// [`Settings::user_rules`]: crate::config::Settings::user_rules
    pub user_rules: BTreeMap<String, Vec<Rule>>,
    /// The files that cannot be used. The agents that they are about are not in the list.
    pub broken: Vec<Broken>,
}

impl Agents {
    /// The agent of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Agent> {
        self.list.iter().find(|agent| agent.name == name)
    }
}

/// Loads the agents of a directory.
#[must_use]
pub fn load(place: Place<'_>) -> Agents {
    let mut drafts = Drafts::default();
    let broken = visit(place, &mut drafts);
    for name in broken.iter().flat_map(|broken| &broken.names) {
        drafts.0.entry(name.clone()).or_default().is_broken = true;
    }
    let (list, user_rules) = drafts.finish(&place.settings.config);
    Agents { list, user_rules, broken }
}

/// What all sources together say about each agent.
#[derive(Default)]
struct Drafts(BTreeMap<String, Draft>);

#[derive(Default)]
struct Draft {
    config: AgentConfig,
    rules: Vec<Rule>,
    user_rules: Vec<Rule>,
    /// Where it is defined or changed.
    sources: Vec<String>,
    is_broken: bool,
}

impl Definitions for Drafts {
    const KIND: &'static str = "agent";

    fn settings(&mut self, config: &Config, origin: &Origin, source: &str) {
        for (name, config) in &config.agent {
            self.add(name.clone(), config.clone(), origin, source);
        }
    }

    fn document(&mut self, name: String, mut document: Document, origin: &Origin, source: &str) -> Result<(), Error> {
        let name = document.take_text("name")?.filter(|name| !name.trim().is_empty()).unwrap_or(name);
        let mut config: AgentConfig = document.fields()?;
        check::agent_entry(&config).map_err(|(key, message)| document.error_at(key, &message))?;
        if !document.body.is_empty() {
            config.prompt = Some(document.body);
        }
        self.add(name, config, origin, source);
        Ok(())
    }
}

impl Drafts {
    fn add(&mut self, name: String, config: AgentConfig, origin: &Origin, source: &str) {
        let draft = self.0.entry(name).or_default();
        draft.sources.push(source.to_owned());
        let rules = config.permission.rules();
        if origin.is_user() {
            draft.user_rules.extend(rules.iter().cloned());
        }
        draft.rules.extend(rules);
        overlay(&mut draft.config, config);
    }

    /// The agents, and the rules that the user wrote for them.
    fn finish(mut self, settings: &Config) -> (Vec<Agent>, BTreeMap<String, Vec<Rule>>) {
        let mut drafts = Vec::new();
        for agent in builtin::agents() {
            let draft = self.0.remove(&agent.name).unwrap_or_default();
            drafts.push((agent, draft));
        }
        drafts.extend(self.0.into_iter().map(|(name, draft)| (builtin::blank(&name), draft)));
        drafts.retain(|(_, draft)| draft.config.disable != Some(true) && !draft.is_broken);
        let user_rules = drafts.iter().filter(|(_, draft)| !draft.user_rules.is_empty());
        let user_rules = user_rules.map(|(agent, draft)| (agent.name.clone(), draft.user_rules.clone())).collect();
        (drafts.into_iter().map(|(agent, draft)| merged(agent, draft, settings)).collect(), user_rules)
    }
}

fn merged(base: Agent, draft: Draft, settings: &Config) -> Agent {
    let Draft { config, rules, sources, .. } = draft;
    let mut tools = settings.tools.clone();
    tools.extend(base.tools);
    tools.extend(config.tools);
    let mut permission = base.permission;
    permission.extend(rules);
    Agent {
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
        sources,
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
