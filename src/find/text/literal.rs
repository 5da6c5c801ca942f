//! Patterns that are names: routes of web frameworks have directories such as `[slug]`, `[...all]` and `{id}`. Pure.

/// The pattern, and the same with its brackets, its braces, or both as the characters that they are.
pub(super) fn readings(pattern: &str) -> Vec<String> {
    let (brackets, braces) = (&['[', ']'][..], &['{', '}'][..]);
    let mut readings = vec![pattern.to_owned()];
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
    // After a backslash a character is literal already, and in brackets it would be another pattern.
    if !pattern.contains('\\') {
        let (has_brackets, has_braces) = (pattern.contains(brackets), pattern.contains(braces));
        readings.extend(has_brackets.then(|| literal(&[brackets])));
        readings.extend(has_braces.then(|| literal(&[braces])));
        readings.extend((has_brackets && has_braces).then(|| literal(&[brackets, braces])));
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_in_both_ways() {
        assert_eq!(readings("src/*.rs"), ["src/*.rs"]);
        assert_eq!(readings("[a]/*"), ["[a]/*", "[[]a[]]/*"]);
        assert_eq!(readings("{a}"), ["{a}", "[{]a[}]"]);
        assert_eq!(readings("[a].{b,c}"), ["[a].{b,c}", "[[]a[]].{b,c}", "[a].[{]b,c[}]", "[[]a[]].[{]b,c[}]"]);
        assert_eq!(readings("\\[a]"), ["\\[a]"]);
    }
}
