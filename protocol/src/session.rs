//! A session: one conversation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{
    id::{MessageId, PartId, PermissionId, ProjectId, QuestionId, SessionId},
    message::{OutputFormat, PromptOptions, Tokens},
    permission::Rule,
    provider::ModelRef,
    revert::RevertedFile,
    sandbox::Mode,
};

/// One conversation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The project.
    #[serde(rename = "projectID")]
    pub project_id: ProjectId,
    /// Where it works, as an absolute real path.
    pub directory: String,
    /// The directory is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// The session that started it.
    #[serde(default, rename = "parentID", skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SessionId>,
    /// The call of the tool `task` for which it works; absent where a client created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskCall>,
    /// What it is about: one line of at most 500 characters.
    pub title: String,
    /// The daemon's version that created it.
    pub version: String,
    /// The agent for prompts that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model for prompts that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// What `session.update` has chosen: it counts before what the agent and the last prompt say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<SessionChoice>,
    /// The branch of its checkout at its last prompt; absent outside of a repository, and where `HEAD` is detached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// It is in no list, and its events are sent only to subscriptions with its `sessionID`. So are its descendants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// What is done without a question; absent: as the settings have it. A child has that of its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission: Vec<Rule>,
    /// Where it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<SessionShare>,
    /// An undo that can still be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<SessionRevert>,
    /// What all its model calls and those of its descendants cost, in US dollars.
    pub cost: f64,
    /// What all its model calls and those of its descendants used.
    pub tokens: Tokens,
    /// When.
    pub time: SessionTime,
}

/// The call of the tool `task` for which a session works. It can do no more than the agent that made the call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskCall {
    /// The message of the parent that holds the call.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The call.
    #[serde(rename = "callID")]
    pub call_id: String,
    /// The agent that made the call.
    pub caller: String,
    /// The tools that were switched on or off for the caller's prompt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, bool>,
    /// The call did not wait for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
    /// The parent has been told how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

/// What was chosen for prompts that name none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionChoice {
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The variant; it is ignored with a model that does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Where a session is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionShare {
    /// The address.
    pub url: String,
}

/// An undo that can still be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRevert {
    /// The first message that is undone.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The first part that is undone.
    #[serde(default, rename = "partID", skip_serializing_if = "Option::is_none")]
    pub part_id: Option<PartId>,
    /// What happened to each file.
    #[serde(default)]
    pub files: Vec<RevertedFile>,
    /// Files and directories that the session may have changed and that stay as they are, because no image was stored.
    #[serde(default)]
    pub uncovered: Vec<String>,
    /// Why they stay as they are, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
    /// This is only what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preview: bool,
    /// The stored change set with which it is taken back; absent if no file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// Times of a session, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionTime {
    /// When it was created.
    pub created: i64,
    /// When it last changed.
    pub updated: i64,
    /// When it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<i64>,
}

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SessionStatus {
    /// Nothing.
    Idle,
    /// It is in a turn.
    Busy,
    /// It waits for an answer of the user.
    Waiting(StatusWaiting),
    /// A model call failed and will be tried again.
    Retry(StatusRetry),
}

/// What a waiting session waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusWaiting {
    /// The permission question.
    #[serde(default, rename = "permissionID", skip_serializing_if = "Option::is_none")]
    pub permission_id: Option<PermissionId>,
    /// The model's question.
    #[serde(default, rename = "questionID", skip_serializing_if = "Option::is_none")]
    pub question_id: Option<QuestionId>,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
}

/// When a failed model call is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRetry {
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// How it failed.
    pub message: String,
    /// When it is tried again, in milliseconds since 1970.
    pub next: i64,
}

/// Which sessions a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionScope {
    /// Those of exactly this directory.
    Directory,
    /// Those of the project, in all its worktrees.
    #[default]
    Project,
    /// Those of all projects.
    All,
}

params! {
    /// Params of `session.create`.
    SessionCreateParams {
        /// The id that the session shall have: the same id with the same params again returns that session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<SessionId>,
        /// The session that this one belongs to.
        #[serde(default, rename = "parentID", skip_serializing_if = "Option::is_none")]
        parent_id: Option<SessionId>,
        /// What it is about; default: named by the first prompt. Kept as one line of at most 500 characters, without control
        /// characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The agent for prompts that name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// The model for prompts that name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
        /// What is done without a question; default: as the settings have it. A child has that of its root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
        /// Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final. At
        /// most 500.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permission: Option<Vec<Rule>>,
        /// Keep it out of `session.list`, and send its events only to subscriptions with its `sessionID`. A child of a hidden
        /// session is hidden.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hidden: Option<bool>,
    }
}

params! {
    /// Params of `session.list`.
    SessionListParams {
        /// Which sessions; default `project`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<SessionScope>,
        /// Only those whose title contains this, upper or lower case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        search: Option<String>,
        /// Only those that have no parent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roots: Option<bool>,
        /// Only those that are archived, or only the others; both if not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        archived: Option<bool>,
        /// Only those in whose conversation a text of the user or the model contains this, upper or lower case. At least 2 and
        /// at most 500 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// How many at most: 1 to 1000, default 100.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Only those after this one in the list's order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<SessionId>,
    }
}

macro_rules! session_params {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $(params! {
            $(#[doc = $doc])*
            $name {
                /// The session.
                #[serde(rename = "sessionID")]
                session_id: SessionId,
            }
        })*
    };
}

session_params! {
    /// Params of `session.get`.
    SessionGetParams;
    /// Params of `session.delete`.
    SessionDeleteParams;
    /// Params of `session.children`.
    SessionChildrenParams;
    /// Params of `session.abort`.
    SessionAbortParams;
}

params! {
    /// Params of `session.compact`.
    SessionCompactParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The model that writes the summary. Default: that of the agent `compaction`, else the session's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
    }
}

params! {
    /// Params of `session.update`.
    SessionUpdateParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The new title; kept as one line of at most 500 characters, without control characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Archive it, or take it out of the archive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        archived: Option<bool>,
        /// The agent of prompts that name none, from the next prompt on. Without a `model` beside it, a model that was chosen
        /// here before no longer counts, so that the agent's own does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// The model of prompts that name none, from the next prompt on, also where the agent has one of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
        /// The variant for prompts that name none, which the model must have; empty: the agent's again. Without it, a new
        /// model has the agent's variant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
        /// What is done without a question, from the next tool call on. A child has that of its root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
        /// The session's rules from the next tool call on, in place of those before; empty: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permission: Option<Vec<Rule>>,
    }
}

params! {
    /// Params of `session.messages`.
    SessionMessagesParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The number of messages to return, the last ones; from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Only those before this message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<MessageId>,
    }
}

params! {
    /// Params of `session.message`.
    SessionMessageParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "messageID")]
        message_id: MessageId,
    }
}

params! {
    /// Params of `session.status`.
    SessionStatusParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

macro_rules! prompt_params {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $(params! {
            $(#[doc = $doc])*
            $name {
                /// The session; without it one is created in the directory.
                #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
                session_id: Option<SessionId>,
                /// What is asked: parts, or a plain text.
                #[serde(deserialize_with = "parts_or_text")]
                #[schemars(schema_with = "parts_schema")]
                parts: Vec<PartInput>,
                /// The id that the user message shall have: the same id with the same params again joins that turn.
                #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
                message_id: Option<MessageId>,
                /// The model; default: the one chosen by `session.update`, the agent's, the session's last, the settings'.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                model: Option<ModelRef>,
                /// The agent; default: the session's, else `build`.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                agent: Option<String>,
                /// Replaces the agent's system prompt.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                system: Option<String>,
                /// Tools switched on or off, by name or wildcard.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                tools: Option<BTreeMap<String, bool>>,
                /// The variant of the model, such as `high`; default: the one chosen by `session.update`, the agent's. `variants` of a model names them.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                variant: Option<String>,
                /// How the model samples and how long its answers may be; default: as the agent has it.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                options: Option<PromptOptions>,
                /// The form of the answer; default: words.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                format: Option<OutputFormat>,
                /// What is done without a question in this turn; default: as the session has it.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                mode: Option<Mode>,
            }
        })*
    };
}

prompt_params! {
    /// Params of `session.prompt`.
    SessionPromptParams;
    /// Params of `session.submit`.
    SessionSubmitParams;
}

/// Result of `session.submit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionSubmitResult {
    /// The session, which may have been created by this call.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The stored user message.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// It waits for a running turn to end.
    pub queued: bool,
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum PartInput {
    /// Text.
    Text(TextInput),
    /// A file, an image or a directory.
    File(FileInput),
    /// A mention of an agent.
    Agent(AgentInput),
    /// Work for a child session: it is done before the model is asked, which then reads the result.
    Subtask(SubtaskInput),
}

/// Text of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The text.
    pub text: String,
    /// Not typed by the user.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
}

/// A file of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The media type; `text/plain` is read as text, `application/x-directory` is listed.
    pub mime: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `file:///absolute/path`, optionally with `?start=LINE&end=LINE` (from 1), or a `data:` address.
    pub url: String,
    /// Where in the prompt it was mentioned; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

/// A mention of an agent in a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The agent's name.
    pub name: String,
    /// Where in the prompt it was mentioned; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

/// Work for a child session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubtaskInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// What the child is asked.
    pub prompt: String,
    /// A few words for people.
    pub description: String,
    /// The agent that does it; its `mode` must be `subagent` or `all`.
    pub agent: String,
    /// The model that it uses. Default: the agent's, else that of this prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
}

pub(crate) fn parts_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PartInput>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<PartInput>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an array of parts or a string")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![PartInput::Text(TextInput { text: text.to_owned(), ..TextInput::default() })])
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// The one place where two shapes are accepted: a plain text is the commonest prompt by far.
pub(crate) fn parts_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let parts = generator.subschema_for::<Vec<PartInput>>();
    schemars::json_schema!({ "description": "What is asked: parts, or a plain text.", "oneOf": [{ "type": "string" }, parts] })
}
