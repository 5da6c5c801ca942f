//! The styles. Styled text contains escape sequences, which an output without colour strips; so the text must be sanitized.

use anstyle::{AnsiColor, Style};

/// A heading, a name.
pub const STRONG: Style = Style::new().bold();
/// Less important text.
pub const FAINT: Style = Style::new().dimmed();
/// The model's thoughts.
pub const THOUGHT: Style = Style::new().dimmed().italic();
/// Errors; removed lines.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Success; added lines.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// Code and commands.
pub const CODE: Style = AnsiColor::Cyan.on_default();

/// The text in the style.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// A unified diff with styled lines, indented by `indent`; at most `most` lines, without the two header lines, because the
/// context names the file.
#[must_use]
pub fn diff(patch: &str, indent: &str, most: usize) -> String {
    let lines = diff_lines(patch);
    let mut shown = String::new();
    for line in lines.iter().take(most) {
        let style = match line.bytes().next() {
            Some(b'+') => GOOD,
            Some(b'-') => BAD,
            Some(b'@') => FAINT,
            _ => Style::new(),
        };
        shown.push_str(indent);
        shown.push_str(&paint(style, &super::sanitize::exact(line)));
        shown.push('\n');
    }
    if lines.len() > most {
        shown.push_str(indent);
        shown.push_str(&paint(FAINT, &format!("… {} more lines", lines.len() - most)));
        shown.push('\n');
    }
    shown
}

/// The lines of a unified diff after the two header lines.
#[must_use]
pub fn diff_lines(patch: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = patch.lines().collect();
    lines.drain(..lines.iter().position(|line| line.starts_with("@@")).unwrap_or(0));
    lines
}

/// The lines of an error and its hint.
#[must_use]
pub fn error_lines(message: &str, hint: Option<&str>) -> String {
    let mut lines = format!("{} {}", paint(BAD.bold(), "error:"), super::sanitize::text(message));
    if let Some(hint) = hint {
        lines.push_str(&format!("\n{}", paint(FAINT, &format!("hint: {}", super::sanitize::text(hint)))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_cut_and_harmless() {
        let patch = "--- a\n+++ a\n@@ -1,2 +1,2 @@\n same\n-old\u{1b}[2J\n+new\n";
        let plain = |most| anstream::adapter::strip_str(&diff(patch, "  ", most)).to_string();
        assert_eq!(plain(9), "  @@ -1,2 +1,2 @@\n   same\n  -old\\u{1b}[2J\n  +new\n");
        assert_eq!(plain(2), "  @@ -1,2 +1,2 @@\n   same\n  … 2 more lines\n");
    }
}
