//! The language of sed, as far as it reads files, writes them or runs commands.

use std::{iter::Peekable, str::Chars};

use super::super::effects::Found;

/// What the script does; nothing where it is not understood.
pub(in super::super) fn read(text: &str) -> Option<Found> {
    let mut script = Script { rest: text.chars().peekable(), found: Found::default() };
    while script.command()? {}
    Some(script.found)
}

struct Script<'a> {
    rest: Peekable<Chars<'a>>,
    found: Found,
}

impl Script<'_> {
    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.rest.next_if(|character| wanted(*character)) {
            text.push(character);
        }
        text
    }

    fn line(&mut self) -> String {
        self.skip(|character| character != '\n').trim().to_owned()
    }

    /// One command with its addresses; `false` at the end.
    fn command(&mut self) -> Option<bool> {
        self.skip(|character| character.is_whitespace() || character == ';');
        self.addresses()?;
        let Some(command) = self.rest.next() else { return Some(false) };
        match command {
            '{' | '}' | '=' | 'd' | 'D' | 'g' | 'G' | 'h' | 'H' | 'n' | 'N' | 'p' | 'P' | 'x' | 'z' | 'F' => {}
            '#' => drop(self.line()),
            ':' | 'b' | 't' | 'T' => drop(self.skip(|character| !matches!(character, ';' | '\n' | '}'))),
            'q' | 'Q' | 'l' | 'L' => drop(self.skip(|character| character.is_ascii_digit() || character == ' ')),
            'v' => drop(self.skip(|character| !matches!(character, ';' | '\n'))),
            'a' | 'i' | 'c' => self.text(),
            'r' | 'R' => {
                let file = self.line();
                self.found.reads.push(file);
            }
            'w' | 'W' => {
                let file = self.line();
                self.found.writes.push(file);
            }
            'e' => {
                let command = self.line();
                // Without one it runs what it has read.
                if command.is_empty() {
                    return None;
                }
                self.found.runs.push(command);
            }
            'y' => {
                let delimiter = self.rest.next()?;
                self.until(delimiter)?;
                self.until(delimiter)?;
            }
            's' => {
                let delimiter = self.rest.next()?;
                self.until(delimiter)?;
                self.until(delimiter)?;
                self.flags()?;
            }
            _ => return None,
        }
        Some(true)
    }

    fn addresses(&mut self) -> Option<()> {
        loop {
            self.skip(|character| character == ' ');
            match self.rest.peek() {
                Some('0'..='9' | '$' | ',' | '+' | '~' | '!') => drop(self.rest.next()),
                Some('/') => {
                    self.rest.next();
                    self.until('/')?;
                    self.skip(|character| matches!(character, 'I' | 'M'));
                }
                Some('\\') => {
                    self.rest.next();
                    let delimiter = self.rest.next()?;
                    self.until(delimiter)?;
                    self.skip(|character| matches!(character, 'I' | 'M'));
                }
                _ => return Some(()),
            }
        }
    }

    /// Up to and with the delimiter. Versions differ about one that stands in brackets.
    fn until(&mut self, delimiter: char) -> Option<()> {
        if matches!(delimiter, '\n' | '\\') {
            return None;
        }
        let mut in_brackets = false;
        loop {
            match self.rest.next()? {
                '\\' => drop(self.rest.next()?),
                character if character == delimiter => return (!in_brackets).then_some(()),
                '[' if delimiter != '[' => {
                    in_brackets =
                        self.rest.clone().take_while(|next| *next != delimiter).any(|next| next == ']') || self.has_bracket(delimiter);
                }
                ']' => in_brackets = false,
                _ => {}
            }
        }
    }

    /// Whether a bracket that holds the delimiter is closed before the next delimiter.
    fn has_bracket(&self, delimiter: char) -> bool {
        let mut ahead = self.rest.clone();
        ahead.by_ref().find(|next| *next == delimiter).is_some()
            && ahead.take_while(|next| *next != delimiter && *next != '\n').any(|next| next == ']')
    }

    fn flags(&mut self) -> Option<()> {
        loop {
            match self.rest.peek() {
                Some('g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9') => drop(self.rest.next()),
                Some('w') => {
                    self.rest.next();
                    let file = self.line();
                    self.found.writes.push(file);
                }
                // Runs what the replacement has made.
                Some('e') => return None,
                Some(' ' | ';' | '}' | '\n' | '#') | None => return Some(()),
                Some(_) => return None,
            }
        }
    }

    /// The text of `a`, `i` or `c`: up to the end of a line that no backslash continues.
    fn text(&mut self) {
        while let Some(character) = self.rest.next() {
            match character {
                '\\' => drop(self.rest.next()),
                '\n' => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, read};

    fn found(writes: &[&str], reads: &[&str], runs: &[&str]) -> Found {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Found { writes: own(writes), reads: own(reads), runs: own(runs) }
    }

    #[test]
    fn what_only_prints_does_nothing_else() {
        for script in [
            "p",
            "1,20p",
            "/a/,/b/p",
            "s/a/b/g",
            "s|/usr|/opt|",
            "$!N;P;D",
            "/^#/d",
            "s/\\//x/",
            ":a;N;$!ba;s/\\n/ /g",
            "1~2p",
            "/x/{s/a/b/;p}",
            "y/abc/ABC/",
            "\\,x,p",
            "2i\\\nw file",
            "a we",
            "s/e/w/2",
            "# w x",
            "10q",
            "s/[^,]*,//",
            "s/[[:space:]]*$//",
            "s,[/],x,",
        ] {
            assert_eq!(read(script), Some(found(&[], &[], &[])), "{script}");
        }
    }

    #[test]
    fn files_and_commands_are_found() {
        assert_eq!(read("w out"), Some(found(&["out"], &[], &[])));
        assert_eq!(read("s/a/b/w out"), Some(found(&["out"], &[], &[])));
        assert_eq!(read("s/a/b/gw out\np"), Some(found(&["out"], &[], &[])));
        assert_eq!(read("/x/{w a\n}\n$r b"), Some(found(&["a"], &["b"], &[])));
        assert_eq!(read("1e date -u"), Some(found(&[], &[], &["date -u"])));
        assert_eq!(read("s/w x/y/;W z"), Some(found(&["z"], &[], &[])));
        assert_eq!(read("\\,w x,W z"), Some(found(&["z"], &[], &[])));
    }

    #[test]
    fn what_runs_what_it_reads_is_not_understood() {
        for script in ["e", "s/a/b/e", "s/a/b/ge", "s/a", "k", "s/[/]/w x/", "y/a/b"] {
            assert_eq!(read(script), None, "{script}");
        }
    }
}
