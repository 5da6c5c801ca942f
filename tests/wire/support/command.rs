//! Commands in a fixture's repository.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::fixture::Fixture;

/// The timeout of a command.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The command, without a terminal, with both outputs in pipes.
pub fn command(fixture: &Fixture, arguments: &[&str]) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_polytree")), fixture, arguments)
}

/// With another copy of the executable.
#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
pub fn command_of(executable: &Path, fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(executable);
    command
        .args(arguments)
        .current_dir(fixture.path("repo"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(fixture.environment());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs the command to its end; returns its exit code and both outputs.
pub async fn polytree(fixture: &Fixture, arguments: &[&str]) -> (i32, String, String) {
    let output = tokio::time::timeout(TIMEOUT, command(fixture, arguments).output()).await;
    ended(output.unwrap_or_else(|_| panic!("polytree {arguments:?} has not ended for a minute")).unwrap())
}

/// The exit code and both outputs of an ended command.
pub fn ended(output: Output) -> (i32, String, String) {
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}
