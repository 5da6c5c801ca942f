//! Sanitizes text of models, tools and file names for a terminal: removes escape sequences and characters that reorder or
//! hide text. Keeps all readable text in its order.

pub use crate::stdx::visible::exact;

/// Removes escape sequences and control characters from a text that arrives in chunks, which may split a sequence. Keeps
/// newlines and tabs; removes carriage returns; characters that change the direction of writing become U+FFFD.
#[derive(Debug, Default, Clone)]
pub struct Sanitizer {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC and optional intermediates.
    Escape,
    /// In a control sequence: parameters, then a final character.
    Control,
    /// In a control string (a title, a link), up to its terminator.
    Command,
    /// In a control string, after ESC.
    CommandEscape,
}

impl Sanitizer {
    /// Sanitizes the next chunk.
    pub fn push(&mut self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for character in text.chars() {
            self.step(character, &mut clean);
        }
        clean
    }

    #[expect(clippy::match_same_arms, reason = "the order of the arms is the order of precedence")]
    fn step(&mut self, character: char, clean: &mut String) {
        self.state = match (self.state, character) {
            // A control string without a terminator must not swallow the rest of the text.
            (State::Command | State::CommandEscape, '\n') => {
                clean.push('\n');
                State::Text
            }
            (State::Command, '\u{7}' | '\u{9c}') | (State::CommandEscape, '\\') => State::Text,
            (State::Command | State::CommandEscape, '\u{1b}') => State::CommandEscape,
            (State::Command | State::CommandEscape, _) => State::Command,
            (_, '\u{1b}') | (State::Escape, ' '..='/') => State::Escape,
            (State::Escape, '[') | (_, '\u{9b}') | (State::Control, ' '..='?') => State::Control,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') | (_, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => State::Command,
            (State::Escape, '0'..='~') | (State::Control, '@'..='~') => State::Text,
            (_, character) => {
                match character {
                    '\n' | '\t' => clean.push(character),
                    character if character.is_control() => {}
                    '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => clean.push('\u{fffd}'),
                    character => clean.push(character),
                }
                State::Text
            }
        };
    }
}

/// Sanitizes a text, with its lines.
#[must_use]
pub fn text(text: &str) -> String {
    Sanitizer::default().push(text)
}

/// Sanitizes a text to one line: runs of white space become one blank.
#[must_use]
pub fn line(text: &str) -> String {
    self::text(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        let cases = [
            ("plain ä 漢\n\ttext", "plain ä 漢\n\ttext"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]52;c;never ended\nnext", "\nnext"),
            ("\u{9b}2Jclear\u{9d}x\u{9c}y", "cleary"),
            ("\u{1b}(Bset \u{1b}c reset", "set  reset"),
            ("\u{1b}\u{1b}[1mx", "x"),
            ("safe\rover\u{8}\u{7f}", "safeover"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("\u{1b}[12\nx", "\nx"),
        ];
        for (given, expected) in cases {
            assert_eq!(text(given), expected, "{given:?}");
        }
        assert_eq!(line(" a\n\tb \u{1b}[1mc"), "a b c");
    }

    fn harmless(text: &str) -> bool {
        text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()) && !text.contains(['\u{202e}', '\u{2066}'])
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            Just("\u{1b}".to_owned()),
            Just("[31m".to_owned()),
            Just("]0;".to_owned()),
            Just("\u{7}".to_owned()),
            Just("\u{9b}".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\n".to_owned()),
            "[a-z ]{0,5}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_and_pieces_do_not_matter(given in hostile(), cut in 0usize..64) {
            let whole = text(&given);
            prop_assert!(harmless(&whole), "{whole:?}");
            let cut = given.floor_char_boundary(cut);
            let mut sanitizer = Sanitizer::default();
            let pieces = sanitizer.push(&given[..cut]) + &sanitizer.push(&given[cut..]);
            prop_assert_eq!(pieces, whole);
            prop_assert!(harmless(&exact(&given)));
        }

        #[test]
        fn text_without_control_characters_is_kept(given in "[^\\p{C}]*") {
            prop_assert_eq!(text(&given), given);
        }
    }
}
