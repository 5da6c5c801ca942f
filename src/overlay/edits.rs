//! Edits that clients are asked to apply. Each goes to the client that owns the text and ends with whichever comes
//! first: the client's answer, the timeout, or the end of the connection.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::{BufferEditInfo, TextChange},
    id::{EditId, SessionId},
};
use tokio::sync::oneshot;

use super::document::{Document, Error};
use crate::stdx::{ids, time::ms};

/// A client that can apply edits to its text.
pub trait Editor: fmt::Debug + Send + Sync {
    /// Sends it an edit. The answer arrives through [`super::Overlay::reply`].
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Delivery>;
}

/// Whether an edit was sent to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Sent,
    /// The client has disconnected.
    Disconnected,
    /// The edit does not fit into a message.
    TooLarge,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It has applied the edit.
    Applied {
        /// The version of the edited text.
        version: i64,
        /// Whether the file was saved as well.
        saved: bool,
    },
    Refused {
        message: Option<String>,
    },
}

/// An edit that a client has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Whether the file was saved as well.
    pub saved: bool,
}

/// Why an edit was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotApplied {
    Refused {
        message: Option<String>,
    },
    /// The client did not answer in time.
    TimedOut,
    /// The client disconnected before it answered.
    Disconnected,
    /// The edit does not fit into a message.
    TooLarge,
}

/// An edit that waits for its answer.
#[derive(Debug)]
pub(super) struct PendingEdit {
    connection: u64,
    /// The text before the edit.
    document: Arc<Document>,
    /// The text after the edit.
    text: Arc<str>,
    answer: oneshot::Sender<Reply>,
}

impl PendingEdit {
    /// The version to which the edit applies, and the document after it with the given version.
    pub fn applied(&self, version: i64) -> (i64, Document) {
        let Document { path, version: from, connection, .. } = &*self.document;
        (*from, Document { path: path.clone(), version, text: Arc::clone(&self.text), connection: *connection })
    }

    /// Passes the answer to the caller, which may have given up; the client's text is the edited one all the same.
    pub fn answer(self, reply: Reply) {
        let _ = self.answer.send(reply);
    }
}

/// The edits that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct PendingEdits {
    // Locked for a look-up or an insert, never across an await.
    pending: Mutex<HashMap<EditId, PendingEdit>>,
}

/// Cancels the edit when the caller stops waiting.
struct CancelOnDrop<'a> {
    edits: &'a PendingEdits,
    id: EditId,
}

impl CancelOnDrop<'_> {
    /// Whether it was still pending.
    fn cancel(&self) -> bool {
        self.edits.lock().remove(&self.id).is_some()
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl PendingEdits {
    /// Asks an editor to apply the edits, which turn the document's text into `text`. Dropping the future cancels the
    /// edit.
    pub async fn ask(
        &self,
        editor: &dyn Editor,
        document: &Arc<Document>,
        text: &Arc<str>,
        edits: Vec<TextChange>,
        session_id: SessionId,
        timeout: Duration,
    ) -> Result<Applied, NotApplied> {
        let id = EditId::from_ulid(ids::next());
        let (answer, mut answered) = oneshot::channel();
        let pending = PendingEdit { connection: document.connection, document: Arc::clone(document), text: Arc::clone(text), answer };
        self.lock().insert(id.clone(), pending);
        let guard = CancelOnDrop { edits: self, id: id.clone() };
        let edit = BufferEditInfo {
            edit_id: id,
            path: document.path.to_string(),
            version: document.version,
            edits,
            timeout: ms(timeout),
            session_id,
        };
        let work = async {
            match editor.show(edit).await {
                Delivery::Sent => (&mut answered).await.map_err(|_| NotApplied::Disconnected),
                Delivery::Disconnected => Err(NotApplied::Disconnected),
                Delivery::TooLarge => Err(NotApplied::TooLarge),
            }
        };
        let reply = match tokio::time::timeout(timeout, work).await {
            Ok(reply) => reply?,
            Err(_) if guard.cancel() => return Err(NotApplied::TimedOut),
            // The answer, or the disconnect, arrived together with the timeout.
            Err(_) => answered.await.map_err(|_| NotApplied::Disconnected)?,
        };
        match reply {
            Reply::Applied { saved, .. } => Ok(Applied { saved }),
            Reply::Refused { message } => Err(NotApplied::Refused { message }),
        }
    }

    /// Removes the edit that a client answers.
    ///
    /// # Errors
    /// When no such edit of this connection is pending, or the version of the edited text is not new; then the edit
    /// stays pending.
    pub fn take(&self, connection: u64, id: &EditId, reply: &Reply) -> Result<PendingEdit, Error> {
        let mut pending = self.lock();
        let edit = pending.get(id).filter(|edit| edit.connection == connection);
        let from = edit.ok_or_else(|| Error::NoSuchEdit(id.clone()))?.document.version;
        if let Reply::Applied { version, .. } = reply
            && *version <= from
        {
            return Err(Error::NoNewVersion(from));
        }
        pending.remove(id).ok_or_else(|| Error::NoSuchEdit(id.clone()))
    }

    /// Cancels the pending edits of a connection.
    pub fn remove_client(&self, connection: u64) {
        self.lock().retain(|_, edit| edit.connection != connection);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EditId, PendingEdit>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
