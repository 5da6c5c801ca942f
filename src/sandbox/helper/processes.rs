//! A namespace of its own for processes. Its first process starts the command and waits for all that comes of it; when that
//! one is ended, the kernel ends all the others, whatever group or session they have made themselves a part of.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::fd::AsFd as _,
    process::Command,
};

use nix::{
    sys::signal::{SigSet, Signal, raise},
    unistd::ForkResult,
};
use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, WaitStatus},
};

/// How the helper ends where it cannot confine itself; then the command was not run.
pub const FAILED: u8 = 125;

/// The first process of a namespace, before the command is started.
#[derive(Debug)]
pub struct First(PipeWriter);

/// Nothing more is read: the command has no input.
pub fn no_input() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?.as_fd())?)
}

/// After `unshare` with `CLONE_NEWPID`: returns in the first process of the namespace. The process that has called waits for
/// the command and ends as it does.
pub fn enter() -> io::Result<First> {
    let (reader, writer) = io::pipe()?;
    match fork()? {
        None => Ok(First(writer)),
        Some(first) => {
            drop(writer);
            // What is on the standard input is for the others.
            no_input()?;
            std::process::exit(watch(reader, first))
        }
    }
}

impl First {
    /// Starts the command and waits for all that comes of it; returns only where it cannot be started. This process is as
    /// confined as the command.
    pub fn run(self, mut command: Command) -> io::Error {
        // It shares what it may do with the command, which so could look into it.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        match command.spawn() {
            Ok(child) => match self.watch(child.id()) {
                Ok(never) => match never {},
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    fn watch(self, command: u32) -> io::Result<Infallible> {
        let Self(mut writer) = self;
        let command = i32::try_from(command).ok().and_then(Pid::from_raw);
        let status = loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if Some(pid) == command => break status,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        let is_left = rustix::process::wait(WaitOptions::NOHANG).is_ok();
        let [code, signal] = ending(Some(status));
        writer.write_all(&[code, signal, u8::from(is_left)])?;
        drop(writer);
        // Until nothing is left, or somebody ends this.
        while matches!(rustix::process::wait(WaitOptions::empty()), Ok(_) | Err(Errno::INTR)) {}
        std::process::exit(0)
    }
}

/// Waits for the command; gives its exit code. Where a signal has ended it, the same ends this process.
fn watch(mut reader: PipeReader, first: Pid) -> i32 {
    // The command decides what a request to end means.
    let _ = SigSet::all().thread_block();
    let mut report = [0; 3];
    let [code, signal] = if reader.read_exact(&mut report).is_ok() {
        let [code, signal, is_left] = report;
        if is_left == 0 {
            reap(first);
        }
        [code, signal]
    } else {
        // It has failed before, or was ended.
        ending(reap(first))
    };
    if signal == 0 {
        return i32::from(code);
    }
    if let Ok(signal) = Signal::try_from(i32::from(signal)) {
        // It has no memory worth keeping.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        let _ = raise(signal);
        let _ = SigSet::from(signal).thread_unblock();
    }
    128 + i32::from(signal)
}

/// The exit code, and the number of the signal that has ended it, or 0.
fn ending(status: Option<WaitStatus>) -> [u8; 2] {
    let byte = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
    let signal = byte(status.and_then(WaitStatus::terminating_signal));
    let code = byte(status.and_then(WaitStatus::exit_status));
    [code.unwrap_or(FAILED), signal.unwrap_or(0)]
}

fn reap(pid: Pid) -> Option<WaitStatus> {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => return other.ok().flatten().map(|(_, status)| status),
        }
    }
}

/// Gives the child's number, and `None` in the child.
fn fork() -> io::Result<Option<Pid>> {
    #[expect(unsafe_code, reason = "the system wants to know that there are no other threads")]
    // SAFETY: the helper is a process with one thread: it starts none.
    let forked = unsafe { nix::unistd::fork() }?;
    Ok(match forked {
        ForkResult::Child => None,
        ForkResult::Parent { child } => Pid::from_raw(child.as_raw()),
    })
}
