//! Questions that wait for an answer. A question is a row of the store before anybody is asked, so it survives a
//! restart; the same question asked again for the same tool call gets the answer that was given, or waits with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::{
    id::{GrantId, PermissionId, ProjectId, SessionId},
    permission::{Action, Grant, Permission, PermissionOutcome, Rule},
};
use tokio::sync::oneshot;

use super::{
    pattern::Pattern,
    rules::{Origin, Rules, granted_as},
};
use crate::{
    stdx::paths,
    store::{self, Answered, Asked, Question, Replied, Reply, Store},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such question in that session.
    #[error("there is no permission question {0} in this session")]
    NotFound(PermissionId),
    /// The first answer wins.
    #[error("the permission question {0} has already been answered")]
    Answered(PermissionId),
    #[error("`always` holds {0:?}, which what the question offers does not cover")]
    NotOffered(String),
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// What the one who asked learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go ahead.
    Allowed,
    /// No; the message may say what to do instead.
    Rejected(Option<String>),
    /// The question was withdrawn.
    Withdrawn,
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
    store: Arc<Store>,
    // Held for an insert or a removal, never across an await.
    waiters: Arc<Waiters>,
}

impl Broker {
    /// The questions kept in the store. From now on its answers are told to those who wait.
    pub fn new(store: Arc<Store>) -> Self {
        let waiters = Arc::<Waiters>::default();
        let waiting = Arc::clone(&waiters);
        store.on_answer(move |id, outcome, message| {
            let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            for sender in waiting.into_iter().flat_map(|waiting| waiting.senders) {
                let _ = sender.send(answer(outcome, message.clone()));
            }
        });
        Self { store, waiters }
    }

    /// Stores a question and gives its id and the place where the answer arrives. `rules` are those that made it a
    /// question, without grants: what a grant given meanwhile is added to.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn ask(&self, question: Question, rules: Rules) -> Result<(PermissionId, oneshot::Receiver<Answer>), Error> {
        let waiters = Arc::clone(&self.waiters);
        let (sender, receiver) = oneshot::channel();
        let asked = move |asked: &Asked| match asked {
            Asked::Answered(_, outcome, message) => drop(sender.send(answer(*outcome, message.clone()))),
            Asked::Open(id) => {
                let mut waiters = waiters.lock().unwrap_or_else(PoisonError::into_inner);
                waiters.entry(id.clone()).or_insert_with(|| Waiting { rules, senders: Vec::new() }).senders.push(sender);
            }
        };
        Ok((self.store.ask(question, asked).await?, receiver))
    }

    /// Answers a question. `always` also answers the others that its grants cover; `reject` without a message also
    /// refuses what else the session asks.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Answered`], [`Error::NotOffered`], or when the store cannot be written.
    pub async fn reply(&self, reply: Reply) -> Result<Vec<Answered>, Error> {
        let id = reply.id.clone();
        let (waiters, awaited) = (Arc::clone(&self.waiters), Arc::clone(&self.waiters));
        let allows = move |grants: &[Grant], permission: &Permission| is_allowed(&waiters, grants, permission);
        let is_awaited = move |id: &PermissionId| awaited.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
        let covers = |offered: &[String], pattern: &str| offered.iter().any(|offered| Pattern::new(offered, None).covers(pattern));
        match self.store.reply(reply, covers, allows, is_awaited).await? {
            Replied::Settled(settled) => Ok(settled),
            Replied::Before => Err(Error::Answered(id)),
            Replied::NotFound => Err(Error::NotFound(id)),
            Replied::NotOffered(pattern) => Err(Error::NotOffered(pattern)),
        }
    }

    /// A question, also one that was answered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, id: PermissionId) -> Result<Option<Permission>, Error> {
        Ok(self.store.question(id).await?)
    }

    /// All open questions with the directories of their sessions, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(&self) -> Result<Vec<Question>, Error> {
        Ok(self.store.open_questions().await?)
    }

    /// The rules that "always" has made in a project and its sessions.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn grants(&self, project: ProjectId) -> Result<Vec<Grant>, Error> {
        Ok(self.store.grants(project).await?)
    }

    /// Those that hold in a session.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn grants_in(&self, project: ProjectId, session: SessionId) -> Result<Vec<Grant>, Error> {
        Ok(self.store.grants_in(project, session).await?)
    }

    /// Takes a grant of the project back; tells whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn revoke(&self, project: ProjectId, id: GrantId) -> Result<bool, Error> {
        Ok(self.store.revoke(project, id).await?)
    }
}

/// A grant as a rule.
pub fn grant_rule(grant: &Grant) -> Rule {
    Rule { permission: grant.kind.clone(), pattern: grant.pattern.clone(), action: Action::Allow }
}

/// Whether the rules of the asker, together with the grants, allow it; where nothing waits for it in this process,
/// whether the grants alone do.
fn is_allowed(waiters: &Waiters, grants: &[Grant], permission: &Permission) -> bool {
    let grants: Vec<Rule> = grants.iter().map(grant_rule).collect();
    let waiting = waiters.lock().unwrap_or_else(PoisonError::into_inner);
    let known = waiting.get(&permission.id).map(|waiting| waiting.rules.clone());
    let rules = known.unwrap_or_else(|| Rules::none(paths::home().map(|home| home.to_string()).as_deref())).with(Origin::Grants, &grants);
    let is_allowed = |pattern: &String| {
        rules.decide_bound(&permission.kind, pattern, &granted_as(&permission.metadata, pattern)).action == Action::Allow
    };
    !permission.patterns.is_empty() && permission.patterns.iter().all(is_allowed)
}

fn answer(outcome: PermissionOutcome, message: Option<String>) -> Answer {
    match outcome {
        PermissionOutcome::Once | PermissionOutcome::Always => Answer::Allowed,
        PermissionOutcome::Reject => Answer::Rejected(message),
        PermissionOutcome::Aborted | PermissionOutcome::Expired => Answer::Withdrawn,
    }
}
