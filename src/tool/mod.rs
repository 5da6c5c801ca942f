//! What the model may do. Each tool is a file of its own with the text that the model reads beside it.
//! Every path goes through `path.rs`: symlinks are resolved, and what lies outside the worktree needs leave.
//! A failing tool is a result for the model, never an error of the daemon.

pub mod context;
pub mod definition;

pub mod invalid;
pub mod output;
pub mod select;

pub mod file_times;
pub mod path;
mod path_lookalike;
pub mod unfinished;

mod announced;
mod change;
mod file_lock;
mod save;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod save_attributes;
mod walk;

pub mod bash;
pub mod bash_commands;
mod bash_directories;
mod bash_environment;
mod bash_output;
mod bash_screen;
pub mod edit;
mod edit_budget;
mod edit_indent;
mod edit_lines;
mod edit_match;
pub mod glob;
pub mod grep;
pub mod list;
pub mod read;
mod read_lines;
pub mod todo;
pub mod umask;
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
    glob::Glob,
    grep::Grep,
    list::List,
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
            for (name, field) in parameters["properties"].as_object().unwrap() {
                assert!(field.get("description").is_some(), "{} {name} has no description", tool.name());
            }
        }
    }
}
