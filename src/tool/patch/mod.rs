//! Changes several files by one patch, or none.

mod apply;
mod parse;

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::parse::{Hunk, Line, Section};
use super::{
    change::{
        Current, Planned, Planner,
        many::{Action, Wanted, change_all},
    },
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
    path::{self, Purpose},
};
use crate::{file::text_file::TextFile, stdx::paths::AbsPath};

/// The longest patch.
const MAX_PATCH: usize = 4 * 1024 * 1024;

pub struct Patch;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchArgs {
    /// The whole patch, from `*** Begin Patch` to `*** End Patch`.
    patch_text: String,
}

#[async_trait]
impl Tool for Patch {
    const NAME: &'static str = "patch";
    const DESCRIPTION: &'static str = include_str!("patch.md");
    const PERMISSION: &'static str = super::edit::Edit::PERMISSION;
    type Args = PatchArgs;

    fn subject(args: &PatchArgs, directory: &AbsPath) -> String {
        let sections = parse::parse(&args.patch_text).unwrap_or_default();
        sections.iter().map(|section| path::shortened(section.path(), directory)).collect::<Vec<_>>().join(", ")
    }

    async fn run(&self, context: &ToolContext, args: PatchArgs) -> Result<ToolOutput, ToolError> {
        if args.patch_text.len() > MAX_PATCH {
            return Err(ToolError::failed("The patch has more than 4 MiB. Please make several of it."));
        }
        let sections = parse::parse(&args.patch_text).map_err(ToolError::Failed)?;
        let mut wanted = Vec::new();
        for section in sections {
            let file = path::check(context, section.path(), Purpose::Write).await?;
            let shown = file.shown().to_owned();
            wanted.push(match section {
                Section::Add { content, .. } => (file, Wanted::Write(added(shown, content))),
                Section::Delete { .. } => (file, Wanted::Delete),
                Section::Update { moved: None, hunks, .. } => (file, Wanted::Write(updated(shown, hunks))),
                Section::Update { moved: Some(to), hunks, .. } => {
                    let to = path::check(context, &to, Purpose::Write).await?;
                    (file, Wanted::Move(to, updated(shown, hunks)))
                }
            });
        }
        let done = change_all(context, wanted).await?;
        let (mut report, mut files, mut diff) = (Vec::new(), Vec::new(), String::new());
        let (mut additions, mut deletions) = (0, 0);
        for one in &done {
            let verb = match one.action {
                Action::Add => "Added",
                Action::Update => "Updated",
                Action::Delete => "Deleted",
                Action::Move => "Moved to",
            };
            let line = format!("{verb} {}. {}", one.file.shown(), one.changed.report);
            report.push(line.trim_end().to_owned());
            additions += one.changed.additions;
            deletions += one.changed.deletions;
            diff.push_str(&one.changed.diff);
            files.push(json!({
                "filePath": one.file.real().to_string(),
                "action": one.action.word(),
                "additions": one.changed.additions,
                "deletions": one.changed.deletions,
            }));
        }
        let title = match done.as_slice() {
            [one] => one.file.shown().to_owned(),
            all => format!("{} files", all.len()),
        };
        let metadata: Value = json!({ "diff": diff, "additions": additions, "deletions": deletions, "files": files });
        Ok(ToolOutput::new(title, report.join("\n"), metadata))
    }
}

fn added(shown: String, content: String) -> Arc<Planner> {
    Arc::new(move |current: Option<&Current>| {
        if current.is_some() {
            return Err(ToolError::failed(format!("{shown} exists. Change it with `*** Update File:`, or delete it first.")));
        }
        Ok(Planned { bytes: content.clone().into_bytes(), texts: (String::new(), content.clone()), report: String::new() })
    })
}

fn updated(shown: String, hunks: Vec<Hunk>) -> Arc<Planner> {
    Arc::new(move |current: Option<&Current>| {
        let current = current.ok_or_else(|| ToolError::failed(format!("{shown} does not exist. To create it, use `*** Add File:`.")))?;
        if hunks.is_empty() {
            let text = String::from_utf8_lossy(&current.bytes).into_owned();
            return Ok(Planned { bytes: current.bytes.clone(), texts: (text.clone(), text), report: String::new() });
        }
        let file = TextFile::decode(&current.bytes).map_err(|error| ToolError::failed(format!("{shown} cannot be patched: {error}.")))?;
        let text = apply::apply(&file.text, &hunks, &shown).map_err(ToolError::Failed)?;
        let refused = |error: &dyn std::fmt::Display| {
            ToolError::failed(format!(
                "{shown} was not changed: {error}. Convert the file with a command such as iconv, after asking the user which encoding it has."
            ))
        };
        for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
            if let Line::Comes(new) = line {
                file.check_new(new).map_err(|error| refused(&error))?;
            }
        }
        let bytes = file.encode(&text).map_err(|error| refused(&error))?;
        Ok(Planned { bytes, texts: (file.shown(&file.text), file.shown(&text)), report: String::new() })
    })
}

#[cfg(test)]
mod tests;
