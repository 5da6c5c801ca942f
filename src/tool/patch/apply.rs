//! Where the hunks of a patch belong in a text, and the text with them applied. Pure. All bytes outside of the changed lines
//! stay as they are, and so do lines that the patch only names.

use std::ops::Range;

use super::parse::{Hunk, Line};
use crate::{file::text_file::Unified, stdx::text::ellipsis};

/// So many places are named in an error.
const MAX_NAMED: usize = 10;

/// What two lines may differ in, from nothing to more.
const TOLERANCES: [fn(&str) -> &str; 3] = [|line| line, str::trim_end, str::trim];

/// The text with the hunks applied.
///
/// # Errors
/// A sentence for the model, which says where it failed.
pub fn apply(original: &str, hunks: &[Hunk], shown: &str) -> Result<String, String> {
    let unified = Unified::new(original);
    let lines = Lines::new(&unified.text);
    let (mut places, mut from) = (Vec::new(), 0);
    for hunk in hunks {
        let (place, new) = locate(&lines, hunk, from, shown)?;
        from = place.end;
        places.push((place, new));
    }
    let mut text = String::with_capacity(original.len());
    let mut done = 0;
    for (place, new) in places {
        let range = lines.range(&place);
        let old = unified.original(&range);
        text.push_str(&original[done..old.start]);
        text.push_str(&unified.with_endings_of(&range, &lines.joined(&place, &new)));
        done = old.end;
    }
    text.push_str(&original[done..]);
    Ok(text)
}

/// The lines of a text by their places in it.
struct Lines<'a> {
    text: &'a str,
    /// Where each line begins, and the end of the text.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < text.len());
        let starts = if text.is_empty() { vec![0] } else { std::iter::once(0).chain(after).chain([text.len()]).collect() };
        Self { text, starts }
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    fn line(&self, index: usize) -> &'a str {
        let line = &self.text[self.starts[index]..self.starts[index + 1]];
        line.strip_suffix('\n').unwrap_or(line)
    }

    fn range(&self, lines: &Range<usize>) -> Range<usize> {
        self.starts[lines.start]..self.starts[lines.end]
    }

    /// New lines as text in this place. The text ends with a newline afterwards if it did before, or was empty.
    fn joined(&self, place: &Range<usize>, new: &[String]) -> String {
        let mut joined: String = new.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let is_unended = !self.text.is_empty() && !self.text.ends_with('\n');
        if place.end == self.count() && is_unended {
            joined.pop();
            // Behind a last line that has no end of its own.
            if place.is_empty() && !joined.is_empty() {
                joined.insert(0, '\n');
            }
        }
        joined
    }

    fn fit(&self, at: usize, old: &[&str], same: fn(&str) -> &str) -> bool {
        at + old.len() <= self.count() && old.iter().enumerate().all(|(index, line)| same(self.line(at + index)) == same(line))
    }
}

/// The lines that the hunk replaces, and those in their place.
fn locate(lines: &Lines<'_>, hunk: &Hunk, from: usize, shown: &str) -> Result<(Range<usize>, Vec<String>), String> {
    let mut from = from;
    for above in &hunk.above {
        let found = TOLERANCES.iter().find_map(|same| (from..lines.count()).find(|at| lines.fit(*at, &[above], *same)));
        let Some(at) = found else {
            let above = ellipsis(above.trim(), 100);
            return Err(format!(
                "The line `@@ {above}` was not found in {shown} from line {} on. Read the file, and use a line that is there.",
                from + 1
            ));
        };
        from = at + 1;
    }
    let old: Vec<&str> = hunk
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Stays(text) | Line::Goes(text) => Some(text.as_str()),
            Line::Comes(_) => None,
        })
        .collect();
    let start = if old.is_empty() {
        // Below the line that is named, else at the end.
        if hunk.above.is_empty() || hunk.is_at_end { lines.count() } else { from }
    } else {
        find(lines, hunk, &old, from, shown)?
    };
    let mut at = start;
    let mut new = Vec::new();
    for line in &hunk.lines {
        match line {
            Line::Stays(_) => {
                // As it is in the file, where it was found by overlooking white space.
                new.push(lines.line(at).to_owned());
                at += 1;
            }
            Line::Goes(_) => at += 1,
            Line::Comes(text) => new.push(text.clone()),
        }
    }
    Ok((start..at, new))
}

fn find(lines: &Lines<'_>, hunk: &Hunk, old: &[&str], from: usize, shown: &str) -> Result<usize, String> {
    for same in TOLERANCES {
        let found: Vec<usize> = if hunk.is_at_end {
            let last = lines.count().saturating_sub(old.len());
            Some(last).filter(|last| *last >= from && lines.fit(*last, old, same)).into_iter().collect()
        } else {
            (from..lines.count()).filter(|at| lines.fit(*at, old, same)).collect()
        };
        match found.as_slice() {
            [] => {}
            [one] => return Ok(*one),
            // The first below a line that was named is meant.
            [first, ..] if !hunk.above.is_empty() => return Ok(*first),
            several => {
                let mut named: Vec<String> = several.iter().take(MAX_NAMED).map(|at| (at + 1).to_string()).collect();
                if several.len() > MAX_NAMED {
                    named.push("…".to_owned());
                }
                return Err(format!(
                    "The hunk at line {} of the patch fits several places in {shown} (lines {}). Give more lines that stay, or a line `@@ …` with a line above the place.",
                    hunk.number,
                    named.join(", ")
                ));
            }
        }
    }
    let first = ellipsis(old.iter().find(|line| !line.trim().is_empty()).unwrap_or(&"").trim(), 100);
    let near = (0..lines.count()).find(|at| lines.line(*at).trim() == first && !first.is_empty());
    let near = match near {
        Some(at) if at < from => {
            format!(" Its first line is at line {} of the file, above the hunk before; hunks stand in the order of the file.", at + 1)
        }
        Some(at) => format!(" Its first line is at line {} of the file, but the lines below it differ.", at + 1),
        None => String::new(),
    };
    let place = if hunk.is_at_end { "at the end of" } else { "in" };
    Err(format!(
        "The hunk at line {} of the patch, which begins with `{first}`, was not found {place} {shown}.{near} Read the file again and use its lines as they are.",
        hunk.number
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tool::patch::parse::{Section, parse};

    fn hunks(body: &str) -> Vec<Hunk> {
        match parse(&format!("*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch")).unwrap().remove(0) {
            Section::Update { hunks, .. } => hunks,
            other => panic!("{other:?}"),
        }
    }

    fn applied(text: &str, body: &str) -> Result<String, String> {
        apply(text, &hunks(body), "f")
    }

    #[test]
    fn hunks_are_applied_at_their_places() {
        for (text, body, expected) in [
            ("a\nb\nc\n", "@@\n a\n-b\n+B\n c", "a\nB\nc\n"),
            ("a\nb\nc", "@@\n b\n-c\n+C", "a\nb\nC"),
            ("a\nb", "@@\n+c", "a\nb\nc"),
            ("a\n", "@@\n+b\n+c", "a\nb\nc\n"),
            ("", "@@\n+a", "a\n"),
            ("x\n{\n}\ny\n{\n}\n", "@@ y\n {\n+  new\n }", "x\n{\n}\ny\n{\n  new\n}\n"),
            ("x\ny\nz\n", "@@ x\n+under x", "x\nunder x\ny\nz\n"),
            ("a\na\n", "@@\n a\n-a\n*** End of File", "a\n"),
            ("a\nb\na\n", "@@\n-a\n+A\n*** End of File", "a\nb\nA\n"),
            ("a\r\nb\r\nc\r\n", "@@\n a\n-b\n+B\n+BB", "a\r\nB\r\nBB\r\nc\r\n"),
            // What only differs in white space is found, and stays as it is in the file.
            ("\tif x  \n\t\ty\n", "@@\n if x\n-y\n+\t\tz", "\tif x  \n\t\tz\n"),
            ("1\n2\n3\n4\n5\n", "@@\n-1\n+one\n@@\n-5\n+five", "one\n2\n3\n4\nfive\n"),
            ("a\n", "@@\n-a", ""),
        ] {
            assert_eq!(applied(text, body).as_deref(), Ok(expected), "{text:?} {body:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        for (text, body, said) in [
            ("a\nx\na\nx\n", "@@\n a\n-x", "fits several places in f (lines 1, 3)"),
            ("a\nb\n", "@@\n a\n-c", "Its first line is at line 1 of the file, but the lines below it differ"),
            ("a\nb\n", "@@\n-z", "begins with `z`, was not found in f"),
            ("a\nb\n", "@@ nowhere\n-a", "The line `@@ nowhere` was not found"),
            ("a\nb\nc\n", "@@\n-c\n@@\n-a", "above the hunk before"),
            ("a\nb\n", "@@\n-a\n*** End of File", "at the end of"),
        ] {
            let error = applied(text, body).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        /// Replacing any line of distinct lines changes it alone, whatever the line endings are.
        #[test]
        fn only_the_named_line_changes(count in 1..12usize, at in 0..12usize, crlf: bool, ended: bool) {
            let (at, end) = (at % count, if crlf { "\r\n" } else { "\n" });
            let ending = |index: usize| if index + 1 < count || ended { end } else { "" };
            let text: String = (0..count).map(|index| format!("line {index:02}{}", ending(index))).collect();
            let expected = text.replace(&format!("line {at:02}"), "new");
            let changed = applied(&text, &format!("@@\n-line {at:02}\n+new")).unwrap();
            prop_assert_eq!(changed, expected);
        }
    }
}
