//! Lines of a text with their places, and the ways in which lines are compared. Pure.

use std::{borrow::Cow, ops::Range};

use super::budget::{Budget, Stop};

/// Lines longer than this are alike only when they are equal: the comparison takes the product of the lengths.
const COMPARED_BYTES: usize = 400;
/// More places than this are not looked for, nor replaced at once.
pub const MAX_PLACES: usize = 1_000_000;

/// The white space that may be overlooked. Other kinds, such as no-break spaces, are written on purpose.
pub const BLANK: [char; 5] = [' ', '\t', '\r', '\u{b}', '\u{c}'];

/// Whether nothing but white space is in it.
pub fn is_blank(line: &str) -> bool {
    line.trim_matches(BLANK).is_empty()
}

/// The white space at the beginning of a line.
pub fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches(BLANK).len()]
}

/// A text by lines, without their line feeds. A text that ends with a line feed has no empty line after it.
pub struct Lines<'a> {
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
    pub fn windows_by_key<'k>(
        &'k self,
        like: &'k Lines<'_>,
        budget: &mut Budget<'_>,
        key: impl Fn(&'k str) -> Cow<'k, str>,
    ) -> Result<Vec<usize>, Stop> {
        budget.spend(self.text.len() + like.text.len())?;
        let (all, wanted): (Vec<_>, Vec<_>) =
            (self.each.iter().map(|line| key(line)).collect(), like.each.iter().map(|line| key(line)).collect());
        let mut found = Vec::new();
        for (start, window) in all.windows(wanted.len().max(1)).enumerate() {
            let same = window.iter().zip(&wanted).take_while(|(line, wanted)| line == wanted);
            let (count, bytes) = same.fold((0, 1), |(count, bytes), (line, _)| (count + 1, bytes + 1 + line.len()));
            budget.spend(bytes)?;
            if count == wanted.len() && count > 0 {
                found.push(start);
                if found.len() > MAX_PLACES {
                    return Err(Stop::Spent);
                }
            }
        }
        Ok(found)
    }
}

/// The line without white space at its ends.
pub fn trim(line: &str) -> Cow<'_, str> {
    Cow::Borrowed(line.trim_matches(BLANK))
}

/// The line with single spaces between its words and none around them.
pub fn collapse(line: &str) -> Cow<'_, str> {
    let line = line.trim_matches(BLANK);
    let is_plain = !line.contains("  ") && !line.contains(&BLANK[1..]);
    if is_plain { Cow::Borrowed(line) } else { Cow::Owned(words(line).collect::<Vec<_>>().join(" ")) }
}

/// What stands between white space.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(BLANK).filter(|word| !word.is_empty())
}

/// The lines without their smallest common indentation; blank lines are empty and do not count.
pub fn dedent<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let common = lines.iter().filter(|line| !is_blank(line)).map(|line| indentation(line).len()).min().unwrap_or(0);
    lines.iter().map(|line| if is_blank(line) { "" } else { line[common..].trim_end_matches(BLANK) }).collect()
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

/// The lines, from 0, that come nearest to the quoted ones, as far as the budget goes; `None` where nothing is alike.
pub fn closest(lines: &Lines<'_>, quoted: &Lines<'_>, budget: &mut Budget<'_>) -> Option<Range<usize>> {
    let wanted: Vec<_> = quoted.each.iter().map(|line| collapse(line)).collect();
    // The longest line says most about where the text is.
    let (index, anchor) = wanted.iter().enumerate().max_by_key(|(index, line)| (line.len().min(COMPARED_BYTES), usize::MAX - index))?;
    let counts = histogram(anchor);
    let mut best: Option<(f64, usize)> = None;
    for (number, line) in lines.each.iter().enumerate() {
        if budget.spend(1 + line.len()).is_err() {
            break;
        }
        // What differs so much cannot reach the threshold, and comparing is what costs.
        if line.len() > 4 * COMPARED_BYTES && line.len() != anchor.len() {
            continue;
        }
        let line = collapse(line);
        let longest = line.len().max(anchor.len());
        if *line != **anchor && (longest > COMPARED_BYTES || 2 * unlike(&counts, &line) > longest) {
            continue;
        }
        if budget.spend(line.len() * anchor.len().min(COMPARED_BYTES)).is_err() {
            break;
        }
        let own = similarity(anchor, &line);
        if own < 0.5 {
            continue;
        }
        let start = number.saturating_sub(index);
        let around = wanted.iter().zip(lines.each.iter().skip(start));
        if budget.spend(quoted.text.len()).is_err() {
            break;
        }
        let same = around.filter(|(wanted, line)| !wanted.is_empty() && **wanted == collapse(line)).count();
        #[expect(clippy::cast_precision_loss, reason = "a number of lines is far below 2^52")]
        let score = own + same as f64;
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, start));
        }
    }
    best.map(|(_, start)| start..(start + quoted.len()).min(lines.len()))
}

fn histogram(line: &str) -> [u16; 256] {
    let mut counts = [0_u16; 256];
    for byte in line.bytes() {
        counts[usize::from(byte)] = counts[usize::from(byte)].saturating_add(1);
    }
    counts
}

/// How many changes at least make one line of the other, by what they consist of.
fn unlike(counts: &[u16; 256], line: &str) -> usize {
    let other = histogram(line);
    let (more, less) = counts.iter().zip(&other).fold((0, 0), |(more, less), (one, other)| {
        (more + usize::from(one.saturating_sub(*other)), less + usize::from(other.saturating_sub(*one)))
    });
    // A character has up to four bytes.
    more.max(less).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

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
        let cancel = CancellationToken::new();
        let near = |old: &str| closest(&Lines::new(text), &Lines::new(old), &mut Budget::new(100_000, &cancel));
        assert_eq!(near("fn two() {\n    second_call(3);\n"), Some(4..6));
        assert_eq!(near("    second_call(2, 3);"), Some(5..6));
        assert_eq!(near("something else entirely"), None);
        assert_eq!(closest(&Lines::new(text), &Lines::new("second_call"), &mut Budget::new(10, &cancel)), None);
    }
}
