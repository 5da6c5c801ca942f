//! Finding the text that a model wants to replace, though it rarely quotes its white space letter by letter. Pure. Looser
//! ways are tried only where stricter ones find nothing; none overlooks more than white space, every one must name one
//! place, and what lies outside of that place is never touched.

use std::{ops::Range, sync::Arc};

use super::{
    budget::{Budget, Stop},
    indent, kept,
    lines::{BLANK, Lines, MAX_PLACES, closest, collapse, dedent, indentation, is_blank, trim, unescape, words},
};

/// More places than this are not counted where one is wanted.
const MAX_COUNTED: usize = 10_000;
/// The budget of looking for what comes nearest, once nothing was found.
const CLOSEST_STEPS: u64 = 200_000_000;

/// How the text was found, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Letter by letter.
    Exact,
    /// Lines equal but for white space at both ends.
    LineTrimmed,
    /// The same, and of several such places the one whose indentation has the same shape.
    SameShape,
    /// Equal but for the amount of white space.
    WhitespaceNormalised,
    /// Equal but for blank lines or white space around the whole.
    TrimmedBoundary,
}

impl Strategy {
    /// What was overlooked, for the model; `None` where nothing was.
    pub fn tolerance(self) -> Option<&'static str> {
        match self {
            Self::Exact => None,
            Self::LineTrimmed | Self::SameShape => Some("white space at the beginnings and ends of its lines"),
            Self::WhitespaceNormalised => Some("the amount of white space"),
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
    /// The places, ascending, apart from each other, each with what to put there.
    pub places: Vec<(Range<usize>, Arc<str>)>,
    /// How they were found.
    pub strategy: Strategy,
    /// Whether the new text was given another indentation.
    pub is_shifted: bool,
}

/// Why nothing is replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not occur.
    #[error("not found")]
    NotFound {
        /// The lines that come nearest, from 0, if any do.
        closest: Option<Range<usize>>,
        /// The line, from 0, where it would be without its backslash escapes.
        unescaped: Option<usize>,
    },
    /// The text names several places.
    #[error("found more than once")]
    Ambiguous {
        /// The lines on which they begin, from 0, ascending.
        lines: Vec<usize>,
    },
    /// The text was found with another indentation, and which one the new text must have is not certain.
    #[error("the indentation of the new text is not certain")]
    Indentation {
        /// The lines, from 0.
        lines: Range<usize>,
    },
    /// The new text would be longer than is allowed.
    #[error("too long")]
    TooLong,
    /// The search was ended.
    #[error(transparent)]
    Stopped(#[from] Stop),
}

/// A place that may be meant; `lines` where it begins with whole lines, whose indentation the new text takes.
struct Candidate {
    range: Range<usize>,
    first: Option<usize>,
}

/// Finds `old`, which is not empty, in `text`. Both have line feeds at line ends. All new texts together have at most
/// `limit` bytes, but for exact places.
///
/// # Errors
/// When there is no place, with [`Scope::One`] more than one, or when it takes too long.
pub fn find(text: &str, old: &str, new: &str, scope: Scope, limit: usize, budget: &mut Budget<'_>) -> Result<Match, Error> {
    let exact = occurrences(text, old, scope, budget)?;
    match (exact.len(), scope) {
        (0, _) => {}
        (1, _) | (_, Scope::All) => {
            let new: Arc<str> = new.into();
            let places = apart(exact).into_iter().map(|range| (range, Arc::clone(&new))).collect();
            return Ok(Match { places, strategy: Strategy::Exact, is_shifted: false });
        }
        _ => return Err(ambiguous(&Lines::new(text), exact.iter())),
    }
    // Nothing but white space is no mark by which to find a place.
    if old.trim().is_empty() {
        return Err(Error::NotFound { closest: None, unescaped: None });
    }
    let lines = Lines::new(text);
    let trimmed = without_blank_lines(old, new);
    for (old, new, is_trimmed) in std::iter::once((old, new, false)).chain(trimmed.map(|(old, new)| (old, new, true))) {
        let quoted = Lines::new(old);
        for strategy in [Strategy::LineTrimmed, Strategy::WhitespaceNormalised, Strategy::TrimmedBoundary] {
            let mut found = candidates(strategy, &lines, &quoted, scope, is_trimmed, budget)?;
            let mut told = if is_trimmed { Strategy::TrimmedBoundary } else { strategy };
            if scope == Scope::One && strategy == Strategy::LineTrimmed && found.len() > 1 {
                let bare = dedent(quoted.lines());
                let is_alike = |first: usize| dedent(&lines.lines()[first..first + quoted.len()]) == bare;
                budget.spend(found.len().saturating_mul(old.len()))?;
                let mut alike = found.iter().filter(|candidate| candidate.first.is_some_and(is_alike));
                if let (Some(only), None) = (alike.next(), alike.next()) {
                    found = vec![Candidate { range: only.range.clone(), first: only.first }];
                    told = Strategy::SameShape;
                }
            }
            match (found.len(), scope) {
                (0, _) => {}
                (1, _) | (_, Scope::All) => return chosen(told, found, &lines, &quoted, new, limit),
                _ => return Err(ambiguous(&lines, found.iter().map(|candidate| &candidate.range))),
            }
        }
    }
    let read = unescape(old);
    let unescaped = if read == old || read.trim().is_empty() { None } else { text.find(&read).map(|at| lines.line_of(at)) };
    let closest = closest(&lines, &Lines::new(old), &mut budget.renewed(CLOSEST_STEPS));
    Err(Error::NotFound { closest, unescaped })
}

fn chosen(
    strategy: Strategy,
    found: Vec<Candidate>,
    lines: &Lines<'_>,
    quoted: &Lines<'_>,
    new: &str,
    limit: usize,
) -> Result<Match, Error> {
    let mut left = limit;
    let mut is_shifted = false;
    let mut places = Vec::new();
    let mut end = 0;
    for Candidate { range, first } in found {
        if range.start < end {
            continue;
        }
        end = range.end;
        let put = match first {
            None => new.to_owned(),
            Some(first) => {
                let pairs = quoted.lines().iter().copied().zip(lines.lines()[first..].iter().copied());
                let refused = Error::Indentation { lines: first..first + quoted.len() };
                indent::shifted(pairs, new, lines, left).ok_or(refused)?
            }
        };
        is_shifted |= put != new;
        let place = Lines::new(&lines.text[range.clone()]);
        let at = lines.line_of(range.start);
        let put = kept::keep(quoted, &place, new, &put, left).ok_or(Error::Indentation { lines: at..at + quoted.len() })?;
        left = left.checked_sub(put.len()).ok_or(Error::TooLong)?;
        places.push((range, put.into()));
    }
    Ok(Match { places, strategy, is_shifted })
}

fn ambiguous<'a>(lines: &Lines<'_>, places: impl Iterator<Item = &'a Range<usize>>) -> Error {
    let mut found: Vec<_> = places.map(|range| lines.line_of(range.start)).collect();
    found.dedup();
    Error::Ambiguous { lines: found }
}

fn candidates(
    strategy: Strategy,
    lines: &Lines<'_>,
    quoted: &Lines<'_>,
    scope: Scope,
    is_trimmed: bool,
    budget: &mut Budget<'_>,
) -> Result<Vec<Candidate>, Stop> {
    let whole = |starts: Vec<usize>| {
        starts.into_iter().map(|start| Candidate { range: lines.window(start, quoted), first: Some(start) }).collect::<Vec<_>>()
    };
    Ok(match strategy {
        Strategy::LineTrimmed | Strategy::SameShape => whole(lines.windows_by_key(quoted, budget, trim)?),
        Strategy::WhitespaceNormalised if quoted.len() == 1 => pieces(lines, quoted, budget)?,
        Strategy::WhitespaceNormalised => whole(lines.windows_by_key(quoted, budget, collapse)?),
        // Without its blank lines the text may begin or end within a line.
        Strategy::TrimmedBoundary if is_trimmed => {
            let ranges = occurrences(lines.text, quoted.text, scope, budget)?.into_iter();
            ranges.filter(|range| !cuts_word(lines.text, range)).map(|range| Candidate { range, first: None }).collect()
        }
        Strategy::Exact | Strategy::TrimmedBoundary => Vec::new(),
    })
}

/// The quoted text without blank lines around it, and the new one without as many; `None` where there are none.
fn without_blank_lines<'a>(old: &'a str, new: &'a str) -> Option<(&'a str, &'a str)> {
    let lines: Vec<_> = old.split_inclusive('\n').collect();
    let is_empty = |line: &&&str| is_blank(line.trim_end_matches('\n'));
    let (before, after) = (lines.iter().take_while(is_empty).count(), lines.iter().rev().take_while(is_empty).count());
    if before + after == 0 || before == lines.len() {
        return None;
    }
    let cut = |text: &'a str| {
        let (mut lines, mut rest): (Vec<_>, _) = (text.split_inclusive('\n').collect(), text);
        let first = lines.iter().take(before).take_while(is_empty).map(|line| line.len()).sum::<usize>();
        rest = &rest[first..];
        for _ in 0..after {
            match lines.pop() {
                Some(line) if is_empty(&&line) && line.len() <= rest.len() => rest = &rest[..rest.len() - line.len()],
                _ => break,
            }
        }
        rest
    };
    Some((cut(old), cut(new)))
}

/// The places where `part` stands. Where one is wanted those that overlap are included, since each of them could be meant.
fn occurrences(text: &str, part: &str, scope: Scope, budget: &mut Budget<'_>) -> Result<Vec<Range<usize>>, Stop> {
    budget.spend(text.len() + part.len())?;
    let finder = memchr::memmem::Finder::new(part);
    if scope == Scope::All {
        return Ok(finder.find_iter(text.as_bytes()).map(|at| at..at + part.len()).take(MAX_PLACES + 1).collect());
    }
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(at) = finder.find(&text.as_bytes()[from..])
        && ranges.len() < MAX_COUNTED
    {
        let start = from + at;
        ranges.push(start..start + part.len());
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        // Two are too many already, so all that is lost is how many more there are.
        if budget.spend(part.len()).is_err() && ranges.len() > 1 {
            break;
        }
    }
    Ok(ranges)
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

/// The places within lines where the one quoted line's words stand in a row.
fn pieces(lines: &Lines<'_>, quoted: &Lines<'_>, budget: &mut Budget<'_>) -> Result<Vec<Candidate>, Stop> {
    let old = quoted.lines()[0];
    let mut others = words(old);
    let Some(first) = others.next() else { return Ok(Vec::new()) };
    let others: Vec<_> = others.collect();
    let finder = memchr::memmem::Finder::new(first);
    let mut found = Vec::new();
    for (index, line) in lines.lines().iter().enumerate() {
        budget.spend(1 + line.len())?;
        let mut from = 0;
        while let Some(at) = finder.find(&line.as_bytes()[from..]).map(|at| from + at) {
            from = at + first.chars().next().map_or(1, char::len_utf8);
            let mut end = at + first.len();
            let in_a_row = others.iter().all(|word| {
                let rest = &line[end..];
                let next = rest.trim_start_matches(BLANK);
                let fits = next.len() < rest.len() && next.starts_with(word);
                end += rest.len() - next.len() + if fits { word.len() } else { 0 };
                fits
            });
            budget.spend(end - at)?;
            if in_a_row && let Some(piece) = piece(lines, index, at..end, quoted) {
                found.push(piece);
                if found.len() > MAX_PLACES {
                    return Err(Stop::Spent);
                }
            }
        }
    }
    Ok(found)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether the range begins or ends in the middle of a word or number.
fn cuts_word(text: &str, range: &Range<usize>) -> bool {
    let is_inside = |at: usize| text[..at].chars().next_back().is_some_and(is_word) && text[at..].chars().next().is_some_and(is_word);
    is_inside(range.start) || is_inside(range.end)
}

/// The place of words in a line with the white space that was quoted around them.
fn piece(lines: &Lines<'_>, index: usize, words: Range<usize>, quoted: &Lines<'_>) -> Option<Candidate> {
    let (offset, line, old) = (lines.start(index), lines.lines()[index], quoted.lines()[0]);
    let (before, after) = (&line[..words.start], &line[words.end..]);
    let is_spaced = |text: &str| text.chars().next_back().is_none_or(|last| !is_word(last));
    if cuts_word(line, &words) {
        return None;
    }
    let (mut start, mut first) = (words.start, None);
    if !indentation(old).is_empty() {
        // White space that was quoted need not be there, but a word does not begin in the middle of another.
        if !is_spaced(before) {
            return None;
        }
        start = before.trim_end_matches(BLANK).len();
        first = is_blank(before).then_some(index);
    }
    let end = if quoted.ends_with_newline() {
        is_blank(after).then(|| lines.end_with_newline(index))?
    } else if old.ends_with(BLANK) {
        if after.chars().next().is_some_and(is_word) {
            return None;
        }
        offset + line.len() - after.trim_start_matches(BLANK).len()
    } else {
        offset + words.end
    };
    Some(Candidate { range: offset + start..end, first })
}

#[cfg(test)]
#[path = "matches_tests.rs"]
mod tests;
