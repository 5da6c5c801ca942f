//! The user's input to a running command: answers at the terminal, text from a pipe, interrupts. Threads that wait for
//! input end with the process, because a read from a terminal cannot be cancelled.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _},
    sync::mpsc as blocking,
};

use tokio::sync::{mpsc, oneshot};

/// The size limit of text from a pipe.
const MAX_PIPED_BYTES: u64 = 8 * 1024 * 1024;

/// All inputs.
pub struct Input {
    /// Lines typed at the controlling terminal; `None` without one.
    pub typed: Option<Typed>,
    /// A pipe or a file as the standard input.
    pub piped: Piped,
    /// Ctrl-C.
    pub interrupts: Interrupts,
}

impl Input {
    /// The input of this process.
    #[must_use]
    pub fn standard() -> Self {
        Self { typed: Typed::terminal(), piped: Piped::standard(), interrupts: Interrupts::Process(None) }
    }
}

/// Lines that the user types. A line is read only on request.
pub struct Typed {
    requests: Option<blocking::Sender<oneshot::Sender<()>>>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    reading: bool,
}

impl Typed {
    /// The controlling terminal, also if the standard input is something else.
    #[must_use]
    pub fn terminal() -> Option<Self> {
        let terminal = if io::stdin().is_terminal() { None } else { Some(open_terminal()?) };
        let (requests, wanted) = blocking::channel::<oneshot::Sender<()>>();
        let (sender, lines) = mpsc::unbounded_channel();
        let read = move || {
            let mut reader = terminal.map(BufReader::new);
            while let Ok(ready) = wanted.recv() {
                forget_typed_ahead();
                // The request may have been dropped.
                let _ = ready.send(());
                let mut line = String::new();
                let read = match &mut reader {
                    Some(reader) => reader.read_line(&mut line),
                    None => io::stdin().lock().read_line(&mut line),
                };
                let line = read.is_ok_and(|bytes| bytes > 0).then_some(line);
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("terminal".into()).spawn(read).ok()?;
        Some(Self { requests: Some(requests), lines, reading: false })
    }

    /// Lines from another source; `None` is the end of input.
    #[must_use]
    pub fn scripted(lines: mpsc::UnboundedReceiver<Option<String>>) -> Self {
        Self { requests: None, lines, reading: false }
    }

    /// Starts to read a line. Discards input that was typed before.
    pub async fn ready(&mut self) {
        if !self.reading {
            self.reading = true;
            if let Some(requests) = &self.requests {
                let (sender, ready) = oneshot::channel();
                // If the thread has ended, the channel of lines is closed, too.
                let _ = requests.send(sender);
                let _ = ready.await;
            }
        }
    }

    /// Turns the terminal's echo off until the value is dropped; `None` if this is not possible.
    #[must_use]
    pub fn hide(&self) -> Option<Hidden> {
        if self.requests.is_some() { Hidden::begin() } else { Some(Hidden::nothing()) }
    }

    /// The next line without its end; `None` at the end of input. Cancel-safe.
    pub async fn line(&mut self) -> Option<String> {
        self.ready().await;
        let line = self.lines.recv().await.flatten();
        self.reading = false;
        line.map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// A terminal without echo, except of line ends.
pub struct Hidden {
    #[cfg(unix)]
    before: Option<(File, rustix::termios::Termios)>,
}

impl Hidden {
    #[cfg(unix)]
    fn begin() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let terminal = File::open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Now, &silent).ok()?;
        Some(Self { before: Some((terminal, before)) })
    }

    #[cfg(not(unix))]
    fn begin() -> Option<Self> {
        None
    }

    fn nothing() -> Self {
        Self {
            #[cfg(unix)]
            before: None,
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some((terminal, before)) = &self.before {
            let _ = rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Now, before);
        }
    }
}

fn open_terminal() -> Option<File> {
    let path = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };
    File::open(path).ok().filter(io::IsTerminal::is_terminal)
}

/// Discards input that was typed before the question was shown.
fn forget_typed_ahead() {
    #[cfg(unix)]
    if let Ok(terminal) = File::open("/dev/tty") {
        let _ = rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush);
    }
}

/// The standard input.
pub enum Piped {
    /// A terminal, or none.
    Nothing,
    /// A pipe or a file.
    Standard,
    /// From another source.
    Text(String),
}

impl Piped {
    /// The standard input of this process.
    #[must_use]
    pub fn standard() -> Self {
        if io::stdin().is_terminal() || is_device() { Self::Nothing } else { Self::Standard }
    }

    /// Reads it to the end.
    ///
    /// # Errors
    /// If it cannot be read or is too long.
    pub async fn read(&mut self) -> io::Result<Option<String>> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Standard => {
                let (sender, text) = oneshot::channel();
                std::thread::Builder::new().name("standard input".into()).spawn(move || {
                    let mut bytes = Vec::new();
                    let read = io::stdin().lock().take(MAX_PIPED_BYTES + 1).read_to_end(&mut bytes);
                    // The receiver is dropped after an interrupt.
                    let _ = sender.send(read.map(|_| bytes));
                })?;
                let bytes = text.await.map_err(io::Error::other)??;
                if bytes.len() as u64 > MAX_PIPED_BYTES {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_PIPED_BYTES} bytes")));
                }
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }
}

/// Whether the standard input is a device such as the null device, which has no text.
fn is_device() -> bool {
    #[cfg(unix)]
    if let Ok(status) = rustix::fs::fstat(io::stdin()) {
        return rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::CharacterDevice;
    }
    false
}

/// Ctrl-C (each press) and SIGTERM: for a command that waits for a turn both abort it.
pub enum Interrupts {
    /// Of this process; they no longer end it after `listen` or the first wait.
    Process(Option<Signals>),
    /// From another source.
    Scripted(mpsc::UnboundedReceiver<()>),
}

/// The signals that interrupt.
#[cfg(unix)]
pub struct Signals([tokio::signal::unix::Signal; 2]);
/// The signals that interrupt.
#[cfg(windows)]
pub struct Signals(tokio::signal::windows::CtrlC);

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    #[cfg(windows)]
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn recv(&mut self) -> Option<()> {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.0;
            tokio::select! {
                came = interrupt.recv() => came,
                came = terminate.recv() => came,
            }
        }
        #[cfg(windows)]
        self.0.recv().await
    }
}

impl Interrupts {
    /// From now on they no longer end the process, and `next` returns for each.
    pub fn listen(&mut self) {
        if let Self::Process(signals @ None) = self {
            *signals = Signals::listen().ok();
        }
    }

    /// Waits for the next one; forever if none can occur. None is lost between two calls.
    pub async fn next(&mut self) {
        self.listen();
        let came = match self {
            Self::Scripted(interrupts) => interrupts.recv().await,
            Self::Process(Some(signals)) => signals.recv().await,
            Self::Process(None) => None,
        };
        if came.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
