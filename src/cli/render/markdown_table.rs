//! Markdown tables for a terminal: aligned columns, and wrapped cells if the table is too wide. Pure.

use anstream::adapter::strip_str;
use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    markdown_inline as inline,
    style::{FAINT, STRONG, paint},
};

/// The minimum width of a column.
const MIN_WIDTH: usize = 6;

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
    Centre,
}

/// The lines of a table with these rows, at most `width` wide if possible; rows that are not a table are shown unchanged.
#[must_use]
pub fn render(rows: &[String], width: Option<usize>) -> String {
    let Some(aligns) = rows.get(1).and_then(|row| aligns(row)).filter(|aligns| aligns.len() == cells(&rows[0]).len()) else {
        return rows.iter().map(|row| format!("{row}\n")).collect();
    };
    let indent = " ".repeat(rows[0].len() - rows[0].trim_start().len());
    let styled: Vec<Vec<String>> = rows
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != 1)
        .map(|(index, row)| {
            let style = if index == 0 { STRONG } else { Style::new() };
            cells(row).iter().map(|cell| inline::scan(cell, true, style, None).output).collect()
        })
        .collect();
    let columns = styled.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![1; columns];
    for (column, cell) in styled.iter().flat_map(|row| row.iter().enumerate()) {
        widths[column] = widths[column].max(visible(cell));
    }
    if let Some(width) = width {
        shrink(&mut widths, width.saturating_sub(indent.len() + 3 * columns.saturating_sub(1)));
    }
    let bar = paint(FAINT, " │ ");
    let mut shown = String::new();
    for (index, row) in styled.iter().enumerate() {
        let wrapped: Vec<Vec<String>> = row.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
        for line in 0..wrapped.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = indent.clone();
            for (column, lines) in wrapped.iter().enumerate() {
                let piece = lines.get(line).map_or("", String::as_str);
                let room = widths[column].saturating_sub(visible(piece));
                let left = match aligns.get(column).unwrap_or(&Align::Left) {
                    Align::Left => 0,
                    Align::Right => room,
                    Align::Centre => room / 2,
                };
                if column > 0 {
                    text.push_str(&bar);
                }
                text.push_str(&" ".repeat(left));
                text.push_str(piece);
                if column + 1 < wrapped.len() {
                    text.push_str(&" ".repeat(room - left));
                }
            }
            shown.push_str(text.trim_end_matches(' '));
            shown.push('\n');
        }
        if index == 0 {
            let rule: Vec<String> = widths.iter().take(aligns.len()).map(|width| "─".repeat(*width)).collect();
            shown.push_str(&indent);
            shown.push_str(&paint(FAINT, &rule.join("─┼─")));
            shown.push('\n');
        }
    }
    shown
}

/// The columns of a delimiter row; `None` if it is not one.
fn aligns(row: &str) -> Option<Vec<Align>> {
    cells(row)
        .iter()
        .map(|cell| {
            let dashes = cell.trim_matches(':');
            if dashes.is_empty() || !dashes.bytes().all(|byte| byte == b'-') || cell.len() > dashes.len() + 2 {
                return None;
            }
            match (cell.starts_with(':'), cell.ends_with(':')) {
                (true, true) => Some(Align::Centre),
                (false, true) => Some(Align::Right),
                _ => Some(Align::Left),
            }
        })
        .collect()
}

/// The cells of a row. A backslash escapes a bar.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut characters = row.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, cells.last_mut()) {
            ('\\', Some(cell)) if characters.peek() == Some(&'|') => {
                characters.next();
                cell.push('|');
            }
            ('|', _) => cells.push(String::new()),
            (_, Some(cell)) => cell.push(character),
            (_, None) => {}
        }
    }
    if cells.len() > 1 && cells.last().is_some_and(|last| last.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Makes the widest columns narrower until all fit.
fn shrink(widths: &mut [usize], room: usize) {
    let sum = |most: usize| widths.iter().map(|width| (*width).min(most)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if sum(widest) <= room {
        return;
    }
    let (mut low, mut high) = (MIN_WIDTH, widest.max(MIN_WIDTH));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if sum(middle) <= room { low = middle } else { high = middle - 1 }
    }
    // The rest is distributed to the columns that need it, one each.
    let mut rest = room.saturating_sub(sum(low));
    for width in widths {
        if *width > low {
            *width = low + usize::from(rest > 0);
            rest = rest.saturating_sub(1);
        }
    }
}

/// The width of the text on a terminal, without styles.
fn visible(styled: &str) -> usize {
    if styled.contains('\u{1b}') { strip_str(styled).to_string().width() } else { styled.width() }
}

/// Wraps the text to lines of at most this width, between words if possible. Styles continue on the next line.
fn wrap(styled: &str, width: usize) -> Vec<String> {
    if visible(styled) <= width {
        return vec![styled.to_owned()];
    }
    let (mut lines, mut line, mut columns) = (Vec::new(), String::new(), 0);
    // The current style, and the last blank of the line: its position and style.
    let (mut style, mut blank): (String, Option<(usize, String)>) = (String::new(), None);
    let mut rest = styled;
    while let Some(character) = rest.chars().next() {
        if let Some(sequence) = (character == '\u{1b}').then(|| rest.find('m')).flatten().map(|end| &rest[..=end]) {
            if sequence == "\u{1b}[0m" {
                style.clear();
            } else {
                style.push_str(sequence);
            }
            line.push_str(sequence);
            rest = &rest[sequence.len()..];
            continue;
        }
        rest = &rest[character.len_utf8()..];
        let wide = character.width().unwrap_or(0);
        if columns + wide > width && columns > 0 {
            let (at, from) = blank.take().unwrap_or_else(|| (line.len(), style.clone()));
            let next = line.split_off(at);
            let next = next.strip_prefix(' ').unwrap_or(&next);
            let reset = if from.is_empty() { "" } else { "\u{1b}[0m" };
            lines.push(format!("{}{reset}", line.trim_end_matches(' ')));
            line = format!("{from}{next}");
            columns = visible(&line);
        }
        if character == ' ' {
            if columns == 0 {
                continue;
            }
            blank = Some((line.len(), style.clone()));
        }
        line.push(character);
        columns += wide;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(rows: &str, width: Option<usize>, expect: &Expect) {
        let rows: Vec<String> = rows.lines().map(str::to_owned).collect();
        expect.assert_eq(&strip_str(&render(&rows, width)).to_string());
    }

    #[test]
    fn columns_line_up() {
        check(
            "| Name | Größe | 漢字 |\n|:--|--:|:-:|\n| **alpha** | 1 | x |\n| `b\\|c` | 1,000 | 漢 | more |\n| z |",
            None,
            &expect![[r"
                Name  │ Größe │ 漢字
                ──────┼───────┼─────
                alpha │     1 │  x
                b|c   │ 1,000 │  漢  │ more
                z
            "]],
        );
    }

    #[test]
    fn what_is_no_table_stays() {
        check("| a |\n| b |", None, &expect![["| a |\n| b |\n"]]);
        check("| a | b |\n|---|", None, &expect![["| a | b |\n|---|\n"]]);
        check("|", None, &expect![["|\n"]]);
    }

    #[test]
    fn wide_tables_wrap_their_cells() {
        check(
            "| option | what it does |\n|---|---|\n| `--yes` | answers **yes to everything that** is asked, once |\n| `-x` | averyverylongwordwithoutanyblank |",
            Some(32),
            &expect![[r"
                option │ what it does
                ───────┼────────────────────────
                --yes  │ answers yes to
                       │ everything that is
                       │ asked, once
                -x     │ averyverylongwordwithou
                       │ tanyblank
            "]],
        );
    }

    #[test]
    fn a_style_goes_on_behind_a_break() {
        let (bold, end) = ("\u{1b}[1m", "\u{1b}[0m");
        assert_eq!(
            wrap(&format!("{bold}one two{end} three"), 5),
            [format!("{bold}one{end}"), format!("{bold}two{end}"), "three".to_owned()]
        );
    }
}
