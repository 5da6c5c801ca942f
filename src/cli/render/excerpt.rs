//! An excerpt of a command's output: the first lines immediately, and the last lines, which usually contain errors, at its
//! end. Keeps only what is shown.

use std::collections::VecDeque;

use super::{
    sanitize::Sanitizer,
    style::{FAINT, paint},
};
use crate::stdx::text::prefix;

/// The number of first lines.
const FIRST_LINES: usize = 5;
/// The number of last lines.
const LAST_LINES: usize = 15;
/// The limit of bytes of a line.
const MAX_LINE_BYTES: usize = 2000;

/// Takes an output in chunks and returns styled lines.
#[derive(Debug, Default)]
pub struct Excerpt {
    cleaner: Sanitizer,
    /// The text after the last line end.
    open: String,
    lines: usize,
    last: VecDeque<String>,
}

impl Excerpt {
    /// The lines that can be shown after the next chunk.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        let clean = self.cleaner.push(text);
        let mut shown = Vec::new();
        for piece in clean.split_inclusive('\n') {
            let line = piece.strip_suffix('\n');
            let room = MAX_LINE_BYTES.saturating_sub(self.open.len());
            self.open.push_str(prefix(line.unwrap_or(piece), room));
            if line.is_some() {
                shown.extend(self.end_line());
            }
        }
        shown
    }

    /// The rest at the end of the output; the next chunk begins a new one.
    pub fn finish(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        if !self.open.is_empty() {
            shown.extend(self.end_line());
        }
        let hidden = self.lines.saturating_sub(FIRST_LINES + self.last.len());
        if hidden > 0 {
            let lines = if hidden == 1 { "line" } else { "lines" };
            shown.push(paint(FAINT, &format!("  … {hidden} more {lines}")));
        }
        shown.extend(self.last.iter().map(|line| styled(line)));
        *self = Self::default();
        shown
    }

    fn end_line(&mut self) -> Option<String> {
        self.lines += 1;
        let line = std::mem::take(&mut self.open);
        if self.lines <= FIRST_LINES {
            return Some(styled(&line));
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
        None
    }
}

fn styled(line: &str) -> String {
    paint(FAINT, &format!("  │ {line}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string().trim_start_matches("  │ ").to_owned()).collect()
    }

    fn numbers(count: usize) -> String {
        (1..=count).map(|number| format!("{number}\n")).collect()
    }

    #[test]
    fn the_first_lines_come_at_once_and_the_last_at_the_end() {
        let mut excerpt = Excerpt::default();
        assert_eq!(plain(&excerpt.push("1\n2")), ["1"]);
        assert_eq!(plain(&excerpt.push("\n3\n4\n5\n6\n7")), ["2", "3", "4", "5"]);
        assert_eq!(plain(&excerpt.finish()), ["6", "7"]);
        excerpt.push(&numbers(20));
        assert_eq!(plain(&excerpt.finish()).len(), 15);
        excerpt.push(&numbers(21));
        assert_eq!(plain(&excerpt.finish())[..2], ["  … 1 more line", "7"]);
        excerpt.push(&numbers(300));
        let end = plain(&excerpt.finish());
        assert_eq!((end[0].as_str(), end[1].as_str(), end[15].as_str()), ("  … 280 more lines", "286", "300"));
        assert!(excerpt.finish().is_empty());
    }

    #[test]
    fn long_outputs_take_neither_long_nor_much() {
        let began = Instant::now();
        let mut excerpt = Excerpt::default();
        for _ in 0..20_000 {
            excerpt.push(&"x".repeat(100));
        }
        assert!(excerpt.open.len() <= MAX_LINE_BYTES);
        excerpt.push(&"a\n".repeat(1_000_000));
        assert!(excerpt.last.len() == LAST_LINES);
        // Takes minutes with quadratic time.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
