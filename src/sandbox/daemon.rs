//! The daemon's side: what this machine can enforce, and what a command's sandbox needs on the disk.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use polytree_protocol::sandbox::SandboxPolicy;
use tokio::{sync::OnceCell, time::timeout};

use super::{
    blank,
    confined::{Confined, THIS, bubblewrap, namespaces},
    disk::{self, Temporary},
    error::Unconfined,
    git_files::{Snapshot, modules},
    helper::{ARGUMENT, PROBE},
    listing::Listing,
    nested::Before,
    place::Place,
    places,
    policy::Abilities,
    prepare::{Request, prepare},
    proxy::Allowed,
};
use crate::stdx::{paths::AbsPath, process};

/// Trying what can be enforced takes a few milliseconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// A tool chain that was installed is found after so long.
const PLACES_TTL: Duration = Duration::from_secs(10);
/// So many worktrees are remembered.
const LISTING_CACHE_CAPACITY: usize = 16;

/// The roots of the system and of tool chains, when they were found, and for which home and which `PATH`.
type KnownRoots = (Instant, (Option<AbsPath>, Option<String>), Arc<Vec<PathBuf>>);

/// The known files of worktrees, by worktree and by the rules that they were judged by.
type Listings = HashMap<(PathBuf, u64), Arc<Mutex<Listing>>>;

/// The sandbox of a daemon.
#[derive(Debug)]
pub struct Sandbox {
    /// Where it keeps caches of commands, and what hides files.
    directory: AbsPath,
    /// polytree's own directories.
    own: Vec<PathBuf>,
    /// The executable that is the helper.
    program: PathBuf,
    abilities: OnceCell<Abilities>,
    // Held to look one up or to put it in.
    listings: Mutex<Listings>,
    // Held to look at it or to replace it.
    roots: Mutex<Option<KnownRoots>>,
}

impl Sandbox {
    /// `data` is polytree's directory for data, `others` are its other ones.
    #[must_use]
    pub fn new(data: &AbsPath, others: &[&AbsPath]) -> Self {
        let own = others.iter().copied().chain([data]);
        Self {
            directory: data.join("sandbox"),
            own: own.flat_map(|path| [path.clone(), path.real_or_nearest()]).map(|path| path.as_path().to_owned()).collect(),
            program: THIS.into(),
            abilities: OnceCell::new(),
            listings: Mutex::default(),
            roots: Mutex::default(),
        }
    }

    /// The same with another executable for the helper.
    #[must_use]
    pub fn with_program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..self }
    }

    /// What this machine can enforce; tried when it is first asked.
    pub async fn abilities(&self) -> Abilities {
        *self.abilities.get_or_init(|| probe(&self.program, &self.directory)).await
    }

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
        if is_workspace {
            disk::use_cache(&cache).map_err(Unconfined::Io)?;
        }
        let temporary = Temporary::new().map_err(Unconfined::Io)?;
        // The helper follows no links.
        let cache = cache.canonicalize().unwrap_or(cache);
        let outputs = place.outputs.real_or_nearest();
        let roots = self.roots(place);
        let private = place.private.iter().map(AbsPath::as_path).chain(self.own.iter().map(PathBuf::as_path));
        let private = private.chain(places::of_root().iter().map(Path::new)).map(Path::to_owned).collect();
        let listing = self.listing(worktree.as_path(), place.rules_key);
        let blank = self.directory.join("hidden");
        let request = Request {
            policy,
            abilities,
            worktree: worktree.as_path(),
            roots: &roots,
            private: &private,
            read: &read,
            write: &write,
            sockets: &settings.sockets,
            proxied: settings.wants().domains,
            outputs: outputs.as_path(),
            own_names: place.own_names,
            temporary: temporary.path(),
            cache: &cache,
            blank: blank.as_path(),
            rules: place.rules,
        };
        let (mut prepared, repositories) = {
            let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
            (prepare(&request, &mut listing)?, listing.repositories(worktree.as_path()).into_iter().collect())
        };
        if prepared.hides() {
            blank::make(blank.as_path()).map_err(Unconfined::Io)?;
        }
        let known = prepared.own.take().map(|own| (own.clone(), modules(&own).into_iter().collect()));
        let before = is_workspace.then(|| Before { worktree: worktree.as_path().to_owned(), listing, repositories, modules: known });
        let (paths, directories) = (std::mem::take(&mut prepared.compare), std::mem::take(&mut prepared.git));
        let snapshot = Snapshot::take(paths, directories).map_err(Unconfined::Io)?;
        let home = place.home.map(AbsPath::real_or_nearest);
        let home = home.as_ref().map(AbsPath::as_path);
        let caches = if is_workspace { disk::cache_variables(&cache, home, &settings.write) } else { Vec::new() };
        let (program, report) = (self.program.clone(), abilities.report(policy, settings.wants()));
        let allowed = Allowed { domains: settings.domains.clone(), loopback: settings.loopback };
        Ok(Confined { report, prepared, program, temporary, caches, snapshot, before, allowed })
    }

    fn listing(&self, worktree: &Path, rules: u64) -> Arc<Mutex<Listing>> {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (worktree.to_owned(), rules);
        if listings.len() >= LISTING_CACHE_CAPACITY && !listings.contains_key(&key) {
            listings.clear();
        }
        Arc::clone(listings.entry(key).or_default())
    }

    /// The places that are the same for all commands of a client. Some hundred paths are looked at, and not for each command.
    fn roots(&self, place: &Place<'_>) -> Arc<Vec<PathBuf>> {
        let key = (place.home.cloned(), place.search_path.map(str::to_owned));
        let mut kept = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, of, roots)) = &*kept
            && *of == key
            && when.elapsed() < PLACES_TTL
        {
            return Arc::clone(roots);
        }
        let roots = Arc::new(places::readable(place.home.map(AbsPath::as_path), place.search_path));
        *kept = Some((Instant::now(), key, Arc::clone(&roots)));
        roots
    }

    /// Each worktree has its own: what one command has put there is nothing for another project's.
    fn cache(&self, worktree: &AbsPath) -> PathBuf {
        let name = blake3::hash(worktree.to_string().as_bytes()).to_hex();
        self.caches().join(&name[..32]).as_path().to_owned()
    }

    /// Removes what killed daemons have left in the system's directory for temporary files. Blocks.
    pub fn clean(&self) {
        disk::sweep_temporary();
    }

    /// Removes caches that were not used for long. Blocks.
    pub fn sweep(&self) {
        disk::sweep_caches(self.caches().as_path());
    }

    fn caches(&self) -> AbsPath {
        self.directory.join("cache")
    }
}

/// Tries what can be enforced.
async fn probe(program: &Path, directory: &AbsPath) -> Abilities {
    let place = directory.ancestors().find(|path| path.as_path().is_dir()).unwrap_or_else(|| directory.clone());
    let mut helper = process::command(program, &place);
    helper.args([ARGUMENT, PROBE]);
    let told = match timeout(PROBE_TIMEOUT, process::run(helper)).await {
        Ok(Ok(output)) if output.status.success() => output.stdout,
        _ => Vec::new(),
    };
    let mut abilities: Abilities = serde_json::from_slice(&told).unwrap_or_default();
    if let Some(program) = bubblewrap() {
        let mut command = process::command(program, &place);
        command.args(["--dev-bind", "/", "/"]).args(namespaces()).args(["--", "/bin/true"]);
        abilities.bubblewrap =
            timeout(PROBE_TIMEOUT, process::run(command)).await.is_ok_and(|ran| ran.is_ok_and(|output| output.status.success()));
    }
    tracing::debug!(?abilities, "what commands can be confined by");
    abilities
}
