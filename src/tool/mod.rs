//! What the model may do. Each tool is a file of its own with the text that the model reads beside it.
//! Every path goes through `path.rs`: symlinks are resolved, and what lies outside the worktree needs permission.
//! A failing tool is a result for the model, never an error of the daemon.

pub(crate) mod context;
pub(crate) mod definition;

pub(crate) mod invalid;
pub(crate) mod kept;
mod lenient;
mod outcome;
pub(crate) mod output;
pub(crate) mod select;

pub(crate) mod file_times;
pub(crate) mod guard;
pub(crate) mod path;
mod path_lookalike;
pub(crate) mod private;
pub mod umask;

pub mod bash;
pub(crate) mod change;
pub(crate) mod edit;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod task;
pub(crate) mod todo;
pub(crate) mod write;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
pub(crate) mod test_host;

use std::sync::Arc;

use polytree_protocol::permission::Rule;

use definition::{AnyTool, erase};

/// The tools that are built in.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn AnyTool>> {
    vec![
        erase(bash::Bash),
        erase(edit::Edit),
        erase(search::glob::Glob),
        erase(search::grep::Grep),
        erase(search::list::List),
        erase(read::Read),
        erase(task::Task),
        erase(write::Write),
        erase(todo::TodoWrite),
        erase(todo::TodoRead),
    ]
}

/// The rules of these tools that hold before any settings.
#[must_use]
pub fn default_rules(tools: &[Arc<dyn AnyTool>]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for rule in tools.iter().flat_map(|tool| tool.default_rules()) {
        // Tools that share a permission say the same.
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Whether calls of the tool of this name change nothing; of one that is not built in that is not known.
#[must_use]
pub fn reads_only(name: &str) -> bool {
    builtin().iter().any(|tool| tool.name() == name && tool.reads_only())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use polytree_protocol::{permission::Action, permission_config::PERMISSION_TYPES};
    use serde_json::json;

    use super::*;
    use crate::tool::test_host::shipped_rules;

    #[test]
    fn what_tools_may_do_before_any_settings() {
        let rules = shipped_rules();
        for (kind, pattern, expected) in [
            ("read", "src/main.rs", Action::Allow),
            ("grep", "fn main", Action::Allow),
            ("todo", "*", Action::Allow),
            ("bash", "ls", Action::Ask),
            ("edit", "a", Action::Ask),
            ("external_directory", "/etc/*", Action::Ask),
            ("unheard_of", "x", Action::Ask),
            ("read", ".env", Action::Ask),
            ("read", "/a/b/.env", Action::Ask),
            ("read", "deploy/.env.production", Action::Ask),
            ("read", "deploy/.env.example", Action::Allow),
            ("read", ".env.sample", Action::Allow),
            ("read", "/x/.env.template", Action::Allow),
            ("read", "src/environment.rs", Action::Allow),
            ("read", "x.env", Action::Allow),
        ] {
            assert_eq!(rules.evaluate(kind, pattern), expected, "{kind} {pattern}");
        }
    }

    #[test]
    fn every_permission_can_be_named_by_a_rule_and_shared_ones_agree() {
        let tools = builtin();
        for tool in &tools {
            assert!(PERMISSION_TYPES.contains(&tool.permission()), "{}", tool.name());
            let others = tools.iter().filter(|other| other.permission() == tool.permission());
            assert!(others.into_iter().all(|other| other.default_rules() == tool.default_rules()), "{}", tool.name());
        }
        let mut reading: Vec<&str> = tools.iter().map(|tool| tool.name()).filter(|name| reads_only(name)).collect();
        reading.sort_unstable();
        assert_eq!(reading, ["glob", "grep", "list", "read", "todoread"]);
        assert!(!reads_only("mcp_thing"));
    }

    #[test]
    fn every_tool_says_what_it_is() {
        let names: HashSet<String> = builtin().iter().map(|tool| tool.name().to_owned()).collect();
        assert_eq!(names.len(), builtin().len(), "two tools have the same name");
        for tool in builtin() {
            let parameters = tool.parameters();
            assert!(!tool.description().trim().is_empty(), "{}", tool.name());
            assert_eq!(parameters["type"], "object", "{}", tool.name());
            let names: Vec<_> = parameters["required"].as_array().into_iter().flatten().collect();
            assert!(tool.name() != "bash" || names == ["command", "description"], "asked for, though not insisted on: {names:?}");
            for (name, field) in parameters["properties"].as_object().unwrap() {
                assert!(field.get("description").is_some(), "{} {name} has no description", tool.name());
            }
        }
    }
    #[test]
    fn arguments_are_read_as_they_were_meant() {
        let todo = json!([{ "content": "a", "status": "pending", "priority": "high" }]);
        for (name, input, read) in [
            ("todowrite", json!({ "todos": todo.to_string() }), json!({ "todos": todo })),
            ("list", json!({ "ignore": "[\"*.txt\"]" }), json!({ "ignore": ["*.txt"] })),
            ("list", json!({ "ignore": "*.txt", "path": null }), json!({ "ignore": ["*.txt"], "path": null })),
            ("bash", json!({ "command": "ls", "timeout": "5000" }), json!({ "command": "ls", "timeout": 5000 })),
            (
                "bash",
                json!({ "command": "ls", "timeout": 5000.0, "description": null }),
                json!({ "command": "ls", "timeout": 5000, "description": null }),
            ),
            (
                "edit",
                json!({ "filePath": "a", "oldString": "", "newString": "x", "replaceAll": "true" }),
                json!({ "filePath": "a", "oldString": "", "newString": "x", "replaceAll": true }),
            ),
            (
                "edit",
                json!({ "filePath": "a", "oldString": "", "newString": "x", "replaceAll": null }),
                json!({ "filePath": "a", "oldString": "", "newString": "x" }),
            ),
            ("read", json!({ "filePath": "a", "offset": "", "limit": "None" }), json!({ "filePath": "a" })),
            ("read", json!({ "filePath": "a", "offset": "12", "limit": 3.0 }), json!({ "filePath": "a", "offset": 12, "limit": 3 })),
            ("grep", json!({ "pattern": 42, "include": "" }), json!({ "pattern": "42", "include": "" })),
        ] {
            let tool = builtin().into_iter().find(|tool| tool.name() == name).unwrap();
            assert_eq!(tool.check(&input), Ok(read), "{name} {input}");
        }
        for (name, input) in
            [("read", json!({ "filePath": "a", "offset": -1 })), ("bash", json!({ "command": null })), ("bash", json!({ "cmd": "ls" }))]
        {
            let tool = builtin().into_iter().find(|tool| tool.name() == name).unwrap();
            assert!(tool.check(&input).is_err(), "{name} {input}");
        }
    }
}
