//! What a terminal would show in the end of what a command prints: a line that is drawn again counts as its last state,
//! and colours and other control sequences are left out. Lines that are far above can no longer be drawn again. Pure.

/// How many bytes of finished lines are held back, in case the cursor goes up again.
const HELD: usize = 16 * 1024;
/// A line of more characters is passed on in pieces and not drawn again.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// No cursor goes further to the right or further up or down at once.
const FARTHEST: usize = 100;

/// Where a control sequence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// In none.
    None,
    /// After ESC.
    Begun,
    /// After ESC and an intermediate byte: one more follows.
    Charset,
    /// In `ESC [ …`.
    Control,
    /// In a string such as a title, which BEL or ESC `\` ends.
    Text,
    /// After an ESC in such a string.
    TextEnd,
}

/// A screen that only remembers its last lines.
#[derive(Debug)]
pub(super) struct Screen {
    /// Lines above, each with its end.
    above: String,
    /// The line of the cursor.
    line: Vec<char>,
    column: usize,
    /// After a carriage return: the next character begins the line anew.
    is_returned: bool,
    /// Lines below, the nearest last.
    below: Vec<Vec<char>>,
    escape: Escape,
    parameters: String,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            above: String::new(),
            line: Vec::new(),
            column: 0,
            is_returned: false,
            below: Vec::new(),
            escape: Escape::None,
            parameters: String::new(),
        }
    }
}

impl Screen {
    /// Takes more output and gives what can no longer change.
    pub(super) fn push(&mut self, text: &str) -> String {
        let mut rest = text;
        while !rest.is_empty() {
            if self.escape == Escape::None && self.line.is_empty() && self.below.is_empty() && self.column == 0 {
                // Whole lines without control characters, which is what most output is.
                let plain = rest.bytes().position(is_control).unwrap_or(rest.len());
                let lines = rest[..plain].rfind('\n').map_or(0, |at| at + 1);
                self.above.push_str(&rest[..lines]);
                rest = &rest[lines..];
            }
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            rest[..end].chars().for_each(|character| self.take(character));
            rest = &rest[end..];
        }
        self.settled()
    }

    /// All that is left.
    pub(super) fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.above);
        text.extend(self.line.drain(..));
        while let Some(line) = self.below.pop() {
            text.push('\n');
            text.extend(line);
        }
        self.column = 0;
        text
    }

    fn settled(&mut self) -> String {
        if self.above.len() <= HELD {
            return String::new();
        }
        let from = self.above.floor_char_boundary(self.above.len() - HELD / 2);
        let at = match self.above[..from].rfind('\n') {
            Some(at) => at + 1,
            // A line without an end.
            None if self.above.len() > 4 * MAX_LINE_BYTES => from,
            None => return String::new(),
        };
        let held = self.above.split_off(at);
        std::mem::replace(&mut self.above, held)
    }

    fn take(&mut self, character: char) {
        match self.escape {
            Escape::None => self.show(character),
            Escape::Begun => {
                self.escape = match character {
                    '[' => {
                        self.parameters.clear();
                        Escape::Control
                    }
                    ']' | 'P' | 'X' | '^' | '_' => Escape::Text,
                    '(' | ')' | '*' | '+' | '#' | '%' | ' ' => Escape::Charset,
                    '\u{1b}' => Escape::Begun,
                    _ => Escape::None,
                };
            }
            Escape::Charset => self.escape = Escape::None,
            Escape::Control => match character {
                '\u{40}'..='\u{7e}' => {
                    self.escape = Escape::None;
                    self.control(character);
                }
                '\u{1b}' => self.escape = Escape::Begun,
                '\u{20}'..='\u{3f}' => {
                    if self.parameters.len() < 64 {
                        self.parameters.push(character);
                    }
                }
                // It was none: what a sequence cannot hold ends it.
                _ => {
                    self.escape = Escape::None;
                    self.show(character);
                }
            },
            Escape::Text => match character {
                '\u{7}' => self.escape = Escape::None,
                '\u{1b}' => self.escape = Escape::TextEnd,
                // A title is one line; this one has never ended.
                '\n' => {
                    self.escape = Escape::None;
                    self.show(character);
                }
                _ => {}
            },
            Escape::TextEnd => self.escape = if character == '\\' { Escape::None } else { Escape::Text },
        }
    }

    fn show(&mut self, character: char) {
        match character {
            '\n' => self.down(),
            '\r' => (self.column, self.is_returned) = (0, true),
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\u{1b}' => self.escape = Escape::Begun,
            '\t' | '\u{c}' | '\u{20}'..='\u{7e}' | '\u{a0}'.. => self.put(character),
            _ => {}
        }
    }

    fn put(&mut self, character: char) {
        // A mixture of two states of the line would show what was never printed.
        if std::mem::take(&mut self.is_returned) && self.column == 0 {
            self.line.clear();
        }
        if self.column < self.line.len() {
            self.line[self.column] = character;
        } else {
            self.line.resize(self.column, ' ');
            self.line.push(character);
        }
        self.column += 1;
        if self.line.len() >= MAX_LINE_BYTES && self.column == self.line.len() && self.below.is_empty() {
            self.above.extend(self.line.drain(..));
            self.column = 0;
        }
    }

    /// To the beginning of the next line.
    fn down(&mut self) {
        self.above.extend(self.line.drain(..));
        self.above.push('\n');
        self.line = self.below.pop().unwrap_or_default();
        (self.column, self.is_returned) = (0, false);
    }

    fn up(&mut self) {
        let Some(body) = self.above.strip_suffix('\n') else { return };
        let start = body.rfind('\n').map_or(0, |at| at + 1);
        let line = body[start..].chars().collect();
        self.above.truncate(start);
        self.below.push(std::mem::replace(&mut self.line, line));
    }

    fn control(&mut self, last: char) {
        let first = self.parameters.split(';').next().unwrap_or_default();
        let number = first.parse::<usize>().unwrap_or(0);
        let times = number.clamp(1, FARTHEST);
        let column = self.column;
        // Where the cursor is moved on purpose, the rest of the line is meant to stay.
        self.is_returned &= last == 'm';
        match last {
            'A' | 'F' => {
                (0..times).for_each(|_| self.up());
                self.column = if last == 'F' { 0 } else { column };
            }
            'B' | 'E' => {
                // Below the last line there is nothing to go to.
                (0..times.min(self.below.len())).for_each(|_| self.down());
                self.column = if last == 'E' { 0 } else { column };
            }
            'C' => self.column = (column + times).min(MAX_LINE_BYTES.max(column)),
            'D' => self.column = column.saturating_sub(times),
            'G' | '`' => self.column = number.clamp(1, MAX_LINE_BYTES) - 1,
            'K' => self.erase(number),
            'J' if number == 0 => {
                self.erase(0);
                self.below.clear();
            }
            'P' => drop(self.line.drain(column.min(self.line.len())..(column + times).min(self.line.len()))),
            'X' => {
                let end = (column + times).min(self.line.len());
                self.line[column.min(end)..end].fill(' ');
            }
            _ => {}
        }
    }

    fn erase(&mut self, how: usize) {
        match how {
            0 => self.line.truncate(self.column),
            1 => {
                let end = (self.column + 1).min(self.line.len());
                self.line[..end].fill(' ');
            }
            _ => self.line.clear(),
        }
    }
}

/// What is more than a character of a line; the end of a line is none.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && byte != b'\n' && byte != b'\t' || byte == 0x7f || byte == 0xc2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(portions: &[&str]) -> String {
        let mut screen = Screen::default();
        let mut text: String = portions.iter().map(|portion| screen.push(portion)).collect();
        text.push_str(&screen.finish());
        text
    }

    #[test]
    fn a_line_counts_as_its_last_state() {
        for (printed, expected) in [
            ("\rat 1\rat 2\rat 3, done\n", "at 3, done\n"),
            ("100 %\r5\n", "5\n"),
            ("key: value\rname: b\r", "name: b"),
            ("key: value\r\u{1b}[32mname: b\u{1b}[0m\r\n", "name: b\n"),
            ("key: value\r\u{1b}[5CV\n", "key: Value\n"),
            ("\u{1b}[2K\u{1b}[Gone\u{1b}[2K\u{1b}[Gtwo\n", "two\n"),
            ("a long line\r\u{1b}[Kshort\n", "short\n"),
            ("ab\u{8}\u{8}cd\n", "cd\n"),
            ("x\u{1b}[31merror\u{1b}[0;1m: \u{1b}[mx\n", "xerror: x\n"),
            ("\u{1b}]0;title\u{7}ok\n\u{1b}]8;;http://a\u{1b}\\link\u{1b}]8;;\u{1b}\\\n", "ok\nlink\n"),
            ("\u{1b}(B\u{1b}=\u{1b}[?25lhidden cursor\u{1b}[?25h\n", "hidden cursor\n"),
            ("one\r\ntwo\r\n", "one\ntwo\n"),
            ("a\tb\n\u{c}\u{7}ü€😀\n", "a\tb\n\u{c}ü€😀\n"),
            ("no end", "no end"),
            ("abcdef\u{1b}[3D\u{1b}[2P\n", "abcf\n"),
            ("a\u{1b}[5Cb\n", "a     b\n"),
            ("caf\u{e9}\u{a0}x\u{85}\n", "caf\u{e9}\u{a0}x\n"),
        ] {
            assert_eq!(shown(&[printed]), expected, "{printed:?}");
        }
    }

    #[test]
    fn lines_above_can_be_drawn_again() {
        let steps: String = (1..=200).map(|step| format!("\u{1b}[1A\u{1b}[2Kstep {step}\n")).collect();
        assert_eq!(shown(&[&steps]), "step 200\n");
        // Three jobs that are drawn together, as package managers do.
        let jobs: String =
            (1..=50).map(|step| format!("\u{1b}[3Aone {step}\u{1b}[K\ntwo {step}\u{1b}[K\nthree {step}\u{1b}[K\n")).collect();
        assert_eq!(shown(&["\n\n\n", &jobs, "done\n"]), "one 50\ntwo 50\nthree 50\ndone\n");
        assert_eq!(shown(&["above\none\ntwo\n\u{1b}[2A\u{1b}[Jnew\n"]), "above\nnew\n");
        assert_eq!(shown(&["one\ntwo\u{1b}[1A!\u{1b}[1B?\n"]), "one!\ntwo ?\n");
    }

    #[test]
    fn hostile_sequences_are_bounded() {
        let printed = format!("\u{1b}[{}C\u{1b}[99999999Ax\u{1b}[{}", "9".repeat(500), "1;".repeat(10_000));
        assert!(shown(&[&printed]).len() < 2 * MAX_LINE_BYTES);
        let long = "x".repeat(3 * MAX_LINE_BYTES);
        assert_eq!(shown(&[&long, "\n"]), format!("{long}\n"));
        let begun = std::time::Instant::now();
        assert!(shown(&[&"x".repeat(MAX_LINE_BYTES / 2), &"\u{8}y".repeat(200_000)]).len() == MAX_LINE_BYTES / 2);
        shown(&[&"\u{1b}[1000A\u{1b}[1000B".repeat(5_000)]);
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(pieces in prop::collection::vec(prop::sample::select(vec!["a", "é", "\n", "\r", "\u{8}", "\u{1b}", "[", "1", ";", "A", "B", "C", "D", "G", "K", "J", "m", "]", "\u{7}", "\t"]), 0..60)) {
            let whole: String = pieces.concat();
            prop_assert_eq!(shown(&pieces), shown(&[&whole]));
        }

        #[test]
        fn plain_text_stays(lines in prop::collection::vec("[a-zé€\t ]{0,20}", 0..40), repeat in 1..80usize) {
            let text = lines.join("\n").repeat(repeat);
            prop_assert_eq!(shown(&[&text]), text);
        }
    }
}
