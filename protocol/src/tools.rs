//! THE TABLE of tools: what the model writes as the arguments of each, and what its results tell clients. The daemon's
//! tools have argument types of their own, with what the model reads; a test compares them with these.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, SessionId},
    permission_metadata::{PatchAction, WebFormat},
    process::ProcessInfo,
    provider::ModelRef,
    question::{QuestionItem, QuestionOption},
    sandbox::SandboxReport,
    task::TaskStatus,
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
    "patch" PatchInput, PatchMetadata;
    "process" ProcessToolInput, ProcessToolMetadata;
    "question" QuestionInput, QuestionMetadata;
    "read" ReadInput, ReadMetadata;
    "skill" SkillInput, SkillMetadata;
    "task" TaskInput, TaskMetadata;
    "todoread" TodoReadInput, TodoMetadata;
    "todowrite" TodoWriteInput, TodoMetadata;
    "webfetch" WebFetchInput, WebFetchMetadata;
    "write" WriteInput, EditMetadata;
}

/// What to do with a background command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProcessAction {
    /// Name all of the session.
    List,
    /// Read the output of one.
    Read,
    /// End one.
    End,
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
        /// Run it in the background; default: no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        background: Option<bool>,
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
        /// The background command, as it was when the call returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<ProcessInfo>,
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
        /// Further files, read from their first lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_paths: Option<Vec<String>>,
    }
    /// One of several files that were read in one call.
    ReadFile {
        /// The path as the model gave it.
        file_path: String,
        /// Why it was not read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How many lines it has, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<u64>,
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
        /// Where the call read several files: each of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<ReadFile>,
        /// The text was one that an editor has not saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<bool>,
        /// The files with instructions of the directories around it, which the model got too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loaded: Option<Vec<String>>,
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
    /// Arguments of `question`.
    QuestionInput {
        /// What is asked, all at once.
        questions: Vec<QuestionInputItem>,
    }
    /// A question as the model writes it.
    QuestionInputItem {
        /// A short label.
        header: String,
        /// The question.
        question: String,
        /// The answers to choose from.
        options: Vec<QuestionOption>,
        /// More than one option may be chosen; default: no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        multiple: Option<bool>,
        /// An answer may be the user's own text; default: yes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        custom: Option<bool>,
    }
    /// What an answered question reports.
    QuestionMetadata {
        /// What was asked.
        questions: Vec<QuestionItem>,
        /// For each question the chosen labels, or the user's own text.
        answers: Vec<Vec<String>>,
    }
    /// Arguments of `patch`.
    PatchInput {
        /// The whole patch.
        patch_text: String,
    }
    /// What a patch reports.
    PatchMetadata {
        /// All changes as a unified diff.
        diff: String,
        /// Lines added.
        additions: u64,
        /// Lines removed.
        deletions: u64,
        /// The changed files; a moved file stands there with both names.
        files: Vec<PatchedFile>,
        /// The model got only a part of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// A file that a patch has changed.
    PatchedFile {
        /// The absolute path.
        file_path: String,
        /// What was done.
        action: PatchAction,
        /// Lines added.
        additions: u64,
        /// Lines removed.
        deletions: u64,
    }
    /// Arguments of `process`.
    ProcessToolInput {
        /// What to do.
        action: ProcessAction,
        /// The background command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Where to begin to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// How many milliseconds to wait for new output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<u64>,
    }
    /// What a look at background commands reports.
    ProcessToolMetadata {
        /// Those that it is about.
        processes: Vec<ProcessInfo>,
        /// Where the output begins that was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// Where the next output begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
        /// The model got only a part of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `webfetch`.
    WebFetchInput {
        /// The complete URL.
        url: String,
        /// What to return; default: markdown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<WebFormat>,
        /// The timeout in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u64>,
    }
    /// What a fetched page reports.
    WebFetchMetadata {
        /// The URL that has answered, after redirects.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The media type, without parameters; empty if there is none.
        content_type: String,
        /// The size of the answer in bytes.
        bytes: u64,
        /// What was returned.
        format: WebFormat,
        /// The model got only a part of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_path: Option<String>,
    }
    /// Arguments of `skill`.
    SkillInput {
        /// The name of the skill.
        name: String,
    }
    /// What a loaded skill reports.
    SkillMetadata {
        /// Its name.
        name: String,
        /// The folder of the skill.
        folder: String,
        /// The model got only a part of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<bool>,
        /// The file with the whole text.
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
}
