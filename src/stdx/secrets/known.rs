//! Redacts known secrets in texts and streams, so that outputs of tools do not carry a key into the store, to clients, or
//! to the model of another service. Does not find encoded or interrupted secrets.

use std::{borrow::Cow, ops::Range};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

/// The replacement of a secret.
pub const REDACTED: &str = "[redacted key]";

/// Shorter secrets are ordinary words.
const MIN_LENGTH: usize = 12;
/// Texts without capitals and digits must have this length: placeholders for servers without keys, such as
/// `sk-no-key-required`, are shorter.
const MIN_PLAIN_LENGTH: usize = 20;
/// Longer texts are not keys.
const MAX_LENGTH: usize = 16 * 1024;

/// Secrets to redact.
#[derive(Debug, Clone, Default)]
pub struct KnownSecrets {
    secrets: Vec<String>,
    /// Their first bytes.
    beginnings: Vec<u8>,
    finder: Option<AhoCorasick>,
}

/// Whether a text is long and unusual enough that each occurrence is the secret.
fn is_telling(text: &str) -> bool {
    let is_plain = !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (if is_plain { MIN_PLAIN_LENGTH } else { MIN_LENGTH }..=MAX_LENGTH).contains(&text.len())
}

impl KnownSecrets {
    /// Uses those of the texts that are long enough.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().map(str::trim).filter(|text| is_telling(text)).map(str::to_owned).collect();
        secrets.sort_unstable();
        secrets.dedup();
        if secrets.is_empty() {
            return Self::default();
        }
        // A set of short texts always has a finder; without one nothing would be redacted.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&secrets);
        let finder = finder.inspect_err(|error| tracing::error!(%error, "secrets cannot be looked for")).ok();
        let mut beginnings: Vec<u8> = secrets.iter().map(|secret| secret.as_bytes()[0]).collect();
        beginnings.dedup();
        Self { secrets, beginnings, finder }
    }

    /// Whether the text contains a secret.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    /// The text without secrets.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let mut found = finder.find_iter(text).peekable();
        if found.peek().is_none() {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut end) = (String::with_capacity(text.len()), 0);
        for secret in found {
            clean.push_str(&text[end..secret.start()]);
            clean.push_str(REDACTED);
            end = secret.end();
        }
        clean.push_str(&text[end..]);
        Cow::Owned(clean)
    }

    /// The range of a text, extended if it would split a secret, so that the excerpt can be redacted.
    #[must_use]
    pub fn whole(&self, text: &[u8], range: Range<usize>) -> Range<usize> {
        let Some(finder) = &self.finder else { return range };
        let cut = |at: usize| {
            let around = at.saturating_sub(self.longest())..text.len().min(at + self.longest());
            let mut found =
                finder.find_iter(&text[around.clone()]).map(|secret| around.start + secret.start()..around.start + secret.end());
            found.find(|secret| secret.start < at && at < secret.end)
        };
        let start = cut(range.start).map_or(range.start, |secret| secret.start);
        start..cut(range.end).map_or(range.end, |secret| secret.end)
    }

    /// The length of the longest secret in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.secrets.iter().map(String::len).max().unwrap_or(0)
    }

    /// Redacts in place.
    pub fn clean(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.redact(text) {
            *text = clean;
        }
    }

    /// Redacts all texts in a value.
    pub fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.clean(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.clean_value(field)),
            _ => {}
        }
    }

    /// From where on the text may be the beginning of a secret, or of a longer one.
    fn open_end(&self, text: &str) -> usize {
        let last = self.finder.as_ref().and_then(|finder| finder.find_iter(text).last());
        // The rest of the last secret is not part of another one.
        let after = last.map_or(0, |secret| secret.end());
        let from = text.ceil_char_boundary(after.max((text.len() + 1).saturating_sub(self.longest())));
        let starts = (from..text.len()).filter(|at| self.beginnings.contains(&text.as_bytes()[*at]) && text.is_char_boundary(*at));
        let mut starts = last.map(|secret| secret.start()).into_iter().chain(starts);
        starts.find(|at| self.is_begun(&text[*at..])).unwrap_or(text.len())
    }

    /// Whether a longer secret begins with the text.
    fn is_begun(&self, text: &str) -> bool {
        // They are sorted, so that a longer one follows immediately.
        let behind = self.secrets.partition_point(|secret| secret.as_str() <= text);
        self.secrets.get(behind).is_some_and(|secret| secret.starts_with(text))
    }
}

/// Redacts a stream. A possible beginning of a secret is held back until more text arrives.
#[derive(Debug, Default)]
pub struct Redactor {
    kept: String,
}

impl Redactor {
    /// The text so far that is certain, without secrets.
    pub fn push(&mut self, secrets: &KnownSecrets, text: &str) -> String {
        if secrets.finder.is_none() {
            return text.to_owned();
        }
        self.kept.push_str(text);
        let whole = std::mem::take(&mut self.kept);
        let certain = secrets.open_end(&whole);
        self.kept.push_str(&whole[certain..]);
        secrets.redact(&whole[..certain]).into_owned()
    }

    /// The held-back text at the end; it may contain a shorter secret.
    pub fn finish(&mut self, secrets: &KnownSecrets) -> String {
        secrets.redact(&std::mem::take(&mut self.kept)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KEYS: [&str; 4] = ["sk-OPENAISECRET", "sk-OPENAISECRET-longer-1", "ABCABCABCABCABD", "gsk_0123456789abcdef"];

    #[test]
    fn secrets_go_and_words_stay() {
        let secrets =
            KnownSecrets::new(KEYS.into_iter().chain(["lm-studio", "no-key-required", "sk-no-key-required", "k", "secret-key", ""]));
        assert_eq!(secrets.redact("a=sk-OPENAISECRET b"), "a=[redacted key] b");
        assert_eq!(secrets.redact("sk-OPENAISECRET-longer-1sk-OPENAISECRET-longer"), "[redacted key][redacted key]-longer");
        for text in ["lm-studio needs no-key-required", "sk-no-key-required", "k secret-key", "sk-OPENAI SECRET", ""] {
            assert!(matches!(secrets.redact(text), Cow::Borrowed(_)), "{text}");
        }
        let mut value = json!({ "a": ["x sk-OPENAISECRET", 1], "b": { "c": "gsk_0123456789abcdef" } });
        secrets.clean_value(&mut value);
        assert_eq!(value, json!({ "a": ["x [redacted key]", 1], "b": { "c": "[redacted key]" } }));
        assert_eq!(KnownSecrets::new(["short"]).redact("short"), "short");
    }

    #[test]
    fn nothing_is_kept_back_without_need() {
        let (secrets, mut redactor) = (KnownSecrets::new(KEYS), Redactor::default());
        assert_eq!(redactor.push(&secrets, "$ "), "$ ");
        assert_eq!(redactor.push(&secrets, "ask s"), "ask ");
        assert_eq!(redactor.push(&secrets, "k-"), "");
        assert_eq!(redactor.push(&secrets, "x\n"), "sk-x\n");
        // A longer secret begins with this one.
        assert_eq!(redactor.push(&secrets, "sk-OPENAISECRET-lon"), "");
        assert_eq!(redactor.push(&secrets, "g x"), "[redacted key]-long x");
        assert_eq!((redactor.push(&secrets, "sk-OPENAISECRET"), redactor.finish(&secrets)), (String::new(), "[redacted key]".to_owned()));
        assert_eq!(redactor.push(&secrets, "ABCABCABCABCABD"), "[redacted key]");
    }

    #[test]
    fn a_cut_takes_a_secret_as_a_whole() {
        let secrets = KnownSecrets::new(KEYS);
        let text = b"ab sk-OPENAISECRET cd gsk_0123456789abcdef";
        for (range, expected) in
            [(0..2, 0..2), (0..3, 0..3), (0..4, 0..18), (5..10, 3..18), (18..30, 18..42), (3..18, 3..18), (0..42, 0..42)]
        {
            assert_eq!(secrets.whole(text, range.clone()), expected, "{range:?}");
        }
        assert_eq!(KnownSecrets::default().whole(text, 4..6), 4..6);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(texts in prop::collection::vec(prop_oneof![prop::sample::select(&KEYS[..]).prop_map(str::to_owned), "[A-Cs\\-kOé ]{0,6}", "(ABC){1,5}"], 0..8), cuts in prop::collection::vec(0usize..120, 0..9)) {
            let secrets = KnownSecrets::new(KEYS);
            let text = texts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).collect();
            cuts.sort_unstable();
            let (mut redactor, mut clean, mut from) = (Redactor::default(), String::new(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                clean.push_str(&redactor.push(&secrets, &text[from..cut]));
                from = cut;
            }
            clean.push_str(&redactor.finish(&secrets));
            prop_assert_eq!(&clean, &secrets.redact(&text));
            prop_assert!(!secrets.is_in(&clean) || text.contains("[redacted"));
        }
    }
}
