//! The commands and options of the command line.

mod compact;
mod export;
mod queue;
mod recording;
mod revert;
mod serve;
mod sessions;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{
    CommandFactory as _, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use polytree_protocol::{id::SessionId, provider::ModelRef, sandbox::Mode};

pub use self::{
    compact::SessionsCompactArgs,
    export::{ExportFormat, SchemaArgs, SessionsExportArgs, SessionsImportArgs},
    queue::{SessionsQueueArgs, SessionsSteerArgs, SessionsTodoArgs},
    recording::RecordingArgs,
    revert::{SessionsRevertArgs, SessionsUnrevertArgs},
    serve::{ServeArgs, StdioArgs, StopArgs},
    sessions::{SessionsCommand, SessionsDeleteArgs, SessionsForkArgs, SessionsListArgs, SessionsShowArgs},
};
use crate::{
    cli::{client::Failure, render::sanitize},
    stdx::{nearest, paths::AbsPath, text::ellipsis},
};

/// The page of `polytree --help`: commands in groups, examples at the end.
const HELP: &str = "\
{about}

\u{1b}[1mUsage:\u{1b}[0m {usage}

\u{1b}[1mWork:\u{1b}[0m
  run          Ask the agent something in this directory and watch it work
  sessions     List, show, change and delete sessions

\u{1b}[1mSet up:\u{1b}[0m
  models       Show the models that can be used, and what is missing for the others
  auth         Store, list and remove the keys of model services
  trust        Let the agent use the settings and agents in this project's files
  doctor       Report the state of the daemon, and what to do about problems
  gc           Remove what is over the limits of the settings
  completions  Print the completions of a shell
  help         Print this message or the help of the given subcommand(s)

\u{1b}[1mServe editors and programs:\u{1b}[0m
  serve        Run the daemon in the foreground
  stop         Stop the daemon
  stdio        Speak JSON-RPC on the standard input and output
  schema       Print the protocol or the settings as JSON Schema

\u{1b}[1mOptions:\u{1b}[0m
{options}

\u{1b}[1mExamples:\u{1b}[0m
  polytree run \"why does the parser test fail?\"
  polytree run --file src/parser.rs:10-40 \"explain these lines\"
  git diff | polytree run \"review this change\"
  polytree run --continue \"now fix it\"
  polytree run --yes --json \"update the changelog\" > events.jsonl
  polytree sessions show ses_01ARZ3NDEKTSV4RRFFQ69G5FAV

Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon is not available, 4 a permission was refused, 130 interrupted.
`polytree COMMAND --help` tells more about each command.
";

/// One daemon, every worktree: a coding agent for editors, programs and the terminal.
#[derive(Debug, Parser)]
#[command(name = "polytree", version, help_template = HELP, subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = false)]
pub struct Args {
    /// Work in this directory instead of the current one
    #[arg(long, value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Run a daemon inside this process instead of using the shared one
    #[arg(long, global = true)]
    pub standalone: bool,
    /// The log level: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true, hide_possible_values = true)]
    pub log_level: Option<LogLevel>,
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// The absolute path of `--directory`, or of `process`, the directory in which the process was started.
    ///
    /// # Errors
    /// If it does not exist or is not a directory.
    pub fn directory(&self, process: &Path) -> Result<AbsPath, Failure> {
        let given = self.directory.as_deref().unwrap_or(Path::new("."));
        let path = AbsPath::new(process).map(|process| process.join(given)).filter(|path| path.as_path().is_dir());
        path.ok_or_else(|| Failure::Usage(format!("{} is not a directory", given.display())))
    }
}

/// A log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The level's name in the log filter.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commands that use a daemon.
    #[command(flatten)]
    Client(ClientCommand),
    /// Run the daemon in the foreground
    Serve(ServeArgs),
    /// Stop the daemon
    ///
    /// Commands and editors start a daemon when they need one, and it exits after ten minutes without use. This stops it now,
    /// and `polytree serve` too, and returns when the process has exited. If no daemon runs, it says so and the exit code is 0.
    Stop(StopArgs),
    /// Speak JSON-RPC on the standard input and output
    Stdio(StdioArgs),
    /// Print the protocol or the settings as JSON Schema
    ///
    /// Needs no daemon. `rpc.discover` returns the OpenRPC document of a running one.
    Schema(SchemaArgs),
    /// Report the state of the daemon, and what to do about problems
    ///
    /// Starts no daemon: if none runs, it checks the directories, the store, the settings and the programs. The exit code is 1
    /// if something does not work.
    Doctor(DoctorArgs),
    /// Print the completions of a shell
    ///
    /// For bash: `polytree completions bash > ~/.local/share/bash-completion/completions/polytree`. For zsh: into a file
    /// named `_polytree` in a directory of $fpath. For fish: `polytree completions fish > ~/.config/fish/completions/polytree.fish`.
    #[command(verbatim_doc_comment)]
    Completions(CompletionsArgs),
}

impl Command {
    /// The options to record or replay exchanges with models, for commands that have them.
    #[must_use]
    pub fn recording(&self) -> Option<&RecordingArgs> {
        match self {
            Self::Client(ClientCommand::Run(args)) => Some(&args.recording),
            Self::Serve(args) => Some(&args.recording),
            Self::Stdio(args) => Some(&args.recording),
            _ => None,
        }
    }
}

/// Commands that use a daemon.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Ask the agent something in this directory and watch it work
    ///
    /// The answer goes to the standard output, everything else to the standard error. When the agent needs permission,
    /// you are asked at the terminal. Ctrl-C ends the turn and keeps the session; a second Ctrl-C exits at once.
    Run(Box<RunArgs>),
    /// List, show, change and delete sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Show the models that can be used, and what is missing for the others
    ///
    /// Model servers that run on this machine (Ollama, llama.cpp, LM Studio, vLLM) are looked for on their default ports. The
    /// catalogue of models is part of the program; --refresh fetches a newer one, and nothing else ever does.
    Models(ModelsArgs),
    /// Store, list and remove the keys of model services
    ///
    /// A key in the settings comes first, then one in the environment, then the stored one. Stored keys are in a file of the
    /// data directory that only you can read.
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Let the agent use the settings and agents in this project's files
    ///
    /// A repository's own files are not used before you trust it, because they can make the agent run commands. Trust covers
    /// the files as they are now: changed and new ones wait until you trust again. Look at them first with `polytree trust --list`.
    Trust(TrustArgs),
    /// Remove what is over the limits of the settings
    ///
    /// Old events, whole outputs of tools, contents of changed files for undo, and archived sessions are kept up to an age and a
    /// size (`storage` in the settings). The daemon removes what is over the limits every hour; this does it now. Sessions that
    /// are not archived are never deleted.
    Gc(GcArgs),
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// What to ask; text from a pipe is appended to it
    #[arg(value_name = "PROMPT")]
    pub prompt: Vec<String>,
    /// Call this command; the words of PROMPT are its arguments
    #[arg(long, value_name = "NAME", conflicts_with = "again")]
    pub command: Option<String>,
    /// Continue the last session of this directory
    #[arg(long = "continue", short = 'c', conflicts_with = "session")]
    pub resume: bool,
    /// Continue this session
    #[arg(long, short, value_name = "ID", value_parser = SessionId::parse)]
    pub session: Option<SessionId>,
    /// The title of the new session
    #[arg(long, conflicts_with_all = ["session", "resume"])]
    pub title: Option<String>,
    /// The model to use
    #[arg(long, short, value_name = "PROVIDER/MODEL", value_parser = model)]
    pub model: Option<ModelRef>,
    /// The variant of the model, such as low or high, for how much it thinks
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// The agent to ask
    #[arg(long, short, value_name = "NAME")]
    pub agent: Option<String>,
    /// What is done without a question: what the rules allow (ask), edits and commands in the sandbox too (edits), everything (all)
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<Mode>,
    /// Attach a file or some of its lines (PATH:LINE or PATH:START-END); may be given more than once
    #[arg(long = "file", short, value_name = "PATH[:LINES]")]
    pub files: Vec<String>,
    /// Send the session's last prompt again if it was cancelled before its turn began
    #[arg(long, conflicts_with_all = ["prompt", "files", "title"])]
    pub again: bool,
    /// Allow, once, whatever the agent asks permission for; what a rule denies stays denied
    #[arg(long, short)]
    pub yes: bool,
    /// Trust the project's own files first, as `polytree trust` does
    #[arg(long)]
    pub trust: bool,
    /// Write every event as a line of JSON, and last a line of type "result"
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub recording: RecordingArgs,
}

fn model(text: &str) -> Result<ModelRef, String> {
    ModelRef::parse(text).ok_or_else(|| "expected PROVIDER/MODEL, such as local/small; `polytree models` lists them".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "ask" => Ok(Mode::Ask),
        "edits" => Ok(Mode::Edits),
        "all" => Ok(Mode::All),
        _ => Err("expected ask, edits or all".to_owned()),
    }
}

/// Commands of `auth`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Store the key of a service, typed at the terminal or given by a pipe
    Login(AuthLoginArgs),
    /// Remove the stored key of a service
    Logout(AuthLogoutArgs),
    /// List which services have a key, and where it comes from
    List(AuthListArgs),
}

/// Arguments of `auth login`.
#[derive(Debug, clap::Args)]
pub struct AuthLoginArgs {
    /// The service, such as anthropic; `polytree models` lists them
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
}

/// Arguments of `auth logout`.
#[derive(Debug, clap::Args)]
pub struct AuthLogoutArgs {
    /// The service; may be left out when only one key is stored
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
}

/// Arguments of `auth list`.
#[derive(Debug, clap::Args)]
pub struct AuthListArgs {
    /// Write a line of JSON for each service
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
pub struct ModelsArgs {
    /// Show only the models of these providers, connected or not
    #[arg(value_name = "PROVIDER")]
    pub providers: Vec<String>,
    /// Fetch the current catalogue of models first
    #[arg(long)]
    pub refresh: bool,
    /// Also show the models of providers that are not connected
    #[arg(long, short)]
    pub all: bool,
    /// Write a line of JSON for each model
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trust`.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// Remove the trust
    #[arg(long, conflicts_with = "list")]
    pub remove: bool,
    /// Only show the files that wait for trust, and what is in them
    #[arg(long)]
    pub list: bool,
}

/// Arguments of `gc`.
#[derive(Debug, clap::Args)]
pub struct GcArgs {
    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Write the result as a line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Write the whole report as a line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// A shell with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Parses a command line.
///
/// # Errors
/// For `--help`, `--version` and usage errors: the text to print, and the exit code.
pub(super) fn read(typed: Vec<OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(&typed).map_err(|error| match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => unknown_command(word, &typed),
        _ => error,
    })
}

/// Suggests a similar command; if there is none, suggests `run` with the words as a question.
fn unknown_command(word: &str, typed: &[OsString]) -> clap::Error {
    let mut command = Args::command();
    command.build();
    let mut path = vec![command.get_name().to_owned()];
    let typed: Vec<String> = typed.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let at = typed.iter().position(|text| text == word).unwrap_or(typed.len());
    for text in &typed[..at] {
        if let Some(found) = command.find_subcommand(text) {
            path.push(text.clone());
            command = found.clone();
        }
    }
    let shown = ellipsis(&sanitize::line(word), 60);
    let near = (!word.contains(char::is_whitespace)).then(|| nearest::one(word, command.get_subcommands().map(clap::Command::get_name)));
    let meant = if let Some(near) = near.flatten() {
        format!("; did you mean `{} {near}`?", path.join(" "))
    } else if path.len() == 1 {
        let question = typed[at.min(typed.len())..].iter().take_while(|text| !text.starts_with('-')).cloned().collect::<Vec<_>>().join(" ");
        format!("; did you mean `polytree run {:?}`?", ellipsis(&sanitize::line(&question), 200))
    } else {
        String::new()
    };
    command.error(ErrorKind::InvalidSubcommand, format!("there is no command `{} {shown}`{meant}", path.join(" ")))
}

/// The completions of a shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    // The generator panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "polytree", &mut script);
    script
}

#[cfg(test)]
mod tests;
