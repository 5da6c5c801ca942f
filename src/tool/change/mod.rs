//! The one way in which tools change a file: look, check that the session knows it, plan, ask, then under the file's
//! lock look again, and only then write. Whatever happened to the file while the user thought is noticed. Where an editor
//! holds the file, its text is the file, and the editor is asked to change it.

pub(super) mod announced;

use std::{fs::Metadata, io::Read as _, sync::Arc};

use serde_json::json;

use super::{
    context::{Ask, ToolContext},
    definition::ToolError,
    file_times::Stale,
    path::{Checked, blocking},
    umask,
};
use crate::{
    file::{
        open,
        save::{
            self, Ground, MAX_BYTES, Over,
            lock::{self, FileGuard},
        },
    },
    overlay::Document,
    stdx::{
        paths::{self, AbsPath},
        text::unified_diff,
    },
};
use announced::{Edited, Failure, UNSAVED};

/// A file as it is now.
pub struct Current {
    pub bytes: Vec<u8>,
    hash: blake3::Hash,
    place: Place,
}

/// Where the newest state of a file is.
enum Place {
    /// On the disk.
    Disk(Metadata),
    /// In an editor; the text is UTF-8 here.
    Editor(Arc<Document>),
}

/// What a file shall be.
#[derive(Debug, Clone)]
pub struct Planned {
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
/// When the file is not known to the session, cannot be read or written, the plan fails, or permission is refused.
pub async fn change(
    context: &ToolContext,
    file: &Checked,
    on_own_change: OnOwnChange,
    planner: Arc<Planner>,
) -> Result<Changed, ToolError> {
    // What another call writes and what the session then knows of it must not fall apart, so this look is locked, too.
    // The lock is not held while the user is asked.
    let first = {
        let guard = lock(context, file).await?;
        let document = announced::text(context, file).await?;
        let (of, at, planner) = (context.clone(), file.clone(), planner.clone());
        with_lock(guard, move || draft(&of, &at, document, &*planner)).await?.0
    };
    context
        .ask(Ask {
            kind: "edit".into(),
            patterns: file.patterns(),
            always: vec!["*".to_owned()],
            title: format!("{} {}", if first.current.is_some() { "Edit" } else { "Create" }, file.shown()),
            metadata: metadata(file, &first),
            ..Ask::default()
        })
        .await?;
    file.unmoved().await?;
    let guard = lock(context, file).await?;
    let document = announced::text(context, file).await?;
    let before = document.as_ref().map(|document| document.version);
    let (of, at, again) = (context.clone(), file.clone(), planner.clone());
    context.host.before_edit(file.real(), Some(&first.planned.bytes)).await?;
    let (step, guard) = with_lock(guard, move || finish(&of, &at, document, first, on_own_change, &*again)).await?;
    let mut changed = match step {
        Step::Written(changed, bytes) => {
            context.host.after_edit(file.real(), Some(bytes)).await;
            drop(guard);
            changed
        }
        // The lock is held until the editor has answered.
        Step::Editor(draft, document) => in_editor(context, file, *draft, &document, guard, on_own_change, planner).await?,
    };
    if let Some(note) = file.note() {
        changed.report.push(' ');
        changed.report.push_str(note);
    }
    context.recent.note(&context.worktree, file.real());
    context.host.file_edited(context, file.real()).await;
    if let Some(note) = announced::diagnostics(context, file, before).await? {
        changed.report.push_str("\n\n");
        changed.report.push_str(&note);
    }
    Ok(changed)
}

/// What the question shows. The version lets the change be resumed after a restart, when what was read is forgotten.
fn metadata(file: &Checked, draft: &Draft) -> serde_json::Value {
    let mut metadata = json!({ "filePath": file.real().to_string(), "diff": draft.diff });
    if let Some(current) = &draft.current {
        metadata["version"] = json!(current.hash.to_hex().as_str());
    }
    metadata
}

async fn lock(context: &ToolContext, file: &Checked) -> Result<FileGuard, ToolError> {
    let guard = tokio::select! {
        guard = lock::lock(file.real()) => guard,
        () = context.cancel.cancelled() => return Err(ToolError::Aborted),
    };
    if context.cancel.is_cancelled() { Err(ToolError::Aborted) } else { Ok(guard) }
}

async fn with_lock<T: Send + 'static>(
    guard: FileGuard,
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<(T, FileGuard), ToolError> {
    // The lock goes with the work: it is held until the file is written, whatever becomes of the caller.
    blocking(move || work().map(|done| (done, guard))).await
}

fn draft(context: &ToolContext, file: &Checked, document: Option<Arc<Document>>, planner: &Planner) -> Result<Draft, ToolError> {
    let current = load(file, document)?;
    check_project(context, file)?;
    if let Some(current) = &current {
        context.file_times.check(file.real(), &current.hash).map_err(|stale| stale_error(file, stale))?;
        check_writable(file, &current.place)?;
    }
    Draft::new(file, current, planner)
}

impl Draft {
    fn new(file: &Checked, current: Option<Current>, planner: &Planner) -> Result<Self, ToolError> {
        let plan = planner(current.as_ref())?;
        let diff = if plan.texts.0 == plan.texts.1 { String::new() } else { unified_diff(file.shown(), &plan.texts.0, &plan.texts.1) };
        Ok(Self { current, planned: plan, diff })
    }
}

fn check_writable(file: &Checked, place: &Place) -> Result<(), ToolError> {
    let read_only = match place {
        Place::Disk(metadata) => save::is_read_only(file.real(), metadata),
        // Its text could be changed and then not be saved.
        Place::Editor(_) => std::fs::symlink_metadata(file.real()).is_ok_and(|metadata| save::is_read_only(file.real(), &metadata)),
    };
    if read_only {
        return Err(ToolError::failed(format!("{} is read-only. Ask the user before you make it writable.", file.shown())));
    }
    Ok(())
}

enum Step {
    /// The file is written, with these bytes.
    Written(Changed, Vec<u8>),
    /// The editor is to be asked.
    Editor(Box<Draft>, Arc<Document>),
}

fn finish(
    context: &ToolContext,
    file: &Checked,
    document: Option<Arc<Document>>,
    first: Draft,
    on_own_change: OnOwnChange,
    planner: &Planner,
) -> Result<Step, ToolError> {
    let now = load(file, document.clone())?;
    let same = match (&first.current, &now) {
        (None, None) => true,
        (Some(then), Some(now)) => then.hash == now.hash,
        _ => false,
    };
    let mut draft = if same {
        Draft { current: now, ..first }
    } else if now.is_some() && on_own_change == OnOwnChange::PlanAgain {
        // Another call of this session may have changed the file, and then the session knows it; anybody else did not.
        draft(context, file, document, planner)?
    } else {
        return Err(match now {
            Some(_) => stale_error(file, Stale::Changed),
            None => ToolError::failed(format!("{} was deleted or moved in the meantime.", file.shown())),
        });
    };
    if let Some(Current { place: Place::Editor(document), .. }) = &draft.current {
        let document = Arc::clone(document);
        return Ok(Step::Editor(Box::new(draft), document));
    }
    let hash = write(context, file, &draft)?;
    context.file_times.record(file.real(), hash);
    let bytes = std::mem::take(&mut draft.planned.bytes);
    Ok(Step::Written(changed(draft, None), bytes))
}

/// Puts the planned bytes on the disk.
fn write(context: &ToolContext, file: &Checked, draft: &Draft) -> Result<blake3::Hash, ToolError> {
    check_project(context, file)?;
    let over = match &draft.current {
        Some(Current { place: Place::Disk(metadata), .. }) => Over::File(metadata),
        _ => Over::Nothing,
    };
    let failed = |error: open::Error| ToolError::failed(format!("{} cannot be written: {error}", file.shown()));
    let ground = Ground { root: project_root(context, file), notes: &context.unfinished, mask: umask::of(&context.environment) };
    save::save(file.real(), &draft.planned.bytes, over, ground).map_err(failed)?;
    Ok(blake3::hash(&draft.planned.bytes))
}

/// The directory of the project that the file is in: it must be there, and is never made.
fn project_root<'a>(context: &'a ToolContext, file: &Checked) -> Option<&'a AbsPath> {
    [&context.directory, &context.worktree].into_iter().find(|root| file.real().is_within(root))
}

/// The project must be where it was when the turn began, and not only a directory of its name: of a disk that was
/// unmounted an empty one stays.
fn check_project(context: &ToolContext, file: &Checked) -> Result<(), ToolError> {
    let Some(root) = project_root(context, file) else { return Ok(()) };
    let is_where_it_was = context.device.is_none() || paths::device(&context.directory) == context.device;
    if is_where_it_was && context.directory.as_path().is_dir() && root.as_path().is_dir() {
        return Ok(());
    }
    Err(ToolError::failed(format!(
        "{} was not written: the project's directory {} is gone (deleted, renamed or unmounted) and is not made again. Tell the user.",
        file.shown(),
        context.directory
    )))
}

fn changed(draft: Draft, note: Option<&str>) -> Changed {
    let (additions, deletions) = count(&draft.diff);
    let mut report = draft.planned.report;
    if let Some(note) = note {
        report.push(' ');
        report.push_str(note);
    }
    Changed { report, diff: draft.diff, additions, deletions, created: draft.current.is_none() }
}

/// Has the editor that holds the file make the change.
async fn in_editor(
    context: &ToolContext,
    file: &Checked,
    draft: Draft,
    document: &Arc<Document>,
    guard: FileGuard,
    on_own_change: OnOwnChange,
    planner: Arc<Planner>,
) -> Result<Changed, ToolError> {
    let text = String::from_utf8(draft.planned.bytes.clone())
        .map_err(|_| ToolError::failed(format!("{} would not be valid Unicode, which an editor's text is.", file.shown())))?;
    if *text == *document.text {
        return Ok(changed(draft, None));
    }
    match announced::edit(context, file, document, text.as_str().into()).await {
        Ok(Edited { saved, as_planned }) => {
            let mut notes = Vec::new();
            let left = if as_planned { Some(text.clone()) } else { context.overlay.get(file.real()).map(|now| now.text.to_string()) };
            context.host.after_edit(file.real(), left.map(String::into_bytes)).await;
            if as_planned {
                context.file_times.record(file.real(), blake3::hash(text.as_bytes()));
            } else {
                notes.push("The editor changed more than that: read the file again before you change it further.".to_owned());
            }
            if !saved {
                notes.push(format!("Take note: {UNSAVED}."));
            }
            Ok(changed(draft, (!notes.is_empty()).then(|| notes.join(" ")).as_deref()))
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::TryDisk(why)) => {
            let (of, at) = (context.clone(), file.clone());
            let (changed, _guard) = with_lock(guard, move || on_disk(&of, &at, &why, on_own_change, &*planner)).await?;
            // The image is that of the editor's text.
            context.host.after_edit(file.real(), None).await;
            Ok(changed)
        }
    }
}

/// Makes the same change on the disk, whatever the editor holds: a part of the file is changed where it fits, the whole
/// only where the session knows what stands there.
fn on_disk(context: &ToolContext, file: &Checked, why: &str, on_own_change: OnOwnChange, planner: &Planner) -> Result<Changed, ToolError> {
    let refused = |error: ToolError| match error {
        ToolError::Failed(text) => ToolError::Failed(format!("Nothing was changed: {why}. On the disk it was not possible either: {text}")),
        other => other,
    };
    let current = load(file, None)?;
    if let Some(current) = &current {
        if on_own_change == OnOwnChange::Refuse {
            context.file_times.check(file.real(), &current.hash).map_err(|stale| refused(stale_error(file, stale)))?;
        }
        check_writable(file, &current.place).map_err(refused)?;
    }
    let draft = Draft::new(file, current, planner).map_err(refused)?;
    let hash = write(context, file, &draft)?;
    let mut note = format!("It was changed on the disk alone, because {why}.");
    if context.overlay.get(file.real()).is_some() {
        // What the session knows is still the editor's text, which is what it reads.
        note.push_str(" Until the editor loads the file again, you read the editor's text, without the change.");
    } else {
        context.file_times.record(file.real(), hash);
    }
    Ok(changed(draft, Some(&note)))
}

fn load(file: &Checked, document: Option<Arc<Document>>) -> Result<Option<Current>, ToolError> {
    if let Some(document) = document {
        return Ok(Some(Current {
            bytes: document.text.as_bytes().to_vec(),
            hash: blake3::hash(document.text.as_bytes()),
            place: Place::Editor(document),
        }));
    }
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
    Ok(Some(Current { hash: blake3::hash(&bytes), bytes, place: Place::Disk(metadata) }))
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
