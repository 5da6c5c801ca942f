//! Questions that wait for an answer. A question is a row of the store before anybody is asked, so it survives a
//! restart; whoever asks the same again for the same tool call gets the answer that was given, or waits with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::{
    events::{EventPayload, PermissionRepliedInfo},
    id::{GrantId, MessageId, PermissionId, ProjectId, SessionId},
    permission::{Action, Grant, Permission, PermissionOutcome, PermissionResponse, PermissionTime, Rule},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    rules::{Origin, Rules},
    store,
    store::Row,
};
use crate::{
    event::{Events, Scope},
    stdx::{ids, paths, time::now_ms},
    storage::{self, Database, Write},
};

/// How answering fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such question in that session.
    #[error("there is no permission question {0} in this session")]
    NotFound(PermissionId),
    /// The first answer wins.
    #[error("the permission question {0} has already been answered")]
    Answered(PermissionId),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// What the one who asked learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go ahead.
    Allowed,
    /// No, and perhaps what to do instead.
    Rejected(Option<String>),
    /// The question was withdrawn.
    Withdrawn,
}

/// A new question.
#[derive(Debug, Clone)]
pub struct Question {
    /// As clients see it; its id is used only if the same was not asked before.
    pub permission: Permission,
    /// The project whose grants may answer it.
    pub project_id: ProjectId,
    /// The session's directory.
    pub directory: String,
    /// Grants do not answer it, only people do.
    pub forced: bool,
    /// The rules that made it a question, without grants: what a grant given meanwhile is added to.
    pub rules: Rules,
}

/// What an answer has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The session that asked.
    pub session_id: SessionId,
    /// Nobody in this process waits for it: the turn that asked has to be taken up again.
    pub orphaned: bool,
}

/// Who in this process waits for which answer.
type Waiters = Mutex<HashMap<PermissionId, Waiting>>;

/// Those who wait for one answer.
struct Waiting {
    rules: Rules,
    senders: Vec<oneshot::Sender<Answer>>,
}

/// The questions of the whole daemon.
pub struct Broker {
    database: Arc<Database>,
    events: Arc<Events>,
    // Held for an insert or a removal, never across an await.
    waiters: Arc<Waiters>,
}

impl Broker {
    /// The questions kept in the store.
    #[must_use]
    pub fn new(database: Arc<Database>, events: Arc<Events>) -> Self {
        Self { database, events, waiters: Arc::default() }
    }

    /// Stores a question and gives its id and the place where the answer arrives.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn ask(&self, question: Question) -> Result<(PermissionId, oneshot::Receiver<Answer>), Error> {
        let (events, waiters) = (Arc::clone(&self.events), Arc::clone(&self.waiters));
        let (sender, receiver) = oneshot::channel();
        let id = self
            .database
            .write::<_, Error>(move |write| {
                let id = match store::find(write, &question)? {
                    Some(Row { outcome: Some(outcome), message, permission, .. }) => {
                        let _ = sender.send(answer(outcome, message));
                        return Ok(permission.id);
                    }
                    Some(row) => row.permission.id,
                    None => {
                        store::insert(write, &question)?;
                        let scope = scope(&question.project_id, &question.permission.session_id, &question.directory);
                        events.append(write, &scope, &EventPayload::PermissionAsked(question.permission.clone()))?;
                        question.permission.id
                    }
                };
                let mut waiters = waiters.lock().unwrap_or_else(PoisonError::into_inner);
                let waiting = waiters.entry(id.clone()).or_insert_with(|| Waiting { rules: question.rules.clone(), senders: Vec::new() });
                waiting.senders.push(sender);
                Ok(id)
            })
            .await?;
        Ok((id, receiver))
    }

    /// Answers a question. `always` also answers the others that its grants cover; `reject` without a message also
    /// refuses what else the session asks.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Answered`], or when the store cannot be written.
    pub async fn reply(
        &self,
        session: SessionId,
        id: PermissionId,
        response: PermissionResponse,
        message: Option<String>,
    ) -> Result<Vec<Settled>, Error> {
        let (events, waiters) = (Arc::clone(&self.events), Arc::clone(&self.waiters));
        self.database
            .write(move |write| {
                let row = store::get(write, &id)?
                    .filter(|row| row.permission.session_id == session)
                    .ok_or_else(|| Error::NotFound(id.clone()))?;
                if row.outcome.is_some() {
                    return Err(Error::Answered(id));
                }
                let outcome = match response {
                    PermissionResponse::Once => PermissionOutcome::Once,
                    PermissionResponse::Always => PermissionOutcome::Always,
                    PermissionResponse::Reject => PermissionOutcome::Reject,
                };
                let mut settled = vec![settle(write, &events, &waiters, &row, outcome, message.as_deref())?];
                match response {
                    PermissionResponse::Always => {
                        for pattern in &row.permission.always {
                            let grant = Grant {
                                id: GrantId::from_ulid(ids::next()),
                                project_id: row.project_id.clone(),
                                kind: row.permission.kind.clone(),
                                pattern: pattern.clone(),
                                time: PermissionTime { created: now_ms() },
                            };
                            store::insert_grant(write, &grant)?;
                        }
                        let grants: Vec<Rule> = store::grants(write, &row.project_id)?.iter().map(grant_rule).collect();
                        for other in store::open_of_project(write, &row.project_id)? {
                            if !other.forced && is_allowed(&waiters, &grants, &other.permission) {
                                settled.push(settle(write, &events, &waiters, &other, PermissionOutcome::Always, None)?);
                            }
                        }
                    }
                    PermissionResponse::Reject if message.is_none() => {
                        for other in store::open_of_session(write, &session)? {
                            settled.push(settle(write, &events, &waiters, &other, PermissionOutcome::Reject, None)?);
                        }
                    }
                    _ => {}
                }
                Ok(settled)
            })
            .await
    }

    /// Withdraws what a session asks, in the caller's transaction.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn withdraw(&self, write: &mut Write<'_>, session: &SessionId, outcome: PermissionOutcome) -> Result<(), storage::Error> {
        self.withdraw_where(write, session, outcome, |_| true)
    }

    /// The same for those questions that are chosen.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn withdraw_where(
        &self,
        write: &mut Write<'_>,
        session: &SessionId,
        outcome: PermissionOutcome,
        chosen: impl Fn(&Permission) -> bool,
    ) -> Result<(), storage::Error> {
        for row in store::open_of_session(write, session)?.into_iter().filter(|row| chosen(&row.permission)) {
            settle(write, &self.events, &self.waiters, &row, outcome, None)?;
        }
        Ok(())
    }

    /// A question, also one that was answered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, id: PermissionId) -> Result<Option<Permission>, Error> {
        self.database.read(move |connection| Ok(store::get(connection, &id)?.map(|row| row.permission))).await
    }

    /// All open questions with the directories of their sessions, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(&self) -> Result<Vec<OpenQuestion>, Error> {
        self.database
            .read(|connection| {
                let rows = store::open(connection)?;
                Ok(rows
                    .into_iter()
                    .map(|row| OpenQuestion { permission: row.permission, project_id: row.project_id, directory: row.directory })
                    .collect())
            })
            .await
    }

    /// The rules that "always" has made in a project.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn grants(&self, project: ProjectId) -> Result<Vec<Grant>, Error> {
        self.database.read(move |connection| Ok(store::grants(connection, &project)?)).await
    }

    /// Takes a grant of the project back; tells whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn revoke(&self, project: ProjectId, id: GrantId) -> Result<bool, Error> {
        self.database.write(move |write| Ok(store::delete_grant(write, &project, &id)?)).await
    }
}

/// An open question and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenQuestion {
    /// The question.
    pub permission: Permission,
    /// The project.
    pub project_id: ProjectId,
    /// The session's directory.
    pub directory: String,
}

/// What a session asks, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn open_of(connection: &Connection, session: &SessionId) -> Result<Vec<Permission>, storage::Error> {
    Ok(store::open_of_session(connection, session)?.into_iter().map(|row| row.permission).collect())
}

/// What was asked for the calls of a message, answered or not, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn asked_in(connection: &Connection, session: &SessionId, message: &MessageId) -> Result<Vec<Permission>, storage::Error> {
    let rows = store::of_session(connection, session)?.into_iter().map(|row| row.permission);
    Ok(rows.filter(|permission| permission.message_id == *message).collect())
}

/// A grant as a rule.
#[must_use]
pub fn grant_rule(grant: &Grant) -> Rule {
    Rule { permission: grant.kind.clone(), pattern: grant.pattern.clone(), action: Action::Allow }
}

/// Whether the rules of the one who asked, together with the grants, allow it; where nobody waits for it in this process,
/// whether the grants alone do.
fn is_allowed(waiters: &Waiters, grants: &[Rule], permission: &Permission) -> bool {
    let waiting = waiters.lock().unwrap_or_else(PoisonError::into_inner);
    let known = waiting.get(&permission.id).map(|waiting| waiting.rules.clone());
    let rules = known.unwrap_or_else(|| Rules::none(paths::home().map(|home| home.to_string()).as_deref())).with(Origin::Grants, grants);
    let patterns = permission.patterns.iter().map(String::as_str);
    !permission.patterns.is_empty() && rules.evaluate_all(&permission.kind, patterns, false) == Action::Allow
}

fn settle(
    write: &mut Write<'_>,
    events: &Arc<Events>,
    waiters: &Arc<Waiters>,
    row: &Row,
    outcome: PermissionOutcome,
    message: Option<&str>,
) -> Result<Settled, storage::Error> {
    let id = row.permission.id.clone();
    let session_id = row.permission.session_id.clone();
    store::settle(write, &id, outcome, message)?;
    let told = PermissionRepliedInfo { session_id: session_id.clone(), permission_id: id.clone(), response: outcome };
    events.append(write, &scope(&row.project_id, &session_id, &row.directory), &EventPayload::PermissionReplied(told))?;
    let orphaned = !waiters.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id);
    let (waiters, answer) = (Arc::clone(waiters), answer(outcome, message.map(str::to_owned)));
    write.after_commit(move || {
        let waiting = waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        for waiter in waiting.into_iter().flat_map(|waiting| waiting.senders) {
            let _ = waiter.send(answer.clone());
        }
    });
    Ok(Settled { session_id, orphaned })
}

fn answer(outcome: PermissionOutcome, message: Option<String>) -> Answer {
    match outcome {
        PermissionOutcome::Once | PermissionOutcome::Always => Answer::Allowed,
        PermissionOutcome::Reject => Answer::Rejected(message),
        PermissionOutcome::Aborted | PermissionOutcome::Expired => Answer::Withdrawn,
    }
}

fn scope(project: &ProjectId, session: &SessionId, directory: &str) -> Scope {
    Scope { directory: Some(directory.to_owned()), project_id: Some(project.clone()), session_id: Some(session.clone()) }
}
