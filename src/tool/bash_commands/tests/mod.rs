//! Tests of the analysis of command lines.

mod generator;
#[cfg(unix)]
mod real_bash;
mod table;
mod tricks;

use polytree_protocol::permission::{Action, Rule};

use super::{Analysis, Dialect, analyse};
use crate::permission::rules::{Origin, Rules};

/// Everything is allowed but one command.
fn all_but(denied: &str) -> Rules {
    let rule = |pattern: &str, action| Rule { permission: "bash".to_owned(), pattern: pattern.to_owned(), action };
    Rules::new(None).with(Origin::User, &[rule("*", Action::Allow), rule(&format!("{denied} *"), Action::Deny)])
}

/// What would be decided about a line.
fn judge(rules: &Rules, line: &str) -> Action {
    let analysis = analyse(line, Dialect::Bash);
    rules.evaluate_all("bash", analysis.patterns().iter().map(String::as_str), analysis.needs_a_person())
}

/// One command per line; `?` behind what cannot be resolved, `??` first where the line is not understood.
fn render(analysis: &Analysis) -> String {
    let mut text = String::new();
    if !analysis.understood {
        text.push_str("?? ");
    }
    for command in &analysis.commands {
        text.push_str(&command.text.replace('\n', "\\n"));
        text.push_str(if command.resolvable { "\n" } else { " ?\n" });
    }
    text
}
