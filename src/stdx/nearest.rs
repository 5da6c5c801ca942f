//! The names that may be meant by a mistyped one.

/// Two words are alike from here on, of at most 1, whatever their length.
const ALIKE: f64 = 0.9;

/// The names that resemble the given one, the nearest first; none where nothing does. Case and separators do not count.
pub fn all<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let given = fold(given);
    if given.is_empty() {
        return Vec::new();
    }
    let slips = (given.chars().count() / 3).max(1);
    let mut found: Vec<(usize, usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let folded = fold(name);
            let distance = strsim::damerau_levenshtein(&given, &folded);
            // One word of a name, or its beginning, is the name that was cut short.
            let is_word = name.split(['.', '/', '-', '_', ':']).any(|word| fold(word) == given);
            let begins = given.chars().count() >= 3 && folded.starts_with(&given);
            let alike = distance <= slips.min(folded.chars().count().saturating_sub(1)) || strsim::jaro_winkler(&given, &folded) >= ALIKE;
            let longer = folded.chars().count().abs_diff(given.chars().count());
            (is_word || begins || alike).then_some((if is_word { 0 } else { distance }, longer, name))
        })
        .collect();
    // Of names at the same distance, letters in the wrong order are likelier than a missing one; then the alphabet decides.
    found.sort_unstable();
    found.into_iter().map(|(_, _, name)| name).collect()
}

/// The name that resembles the given one most; `None` where none does.
pub fn one<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    all(given, names).into_iter().next()
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace(['_', '-', '$'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_nothing_is_guessed() {
        let providers = ["anthropic", "deepseek", "google", "groq", "moonshotai", "openai", "togetherai", "xai"];
        for (given, meant) in [
            ("antropic", "anthropic"),
            ("grok", "groq"),
            ("OpenAI", "openai"),
            ("open-ai", "openai"),
            ("moonshot", "moonshotai"),
            ("gogle", "google"),
        ] {
            assert_eq!(one(given, providers), Some(meant), "{given}");
        }
        for given in ["nosuch", "local", "x", "", "llama", "my-server", "question"] {
            assert_eq!(all(given, providers), Vec::<&str>::new(), "{given}");
        }
        let commands = ["run", "sessions", "models", "auth", "trust", "doctor", "serve", "stop", "stdio", "completions", "help"];
        for (given, meant) in [("rnu", "run"), ("session", "sessions"), ("model", "models"), ("docter", "doctor")] {
            assert_eq!(one(given, commands), Some(meant), "{given}");
        }
        for given in ["why", "fix", "explain", "frobnicate", "what", "make"] {
            assert_eq!(one(given, commands), None, "{given}");
        }
        assert_eq!(one("initialize", ["session.create", "server.info", "server.initialize"]), Some("server.initialize"));
        assert_eq!(one("session_id", ["sessionID", "types"]), Some("sessionID"));
        assert_eq!(all("claude-opus", ["claude-opus-5-5", "claude-opus-5", "claude-haiku-5"]), ["claude-opus-5", "claude-opus-5-5"]);
    }
}
