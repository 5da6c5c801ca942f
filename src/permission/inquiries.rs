//! What models ask the user. An inquiry is a row of the store before anybody is asked, so it survives a restart; the same
//! tool call that asks again gets the answer that was given, or waits for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::id::{QuestionId, SessionId};
use tokio::sync::oneshot;

use crate::store::{self, Answered, Inquired, Inquiry, InquiryEnd, InquiryReply, Store};

#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// No such inquiry in that session.
    #[error("there is no question {0} in this session")]
    NotFound(QuestionId),
    /// The first answer wins.
    #[error("the question {0} has already been answered")]
    Answered(QuestionId),
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// Who in this process waits for which answer.
type Waiters = Mutex<HashMap<QuestionId, Vec<oneshot::Sender<InquiryEnd>>>>;

/// The inquiries of the whole daemon.
pub struct Inquirer {
    store: Arc<Store>,
    // Held for an insert or a removal, never across an await.
    waiters: Arc<Waiters>,
}

impl Inquirer {
    /// The inquiries kept in the store. From now on their answers are told to those who wait.
    pub fn new(store: Arc<Store>) -> Self {
        let waiters = Arc::<Waiters>::default();
        let waiting = Arc::clone(&waiters);
        store.on_inquiry_end(move |id, end| {
            let senders = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            for sender in senders.into_iter().flatten() {
                let _ = sender.send(end.clone());
            }
        });
        Self { store, waiters }
    }

    /// Stores an inquiry and gives its id and the place where the answer arrives.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn ask(&self, inquiry: Inquiry) -> Result<(QuestionId, oneshot::Receiver<InquiryEnd>), InquiryError> {
        let waiters = Arc::clone(&self.waiters);
        let (sender, receiver) = oneshot::channel();
        let asked = move |asked: &Inquired| match asked {
            Inquired::Ended(_, end) => drop(sender.send(end.clone())),
            Inquired::Open(id) => {
                waiters.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().push(sender);
            }
        };
        Ok((self.store.inquire(inquiry, asked).await?, receiver))
    }

    /// Ends an inquiry.
    ///
    /// # Errors
    /// [`InquiryError::NotFound`], [`InquiryError::Answered`], or when the store cannot be written.
    pub async fn end(&self, session: SessionId, id: QuestionId, end: InquiryEnd) -> Result<Answered, InquiryError> {
        let waiters = Arc::clone(&self.waiters);
        let is_awaited = move |id: &QuestionId| waiters.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
        match self.store.end_inquiry(session, id.clone(), end, is_awaited).await? {
            InquiryReply::Settled(answered) => Ok(answered),
            InquiryReply::Before => Err(InquiryError::Answered(id)),
            InquiryReply::NotFound => Err(InquiryError::NotFound(id)),
        }
    }

    /// An inquiry, also one that has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, id: QuestionId) -> Result<Option<Inquiry>, InquiryError> {
        Ok(self.store.inquiry(id).await?)
    }

    /// All open inquiries, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(&self) -> Result<Vec<Inquiry>, InquiryError> {
        Ok(self.store.open_inquiries().await?)
    }
}
