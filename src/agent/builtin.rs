//! The agents that are always there, unless settings disable them.

use std::collections::BTreeMap;

use polytree_protocol::{
    agent::{Agent, AgentMode},
    permission::{Action, Rule},
};

/// The agent of a prompt that names none, where settings do not say another.
pub const DEFAULT: &str = "build";

/// The agent that changes nothing until its plan is approved.
pub const PLAN: &str = "plan";

/// Commands that only look. The trailing ` *` covers the bare command too. Options of theirs that write, run a program or read
/// what is kept from models are judged as such, by the tables of the tool.
const LOOKING: &[&str] = &[
    "basename *",
    "cat *",
    "cut *",
    "date",
    "df *",
    "diff *",
    "dirname *",
    "du *",
    "echo *",
    "find *",
    "git blame *",
    "git branch",
    "git branch --list",
    "git branch --show-current",
    "git branch -a",
    "git branch -r",
    "git branch -v",
    "git branch -vv",
    "git diff *",
    "git log *",
    "git ls-files *",
    "git remote -v",
    "git rev-parse *",
    "git show *",
    "git status *",
    "grep *",
    "head *",
    "ls *",
    "nl *",
    "printf *",
    "pwd *",
    "realpath *",
    "rg *",
    "stat *",
    "tail *",
    "type *",
    "uname *",
    "wc *",
    "which *",
    "whoami",
];

/// The shipped agents, in the order in which they are listed.
#[must_use]
pub fn agents() -> Vec<Agent> {
    vec![
        Agent {
            description: Some("Does the work: reads, changes files and runs commands.".to_owned()),
            prompt: Some(include_str!("builtin/build.md").trim().to_owned()),
            ..plain("build", AgentMode::Primary)
        },
        Agent {
            description: Some("Looks and thinks but changes nothing: answers with a plan.".to_owned()),
            prompt: Some(include_str!("builtin/plan.md").trim().to_owned()),
            permission: plan_rules(),
            ..plain("plan", AgentMode::Primary)
        },
        Agent {
            description: Some(
                "Takes on one self-contained job of many steps, such as a wide search or a change that can be described \
                 completely, and reports back."
                    .to_owned(),
            ),
            prompt: Some(include_str!("builtin/general.md").trim().to_owned()),
            tools: BTreeMap::from([("todoread".to_owned(), false), ("todowrite".to_owned(), false)]),
            ..plain("general", AgentMode::Subagent)
        },
    ]
}

fn plain(name: &str, mode: AgentMode) -> Agent {
    Agent { mode, built_in: true, ..blank(name) }
}

/// An agent of which nothing is said.
pub(super) fn blank(name: &str) -> Agent {
    Agent {
        name: name.to_owned(),
        description: None,
        mode: AgentMode::All,
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
        sources: Vec::new(),
    }
}

/// Reading stays as the general rules have it: an `allow` here would also allow what those ask about.
fn plan_rules() -> Vec<Rule> {
    let rule = |permission: &str, pattern: &str, action| Rule { permission: permission.to_owned(), pattern: pattern.to_owned(), action };
    let mut rules = vec![rule("edit", "*", Action::Deny), rule("bash", "*", Action::Ask), rule("sandbox", "*", Action::Ask)];
    rules.extend(LOOKING.iter().map(|pattern| rule("bash", pattern, Action::Allow)));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_ones() {
        let agents = agents();
        let names: Vec<_> = agents.iter().map(|agent| (agent.name.as_str(), agent.mode)).collect();
        assert_eq!(names, [(DEFAULT, AgentMode::Primary), ("plan", AgentMode::Primary), ("general", AgentMode::Subagent)]);
        assert!(agents.iter().all(|agent| agent.built_in && agent.description.is_some()));
        assert!(agents.iter().all(|agent| agent.prompt.as_ref().is_some_and(|prompt| prompt.len() > 400)));
    }

    #[test]
    fn plan_denies_edits_and_asks_for_what_does_not_look() {
        let rules = plan_rules();
        assert_eq!((rules[0].permission.as_str(), rules[0].action), ("edit", Action::Deny));
        let first_allow = rules.iter().position(|rule| rule.action == Action::Allow).unwrap();
        assert!(rules[first_allow..].iter().all(|rule| rule.action == Action::Allow && rule.permission == "bash"));
        assert!(rules[..first_allow].iter().any(|rule| (rule.permission.as_str(), rule.pattern.as_str()) == ("bash", "*")));
    }
}
