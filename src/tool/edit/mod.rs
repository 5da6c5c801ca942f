//! Replaces text in a file. All bytes outside of the place that was found stay as they are.

mod budget;
mod indent;
mod kept;
mod lines;
mod matches;

use std::{fmt::Write as _, ops::Range, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    change::{self, Current, OnOwnChange, Planned},
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
    path::{self, Purpose},
};
use crate::{
    file::{
        save,
        text_file::{Encoding, TextFile, Unified},
    },
    stdx::{encoding::stray_byte, lookalike, paths::AbsPath, secrets::known::KnownSecrets, text::ellipsis},
};
use budget::{Budget, Stop};
use lines::MAX_PLACES;
use matches::{Match, Scope};

/// How many lines of the file an error quotes, and how many places it lists.
const QUOTED: usize = 20;
/// How many differences that cannot be seen an error names.
const NAMED: usize = 5;
/// How long the search for the place may take, in steps of about a nanosecond.
const STEPS: u64 = 500_000_000;

pub struct Edit;

/// What to replace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditArgs {
    /// The file, absolute or relative to the working directory.
    file_path: String,
    /// The text to replace, exactly as it stands in the file, without line numbers. Empty only to create a new file.
    old_string: String,
    /// The text to put in its place; different from oldString.
    new_string: String,
    /// Replace every occurrence; without it oldString must occur exactly once.
    #[serde(default)]
    replace_all: bool,
}

#[async_trait]
impl Tool for Edit {
    const NAME: &'static str = "edit";
    const DESCRIPTION: &'static str = include_str!("edit.md");
    const PERMISSION: &'static str = "edit";
    type Args = EditArgs;

    fn subject(args: &EditArgs, directory: &AbsPath) -> String {
        path::shortened(&args.file_path, directory)
    }

    async fn run(&self, context: &ToolContext, args: EditArgs) -> Result<ToolOutput, ToolError> {
        if args.old_string == args.new_string {
            return Err(ToolError::failed("oldString and newString are the same, so there is nothing to change."));
        }
        let file = path::check(context, &args.file_path, Purpose::Write).await?;
        let shown = file.shown().to_owned();
        let (cancel, guard) = (context.cancel.clone(), Arc::clone(&context.guard));
        let planner = move |current: Option<&Current>| plan(&shown, current, &args, &mut Budget::new(STEPS, &cancel), &guard.secrets);
        let changed = change::change(context, &file, OnOwnChange::PlanAgain, Arc::new(planner)).await?;
        Ok(ToolOutput::new(
            file.shown(),
            changed.report,
            json!({
                "filePath": file.real().to_string(),
                "diff": changed.diff,
                "additions": changed.additions,
                "deletions": changed.deletions,
            }),
        ))
    }
}

fn plan(
    shown: &str,
    current: Option<&Current>,
    args: &EditArgs,
    budget: &mut Budget<'_>,
    secrets: &KnownSecrets,
) -> Result<Planned, ToolError> {
    let bytes = match current {
        Some(current) => current.bytes.as_slice(),
        None if args.old_string.is_empty() => b"",
        None => return Err(ToolError::failed(format!("{shown} does not exist. To create it, leave oldString empty."))),
    };
    if args.old_string.is_empty() {
        if !bytes.is_empty() {
            let text = format!(
                "{shown} exists and is not empty. Give the text to replace in oldString, or use the write tool to replace the whole file."
            );
            return Err(ToolError::failed(text));
        }
        let report = format!("Created {shown}.");
        return Ok(Planned { bytes: args.new_string.clone().into_bytes(), texts: (String::new(), args.new_string.clone()), report });
    }
    let file = TextFile::decode(bytes).map_err(|error| ToolError::failed(format!("{shown} cannot be edited: {error}.")))?;
    let refused = |error| {
        let hint = "Ask the user which encoding the file has, and convert it with a command such as iconv before you edit it.";
        ToolError::failed(format!("{shown} was not changed: {error}. {hint}"))
    };
    file.check_new(&args.new_string).map_err(refused)?;
    let (text, mut report) = edited(shown, &file.text, args, budget, secrets)?;
    let encoded = file.encode(&text).map_err(refused)?;
    if let Encoding::Legacy(encoding) = file.encoding {
        let _ = write!(report, " The file looks like {} and stays so; this is a guess from its bytes.", encoding.name());
    }
    Ok(Planned { bytes: encoded, texts: (file.shown(&file.text), file.shown(&text)), report })
}

/// The text with the change made, and what to tell about it.
fn edited(
    shown: &str,
    original: &str,
    args: &EditArgs,
    budget: &mut Budget<'_>,
    secrets: &KnownSecrets,
) -> Result<(String, String), ToolError> {
    let unified = Unified::new(original);
    let (old, new) = (args.old_string.replace("\r\n", "\n"), args.new_string.replace("\r\n", "\n"));
    if old == new {
        let text = "oldString and newString differ in their line endings only; line endings are kept as the file has them.";
        return Err(ToolError::failed(text));
    }
    let scope = if args.replace_all { Scope::All } else { Scope::One };
    let too_long = || ToolError::failed(format!("{shown} would have more than {} bytes, too many for this tool.", save::MAX_BYTES));
    let limit = usize::try_from(save::MAX_BYTES).unwrap_or(usize::MAX);
    let found = matches::find(&unified.text, &old, &new, scope, limit, budget).map_err(|error| match error {
        matches::Error::Stopped(Stop::Aborted) => ToolError::Aborted,
        matches::Error::TooLong => too_long(),
        error => ToolError::Failed(explain(shown, &unified.text, &old, &error, secrets)),
    })?;
    if found.places.len() > MAX_PLACES {
        return Err(ToolError::failed(format!("oldString occurs more than {MAX_PLACES} times in {shown}, too many for this tool.")));
    }
    // Counted before it is made: replacing a letter everywhere by a page would take more memory than there is.
    let removed: usize = found.places.iter().map(|(range, _)| range.len()).sum();
    let added = found.places.iter().fold(0_u64, |sum, (_, new)| sum.saturating_add(new.len() as u64));
    if ((original.len() - removed) as u64).saturating_add(added) > save::MAX_BYTES {
        return Err(too_long());
    }
    let mut text = String::new();
    let mut from = 0;
    for (range, new) in &found.places {
        let place = unified.original(range);
        text.push_str(&original[from..place.start]);
        text.push_str(&unified.with_endings_of(range, new));
        from = place.end;
    }
    text.push_str(&original[from..]);
    if text == original {
        return Err(ToolError::failed(format!("{shown} already reads as newString would make it, so nothing was changed.")));
    }
    Ok((text, report(shown, &unified.text, &found)))
}

fn report(shown: &str, text: &str, found: &Match) -> String {
    let first = found.places.first().map_or(1, |(range, _)| line_number(text, range.start));
    let mut report = match found.places.len() {
        1 => format!("Edited {shown} at line {first}."),
        count => format!("Edited {shown}: replaced {count} places, the first at line {first}."),
    };
    if let Some(tolerance) = found.strategy.tolerance() {
        let _ = write!(report, " oldString did not match exactly; it was found by overlooking {tolerance}.");
        if found.is_shifted {
            report.push_str(" newString was given the indentation that the file has there.");
        }
        report.push_str(" Check the place if that matters.");
    }
    report
}

fn explain(shown: &str, text: &str, old: &str, error: &matches::Error, secrets: &KnownSecrets) -> String {
    match error {
        matches::Error::Ambiguous { lines } => {
            let mut places: Vec<_> = lines.iter().take(QUOTED).map(|line| (line + 1).to_string()).collect();
            if lines.len() > QUOTED {
                places.push(format!("and {} more", lines.len() - QUOTED));
            }
            format!(
                "oldString names more than one place in {shown}; they begin at {} {}. Add lines before or after to oldString until it names one place, or set replaceAll to change all of them.",
                if places.len() == 1 { "line" } else { "lines" },
                places.join(", ")
            )
        }
        matches::Error::Indentation { lines } => format!(
            "oldString stands at lines {} to {} of {shown}, but with another indentation, and it is not certain which one newString must have. Quote these lines with their own indentation, and write newString with it too:{}",
            lines.start + 1,
            lines.end,
            quoted(text, lines, secrets)
        ),
        matches::Error::NotFound { closest, unescaped } => {
            let mut message = format!("oldString was not found in {shown}, even with differences in white space overlooked.");
            if let Some(line) = unescaped {
                let _ = write!(message, " Without its backslash escapes it stands at line {}: write both texts without them.", line + 1);
            }
            if let Some(lines) = closest {
                let _ =
                    write!(message, " The nearest text is at lines {} to {}:{}", lines.start + 1, lines.end, quoted(text, lines, secrets));
                message.push_str(&hidden_differences(text, lines, old));
                message.push('\n');
            }
            message.push_str(" Read the file again and quote the text exactly as it stands there, without line numbers.");
            message
        }
        matches::Error::Stopped(_) | matches::Error::TooLong => format!(
            "oldString was not found in {shown} letter by letter, and there is too much to compare to look for it with other white space. Quote fewer lines, exactly as they stand there."
        ),
    }
}

/// The lines with their numbers, as many as are quoted.
fn quoted(text: &str, lines: &Range<usize>, secrets: &KnownSecrets) -> String {
    let mut quoted = String::new();
    for (index, line) in text.lines().enumerate().skip(lines.start).take(lines.len().min(QUOTED)) {
        let line = line.replace(|character| stray_byte(character).is_some(), "\u{fffd}");
        let _ = write!(quoted, "\n{}: {}", index + 1, ellipsis(&secrets.redact(&line), 300));
    }
    if lines.len() > QUOTED {
        let _ = write!(quoted, "\n({} more lines)", lines.len() - QUOTED);
    }
    quoted
}

/// Names the characters in which lines of the file differ from the quoted ones though they look the same.
fn hidden_differences(text: &str, lines: &Range<usize>, old: &str) -> String {
    let mut told = String::new();
    let pairs = text.lines().enumerate().skip(lines.start).zip(old.split('\n'));
    let named = pairs.filter_map(|((index, line), old)| {
        let (line, old) = (line.trim_matches(lines::BLANK), old.trim_matches(lines::BLANK));
        let common = line.chars().zip(old.chars()).take_while(|(one, other)| one == other).count();
        let byte = line.chars().nth(common).and_then(stray_byte);
        let stray = byte.map(|byte| (format!("the byte {byte:02X}, which is not UTF-8 and cannot be quoted"), "something else".to_owned()));
        let (file, old) = stray.or_else(|| lookalike::difference(line, old).map(|(_, file, old)| (file, old)))?;
        Some((index + 1, file, old))
    });
    for (number, file, old) in named.take(NAMED) {
        let _ = write!(told, "\nLine {number} differs in what cannot be seen: the file has {file}, oldString has {old}.");
    }
    told
}

fn line_number(text: &str, offset: usize) -> usize {
    text[..offset].bytes().filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
