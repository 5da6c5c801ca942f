//! What the model may do. Each tool is a file of its own with the text that the model reads beside it.
//! Every path goes through `path.rs`: symlinks are resolved, and what lies outside the worktree needs leave.
//! A failing tool is a result for the model, never an error of the daemon.

pub mod context;
pub mod definition;

pub mod invalid;
mod lenient;
mod outcome;
pub mod output;
pub mod select;

pub mod file_times;
pub mod guard;
pub mod path;
mod path_lookalike;
pub mod private;
pub mod umask;

pub mod bash;
pub mod change;
pub mod edit;
pub mod read;
pub mod search;
pub mod todo;
pub mod write;

#[cfg(test)]
pub(crate) mod test_host;

use std::sync::Arc;

use definition::{AnyTool, Tool, erase};

/// Names the tools that are built in. Two of one name do not compile.
macro_rules! tools {
    ($($($tool:ident)::+),* $(,)?) => {
        /// All tools that are built in, also those that no model is offered; [`select::is_offered`] tells which are.
        #[must_use]
        pub fn builtin() -> Vec<Arc<dyn AnyTool>> {
            vec![$(erase($($tool)::+)),*]
        }

        const _: () = assert!(are_different(&[$(<$($tool)::+ as Tool>::NAME),*]), "two tools have the same name");
    };
}

tools! {
    invalid::Invalid,
    bash::Bash,
    edit::Edit,
    search::glob::Glob,
    search::grep::Grep,
    search::list::List,
    read::Read,
    write::Write,
    todo::TodoWrite,
    todo::TodoRead,
}

const fn are_different(names: &[&str]) -> bool {
    let mut one = 0;
    while one < names.len() {
        let mut other = one + 1;
        while other < names.len() {
            if is_same(names[one].as_bytes(), names[other].as_bytes()) {
                return false;
            }
            other += 1;
        }
        one += 1;
    }
    true
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_compared_whole() {
        assert!(are_different(&["read", "rea", "reads", ""]));
        assert!(!are_different(&["a", "b", "a"]));
    }

    #[test]
    fn every_tool_says_what_it_is() {
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
