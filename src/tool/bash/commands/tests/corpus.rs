//! Two lists of command lines that grow: harmless ones, which nobody wants to be asked about, and attacks. Both are
//! judged, and real bash runs them.

use polytree_protocol::permission::{Action, Rule};

use super::{Dialect, analyse, judge};
use crate::permission::rules::{Origin, Rules};

/// What somebody allows who allows little.
const NARROW: &str = include_str!("../../programs/tests/narrow.txt");

fn rule(pattern: &str, action: Action) -> Rule {
    Rule { permission: "bash".to_owned(), pattern: pattern.to_owned(), action }
}

fn narrow() -> Rules {
    let rules: Vec<Rule> = [rule("*", Action::Ask)].into_iter().chain(NARROW.lines().map(|pattern| rule(pattern, Action::Allow))).collect();
    crate::tool::test_host::shipped_rules().with(Origin::User, &rules)
}

/// The lines of a list with ⏎ as newlines.
pub(super) fn lines(list: &str) -> impl Iterator<Item = String> + '_ {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(|line| line.replace('⏎', "\n"))
}

pub(super) fn harmless() -> impl Iterator<Item = String> {
    lines(include_str!("harmless.txt"))
}

/// An attack: the rules under which it is judged, what has to come out, and the line.
pub(super) struct Attack {
    pub rules: Rules,
    pub expected: Action,
    pub line: String,
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut rules = crate::tool::test_host::shipped_rules();
    let mut attacks = Vec::new();
    for line in lines(include_str!("attacks.txt")) {
        if let Some(list) = line.strip_prefix("rules: ") {
            let parsed = list.split("; ").map(|entry| {
                let (action, pattern) = entry.split_once(' ').unwrap();
                rule(pattern, action_of(action))
            });
            rules = crate::tool::test_host::shipped_rules().with(Origin::User, &parsed.collect::<Vec<_>>());
        } else {
            let (expected, line) = line.split_once(" | ").unwrap_or_else(|| panic!("{line}"));
            attacks.push(Attack { rules: rules.clone(), expected: action_of(expected.trim()), line: line.to_owned() });
        }
    }
    attacks
}

fn action_of(word: &str) -> Action {
    match word {
        "allow" => Action::Allow,
        "ask" => Action::Ask,
        "deny" => Action::Deny,
        other => panic!("{other} is no action"),
    }
}

#[test]
fn harmless_lines_are_silent() {
    let rules = narrow();
    let all = harmless().count();
    let asked: Vec<String> = harmless().filter(|line| judge(&rules, line) != Action::Allow).collect();
    assert!(all >= 250, "{all}");
    assert_eq!(asked, Vec::<String>::new(), "{:#?}", asked.iter().map(|line| analyse(line, Dialect::Bash)).collect::<Vec<_>>());
}

#[test]
fn attacks_are_judged_as_they_have_to_be() {
    let wrong: Vec<String> = attacks()
        .into_iter()
        .filter_map(|Attack { rules, expected, line }| {
            let found = judge(&rules, &line);
            (found != expected).then(|| format!("{found:?} and not {expected:?}: {line}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_understood_has_no_always() {
    for Attack { rules, expected, line } in attacks() {
        let analysis = analyse(&line, Dialect::Bash);
        if expected == Action::Ask && rules.evaluate("bash", "anything") == Action::Allow {
            assert!(analysis.needs_a_person() && analysis.always().is_empty(), "{line}");
        }
    }
}
