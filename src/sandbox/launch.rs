//! Starts a command by way of the helper: what it needs on the disk, what the helper is told, what is put back after it.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use polytree_protocol::sandbox::{SandboxPolicy, SandboxReport};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, process::Command, time::timeout};

use super::{
    Sandbox, Settings, Unconfined, Verdict,
    git_files::Snapshot,
    helper::{ARGUMENT, PROBE},
    listing::Listing,
    policy::Abilities,
    prepare::{Prepared, Request, prepare},
    spec::Cover,
};
use crate::stdx::{paths::AbsPath, process};

/// What is running, also after it was replaced on the disk.
const THIS: &str = "/proc/self/exe";
/// Trying what can be enforced takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many worktrees are remembered.
const MOST_LISTINGS: usize = 16;
/// What is read instead of a file that is hidden, by those whom modes do not stop.
const BLANK: &str = "polytree: commands in the sandbox cannot read this file\n";

/// The known files of worktrees, by worktree and by the rules that they were judged by.
pub type Listings = HashMap<(PathBuf, u64), Arc<Mutex<Listing>>>;

/// Where a command is to run.
pub struct Place<'a> {
    /// The policy; not `off`.
    pub policy: SandboxPolicy,
    /// What the settings say.
    pub settings: &'a Settings,
    /// The top of the checkout, a real path.
    pub worktree: &'a AbsPath,
    /// The home directory.
    pub home: Option<&'a AbsPath>,
    /// The value of `PATH`.
    pub search_path: Option<&'a str>,
    /// Directories outside that rules allow.
    pub outside: &'a [AbsPath],
    /// Names of polytree's files at the top of the worktree.
    pub own_names: &'a [&'a str],
    /// What the rules say of the files of the worktree.
    pub rules: &'a (dyn Fn(&str) -> Verdict + Sync),
    /// Changes with the rules.
    pub rules_key: u64,
}

/// A command's sandbox, ready to be started. Its temporary directory goes with it.
#[derive(Debug)]
pub struct Confined {
    /// What is enforced.
    pub report: SandboxReport,
    prepared: Prepared,
    temporary: TempDir,
    cache: Option<PathBuf>,
    snapshot: Snapshot,
}

impl Sandbox {
    /// Prepares the sandbox for a command. Blocks: it looks at the disk.
    ///
    /// # Errors
    /// When the command cannot be confined so.
    pub fn confine(&self, abilities: Abilities, place: &Place<'_>) -> Result<Confined, Unconfined> {
        let Place { policy, settings, worktree, .. } = *place;
        if !abilities.can_confine() {
            return Err(Unconfined::Impossible);
        }
        if !settings.can_have(abilities, policy) {
            return Err(Unconfined::Incomplete);
        }
        let is_workspace = policy == SandboxPolicy::Workspace;
        let read: Vec<PathBuf> = settings.read.iter().cloned().chain(place.outside.iter().map(|path| path.as_path().to_owned())).collect();
        let write: Vec<PathBuf> =
            settings.write.iter().cloned().chain(place.outside.iter().map(|path| path.as_path().to_owned())).collect();
        let cache = self.cache(worktree);
        let temporary = self.make(is_workspace.then_some(&cache)).map_err(Unconfined::Io)?;
        let listing = self.listing(worktree.as_path(), place.rules_key);
        let blank = self.directory.join("blank");
        let request = Request {
            policy,
            abilities,
            worktree: worktree.as_path(),
            home: place.home.map(AbsPath::as_path),
            search_path: place.search_path,
            read: &read,
            write: &write,
            sockets: &settings.sockets,
            proxied: false,
            own: &self.own,
            own_names: place.own_names,
            temporary: temporary.path(),
            cache: &cache,
            blank: blank.as_path(),
            rules: place.rules,
        };
        let mut prepared = prepare(&request, &mut listing.lock().unwrap_or_else(PoisonError::into_inner))?;
        let snapshot = Snapshot::take(std::mem::take(&mut prepared.compare)).map_err(Unconfined::Io)?;
        let cache = is_workspace.then_some(cache);
        Ok(Confined { report: abilities.report(policy, settings.wants()), prepared, temporary, cache, snapshot })
    }

    fn listing(&self, worktree: &Path, rules: u64) -> Arc<Mutex<Listing>> {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (worktree.to_owned(), rules);
        if listings.len() >= MOST_LISTINGS && !listings.contains_key(&key) {
            listings.clear();
        }
        Arc::clone(listings.entry(key).or_default())
    }

    /// Each worktree has its own: what one command has put there is nothing for another project's.
    fn cache(&self, worktree: &AbsPath) -> PathBuf {
        let name = blake3::hash(worktree.to_string().as_bytes()).to_hex();
        self.directory.join("cache").join(&name[..32]).as_path().to_owned()
    }

    /// Makes what has to be there, and a temporary directory.
    fn make(&self, cache: Option<&PathBuf>) -> io::Result<TempDir> {
        let blank = self.directory.join("blank");
        if !blank.as_path().exists() {
            fs::create_dir_all(&self.directory)?;
            fs::write(&blank, BLANK)?;
            fs::set_permissions(&blank, fs::Permissions::from_mode(0))?;
        }
        if let Some(cache) = cache {
            fs::create_dir_all(cache)?;
        }
        let place = fs::canonicalize(std::env::temp_dir())?;
        tempfile::Builder::new().prefix("polytree-").tempdir_in(place)
    }
}

/// What a started helper still has to be told.
#[derive(Debug)]
pub struct Told {
    stream: UnixStream,
    bytes: Vec<u8>,
}

impl Told {
    /// Tells it. One that has ended meanwhile says so by how it ends.
    pub async fn tell(mut self) {
        if self.stream.write_all(&self.bytes).await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }
}

impl Confined {
    /// A command that runs `shell`, whose arguments are still to be added, in the sandbox; and what its helper has to be
    /// told once it is started.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn command(&self, shell: &OsStr, directory: &AbsPath) -> io::Result<(Command, Told)> {
        let (stream, other) = UnixStream::pair()?;
        let other = other.into_std()?;
        other.set_nonblocking(false)?;
        let mut command = self.outer(directory)?;
        command.arg(ARGUMENT).arg(shell).stdin(Stdio::from(OwnedFd::from(other)));
        Ok((command, Told { stream, bytes: self.prepared.spec.encode() }))
    }

    /// The helper, or bubblewrap that starts it.
    fn outer(&self, directory: &AbsPath) -> io::Result<Command> {
        if self.prepared.outer.is_empty() {
            return Ok(process::command(THIS, directory));
        }
        let mut command = process::command(bubblewrap().ok_or_else(|| io::Error::other("bubblewrap has gone"))?, directory);
        command.args(["--dev-bind", "/", "/"]);
        for (cover, path) in &self.prepared.outer {
            match cover {
                Cover::Pin => command.arg("--bind").args([path, path]),
                Cover::ReadOnly => command.arg("--ro-bind").args([path, path]),
                Cover::Hide if path.is_dir() => command.arg("--tmpfs").arg(path).arg("--remount-ro").arg(path),
                Cover::Hide => command.arg("--ro-bind").args([&self.prepared.spec.blank, path]),
                Cover::Memory => command.arg("--tmpfs").arg(path),
            };
        }
        command.arg("--").arg(std::env::current_exe()?);
        Ok(command)
    }

    /// The variables that say where the command may write.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![("TMPDIR", self.temporary.path().to_owned())];
        if let Some(cache) = &self.cache {
            variables.push(("XDG_CACHE_HOME", cache.clone()));
            variables.push(("npm_config_cache", cache.join("npm")));
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
}

/// Where bubblewrap is.
fn bubblewrap() -> Option<PathBuf> {
    process::find_program("bwrap", None)
}

/// Tries what can be enforced.
pub async fn probe(directory: &AbsPath) -> Abilities {
    let place = directory.ancestors().find(|path| path.as_path().is_dir()).unwrap_or_else(|| directory.clone());
    let mut helper = process::command(THIS, &place);
    helper.args([ARGUMENT, PROBE]);
    let told = match timeout(PATIENCE, process::run(helper)).await {
        Ok(Ok(output)) if output.status.success() => output.stdout,
        _ => Vec::new(),
    };
    let mut abilities: Abilities = serde_json::from_slice(&told).unwrap_or_default();
    if let Some(program) = bubblewrap() {
        let mut command = process::command(program, &place);
        command.args(["--dev-bind", "/", "/", "--", "/bin/true"]);
        abilities.bubblewrap =
            timeout(PATIENCE, process::run(command)).await.is_ok_and(|ran| ran.is_ok_and(|output| output.status.success()));
    }
    tracing::debug!(?abilities, "what commands can be confined by");
    abilities
}
