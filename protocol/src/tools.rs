//! THE TABLE of tools: what the model writes as the arguments of each, and what its results tell clients. The daemon's
//! tools have argument types of their own, with what the model reads; a test compares them with these.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, SessionId},
    provider::ModelRef,
    sandbox::SandboxReport,
    todo::Todo,
    tokens::Tokens,
};

/// A row of the table as data.
pub struct ToolSpec {
    /// The tool's name.
    pub name: &'static str,
    /// The schema of its arguments.
    pub input: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its results' `metadata`.
    pub metadata: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! tools {
    ($($wire:literal $input:ty, $metadata:ty;)*) => {
        /// Every tool that is built in, by name.
        pub const TOOLS: &[ToolSpec] = &[
            $(ToolSpec {
                name: $wire,
                input: |generator| generator.subschema_for::<$input>(),
                metadata: |generator| generator.subschema_for::<$metadata>(),
            }),*
        ];
    };
}

tools! {
    "bash" BashInput, BashMetadata;
    "edit" EditInput, EditMetadata;
    "glob" GlobInput, GlobMetadata;
    "grep" GrepInput, GrepMetadata;
    "list" ListInput, ListMetadata;
    "read" ReadInput, ReadMetadata;
    "task" TaskInput, TaskMetadata;
    "todoread" TodoReadInput, TodoMetadata;
    "todowrite" TodoWriteInput, TodoMetadata;
    "write" WriteInput, EditMetadata;
}

/// How far a child session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// It works, or waits for an answer of the user.
    Running,
    /// It has ended with a final message.
    Finished,
    /// It was cut off; what it has said so far is there.
    Partial,
    /// It has given nothing.
    Failed,
}

macro_rules! records {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[$meta:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        $($(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$meta])* pub $field: $type,)* })*
    };
}

records! {
    /// Arguments of `bash`.
    BashInput {
        /// The command line.
        command: String,
        /// What it does, in a few words.
        description: String,
        /// The directory in which it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workdir: Option<String>,
        /// The timeout in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u64>,
        /// Why it should run outside of the sandbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outside: Option<String>,
    }
    /// What a command reports.
    BashMetadata {
        /// The command line, while it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// What it does, in the model's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The exit code; null where a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// The end of what it has written so far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// The model got only a part of the output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
        /// Processes that go on in the background.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        running: Vec<BashProcess>,
        /// What it ran in; absent where nothing confined it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandbox: Option<SandboxReport>,
    }
    /// A process that a command has left running.
    BashProcess {
        /// Its number.
        pid: u32,
        /// Its command line, shortened.
        command: String,
    }
    /// Arguments of `edit`.
    EditInput {
        /// The file.
        file_path: String,
        /// The text to replace; empty to create a file.
        old_string: String,
        /// The text in its place.
        new_string: String,
        /// Replace every occurrence.
        #[serde(default)]
        replace_all: bool,
    }
    /// Arguments of `write`.
    WriteInput {
        /// The file.
        file_path: String,
        /// The whole content.
        content: String,
    }
    /// What a changed file reports.
    EditMetadata {
        /// The absolute path.
        file_path: String,
        /// The change as a unified diff; empty where nothing changed.
        diff: String,
        /// Lines added.
        additions: u64,
        /// Lines removed.
        deletions: u64,
        /// The file existed before; only of `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exists: Option<bool>,
        /// The model got only a part of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `read`.
    ReadInput {
        /// The file or directory.
        file_path: String,
        /// The first line, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// How many lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    }
    /// What a read file reports.
    ReadMetadata {
        /// The first lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preview: Option<String>,
        /// The media type of an image or document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime: Option<String>,
        /// There is more than the model got.
        truncated: bool,
        /// How many lines the file has, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<u64>,
        /// The text was one that an editor has not saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `list`.
    ListInput {
        /// The directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Patterns of what is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ignore: Option<Vec<String>>,
    }
    /// What a listed directory reports.
    ListMetadata {
        /// How many entries the model got.
        count: u64,
        /// There are more.
        truncated: bool,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `glob`.
    GlobInput {
        /// The pattern of names.
        pattern: String,
        /// The directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    }
    /// What a search for names reports.
    GlobMetadata {
        /// How many paths the model got.
        count: u64,
        /// There are more.
        truncated: bool,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `grep`.
    GrepInput {
        /// The regular expression.
        pattern: String,
        /// The directory or file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Only files whose path matches this pattern.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        include: Option<String>,
    }
    /// What a search in contents reports.
    GrepMetadata {
        /// How many lines the model got.
        matches: u64,
        /// There are more.
        truncated: bool,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `task`.
    TaskInput {
        /// What it is about, in a few words.
        description: String,
        /// What the agent is asked.
        prompt: String,
        /// The agent.
        #[serde(rename = "subagent_type")]
        subagent_type: String,
        /// The session of an earlier call, to continue it.
        #[serde(default, rename = "task_id", skip_serializing_if = "Option::is_none")]
        task_id: Option<SessionId>,
        /// Do not wait for the end: the model is told of it at a later step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        background: Option<bool>,
    }
    /// What a child session reports.
    TaskMetadata {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Its prompt.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The agent that works in it.
        agent: String,
        /// Its model.
        model: ModelRef,
        /// How far it is; of a call in the background: when the call returned.
        status: TaskStatus,
        /// Why it is not finished.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The call did not wait for its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        background: Option<bool>,
        /// How many tools it has called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calls: Option<u64>,
        /// What its model calls and those of its descendants cost for this call, in US dollars.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
        /// What these used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Tokens>,
        /// The model got only a part of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `todoread`: none.
    TodoReadInput {}
    /// Arguments of `todowrite`.
    TodoWriteInput {
        /// The whole list.
        todos: Vec<Todo>,
    }
    /// What the task list reports.
    TodoMetadata {
        /// The whole list.
        todos: Vec<Todo>,
    }
    /// More about a question. What is there depends on the permission's type and on what asks; a command also asks for
    /// the types `read`, `edit`, `external_directory` and `sandbox`.
    PermissionMetadata {
        /// Of a command: the line as it will run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The line with what cannot be seen as `\u{202e}`, where that differs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<String>,
        /// Of a command: what it does, in the model's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Of a command: the directory in which it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workdir: Option<String>,
        /// Of a command: patterns of the places outside of the worktree, and of those that hold keys, that it works in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directories: Option<Vec<String>>,
        /// Of a command: false where it cannot be told what it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        understood: Option<bool>,
        /// Where a command is not understood: the patterns that rules deny. `polytree run --yes` rejects the question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        denies: Option<Vec<String>>,
        /// Of a git command: what the repository's settings could make it run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        git: Option<Vec<String>>,
        /// Of a command that is granted for one place only: by what names grants know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bound: Option<std::collections::BTreeMap<String, Vec<String>>>,
        /// Of a command: what it would run in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandbox: Option<SandboxReport>,
        /// Of the type `sandbox`: why it should run outside of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Of a file: its absolute path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_path: Option<String>,
        /// Of the type `edit`: the change as a unified diff.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
        /// Of the type `edit`: BLAKE3 of the file as it is, in hexadecimal; absent where it is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Of the type `external_directory`: the directory that "always" grants.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// Of a search: its pattern.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// Of a search or a list: where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Of a search: only files whose path matches this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        include: Option<String>,
        /// Of a search: the files in which matches were found and which a rule asks for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files: Option<Vec<String>>,
        /// Of the type `repeat`: the tool that is called again and again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool: Option<String>,
        /// Of the type `repeat`: its arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<serde_json::Value>,
    }
}
