//! Child processes: always with a directory of their own, always in a group that can be ended as a whole.

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
use children::Labels;

/// Prepares a program that runs in `directory` with no standard input and piped outputs.
#[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
#[must_use]
pub fn command(program: impl AsRef<OsStr>, directory: &AbsPath) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    descriptors::restore(&mut command);
    command
}

/// Starts the program with this mask for the permissions of new files.
#[cfg(unix)]
pub fn set_umask(command: &mut Command, mask: u32) {
    // The type of a mode differs between systems; nine bits fit into each.
    let mode = rustix::fs::Mode::from_bits_truncate((mask & 0o777) as _);
    #[expect(unsafe_code, reason = "only a process itself can set its mask")]
    // SAFETY: between fork and exec the closure makes one system call, which is safe there; it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::umask(mode);
            Ok(())
        });
    }
}

/// There is no such mask elsewhere.
#[cfg(not(unix))]
pub fn set_umask(_: &mut Command, _: u32) {}

/// Starts the program in a session and a process group of its own: it has no terminal, and the group ends with the
/// returned value.
///
/// # Errors
/// When the program cannot be started.
pub fn spawn_group(command: Command) -> io::Result<Box<dyn ChildWrapper>> {
    let mut wrap = CommandWrap::from(command);
    #[cfg(unix)]
    wrap.wrap(process_wrap::tokio::ProcessSession);
    #[cfg(windows)]
    wrap.wrap(process_wrap::tokio::JobObject);
    wrap.spawn()
}

/// Runs the program to its end and gives its standard output; both outputs are read, standard error is kept for the message.
///
/// # Errors
/// When it cannot be started or ends with another status than 0.
pub async fn output(command: Command) -> io::Result<Vec<u8>> {
    let output = run(command).await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

/// Runs the program to its end, however it ends. It ends with the future.
///
/// # Errors
/// When it cannot be started.
pub async fn run(mut command: Command) -> io::Result<Output> {
    command.kill_on_drop(true);
    let child = command.spawn()?;
    let _entry = child.id().map(|pid| children::enter(pid, children::program(&command), Labels::new()));
    child.wait_with_output().await
}

/// Runs the program to its end, however it ends: it reads `input`, and its standard output is taken up to `most` bytes.
/// It ends with the future.
///
/// # Errors
/// When it cannot be started; `FileTooLarge` when it says more, and then it is ended.
pub async fn exchange(mut command: Command, input: Vec<u8>, most: usize) -> io::Result<Output> {
    command.kill_on_drop(true).stdin(Stdio::piped());
    let mut child = command.spawn()?;
    let _entry = child.id().map(|pid| children::enter(pid, children::program(&command), Labels::new()));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may end before it has read everything; how it ends tells whether that is a failure.
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

/// A program and all that it has started, which end together: at the latest when this value is dropped.
#[derive(Debug)]
pub struct Group {
    child: Box<dyn ChildWrapper>,
    number: Option<u32>,
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
    _entry: Option<children::Entry>,
}

impl Group {
    /// Starts the program in a group of its own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::spawn_for(command, Labels::new())
    }

    /// Like [`Group::spawn`]; `labels` say what it runs for.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn_for(command: Command, labels: Labels) -> io::Result<Self> {
        let program = children::program(&command);
        Self::spawn_as(command, program, labels)
    }

    /// The same for a program that becomes another one, by whose name it goes.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn_as(command: Command, program: String, labels: Labels) -> io::Result<Self> {
        let child = spawn_group(command)?;
        #[cfg(unix)]
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        Ok(Self {
            _entry: child.id().map(|pid| children::enter(pid, program, labels)),
            number: child.id(),
            child,
            #[cfg(unix)]
            id,
        })
    }

    /// The number of the program's process, which was its group's too. It may belong to others once all have ended.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// Waits until the program itself has ended; what it has started may go on. May be dropped and called again.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks everything in the group to end. Where there is no such request, the group is ended at once.
    pub fn terminate(&mut self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
        #[cfg(not(unix))]
        self.kill();
    }

    /// Ends everything in the group at once.
    pub fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
        // There is nothing to do about a job that cannot be ended; it mostly means that it has ended already.
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
    }

    /// Whether anything in the group still runs. What has ended and was not reaped yet does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        #[cfg(unix)]
        return self.id.is_some_and(|id| {
            let group = id.as_raw_nonzero().get().unsigned_abs();
            // A zombie can be signalled too.
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

    /// Once the group is seen empty its number may belong to others, so it is forgotten.
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

/// The reading end of a pipe that takes both outputs of a program, in the order in which they are written.
#[derive(Debug)]
pub struct SharedOutput {
    #[cfg(unix)]
    pipe: tokio::net::unix::pipe::Receiver,
    #[cfg(not(unix))]
    pipe: tokio::fs::File,
}

impl SharedOutput {
    /// Makes the pipe and gives its other end to the command. The end of the output comes when the command value and
    /// every process that holds the pipe are gone.
    ///
    /// # Errors
    /// When the system has no more pipes.
    pub fn of(command: &mut Command) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        #[cfg(unix)]
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
        #[cfg(windows)]
        let pipe = tokio::fs::File::from_std(std::os::windows::io::OwnedHandle::from(reader).into());
        Ok(Self { pipe })
    }

    /// Reads what there is, at least one byte; 0 at the end. May be dropped and called again.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        tokio::io::AsyncReadExt::read(&mut self.pipe, buffer).await
    }
}

/// Looks for a program in the directories of a `PATH`; without one, in the usual places.
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
