//! `polytree auth` at a real terminal, which does not show the key, and with pipes.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use tokio::io::AsyncWriteExt as _;

use super::support::{
    command::{command, ended, polytree},
    fixture::Fixture,
};

/// A generous timeout, which only a hang reaches.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn piped(fixture: &Fixture, arguments: &[&str], text: &str) -> (i32, String, String) {
    let mut child = command(fixture, arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    ended(child.wait_with_output().await.unwrap())
}

/// The command with its own terminal.
struct AtTerminal {
    child: std::process::Child,
    keyboard: File,
    pieces: mpsc::Receiver<String>,
    shown: String,
}

impl AtTerminal {
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    fn start(fixture: &Fixture, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        // Sets the controlling terminal of the command's session, as a terminal window does.
        let child = std::process::Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_polytree")])
            .args(arguments)
            .current_dir(fixture.path("repo"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TERM", "xterm")
            .envs(fixture.environment())
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .unwrap();
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, pieces) = mpsc::channel();
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                let _ = sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
            }
        });
        Self { child, keyboard, pieces, shown: String::new() }
    }

    /// Waits until this has been shown.
    fn sees(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.shown.contains(text) {
            let piece = self.pieces.recv_timeout(TIMEOUT.saturating_sub(begun.elapsed()));
            self.shown.push_str(&piece.unwrap_or_else(|_| panic!("{text:?} was not shown: {:?}", self.shown)));
        }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < TIMEOUT, "it does not end: {:?}", self.shown);
            std::thread::yield_now();
        }
    }
}

fn stored(fixture: &Fixture) -> String {
    std::fs::read_to_string(fixture.path("data/auth.json")).unwrap_or_default()
}

#[tokio::test]
async fn a_key_through_a_pipe_is_stored_listed_and_removed() {
    let fixture = Fixture::new().await;
    assert_eq!(polytree(&fixture, &["auth", "logout"]).await.0, 1);
    let (code, out, err) = piped(&fixture, &["auth", "login", "groq"], "sk-piped\n").await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "stored the key for Groq; it is used from the next prompt on\n", ""));
    assert!(stored(&fixture).contains("sk-piped"));
    let (_, out, _) = polytree(&fixture, &["auth", "list"]).await;
    assert!(
        out.contains("groq  Groq  the stored key") && out.contains("test  test  the key in the settings") && !out.contains("sk-"),
        "{out}"
    );
    let output = command(&fixture, &["auth", "list", "--json"]).env("GROQ_API_KEY", "sk-variable").output().await.unwrap();
    let (_, out, _) = ended(output);
    assert!(out.contains(r#"{"source":"environment","variable":"GROQ_API_KEY"},{"source":"stored"}"#) && !out.contains("sk-"), "{out}");
    let (code, out, _) = polytree(&fixture, &["auth", "logout"]).await;
    assert_eq!((code, out.as_str()), (0, "removed the stored key for groq\n"));
    assert!(!stored(&fixture).contains("sk-piped"));
}

#[tokio::test]
async fn what_cannot_be_stored_is_said() {
    let fixture = Fixture::new().await;
    for (arguments, text, code, why) in [
        (&["auth", "login", "grok"][..], "sk-x", 2, "the nearest is `groq`"),
        (&["auth", "login", "groq"], " \n", 2, "no key was given"),
        (&["auth", "login", "groq"], "sk-hunter2 two", 1, "blanks"),
        (&["auth", "login"], "sk-x", 2, "name the provider"),
        (&["auth", "logout", "groq"], "", 1, "no key is stored for `groq`"),
    ] {
        let (ended, _, err) = piped(&fixture, arguments, text).await;
        assert!(ended == code && err.contains(why) && !err.contains("hunter2"), "{arguments:?}: {ended} {err}");
    }
    let (code, _, err) = polytree(&fixture, &["auth", "login", "groq"]).await;
    assert!(code == 2 && err.contains("use a pipe"), "{err}");
    assert_eq!(stored(&fixture), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_key_is_not_shown() {
    let fixture = Fixture::new().await;
    tokio::task::block_in_place(|| {
        let mut terminal = AtTerminal::start(&fixture, &["auth", "login"]);
        terminal.sees("Which provider?");
        assert!(terminal.echoes());
        terminal.types("groq\n");
        terminal.sees("not shown): ");
        assert!(!terminal.echoes());
        terminal.types("sk-typed-unseen\n");
        terminal.sees("it is used from the next prompt on");
        assert_eq!(terminal.code(), Some(0));
        assert!(terminal.echoes(), "the terminal is as it was");
        assert!(terminal.shown.contains("groq") && !terminal.shown.contains("typed-unseen"), "{:?}", terminal.shown);
    });
    assert!(stored(&fixture).contains("sk-typed-unseen"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stores_nothing_and_gives_the_terminal_back() {
    let fixture = Fixture::new().await;
    tokio::task::block_in_place(|| {
        let mut terminal = AtTerminal::start(&fixture, &["auth", "login", "groq"]);
        terminal.sees("not shown): ");
        terminal.types("sk-half");
        terminal.types("\u{3}");
        assert_eq!(terminal.code(), Some(130));
        assert!(terminal.echoes() && !terminal.shown.contains("sk-half"), "{:?}", terminal.shown);
    });
    assert_eq!(stored(&fixture), "");
}
