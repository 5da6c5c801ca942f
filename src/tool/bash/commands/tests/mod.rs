//! Tests of the analysis of command lines.

mod corpus;
mod generator;
mod generator_hidden;
#[cfg(unix)]
mod real_bash;
mod table;
mod tricks;

use polytree_protocol::permission::{Action, Rule};

use super::{Analysis, Dialect, analyse};
use crate::permission::rules::{Origin, Rules, stricter};

/// Everything is allowed but one command.
fn all_but(denied: &str) -> Rules {
    let rule = |pattern: &str, action| Rule { permission: "bash".to_owned(), pattern: pattern.to_owned(), action };
    Rules::new(None).with(Origin::User, &[rule("*", Action::Allow), rule(&format!("{denied} *"), Action::Deny)])
}

/// What would be decided about a line.
fn judge(rules: &Rules, line: &str) -> Action {
    let analysis = analyse(line, Dialect::Bash);
    let action = rules.evaluate_all("bash", analysis.patterns().iter().map(String::as_str), analysis.needs_a_person());
    analysis.quiet().iter().map(|pattern| rules.evaluate_quiet("bash", pattern)).fold(action, stricter)
}

/// One command per line; `?` behind what cannot be resolved, `~` behind what does nothing by itself, `??` first where the line is not understood.
fn render(analysis: &Analysis) -> String {
    let mut text = String::new();
    if !analysis.understood {
        text.push_str("?? ");
    }
    for command in &analysis.commands {
        text.push_str(&command.text.replace('\n', "\\n"));
        text.push_str(match (command.resolvable, command.quiet) {
            (false, _) => " ?\n",
            (true, true) => " ~\n",
            (true, false) => "\n",
        });
    }
    text
}
