//! What a transaction reads and changes, in plain data. A database implements these traits; the rules in this folder are
//! written over them, once for every database.

use std::collections::HashSet;

use polytree_protocol::{
    id::{GrantId, MessageId, PartId, PermissionId, ProjectId, SessionId},
    message::{Message, MessageWithParts},
    part::Part,
    permission::{Grant, Permission, PermissionOutcome},
    project::{ProjectTime, Vcs},
    session::{Session, SessionScope},
    todo::Todo,
};

use super::{
    Error, Extent, Filter, Page, Scope,
    identity::{Sighting, Stamp},
};
use crate::stdx::{paths::AbsPath, time::Moment};

type Result<T> = std::result::Result<T, Error>;

/// Everything that is kept. Methods on `&self` read, those on `&mut self` change: a reader gets a shared reference.
pub trait Rows: Sessions + Messages + Prompts + Todos + Questions + Projects + Events {
    /// Leaves a step for after the commit. It runs in the order of the commits, on the thread that commits: it must be
    /// quick. It is dropped where the transaction is taken back.
    fn after_commit(&mut self, step: Box<dyn FnOnce() + Send>);
}

/// Where a session works, in a way that survives a move of the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The checkout, a row of the project registry.
    pub checkout_id: i64,
    /// The path inside it, with `/`; empty for its top.
    pub path: String,
}

/// Which sessions a list holds.
#[derive(Debug, Clone)]
pub struct SessionQuery {
    /// Of which project; needed for the scopes `directory` and `project`.
    pub project_id: Option<ProjectId>,
    /// Of exactly which directory, for the scope `directory`.
    pub directory: Option<String>,
    /// The scope.
    pub scope: SessionScope,
    /// Only titles that contain this, upper or lower case.
    pub search: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// Only those after this one in the order of the list.
    pub before: Option<SessionId>,
}

/// Sessions. `missing` is not kept: whoever shows a session looks whether its directory is there.
pub trait Sessions {
    /// A session.
    fn session(&self, id: &SessionId) -> Result<Option<Session>>;
    /// Where a session works.
    fn place(&self, id: &SessionId) -> Result<Option<Place>>;
    /// The digest of the params that made a session; `Some(None)` for one that was deleted.
    fn created_with(&self, id: &SessionId) -> Result<Option<Option<String>>>;
    /// The linked worktrees that these sessions are in, as rows of the project registry: git may have moved them.
    fn linked_checkouts(&self, ids: &[SessionId]) -> Result<Vec<i64>>;
    /// Sessions, the most recently updated first.
    fn sessions(&self, query: &SessionQuery) -> Result<Vec<Session>>;
    /// The direct children of a session, oldest first.
    fn children(&self, id: &SessionId) -> Result<Vec<Session>>;
    /// A session and all its descendants, parents before their children.
    fn family(&self, id: &SessionId) -> Result<Vec<SessionId>>;
    /// Stores a new session; `created_with` is the digest of the params that made it.
    fn insert_session(&mut self, session: &Session, place: &Place, created_with: &str) -> Result<()>;
    /// Replaces a session.
    fn put_session(&mut self, session: &Session) -> Result<()>;
    /// Deletes a session with all that belongs to it, and its events; the id stays taken.
    fn delete_session(&mut self, id: &SessionId) -> Result<()>;
}

/// Messages and their parts.
pub trait Messages {
    /// A message with its parts.
    fn message(&self, session: &SessionId, id: &MessageId) -> Result<Option<MessageWithParts>>;
    /// A message without its parts.
    fn message_info(&self, session: &SessionId, id: &MessageId) -> Result<Option<Message>>;
    /// The session of a message and the digest of the prompt that made it.
    fn message_origin(&self, id: &MessageId) -> Result<Option<(String, Option<String>)>>;
    /// The last `limit` messages of a session before `before`, oldest first.
    fn messages(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<Vec<MessageWithParts>>;
    /// How many bytes those messages take in the store, without reading them.
    fn messages_size(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<u64>;
    /// The messages of a session from this one on, oldest first.
    fn messages_from(&self, session: &SessionId, first: &MessageId) -> Result<Vec<MessageWithParts>>;
    /// The prompt whose answer is the last summary of a session that did not fail.
    fn last_summarised(&self, session: &SessionId) -> Result<Option<MessageId>>;
    /// The last assistant message that answers a user message.
    fn last_answer(&self, user: &MessageId) -> Result<Option<MessageId>>;
    /// The answers of a session that have not ended, oldest first.
    fn open_answers(&self, session: &SessionId) -> Result<Vec<MessageId>>;
    /// Whether there is a part of this id, in any session.
    fn has_part(&self, id: &PartId) -> Result<bool>;
    /// Stores a message, new or changed. `params` is the digest of the prompt that made a user message.
    fn put_message(&mut self, message: &Message, params: Option<&str>) -> Result<()>;
    /// Stores a part, new or changed, whole.
    fn put_part(&mut self, part: &Part) -> Result<()>;
    /// Stores a part that is new.
    fn insert_part(&mut self, part: &Part) -> Result<()>;
    /// Stores a part whose text stays as it was appended.
    fn end_part(&mut self, part: &Part) -> Result<()>;
    /// Appends to a field of a part without writing it whole.
    fn append_part(&mut self, id: &PartId, cursor: u64, field: &str, delta: &str) -> Result<()>;
}

/// Prompts that wait, and the one that each session answers.
pub trait Prompts {
    /// The prompts that wait, in order.
    fn queue(&self, session: &SessionId) -> Result<Vec<MessageId>>;
    /// The prompt that the session answers.
    fn turn(&self, session: &SessionId) -> Result<Option<MessageId>>;
    /// Every session in a turn, or with an answer that has not ended.
    fn sessions_in_a_turn(&self) -> Result<Vec<SessionId>>;
    /// Every session in which prompts wait.
    fn sessions_with_a_queue(&self) -> Result<Vec<SessionId>>;
    /// Puts a prompt at the end of the queue.
    fn enqueue(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Puts a prompt before all that wait.
    fn enqueue_first(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Takes a prompt out of the queue.
    fn dequeue(&mut self, message: &MessageId) -> Result<()>;
    /// Notes which prompt the session answers now.
    fn set_turn(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Notes that the session answers no prompt now.
    fn clear_turn(&mut self, session: &SessionId) -> Result<()>;
}

/// The task lists of sessions.
pub trait Todos {
    /// The task list of a session.
    fn todos(&self, session: &SessionId) -> Result<Vec<Todo>>;
    /// Replaces the task list of a session.
    fn set_todos(&mut self, session: &SessionId, todos: &[Todo]) -> Result<()>;
}

/// A new permission question.
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
}

/// A permission question as it is kept; without an outcome it is open.
#[derive(Debug, Clone)]
pub struct StoredQuestion {
    /// The question.
    pub question: Question,
    /// How it was answered.
    pub outcome: Option<PermissionOutcome>,
    /// What was said with the answer.
    pub message: Option<String>,
}

/// Whose open questions are meant.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Everybody's.
    Any,
    /// A session's.
    Session(&'a SessionId),
    /// Those of all sessions of a project.
    Project(&'a ProjectId),
}

/// Permission questions, and what was granted for good.
pub trait Questions {
    /// A question, also one that was answered.
    fn question(&self, id: &PermissionId) -> Result<Option<StoredQuestion>>;
    /// The same question for the same tool call, asked before.
    fn same_question(&self, question: &Question) -> Result<Option<StoredQuestion>>;
    /// Open questions, oldest first.
    fn open_questions(&self, of: Asker<'_>) -> Result<Vec<StoredQuestion>>;
    /// All questions of a session, answered or not, oldest first.
    fn questions(&self, session: &SessionId) -> Result<Vec<Permission>>;
    /// What is granted in a project.
    fn grants(&self, project: &ProjectId) -> Result<Vec<Grant>>;
    /// Stores a new question.
    fn insert_question(&mut self, question: &Question) -> Result<()>;
    /// Notes how a question was answered.
    fn settle_question(&mut self, id: &PermissionId, outcome: PermissionOutcome, message: Option<&str>) -> Result<()>;
    /// Stores a grant, unless the project has it.
    fn insert_grant(&mut self, grant: &Grant) -> Result<()>;
    /// Removes a grant of the project; tells whether there was one.
    fn delete_grant(&mut self, project: &ProjectId, id: &GrantId) -> Result<bool>;
}

/// A checkout of a project, or the directory itself outside git. Never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckoutId(pub i64);

/// A project as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProject {
    /// The project's id.
    pub id: ProjectId,
    /// The main checkout, or the directory itself outside git.
    pub worktree: AbsPath,
    /// The version control system.
    pub vcs: Option<Vcs>,
    /// A name for people.
    pub name: Option<String>,
    /// Sessions may refer to it. If not, it was only read so far.
    pub claimed: bool,
    /// The user trusts the project's own settings, as far as their contents are those that were seen.
    pub trusted: bool,
    /// Whether its place is still its own; if not, another project was found there.
    pub placed: bool,
    /// Times in milliseconds since 1970.
    pub time: ProjectTime,
}

/// What kind of directory a project's place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// A common git directory.
    Git,
    /// A directory outside git.
    Plain,
}

/// Where a project was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPlace {
    /// The project.
    pub project: ProjectId,
    /// The directory.
    pub sighting: Sighting,
    /// What the id file said when this was decided.
    pub file: Option<ProjectId>,
}

/// A checkout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckout {
    /// Its id.
    pub id: CheckoutId,
    /// Its project.
    pub project: ProjectId,
    /// What identifies it in its project; none once another one of the same name has taken its place.
    pub key: Option<String>,
    /// Its top, where it was last seen.
    pub path: AbsPath,
    /// Which directory it is: git's record of a linked worktree, else the top.
    pub stamp: Stamp,
}

/// Paths below the top of a checkout, each with a digest of the contents that the user has seen.
pub type SeenFiles = HashSet<(String, String)>;

/// Projects, their places and checkouts, and what of them is trusted.
pub trait Projects {
    /// All projects, most recently used first.
    fn projects(&self) -> Result<Vec<KnownProject>>;
    /// A project.
    fn project(&self, id: &ProjectId) -> Result<Option<KnownProject>>;
    /// The place that is the same git directory as the one seen, whatever it was called then.
    fn same_place(&self, seen: &Sighting) -> Result<Option<ProjectPlace>>;
    /// The place at this path.
    fn place_at(&self, kind: PlaceKind, path: &AbsPath) -> Result<Option<ProjectPlace>>;
    /// The git directory of a project.
    fn git_place(&self, project: &ProjectId) -> Result<Option<ProjectPlace>>;
    /// A checkout.
    fn checkout(&self, id: CheckoutId) -> Result<Option<StoredCheckout>>;
    /// The checkout of this key.
    fn checkout_of(&self, project: &ProjectId, key: &str) -> Result<Option<StoredCheckout>>;
    /// The checkout of a repository that was at this path.
    fn git_checkout_at(&self, path: &AbsPath) -> Result<Option<(CheckoutId, ProjectId)>>;
    /// The files of a project that the user has seen and trusts; empty where the project is not trusted.
    fn trusted_files(&self, project: &ProjectId) -> Result<SeenFiles>;
    /// Stores a project, or where it is now; name, trust and times of a known one stay.
    fn put_project(&mut self, id: &ProjectId, worktree: &AbsPath, git: bool, claimed: bool, now: i64) -> Result<()>;
    /// Removes a project that was only read so far: nothing refers to it.
    fn forget_project(&mut self, id: &ProjectId) -> Result<()>;
    /// Gives a project a name, or takes it away.
    fn name_project(&mut self, id: &ProjectId, name: Option<&str>, now: i64) -> Result<()>;
    /// Notes that a project was used; time never goes back.
    fn touch_project(&mut self, id: &ProjectId, now: i64) -> Result<()>;
    /// Trusts a project and these files beside those trusted before, which may be in use in another worktree.
    fn trust_project(&mut self, id: &ProjectId, files: &[(String, String)]) -> Result<()>;
    /// Takes all trust in a project away.
    fn distrust_project(&mut self, id: &ProjectId) -> Result<()>;
    /// Gives a project this place in exchange for the one it had.
    fn put_place(&mut self, kind: PlaceKind, place: &ProjectPlace) -> Result<()>;
    /// Takes a project's place away.
    fn remove_place(&mut self, project: &ProjectId) -> Result<()>;
    /// Stores a new checkout.
    fn insert_checkout(&mut self, project: &ProjectId, key: &str, path: &AbsPath, stamp: Stamp) -> Result<CheckoutId>;
    /// Notes where a checkout is now.
    fn move_checkout(&mut self, id: CheckoutId, path: &AbsPath, stamp: Option<Stamp>) -> Result<()>;
    /// Takes a checkout's key away: another one has it now.
    fn retire_checkout(&mut self, id: CheckoutId) -> Result<()>;
}

/// The log of events. The database gives the cursors and announces an event once it is committed; the scope names the
/// session whose log it belongs to, so that a shared database can number each log for itself and check who may write it.
pub trait Events {
    /// From where to where the log reaches.
    fn log_extent(&self) -> Result<Extent>;
    /// A session and its descendants.
    fn family_of(&self, session: &SessionId) -> Result<HashSet<String>>;
    /// The next events after `since` that the filter wants, at most `limit` and at most a page of them.
    fn events(&self, since: u64, newest: u64, limit: usize, filter: &mut Filter) -> Result<Page>;
    /// Appends an event and gives its cursor.
    fn append_event(&mut self, scope: &Scope, kind: &'static str, properties: String) -> Result<u64>;
    /// Notes that time has passed since `last`, where this process has looked before. Gives the newest cursor of those
    /// that are older than `max_age` milliseconds.
    fn age_events(&mut self, last: Option<Moment>, now: Moment, max_age: i64) -> Result<u64>;
    /// Removes at most a thousand of the events up to `old`, or that are too much for `max_bytes`; tells whether any.
    fn trim_events(&mut self, old: u64, max_bytes: u64) -> Result<bool>;
}
