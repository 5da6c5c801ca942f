//! THE TABLE of events: type, properties, meaning.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    buffer::{BufferEditInfo, BufferResetInfo},
    editor::EditorOpenInfo,
    find::FileEvent,
    hunk::Hunk,
    id::{MessageId, PartId, PermissionId, ProjectId, QuestionId, SessionId},
    message::{Message, MessageError},
    part::Part,
    permission::{Permission, PermissionOutcome},
    process::ProcessInfo,
    project::Project,
    question::{Question, QuestionOutcome},
    session::{Session, SessionStatus},
    todo::Todo,
};

/// A row of the table as data.
pub struct EventSpec {
    /// The type on the wire.
    pub name: &'static str,
    /// When it is sent.
    pub summary: &'static str,
    /// Kept in the log. The others are sent on the connection only.
    pub logged: bool,
    /// The schema of its properties.
    pub properties: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! events {
    ($(#[doc = $summary:literal] $variant:ident $wire:literal $properties:ty, $kept:ident;)*) => {
        /// What happened, with its properties.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", content = "properties")]
        pub enum EventPayload {
            $(#[doc = $summary] #[serde(rename = $wire)] $variant($properties),)*
        }

        impl EventPayload {
            /// The type on the wire.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(EventPayload::$variant(_) => $wire),* }
            }

            /// The properties as JSON text.
            ///
            /// # Panics
            /// Never: every properties type serialises.
            #[must_use]
            pub fn properties(&self) -> String {
                match self { $(EventPayload::$variant(properties) => serde_json::to_string(properties)),* }.expect("wire types serialise")
            }
        }

        /// Every event of the contract, in the order of the table.
        pub const EVENTS: &[EventSpec] = &[
            $(EventSpec {
                name: $wire,
                summary: $summary.trim_ascii(),
                logged: kept!($kept),
                properties: |generator| generator.subschema_for::<$properties>(),
            }),*
        ];
    };
}

macro_rules! kept {
    (logged) => {
        true
    };
    (told) => {
        false
    };
}

events! {
    /// The first notification of a subscription.
    ServerConnected "server.connected" NoProperties, told;
    /// Nothing matched for ten seconds; everything up to the cursor was sent.
    ServerHeartbeat "server.heartbeat" NoProperties, told;
    /// A project was registered or changed.
    ProjectUpdated "project.updated" ProjectInfo, logged;
    /// A project was forgotten.
    ProjectForgotten "project.forgotten" ProjectOnly, logged;
    /// A session was created.
    SessionCreated "session.created" SessionInfo, logged;
    /// A session changed.
    SessionUpdated "session.updated" SessionInfo, logged;
    /// A session was deleted.
    SessionDeleted "session.deleted" SessionInfo, logged;
    /// The status of a session changed.
    SessionStatusChanged "session.status" SessionStatusInfo, logged;
    /// A turn has ended.
    SessionIdle "session.idle" SessionOnly, logged;
    /// A turn failed.
    SessionError "session.error" SessionErrorInfo, logged;
    /// The history of a session was summarised.
    SessionCompacted "session.compacted" SessionOnly, logged;
    /// The queue of waiting prompts changed.
    SessionQueueUpdated "session.queue.updated" SessionQueueInfo, logged;
    /// A message was stored or changed.
    MessageUpdated "message.updated" MessageInfo, logged;
    /// A message was removed.
    MessageRemoved "message.removed" MessageRemovedInfo, logged;
    /// A part, whole: at its start, at each change of state, at its end.
    MessagePartUpdated "message.part.updated" PartInfo, logged;
    /// What was appended to a part; never the text so far.
    MessagePartDelta "message.part.delta" PartDelta, logged;
    /// A part was removed.
    MessagePartRemoved "message.part.removed" PartRemovedInfo, logged;
    /// A tool call waits for permission.
    PermissionAsked "permission.asked" Permission, logged;
    /// A permission question was answered or withdrawn.
    PermissionReplied "permission.replied" PermissionRepliedInfo, logged;
    /// The turn of a command has begun; its shell lines have run.
    CommandExecuted "command.executed" CommandInfo, logged;
    /// A model asks the user; the turn waits for the answer.
    QuestionAsked "question.asked" Question, logged;
    /// A question of a model was answered, rejected or withdrawn.
    QuestionReplied "question.replied" QuestionRepliedInfo, logged;
    /// A background command was started, or has ended.
    ProcessUpdated "process.updated" ProcessUpdatedInfo, logged;
    /// The task list changed.
    TodoUpdated "todo.updated" TodoInfo, logged;
    /// The hunks of a file changed: by a step of a turn, a verdict, or an undo.
    HunkUpdated "hunk.updated" HunksInfo, logged;
    /// A tool changed a file.
    FileEdited "file.edited" FilePath, logged;
    /// A file changed, in a checkout that is watched. A directory: so many files changed below it that they are not reported one by one.
    FileChanged "file.changed" FileChangedInfo, logged;
    /// A checkout is on another branch.
    VcsBranchUpdated "vcs.branch.updated" BranchInfo, logged;
    /// `vcs.get` has another result, in a directory that is followed.
    VcsChanged "vcs.changed" DirectoryInfo, logged;
    /// The settings of a followed directory changed.
    ConfigChanged "config.changed" DirectoryInfo, logged;
    /// The providers or models of a followed directory changed.
    ProviderChanged "provider.changed" DirectoryInfo, logged;
    /// The agents of a followed directory changed.
    AgentChanged "agent.changed" DirectoryInfo, logged;
    /// A file is to be shown; sent, without a subscription, to connections that said in `server.initialize` that they can.
    EditorOpen "editor.open" EditorOpenInfo, told;
    /// A tool wants to change a text that this client has announced; sent on its connection only, without a subscription.
    BufferEdit "buffer.edit" BufferEditInfo, told;
    /// Announced texts were lost with the daemon that held them; sent on the connection of `polytree stdio`, without a subscription.
    BufferReset "buffer.reset" BufferResetInfo, told;
}

macro_rules! properties {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[$meta:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        $($(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$meta])* pub $field: $type,)* })*
    };
}

properties! {
    /// No properties.
    NoProperties {}
    /// A project.
    ProjectInfo {
        /// The project.
        info: Project,
    }
    /// A project's id.
    ProjectOnly {
        /// The project.
        #[serde(rename = "projectID")]
        project_id: ProjectId,
    }
    /// A directory.
    DirectoryInfo {
        /// The absolute path.
        directory: String,
    }
    /// A session.
    SessionInfo {
        /// The session.
        info: Session,
    }
    /// A session's id.
    SessionOnly {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
    }
    /// A session's status.
    SessionStatusInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Its status now.
        status: SessionStatus,
    }
    /// How a turn failed.
    SessionErrorInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// How.
        error: MessageError,
    }
    /// A session's queue.
    SessionQueueInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The user messages that wait, in order.
        queue: Vec<MessageId>,
    }
    /// A message.
    MessageInfo {
        /// The message.
        info: Message,
    }
    /// A call of a command.
    CommandInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The user message.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The command.
        name: String,
        /// What followed its name.
        arguments: String,
    }
    /// A removed message.
    MessageRemovedInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "messageID")]
        message_id: MessageId,
    }
    /// A part.
    PartInfo {
        /// The part.
        part: Part,
    }
    /// What was appended to a part.
    PartDelta {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The part.
        #[serde(rename = "partID")]
        part_id: PartId,
        /// The field that grew: `text`; `raw`, the arguments of a call that the model writes; `output` of a running tool.
        field: String,
        /// What was appended.
        delta: String,
    }
    /// A removed part.
    PartRemovedInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The part.
        #[serde(rename = "partID")]
        part_id: PartId,
    }
    /// How a permission question ended.
    PermissionRepliedInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The question.
        #[serde(rename = "permissionID")]
        permission_id: PermissionId,
        /// How it ended.
        response: PermissionOutcome,
    }
    /// How a question of a model ended.
    QuestionRepliedInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The request.
        #[serde(rename = "questionID")]
        question_id: QuestionId,
        /// How it ended.
        outcome: QuestionOutcome,
        /// The answers, one list for each question; null where it was not answered.
        answers: Option<Vec<Vec<String>>>,
    }
    /// A background command.
    ProcessUpdatedInfo {
        /// Its state.
        info: ProcessInfo,
    }
    /// A task list.
    TodoInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The whole list.
        todos: Vec<Todo>,
    }
    /// The hunks of a file.
    HunksInfo {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The absolute path.
        path: String,
        /// All hunks of the file, from its top.
        hunks: Vec<Hunk>,
    }
    /// What happened to a file.
    FileChangedInfo {
        /// The absolute path.
        path: String,
        /// What happened.
        event: FileEvent,
    }
    /// A branch.
    BranchInfo {
        /// Its short name; absent when the checkout is on a commit and on no branch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
    }
    /// A file.
    FilePath {
        /// The absolute path.
        path: String,
    }
}
