//! Child processes: always with a directory of their own, always in a group that can be ended as a whole.

use std::{ffi::OsStr, io, process::Stdio};

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use tokio::process::Command;

use super::paths::AbsPath;

/// Prepares a program that runs in `directory` with no standard input and piped outputs.
#[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
#[must_use]
pub fn command(program: impl AsRef<OsStr>, directory: &AbsPath) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts the program in a process group of its own, which ends with the returned value.
///
/// # Errors
/// When the program cannot be started.
pub fn spawn_group(command: Command) -> io::Result<Box<dyn ChildWrapper>> {
    let mut wrap = CommandWrap::from(command);
    #[cfg(unix)]
    wrap.wrap(process_wrap::tokio::ProcessGroup::leader());
    #[cfg(windows)]
    wrap.wrap(process_wrap::tokio::JobObject);
    wrap.spawn()
}

/// Runs the program to its end and gives its standard output; both outputs are read, standard error is kept for the message.
///
/// # Errors
/// When it cannot be started or ends with another status than 0.
pub async fn output(mut command: Command) -> io::Result<Vec<u8>> {
    command.kill_on_drop(true);
    let output = command.output().await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}
