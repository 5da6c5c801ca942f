//! Lines of a text with their places, and the ways in which lines are compared. Pure.

use std::{borrow::Cow, ops::Range};

/// Lines longer than this are alike only when they are equal: the comparison takes the product of the lengths.
const COMPARED_BYTES: usize = 400;
/// How many lines are compared, at most, in looking for what comes nearest.
const COMPARED_LINES: usize = 20_000;

/// A text by lines, without their line feeds. A text that ends with a line feed has no empty line after it.
pub struct Lines<'a> {
    /// The whole.
    pub text: &'a str,
    each: Vec<&'a str>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Splits at line feeds.
    pub fn new(text: &'a str) -> Self {
        let mut lines: Vec<_> = text.split('\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        let next = |start: &mut usize, line: &&str| Some(std::mem::replace(start, *start + line.len() + 1));
        let starts = lines.iter().scan(0, next).collect();
        Self { text, each: lines, starts }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// The lines.
    pub fn lines(&self) -> &[&'a str] {
        &self.each
    }

    /// The offset at which a line begins.
    pub fn start(&self, index: usize) -> usize {
        self.starts[index]
    }

    /// The offset after a line and its line feed, if it has one.
    pub fn end_with_newline(&self, index: usize) -> usize {
        (self.starts[index] + self.each[index].len() + 1).min(self.text.len())
    }

    /// Whether the last line has a line feed.
    pub fn ends_with_newline(&self) -> bool {
        self.text.ends_with('\n')
    }

    /// The line, from 0, in which an offset lies.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The place of as many lines as `like` has; with the last line feed where `like` has one.
    pub fn window(&self, first: usize, like: &Lines<'_>) -> Range<usize> {
        let last = first + like.len() - 1;
        let end = if like.ends_with_newline() { self.end_with_newline(last) } else { self.starts[last] + self.each[last].len() };
        self.starts[first]..end
    }

    /// Where as many lines as `like` has equal it in what `key` makes of each; overlapping places included.
    pub fn windows_by_key<'k, K: PartialEq + 'k>(&'k self, like: &'k Lines<'_>, key: impl Fn(&'k str) -> K) -> Vec<usize> {
        let (all, wanted): (Vec<K>, Vec<K>) =
            (self.each.iter().map(|line| key(line)).collect(), like.each.iter().map(|line| key(line)).collect());
        if wanted.is_empty() {
            return Vec::new();
        }
        all.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted).map(|(start, _)| start).collect()
    }
}

/// The line with single spaces between its words and none around them.
pub fn collapse(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines without their smallest common indentation; blank lines are empty and do not count.
pub fn dedent<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indentation = |line: &&&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indentation(&line)).min().unwrap_or(0);
    lines.iter().map(|line| if line.trim().is_empty() { "" } else { line.get(common..).unwrap_or(line).trim_end() }).collect()
}

/// How alike two lines are, from 0 to 1.
pub fn similarity(one: &str, other: &str) -> f64 {
    if one == other {
        1.0
    } else if one.len().max(other.len()) > COMPARED_BYTES {
        0.0
    } else {
        strsim::normalized_levenshtein(one, other)
    }
}

/// The text with backslash escapes read as a program's string would read them.
pub fn unescape(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            read.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => read.push('\n'),
            Some('t') => read.push('\t'),
            Some('r') => read.push('\r'),
            Some(plain @ ('\'' | '"' | '`' | '\\' | '\n' | '$')) => read.push(plain),
            Some(other) => read.extend(['\\', other]),
            None => read.push('\\'),
        }
    }
    read
}

/// The lines, from 0, that come nearest to the quoted ones; `None` where nothing is alike.
pub fn closest(lines: &Lines<'_>, quoted: &Lines<'_>) -> Option<Range<usize>> {
    let wanted: Vec<Cow<'_, str>> = quoted.each.iter().map(|line| Cow::Owned(collapse(line))).collect();
    // The longest line says most about where the text is.
    let (index, anchor) = wanted.iter().enumerate().max_by_key(|(index, line)| (line.len().min(COMPARED_BYTES), usize::MAX - index))?;
    let mut best: Option<(f64, usize)> = None;
    for (number, line) in lines.each.iter().enumerate().take(COMPARED_LINES) {
        // Lengths that differ by half cannot reach the threshold, and comparing them is what costs.
        let line = collapse(line);
        if line.len() * 2 < anchor.len() || anchor.len() * 2 < line.len() {
            continue;
        }
        let own = similarity(anchor, &line);
        if own < 0.5 {
            continue;
        }
        let start = number.saturating_sub(index);
        let same = wanted
            .iter()
            .zip(lines.each.iter().skip(start))
            .filter(|(wanted, line)| !wanted.is_empty() && **wanted == collapse(line))
            .count();
        #[expect(clippy::cast_precision_loss, reason = "a number of lines is far below 2^52")]
        let score = own + same as f64;
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, start));
        }
    }
    best.map(|(_, start)| start..(start + quoted.len()).min(lines.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_places() {
        let lines = Lines::new("a\n\nbc\n");
        assert_eq!(lines.lines(), ["a", "", "bc"]);
        assert_eq!((0..3).map(|index| lines.start(index)).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!((0..6).map(|offset| lines.line_of(offset)).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 2]);
        assert_eq!(Lines::new("").len(), 0);
        assert_eq!(Lines::new("\n").lines(), [""]);
    }

    #[test]
    fn escapes_and_indentation() {
        assert_eq!(unescape(r#"a\n\t\"b\" \\n \d \"#), "a\n\t\"b\" \\n \\d \\");
        assert_eq!(dedent(&["    a", "", "      b ", "\t"]), ["a", "", "  b", ""]);
    }

    #[test]
    fn what_comes_nearest() {
        let text = "fn one() {\n    first_call(1);\n}\n\nfn two() {\n    second_call(2);\n    third();\n}\n";
        let near = |old: &str| closest(&Lines::new(text), &Lines::new(old));
        assert_eq!(near("fn two() {\n    second_call(3);\n"), Some(4..6));
        assert_eq!(near("    second_call(2, 3);"), Some(5..6));
        assert_eq!(near("something else entirely"), None);
    }
}
