// The types of the polytree protocol. Generated; see README.md.
/** What a rule says. */
export type Action = "allow" | "ask" | "deny"
/** What is worth doing. */
export type Advice = {
  /** The stable name of the rule that found it, such as `disk.full`. */
  id: string
  /** How grave it is. */
  severity: Severity
  /** What was found. */
  text: string
  /** What to do about it. */
  hint?: string | null
}
/** A persona: its prompt, model, tools and permissions. */
export type Agent = {
  /** The name by which a prompt asks for it. */
  name: string
  /** What it is for. */
  description?: string | null
  /** Who may start it. */
  mode: AgentMode
  /** Shipped with the daemon. */
  builtIn: boolean
  /** The model it prefers. */
  model?: ModelRef | null
  /** Replaces the built-in system prompt. */
  prompt?: string | null
  /** Sampling temperature. */
  temperature?: number | null
  /** Nucleus sampling. */
  topP?: number | null
  /** The longest answer, in tokens. */
  maxOutputTokens?: number | null
  /** The variant of the model, for prompts that name none. */
  variant?: string | null
  /** The most model calls in one turn. */
  steps?: number | null
  /** Tools switched on or off by name or wildcard. */
  tools: { [key: string]: boolean }
  /** Its permission rules, in order; the last match wins. */
  permission: Array<Rule>
  /** Further options for the provider. */
  options: { [key: string]: unknown }
}
/** An agent in the settings. Keys that are not listed are passed to the provider as options of the model. */
export type AgentConfig = {
  /** Takes the agent away. */
  disable?: boolean | null
  /** The model it prefers, as `provider/model`. */
  model?: string | null
  /** Replaces the built-in system prompt. */
  prompt?: string | null
  /** What it is for; models read it when they choose an agent for a task. */
  description?: string | null
  /** Sampling temperature. */
  temperature?: number | null
  /** Nucleus sampling. */
  top_p?: number | null
  /** Who may start it; default `all`. */
  mode?: AgentMode | null
  /** The longest answer, in tokens. */
  max_output_tokens?: number | null
  /** The variant of the model, such as `high`, for prompts that name none. */
  variant?: string | null
  /** The most model calls in one turn. */
  steps?: number | null
  /** Tools switched on or off by name or wildcard. */
  tools?: { [key: string]: boolean }
  /** Its permission rules, after the general ones. */
  permission?: PermissionConfig
}
/** Params of `agent.list`. */
export type AgentListParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Who may start an agent. */
export type AgentMode = "primary" | "subagent" | "all"
/** A mention of an agent. */
export type AgentPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The agent's name. */
  name: string
  /** Where in the prompt it was mentioned; not interpreted by the daemon. */
  source?: unknown
}
/** An answer: one model call. */
export type AssistantMessage = {
  /** The message's id. */
  id: MessageId
  /** The session. */
  sessionID: SessionId
  /** The user message that it answers. */
  parentID: MessageId
  /** When; `completed` once nothing more can come. */
  time: MessageTime
  /** How it failed. */
  error?: MessageError | null
  /** The agent. */
  agent: string
  /** The agent, under the specification's older name. */
  mode: string
  /** The model's provider. */
  providerID: string
  /** The model. */
  modelID: string
  /** Where it worked. */
  path: MessagePath
  /** It is a summary of what came before. */
  summary?: boolean
  /** What it cost, in US dollars. */
  cost: number
  /** What it used. */
  tokens: Tokens
  /** Why the model stopped: `stop`, `tool-calls`, `length`, `content-filter` or `other`. */
  finish?: string | null
  /** The variant of the model. */
  variant?: string | null
  /** The answer in the form that the prompt asked for. */
  structured?: unknown
}
/** A file that a tool gives to the model. */
export type Attachment = {
  /** The media type. */
  mime: string
  /** A `data:` address. */
  url: string
  /** The name for people. */
  filename?: string | null
}
/** Where a provider's keys come from. */
export type AuthEntry = {
  /** The provider's id. */
  providerID: string
  /** The provider's name for people; its id where no provider of that id is known here. */
  name: string
  /** All places that hold a key for it; the first one is used. */
  keys: Array<KeyPlace>
}
/** The kind of a key. */
export type AuthKind = "api"
/** Params of `auth.list`. */
export type AuthListParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `auth.remove`. */
export type AuthRemoveParams = {
  /** The provider. */
  providerID: string
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `auth.set`. */
export type AuthSetParams = {
  /** The provider. */
  providerID: string
  /** The kind of key; `api` is the only one. */
  type: AuthKind
  /** The key. */
  key: KeyText
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Arguments of `bash`. */
export type BashInput = {
  /** The command line. */
  command: string
  /** What it does, in a few words. */
  description: string
  /** The directory in which it runs. */
  workdir?: string | null
  /** The timeout in milliseconds. */
  timeout?: number | null
  /** Why it should run outside of the sandbox. */
  outside?: string | null
}
/** What a command reports. */
export type BashMetadata = {
  /** The command line, while it runs. */
  command?: string | null
  /** What it does, in the model's words. */
  description?: string | null
  /** The exit code; null where a signal ended it. */
  exit?: number | null
  /** The end of what it has written so far. */
  output?: string | null
  /** The model got only a part of the output. */
  truncated?: boolean | null
  /** The file with the whole output. */
  outputPath?: string | null
  /** Processes that go on in the background. */
  running?: Array<BashProcess>
  /** What it ran in; absent where nothing confined it. */
  sandbox?: SandboxReport | null
}
/** A process that a command has left running. */
export type BashProcess = {
  /** Its number. */
  pid: number
  /** Its command line, shortened. */
  command: string
}
/** Replaces a text of more than 64 KiB in an event. `session.message` returns the whole text, `permission.list` that of a question. */
export type BlobRef = {
  /** The place of the text in the event's properties, as a JSON pointer. */
  ref: string
  /** The length of the text in bytes of UTF-8. */
  bytes: number
}
/** How long texts come in events. */
export type Blobs = "reference" | "inline"
/** A branch. */
export type BranchInfo = {
  /** Its short name; absent when the checkout is on a commit and on no branch. */
  branch?: string | null
}
/** An announced file. */
export type Buffer = {
  /** Its absolute real path. */
  path: string
  /** The announced version of its text. */
  version: number
}
/** Params of `buffer.change`. */
export type BufferChangeParams = {
  /** The file, as it was opened. */
  path: string
  /** The number of the text with all edits made: greater than the one before. Another one is refused as `conflict` with the announced one in `data.version`, and changes nothing. */
  version: number
  /** The changes, applied in order: each to what those before it have left. When they do not fit the announced text they are refused, and the text is not known until it is announced as a whole again: by `buffer.open`, or by a change without a range. */
  edits: Array<TextChange>
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `buffer.close`. */
export type BufferCloseParams = {
  /** The file, as it was opened. */
  path: string
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Changes of files that an editor holds open. */
export type BufferConfig = {
  /** What happens to a change when the editor does not answer in time, or disconnects first. */
  unanswered?: Unanswered
  /** How long an editor is waited for, in milliseconds; at most 600,000. It also bounds the wait for a text that an editor holds and has not told yet. */
  reply_timeout?: number
}
/** An edit of an announced text that its client is asked to make. */
export type BufferEditInfo = {
  /** Names the edit in `buffer.reply`. */
  editID: EditId
  /** The file's absolute real path. */
  path: string
  /** The number of the text that the edits are meant for. */
  version: number
  /** The edits, whole lines where they can be, from the last place in the text to the first: applied in order or all at once, the result is the same. Each has a range. */
  edits: Array<TextChange>
  /** For how many milliseconds an answer is waited for. Who is later must not make the edit. */
  timeout: number
  /** The session whose tool edits. */
  sessionID: SessionId
}
/** Params of `buffer.open`. */
export type BufferOpenParams = {
  /** The file that the text will be saved to, absolute or relative to the directory. It need not exist. Every file may be announced: whether a tool may read it is asked when it does. */
  path: string
  /** The client's number for this state of the text; it grows with each change. */
  version: number
  /** The whole text, at most 32 MiB; all texts of a connection together at most 256 MiB. Absent: the client holds the file open and cannot tell its text yet; who wants to read the file waits for the text a moment and is then refused, because the text on the disk is older. */
  text?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `buffer.reply`. */
export type BufferReplyParams = {
  /** The edit. */
  editID: EditId
  /** Whether the client has made it. It must not when its text was not at the edit's version any more. */
  applied: boolean
  /** The number of the text with the edit made; needed when it was. The daemon reads the edited text from then on and expects the client's own `buffer.change` to this or a later number. */
  version?: number | null
  /** Whether the client has written the edited text to the disk as well; default false. When not, the model is told that commands see the older file. */
  saved?: boolean | null
  /** Why it was not made; the model reads this. */
  message?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Files whose announced texts are not known any more. */
export type BufferResetInfo = {
  /** The paths, as the client has given them. Each is to be announced again with `buffer.open`, or closed. */
  paths: Array<string>
}
/** Tokens of the provider's prompt cache. */
export type CacheTokens = {
  /** Read from it. */
  read: number
  /** Written to it. */
  write: number
}
/** Where names, limits and prices come from. */
export type CatalogInfo = {
  /** Part of the program, or fetched. */
  source: CatalogSource
  /** The day that it describes, as `YYYY-MM-DD`. */
  asOf: string
  /** Where it was fetched from. */
  url?: string | null
}
/** Where a catalogue comes from. */
export type CatalogSource = "built-in" | "fetched"
/** What a client can do beside asking. */
export type ClientCapabilities = {
  /** It shows a file for the event `editor.open`. */
  open?: boolean | null
  /** It makes edits for the event `buffer.edit`; for diagnosis. */
  edits?: boolean | null
  /** It shows differences of files; for diagnosis. */
  diffs?: boolean | null
}
/** A client's name and version. */
export type ClientInfo = {
  /** The program. */
  name: string
  /** Its version. */
  version?: string | null
}
/** How a conversation is kept within the context of its model. The model and the prompt of summaries are those of the agent `compaction`, if there is one. */
export type CompactionConfig = {
  /** Summarise the conversation when it nears the model's context limit, or when the service refuses it as too long. */
  auto?: boolean
  /** After each turn, stop sending old outputs of tools, beyond the last 40,000 tokens, where that frees at least 20,000. */
  prune?: boolean
  /** How many of the last turns a summary leaves as they are, if they are not too long. */
  tail_turns?: number
  /** How many tokens of the context stay free for the answer; at most three quarters of it. Default: the longest answer, at most 20,000 and a quarter of the context. */
  reserved?: number | null
}
/** The history before this point was summarised. It stands in the summary, or in the prompt that asked for it. */
export type CompactionPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** Not asked for by the user. */
  auto: boolean
  /** The service had refused the conversation as too long. */
  overflow?: boolean
  /** The prompt from which on the model still reads the messages before the summary as they are; absent: none of them. */
  tailStartID?: MessageId | null
  /** What the model is told beside the summary, as it was then. */
  state?: CompactionState
}
/** What a summary does not put into words. */
export type CompactionState = {
  /** The task list of the session. */
  todos?: Array<Todo>
  /** The child sessions that were in a turn. */
  children?: Array<RunningChild>
}
/** The settings of a directory, merged from all files. */
export type Config = {
  /** The address of this file's JSON Schema, for editors; has no effect. */
  "$schema"?: string | null
  /** The model for prompts, as `provider/model`. */
  model?: string | null
  /** The model for small jobs such as titles, as `provider/model`. Default: the cheapest of the prompt's provider that is small by its name, else the prompt's own. */
  small_model?: string | null
  /** The agent of prompts that name none; default `build`. */
  default_agent?: string | null
  /** Agents by name: changes to built-in ones, and new ones. */
  agent?: { [key: string]: AgentConfig }
  /** Providers by id: changes to known ones, and new ones. */
  provider?: { [key: string]: ProviderConfig }
  /** Ids of providers that are never used. */
  disabled_providers?: Array<string>
  /** Ids of the only providers that may be used; absent: all. */
  enabled_providers?: Array<string> | null
  /** Where `polytree models --refresh` fetches the catalogue of models; only in the user's own settings. */
  models_url?: string | null
  /** Where model servers on this machine are looked for when models are listed: `ollama`, `llamacpp`, `lmstudio` or `vllm`, and an address on loopback such as `http://127.0.0.1:11434`, or `off`; only in the user's own settings. */
  local_servers?: { [key: string]: string }
  /** Paths and glob patterns of further files with instructions for the model. Relative ones are looked up in the directory and in all above it up to the worktree; absolute ones and those with `~/` count only in the user's own settings. */
  instructions?: Array<string> | null
  /** What tools may do without asking. */
  permission?: PermissionConfig
  /** What is done without a question where a session says nothing about it; only in the user's own settings. Default: `ask`. */
  mode?: Mode | null
  /** What commands in the sandbox may touch; only in the user's own settings. */
  sandbox?: SandboxConfig
  /** Tools switched on or off by name or wildcard. */
  tools?: { [key: string]: boolean }
  /** The user's name for display; default: the name of the account. */
  username?: string | null
  /** Whether what a session changes in files is kept, so that it can be undone. Default: true. */
  snapshot?: boolean | null
  /** The daemon's store; only in the user's own settings. */
  storage?: StorageConfig
  /** The daemon itself; only in the user's own settings. */
  server?: ServerConfig
  /** How much of a tool's output the model gets to read. */
  tool_output?: ToolOutputConfig
  /** How a conversation is kept within the context of its model. */
  compaction?: CompactionConfig
  /** Limits of child sessions that models start. */
  task?: TaskConfig
  /** Changes of files that an editor holds open. */
  buffer?: BufferConfig
  /** Diagnostics that editors announce. */
  diagnostics?: DiagnosticsConfig
  /** A file to which every exchange with a model is appended, for `replay`; absolute, or with `~/`; only in the user's own settings. */
  record?: string | null
  /** A recording that answers instead of the models; absolute, or with `~/`; only in the user's own settings. */
  replay?: string | null
}
/** Params of `config.get`. */
export type ConfigGetParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A file that decides about a directory, or would if it existed. */
export type ConfigSource = {
  /** The absolute path. */
  path: string
  /** It exists. */
  exists: boolean
  /** It may be used, in its present state. The user's own files need no trust. */
  trusted: boolean
  /** What is wrong with it; only of the first file that is wrong. */
  error?: string | null
}
/** The files that decide about a directory. */
export type ConfigSources = {
  /** A digest of the project's files that need trust, with their contents; for `project.trust`. */
  digest: string
  /** The files, lowest first: the user's, the project's from its root down, the one that a variable names. */
  files: Array<ConfigSource>
  /** How many more there are: at most 1,000 are listed. */
  omitted?: number
}
/** Params of `config.sources`. */
export type ConfigSourcesParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** When something was created. */
export type Created = {
  /** Milliseconds since 1970. */
  created: number
}
/** Where a default comes from. */
export type DefaultSource = "session" | "agent" | "settings" | "default"
/** Result of `server.diagnose`. Times are milliseconds since 1970, sizes are bytes, durations end in `Ms`. A part that could not be had has an `error` beside what there is. `polytree doctor` makes the same report where no daemon runs; then `pid`, `started` and `uptimeMs` are absent. */
export type Diagnosis = {
  /** When this was found. */
  time: number
  /** The executable's version. */
  version: string
  /** The version of this contract. */
  protocolVersion: number
  /** The daemon's process. */
  pid?: number | null
  /** When it started. */
  started?: number | null
  /** For how long it has been running. */
  uptimeMs?: number | null
  /** Whose daemon it is. */
  owner: DiagnosisOwner
  /** Where it listens. */
  listeners: Array<DiagnosisListener>
  /** Who is connected. */
  clients: Array<DiagnosisClient>
  /** The known projects and the directories that are open. */
  projects: DiagnosisProjects
  /** The sessions that are not idle. */
  sessions: Array<DiagnosisSession>
  /** What waits inside the daemon. */
  queues: DiagnosisQueues
  /** The unanswered questions. */
  questions: DiagnosisQuestions
  /** The programs that it runs. */
  children: Array<DiagnosisChild>
  /** Its memory, and who has it. */
  memory: DiagnosisMemory
  /** What it keeps on disk. */
  store: DiagnosisStore
  /** The calls since it started. */
  calls: DiagnosisCalls
  /** Its log. */
  log: DiagnosisLog
  /** The machine around it. */
  machine: DiagnosisMachine
  /** What commands can be confined by; absent where that could not be tried. */
  sandbox?: DiagnosisSandbox | null
  /** The settings and models of the directory. */
  settings: DiagnosisSettings
  /** What is worth doing, the gravest first. */
  advice: Array<Advice>
}
/** A call that took long. */
export type DiagnosisCall = {
  /** The method. */
  method: string
  /** The connection that it came by. */
  connectionID: number
  /** How long it took. */
  durationMs: number
  /** When it ended. */
  ended: number
  /** The kind of its error; absent if it succeeded. */
  error?: string | null
}
/** The calls since the daemon started. */
export type DiagnosisCalls = {
  /** All of them. */
  total: number
  /** Failed calls by the kind of the error. */
  failed: { [key: string]: number }
  /** The slowest of the last hour, the slowest first, at most 20. Methods that wait for the end of a turn by their nature are left out. */
  slowest: Array<DiagnosisCall>
}
/** A program that the daemon runs. */
export type DiagnosisChild = {
  /** The process. */
  pid: number
  /** The program's name, without its arguments. */
  program: string
  /** Since when. */
  since: number
  /** The session that it runs for. */
  sessionID?: string | null
  /** The tool call that it runs for. */
  callID?: string | null
  /** The number of its processes, where the operating system reports it. */
  processes?: number | null
  /** Their memory together, where the operating system reports it. */
  resident?: number | null
}
/** A connected client. */
export type DiagnosisClient = {
  /** The connection, as `server.initialize` names it. */
  id: number
  /** The way it came. */
  door: DiagnosisDoor
  /** The program, where it said so. */
  name?: string | null
  /** The program's version, where it said so. */
  version?: string | null
  /** The directory that its requests mean when they name none. */
  directory?: string | null
  /** What it can do, as it said in `server.initialize`. */
  capabilities?: ClientCapabilities | null
  /** When it came. */
  since: number
  /** Open subscriptions. */
  subscriptions: number
  /** Requests in flight. */
  requests: number
  /** Bytes that wait to be written to it. */
  waitingBytes: number
  /** For how long it has taken nothing of what waits; 0 when nothing waits. */
  stalledMs: number
  /** This client is the one that asked. */
  asks?: boolean
}
/** A disk. */
export type DiagnosisDisk = {
  /** What the user may still write. */
  free: number
  /** Its size. */
  total: number
}
/** Which way a client came. */
export type DiagnosisDoor = "stdio" | "local" | "websocket" | "http"
/** Files of one kind. */
export type DiagnosisFiles = {
  /** How many. */
  count: number
  /** Their bytes. */
  bytes: number
  /** There are more than were counted. */
  more?: boolean
}
/** A process that owns a data directory and does not answer. */
export type DiagnosisHolder = {
  /** The process. */
  pid: number
  /** Its version. */
  version: string
  /** Why it could not be asked. */
  problem: string
}
/** The file names of a checkout. */
export type DiagnosisIndex = {
  /** The top of the checkout. */
  directory: string
  /** How many names it holds, of files and directories. */
  entries: number
  /** The bytes that they take; worktrees of a project share what is alike. */
  bytes: number
  /** How many directories are watched. */
  watched: number
  /** How many are not watched: they are checked when needed, and changes in them are not reported. */
  unwatched: number
  /** Why `file.find` does not see everything: `entries`, `depth` or `time` ran out. */
  partial?: string | null
  /** When it was last used. */
  used: number
}
/** A place where the daemon listens. */
export type DiagnosisListener = {
  /** A path or an address. */
  address: string
  /** Since when. */
  since: number
}
/** The log. */
export type DiagnosisLog = {
  /** How much is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`. */
  level: string
  /** Errors since the daemon started. */
  errors: number
  /** Warnings since the daemon started. */
  warnings: number
  /** The last errors and warnings, oldest first, at most 50. */
  last: Array<DiagnosisLogLine>
}
/** A line of the log. */
export type DiagnosisLogLine = {
  /** When. */
  time: number
  /** How grave. */
  level: LogLevel
  /** Where in the program. */
  target: string
  /** What, without secrets. */
  message: string
}
/** The machine around the daemon. */
export type DiagnosisMachine = {
  /** Why some of it is unknown. */
  error?: string | null
  /** The directories for settings, data and sockets. */
  places: Array<DiagnosisPlace>
  /** The disk under the data directory. */
  disk?: DiagnosisDisk | null
  /** git. */
  git?: DiagnosisProgram | null
  /** The shell that commands run in. */
  shell?: DiagnosisProgram | null
  /** How far the clock was moved since the daemon started; forward is positive. */
  clockMovedMs?: number | null
}
/** The daemon's memory. What the system does not tell is absent. */
export type DiagnosisMemory = {
  /** What the process has. */
  resident?: number | null
  /** The same, with what others share counted in part. */
  proportional?: number | null
  /** The most it has had. */
  peak?: number | null
  /** Its swapped memory. */
  swapped?: number | null
  /** What the daemon knows to have. */
  accounted: Array<DiagnosisShare>
  /** The rest: the program itself, stacks, the allocator, and what is not counted. */
  rest?: number | null
}
/** A model call that runs. */
export type DiagnosisModelCall = {
  /** `provider/model`. */
  model: string
  /** Since when. */
  since: number
}
/** Whose daemon it is. */
export type DiagnosisOwner = {
  /** The user's number. */
  userID?: number | null
  /** The user's name. */
  userName?: string | null
  /** The data directory that it owns. */
  dataDirectory: string
  /** How it was started; absent where none runs. */
  start?: DiagnosisStart | null
  /** The owner of the data directory's lock, if it did not answer; only in an answer that does not come from a daemon. */
  holder?: DiagnosisHolder | null
}
/** A directory of the daemon. */
export type DiagnosisPlace = {
  /** What it is for: `config`, `data` or `runtime`. */
  name: string
  /** Where it is. */
  path: string
  /** It is there. */
  exists: boolean
  /** Its permissions in octal, such as `700`; where the system has such. */
  mode?: string | null
  /** It belongs to the user. */
  own: boolean
  /** It can be written to. */
  writable: boolean
  /** The kind of network file system that it is on. */
  network?: string | null
}
/** A program that the daemon needs. */
export type DiagnosisProgram = {
  /** Where it is; absent when it was not found. */
  path?: string | null
  /** Its version, if it sent one. */
  version?: string | null
}
/** A project. */
export type DiagnosisProject = {
  /** The project's id. */
  id: ProjectId
  /** The main checkout. */
  worktree: string
  /** Its directories that are open. */
  open: Array<string>
  /** When it was last used. */
  used: number
  /** The directory is gone. */
  missing?: boolean
  /** The project's own settings may be used. */
  trusted: boolean
  /** Files of its open directories that wait for trust. */
  pending: number
}
/** The known projects. */
export type DiagnosisProjects = {
  /** Why the list is not complete. */
  error?: string | null
  /** How many are known. */
  known: number
  /** Those with open directories, then the most recently used ones; at most 100. */
  list: Array<DiagnosisProject>
  /** The checkouts whose file names are cached for `file.find`. */
  indexes?: Array<DiagnosisIndex>
  /** The directories whose symbols are cached for `symbol.find`. */
  symbols?: Array<DiagnosisSymbols>
}
/** A provider. */
export type DiagnosisProvider = {
  /** The provider's id. */
  id: string
  /** It can be used: it has its key or needs none. */
  connected: boolean
  /** The names of the variables that may hold its key. */
  env: Array<string>
  /** How many models it has. */
  models: number
}
/** An open question. */
export type DiagnosisQuestion = {
  /** The question's id. */
  id: PermissionId
  /** The session that asks. */
  sessionID: SessionId
  /** The permission's type, such as `bash` or `edit`. */
  type: string
  /** Since when it waits. */
  since: number
  /** The session's directory. */
  directory: string
}
/** The open questions. */
export type DiagnosisQuestions = {
  /** Why the list is not complete. */
  error?: string | null
  /** The oldest first, at most 100. What they ask for is told by `permission.list`. */
  list: Array<DiagnosisQuestion>
}
/** What waits inside the daemon. */
export type DiagnosisQueues = {
  /** Changes that wait for the store's writer. */
  writer: number
  /** For how long the writer has been at the commit under way; 0 when it is at none. */
  writerBusyMs: number
  /** Questions that wait for one of the store's readers. */
  readers: number
  /** The age of the oldest read in progress; 0 when there is none. */
  readerBusyMs: number
  /** Messages that wait to be written to clients. */
  outboxMessages: number
  /** Their bytes. */
  outboxBytes: number
  /** Prompts that wait for the turns before them. */
  prompts: number
}
/** Rows of the store. */
export type DiagnosisRows = {
  /** Sessions. */
  sessions: number
  /** Messages. */
  messages: number
  /** Parts of messages. */
  parts: number
  /** Logged events. */
  events: number
  /** Archived sessions; they are among the sessions. */
  archived?: number
  /** The bytes of the messages of archived sessions; absent where the store is too large to add them up. */
  archivedBytes?: number | null
  /** Some of these are upper bounds, because counting would have taken too long. */
  approximate?: boolean
  /** The bytes of the logged events. */
  eventBytes: number
  /** The oldest cursor that can be read from. */
  oldestCursor: number
  /** The newest one. */
  newestCursor: number
}
/** What this machine can enforce, found by trying it: `sandbox` of `server.diagnose`. */
export type DiagnosisSandbox = {
  /** The ABI of Landlock; 0 where there is none. */
  landlock: number
  /** System calls can be refused. */
  seccomp: boolean
  /** Namespaces can be made without privileges. */
  namespaces: boolean
  /** bubblewrap is installed and runs. */
  bubblewrap: boolean
  /** What is enforced of each policy when settings use all of it. */
  policies: { [key: string]: SandboxPromise }
}
/** A session that is not idle. */
export type DiagnosisSession = {
  /** The session's id. */
  id: SessionId
  /** Its directory, where it is known without asking the store. */
  directory?: string | null
  /** Busy, waiting for an answer, or about to try again. */
  status: SessionStatus
  /** When the turn began; absent while none runs. */
  since?: number | null
  /** The prompt that is answered. */
  messageID?: MessageId | null
  /** The model call that runs. */
  model?: DiagnosisModelCall | null
  /** The tool calls that run. */
  tools: Array<DiagnosisToolCall>
  /** When the model or a tool last gave a sign of life. */
  sign?: number | null
  /** Prompts that wait for this turn to end. */
  queued: number
}
/** A damaged store that was set aside. */
export type DiagnosisSetAside = {
  /** The file; its name ends with the time in UTC. */
  path: string
  /** Its bytes. */
  bytes: number
}
/** The settings and models of the directory for the client that asks. */
export type DiagnosisSettings = {
  /** Why they cannot be used. */
  error?: string | null
  /** The file at fault. */
  file?: string | null
  /** The line in it, from 1. */
  line?: number | null
  /** The column in that line, from 1. */
  column?: number | null
  /** The directory that they hold in; absent where only the user's own were looked at. */
  directory?: string | null
  /** The files that were read, lowest first. */
  files: Array<string>
  /** The model of a prompt that names none, as `provider/model`. */
  model?: string | null
  /** Why that model cannot be used. */
  modelError?: string | null
  /** The providers. */
  providers: Array<DiagnosisProvider>
  /** The variables that the settings name and that are not set, as sentences. */
  unset?: Array<string>
}
/** A part of the memory. */
export type DiagnosisShare = {
  /** Who has it: `events`, `outboxes`, `directories`, `sessions`, `files`, `store` or `log`. */
  owner: string
  /** How much. */
  bytes: number
  /** Of how many things; absent where they are not counted. */
  count?: number | null
  /** Reckoned from the count, not measured. */
  estimated?: boolean
}
/** How a daemon was started. */
export type DiagnosisStart = "detached" | "foreground" | "standalone"
/** What is kept on disk. */
export type DiagnosisStore = {
  /** Why it could not be read. */
  error?: string | null
  /** Why the last commit failed; gone with the next one that holds. */
  commitError?: string | null
  /** The database. */
  database: DiagnosisFiles
  /** Its write-ahead log. */
  wal: DiagnosisFiles
  /** Long outputs of tools. */
  outputs: DiagnosisFiles
  /** Contents of changed files, for undo. */
  snapshots?: DiagnosisFiles
  /** Log files. */
  logs: DiagnosisFiles
  /** Rows by table; absent when the store could not be read. */
  rows?: DiagnosisRows | null
  /** The result of SQLite's quick check: `ok`, or what is broken. Where a daemon runs: only the damage that it has met. */
  check?: string | null
  /** Damaged stores that were set aside when a daemon started, the oldest first. */
  setAside?: Array<DiagnosisSetAside>
}
/** The symbols of a directory. */
export type DiagnosisSymbols = {
  /** The directory. */
  directory: string
  /** How many files it holds symbols of. */
  files: number
  /** How many symbols they have. */
  symbols: number
  /** The bytes that they take. */
  bytes: number
  /** Why `symbol.find` does not see all: `reading` as long as they are read for the first time, `budget` when there are more than the limit. */
  partial?: string | null
  /** When they were last asked for. */
  used: number
}
/** A tool call that runs. */
export type DiagnosisToolCall = {
  /** The call. */
  callID: string
  /** The tool. */
  tool: string
  /** Since when. */
  since: number
}
/** A diagnostic in the form of LSP; further fields are ignored. */
export type Diagnostic = {
  /** Where. */
  range: TextRange
  /** 1 error, 2 warning, 3 information, 4 hint; default 1. */
  severity?: number | null
  /** A number or a word. */
  code?: unknown
  /** Who says it, such as `rustc`. */
  source?: string | null
  /** What is wrong; at most 2,000 characters are kept. */
  message: string
}
/** Diagnostics that editors announce. */
export type DiagnosticsConfig = {
  /** How long the result of an edit waits for the diagnostics of the new text, in milliseconds; at most 60,000. 0: results say nothing about diagnostics. */
  wait?: number
}
/** Params of `diagnostics.set`. */
export type DiagnosticsSetParams = {
  /** The file, as it was opened with `buffer.open`. */
  path: string
  /** The number of the text that they belong to. */
  version: number
  /** All diagnostics of that text, in place of those before; at most 1,000. */
  items: Array<Diagnostic>
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A directory. */
export type DirectoryInfo = {
  /** The absolute path. */
  directory: string
}
/** What a committed change survives. */
export type Durability = "process" | "power"
/** An edit that an editor is asked to make. */
export type EditId = string
/** Arguments of `edit`. */
export type EditInput = {
  /** The file. */
  filePath: string
  /** The text to replace; empty to create a file. */
  oldString: string
  /** The text in its place. */
  newString: string
  /** Replace every occurrence. */
  replaceAll?: boolean
}
/** What a changed file reports. */
export type EditMetadata = {
  /** The absolute path. */
  filePath: string
  /** The change as a unified diff; empty where nothing changed. */
  diff: string
  /** Lines added. */
  additions: number
  /** Lines removed. */
  deletions: number
  /** The file existed before; only of `write`. */
  exists?: boolean | null
  /** The model got only a part of the result. */
  truncated?: boolean | null
  /** The file with the whole result. */
  outputPath?: string | null
}
/** A file that is to be shown. */
export type EditorOpenInfo = {
  /** The absolute path. */
  path: string
  /** What is to be shown of it. */
  range?: TextRange | null
}
/** Params of `editor.open`. */
export type EditorOpenParams = {
  /** The file: relative to the directory that the request means, or absolute. It must exist and lie in the worktree. */
  path: string
  /** What is to be shown of it; default: where the editor was last. */
  range?: TextRange | null
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** The `data` of an error object. */
export type ErrorData = {
  /** The stable word that clients test. */
  kind: ErrorKind
  /** What to do next, where there is something. */
  hint?: string | null
  /** When to try again, in milliseconds. */
  retryAfter?: number | null
  /** The limit that was passed, in bytes or items. */
  limit?: number | null
  /** The oldest kept cursor. */
  oldest?: number | null
  /** The cursor that was asked for. */
  cursor?: number | null
  /** The announced number of the text that was to be changed. */
  version?: number | null
  /** The directory that is gone. */
  directory?: string | null
  /** The protocol versions that are supported. */
  supported?: Array<number> | null
  /** The settings file at fault. */
  file?: string | null
  /** The line in that file, from 1. */
  line?: number | null
  /** The column in that line, from 1. */
  column?: number | null
  /** The files in conflict. */
  files?: Array<RevertedFile> | null
  /** The process that owns the data directory. */
  pid?: number | null
}
/** The stable word of an error: `data.kind` on the wire. */
export type ErrorKind = "parse_error" | "invalid_request" | "method_not_found" | "invalid_params" | "internal" | "not_found" | "busy" | "conflict" | "denied" | "invalid_state" | "credentials" | "provider" | "too_large" | "unavailable" | "directory_required" | "cursor_expired" | "unsupported_version" | "config" | "overloaded" | "cancelled"
/** Something that happened. */
export type Event = {
  /** Its position in the order of all events of the daemon; 0 for an event that is sent to one connection only and not kept. */
  cursor: number
  /** When, in milliseconds since 1970. */
  time: number
  /** A row of the event table. */
  type: string
  /** Where. */
  directory?: string | null
  /** In which project. */
  projectID?: ProjectId | null
  /** In which session. */
  sessionID?: SessionId | null
  /** What the row of the event table says. */
  properties: unknown
}
/** A file that a tool gives to the model. */
export type EventAttachment = {
  /** The media type. */
  mime: string
  /** A `data:` address. */
  url: string | BlobRef
  /** The name for people. */
  filename?: string | null
}
/** The history before this point was summarised. It stands in the summary, or in the prompt that asked for it. */
export type EventCompactionPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** Not asked for by the user. */
  auto: boolean
  /** The service had refused the conversation as too long. */
  overflow?: boolean
  /** The prompt from which on the model still reads the messages before the summary as they are; absent: none of them. */
  tailStartID?: MessageId | null
  /** What the model is told beside the summary, as it was then. */
  state?: EventCompactionState
}
/** What a summary does not put into words. */
export type EventCompactionState = {
  /** The task list of the session. */
  todos?: Array<EventTodo>
  /** The child sessions that were in a turn. */
  children?: Array<RunningChild>
}
/** A file or image that the user attached. */
export type EventFilePart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The media type. */
  mime: string
  /** The name for people. */
  filename?: string | null
  /** `file:`, `data:` or another address. */
  url: string | BlobRef
  /** Where in the prompt it was mentioned; not interpreted by the daemon. */
  source?: unknown
}
/** Params of `event.list`. A `directory` means that directory or below. */
export type EventListParams = {
  /** Only this session and its descendants. */
  sessionID?: SessionId | null
  /** Only these types. */
  types?: Array<string> | null
  /** Only those after this cursor; 0: from the oldest kept. */
  since: number
  /** How many at most: 1 to 10000, default 1000. */
  limit?: number | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `event.list`. */
export type EventListResult = {
  /** The events, oldest first. */
  events: Array<Event>
  /** Every matching event up to here is contained in this and earlier answers. */
  cursor: number
  /** There are more after `cursor`. */
  more: boolean
}
/** A message. */
export type EventMessage = (EventUserMessage & {
  role: "user"
}) | (AssistantMessage & {
  role: "assistant"
})
/** A message. */
export type EventMessageInfo = {
  /** The message. */
  info: EventMessage
}
/** A part of a message. */
export type EventPart = (EventTextPart & {
  type: "text"
}) | (EventReasoningPart & {
  type: "reasoning"
}) | (EventFilePart & {
  type: "file"
}) | (EventToolPart & {
  type: "tool"
}) | (StepStartPart & {
  type: "step-start"
}) | (StepFinishPart & {
  type: "step-finish"
}) | (SnapshotPart & {
  type: "snapshot"
}) | (PatchPart & {
  type: "patch"
}) | (AgentPart & {
  type: "agent"
}) | (EventSubtaskPart & {
  type: "subtask"
}) | (RetryPart & {
  type: "retry"
}) | (EventCompactionPart & {
  type: "compaction"
})
/** A part. */
export type EventPartInfo = {
  /** The part. */
  part: EventPart
}
/** `type` and `properties` of an event, for each row of the event table. */
export type EventPayload = {
  /** The event. */
  type: "server.connected"
  /** What the event tells. */
  properties: NoProperties
} | {
  /** The event. */
  type: "server.heartbeat"
  /** What the event tells. */
  properties: NoProperties
} | {
  /** The event. */
  type: "project.updated"
  /** What the event tells. */
  properties: ProjectInfo
} | {
  /** The event. */
  type: "project.forgotten"
  /** What the event tells. */
  properties: ProjectOnly
} | {
  /** The event. */
  type: "session.created"
  /** What the event tells. */
  properties: SessionInfo
} | {
  /** The event. */
  type: "session.updated"
  /** What the event tells. */
  properties: SessionInfo
} | {
  /** The event. */
  type: "session.deleted"
  /** What the event tells. */
  properties: SessionInfo
} | {
  /** The event. */
  type: "session.status"
  /** What the event tells. */
  properties: SessionStatusInfo
} | {
  /** The event. */
  type: "session.idle"
  /** What the event tells. */
  properties: SessionOnly
} | {
  /** The event. */
  type: "session.error"
  /** What the event tells. */
  properties: SessionErrorInfo
} | {
  /** The event. */
  type: "session.compacted"
  /** What the event tells. */
  properties: SessionOnly
} | {
  /** The event. */
  type: "session.queue.updated"
  /** What the event tells. */
  properties: SessionQueueInfo
} | {
  /** The event. */
  type: "message.updated"
  /** What the event tells. */
  properties: EventMessageInfo
} | {
  /** The event. */
  type: "message.removed"
  /** What the event tells. */
  properties: MessageRemovedInfo
} | {
  /** The event. */
  type: "message.part.updated"
  /** What the event tells. */
  properties: EventPartInfo
} | {
  /** The event. */
  type: "message.part.delta"
  /** What the event tells. */
  properties: PartDelta
} | {
  /** The event. */
  type: "message.part.removed"
  /** What the event tells. */
  properties: PartRemovedInfo
} | {
  /** The event. */
  type: "permission.asked"
  /** What the event tells. */
  properties: EventPermission
} | {
  /** The event. */
  type: "permission.replied"
  /** What the event tells. */
  properties: PermissionRepliedInfo
} | {
  /** The event. */
  type: "todo.updated"
  /** What the event tells. */
  properties: EventTodoInfo
} | {
  /** The event. */
  type: "hunk.updated"
  /** What the event tells. */
  properties: HunksInfo
} | {
  /** The event. */
  type: "file.edited"
  /** What the event tells. */
  properties: FilePath
} | {
  /** The event. */
  type: "file.changed"
  /** What the event tells. */
  properties: FileChangedInfo
} | {
  /** The event. */
  type: "vcs.branch.updated"
  /** What the event tells. */
  properties: BranchInfo
} | {
  /** The event. */
  type: "vcs.changed"
  /** What the event tells. */
  properties: DirectoryInfo
} | {
  /** The event. */
  type: "config.changed"
  /** What the event tells. */
  properties: DirectoryInfo
} | {
  /** The event. */
  type: "provider.changed"
  /** What the event tells. */
  properties: DirectoryInfo
} | {
  /** The event. */
  type: "agent.changed"
  /** What the event tells. */
  properties: DirectoryInfo
} | {
  /** The event. */
  type: "editor.open"
  /** What the event tells. */
  properties: EditorOpenInfo
} | {
  /** The event. */
  type: "buffer.edit"
  /** What the event tells. */
  properties: BufferEditInfo
} | {
  /** The event. */
  type: "buffer.reset"
  /** What the event tells. */
  properties: BufferResetInfo
}
/** An open permission question. */
export type EventPermission = {
  /** The question's id. */
  id: PermissionId
  /** The session that asks. */
  sessionID: SessionId
  /** The assistant message that holds the tool call. */
  messageID: MessageId
  /** The tool call. */
  callID: string
  /** The permission's type, such as `bash` or `edit`. */
  type: string
  /** What is asked for. */
  patterns: Array<string | BlobRef>
  /** What "always" would grant. */
  always: Array<string | BlobRef>
  /** One line for people. */
  title: string | BlobRef
  /** More about what is asked, as far as clients can use it. */
  metadata: PermissionMetadata
  /** When it was asked. */
  time: PermissionTime
}
/** What the model thought. */
export type EventReasoningPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The text, exactly as it came. */
  text: string | BlobRef
  /** What the provider attached, such as its signature. */
  metadata?: unknown
  /** When it was streamed. */
  time: Span
}
/** Params of `event.subscribe`. A `directory` means that directory or below. */
export type EventSubscribeParams = {
  /** Only this session and its descendants. */
  sessionID?: SessionId | null
  /** Only these types. */
  types?: Array<string> | null
  /** Every matching event after this cursor, first from the log, then live; 0: from the oldest kept. */
  since?: number | null
  /** How texts over 64 KiB come: as a reference, which is the default, or inline. */
  blobs?: Blobs | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Work for a child session. */
export type EventSubtaskPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** What the child is asked. */
  prompt: string | BlobRef
  /** A few words for people. */
  description: string
  /** The agent that does it. */
  agent: string
  /** The model that it uses. */
  model?: ModelRef | null
}
/** Text of the user or the model. */
export type EventTextPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The text, exactly as it came. */
  text: string | BlobRef
  /** Added by the daemon, not typed by the user. */
  synthetic?: boolean
  /** When it was streamed. */
  time?: Span | null
  /** What the provider attached. */
  metadata?: unknown
}
/** One entry of the task list. */
export type EventTodo = {
  /** What is to be done. */
  content: string | BlobRef
  /** `pending`, `in_progress`, `completed` or `cancelled`. */
  status: string
  /** `high`, `medium` or `low`. */
  priority: string
}
/** A task list. */
export type EventTodoInfo = {
  /** The session. */
  sessionID: SessionId
  /** The whole list. */
  todos: Array<EventTodo>
}
/** A call that gave a result. */
export type EventToolCompleted = {
  /** The arguments. */
  input: unknown
  /** What the model reads. */
  output: string | BlobRef
  /** One line for people. */
  title: string | BlobRef
  /** More for clients. */
  metadata: unknown
  /** When it ran. */
  time: ToolTime
  /** Images and files for the model. */
  attachments?: Array<EventAttachment>
}
/** A call that failed. */
export type EventToolFailed = {
  /** The arguments. */
  input: unknown
  /** What the model reads. */
  error: string | BlobRef
  /** More for clients; `aborted: true` where the turn was aborted. */
  metadata?: unknown
  /** When it ran. */
  time: Span
}
/** A tool call and its result. */
export type EventToolPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The provider's id of the call. */
  callID: string
  /** The tool's name. */
  tool: string
  /** What the call is about, in one line: the command, the file, the pattern. Absent while the model still writes the call, and where only the arguments tell. */
  subject?: string | null
  /** How far it is. */
  state: EventToolState
  /** What the provider attached to the call, to be sent back with it. */
  metadata?: unknown
}
/** A call that has not started. */
export type EventToolPending = {
  /** The arguments, once complete. */
  input?: { [key: string]: unknown }
  /** The arguments as the model wrote them. */
  raw?: string | BlobRef
}
/** A call that runs. */
export type EventToolRunning = {
  /** The arguments. */
  input: unknown
  /** One line for people. */
  title?: (string | null) | BlobRef
  /** What the tool reports while it runs. */
  metadata?: unknown
  /** Since when. */
  time: Span
}
/** How far a tool call is. */
export type EventToolState = (EventToolPending & {
  status: "pending"
}) | (EventToolRunning & {
  status: "running"
}) | (EventToolCompleted & {
  status: "completed"
}) | (EventToolFailed & {
  status: "error"
})
/** Params of `event.unsubscribe`. */
export type EventUnsubscribeParams = {
  /** The subscription's id. */
  subscription: number
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A prompt. */
export type EventUserMessage = {
  /** The message's id. */
  id: MessageId
  /** The session. */
  sessionID: SessionId
  /** When. */
  time: Created
  /** Whether it waits, is being answered, or how it ended. Only old events in the log lack it. */
  state?: PromptState
  /** A later prompt that entered the turn in the same step: its answers answer this prompt as well. */
  answeredWith?: MessageId | null
  /** The agent that was asked. */
  agent: string
  /** The model that was asked. */
  model: ModelRef
  /** Replaces the agent's system prompt for this turn. */
  system?: (string | null) | BlobRef
  /** Tools switched on or off for this turn, by name or wildcard. */
  tools?: { [key: string]: boolean } | null
  /** The variant of the model that was asked for. */
  variant?: string | null
  /** How the model was to sample, and how long its answers might be. */
  options?: PromptOptions | null
  /** The form that the answer was to have. */
  format?: OutputFormat | null
  /** What was to be done without a question in its turn. */
  mode?: Mode | null
}
/** A file that differs from the last commit. */
export type File = {
  /** Its path relative to the directory that the request means. A repository inside this one that is not part of it ends with `/`. */
  path: string
  /** Lines that it has and the last commit has not; 0 where git counts none, as in binary files. */
  added: number
  /** Lines that the last commit has and it has not. */
  removed: number
  /** How it differs. */
  status: FileStatus
  /** Where it was in the last commit, when it was renamed. */
  from?: string | null
}
/** What happened to a file. */
export type FileChangedInfo = {
  /** The absolute path. */
  path: string
  /** What happened. */
  event: FileEvent
}
/** A file as it was read. Where an editor has announced text that it has not saved, that text is what was read. */
export type FileContent = {
  /** What `content` is. */
  type: FileContentType
  /** The file's text as it is, nothing trimmed and a byte order mark as U+FEFF; its bytes in base64; or a unified patch with all lines as context. */
  content: string
  /** How `content` is encoded; absent for text. */
  encoding?: FileEncoding | null
  /** The media type of what is no text, and of SVG images. */
  mime?: string | null
  /** How the file stores its characters where that is not UTF-8: the encoding's name in the Encoding Standard, in lower case, such as `utf-16le` (from a byte order mark) or `gbk` (guessed from the bytes). */
  charset?: string | null
  /** Some bytes are not valid in that encoding, or in UTF-8, and are U+FFFD in `content`: saving it would lose them. */
  lossy?: boolean
  /** There are lines after those that were asked for. */
  more?: boolean
  /** BLAKE3 of the bytes that were read, in hexadecimal: of the whole file or announced text, or of the lines asked for. */
  version: string
}
/** What the content of a file is given as. */
export type FileContentType = "raw" | "patch"
/** What a session has changed in one file, from before its first change to after its last one. */
export type FileDiff = {
  /** The absolute path. */
  path: string
  /** The text before; absent if there was no file, and where `patch` is empty for want of a text. */
  before?: string | null
  /** The text after; absent if there is no file any more, and where `patch` is empty for want of a text. */
  after?: string | null
  /** A unified diff. Empty for a file that is not text, that is too large, or whose image is not stored any more. */
  patch: string
  /** Lines that were added. */
  added: number
  /** Lines that were removed. */
  removed: number
  /** How it was changed. */
  status: FileStatus
}
/** How content that is no text is encoded. */
export type FileEncoding = "base64"
/** What happened to a file. */
export type FileEvent = "add" | "change" | "unlink"
/** Params of `file.find`. */
export type FileFindParams = {
  /** The session whose directory is meant, in place of `directory`. */
  sessionID?: SessionId | null
  /** The query, in the syntax of fzf: all words must match, as fuzzy sequences; `'word` exactly, `^word` at the beginning, `word$` at the end, `!word` not at all, `one | other` either. Without capitals both cases match. Empty: the files that were used last, then what lies highest. */
  query: string
  /** The maximum number of paths, 1 to 1,000; default 50. */
  limit?: number | null
  /** Only files or only directories; both if not said. */
  type?: FindType | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** The form in which a file is wanted. */
export type FileForm = "auto" | "raw"
/** Params of `file.list`. */
export type FileListParams = {
  /** The directory to list: relative to the directory that the request means, or absolute; empty or `.` is that directory itself. It must lie in the worktree. */
  path: string
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A path that matches, and where. */
export type FileMatch = {
  /** The path relative to the directory; directories end with `/`. */
  path: string
  /** The places of the matched characters in `path`, ascending, in UTF-16 code units from 0; of a character of two units the first. Empty where the query names no characters. */
  positions: Array<number>
}
/** Params of `file.match`. */
export type FileMatchParams = {
  /** The session whose directory is meant, in place of `directory`. */
  sessionID?: SessionId | null
  /** The query, in the syntax of fzf: all words must match, as fuzzy sequences; `'word` exactly, `^word` at the beginning, `word$` at the end, `!word` not at all, `one | other` either. Without capitals both cases match. Empty: the files that were used last, then what lies highest. */
  query: string
  /** The maximum number of paths, 1 to 1,000; default 50. */
  limit?: number | null
  /** Only files or only directories; both if not said. */
  type?: FindType | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** An entry of a directory. */
export type FileNode = {
  /** Its name. */
  name: string
  /** Its path relative to the directory that the request means, with `/` between names and none at the end. */
  path: string
  /** Its absolute path. */
  absolute: string
  /** What it is; of a symbolic link, what it leads to. */
  type: FileNodeType
  /** It is a symbolic link. */
  symlink?: boolean
  /** git ignores it: it matches an ignore rule and is not tracked. */
  ignored: boolean
}
/** What an entry of a directory is. */
export type FileNodeType = "file" | "directory"
/** A file or image that the user attached. */
export type FilePart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The media type. */
  mime: string
  /** The name for people. */
  filename?: string | null
  /** `file:`, `data:` or another address. */
  url: string
  /** Where in the prompt it was mentioned; not interpreted by the daemon. */
  source?: unknown
}
/** A file. */
export type FilePath = {
  /** The absolute path. */
  path: string
}
/** Params of `file.read`. */
export type FileReadParams = {
  /** The file: relative to the directory that the request means, or absolute. It must lie in the worktree. */
  path: string
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** In which form; default: `auto`. */
  as?: FileForm | null
  /** At which revision: `HEAD`, or the id of a message of the session `sessionID`, before whose changes the text is returned. Never a patch. Default: as it is now. */
  at?: string | null
  /** The first line to read, from 1. With `offset` or `limit` the answer is those lines as they are, never a patch. */
  offset?: number | null
  /** How many lines to read at most; default: all that follow. */
  limit?: number | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How a file differs from the last commit. */
export type FileStatus = "added" | "deleted" | "modified" | "renamed"
/** Params of `file.status`. */
export type FileStatusParams = {
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What is to be found. */
export type FindType = "file" | "directory"
/** A kind of data that is kept for a time. */
export type GcKind = "events" | "outputs" | "snapshots" | "archived"
/** What was removed of a kind. */
export type GcKindResult = {
  /** The kind. */
  kind: GcKind
  /** What was removed, or would be. */
  removed: GcTotal
  /** What there is afterwards, or would be. */
  kept: GcTotal
  /** Why some of it could not be removed. */
  error?: string | null
}
/** A number of things and their size. */
export type GcTotal = {
  /** How many. */
  count: number
  /** Their bytes. */
  bytes: number
}
/** Arguments of `glob`. */
export type GlobInput = {
  /** The pattern of names. */
  pattern: string
  /** The directory. */
  path?: string | null
}
/** What a search for names reports. */
export type GlobMetadata = {
  /** How many paths the model got. */
  count: number
  /** There are more. */
  truncated: boolean
  /** The file with the whole result. */
  outputPath?: string | null
}
/** A remembered "always". */
export type Grant = {
  /** The grant's id, for `permission.revoke`. */
  id: GrantId
  /** The project it holds in. */
  projectID: ProjectId
  /** The root session that it holds in, with its descendants; absent: in the whole project. */
  sessionID?: SessionId | null
  /** The permission's type. */
  type: string
  /** What is allowed. */
  pattern: string
  /** When it was given. */
  time: PermissionTime
}
/** A remembered permission. */
export type GrantId = string
/** Where a grant holds. */
export type GrantScope = "session" | "project"
/** Arguments of `grep`. */
export type GrepInput = {
  /** The regular expression. */
  pattern: string
  /** The directory or file. */
  path?: string | null
  /** Only files whose path matches this pattern. */
  include?: string | null
}
/** What a search in contents reports. */
export type GrepMetadata = {
  /** How many lines the model got. */
  matches: number
  /** There are more. */
  truncated: boolean
  /** The file with the whole result. */
  outputPath?: string | null
}
/** Lines that a session changed and that are next to each other, or a file that has no lines to compare. */
export type Hunk = {
  /** It stays the same while the text of the hunk does. */
  hunkID: HunkId
  /** The absolute path. */
  path: string
  /** Its place in the current text, unsaved text of editors included: `after`, or `before` of an undone hunk. */
  range: TextRange
  /** The lines before; empty where lines were added. Absent for a file that is not text or too large, and in an event whose texts would be longer than 64 KiB. */
  before?: string | null
  /** The lines after; empty where lines were removed. Absent as `before` is. */
  after?: string | null
  /** The message that changed it last. */
  messageID: MessageId
  /** The tool call that changed it last. */
  callID?: string | null
  /** What the user decided. */
  state: HunkState
}
/** A hunk of what a session changed. */
export type HunkId = string
/** Params of `hunk.keep`. Without a hunk and a path all open hunks of the session are kept. */
export type HunkKeepParams = {
  /** The session. */
  sessionID: SessionId
  /** This hunk. One that was undone is put into the file again. */
  hunkID?: HunkId | null
  /** All open hunks of this file, relative to the session's directory or absolute. */
  path?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `hunk.list`. */
export type HunkListParams = {
  /** The session. */
  sessionID: SessionId
  /** Only those of this file, relative to the session's directory or absolute. */
  path?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What the user decided about a hunk. */
export type HunkState = "open" | "kept" | "undone"
/** Params of `hunk.undo`. Without a hunk and a path all open hunks of the session are undone. */
export type HunkUndoParams = {
  /** The session. */
  sessionID: SessionId
  /** This hunk, also if it was kept. */
  hunkID?: HunkId | null
  /** All open hunks of this file, relative to the session's directory or absolute. */
  path?: string | null
  /** Leaves hunks that somebody else has changed as they are and undoes the rest. */
  partial?: boolean
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** The hunks of a file. */
export type HunksInfo = {
  /** The session. */
  sessionID: SessionId
  /** The absolute path. */
  path: string
  /** All hunks of the file, from its top. */
  hunks: Array<Hunk>
}
/** A place that can hold a provider's key. */
export type KeyPlace = {
  /** The kind of place. */
  source: KeySource
  /** The variable, where it is the environment. */
  variable?: string | null
}
/** Where a key comes from. */
export type KeySource = "settings" | "environment" | "stored"
/** A key on its way. It prints as `***`, and what is no text is refused without being repeated. */
export type KeyText = string
/** Arguments of `list`. */
export type ListInput = {
  /** The directory. */
  path?: string | null
  /** Patterns of what is left out. */
  ignore?: Array<string> | null
}
/** What a listed directory reports. */
export type ListMetadata = {
  /** How many entries the model got. */
  count: number
  /** There are more. */
  truncated: boolean
  /** The file with the whole result. */
  outputPath?: string | null
}
/** How grave a log line is. */
export type LogLevel = "debug" | "info" | "warn" | "error"
/** Params of `log.write`. */
export type LogWriteParams = {
  /** Who writes. */
  service: string
  /** How grave it is. */
  level: LogLevel
  /** The line. */
  message: string
  /** Further fields. */
  extra?: unknown
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Prices in US dollars for a million tokens, of calls with a long context; 0 where unknown. */
export type LongContextCost = {
  /** Input tokens. */
  input?: number
  /** Output tokens. */
  output?: number
  /** Input tokens read from the provider's cache. */
  cache_read?: number
  /** Input tokens written to the provider's cache. */
  cache_write?: number
}
/** A message. */
export type Message = (UserMessage & {
  role: "user"
}) | (AssistantMessage & {
  role: "assistant"
})
/** How a message failed. */
export type MessageError = {
  /** Which failure. */
  name: MessageErrorName
  /** What is known about it. */
  data: MessageErrorData
}
/** What is known about a failure. */
export type MessageErrorData = {
  /** For people. */
  message: string
  /** What to do next. */
  hint?: string | null
  /** The provider. */
  providerID?: string | null
  /** The HTTP status of the service. */
  statusCode?: number | null
  /** Whether trying again may help. */
  isRetryable?: boolean | null
  /** The model, where it is the one that is not known. */
  modelID?: string | null
  /** How often the model was asked again for an answer in the right form. */
  retries?: number | null
}
/** The name of a failure. */
export type MessageErrorName = "ProviderAuthError" | "QuotaExceededError" | "RateLimitError" | "OverloadedError" | "APIError" | "ContextOverflowError" | "ContentFilterError" | "MessageOutputLengthError" | "MessageAbortedError" | "MessageInterruptedError" | "ProviderModelNotFoundError" | "StructuredOutputError" | "UnknownError"
/** A message. */
export type MessageId = string
/** A message. */
export type MessageInfo = {
  /** The message. */
  info: Message
}
/** Where an assistant message worked. */
export type MessagePath = {
  /** The session's directory. */
  cwd: string
  /** The checkout in use. */
  root: string
}
/** A removed message. */
export type MessageRemovedInfo = {
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
}
/** Times of an assistant message, in milliseconds since 1970. */
export type MessageTime = {
  /** When it began. */
  created: number
  /** When it ended. */
  completed?: number | null
}
/** A message with its parts, as read in one snapshot of the store. */
export type MessageWithParts = {
  /** The message. */
  info: Message
  /** Its parts in the order in which they were stored. */
  parts: Array<Part>
  /** The event cursor of the snapshot: events of this message up to it are already contained. */
  cursor: number
}
/** What is done without a question. Stronger than any mode: a `deny`; an `ask` of the user's own whose pattern is not `*`; polytree's own files and key stores; an agent that may not edit, such as `plan`. */
export type Mode = "ask" | "edits" | "all"
/** A model. */
export type Model = {
  /** The id at the provider. */
  id: string
  /** The name for people. */
  name: string
  /** The wire protocol, where it is not the provider's. */
  api?: string | null
  /** Takes images. */
  attachment: boolean
  /** Takes documents, such as PDF files. */
  documents?: boolean
  /** Thinks before it answers. */
  reasoning: boolean
  /** Takes a temperature. */
  temperature: boolean
  /** Can call tools. */
  tool_call: boolean
  /** The day on which it came out, as `YYYY-MM-DD`; absent where unknown. */
  release_date?: string | null
  /** Prices. */
  cost: ModelCost
  /** Limits. */
  limit: ModelLimit
  /** The names of its variants, for example its levels of reasoning; a prompt chooses one by `variant`. */
  variants?: Array<string>
}
/** A model in the settings: what is absent is as the catalogue has it, or for a model that it does not know: tools yes, all else no, limits and prices unknown. */
export type ModelConfig = {
  /** The name for people. */
  name?: string | null
  /** Takes images. */
  attachment?: boolean | null
  /** Takes documents, such as PDF files. */
  documents?: boolean | null
  /** Thinks before it answers. */
  reasoning?: boolean | null
  /** Takes a temperature. */
  temperature?: boolean | null
  /** Can call tools. */
  tool_call?: boolean | null
  /** Limits in tokens. */
  limit?: ModelLimit | null
  /** Prices in US dollars for a million tokens. */
  cost?: ModelCost | null
  /** Further fields of each request's body. */
  options?: { [key: string]: unknown }
  /** Variants by name: further fields of the request's body for prompts that ask for one; `false` takes a built-in one away. */
  variants?: { [key: string]: unknown }
}
/** Prices in US dollars for a million tokens; 0 where unknown. */
export type ModelCost = {
  /** Input tokens. */
  input?: number
  /** Output tokens. */
  output?: number
  /** Input tokens read from the provider's cache. */
  cache_read?: number
  /** Input tokens written to the provider's cache. */
  cache_write?: number
  /** The prices of a call that reads more than 200,000 tokens, those from the cache included; absent: the same. */
  context_over_200k?: LongContextCost | null
}
/** Limits in tokens; 0 where unknown. */
export type ModelLimit = {
  /** The context window. */
  context?: number
  /** The longest answer. */
  output?: number
}
/** Params of `model.list`. */
export type ModelListParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A model of a provider. */
export type ModelRef = {
  /** The provider's id. */
  providerID: string
  /** The model's id at that provider; may contain slashes. */
  modelID: string
}
/** Params of `model.refresh`. */
export type ModelRefreshParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `model.refresh`. */
export type ModelRefreshResult = {
  /** The catalogue from now on. */
  catalog: CatalogInfo
  /** How many services it names. */
  providers: number
  /** How many models it names. */
  models: number
  /** How many entries were left out because they are malformed. */
  skipped: number
}
/** No properties. */
export type NoProperties = { [key: string]: unknown }
/** The form of an answer. */
export type OutputFormat = {
  type: "text"
} | {
  type: "json_schema"
  /** The JSON Schema: at most 64 KiB, references only within it (`#/$defs/…`). */
  schema: { [key: string]: unknown }
  /** What the answer is, in a word; the model reads it. */
  name?: string | null
  /** How often the model may try again after an answer that is not valid: 0 to 10, default 2. */
  retries?: number | null
}
/** A part of a message. */
export type Part = (TextPart & {
  type: "text"
}) | (ReasoningPart & {
  type: "reasoning"
}) | (FilePart & {
  type: "file"
}) | (ToolPart & {
  type: "tool"
}) | (StepStartPart & {
  type: "step-start"
}) | (StepFinishPart & {
  type: "step-finish"
}) | (SnapshotPart & {
  type: "snapshot"
}) | (PatchPart & {
  type: "patch"
}) | (AgentPart & {
  type: "agent"
}) | (SubtaskPart & {
  type: "subtask"
}) | (RetryPart & {
  type: "retry"
}) | (CompactionPart & {
  type: "compaction"
})
/** What was appended to a part. */
export type PartDelta = {
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The part. */
  partID: PartId
  /** The field that grew: `text`; `raw`, the arguments of a call that the model writes; `output` of a running tool. */
  field: string
  /** What was appended. */
  delta: string
}
/** A part of a message. */
export type PartId = string
/** A part. */
export type PartInfo = {
  /** The part. */
  part: Part
}
/** A part of a prompt. */
export type PartInput = {
  type: "text"
  /** The part's id. */
  id?: PartId | null
  /** The text. */
  text: string
  /** Not typed by the user. */
  synthetic?: boolean
} | {
  type: "file"
  /** The part's id. */
  id?: PartId | null
  /** The media type; `text/plain` is read as text, `application/x-directory` is listed. */
  mime: string
  /** The name for people. */
  filename?: string | null
  /** `file:///absolute/path`, optionally with `?start=LINE&end=LINE` (from 1), or a `data:` address. */
  url: string
  /** Where in the prompt it was mentioned; kept, not interpreted. */
  source?: unknown
} | {
  type: "agent"
  /** The part's id. */
  id?: PartId | null
  /** The agent's name. */
  name: string
  /** Where in the prompt it was mentioned; kept, not interpreted. */
  source?: unknown
} | {
  type: "subtask"
  /** The part's id. */
  id?: PartId | null
  /** What the child is asked. */
  prompt: string
  /** A few words for people. */
  description: string
  /** The agent that does it; its `mode` must be `subagent` or `all`. */
  agent: string
  /** The model that it uses. Default: the agent's, else that of this prompt. */
  model?: ModelRef | null
}
/** A removed part. */
export type PartRemovedInfo = {
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The part. */
  partID: PartId
}
/** The files that a tool call changed. */
export type PatchPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The id of the stored change set. Empty in a copy of a session, which cannot undo what the original changed. */
  hash: string
  /** Absolute paths. */
  files: Array<string>
  /** Files and directories that may have changed and cannot be restored, because no image was stored. */
  uncovered?: Array<string>
  /** Why, by path. */
  reasons?: { [key: string]: string }
  /** The tool call that changed them. */
  callID?: string | null
}
/** Params of `path.get`. */
export type PathGetParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `path.get`. */
export type PathGetResult = {
  /** The user's home. */
  home: string
  /** The user's settings. */
  config: string
  /** The store, logs and keys. */
  data: string
  /** The checkout in use. */
  worktree: string
  /** The directory. */
  directory: string
}
/** An open permission question. */
export type Permission = {
  /** The question's id. */
  id: PermissionId
  /** The session that asks. */
  sessionID: SessionId
  /** The assistant message that holds the tool call. */
  messageID: MessageId
  /** The tool call. */
  callID: string
  /** The permission's type, such as `bash` or `edit`. */
  type: string
  /** What is asked for. */
  patterns: Array<string>
  /** What "always" would grant. */
  always: Array<string>
  /** One line for people. */
  title: string
  /** More about what is asked, as far as clients can use it. */
  metadata: PermissionMetadata
  /** When it was asked. */
  time: PermissionTime
}
/** Permission rules: an action for everything, or a map from a permission type to an action or to a map from patterns to actions. The order of keys is kept; of the matching rules the last one wins. */
export type PermissionConfig = Action | {
  /** Reading files. */
  read?: PermissionSetting
  /** Changing files, with whatever tool. */
  edit?: PermissionSetting
  /** Running commands. */
  bash?: PermissionSetting
  /** Searching in files. */
  grep?: PermissionSetting
  /** Finding files by name. */
  glob?: PermissionSetting
  /** Listing directories. */
  list?: PermissionSetting
  /** Fetching web pages; not used yet. */
  webfetch?: PermissionSetting
  /** Starting child sessions; patterns are names of agents. */
  task?: PermissionSetting
  /** Loading skills; not used yet. */
  skill?: PermissionSetting
  /** Keeping the task list. */
  todo?: PermissionSetting
  /** Asking the user questions; not used yet. */
  question?: PermissionSetting
  /** Touching files outside the worktree; patterns are directories. */
  external_directory?: PermissionSetting
  /** Making the same call again and again. */
  repeat?: PermissionSetting
  /** Calling tools of MCP servers; not used yet. */
  mcp?: PermissionSetting
  /** Calling tools of plugins; not used yet. */
  plugin?: PermissionSetting
  /** Leaving the sandbox; patterns are those of `bash`. */
  sandbox?: PermissionSetting
  /** Everything. */
  "*"?: PermissionSetting
}
/** Params of `permission.grants`. */
export type PermissionGrantsParams = {
  /** Only what holds in this session: the project's grants and its own. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A permission question. */
export type PermissionId = string
/** Params of `permission.list`. */
export type PermissionListParams = {
  /** Only this session and its descendants. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** More about a question. What is there depends on the permission's type and on what asks; a command also asks for the types `read`, `edit`, `external_directory` and `sandbox`. */
export type PermissionMetadata = {
  /** Of a command: the line as it will run. */
  command?: string | null
  /** The line with what cannot be seen as `\u{202e}`, where that differs. */
  shown?: string | null
  /** Of a command: what it does, in the model's words. */
  description?: string | null
  /** Of a command: the directory in which it runs. */
  workdir?: string | null
  /** Of a command: patterns of the places outside of the worktree, and of those that hold keys, that it works in. */
  directories?: Array<string> | null
  /** Of a command: false where it cannot be told what it runs. */
  understood?: boolean | null
  /** Where a command is not understood: the patterns that rules deny. `polytree run --yes` rejects the question. */
  denies?: Array<string> | null
  /** Of a git command: what the repository's settings could make it run. */
  git?: Array<string> | null
  /** Of a command that is granted for one place only: by what names grants know it. */
  bound?: { [key: string]: Array<string> } | null
  /** Of a command: what it would run in. */
  sandbox?: SandboxReport | null
  /** Of the type `sandbox`: why it should run outside of it. */
  reason?: string | null
  /** Of a file: its absolute path. */
  filePath?: string | null
  /** Of the type `edit`: the change as a unified diff. */
  diff?: string | null
  /** Of the type `edit`: BLAKE3 of the file as it is, in hexadecimal; absent where it is new. */
  version?: string | null
  /** Of the type `external_directory`: the directory that "always" grants. */
  directory?: string | null
  /** Of a search: its pattern. */
  pattern?: string | null
  /** Of a search or a list: where. */
  path?: string | null
  /** Of a search: only files whose path matches this. */
  include?: string | null
  /** Of a search: the files in which matches were found and which a rule asks for. */
  files?: Array<string> | null
  /** Of the type `repeat`: the tool that is called again and again. */
  tool?: string | null
  /** Of the type `repeat`: its arguments. */
  input?: unknown
}
/** How a question ended. */
export type PermissionOutcome = "once" | "always" | "reject" | "aborted" | "expired"
/** How a permission question ended. */
export type PermissionRepliedInfo = {
  /** The session. */
  sessionID: SessionId
  /** The question. */
  permissionID: PermissionId
  /** How it ended. */
  response: PermissionOutcome
}
/** Params of `permission.reply`. */
export type PermissionReplyParams = {
  /** The session that asked. */
  sessionID: SessionId
  /** The question. */
  permissionID: PermissionId
  /** The answer. */
  response: PermissionResponse
  /** With `always`: where it holds; default: in the project. */
  scope?: GrantScope | null
  /** With `always`: what is granted in place of all that `always` of the question offers: some of those patterns, or narrower ones. At most 1,000. */
  always?: Array<string> | null
  /** With `reject`: a message for the model; the turn then continues. */
  message?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** An answer of the user. */
export type PermissionResponse = "once" | "always" | "reject"
/** Params of `permission.revoke`. */
export type PermissionRevokeParams = {
  /** The grant to take back. */
  id: GrantId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What the settings say about one permission type: an action for everything, or a map from patterns to actions. */
export type PermissionSetting = Action | { [key: string]: Action }
/** When a question was asked. */
export type PermissionTime = {
  /** Milliseconds since 1970. */
  created: number
}
/** A repository with all its worktrees, or a directory outside git. */
export type Project = {
  /** The project's id; the same for all worktrees of one clone. */
  id: ProjectId
  /** The main checkout, as an absolute real path. */
  worktree: string
  /** The version control system. */
  vcs?: Vcs | null
  /** A name for people. */
  name?: string | null
  /** The directory is gone. */
  missing?: boolean
  /** The project's own settings may be used. */
  trusted: boolean
  /** Files that wait for trust: new or changed since it was given. */
  pending?: Array<string>
  /** When. */
  time: ProjectTime
}
/** Params of `project.current`. */
export type ProjectCurrentParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `project.forget`, which needs the `projectID`. */
export type ProjectForgetParams = {
  /** Delete its sessions too; otherwise a project with sessions is not forgotten. */
  sessions?: boolean | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A project. */
export type ProjectId = string
/** A project. */
export type ProjectInfo = {
  /** The project. */
  info: Project
}
/** Params of `project.init`. */
export type ProjectInitParams = {
  /** Initialise a git repository if there is none. */
  git?: boolean | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `project.list`. */
export type ProjectListParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A project's id. */
export type ProjectOnly = {
  /** The project. */
  projectID: ProjectId
}
/** Times of a project, in milliseconds since 1970. */
export type ProjectTime = {
  /** First seen. */
  created: number
  /** Last used. */
  updated: number
  /** When its AGENTS.md was written by `session.init`. */
  initialized?: number | null
}
/** Params of `project.trust`. */
export type ProjectTrustParams = {
  /** Whether the project's own settings and agents may be used. */
  trusted: boolean
  /** With `trusted: true`: `digest` of `config.sources`. If a file has changed since, the error is `conflict`. */
  digest?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `project.update`. */
export type ProjectUpdateParams = {
  /** The new name, kept as one line of at most 500 characters without control characters; empty takes it away. */
  name: string
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How a model samples and how long its answers may be, for one turn; what is absent is as the agent has it. */
export type PromptOptions = {
  /** Sampling temperature, from 0 to 2; only for models that take one. */
  temperature?: number | null
  /** Nucleus sampling, above 0 and up to 1; only for models that take a temperature. */
  topP?: number | null
  /** The longest answer in tokens, from 1; beyond the model's own limit that one counts. */
  maxOutputTokens?: number | null
}
/** The state of a prompt. `message.updated` reports each change. */
export type PromptState = "queued" | "running" | "answered" | "cancelled"
/** A model service. */
export type Provider = {
  /** The id, such as `anthropic`. */
  id: string
  /** The name for people. */
  name: string
  /** The environment variables that may hold its key. */
  env: Array<string>
  /** The wire protocol: `openai`, `openai-responses`, `anthropic`, `gemini`, `ollama`, or one that only this daemon knows. */
  api: string
  /** Where its key comes from; absent: it has none. */
  key?: KeySource | null
  /** A server that was found running on this machine. It is never a default: name one of its models to use it. */
  local?: boolean
  /** Its models by id. */
  models: { [key: string]: Model }
}
/** A provider in the settings. */
export type ProviderConfig = {
  /** The wire protocol: `openai` (Chat Completions, and whatever is compatible with it), `openai-responses`, `anthropic`, `gemini`, `ollama` (its own protocol, which is told the model's context limit), or `scripted`. */
  api?: string | null
  /** The name for people. */
  name?: string | null
  /** The environment variables that may hold its key; the first one that is set counts. */
  env?: Array<string> | null
  /** How it is reached. */
  options?: ProviderOptions
  /** Its models by id: changes to known ones, and new ones. */
  models?: { [key: string]: ModelConfig }
}
/** Params of `provider.list`. */
export type ProviderListParams = {
  /** Also the services that only a refreshed catalogue knows, and that neither the settings nor a stored key name. */
  all?: boolean | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `provider.list`. */
export type ProviderListResult = {
  /** All known providers. */
  providers: Array<Provider>
  /** The model used of each provider when only the provider is named. */
  default: { [key: string]: string }
  /** The ids of the providers that can be used now. */
  connected: Array<string>
  /** Where names, limits and prices come from. */
  catalog?: CatalogInfo
  /** What is wrong with the catalogue's copy, the key store or the variables that the settings name, for people. */
  problems?: Array<string>
  /** The model of a prompt that names none, in a session and with an agent that name none either. */
  used?: ModelRef | null
}
/** How a provider is reached. Keys that are not listed are merged into the body of each request. */
export type ProviderOptions = {
  /** The key; better as `{env:NAME}` or `{file:PATH}`. */
  apiKey?: string | null
  /** The address before the paths of the wire protocol, such as `http://127.0.0.1:8080/v1`; default: where the protocol's maker serves it, for `ollama` `http://127.0.0.1:11434`. */
  baseURL?: string | null
  /** Further HTTP headers. */
  headers?: { [key: string]: string }
  /** How long the service may be silent, in milliseconds; default 300,000. */
  timeout?: number | null
  /** How long a connection may take to be made, in milliseconds; default 30,000. */
  connectTimeout?: number | null
  /** The proxy, such as `http://user:password@host:3128` or `socks5://host:1080`; `none` for none. Default: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the client say. Loopback is never asked for by a proxy. */
  proxy?: string | null
  /** A file with certificates (PEM) of authorities that are trusted beside the system's; absolute, or with `~/`. */
  ca?: string | null
  /** Addresses to which a project's settings may send this provider's key with their `baseURL` or `proxy`: these and what lies below them; only in the user's own settings. */
  trustedURLs?: Array<string>
}
/** A question of the model to the user. */
export type QuestionId = string
/** Result of `session.steer` and `session.queue.replace`. */
export type QueuedMessage = {
  /** The user message. */
  messageID: MessageId
}
/** A prompt that waits. */
export type QueuedPrompt = {
  /** The user message. */
  messageID: MessageId
  /** Its parts. */
  parts: Array<Part>
  /** Whether it enters the running turn at its next step. Otherwise it becomes a turn of its own. */
  steers?: boolean
}
/** Arguments of `read`. */
export type ReadInput = {
  /** The file or directory. */
  filePath: string
  /** The first line, from 1. */
  offset?: number | null
  /** How many lines. */
  limit?: number | null
}
/** What a read file reports. */
export type ReadMetadata = {
  /** The first lines. */
  preview?: string | null
  /** The media type of an image or document. */
  mime?: string | null
  /** There is more than the model got. */
  truncated: boolean
  /** How many lines the file has, where that is known. */
  lines?: number | null
  /** The text was one that an editor has not saved. */
  unsaved?: boolean | null
  /** The file with the whole result. */
  outputPath?: string | null
}
/** What the model thought. */
export type ReasoningPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The text, exactly as it came. */
  text: string
  /** What the provider attached, such as its signature. */
  metadata?: unknown
  /** When it was streamed. */
  time: Span
}
/** A model call failed and is tried again. */
export type RetryPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** Which attempt failed, from 1. */
  attempt: number
  /** How it failed. */
  error: MessageError
  /** The service refused the request, and it is sent again without the images and documents of the conversation. This model is not sent those again. */
  withoutAttachments?: boolean
  /** When. */
  time: Created
}
/** What happens to a file. */
export type RevertAction = "restore" | "create" | "delete" | "merge" | "skip" | "conflict"
/** What happens to one file. */
export type RevertedFile = {
  /** The absolute path. */
  path: string
  /** What happens to it. */
  action: RevertAction
  /** Why nothing happens. */
  reason?: string | null
}
/** Params of `rpc.discover`. */
export type RpcDiscoverParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A permission rule. The last matching rule wins. */
export type Rule = {
  /** The permission's type, such as `bash` or `edit`; `*` for all. */
  permission: string
  /** What it applies to: a wildcard pattern over a command, path or address. */
  pattern: string
  /** What then. */
  action: Action
}
/** A child session that is in a turn. */
export type RunningChild = {
  /** The session. */
  sessionID: SessionId
  /** What it is about. */
  title: string
}
/** The sandbox of commands; only in the user's own settings. Paths are absolute or begin with `~/`. */
export type SandboxConfig = {
  /** Files and directories that commands may read besides. */
  read?: Array<string>
  /** Files and directories, such as caches, that commands with the policy `workspace` may write besides. */
  write?: Array<string>
  /** UNIX sockets that commands may connect to. */
  sockets?: Array<string>
  /** Names of variables that commands get although they hold keys of providers. */
  environment?: Array<string>
  /** What commands with the policy `workspace` may reach. */
  network?: SandboxNetwork
  /** Commands that are to run in the sandbox are asked for where it cannot be had whole. */
  required?: boolean
}
/** The network of commands in the sandbox. */
export type SandboxNetwork = {
  /** Domains that may be reached over HTTP and HTTPS, such as `crates.io`; `*.crates.io` for all below one. */
  domains?: Array<string>
  /** Servers on this machine may be reached too. */
  loopback?: boolean
}
/** What a command may touch. */
export type SandboxPolicy = "read-only" | "workspace" | "off"
/** What is enforced of a policy, and what is not. */
export type SandboxPromise = {
  /** What is. */
  enforced: Array<SandboxWord>
  /** What is not. */
  missing: Array<SandboxWord>
}
/** What a command runs in, as far as this machine can enforce it: `metadata.sandbox` of a `bash` call and of a question. The last three fields are there when the command has ended. */
export type SandboxReport = {
  /** The policy. */
  policy: SandboxPolicy
  /** What is enforced. */
  enforced: Array<SandboxWord>
  /** What is not. */
  missing: Array<SandboxWord>
  /** The lines of the output that tell of a refusal, which the sandbox may have caused; the first few. */
  refused?: Array<string>
  /** Files by which programs are run, which the command has changed. They were put back as they were. */
  restored?: Array<string>
  /** Directories in which the command has created a git repository: its settings and hooks can name programs. */
  repositories?: Array<string>
}
/** A part of what a policy promises. */
export type SandboxWord = "read" | "write" | "git" | "network" | "domains" | "sockets" | "signals"
/** The daemon itself. Read when it starts. */
export type ServerConfig = {
  /** How long a daemon that a client started keeps running without a client, a running turn, a waiting prompt, or a listener on the network, in milliseconds; 0: no limit. */
  idle_timeout?: number
}
/** Params of `server.diagnose`. The settings that are checked are those of the directory. */
export type ServerDiagnoseParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `server.gc`. */
export type ServerGcParams = {
  /** Only says what would be removed. */
  dryRun?: boolean
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `server.gc`. */
export type ServerGcResult = {
  /** Nothing was removed. */
  dryRun?: boolean
  /** What was removed, or would be, by kind. */
  kinds: Array<GcKindResult>
  /** The size of the database before. */
  databaseBefore: number
  /** The size of the database afterwards. */
  databaseAfter: number
}
/** Params of `server.info`. */
export type ServerInfoParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `server.info`. */
export type ServerInfoResult = {
  /** The executable's version. */
  version: string
  /** The version of this contract. */
  protocolVersion: number
  /** The daemon's process. */
  pid: number
  /** When it started, in milliseconds since 1970. */
  started: number
  /** The data directory that it owns. */
  dataDirectory: string
  /** Where it listens: the local socket and network addresses. */
  listen: Array<string>
}
/** Params of `server.initialize`. */
export type ServerInitializeParams = {
  /** Who connects. */
  clientInfo?: ClientInfo | null
  /** What the client can do. */
  capabilities?: ClientCapabilities | null
  /** The version of this contract that the client speaks. */
  protocolVersion?: number | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `server.initialize`. */
export type ServerInitializeResult = {
  /** The daemon. */
  serverInfo: ServerName
  /** The version of this contract. */
  protocolVersion: number
  /** This connection, as diagnostics name it. */
  connectionID: number
  /** The connection's default directory. */
  directory?: string | null
  /** The project of that directory. */
  project?: Project | null
  /** The newest event cursor. */
  cursor: number
  /** Every method that can be called. */
  methods: Array<string>
}
/** Params of `server.listen`. */
export type ServerListenParams = {
  /** `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one. */
  address: string
  /** Origins whose pages may connect, such as `https://app.example`; the daemon's own pages always may. */
  allowOrigins?: Array<string> | null
  /** Names, with or without a port, by which clients may reach the listener beside those of loopback. */
  allowHosts?: Array<string> | null
  /** The path below which everything is served, such as `/polytree`. */
  basePath?: string | null
  /** Believe the `X-Forwarded-*` headers: only behind a proxy that sets them. */
  trustForwarded?: boolean | null
  /** The absolute path of the certificate chain in PEM form; with `key`, the listener speaks TLS. */
  certificate?: string | null
  /** The absolute path of the certificate's private key in PEM form. */
  key?: string | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `server.listen`. */
export type ServerListenResult = {
  /** Where it listens, with the real port. */
  url: string
  /** The file that holds the token which clients must show. */
  tokenFile: string
}
/** The daemon's name and version. */
export type ServerName = {
  /** Always `polytree`. */
  name: string
  /** The executable's version. */
  version: string
}
/** Params of `server.stop`. */
export type ServerStopParams = {
  /** Whether turns may end first; default `wait`. */
  mode?: StopMode | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `server.stop`. */
export type ServerStopResult = {
  /** Always true: the daemon ends, and its socket and lock are free when it has. */
  stopping: boolean
  /** How many turns it waits for. */
  running: number
}
/** One conversation. */
export type Session = {
  /** The session's id. */
  id: SessionId
  /** The project. */
  projectID: ProjectId
  /** Where it works, as an absolute real path. */
  directory: string
  /** The directory is gone. */
  missing?: boolean
  /** The session that started it. */
  parentID?: SessionId | null
  /** The call of the tool `task` for which it works; absent where a client created it. */
  task?: TaskCall | null
  /** What it is about: one line of at most 500 characters. */
  title: string
  /** The daemon's version that created it. */
  version: string
  /** The agent for prompts that name none. */
  agent?: string | null
  /** The model for prompts that name none. */
  model?: ModelRef | null
  /** What `session.update` has chosen: it counts before what the agent and the last prompt say. */
  choice?: SessionChoice | null
  /** The branch of its checkout at its last prompt; absent outside of a repository, and where `HEAD` is detached. */
  branch?: string | null
  /** It is in no list, and its events are sent only to subscriptions with its `sessionID`. So are its descendants. */
  hidden?: boolean
  /** What is done without a question; absent: as the settings have it. A child has that of its root. */
  mode?: Mode | null
  /** Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final. */
  permission?: Array<Rule>
  /** Where it is shared. */
  share?: SessionShare | null
  /** An undo that can still be taken back. */
  revert?: SessionRevert | null
  /** What all its model calls and those of its descendants cost, in US dollars. */
  cost: number
  /** What all its model calls and those of its descendants used. */
  tokens: Tokens
  /** When. */
  time: SessionTime
}
/** Params of `session.abort`. */
export type SessionAbortParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.children`. */
export type SessionChildrenParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What was chosen for prompts that name none. */
export type SessionChoice = {
  /** The model. */
  model?: ModelRef | null
  /** The variant; it is ignored with a model that does not have it. */
  variant?: string | null
}
/** Params of `session.compact`. */
export type SessionCompactParams = {
  /** The session. */
  sessionID: SessionId
  /** The model that writes the summary. Default: that of the agent `compaction`, else the session's. */
  model?: ModelRef | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How full the context of a session's model is, in tokens. */
export type SessionContext = {
  /** The conversation at the end of the last answer, as the service counted it. 0: there is no answer yet, or the service does not count. */
  used: number
  /** The context of the model that the next prompt uses. 0: it is not known. */
  limit: number
  /** How much of it is kept free for the answer. */
  reserved: number
  /** The model that the next prompt uses. */
  model: ModelRef
}
/** Params of `session.context`. */
export type SessionContextParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.create`. */
export type SessionCreateParams = {
  /** The id that the session shall have: the same id with the same params again returns that session. */
  id?: SessionId | null
  /** The session that this one belongs to. */
  parentID?: SessionId | null
  /** What it is about; default: named by the first prompt. Kept as one line of at most 500 characters, without control characters. */
  title?: string | null
  /** The agent for prompts that name none. */
  agent?: string | null
  /** The model for prompts that name none. */
  model?: ModelRef | null
  /** What is done without a question; default: as the settings have it. A child has that of its root. */
  mode?: Mode | null
  /** Rules of this session and its descendants: after those of the agent, before what was granted. A deny is final. At most 500. */
  permission?: Array<Rule> | null
  /** Keep it out of `session.list`, and send its events only to subscriptions with its `sessionID`. A child of a hidden session is hidden. */
  hidden?: boolean | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What the next prompt uses if it names nothing itself. */
export type SessionDefaults = {
  /** The agent. */
  agent: string
  /** The model. */
  model: ModelRef
  /** The variant of the model. */
  variant?: string | null
  /** What is done without a question. */
  mode: Mode
  /** Where each of them comes from. */
  source: SessionDefaultsSource
  /** Why the model cannot be used, for people; a prompt is refused for this reason. */
  problem?: string | null
}
/** Params of `session.defaults`. */
export type SessionDefaultsParams = {
  /** The session whose next prompt is meant; without it the first prompt of a new session in the directory. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Where the defaults of the next prompt come from. */
export type SessionDefaultsSource = {
  /** Where the agent comes from. */
  agent: DefaultSource
  /** Where the model comes from. */
  model: DefaultSource
  /** Where the variant comes from; absent where there is none. */
  variant?: DefaultSource | null
  /** Where the mode comes from. */
  mode: DefaultSource
}
/** Params of `session.delete`. */
export type SessionDeleteParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.diff`. */
export type SessionDiffParams = {
  /** The session. */
  sessionID: SessionId
  /** Only the changes of this message; of a prompt, those of all its answers. */
  messageID?: MessageId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How a turn failed. */
export type SessionErrorInfo = {
  /** The session. */
  sessionID: SessionId
  /** How. */
  error: MessageError
}
/** A whole conversation. `polytree sessions export` writes the same to a file. */
export type SessionExport = {
  /** The version of this form: 1. */
  format: number
  /** The session. */
  session: Session
  /** Its messages, oldest first. */
  messages: Array<MessageWithParts>
  /** Its task list. */
  todos?: Array<Todo>
}
/** Params of `session.export`. */
export type SessionExportParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.fork`. */
export type SessionForkParams = {
  /** The session to copy. */
  sessionID: SessionId
  /** Copies only the messages before this one; default: all messages of turns that have ended. */
  messageID?: MessageId | null
  /** The id of the new session: the same id with the same params again returns that session. */
  id?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.get`. */
export type SessionGetParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A session. */
export type SessionId = string
/** Params of `session.import`. The session is created in the directory, with new ids for everything. Its `mode`, `parentID`, `share` and `revert` are dropped: a file cannot grant anything. */
export type SessionImportParams = {
  /** What `session.export` returned, in this daemon or another. */
  session: SessionExport
  /** The id of the new session: the same id with the same params again returns that session. */
  id?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A session. */
export type SessionInfo = {
  /** The session. */
  info: Session
}
/** Params of `session.list`. */
export type SessionListParams = {
  /** Which sessions; default `project`. */
  scope?: SessionScope | null
  /** Only those whose title contains this, upper or lower case. */
  search?: string | null
  /** Only those that have no parent. */
  roots?: boolean | null
  /** Only those that are archived, or only the others; both if not said. */
  archived?: boolean | null
  /** Only those in whose conversation a text of the user or the model contains this, upper or lower case. At least 2 and at most 500 characters. */
  text?: string | null
  /** How many at most: 1 to 1000, default 100. */
  limit?: number | null
  /** Only those after this one in the list's order. */
  before?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.message`. */
export type SessionMessageParams = {
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.messages`. */
export type SessionMessagesParams = {
  /** The session. */
  sessionID: SessionId
  /** The number of messages to return, the last ones; from 1. */
  limit?: number | null
  /** Only those before this message. */
  before?: MessageId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A session's id. */
export type SessionOnly = {
  /** The session. */
  sessionID: SessionId
}
/** Params of `session.prompt`. */
export type SessionPromptParams = {
  /** The session; without it one is created in the directory. */
  sessionID?: SessionId | null
  /** What is asked: parts, or a plain text. */
  parts: string | Array<PartInput>
  /** The id that the user message shall have: the same id with the same params again joins that turn. */
  messageID?: MessageId | null
  /** The model; default: the one chosen by `session.update`, the agent's, the session's last, the settings'. */
  model?: ModelRef | null
  /** The agent; default: the session's, else `build`. */
  agent?: string | null
  /** Replaces the agent's system prompt. */
  system?: string | null
  /** Tools switched on or off, by name or wildcard. */
  tools?: { [key: string]: boolean } | null
  /** The variant of the model, such as `high`; default: the one chosen by `session.update`, the agent's. `variants` of a model names them. */
  variant?: string | null
  /** How the model samples and how long its answers may be; default: as the agent has it. */
  options?: PromptOptions | null
  /** The form of the answer; default: words. */
  format?: OutputFormat | null
  /** What is done without a question in this turn; default: as the session has it. */
  mode?: Mode | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A session's queue. */
export type SessionQueueInfo = {
  /** The session. */
  sessionID: SessionId
  /** The user messages that wait, in order. */
  queue: Array<MessageId>
}
/** Params of `session.queue.move`. */
export type SessionQueueMoveParams = {
  /** The session. */
  sessionID: SessionId
  /** The prompt to move. */
  messageID: MessageId
  /** The prompt that it is to come before; default: it comes last. */
  before?: MessageId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.queue`. */
export type SessionQueueParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.queue.remove`. */
export type SessionQueueRemoveParams = {
  /** The session. */
  sessionID: SessionId
  /** The prompt. It stays a message, with the state `cancelled`. */
  messageID: MessageId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.queue.replace`. */
export type SessionQueueReplaceParams = {
  /** The session. */
  sessionID: SessionId
  /** The prompt to change. Its place in the queue, agent and model stay. */
  messageID: MessageId
  /** What is asked instead: parts, or a plain text. */
  parts: string | Array<PartInput>
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.queue.steer`. */
export type SessionQueueSteerParams = {
  /** The session. */
  sessionID: SessionId
  /** The prompt that is to enter the running turn. */
  messageID: MessageId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** An undo that can still be taken back. */
export type SessionRevert = {
  /** The first message that is undone. */
  messageID: MessageId
  /** The first part that is undone. */
  partID?: PartId | null
  /** What happened to each file. */
  files?: Array<RevertedFile>
  /** Files and directories that the session may have changed and that stay as they are, because no image was stored. */
  uncovered?: Array<string>
  /** Why they stay as they are, by path. */
  reasons?: { [key: string]: string }
  /** This is only what would happen. */
  preview?: boolean
  /** The stored change set with which it is taken back; absent if no file changed. */
  snapshot?: string | null
}
/** Params of `session.revert`. */
export type SessionRevertParams = {
  /** The session. */
  sessionID: SessionId
  /** The first message to undo. An answer is undone with its prompt. */
  messageID: MessageId
  /** The first part to undo: the earlier parts of the message stay. Without a text or tool call before it, the whole message is undone. */
  partID?: PartId | null
  /** Returns what would happen, and changes nothing. */
  preview?: boolean
  /** Leaves files in conflict as they are and undoes the rest. */
  partial?: boolean
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Which sessions a list holds. */
export type SessionScope = "directory" | "project" | "all"
/** Where a session is shared. */
export type SessionShare = {
  /** The address. */
  url: string
}
/** What a session is doing. */
export type SessionStatus = {
  type: "idle"
} | {
  type: "busy"
} | (StatusWaiting & {
  type: "waiting"
}) | (StatusRetry & {
  type: "retry"
})
/** A session's status. */
export type SessionStatusInfo = {
  /** The session. */
  sessionID: SessionId
  /** Its status now. */
  status: SessionStatus
}
/** Params of `session.status`. */
export type SessionStatusParams = {
  /** Only this session and its descendants. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.steer`. */
export type SessionSteerParams = {
  /** The session. */
  sessionID: SessionId
  /** What the model is told: parts, or a plain text. */
  parts: string | Array<PartInput>
  /** The id that the user message shall have: the same id with the same params again changes nothing. */
  messageID?: MessageId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.submit`. */
export type SessionSubmitParams = {
  /** The session; without it one is created in the directory. */
  sessionID?: SessionId | null
  /** What is asked: parts, or a plain text. */
  parts: string | Array<PartInput>
  /** The id that the user message shall have: the same id with the same params again joins that turn. */
  messageID?: MessageId | null
  /** The model; default: the one chosen by `session.update`, the agent's, the session's last, the settings'. */
  model?: ModelRef | null
  /** The agent; default: the session's, else `build`. */
  agent?: string | null
  /** Replaces the agent's system prompt. */
  system?: string | null
  /** Tools switched on or off, by name or wildcard. */
  tools?: { [key: string]: boolean } | null
  /** The variant of the model, such as `high`; default: the one chosen by `session.update`, the agent's. `variants` of a model names them. */
  variant?: string | null
  /** How the model samples and how long its answers may be; default: as the agent has it. */
  options?: PromptOptions | null
  /** The form of the answer; default: words. */
  format?: OutputFormat | null
  /** What is done without a question in this turn; default: as the session has it. */
  mode?: Mode | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Result of `session.submit`. */
export type SessionSubmitResult = {
  /** The session, which may have been created by this call. */
  sessionID: SessionId
  /** The stored user message. */
  messageID: MessageId
  /** It waits for a running turn to end. */
  queued: boolean
}
/** Times of a session, in milliseconds since 1970. */
export type SessionTime = {
  /** When it was created. */
  created: number
  /** When it last changed. */
  updated: number
  /** When it was archived. */
  archived?: number | null
}
/** Params of `session.todo`. */
export type SessionTodoParams = {
  /** The session. */
  sessionID: SessionId
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.unrevert`. */
export type SessionUnrevertParams = {
  /** The session. */
  sessionID: SessionId
  /** Returns what would happen, and changes nothing. */
  preview?: boolean
  /** Leaves files in conflict as they are and restores the rest. */
  partial?: boolean
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Params of `session.update`. */
export type SessionUpdateParams = {
  /** The session. */
  sessionID: SessionId
  /** The new title; kept as one line of at most 500 characters, without control characters. */
  title?: string | null
  /** Archive it, or take it out of the archive. */
  archived?: boolean | null
  /** The agent of prompts that name none, from the next prompt on. Without a `model` beside it, a model that was chosen here before no longer counts, so that the agent's own does. */
  agent?: string | null
  /** The model of prompts that name none, from the next prompt on, also where the agent has one of its own. */
  model?: ModelRef | null
  /** The variant for prompts that name none, which the model must have; empty: the agent's again. Without it, a new model has the agent's variant. */
  variant?: string | null
  /** What is done without a question, from the next tool call on. A child has that of its root. */
  mode?: Mode | null
  /** The session's rules from the next tool call on, in place of those before; empty: none. */
  permission?: Array<Rule> | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How grave an advice is. */
export type Severity = "error" | "warning" | "info"
/** A recorded state of the work tree. The daemon makes none: `patch` parts take its place. Conversations from elsewhere may have it. */
export type SnapshotPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** Its id. */
  snapshot: string
}
/** A span of time; without `end` it still runs. */
export type Span = {
  /** Milliseconds since 1970. */
  start: number
  /** Milliseconds since 1970. */
  end?: number | null
}
/** When a failed model call is tried again. */
export type StatusRetry = {
  /** Which attempt failed, from 1. */
  attempt: number
  /** How it failed. */
  message: string
  /** When it is tried again, in milliseconds since 1970. */
  next: number
}
/** What a waiting session waits for. */
export type StatusWaiting = {
  /** The permission question. */
  permissionID?: PermissionId | null
  /** The model's question. */
  questionID?: QuestionId | null
  /** Since when, in milliseconds since 1970. */
  since: number
}
/** A model call has ended. */
export type StepFinishPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** Why: `stop`, `tool-calls`, `length`, `content-filter`, `error` or `other`. */
  reason: string
  /** The state of the work tree after it. The daemon does not set it: see `patch`. */
  snapshot?: string | null
  /** What this call cost, in US dollars. */
  cost: number
  /** What this call used. */
  tokens: Tokens
}
/** A model call begins. */
export type StepStartPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The state of the work tree before it. The daemon does not set it: see `patch`. */
  snapshot?: string | null
}
/** How the daemon stops. */
export type StopMode = "wait" | "now"
/** The daemon's store. */
export type StorageConfig = {
  /** What a committed change survives. */
  durability?: Durability
  /** The age up to which events are kept, in days. */
  log_days?: number
  /** How large the event log may become, in bytes. */
  log_bytes?: number
  /** The age up to which whole outputs of tools are kept, in days; 0: no limit. */
  output_days?: number
  /** How large all whole outputs of tools may become, in bytes; 0: no limit. */
  output_bytes?: number
  /** The age up to which the contents of changed files are kept for undo, in days; 0: no limit. */
  snapshot_days?: number
  /** How large all contents for undo may become, in bytes; 0: no limit. */
  snapshot_bytes?: number
  /** How long archived sessions are kept, in days since they were archived; 0: no limit. Other sessions are never deleted. */
  archived_days?: number
  /** How large all archived sessions may become, in bytes; 0: no limit. */
  archived_bytes?: number
}
/** Work for a child session. */
export type SubtaskPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** What the child is asked. */
  prompt: string
  /** A few words for people. */
  description: string
  /** The agent that does it. */
  agent: string
  /** The model that it uses. */
  model?: ModelRef | null
}
/** A definition in a file. */
export type Symbol = {
  /** Its name. */
  name: string
  /** Its kind, a number of the language server protocol's `SymbolKind`; another name for a type is 26. */
  kind: number
  /** The name of what contains it: a type, a module, a package, a function. */
  containerName?: string | null
  /** The file, relative to the directory. */
  path: string
  /** Where the whole definition is. */
  location: SymbolLocation
  /** Where the name is. */
  selectionRange: SymbolRange
}
/** Params of `symbol.find`. */
export type SymbolFindParams = {
  /** The name, or some of its letters in their order; a capital letter means that the case of letters counts. Several words must all be in it. What is before `::`, `.`, `#` or `->` is searched in the name of what contains the symbol. Empty: what is at the top of each file, in the order of the files. */
  query: string
  /** The maximum number of symbols, 1 to 1000; default 50. */
  limit?: number | null
  /** Only these kinds, as numbers of the language server protocol's `SymbolKind` (1 to 26); default: all. */
  kinds?: Array<number> | null
  /** Only in this file or below this directory, relative to the directory or absolute; it must be inside of it. */
  path?: string | null
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** A place in a file. */
export type SymbolLocation = {
  /** The file as a `file://` address, percent-encoded. */
  uri: string
  /** The part of it. */
  range: SymbolRange
}
/** A position in a text. */
export type SymbolPosition = {
  /** The line, from 0. */
  line: number
  /** The column, from 0, in UTF-16 units. */
  character: number
}
/** A part of a text. */
export type SymbolRange = {
  /** Where it begins. */
  start: SymbolPosition
  /** Its end, exclusive. */
  end: SymbolPosition
}
/** The call of the tool `task` for which a session works. It can do no more than the agent that made the call. */
export type TaskCall = {
  /** The message of the parent that holds the call. */
  messageID: MessageId
  /** The call. */
  callID: string
  /** The agent that made the call. */
  caller: string
  /** The tools that were switched on or off for the caller's prompt. */
  tools?: { [key: string]: boolean }
  /** The call did not wait for its end. */
  background?: boolean
  /** The parent has been told how it ended. */
  told?: boolean
}
/** Limits of child sessions that models start with the tool `task`. */
export type TaskConfig = {
  /** How deep they may be below the root session; 0: none are started. */
  depth?: number
  /** How many may work at once below the root session. */
  children?: number
  /** How long one may work for a call, in milliseconds; the time in which it waits for an answer of the user does not count. Default: no limit. */
  timeout?: number | null
}
/** Arguments of `task`. */
export type TaskInput = {
  /** What it is about, in a few words. */
  description: string
  /** What the agent is asked. */
  prompt: string
  /** The agent. */
  subagent_type: string
  /** The session of an earlier call, to continue it. */
  task_id?: SessionId | null
  /** Do not wait for the end: the model is told of it at a later step. */
  background?: boolean | null
}
/** What a child session reports. */
export type TaskMetadata = {
  /** The session. */
  sessionID: SessionId
  /** Its prompt. */
  messageID: MessageId
  /** The agent that works in it. */
  agent: string
  /** Its model. */
  model: ModelRef
  /** How far it is; of a call in the background: when the call returned. */
  status: TaskStatus
  /** Why it is not finished. */
  reason?: string | null
  /** The call did not wait for its end. */
  background?: boolean | null
  /** How many tools it has called. */
  calls?: number | null
  /** What its model calls and those of its descendants cost for this call, in US dollars. */
  cost?: number | null
  /** What these used. */
  tokens?: Tokens | null
  /** The model got only a part of the result. */
  truncated?: boolean | null
  /** The file with the whole result. */
  outputPath?: string | null
}
/** How far a child session is. */
export type TaskStatus = "running" | "finished" | "partial" | "failed"
/** How capital and small letters compare. */
export type TextCase = "smart" | "sensitive" | "insensitive"
/** One change of a text. */
export type TextChange = {
  /** What is replaced; absent: the whole text. */
  range?: TextRange | null
  /** The new text. */
  text: string
}
/** A line without a match beside one with. */
export type TextContext = {
  /** The file, relative to the directory, with `/` between names. */
  path: string
  /** The number of the line, from 1. */
  line: number
  /** The line without its ending, at most 4 KiB. */
  text: string
  /** How many bytes stand after `text`, where some were cut off. */
  after?: number | null
  /** True where bytes were replaced, so that `text` is not what the file holds. */
  lossy?: boolean | null
}
/** How a search went. */
export type TextEnd = {
  /** The number of searched files, including binary ones. */
  files: number
  /** How many items `match` were given. */
  matches: number
  /** Whether there are more. */
  truncated: boolean
  /** How many files could not be read. */
  unreadable: number
  /** How long it took, in milliseconds. */
  elapsed: number
}
/** Params of `text.find` and `text.subscribe`. What ignore files name is not searched, hidden files are, and what editors hold unsaved is searched in place of what the disk holds. */
export type TextFindParams = {
  /** The regular expression, in the syntax of Rust's `regex` crate; with `fixed` the text itself. Without `multiline` it matches within lines. */
  pattern: string
  /** Search in this session's directory. */
  sessionID?: SessionId | null
  /** The pattern is the text to find and no regular expression. */
  fixed?: boolean
  /** Whether case matters; default `smart`. */
  letterCase?: TextCase | null
  /** Only whole words: no word character on either side. */
  word?: boolean
  /** Matches may go over several lines. Files over 64 MiB are left out then. */
  multiline?: boolean
  /** Only files that one of these patterns fits, or a directory that they are in. Patterns are written as in an ignore file, relative to the directory: `*.rs`, `src/** /*.ts`, `docs`. They bring back nothing ignored. */
  include?: Array<string>
  /** Neither files nor directories that one of these patterns fits; written like those of `include`. */
  exclude?: Array<string>
  /** Only files of these types, by ripgrep's names: `rust`, `py`, `ts`; `all` is every file whose type is known. */
  types?: Array<string>
  /** How many lines before and after each match are given too, as items `context`; at most 100. */
  context?: number | null
  /** The file or directory to search, below the directory; relative to it or absolute. A file is searched also where it is ignored. */
  path?: string | null
  /** The maximum number of matches, 1 to 100000; default 1000. `text.find` returns the first ones by path and line, and never more than 28 MiB. */
  limit?: number | null
  /** How many matches at most in one file; all if not said. */
  limitPerFile?: number | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What a search gives. */
export type TextItem = (TextMatch & {
  type: "match"
}) | (TextContext & {
  type: "context"
}) | (TextTruncated & {
  type: "truncated"
}) | (TextEnd & {
  type: "end"
})
/** A line with matches; with `multiline` the lines that the matches go over. */
export type TextMatch = {
  /** The file, relative to the directory, with `/` between names. */
  path: string
  /** The number of the line, or of the first one, from 1. */
  line: number
  /** Where in it the first match begins, from 1, in UTF-16 code units of the whole line: an LSP position's `character` is one less. */
  column: number
  /** The text without its last line ending, at most 4 KiB: of a longer one, the part around the first match. What is no UTF-8 is replaced by U+FFFD. */
  text: string
  /** The matches in `text`. Those beyond its end are left out. */
  submatches: Array<TextSubmatch>
  /** How many bytes of the line stand before `text`, where some were cut off. */
  before?: number | null
  /** How many bytes stand after `text`, where some were cut off. */
  after?: number | null
  /** True where bytes were replaced, so that `text` is not what the file holds. */
  lossy?: boolean | null
}
/** Text of the user or the model. */
export type TextPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The text, exactly as it came. */
  text: string
  /** Added by the daemon, not typed by the user. */
  synthetic?: boolean
  /** When it was streamed. */
  time?: Span | null
  /** What the provider attached. */
  metadata?: unknown
}
/** A place between two characters of a text. */
export type TextPosition = {
  /** The line, from 0. Lines end with `\n`, `\r\n` or `\r` and with nothing else. */
  line: number
  /** How many UTF-16 code units of the line stand before the place. Beyond the line's end it means the end, before the line break. */
  character: number
}
/** A part of a text. */
export type TextRange = {
  /** Where it begins. */
  start: TextPosition
  /** Where it ends; not before its start. */
  end: TextPosition
}
/** The position of a match in a text. */
export type TextSubmatch = {
  /** Where it begins, in bytes of the text's UTF-8, from 0. */
  start: number
  /** Where it ends. */
  end: number
  /** The same in UTF-16 code units; absent where the numbers are the same because the text is ASCII. */
  utf16?: Utf16Range | null
}
/** There are more matches than were asked for, or than fit into one answer. */
export type TextTruncated = {
  /** How many matches were given. */
  limit: number
}
/** Params of `text.unsubscribe`. */
export type TextUnsubscribeParams = {
  /** The subscription's id. */
  subscription: number
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** One entry of the task list. */
export type Todo = {
  /** What is to be done. */
  content: string
  /** `pending`, `in_progress`, `completed` or `cancelled`. */
  status: string
  /** `high`, `medium` or `low`. */
  priority: string
}
/** A task list. */
export type TodoInfo = {
  /** The session. */
  sessionID: SessionId
  /** The whole list. */
  todos: Array<Todo>
}
/** What the task list reports. */
export type TodoMetadata = {
  /** The whole list. */
  todos: Array<Todo>
}
/** Arguments of `todoread`: none. */
export type TodoReadInput = { [key: string]: unknown }
/** Arguments of `todowrite`. */
export type TodoWriteInput = {
  /** The whole list. */
  todos: Array<Todo>
}
/** Tokens, as the provider counted them; `input` excludes what came from the cache. */
export type Tokens = {
  /** Read, not from the cache. */
  input: number
  /** Written, without the thinking. */
  output: number
  /** Thought. */
  reasoning: number
  /** The provider's cache. */
  cache: CacheTokens
}
/** A call that gave a result. */
export type ToolCompleted = {
  /** The arguments. */
  input: unknown
  /** What the model reads. */
  output: string
  /** One line for people. */
  title: string
  /** More for clients. */
  metadata: unknown
  /** When it ran. */
  time: ToolTime
  /** Images and files for the model. */
  attachments?: Array<Attachment>
}
/** A call that failed. */
export type ToolFailed = {
  /** The arguments. */
  input: unknown
  /** What the model reads. */
  error: string
  /** More for clients; `aborted: true` where the turn was aborted. */
  metadata?: unknown
  /** When it ran. */
  time: Span
}
/** A tool that a model is offered. */
export type ToolInfo = {
  /** The name that the model calls. */
  id: string
  /** What the model reads about it. */
  description: string
  /** The JSON Schema of its arguments. */
  parameters: unknown
}
/** Params of `tool.list`. */
export type ToolListParams = {
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** How much of a tool's output the model reads; the rest is kept in a file. */
export type ToolOutputConfig = {
  /** The most lines. */
  max_lines?: number
  /** The most bytes. */
  max_bytes?: number
}
/** A tool call and its result. */
export type ToolPart = {
  /** The part's id. */
  id: PartId
  /** The session. */
  sessionID: SessionId
  /** The message. */
  messageID: MessageId
  /** The provider's id of the call. */
  callID: string
  /** The tool's name. */
  tool: string
  /** What the call is about, in one line: the command, the file, the pattern. Absent while the model still writes the call, and where only the arguments tell. */
  subject?: string | null
  /** How far it is. */
  state: ToolState
  /** What the provider attached to the call, to be sent back with it. */
  metadata?: unknown
}
/** A call that has not started. */
export type ToolPending = {
  /** The arguments, once complete. */
  input?: { [key: string]: unknown }
  /** The arguments as the model wrote them. */
  raw?: string
}
/** A call that runs. */
export type ToolRunning = {
  /** The arguments. */
  input: unknown
  /** One line for people. */
  title?: string | null
  /** What the tool reports while it runs. */
  metadata?: unknown
  /** Since when. */
  time: Span
}
/** How far a tool call is. */
export type ToolState = (ToolPending & {
  status: "pending"
}) | (ToolRunning & {
  status: "running"
}) | (ToolCompleted & {
  status: "completed"
}) | (ToolFailed & {
  status: "error"
})
/** When a call ran that gave a result. */
export type ToolTime = {
  /** Milliseconds since 1970. */
  start: number
  /** Milliseconds since 1970. */
  end?: number | null
  /** Since when the model does not read the output any more, in milliseconds since 1970. The output stays in the part. */
  compacted?: number | null
}
/** What happens to a tool's change when the editor that holds the file open does not answer. */
export type Unanswered = "refuse" | "disk"
/** A model of a provider that can be used. */
export type UsableModel = {
  /** The provider's id. */
  providerID: string
  /** The model's id at that provider. */
  modelID: string
  /** It is the one used when only the provider is named. */
  default: boolean
  /** It is served on this machine, by a server that was found running. */
  local?: boolean
  /** What is known about it. */
  info: Model
}
/** What totals are of. */
export type UsageBy = "day" | "project" | "model"
/** Params of `usage.list`. A `directory` or `projectID` means that project alone. */
export type UsageListParams = {
  /** Only what was used from then on, in milliseconds since 1970. */
  since?: number | null
  /** What the totals are of. */
  by: UsageBy
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** What was used in a day, in a project or of a model. What was spent stays counted when its session is deleted. */
export type UsageTotal = {
  /** The day as `YYYY-MM-DD`, the project's id, or `provider/model`. */
  key: string
  /** What it cost, in US dollars. */
  cost: number
  /** The tokens of all model calls. */
  tokens: Tokens
  /** How many prompts were sent. */
  prompts: number
}
/** A prompt. */
export type UserMessage = {
  /** The message's id. */
  id: MessageId
  /** The session. */
  sessionID: SessionId
  /** When. */
  time: Created
  /** Whether it waits, is being answered, or how it ended. Only old events in the log lack it. */
  state?: PromptState
  /** A later prompt that entered the turn in the same step: its answers answer this prompt as well. */
  answeredWith?: MessageId | null
  /** The agent that was asked. */
  agent: string
  /** The model that was asked. */
  model: ModelRef
  /** Replaces the agent's system prompt for this turn. */
  system?: string | null
  /** Tools switched on or off for this turn, by name or wildcard. */
  tools?: { [key: string]: boolean } | null
  /** The variant of the model that was asked for. */
  variant?: string | null
  /** How the model was to sample, and how long its answers might be. */
  options?: PromptOptions | null
  /** The form that the answer was to have. */
  format?: OutputFormat | null
  /** What was to be done without a question in its turn. */
  mode?: Mode | null
}
/** A part of a text, in UTF-16 code units. */
export type Utf16Range = {
  /** Where it begins, from 0. */
  start: number
  /** Where it ends. */
  end: number
}
/** A version control system. */
export type Vcs = "git"
/** A checkout of a repository. */
export type VcsCheckout = {
  /** Its absolute path. */
  directory: string
  /** Its branch; absent where `HEAD` is detached. */
  branch?: string | null
}
/** Params of `vcs.get`. */
export type VcsGetParams = {
  /** The session whose directory is meant. */
  sessionID?: SessionId | null
  /** An absolute path (a leading `~` expands) that says which project and checkout is meant; default: the session's own directory, else the connection's. */
  directory?: string | null
  /** The project that the directory or session must belong to; another one answers `not_found`. */
  projectID?: ProjectId | null
}
/** Where a checkout stands. Outside of a repository everything is absent. */
export type VcsInfo = {
  /** The branch; absent where `HEAD` is detached. */
  branch?: string | null
  /** The commit; absent before the first one. */
  head?: string | null
  /** The short name of the branch that this one follows. */
  upstream?: string | null
  /** Commits that the upstream lacks; absent where it is gone, or counting takes too long. */
  ahead?: number | null
  /** Commits of the upstream that this branch lacks. */
  behind?: number | null
  /** The checkouts of the repository, the main one first; at most 1,000. */
  worktrees: Array<VcsCheckout>
}
/** Arguments of `write`. */
export type WriteInput = {
  /** The file. */
  filePath: string
  /** The whole content. */
  content: string
}

/** An event whose `properties` are told by its `type`. */
export type AnyEvent = Omit<Event, 'type' | 'properties'> & EventPayload

/** Arguments of each built-in tool, and the `metadata` of its results. */
export interface Tools {
  bash: { input: BashInput; metadata: BashMetadata }
  edit: { input: EditInput; metadata: EditMetadata }
  glob: { input: GlobInput; metadata: GlobMetadata }
  grep: { input: GrepInput; metadata: GrepMetadata }
  list: { input: ListInput; metadata: ListMetadata }
  read: { input: ReadInput; metadata: ReadMetadata }
  task: { input: TaskInput; metadata: TaskMetadata }
  todoread: { input: TodoReadInput; metadata: TodoMetadata }
  todowrite: { input: TodoWriteInput; metadata: TodoMetadata }
  write: { input: WriteInput; metadata: EditMetadata }
}

/** Params and result of each method. */
export interface Methods {
  /** Introduces the client; returns what this daemon is and can do. Optional. */
  "server.initialize": { params: ServerInitializeParams; result: ServerInitializeResult }
  /** Returns version, process, data directory and listeners. */
  "server.info": { params: ServerInfoParams; result: ServerInfoResult }
  /** Returns the OpenRPC document of this daemon: methods, types, events and errors. */
  "rpc.discover": { params: RpcDiscoverParams; result: unknown }
  /** Returns the state of the daemon, and advice about it. */
  "server.diagnose": { params: ServerDiagnoseParams; result: Diagnosis }
  /** Removes what is over the limits of the settings: old events, tool outputs, contents for undo, archived sessions. */
  "server.gc": { params: ServerGcParams; result: ServerGcResult }
  /** Ends the daemon, at once or after the turns that run; answers before. */
  "server.stop": { params: ServerStopParams; result: ServerStopResult }
  /** Listens for WebSocket and HTTP clients; the same address again answers the same. Only for local clients. */
  "server.listen": { params: ServerListenParams; result: ServerListenResult }
  /** Writes a line to the daemon's log. */
  "log.write": { params: LogWriteParams; result: boolean }
  /** Returns the directories in use. */
  "path.get": { params: PathGetParams; result: PathGetResult }
  /** Lists all known projects, most recently used first. */
  "project.list": { params: ProjectListParams; result: Array<Project> }
  /** Returns the project of the directory. */
  "project.current": { params: ProjectCurrentParams; result: Project }
  /** Registers the directory as a project; may create it and initialise git. */
  "project.init": { params: ProjectInitParams; result: Project }
  /** Changes the project's name. */
  "project.update": { params: ProjectUpdateParams; result: Project }
  /** Trusts or distrusts the settings and agents in the project's files. */
  "project.trust": { params: ProjectTrustParams; result: Project }
  /** Forgets a project with its name, trust and grants. Its files stay as they are. */
  "project.forget": { params: ProjectForgetParams; result: boolean }
  /** Returns branch, commit, upstream and checkouts of the directory's repository. */
  "vcs.get": { params: VcsGetParams; result: VcsInfo }
  /** Creates a session. */
  "session.create": { params: SessionCreateParams; result: Session }
  /** Lists sessions, the most recently updated first. */
  "session.list": { params: SessionListParams; result: Array<Session> }
  /** Reads one session. */
  "session.get": { params: SessionGetParams; result: Session }
  /** Changes a session's title, or what its next prompts use, or archives it. */
  "session.update": { params: SessionUpdateParams; result: Session }
  /** Returns what the next prompt uses, of a session or of a new one in the directory. */
  "session.defaults": { params: SessionDefaultsParams; result: SessionDefaults }
  /** Returns how full the context of a session's model is. */
  "session.context": { params: SessionContextParams; result: SessionContext }
  /** Returns what model calls have cost and used, by day, project or model. */
  "usage.list": { params: UsageListParams; result: Array<UsageTotal> }
  /** Deletes a session, its children and their messages; running turns end first. */
  "session.delete": { params: SessionDeleteParams; result: boolean }
  /** Lists the direct children of a session, oldest first. */
  "session.children": { params: SessionChildrenParams; result: Array<Session> }
  /** Lists the messages of a session, oldest first. */
  "session.messages": { params: SessionMessagesParams; result: Array<MessageWithParts> }
  /** Reads one message. */
  "session.message": { params: SessionMessageParams; result: MessageWithParts }
  /** Sends a prompt and waits until its turn has ended. */
  "session.prompt": { params: SessionPromptParams; result: MessageWithParts }
  /** Sends a prompt and answers as soon as it is stored. */
  "session.submit": { params: SessionSubmitParams; result: SessionSubmitResult }
  /** Ends the running turn and cancels the queue; returns whether anything was running. */
  "session.abort": { params: SessionAbortParams; result: boolean }
  /** Lists the prompts that wait for the running turn, in order. */
  "session.queue": { params: SessionQueueParams; result: Array<QueuedPrompt> }
  /** Takes a prompt out of the queue; returns whether it waited. */
  "session.queue.remove": { params: SessionQueueRemoveParams; result: boolean }
  /** Moves a prompt within the queue; returns whether it waited. */
  "session.queue.move": { params: SessionQueueMoveParams; result: boolean }
  /** Replaces the parts of a prompt that waits. */
  "session.queue.replace": { params: SessionQueueReplaceParams; result: QueuedMessage }
  /** Lets a prompt that waits enter the running turn at its next step; returns whether it waited. */
  "session.queue.steer": { params: SessionQueueSteerParams; result: boolean }
  /** Tells the running turn something at its next step; without a running turn it is a prompt. */
  "session.steer": { params: SessionSteerParams; result: QueuedMessage }
  /** Copies the conversation, up to a message, into a new session in the same directory. */
  "session.fork": { params: SessionForkParams; result: Session }
  /** Returns the whole conversation, to be kept or imported elsewhere. */
  "session.export": { params: SessionExportParams; result: SessionExport }
  /** Creates a session in the directory from an exported conversation. */
  "session.import": { params: SessionImportParams; result: Session }
  /** Undoes the conversation from a message on, with the files that the session changed since. */
  "session.revert": { params: SessionRevertParams; result: Session }
  /** Takes back an undo; possible until the next prompt. */
  "session.unrevert": { params: SessionUnrevertParams; result: Session }
  /** Summarises the conversation, so that the model reads the summary in place of what came before it. */
  "session.compact": { params: SessionCompactParams; result: boolean }
  /** Returns what the session, or one message with its answers, has changed in files. */
  "session.diff": { params: SessionDiffParams; result: Array<FileDiff> }
  /** Lists what the session changed, hunk by hunk, with what the user decided about it. */
  "hunk.list": { params: HunkListParams; result: Array<Hunk> }
  /** Marks hunks as kept, by hunk, file or session; returns those that changed. */
  "hunk.keep": { params: HunkKeepParams; result: Array<Hunk> }
  /** Gives hunks their text from before, by hunk, file or session; returns those that changed. */
  "hunk.undo": { params: HunkUndoParams; result: Array<Hunk> }
  /** Returns the task list of a session. */
  "session.todo": { params: SessionTodoParams; result: Array<Todo> }
  /** Returns the status of every session that is not idle. */
  "session.status": { params: SessionStatusParams; result: { [key: string]: SessionStatus } }
  /** Lists one directory: directories first, then as people sort names. */
  "file.list": { params: FileListParams; result: Array<FileNode> }
  /** Reads a file; where it differs from the last commit, as a patch with all its lines. */
  "file.read": { params: FileReadParams; result: FileContent }
  /** Lists the files that differ from the last commit. */
  "file.status": { params: FileStatusParams; result: Array<File> }
  /** Finds files and directories by name, the best first, relative to the directory; directories end with `/`. */
  "file.find": { params: FileFindParams; result: Array<string> }
  /** Finds files and directories as `file.find` does, with the places of the match in each path. */
  "file.match": { params: FileMatchParams; result: Array<FileMatch> }
  /** Lists the open permission questions. */
  "permission.list": { params: PermissionListParams; result: Array<Permission> }
  /** Answers a permission question. */
  "permission.reply": { params: PermissionReplyParams; result: Session }
  /** Lists what "always" has granted in the project. */
  "permission.grants": { params: PermissionGrantsParams; result: Array<Grant> }
  /** Revokes a grant. */
  "permission.revoke": { params: PermissionRevokeParams; result: boolean }
  /** Finds symbols of the directory's files by their names, best first; no language server is needed. */
  "symbol.find": { params: SymbolFindParams; result: Array<Symbol> }
  /** Announces the text of a file that the client holds open: it is read before the disk. */
  "buffer.open": { params: BufferOpenParams; result: Buffer }
  /** Announces a change of an announced text. */
  "buffer.change": { params: BufferChangeParams; result: Buffer }
  /** Ends an announced text: the file is read from the disk again. Returns whether it was announced. */
  "buffer.close": { params: BufferCloseParams; result: boolean }
  /** Answers the event `buffer.edit`. */
  "buffer.reply": { params: BufferReplyParams; result: boolean }
  /** Announces what an editor's language servers say about a text that it has announced; ends with the connection. */
  "diagnostics.set": { params: DiagnosticsSetParams; result: boolean }
  /** Has a file shown by the editors of its worktree; returns whether there is one that can. */
  "editor.open": { params: EditorOpenParams; result: boolean }
  /** Lists providers and their models. */
  "provider.list": { params: ProviderListParams; result: ProviderListResult }
  /** Lists the models of all providers that can be used. */
  "model.list": { params: ModelListParams; result: Array<UsableModel> }
  /** Fetches the catalogue of models anew; nothing is ever fetched without being asked for. */
  "model.refresh": { params: ModelRefreshParams; result: ModelRefreshResult }
  /** Stores a provider's key, which counts from the next prompt on. */
  "auth.set": { params: AuthSetParams; result: boolean }
  /** Removes a provider's stored key; returns whether there was one. */
  "auth.remove": { params: AuthRemoveParams; result: boolean }
  /** Lists the providers that have keys, and where each key comes from; never a key. */
  "auth.list": { params: AuthListParams; result: Array<AuthEntry> }
  /** Returns the settings in force, with secrets masked. */
  "config.get": { params: ConfigGetParams; result: Config }
  /** Lists the files that decide about the directory, and which of them are trusted; never their contents. */
  "config.sources": { params: ConfigSourcesParams; result: ConfigSources }
  /** Lists the agents. */
  "agent.list": { params: AgentListParams; result: Array<Agent> }
  /** Lists the tools that a model is offered. */
  "tool.list": { params: ToolListParams; result: Array<ToolInfo> }
  /** Searches the contents of files. */
  "text.find": { params: TextFindParams; result: Array<TextItem> }
  /** Searches the contents of files and sends what is found as it is found. Notifications have method `text.match`. */
  "text.subscribe": { params: TextFindParams; result: number }
  /** Ends a search; nothing of it arrives after the answer. */
  "text.unsubscribe": { params: TextUnsubscribeParams; result: boolean }
  /** Reads logged events after a cursor. */
  "event.list": { params: EventListParams; result: EventListResult }
  /** Ends a subscription; nothing arrives on it after the answer. */
  "event.unsubscribe": { params: EventUnsubscribeParams; result: boolean }
  /** Opens a stream of events: first from the log, then live. Notifications have method `event`. */
  "event.subscribe": { params: EventSubscribeParams; result: number }
}
