//! A read-only view of projects and settings for diagnosis: it opens, caches and writes nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use polytree_protocol::{
    diagnose::{DiagnosisProject, DiagnosisProjects},
    diagnose_machine::{DiagnosisDefinition, DiagnosisProvider, DiagnosisSettings},
    id::ProjectId,
    provider::Provider,
};

use super::{Error, Instance, Projects, cache::trusted_files, models::DirectoryModels, recognise};
use crate::{
    agent::{self, Agents, Commands, Place},
    config::{
        self, Loader, Places, Settings,
        trust::{self, TrustedFile},
    },
    provider::Pool,
    stdx::{disk, idle::Pooled, paths::AbsPath},
    store::{Known, KnownProject},
    tool::context::Environment,
};

/// Pending files are counted for this many of the most recently used directories.
const MAX_COUNTED_DIRECTORIES: usize = 32;
/// The limit of listed projects.
const MAX_LISTED: usize = 100;

/// The settings and models by the user's own settings, without a daemon.
#[must_use]
pub fn user_settings(places: &Places, environment: &Environment) -> DiagnosisSettings {
    let settings = Loader::new().load_user(places, environment);
    let here = &places.config;
    diagnosis(settings, &Arc::new(Pool::new(&places.data)), environment, &|settings| {
        defined(Place { places, worktree: here, directory: here, settings, trust: &|_| false })
    })
}

fn defined(place: Place<'_>) -> (Agents, Commands) {
    let agents = agent::load(place);
    let commands = agent::commands::load(place, &agents);
    (agents, commands)
}

fn diagnosis(
    settings: Result<Arc<Settings>, config::Error>,
    pool: &Arc<Pool>,
    environment: &Environment,
    defined: &dyn Fn(&Settings) -> (Agents, Commands),
) -> DiagnosisSettings {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            let (line, column) = error.position().unzip();
            let file = error.file().map(str::to_owned);
            return DiagnosisSettings { error: Some(error.to_string()), file, line, column, ..DiagnosisSettings::default() };
        }
    };
    let models = DirectoryModels::new(pool, &settings, environment, false);
    let (list, model) = (models.list(), models.default());
    let provider = |provider: Provider| DiagnosisProvider {
        connected: list.connected.contains(&provider.id),
        id: provider.id,
        env: provider.env,
        models: provider.models.len() as u64,
    };
    let (agents, commands) = defined(&settings);
    let definition = |name: String, files: Vec<String>| (!files.is_empty()).then_some(DiagnosisDefinition { name, files });
    DiagnosisSettings {
        agents: agents.list.into_iter().filter_map(|agent| definition(agent.name, agent.sources)).collect(),
        commands: commands.list.into_iter().filter_map(|command| definition(command.name, command.sources)).collect(),
        broken: agents.broken.iter().chain(&commands.broken).map(|broken| broken.error.to_string()).collect(),
        files: settings.files.iter().map(ToString::to_string).collect(),
        unset: settings.unset.iter().map(ToString::to_string).collect(),
        model_error: models.problem(&model),
        model: Some(model.to_string()),
        providers: list.providers.into_iter().map(provider).collect(),
        ..DiagnosisSettings::default()
    }
}

impl Projects {
    /// The number of open directories, and their approximate memory use in bytes. Does not block.
    #[must_use]
    pub fn open_directories(&self) -> (usize, usize) {
        let open = self.open.list();
        (open.len(), open.iter().map(|open| size(&open.value)).sum())
    }

    /// The stored projects, the most recently used first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known(&self) -> Result<Vec<KnownProject>, Error> {
        Ok(self.store.projects().await?)
    }

    /// Projects with open directories first, then the most recently used. Without `known`: those with open directories.
    /// Reads the file system.
    #[must_use]
    pub fn diagnosis(&self, known: Option<Vec<KnownProject>>) -> DiagnosisProjects {
        let open = self.open.list();
        let pending = pending(&open);
        let known = known.unwrap_or_else(|| {
            let projects: BTreeMap<_, _> = open.iter().map(|open| (&open.value.project.id, &open.value.project)).collect();
            projects.into_values().cloned().collect()
        });
        let project = |known: &KnownProject| {
            let open: Vec<_> = open.iter().filter(|open| open.value.project.id == known.id).collect();
            DiagnosisProject {
                used: open.iter().map(|open| open.used).max().unwrap_or(0).max(known.time.updated),
                open: open.iter().map(|open| open.value.directory().to_string()).collect(),
                pending: pending.get(&known.id).copied().unwrap_or(0),
                missing: !known.placed || !known.worktree.as_path().is_dir(),
                worktree: known.worktree.to_string(),
                trusted: known.trusted,
                id: known.id.clone(),
            }
        };
        let is_open = |known: &&KnownProject| open.iter().any(|open| open.value.project.id == known.id);
        let (first, rest): (Vec<_>, Vec<_>) = known.iter().partition(is_open);
        let list = first.into_iter().chain(rest).take(MAX_LISTED).map(project).collect();
        DiagnosisProjects { known: known.len() as u64, list, ..DiagnosisProjects::default() }
    }

    /// The settings and models of a directory (a real path), or of the user. If the store does not tell which files are
    /// trusted, none is.
    pub async fn settings_of(&self, directory: Option<&AbsPath>, environment: &Environment) -> DiagnosisSettings {
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
            let nobody = HashSet::new();
            let (worktree, directory, trusted) =
                place.as_ref().map_or((&loading.places.config, &loading.places.config, &nobody), |(worktree, directory, trusted)| {
                    (worktree, directory, trusted)
                });
            diagnosis(settings, &loading.models, &environment, &|settings| {
                defined(Place { places: &loading.places, worktree, directory, settings, trust: &|file| trusted.contains(file) })
            })
        };
        let found = disk::run(directory.unwrap_or(&self.loading.places.data), load).await;
        DiagnosisSettings { directory: directory.filter(|_| found.error.is_none()).map(ToString::to_string), ..found }
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

/// How many settings files wait for trust, by project. Reads those files.
fn pending(open: &[Pooled<Instance>]) -> BTreeMap<ProjectId, u64> {
    let mut found: BTreeMap<ProjectId, HashSet<(AbsPath, String)>> = BTreeMap::new();
    let mut recent: Vec<_> = open.iter().collect();
    recent.sort_by_key(|open| Reverse(open.used));
    for instance in recent.into_iter().take(MAX_COUNTED_DIRECTORIES).map(|open| &open.value) {
        let files = trust::files_that_count(instance.worktree(), instance.directory());
        let waiting = trust::pending(&files, &instance.trusted).into_iter().map(|file| (instance.worktree().clone(), file));
        found.entry(instance.project.id.clone()).or_default().extend(waiting);
    }
    found.into_iter().map(|(id, files)| (id, files.len() as u64)).collect()
}

/// The struct, its path (in the map, the value and its location), and the trusted files.
fn size(instance: &Instance) -> usize {
    let path = instance.directory().as_path().as_os_str().len();
    let trusted: usize = instance.trusted.iter().map(|file| file.path.len() + file.digest.len() + size_of::<TrustedFile>()).sum();
    size_of::<Instance>() + 3 * path + trusted + 256
}
