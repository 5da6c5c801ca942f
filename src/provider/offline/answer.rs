//! The answers of the offline model: descriptions of tool results, and help. Pure.

use crate::{provider::offline::grammar::SENTENCES, stdx::text::ellipsis};

const MAX_LINES: usize = 20;

pub(crate) fn help() -> String {
    let sentences = SENTENCES.iter().map(|(sentence, does)| format!("- `{sentence}`: {does}\n")).collect::<Vec<_>>().concat();
    format!(
        "I am polytree's offline model: a small fixed program that understands a few sentences and uses the same tools as a \
         language model would.\n\n{sentences}\nTo work with a language model, set ANTHROPIC_API_KEY or OPENAI_API_KEY in the \
         environment from which you start your editor or polytree, or add a provider to polytree.json (a server on this machine \
         will do), and choose its model."
    )
}

pub(crate) fn not_understood(said: &str) -> String {
    let said = said.trim().lines().next().unwrap_or_default();
    let start = if said.is_empty() { String::new() } else { format!("I do not understand \"{}\". ", ellipsis(said, 80)) };
    format!("{start}{}", help())
}

pub(crate) fn tool_missing(tool: &str) -> String {
    format!("I would need the tool `{tool}` for that, and it is not available here.")
}

pub(crate) fn failed(tool: &str, output: &str) -> String {
    format!("That did not work. The tool `{tool}` says: {}", ellipsis(output.trim(), 600))
}

pub(crate) fn read(file: &str, output: &str) -> String {
    match content_lines(output).as_slice() {
        [] | [""] => format!("`{file}` is empty."),
        lines => format!("I read {} of `{file}`:\n\n{}", count(lines.len(), "line"), excerpt(lines)),
    }
}

pub(crate) fn found(name: &str, output: &str) -> String {
    let files: Vec<_> = output.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['(', '<'])).collect();
    match files.as_slice() {
        [] => format!("I found no file that matches `{name}`."),
        [first, ..] if first.starts_with("No files") => format!("I found no file that matches `{name}`."),
        files => {
            let shown = files.iter().take(MAX_LINES).map(|file| format!("- `{file}`\n")).collect::<Vec<_>>().concat();
            format!("I found {} for `{name}`:\n\n{shown}{}", count(files.len(), "file"), rest(files.len()))
        }
    }
}

pub(crate) fn searched(text: &str, output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    match lines.iter().find(|line| !line.trim().is_empty()) {
        None => format!("I found `{text}` nowhere."),
        Some(first) if first.starts_with("No ") => format!("I found `{text}` nowhere."),
        Some(_) => format!("This is where I found `{text}`:\n\n{}", excerpt(&lines)),
    }
}

pub(crate) fn replaced(old: &str, new: &str, file: &str, output: &str) -> String {
    let done = format!("I replaced `{}` with `{}` in `{file}`.", ellipsis(old, 80), ellipsis(new, 80));
    // The tool's output has the position and remaining problems.
    let report = ellipsis(output.trim(), 2000);
    if report.is_empty() { done } else { format!("{done}\n\n{report}") }
}

pub(crate) fn ran(command: &str, output: &str) -> String {
    let lines: Vec<_> = output.trim_end().lines().collect();
    if lines.iter().all(|line| line.trim().is_empty()) {
        return format!("`{command}` ended without output.");
    }
    format!("`{command}` says:\n\n{}", excerpt(&lines))
}

pub(crate) fn changed(status: &str, diff: &str) -> String {
    let is_change = |line: &&str| line.as_bytes().get(2) == Some(&b' ') && line[..2].chars().all(|c| " MADRCUT?!".contains(c));
    let files: Vec<_> = status.lines().filter(is_change).collect();
    if files.is_empty() {
        return "Nothing has changed since the last commit.".to_owned();
    }
    let total = diff.lines().rev().find(|line| line.contains(" changed")).map_or_else(String::new, |line| format!(" ({})", line.trim()));
    format!("{} changed since the last commit{total}:\n\n{}", has(files.len()), excerpt(&files))
}

fn has(files: usize) -> String {
    if files == 1 { "One file has".to_owned() } else { format!("{files} files have") }
}

/// The name of the README in a listing.
pub(crate) fn readme_in(listing: &str) -> Option<String> {
    let is_readme = |name: &&str| {
        let lower = name.to_lowercase();
        lower == "readme" || ["readme.md", "readme.rst", "readme.txt", "readme.adoc"].contains(&lower.as_str())
    };
    // Only top-level entries: deeper ones are indented or have a path.
    let names = listing.lines().filter(|line| line.len() - line.trim_start().len() <= 2).map(str::trim);
    names.map(|line| line.strip_prefix("- ").unwrap_or(line)).find(is_readme).map(ToOwned::to_owned)
}

pub(crate) fn explained(listing: &str, readme: Option<&str>) -> String {
    let lines: Vec<_> = listing.lines().filter(|line| !line.trim().is_empty()).collect();
    let files = format!("These are its files:\n\n{}", excerpt(&lines));
    let Some(readme) = readme else { return format!("This project has no README at its top. {files}") };
    let text: Vec<_> = content_lines(readme);
    format!("The README of this project begins:\n\n{}\n{files}", excerpt(&text))
}

/// A title: the beginning of the first prompt.
pub(crate) fn title(said: &str) -> String {
    let words: Vec<_> = said.split_whitespace().take(8).collect();
    let title = ellipsis(words.join(" ").trim_end_matches(['.', '?', '!', ',', ':']), 50);
    if title.is_empty() { "New session".to_owned() } else { title }
}

pub(crate) fn summary(said: &[&str]) -> String {
    let line = |text: &&str| format!("- {}\n", ellipsis(text.trim().lines().next().unwrap_or_default(), 200));
    let lines = said.iter().map(line).collect::<Vec<_>>().concat();
    format!("The offline model cannot judge what mattered, so this only lists what the user asked, in order:\n\n{lines}")
}

/// The text lines in the output of the read tool, without tags, notes and line numbers.
fn content_lines(output: &str) -> Vec<&str> {
    let numbered: Vec<_> = output.lines().filter_map(without_number).collect();
    let mut lines = if numbered.is_empty() {
        output.lines().filter(|line| !line.starts_with('<') && !line.starts_with('(')).collect()
    } else {
        numbered
    };
    // A trailing line feed gives an empty last line.
    if lines.len() > 1 && lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// `00012| text`, `12: text` or `12<tab>text`.
fn without_number(line: &str) -> Option<&str> {
    let rest = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let has_number = rest.len() < line.trim_start().len();
    let text = rest.strip_prefix(['|', ':', '\t', '→'])?;
    has_number.then(|| text.strip_prefix(' ').unwrap_or(text))
}

fn excerpt(lines: &[&str]) -> String {
    // A fence that is longer than any in the text.
    let ticks = lines.iter().map(|line| line.chars().filter(|c| *c == '`').count()).max().unwrap_or(0).max(2) + 1;
    let fence = "`".repeat(ticks);
    let shown = lines.iter().take(MAX_LINES).map(|line| ellipsis(line, 200)).collect::<Vec<_>>().join("\n");
    format!("{fence}\n{shown}\n{fence}\n{}", rest(lines.len()))
}

fn rest(total: usize) -> String {
    if total > MAX_LINES { format!("and {} more.", total - MAX_LINES) } else { String::new() }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("one {noun}") } else { format!("{number} {noun}s") }
}
