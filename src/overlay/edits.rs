//! Edits that an editor is asked to make. Each goes to the client whose text it is and has one outcome, whichever comes
//! first: the client's answer, the timeout, or the end of the client.

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

/// A client that can be asked to edit its text.
pub trait Editor: fmt::Debug + Send + Sync {
    /// Shows it an edit. Its answer comes by [`super::Overlay::reply`].
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Shown>;
}

/// Whether a client was shown an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It was.
    Yes,
    /// It is not there any more.
    Gone,
    /// The edit does not fit into a message.
    TooLarge,
}

/// A client's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It has made the edit.
    Applied {
        /// The number of its text then.
        version: i64,
        /// Whether the text is on the disk too.
        saved: bool,
    },
    /// It has not.
    Refused {
        /// Why.
        message: Option<String>,
    },
}

/// What an editor has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Whether the text is on the disk too.
    pub saved: bool,
}

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unapplied {
    /// The client said no.
    Refused {
        /// Why, in its words.
        message: Option<String>,
    },
    /// It did not answer in time.
    Silent,
    /// It went before it answered.
    Gone,
    /// The edit does not fit into a message.
    TooLarge,
}

/// An edit that waits for its answer.
#[derive(Debug)]
pub(super) struct Question {
    connection: u64,
    /// What the edit is one of.
    document: Arc<Document>,
    /// The text with the edit made.
    text: Arc<str>,
    answer: oneshot::Sender<Reply>,
}

impl Question {
    /// The version that the edit was meant for, and the document that it makes with this version.
    pub fn applied(&self, version: i64) -> (i64, Document) {
        let Document { path, version: from, connection, .. } = &*self.document;
        (*from, Document { path: path.clone(), version, text: Arc::clone(&self.text), connection: *connection })
    }

    /// Tells whoever waits. It may have gone in this moment; the text is what the client says all the same.
    pub fn answer(self, reply: Reply) {
        let _ = self.answer.send(reply);
    }
}

/// The edits that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    // Held for a look-up or an insert, never across an await.
    open: Mutex<HashMap<EditId, Question>>,
}

/// A question that is withdrawn with whoever waits for its answer.
struct Asked<'a> {
    questions: &'a Questions,
    id: EditId,
}

impl Asked<'_> {
    /// False when it was answered.
    fn withdraw(&self) -> bool {
        self.questions.lock().remove(&self.id).is_some()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Questions {
    /// Asks an editor to make the edits, which lead from the document's text to `text`. Dropping the future withdraws the
    /// question.
    pub async fn ask(
        &self,
        editor: &dyn Editor,
        document: &Arc<Document>,
        text: &Arc<str>,
        edits: Vec<TextChange>,
        session_id: SessionId,
        timeout: Duration,
    ) -> Result<Applied, Unapplied> {
        let id = EditId::from_ulid(ids::next());
        let (answer, mut answered) = oneshot::channel();
        let question = Question { connection: document.connection, document: Arc::clone(document), text: Arc::clone(text), answer };
        self.lock().insert(id.clone(), question);
        let asked = Asked { questions: self, id: id.clone() };
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
                Shown::Yes => (&mut answered).await.map_err(|_| Unapplied::Gone),
                Shown::Gone => Err(Unapplied::Gone),
                Shown::TooLarge => Err(Unapplied::TooLarge),
            }
        };
        let reply = match tokio::time::timeout(timeout, work).await {
            Ok(reply) => reply?,
            Err(_) if asked.withdraw() => return Err(Unapplied::Silent),
            // It was answered, or its client has gone, in the last moment.
            Err(_) => answered.await.map_err(|_| Unapplied::Gone)?,
        };
        match reply {
            Reply::Applied { saved, .. } => Ok(Applied { saved }),
            Reply::Refused { message } => Err(Unapplied::Refused { message }),
        }
    }

    /// Takes the question that a client answers.
    ///
    /// # Errors
    /// When no such edit waits for this connection's answer, or the version of the edited text is not new: then the
    /// question stays open.
    pub fn take(&self, connection: u64, id: &EditId, reply: &Reply) -> Result<Question, Error> {
        let mut open = self.lock();
        let question = open.get(id).filter(|question| question.connection == connection);
        let from = question.ok_or_else(|| Error::NoSuchEdit(id.clone()))?.document.version;
        if let Reply::Applied { version, .. } = reply
            && *version <= from
        {
            return Err(Error::NoNewVersion(from));
        }
        open.remove(id).ok_or_else(|| Error::NoSuchEdit(id.clone()))
    }

    /// Gives up the edits that a connection was asked to make.
    pub fn forget(&self, connection: u64) {
        self.lock().retain(|_, question| question.connection != connection);
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EditId, Question>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
