//! What models ask the user: stored before anybody is told, answered once, withdrawn when the answer is no longer needed.

use polytree_protocol::{
    events::{EventPayload, QuestionRepliedInfo},
    id::{QuestionId, SessionId},
};

use super::Answered;
use crate::store::{Error, Inquiry, InquiryEnd, Rows, Scope, Store, StoredInquiry, Transaction};

/// The result of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquired {
    /// It is open under this id; that of the earlier inquiry if the same call has asked before.
    Open(QuestionId),
    /// The same call has asked before, and this is how that ended.
    Ended(QuestionId, InquiryEnd),
}

/// The result of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InquiryReply {
    Settled(Answered),
    Before,
    /// There is no such inquiry in the session.
    NotFound,
}

impl Store {
    /// Stores an inquiry, unless the same tool call has asked before. `asked` is called inside the transaction, so that no
    /// answer can come first.
    pub async fn inquire(&self, inquiry: Inquiry, asked: impl FnOnce(&Inquired) + Send + 'static) -> Result<QuestionId, Error> {
        self.write(move |transaction| {
            let found = match transaction.rows.same_inquiry(&inquiry)? {
                Some(StoredInquiry { inquiry, end: Some(end) }) => Inquired::Ended(inquiry.question.id, end),
                Some(stored) => Inquired::Open(stored.inquiry.question.id),
                None => {
                    transaction.rows.insert_inquiry(&inquiry)?;
                    let scope = scope(transaction.rows, &inquiry)?;
                    let id = inquiry.question.id.clone();
                    transaction.emit(&scope, &EventPayload::QuestionAsked(inquiry.question))?;
                    Inquired::Open(id)
                }
            };
            asked(&found);
            let (Inquired::Open(id) | Inquired::Ended(id, _)) = found;
            Ok(id)
        })
        .await
    }

    /// Ends an inquiry of the session. `is_awaited` tells whether something in this process waits for the answer.
    pub async fn end_inquiry(
        &self,
        session: SessionId,
        id: QuestionId,
        end: InquiryEnd,
        is_awaited: impl Fn(&QuestionId) -> bool + Send + 'static,
    ) -> Result<InquiryReply, Error> {
        self.write(move |transaction| {
            let found = transaction.rows.inquiry(&id)?.filter(|stored| stored.inquiry.question.session_id == session);
            let Some(StoredInquiry { inquiry, end: before }) = found else { return Ok(InquiryReply::NotFound) };
            if before.is_some() {
                return Ok(InquiryReply::Before);
            }
            let orphaned = !is_awaited(&id);
            transaction.close_inquiry(&inquiry, end)?;
            Ok(InquiryReply::Settled(Answered { session_id: session, orphaned }))
        })
        .await
    }

    /// An inquiry, also one that has ended.
    pub async fn inquiry(&self, id: QuestionId) -> Result<Option<Inquiry>, Error> {
        self.read(move |rows| Ok(rows.inquiry(&id)?.map(|stored| stored.inquiry))).await
    }

    /// All open inquiries, oldest first.
    pub async fn open_inquiries(&self) -> Result<Vec<Inquiry>, Error> {
        self.read(|rows| rows.open_inquiries(None)).await
    }
}

impl Transaction<'_> {
    pub(in crate::store) fn close_inquiry(&mut self, inquiry: &Inquiry, end: InquiryEnd) -> Result<(), Error> {
        let question_id = inquiry.question.id.clone();
        self.rows.settle_inquiry(&question_id, &end)?;
        let (outcome, answers, _) = end.parts();
        let replied = QuestionRepliedInfo {
            session_id: inquiry.question.session_id.clone(),
            question_id: question_id.clone(),
            outcome,
            answers: answers.cloned(),
        };
        let scope = scope(self.rows, inquiry)?;
        self.emit(&scope, &EventPayload::QuestionReplied(replied))?;
        self.end_inquiry(question_id, end);
        Ok(())
    }
}

fn scope(rows: &dyn Rows, inquiry: &Inquiry) -> Result<Scope, Error> {
    let session_id = inquiry.question.session_id.clone();
    let hidden = rows.session(&session_id)?.is_some_and(|session| session.hidden);
    let (directory, project_id) = (Some(inquiry.directory.clone()), Some(inquiry.project_id.clone()));
    Ok(Scope { directory, project_id, session_id: Some(session_id), hidden })
}
