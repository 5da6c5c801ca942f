---@meta
-- The types of the polytree protocol. Generated; see README.md.

--- What a rule says.
---@alias polytree.protocol.Action "allow"|"ask"|"deny"

--- What is worth doing.
---@class polytree.protocol.Advice
---@field id string The stable name of the rule that found it, such as `disk.full`.
---@field severity polytree.protocol.Severity How grave it is.
---@field text string What was found.
---@field hint? string|nil What to do about it.

--- A persona: its prompt, model, tools and permissions.
---@class polytree.protocol.Agent
---@field name string The name by which a prompt asks for it.
---@field description? string|nil What it is for.
---@field mode polytree.protocol.AgentMode Who may start it.
---@field builtIn boolean Shipped with the daemon.
---@field model? polytree.protocol.ModelRef|nil The model it prefers.
---@field prompt? string|nil Replaces the built-in system prompt.
---@field temperature? number|nil Sampling temperature.
---@field topP? number|nil Nucleus sampling.
---@field maxOutputTokens? integer|nil The longest answer, in tokens.
---@field variant? string|nil The variant of the model, for prompts that name none.
---@field steps? integer|nil The most model calls in one turn.
---@field tools table<string, boolean> Tools switched on or off by name or wildcard.
---@field permission polytree.protocol.Rule[] Its permission rules, in order; the last match wins.
---@field options table<string, any> Further options for the provider.

--- An agent in the settings. Keys that are not listed are passed to the provider as options of the model.
---@class polytree.protocol.AgentConfig
---@field disable? boolean|nil Takes the agent away.
---@field model? string|nil The model it prefers, as `provider/model`.
---@field prompt? string|nil Replaces the built-in system prompt.
---@field description? string|nil What it is for; models read it when they choose an agent for a task.
---@field temperature? number|nil Sampling temperature.
---@field top_p? number|nil Nucleus sampling.
---@field mode? polytree.protocol.AgentMode|nil Who may start it; default `all`.
---@field max_output_tokens? integer|nil The longest answer, in tokens.
---@field variant? string|nil The variant of the model, such as `high`, for prompts that name none.
---@field steps? integer|nil The most model calls in one turn.
---@field tools? table<string, boolean> Tools switched on or off by name or wildcard.
---@field permission? polytree.protocol.PermissionConfig Its permission rules, after the general ones.

--- Params of `agent.list`.
---@class polytree.protocol.AgentListParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Who may start an agent.
---@alias polytree.protocol.AgentMode "primary"|"subagent"|"all"

--- A mention of an agent.
---@class polytree.protocol.AgentPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field name string The agent's name.
---@field source? any Where in the prompt it was mentioned; not interpreted by the daemon.

--- An answer: one model call.
---@class polytree.protocol.AssistantMessage
---@field id polytree.protocol.MessageId The message's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field parentID polytree.protocol.MessageId The user message that it answers.
---@field time polytree.protocol.MessageTime When; `completed` once nothing more can come.
---@field error? polytree.protocol.MessageError|nil How it failed.
---@field agent string The agent.
---@field mode string The agent, under the specification's older name.
---@field providerID string The model's provider.
---@field modelID string The model.
---@field path polytree.protocol.MessagePath Where it worked.
---@field summary? boolean It is a summary of what came before.
---@field cost number What it cost, in US dollars.
---@field tokens polytree.protocol.Tokens What it used.
---@field finish? string|nil Why the model stopped: `stop`, `tool-calls`, `length`, `content-filter` or `other`.
---@field variant? string|nil The variant of the model.
---@field structured? any The answer in the form that the prompt asked for.

--- A file that a tool gives to the model.
---@class polytree.protocol.Attachment
---@field mime string The media type.
---@field url string A `data:` address.
---@field filename? string|nil The name for people.

--- Where a provider's keys come from.
---@class polytree.protocol.AuthEntry
---@field providerID string The provider's id.
---@field name string The provider's name for people; its id where no provider of that id is known here.
---@field keys polytree.protocol.KeyPlace[] All places that hold a key for it; the first one is used.

--- The kind of a key.
---@alias polytree.protocol.AuthKind "api"

--- Params of `auth.list`.
---@class polytree.protocol.AuthListParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `auth.remove`.
---@class polytree.protocol.AuthRemoveParams
---@field providerID string The provider.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `auth.set`.
---@class polytree.protocol.AuthSetParams
---@field providerID string The provider.
---@field type polytree.protocol.AuthKind The kind of key; `api` is the only one.
---@field key polytree.protocol.KeyText The key.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Arguments of `bash`.
---@class polytree.protocol.BashInput
---@field command string The command line.
---@field description string What it does, in a few words.
---@field workdir? string|nil The directory in which it runs.
---@field timeout? integer|nil The timeout in milliseconds.
---@field outside? string|nil Why it should run outside of the sandbox.

--- What a command reports.
---@class polytree.protocol.BashMetadata
---@field command? string|nil The command line, while it runs.
---@field description? string|nil What it does, in the model's words.
---@field exit? integer|nil The exit code; null where a signal ended it.
---@field output? string|nil The end of what it has written so far.
---@field truncated? boolean|nil The model got only a part of the output.
---@field outputPath? string|nil The file with the whole output.
---@field running? polytree.protocol.BashProcess[] Processes that go on in the background.
---@field sandbox? polytree.protocol.SandboxReport|nil What it ran in; absent where nothing confined it.

--- A process that a command has left running.
---@class polytree.protocol.BashProcess
---@field pid integer Its number.
---@field command string Its command line, shortened.

--- Replaces a text of more than 64 KiB in an event. `session.message` returns the whole text, `permission.list` that of a question.
---@class polytree.protocol.BlobRef
---@field ref string The place of the text in the event's properties, as a JSON pointer.
---@field bytes integer The length of the text in bytes of UTF-8.

--- How long texts come in events.
---@alias polytree.protocol.Blobs "reference"|"inline"

--- A branch.
---@class polytree.protocol.BranchInfo
---@field branch? string|nil Its short name; absent when the checkout is on a commit and on no branch.

--- An announced file.
---@class polytree.protocol.Buffer
---@field path string Its absolute real path.
---@field version integer The announced version of its text.

--- Params of `buffer.change`.
---@class polytree.protocol.BufferChangeParams
---@field path string The file, as it was opened.
---@field version integer The number of the text with all edits made: greater than the one before. Another one is refused as `conflict` with the announced one in `data.version`, and changes nothing.
---@field edits polytree.protocol.TextChange[] The changes, applied in order: each to what those before it have left. When they do not fit the announced text they are refused, and the text is not known until it is announced as a whole again: by `buffer.open`, or by a change without a range.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `buffer.close`.
---@class polytree.protocol.BufferCloseParams
---@field path string The file, as it was opened.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Changes of files that an editor holds open.
---@class polytree.protocol.BufferConfig
---@field unanswered? polytree.protocol.Unanswered What happens to a change when the editor does not answer in time, or disconnects first.
---@field reply_timeout? integer How long an editor is waited for, in milliseconds; at most 600,000. It also bounds the wait for a text that an editor holds and has not told yet.

--- An edit of an announced text that its client is asked to make.
---@class polytree.protocol.BufferEditInfo
---@field editID polytree.protocol.EditId Names the edit in `buffer.reply`.
---@field path string The file's absolute real path.
---@field version integer The number of the text that the edits are meant for.
---@field edits polytree.protocol.TextChange[] The edits, whole lines where they can be, from the last place in the text to the first: applied in order or all at once, the result is the same. Each has a range.
---@field timeout integer For how many milliseconds an answer is waited for. Who is later must not make the edit.
---@field sessionID polytree.protocol.SessionId The session whose tool edits.

--- Params of `buffer.open`.
---@class polytree.protocol.BufferOpenParams
---@field path string The file that the text will be saved to, absolute or relative to the directory. It need not exist. Every file may be announced: whether a tool may read it is asked when it does.
---@field version integer The client's number for this state of the text; it grows with each change.
---@field text? string|nil The whole text, at most 32 MiB; all texts of a connection together at most 256 MiB. Absent: the client holds the file open and cannot tell its text yet; who wants to read the file waits for the text a moment and is then refused, because the text on the disk is older.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `buffer.reply`.
---@class polytree.protocol.BufferReplyParams
---@field editID polytree.protocol.EditId The edit.
---@field applied boolean Whether the client has made it. It must not when its text was not at the edit's version any more.
---@field version? integer|nil The number of the text with the edit made; needed when it was. The daemon reads the edited text from then on and expects the client's own `buffer.change` to this or a later number.
---@field saved? boolean|nil Whether the client has written the edited text to the disk as well; default false. When not, the model is told that commands see the older file.
---@field message? string|nil Why it was not made; the model reads this.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Files whose announced texts are not known any more.
---@class polytree.protocol.BufferResetInfo
---@field paths string[] The paths, as the client has given them. Each is to be announced again with `buffer.open`, or closed.

--- Tokens of the provider's prompt cache.
---@class polytree.protocol.CacheTokens
---@field read integer Read from it.
---@field write integer Written to it.

--- Where names, limits and prices come from.
---@class polytree.protocol.CatalogInfo
---@field source polytree.protocol.CatalogSource Part of the program, or fetched.
---@field asOf string The day that it describes, as `YYYY-MM-DD`.
---@field url? string|nil Where it was fetched from.

--- Where a catalogue comes from.
---@alias polytree.protocol.CatalogSource "built-in"|"fetched"

--- What a client can do beside asking.
---@class polytree.protocol.ClientCapabilities
---@field open? boolean|nil It shows a file for the event `editor.open`.
---@field edits? boolean|nil It makes edits for the event `buffer.edit`; for diagnosis.
---@field diffs? boolean|nil It shows differences of files; for diagnosis.

--- A client's name and version.
---@class polytree.protocol.ClientInfo
---@field name string The program.
---@field version? string|nil Its version.

--- How a conversation is kept within the context of its model. The model and the prompt of summaries are those of the agent `compaction`, if there is one.
---@class polytree.protocol.CompactionConfig
---@field auto? boolean Summarise the conversation when it nears the model's context limit, or when the service refuses it as too long.
---@field prune? boolean After each turn, stop sending old outputs of tools, beyond the last 40,000 tokens, where that frees at least 20,000.
---@field tail_turns? integer How many of the last turns a summary leaves as they are, if they are not too long.
---@field reserved? integer|nil How many tokens of the context stay free for the answer; at most three quarters of it. Default: the longest answer, at most 20,000 and a quarter of the context.

--- The history before this point was summarised. It stands in the summary, or in the prompt that asked for it.
---@class polytree.protocol.CompactionPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field auto boolean Not asked for by the user.
---@field overflow? boolean The service had refused the conversation as too long.
---@field tailStartID? polytree.protocol.MessageId|nil The prompt from which on the model still reads the messages before the summary as they are; absent: none of them.
---@field state? polytree.protocol.CompactionState What the model is told beside the summary, as it was then.

--- What a summary does not put into words.
---@class polytree.protocol.CompactionState
---@field todos? polytree.protocol.Todo[] The task list of the session.
---@field children? polytree.protocol.RunningChild[] The child sessions that were in a turn.

--- The settings of a directory, merged from all files.
---@class polytree.protocol.Config
---@field ["$schema"]? string|nil The address of this file's JSON Schema, for editors; has no effect.
---@field model? string|nil The model for prompts, as `provider/model`.
---@field small_model? string|nil The model for small jobs such as titles, as `provider/model`. Default: the cheapest of the prompt's provider that is small by its name, else the prompt's own.
---@field default_agent? string|nil The agent of prompts that name none; default `build`.
---@field agent? table<string, polytree.protocol.AgentConfig> Agents by name: changes to built-in ones, and new ones.
---@field provider? table<string, polytree.protocol.ProviderConfig> Providers by id: changes to known ones, and new ones.
---@field disabled_providers? string[] Ids of providers that are never used.
---@field enabled_providers? string[]|nil Ids of the only providers that may be used; absent: all.
---@field models_url? string|nil Where `polytree models --refresh` fetches the catalogue of models; only in the user's own settings.
---@field local_servers? table<string, string> Where model servers on this machine are looked for when models are listed: `ollama`, `llamacpp`, `lmstudio` or `vllm`, and an address on loopback such as `http://127.0.0.1:11434`, or `off`; only in the user's own settings.
---@field instructions? string[]|nil Paths and glob patterns of further files with instructions for the model. Relative ones are looked up in the directory and in all above it up to the worktree; absolute ones and those with `~/` count only in the user's own settings.
---@field permission? polytree.protocol.PermissionConfig What tools may do without asking.
---@field mode? polytree.protocol.Mode|nil What is done without a question where a session says nothing about it; only in the user's own settings. Default: `ask`.
---@field sandbox? polytree.protocol.SandboxConfig What commands in the sandbox may touch; only in the user's own settings.
---@field tools? table<string, boolean> Tools switched on or off by name or wildcard.
---@field username? string|nil The user's name for display; default: the name of the account.
---@field snapshot? boolean|nil Whether what a session changes in files is kept, so that it can be undone. Default: true.
---@field storage? polytree.protocol.StorageConfig The daemon's store; only in the user's own settings.
---@field server? polytree.protocol.ServerConfig The daemon itself; only in the user's own settings.
---@field tool_output? polytree.protocol.ToolOutputConfig How much of a tool's output the model gets to read.
---@field compaction? polytree.protocol.CompactionConfig How a conversation is kept within the context of its model.
---@field task? polytree.protocol.TaskConfig Limits of child sessions that models start.
---@field buffer? polytree.protocol.BufferConfig Changes of files that an editor holds open.
---@field diagnostics? polytree.protocol.DiagnosticsConfig Diagnostics that editors announce.
---@field record? string|nil A file to which every exchange with a model is appended, for `replay`; absolute, or with `~/`; only in the user's own settings.
---@field replay? string|nil A recording that answers instead of the models; absolute, or with `~/`; only in the user's own settings.

--- Params of `config.get`.
---@class polytree.protocol.ConfigGetParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A file that decides about a directory, or would if it existed.
---@class polytree.protocol.ConfigSource
---@field path string The absolute path.
---@field exists boolean It exists.
---@field trusted boolean It may be used, in its present state. The user's own files need no trust.
---@field error? string|nil What is wrong with it; only of the first file that is wrong.

--- The files that decide about a directory.
---@class polytree.protocol.ConfigSources
---@field digest string A digest of the project's files that need trust, with their contents; for `project.trust`.
---@field files polytree.protocol.ConfigSource[] The files, lowest first: the user's, the project's from its root down, the one that a variable names.
---@field omitted? integer How many more there are: at most 1,000 are listed.

--- Params of `config.sources`.
---@class polytree.protocol.ConfigSourcesParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- When something was created.
---@class polytree.protocol.Created
---@field created integer Milliseconds since 1970.

--- Where a default comes from.
---@alias polytree.protocol.DefaultSource "session"|"agent"|"settings"|"default"

--- Result of `server.diagnose`. Times are milliseconds since 1970, sizes are bytes, durations end in `Ms`. A part that could not be had has an `error` beside what there is. `polytree doctor` makes the same report where no daemon runs; then `pid`, `started` and `uptimeMs` are absent.
---@class polytree.protocol.Diagnosis
---@field time integer When this was found.
---@field version string The executable's version.
---@field protocolVersion integer The version of this contract.
---@field pid? integer|nil The daemon's process.
---@field started? integer|nil When it started.
---@field uptimeMs? integer|nil For how long it has been running.
---@field owner polytree.protocol.DiagnosisOwner Whose daemon it is.
---@field listeners polytree.protocol.DiagnosisListener[] Where it listens.
---@field clients polytree.protocol.DiagnosisClient[] Who is connected.
---@field projects polytree.protocol.DiagnosisProjects The known projects and the directories that are open.
---@field sessions polytree.protocol.DiagnosisSession[] The sessions that are not idle.
---@field queues polytree.protocol.DiagnosisQueues What waits inside the daemon.
---@field questions polytree.protocol.DiagnosisQuestions The unanswered questions.
---@field children polytree.protocol.DiagnosisChild[] The programs that it runs.
---@field memory polytree.protocol.DiagnosisMemory Its memory, and who has it.
---@field store polytree.protocol.DiagnosisStore What it keeps on disk.
---@field calls polytree.protocol.DiagnosisCalls The calls since it started.
---@field log polytree.protocol.DiagnosisLog Its log.
---@field machine polytree.protocol.DiagnosisMachine The machine around it.
---@field sandbox? polytree.protocol.DiagnosisSandbox|nil What commands can be confined by; absent where that could not be tried.
---@field settings polytree.protocol.DiagnosisSettings The settings and models of the directory.
---@field advice polytree.protocol.Advice[] What is worth doing, the gravest first.

--- A call that took long.
---@class polytree.protocol.DiagnosisCall
---@field method string The method.
---@field connectionID integer The connection that it came by.
---@field durationMs number How long it took.
---@field ended integer When it ended.
---@field error? string|nil The kind of its error; absent if it succeeded.

--- The calls since the daemon started.
---@class polytree.protocol.DiagnosisCalls
---@field total integer All of them.
---@field failed table<string, integer> Failed calls by the kind of the error.
---@field slowest polytree.protocol.DiagnosisCall[] The slowest of the last hour, the slowest first, at most 20. Methods that wait for the end of a turn by their nature are left out.

--- A program that the daemon runs.
---@class polytree.protocol.DiagnosisChild
---@field pid integer The process.
---@field program string The program's name, without its arguments.
---@field since integer Since when.
---@field sessionID? string|nil The session that it runs for.
---@field callID? string|nil The tool call that it runs for.
---@field processes? integer|nil The number of its processes, where the operating system reports it.
---@field resident? integer|nil Their memory together, where the operating system reports it.

--- A connected client.
---@class polytree.protocol.DiagnosisClient
---@field id integer The connection, as `server.initialize` names it.
---@field door polytree.protocol.DiagnosisDoor The way it came.
---@field name? string|nil The program, where it said so.
---@field version? string|nil The program's version, where it said so.
---@field directory? string|nil The directory that its requests mean when they name none.
---@field capabilities? polytree.protocol.ClientCapabilities|nil What it can do, as it said in `server.initialize`.
---@field since integer When it came.
---@field subscriptions integer Open subscriptions.
---@field requests integer Requests in flight.
---@field waitingBytes integer Bytes that wait to be written to it.
---@field stalledMs integer For how long it has taken nothing of what waits; 0 when nothing waits.
---@field asks? boolean This client is the one that asked.

--- A disk.
---@class polytree.protocol.DiagnosisDisk
---@field free integer What the user may still write.
---@field total integer Its size.

--- Which way a client came.
---@alias polytree.protocol.DiagnosisDoor "stdio"|"local"|"websocket"|"http"

--- Files of one kind.
---@class polytree.protocol.DiagnosisFiles
---@field count integer How many.
---@field bytes integer Their bytes.
---@field more? boolean There are more than were counted.

--- A process that owns a data directory and does not answer.
---@class polytree.protocol.DiagnosisHolder
---@field pid integer The process.
---@field version string Its version.
---@field problem string Why it could not be asked.

--- The file names of a checkout.
---@class polytree.protocol.DiagnosisIndex
---@field directory string The top of the checkout.
---@field entries integer How many names it holds, of files and directories.
---@field bytes integer The bytes that they take; worktrees of a project share what is alike.
---@field watched integer How many directories are watched.
---@field unwatched integer How many are not watched: they are checked when needed, and changes in them are not reported.
---@field partial? string|nil Why `file.find` does not see everything: `entries`, `depth` or `time` ran out.
---@field used integer When it was last used.

--- A place where the daemon listens.
---@class polytree.protocol.DiagnosisListener
---@field address string A path or an address.
---@field since integer Since when.

--- The log.
---@class polytree.protocol.DiagnosisLog
---@field level string How much is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`.
---@field errors integer Errors since the daemon started.
---@field warnings integer Warnings since the daemon started.
---@field last polytree.protocol.DiagnosisLogLine[] The last errors and warnings, oldest first, at most 50.

--- A line of the log.
---@class polytree.protocol.DiagnosisLogLine
---@field time integer When.
---@field level polytree.protocol.LogLevel How grave.
---@field target string Where in the program.
---@field message string What, without secrets.

--- The machine around the daemon.
---@class polytree.protocol.DiagnosisMachine
---@field error? string|nil Why some of it is unknown.
---@field places polytree.protocol.DiagnosisPlace[] The directories for settings, data and sockets.
---@field disk? polytree.protocol.DiagnosisDisk|nil The disk under the data directory.
---@field git? polytree.protocol.DiagnosisProgram|nil git.
---@field shell? polytree.protocol.DiagnosisProgram|nil The shell that commands run in.
---@field clockMovedMs? integer|nil How far the clock was moved since the daemon started; forward is positive.

--- The daemon's memory. What the system does not tell is absent.
---@class polytree.protocol.DiagnosisMemory
---@field resident? integer|nil What the process has.
---@field proportional? integer|nil The same, with what others share counted in part.
---@field peak? integer|nil The most it has had.
---@field swapped? integer|nil Its swapped memory.
---@field accounted polytree.protocol.DiagnosisShare[] What the daemon knows to have.
---@field rest? integer|nil The rest: the program itself, stacks, the allocator, and what is not counted.

--- A model call that runs.
---@class polytree.protocol.DiagnosisModelCall
---@field model string `provider/model`.
---@field since integer Since when.

--- Whose daemon it is.
---@class polytree.protocol.DiagnosisOwner
---@field userID? integer|nil The user's number.
---@field userName? string|nil The user's name.
---@field dataDirectory string The data directory that it owns.
---@field start? polytree.protocol.DiagnosisStart|nil How it was started; absent where none runs.
---@field holder? polytree.protocol.DiagnosisHolder|nil The owner of the data directory's lock, if it did not answer; only in an answer that does not come from a daemon.

--- A directory of the daemon.
---@class polytree.protocol.DiagnosisPlace
---@field name string What it is for: `config`, `data` or `runtime`.
---@field path string Where it is.
---@field exists boolean It is there.
---@field mode? string|nil Its permissions in octal, such as `700`; where the system has such.
---@field own boolean It belongs to the user.
---@field writable boolean It can be written to.
---@field network? string|nil The kind of network file system that it is on.

--- A program that the daemon needs.
---@class polytree.protocol.DiagnosisProgram
---@field path? string|nil Where it is; absent when it was not found.
---@field version? string|nil Its version, if it sent one.

--- A project.
---@class polytree.protocol.DiagnosisProject
---@field id polytree.protocol.ProjectId The project's id.
---@field worktree string The main checkout.
---@field open string[] Its directories that are open.
---@field used integer When it was last used.
---@field missing? boolean The directory is gone.
---@field trusted boolean The project's own settings may be used.
---@field pending integer Files of its open directories that wait for trust.

--- The known projects.
---@class polytree.protocol.DiagnosisProjects
---@field error? string|nil Why the list is not complete.
---@field known integer How many are known.
---@field list polytree.protocol.DiagnosisProject[] Those with open directories, then the most recently used ones; at most 100.
---@field indexes? polytree.protocol.DiagnosisIndex[] The checkouts whose file names are cached for `file.find`.
---@field symbols? polytree.protocol.DiagnosisSymbols[] The directories whose symbols are cached for `symbol.find`.

--- A provider.
---@class polytree.protocol.DiagnosisProvider
---@field id string The provider's id.
---@field connected boolean It can be used: it has its key or needs none.
---@field env string[] The names of the variables that may hold its key.
---@field models integer How many models it has.

--- An open question.
---@class polytree.protocol.DiagnosisQuestion
---@field id polytree.protocol.PermissionId The question's id.
---@field sessionID polytree.protocol.SessionId The session that asks.
---@field type string The permission's type, such as `bash` or `edit`.
---@field since integer Since when it waits.
---@field directory string The session's directory.

--- The open questions.
---@class polytree.protocol.DiagnosisQuestions
---@field error? string|nil Why the list is not complete.
---@field list polytree.protocol.DiagnosisQuestion[] The oldest first, at most 100. What they ask for is told by `permission.list`.

--- What waits inside the daemon.
---@class polytree.protocol.DiagnosisQueues
---@field writer integer Changes that wait for the store's writer.
---@field writerBusyMs integer For how long the writer has been at the commit under way; 0 when it is at none.
---@field readers integer Questions that wait for one of the store's readers.
---@field readerBusyMs integer The age of the oldest read in progress; 0 when there is none.
---@field outboxMessages integer Messages that wait to be written to clients.
---@field outboxBytes integer Their bytes.
---@field prompts integer Prompts that wait for the turns before them.

--- Rows of the store.
---@class polytree.protocol.DiagnosisRows
---@field sessions integer Sessions.
---@field messages integer Messages.
---@field parts integer Parts of messages.
---@field events integer Logged events.
---@field archived? integer Archived sessions; they are among the sessions.
---@field archivedBytes? integer|nil The bytes of the messages of archived sessions; absent where the store is too large to add them up.
---@field approximate? boolean Some of these are upper bounds, because counting would have taken too long.
---@field eventBytes integer The bytes of the logged events.
---@field oldestCursor integer The oldest cursor that can be read from.
---@field newestCursor integer The newest one.

--- What this machine can enforce, found by trying it: `sandbox` of `server.diagnose`.
---@class polytree.protocol.DiagnosisSandbox
---@field landlock integer The ABI of Landlock; 0 where there is none.
---@field seccomp boolean System calls can be refused.
---@field namespaces boolean Namespaces can be made without privileges.
---@field bubblewrap boolean bubblewrap is installed and runs.
---@field policies table<string, polytree.protocol.SandboxPromise> What is enforced of each policy when settings use all of it.

--- A session that is not idle.
---@class polytree.protocol.DiagnosisSession
---@field id polytree.protocol.SessionId The session's id.
---@field directory? string|nil Its directory, where it is known without asking the store.
---@field status polytree.protocol.SessionStatus Busy, waiting for an answer, or about to try again.
---@field since? integer|nil When the turn began; absent while none runs.
---@field messageID? polytree.protocol.MessageId|nil The prompt that is answered.
---@field model? polytree.protocol.DiagnosisModelCall|nil The model call that runs.
---@field tools polytree.protocol.DiagnosisToolCall[] The tool calls that run.
---@field sign? integer|nil When the model or a tool last gave a sign of life.
---@field queued integer Prompts that wait for this turn to end.

--- A damaged store that was set aside.
---@class polytree.protocol.DiagnosisSetAside
---@field path string The file; its name ends with the time in UTC.
---@field bytes integer Its bytes.

--- The settings and models of the directory for the client that asks.
---@class polytree.protocol.DiagnosisSettings
---@field error? string|nil Why they cannot be used.
---@field file? string|nil The file at fault.
---@field line? integer|nil The line in it, from 1.
---@field column? integer|nil The column in that line, from 1.
---@field directory? string|nil The directory that they hold in; absent where only the user's own were looked at.
---@field files string[] The files that were read, lowest first.
---@field model? string|nil The model of a prompt that names none, as `provider/model`.
---@field modelError? string|nil Why that model cannot be used.
---@field providers polytree.protocol.DiagnosisProvider[] The providers.
---@field unset? string[] The variables that the settings name and that are not set, as sentences.

--- A part of the memory.
---@class polytree.protocol.DiagnosisShare
---@field owner string Who has it: `events`, `outboxes`, `directories`, `sessions`, `files`, `store` or `log`.
---@field bytes integer How much.
---@field count? integer|nil Of how many things; absent where they are not counted.
---@field estimated? boolean Reckoned from the count, not measured.

--- How a daemon was started.
---@alias polytree.protocol.DiagnosisStart "detached"|"foreground"|"standalone"

--- What is kept on disk.
---@class polytree.protocol.DiagnosisStore
---@field error? string|nil Why it could not be read.
---@field commitError? string|nil Why the last commit failed; gone with the next one that holds.
---@field database polytree.protocol.DiagnosisFiles The database.
---@field wal polytree.protocol.DiagnosisFiles Its write-ahead log.
---@field outputs polytree.protocol.DiagnosisFiles Long outputs of tools.
---@field snapshots? polytree.protocol.DiagnosisFiles Contents of changed files, for undo.
---@field logs polytree.protocol.DiagnosisFiles Log files.
---@field rows? polytree.protocol.DiagnosisRows|nil Rows by table; absent when the store could not be read.
---@field check? string|nil The result of SQLite's quick check: `ok`, or what is broken. Where a daemon runs: only the damage that it has met.
---@field setAside? polytree.protocol.DiagnosisSetAside[] Damaged stores that were set aside when a daemon started, the oldest first.

--- The symbols of a directory.
---@class polytree.protocol.DiagnosisSymbols
---@field directory string The directory.
---@field files integer How many files it holds symbols of.
---@field symbols integer How many symbols they have.
---@field bytes integer The bytes that they take.
---@field partial? string|nil Why `symbol.find` does not see all: `reading` as long as they are read for the first time, `budget` when there are more than the limit.
---@field used integer When they were last asked for.

--- A tool call that runs.
---@class polytree.protocol.DiagnosisToolCall
---@field callID string The call.
---@field tool string The tool.
---@field since integer Since when.

--- A diagnostic in the form of LSP; further fields are ignored.
---@class polytree.protocol.Diagnostic
---@field range polytree.protocol.TextRange Where.
---@field severity? integer|nil 1 error, 2 warning, 3 information, 4 hint; default 1.
---@field code? any A number or a word.
---@field source? string|nil Who says it, such as `rustc`.
---@field message string What is wrong; at most 2,000 characters are kept.

--- Diagnostics that editors announce.
---@class polytree.protocol.DiagnosticsConfig
---@field wait? integer How long the result of an edit waits for the diagnostics of the new text, in milliseconds; at most 60,000. 0: results say nothing about diagnostics.

--- Params of `diagnostics.set`.
---@class polytree.protocol.DiagnosticsSetParams
---@field path string The file, as it was opened with `buffer.open`.
---@field version integer The number of the text that they belong to.
---@field items polytree.protocol.Diagnostic[] All diagnostics of that text, in place of those before; at most 1,000.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A directory.
---@class polytree.protocol.DirectoryInfo
---@field directory string The absolute path.

--- What a committed change survives.
---@alias polytree.protocol.Durability "process"|"power"

--- An edit that an editor is asked to make.
---@alias polytree.protocol.EditId string

--- Arguments of `edit`.
---@class polytree.protocol.EditInput
---@field filePath string The file.
---@field oldString string The text to replace; empty to create a file.
---@field newString string The text in its place.
---@field replaceAll? boolean Replace every occurrence.

--- What a changed file reports.
---@class polytree.protocol.EditMetadata
---@field filePath string The absolute path.
---@field diff string The change as a unified diff; empty where nothing changed.
---@field additions integer Lines added.
---@field deletions integer Lines removed.
---@field exists? boolean|nil The file existed before; only of `write`.
---@field truncated? boolean|nil The model got only a part of the result.
---@field outputPath? string|nil The file with the whole result.

--- A file that is to be shown.
---@class polytree.protocol.EditorOpenInfo
---@field path string The absolute path.
---@field range? polytree.protocol.TextRange|nil What is to be shown of it.

--- Params of `editor.open`.
---@class polytree.protocol.EditorOpenParams
---@field path string The file: relative to the directory that the request means, or absolute. It must exist and lie in the worktree.
---@field range? polytree.protocol.TextRange|nil What is to be shown of it; default: where the editor was last.
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- The `data` of an error object.
---@class polytree.protocol.ErrorData
---@field kind polytree.protocol.ErrorKind The stable word that clients test.
---@field hint? string|nil What to do next, where there is something.
---@field retryAfter? integer|nil When to try again, in milliseconds.
---@field limit? integer|nil The limit that was passed, in bytes or items.
---@field oldest? integer|nil The oldest kept cursor.
---@field cursor? integer|nil The cursor that was asked for.
---@field version? integer|nil The announced number of the text that was to be changed.
---@field directory? string|nil The directory that is gone.
---@field supported? integer[]|nil The protocol versions that are supported.
---@field file? string|nil The settings file at fault.
---@field line? integer|nil The line in that file, from 1.
---@field column? integer|nil The column in that line, from 1.
---@field files? polytree.protocol.RevertedFile[]|nil The files in conflict.
---@field pid? integer|nil The process that owns the data directory.

--- The stable word of an error: `data.kind` on the wire.
---@alias polytree.protocol.ErrorKind "parse_error"|"invalid_request"|"method_not_found"|"invalid_params"|"internal"|"not_found"|"busy"|"conflict"|"denied"|"invalid_state"|"credentials"|"provider"|"too_large"|"unavailable"|"directory_required"|"cursor_expired"|"unsupported_version"|"config"|"overloaded"|"cancelled"

--- Something that happened.
---@class polytree.protocol.Event
---@field cursor integer Its position in the order of all events of the daemon; 0 for an event that is sent to one connection only and not kept.
---@field time integer When, in milliseconds since 1970.
---@field type string A row of the event table.
---@field directory? string|nil Where.
---@field projectID? polytree.protocol.ProjectId|nil In which project.
---@field sessionID? polytree.protocol.SessionId|nil In which session.
---@field properties any What the row of the event table says.

--- A file that a tool gives to the model.
---@class polytree.protocol.EventAttachment
---@field mime string The media type.
---@field url string|polytree.protocol.BlobRef A `data:` address.
---@field filename? string|nil The name for people.

--- The history before this point was summarised. It stands in the summary, or in the prompt that asked for it.
---@class polytree.protocol.EventCompactionPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field auto boolean Not asked for by the user.
---@field overflow? boolean The service had refused the conversation as too long.
---@field tailStartID? polytree.protocol.MessageId|nil The prompt from which on the model still reads the messages before the summary as they are; absent: none of them.
---@field state? polytree.protocol.EventCompactionState What the model is told beside the summary, as it was then.

--- What a summary does not put into words.
---@class polytree.protocol.EventCompactionState
---@field todos? polytree.protocol.EventTodo[] The task list of the session.
---@field children? polytree.protocol.RunningChild[] The child sessions that were in a turn.

--- A file or image that the user attached.
---@class polytree.protocol.EventFilePart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field mime string The media type.
---@field filename? string|nil The name for people.
---@field url string|polytree.protocol.BlobRef `file:`, `data:` or another address.
---@field source? any Where in the prompt it was mentioned; not interpreted by the daemon.

--- Params of `event.list`. A `directory` means that directory or below.
---@class polytree.protocol.EventListParams
---@field sessionID? polytree.protocol.SessionId|nil Only this session and its descendants.
---@field types? string[]|nil Only these types.
---@field since integer Only those after this cursor; 0: from the oldest kept.
---@field limit? integer|nil How many at most: 1 to 10000, default 1000.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `event.list`.
---@class polytree.protocol.EventListResult
---@field events polytree.protocol.Event[] The events, oldest first.
---@field cursor integer Every matching event up to here is contained in this and earlier answers.
---@field more boolean There are more after `cursor`.

--- A message.
---@class polytree.protocol.EventMessage.1: polytree.protocol.EventUserMessage
---@field role "user"
---@class polytree.protocol.EventMessage.2: polytree.protocol.AssistantMessage
---@field role "assistant"
---@alias polytree.protocol.EventMessage polytree.protocol.EventMessage.1|polytree.protocol.EventMessage.2

--- A message.
---@class polytree.protocol.EventMessageInfo
---@field info polytree.protocol.EventMessage The message.

--- A part of a message.
---@class polytree.protocol.EventPart.1: polytree.protocol.EventTextPart
---@field type "text"
---@class polytree.protocol.EventPart.2: polytree.protocol.EventReasoningPart
---@field type "reasoning"
---@class polytree.protocol.EventPart.3: polytree.protocol.EventFilePart
---@field type "file"
---@class polytree.protocol.EventPart.4: polytree.protocol.EventToolPart
---@field type "tool"
---@class polytree.protocol.EventPart.5: polytree.protocol.StepStartPart
---@field type "step-start"
---@class polytree.protocol.EventPart.6: polytree.protocol.StepFinishPart
---@field type "step-finish"
---@class polytree.protocol.EventPart.7: polytree.protocol.SnapshotPart
---@field type "snapshot"
---@class polytree.protocol.EventPart.8: polytree.protocol.PatchPart
---@field type "patch"
---@class polytree.protocol.EventPart.9: polytree.protocol.AgentPart
---@field type "agent"
---@class polytree.protocol.EventPart.10: polytree.protocol.EventSubtaskPart
---@field type "subtask"
---@class polytree.protocol.EventPart.11: polytree.protocol.RetryPart
---@field type "retry"
---@class polytree.protocol.EventPart.12: polytree.protocol.EventCompactionPart
---@field type "compaction"
---@alias polytree.protocol.EventPart polytree.protocol.EventPart.1|polytree.protocol.EventPart.2|polytree.protocol.EventPart.3|polytree.protocol.EventPart.4|polytree.protocol.EventPart.5|polytree.protocol.EventPart.6|polytree.protocol.EventPart.7|polytree.protocol.EventPart.8|polytree.protocol.EventPart.9|polytree.protocol.EventPart.10|polytree.protocol.EventPart.11|polytree.protocol.EventPart.12

--- A part.
---@class polytree.protocol.EventPartInfo
---@field part polytree.protocol.EventPart The part.

--- `type` and `properties` of an event, for each row of the event table.
---@class polytree.protocol.EventPayload.1
---@field type "server.connected" The event.
---@field properties polytree.protocol.NoProperties What the event tells.
---@class polytree.protocol.EventPayload.2
---@field type "server.heartbeat" The event.
---@field properties polytree.protocol.NoProperties What the event tells.
---@class polytree.protocol.EventPayload.3
---@field type "project.updated" The event.
---@field properties polytree.protocol.ProjectInfo What the event tells.
---@class polytree.protocol.EventPayload.4
---@field type "project.forgotten" The event.
---@field properties polytree.protocol.ProjectOnly What the event tells.
---@class polytree.protocol.EventPayload.5
---@field type "session.created" The event.
---@field properties polytree.protocol.SessionInfo What the event tells.
---@class polytree.protocol.EventPayload.6
---@field type "session.updated" The event.
---@field properties polytree.protocol.SessionInfo What the event tells.
---@class polytree.protocol.EventPayload.7
---@field type "session.deleted" The event.
---@field properties polytree.protocol.SessionInfo What the event tells.
---@class polytree.protocol.EventPayload.8
---@field type "session.status" The event.
---@field properties polytree.protocol.SessionStatusInfo What the event tells.
---@class polytree.protocol.EventPayload.9
---@field type "session.idle" The event.
---@field properties polytree.protocol.SessionOnly What the event tells.
---@class polytree.protocol.EventPayload.10
---@field type "session.error" The event.
---@field properties polytree.protocol.SessionErrorInfo What the event tells.
---@class polytree.protocol.EventPayload.11
---@field type "session.compacted" The event.
---@field properties polytree.protocol.SessionOnly What the event tells.
---@class polytree.protocol.EventPayload.12
---@field type "session.queue.updated" The event.
---@field properties polytree.protocol.SessionQueueInfo What the event tells.
---@class polytree.protocol.EventPayload.13
---@field type "message.updated" The event.
---@field properties polytree.protocol.EventMessageInfo What the event tells.
---@class polytree.protocol.EventPayload.14
---@field type "message.removed" The event.
---@field properties polytree.protocol.MessageRemovedInfo What the event tells.
---@class polytree.protocol.EventPayload.15
---@field type "message.part.updated" The event.
---@field properties polytree.protocol.EventPartInfo What the event tells.
---@class polytree.protocol.EventPayload.16
---@field type "message.part.delta" The event.
---@field properties polytree.protocol.PartDelta What the event tells.
---@class polytree.protocol.EventPayload.17
---@field type "message.part.removed" The event.
---@field properties polytree.protocol.PartRemovedInfo What the event tells.
---@class polytree.protocol.EventPayload.18
---@field type "permission.asked" The event.
---@field properties polytree.protocol.EventPermission What the event tells.
---@class polytree.protocol.EventPayload.19
---@field type "permission.replied" The event.
---@field properties polytree.protocol.PermissionRepliedInfo What the event tells.
---@class polytree.protocol.EventPayload.20
---@field type "todo.updated" The event.
---@field properties polytree.protocol.EventTodoInfo What the event tells.
---@class polytree.protocol.EventPayload.21
---@field type "hunk.updated" The event.
---@field properties polytree.protocol.HunksInfo What the event tells.
---@class polytree.protocol.EventPayload.22
---@field type "file.edited" The event.
---@field properties polytree.protocol.FilePath What the event tells.
---@class polytree.protocol.EventPayload.23
---@field type "file.changed" The event.
---@field properties polytree.protocol.FileChangedInfo What the event tells.
---@class polytree.protocol.EventPayload.24
---@field type "vcs.branch.updated" The event.
---@field properties polytree.protocol.BranchInfo What the event tells.
---@class polytree.protocol.EventPayload.25
---@field type "vcs.changed" The event.
---@field properties polytree.protocol.DirectoryInfo What the event tells.
---@class polytree.protocol.EventPayload.26
---@field type "config.changed" The event.
---@field properties polytree.protocol.DirectoryInfo What the event tells.
---@class polytree.protocol.EventPayload.27
---@field type "provider.changed" The event.
---@field properties polytree.protocol.DirectoryInfo What the event tells.
---@class polytree.protocol.EventPayload.28
---@field type "agent.changed" The event.
---@field properties polytree.protocol.DirectoryInfo What the event tells.
---@class polytree.protocol.EventPayload.29
---@field type "editor.open" The event.
---@field properties polytree.protocol.EditorOpenInfo What the event tells.
---@class polytree.protocol.EventPayload.30
---@field type "buffer.edit" The event.
---@field properties polytree.protocol.BufferEditInfo What the event tells.
---@class polytree.protocol.EventPayload.31
---@field type "buffer.reset" The event.
---@field properties polytree.protocol.BufferResetInfo What the event tells.
---@alias polytree.protocol.EventPayload polytree.protocol.EventPayload.1|polytree.protocol.EventPayload.2|polytree.protocol.EventPayload.3|polytree.protocol.EventPayload.4|polytree.protocol.EventPayload.5|polytree.protocol.EventPayload.6|polytree.protocol.EventPayload.7|polytree.protocol.EventPayload.8|polytree.protocol.EventPayload.9|polytree.protocol.EventPayload.10|polytree.protocol.EventPayload.11|polytree.protocol.EventPayload.12|polytree.protocol.EventPayload.13|polytree.protocol.EventPayload.14|polytree.protocol.EventPayload.15|polytree.protocol.EventPayload.16|polytree.protocol.EventPayload.17|polytree.protocol.EventPayload.18|polytree.protocol.EventPayload.19|polytree.protocol.EventPayload.20|polytree.protocol.EventPayload.21|polytree.protocol.EventPayload.22|polytree.protocol.EventPayload.23|polytree.protocol.EventPayload.24|polytree.protocol.EventPayload.25|polytree.protocol.EventPayload.26|polytree.protocol.EventPayload.27|polytree.protocol.EventPayload.28|polytree.protocol.EventPayload.29|polytree.protocol.EventPayload.30|polytree.protocol.EventPayload.31

--- An open permission question.
---@class polytree.protocol.EventPermission
---@field id polytree.protocol.PermissionId The question's id.
---@field sessionID polytree.protocol.SessionId The session that asks.
---@field messageID polytree.protocol.MessageId The assistant message that holds the tool call.
---@field callID string The tool call.
---@field type string The permission's type, such as `bash` or `edit`.
---@field patterns (string|polytree.protocol.BlobRef)[] What is asked for.
---@field always (string|polytree.protocol.BlobRef)[] What "always" would grant.
---@field title string|polytree.protocol.BlobRef One line for people.
---@field metadata polytree.protocol.PermissionMetadata More about what is asked, as far as clients can use it.
---@field time polytree.protocol.PermissionTime When it was asked.

--- What the model thought.
---@class polytree.protocol.EventReasoningPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field text string|polytree.protocol.BlobRef The text, exactly as it came.
---@field metadata? any What the provider attached, such as its signature.
---@field time polytree.protocol.Span When it was streamed.

--- Params of `event.subscribe`. A `directory` means that directory or below.
---@class polytree.protocol.EventSubscribeParams
---@field sessionID? polytree.protocol.SessionId|nil Only this session and its descendants.
---@field types? string[]|nil Only these types.
---@field since? integer|nil Every matching event after this cursor, first from the log, then live; 0: from the oldest kept.
---@field blobs? polytree.protocol.Blobs|nil How texts over 64 KiB come: as a reference, which is the default, or inline.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Work for a child session.
---@class polytree.protocol.EventSubtaskPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field prompt string|polytree.protocol.BlobRef What the child is asked.
---@field description string A few words for people.
---@field agent string The agent that does it.
---@field model? polytree.protocol.ModelRef|nil The model that it uses.

--- Text of the user or the model.
---@class polytree.protocol.EventTextPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field text string|polytree.protocol.BlobRef The text, exactly as it came.
---@field synthetic? boolean Added by the daemon, not typed by the user.
---@field time? polytree.protocol.Span|nil When it was streamed.
---@field metadata? any What the provider attached.

--- One entry of the task list.
---@class polytree.protocol.EventTodo
---@field content string|polytree.protocol.BlobRef What is to be done.
---@field status string `pending`, `in_progress`, `completed` or `cancelled`.
---@field priority string `high`, `medium` or `low`.

--- A task list.
---@class polytree.protocol.EventTodoInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field todos polytree.protocol.EventTodo[] The whole list.

--- A call that gave a result.
---@class polytree.protocol.EventToolCompleted
---@field input any The arguments.
---@field output string|polytree.protocol.BlobRef What the model reads.
---@field title string|polytree.protocol.BlobRef One line for people.
---@field metadata any More for clients.
---@field time polytree.protocol.ToolTime When it ran.
---@field attachments? polytree.protocol.EventAttachment[] Images and files for the model.

--- A call that failed.
---@class polytree.protocol.EventToolFailed
---@field input any The arguments.
---@field error string|polytree.protocol.BlobRef What the model reads.
---@field metadata? any More for clients; `aborted: true` where the turn was aborted.
---@field time polytree.protocol.Span When it ran.

--- A tool call and its result.
---@class polytree.protocol.EventToolPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field callID string The provider's id of the call.
---@field tool string The tool's name.
---@field subject? string|nil What the call is about, in one line: the command, the file, the pattern. Absent while the model still writes the call, and where only the arguments tell.
---@field state polytree.protocol.EventToolState How far it is.
---@field metadata? any What the provider attached to the call, to be sent back with it.

--- A call that has not started.
---@class polytree.protocol.EventToolPending
---@field input? table<string, any> The arguments, once complete.
---@field raw? string|polytree.protocol.BlobRef The arguments as the model wrote them.

--- A call that runs.
---@class polytree.protocol.EventToolRunning
---@field input any The arguments.
---@field title? string|nil|polytree.protocol.BlobRef One line for people.
---@field metadata? any What the tool reports while it runs.
---@field time polytree.protocol.Span Since when.

--- How far a tool call is.
---@class polytree.protocol.EventToolState.1: polytree.protocol.EventToolPending
---@field status "pending"
---@class polytree.protocol.EventToolState.2: polytree.protocol.EventToolRunning
---@field status "running"
---@class polytree.protocol.EventToolState.3: polytree.protocol.EventToolCompleted
---@field status "completed"
---@class polytree.protocol.EventToolState.4: polytree.protocol.EventToolFailed
---@field status "error"
---@alias polytree.protocol.EventToolState polytree.protocol.EventToolState.1|polytree.protocol.EventToolState.2|polytree.protocol.EventToolState.3|polytree.protocol.EventToolState.4

--- Params of `event.unsubscribe`.
---@class polytree.protocol.EventUnsubscribeParams
---@field subscription integer The subscription's id.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A prompt.
---@class polytree.protocol.EventUserMessage
---@field id polytree.protocol.MessageId The message's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field time polytree.protocol.Created When.
---@field state? polytree.protocol.PromptState Whether it waits, is being answered, or how it ended. Only old events in the log lack it.
---@field answeredWith? polytree.protocol.MessageId|nil A later prompt that entered the turn in the same step: its answers answer this prompt as well.
---@field agent string The agent that was asked.
---@field model polytree.protocol.ModelRef The model that was asked.
---@field system? string|nil|polytree.protocol.BlobRef Replaces the agent's system prompt for this turn.
---@field tools? table<string, boolean>|nil Tools switched on or off for this turn, by name or wildcard.
---@field variant? string|nil The variant of the model that was asked for.
---@field options? polytree.protocol.PromptOptions|nil How the model was to sample, and how long its answers might be.
---@field format? polytree.protocol.OutputFormat|nil The form that the answer was to have.
---@field mode? polytree.protocol.Mode|nil What was to be done without a question in its turn.

--- A file that differs from the last commit.
---@class polytree.protocol.File
---@field path string Its path relative to the directory that the request means. A repository inside this one that is not part of it ends with `/`.
---@field added integer Lines that it has and the last commit has not; 0 where git counts none, as in binary files.
---@field removed integer Lines that the last commit has and it has not.
---@field status polytree.protocol.FileStatus How it differs.
---@field from? string|nil Where it was in the last commit, when it was renamed.

--- What happened to a file.
---@class polytree.protocol.FileChangedInfo
---@field path string The absolute path.
---@field event polytree.protocol.FileEvent What happened.

--- A file as it was read. Where an editor has announced text that it has not saved, that text is what was read.
---@class polytree.protocol.FileContent
---@field type polytree.protocol.FileContentType What `content` is.
---@field content string The file's text as it is, nothing trimmed and a byte order mark as U+FEFF; its bytes in base64; or a unified patch with all lines as context.
---@field encoding? polytree.protocol.FileEncoding|nil How `content` is encoded; absent for text.
---@field mime? string|nil The media type of what is no text, and of SVG images.
---@field charset? string|nil How the file stores its characters where that is not UTF-8: the encoding's name in the Encoding Standard, in lower case, such as `utf-16le` (from a byte order mark) or `gbk` (guessed from the bytes).
---@field lossy? boolean Some bytes are not valid in that encoding, or in UTF-8, and are U+FFFD in `content`: saving it would lose them.
---@field more? boolean There are lines after those that were asked for.
---@field version string BLAKE3 of the bytes that were read, in hexadecimal: of the whole file or announced text, or of the lines asked for.

--- What the content of a file is given as.
---@alias polytree.protocol.FileContentType "raw"|"patch"

--- What a session has changed in one file, from before its first change to after its last one.
---@class polytree.protocol.FileDiff
---@field path string The absolute path.
---@field before? string|nil The text before; absent if there was no file, and where `patch` is empty for want of a text.
---@field after? string|nil The text after; absent if there is no file any more, and where `patch` is empty for want of a text.
---@field patch string A unified diff. Empty for a file that is not text, that is too large, or whose image is not stored any more.
---@field added integer Lines that were added.
---@field removed integer Lines that were removed.
---@field status polytree.protocol.FileStatus How it was changed.

--- How content that is no text is encoded.
---@alias polytree.protocol.FileEncoding "base64"

--- What happened to a file.
---@alias polytree.protocol.FileEvent "add"|"change"|"unlink"

--- Params of `file.find`.
---@class polytree.protocol.FileFindParams
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant, in place of `directory`.
---@field query string The query, in the syntax of fzf: all words must match, as fuzzy sequences; `'word` exactly, `^word` at the beginning, `word$` at the end, `!word` not at all, `one | other` either. Without capitals both cases match. Empty: the files that were used last, then what lies highest.
---@field limit? integer|nil The maximum number of paths, 1 to 1,000; default 50.
---@field type? polytree.protocol.FindType|nil Only files or only directories; both if not said.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- The form in which a file is wanted.
---@alias polytree.protocol.FileForm "auto"|"raw"

--- Params of `file.list`.
---@class polytree.protocol.FileListParams
---@field path string The directory to list: relative to the directory that the request means, or absolute; empty or `.` is that directory itself. It must lie in the worktree.
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A path that matches, and where.
---@class polytree.protocol.FileMatch
---@field path string The path relative to the directory; directories end with `/`.
---@field positions integer[] The places of the matched characters in `path`, ascending, in UTF-16 code units from 0; of a character of two units the first. Empty where the query names no characters.

--- Params of `file.match`.
---@class polytree.protocol.FileMatchParams
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant, in place of `directory`.
---@field query string The query, in the syntax of fzf: all words must match, as fuzzy sequences; `'word` exactly, `^word` at the beginning, `word$` at the end, `!word` not at all, `one | other` either. Without capitals both cases match. Empty: the files that were used last, then what lies highest.
---@field limit? integer|nil The maximum number of paths, 1 to 1,000; default 50.
---@field type? polytree.protocol.FindType|nil Only files or only directories; both if not said.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- An entry of a directory.
---@class polytree.protocol.FileNode
---@field name string Its name.
---@field path string Its path relative to the directory that the request means, with `/` between names and none at the end.
---@field absolute string Its absolute path.
---@field type polytree.protocol.FileNodeType What it is; of a symbolic link, what it leads to.
---@field symlink? boolean It is a symbolic link.
---@field ignored boolean git ignores it: it matches an ignore rule and is not tracked.

--- What an entry of a directory is.
---@alias polytree.protocol.FileNodeType "file"|"directory"

--- A file or image that the user attached.
---@class polytree.protocol.FilePart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field mime string The media type.
---@field filename? string|nil The name for people.
---@field url string `file:`, `data:` or another address.
---@field source? any Where in the prompt it was mentioned; not interpreted by the daemon.

--- A file.
---@class polytree.protocol.FilePath
---@field path string The absolute path.

--- Params of `file.read`.
---@class polytree.protocol.FileReadParams
---@field path string The file: relative to the directory that the request means, or absolute. It must lie in the worktree.
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field as? polytree.protocol.FileForm|nil In which form; default: `auto`.
---@field at? string|nil At which revision: `HEAD`, or the id of a message of the session `sessionID`, before whose changes the text is returned. Never a patch. Default: as it is now.
---@field offset? integer|nil The first line to read, from 1. With `offset` or `limit` the answer is those lines as they are, never a patch.
---@field limit? integer|nil How many lines to read at most; default: all that follow.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How a file differs from the last commit.
---@alias polytree.protocol.FileStatus "added"|"deleted"|"modified"|"renamed"

--- Params of `file.status`.
---@class polytree.protocol.FileStatusParams
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What is to be found.
---@alias polytree.protocol.FindType "file"|"directory"

--- A kind of data that is kept for a time.
---@alias polytree.protocol.GcKind "events"|"outputs"|"snapshots"|"archived"

--- What was removed of a kind.
---@class polytree.protocol.GcKindResult
---@field kind polytree.protocol.GcKind The kind.
---@field removed polytree.protocol.GcTotal What was removed, or would be.
---@field kept polytree.protocol.GcTotal What there is afterwards, or would be.
---@field error? string|nil Why some of it could not be removed.

--- A number of things and their size.
---@class polytree.protocol.GcTotal
---@field count integer How many.
---@field bytes integer Their bytes.

--- Arguments of `glob`.
---@class polytree.protocol.GlobInput
---@field pattern string The pattern of names.
---@field path? string|nil The directory.

--- What a search for names reports.
---@class polytree.protocol.GlobMetadata
---@field count integer How many paths the model got.
---@field truncated boolean There are more.
---@field outputPath? string|nil The file with the whole result.

--- A remembered "always".
---@class polytree.protocol.Grant
---@field id polytree.protocol.GrantId The grant's id, for `permission.revoke`.
---@field projectID polytree.protocol.ProjectId The project it holds in.
---@field sessionID? polytree.protocol.SessionId|nil The root session that it holds in, with its descendants; absent: in the whole project.
---@field type string The permission's type.
---@field pattern string What is allowed.
---@field time polytree.protocol.PermissionTime When it was given.

--- A remembered permission.
---@alias polytree.protocol.GrantId string

--- Where a grant holds.
---@alias polytree.protocol.GrantScope "session"|"project"

--- Arguments of `grep`.
---@class polytree.protocol.GrepInput
---@field pattern string The regular expression.
---@field path? string|nil The directory or file.
---@field include? string|nil Only files whose path matches this pattern.

--- What a search in contents reports.
---@class polytree.protocol.GrepMetadata
---@field matches integer How many lines the model got.
---@field truncated boolean There are more.
---@field outputPath? string|nil The file with the whole result.

--- Lines that a session changed and that are next to each other, or a file that has no lines to compare.
---@class polytree.protocol.Hunk
---@field hunkID polytree.protocol.HunkId It stays the same while the text of the hunk does.
---@field path string The absolute path.
---@field range polytree.protocol.TextRange Its place in the current text, unsaved text of editors included: `after`, or `before` of an undone hunk.
---@field before? string|nil The lines before; empty where lines were added. Absent for a file that is not text or too large, and in an event whose texts would be longer than 64 KiB.
---@field after? string|nil The lines after; empty where lines were removed. Absent as `before` is.
---@field messageID polytree.protocol.MessageId The message that changed it last.
---@field callID? string|nil The tool call that changed it last.
---@field state polytree.protocol.HunkState What the user decided.

--- A hunk of what a session changed.
---@alias polytree.protocol.HunkId string

--- Params of `hunk.keep`. Without a hunk and a path all open hunks of the session are kept.
---@class polytree.protocol.HunkKeepParams
---@field sessionID polytree.protocol.SessionId The session.
---@field hunkID? polytree.protocol.HunkId|nil This hunk. One that was undone is put into the file again.
---@field path? string|nil All open hunks of this file, relative to the session's directory or absolute.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `hunk.list`.
---@class polytree.protocol.HunkListParams
---@field sessionID polytree.protocol.SessionId The session.
---@field path? string|nil Only those of this file, relative to the session's directory or absolute.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What the user decided about a hunk.
---@alias polytree.protocol.HunkState "open"|"kept"|"undone"

--- Params of `hunk.undo`. Without a hunk and a path all open hunks of the session are undone.
---@class polytree.protocol.HunkUndoParams
---@field sessionID polytree.protocol.SessionId The session.
---@field hunkID? polytree.protocol.HunkId|nil This hunk, also if it was kept.
---@field path? string|nil All open hunks of this file, relative to the session's directory or absolute.
---@field partial? boolean Leaves hunks that somebody else has changed as they are and undoes the rest.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- The hunks of a file.
---@class polytree.protocol.HunksInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field path string The absolute path.
---@field hunks polytree.protocol.Hunk[] All hunks of the file, from its top.

--- A place that can hold a provider's key.
---@class polytree.protocol.KeyPlace
---@field source polytree.protocol.KeySource The kind of place.
---@field variable? string|nil The variable, where it is the environment.

--- Where a key comes from.
---@alias polytree.protocol.KeySource "settings"|"environment"|"stored"

--- A key on its way. It prints as `***`, and what is no text is refused without being repeated.
---@alias polytree.protocol.KeyText string

--- Arguments of `list`.
---@class polytree.protocol.ListInput
---@field path? string|nil The directory.
---@field ignore? string[]|nil Patterns of what is left out.

--- What a listed directory reports.
---@class polytree.protocol.ListMetadata
---@field count integer How many entries the model got.
---@field truncated boolean There are more.
---@field outputPath? string|nil The file with the whole result.

--- How grave a log line is.
---@alias polytree.protocol.LogLevel "debug"|"info"|"warn"|"error"

--- Params of `log.write`.
---@class polytree.protocol.LogWriteParams
---@field service string Who writes.
---@field level polytree.protocol.LogLevel How grave it is.
---@field message string The line.
---@field extra? any Further fields.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Prices in US dollars for a million tokens, of calls with a long context; 0 where unknown.
---@class polytree.protocol.LongContextCost
---@field input? number Input tokens.
---@field output? number Output tokens.
---@field cache_read? number Input tokens read from the provider's cache.
---@field cache_write? number Input tokens written to the provider's cache.

--- A message.
---@class polytree.protocol.Message.1: polytree.protocol.UserMessage
---@field role "user"
---@class polytree.protocol.Message.2: polytree.protocol.AssistantMessage
---@field role "assistant"
---@alias polytree.protocol.Message polytree.protocol.Message.1|polytree.protocol.Message.2

--- How a message failed.
---@class polytree.protocol.MessageError
---@field name polytree.protocol.MessageErrorName Which failure.
---@field data polytree.protocol.MessageErrorData What is known about it.

--- What is known about a failure.
---@class polytree.protocol.MessageErrorData
---@field message string For people.
---@field hint? string|nil What to do next.
---@field providerID? string|nil The provider.
---@field statusCode? integer|nil The HTTP status of the service.
---@field isRetryable? boolean|nil Whether trying again may help.
---@field modelID? string|nil The model, where it is the one that is not known.
---@field retries? integer|nil How often the model was asked again for an answer in the right form.

--- The name of a failure.
---@alias polytree.protocol.MessageErrorName "ProviderAuthError"|"QuotaExceededError"|"RateLimitError"|"OverloadedError"|"APIError"|"ContextOverflowError"|"ContentFilterError"|"MessageOutputLengthError"|"MessageAbortedError"|"MessageInterruptedError"|"ProviderModelNotFoundError"|"StructuredOutputError"|"UnknownError"

--- A message.
---@alias polytree.protocol.MessageId string

--- A message.
---@class polytree.protocol.MessageInfo
---@field info polytree.protocol.Message The message.

--- Where an assistant message worked.
---@class polytree.protocol.MessagePath
---@field cwd string The session's directory.
---@field root string The checkout in use.

--- A removed message.
---@class polytree.protocol.MessageRemovedInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.

--- Times of an assistant message, in milliseconds since 1970.
---@class polytree.protocol.MessageTime
---@field created integer When it began.
---@field completed? integer|nil When it ended.

--- A message with its parts, as read in one snapshot of the store.
---@class polytree.protocol.MessageWithParts
---@field info polytree.protocol.Message The message.
---@field parts polytree.protocol.Part[] Its parts in the order in which they were stored.
---@field cursor integer The event cursor of the snapshot: events of this message up to it are already contained.

--- What is done without a question. Stronger than any mode: a `deny`; an `ask` of the user's own whose pattern is not `*`; polytree's own files and key stores; an agent that may not edit, such as `plan`.
---@alias polytree.protocol.Mode "ask"|"edits"|"all"

--- A model.
---@class polytree.protocol.Model
---@field id string The id at the provider.
---@field name string The name for people.
---@field api? string|nil The wire protocol, where it is not the provider's.
---@field attachment boolean Takes images.
---@field documents? boolean Takes documents, such as PDF files.
---@field reasoning boolean Thinks before it answers.
---@field temperature boolean Takes a temperature.
---@field tool_call boolean Can call tools.
---@field release_date? string|nil The day on which it came out, as `YYYY-MM-DD`; absent where unknown.
---@field cost polytree.protocol.ModelCost Prices.
---@field limit polytree.protocol.ModelLimit Limits.
---@field variants? string[] The names of its variants, for example its levels of reasoning; a prompt chooses one by `variant`.

--- A model in the settings: what is absent is as the catalogue has it, or for a model that it does not know: tools yes, all else no, limits and prices unknown.
---@class polytree.protocol.ModelConfig
---@field name? string|nil The name for people.
---@field attachment? boolean|nil Takes images.
---@field documents? boolean|nil Takes documents, such as PDF files.
---@field reasoning? boolean|nil Thinks before it answers.
---@field temperature? boolean|nil Takes a temperature.
---@field tool_call? boolean|nil Can call tools.
---@field limit? polytree.protocol.ModelLimit|nil Limits in tokens.
---@field cost? polytree.protocol.ModelCost|nil Prices in US dollars for a million tokens.
---@field options? table<string, any> Further fields of each request's body.
---@field variants? table<string, any> Variants by name: further fields of the request's body for prompts that ask for one; `false` takes a built-in one away.

--- Prices in US dollars for a million tokens; 0 where unknown.
---@class polytree.protocol.ModelCost
---@field input? number Input tokens.
---@field output? number Output tokens.
---@field cache_read? number Input tokens read from the provider's cache.
---@field cache_write? number Input tokens written to the provider's cache.
---@field context_over_200k? polytree.protocol.LongContextCost|nil The prices of a call that reads more than 200,000 tokens, those from the cache included; absent: the same.

--- Limits in tokens; 0 where unknown.
---@class polytree.protocol.ModelLimit
---@field context? integer The context window.
---@field output? integer The longest answer.

--- Params of `model.list`.
---@class polytree.protocol.ModelListParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A model of a provider.
---@class polytree.protocol.ModelRef
---@field providerID string The provider's id.
---@field modelID string The model's id at that provider; may contain slashes.

--- Params of `model.refresh`.
---@class polytree.protocol.ModelRefreshParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `model.refresh`.
---@class polytree.protocol.ModelRefreshResult
---@field catalog polytree.protocol.CatalogInfo The catalogue from now on.
---@field providers integer How many services it names.
---@field models integer How many models it names.
---@field skipped integer How many entries were left out because they are malformed.

--- No properties.
---@alias polytree.protocol.NoProperties table<string, any>

--- The form of an answer.
---@class polytree.protocol.OutputFormat.1
---@field type "text"
---@class polytree.protocol.OutputFormat.2
---@field type "json_schema"
---@field schema table<string, any> The JSON Schema: at most 64 KiB, references only within it (`#/$defs/…`).
---@field name? string|nil What the answer is, in a word; the model reads it.
---@field retries? integer|nil How often the model may try again after an answer that is not valid: 0 to 10, default 2.
---@alias polytree.protocol.OutputFormat polytree.protocol.OutputFormat.1|polytree.protocol.OutputFormat.2

--- A part of a message.
---@class polytree.protocol.Part.1: polytree.protocol.TextPart
---@field type "text"
---@class polytree.protocol.Part.2: polytree.protocol.ReasoningPart
---@field type "reasoning"
---@class polytree.protocol.Part.3: polytree.protocol.FilePart
---@field type "file"
---@class polytree.protocol.Part.4: polytree.protocol.ToolPart
---@field type "tool"
---@class polytree.protocol.Part.5: polytree.protocol.StepStartPart
---@field type "step-start"
---@class polytree.protocol.Part.6: polytree.protocol.StepFinishPart
---@field type "step-finish"
---@class polytree.protocol.Part.7: polytree.protocol.SnapshotPart
---@field type "snapshot"
---@class polytree.protocol.Part.8: polytree.protocol.PatchPart
---@field type "patch"
---@class polytree.protocol.Part.9: polytree.protocol.AgentPart
---@field type "agent"
---@class polytree.protocol.Part.10: polytree.protocol.SubtaskPart
---@field type "subtask"
---@class polytree.protocol.Part.11: polytree.protocol.RetryPart
---@field type "retry"
---@class polytree.protocol.Part.12: polytree.protocol.CompactionPart
---@field type "compaction"
---@alias polytree.protocol.Part polytree.protocol.Part.1|polytree.protocol.Part.2|polytree.protocol.Part.3|polytree.protocol.Part.4|polytree.protocol.Part.5|polytree.protocol.Part.6|polytree.protocol.Part.7|polytree.protocol.Part.8|polytree.protocol.Part.9|polytree.protocol.Part.10|polytree.protocol.Part.11|polytree.protocol.Part.12

--- What was appended to a part.
---@class polytree.protocol.PartDelta
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field partID polytree.protocol.PartId The part.
---@field field string The field that grew: `text`; `raw`, the arguments of a call that the model writes; `output` of a running tool.
---@field delta string What was appended.

--- A part of a message.
---@alias polytree.protocol.PartId string

--- A part.
---@class polytree.protocol.PartInfo
---@field part polytree.protocol.Part The part.

--- A part of a prompt.
---@class polytree.protocol.PartInput.1
---@field type "text"
---@field id? polytree.protocol.PartId|nil The part's id.
---@field text string The text.
---@field synthetic? boolean Not typed by the user.
---@class polytree.protocol.PartInput.2
---@field type "file"
---@field id? polytree.protocol.PartId|nil The part's id.
---@field mime string The media type; `text/plain` is read as text, `application/x-directory` is listed.
---@field filename? string|nil The name for people.
---@field url string `file:///absolute/path`, optionally with `?start=LINE&end=LINE` (from 1), or a `data:` address.
---@field source? any Where in the prompt it was mentioned; kept, not interpreted.
---@class polytree.protocol.PartInput.3
---@field type "agent"
---@field id? polytree.protocol.PartId|nil The part's id.
---@field name string The agent's name.
---@field source? any Where in the prompt it was mentioned; kept, not interpreted.
---@class polytree.protocol.PartInput.4
---@field type "subtask"
---@field id? polytree.protocol.PartId|nil The part's id.
---@field prompt string What the child is asked.
---@field description string A few words for people.
---@field agent string The agent that does it; its `mode` must be `subagent` or `all`.
---@field model? polytree.protocol.ModelRef|nil The model that it uses. Default: the agent's, else that of this prompt.
---@alias polytree.protocol.PartInput polytree.protocol.PartInput.1|polytree.protocol.PartInput.2|polytree.protocol.PartInput.3|polytree.protocol.PartInput.4

--- A removed part.
---@class polytree.protocol.PartRemovedInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field partID polytree.protocol.PartId The part.

--- The files that a tool call changed.
---@class polytree.protocol.PatchPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field hash string The id of the stored change set. Empty in a copy of a session, which cannot undo what the original changed.
---@field files string[] Absolute paths.
---@field uncovered? string[] Files and directories that may have changed and cannot be restored, because no image was stored.
---@field reasons? table<string, string> Why, by path.
---@field callID? string|nil The tool call that changed them.

--- Params of `path.get`.
---@class polytree.protocol.PathGetParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `path.get`.
---@class polytree.protocol.PathGetResult
---@field home string The user's home.
---@field config string The user's settings.
---@field data string The store, logs and keys.
---@field worktree string The checkout in use.
---@field directory string The directory.

--- An open permission question.
---@class polytree.protocol.Permission
---@field id polytree.protocol.PermissionId The question's id.
---@field sessionID polytree.protocol.SessionId The session that asks.
---@field messageID polytree.protocol.MessageId The assistant message that holds the tool call.
---@field callID string The tool call.
---@field type string The permission's type, such as `bash` or `edit`.
---@field patterns string[] What is asked for.
---@field always string[] What "always" would grant.
---@field title string One line for people.
---@field metadata polytree.protocol.PermissionMetadata More about what is asked, as far as clients can use it.
---@field time polytree.protocol.PermissionTime When it was asked.

--- Permission rules: an action for everything, or a map from a permission type to an action or to a map from patterns to actions. The order of keys is kept; of the matching rules the last one wins.
---@class polytree.protocol.PermissionConfig.2
---@field read? polytree.protocol.PermissionSetting Reading files.
---@field edit? polytree.protocol.PermissionSetting Changing files, with whatever tool.
---@field bash? polytree.protocol.PermissionSetting Running commands.
---@field grep? polytree.protocol.PermissionSetting Searching in files.
---@field glob? polytree.protocol.PermissionSetting Finding files by name.
---@field list? polytree.protocol.PermissionSetting Listing directories.
---@field webfetch? polytree.protocol.PermissionSetting Fetching web pages; not used yet.
---@field task? polytree.protocol.PermissionSetting Starting child sessions; patterns are names of agents.
---@field skill? polytree.protocol.PermissionSetting Loading skills; not used yet.
---@field todo? polytree.protocol.PermissionSetting Keeping the task list.
---@field question? polytree.protocol.PermissionSetting Asking the user questions; not used yet.
---@field external_directory? polytree.protocol.PermissionSetting Touching files outside the worktree; patterns are directories.
---@field ["repeat"]? polytree.protocol.PermissionSetting Making the same call again and again.
---@field mcp? polytree.protocol.PermissionSetting Calling tools of MCP servers; not used yet.
---@field plugin? polytree.protocol.PermissionSetting Calling tools of plugins; not used yet.
---@field sandbox? polytree.protocol.PermissionSetting Leaving the sandbox; patterns are those of `bash`.
---@field ["*"]? polytree.protocol.PermissionSetting Everything.
---@alias polytree.protocol.PermissionConfig polytree.protocol.Action|polytree.protocol.PermissionConfig.2

--- Params of `permission.grants`.
---@class polytree.protocol.PermissionGrantsParams
---@field sessionID? polytree.protocol.SessionId|nil Only what holds in this session: the project's grants and its own.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A permission question.
---@alias polytree.protocol.PermissionId string

--- Params of `permission.list`.
---@class polytree.protocol.PermissionListParams
---@field sessionID? polytree.protocol.SessionId|nil Only this session and its descendants.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- More about a question. What is there depends on the permission's type and on what asks; a command also asks for the types `read`, `edit`, `external_directory` and `sandbox`.
---@class polytree.protocol.PermissionMetadata
---@field command? string|nil Of a command: the line as it will run.
---@field shown? string|nil The line with what cannot be seen as `\u{202e}`, where that differs.
---@field description? string|nil Of a command: what it does, in the model's words.
---@field workdir? string|nil Of a command: the directory in which it runs.
---@field directories? string[]|nil Of a command: patterns of the places outside of the worktree, and of those that hold keys, that it works in.
---@field understood? boolean|nil Of a command: false where it cannot be told what it runs.
---@field denies? string[]|nil Where a command is not understood: the patterns that rules deny. `polytree run --yes` rejects the question.
---@field git? string[]|nil Of a git command: what the repository's settings could make it run.
---@field bound? table<string, string[]>|nil Of a command that is granted for one place only: by what names grants know it.
---@field sandbox? polytree.protocol.SandboxReport|nil Of a command: what it would run in.
---@field reason? string|nil Of the type `sandbox`: why it should run outside of it.
---@field filePath? string|nil Of a file: its absolute path.
---@field diff? string|nil Of the type `edit`: the change as a unified diff.
---@field version? string|nil Of the type `edit`: BLAKE3 of the file as it is, in hexadecimal; absent where it is new.
---@field directory? string|nil Of the type `external_directory`: the directory that "always" grants.
---@field pattern? string|nil Of a search: its pattern.
---@field path? string|nil Of a search or a list: where.
---@field include? string|nil Of a search: only files whose path matches this.
---@field files? string[]|nil Of a search: the files in which matches were found and which a rule asks for.
---@field tool? string|nil Of the type `repeat`: the tool that is called again and again.
---@field input? any Of the type `repeat`: its arguments.

--- How a question ended.
---@alias polytree.protocol.PermissionOutcome "once"|"always"|"reject"|"aborted"|"expired"

--- How a permission question ended.
---@class polytree.protocol.PermissionRepliedInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field permissionID polytree.protocol.PermissionId The question.
---@field response polytree.protocol.PermissionOutcome How it ended.

--- Params of `permission.reply`.
---@class polytree.protocol.PermissionReplyParams
---@field sessionID polytree.protocol.SessionId The session that asked.
---@field permissionID polytree.protocol.PermissionId The question.
---@field response polytree.protocol.PermissionResponse The answer.
---@field scope? polytree.protocol.GrantScope|nil With `always`: where it holds; default: in the project.
---@field always? string[]|nil With `always`: what is granted in place of all that `always` of the question offers: some of those patterns, or narrower ones. At most 1,000.
---@field message? string|nil With `reject`: a message for the model; the turn then continues.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- An answer of the user.
---@alias polytree.protocol.PermissionResponse "once"|"always"|"reject"

--- Params of `permission.revoke`.
---@class polytree.protocol.PermissionRevokeParams
---@field id polytree.protocol.GrantId The grant to take back.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What the settings say about one permission type: an action for everything, or a map from patterns to actions.
---@alias polytree.protocol.PermissionSetting polytree.protocol.Action|table<string, polytree.protocol.Action>

--- When a question was asked.
---@class polytree.protocol.PermissionTime
---@field created integer Milliseconds since 1970.

--- A repository with all its worktrees, or a directory outside git.
---@class polytree.protocol.Project
---@field id polytree.protocol.ProjectId The project's id; the same for all worktrees of one clone.
---@field worktree string The main checkout, as an absolute real path.
---@field vcs? polytree.protocol.Vcs|nil The version control system.
---@field name? string|nil A name for people.
---@field missing? boolean The directory is gone.
---@field trusted boolean The project's own settings may be used.
---@field pending? string[] Files that wait for trust: new or changed since it was given.
---@field time polytree.protocol.ProjectTime When.

--- Params of `project.current`.
---@class polytree.protocol.ProjectCurrentParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `project.forget`, which needs the `projectID`.
---@class polytree.protocol.ProjectForgetParams
---@field sessions? boolean|nil Delete its sessions too; otherwise a project with sessions is not forgotten.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A project.
---@alias polytree.protocol.ProjectId string

--- A project.
---@class polytree.protocol.ProjectInfo
---@field info polytree.protocol.Project The project.

--- Params of `project.init`.
---@class polytree.protocol.ProjectInitParams
---@field git? boolean|nil Initialise a git repository if there is none.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `project.list`.
---@class polytree.protocol.ProjectListParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A project's id.
---@class polytree.protocol.ProjectOnly
---@field projectID polytree.protocol.ProjectId The project.

--- Times of a project, in milliseconds since 1970.
---@class polytree.protocol.ProjectTime
---@field created integer First seen.
---@field updated integer Last used.
---@field initialized? integer|nil When its AGENTS.md was written by `session.init`.

--- Params of `project.trust`.
---@class polytree.protocol.ProjectTrustParams
---@field trusted boolean Whether the project's own settings and agents may be used.
---@field digest? string|nil With `trusted: true`: `digest` of `config.sources`. If a file has changed since, the error is `conflict`.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `project.update`.
---@class polytree.protocol.ProjectUpdateParams
---@field name string The new name, kept as one line of at most 500 characters without control characters; empty takes it away.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How a model samples and how long its answers may be, for one turn; what is absent is as the agent has it.
---@class polytree.protocol.PromptOptions
---@field temperature? number|nil Sampling temperature, from 0 to 2; only for models that take one.
---@field topP? number|nil Nucleus sampling, above 0 and up to 1; only for models that take a temperature.
---@field maxOutputTokens? integer|nil The longest answer in tokens, from 1; beyond the model's own limit that one counts.

--- The state of a prompt. `message.updated` reports each change.
---@alias polytree.protocol.PromptState "queued"|"running"|"answered"|"cancelled"

--- A model service.
---@class polytree.protocol.Provider
---@field id string The id, such as `anthropic`.
---@field name string The name for people.
---@field env string[] The environment variables that may hold its key.
---@field api string The wire protocol: `openai`, `openai-responses`, `anthropic`, `gemini`, `ollama`, or one that only this daemon knows.
---@field key? polytree.protocol.KeySource|nil Where its key comes from; absent: it has none.
---@field ["local"]? boolean A server that was found running on this machine. It is never a default: name one of its models to use it.
---@field models table<string, polytree.protocol.Model> Its models by id.

--- A provider in the settings.
---@class polytree.protocol.ProviderConfig
---@field api? string|nil The wire protocol: `openai` (Chat Completions, and whatever is compatible with it), `openai-responses`, `anthropic`, `gemini`, `ollama` (its own protocol, which is told the model's context limit), or `scripted`.
---@field name? string|nil The name for people.
---@field env? string[]|nil The environment variables that may hold its key; the first one that is set counts.
---@field options? polytree.protocol.ProviderOptions How it is reached.
---@field models? table<string, polytree.protocol.ModelConfig> Its models by id: changes to known ones, and new ones.

--- Params of `provider.list`.
---@class polytree.protocol.ProviderListParams
---@field all? boolean|nil Also the services that only a refreshed catalogue knows, and that neither the settings nor a stored key name.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `provider.list`.
---@class polytree.protocol.ProviderListResult
---@field providers polytree.protocol.Provider[] All known providers.
---@field default table<string, string> The model used of each provider when only the provider is named.
---@field connected string[] The ids of the providers that can be used now.
---@field catalog? polytree.protocol.CatalogInfo Where names, limits and prices come from.
---@field problems? string[] What is wrong with the catalogue's copy, the key store or the variables that the settings name, for people.
---@field used? polytree.protocol.ModelRef|nil The model of a prompt that names none, in a session and with an agent that name none either.

--- How a provider is reached. Keys that are not listed are merged into the body of each request.
---@class polytree.protocol.ProviderOptions
---@field apiKey? string|nil The key; better as `{env:NAME}` or `{file:PATH}`.
---@field baseURL? string|nil The address before the paths of the wire protocol, such as `http://127.0.0.1:8080/v1`; default: where the protocol's maker serves it, for `ollama` `http://127.0.0.1:11434`.
---@field headers? table<string, string> Further HTTP headers.
---@field timeout? integer|nil How long the service may be silent, in milliseconds; default 300,000.
---@field connectTimeout? integer|nil How long a connection may take to be made, in milliseconds; default 30,000.
---@field proxy? string|nil The proxy, such as `http://user:password@host:3128` or `socks5://host:1080`; `none` for none. Default: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the client say. Loopback is never asked for by a proxy.
---@field ca? string|nil A file with certificates (PEM) of authorities that are trusted beside the system's; absolute, or with `~/`.
---@field trustedURLs? string[] Addresses to which a project's settings may send this provider's key with their `baseURL` or `proxy`: these and what lies below them; only in the user's own settings.

--- A question of the model to the user.
---@alias polytree.protocol.QuestionId string

--- Result of `session.steer` and `session.queue.replace`.
---@class polytree.protocol.QueuedMessage
---@field messageID polytree.protocol.MessageId The user message.

--- A prompt that waits.
---@class polytree.protocol.QueuedPrompt
---@field messageID polytree.protocol.MessageId The user message.
---@field parts polytree.protocol.Part[] Its parts.
---@field steers? boolean Whether it enters the running turn at its next step. Otherwise it becomes a turn of its own.

--- Arguments of `read`.
---@class polytree.protocol.ReadInput
---@field filePath string The file or directory.
---@field offset? integer|nil The first line, from 1.
---@field limit? integer|nil How many lines.

--- What a read file reports.
---@class polytree.protocol.ReadMetadata
---@field preview? string|nil The first lines.
---@field mime? string|nil The media type of an image or document.
---@field truncated boolean There is more than the model got.
---@field lines? integer|nil How many lines the file has, where that is known.
---@field unsaved? boolean|nil The text was one that an editor has not saved.
---@field outputPath? string|nil The file with the whole result.

--- What the model thought.
---@class polytree.protocol.ReasoningPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field text string The text, exactly as it came.
---@field metadata? any What the provider attached, such as its signature.
---@field time polytree.protocol.Span When it was streamed.

--- A model call failed and is tried again.
---@class polytree.protocol.RetryPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field attempt integer Which attempt failed, from 1.
---@field error polytree.protocol.MessageError How it failed.
---@field withoutAttachments? boolean The service refused the request, and it is sent again without the images and documents of the conversation. This model is not sent those again.
---@field time polytree.protocol.Created When.

--- What happens to a file.
---@alias polytree.protocol.RevertAction "restore"|"create"|"delete"|"merge"|"skip"|"conflict"

--- What happens to one file.
---@class polytree.protocol.RevertedFile
---@field path string The absolute path.
---@field action polytree.protocol.RevertAction What happens to it.
---@field reason? string|nil Why nothing happens.

--- Params of `rpc.discover`.
---@class polytree.protocol.RpcDiscoverParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A permission rule. The last matching rule wins.
---@class polytree.protocol.Rule
---@field permission string The permission's type, such as `bash` or `edit`; `*` for all.
---@field pattern string What it applies to: a wildcard pattern over a command, path or address.
---@field action polytree.protocol.Action What then.

--- A child session that is in a turn.
---@class polytree.protocol.RunningChild
---@field sessionID polytree.protocol.SessionId The session.
---@field title string What it is about.

--- The sandbox of commands; only in the user's own settings. Paths are absolute or begin with `~/`.
---@class polytree.protocol.SandboxConfig
---@field read? string[] Files and directories that commands may read besides.
---@field write? string[] Files and directories, such as caches, that commands with the policy `workspace` may write besides.
---@field sockets? string[] UNIX sockets that commands may connect to.
---@field environment? string[] Names of variables that commands get although they hold keys of providers.
---@field network? polytree.protocol.SandboxNetwork What commands with the policy `workspace` may reach.
---@field required? boolean Commands that are to run in the sandbox are asked for where it cannot be had whole.

--- The network of commands in the sandbox.
---@class polytree.protocol.SandboxNetwork
---@field domains? string[] Domains that may be reached over HTTP and HTTPS, such as `crates.io`; `*.crates.io` for all below one.
---@field loopback? boolean Servers on this machine may be reached too.

--- What a command may touch.
---@alias polytree.protocol.SandboxPolicy "read-only"|"workspace"|"off"

--- What is enforced of a policy, and what is not.
---@class polytree.protocol.SandboxPromise
---@field enforced polytree.protocol.SandboxWord[] What is.
---@field missing polytree.protocol.SandboxWord[] What is not.

--- What a command runs in, as far as this machine can enforce it: `metadata.sandbox` of a `bash` call and of a question. The last three fields are there when the command has ended.
---@class polytree.protocol.SandboxReport
---@field policy polytree.protocol.SandboxPolicy The policy.
---@field enforced polytree.protocol.SandboxWord[] What is enforced.
---@field missing polytree.protocol.SandboxWord[] What is not.
---@field refused? string[] The lines of the output that tell of a refusal, which the sandbox may have caused; the first few.
---@field restored? string[] Files by which programs are run, which the command has changed. They were put back as they were.
---@field repositories? string[] Directories in which the command has created a git repository: its settings and hooks can name programs.

--- A part of what a policy promises.
---@alias polytree.protocol.SandboxWord "read"|"write"|"git"|"network"|"domains"|"sockets"|"signals"

--- The daemon itself. Read when it starts.
---@class polytree.protocol.ServerConfig
---@field idle_timeout? integer How long a daemon that a client started keeps running without a client, a running turn, a waiting prompt, or a listener on the network, in milliseconds; 0: no limit.

--- Params of `server.diagnose`. The settings that are checked are those of the directory.
---@class polytree.protocol.ServerDiagnoseParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `server.gc`.
---@class polytree.protocol.ServerGcParams
---@field dryRun? boolean Only says what would be removed.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `server.gc`.
---@class polytree.protocol.ServerGcResult
---@field dryRun? boolean Nothing was removed.
---@field kinds polytree.protocol.GcKindResult[] What was removed, or would be, by kind.
---@field databaseBefore integer The size of the database before.
---@field databaseAfter integer The size of the database afterwards.

--- Params of `server.info`.
---@class polytree.protocol.ServerInfoParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `server.info`.
---@class polytree.protocol.ServerInfoResult
---@field version string The executable's version.
---@field protocolVersion integer The version of this contract.
---@field pid integer The daemon's process.
---@field started integer When it started, in milliseconds since 1970.
---@field dataDirectory string The data directory that it owns.
---@field listen string[] Where it listens: the local socket and network addresses.

--- Params of `server.initialize`.
---@class polytree.protocol.ServerInitializeParams
---@field clientInfo? polytree.protocol.ClientInfo|nil Who connects.
---@field capabilities? polytree.protocol.ClientCapabilities|nil What the client can do.
---@field protocolVersion? integer|nil The version of this contract that the client speaks.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `server.initialize`.
---@class polytree.protocol.ServerInitializeResult
---@field serverInfo polytree.protocol.ServerName The daemon.
---@field protocolVersion integer The version of this contract.
---@field connectionID integer This connection, as diagnostics name it.
---@field directory? string|nil The connection's default directory.
---@field project? polytree.protocol.Project|nil The project of that directory.
---@field cursor integer The newest event cursor.
---@field methods string[] Every method that can be called.

--- Params of `server.listen`.
---@class polytree.protocol.ServerListenParams
---@field address string `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one.
---@field allowOrigins? string[]|nil Origins whose pages may connect, such as `https://app.example`; the daemon's own pages always may.
---@field allowHosts? string[]|nil Names, with or without a port, by which clients may reach the listener beside those of loopback.
---@field basePath? string|nil The path below which everything is served, such as `/polytree`.
---@field trustForwarded? boolean|nil Believe the `X-Forwarded-*` headers: only behind a proxy that sets them.
---@field certificate? string|nil The absolute path of the certificate chain in PEM form; with `key`, the listener speaks TLS.
---@field key? string|nil The absolute path of the certificate's private key in PEM form.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `server.listen`.
---@class polytree.protocol.ServerListenResult
---@field url string Where it listens, with the real port.
---@field tokenFile string The file that holds the token which clients must show.

--- The daemon's name and version.
---@class polytree.protocol.ServerName
---@field name string Always `polytree`.
---@field version string The executable's version.

--- Params of `server.stop`.
---@class polytree.protocol.ServerStopParams
---@field mode? polytree.protocol.StopMode|nil Whether turns may end first; default `wait`.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `server.stop`.
---@class polytree.protocol.ServerStopResult
---@field stopping boolean Always true: the daemon ends, and its socket and lock are free when it has.
---@field running integer How many turns it waits for.

--- One conversation.
---@class polytree.protocol.Session
---@field id polytree.protocol.SessionId The session's id.
---@field projectID polytree.protocol.ProjectId The project.
---@field directory string Where it works, as an absolute real path.
---@field missing? boolean The directory is gone.
---@field parentID? polytree.protocol.SessionId|nil The session that started it.
---@field task? polytree.protocol.TaskCall|nil The call of the tool `task` for which it works; absent where a client created it.
---@field title string What it is about: one line of at most 500 characters.
---@field version string The daemon's version that created it.
---@field agent? string|nil The agent for prompts that name none.
---@field model? polytree.protocol.ModelRef|nil The model for prompts that name none.
---@field choice? polytree.protocol.SessionChoice|nil What `session.update` has chosen: it counts before what the agent and the last prompt say.
---@field branch? string|nil The branch of its checkout at its last prompt; absent outside of a repository, and where `HEAD` is detached.
---@field hidden? boolean It is in no list, and its events are sent only to subscriptions with its `sessionID`. So are its descendants.
---@field mode? polytree.protocol.Mode|nil What is done without a question; absent: as the settings have it. A child has that of its root.
---@field permission? polytree.protocol.Rule[] Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final.
---@field share? polytree.protocol.SessionShare|nil Where it is shared.
---@field revert? polytree.protocol.SessionRevert|nil An undo that can still be taken back.
---@field cost number What all its model calls and those of its descendants cost, in US dollars.
---@field tokens polytree.protocol.Tokens What all its model calls and those of its descendants used.
---@field time polytree.protocol.SessionTime When.

--- Params of `session.abort`.
---@class polytree.protocol.SessionAbortParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.children`.
---@class polytree.protocol.SessionChildrenParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What was chosen for prompts that name none.
---@class polytree.protocol.SessionChoice
---@field model? polytree.protocol.ModelRef|nil The model.
---@field variant? string|nil The variant; it is ignored with a model that does not have it.

--- Params of `session.compact`.
---@class polytree.protocol.SessionCompactParams
---@field sessionID polytree.protocol.SessionId The session.
---@field model? polytree.protocol.ModelRef|nil The model that writes the summary. Default: that of the agent `compaction`, else the session's.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How full the context of a session's model is, in tokens.
---@class polytree.protocol.SessionContext
---@field used integer The conversation at the end of the last answer, as the service counted it. 0: there is no answer yet, or the service does not count.
---@field limit integer The context of the model that the next prompt uses. 0: it is not known.
---@field reserved integer How much of it is kept free for the answer.
---@field model polytree.protocol.ModelRef The model that the next prompt uses.

--- Params of `session.context`.
---@class polytree.protocol.SessionContextParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.create`.
---@class polytree.protocol.SessionCreateParams
---@field id? polytree.protocol.SessionId|nil The id that the session shall have: the same id with the same params again returns that session.
---@field parentID? polytree.protocol.SessionId|nil The session that this one belongs to.
---@field title? string|nil What it is about; default: named by the first prompt. Kept as one line of at most 500 characters, without control characters.
---@field agent? string|nil The agent for prompts that name none.
---@field model? polytree.protocol.ModelRef|nil The model for prompts that name none.
---@field mode? polytree.protocol.Mode|nil What is done without a question; default: as the settings have it. A child has that of its root.
---@field permission? polytree.protocol.Rule[]|nil Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final. At most 500.
---@field hidden? boolean|nil Keep it out of `session.list`, and send its events only to subscriptions with its `sessionID`. A child of a hidden session is hidden.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What the next prompt uses if it names nothing itself.
---@class polytree.protocol.SessionDefaults
---@field agent string The agent.
---@field model polytree.protocol.ModelRef The model.
---@field variant? string|nil The variant of the model.
---@field mode polytree.protocol.Mode What is done without a question.
---@field source polytree.protocol.SessionDefaultsSource Where each of them comes from.
---@field problem? string|nil Why the model cannot be used, for people; a prompt is refused for this reason.

--- Params of `session.defaults`.
---@class polytree.protocol.SessionDefaultsParams
---@field sessionID? polytree.protocol.SessionId|nil The session whose next prompt is meant; without it the first prompt of a new session in the directory.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Where the defaults of the next prompt come from.
---@class polytree.protocol.SessionDefaultsSource
---@field agent polytree.protocol.DefaultSource Where the agent comes from.
---@field model polytree.protocol.DefaultSource Where the model comes from.
---@field variant? polytree.protocol.DefaultSource|nil Where the variant comes from; absent where there is none.
---@field mode polytree.protocol.DefaultSource Where the mode comes from.

--- Params of `session.delete`.
---@class polytree.protocol.SessionDeleteParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.diff`.
---@class polytree.protocol.SessionDiffParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID? polytree.protocol.MessageId|nil Only the changes of this message; of a prompt, those of all its answers.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How a turn failed.
---@class polytree.protocol.SessionErrorInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field error polytree.protocol.MessageError How.

--- A whole conversation. `polytree sessions export` writes the same to a file.
---@class polytree.protocol.SessionExport
---@field format integer The version of this form: 1.
---@field session polytree.protocol.Session The session.
---@field messages polytree.protocol.MessageWithParts[] Its messages, oldest first.
---@field todos? polytree.protocol.Todo[] Its task list.

--- Params of `session.export`.
---@class polytree.protocol.SessionExportParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.fork`.
---@class polytree.protocol.SessionForkParams
---@field sessionID polytree.protocol.SessionId The session to copy.
---@field messageID? polytree.protocol.MessageId|nil Copies only the messages before this one; default: all messages of turns that have ended.
---@field id? polytree.protocol.SessionId|nil The id of the new session: the same id with the same params again returns that session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.get`.
---@class polytree.protocol.SessionGetParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A session.
---@alias polytree.protocol.SessionId string

--- Params of `session.import`. The session is created in the directory, with new ids for everything. Its `mode`, `parentID`, `share` and `revert` are dropped: a file cannot grant anything.
---@class polytree.protocol.SessionImportParams
---@field session polytree.protocol.SessionExport What `session.export` returned, in this daemon or another.
---@field id? polytree.protocol.SessionId|nil The id of the new session: the same id with the same params again returns that session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A session.
---@class polytree.protocol.SessionInfo
---@field info polytree.protocol.Session The session.

--- Params of `session.list`.
---@class polytree.protocol.SessionListParams
---@field scope? polytree.protocol.SessionScope|nil Which sessions; default `project`.
---@field search? string|nil Only those whose title contains this, upper or lower case.
---@field roots? boolean|nil Only those that have no parent.
---@field archived? boolean|nil Only those that are archived, or only the others; both if not said.
---@field text? string|nil Only those in whose conversation a text of the user or the model contains this, upper or lower case. At least 2 and at most 500 characters.
---@field limit? integer|nil How many at most: 1 to 1000, default 100.
---@field before? polytree.protocol.SessionId|nil Only those after this one in the list's order.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.message`.
---@class polytree.protocol.SessionMessageParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.messages`.
---@class polytree.protocol.SessionMessagesParams
---@field sessionID polytree.protocol.SessionId The session.
---@field limit? integer|nil The number of messages to return, the last ones; from 1.
---@field before? polytree.protocol.MessageId|nil Only those before this message.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A session's id.
---@class polytree.protocol.SessionOnly
---@field sessionID polytree.protocol.SessionId The session.

--- Params of `session.prompt`.
---@class polytree.protocol.SessionPromptParams
---@field sessionID? polytree.protocol.SessionId|nil The session; without it one is created in the directory.
---@field parts string|polytree.protocol.PartInput[] What is asked: parts, or a plain text.
---@field messageID? polytree.protocol.MessageId|nil The id that the user message shall have: the same id with the same params again joins that turn.
---@field model? polytree.protocol.ModelRef|nil The model; default: the one chosen by `session.update`, the agent's, the session's last, the settings'.
---@field agent? string|nil The agent; default: the session's, else `build`.
---@field system? string|nil Replaces the agent's system prompt.
---@field tools? table<string, boolean>|nil Tools switched on or off, by name or wildcard.
---@field variant? string|nil The variant of the model, such as `high`; default: the one chosen by `session.update`, the agent's. `variants` of a model names them.
---@field options? polytree.protocol.PromptOptions|nil How the model samples and how long its answers may be; default: as the agent has it.
---@field format? polytree.protocol.OutputFormat|nil The form of the answer; default: words.
---@field mode? polytree.protocol.Mode|nil What is done without a question in this turn; default: as the session has it.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A session's queue.
---@class polytree.protocol.SessionQueueInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field queue polytree.protocol.MessageId[] The user messages that wait, in order.

--- Params of `session.queue.move`.
---@class polytree.protocol.SessionQueueMoveParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The prompt to move.
---@field before? polytree.protocol.MessageId|nil The prompt that it is to come before; default: it comes last.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.queue`.
---@class polytree.protocol.SessionQueueParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.queue.remove`.
---@class polytree.protocol.SessionQueueRemoveParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The prompt. It stays a message, with the state `cancelled`.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.queue.replace`.
---@class polytree.protocol.SessionQueueReplaceParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The prompt to change. Its place in the queue, agent and model stay.
---@field parts string|polytree.protocol.PartInput[] What is asked instead: parts, or a plain text.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.queue.steer`.
---@class polytree.protocol.SessionQueueSteerParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The prompt that is to enter the running turn.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- An undo that can still be taken back.
---@class polytree.protocol.SessionRevert
---@field messageID polytree.protocol.MessageId The first message that is undone.
---@field partID? polytree.protocol.PartId|nil The first part that is undone.
---@field files? polytree.protocol.RevertedFile[] What happened to each file.
---@field uncovered? string[] Files and directories that the session may have changed and that stay as they are, because no image was stored.
---@field reasons? table<string, string> Why they stay as they are, by path.
---@field preview? boolean This is only what would happen.
---@field snapshot? string|nil The stored change set with which it is taken back; absent if no file changed.

--- Params of `session.revert`.
---@class polytree.protocol.SessionRevertParams
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The first message to undo. An answer is undone with its prompt.
---@field partID? polytree.protocol.PartId|nil The first part to undo: the earlier parts of the message stay. Without a text or tool call before it, the whole message is undone.
---@field preview? boolean Returns what would happen, and changes nothing.
---@field partial? boolean Leaves files in conflict as they are and undoes the rest.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Which sessions a list holds.
---@alias polytree.protocol.SessionScope "directory"|"project"|"all"

--- Where a session is shared.
---@class polytree.protocol.SessionShare
---@field url string The address.

--- What a session is doing.
---@class polytree.protocol.SessionStatus.1
---@field type "idle"
---@class polytree.protocol.SessionStatus.2
---@field type "busy"
---@class polytree.protocol.SessionStatus.3: polytree.protocol.StatusWaiting
---@field type "waiting"
---@class polytree.protocol.SessionStatus.4: polytree.protocol.StatusRetry
---@field type "retry"
---@alias polytree.protocol.SessionStatus polytree.protocol.SessionStatus.1|polytree.protocol.SessionStatus.2|polytree.protocol.SessionStatus.3|polytree.protocol.SessionStatus.4

--- A session's status.
---@class polytree.protocol.SessionStatusInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field status polytree.protocol.SessionStatus Its status now.

--- Params of `session.status`.
---@class polytree.protocol.SessionStatusParams
---@field sessionID? polytree.protocol.SessionId|nil Only this session and its descendants.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.steer`.
---@class polytree.protocol.SessionSteerParams
---@field sessionID polytree.protocol.SessionId The session.
---@field parts string|polytree.protocol.PartInput[] What the model is told: parts, or a plain text.
---@field messageID? polytree.protocol.MessageId|nil The id that the user message shall have: the same id with the same params again changes nothing.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.submit`.
---@class polytree.protocol.SessionSubmitParams
---@field sessionID? polytree.protocol.SessionId|nil The session; without it one is created in the directory.
---@field parts string|polytree.protocol.PartInput[] What is asked: parts, or a plain text.
---@field messageID? polytree.protocol.MessageId|nil The id that the user message shall have: the same id with the same params again joins that turn.
---@field model? polytree.protocol.ModelRef|nil The model; default: the one chosen by `session.update`, the agent's, the session's last, the settings'.
---@field agent? string|nil The agent; default: the session's, else `build`.
---@field system? string|nil Replaces the agent's system prompt.
---@field tools? table<string, boolean>|nil Tools switched on or off, by name or wildcard.
---@field variant? string|nil The variant of the model, such as `high`; default: the one chosen by `session.update`, the agent's. `variants` of a model names them.
---@field options? polytree.protocol.PromptOptions|nil How the model samples and how long its answers may be; default: as the agent has it.
---@field format? polytree.protocol.OutputFormat|nil The form of the answer; default: words.
---@field mode? polytree.protocol.Mode|nil What is done without a question in this turn; default: as the session has it.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Result of `session.submit`.
---@class polytree.protocol.SessionSubmitResult
---@field sessionID polytree.protocol.SessionId The session, which may have been created by this call.
---@field messageID polytree.protocol.MessageId The stored user message.
---@field queued boolean It waits for a running turn to end.

--- Times of a session, in milliseconds since 1970.
---@class polytree.protocol.SessionTime
---@field created integer When it was created.
---@field updated integer When it last changed.
---@field archived? integer|nil When it was archived.

--- Params of `session.todo`.
---@class polytree.protocol.SessionTodoParams
---@field sessionID polytree.protocol.SessionId The session.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.unrevert`.
---@class polytree.protocol.SessionUnrevertParams
---@field sessionID polytree.protocol.SessionId The session.
---@field preview? boolean Returns what would happen, and changes nothing.
---@field partial? boolean Leaves files in conflict as they are and restores the rest.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Params of `session.update`.
---@class polytree.protocol.SessionUpdateParams
---@field sessionID polytree.protocol.SessionId The session.
---@field title? string|nil The new title; kept as one line of at most 500 characters, without control characters.
---@field archived? boolean|nil Archive it, or take it out of the archive.
---@field agent? string|nil The agent of prompts that name none, from the next prompt on. Without a `model` beside it, a model that was chosen here before no longer counts, so that the agent's own does.
---@field model? polytree.protocol.ModelRef|nil The model of prompts that name none, from the next prompt on, also where the agent has one of its own.
---@field variant? string|nil The variant for prompts that name none, which the model must have; empty: the agent's again. Without it, a new model has the agent's variant.
---@field mode? polytree.protocol.Mode|nil What is done without a question, from the next tool call on. A child has that of its root.
---@field permission? polytree.protocol.Rule[]|nil The session's rules from the next tool call on, in place of those before; empty: none.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How grave an advice is.
---@alias polytree.protocol.Severity "error"|"warning"|"info"

--- A recorded state of the work tree. The daemon makes none: `patch` parts take its place. Conversations from elsewhere may have it.
---@class polytree.protocol.SnapshotPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field snapshot string Its id.

--- A span of time; without `end` it still runs.
---@class polytree.protocol.Span
---@field start integer Milliseconds since 1970.
---@field ["end"]? integer|nil Milliseconds since 1970.

--- When a failed model call is tried again.
---@class polytree.protocol.StatusRetry
---@field attempt integer Which attempt failed, from 1.
---@field message string How it failed.
---@field next integer When it is tried again, in milliseconds since 1970.

--- What a waiting session waits for.
---@class polytree.protocol.StatusWaiting
---@field permissionID? polytree.protocol.PermissionId|nil The permission question.
---@field questionID? polytree.protocol.QuestionId|nil The model's question.
---@field since integer Since when, in milliseconds since 1970.

--- A model call has ended.
---@class polytree.protocol.StepFinishPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field reason string Why: `stop`, `tool-calls`, `length`, `content-filter`, `error` or `other`.
---@field snapshot? string|nil The state of the work tree after it. The daemon does not set it: see `patch`.
---@field cost number What this call cost, in US dollars.
---@field tokens polytree.protocol.Tokens What this call used.

--- A model call begins.
---@class polytree.protocol.StepStartPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field snapshot? string|nil The state of the work tree before it. The daemon does not set it: see `patch`.

--- How the daemon stops.
---@alias polytree.protocol.StopMode "wait"|"now"

--- The daemon's store.
---@class polytree.protocol.StorageConfig
---@field durability? polytree.protocol.Durability What a committed change survives.
---@field log_days? integer The age up to which events are kept, in days.
---@field log_bytes? integer How large the event log may become, in bytes.
---@field output_days? integer The age up to which whole outputs of tools are kept, in days; 0: no limit.
---@field output_bytes? integer How large all whole outputs of tools may become, in bytes; 0: no limit.
---@field snapshot_days? integer The age up to which the contents of changed files are kept for undo, in days; 0: no limit.
---@field snapshot_bytes? integer How large all contents for undo may become, in bytes; 0: no limit.
---@field archived_days? integer How long archived sessions are kept, in days since they were archived; 0: no limit. Other sessions are never deleted.
---@field archived_bytes? integer How large all archived sessions may become, in bytes; 0: no limit.

--- Work for a child session.
---@class polytree.protocol.SubtaskPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field prompt string What the child is asked.
---@field description string A few words for people.
---@field agent string The agent that does it.
---@field model? polytree.protocol.ModelRef|nil The model that it uses.

--- A definition in a file.
---@class polytree.protocol.Symbol
---@field name string Its name.
---@field kind integer Its kind, a number of the language server protocol's `SymbolKind`; another name for a type is 26.
---@field containerName? string|nil The name of what contains it: a type, a module, a package, a function.
---@field path string The file, relative to the directory.
---@field location polytree.protocol.SymbolLocation Where the whole definition is.
---@field selectionRange polytree.protocol.SymbolRange Where the name is.

--- Params of `symbol.find`.
---@class polytree.protocol.SymbolFindParams
---@field query string The name, or some of its letters in their order; a capital letter means that the case of letters counts. Several words must all be in it. What is before `::`, `.`, `#` or `->` is searched in the name of what contains the symbol. Empty: what is at the top of each file, in the order of the files.
---@field limit? integer|nil The maximum number of symbols, 1 to 1000; default 50.
---@field kinds? integer[]|nil Only these kinds, as numbers of the language server protocol's `SymbolKind` (1 to 26); default: all.
---@field path? string|nil Only in this file or below this directory, relative to the directory or absolute; it must be inside of it.
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- A place in a file.
---@class polytree.protocol.SymbolLocation
---@field uri string The file as a `file://` address, percent-encoded.
---@field range polytree.protocol.SymbolRange The part of it.

--- A position in a text.
---@class polytree.protocol.SymbolPosition
---@field line integer The line, from 0.
---@field character integer The column, from 0, in UTF-16 units.

--- A part of a text.
---@class polytree.protocol.SymbolRange
---@field start polytree.protocol.SymbolPosition Where it begins.
---@field ["end"] polytree.protocol.SymbolPosition Its end, exclusive.

--- The call of the tool `task` for which a session works. It can do no more than the agent that made the call.
---@class polytree.protocol.TaskCall
---@field messageID polytree.protocol.MessageId The message of the parent that holds the call.
---@field callID string The call.
---@field caller string The agent that made the call.
---@field tools? table<string, boolean> The tools that were switched on or off for the caller's prompt.
---@field background? boolean The call did not wait for its end.
---@field told? boolean The parent has been told how it ended.

--- Limits of child sessions that models start with the tool `task`.
---@class polytree.protocol.TaskConfig
---@field depth? integer How deep they may be below the root session; 0: none are started.
---@field children? integer How many may work at once below the root session.
---@field timeout? integer|nil How long one may work for a call, in milliseconds; the time in which it waits for an answer of the user does not count. Default: no limit.

--- Arguments of `task`.
---@class polytree.protocol.TaskInput
---@field description string What it is about, in a few words.
---@field prompt string What the agent is asked.
---@field subagent_type string The agent.
---@field task_id? polytree.protocol.SessionId|nil The session of an earlier call, to continue it.
---@field background? boolean|nil Do not wait for the end: the model is told of it at a later step.

--- What a child session reports.
---@class polytree.protocol.TaskMetadata
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId Its prompt.
---@field agent string The agent that works in it.
---@field model polytree.protocol.ModelRef Its model.
---@field status polytree.protocol.TaskStatus How far it is; of a call in the background: when the call returned.
---@field reason? string|nil Why it is not finished.
---@field background? boolean|nil The call did not wait for its end.
---@field calls? integer|nil How many tools it has called.
---@field cost? number|nil What its model calls and those of its descendants cost for this call, in US dollars.
---@field tokens? polytree.protocol.Tokens|nil What these used.
---@field truncated? boolean|nil The model got only a part of the result.
---@field outputPath? string|nil The file with the whole result.

--- How far a child session is.
---@alias polytree.protocol.TaskStatus "running"|"finished"|"partial"|"failed"

--- How capital and small letters compare.
---@alias polytree.protocol.TextCase "smart"|"sensitive"|"insensitive"

--- One change of a text.
---@class polytree.protocol.TextChange
---@field range? polytree.protocol.TextRange|nil What is replaced; absent: the whole text.
---@field text string The new text.

--- A line without a match beside one with.
---@class polytree.protocol.TextContext
---@field path string The file, relative to the directory, with `/` between names.
---@field line integer The number of the line, from 1.
---@field text string The line without its ending, at most 4 KiB.
---@field after? integer|nil How many bytes stand after `text`, where some were cut off.
---@field lossy? boolean|nil True where bytes were replaced, so that `text` is not what the file holds.

--- How a search went.
---@class polytree.protocol.TextEnd
---@field files integer The number of searched files, including binary ones.
---@field matches integer How many items `match` were given.
---@field truncated boolean Whether there are more.
---@field unreadable integer How many files could not be read.
---@field elapsed integer How long it took, in milliseconds.

--- Params of `text.find` and `text.subscribe`. What ignore files name is not searched, hidden files are, and what editors hold unsaved is searched in place of what the disk holds.
---@class polytree.protocol.TextFindParams
---@field pattern string The regular expression, in the syntax of Rust's `regex` crate; with `fixed` the text itself. Without `multiline` it matches within lines.
---@field sessionID? polytree.protocol.SessionId|nil Search in this session's directory.
---@field fixed? boolean The pattern is the text to find and no regular expression.
---@field letterCase? polytree.protocol.TextCase|nil Whether case matters; default `smart`.
---@field word? boolean Only whole words: no word character on either side.
---@field multiline? boolean Matches may go over several lines. Files over 64 MiB are left out then.
---@field include? string[] Only files that one of these patterns fits, or a directory that they are in. Patterns are written as in an ignore file, relative to the directory: `*.rs`, `src/**/*.ts`, `docs`. They bring back nothing ignored.
---@field exclude? string[] Neither files nor directories that one of these patterns fits; written like those of `include`.
---@field types? string[] Only files of these types, by ripgrep's names: `rust`, `py`, `ts`; `all` is every file whose type is known.
---@field context? integer|nil How many lines before and after each match are given too, as items `context`; at most 100.
---@field path? string|nil The file or directory to search, below the directory; relative to it or absolute. A file is searched also where it is ignored.
---@field limit? integer|nil The maximum number of matches, 1 to 100000; default 1000. `text.find` returns the first ones by path and line, and never more than 28 MiB.
---@field limitPerFile? integer|nil How many matches at most in one file; all if not said.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What a search gives.
---@class polytree.protocol.TextItem.1: polytree.protocol.TextMatch
---@field type "match"
---@class polytree.protocol.TextItem.2: polytree.protocol.TextContext
---@field type "context"
---@class polytree.protocol.TextItem.3: polytree.protocol.TextTruncated
---@field type "truncated"
---@class polytree.protocol.TextItem.4: polytree.protocol.TextEnd
---@field type "end"
---@alias polytree.protocol.TextItem polytree.protocol.TextItem.1|polytree.protocol.TextItem.2|polytree.protocol.TextItem.3|polytree.protocol.TextItem.4

--- A line with matches; with `multiline` the lines that the matches go over.
---@class polytree.protocol.TextMatch
---@field path string The file, relative to the directory, with `/` between names.
---@field line integer The number of the line, or of the first one, from 1.
---@field column integer Where in it the first match begins, from 1, in UTF-16 code units of the whole line: an LSP position's `character` is one less.
---@field text string The text without its last line ending, at most 4 KiB: of a longer one, the part around the first match. What is no UTF-8 is replaced by U+FFFD.
---@field submatches polytree.protocol.TextSubmatch[] The matches in `text`. Those beyond its end are left out.
---@field before? integer|nil How many bytes of the line stand before `text`, where some were cut off.
---@field after? integer|nil How many bytes stand after `text`, where some were cut off.
---@field lossy? boolean|nil True where bytes were replaced, so that `text` is not what the file holds.

--- Text of the user or the model.
---@class polytree.protocol.TextPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field text string The text, exactly as it came.
---@field synthetic? boolean Added by the daemon, not typed by the user.
---@field time? polytree.protocol.Span|nil When it was streamed.
---@field metadata? any What the provider attached.

--- A place between two characters of a text.
---@class polytree.protocol.TextPosition
---@field line integer The line, from 0. Lines end with `\n`, `\r\n` or `\r` and with nothing else.
---@field character integer How many UTF-16 code units of the line stand before the place. Beyond the line's end it means the end, before the line break.

--- A part of a text.
---@class polytree.protocol.TextRange
---@field start polytree.protocol.TextPosition Where it begins.
---@field ["end"] polytree.protocol.TextPosition Where it ends; not before its start.

--- The position of a match in a text.
---@class polytree.protocol.TextSubmatch
---@field start integer Where it begins, in bytes of the text's UTF-8, from 0.
---@field ["end"] integer Where it ends.
---@field utf16? polytree.protocol.Utf16Range|nil The same in UTF-16 code units; absent where the numbers are the same because the text is ASCII.

--- There are more matches than were asked for, or than fit into one answer.
---@class polytree.protocol.TextTruncated
---@field limit integer How many matches were given.

--- Params of `text.unsubscribe`.
---@class polytree.protocol.TextUnsubscribeParams
---@field subscription integer The subscription's id.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- One entry of the task list.
---@class polytree.protocol.Todo
---@field content string What is to be done.
---@field status string `pending`, `in_progress`, `completed` or `cancelled`.
---@field priority string `high`, `medium` or `low`.

--- A task list.
---@class polytree.protocol.TodoInfo
---@field sessionID polytree.protocol.SessionId The session.
---@field todos polytree.protocol.Todo[] The whole list.

--- What the task list reports.
---@class polytree.protocol.TodoMetadata
---@field todos polytree.protocol.Todo[] The whole list.

--- Arguments of `todoread`: none.
---@alias polytree.protocol.TodoReadInput table<string, any>

--- Arguments of `todowrite`.
---@class polytree.protocol.TodoWriteInput
---@field todos polytree.protocol.Todo[] The whole list.

--- Tokens, as the provider counted them; `input` excludes what came from the cache.
---@class polytree.protocol.Tokens
---@field input integer Read, not from the cache.
---@field output integer Written, without the thinking.
---@field reasoning integer Thought.
---@field cache polytree.protocol.CacheTokens The provider's cache.

--- A call that gave a result.
---@class polytree.protocol.ToolCompleted
---@field input any The arguments.
---@field output string What the model reads.
---@field title string One line for people.
---@field metadata any More for clients.
---@field time polytree.protocol.ToolTime When it ran.
---@field attachments? polytree.protocol.Attachment[] Images and files for the model.

--- A call that failed.
---@class polytree.protocol.ToolFailed
---@field input any The arguments.
---@field error string What the model reads.
---@field metadata? any More for clients; `aborted: true` where the turn was aborted.
---@field time polytree.protocol.Span When it ran.

--- A tool that a model is offered.
---@class polytree.protocol.ToolInfo
---@field id string The name that the model calls.
---@field description string What the model reads about it.
---@field parameters any The JSON Schema of its arguments.

--- Params of `tool.list`.
---@class polytree.protocol.ToolListParams
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- How much of a tool's output the model reads; the rest is kept in a file.
---@class polytree.protocol.ToolOutputConfig
---@field max_lines? integer The most lines.
---@field max_bytes? integer The most bytes.

--- A tool call and its result.
---@class polytree.protocol.ToolPart
---@field id polytree.protocol.PartId The part's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field messageID polytree.protocol.MessageId The message.
---@field callID string The provider's id of the call.
---@field tool string The tool's name.
---@field subject? string|nil What the call is about, in one line: the command, the file, the pattern. Absent while the model still writes the call, and where only the arguments tell.
---@field state polytree.protocol.ToolState How far it is.
---@field metadata? any What the provider attached to the call, to be sent back with it.

--- A call that has not started.
---@class polytree.protocol.ToolPending
---@field input? table<string, any> The arguments, once complete.
---@field raw? string The arguments as the model wrote them.

--- A call that runs.
---@class polytree.protocol.ToolRunning
---@field input any The arguments.
---@field title? string|nil One line for people.
---@field metadata? any What the tool reports while it runs.
---@field time polytree.protocol.Span Since when.

--- How far a tool call is.
---@class polytree.protocol.ToolState.1: polytree.protocol.ToolPending
---@field status "pending"
---@class polytree.protocol.ToolState.2: polytree.protocol.ToolRunning
---@field status "running"
---@class polytree.protocol.ToolState.3: polytree.protocol.ToolCompleted
---@field status "completed"
---@class polytree.protocol.ToolState.4: polytree.protocol.ToolFailed
---@field status "error"
---@alias polytree.protocol.ToolState polytree.protocol.ToolState.1|polytree.protocol.ToolState.2|polytree.protocol.ToolState.3|polytree.protocol.ToolState.4

--- When a call ran that gave a result.
---@class polytree.protocol.ToolTime
---@field start integer Milliseconds since 1970.
---@field ["end"]? integer|nil Milliseconds since 1970.
---@field compacted? integer|nil Since when the model does not read the output any more, in milliseconds since 1970. The output stays in the part.

--- What happens to a tool's change when the editor that holds the file open does not answer.
---@alias polytree.protocol.Unanswered "refuse"|"disk"

--- A model of a provider that can be used.
---@class polytree.protocol.UsableModel
---@field providerID string The provider's id.
---@field modelID string The model's id at that provider.
---@field default boolean It is the one used when only the provider is named.
---@field ["local"]? boolean It is served on this machine, by a server that was found running.
---@field info polytree.protocol.Model What is known about it.

--- What totals are of.
---@alias polytree.protocol.UsageBy "day"|"project"|"model"

--- Params of `usage.list`. A `directory` or `projectID` means that project alone.
---@class polytree.protocol.UsageListParams
---@field since? integer|nil Only what was used from then on, in milliseconds since 1970.
---@field by polytree.protocol.UsageBy What the totals are of.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- What was used in a day, in a project or of a model. What was spent stays counted when its session is deleted.
---@class polytree.protocol.UsageTotal
---@field key string The day as `YYYY-MM-DD`, the project's id, or `provider/model`.
---@field cost number What it cost, in US dollars.
---@field tokens polytree.protocol.Tokens The tokens of all model calls.
---@field prompts integer How many prompts were sent.

--- A prompt.
---@class polytree.protocol.UserMessage
---@field id polytree.protocol.MessageId The message's id.
---@field sessionID polytree.protocol.SessionId The session.
---@field time polytree.protocol.Created When.
---@field state? polytree.protocol.PromptState Whether it waits, is being answered, or how it ended. Only old events in the log lack it.
---@field answeredWith? polytree.protocol.MessageId|nil A later prompt that entered the turn in the same step: its answers answer this prompt as well.
---@field agent string The agent that was asked.
---@field model polytree.protocol.ModelRef The model that was asked.
---@field system? string|nil Replaces the agent's system prompt for this turn.
---@field tools? table<string, boolean>|nil Tools switched on or off for this turn, by name or wildcard.
---@field variant? string|nil The variant of the model that was asked for.
---@field options? polytree.protocol.PromptOptions|nil How the model was to sample, and how long its answers might be.
---@field format? polytree.protocol.OutputFormat|nil The form that the answer was to have.
---@field mode? polytree.protocol.Mode|nil What was to be done without a question in its turn.

--- A part of a text, in UTF-16 code units.
---@class polytree.protocol.Utf16Range
---@field start integer Where it begins, from 0.
---@field ["end"] integer Where it ends.

--- A version control system.
---@alias polytree.protocol.Vcs "git"

--- A checkout of a repository.
---@class polytree.protocol.VcsCheckout
---@field directory string Its absolute path.
---@field branch? string|nil Its branch; absent where `HEAD` is detached.

--- Params of `vcs.get`.
---@class polytree.protocol.VcsGetParams
---@field sessionID? polytree.protocol.SessionId|nil The session whose directory is meant.
---@field directory? string|nil An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's.
---@field projectID? polytree.protocol.ProjectId|nil The project that the directory or session must belong to; another one answers `not_found`.

--- Where a checkout stands. Outside of a repository everything is absent.
---@class polytree.protocol.VcsInfo
---@field branch? string|nil The branch; absent where `HEAD` is detached.
---@field head? string|nil The commit; absent before the first one.
---@field upstream? string|nil The short name of the branch that this one follows.
---@field ahead? integer|nil Commits that the upstream lacks; absent where it is gone, or counting takes too long.
---@field behind? integer|nil Commits of the upstream that this branch lacks.
---@field worktrees polytree.protocol.VcsCheckout[] The checkouts of the repository, the main one first; at most 1,000.

--- Arguments of `write`.
---@class polytree.protocol.WriteInput
---@field filePath string The file.
---@field content string The whole content.

--- The name of a method.
---@alias polytree.protocol.Method
---| "server.initialize"
---| "server.info"
---| "rpc.discover"
---| "server.diagnose"
---| "server.gc"
---| "server.stop"
---| "server.listen"
---| "log.write"
---| "path.get"
---| "project.list"
---| "project.current"
---| "project.init"
---| "project.update"
---| "project.trust"
---| "project.forget"
---| "vcs.get"
---| "session.create"
---| "session.list"
---| "session.get"
---| "session.update"
---| "session.defaults"
---| "session.context"
---| "usage.list"
---| "session.delete"
---| "session.children"
---| "session.messages"
---| "session.message"
---| "session.prompt"
---| "session.submit"
---| "session.abort"
---| "session.queue"
---| "session.queue.remove"
---| "session.queue.move"
---| "session.queue.replace"
---| "session.queue.steer"
---| "session.steer"
---| "session.fork"
---| "session.export"
---| "session.import"
---| "session.revert"
---| "session.unrevert"
---| "session.compact"
---| "session.diff"
---| "hunk.list"
---| "hunk.keep"
---| "hunk.undo"
---| "session.todo"
---| "session.status"
---| "file.list"
---| "file.read"
---| "file.status"
---| "file.find"
---| "file.match"
---| "permission.list"
---| "permission.reply"
---| "permission.grants"
---| "permission.revoke"
---| "symbol.find"
---| "buffer.open"
---| "buffer.change"
---| "buffer.close"
---| "buffer.reply"
---| "diagnostics.set"
---| "editor.open"
---| "provider.list"
---| "model.list"
---| "model.refresh"
---| "auth.set"
---| "auth.remove"
---| "auth.list"
---| "config.get"
---| "config.sources"
---| "agent.list"
---| "tool.list"
---| "text.find"
---| "text.subscribe"
---| "text.unsubscribe"
---| "event.list"
---| "event.unsubscribe"
---| "event.subscribe"

--- The type of an event.
---@alias polytree.protocol.EventType
---| "server.connected"
---| "server.heartbeat"
---| "project.updated"
---| "project.forgotten"
---| "session.created"
---| "session.updated"
---| "session.deleted"
---| "session.status"
---| "session.idle"
---| "session.error"
---| "session.compacted"
---| "session.queue.updated"
---| "message.updated"
---| "message.removed"
---| "message.part.updated"
---| "message.part.delta"
---| "message.part.removed"
---| "permission.asked"
---| "permission.replied"
---| "todo.updated"
---| "hunk.updated"
---| "file.edited"
---| "file.changed"
---| "vcs.branch.updated"
---| "vcs.changed"
---| "config.changed"
---| "provider.changed"
---| "agent.changed"
---| "editor.open"
---| "buffer.edit"
---| "buffer.reset"
