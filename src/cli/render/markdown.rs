//! Streaming Markdown for a terminal. Text is shown as soon as its meaning is certain: a line is held back only while its
//! beginning or a marker in it is ambiguous. Text is never lost or moved; only markers that are shown as styles are
//! removed, and only once both ends of a pair are known.

use anstyle::Style;

use super::{
    markdown_inline::{self as inline, Scan},
    markdown_table as table,
    sanitize::Sanitizer,
    style::{CODE, FAINT, STRONG, paint},
};

/// The limit of bytes of an ambiguous line; a longer one is shown as plain text.
const MAX_HELD_BYTES: usize = 4 * 1024;
/// The limit of bytes between a marker and its partner in an incomplete line.
const MAX_MARKUP_BYTES: usize = 1024;
/// Larger tables are shown in parts.
const MAX_ROWS: usize = 1000;
/// The limit of nested quotes; further markers are text.
const MAX_QUOTE_DEPTH: usize = 8;

/// Renders a text that arrives in chunks. Returns styled text without the source's control characters.
#[derive(Debug, Default)]
pub struct Markdown {
    sanitizer: Sanitizer,
    pending: String,
    place: Place,
    /// Inside a list, where deep indentation is not code.
    in_list: bool,
    /// The rows of a table without its end so far.
    rows: Vec<String>,
    /// The width for tables, if they must fit.
    width: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Place {
    /// At the start of a line of unknown kind.
    #[default]
    LineStart,
    /// In a line of text.
    Line { style: Style, previous: Option<char> },
    /// In a line that is shown unchanged.
    Verbatim { style: Style },
    /// At the start of a line of a code block.
    Fence(Fence),
    /// In a line of a code block.
    FenceLine(Fence),
}

/// A code block; its end has at least this number of markers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fence {
    marker: char,
    length: usize,
    /// The depth of quotes around it.
    quotes: usize,
}

/// The kind of a line, and the length of its marker.
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
    /// For a terminal of this width.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width: Some(width), ..Self::default() }
    }

    /// The text that can be shown after the next chunk.
    pub fn push(&mut self, text: &str) -> String {
        let clean = self.sanitizer.push(text);
        self.pending.push_str(&clean);
        self.advance(false)
    }

    /// The rest at the end of the text; the next chunk begins a new one.
    pub fn finish(&mut self) -> String {
        let ends_line = self.pending.is_empty();
        let mut rest = self.advance(true);
        let mut table = self.end_table();
        if !ends_line && table.ends_with('\n') {
            table.pop();
        }
        rest.push_str(&table);
        *self = Self { width: self.width, ..Self::default() };
        rest
    }

    fn advance(&mut self, last: bool) -> String {
        let mut shown = String::new();
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_str();
        while !rest.is_empty() {
            let newline = rest.find('\n');
            let line = &rest[..newline.unwrap_or(rest.len())];
            let ended = newline.is_some() || last || line.len() > MAX_HELD_BYTES;
            let Some(consumed) = self.step(line, ended, &mut shown) else { break };
            let line_is_done = consumed == line.len() && newline.is_some();
            rest = &rest[consumed + usize::from(line_is_done)..];
            // Some lines are not shown at all.
            if line_is_done && self.is_in_line() {
                shown.push('\n');
                self.place = match self.place {
                    Place::FenceLine(fence) => Place::Fence(fence),
                    _ => Place::LineStart,
                };
            }
        }
        rest.clone_into(&mut self.pending);
        shown
    }

    fn is_in_line(&self) -> bool {
        matches!(self.place, Place::Line { .. } | Place::Verbatim { .. } | Place::FenceLine(_))
    }

    /// Shows the certain part of the line; `ended` if it is complete. Returns the number of processed bytes; `None` if more
    /// input is needed.
    fn step(&mut self, line: &str, ended: bool, shown: &mut String) -> Option<usize> {
        match self.place {
            Place::LineStart => self.start(line, ended, shown),
            Place::Line { style, previous } => {
                let Scan { output, consumed, previous } = inline::scan(line, ended || line.len() > MAX_MARKUP_BYTES, style, previous);
                shown.push_str(&output);
                self.place = Place::Line { style, previous };
                (consumed > 0 || line.is_empty()).then_some(consumed)
            }
            Place::Verbatim { style } => {
                shown.push_str(&paint(style, line));
                Some(line.len())
            }
            Place::FenceLine(_) => {
                shown.push_str(&paint(CODE, line));
                Some(line.len())
            }
            Place::Fence(fence) => self.fence(fence, line, ended, shown),
        }
    }

    /// The start of a line of a code block.
    fn fence(&mut self, fence: Fence, line: &str, ended: bool, shown: &mut String) -> Option<usize> {
        let mut skip = 0;
        for _ in 0..fence.quotes {
            match classify(&line[skip..], ended, self.in_list)? {
                Kind::Quote { skip: more } => skip += more,
                // The block ends with its quote.
                _ => {
                    self.place = Place::LineStart;
                    return self.start(line, ended, shown);
                }
            }
        }
        let trimmed = line[skip..].trim();
        let is_marker = trimmed.chars().all(|c| c == fence.marker);
        if is_marker && !ended {
            return None;
        }
        if is_marker && trimmed.len() >= fence.length {
            self.place = Place::LineStart;
            return Some(line.len());
        }
        shown.push_str(&paint(FAINT, &"│ ".repeat(fence.quotes)));
        if !trimmed.is_empty() {
            shown.push_str("    ");
        }
        self.place = Place::FenceLine(fence);
        Some(skip)
    }

    fn start(&mut self, line: &str, ended: bool, shown: &mut String) -> Option<usize> {
        let (mut at, mut quotes) = (0, 0);
        let kind = loop {
            match classify(&line[at..], ended, self.in_list)? {
                Kind::Quote { skip } if quotes < MAX_QUOTE_DEPTH => (at, quotes) = (at + skip, quotes + 1),
                kind => break kind,
            }
        };
        if kind == Kind::Table && quotes == 0 && line.len() <= MAX_HELD_BYTES {
            if !ended {
                return None;
            }
            self.rows.push(line.to_owned());
            if self.rows.len() >= MAX_ROWS {
                shown.push_str(&self.end_table());
            }
            return Some(line.len());
        }
        shown.push_str(&self.end_table());
        let line = &line[at..];
        let normal = if quotes > 0 { Style::new().italic() } else { Style::new() };
        let text = |style| Place::Line { style, previous: None };
        let indented = line.starts_with([' ', '\t']);
        self.in_list = match kind {
            Kind::Bullet { .. } | Kind::Ordered => true,
            Kind::Blank => self.in_list,
            _ => self.in_list && indented,
        };
        let bars = paint(FAINT, &"│ ".repeat(quotes));
        if !matches!(kind, Kind::Fence { .. }) {
            shown.push_str(&bars);
        }
        let skip = match kind {
            Kind::Text | Kind::Ordered | Kind::Blank | Kind::Quote { .. } => {
                let indent = line.len() - line.trim_start().len();
                shown.push_str(&line[..indent]);
                self.place = text(normal);
                indent
            }
            Kind::Table => {
                self.place = Place::Verbatim { style: Style::new() };
                0
            }
            Kind::Verbatim => {
                self.place = Place::Verbatim { style: CODE };
                0
            }
            Kind::Rule => {
                shown.push_str(&paint(FAINT, &"─".repeat(24)));
                self.place = text(Style::new());
                line.len()
            }
            Kind::Heading { level, skip } => {
                self.place = text(if level == 1 { STRONG.underline() } else { STRONG });
                skip
            }
            Kind::Bullet { indent, skip } => {
                shown.push_str(&line[..indent]);
                shown.push_str("• ");
                self.place = text(normal);
                skip
            }
            Kind::Fence { marker, length } => {
                let label = line.trim_start().trim_start_matches(marker).trim();
                if !label.is_empty() {
                    shown.push_str(&bars);
                    shown.push_str(&paint(FAINT, &format!("  {label}")));
                    shown.push('\n');
                }
                self.place = Place::Fence(Fence { marker, length, quotes });
                line.len()
            }
        };
        Some(at + skip)
    }

    /// Renders the collected rows of a table, if there are any.
    fn end_table(&mut self) -> String {
        table::render(&std::mem::take(&mut self.rows), self.width)
    }
}

/// The kind of a line; `None` while it is ambiguous.
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
    if first == '>' {
        if !ended && trimmed.len() == 1 {
            return None;
        }
        return Some(Kind::Quote { skip: indent + 1 + usize::from(trimmed[1..].starts_with(' ')) });
    }
    let run = trimmed.chars().take_while(|c| *c == first).count();
    let open = !ended && run == trimmed.len();
    match first {
        '`' | '~' => match run {
            0..3 => (!open).then_some(Kind::Text),
            // The info string may show that it is not a fence.
            _ if !ended => None,
            _ if trimmed[run..].contains('`') => Some(Kind::Text),
            length => Some(Kind::Fence { marker: first, length }),
        },
        '#' if run > 6 => Some(Kind::Text),
        '#' if open => None,
        '#' => Some(if trimmed[run..].starts_with(' ') { Kind::Heading { level: run, skip: indent + run + 1 } } else { Kind::Text }),
        '-' | '*' | '+' | '_' => {
            if trimmed.chars().all(|c| c == first || c == ' ') {
                if !ended {
                    return None;
                }
                if first != '+' && trimmed.chars().filter(|c| *c == first).count() >= 3 {
                    return Some(Kind::Rule);
                }
            }
            let is_bullet = first != '_' && trimmed[1..].starts_with([' ', '\t']);
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
