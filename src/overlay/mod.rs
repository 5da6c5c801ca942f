//! Unsaved text of editors. Readers get the text that a client announced last and fall back to the file on disk. The
//! text is never stored. A client may also have a buffer open whose text it could not send; then the file on disk is
//! known to be outdated.

mod announced;
mod apply;
mod buffers;
pub mod diagnostics;
mod difference;
mod document;
mod edits;

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

use polytree_protocol::{
    buffer::TextChange,
    config::{BufferConfig, Unanswered},
    diagnostics::Diagnostic,
    id::{EditId, SessionId},
};
use tokio::sync::watch;

use self::{
    announced::Announced,
    buffers::{Buffer, Buffers},
    diagnostics::{AllDiagnostics, Unknown},
    edits::PendingEdits,
};
pub use self::{
    apply::apply,
    difference::{difference, lines, position, regions},
    document::{CONNECTION_LIMIT, Document, Error, TEXT_LIMIT},
    edits::{Applied, Delivery, Editor, NotApplied, Reply},
};
use crate::stdx::paths::AbsPath;

/// Whether a client has a file open, and with which text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BufferState {
    NotOpen,
    /// A client has it open with this text.
    Text(Arc<Document>),
    /// A client has it open, and its current text is not known.
    Unknown,
}

/// A client has the file open and did not send its text in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an editor holds a newer text of it and has not told that text yet")]
pub struct TextUnknown;

/// How tools treat files that are open in an editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long to wait for an editor's text or answer.
    pub timeout: Duration,
    /// What happens to a change when the editor does not answer.
    pub unanswered: Unanswered,
    /// How long the result of an edit waits for diagnostics.
    pub diagnostics: Duration,
}

impl From<&BufferConfig> for Policy {
    fn from(config: &BufferConfig) -> Self {
        Self { timeout: Duration::from_millis(config.reply_timeout), unanswered: config.unanswered, diagnostics: Duration::ZERO }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&BufferConfig::default())
    }
}

/// All open buffers. Where several clients have the same file open, the newest announcement counts.
#[derive(Debug, Default)]
pub struct Overlay {
    // Locked for a state-up or an insert, never across an await.
    buffers: RwLock<Buffers>,
    edits: PendingEdits,
    diagnostics: AllDiagnostics,
    announced: Announced,
    /// Notified after each change of `buffers`.
    changed: watch::Sender<()>,
}

impl Overlay {
    /// The newest text that any client has announced for the file. `None` if it is not open or the text is not known;
    /// [`Overlay::state`] distinguishes these.
    pub fn get(&self, path: &AbsPath) -> Option<Arc<Document>> {
        match self.state(path) {
            BufferState::Text(document) => Some(document),
            BufferState::NotOpen | BufferState::Unknown => None,
        }
    }

    /// Whether the file is open, and with which text.
    pub fn state(&self, path: &AbsPath) -> BufferState {
        match self.read().newest(path) {
            None => BufferState::NotOpen,
            Some(buffer) => buffer.newest().map_or(BufferState::Unknown, |document| BufferState::Text(Arc::clone(document))),
        }
    }

    /// The newest text of the file; `None` if no client has it open. Waits up to `timeout` for a text that is not known
    /// yet.
    ///
    /// # Errors
    /// When the text does not arrive in time; the file on disk is outdated then.
    pub async fn wait_for_text(&self, path: &AbsPath, timeout: Duration) -> Result<Option<Arc<Document>>, TextUnknown> {
        // Subscribed before the first check, so that no change is missed.
        let mut changed = self.changed.subscribe();
        let state = || match self.state(path) {
            BufferState::NotOpen => Some(None),
            BufferState::Text(document) => Some(Some(document)),
            BufferState::Unknown => None,
        };
        // The common case needs no timer.
        if let Some(known) = state() {
            return Ok(known);
        }
        let known = async {
            loop {
                // Cannot fail: `self` owns the sender.
                let _ = changed.changed().await;
                if let Some(known) = state() {
                    return known;
                }
            }
        };
        tokio::time::timeout(timeout, known).await.map_err(|_| TextUnknown)
    }

    /// The text that this connection has announced for the file.
    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<Arc<Document>> {
        self.read().of(connection, path)?.newest().cloned()
    }

    /// The newest text of each open file at or below `root`, ordered by path.
    pub fn below(&self, root: &AbsPath) -> Vec<Arc<Document>> {
        self.read().below(root).filter_map(|(_, buffer)| buffer.newest()).cloned().collect()
    }

    /// The open files at or below `root` whose text is not known; their contents on disk are outdated.
    pub fn unknown_below(&self, root: &AbsPath) -> Vec<AbsPath> {
        self.read().below(root).filter(|(_, buffer)| buffer.newest().is_none()).map(|(path, _)| path.clone()).collect()
    }

    /// Replaces the text that the connection has announced for this file, without a size limit.
    pub fn announce(&self, document: Document) {
        let (connection, path) = (document.connection, document.path.clone());
        self.write().set(connection, &path, Some(Arc::new(document)));
        self.notify();
    }

    /// Opens a file with its whole text, or without one if the client cannot send it. `named` is the client's spelling
    /// of the path.
    ///
    /// # Errors
    /// When the text is too large; the text of the file then becomes unknown.
    pub fn open(&self, connection: u64, named: &AbsPath, path: &AbsPath, version: i64, text: Option<String>) -> Result<(), Error> {
        let document = text.map(|text| Arc::new(Document { path: path.clone(), version, text: text.into(), connection }));
        document.iter().for_each(|document| self.announced.add(path, &document.text));
        let mut buffers = self.write();
        let fits = buffers.check(connection, path, document.as_deref());
        if fits.is_ok() {
            buffers.set(connection, path, document);
            buffers.name(connection, named, path);
        } else {
            buffers.invalidate(connection, path);
        }
        drop(buffers);
        self.notify();
        fits
    }

    /// Applies changes to the text that the connection has announced last: all or none.
    ///
    /// # Errors
    /// When the file is not open, the version does not grow, a change is invalid, or the text becomes too large. After
    /// the last two the text becomes unknown.
    pub fn change(&self, connection: u64, path: &AbsPath, version: i64, changes: &[TextChange]) -> Result<Arc<Document>, Error> {
        // Applied outside the lock: announcements of one connection are processed in sequence, and no other connection
        // changes them.
        let announced = self.read().of(connection, path).map(Buffer::announced).ok_or_else(|| Error::NotOpen(path.clone()))?;
        if let Some(known) = announced.as_ref().filter(|known| known.version >= version) {
            return Err(Error::Outdated { path: path.clone(), version: known.version });
        }
        let text = apply(announced.as_ref().map(|document| &*document.text), changes).map_err(Error::from);
        let mut buffers = self.write();
        let taken = text.and_then(|text| {
            let document = Arc::new(Document { path: path.clone(), version, text: text.into(), connection });
            buffers.check(connection, path, Some(&document))?;
            buffers.advance(Arc::clone(&document));
            Ok(document)
        });
        if taken.is_err() {
            buffers.invalidate(connection, path);
        }
        drop(buffers);
        taken.iter().for_each(|document| self.announced.add(path, &document.text));
        self.notify();
        taken
    }

    /// Whether a client had announced the text of a file when it was written: after `since`, or as the newest text before. An
    /// editor that reads a changed file again announces its text later. `written`: the time and the text.
    pub fn had_announced(&self, path: &AbsPath, since: SystemTime, written: impl FnOnce() -> Option<(SystemTime, Vec<u8>)>) -> bool {
        let texts = self.announced.since(path, since);
        let Some((time, text)) = Some(written).filter(|_| !texts.is_empty()).and_then(|written| written()) else { return false };
        let digest = blake3::hash(&text);
        texts.iter().any(|(announced, text)| *announced <= time && *text == digest)
    }

    /// Closes the file for this connection; false if it was not open.
    pub fn close(&self, connection: u64, path: &AbsPath) -> bool {
        let found = self.write().remove(connection, path);
        self.diagnostics.forget(connection, Some(path));
        self.notify();
        found
    }

    /// The real path of the file that the connection has opened under this name.
    pub fn named(&self, connection: u64, named: &AbsPath) -> Option<AbsPath> {
        self.read().named(connection, named)
    }

    /// Replaces the diagnostics of a text that the connection has announced.
    ///
    /// # Errors
    /// When the file is not open on the connection, or the diagnostics of the connection are too long together.
    pub fn set_diagnostics(&self, connection: u64, path: &AbsPath, version: i64, items: Vec<Diagnostic>) -> Result<(), Error> {
        if self.of(connection, path).is_none() {
            return Err(Error::NotOpen(path.clone()));
        }
        self.diagnostics.set(connection, path, version, items)?;
        self.notify();
        Ok(())
    }

    /// The diagnostics of the newest text of the file. `None` if no editor holds it, or the editor has never said any;
    /// [`Unknown`] if it has said them of another version.
    pub fn diagnostics(&self, path: &AbsPath) -> Option<Result<Arc<[Diagnostic]>, Unknown>> {
        let BufferState::Text(document) = self.state(path) else { return None };
        let (version, items) = self.diagnostics.of(document.connection, path)?;
        Some(if version == document.version { Ok(items) } else { Err(Unknown) })
    }

    /// The same; waits for those of the newest text.
    pub async fn wait_for_diagnostics(&self, path: &AbsPath, timeout: Duration) -> Option<Result<Arc<[Diagnostic]>, Unknown>> {
        // Subscribed before the first check, so that no change is missed.
        let mut changed = self.changed.subscribe();
        let known = async {
            loop {
                match self.diagnostics(path) {
                    Some(Err(Unknown)) => {}
                    known => return known,
                }
                // Cannot fail: `self` owns the sender.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(timeout, known).await.unwrap_or(Some(Err(Unknown)))
    }

    /// Sets the editor that applies edits to this connection's texts.
    pub fn set_editor(&self, connection: u64, editor: Arc<dyn Editor>) {
        self.write().set_editor(connection, editor);
    }

    /// Removes all texts of a connection that has ended, and cancels its pending edits.
    pub fn forget(&self, connection: u64) {
        self.write().remove_client(connection);
        self.edits.remove_client(connection);
        self.diagnostics.forget(connection, None);
        self.notify();
    }

    /// Asks the client that owns the document to apply the edits, which turn its text into `text`. Dropping the future
    /// cancels the edit.
    pub async fn edit(
        &self,
        document: &Arc<Document>,
        text: &Arc<str>,
        edits: Vec<TextChange>,
        session_id: SessionId,
        timeout: Duration,
    ) -> Result<Applied, NotApplied> {
        let editor = self.read().editor(document.connection).ok_or(NotApplied::Disconnected)?;
        self.edits.ask(&*editor, document, text, edits, session_id, timeout).await
    }

    /// Processes a client's answer. From then on the client's text is the edited one, until it announces that version
    /// or a later one.
    ///
    /// # Errors
    /// When no such edit of this connection is pending, or the version of the edited text is not new; then the edit
    /// stays pending.
    pub fn reply(&self, connection: u64, id: &EditId, reply: Reply) -> Result<(), Error> {
        let edit = self.edits.take(connection, id, &reply)?;
        if let Reply::Applied { version, .. } = &reply {
            let (from, document) = edit.applied(*version);
            self.write().set_applied(from, document);
            self.notify();
        }
        edit.answer(reply);
        Ok(())
    }

    fn notify(&self) {
        self.changed.send_replace(());
    }

    // No operation on the buffers panics half-way, so the value behind a poisoned lock is consistent.
    fn read(&self) -> RwLockReadGuard<'_, Buffers> {
        self.buffers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Buffers> {
        self.buffers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
