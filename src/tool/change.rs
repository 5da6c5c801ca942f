//! The one way in which tools change a file: look, check that the session knows it, plan, ask, then under the file's
//! lock look again, and only then write. Whatever happened to the file while the user thought is noticed.

use std::{fs::Metadata, io::Read as _, sync::Arc};

use serde_json::json;

use super::{
    context::{Ask, ToolContext},
    definition::ToolError,
    file_lock,
    file_times::{Stale, Stamp},
    path::{Checked, blocking},
    save::{self, Over},
};
use crate::{file::open, stdx::text::unified_diff};

/// Larger files are not changed by tools: they are read into memory as a whole.
pub(super) const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A file as it is now.
pub struct Current {
    /// Its bytes.
    pub bytes: Vec<u8>,
    stamp: Stamp,
    metadata: Metadata,
}

/// What a file shall be.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it was and will be as text, for the diff.
    pub texts: (String, String),
    /// What to tell the model once it is done.
    pub report: String,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Changed {
    /// What to tell the model.
    pub report: String,
    /// A unified diff; empty where nothing changed.
    pub diff: String,
    /// Lines added.
    pub additions: usize,
    /// Lines removed.
    pub deletions: usize,
    /// Whether the file is new.
    pub created: bool,
}

/// Makes a plan from what there is; `None` where the file does not exist.
pub type Planner = dyn Fn(Option<&Current>) -> Result<Planned, ToolError> + Send + Sync;

/// What to do when this session itself changed the file between the question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOwnChange {
    /// Plan again: the change is about a part of the file.
    PlanAgain,
    /// Refuse: the change is about the whole.
    Refuse,
}

struct Draft {
    current: Option<Current>,
    planned: Planned,
    diff: String,
}

/// Changes the file as planned.
///
/// # Errors
/// When the file is not known to the session, cannot be read or written, the plan fails, or leave is refused.
pub async fn change(
    context: &ToolContext,
    file: &Checked,
    on_own_change: OnOwnChange,
    planner: Arc<Planner>,
) -> Result<Changed, ToolError> {
    // What another call writes and what the session then knows of it must not fall apart, so this look is locked, too.
    // The lock is not held while the user is asked.
    let first = {
        let (of, at, planner) = (context.clone(), file.clone(), planner.clone());
        with_lock(context, file, move || draft(&of, &at, &*planner)).await?
    };
    context
        .host
        .ask(
            context,
            Ask {
                kind: "edit",
                patterns: file.patterns(),
                always: vec!["*".to_owned()],
                force: false,
                title: format!("{} {}", if first.current.is_some() { "Edit" } else { "Create" }, file.shown()),
                metadata: metadata(file, &first),
            },
        )
        .await?;
    let changed = {
        let (of, at) = (context.clone(), file.clone());
        with_lock(context, file, move || finish(&of, &at, first, on_own_change, &*planner)).await?
    };
    context.recent.note(&context.worktree, file.real());
    context.host.file_edited(context, file.real()).await;
    Ok(changed)
}

/// What the question shows. The version lets the change be resumed after a restart, when what was read is forgotten.
fn metadata(file: &Checked, draft: &Draft) -> serde_json::Value {
    let mut metadata = json!({ "filePath": file.real().to_string(), "diff": draft.diff });
    if let Some(current) = &draft.current {
        metadata["version"] = json!(current.stamp.hash.to_hex().as_str());
    }
    metadata
}

async fn with_lock<T: Send + 'static>(
    context: &ToolContext,
    file: &Checked,
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let guard = tokio::select! {
        guard = file_lock::lock(file.real()) => guard,
        () = context.cancel.cancelled() => return Err(ToolError::Aborted),
    };
    if context.cancel.is_cancelled() {
        return Err(ToolError::Aborted);
    }
    blocking(move || {
        // The lock goes with the work: it is held until the file is written, whatever becomes of the caller.
        let _guard = guard;
        work()
    })
    .await
}

fn draft(context: &ToolContext, file: &Checked, planner: &Planner) -> Result<Draft, ToolError> {
    let current = load(file)?;
    if let Some(current) = &current {
        context.file_times.check(file.real(), &current.stamp).map_err(|stale| stale_error(file, stale))?;
        if save::is_read_only(file.real(), &current.metadata) {
            return Err(ToolError::failed(format!("{} is read-only. Ask the user before you make it writable.", file.shown())));
        }
    }
    let plan = planner(current.as_ref())?;
    let diff = if plan.texts.0 == plan.texts.1 { String::new() } else { unified_diff(file.shown(), &plan.texts.0, &plan.texts.1) };
    Ok(Draft { current, planned: plan, diff })
}

fn finish(
    context: &ToolContext,
    file: &Checked,
    first: Draft,
    on_own_change: OnOwnChange,
    planner: &Planner,
) -> Result<Changed, ToolError> {
    let now = load(file)?;
    let same = match (&first.current, &now) {
        (None, None) => true,
        (Some(then), Some(now)) => then.stamp.hash == now.stamp.hash,
        _ => false,
    };
    let draft = if same {
        Draft { current: now, ..first }
    } else if now.is_some() && on_own_change == OnOwnChange::PlanAgain {
        // Another call of this session may have changed the file, and then the session knows it; anybody else did not.
        draft(context, file, planner)?
    } else {
        return Err(match now {
            Some(_) => stale_error(file, Stale::Changed),
            None => ToolError::failed(format!("{} was deleted or moved in the meantime.", file.shown())),
        });
    };
    let over = draft.current.as_ref().map_or(Over::Nothing, |current| Over::File(&current.metadata));
    let failed = |error: open::Error| ToolError::failed(format!("{} cannot be written: {error}", file.shown()));
    save::save(file.real(), &draft.planned.bytes, over).map_err(failed)?;
    let metadata = std::fs::symlink_metadata(file.real()).map_err(|error| failed(error.into()))?;
    context.file_times.record(file.real(), Stamp::new(&draft.planned.bytes, &metadata));
    let (additions, deletions) = count(&draft.diff);
    Ok(Changed { report: draft.planned.report, diff: draft.diff, additions, deletions, created: draft.current.is_none() })
}

fn load(file: &Checked) -> Result<Option<Current>, ToolError> {
    let failed = |error: open::Error| ToolError::failed(format!("{} cannot be changed: {error}", file.shown()));
    let (mut handle, metadata) = match open::regular(file.real()) {
        Err(open::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    if metadata.len() > MAX_BYTES {
        let text = format!("{} has {} bytes, too many for this tool. Use a command to change it.", file.shown(), metadata.len());
        return Err(ToolError::failed(text));
    }
    // Some files of the system say that they are empty and never end.
    let mut bytes = Vec::new();
    handle.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(error.into()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ToolError::failed(format!("{} grows while it is read and cannot be changed by this tool.", file.shown())));
    }
    Ok(Some(Current { stamp: Stamp::new(&bytes, &metadata), bytes, metadata }))
}

fn stale_error(file: &Checked, stale: Stale) -> ToolError {
    let path = file.shown();
    ToolError::failed(match stale {
        Stale::NeverRead => format!("{path} exists, and you have not read it in this session. Read it first, then make your change."),
        Stale::Changed => {
            format!("{path} was changed by someone else since you last read it. Read it again, then make your change to what is there now.")
        }
    })
}

/// Added and removed lines of a unified diff.
fn count(diff: &str) -> (usize, usize) {
    // The first two lines are the header; a changed line may well begin like one.
    let lines = || diff.lines().skip(2);
    (lines().filter(|line| line.starts_with('+')).count(), lines().filter(|line| line.starts_with('-')).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_do_not_count() {
        assert_eq!(count(&unified_diff("a", "-- x\ny\n", "++ z\ny\nw\n")), (2, 1));
        assert_eq!(count(""), (0, 0));
    }
}
