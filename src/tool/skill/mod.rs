//! Loads skills: the model is told their names and descriptions, and gets the instructions of one when it asks for it.

mod find;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use polytree_protocol::permission::Rule;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    context::{Ask, ToolContext},
    definition::{ALLOWED, AnyTool, Defaults, Tool, ToolError, ToolOutput, erase},
};
use crate::{
    config::{Places, folders, trust::Trust},
    stdx::{nearest, paths::AbsPath},
};
use find::{Skill as Found, find};

/// So many further files of a skill are named.
const MAX_NAMED: usize = 50;

#[derive(Debug, Clone, Copy, Default)]
pub struct Skill;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillArgs {
    /// The name of the skill.
    name: String,
}

#[async_trait]
impl Tool for Skill {
    const NAME: &'static str = "skill";
    const DESCRIPTION: &'static str = include_str!("skill.md");
    const PERMISSION: &'static str = "skill";
    const DEFAULTS: Defaults = ALLOWED;
    type Args = SkillArgs;

    fn subject(args: &SkillArgs, _: &AbsPath) -> String {
        args.name.clone()
    }

    async fn run(&self, _: &ToolContext, _: SkillArgs) -> Result<ToolOutput, ToolError> {
        Err(ToolError::failed("There are no skills here."))
    }
}

/// The tool with the skills of one directory.
struct Skills {
    tool: Arc<dyn AnyTool>,
    skills: BTreeMap<String, Found>,
    description: String,
}

/// Gives the tool the skills of a directory, or takes it out where there are none.
pub fn with_skills(tools: &mut Vec<Arc<dyn AnyTool>>, places: &Places, worktree: &AbsPath, directory: &AbsPath, trust: &Trust<'_>) {
    let skills = find(places, worktree, directory, trust);
    let place = tools.iter().position(|tool| tool.name() == Skill::NAME);
    match place {
        Some(place) if skills.is_empty() => drop(tools.remove(place)),
        Some(place) => tools[place] = Arc::new(Skills::new(skills)),
        None => {}
    }
}

impl Skills {
    fn new(skills: BTreeMap<String, Found>) -> Self {
        let mut description = format!("{}\nThe skills:\n", Skill::DESCRIPTION.trim_end());
        for skill in skills.values() {
            let _ = write!(description, "\n- {}: {}", skill.name, skill.description);
        }
        Self { tool: erase(Skill), skills, description }
    }
}

#[async_trait]
impl AnyTool for Skills {
    fn name(&self) -> &str {
        self.tool.name()
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn permission(&self) -> &str {
        self.tool.permission()
    }

    fn default_rules(&self) -> Vec<Rule> {
        self.tool.default_rules()
    }

    fn parameters(&self) -> Value {
        self.tool.parameters()
    }

    fn check(&self, input: &Value) -> Result<Value, String> {
        self.tool.check(input)
    }

    fn subject(&self, input: &Value, directory: &AbsPath) -> Option<String> {
        self.tool.subject(input, directory)
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let name = self.subject(&input, &context.directory).unwrap_or_default();
        let name = name.trim();
        let Some(skill) = self.skills.get(name) else {
            let names: Vec<&str> = self.skills.keys().map(String::as_str).collect();
            let meant = nearest::one(name, names.iter().copied()).map(|meant| format!(" Did you mean {meant:?}?")).unwrap_or_default();
            return Err(ToolError::failed(format!("There is no skill {name:?}.{meant} There are: {}.", names.join(", "))));
        };
        let ask = Ask {
            kind: Skill::PERMISSION.into(),
            patterns: vec![skill.name.clone()],
            always: vec![skill.name.clone()],
            title: format!("Load the skill {}", skill.name),
            metadata: json!({ "filePath": skill.folder.to_string() }),
            ..Ask::default()
        };
        context.ask(ask).await?;
        let files: Vec<String> = folders::files(&skill.folder, Some(&skill.folder))
            .into_iter()
            .map(|path| path.relative_to(&skill.folder))
            .filter(|path| path != crate::config::trust::SKILL_FILE)
            .take(MAX_NAMED)
            .collect();
        let mut output = format!("# Skill {}\n\nPaths in it are relative to {}.\n\n{}", skill.name, skill.folder, skill.body);
        if !files.is_empty() {
            let _ = write!(output, "\n\nFurther files of it: {}", files.join(", "));
        }
        let metadata = json!({ "name": skill.name, "folder": skill.folder.to_string() });
        Ok(ToolOutput::new(skill.name.clone(), output, metadata))
    }
}
