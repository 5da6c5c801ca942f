//! What a person gives to a running command: answers at the terminal, text through a pipe, interrupts. Threads that
//! wait for input are left to the end of the process: there is no other way out of a read from a terminal.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _},
    sync::mpsc as blocking,
};

use tokio::sync::{mpsc, oneshot};

/// A longer text through a pipe is refused.
const MAX_PIPED_BYTES: u64 = 8 * 1024 * 1024;

/// Everything that can come in.
pub struct Input {
    /// Lines typed at the controlling terminal; `None` without one.
    pub typed: Option<Typed>,
    /// A pipe or a file at the standard input.
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

/// Lines that a person types. A line is read only when it is asked for.
pub struct Typed {
    requests: Option<blocking::Sender<oneshot::Sender<()>>>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    reading: bool,
}

impl Typed {
    /// The controlling terminal, also when the standard input is something else.
    #[must_use]
    pub fn terminal() -> Option<Self> {
        let terminal = if io::stdin().is_terminal() { None } else { Some(open_terminal()?) };
        let (requests, wanted) = blocking::channel::<oneshot::Sender<()>>();
        let (sender, lines) = mpsc::unbounded_channel();
        let read = move || {
            let mut reader = terminal.map(BufReader::new);
            while let Ok(ready) = wanted.recv() {
                forget_typed_ahead();
                // Who asked may have given up.
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

    /// Lines from elsewhere; `None` is the end of input.
    #[must_use]
    pub fn scripted(lines: mpsc::UnboundedReceiver<Option<String>>) -> Self {
        Self { requests: None, lines, reading: false }
    }

    /// Begins to wait for a line: what is typed from now on belongs to it, what was typed before does not.
    pub async fn ready(&mut self) {
        if !self.reading {
            self.reading = true;
            if let Some(requests) = &self.requests {
                let (sender, ready) = oneshot::channel();
                // When the thread has gone, the channel of lines is closed as well.
                let _ = requests.send(sender);
                let _ = ready.await;
            }
        }
    }

    /// What is typed is not shown until the value is dropped; `None` where that cannot be had.
    #[must_use]
    pub fn hide(&self) -> Option<Hidden> {
        if self.requests.is_some() { Hidden::begin() } else { Some(Hidden::nothing()) }
    }

    /// The next line without its end; `None` at the end of input. May be given up and called again.
    pub async fn line(&mut self) -> Option<String> {
        self.ready().await;
        let line = self.lines.recv().await.flatten();
        self.reading = false;
        line.map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// A terminal that shows nothing of what is typed but the end of the line.
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

/// What was typed before the question was seen is no answer to it.
fn forget_typed_ahead() {
    #[cfg(unix)]
    if let Ok(terminal) = File::open("/dev/tty") {
        let _ = rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush);
    }
}

/// Text at the standard input.
pub enum Piped {
    /// It is a terminal, or nothing.
    Nothing,
    /// A pipe or a file.
    Standard,
    /// From elsewhere.
    Text(String),
}

impl Piped {
    /// What stands at the standard input of this process.
    #[must_use]
    pub fn standard() -> Self {
        if io::stdin().is_terminal() || is_device() { Self::Nothing } else { Self::Standard }
    }

    /// Reads it to its end.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub async fn read(&mut self) -> io::Result<Option<String>> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Standard => {
                let (sender, text) = oneshot::channel();
                std::thread::Builder::new().name("standard input".into()).spawn(move || {
                    let mut bytes = Vec::new();
                    let read = io::stdin().lock().take(MAX_PIPED_BYTES + 1).read_to_end(&mut bytes);
                    // Nobody waits any more after an interrupt.
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

/// Whether the standard input is a device such as the null device, which has nothing to say.
fn is_device() -> bool {
    #[cfg(unix)]
    if let Ok(status) = rustix::fs::fstat(io::stdin()) {
        return rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::CharacterDevice;
    }
    false
}

/// Ctrl-C, as often as it is pressed, and the polite request to end that `kill` sends: to whoever waits for a turn both
/// mean to abort it.
pub enum Interrupts {
    /// Of this process; from `listen` or the first wait on they no longer end it.
    Process(Option<Signals>),
    /// From elsewhere.
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
    /// From now on they no longer end the process, and `next` tells of each.
    pub fn listen(&mut self) {
        if let Self::Process(signals @ None) = self {
            *signals = Signals::listen().ok();
        }
    }

    /// Waits for the next one; for ever where none can come. None is lost between two calls.
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
