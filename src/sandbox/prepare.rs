//! From a policy and a place to what the helper is told.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use polytree_protocol::sandbox::SandboxPolicy;

use super::{
    error::Unconfined,
    git_files::{modules, protected},
    listing::{Judge, Listing, named_by, without},
    nested,
    place::Verdict,
    places,
    policy::Abilities,
    repository::Repository,
    spec::{Access, Cover, Network, Spec},
};

/// More rules than this are too slow for each command.
const MAX_RULES: usize = 1_000;
/// More mounts than this are.
const MAX_COVERS: usize = 500;

/// Where a command is to run, and how.
pub struct Request<'a> {
    /// The policy; not `off`.
    pub policy: SandboxPolicy,
    /// What the machine can do.
    pub abilities: Abilities,
    /// The top of the checkout, a real path.
    pub worktree: &'a Path,
    /// The roots of the system and of tool chains, real paths.
    pub roots: &'a [PathBuf],
    /// Stores of keys, and polytree's own directories.
    pub private: &'a HashSet<PathBuf>,
    /// What may be read besides: by the settings, and by rules for directories outside.
    pub read: &'a [PathBuf],
    /// What may be written besides, with the policy `workspace`.
    pub write: &'a [PathBuf],
    /// Sockets that may be connected to.
    pub sockets: &'a [PathBuf],
    /// Some of the network may be reached by way of the proxy.
    pub proxied: bool,
    /// What earlier commands have printed.
    pub outputs: &'a Path,
    /// Names of polytree's files at the top of the worktree.
    pub own_names: &'a [&'a str],
    /// A directory for this command's temporary files.
    pub temporary: &'a Path,
    /// A directory for caches of this worktree.
    pub cache: &'a Path,
    /// The directory with what hides files and directories.
    pub blank: &'a Path,
    /// What the rules say of the files of the worktree.
    pub rules: &'a (dyn Fn(&str) -> Verdict + Sync),
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
    /// Git directories, and parts of such, that the command may write.
    pub git: Vec<PathBuf>,
    /// The worktree's own git directory, where the command may write it.
    pub own: Option<PathBuf>,
}

impl Prepared {
    /// Whether something is hidden by a mount.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.spec.covers.iter().chain(&self.outer).any(|(cover, _)| *cover == Cover::Hide)
    }
}

/// Works it out. `listing` is what is known of the worktree.
///
/// # Errors
/// When it cannot be said to the kernel: too many rules, or too large a tree.
pub fn prepare(request: &Request<'_>, listing: &mut Listing) -> Result<Prepared, Unconfined> {
    let is_workspace = request.policy == SandboxPolicy::Workspace;
    let covers_files = is_workspace && request.abilities.can_cover();
    let private = request.private;
    let judge = Judge { rules: request.rules, private };
    listing.refresh(request.worktree, &judge)?;
    let repository = Repository::of(request.worktree, request.write);

    let mut spec = Spec { landlock: request.abilities.landlock, blank: request.blank.to_owned(), ..Spec::default() };
    read_outside(request, &mut spec).map_err(Unconfined::Io)?;
    // Names are no secret, and a rule for names holds for everything below.
    spec.grant(Access::List, request.worktree);
    if covers_files {
        spec.grant(Access::Read, request.worktree);
    } else {
        listing.readable(request.worktree, MAX_RULES)?.into_iter().for_each(|path| spec.grant(Access::Read, path));
    }
    if let Some(repository) = &repository {
        repository.readable(private).into_iter().for_each(|path| spec.grant(Access::Read, path));
    }
    spec.grant(Access::Read, request.outputs);
    spec.grant(Access::Write, request.temporary);
    request.sockets.iter().for_each(|path| spec.grant(Access::Connect, path));
    spec.unix = !request.sockets.is_empty() && request.abilities.can_name_sockets();
    let mut prepared = Prepared { spec, outer: Vec::new(), compare: Vec::new(), git: Vec::new(), own: None };
    if is_workspace {
        workspace(request, repository.as_ref(), &judge, listing, &mut prepared)?;
    }
    if prepared.spec.grants.len() > MAX_RULES {
        return Err(Unconfined::TooMany);
    }
    Ok(prepared)
}

fn read_outside(request: &Request<'_>, spec: &mut Spec) -> io::Result<()> {
    let mut spared = request.private.clone();
    // It has rules of its own.
    spared.insert(request.worktree.to_owned());
    for root in request.roots.iter().chain(request.read) {
        for path in without(root, &spared)? {
            spec.grant(Access::Read, path);
        }
    }
    places::kernel(request.policy == SandboxPolicy::Workspace).for_each(|path| spec.grant(Access::Read, path));
    places::devices().for_each(|device| spec.grant(Access::Device, device));
    spec.grant(Access::List, "/dev");
    Ok(())
}

fn workspace(
    request: &Request<'_>,
    repository: Option<&Repository>,
    judge: &Judge<'_>,
    listing: &Listing,
    prepared: &mut Prepared,
) -> Result<(), Unconfined> {
    let Request { worktree, abilities, .. } = *request;
    let spec = &mut prepared.spec;
    // Where nothing can hide the secrets in it, what may be read is granted file by file.
    spec.grant(if abilities.can_cover() { Access::Write } else { Access::Change }, worktree);
    spec.grant(Access::Write, request.cache);
    for path in request.write {
        for path in without(path, judge.private).map_err(Unconfined::Io)? {
            spec.grant(Access::Write, path);
        }
    }
    if let Some(repository) = repository {
        prepared.git = repository.writable(judge.private);
        prepared.git.iter().for_each(|path| spec.grant(Access::Write, path));
        prepared.own = prepared.git.first().cloned().filter(|own| *own == repository.own);
    }
    spec.attributes = true;
    let repositories = listing.repositories(worktree);
    let mut fixed = protected(worktree, repository, request.own_names);
    fixed.extend(nested::protected_below(worktree, &repositories));
    let others: Vec<&PathBuf> = request.write.iter().filter(|root| root.join(".git").exists()).collect();
    fixed.extend(others.iter().flat_map(|root| nested::protected_at(root, root)));
    // What two repositories have in common.
    let mut seen = HashSet::new();
    fixed.retain(|path| seen.insert(path.clone()));
    let beside = others.into_iter().map(|root| (root.clone(), 0));
    prepared.git.extend(nested::git_directories(worktree, &repositories.into_iter().chain(beside).collect::<Vec<_>>()));
    let kept = listing.kept(worktree);
    // A pin comes before what lies in it.
    let mut pins: BTreeSet<PathBuf> = prepared.git.iter().cloned().collect();
    let submodules: Vec<PathBuf> = prepared.git.iter().flat_map(|directory| modules(directory)).collect();
    prepared.git.extend(submodules);
    if !abilities.can_cover() {
        if kept.iter().any(|kept| kept.verdict.fixed) {
            return Err(Unconfined::Fixed);
        }
        prepared.compare = fixed;
        return Ok(());
    }
    // What is not written is sealed, so that modes and times hold too.
    spec.seals = true;
    pins.extend(fixed.iter().flat_map(|path| between(path, &pins)).collect::<Vec<_>>());
    let is_written = |(access, path): &&(Access, PathBuf)| matches!(access, Access::Write | Access::Change) && path.exists();
    pins.extend(spec.grants.iter().filter(is_written).map(|(_, path)| path.clone()));
    pins.extend(kept.iter().flat_map(|kept| named_by(kept, worktree, judge)));
    let mut covers: Vec<(Cover, PathBuf)> = pins.into_iter().map(|path| (Cover::Pin, path)).collect();
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
    if covers.len() > MAX_COVERS {
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

/// The directories between a path and the git directory that it lies in. Who renames one of them has the name free for a file
/// of their own.
fn between(path: &Path, git: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let above: Vec<PathBuf> = path.ancestors().skip(1).take_while(|above| !git.contains(*above)).map(Path::to_owned).collect();
    let is_inside = path.ancestors().nth(above.len() + 1).is_some();
    above.into_iter().filter(|path| is_inside && path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Abilities = Abilities { landlock: 7, seccomp: true, namespaces: true, bubblewrap: false };

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            for name in ["tree/.git/hooks", "tree/sub", "home/.cargo/bin", "home/.ssh", "tmp", "cache"] {
                fs::create_dir_all(home.at(name)).unwrap();
            }
            for name in ["tree/.git/config", "tree/.env", "tree/sub/a", "home/.cargo/credentials.toml"] {
                fs::write(home.at(name), "").unwrap();
            }
            home
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        /// The grants below the home and the covers, as words.
        fn prepare(&self, policy: SandboxPolicy, abilities: Abilities) -> Result<(String, String, Prepared), Unconfined> {
            let (tree, home, tmp, cache) = (self.at("tree"), self.at("home"), self.at("tmp"), self.at("cache"));
            let rules = |path: &str| Verdict { hidden: path == ".env", fixed: false };
            let request = Request {
                policy,
                abilities,
                worktree: &tree,
                roots: &places::readable(Some(&home), None),
                private: &HashSet::from([home.join(".ssh"), home.join(".cargo/credentials.toml")]),
                read: &[],
                write: &[],
                sockets: &[],
                proxied: false,
                outputs: Path::new("/outputs"),
                own_names: &[".polytree"],
                temporary: &tmp,
                cache: &cache,
                blank: Path::new("/blank"),
                rules: &rules,
            };
            let prepared = prepare(&request, &mut Listing::default())?;
            let root = self.at("");
            let shown = |list: Vec<(String, &PathBuf)>| {
                let below =
                    list.into_iter().filter_map(|(word, path)| Some(format!("{word} {}", path.strip_prefix(&root).ok()?.display())));
                let mut below: Vec<String> = below.collect();
                below.sort();
                below.join(", ")
            };
            let grants = shown(prepared.spec.grants.iter().map(|(access, path)| (format!("{access:?}"), path)).collect());
            let covers = prepared.spec.covers.iter().chain(&prepared.outer);
            let covers = shown(covers.map(|(cover, path)| (format!("{cover:?}"), path)).collect());
            Ok((grants, covers, prepared))
        }
    }

    #[test]
    fn looking_grants_no_secret_and_no_write() {
        let (grants, covers, prepared) = Home::new().prepare(SandboxPolicy::ReadOnly, FULL).unwrap();
        assert_eq!(grants, "List tree, Read home/.cargo/bin, Read tree/.git, Read tree/.git, Read tree/.git, Read tree/sub, Write tmp");
        assert_eq!((covers.as_str(), prepared.spec.namespaces, prepared.spec.attributes), ("", false, false));
        assert!(prepared.compare.is_empty());
    }

    #[test]
    fn working_covers_what_it_must_not_touch() {
        let (grants, covers, prepared) = Home::new().prepare(SandboxPolicy::Workspace, FULL).unwrap();
        assert!(grants.contains("Write tree,") && grants.contains("Read tree,"), "{grants}");
        for cover in ["Hide tree/.env", "Pin tree", "Pin tree/.git", "ReadOnly tree/.git/config", "ReadOnly tree/.git/hooks"] {
            assert!(covers.split(", ").any(|other| other == cover), "{cover}: {covers}");
        }
        assert!(prepared.spec.seals && prepared.spec.network == Network::Own);
        assert!(prepared.compare.iter().any(|path| path.ends_with(".polytree")));
    }

    #[test]
    fn without_mounts_secrets_are_spared_and_git_is_compared() {
        let weak = Abilities { namespaces: false, ..FULL };
        let (grants, covers, prepared) = Home::new().prepare(SandboxPolicy::Workspace, weak).unwrap();
        assert!(grants.contains("Change tree,") && grants.contains("Read tree/sub,") && !grants.contains("Read tree,"), "{grants}");
        assert!(!grants.contains(".env") && !grants.contains("Write tree,"), "{grants}");
        assert_eq!((covers.as_str(), prepared.spec.network), ("", Network::Off));
        assert!(prepared.compare.iter().any(|path| path.ends_with(".git/config")));
    }

    #[test]
    fn bubblewrap_mounts_what_namespaces_would() {
        let (_, covers, prepared) =
            Home::new().prepare(SandboxPolicy::Workspace, Abilities { namespaces: false, bubblewrap: true, ..FULL }).unwrap();
        assert!(covers.contains("Hide tree/.env") && covers.contains("ReadOnly tree/.git/config"), "{covers}");
        assert!(prepared.spec.covers.is_empty() && !prepared.spec.namespaces && prepared.spec.network == Network::Off);
    }
}
