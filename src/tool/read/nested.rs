//! Instructions in the directories around a file, which the model gets when it reads there for the first time.

use std::fmt::Write as _;

use polytree_protocol::permission::Action;
use serde_json::json;

use crate::{
    config::instructions::nested,
    stdx::paths::AbsPath,
    tool::{context::ToolContext, definition::ToolOutput},
};

/// Appends the instructions that hold for this file and that the session has not seen as they are now.
/// `permission` is the type of the permission to read.
pub(super) fn add(context: &ToolContext, permission: &str, file: &AbsPath, output: &mut ToolOutput) {
    let rules = context.host.rules();
    let mut loaded = Vec::new();
    for (instruction, hash) in nested(&context.worktree, &context.directory, file) {
        let pattern = instruction.path.relative_to(&context.worktree);
        let is_known = context.file_times.last(&instruction.path) == Some(hash);
        if is_known || rules.evaluate_quiet(permission, &pattern) == Action::Deny {
            continue;
        }
        context.file_times.record(&instruction.path, hash);
        let _ = write!(output.output, "\n\n<system-reminder>\n{}\n</system-reminder>", instruction.text);
        loaded.push(instruction.path.to_string());
    }
    if !loaded.is_empty() {
        output.metadata["loaded"] = json!(loaded);
    }
}
