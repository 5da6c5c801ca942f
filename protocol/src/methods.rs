//! THE TABLE of methods. One row is the whole definition of a method:
//!
//! ```text
//! /// Summary.
//! call Name = "noun.verb" (params type) -> result type, VERB "/route", retry kind;
//! ```
//!
//! Each row becomes an uninhabited type that implements [`Method`], and a line of [`METHODS`]. The daemon
//! expands the same table once more into its handlers, so a row without a handler does not compile.

use crate::method::{Kind, Method, MethodSpec, Retry, Route};

/// Hands the table to another macro.
#[macro_export]
macro_rules! for_each_method {
    ($callback:ident) => {
        $callback! {
            /// Introduces the client; returns what this daemon is and can do. Optional.
            call ServerInitialize = "server.initialize" (daemon::ServerInitializeParams) -> daemon::ServerInitializeResult, - "", retry read;
            /// Returns version, process, data directory and listeners.
            call ServerInfo = "server.info" (daemon::ServerInfoParams) -> daemon::ServerInfoResult, - "", retry read;
            /// Returns the OpenRPC document of this daemon: methods, types, events and errors.
            call RpcDiscover = "rpc.discover" (daemon::RpcDiscoverParams) -> serde_json::Value, - "", retry read;
            /// Returns the state of the daemon, and advice about it.
            call ServerDiagnose = "server.diagnose" (diagnose::ServerDiagnoseParams) -> diagnose::Diagnosis, - "", retry read;
            /// Removes what is over the limits of the settings: old events, tool outputs, contents for undo, archived sessions.
            call ServerGc = "server.gc" (gc::ServerGcParams) -> gc::ServerGcResult, - "", retry read;
            /// Ends the daemon, at once or after the turns that run; answers before.
            call ServerStop = "server.stop" (daemon::ServerStopParams) -> daemon::ServerStopResult, - "", retry never;
            /// Listens for WebSocket and HTTP clients; the same address again answers the same. Only for local clients.
            call ServerListen = "server.listen" (listen::ServerListenParams) -> listen::ServerListenResult, - "", retry read;
            /// Writes a line to the daemon's log.
            call LogWrite = "log.write" (daemon::LogWriteParams) -> bool, POST "/log", retry never;
            /// Returns the directories in use.
            call PathGet = "path.get" (daemon::PathGetParams) -> daemon::PathGetResult, - "", retry read;

            /// Lists all known projects, most recently used first.
            call ProjectList = "project.list" (project::ProjectListParams) -> Vec<project::Project>, GET "/project", retry read;
            /// Returns the project of the directory.
            call ProjectCurrent = "project.current" (project::ProjectCurrentParams) -> project::Project, - "", retry read;
            /// Registers the directory as a project; may create it and initialise git.
            call ProjectInit = "project.init" (project::ProjectInitParams) -> project::Project, POST "/project/init", retry read;
            /// Changes the project's name.
            call ProjectUpdate = "project.update" (project::ProjectUpdateParams) -> project::Project, - "", retry read;
            /// Trusts or distrusts the settings and agents in the project's files.
            call ProjectTrust = "project.trust" (project::ProjectTrustParams) -> project::Project, - "", retry read;

            /// Forgets a project with its name, trust and grants. Its files stay as they are.
            call ProjectForget = "project.forget" (project::ProjectForgetParams) -> bool, - "", retry never;
            /// Returns branch, commit, upstream and checkouts of the directory's repository.
            call VcsGet = "vcs.get" (project::VcsGetParams) -> project::VcsInfo, - "", retry read;

            /// Creates a session.
            call SessionCreate = "session.create" (session::SessionCreateParams) -> session::Session, POST "/project/:projectID/session", retry keyed;
            /// Lists sessions, the most recently updated first.
            call SessionList = "session.list" (session::SessionListParams) -> Vec<session::Session>, GET "/project/:projectID/session", retry read;
            /// Reads one session.
            call SessionGet = "session.get" (session::SessionGetParams) -> session::Session, GET "/project/:projectID/session/:sessionID", retry read;
            /// Changes a session's title, or what its next prompts use, or archives it.
            call SessionUpdate = "session.update" (session::SessionUpdateParams) -> session::Session, - "", retry read;
            /// Returns what the next prompt uses, of a session or of a new one in the directory.
            call SessionDefaultsGet = "session.defaults" (usage::SessionDefaultsParams) -> usage::SessionDefaults, - "", retry read;
            /// Returns how full the context of a session's model is.
            call SessionContextGet = "session.context" (usage::SessionContextParams) -> usage::SessionContext, - "", retry read;
            /// Returns what model calls have cost and used, by day, project or model.
            call UsageList = "usage.list" (usage::UsageListParams) -> Vec<usage::UsageTotal>, - "", retry read;
            /// Deletes a session, its children and their messages; running turns end first.
            call SessionDelete = "session.delete" (session::SessionDeleteParams) -> bool, DELETE "/project/:projectID/session/:sessionID", retry never;
            /// Lists the direct children of a session, oldest first.
            call SessionChildren = "session.children" (session::SessionChildrenParams) -> Vec<session::Session>, - "", retry read;
            /// Lists the messages of a session, oldest first.
            call SessionMessages = "session.messages" (session::SessionMessagesParams) -> Vec<message::MessageWithParts>, GET "/project/:projectID/session/:sessionID/message", retry read;
            /// Reads one message.
            call SessionMessage = "session.message" (session::SessionMessageParams) -> message::MessageWithParts, GET "/project/:projectID/session/:sessionID/message/:messageID", retry read;
            /// Sends a prompt and waits until its turn has ended.
            call SessionPrompt = "session.prompt" (session::SessionPromptParams) -> message::MessageWithParts, POST "/project/:projectID/session/:sessionID/message", retry keyed;
            /// Sends a prompt and answers as soon as it is stored.
            call SessionSubmit = "session.submit" (session::SessionSubmitParams) -> session::SessionSubmitResult, - "", retry keyed;
            /// Ends the running turn and cancels the queue; returns whether anything was running.
            call SessionAbort = "session.abort" (session::SessionAbortParams) -> bool, POST "/project/:projectID/session/:sessionID/abort", retry never;
            /// Lists the prompts that wait for the running turn, in order.
            call SessionQueue = "session.queue" (queue::SessionQueueParams) -> Vec<queue::QueuedPrompt>, - "", retry read;
            /// Takes a prompt out of the queue; returns whether it waited.
            call SessionQueueRemove = "session.queue.remove" (queue::SessionQueueRemoveParams) -> bool, - "", retry read;
            /// Moves a prompt within the queue; returns whether it waited.
            call SessionQueueMove = "session.queue.move" (queue::SessionQueueMoveParams) -> bool, - "", retry read;
            /// Replaces the parts of a prompt that waits.
            call SessionQueueReplace = "session.queue.replace" (queue::SessionQueueReplaceParams) -> queue::QueuedMessage, - "", retry read;
            /// Lets a prompt that waits enter the running turn at its next step; returns whether it waited.
            call SessionQueueSteer = "session.queue.steer" (queue::SessionQueueSteerParams) -> bool, - "", retry read;
            /// Tells the running turn something at its next step; without a running turn it is a prompt.
            call SessionSteer = "session.steer" (queue::SessionSteerParams) -> queue::QueuedMessage, - "", retry keyed;
            /// Copies the conversation, up to a message, into a new session in the same directory.
            call SessionFork = "session.fork" (export::SessionForkParams) -> session::Session, - "", retry keyed;
            /// Returns the whole conversation, to be kept or imported elsewhere.
            call SessionExportGet = "session.export" (export::SessionExportParams) -> export::SessionExport, - "", retry read;
            /// Creates a session in the directory from an exported conversation.
            call SessionImport = "session.import" (export::SessionImportParams) -> session::Session, - "", retry keyed;
            /// Undoes the conversation from a message on, with the files that the session changed since.
            call SessionRevert = "session.revert" (revert::SessionRevertParams) -> session::Session, POST "/project/:projectID/session/:sessionID/revert", retry never;
            /// Takes back an undo; possible until the next prompt.
            call SessionUnrevert = "session.unrevert" (revert::SessionUnrevertParams) -> session::Session, POST "/project/:projectID/session/:sessionID/unrevert", retry never;
            /// Summarises the conversation, so that the model reads the summary in place of what came before it.
            call SessionCompact = "session.compact" (session::SessionCompactParams) -> bool, POST "/project/:projectID/session/:sessionID/compact", retry never;
            /// Returns what the session, or one message with its answers, has changed in files.
            call SessionDiff = "session.diff" (revert::SessionDiffParams) -> Vec<revert::FileDiff>, - "", retry read;
            /// Lists what the session changed, hunk by hunk, with what the user decided about it.
            call HunkList = "hunk.list" (hunk::HunkListParams) -> Vec<hunk::Hunk>, - "", retry read;
            /// Marks hunks as kept, by hunk, file or session; returns those that changed.
            call HunkKeep = "hunk.keep" (hunk::HunkKeepParams) -> Vec<hunk::Hunk>, - "", retry read;
            /// Gives hunks their text from before, by hunk, file or session; returns those that changed.
            call HunkUndo = "hunk.undo" (hunk::HunkUndoParams) -> Vec<hunk::Hunk>, - "", retry never;
            /// Returns the task list of a session.
            call SessionTodo = "session.todo" (export::SessionTodoParams) -> Vec<todo::Todo>, - "", retry read;
            /// Returns the status of every session that is not idle.
            call SessionStatusGet = "session.status" (session::SessionStatusParams) -> std::collections::BTreeMap<String, session::SessionStatus>, - "", retry read;

            /// Lists one directory: directories first, then as people sort names.
            call FileList = "file.list" (file::FileListParams) -> Vec<file::FileNode>, - "", retry read;
            /// Reads a file; where it differs from the last commit, as a patch with all its lines.
            call FileRead = "file.read" (file::FileReadParams) -> file::FileContent, GET "/project/:projectID/session/:sessionID/file", retry read;
            /// Lists the files that differ from the last commit.
            call FileStatusGet = "file.status" (file::FileStatusParams) -> Vec<file::File>, GET "/project/:projectID/session/:sessionID/file/status", retry read;
            /// Finds files and directories by name, the best first, relative to the directory; directories end with `/`.
            call FileFind = "file.find" (find::FileFindParams) -> Vec<String>, GET "/find/file", retry read;

            /// Finds files and directories as `file.find` does, with the places of the match in each path.
            call FileMatches = "file.match" (find::FileMatchParams) -> Vec<find::FileMatch>, - "", retry read;

            /// Lists the open permission questions.
            call PermissionList = "permission.list" (permission::PermissionListParams) -> Vec<permission::Permission>, - "", retry read;
            /// Answers a permission question.
            call PermissionReply = "permission.reply" (permission::PermissionReplyParams) -> session::Session, POST "/project/:projectID/session/:sessionID/permission/:permissionID", retry never;
            /// Lists what "always" has granted in the project.
            call PermissionGrants = "permission.grants" (permission::PermissionGrantsParams) -> Vec<permission::Grant>, - "", retry read;
            /// Revokes a grant.
            call PermissionRevoke = "permission.revoke" (permission::PermissionRevokeParams) -> bool, - "", retry never;

            /// Finds symbols of the directory's files by their names, best first; no language server is needed.
            call SymbolFind = "symbol.find" (symbol::SymbolFindParams) -> Vec<symbol::Symbol>, - "", retry read;
            /// Announces the text of a file that the client holds open: it is read before the disk.
            call BufferOpen = "buffer.open" (buffer::BufferOpenParams) -> buffer::Buffer, - "", retry read;
            /// Announces a change of an announced text.
            call BufferChange = "buffer.change" (buffer::BufferChangeParams) -> buffer::Buffer, - "", retry never;
            /// Ends an announced text: the file is read from the disk again. Returns whether it was announced.
            call BufferClose = "buffer.close" (buffer::BufferCloseParams) -> bool, - "", retry read;
            /// Answers the event `buffer.edit`.
            call BufferReply = "buffer.reply" (buffer::BufferReplyParams) -> bool, - "", retry never;

            /// Announces what an editor's language servers say about a text that it has announced; ends with the connection.
            call DiagnosticsSet = "diagnostics.set" (diagnostics::DiagnosticsSetParams) -> bool, - "", retry read;
            /// Has a file shown by the editors of its worktree; returns whether there is one that can.
            call EditorOpen = "editor.open" (editor::EditorOpenParams) -> bool, - "", retry never;

            /// Lists providers and their models.
            call ProviderList = "provider.list" (provider::ProviderListParams) -> provider::ProviderListResult, GET "/provider", retry read;
            /// Lists the models of all providers that can be used.
            call ModelList = "model.list" (provider::ModelListParams) -> Vec<provider::UsableModel>, - "", retry read;
            /// Fetches the catalogue of models anew; nothing is ever fetched without being asked for.
            call ModelRefresh = "model.refresh" (provider::ModelRefreshParams) -> provider::ModelRefreshResult, - "", retry read;
            /// Stores a provider's key, which counts from the next prompt on.
            call AuthSet = "auth.set" (auth::AuthSetParams) -> bool, - "", retry never;
            /// Removes a provider's stored key; returns whether there was one.
            call AuthRemove = "auth.remove" (auth::AuthRemoveParams) -> bool, - "", retry never;
            /// Lists the providers that have keys, and where each key comes from; never a key.
            call AuthList = "auth.list" (auth::AuthListParams) -> Vec<auth::AuthEntry>, - "", retry read;
            /// Returns the settings in force, with secrets masked.
            call ConfigGet = "config.get" (config::ConfigGetParams) -> config::Config, GET "/config", retry read;
            /// Lists the files that decide about the directory, and which of them are trusted; never their contents.
            call ConfigSourcesGet = "config.sources" (config::ConfigSourcesParams) -> config::ConfigSources, - "", retry read;
            /// Lists the agents.
            call AgentList = "agent.list" (agent::AgentListParams) -> Vec<agent::Agent>, GET "/project/:projectID/agent", retry read;
            /// Lists the tools that a model is offered.
            call ToolList = "tool.list" (tool::ToolListParams) -> Vec<tool::ToolInfo>, - "", retry read;

            /// Searches the contents of files.
            call TextFind = "text.find" (text::TextFindParams) -> text::TextItems, - "", retry read;
            /// Searches the contents of files and sends what is found as it is found. Notifications have method `text.match`.
            subscription TextSubscribe = "text.subscribe" (text::TextFindParams) -> text::TextItem, - "", retry read;
            /// Ends a search; nothing of it arrives after the answer.
            call TextUnsubscribe = "text.unsubscribe" (text::TextUnsubscribeParams) -> bool, - "", retry read;

            /// Reads logged events after a cursor.
            call EventList = "event.list" (event::EventListParams) -> event::EventListResult, - "", retry read;
            /// Ends a subscription; nothing arrives on it after the answer.
            call EventUnsubscribe = "event.unsubscribe" (event::EventUnsubscribeParams) -> bool, - "", retry read;
            /// Opens a stream of events: first from the log, then live. Notifications have method `event`.
            subscription EventSubscribe = "event.subscribe" (event::EventSubscribeParams) -> event::Event, - "", retry read;
        }
    };
}

macro_rules! kind {
    (call) => {
        Kind::Call
    };
    (subscription) => {
        Kind::Subscription
    };
}

macro_rules! route {
    (-, $path:literal) => {
        None
    };
    ($verb:tt, $path:literal) => {
        Some(Route { verb: stringify!($verb), path: $path })
    };
}

macro_rules! retry {
    (read) => {
        Retry::Read
    };
    (keyed) => {
        Retry::Keyed
    };
    (never) => {
        Retry::Never
    };
}

macro_rules! define {
    ($(#[doc = $summary:literal] $kind:ident $name:ident = $wire:literal ($params:ty) -> $result:ty, $verb:tt $path:literal, retry $retry:ident;)*) => {
        $(
            #[doc = $summary]
            pub enum $name {}

            impl Method for $name {
                const NAME: &'static str = $wire;
                const SUMMARY: &'static str = $summary.trim_ascii();
                const ROUTE: Option<Route> = route!($verb, $path);
                const RETRY: Retry = retry!($retry);
                type Params = $params;
                type Result = $result;
            }
        )*

        /// Every method of the contract, in the order of the table.
        pub const METHODS: &[MethodSpec] = &[
            $(MethodSpec {
                name: $wire,
                summary: $name::SUMMARY,
                kind: kind!($kind),
                route: $name::ROUTE,
                retry: $name::RETRY,
                params: |generator| generator.subschema_for::<<$name as Method>::Params>(),
                result: |generator| generator.subschema_for::<<$name as Method>::Result>(),
            }),*
        ];
    };
}

use crate::{
    agent, auth, buffer, config, daemon, diagnose, diagnostics, editor, event, export, file, find, gc, hunk, listen, message, permission,
    project, provider, queue, revert, session, symbol, text, todo, tool, usage,
};

for_each_method!(define);
