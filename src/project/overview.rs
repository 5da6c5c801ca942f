//! Looking at projects and settings without touching them, for diagnosis: nothing is opened, remembered or written, and
//! what needs the store says so.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use polytree_protocol::{
    id::ProjectId,
    provider::{ModelRef, Provider},
};

use super::{Error, Instance, Projects, cache::trusted_files, models::DirectoryModels, recognise};
use crate::{
    config::{
        self, Loader, Places, Settings,
        trust::{self, TrustedFile},
    },
    provider::Pool,
    stdx::{disk, idle::Pooled, paths::AbsPath},
    store::{Known, KnownProject},
    tool::context::Environment,
};

/// Files of the last used directories are looked at; those of others rarely change.
const MAX_LOOKED_AT: usize = 32;

/// An open directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDirectory {
    /// The directory.
    pub directory: AbsPath,
    /// Its project.
    pub project: KnownProject,
    /// When it was last used, in milliseconds since 1970.
    pub used: i64,
    /// Roughly what it takes in memory, in bytes.
    pub bytes: usize,
}

/// The settings of a place, and what they make of the models.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The settings.
    pub settings: Arc<Settings>,
    /// All providers.
    pub providers: Vec<Provider>,
    /// The ids of those that can be used.
    pub connected: Vec<String>,
    /// The model of a prompt that names none.
    pub model: ModelRef,
    /// Why that one cannot be used.
    pub problem: Option<String>,
}

impl Outlook {
    fn new(settings: Arc<Settings>, pool: &Arc<Pool>, environment: &Environment) -> Self {
        let models = DirectoryModels::new(pool, &settings, environment, false);
        let (list, model) = (models.list(), models.default());
        Self { settings, providers: list.providers, connected: list.connected, problem: models.problem(&model), model }
    }

    /// By the user's own settings, without a daemon.
    ///
    /// # Errors
    /// When a settings file is at fault.
    pub fn of_user(places: &Places, environment: &Environment) -> Result<Self, config::Error> {
        Ok(Self::new(Loader::new().load_user(places, environment)?, &Arc::new(Pool::new(&places.data)), environment))
    }
}

impl Projects {
    /// The directories that are open, the last used first. Waits for nothing.
    #[must_use]
    pub fn open_directories(&self) -> Vec<OpenDirectory> {
        let mut all: Vec<_> = self
            .open
            .list()
            .into_iter()
            .map(|Pooled { value: instance, used }| OpenDirectory {
                directory: instance.directory().clone(),
                project: instance.project.clone(),
                used,
                bytes: size(&instance),
            })
            .collect();
        all.sort_by_key(|open| std::cmp::Reverse(open.used));
        all
    }

    /// All projects as they are stored, the last used first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known(&self) -> Result<Vec<KnownProject>, Error> {
        Ok(self.store.projects().await?)
    }

    /// How many files of the open directories wait for trust, by project. Reads those files.
    #[must_use]
    pub fn pending(&self) -> BTreeMap<ProjectId, u64> {
        let mut open = self.open.list();
        open.sort_by_key(|open| std::cmp::Reverse(open.used));
        let mut found: BTreeMap<ProjectId, HashSet<(AbsPath, String)>> = BTreeMap::new();
        for instance in open.iter().take(MAX_LOOKED_AT).map(|open| &open.value) {
            let files = trust::files_that_count(instance.worktree(), instance.directory());
            let waiting = trust::pending(&files, &instance.trusted).into_iter().map(|file| (instance.worktree().clone(), file));
            found.entry(instance.project.id.clone()).or_default().extend(waiting);
        }
        found.into_iter().map(|(id, files)| (id, files.len() as u64)).collect()
    }

    /// The settings of a directory (a real path) and what they make of the models. Where the store does not tell which
    /// files are trusted, none is.
    ///
    /// # Errors
    /// When a settings file is at fault.
    pub async fn outlook(&self, directory: Option<&AbsPath>, environment: &Environment) -> Result<Outlook, config::Error> {
        let place = match directory {
            Some(directory) => self.place(directory).await,
            None => None,
        };
        let (loading, environment) = (Arc::clone(&self.loading), Arc::clone(environment));
        let load = move || {
            let settings = match &place {
                Some((worktree, directory, trusted)) => {
                    loading.loader.load(&loading.places, worktree, directory, &|file| trusted.contains(file), &environment)
                }
                None => loading.loader.load_user(&loading.places, &environment),
            };
            Ok(Outlook::new(settings?, &loading.models, &environment))
        };
        disk::run(directory.unwrap_or(&self.loading.places.data), load).await
    }

    async fn place(&self, directory: &AbsPath) -> Option<(AbsPath, AbsPath, HashSet<TrustedFile>)> {
        let known = self.open.peek(directory);
        if let Some(instance) = known {
            return Some((instance.worktree().clone(), directory.clone(), instance.trusted.clone()));
        }
        let mut sight = recognise::see(directory).await.ok()?;
        let trusted = match sight.find(&self.store).await {
            Ok(Known::Exactly(seen)) => trusted_files(seen.trusted),
            _ => HashSet::new(),
        };
        Some((sight.location.worktree().clone(), directory.clone(), trusted))
    }
}

/// Its own fields, its path three times (in the map, in the value, in its location), and the trusted files.
fn size(instance: &Instance) -> usize {
    let path = instance.directory().as_path().as_os_str().len();
    let trusted: usize = instance.trusted.iter().map(|file| file.path.len() + file.digest.len() + size_of::<TrustedFile>()).sum();
    size_of::<Instance>() + 3 * path + trusted + 256
}
