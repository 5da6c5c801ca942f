//! The command line: arguments, and the commands that use a daemon. They are clients like editors, with the same protocol.
//! Text of models, tools and files is sanitized before it is written to a terminal.

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

/// The parsed arguments. Exits for `--help`, `--version` and usage errors.
#[must_use]
pub fn parse() -> Args {
    args::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// Runs a command that uses a daemon. `directory` is the base of relative paths and the directory of requests (see
/// [`Args::directory`]).
pub async fn run_client(command: ClientCommand, daemon: Daemon, mut screen: Screen, mut input: Input, directory: &AbsPath) -> Exit {
    let result = match command {
        ClientCommand::Run(args) => return run::run(*args, daemon, screen, input, directory.clone()).await,
        ClientCommand::Sessions(command) => commands::sessions::run(command, &daemon, &mut screen, &mut input, directory).await,
        ClientCommand::Models(args) => commands::models::run(args, &daemon, &mut screen, directory).await,
        ClientCommand::Auth(command) => commands::auth::run(command, &daemon, &mut screen, &mut input, directory).await,
        ClientCommand::Trust(args) => commands::trust::run(args, &daemon, &mut screen, directory).await,
        ClientCommand::Gc(args) => commands::gc::run(args, &daemon, &mut screen).await,
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

/// Prints why a command cannot start, such as a missing directory or daemon; prints nothing if the output is closed.
#[must_use]
pub fn fail(failure: &Failure) -> Exit {
    if !failure.is_broken_pipe() {
        Screen::standard().status(&failure.shown());
    }
    failure.exit()
}

/// The first line of `serve`.
#[must_use]
pub fn serving(daemon: &crate::daemon::Daemon) -> String {
    let socket = daemon.socket().map(|socket| format!(", socket {socket}")).unwrap_or_default();
    format!("polytree {} serves {}: process {}{socket}", version(), daemon.places.data, std::process::id())
}

/// The lines with the addresses of the network listeners and the token, which is shown only here.
#[must_use]
pub fn listening(urls: &[String], token: &str) -> String {
    urls.iter().map(|url| format!("listening on {url}\n")).chain([format!("token: {token}")]).collect()
}

#[cfg(test)]
pub(crate) mod tests;
