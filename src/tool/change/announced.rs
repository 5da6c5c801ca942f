//! Files that an editor holds open: tools read its text before the disk, and change it by asking the editor. What is not
//! saved there is not on the disk, so the model is told: its commands see the older file.

use std::{io::Read as _, sync::Arc};

use polytree_protocol::config::Unanswered;

use crate::{
    file::{open, save::MAX_BYTES, text_file::TextFile},
    overlay::{self, Document, NotApplied, diagnostics},
    tool::{
        context::ToolContext,
        definition::ToolError,
        path::{self, Checked},
    },
};

/// What the model is told about a text that is not on the disk.
pub const UNSAVED: &str = "this is the text in the user's editor, which is not saved: commands see the older file on the disk";

/// The text that an editor holds of the file; `None` where the disk has the newest.
///
/// # Errors
/// When an editor holds a text that it does not tell.
pub async fn text(context: &ToolContext, file: &Checked) -> Result<Option<Arc<Document>>, ToolError> {
    let settled = context.overlay.wait_for_text(file.real(), context.buffers.timeout);
    tokio::select! {
        settled = settled => settled.map_err(|error| {
            ToolError::failed(format!(
                "{}: {error}, so what is on the disk may be out of date. Try again, or ask the user to save the file and to open it again.",
                file.shown()
            ))
        }),
        () = context.cancel.cancelled() => Err(ToolError::Aborted),
    }
}

/// Whether the file on the disk has this text.
pub fn is_on_disk(file: &Checked, text: &str) -> bool {
    let Ok((handle, metadata)) = open::regular(file.real()) else { return false };
    // No encoding takes more than four bytes a character, or none.
    if metadata.len() > MAX_BYTES.min(4 * text.len() as u64 + 4) {
        return false;
    }
    let mut bytes = Vec::new();
    if handle.take(MAX_BYTES).read_to_end(&mut bytes).is_err() {
        return false;
    }
    bytes == text.as_bytes() || TextFile::decode(&bytes).is_ok_and(|file| !file.is_lossy() && file.text == text)
}

/// What the editor's language servers say of the text that the editor has now, where it was at version `before`.
///
/// # Errors
/// When the turn is aborted.
pub async fn diagnostics(context: &ToolContext, file: &Checked, before: Option<i64>) -> Result<Option<String>, ToolError> {
    let wait = context.buffers.diagnostics;
    let now = context.overlay.get(file.real()).map(|document| document.version);
    // Otherwise the change was made on the disk, and the editor holds another text.
    if wait.is_zero() || before.is_none() || now == before {
        return Ok(None);
    }
    let known = tokio::select! {
        known = context.overlay.wait_for_diagnostics(file.real(), wait) => known,
        () = context.cancel.cancelled() => return Err(ToolError::Aborted),
    };
    Ok(known.map(|known| match known {
        Ok(items) if items.is_empty() => "Diagnostics of the new text: none.".to_owned(),
        Ok(items) => format!("Diagnostics of the new text:\n{}", diagnostics::shown(&items)),
        Err(diagnostics::Unknown) => {
            format!("Diagnostics of the new text: unknown; the editor's language servers did not report within {} ms.", wait.as_millis())
        }
    }))
}

/// What an editor was asked for.
pub struct Edited {
    /// Whether the edited text is on the disk too.
    pub saved: bool,
    /// Whether the editor's text is the planned one now, and nothing besides.
    pub as_planned: bool,
}

/// Has the editor make of its document the planned text.
///
/// # Errors
/// Whether to try the disk, and what to tell the model where not.
pub async fn edit(context: &ToolContext, file: &Checked, document: &Arc<Document>, text: Arc<str>) -> Result<Edited, Failure> {
    let (old, new) = (Arc::clone(document), Arc::clone(&text));
    let edits = path::blocking(move || Ok(overlay::difference(&old.text, &new))).await.map_err(Failure::Refused)?;
    let asked = context.overlay.edit(document, &text, edits, context.session_id.clone(), context.buffers.timeout);
    let outcome = tokio::select! {
        outcome = asked => outcome,
        () = context.cancel.cancelled() => return Err(Failure::Refused(ToolError::Aborted)),
    };
    match outcome {
        Ok(applied) => {
            let now = context.overlay.get(file.real());
            Ok(Edited { saved: applied.saved, as_planned: now.is_none_or(|now| now.text == text) })
        }
        Err(unapplied) => Err(failure(context, file, document, &unapplied)),
    }
}

/// Why an editor has not made a change.
pub enum Failure {
    /// The change is not to be made.
    Refused(ToolError),
    /// It is to be made on the disk. For the model: why.
    TryDisk(String),
}

fn failure(context: &ToolContext, file: &Checked, document: &Document, unapplied: &NotApplied) -> Failure {
    let shown = file.shown();
    let (why, next) = match unapplied {
        NotApplied::Refused { message } => {
            let changed = context.overlay.get(file.real()).is_none_or(|now| now.version != document.version);
            let why = match message {
                Some(message) => {
                    format!(", which did not make the change: {}", crate::stdx::text::ellipsis(&context.guard.secrets.redact(message), 500))
                }
                None if changed => ", and its text was changed there meanwhile".to_owned(),
                None => ", which did not make the change".to_owned(),
            };
            let text = format!("{shown} is open in the user's editor{why}. Read it again, then make your change to what is there now.");
            return Failure::Refused(ToolError::Failed(text));
        }
        NotApplied::TimedOut => (
            format!("the user's editor, which holds {shown} open, did not answer in {} ms", context.buffers.timeout.as_millis()),
            "It may still make the change: read the file again before you do anything about it.",
        ),
        NotApplied::Disconnected => (
            format!("the user's editor, which held {shown} open, was closed before it answered"),
            "Read the file again: what counts now is on the disk.",
        ),
        NotApplied::TooLarge => {
            (format!("the change is too large to be sent to the user's editor, which holds {shown} open"), "Make it in smaller parts.")
        }
    };
    match context.buffers.unanswered {
        Unanswered::Disk => Failure::TryDisk(why),
        Unanswered::Refuse => Failure::Refused(ToolError::Failed(format!("Nothing was changed: {why}. {next}"))),
    }
}

#[cfg(test)]
#[path = "announced_tests.rs"]
mod tests;
