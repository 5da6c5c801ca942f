//! What a transaction reads and changes, in plain data. A database implements these traits; the rules in this folder
//! are written over them.

use std::collections::HashSet;

use polytree_protocol::{
    id::{GrantId, MessageId, PartId, PermissionId, ProjectId, SessionId},
    message::{AssistantMessage, Message, MessageWithParts, Tokens},
    part::{Part, PatchPart},
    permission::{Grant, Permission, PermissionOutcome},
    project::{ProjectTime, Vcs},
    provider::ModelRef,
    session::{Session, SessionScope},
    todo::Todo,
    usage::{UsageBy, UsageTotal},
};

use super::{
    Error, Extent, Filter, Page, Scope,
    identity::{Sighting, Stamp},
};
use crate::stdx::{
    paths::AbsPath,
    retention::{Clock, Total},
    time::Moment,
};

type Result<T> = std::result::Result<T, Error>;

/// All stored data. Methods with `&self` read, those with `&mut self` write: a reader gets a shared reference.
pub trait Rows: Sessions + Messages + Prompts + Todos + Reviews + Usage + Questions + Projects + Events + Retention {
    /// Adds a step to run after the commit, in commit order, on the thread that commits: it must be quick. It is
    /// dropped if the transaction is rolled back.
    fn after_commit(&mut self, step: Box<dyn FnOnce() + Send>);
}

/// The directory of a session, relative to its checkout, so that it survives a move of the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The row of the checkout in the project registry.
    pub checkout_id: i64,
    /// The path inside it, with `/`; empty for its root.
    pub path: String,
}

/// Selects sessions for a list.
#[derive(Debug, Clone)]
pub struct SessionQuery {
    /// The project; required for the scopes `directory` and `project`.
    pub project_id: Option<ProjectId>,
    /// The exact directory, for the scope `directory`.
    pub directory: Option<String>,
    pub scope: SessionScope,
    /// Only titles that contain this, ignoring case.
    pub search: Option<String>,
    /// Only sessions without a parent.
    pub roots: bool,
    /// Only archived sessions, or only the others.
    pub archived: Option<bool>,
    /// Only conversations that contain this, ignoring case.
    pub text: Option<String>,
    /// Hidden sessions too.
    pub hidden: bool,
    pub limit: usize,
    /// Only sessions after this one in list order.
    pub before: Option<SessionId>,
}

/// Sessions. `missing` is not stored: callers check whether the directory exists.
pub trait Sessions {
    fn session(&self, id: &SessionId) -> Result<Option<Session>>;
    /// The checkout and path of a session.
    fn place(&self, id: &SessionId) -> Result<Option<Place>>;
    /// The digest of the params that created a session; `Some(None)` for a deleted session.
    fn created_with(&self, id: &SessionId) -> Result<Option<Option<String>>>;
    /// The linked worktrees of these sessions, as rows of the project registry: git may have moved them.
    fn linked_checkouts(&self, ids: &[SessionId]) -> Result<Vec<i64>>;
    /// Sessions, the most recently updated first.
    fn sessions(&self, query: &SessionQuery) -> Result<Vec<Session>>;
    /// The direct children of a session, oldest first.
    fn children(&self, id: &SessionId) -> Result<Vec<Session>>;
    /// A session and all its descendants, parents before their children.
    fn family(&self, id: &SessionId) -> Result<Vec<SessionId>>;
    /// Stores a new session; `created_with` is the digest of the params that created it.
    fn insert_session(&mut self, session: &Session, place: &Place, created_with: &str) -> Result<()>;
    fn put_session(&mut self, session: &Session) -> Result<()>;
    /// Deletes a session with its data and events; its id cannot be used again.
    fn delete_session(&mut self, id: &SessionId) -> Result<()>;
}

pub trait Messages {
    /// A message with its parts.
    fn message(&self, session: &SessionId, id: &MessageId) -> Result<Option<MessageWithParts>>;
    /// A message without its parts.
    fn message_info(&self, session: &SessionId, id: &MessageId) -> Result<Option<Message>>;
    /// The session of a message, and the digest of the prompt that created it.
    fn message_origin(&self, id: &MessageId) -> Result<Option<(String, Option<String>)>>;
    /// The last `limit` messages of a session before `before`, oldest first.
    fn messages(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<Vec<MessageWithParts>>;
    /// The stored size of these messages in bytes, without reading them.
    fn messages_size(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<u64>;
    /// The messages of a session that a model may read, oldest first: all of them, or the last summary, the tail that it
    /// leaves as it is, and what came after it. There may be others among them.
    fn conversation(&self, session: &SessionId) -> Result<Vec<MessageWithParts>>;
    /// The last assistant message that answers a user message and is no summary.
    fn last_answer(&self, user: &MessageId) -> Result<Option<MessageId>>;
    /// The unfinished answers of a session, oldest first.
    fn open_answers(&self, session: &SessionId) -> Result<Vec<MessageId>>;
    /// Whether any session has a part with this id.
    fn has_part(&self, id: &PartId) -> Result<bool>;
    /// Inserts or updates a message. `params` is the digest of the prompt that created a user message.
    fn put_message(&mut self, message: &Message, params: Option<&str>) -> Result<()>;
    /// Deletes a message with its parts.
    fn delete_message(&mut self, id: &MessageId) -> Result<()>;
    /// Inserts or replaces a part.
    fn put_part(&mut self, part: &Part) -> Result<()>;
    /// Inserts a part.
    fn insert_part(&mut self, part: &Part) -> Result<()>;
    /// Deletes a part.
    fn delete_part(&mut self, id: &PartId) -> Result<()>;
    /// Updates a part and keeps the text that was appended to it.
    fn end_part(&mut self, part: &Part) -> Result<()>;
    /// Appends to a field of a part without rewriting the part.
    fn append_part(&mut self, id: &PartId, cursor: u64, field: &str, delta: &str) -> Result<()>;
}

/// The prompt queue, and the current prompt of each session.
pub trait Prompts {
    /// The queued prompts in order.
    fn queue(&self, session: &SessionId) -> Result<Vec<MessageId>>;
    /// The prompt of the current turn.
    fn turn(&self, session: &SessionId) -> Result<Option<MessageId>>;
    /// Every session with a turn or an unfinished answer.
    fn sessions_in_a_turn(&self) -> Result<Vec<SessionId>>;
    /// Every session with queued prompts.
    fn sessions_with_a_queue(&self) -> Result<Vec<SessionId>>;
    /// Adds a prompt at the end of the queue.
    fn enqueue(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Adds a prompt at the front of the queue.
    fn enqueue_first(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Removes a prompt from the queue.
    fn dequeue(&mut self, message: &MessageId) -> Result<()>;
    /// Stores the prompt of the current turn.
    fn set_turn(&mut self, session: &SessionId, message: &MessageId) -> Result<()>;
    /// Stores that the session has no turn.
    fn clear_turn(&mut self, session: &SessionId) -> Result<()>;
}

/// The task lists of sessions.
pub trait Todos {
    /// The task list of a session.
    fn todos(&self, session: &SessionId) -> Result<Vec<Todo>>;
    /// Replaces the task list of a session.
    fn set_todos(&mut self, session: &SessionId, todos: &[Todo]) -> Result<()>;
}

/// A decision of the user about changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The prompt with which the model was told.
    pub told: Option<MessageId>,
    /// The decision, as JSON.
    pub data: String,
}

/// What sessions changed in files, and what the user decided about it.
pub trait Reviews {
    /// The parts that say what a session changed, in the order in which they were stored.
    fn patches(&self, session: &SessionId) -> Result<Vec<PatchPart>>;
    /// The decisions in order.
    fn reviews(&self, session: &SessionId) -> Result<Vec<Review>>;
    fn insert_review(&mut self, session: &SessionId, data: &str) -> Result<()>;
    /// The model is told of the decisions with this prompt, as far as it was not told.
    fn tell_reviews(&mut self, session: &SessionId, prompt: &MessageId) -> Result<()>;
    /// The model was not told with this prompt.
    fn untell_reviews(&mut self, session: &SessionId, prompt: &MessageId) -> Result<()>;
}

/// A prompt that was sent, or a model request and what it used.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// Milliseconds since 1970.
    pub time: i64,
    pub project: &'a ProjectId,
    pub model: &'a ModelRef,
    pub prompts: u32,
    pub cost: f64,
    pub tokens: Tokens,
}

/// Selects what usage totals count.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    pub by: UsageBy,
    /// Milliseconds since 1970.
    pub since: Option<i64>,
    pub project: Option<ProjectId>,
    pub limit: u32,
}

/// What models have cost.
pub trait Usage {
    fn add_usage(&mut self, used: &Used<'_>) -> Result<()>;
    /// Totals: days newest first, others by cost.
    fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageTotal>>;
    /// The newest answer of a session, before this message, of which the service has counted the prompt.
    fn last_counted(&self, session: &SessionId, before: Option<&MessageId>) -> Result<Option<AssistantMessage>>;
}

#[derive(Debug, Clone)]
pub struct Question {
    /// In its wire form; the id is used only if the same was not asked before.
    pub permission: Permission,
    /// The project whose grants may answer it.
    pub project_id: ProjectId,
    pub directory: String,
    /// Only a user can answer it, not a grant.
    pub forced: bool,
}

/// A stored permission question; open if it has no outcome.
#[derive(Debug, Clone)]
pub struct StoredQuestion {
    pub question: Question,
    pub outcome: Option<PermissionOutcome>,
    /// The message of the answer.
    pub message: Option<String>,
}

/// Selects open questions.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    Any,
    Session(&'a SessionId),
    /// Of all sessions of a project.
    Project(&'a ProjectId),
}

/// Permission questions and grants.
pub trait Questions {
    /// A question, answered or not.
    fn question(&self, id: &PermissionId) -> Result<Option<StoredQuestion>>;
    /// An earlier question with the same content for the same tool call.
    fn same_question(&self, question: &Question) -> Result<Option<StoredQuestion>>;
    /// Open questions, oldest first.
    fn open_questions(&self, of: Asker<'_>) -> Result<Vec<StoredQuestion>>;
    /// All questions of a session, answered or not, oldest first.
    fn questions(&self, session: &SessionId) -> Result<Vec<Permission>>;
    /// The grants of a project, and of a root session.
    fn grants(&self, project: &ProjectId, root: Option<&SessionId>) -> Result<Vec<Grant>>;
    /// The grants of a project and of all its sessions.
    fn all_grants(&self, project: &ProjectId) -> Result<Vec<Grant>>;
    fn insert_question(&mut self, question: &Question) -> Result<()>;
    /// Stores the answer to a question.
    fn settle_question(&mut self, id: &PermissionId, outcome: PermissionOutcome, message: Option<&str>) -> Result<()>;
    /// Stores a grant of its session or project, unless there is the same one.
    fn insert_grant(&mut self, grant: &Grant) -> Result<()>;
    /// Deletes a grant of the project or of one of its sessions; false if there is none.
    fn delete_grant(&mut self, project: &ProjectId, id: &GrantId) -> Result<bool>;
}

/// The id of a checkout, or of the directory itself outside git. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckoutId(pub i64);

/// A stored project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProject {
    pub id: ProjectId,
    /// The main checkout, or the directory itself outside git.
    pub worktree: AbsPath,
    pub vcs: Option<Vcs>,
    pub name: Option<String>,
    /// Sessions may refer to it. If false, it was only read so far.
    pub claimed: bool,
    /// The user trusts the project's own settings, as far as their contents were reviewed.
    pub trusted: bool,
    /// Whether it has a place. If false, another project was found at its place.
    pub placed: bool,
    /// Times in milliseconds since 1970.
    pub time: ProjectTime,
}

/// The kind of a project's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    Git,
    Plain,
}

/// Where a project was last found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPlace {
    pub project: ProjectId,
    pub sighting: Sighting,
    /// The content of the id file at the time of the decision.
    pub file: Option<ProjectId>,
}

/// A stored checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckout {
    pub id: CheckoutId,
    pub project: ProjectId,
    /// Identifies it in its project; `None` once another checkout has the same name.
    pub key: Option<String>,
    /// Its root, where it was last found.
    pub path: AbsPath,
    /// The identity of git's record for a linked worktree, otherwise of the root.
    pub stamp: Stamp,
}

/// Paths relative to the root of a checkout, each with a digest of the contents that the user has reviewed.
pub type SeenFiles = HashSet<(String, String)>;

/// Projects with their places, checkouts and trusted files.
pub trait Projects {
    /// All projects, most recently used first.
    fn projects(&self) -> Result<Vec<KnownProject>>;
    fn project(&self, id: &ProjectId) -> Result<Option<KnownProject>>;
    /// The place of the same git directory, possibly with another path.
    fn same_place(&self, seen: &Sighting) -> Result<Option<ProjectPlace>>;
    /// The place at this path.
    fn place_at(&self, kind: PlaceKind, path: &AbsPath) -> Result<Option<ProjectPlace>>;
    /// The git directory of a project.
    fn git_place(&self, project: &ProjectId) -> Result<Option<ProjectPlace>>;
    fn checkout(&self, id: CheckoutId) -> Result<Option<StoredCheckout>>;
    /// The checkout of this key.
    fn checkout_of(&self, project: &ProjectId, key: &str) -> Result<Option<StoredCheckout>>;
    /// The checkout of a repository with this path.
    fn git_checkout_at(&self, path: &AbsPath) -> Result<Option<(CheckoutId, ProjectId)>>;
    /// The files of a project that the user trusts; empty if the project is not trusted.
    fn trusted_files(&self, project: &ProjectId) -> Result<SeenFiles>;
    /// Inserts a project or updates where it is; the name, trust and times of an existing one stay.
    fn put_project(&mut self, id: &ProjectId, worktree: &AbsPath, git: bool, claimed: bool, now: i64) -> Result<()>;
    /// Deletes a project that was never claimed: nothing refers to it.
    fn forget_project(&mut self, id: &ProjectId) -> Result<()>;
    /// Whether sessions refer to a project.
    fn has_sessions(&self, id: &ProjectId) -> Result<bool>;
    /// Deletes a project with its places, checkouts, trust and grants.
    fn delete_project(&mut self, id: &ProjectId) -> Result<()>;
    /// Sets or removes the name.
    fn name_project(&mut self, id: &ProjectId, name: Option<&str>, now: i64) -> Result<()>;
    /// Updates the time of last use; it never decreases.
    fn touch_project(&mut self, id: &ProjectId, now: i64) -> Result<()>;
    /// Trusts a project and these files, in addition to the ones trusted before, which may be in use in another
    /// worktree.
    fn trust_project(&mut self, id: &ProjectId, files: &[(String, String)]) -> Result<()>;
    /// Removes all trust in a project.
    fn distrust_project(&mut self, id: &ProjectId) -> Result<()>;
    /// Sets or replaces the place of a project.
    fn put_place(&mut self, kind: PlaceKind, place: &ProjectPlace) -> Result<()>;
    /// Removes the place of a project.
    fn remove_place(&mut self, project: &ProjectId) -> Result<()>;
    fn insert_checkout(&mut self, project: &ProjectId, key: &str, path: &AbsPath, stamp: Stamp) -> Result<CheckoutId>;
    /// Updates the path of a checkout.
    fn move_checkout(&mut self, id: CheckoutId, path: &AbsPath, stamp: Option<Stamp>) -> Result<()>;
    /// Removes the key of a checkout: another one has it now.
    fn retire_checkout(&mut self, id: CheckoutId) -> Result<()>;
}

/// The event log. The database assigns cursors and announces an event after its commit. The scope names the session
/// whose log it belongs to, so that a shared database can number each log separately and check who may write it.
pub trait Events {
    /// The range of the log.
    fn log_extent(&self) -> Result<Extent>;
    /// A session and its descendants.
    fn family_of(&self, session: &SessionId) -> Result<HashSet<String>>;
    /// The next events after `since` that match the filter, at most `limit` and at most one page.
    fn events(&self, since: u64, newest: u64, limit: usize, filter: &mut Filter) -> Result<Page>;
    /// Appends an event and returns its cursor.
    fn append_event(&mut self, scope: &Scope, kind: &'static str, properties: String) -> Result<u64>;
    /// Adds the time since `last`, the previous call of this process, to the age of all events. Returns the newest
    /// cursor of the events older than `max_age` milliseconds.
    fn age_events(&mut self, last: Option<Moment>, now: Moment, max_age: i64) -> Result<u64>;
    /// The clock by which other things than events age.
    fn clock(&self, now: i64) -> Result<Clock>;
    /// How many events are not after `old` or exceed `max_bytes`.
    fn events_over(&self, old: u64, max_bytes: Option<u64>) -> Result<Total>;
    /// Removes some of these events, the oldest first.
    fn trim_events(&mut self, old: u64, max_bytes: Option<u64>) -> Result<Total>;
}

/// A session, as far as it matters to retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedSession {
    pub id: SessionId,
    pub parent_id: Option<SessionId>,
    /// When it was archived.
    pub archived: Option<i64>,
    /// It is at work, has prompts that wait, or an undo that can be taken back.
    pub is_needed: bool,
}

/// What sessions need of what is kept outside of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    /// The change sets of tool calls and reverts.
    pub changes: HashSet<String>,
    /// The files with whole outputs of tools.
    pub outputs: HashSet<String>,
}

/// What is kept for a time only.
pub trait Retention {
    /// Sessions, as far as they matter to retention: all, or one with its children.
    fn retained(&self, only: Option<&SessionId>) -> Result<Vec<RetainedSession>>;
    /// What the sessions at work, and those with an undo that can be taken back, need of what is kept outside of the
    /// database.
    fn needed(&self) -> Result<Needed>;
    /// Removes some events of a session; returns how many.
    fn remove_events(&mut self, session: &SessionId) -> Result<u64>;
    /// Deletes a session. Its messages are only hidden, since there may be many: [`Retention::purge`] deletes them.
    fn hide_session(&mut self, id: &SessionId) -> Result<()>;
    /// Deletes some hidden messages; false if there were none.
    fn purge(&mut self) -> Result<bool>;
    /// The bytes of the free pages of the database, and of all its pages.
    fn space(&self) -> Result<(u64, u64)>;
    /// Takes free pages from the end of the database, at most so many.
    fn free_pages(&mut self, most: u32) -> Result<()>;
}
