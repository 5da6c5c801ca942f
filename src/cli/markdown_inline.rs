//! Emphasis, code and links within one line of Markdown. Stricter than the standard where the standard would take
//! stars out of arithmetic, globs or pointers: a marker counts only with its partner, on the same line, around a text
//! that begins and ends with something to see, and not in the middle of a word. Underscores are never markers.

use anstyle::Style;

use super::style::{CODE, FAINT, paint};

/// How far a line could be shown.
pub struct Scan {
    /// What can be shown.
    pub output: String,
    /// How many bytes of the line that covers.
    pub consumed: usize,
    /// The last character of those.
    pub previous: Option<char>,
}

/// Shows as much of the text as is certain; all of it when it has `ended`.
#[must_use]
pub fn scan(text: &str, ended: bool, style: Style, previous: Option<char>) -> Scan {
    let mut scan = Scan { output: String::new(), consumed: 0, previous };
    while scan.consumed < text.len() {
        let rest = &text[scan.consumed..];
        let plain = rest.find(['\\', '`', '*', '~', '[']).unwrap_or(rest.len());
        if plain > 0 {
            scan.take(&rest[..plain], &paint(style, &rest[..plain]));
            continue;
        }
        match special(rest, ended, style, scan.previous) {
            Some((bytes, shown)) => scan.take(&rest[..bytes], &shown),
            None => break,
        }
    }
    scan
}

impl Scan {
    fn take(&mut self, source: &str, shown: &str) {
        self.output.push_str(shown);
        self.consumed += source.len();
        self.previous = source.chars().next_back().or(self.previous);
    }
}

/// What begins at a marker: the bytes that it covers and how it is shown; `None` when more must be seen.
fn special(rest: &str, ended: bool, style: Style, previous: Option<char>) -> Option<(usize, String)> {
    let marker = rest.chars().next()?;
    let run = run_length(rest, marker);
    let literal = |bytes: usize| Some((bytes, paint(style, &rest[..bytes])));
    if !ended && run == rest.len() {
        return None;
    }
    match marker {
        '\\' => match rest[1..].chars().next() {
            Some(next @ ('`' | '*' | '_' | '~' | '[' | ']' | '#' | '|' | '<' | '>')) => {
                Some((1 + next.len_utf8(), paint(style, next.encode_utf8(&mut [0; 4]))))
            }
            _ => literal(1),
        },
        '`' => match code_end(rest, run, ended) {
            Some(end) => Some((end, paint(merged(style, CODE), &rest[run..end - run]))),
            None if ended => literal(run),
            None => None,
        },
        '*' | '~' => {
            let emphasis = match (marker, run) {
                ('*', 1) => style.italic(),
                ('*', 2) => style.bold(),
                ('*', 3) => style.bold().italic(),
                ('~', 2) => style.strikethrough(),
                _ => return literal(run),
            };
            let opens = rest[run..].chars().next().is_some_and(|c| !c.is_whitespace()) && !previous.is_some_and(char::is_alphanumeric);
            if !opens {
                return literal(run);
            }
            match emphasis_end(rest, marker, run, ended) {
                End::At(end) => Some((end + run, scan(&rest[run..end], true, emphasis, None).output)),
                End::Unknown => None,
                End::Nowhere => literal(run),
            }
        }
        _ => link(rest, ended, style, previous),
    }
}

fn run_length(text: &str, marker: char) -> usize {
    text.bytes().take_while(|byte| char::from(*byte) == marker).count()
}

/// Where the code span ends that the text begins with, its closing marker included. A marker at the very end may still
/// grow into another one.
fn code_end(text: &str, run: usize, ended: bool) -> Option<usize> {
    let mut at = run;
    while let Some(found) = text[at..].find('`') {
        at += found;
        let closing = run_length(&text[at..], '`');
        at += closing;
        if closing == run && (ended || at < text.len()) {
            return Some(at);
        }
    }
    None
}

enum End {
    /// The closing marker begins here.
    At(usize),
    /// More must be seen.
    Unknown,
    /// There is none.
    Nowhere,
}

fn emphasis_end(text: &str, marker: char, run: usize, ended: bool) -> End {
    let mut at = run;
    let none = if ended { End::Nowhere } else { End::Unknown };
    while let Some(found) = text[at..].find([marker, '`']) {
        at += found;
        let character = text[at..].chars().next();
        if character == Some('`') {
            let ticks = run_length(&text[at..], '`');
            match code_end(&text[at..], ticks, ended) {
                Some(end) => at += end,
                None if ended => at += ticks,
                None => return End::Unknown,
            }
            continue;
        }
        let closing = run_length(&text[at..], marker);
        let after = text[at + closing..].chars().next();
        if after.is_none() && !ended {
            return End::Unknown;
        }
        let before = text[..at].chars().next_back();
        if closing == run && before.is_some_and(|c| !c.is_whitespace()) && !after.is_some_and(char::is_alphanumeric) {
            return End::At(at);
        }
        at += closing;
    }
    none
}

/// `[text](address)`: the text underlined, the address behind it.
fn link(rest: &str, ended: bool, style: Style, previous: Option<char>) -> Option<(usize, String)> {
    let literal = Some((1, paint(style, "[")));
    // An index and a call in code look the same.
    if previous.is_some_and(|c| c.is_alphanumeric() || c == ']' || c == ')') {
        return literal;
    }
    let missing = || if ended { literal.clone() } else { None };
    let Some(close) = rest.find(']') else { return missing() };
    let Some(after) = rest[close + 1..].chars().next() else { return missing() };
    if after != '(' || close == 1 {
        return literal;
    }
    let address = &rest[close + 2..];
    let Some(end) = address.find([')', '(', ' ']) else { return missing() };
    if !address[end..].starts_with(')') || end == 0 {
        return literal;
    }
    let shown =
        scan(&rest[1..close], true, style.underline(), None).output + &paint(merged(style, FAINT), &format!(" ({})", &address[..end]));
    Some((close + 2 + end + 1, shown))
}

/// The style with the colour and effects of another on top.
fn merged(style: Style, top: Style) -> Style {
    style.fg_color(top.get_fg_color().or(style.get_fg_color())).effects(style.get_effects() | top.get_effects())
}
