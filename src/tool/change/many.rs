//! Changes several files or none: all are looked at and planned, one question names them all, and what was done is taken back
//! when one of them fails. Otherwise as a change of a single file.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    Changed, Current, Draft, Place, Planned, Planner,
    announced::{self, Edited, Failure},
    changed, check_project, check_writable, load, lock, project_root, stale_error, write,
};
use crate::{
    file::{
        open,
        save::{self, Ground, Over, lock::FileGuard},
    },
    overlay::Document,
    stdx::{paths::AbsPath, text::unified_diff},
    tool::{
        context::{Ask, ToolContext},
        definition::ToolError,
        file_times::Stale,
        path::{Checked, blocking},
        umask,
    },
};

/// What shall be done to a file.
#[derive(Clone)]
pub enum Wanted {
    /// It is new, or has another content; the planner is shown what there is.
    Write(Arc<Planner>),
    Delete,
    /// It has another name, and perhaps another content. Nothing may be at the new place.
    Move(Checked, Arc<Planner>),
}

/// What was done to a file.
#[derive(Debug)]
pub struct Done {
    pub file: Checked,
    pub action: Action,
    pub changed: Changed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Add,
    Update,
    Delete,
    /// The file of this name is the moved one; the old name is told as deleted.
    Move,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Move => "move",
        }
    }
}

/// What one file shall be; nothing where it is deleted.
struct Step {
    file: Checked,
    action: Action,
    draft: Draft,
    is_deleted: bool,
    /// Of a moved file: the one whose permissions it gets.
    origin: Option<AbsPath>,
    document: Option<Arc<Document>>,
}

/// Changes the files.
///
/// # Errors
/// As for a single file; then none is changed, or the error says which could not be put back.
pub async fn change_all(context: &ToolContext, wanted: Vec<(Checked, Wanted)>) -> Result<Vec<Done>, ToolError> {
    let names: Vec<Checked> = wanted.iter().flat_map(|(file, wanted)| [Some(file), target(wanted)]).flatten().cloned().collect();
    let mut seen = BTreeMap::new();
    if let Some(twice) = names.iter().find(|file| seen.insert(file.real().clone(), ()).is_some()) {
        return Err(ToolError::failed(format!(
            "The patch names {} twice. Please put all changes of a file into one place.",
            twice.shown()
        )));
    }
    let first = {
        let (guards, documents) = hold(context, &names).await?;
        let (of, wanted) = (context.clone(), wanted.clone());
        blocking(move || drafts(&of, &wanted, &documents).map(|steps| (steps, guards))).await?.0
    };
    context.ask(question(&first)).await?;
    for file in &names {
        file.unmoved().await?;
    }
    let (guards, documents) = hold(context, &names).await?;
    let of = context.clone();
    let (mut steps, guards) = blocking(move || {
        let now = drafts(&of, &wanted, &documents)?;
        for (then, now) in first.iter().zip(&now) {
            let hash = |step: &Step| step.draft.current.as_ref().map(|current| current.hash);
            if hash(then) != hash(now) {
                return Err(stale_error(&now.file, Stale::Changed));
            }
        }
        Ok((now, guards))
    })
    .await?;
    for step in &steps {
        let planned = (!step.is_deleted).then_some(step.draft.planned.bytes.as_slice());
        context.host.before_edit(step.file.real(), planned).await?;
    }
    carry_out(context, &mut steps, &guards).await?;
    finish(context, steps, guards).await
}

fn target(wanted: &Wanted) -> Option<&Checked> {
    match wanted {
        Wanted::Move(to, _) => Some(to),
        Wanted::Write(_) | Wanted::Delete => None,
    }
}

type Documents = BTreeMap<AbsPath, Arc<Document>>;

/// Locks all files, always in the same order, so that two patches never wait for one another.
async fn hold(context: &ToolContext, files: &[Checked]) -> Result<(Vec<FileGuard>, Documents), ToolError> {
    let mut sorted: Vec<&Checked> = files.iter().collect();
    sorted.sort_by(|one, other| one.real().cmp(other.real()));
    let (mut guards, mut documents) = (Vec::new(), Documents::new());
    for file in sorted {
        guards.push(lock(context, file).await?);
        if let Some(document) = announced::text(context, file).await? {
            documents.insert(file.real().clone(), document);
        }
    }
    Ok((guards, documents))
}

fn drafts(context: &ToolContext, wanted: &[(Checked, Wanted)], documents: &Documents) -> Result<Vec<Step>, ToolError> {
    let mut steps = Vec::new();
    for (file, wanted) in wanted {
        let known = |file: &Checked| documents.get(file.real()).cloned();
        match wanted {
            Wanted::Write(planner) => {
                let draft = super::draft(context, file, known(file), &**planner)?;
                let action = if draft.current.is_some() { Action::Update } else { Action::Add };
                steps.push(Step { file: file.clone(), action, draft, is_deleted: false, origin: None, document: known(file) });
            }
            Wanted::Delete => {
                let draft = deletion(context, file, known(file))?;
                steps.push(Step { file: file.clone(), action: Action::Delete, draft, is_deleted: true, origin: None, document: None });
            }
            Wanted::Move(to, planner) => {
                let gone = deletion(context, file, known(file))?;
                let planned = planner(gone.current.as_ref())?;
                check_project(context, to)?;
                if load(to, known(to))?.is_some() {
                    return Err(ToolError::failed(format!("{} exists, so {} cannot be moved there.", to.shown(), file.shown())));
                }
                let diff = unified_diff(to.shown(), &planned.texts.0, &planned.texts.1);
                let draft = Draft { current: None, diff: if planned.texts.0 == planned.texts.1 { String::new() } else { diff }, planned };
                steps.push(Step {
                    file: to.clone(),
                    action: Action::Move,
                    draft,
                    is_deleted: false,
                    origin: Some(file.real().clone()),
                    document: None,
                });
                let gone = Draft { diff: String::new(), ..gone };
                steps.push(Step {
                    file: file.clone(),
                    action: Action::Delete,
                    draft: gone,
                    is_deleted: true,
                    origin: None,
                    document: None,
                });
            }
        }
    }
    Ok(steps)
}

/// The plan to delete a file that the session knows.
fn deletion(context: &ToolContext, file: &Checked, document: Option<Arc<Document>>) -> Result<Draft, ToolError> {
    if document.as_ref().is_some_and(|document| !announced::is_on_disk(file, &document.text)) {
        let text = format!(
            "{} is open in the user's editor with changes that are not saved, so it is not deleted or moved. Ask the user.",
            file.shown()
        );
        return Err(ToolError::Failed(text));
    }
    let missing = || ToolError::failed(format!("{} does not exist.", file.shown()));
    check_project(context, file)?;
    let current = load(file, None)?.ok_or_else(missing)?;
    // What was read of it is the editor's text, in the editor's form.
    let hash = document.as_ref().map_or(current.hash, |document| blake3::hash(document.text.as_bytes()));
    context.file_times.check(file.real(), &hash).map_err(|stale| stale_error(file, stale))?;
    check_writable(file, &current.place)?;
    let text = String::from_utf8_lossy(&current.bytes).into_owned();
    let diff = unified_diff(file.shown(), &text, "");
    Ok(Draft { current: Some(current), planned: Planned { bytes: Vec::new(), texts: (text, String::new()), report: String::new() }, diff })
}

/// One question for all, which names every file. The versions let the change be resumed after a restart.
fn question(steps: &[Step]) -> Ask {
    let changes: Vec<Value> = steps
        .iter()
        .map(|step| {
            let mut change = json!({ "filePath": step.file.real().to_string(), "action": step.action.word() });
            if let Some(current) = &step.draft.current {
                change["version"] = json!(current.hash.to_hex().as_str());
            }
            change
        })
        .collect();
    let named: Vec<String> = steps.iter().map(|step| format!("{} {}", step.action.word(), step.file.shown())).collect();
    let diff: String = steps.iter().map(|step| step.draft.diff.as_str()).collect();
    Ask {
        kind: super::KIND.into(),
        patterns: steps.iter().flat_map(|step| step.file.patterns()).collect(),
        always: vec!["*".to_owned()],
        title: format!("Patch: {}", named.join(", ")),
        metadata: json!({ "diff": diff, "changes": changes }),
        ..Ask::default()
    }
}

/// Writes, has editors change their texts, then deletes. Takes everything back when one fails.
async fn carry_out(context: &ToolContext, steps: &mut Vec<Step>, _guards: &[FileGuard]) -> Result<(), ToolError> {
    let mut done: Vec<usize> = Vec::new();
    let is_edited = |step: &Step| matches!(step.draft.current, Some(Current { place: Place::Editor(_), .. }));
    let order = |step: &Step| if step.is_deleted { 2 } else { u8::from(is_edited(step)) };
    let mut places: Vec<usize> = (0..steps.len()).collect();
    places.sort_by_key(|at| order(&steps[*at]));
    for at in places {
        let result = match (order(&steps[at]), &steps[at].document) {
            (1, Some(document)) => in_editor(context, &steps[at], document).await,
            _ => on_disk(context, steps, at).await,
        };
        let Err(error) = result else {
            done.push(at);
            continue;
        };
        let left = take_back(context, steps, &done).await;
        return Err(match (error, left.is_empty()) {
            (ToolError::Failed(text), true) => ToolError::Failed(format!("{}. Nothing was changed.", text.trim_end_matches('.'))),
            (error, true) => error,
            (error, false) => ToolError::Failed(format!("{error} These files are changed and could not be put back: {}.", left.join(", "))),
        });
    }
    Ok(())
}

async fn on_disk(context: &ToolContext, steps: &mut Vec<Step>, at: usize) -> Result<(), ToolError> {
    if context.cancel.is_cancelled() {
        return Err(ToolError::Aborted);
    }
    let (of, mut moved) = (context.clone(), std::mem::take(steps));
    let (result, back) = blocking(move || {
        let step = &mut moved[at];
        let result = if step.is_deleted { delete(&of, step) } else { put(&of, step) };
        Ok((result, moved))
    })
    .await?;
    *steps = back;
    result
}

fn put(context: &ToolContext, step: &Step) -> Result<(), ToolError> {
    let hash = write(context, &step.file, &step.draft)?;
    context.file_times.record(step.file.real(), hash);
    if let Some(origin) = &step.origin {
        let keeps = || -> Result<(), open::Error> {
            let (_, metadata) = open::regular(origin)?;
            let (file, _) = open::regular(step.file.real())?;
            Ok(file.set_permissions(metadata.permissions())?)
        };
        if let Err(error) = keeps() {
            tracing::warn!(%error, "a moved file could not be given its permissions");
        }
    }
    Ok(())
}

fn delete(context: &ToolContext, step: &Step) -> Result<(), ToolError> {
    check_project(context, &step.file)?;
    let failed = |error: &dyn std::fmt::Display| ToolError::failed(format!("{} cannot be deleted: {error}.", step.file.shown()));
    // It must still be the file that was looked at, and reached without a link.
    let now = load(&step.file, None)?.map(|current| current.hash);
    if now != step.draft.current.as_ref().map(|current| current.hash) {
        return Err(stale_error(&step.file, Stale::Changed));
    }
    save::remove(step.file.real()).map_err(|error| failed(&error))
}

async fn in_editor(context: &ToolContext, step: &Step, document: &Arc<Document>) -> Result<(), ToolError> {
    let text = String::from_utf8(step.draft.planned.bytes.clone())
        .map_err(|_| ToolError::failed(format!("{} would not be valid Unicode, which an editor's text is.", step.file.shown())))?;
    match announced::edit(context, &step.file, document, text.as_str().into()).await {
        Ok(Edited { as_planned, .. }) => {
            if as_planned {
                context.file_times.record(step.file.real(), blake3::hash(text.as_bytes()));
            }
            Ok(())
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::TryDisk(why)) => Err(ToolError::failed(format!("{why}, so the patch was not applied."))),
    }
}

/// Puts back what was done; gives the files for which that failed.
async fn take_back(context: &ToolContext, steps: &[Step], done: &[usize]) -> Vec<String> {
    let mut left = Vec::new();
    for at in done.iter().rev() {
        let step = &steps[*at];
        let (real, shown) = (step.file.real().clone(), step.file.shown().to_owned());
        if let (Some(document), Some(Current { place: Place::Editor(_), bytes, .. })) = (context.overlay.get(&real), &step.draft.current) {
            let old = String::from_utf8_lossy(bytes).into_owned();
            if announced::edit(context, &step.file, &document, old.as_str().into()).await.is_err() {
                left.push(shown);
            } else {
                context.file_times.record(&real, blake3::hash(old.as_bytes()));
            }
            continue;
        }
        let (of, file) = (context.clone(), step.file.clone());
        let before = step.draft.current.as_ref().map(|current| current.bytes.clone());
        let put_back = blocking(move || restore(&of, &file, before.as_deref()).map_err(|error| ToolError::failed(error.to_string()))).await;
        if put_back.is_err() {
            left.push(shown);
        }
    }
    left
}

fn restore(context: &ToolContext, file: &Checked, before: Option<&[u8]>) -> Result<(), open::Error> {
    let real = file.real();
    let Some(before) = before else { return Ok(save::remove(real)?) };
    let there = std::fs::symlink_metadata(real).ok();
    let over = there.as_ref().map_or(Over::Nothing, Over::File);
    let ground = Ground { root: project_root(context, file), notes: &context.unfinished, mask: umask::of(&context.environment) };
    save::save(real, before, over, ground)?;
    context.file_times.record(real, blake3::hash(before));
    Ok(())
}

async fn finish(context: &ToolContext, steps: Vec<Step>, guards: Vec<FileGuard>) -> Result<Vec<Done>, ToolError> {
    let mut all = Vec::new();
    for step in &steps {
        // What became of a deleted file is found out when the call ends.
        if !step.is_deleted {
            let held = context.overlay.get(step.file.real()).map(|document| document.text.to_string().into_bytes());
            context.host.after_edit(step.file.real(), Some(held.unwrap_or_else(|| step.draft.planned.bytes.clone()))).await;
        }
    }
    drop(guards);
    for step in steps {
        let before = step.document.as_ref().map(|document| document.version);
        context.recent.note(&context.worktree, step.file.real());
        context.host.file_edited(context, step.file.real()).await;
        let note = step.file.note().map(str::to_owned);
        let mut done = Done { changed: changed(step.draft, note.as_deref()), action: step.action, file: step.file };
        if let Some(diagnostics) = announced::diagnostics(context, &done.file, before).await? {
            done.changed.report.push_str("\n\n");
            done.changed.report.push_str(&diagnostics);
        }
        all.push(done);
    }
    Ok(all)
}
