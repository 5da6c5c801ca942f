//! The lines of `lines.txt`: which rules hold, what is decided about each line, and what "always" would grant.

use polytree_protocol::permission::{Action, Rule};

use super::{Place, rules};

/// `## RULES` begins a part; `VERDICT KINDS > LINE`, then perhaps `=> GRANT` lines, each one pattern.
#[tokio::test]
async fn each_line_is_decided_as_the_table_says() {
    let place = Place::new();
    let top = place.top.path().canonicalize().unwrap().display().to_string();
    let (mut held, mut wrong) = (Vec::new(), Vec::new());
    let text = include_str!("lines.txt");
    let mut entries = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# ")).peekable();
    while let Some(entry) = entries.next() {
        if let Some(settings) = entry.strip_prefix("## ") {
            held = rules(settings);
            continue;
        }
        let (expected, line) = entry.split_once(" > ").unwrap_or_else(|| panic!("{entry}"));
        let hash = blake3::hash(b"x\n").to_hex()[..16].to_owned();
        let line = line.replace("TOP", &top).replace("\\n", "\n");
        let mut grants = Vec::new();
        while let Some(grant) = entries.peek().and_then(|next| next.strip_prefix("    => ")) {
            grants.push(grant.to_owned());
            entries.next();
        }
        let verdict = place.judge(&held, &line).await;
        let word = match verdict.action {
            Action::Allow => "allow",
            Action::Ask => "ask",
            Action::Deny => "deny",
        };
        let mut expected = expected.split_whitespace();
        let is_right = expected.next() == Some(word);
        let kinds: Vec<&str> = expected.collect();
        let are_kinds = kinds.is_empty() || kinds == verdict.kinds;
        let always: Vec<String> = verdict.always.iter().map(|grant| grant.replace(&top, "TOP").replace(&hash, "HASH")).collect();
        let are_grants = grants.is_empty() || (grants == ["none"] && always.is_empty()) || grants == always;
        if !(is_right && are_kinds && are_grants) {
            wrong.push(format!("{entry}\n      is {word} {:?} => {always:?}", verdict.kinds));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

/// What somebody allows who allows little.
const NARROW: &str = include_str!("narrow.txt");

/// Rules that allow commands of these patterns.
fn only(patterns: impl Iterator<Item = &'static str>) -> Vec<Rule> {
    let allowed = patterns.map(|pattern| serde_json::json!(["bash", pattern, "allow"]));
    rules(&[serde_json::json!(["bash", "*", "ask"])].into_iter().chain(allowed).collect::<serde_json::Value>().to_string())
}

#[tokio::test]
async fn everyday_lines_ask_about_nothing_but_what_matters() {
    let place = Place::new();
    let mut held = only(NARROW.lines());
    let (mut wrong, mut allowed, mut needless) = (Vec::new(), 0, 0);
    for entry in include_str!("everyday.txt").lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        if let Some(patterns) = entry.strip_prefix("rules: ") {
            held = only(patterns.split("; "));
            continue;
        }
        let (expected, line) = entry.split_once(" | ").unwrap_or_else(|| panic!("{entry}"));
        let verdict = place.judge(&held, &line.replace('⏎', "\n")).await;
        allowed += usize::from(expected != "ask");
        needless += usize::from(expected == "needless");
        if (verdict.action == Action::Allow) != (expected == "allow") {
            wrong.push(format!("{entry}\n      is {:?} {:?}", verdict.action, verdict.kinds));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
    assert!(allowed >= 140 && needless <= 5, "{allowed} lines, {needless} needless questions");
}

/// The other list of everyday lines, by the whole tool in a place without secrets; questions that stay are named in the
/// first list.
#[tokio::test]
async fn harmless_lines_ask_about_no_files_and_places() {
    let place = Place::new();
    place.remove_secrets();
    let held = only(NARROW.lines());
    let (mut asked, mut count) = (Vec::new(), 0);
    for line in include_str!("../../commands/tests/harmless.txt").lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        count += 1;
        if ["needless", "ask"].iter().any(|word| include_str!("everyday.txt").contains(&format!("{word} | {line}\n"))) {
            continue;
        }
        let verdict = place.judge(&held, &line.replace('⏎', "\n")).await;
        if verdict.action != Action::Allow {
            asked.push(format!("{line}\n      is {:?} {:?}", verdict.action, verdict.kinds));
        }
    }
    assert!(asked.is_empty() && count >= 250, "{} of {count} lines:\n{}", asked.len(), asked.join("\n"));
}
