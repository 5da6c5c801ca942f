//! Permission questions: asked once per tool call, answered once, withdrawn when the answer is no longer needed.

pub(super) mod inquiries;

use polytree_protocol::{
    events::{EventPayload, PermissionRepliedInfo},
    id::{GrantId, MessageId, PermissionId, ProjectId, SessionId},
    permission::{Grant, GrantScope, Permission, PermissionOutcome, PermissionResponse, PermissionTime},
};

use super::{Asker, Error, InquiryEnd, Question, Rows, Scope, Store, StoredQuestion, Transaction, sessions::root};
use crate::stdx::{ids, time::now_ms};

/// The result of asking a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It is open under this id; the id of the earlier question if the same was asked before.
    Open(PermissionId),
    /// The same question was asked before and has this answer.
    Answered(PermissionId, PermissionOutcome, Option<String>),
}

/// The result of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replied {
    /// These questions are answered now; the one of the reply comes first.
    Settled(Vec<Answered>),
    Before,
    /// There is no such question in the session.
    NotFound,
    /// The question offers nothing that covers this pattern.
    NotOffered(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub session_id: SessionId,
    /// Nothing in this process waits for it: the turn that asked must be resumed.
    pub orphaned: bool,
}

/// The answer of a user.
#[derive(Debug, Clone)]
pub struct Reply {
    pub session: SessionId,
    pub id: PermissionId,
    /// `always` also answers the open questions that its grants cover; `reject` without a message also rejects all
    /// other questions of the session.
    pub response: PermissionResponse,
    pub message: Option<String>,
    /// Where `always` holds.
    pub scope: GrantScope,
    /// What `always` grants in place of what was offered; each must be covered by that.
    pub always: Option<Vec<String>>,
}

impl Store {
    /// Stores a question, unless the same was asked before for the same tool call. `asked` is called inside the
    /// transaction, so that no answer can come first.
    pub async fn ask(&self, question: Question, asked: impl FnOnce(&Asked) + Send + 'static) -> Result<PermissionId, Error> {
        self.write(move |transaction| {
            let found = match transaction.rows.same_question(&question)? {
                Some(StoredQuestion { question, outcome: Some(outcome), message }) => {
                    Asked::Answered(question.permission.id, outcome, message)
                }
                Some(stored) => Asked::Open(stored.question.permission.id),
                None => {
                    transaction.rows.insert_question(&question)?;
                    let scope = scope(transaction.rows, &question)?;
                    let id = question.permission.id.clone();
                    transaction.emit(&scope, &EventPayload::PermissionAsked(question.permission))?;
                    Asked::Open(id)
                }
            };
            asked(&found);
            let (Asked::Open(id) | Asked::Answered(id, ..)) = found;
            Ok(id)
        })
        .await
    }

    /// Answers a question. `covers` tells whether what is offered covers another pattern, `allows` whether the grants answer
    /// another question, `is_awaited` whether
    /// something in this process waits for the answer.
    pub async fn reply(
        &self,
        reply: Reply,
        covers: impl Fn(&[String], &str) -> bool + Send + 'static,
        allows: impl Fn(&[Grant], &Permission) -> bool + Send + 'static,
        is_awaited: impl Fn(&PermissionId) -> bool + Send + 'static,
    ) -> Result<Replied, Error> {
        self.write(move |transaction| {
            let Reply { session, id, response, message, scope, always } = reply;
            let found = transaction.rows.question(&id)?.filter(|stored| stored.question.permission.session_id == session);
            let Some(StoredQuestion { question, outcome, .. }) = found else { return Ok(Replied::NotFound) };
            if outcome.is_some() {
                return Ok(Replied::Before);
            }
            let outcome = match response {
                PermissionResponse::Once => PermissionOutcome::Once,
                PermissionResponse::Always => PermissionOutcome::Always,
                PermissionResponse::Reject => PermissionOutcome::Reject,
            };
            let offered = &question.permission.always;
            let granted = always.unwrap_or_else(|| offered.clone());
            if let Some(other) = granted.iter().find(|pattern| !offered.contains(pattern) && !covers(offered, pattern)) {
                return Ok(Replied::NotOffered(other.clone()));
            }
            let answered = |question: &Question| Answered {
                session_id: question.permission.session_id.clone(),
                orphaned: !is_awaited(&question.permission.id),
            };
            let mut all = vec![answered(&question)];
            transaction.close_question(&question, outcome, message.as_deref())?;
            match response {
                PermissionResponse::Always => {
                    let own = root(transaction.rows, session)?.filter(|_| scope == GrantScope::Session).map(|root| root.id);
                    for pattern in granted {
                        transaction.rows.insert_grant(&Grant {
                            id: GrantId::from_ulid(ids::next()),
                            project_id: question.project_id.clone(),
                            session_id: own.clone(),
                            kind: question.permission.kind.clone(),
                            pattern,
                            time: PermissionTime { created: now_ms() },
                        })?;
                    }
                    for StoredQuestion { question: other, .. } in transaction.rows.open_questions(Asker::Project(&question.project_id))? {
                        let root = root(transaction.rows, other.permission.session_id.clone())?;
                        let grants = transaction.rows.grants(&question.project_id, root.as_ref().map(|root| &root.id))?;
                        if !other.forced && allows(&grants, &other.permission) {
                            all.push(answered(&other));
                            transaction.close_question(&other, PermissionOutcome::Always, None)?;
                        }
                    }
                }
                PermissionResponse::Reject if message.is_none() => {
                    for StoredQuestion { question: other, .. } in transaction.rows.open_questions(Asker::Session(&session))? {
                        all.push(answered(&other));
                        transaction.close_question(&other, PermissionOutcome::Reject, None)?;
                    }
                    // The turn ends, so nobody will read the answers to what the model asks.
                    for inquiry in transaction.rows.open_inquiries(Some(&session))? {
                        transaction.close_inquiry(&inquiry, InquiryEnd::Rejected(None))?;
                    }
                }
                _ => {}
            }
            Ok(Replied::Settled(all))
        })
        .await
    }

    /// A question, answered or not.
    pub async fn question(&self, id: PermissionId) -> Result<Option<Permission>, Error> {
        self.read(move |rows| Ok(rows.question(&id)?.map(|stored| stored.question.permission))).await
    }

    /// All open questions, oldest first.
    pub async fn open_questions(&self) -> Result<Vec<Question>, Error> {
        self.read(|rows| Ok(rows.open_questions(Asker::Any)?.into_iter().map(|stored| stored.question).collect())).await
    }

    /// The questions of a message's tool calls, answered or not, oldest first.
    pub async fn asked_in(&self, session: SessionId, message: MessageId) -> Result<Vec<Permission>, Error> {
        self.read(move |rows| {
            let asked = rows.questions(&session)?.into_iter();
            Ok(asked.filter(|permission| permission.message_id == message).collect())
        })
        .await
    }

    /// The grants that "always" has stored for a project and its sessions.
    pub async fn grants(&self, project: ProjectId) -> Result<Vec<Grant>, Error> {
        self.read(move |rows| rows.all_grants(&project)).await
    }

    /// Those that hold in a session.
    pub async fn grants_in(&self, project: ProjectId, session: SessionId) -> Result<Vec<Grant>, Error> {
        self.read(move |rows| {
            let root = root(rows, session)?;
            rows.grants(&project, root.as_ref().map(|root| &root.id))
        })
        .await
    }

    /// Deletes a grant of the project; false if there is none.
    pub async fn revoke(&self, project: ProjectId, id: GrantId) -> Result<bool, Error> {
        self.write(move |transaction| transaction.rows.delete_grant(&project, &id)).await
    }
}

impl Transaction<'_> {
    /// Withdraws the open questions of a session, those of permissions and those of models, that belong to messages for which
    /// `chosen` is true.
    pub(super) fn withdraw(
        &mut self,
        session: &SessionId,
        outcome: PermissionOutcome,
        chosen: impl Fn(&MessageId) -> bool,
    ) -> Result<(), Error> {
        for StoredQuestion { question, .. } in self.rows.open_questions(Asker::Session(session))? {
            if chosen(&question.permission.message_id) {
                self.close_question(&question, outcome, None)?;
            }
        }
        let end = if outcome == PermissionOutcome::Aborted { InquiryEnd::Aborted } else { InquiryEnd::Expired };
        for inquiry in self.rows.open_inquiries(Some(session))? {
            if chosen(&inquiry.question.message_id) {
                self.close_inquiry(&inquiry, end.clone())?;
            }
        }
        Ok(())
    }

    fn close_question(&mut self, question: &Question, outcome: PermissionOutcome, message: Option<&str>) -> Result<(), Error> {
        let id = question.permission.id.clone();
        self.rows.settle_question(&id, outcome, message)?;
        let session_id = question.permission.session_id.clone();
        let replied = PermissionRepliedInfo { session_id, permission_id: id.clone(), response: outcome };
        let scope = scope(self.rows, question)?;
        self.emit(&scope, &EventPayload::PermissionReplied(replied))?;
        self.answer(id, outcome, message.map(str::to_owned));
        Ok(())
    }
}

fn scope(rows: &dyn Rows, question: &Question) -> Result<Scope, Error> {
    let session_id = question.permission.session_id.clone();
    let hidden = rows.session(&session_id)?.is_some_and(|session| session.hidden);
    let (directory, project_id) = (Some(question.directory.clone()), Some(question.project_id.clone()));
    Ok(Scope { directory, project_id, session_id: Some(session_id), hidden })
}
