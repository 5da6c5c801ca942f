//! From a policy and a place to what the helper is told.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use polytree_protocol::sandbox::SandboxPolicy;

use super::{
    Unconfined,
    git_files::{Repository, protected},
    listing::{Judge, Listing, without},
    places,
    policy::Abilities,
    spec::{Access, Cover, Network, Spec},
};

/// More rules than this are too slow for each command.
const RULES: usize = 1_000;
/// More mounts than this are.
const COVERS: usize = 500;

/// Where a command is to run, and how.
pub struct Request<'a> {
    /// The policy; not `off`.
    pub policy: SandboxPolicy,
    /// What the machine can do.
    pub abilities: Abilities,
    /// The top of the checkout, a real path.
    pub worktree: &'a Path,
    /// The home directory.
    pub home: Option<&'a Path>,
    /// The value of `PATH`.
    pub search_path: Option<&'a str>,
    /// What may be read besides: by the settings, and by rules for directories outside.
    pub read: &'a [PathBuf],
    /// What may be written besides, with the policy `workspace`.
    pub write: &'a [PathBuf],
    /// Sockets that may be connected to.
    pub sockets: &'a [PathBuf],
    /// Some of the network may be reached by way of the proxy.
    pub proxied: bool,
    /// polytree's own directories.
    pub own: &'a [PathBuf],
    /// Names of polytree's files at the top of the worktree.
    pub own_names: &'a [&'a str],
    /// A directory for this command's temporary files.
    pub temporary: &'a Path,
    /// A directory for caches of this worktree.
    pub cache: &'a Path,
    /// The file that hides others.
    pub blank: &'a Path,
    /// What the rules say of the files of the worktree.
    pub rules: &'a (dyn Fn(&str) -> super::Verdict + Sync),
}

/// What the helper is told, and what has to be compared after the command.
#[derive(Debug)]
pub struct Prepared {
    /// For the helper, or for bubblewrap first.
    pub spec: Spec,
    /// What bubblewrap mounts, where it does that.
    pub outer: Vec<(Cover, PathBuf)>,
    /// What is to be kept and put back.
    pub compare: Vec<PathBuf>,
}

/// Works it out. `listing` is what is known of the worktree.
///
/// # Errors
/// When it cannot be said to the kernel: too many rules, or too large a tree.
pub fn prepare(request: &Request<'_>, listing: &mut Listing) -> Result<Prepared, Unconfined> {
    let is_workspace = request.policy == SandboxPolicy::Workspace;
    let covers_files = is_workspace && request.abilities.can_cover();
    let mut private = places::private(request.home);
    private.extend(request.own.iter().cloned());
    listing.refresh(request.worktree, &Judge { rules: request.rules, private: &private })?;
    let repository = Repository::of(request.worktree);

    let mut spec = Spec { landlock: request.abilities.landlock, blank: request.blank.to_owned(), ..Spec::default() };
    read_outside(request, &private, &mut spec).map_err(Unconfined::Io)?;
    // Names are no secret, and a rule for names holds for everything below.
    spec.grant(Access::List, request.worktree);
    if covers_files {
        spec.grant(Access::Read, request.worktree);
    } else {
        listing.readable(request.worktree, RULES)?.into_iter().for_each(|path| spec.grant(Access::Read, path));
    }
    if let Some(repository) = &repository {
        for path in [&repository.own, &repository.common].into_iter().chain(&repository.alternates) {
            spec.grant(Access::Read, path);
        }
    }
    spec.grant(Access::Write, request.temporary);
    request.sockets.iter().for_each(|path| spec.grant(Access::Connect, path));
    spec.unix = !request.sockets.is_empty() && request.abilities.can_name_sockets();
    let mut prepared = Prepared { spec, outer: Vec::new(), compare: Vec::new() };
    if is_workspace {
        workspace(request, repository.as_ref(), listing, &mut prepared)?;
    }
    if prepared.spec.grants.len() > RULES {
        return Err(Unconfined::TooMany);
    }
    Ok(prepared)
}

fn read_outside(request: &Request<'_>, private: &HashSet<PathBuf>, spec: &mut Spec) -> io::Result<()> {
    let mut spared = private.clone();
    // It has rules of its own.
    spared.insert(request.worktree.to_owned());
    let roots = places::readable(request.home, request.search_path);
    for root in roots.iter().chain(request.read) {
        for path in without(root, &spared)? {
            spec.grant(Access::Read, path);
        }
    }
    places::devices().for_each(|device| spec.grant(Access::Device, device));
    spec.grant(Access::List, "/dev");
    Ok(())
}

fn workspace(request: &Request<'_>, repository: Option<&Repository>, listing: &Listing, prepared: &mut Prepared) -> Result<(), Unconfined> {
    let Request { worktree, abilities, .. } = *request;
    let spec = &mut prepared.spec;
    for path in [worktree, request.cache].into_iter().chain(request.write.iter().map(PathBuf::as_path)) {
        spec.grant(Access::Write, path);
    }
    if let Some(repository) = repository {
        spec.grant(Access::Write, &repository.own);
        // What other worktrees have of their own is not this one's.
        for name in ["objects", "refs", "logs", "rr-cache"] {
            spec.grant(Access::Write, repository.common.join(name));
        }
    }
    let fixed = protected(worktree, repository, request.own_names);
    let kept = listing.kept(worktree);
    if !abilities.can_cover() {
        if kept.iter().any(|kept| kept.verdict.fixed) {
            return Err(Unconfined::Fixed);
        }
        prepared.compare = fixed;
        return Ok(());
    }
    let mut covers = Vec::new();
    if let Some(repository) = repository.filter(|repository| repository.own.starts_with(worktree)) {
        covers.push((Cover::Pin, repository.own.clone()));
    }
    for path in fixed {
        // What is not there cannot be mounted over, and is compared instead.
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_symlink() => covers.push((Cover::ReadOnly, path)),
            _ => prepared.compare.push(path),
        }
    }
    for kept in kept {
        covers.push((if kept.verdict.hidden { Cover::Hide } else { Cover::ReadOnly }, kept.path));
    }
    if covers.len() > COVERS {
        return Err(Unconfined::TooMany);
    }
    if abilities.namespaces {
        if Path::new("/dev/shm").is_dir() {
            covers.push((Cover::Memory, PathBuf::from("/dev/shm")));
            spec.grant(Access::Write, "/dev/shm");
        }
        spec.namespaces = true;
        spec.network = if request.proxied { Network::Proxy } else { Network::Own };
        spec.covers = covers;
    } else {
        prepared.outer = covers;
    }
    Ok(())
}
