//! A text as it is, with everything that cannot be seen spelled out: what a person is asked to allow must be what is done.

/// Characters that are letters, marks or symbols and look like nothing.
const BLANK: [std::ops::RangeInclusive<char>; 10] = [
    '\u{34f}'..='\u{34f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2065}'..='\u{2065}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{e0100}'..='\u{e01ef}',
];

/// The text with what cannot be seen, and what turns the direction of writing, as `\u{202e}`. Newlines and tabs stay.
pub fn exact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || character == '\t' || (' '..='~').contains(&character) {
            shown.push(character);
            continue;
        }
        // Behind a letter, so that a combining mark counts as visible.
        let escaped: String = format!("a{character}").escape_debug().skip(1).collect();
        if escaped.starts_with("\\u{") || matches!(character, '\r' | '\0') {
            shown.push_str(&escaped);
        } else if BLANK.iter().any(|range| range.contains(&character)) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        assert_eq!(exact("rm \"a\" 'b' \\ é e\u{301} 漢\n\t"), "rm \"a\" 'b' \\ é e\u{301} 漢\n\t");
        // The page has the same list: tests/clients/visible.test.mjs.
        for (text, shown) in [
            ("a\u{1b}[8mb\u{200b}\u{202e}\u{a0}\r\0", "a\\u{1b}[8mb\\u{200b}\\u{202e}\\u{a0}\\r\\0"),
            ("\u{2066}x\u{2069}\u{feff}\u{ad}\u{2028}\u{3000}", "\\u{2066}x\\u{2069}\\u{feff}\\u{ad}\\u{2028}\\u{3000}"),
            ("\u{3164}\u{115f}\u{2800}\u{fe0f}\u{34f}\u{e0041}\u{7f}", "\\u{3164}\\u{115f}\\u{2800}\\u{fe0f}\\u{34f}\\u{e0041}\\u{7f}"),
        ] {
            assert_eq!(exact(text), shown);
            assert_eq!(exact(shown), shown, "it is the same when shown again");
        }
    }
}
