//! Finding the text that a model wants to replace, though it rarely quotes it letter by letter. Pure. Looser ways are
//! tried only where stricter ones find nothing, and every way must name one place; what lies outside of that place is
//! never touched.

use std::ops::Range;

use super::edit_lines::{Lines, collapse, dedent, similarity, unescape};

/// How alike the middle lines of a block must be, on average, where only its first and last line are equal.
const BLOCK_SIMILARITY: f64 = 0.8;

/// More places than this are not looked for where one is wanted.
const MAX_PLACES: usize = 10_000;
/// More places than this are not replaced at once.
pub const MAX_REPLACED: usize = 1_000_000;

/// How the text was found, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Letter by letter.
    Exact,
    /// Lines equal but for white space at both ends.
    LineTrimmed,
    /// First and last line equal, as many lines, the middle nearly equal.
    BlockAnchor,
    /// Equal but for the amount of white space.
    WhitespaceNormalised,
    /// Lines equal but for a common indentation.
    IndentationFlexible,
    /// Equal once backslash escapes in the quoted text are read.
    EscapeNormalised,
    /// Equal but for white space around the whole.
    TrimmedBoundary,
}

impl Strategy {
    /// What was overlooked, for the model; `None` where nothing was.
    #[must_use]
    pub fn tolerance(self) -> Option<&'static str> {
        match self {
            Self::Exact => None,
            Self::LineTrimmed => Some("white space at the ends of its lines"),
            Self::BlockAnchor => Some("small differences in the lines between its first and last"),
            Self::WhitespaceNormalised => Some("the amount of white space"),
            Self::IndentationFlexible => Some("the indentation"),
            Self::EscapeNormalised => Some("backslash escapes"),
            Self::TrimmedBoundary => Some("white space around it"),
        }
    }
}

/// How many places are to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Exactly one.
    One,
    /// Every one.
    All,
}

/// Where to put what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The places: byte ranges, ascending, apart from each other.
    pub ranges: Vec<Range<usize>>,
    /// What to put there.
    pub new: String,
    /// How they were found.
    pub strategy: Strategy,
}

/// Why nothing is replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not occur.
    #[error("not found")]
    NotFound {
        /// The lines that come nearest, from 0, if any do.
        closest: Option<Range<usize>>,
    },
    /// The text names several places.
    #[error("found more than once")]
    Ambiguous {
        /// The lines on which they begin, from 0, ascending.
        lines: Vec<usize>,
    },
}

/// Finds `old`, which is not empty, in `text`. Both have line feeds at line ends.
///
/// # Errors
/// When there is no place, or with [`Scope::One`] more than one.
pub fn find(text: &str, old: &str, new: &str, scope: Scope) -> Result<Match, Error> {
    let lines = Lines::new(text);
    let exact = occurrences(text, old, scope);
    let chosen = |strategy, ranges: Vec<Range<usize>>, new: &str| Ok(Match { ranges: apart(ranges), new: new.to_owned(), strategy });
    match (exact.len(), scope) {
        (0, _) => {}
        (1, _) | (_, Scope::All) => return chosen(Strategy::Exact, exact, new),
        _ => return Err(ambiguous(&lines, &exact)),
    }
    // Nothing but white space is no mark by which to find a place.
    if old.trim().is_empty() {
        return Err(Error::NotFound { closest: None });
    }
    let quoted = Lines::new(old);
    let mut several: Option<Vec<Range<usize>>> = None;
    for strategy in [
        Strategy::LineTrimmed,
        Strategy::BlockAnchor,
        Strategy::WhitespaceNormalised,
        Strategy::IndentationFlexible,
        Strategy::EscapeNormalised,
        Strategy::TrimmedBoundary,
    ] {
        let ranges = candidates(strategy, &lines, &quoted, scope);
        let new = replacement(strategy, old, new);
        match (&several, ranges.len()) {
            (_, 0) => {}
            (None, 1) => return chosen(strategy, ranges, &new),
            // Alike is not equal: never more than one such place at once.
            (None, _) if scope == Scope::All && strategy != Strategy::BlockAnchor => return chosen(strategy, ranges, &new),
            (None, _) => several = Some(ranges),
            // A later way is no proof of its own, but it may decide between the places of an earlier one.
            (Some(places), 1) if places.contains(&ranges[0]) => return chosen(strategy, ranges, &new),
            (Some(_), _) => {}
        }
    }
    match several {
        Some(places) => Err(ambiguous(&lines, &places)),
        None => Err(Error::NotFound { closest: super::edit_lines::closest(&lines, &quoted) }),
    }
}

fn ambiguous(lines: &Lines<'_>, places: &[Range<usize>]) -> Error {
    let mut found: Vec<_> = places.iter().map(|range| lines.line_of(range.start)).collect();
    found.dedup();
    Error::Ambiguous { lines: found }
}

fn candidates(strategy: Strategy, lines: &Lines<'_>, quoted: &Lines<'_>, scope: Scope) -> Vec<Range<usize>> {
    let (text, old) = (lines.text, quoted.text);
    let ranges = |starts: Vec<usize>| starts.into_iter().map(|start| lines.window(start, quoted)).collect();
    match strategy {
        Strategy::Exact => occurrences(text, old, scope),
        Strategy::LineTrimmed => ranges(lines.windows_by_key(quoted, str::trim)),
        Strategy::BlockAnchor => ranges(block_anchors(lines, quoted)),
        Strategy::WhitespaceNormalised if quoted.len() == 1 => (0..lines.len()).flat_map(|index| pieces(lines, index, quoted)).collect(),
        Strategy::WhitespaceNormalised => ranges(lines.windows_by_key(quoted, collapse)),
        Strategy::IndentationFlexible => {
            let bare = dedent(quoted.lines());
            let starts = lines.windows_by_key(quoted, str::trim);
            ranges(starts.into_iter().filter(|start| dedent(&lines.lines()[*start..start + quoted.len()]) == bare).collect())
        }
        Strategy::EscapeNormalised => match unescape(old) {
            read if read == old || read.trim().is_empty() => Vec::new(),
            read => occurrences(text, &read, scope),
        },
        Strategy::TrimmedBoundary => match old.trim() {
            trimmed if trimmed == old => Vec::new(),
            trimmed => occurrences(text, trimmed, scope),
        },
    }
}

/// The model's text was quoted in the same manner as the text that it replaces, so it is read in the same manner.
fn replacement(strategy: Strategy, old: &str, new: &str) -> String {
    match strategy {
        Strategy::EscapeNormalised => unescape(new),
        Strategy::TrimmedBoundary => {
            let before = &old[..old.len() - old.trim_start().len()];
            let after = &old[old.trim_end().len()..];
            let rest = new.strip_prefix(before).unwrap_or(new);
            rest.strip_suffix(after).unwrap_or(rest).to_owned()
        }
        _ => new.to_owned(),
    }
}

/// The places where `part` stands. Where one is wanted those that overlap are included, since each of them could be meant.
fn occurrences(text: &str, part: &str, scope: Scope) -> Vec<Range<usize>> {
    if scope == Scope::All {
        return text.match_indices(part).map(|(at, part)| at..at + part.len()).take(MAX_REPLACED + 1).collect();
    }
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(part)
        && ranges.len() < MAX_PLACES
    {
        let start = from + at;
        ranges.push(start..start + part.len());
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    ranges
}

fn apart(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut end = 0;
    ranges.retain(|range| {
        let keep = range.start >= end;
        if keep {
            end = range.end;
        }
        keep
    });
    ranges
}

fn block_anchors(lines: &Lines<'_>, quoted: &Lines<'_>) -> Vec<usize> {
    let (all, old) = (lines.lines(), quoted.lines());
    let [first, middle @ .., last] = old else { return Vec::new() };
    if middle.is_empty() || first.trim().is_empty() || last.trim().is_empty() {
        return Vec::new();
    }
    let close = |window: &&[&str]| {
        if window[0].trim() != first.trim() || window[window.len() - 1].trim() != last.trim() {
            return false;
        }
        let sum: f64 = middle.iter().zip(&window[1..]).map(|(old, line)| similarity(old.trim(), line.trim())).sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of lines is far below 2^52")]
        let average = sum / middle.len() as f64;
        average >= BLOCK_SIMILARITY
    };
    all.windows(old.len()).enumerate().filter(|(_, window)| close(window)).map(|(start, _)| start).collect()
}

/// The places in one line where the quoted line's words stand in a row.
fn pieces(lines: &Lines<'_>, index: usize, quoted: &Lines<'_>) -> Vec<Range<usize>> {
    let (offset, line) = (lines.start(index), lines.lines()[index]);
    let old = quoted.lines()[0];
    let words: Vec<_> = old.split_whitespace().collect();
    let Some((first, others)) = words.split_first() else { return Vec::new() };
    let mut found = Vec::new();
    for at in occurrences(line, first, Scope::One) {
        let mut end = at.end;
        let in_a_row = others.iter().all(|word| {
            let rest = &line[end..];
            let next = rest.trim_start();
            let fits = next.len() < rest.len() && next.starts_with(word);
            end += rest.len() - next.len() + word.len();
            fits
        });
        if !in_a_row {
            continue;
        }
        // White space around is replaced only where the model quoted some.
        let start = if old.starts_with(char::is_whitespace) { line[..at.start].trim_end().len() } else { at.start };
        let spaces_after = line[end..].len() - line[end..].trim_start().len();
        let ends_line = line[end..].trim().is_empty();
        if quoted.ends_with_newline() {
            if ends_line {
                found.push(offset + start..lines.end_with_newline(index));
            }
            continue;
        }
        let end = if old.ends_with(char::is_whitespace) { end + spaces_after } else { end };
        found.push(offset + start..offset + end);
    }
    found
}

#[cfg(test)]
#[path = "edit_match_tests.rs"]
mod tests;
