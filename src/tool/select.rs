//! Which tools the settings, the agent and the prompt switch off. Pure.

use std::collections::BTreeMap;

use crate::permission::Pattern;

/// Switches by tool name; the names may have wildcards (`*` any text, `?` one character).
pub type Switches = BTreeMap<String, bool>;

/// What the maps say about a tool: of all keys that match, the longest wins; of equal length the last in the alphabet.
pub fn switch(name: &str, maps: &[&Switches]) -> Option<bool> {
    let merged: BTreeMap<&str, bool> = maps.iter().flat_map(|map| map.iter()).map(|(key, value)| (key.as_str(), *value)).collect();
    merged
        .into_iter()
        .filter(|(key, _)| Pattern::new(key, None).matches(name))
        .max_by_key(|(key, _)| (key.len(), *key))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, bool)]) -> Switches {
        entries.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
    }

    #[test]
    fn the_longest_key_wins() {
        let agent = map(&[("*", false), ("read", true), ("todo*", true), ("todo?????", false)]);
        let switched = |name| switch(name, &[&agent]);
        assert_eq!(["bash", "read", "todoread", "todowrite"].map(switched), [Some(false), Some(true), Some(true), Some(false)]);
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
}
