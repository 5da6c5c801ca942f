//! Detached processes: with a session of their own, without inherited descriptors, and with a pipe to report their start.

use std::{
    io::{self, Write as _},
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// Starts a program that outlives this one: in the root directory, with only these variables. Its standard output is a
/// pipe; the other streams are null. It must call [`detach`] first, and close the pipe with [`report`]. The runtime reaps
/// the child, also after the value is dropped.
///
/// # Errors
/// When the program cannot be started.
#[expect(clippy::disallowed_methods, reason = "this child has its own group: it outlives this process")]
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

/// Starts a new session, and closes all descriptors but the standard ones. Must be called first in `main`, before this
/// process has any thread or descriptor.
///
/// # Errors
/// If the process is a group leader, such as one that a shell has started: it cannot start a session.
pub fn detach() -> io::Result<()> {
    #[cfg(unix)]
    {
        // Does not read the present session: in a PID namespace without one, as in some containers, its id is 0, on which
        // rustix panics.
        rustix::process::setsid()?;
        close_inherited();
    }
    // On other platforms descriptors are not inherited by default, and a process is detached when it is started.
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
        #[expect(unsafe_code, reason = "inherited descriptors can only be closed by number")]
        // SAFETY: there are no other threads, and this process has opened nothing yet, so no value owns this descriptor.
        // The list contains the descriptor of the directory that was read, which is closed by now and fails the check.
        unsafe {
            if rustix::io::fcntl_getfd(std::os::fd::BorrowedFd::borrow_raw(descriptor)).is_ok() {
                rustix::io::close(descriptor);
            }
        }
    }
}

/// Writes a line to the pipe and closes it. The starting process may have exited.
pub fn report(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    drop(out);
    #[cfg(unix)]
    if let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nowhere);
    }
}
