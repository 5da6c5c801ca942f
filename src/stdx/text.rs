//! Cutting and comparing text.

/// The longest prefix of at most `bytes` bytes that ends at a character.
pub fn prefix(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The longest suffix of at most `bytes` bytes that begins at a character.
pub fn suffix(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

/// The text, or its first characters and `...` when it has more than `max` characters.
pub fn ellipsis(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(3)).chain("...".chars()).collect(),
    }
}

/// The text as one line of at most `max` characters: white space and control characters become single spaces, and the
/// characters that make a terminal or a page show other text than there is (directions, invisible ones) go.
pub fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    // No more is looked at than can be shown, however long the text is.
    let mut left = max + 1;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
                left -= 1;
            }
        } else if !is_deceptive(character) {
            line.push(character);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    ellipsis(line.trim_end(), max)
}

/// Characters without a shape of their own that reorder or hide others. Joiners stay: emoji and many scripts need them.
fn is_deceptive(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A unified diff of two texts with three lines of context, headed by the path on both sides.
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

    #[test]
    fn one_line_shows_what_there_is() {
        assert_eq!(one_line("  a\t\r\n b \u{85}c\u{2028}d ", 20), "a b c d");
        assert_eq!(one_line("\u{1b}[31mred\u{7}\u{9b}m\0", 20), "[31mred m");
        assert_eq!(one_line("gnp\u{202e}exe\u{2066}.\u{feff}x\u{200b}", 20), "gnpexe.x");
        assert_eq!(one_line("\u{1f468}\u{200d}\u{1f469} कि\u{200c}", 20), "\u{1f468}\u{200d}\u{1f469} कि\u{200c}");
        assert_eq!(one_line(&"ä".repeat(6), 6), "ä".repeat(6));
        assert_eq!(one_line(&"ä".repeat(7), 6), "äää...");
        assert_eq!(one_line("ab cd  ", 5), "ab cd");
        assert_eq!(one_line(" \n\u{1b} ", 5), "");
    }
}
