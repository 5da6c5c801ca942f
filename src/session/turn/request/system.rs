//! The system prompt: who the model is, where it works, and the rules of the project. The most stable text first, so
//! that a provider's prompt cache keeps it.

use crate::session::Workspace;

const DEFAULT: &str = include_str!("system.md");

/// The system texts: the prompt of request, agent or program, then the environment with the project's instructions.
/// `date` is what the model shall believe today is, as `2026-01-31`.
pub(super) fn system(workspace: &Workspace, prompt: Option<&str>, model: &str, date: &str) -> Vec<String> {
    let mut second = format!(
        "Here is what is known about the environment:\n<env>\n  Model: {model}\n  Working directory: {}\n  Top of the checkout: {}\n  Is a git repository: {}\n  Platform: {}\n  Today's date: {date}\n</env>",
        workspace.checkout.directory,
        workspace.checkout.worktree,
        if workspace.checkout.git.is_some() { "yes" } else { "no" },
        std::env::consts::OS,
    );
    for text in &workspace.instructions {
        second.push_str("\n\n");
        second.push_str(text);
    }
    vec![prompt.unwrap_or(DEFAULT).to_owned(), second]
}
