//! Patterns that may be literal names: routes of web frameworks have directories such as `[slug]`, `[...all]` and
//! `{id}`. Pure.

/// The pattern, and variants in which its brackets, braces or both are literal.
pub(super) fn literal_variants(pattern: &str) -> Vec<String> {
    let (brackets, braces) = (&['[', ']'][..], &['{', '}'][..]);
    let mut literal_variants = vec![pattern.to_owned()];
    let literal = |kinds: &[&[char]]| {
        let mut text = String::with_capacity(pattern.len() * 2);
        for character in pattern.chars() {
            if kinds.iter().any(|kind| kind.contains(&character)) {
                text.extend(['[', character, ']']);
            } else {
                text.push(character);
            }
        }
        text
    };
    // With escapes the pattern is already explicit about literals.
    if !pattern.contains('\\') {
        let (has_brackets, has_braces) = (pattern.contains(brackets), pattern.contains(braces));
        literal_variants.extend(has_brackets.then(|| literal(&[brackets])));
        literal_variants.extend(has_braces.then(|| literal(&[braces])));
        literal_variants.extend((has_brackets && has_braces).then(|| literal(&[brackets, braces])));
    }
    literal_variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_braces_get_literal_variants() {
        assert_eq!(literal_variants("src/*.rs"), ["src/*.rs"]);
        assert_eq!(literal_variants("[a]/*"), ["[a]/*", "[[]a[]]/*"]);
        assert_eq!(literal_variants("{a}"), ["{a}", "[{]a[}]"]);
        assert_eq!(literal_variants("[a].{b,c}"), ["[a].{b,c}", "[[]a[]].{b,c}", "[a].[{]b,c[}]", "[[]a[]].[{]b,c[}]"]);
        assert_eq!(literal_variants("\\[a]"), ["\\[a]"]);
    }
}
