//! Markdown for a terminal, while it is being written. Text is shown as soon as it is certain what it is: a line waits
//! only where its beginning or a marker in it could still mean two things. Nothing is lost or moved: what is dropped
//! are the markers of what is shown by style, and only when both ends of them have been seen.

use anstyle::Style;

use super::{
    markdown_inline::{self as inline, Scan},
    sanitize::Sanitizer,
    style::{CODE, FAINT, STRONG, paint},
};

/// An undecided line longer than this is taken as it stands.
const LONGEST_WAIT: usize = 8 * 1024;

/// Renders one text that comes in pieces. Gives styled text; control characters of the source are gone.
#[derive(Debug, Default)]
pub struct Markdown {
    sanitizer: Sanitizer,
    pending: String,
    place: Place,
    /// Inside a list deep indentation is no code.
    in_list: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Place {
    /// The kind of the line is not known yet.
    #[default]
    LineStart,
    /// In a line of text.
    Line { style: Style, previous: Option<char> },
    /// In a line that is shown as it is.
    Verbatim { style: Style },
    /// At the start of a line of a code block, which ends with at least so many of the marker.
    Fence { marker: char, length: usize },
    /// In such a line.
    FenceLine { marker: char, length: usize },
}

/// What a line is, and how many bytes of its beginning say so.
#[derive(Debug, PartialEq)]
enum Kind {
    Text,
    Blank,
    Verbatim,
    Table,
    Rule,
    Heading { level: usize, skip: usize },
    Quote { skip: usize },
    Bullet { indent: usize, skip: usize },
    Ordered,
    Fence { marker: char, length: usize },
}

impl Markdown {
    /// What can be shown after the next piece.
    pub fn push(&mut self, text: &str) -> String {
        let clean = self.sanitizer.push(text);
        self.pending.push_str(&clean);
        self.advance(false)
    }

    /// The rest, at the end of the text; the next piece begins a new one.
    pub fn finish(&mut self) -> String {
        let rest = self.advance(true);
        *self = Self::default();
        rest
    }

    fn advance(&mut self, last: bool) -> String {
        let mut shown = String::new();
        while !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            let newline = pending.find('\n');
            let line = &pending[..newline.unwrap_or(pending.len())];
            let ended = newline.is_some() || last || line.len() > LONGEST_WAIT;
            let consumed = self.step(line, ended, &mut shown);
            let Some(consumed) = consumed else {
                self.pending = pending;
                break;
            };
            let mut rest = &pending[consumed..];
            let line_is_done = consumed == line.len() && newline.is_some() && self.is_in_line();
            if line_is_done {
                rest = &rest[1..];
                shown.push('\n');
                self.place = match self.place {
                    Place::FenceLine { marker, length } => Place::Fence { marker, length },
                    _ => Place::LineStart,
                };
            } else if consumed == line.len() && newline.is_some() {
                // A line of which nothing is shown, not even its end.
                rest = &rest[1..];
            }
            self.pending = rest.to_owned();
        }
        shown
    }

    fn is_in_line(&self) -> bool {
        matches!(self.place, Place::Line { .. } | Place::Verbatim { .. } | Place::FenceLine { .. })
    }

    /// Shows what is certain of the line, of which `ended` tells that nothing more comes. Gives the bytes that are
    /// dealt with; `None` when more must be seen first.
    fn step(&mut self, line: &str, ended: bool, shown: &mut String) -> Option<usize> {
        match self.place {
            Place::LineStart => self.start(line, ended, shown),
            Place::Line { style, previous } => {
                let Scan { output, consumed, previous } = inline::scan(line, ended, style, previous);
                shown.push_str(&output);
                self.place = Place::Line { style, previous };
                (consumed > 0 || line.is_empty()).then_some(consumed)
            }
            Place::Verbatim { style } => {
                shown.push_str(&paint(style, line));
                Some(line.len())
            }
            Place::FenceLine { .. } => {
                shown.push_str(&paint(CODE, line));
                Some(line.len())
            }
            Place::Fence { marker, length } => {
                let trimmed = line.trim();
                if trimmed.chars().all(|c| c == marker) && !ended {
                    return None;
                }
                if trimmed.len() >= length && trimmed.chars().all(|c| c == marker) {
                    self.place = Place::LineStart;
                    return Some(line.len());
                }
                if !trimmed.is_empty() {
                    shown.push_str("    ");
                }
                self.place = Place::FenceLine { marker, length };
                Some(0)
            }
        }
    }

    fn start(&mut self, line: &str, ended: bool, shown: &mut String) -> Option<usize> {
        let kind = classify(line, ended, self.in_list)?;
        let text = |style| Place::Line { style, previous: None };
        let indented = line.starts_with([' ', '\t']);
        self.in_list = match kind {
            Kind::Bullet { .. } | Kind::Ordered => true,
            Kind::Blank => self.in_list,
            _ => self.in_list && indented,
        };
        match kind {
            Kind::Text | Kind::Ordered | Kind::Blank => {
                let indent = line.len() - line.trim_start().len();
                shown.push_str(&line[..indent]);
                self.place = text(Style::new());
                Some(indent)
            }
            Kind::Table => {
                self.place = Place::Verbatim { style: Style::new() };
                Some(0)
            }
            Kind::Verbatim => {
                self.place = Place::Verbatim { style: CODE };
                Some(0)
            }
            Kind::Rule => {
                shown.push_str(&paint(FAINT, &"─".repeat(24)));
                self.place = text(Style::new());
                Some(line.len())
            }
            Kind::Heading { level, skip } => {
                self.place = text(if level == 1 { STRONG.underline() } else { STRONG });
                Some(skip)
            }
            Kind::Quote { skip } => {
                shown.push_str(&paint(FAINT, "│ "));
                self.place = text(Style::new().italic());
                Some(skip)
            }
            Kind::Bullet { indent, skip } => {
                shown.push_str(&line[..indent]);
                shown.push_str("• ");
                self.place = text(Style::new());
                Some(skip)
            }
            Kind::Fence { marker, length } => {
                let label = line.trim_start().trim_start_matches(marker).trim();
                if !label.is_empty() {
                    shown.push_str(&paint(FAINT, &format!("  {label}")));
                    shown.push('\n');
                }
                self.place = Place::Fence { marker, length };
                Some(line.len())
            }
        }
    }
}

/// What a line is; `None` while that is not certain.
fn classify(line: &str, ended: bool, in_list: bool) -> Option<Kind> {
    let trimmed = line.trim_start();
    let indent = line.len() - trimmed.len();
    let Some(first) = trimmed.chars().next() else {
        return ended.then_some(Kind::Blank);
    };
    let columns: usize = line[..indent].chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
    if columns >= 4 && !in_list {
        return Some(Kind::Verbatim);
    }
    let run = trimmed.chars().take_while(|c| *c == first).count();
    let open = !ended && run == trimmed.len();
    match first {
        '`' | '~' => match run {
            0..3 => (!open).then_some(Kind::Text),
            // The label may tell that it is none.
            _ if !ended => None,
            _ if trimmed[run..].contains('`') => Some(Kind::Text),
            length => Some(Kind::Fence { marker: first, length }),
        },
        '#' if run > 6 => Some(Kind::Text),
        '#' if open => None,
        '#' => Some(if trimmed[run..].starts_with(' ') { Kind::Heading { level: run, skip: indent + run + 1 } } else { Kind::Text }),
        '>' => {
            if !ended && trimmed.len() == 1 {
                return None;
            }
            Some(Kind::Quote { skip: indent + 1 + usize::from(trimmed[1..].starts_with(' ')) })
        }
        '-' | '*' | '+' | '_' => {
            if trimmed.chars().all(|c| c == first || c == ' ') {
                if !ended {
                    return None;
                }
                if first != '+' && trimmed.chars().filter(|c| *c == first).count() >= 3 {
                    return Some(Kind::Rule);
                }
            }
            let is_bullet = first != '_' && trimmed[1..].starts_with(' ');
            Some(if is_bullet { Kind::Bullet { indent, skip: indent + 2 } } else { Kind::Text })
        }
        '|' => Some(Kind::Table),
        '0'..='9' => {
            let rest = trimmed.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = trimmed.len() - rest.len();
            if !ended && digits <= 9 && matches!(rest, "" | "." | ")") {
                return None;
            }
            Some(if digits <= 9 && (rest.starts_with(". ") || rest.starts_with(") ")) { Kind::Ordered } else { Kind::Text })
        }
        _ => Some(Kind::Text),
    }
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
