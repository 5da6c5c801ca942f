//! Tables with aligned columns.

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr as _;

/// The lines of a table: each column as wide as its widest cell, with two blanks between columns. Cells may be styled.
#[must_use]
pub fn render(rows: &[Vec<String>]) -> String {
    let width = |cell: &String| strip_str(cell).to_string().width();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().filter_map(|row| row.get(column)).map(width).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        for (column, cell) in row.iter().take(last).enumerate() {
            text.push_str(cell);
            if column + 1 < last {
                text.push_str(&" ".repeat(widths[column] - width(cell) + 2));
            }
        }
        text.push('\n');
    }
    text
}

/// Facts separated by dots, wrapped to lines of at most `width` columns between facts.
#[must_use]
pub fn facts(facts: impl IntoIterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            Some(line) if line.width() + 3 + fact.width() <= width => {
                line.push_str(" · ");
                line.push_str(&fact);
            }
            _ => lines.push(fact),
        }
    }
    lines
}

/// How long ago `then` was; both in milliseconds since 1970.
#[must_use]
pub fn ago(then: i64, now: i64) -> String {
    let minutes = (now - then).max(0) / 60_000;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..2880 => "yesterday".to_owned(),
        _ => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::style::{STRONG, paint};

    #[test]
    fn columns_line_up_whatever_their_style() {
        let rows = vec![
            vec![paint(STRONG, "ä"), "x".into(), "1".into()],
            vec!["long".into(), String::new(), String::new()],
            vec!["b".into(), String::new(), "2".into()],
        ];
        assert_eq!(strip_str(&render(&rows)).to_string(), "ä     x  1\nlong\nb        2\n");
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn facts_fit() {
        let words = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(facts(words(&["build", "a/b", "2.0 s"]), 19), ["build · a/b · 2.0 s"]);
        assert_eq!(facts(words(&["build", "a/b", "2.0 s", "longer than all"]), 13), ["build · a/b", "2.0 s", "longer than all"]);
        assert!(facts(Vec::new(), 80).is_empty());
    }

    #[test]
    fn times() {
        let hour = 3_600_000;
        let cases = [
            (0, "just now"),
            (59_999, "just now"),
            (60_000, "1 min ago"),
            (hour, "1 h ago"),
            (30 * hour, "yesterday"),
            (72 * hour, "3 days ago"),
            (-5, "just now"),
        ];
        for (passed, text) in cases {
            assert_eq!(ago(1_000_000, 1_000_000 + passed), text);
        }
    }
}
