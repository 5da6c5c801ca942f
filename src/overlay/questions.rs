//! Edits that an editor is asked to make: each goes to the client whose text it is, and has one outcome, whoever is
//! first: the client's answer, the end of the patience, or the end of the client.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::{BufferEditInfo, TextChange},
    id::{EditId, SessionId},
};
use tokio::sync::oneshot;

use super::{Document, Error, Overlay};
use crate::stdx::{ids, time::ms};

/// A client that can be asked to edit its text.
pub trait Editor: fmt::Debug + Send + Sync {
    /// Shows it an edit. Its answer comes by [`Overlay::reply`].
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
    pub(super) connection: u64,
    /// What the edit is one of.
    document: Arc<Document>,
    /// The text with the edit made.
    text: Arc<str>,
    answer: oneshot::Sender<Reply>,
}

/// The question is withdrawn with whoever waits for its answer.
struct Asked<'a> {
    overlay: &'a Overlay,
    id: EditId,
}

impl Asked<'_> {
    /// False when it was answered.
    fn withdraw(&self) -> bool {
        self.overlay.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id).is_some()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Overlay {
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
        patience: Duration,
    ) -> Result<Applied, Unapplied> {
        let editor = self.read().editor(document.connection).ok_or(Unapplied::Gone)?;
        let id = EditId::from_ulid(ids::next());
        let (answer, mut answered) = oneshot::channel();
        let question = Question { connection: document.connection, document: Arc::clone(document), text: Arc::clone(text), answer };
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), question);
        let asked = Asked { overlay: self, id: id.clone() };
        let edit = BufferEditInfo {
            edit_id: id,
            path: document.path.to_string(),
            version: document.version,
            edits,
            timeout: ms(patience),
            session_id,
        };
        let work = async {
            match editor.show(edit).await {
                Shown::Yes => (&mut answered).await.map_err(|_| Unapplied::Gone),
                Shown::Gone => Err(Unapplied::Gone),
                Shown::TooLarge => Err(Unapplied::TooLarge),
            }
        };
        let reply = match tokio::time::timeout(patience, work).await {
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

    /// Takes a client's answer. From then on its text is the edited one, until it announces that or a later one itself.
    ///
    /// # Errors
    /// When no such edit waits for this connection's answer, or the version of the edited text is not new: then the
    /// question stays open.
    pub fn reply(&self, connection: u64, id: &EditId, reply: Reply) -> Result<(), Error> {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let question = questions.get(id).filter(|question| question.connection == connection);
        let from = question.ok_or_else(|| Error::NoSuchEdit(id.clone()))?.document.version;
        if let Reply::Applied { version, .. } = &reply
            && *version <= from
        {
            return Err(Error::NoNewVersion(from));
        }
        let Some(question) = questions.remove(id) else { return Err(Error::NoSuchEdit(id.clone())) };
        drop(questions);
        if let Reply::Applied { version, .. } = &reply {
            let path = question.document.path.clone();
            self.write().set_applied(from, Document { path, version: *version, text: question.text, connection });
            self.tell();
        }
        // Who asked may have gone in this moment; the text is what the client says all the same.
        let _ = question.answer.send(reply);
        Ok(())
    }
}
