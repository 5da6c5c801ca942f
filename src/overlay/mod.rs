//! Text that editors hold and have not saved: everything here reads what a client has announced last, before the disk.
//! Nothing of it is ever stored. Where a client holds a text that it could not send, that is known too, and nobody takes
//! the file on disk for the newest then.

mod apply;
mod difference;
mod document;
mod holdings;
mod questions;

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use polytree_protocol::{
    buffer::TextChange,
    config::{BufferConfig, Unanswered},
    id::{EditId, SessionId},
};
use tokio::sync::watch;

pub use self::{
    apply::{Misfit, apply},
    difference::difference,
    document::{BUDGET, Document, Error, TEXT_LIMIT},
    questions::{Applied, Editor, Reply, Shown, Unapplied},
};
use self::{
    holdings::{Held, Holdings},
    questions::Questions,
};
use crate::stdx::paths::AbsPath;

/// What is known of a file beside what is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// No client holds it.
    Disk,
    /// A client holds this text of it.
    Text(Arc<Document>),
    /// A client holds a text of it that it has not told.
    Untold,
}

/// A client holds a text of the file and has not told it in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an editor holds a newer text of it and has not told that text yet")]
pub struct Untold;

/// What tools do about texts that editors hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long to wait for an editor.
    pub timeout: Duration,
    /// What to do with a change when the editor does not answer.
    pub unanswered: Unanswered,
}

impl From<&BufferConfig> for Policy {
    fn from(config: &BufferConfig) -> Self {
        Self { timeout: Duration::from_millis(config.reply_timeout), unanswered: config.unanswered }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&BufferConfig::default())
    }
}

/// All announced texts. Where several clients hold the same file, the newest announcement counts.
#[derive(Debug, Default)]
pub struct Overlay {
    // Held for a look-up or an insert, never across an await.
    holdings: RwLock<Holdings>,
    questions: Questions,
    /// Told after each change of what is held.
    changed: watch::Sender<()>,
}

impl Overlay {
    /// The newest text that any client has announced for the file. `None` also where that one has not told it:
    /// [`Overlay::look`] tells that apart.
    #[must_use]
    pub fn get(&self, path: &AbsPath) -> Option<Arc<Document>> {
        match self.look(path) {
            Look::Text(document) => Some(document),
            Look::Disk | Look::Untold => None,
        }
    }

    /// What there is of the file beside the disk.
    #[must_use]
    pub fn look(&self, path: &AbsPath) -> Look {
        match self.read().newest(path) {
            None => Look::Disk,
            Some(held) => held.newest().map_or(Look::Untold, |document| Look::Text(Arc::clone(document))),
        }
    }

    /// The newest text of the file; `None` where the disk has it. Waits a while for a text that was not told yet.
    ///
    /// # Errors
    /// When it is not told in time: then what is on the disk is not the newest.
    pub async fn settled(&self, path: &AbsPath, timeout: Duration) -> Result<Option<Arc<Document>>, Untold> {
        // Known before the first look, so that nothing is missed after it.
        let mut changed = self.changed.subscribe();
        let look = || match self.look(path) {
            Look::Disk => Some(None),
            Look::Text(document) => Some(Some(document)),
            Look::Untold => None,
        };
        // Nearly always at once, and then without a clock.
        if let Some(known) = look() {
            return Ok(known);
        }
        let told = async {
            loop {
                // The sender is this value's own.
                let _ = changed.changed().await;
                if let Some(known) = look() {
                    return known;
                }
            }
        };
        tokio::time::timeout(timeout, told).await.map_err(|_| Untold)
    }

    /// The text that this connection has announced for the file.
    #[must_use]
    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<Arc<Document>> {
        self.read().of(connection, path)?.newest().cloned()
    }

    /// The newest text of each announced file at or below `root`, in the order of their paths.
    #[must_use]
    pub fn below(&self, root: &AbsPath) -> Vec<Arc<Document>> {
        self.read().below(root).filter_map(|(_, held)| held.newest()).cloned().collect()
    }

    /// The files at or below `root` of which a client holds a text that it has not told: what the disk has is not the
    /// newest.
    #[must_use]
    pub fn untold_below(&self, root: &AbsPath) -> Vec<AbsPath> {
        self.read().below(root).filter(|(_, held)| held.newest().is_none()).map(|(path, _)| path.clone()).collect()
    }

    /// Takes a text in place of the one that the connection has announced for the same file before, whatever its size.
    pub fn announce(&self, document: Document) {
        let (connection, path) = (document.connection, document.path.clone());
        self.write().set(connection, &path, Some(Arc::new(document)));
        self.tell();
    }

    /// Takes a whole text, or notes that the client holds one and cannot tell it. `named` is the client's spelling of the
    /// path.
    ///
    /// # Errors
    /// When it is too large: then a text that was known before is not known any more.
    pub fn open(&self, connection: u64, named: &AbsPath, path: &AbsPath, version: i64, text: Option<String>) -> Result<(), Error> {
        let document = text.map(|text| Arc::new(Document { path: path.clone(), version, text: text.into(), connection }));
        let mut holdings = self.write();
        let fits = holdings.check(connection, path, document.as_deref());
        if fits.is_ok() {
            holdings.set(connection, path, document);
            holdings.name(connection, named, path);
        } else {
            holdings.lose(connection, path);
        }
        drop(holdings);
        self.tell();
        fits
    }

    /// Takes changes of the text that the connection has announced last. All or none.
    ///
    /// # Errors
    /// When the file is not open, the version does not grow, the changes do not fit, or the text becomes too large. After
    /// the last two the client's text is not known any more.
    pub fn change(&self, connection: u64, path: &AbsPath, version: i64, changes: &[TextChange]) -> Result<Arc<Document>, Error> {
        // Made outside the lock: a connection's announcements come one after the other, and nobody else changes them.
        let announced = self.read().of(connection, path).map(Held::announced).ok_or_else(|| Error::NotOpen(path.clone()))?;
        if let Some(known) = announced.as_ref().filter(|known| known.version >= version) {
            return Err(Error::Outdated { path: path.clone(), version: known.version });
        }
        let text = apply(announced.as_ref().map(|document| &*document.text), changes).map_err(Error::from);
        let mut holdings = self.write();
        let taken = text.and_then(|text| {
            let document = Arc::new(Document { path: path.clone(), version, text: text.into(), connection });
            holdings.check(connection, path, Some(&document))?;
            holdings.advance(Arc::clone(&document));
            Ok(document)
        });
        if taken.is_err() {
            holdings.lose(connection, path);
        }
        drop(holdings);
        self.tell();
        taken
    }

    /// Forgets the connection's text of the file; false when it has announced none.
    pub fn close(&self, connection: u64, path: &AbsPath) -> bool {
        let found = self.write().remove(connection, path);
        self.tell();
        found
    }

    /// The real path of what the connection has opened under this name.
    #[must_use]
    pub fn named(&self, connection: u64, named: &AbsPath) -> Option<AbsPath> {
        self.read().named(connection, named)
    }

    /// Notes who makes edits of the texts that this connection announces.
    pub fn enter(&self, connection: u64, editor: Arc<dyn Editor>) {
        self.write().enter(connection, editor);
    }

    /// Forgets all texts of a connection that has ended, and gives up the edits that it was asked to make.
    pub fn forget(&self, connection: u64) {
        self.write().forget(connection);
        self.questions.forget(connection);
        self.tell();
    }

    /// Asks the client whose text it is to make the edits, which lead from the document's text to `text`. Dropping the
    /// future withdraws the question.
    ///
    /// # Errors
    /// When the client does not do it.
    pub async fn edit(
        &self,
        document: &Arc<Document>,
        text: &Arc<str>,
        edits: Vec<TextChange>,
        session_id: SessionId,
        timeout: Duration,
    ) -> Result<Applied, Unapplied> {
        let editor = self.read().editor(document.connection).ok_or(Unapplied::Gone)?;
        self.questions.ask(&*editor, document, text, edits, session_id, timeout).await
    }

    /// Takes a client's answer. From then on its text is the edited one, until it announces that or a later one itself.
    ///
    /// # Errors
    /// When no such edit waits for this connection's answer, or the version of the edited text is not new: then the
    /// question stays open.
    pub fn reply(&self, connection: u64, id: &EditId, reply: Reply) -> Result<(), Error> {
        let question = self.questions.take(connection, id, &reply)?;
        if let Reply::Applied { version, .. } = &reply {
            let (from, document) = question.applied(*version);
            self.write().set_applied(from, document);
            self.tell();
        }
        question.answer(reply);
        Ok(())
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    // Every operation on the holdings leaves them sound, so a panic elsewhere does too.
    fn read(&self) -> RwLockReadGuard<'_, Holdings> {
        self.holdings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Holdings> {
        self.holdings.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
