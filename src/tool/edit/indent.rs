//! The indentation of a replacement. A model that quotes lines with another indentation than the file has writes their
//! replacement with it too; here it is given the file's own, or nothing where that is not certain. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Lines, indentation, is_blank};

/// What indentation consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Tabs,
    Spaces,
}

/// The new text with the indentation that the file has at this place; `None` where it is not certain, or longer than `limit`.
/// The pairs are the quoted lines and those of the file that they were found to be.
pub fn shifted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, new: &str, file: &Lines<'_>, limit: usize) -> Option<String> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (quoted, line) in pairs.filter(|(quoted, _)| !is_blank(quoted)) {
        let (quoted, line) = (indentation(quoted), indentation(line));
        if *known.entry(quoted).or_insert(line) != line {
            return None;
        }
    }
    if known.iter().all(|(quoted, line)| quoted == line) {
        return Some(new.to_owned());
    }
    let wanted: BTreeSet<_> = new.split('\n').filter(|line| !is_blank(line)).map(indentation).collect();
    let unknown: Vec<_> = wanted.into_iter().filter(|indentation| !known.contains_key(indentation)).collect();
    let derived =
        if unknown.is_empty() { BTreeMap::new() } else { by_width(&known, &unknown, file).or_else(|| by_prefix(&known, &unknown))? };
    let mut text = String::with_capacity(new.len());
    for line in new.split_inclusive('\n') {
        if is_blank(line.trim_end_matches('\n')) {
            text.push_str(line.trim_start_matches([' ', '\t']));
        } else {
            let own = indentation(line);
            text.push_str(known.get(own).copied().or_else(|| derived.get(own).map(String::as_str))?);
            text.push_str(&line[own.len()..]);
        }
        if text.len() > limit {
            return None;
        }
    }
    Some(text)
}

/// By steps of width: as many more or less as the known ones, in the file's own tabs or spaces.
fn by_width<'a>(known: &BTreeMap<&str, &str>, unknown: &[&'a str], file: &Lines<'_>) -> Option<BTreeMap<&'a str, String>> {
    let from = common_style(known.keys().chain(unknown).copied())?;
    let to = common_style(known.values().copied())?.or_else(|| file_style(file)).or(from).unwrap_or(Style::Spaces);
    let from = from.unwrap_or(to);
    let width = |indentation: &str| i64::try_from(indentation.len()).ok();
    let points: Vec<_> = known.iter().map(|(quoted, line)| Some((width(quoted)?, width(line)?))).collect::<Option<_>>()?;
    let (first, others) = points.split_first()?;
    // Where only one is known, its difference counts; a step of the model's is a step of the file's.
    let (rise, run) = match (others.first(), from, to) {
        (Some(other), ..) => (other.1 - first.1, other.0 - first.0),
        (None, Style::Spaces, Style::Tabs) => {
            let step = unknown.iter().filter_map(|indentation| width(indentation)).fold(0, |step, one| gcd(step, (one - first.0).abs()));
            (1, if step == 1 { return None } else { step.max(1) })
        }
        (None, Style::Tabs, Style::Spaces) => {
            let own = || (first.0 > 0 && first.1 % first.0 == 0).then(|| first.1 / first.0);
            (file_step(file).or_else(own)?, 1)
        }
        (None, ..) => (1, 1),
    };
    // The keys are in order, so the run is positive.
    let even = points.iter().all(|(quoted, line)| (quoted - first.0) * rise == (line - first.1) * run);
    if rise <= 0 || !even {
        return None;
    }
    let character = if to == Style::Tabs { "\t" } else { " " };
    let shift = |indentation: &&'a str| {
        let distance = (width(indentation)? - first.0).checked_mul(rise)?;
        let width = usize::try_from(first.1 + (distance % run == 0).then_some(distance / run)?).ok()?;
        Some((*indentation, character.repeat(width)))
    };
    unknown.iter().map(shift).collect()
}

/// By what stands before all known ones, in the file or in the quotation: this keeps mixtures, as of comments with stars.
fn by_prefix<'a>(known: &BTreeMap<&str, &str>, unknown: &[&'a str]) -> Option<BTreeMap<&'a str, String>> {
    let (quoted, line) = known.first_key_value()?;
    let (less, more) = match (line.strip_suffix(quoted), quoted.strip_suffix(line)) {
        (Some(more), _) => ("", more),
        (None, Some(less)) => (less, ""),
        (None, None) => return None,
    };
    let shift = |indentation: &str| indentation.strip_prefix(less).map(|rest| format!("{more}{rest}"));
    let is_common = known.iter().all(|(quoted, line)| shift(quoted).as_deref() == Some(*line));
    let certain = |indentation: &&'a str| Some((*indentation, shift(indentation).filter(|made| !made.contains(" \t"))?));
    is_common.then(|| unknown.iter().map(certain).collect()).flatten()
}

/// What all of these consist of; nothing inside where all are empty, nothing at all where they are mixed.
fn common_style<'a>(indentations: impl Iterator<Item = &'a str>) -> Option<Option<Style>> {
    let mut common = None;
    for indentation in indentations.filter(|indentation| !indentation.is_empty()) {
        let style = match (indentation.trim_matches('\t').is_empty(), indentation.trim_matches(' ').is_empty()) {
            (true, _) => Style::Tabs,
            (_, true) => Style::Spaces,
            _ => return None,
        };
        if common.is_some_and(|common| common != style) {
            return None;
        }
        common = Some(style);
    }
    Some(common)
}

/// What most of the file's indented lines begin with.
fn file_style(file: &Lines<'_>) -> Option<Style> {
    let count = |character: char| file.lines().iter().filter(|line| line.starts_with(character)).count();
    match (count('\t'), count(' ')) {
        (0, 0) => None,
        (tabs, spaces) => Some(if tabs >= spaces { Style::Tabs } else { Style::Spaces }),
    }
}

/// By how many spaces the file's lines are mostly indented more than the line before.
fn file_step(file: &Lines<'_>) -> Option<i64> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let widths: Vec<_> =
        file.lines().iter().filter(|line| !is_blank(line)).map(|line| line.len() - line.trim_start_matches(' ').len()).collect();
    for (before, after) in widths.iter().zip(widths.iter().skip(1)).filter(|(before, after)| after > before) {
        *counts.entry(after - before).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(step, _)| i64::try_from(step).ok())
}

fn gcd(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, quoted: &str, lines: &str, new: &str) -> Option<String> {
        shifted(quoted.lines().zip(lines.lines()), new, &Lines::new(file), 10_000)
    }

    #[test]
    fn by_the_difference() {
        let plain = |quoted, lines, new| check("", quoted, lines, new);
        assert_eq!(plain("a", "a", " b").unwrap(), " b");
        assert_eq!(plain("a\n b", "    a\n     b", "a\n\n  b\n   \n b\n").unwrap(), "    a\n\n      b\n\n     b\n");
        assert_eq!(plain("    a", "a", "    b\n        c").unwrap(), "b\n    c");
        assert_eq!(plain("    a", "a", "  b"), None, "there is no indentation below none");
        assert_eq!(plain("  a\n    b", "    a\n        b", "  a\n      c").unwrap(), "    a\n            c");
        assert_eq!(plain("a\n    b\n    c", "  a\n    b\n    c", "a\n    d").unwrap(), "  a\n    d", "the same as before is known");
        assert_eq!(plain("a\n    b", "    a\n    b", "a\n  d"), None);
        assert_eq!(plain("a\nb", "  a\n    b", "a"), None, "one for two");
        assert_eq!(shifted([("a", " a")].into_iter(), "b\nb\nb", &Lines::new(""), 4), None, "too long");
    }

    #[test]
    fn in_the_files_own_characters() {
        let tabs = "f {\n\tif {\n\t\tx\n\t}\n}\n";
        assert_eq!(
            check(tabs, "    if {\n        x\n    }", "\tif {\n\t\tx\n\t}", "    if {\n        y {\n            z\n").unwrap(),
            "\tif {\n\t\ty {\n\t\t\tz\n"
        );
        assert_eq!(check(tabs, "x", "\t\tx", "x\n  y\n    z").unwrap(), "\t\tx\n\t\t\ty\n\t\t\t\tz");
        assert_eq!(check(tabs, "    x", "\t\tx", "    y").unwrap(), "\t\ty");
        assert_eq!(check(tabs, "    x", "\t\tx", "    x\n        y\nz").unwrap(), "\t\tx\n\t\t\ty\n\tz");
        assert_eq!(check(tabs, "    x", "\t\tx", "    x\n      y\n         z"), None, "no even steps");
        let spaces = "f {\n  if {\n    x\n  }\n}\n";
        assert_eq!(check(spaces, "\tx", "    x", "\tx\n\t\ty").unwrap(), "    x\n      y");
        assert_eq!(check(spaces, "\t\tx", "x", "\t\tx\n\t\t\ty").unwrap(), "x\n  y");
        assert_eq!(check("x\ny\n", "\tx", "  x", "\tx\n\t\ty").unwrap(), "  x\n    y");
        assert_eq!(check("x\ny\n", "\t\tx", "   x", "\tx\n\t\ty"), None, "nothing tells the file's step");
    }

    #[test]
    fn mixtures_keep_what_follows() {
        assert_eq!(
            check("", "/**\n * a\n */", "\t/**\n\t * a\n\t */", "/**\n * b\n *\n */\nf()").unwrap(),
            "\t/**\n\t * b\n\t *\n\t */\n\tf()"
        );
        assert_eq!(check("", "/** a", "\t/** a", "/** a\n * b").unwrap(), "\t/** a\n\t * b");
        assert_eq!(check("", "\t\t/**\n\t\t * a", "\t/**\n\t * a", "\t\t/**\n\t\t   b").unwrap(), "\t/**\n\t   b");
        assert_eq!(check("", "a", "  a", "a\n\tb\n c"), None, "a tab behind spaces");
    }
}
