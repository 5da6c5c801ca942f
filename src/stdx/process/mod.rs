//! Subprocesses: each with an explicit directory, and in a process group that can be killed as a whole.

pub(crate) mod children;
pub(crate) mod descriptors;
pub mod detach;
pub(crate) mod table;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::paths::AbsPath;
use children::Purpose;

/// A command that runs in `directory` without standard input and with piped outputs.
#[expect(clippy::disallowed_methods, reason = "the only place that starts programs")]
#[must_use]
pub fn command(program: impl AsRef<OsStr>, directory: &AbsPath) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    descriptors::restore(&mut command);
    command
}

/// Sets the umask of the program.
#[cfg(unix)]
pub fn set_umask(command: &mut Command, mask: u32) {
    // The type of a mode differs between platforms; nine bits fit into each.
    let mode = rustix::fs::Mode::from_bits_truncate((mask & 0o777) as _);
    #[expect(unsafe_code, reason = "only a process itself can set its umask")]
    // SAFETY: between fork and exec the closure makes one async-signal-safe system call and does not allocate.
    unsafe {
        command.pre_exec(move || {
            rustix::process::umask(mode);
            Ok(())
        });
    }
}

/// There is no umask on this platform.
#[cfg(not(unix))]
pub fn set_umask(_: &mut Command, _: u32) {}

/// Starts the program in a new session and process group: it has no terminal, and the group is killed when the returned
/// value is dropped.
///
/// # Errors
/// If the program cannot be started.
pub fn spawn_group(command: Command) -> io::Result<Box<dyn ChildWrapper>> {
    let mut wrap = CommandWrap::from(command);
    #[cfg(unix)]
    wrap.wrap(process_wrap::tokio::ProcessSession);
    #[cfg(windows)]
    wrap.wrap(process_wrap::tokio::JobObject);
    wrap.spawn()
}

/// Runs the program to its end and returns its standard output; an error contains its standard error.
///
/// # Errors
/// If it cannot be started, or exits with another status than 0.
pub async fn output(command: Command) -> io::Result<Vec<u8>> {
    let output = run(command).await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

/// Runs the program to its end, with any status. Dropping the future kills it.
///
/// # Errors
/// If it cannot be started.
pub async fn run(mut command: Command) -> io::Result<Output> {
    command.kill_on_drop(true);
    let child = command.spawn()?;
    let _entry = child.id().map(|pid| children::enter(pid, children::program(&command), Purpose::default()));
    child.wait_with_output().await
}

/// Runs the program to its end, with any status, with `input` as its standard input and at most `most` bytes of output.
/// Dropping the future kills it.
///
/// # Errors
/// If it cannot be started; `FileTooLarge` if the output is larger, and then it is killed.
pub async fn exchange(mut command: Command, input: Vec<u8>, most: usize) -> io::Result<Output> {
    command.kill_on_drop(true).stdin(Stdio::piped());
    let mut child = command.spawn()?;
    let _entry = child.id().map(|pid| children::enter(pid, children::program(&command), Purpose::default()));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may exit before it has read everything; its status shows whether this is a failure.
            let _ = stdin.write_all(&input).await;
        }
        Ok(())
    };
    let (stdout, stderr, ()) = tokio::try_join!(read_up_to(stdout, most), read_up_to(stderr, most), feed)?;
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

async fn read_up_to(pipe: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let Some(pipe) = pipe else { return Ok(content) };
    pipe.take(most as u64 + 1).read_to_end(&mut content).await?;
    if content.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the program says more than is taken of it"));
    }
    Ok(content)
}

/// A program and all that it has started. Dropping this value kills them.
#[derive(Debug)]
pub struct Group {
    child: Box<dyn ChildWrapper>,
    number: Option<u32>,
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
    _entry: Option<children::Entry>,
}

impl Group {
    /// Starts the program in a new group.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let program = children::program(&command);
        Self::spawn_as(command, program, Purpose::default())
    }

    /// Like [`Group::spawn`], for a wrapper that executes another program: `program` is the name to list.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn_as(command: Command, program: String, purpose: Purpose) -> io::Result<Self> {
        let child = spawn_group(command)?;
        #[cfg(unix)]
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        Ok(Self {
            _entry: child.id().map(|pid| children::enter(pid, program, purpose)),
            number: child.id(),
            child,
            #[cfg(unix)]
            id,
        })
    }

    /// The process id of the program, which is also its group's id. It may be reused once all have ended.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// Waits until the program itself has ended; processes that it has started may go on. Cancel-safe.
    ///
    /// # Errors
    /// If the operating system does not report it.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Terminates the group (SIGTERM); on platforms without signals it is killed.
    pub fn terminate(&mut self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
        #[cfg(not(unix))]
        self.kill();
    }

    /// Kills the group.
    pub fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
        // A failure mostly means that the group has ended already.
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
    }

    /// Whether any process of the group runs; zombies do not count.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        #[cfg(unix)]
        return self.id.is_some_and(|id| {
            let group = id.as_raw_nonzero().get().unsigned_abs();
            // A zombie can be signalled, too.
            rustix::process::test_kill_process_group(id).is_ok() && table::is_group_alive(group).unwrap_or(true)
        });
        #[cfg(not(unix))]
        return false;
    }

    /// Waits until nothing in the group runs any more, by polling: there is no event for it.
    pub async fn ended(&self) {
        while self.is_alive() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Once the group is empty its id may be reused, so it is cleared.
    #[cfg(unix)]
    fn signal(&mut self, signal: rustix::process::Signal) {
        if let Some(id) = self.id
            && rustix::process::kill_process_group(id, signal).is_err()
        {
            self.id = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The reading end of a pipe for both outputs of a program, in the order in which they are written.
#[derive(Debug)]
pub struct SharedOutput {
    #[cfg(unix)]
    pipe: tokio::net::unix::pipe::Receiver,
    #[cfg(not(unix))]
    pipe: tokio::fs::File,
}

impl SharedOutput {
    /// Creates the pipe and passes its other end to the command. The output ends when the command value is dropped and all
    /// processes have closed the pipe.
    ///
    /// # Errors
    /// If the operating system cannot create a pipe.
    pub fn of(command: &mut Command) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        #[cfg(unix)]
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
        #[cfg(windows)]
        let pipe = tokio::fs::File::from_std(std::os::windows::io::OwnedHandle::from(reader).into());
        Ok(Self { pipe })
    }

    /// Reads at least one byte; 0 at the end. Cancel-safe.
    ///
    /// # Errors
    /// If the pipe cannot be read.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        tokio::io::AsyncReadExt::read(&mut self.pipe, buffer).await
    }
}

/// Searches a program in the directories of a `PATH`; without one, in default directories.
#[must_use]
pub fn find_program(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let usual = OsStr::new("/usr/local/bin:/usr/bin:/bin");
    let names = if cfg!(windows) { vec![format!("{name}.exe")] } else { vec![name.to_owned()] };
    std::env::split_paths(path.unwrap_or(usual))
        .filter(|directory| directory.is_absolute())
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)).collect::<Vec<_>>())
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    return path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    return path.is_file();
}
