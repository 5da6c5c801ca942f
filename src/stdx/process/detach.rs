//! A detached process: it has a session of its own, inherits no descriptor of its parent, and has one pipe to say whether
//! it came up.

use std::{
    io::{self, Write as _},
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// Starts a program that outlives this one: in the root directory, with these variables and no others. Its standard
/// output is a pipe, the other streams lead nowhere. It must begin with [`detach`] and end the pipe with [`report`].
/// The child is reaped by the runtime, also after the value is dropped.
///
/// # Errors
/// When the program cannot be started.
#[expect(clippy::disallowed_methods, reason = "this child is in no group of ours: it stays when we go")]
pub fn spawn<'a>(program: &Path, arguments: &[&str], environment: impl Iterator<Item = (&'a str, &'a str)>) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment);
    command.current_dir(program.ancestors().last().unwrap_or(program));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(false);
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 0x0000_0008;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
    command.spawn()
}

/// Leaves the session of the parent, and closes every descriptor but the standard ones. Must be
/// called first in `main`, before any thread or descriptor of this process exists.
///
/// # Errors
/// When the process leads a group, as one that a shell has started does: such a one cannot leave.
pub fn detach() -> io::Result<()> {
    #[cfg(unix)]
    {
        // Without a look at the session before: in a process namespace whose first process has not made one, as in some
        // containers, its id is 0, which rustix takes for impossible.
        rustix::process::setsid()?;
        close_inherited();
    }
    // Elsewhere nothing is inherited that is not meant to be, and a process is detached when it is started.
    Ok(())
}

#[cfg(unix)]
fn close_inherited() {
    let listed: Option<Vec<i32>> = std::fs::read_dir("/dev/fd")
        .ok()
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect());
    let open = listed.unwrap_or_else(|| {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024).min(65_536);
        (0..i32::try_from(most).unwrap_or(1024)).collect()
    });
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        #[expect(unsafe_code, reason = "what is inherited by number can only be closed by number")]
        // SAFETY: no thread runs and this process has opened nothing yet, so no value in it owns this descriptor. That
        // of the directory that was read is in the list too and closed by now: a closed one is only looked at.
        unsafe {
            if rustix::io::fcntl_getfd(std::os::fd::BorrowedFd::borrow_raw(descriptor)).is_ok() {
                rustix::io::close(descriptor);
            }
        }
    }
}

/// Writes a line to the parent, which may no longer listen, and closes the pipe.
pub fn report(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    drop(out);
    #[cfg(unix)]
    if let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nowhere);
    }
}
