//! A command's sandbox: what its helper is told, what puts it in, and what is put back after it.

use std::{
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use polytree_protocol::sandbox::SandboxReport;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, process::Command};

use super::{
    blank,
    disk::Temporary,
    git_files::Snapshot,
    helper::ARGUMENT,
    nested::Before,
    prepare::Prepared,
    proxy::{self, Allowed},
    spec::{Cover, Network},
};
use crate::stdx::{paths::AbsPath, process, tasks::Tasks};

/// The executable that is running, also after it was replaced on the disk.
pub const THIS: &str = "/proc/self/exe";

/// By these arguments bubblewrap makes the namespaces that it does not make by itself: one for processes, and for root one for
/// users, without which nothing could be hidden from root.
pub fn namespaces() -> impl Iterator<Item = &'static str> {
    let users = rustix::process::geteuid().is_root().then_some("--unshare-user");
    ["--unshare-pid", "--proc", "/proc"].into_iter().chain(users)
}

/// A command's sandbox, ready to be started. Its temporary directory goes with it.
#[derive(Debug)]
pub struct Confined {
    /// What is enforced.
    pub report: SandboxReport,
    /// What the helper is told.
    pub(super) prepared: Prepared,
    /// The executable that is the helper.
    pub(super) program: PathBuf,
    /// Where it may write whatever it likes.
    pub(super) temporary: Temporary,
    /// Where it may keep what the next command can use.
    pub(super) caches: Vec<(&'static str, PathBuf)>,
    /// What is put back after it.
    pub(super) snapshot: Snapshot,
    /// The repositories that were there before it, where it may make some.
    pub(super) before: Option<Before>,
    /// What it may reach.
    pub(super) allowed: Allowed,
}

/// Sends the description of the sandbox to a started helper.
#[derive(Debug)]
pub struct SpecSender {
    stream: UnixStream,
    bytes: Vec<u8>,
    proxied: Option<Allowed>,
}

/// The proxy of a command, which stops with this value.
#[derive(Debug)]
pub struct ProxyGuard(Tasks);

impl Drop for ProxyGuard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl SpecSender {
    /// Sends it, and starts the proxy. A helper that has exited meanwhile is known by its exit code.
    pub async fn send(mut self) -> ProxyGuard {
        let tasks = Tasks::new();
        if self.stream.write_all(&self.bytes).await.is_ok()
            && self.stream.shutdown().await.is_ok()
            && let Some(allowed) = self.proxied
        {
            drop(tasks.spawn("sandbox proxy", proxy::serve(self.stream, allowed, tasks.clone())));
        }
        ProxyGuard(tasks)
    }
}

impl Confined {
    /// A command that runs `shell`, whose arguments are still to be added, in the sandbox; and what its helper has to be
    /// told once it is started.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn command(&self, shell: &OsStr, directory: &AbsPath) -> io::Result<(Command, SpecSender)> {
        let (stream, other) = UnixStream::pair()?;
        let other = other.into_std()?;
        other.set_nonblocking(false)?;
        let mut command = self.outer(directory)?;
        command.arg(ARGUMENT).arg(shell).stdin(Stdio::from(OwnedFd::from(other)));
        let spec = &self.prepared.spec;
        let proxied = (spec.network == Network::Proxy).then(|| self.allowed.clone());
        Ok((command, SpecSender { stream, bytes: spec.encode(), proxied }))
    }

    /// The helper, or bubblewrap that starts it.
    fn outer(&self, directory: &AbsPath) -> io::Result<Command> {
        if self.prepared.outer.is_empty() {
            return Ok(process::command(&self.program, directory));
        }
        let mut command = process::command(bubblewrap().ok_or_else(|| io::Error::other("bubblewrap has gone"))?, directory);
        command.args(["--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev"]).args(namespaces());
        for (cover, path) in &self.prepared.outer {
            match cover {
                Cover::Pin => command.arg("--bind").args([path, path]),
                Cover::ReadOnly => command.arg("--ro-bind").args([path, path]),
                Cover::Hide if path.is_dir() => command.arg("--ro-bind").args([&blank::directory(&self.prepared.spec.blank), path]),
                Cover::Hide => command.arg("--ro-bind").args([&blank::file(&self.prepared.spec.blank), path]),
                Cover::Memory => command.arg("--tmpfs").arg(path),
            };
        }
        // Behind bubblewrap that name means something else.
        let program = if self.program == Path::new(THIS) { std::env::current_exe()? } else { self.program.clone() };
        command.arg("--").arg(program);
        Ok(command)
    }

    /// The variables that say where the command may write.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![("TMPDIR", self.temporary.path().to_owned())];
        variables.extend(self.caches.iter().cloned());
        if self.prepared.spec.network == Network::Proxy {
            // A server that the command itself starts is in its own network, and those of the machine are behind the proxy.
            let direct = if self.allowed.loopback { "" } else { "localhost,127.0.0.1,::1" };
            variables.extend([("NO_PROXY", direct.into()), ("no_proxy", direct.into()), ("NODE_USE_ENV_PROXY", "1".into())]);
        }
        variables
    }

    /// After the command: puts back what it should not have changed, and gives the paths of that. Blocks.
    ///
    /// # Errors
    /// When something cannot be put back.
    pub fn restore(&self) -> io::Result<Vec<PathBuf>> {
        self.snapshot.restore()
    }

    /// After the command: the directories below the worktree in which it has made a repository. Blocks.
    #[must_use]
    pub fn new_repositories(&self) -> Vec<PathBuf> {
        self.before.as_ref().map(Before::new_repositories).unwrap_or_default()
    }
}

/// Where bubblewrap is.
#[must_use]
pub fn bubblewrap() -> Option<PathBuf> {
    process::find_program("bwrap", None)
}
