//! Starts a command line in its shell, in the foreground and in the background alike.

use std::{ffi::OsStr, path::Path, time::Duration};

use super::{environment, git_guard, sandbox::Execution};
use crate::{
    stdx::{
        paths::AbsPath,
        process::{Group, SharedOutput, children::Purpose, command, set_umask},
    },
    tool::{background::CALL, context::ToolContext, definition::ToolError, umask},
};

/// Between the request to end and the end by force.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A command that has been started.
pub(super) struct Started {
    pub group: Group,
    pub output: SharedOutput,
    /// The proxy of its sandbox, which must last as long as it.
    pub _proxy: Option<Box<dyn std::any::Any + Send>>,
}

/// Starts the line in the shell. `call` is what it and all that it starts are known by.
pub(super) async fn start(
    context: &ToolContext,
    how: &Execution,
    shell: &OsStr,
    line: &str,
    directory: &AbsPath,
    git: &[git_guard::Setting],
    call: &str,
) -> Result<Started, ToolError> {
    let not_started = |error: std::io::Error| ToolError::failed(format!("The shell could not be started: {error}."));
    let (mut command, sender) = match how {
        Execution::Confined(confined) => {
            confined.command(shell, directory).map(|(command, sender)| (command, Some(sender))).map_err(not_started)?
        }
        Execution::Free | Execution::Unenforced(_) => (command(shell, directory), None),
    };
    command.args(["-c", "--", line]).env_clear().envs(environment::variables(&context.environment));
    command.envs(git_guard::variables(&context.environment, git));
    command.env("PWD", directory.as_path()).env(CALL, call);
    if let Execution::Confined(confined) = how {
        command.envs(confined.variables());
    }
    if let Some(mask) = umask::of(&context.environment) {
        set_umask(&mut command, mask);
    }
    let output = SharedOutput::of(&mut command).map_err(not_started)?;
    let purpose = Purpose { session_id: Some(context.session_id.to_string()), call_id: Some(context.call_id.clone()) };
    let program = Path::new(shell).file_name().unwrap_or(shell).to_string_lossy().into_owned();
    let group = Group::spawn_as(command, program, purpose).map_err(not_started)?;
    let proxy = match sender {
        Some(sender) => Some(Box::new(sender.send().await) as Box<dyn std::any::Any + Send>),
        None => None,
    };
    Ok(Started { group, output, _proxy: proxy })
}

/// Adds a line of its own.
pub(super) fn append(output: &mut String, note: &str) {
    if !output.is_empty() && !output.ends_with('\n') {
        output.push('\n');
    }
    output.push_str(note);
    output.push('\n');
}
