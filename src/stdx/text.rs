//! Cutting and comparing text.

/// The longest prefix of at most `bytes` bytes that ends at a character.
#[must_use]
pub fn prefix(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The longest suffix of at most `bytes` bytes that begins at a character.
#[must_use]
pub fn suffix(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

/// The text, or its first characters and `...` when it has more than `max` characters.
#[must_use]
pub fn ellipsis(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(3)).chain("...".chars()).collect(),
    }
}

/// A unified diff of two texts with three lines of context, headed by the path on both sides.
#[must_use]
pub fn unified_diff(path: &str, old: &str, new: &str) -> String {
    // Texts of many lines that have little in common would take minutes; past the timeout the diff is right, but not the shortest.
    similar::TextDiff::configure()
        .timeout(std::time::Duration::from_secs(1))
        .diff_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(path, path)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_characters() {
        assert_eq!(prefix("aäb", 2), "a");
        assert_eq!(suffix("aäb", 2), "b");
        assert_eq!(ellipsis("abcdef", 6), "abcdef");
        assert_eq!(ellipsis("abcdefg", 6), "abc...");
    }
}
