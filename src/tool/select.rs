//! Which tools a model is offered. Pure.

use std::collections::BTreeMap;

/// Switches by tool name; the names may have wildcards (`*` any text, `?` one character).
pub type Switches = BTreeMap<String, bool>;

/// Offered to nobody: a place for calls that cannot be made.
const HIDDEN: &str = "invalid";

/// Whether the tool is offered: no switch turns it off, and no rule forbids everything that it could be used for.
///
/// Of `maps` the later win, key by key (the agent's, then the prompt's). `is_forbidden` tells for a permission's type
/// whether the last rule that matches it is a deny of the pattern `*`.
#[must_use]
pub fn is_offered(name: &str, maps: &[&Switches], is_forbidden: impl Fn(&str) -> bool) -> bool {
    name != HIDDEN && switch(name, maps) != Some(false) && !is_forbidden(permission(name))
}

/// What the maps say about a tool: of all keys that match, the longest wins; of equal length the last in the alphabet.
#[must_use]
pub fn switch(name: &str, maps: &[&Switches]) -> Option<bool> {
    let merged: BTreeMap<&str, bool> = maps.iter().flat_map(|map| map.iter()).map(|(key, value)| (key.as_str(), *value)).collect();
    merged.into_iter().filter(|(key, _)| matches(key, name)).max_by_key(|(key, _)| (key.len(), *key)).map(|(_, value)| value)
}

/// The permission's type that a tool asks for.
#[must_use]
pub fn permission(name: &str) -> &str {
    match name {
        "write" | "edit" | "patch" => "edit",
        "todowrite" | "todoread" => "todo",
        other => other,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut position) = (0, 0);
    // Where the last star was, and up to where it has taken text: there is the only place to come back to.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(character) if *character == '?' || *character == text[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                (at, position) = (back + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(entries: &[(&str, bool)]) -> Switches {
        entries.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
    }

    #[test]
    fn the_longest_key_wins() {
        let agent = map(&[("*", false), ("read", true), ("todo*", true), ("todo?????", false)]);
        let offered = |name| is_offered(name, &[&agent], |_| false);
        assert_eq!(["bash", "read", "todoread", "todowrite"].map(offered), [false, true, true, false]);
        // Equal length: the later in the alphabet.
        assert_eq!(switch("ab", &[&map(&[("?b", true), ("a?", false)])]), Some(false));
        assert_eq!(switch("ab", &[&map(&[("c*", true)])]), None);
    }

    #[test]
    fn later_maps_win_key_by_key() {
        let (agent, prompt) = (map(&[("bash", false), ("edit", false)]), map(&[("bash", true), ("*", false)]));
        assert_eq!(switch("bash", &[&agent, &prompt]), Some(true));
        assert_eq!(switch("edit", &[&agent, &prompt]), Some(false));
        assert_eq!(switch("read", &[&agent, &prompt]), Some(false));
        assert_eq!(switch("read", &[]), None);
    }

    #[test]
    fn what_is_forbidden_altogether_is_hidden() {
        let offered = |name| is_offered(name, &[&map(&[("write", true)])], |kind| kind == "edit");
        assert_eq!(["edit", "write", "read", "invalid"].map(offered), [false, false, true, false]);
    }

    /// The same by definition.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => oracle(rest, text) || (!text.is_empty() && oracle(pattern, &text[1..])),
            (['?', rest @ ..], [_, text @ ..]) => oracle(rest, text),
            ([one, rest @ ..], [other, text @ ..]) if one == other => oracle(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let expected = oracle(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(matches(&pattern, &text), expected);
        }
    }
}
