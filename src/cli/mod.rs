//! The command line: what can be typed, and the commands that ask a daemon. They speak the same protocol as editors and
//! know nothing else of the daemon. Nothing from a model, a tool or a file reaches a terminal before it is made harmless.

mod args;
mod client;
mod commands;
mod decode;
mod input;
mod render;
mod run;
mod screen;

pub use args::{
    Args, ClientCommand, Command, CompletionsArgs, DoctorArgs, LogLevel, RecordingArgs, ServeArgs, Shell, StdioArgs, StopArgs, completions,
};
pub use client::{Daemon, Exit, Failure};
pub use commands::doctor::{DoctorContext, Running, doctor};
pub use input::{Input, Interrupts, Piped, Typed};
pub use screen::{Output, Screen};

use crate::stdx::{paths::AbsPath, version::version};

/// What was typed. Does not return for `--help`, `--version` and what is not understood.
#[must_use]
pub fn parse() -> Args {
    args::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// Runs a command that asks a daemon. Relative paths and requests mean `directory` (see [`Args::directory`]).
pub async fn run_client(command: ClientCommand, daemon: Daemon, mut screen: Screen, mut input: Input, directory: &AbsPath) -> Exit {
    let result = match command {
        ClientCommand::Run(args) => return run::run(*args, daemon, screen, input, directory.clone()).await,
        ClientCommand::Sessions(command) => commands::sessions::run(command, &daemon, &mut screen, &mut input, directory).await,
        ClientCommand::Models(args) => commands::models::run(args, &daemon, &mut screen, directory).await,
        ClientCommand::Auth(command) => commands::auth::run(command, &daemon, &mut screen, &mut input, directory).await,
        ClientCommand::Trust(args) => commands::trust::run(args, &daemon, &mut screen, directory).await,
    };
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_broken_pipe() {
                screen.status(&failure.shown());
            }
            failure.exit()
        }
    }
}

/// Tells the person why a command cannot even begin, such as a directory or a daemon that is not there. When nobody
/// reads the output any more nothing is said.
#[must_use]
pub fn fail(failure: &Failure) -> Exit {
    if !failure.is_broken_pipe() {
        Screen::standard().status(&failure.shown());
    }
    failure.exit()
}

/// The line that `serve` greets with.
#[must_use]
pub fn serving(daemon: &crate::daemon::Daemon) -> String {
    let socket = daemon.socket().map(|socket| format!(", socket {socket}")).unwrap_or_default();
    format!("polytree {} serves {}: process {}{socket}", version(), daemon.places.data, std::process::id())
}

/// The lines that tell how the daemon is reached over the network. The token is shown to nobody else.
#[must_use]
pub fn listening(urls: &[String], token: &str) -> String {
    urls.iter().map(|url| format!("listening on {url}\n")).chain([format!("token: {token}")]).collect()
}

#[cfg(test)]
pub(crate) mod tests;
