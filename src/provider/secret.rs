//! Keys of model services. They never appear in logs and messages.

use std::{collections::BTreeMap, fmt};

/// A key. Formats as `***`; only [`Secret::expose`] returns the text, for the request's header.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// `None` if the text is empty or only white space.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces every occurrence of the key in a text. Keys of fewer than 4 characters are placeholders, such as `x`
    /// for local servers, and are not replaced.
    pub fn redact(&self, text: String) -> String {
        if self.0.len() >= 4 && text.contains(&self.0) { text.replace(&self.0, "***") } else { text }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The key of a provider: from the settings, otherwise from the first of the named variables in the client's
/// environment. The daemon's own environment is not used.
pub(crate) fn find(setting: Option<&Secret>, names: &[String], environment: &BTreeMap<String, String>) -> Option<Secret> {
    setting.cloned().or_else(|| names.iter().find_map(|name| environment.get(name).and_then(|value| Secret::new(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn never_prints_the_key() {
        let key = Secret::new("sk-very-secret").unwrap();
        assert_eq!(format!("{key} {key:?} {:?}", Some(&key)), "*** *** Some(***)");
        assert_eq!(key.redact("bad key sk-very-secret, sk-very-secret".to_owned()), "bad key ***, ***");
        assert_eq!(Secret::new("x").unwrap().redact("an x here".to_owned()), "an x here");
    }

    #[test]
    fn the_setting_wins_then_the_first_variable_that_holds_something() {
        let names = ["FIRST".to_owned(), "SECOND".to_owned()];
        let both = environment(&[("FIRST", " one\n"), ("SECOND", "two")]);
        assert_eq!(find(Secret::new("set").as_ref(), &names, &both), Secret::new("set"));
        assert_eq!(find(None, &names, &both).unwrap().expose(), "one");
        assert_eq!(find(None, &names, &environment(&[("FIRST", " "), ("SECOND", "two")])), Secret::new("two"));
        assert_eq!(find(None, &names, &environment(&[])), None);
    }
}
