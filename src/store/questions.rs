//! Permission questions: asked once for each tool call, answered once, withdrawn when nobody needs the answer any more.

use polytree_protocol::{
    events::{EventPayload, PermissionRepliedInfo},
    id::{GrantId, MessageId, PermissionId, ProjectId, SessionId},
    permission::{Grant, Permission, PermissionOutcome, PermissionResponse, PermissionTime},
};

use super::{Asker, Error, Question, Scope, Store, StoredQuestion, Transaction};
use crate::stdx::{ids, time::now_ms};

/// What became of a question that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It waits, under this id; that of the same question if that was asked before.
    Open(PermissionId),
    /// The same was asked before and has this answer.
    Answered(PermissionId, PermissionOutcome, Option<String>),
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replied {
    /// These questions are answered, the one that was meant first.
    Settled(Vec<Answered>),
    /// The first answer wins.
    Before,
    /// There is no such question in the session.
    NotFound,
}

/// A question that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The session that asked.
    pub session_id: SessionId,
    /// Nobody in this process waits for it: the turn that asked has to be taken up again.
    pub orphaned: bool,
}

/// An answer of a person.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The session.
    pub session: SessionId,
    /// The question.
    pub id: PermissionId,
    /// The answer. `always` also answers the others that its grants cover; `reject` without a message also refuses what
    /// else the session asks.
    pub response: PermissionResponse,
    /// What to do instead.
    pub message: Option<String>,
}

impl Store {
    /// Stores a question, unless the same was asked before for the same tool call. `asked` is called inside the
    /// transaction, so that no answer can come between.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn ask(&self, question: Question, asked: impl FnOnce(&Asked) + Send + 'static) -> Result<PermissionId, Error> {
        self.write(move |transaction| {
            let found = match transaction.rows.same_question(&question)? {
                Some(StoredQuestion { question, outcome: Some(outcome), message }) => {
                    Asked::Answered(question.permission.id, outcome, message)
                }
                Some(stored) => Asked::Open(stored.question.permission.id),
                None => {
                    transaction.rows.insert_question(&question)?;
                    let scope = scope(&question);
                    let id = question.permission.id.clone();
                    transaction.tell(&scope, &EventPayload::PermissionAsked(question.permission))?;
                    Asked::Open(id)
                }
            };
            asked(&found);
            let (Asked::Open(id) | Asked::Answered(id, ..)) = found;
            Ok(id)
        })
        .await
    }

    /// Answers a question. `allows` tells whether the project's grants answer another one; `is_awaited` whether somebody in this process
    /// waits for the answer.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn reply(
        &self,
        reply: Reply,
        allows: impl Fn(&[Grant], &Permission) -> bool + Send + 'static,
        is_awaited: impl Fn(&PermissionId) -> bool + Send + 'static,
    ) -> Result<Replied, Error> {
        self.write(move |transaction| {
            let Reply { session, id, response, message } = reply;
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
            let answered = |question: &Question| Answered {
                session_id: question.permission.session_id.clone(),
                orphaned: !is_awaited(&question.permission.id),
            };
            let mut all = vec![answered(&question)];
            transaction.close_question(&question, outcome, message.as_deref())?;
            match response {
                PermissionResponse::Always => {
                    for pattern in &question.permission.always {
                        transaction.rows.insert_grant(&Grant {
                            id: GrantId::from_ulid(ids::next()),
                            project_id: question.project_id.clone(),
                            kind: question.permission.kind.clone(),
                            pattern: pattern.clone(),
                            time: PermissionTime { created: now_ms() },
                        })?;
                    }
                    let grants = transaction.rows.grants(&question.project_id)?;
                    for StoredQuestion { question: other, .. } in transaction.rows.open_questions(Asker::Project(&question.project_id))? {
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
                }
                _ => {}
            }
            Ok(Replied::Settled(all))
        })
        .await
    }

    /// A question, also one that was answered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn question(&self, id: PermissionId) -> Result<Option<Permission>, Error> {
        self.read(move |rows| Ok(rows.question(&id)?.map(|stored| stored.question.permission))).await
    }

    /// All open questions, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open_questions(&self) -> Result<Vec<Question>, Error> {
        self.read(|rows| Ok(rows.open_questions(Asker::Any)?.into_iter().map(|stored| stored.question).collect())).await
    }

    /// What was asked for the calls of a message, answered or not, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn asked_in(&self, session: SessionId, message: MessageId) -> Result<Vec<Permission>, Error> {
        self.read(move |rows| {
            let asked = rows.questions(&session)?.into_iter();
            Ok(asked.filter(|permission| permission.message_id == message).collect())
        })
        .await
    }

    /// The rules that "always" has made in a project.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn grants(&self, project: ProjectId) -> Result<Vec<Grant>, Error> {
        self.read(move |rows| rows.grants(&project)).await
    }

    /// Takes a grant of the project back; tells whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn revoke(&self, project: ProjectId, id: GrantId) -> Result<bool, Error> {
        self.write(move |transaction| transaction.rows.delete_grant(&project, &id)).await
    }
}

impl Transaction<'_> {
    /// Withdraws those open questions of a session that are chosen.
    pub(super) fn withdraw(
        &mut self,
        session: &SessionId,
        outcome: PermissionOutcome,
        chosen: impl Fn(&Permission) -> bool,
    ) -> Result<(), Error> {
        for StoredQuestion { question, .. } in self.rows.open_questions(Asker::Session(session))? {
            if chosen(&question.permission) {
                self.close_question(&question, outcome, None)?;
            }
        }
        Ok(())
    }

    fn close_question(&mut self, question: &Question, outcome: PermissionOutcome, message: Option<&str>) -> Result<(), Error> {
        let id = question.permission.id.clone();
        self.rows.settle_question(&id, outcome, message)?;
        let session_id = question.permission.session_id.clone();
        let told = PermissionRepliedInfo { session_id, permission_id: id.clone(), response: outcome };
        self.tell(&scope(question), &EventPayload::PermissionReplied(told))?;
        self.answer(id, outcome, message.map(str::to_owned));
        Ok(())
    }
}

fn scope(question: &Question) -> Scope {
    Scope {
        directory: Some(question.directory.clone()),
        project_id: Some(question.project_id.clone()),
        session_id: Some(question.permission.session_id.clone()),
    }
}
