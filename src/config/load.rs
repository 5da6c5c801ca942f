//! Loads settings files in order, with a cache that costs a few `stat` calls while nothing changes. Errors are not cached.

use std::{collections::BTreeMap, io, sync::Arc, time::SystemTime};

use polytree_protocol::config::Config;

use super::{
    Error, Layer, Origin, Settings, check,
    files::{self, Stamp},
    folders,
    merge::merge,
    places::{self, Environment, Places},
    substitute::{References, substitute},
    tree::{self, Node, Problem},
    trust::{self, SETTINGS_NAMES, Trust, TrustedFile},
    typed::{self, Secrets},
};
use crate::stdx::{idle::IdlePool, paths::AbsPath};

/// The variable that names a further settings file.
pub const FILE_VARIABLE: &str = "POLYTREE_CONFIG";
/// The variable that holds settings itself.
const CONTENT_VARIABLE: &str = "POLYTREE_CONFIG_CONTENT";
/// The limit of directories with cached settings.
const MAX_CACHED: usize = 256;

/// Loads settings, and caches them until something that they depend on changes.
#[derive(Debug)]
pub struct Loader {
    cache: IdlePool<Key, Loaded>,
}

impl Default for Loader {
    fn default() -> Self {
        Self { cache: IdlePool::new(MAX_CACHED) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    config: AbsPath,
    project: Option<(AbsPath, AbsPath)>,
    variables: [Option<String>; 2],
    home: Option<AbsPath>,
}

/// Settings with their dependencies.
#[derive(Debug)]
struct Loaded {
    settings: Arc<Settings>,
    stamps: Vec<(AbsPath, Option<Stamp>)>,
    variables: BTreeMap<String, Option<String>>,
    project_files: Vec<(TrustedFile, bool)>,
    /// When reading began.
    read: SystemTime,
}

impl Loaded {
    fn is_current(&self, trust: &Trust<'_>, environment: &Environment) -> bool {
        self.stamps.iter().all(|(path, stamp)| Stamp::of(path.as_path()) == *stamp)
            && self.variables.iter().all(|(name, value)| environment.get(name) == value.as_ref())
            && self.project_files.iter().all(|(file, trusted)| trust(file) == *trusted)
    }

    fn is_settled(&self) -> bool {
        self.stamps.iter().all(|(_, stamp)| stamp.is_none_or(|stamp| stamp.is_settled(self.read)))
    }
}

impl Loader {
    /// A loader with an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings of a directory of a worktree (both real paths) for a client with the given variables. `trust` decides for
    /// each settings file of the project; files without trust are not parsed.
    ///
    /// # Errors
    /// If a settings file that applies cannot be read, or is invalid.
    pub fn load(
        &self,
        places: &Places,
        worktree: &AbsPath,
        directory: &AbsPath,
        trust: &Trust<'_>,
        environment: &Environment,
    ) -> Result<Arc<Settings>, Error> {
        self.cached(places, Some((worktree, directory)), trust, environment)
    }

    /// The user's own settings, for use without a directory.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load_user(&self, places: &Places, environment: &Environment) -> Result<Arc<Settings>, Error> {
        self.cached(places, None, &|_| false, environment)
    }

    fn cached(
        &self,
        places: &Places,
        project: Option<(&AbsPath, &AbsPath)>,
        trust: &Trust<'_>,
        environment: &Environment,
    ) -> Result<Arc<Settings>, Error> {
        let key = Key {
            config: places.config.clone(),
            project: project.map(|(worktree, directory)| (worktree.clone(), directory.clone())),
            variables: [FILE_VARIABLE, CONTENT_VARIABLE].map(|name| environment.get(name).cloned()),
            home: places::home(environment),
        };
        if let Some(loaded) = self.cache.get(&key).filter(|loaded| loaded.is_current(trust, environment)) {
            return Ok(loaded.settings.clone());
        }
        let loaded = Work::new(&key, trust, environment).run()?;
        let settings = loaded.settings.clone();
        if loaded.is_settled() {
            self.cache.insert(key, Arc::new(loaded));
        } else {
            self.cache.remove(&key);
        }
        Ok(settings)
    }
}

/// A source to load.
struct Candidate {
    origin: Origin,
    path: AbsPath,
    /// A missing file is an error, because the user has named it.
    required: bool,
}

/// Loads all sources.
struct Work<'a> {
    key: &'a Key,
    trust: &'a Trust<'a>,
    environment: &'a Environment,
    merged: Node,
    layers: Vec<Layer>,
    files: Vec<AbsPath>,
    stamps: Vec<(AbsPath, Option<Stamp>)>,
    variables: BTreeMap<String, Option<String>>,
    project_files: Vec<(TrustedFile, bool)>,
}

impl<'a> Work<'a> {
    fn new(key: &'a Key, trust: &'a Trust<'a>, environment: &'a Environment) -> Self {
        Self {
            key,
            trust,
            environment,
            merged: Node::empty(),
            layers: Vec::new(),
            files: Vec::new(),
            stamps: Vec::new(),
            variables: BTreeMap::new(),
            project_files: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Loaded, Error> {
        let read = SystemTime::now();
        for candidate in self.candidates()? {
            self.file(candidate)?;
        }
        if let Some(text) = self.key.variables[1].as_deref().filter(|text| !text.trim().is_empty()) {
            let base = self.key.project.as_ref().map_or(&self.key.config, |(_, directory)| directory).clone();
            self.add(Origin::Environment, CONTENT_VARIABLE, text, base)?;
        }
        let read_merged = |secrets| typed::read::<Config>(&self.merged, secrets).map_err(|problem| problem.invalid("merged settings"));
        let (mut config, mut masked) = (read_merged(Secrets::Plain)?, read_merged(Secrets::Masked)?);
        let account = ["USER", "USERNAME"].iter().find_map(|name| {
            let value = self.environment.get(*name).cloned();
            self.variables.insert((*name).to_owned(), value.clone());
            value
        });
        if config.username.is_none() {
            config.username.clone_from(&account);
            masked.username = account;
        }
        let rules = |is_user| {
            let layers = self.layers.iter().filter(move |layer| layer.origin.is_user() == is_user);
            layers.flat_map(|layer| layer.config.permission.rules()).collect()
        };
        let (user_rules, project_rules) = (rules(true), rules(false));
        let settings =
            Settings { config, user_rules, project_rules, files: self.files, layers: self.layers, unset: self.merged.unset(), masked };
        Ok(Loaded { settings: Arc::new(settings), stamps: self.stamps, variables: self.variables, project_files: self.project_files, read })
    }

    /// All files that may hold settings, lowest first.
    fn candidates(&self) -> Result<Vec<Candidate>, Error> {
        let optional = |origin: &Origin, directory: &AbsPath| {
            SETTINGS_NAMES.map(|name| Candidate { origin: origin.clone(), path: directory.join(name), required: false })
        };
        let mut candidates = Vec::from(optional(&Origin::User, &self.key.config));
        if let Some((worktree, directory)) = &self.key.project {
            for directory in folders::from_root(worktree, directory) {
                // The user's settings directory can be among them; its files need no trust.
                if directory != self.key.config {
                    candidates.extend(optional(&Origin::Project(directory.clone()), &directory));
                }
            }
        }
        if let Some(value) = self.key.variables[0].as_deref().filter(|value| !value.is_empty()) {
            let path = match (value.strip_prefix("~/"), &self.key.home) {
                (Some(rest), Some(home)) => Some(home.join(rest)),
                _ => AbsPath::new(value),
            };
            let path = path.ok_or_else(|| Error::Variable { name: FILE_VARIABLE, value: value.to_owned() })?;
            candidates.push(Candidate { origin: Origin::Environment, path, required: true });
        }
        Ok(candidates)
    }

    fn file(&mut self, candidate: Candidate) -> Result<(), Error> {
        let Candidate { origin, path, required } = candidate;
        let name = path.to_string();
        let unreadable = |source| Error::Unreadable { file: path.to_string(), source };
        // Before reading, so that a change meanwhile is found at the next call.
        let stamp = Stamp::of(path.as_path());
        self.stamps.push((path.clone(), stamp));
        if stamp.is_none() && !required {
            return Ok(());
        }
        let fence = match (&origin, &self.key.project) {
            (Origin::Project(_), Some((worktree, _))) => Some(worktree),
            _ => None,
        };
        if fence.is_some_and(|worktree| !folders::stays_within(&path, worktree)) {
            tracing::warn!(%path, "a project's settings file leads out of the worktree and is not used");
            return Ok(());
        }
        let read = files::read_regular(path.as_path(), files::MAX_BYTES);
        let bytes = match (read, fence) {
            (Ok((bytes, _)), None) => bytes,
            (Ok((bytes, _)), Some(worktree)) => {
                let file = trust::identify(worktree, &path, bytes.as_slice()).map_err(unreadable)?;
                let trusted = (self.trust)(&file);
                self.project_files.push((file, trusted));
                if !trusted {
                    return Ok(());
                }
                bytes
            }
            (Err(error), None) => return Err(unreadable(error)),
            // An unreadable file cannot be trusted; a hostile project must not be able to block work.
            (Err(error), Some(_)) => {
                tracing::warn!(%path, %error, "a project's settings file cannot be read and is not used");
                return Ok(());
            }
        };
        let text = String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))?;
        let base = path.parent().unwrap_or_else(|| path.clone());
        self.add(origin, &name, &text, base)?;
        self.files.push(path);
        Ok(())
    }

    fn add(&mut self, origin: Origin, name: &str, text: &str, base: AbsPath) -> Result<(), Error> {
        let mut node = tree::parse_json(text).map_err(|problem| problem.syntax(name))?;
        let fence = match (&origin, &self.key.project) {
            (Origin::Project(_), Some((worktree, _))) => Some(worktree.clone()),
            _ => None,
        };
        let mut references = References {
            environment: self.environment,
            home: self.key.home.clone(),
            base,
            fence,
            used_variables: BTreeMap::new(),
            used_files: Vec::new(),
        };
        substitute(&mut node, &mut references).map_err(|problem| problem.reference(name))?;
        self.variables.append(&mut references.used_variables);
        self.stamps.extend(references.used_files.into_iter().map(|(path, stamp)| (path, Some(stamp))));
        let config: Config = typed::read(&node, Secrets::Plain).map_err(|problem| problem.invalid(name))?;
        check::config(&config, origin.is_user())
            .map_err(|mistake| Problem { position: node.locate(&mistake.path), message: mistake.message }.invalid(name))?;
        self.layers.push(Layer { origin, name: name.to_owned(), config });
        self.merged = merge(std::mem::replace(&mut self.merged, Node::empty()), node);
        Ok(())
    }
}
