//! Takes what may be a secret out of texts for people: the last net behind places that should not let one through.
//! It would rather hide too much than too little.

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Secrets shorter than this are words that occur everywhere.
const SHORTEST: usize = 6;

/// Words of this length after `Bearer` are no English.
const LONG: usize = 16;

/// How keys of well-known services begin.
const PREFIXES: &[&str] =
    &["sk-", "sk_", "pk-", "rk_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "AIza", "hf_"];

/// How names of secrets end.
const NAMES: &[&str] = &["key", "token", "secret", "password", "passwd", "passphrase", "authorization", "credential", "cookie"];

/// Whether a variable or field of this name may hold a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    NAMES.iter().any(|ending| name.ends_with(ending) || name.ends_with(&format!("{ending}s")) && *ending != "token")
}

/// The text without users and passwords in addresses, without what is called a key or token, without what looks like
/// one, and without the given `secrets`.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
    // The longest first: one may be the beginning of another.
    known.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let text =
        known.into_iter().fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, MASK) } else { text });
    words(&without_users(&text))
}

/// The text with `***` in the place of every `user:password` before a host.
fn without_users(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`')).unwrap_or(after.len());
        // A password with a slash in it ends the host too early; what follows the colon is then no port.
        let port = after[..end].rsplit_once(':').map_or("", |(_, port)| port);
        let is_host = !after[..end].contains(':') || !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let far = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(after.len());
        rest = match after[..if is_host { end } else { far }].rfind('@') {
            Some(at) => {
                clean.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}

/// Masks the values of `name=value`, `name: value` and `Bearer value`, and words that begin as keys do.
fn words(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '~' | '%' | '*');
    let mut clean = String::with_capacity(text.len());
    // Whether the next word is a value that must not be shown, and whether the one before named a way to log in.
    let (mut hides, mut logs_in) = (false, false);
    let mut rest = text;
    while !rest.is_empty() {
        let mut length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let quote = clean.chars().last().filter(|last| hides && matches!(last, '"' | '\''));
        if let Some(quote) = quote {
            length = rest.find(quote).unwrap_or(rest.len());
        }
        let (word, after) = rest.split_at(length);
        let (gap, next) = after.split_at(after.find(is_word).unwrap_or(after.len()));
        let is_scheme = quote.is_none() && (word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic"));
        if looks_like_key(word) || !is_scheme && !word.is_empty() && (hides || logs_in && word.len() >= LONG) {
            clean.push_str(MASK);
            (hides, logs_in) = (false, false);
        } else {
            clean.push_str(word);
            if !word.is_empty() {
                let assigns = gap.trim_start_matches(['"', '\'']).starts_with(['=', ':']) && !next.starts_with("//");
                hides = hides && is_scheme || assigns && is_secret_name(word);
                logs_in = is_scheme;
            }
        }
        clean.push_str(gap);
        rest = next;
    }
    clean
}

fn looks_like_key(word: &str) -> bool {
    PREFIXES.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_secret_is_hidden() {
        for (text, clean) in [
            ("cannot reach http://me:hunter2@host:80/v1?x=1", "cannot reach http://***@host:80/v1?x=1"),
            ("two: https://a:b@c/d and ftp://e@f", "two: https://***@c/d and ftp://***@f"),
            ("at http://a:p/w@host/", "at http://***@host/"),
            ("the key sk-abcdefghijklmnop is wrong", "the key *** is wrong"),
            ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
            ("authorization=Basic dXNlcjpwYXNz; next", "authorization=Basic ***; next"),
            (r#"{"apiKey":"abc","limit":5}"#, r#"{"apiKey":"***","limit":5}"#),
            ("GET /v1?api_key=abc&page=2", "GET /v1?api_key=***&page=2"),
            ("OPENAI_API_KEY=abc make", "OPENAI_API_KEY=*** make"),
            ("sent Bearer abcdefghijklmnopqrst to it", "sent Bearer *** to it"),
            (r#"{"password": "x y", "a": 1}"#, r#"{"password": "***", "a": 1}"#),
            ("password: x y", "password: *** y"),
            ("a secret of mine: mySecret!", "a secret of mine: ***!"),
        ] {
            assert_eq!(redact(text, ["mySecret"]), clean, "{text}");
        }
    }

    #[test]
    fn the_rest_stays() {
        for text in [
            "",
            "max_tokens: 400, used tokens=12",
            "the settings /home/a/polytree.json:3:7: unknown key `modle`; the nearest key is `model`",
            "a keyboard: yes; monkey business",
            "mail a@b.c and see https://host/path@2",
            "sk-short",
            "basically: a bearer of news",
        ] {
            assert_eq!(redact(text, ["abc"]), text);
        }
    }

    proptest! {
        #[test]
        fn a_password_in_an_address_never_stays(before in "[ a-z:=/]{0,12}", password in "P[a-zA-Z0-9:!$&=+-]{8,20}W", after in "[ a-z/:=@]{0,12}") {
            let clean = redact(&format!("{before}http://u:{password}@host{after}"), []);
            prop_assert!(!clean.contains(&password), "{}", clean);
        }

        #[test]
        fn a_known_secret_never_stays(before in ".{0,12}", secret in "[a-zA-Z0-9]{8,20}", after in ".{0,12}") {
            let clean = redact(&format!("{before}{secret}{after}"), [secret.as_str()]);
            prop_assert!(!clean.contains(&secret), "{}", clean);
        }
    }
}
