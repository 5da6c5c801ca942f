//! The pattern language of permission rules: `*` is any run of characters (slashes and newlines too), `?` is one, `[*]`
//! and `[?]` are the characters themselves, everything else is itself, and the whole text must match. Matching never
//! backtracks further than the last `*`.

/// A wildcard pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Any,
}

impl Pattern {
    /// Reads a pattern. A leading `~` or `$HOME`, alone or before a slash, stands for `home`, whose characters are literal.
    pub fn new(text: &str, home: Option<&str>) -> Self {
        let after_home =
            ["~", "$HOME"].iter().find_map(|prefix| text.strip_prefix(prefix)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let (literal, rest) = match (after_home, home) {
            (Some(rest), Some(home)) => (home.trim_end_matches('/'), rest),
            _ => ("", text),
        };
        let mut tokens: Vec<Token> = literal.chars().map(Token::Literal).collect();
        let mut characters = rest.chars();
        while let Some(character) = characters.next() {
            if character == '['
                && let Some(literal @ ('*' | '?')) = characters.clone().next()
                && characters.clone().nth(1) == Some(']')
            {
                characters.nth(1);
                tokens.push(Token::Literal(literal));
                continue;
            }
            match character {
                '*' if tokens.last() == Some(&Token::Any) => {}
                '*' => tokens.push(Token::Any),
                '?' => tokens.push(Token::One),
                other => tokens.push(Token::Literal(other)),
            }
        }
        Self { tokens }
    }

    /// The pattern that matches this text alone.
    pub fn literal(text: &str) -> String {
        text.chars().fold(String::with_capacity(text.len()), |mut pattern, character| {
            match character {
                '*' | '?' => pattern.extend(['[', character, ']']),
                _ => pattern.push(character),
            }
            pattern
        })
    }

    /// Whether everything that the pattern `other` matches is matched by this one; false where that is not plain to see. Both
    /// are read without a home, so that `~` is the same in both.
    pub fn covers(&self, other: &str) -> bool {
        let other = Self::new(other, None);
        let bare = match other.tokens.as_slice() {
            [start @ .., Token::Literal(' '), Token::Any] => self.covers_tokens(start),
            _ => true,
        };
        bare && self.covers_tokens(&other.tokens)
    }

    /// Tries texts in which a character that only wildcards match stands for `?` and, several times or not at all, for `*`:
    /// so often that `?` alone cannot match them.
    fn covers_tokens(&self, tokens: &[Token]) -> bool {
        const WILDCARDS: usize = 16;
        const NOBODY: char = '\u{10ffff}';
        let ones = self.tokens.iter().filter(|token| **token == Token::One).count();
        let stars = tokens.iter().filter(|token| **token == Token::Any).count();
        if ones > WILDCARDS || stars > WILDCARDS || tokens.contains(&Token::Literal(NOBODY)) {
            return false;
        }
        let covers = |length: &dyn Fn(usize) -> usize| {
            let (mut text, mut star) = (String::new(), 0);
            for token in tokens {
                match token {
                    Token::Literal(literal) => text.push(*literal),
                    Token::One => text.push(NOBODY),
                    Token::Any => {
                        text.extend(std::iter::repeat_n(NOBODY, length(star)));
                        star += 1;
                    }
                }
            }
            self.matches(&text)
        };
        let long = ones + 1;
        (0..=long).all(|length| covers(&|_| length))
            && (0..stars)
                .all(|one| covers(&|star| if star == one { long } else { 0 }) && covers(&|star| if star == one { 0 } else { long }))
    }

    /// Whether the whole text matches. A pattern that ends in ` *` also matches without that end: `git *` matches `git`.
    pub fn matches(&self, text: &str) -> bool {
        let bare = match self.tokens.as_slice() {
            [start @ .., Token::Literal(' '), Token::Any] => whole(start, text),
            _ => false,
        };
        bare || whole(&self.tokens, text)
    }
}

/// Greedy matching: on a mismatch only the last `*` takes one character more, so the work is at most pattern times text.
fn whole(tokens: &[Token], text: &str) -> bool {
    let mut rest = text.chars();
    let mut position = 0;
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        if tokens.get(position) == Some(&Token::Any) {
            position += 1;
            retry = Some((position, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        let matched = match (tokens.get(position), ahead.next()) {
            (None, None) => return true,
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Literal(expected)), Some(found)) => *expected == found,
            _ => false,
        };
        if matched {
            position += 1;
            rest = ahead;
            continue;
        }
        let Some((after, from)) = retry.as_mut() else { return false };
        if from.next().is_none() {
            return false;
        }
        position = *after;
        rest = from.clone();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pattern;

    /// The definition, by plain recursion.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| oracle(rest, &text[taken..])),
            Some(('?', rest)) => !text.is_empty() && oracle(rest, &text[1..]),
            Some((literal, rest)) => text.first() == Some(literal) && oracle(rest, &text[1..]),
        }
    }

    fn defined(pattern: &str, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let plain = oracle(&pattern.chars().collect::<Vec<_>>(), &text);
        // Several stars in a row are one.
        let ends = pattern.trim_end_matches('*');
        let pattern = if ends.len() < pattern.len() { format!("{ends}*") } else { pattern.to_owned() };
        plain || pattern.strip_suffix(" *").is_some_and(|bare| oracle(&bare.chars().collect::<Vec<_>>(), &text))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn agrees_with_the_definition(pattern in "[ab /\n*?ä]{0,8}", text in "[ab /\n*?ä]{0,10}") {
            prop_assert_eq!(Pattern::new(&pattern, None).matches(&text), defined(&pattern, &text));
        }

        #[test]
        fn what_is_covered_is_matched(wide in "[ab *?]{0,6}", narrow in "[ab *?]{0,6}", texts in prop::collection::vec("[ab ]{0,7}", 20)) {
            let (wide, matcher) = (Pattern::new(&wide, None), Pattern::new(&narrow, None));
            if wide.covers(&narrow) {
                for text in texts {
                    prop_assert!(!matcher.matches(&text) || wide.matches(&text), "{:?} is matched by {} alone", text, narrow);
                }
            }
        }

        #[test]
        fn a_pattern_made_from_a_text_matches_it(text in "[a-c /]{1,20}", holes in prop::collection::vec((0usize..20, any::<bool>()), 0..5)) {
            let mut pattern: Vec<char> = text.chars().collect();
            for (at, one) in holes {
                if let Some(place) = pattern.get_mut(at) {
                    *place = if one { '?' } else { '*' };
                }
            }
            let pattern: String = pattern.into_iter().collect();
            prop_assert!(Pattern::new(&pattern, None).matches(&text));
        }
    }

    #[test]
    fn examples() {
        for (pattern, text, expected) in [
            ("git *", "git", true),
            ("git *", "git status", true),
            ("git *", "gitk", false),
            ("git*", "gitk", true),
            ("git status", "git status -s", false),
            ("*.env", "a/b/.env", true),
            ("a*c", "a\n/\nc", true),
            ("(a|b).[x]", "(a|b).[x]", true),
            ("", "", true),
            ("", "a", false),
            (" *", "", true),
            ("~", "~", true),
        ] {
            assert_eq!(Pattern::new(pattern, None).matches(text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn narrower_patterns_are_covered() {
        for (wide, narrow, expected) in [
            ("*", "anything *", true),
            ("git *", "git status *", true),
            ("git *", "git", true),
            ("git *", "git *", true),
            ("git status *", "git *", false),
            ("git status *", "git status*", false),
            ("a?", "a*", false),
            ("a?", "ab", true),
            ("a?*", "a*", false),
            ("*.rs", "src/*.rs", true),
            ("~/x/*", "~/x/y", true),
            ("~/x/*", "/home/u/x/y", false),
            ("[*]", "*", false),
            ("x", "y", false),
        ] {
            assert_eq!(Pattern::new(wide, None).covers(narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn home_is_expanded_at_the_start_and_is_literal() {
        let home = Some("/home/a*b/");
        assert!(Pattern::new("~/x/*", home).matches("/home/a*b/x/y"));
        assert!(Pattern::new("$HOME/x/*", home).matches("/home/a*b/x/y"));
        assert!(Pattern::new("~", home).matches("/home/a*b"));
        assert!(!Pattern::new("~/x/*", home).matches("/home/aab/x/y"));
        assert!(!Pattern::new("~root/x", home).matches("/home/a*broot/x"));
        assert!(!Pattern::new("echo ~/x", home).matches("echo /home/a*b/x"));
    }

    #[test]
    fn a_literal_pattern_matches_its_text_alone() {
        for text in ["find . -name *.rs", "a?b", "[*]", "[?", "x [*", "*", "ls *", "[[*]]", "a*]"] {
            let pattern = Pattern::new(&Pattern::literal(text), None);
            assert!(pattern.matches(text), "{text}");
            for other in [text.replace('*', "x"), text.replace('?', "x"), format!("{text}x"), text.replace(" *", "")] {
                assert!(other == text || !pattern.matches(&other), "{text} matches {other}");
            }
        }
        assert!(Pattern::new("[*]x*", None).matches("*xy"));
        assert!(Pattern::new("[a]", None).matches("[a]"));
    }

    #[test]
    fn many_stars_are_not_exponential() {
        let pattern = Pattern::new(&"*a".repeat(200), None);
        assert!(!pattern.matches(&format!("{}b", "a".repeat(20_000))));
    }
}
