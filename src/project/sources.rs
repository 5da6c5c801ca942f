//! The files that decide about a directory: which exist, which are trusted, what is wrong with them. Never their contents.

use std::sync::Arc;

use polytree_protocol::{
    agent::Agent,
    config::{ConfigSource, ConfigSources},
    provider::ProviderListResult,
};

use super::{Instance, Projects, loading::Loading, models::DirectoryModels};
use crate::{
    agent::{self, Agents, Commands, Place},
    config::{
        self, Settings, folders,
        trust::{self, PROJECT_FOLDER, SETTINGS_NAMES, Trust, TrustedFile},
    },
    stdx::{disk, paths::AbsPath},
    tool::context::Environment,
};

/// The most files that are listed.
const MAX_LISTED: usize = 1000;

/// What the settings of a directory lead to, without asking any server.
#[derive(Debug, Clone, PartialEq)]
pub struct Effects {
    pub settings: Result<Arc<Settings>, String>,
    pub providers: Option<ProviderListResult>,
    pub agents: Option<Vec<Agent>>,
}

impl Projects {
    /// The files that decide about a directory.
    pub async fn sources(&self, instance: &Arc<Instance>, environment: &Environment) -> ConfigSources {
        let (loading, instance, environment) = (Arc::clone(&self.loading), Arc::clone(instance), Arc::clone(environment));
        disk::run(instance.directory().clone(), move || sources(&loading, &instance, &environment)).await
    }

    /// What the settings of a directory lead to now.
    pub async fn effects(&self, instance: &Arc<Instance>, environment: &Environment) -> Effects {
        let (loading, instance, environment) = (Arc::clone(&self.loading), Arc::clone(instance), Arc::clone(environment));
        disk::run(instance.directory().clone(), move || {
            let settings = loading.settings(&instance, &environment);
            let providers =
                settings.as_ref().ok().map(|settings| DirectoryModels::new(&loading.models, settings, &environment, false).list());
            let agents = settings.as_ref().ok().map(|settings| agents(&loading, &instance, settings).list);
            Effects { settings: settings.map_err(|error| error.to_string()), providers, agents }
        })
        .await
    }

    /// The directories in which a change of a file may change settings or agents. Reads the file system.
    #[must_use]
    pub fn settings_folders(&self, instance: &Instance) -> Vec<AbsPath> {
        let places = &self.loading.places;
        let kinds = ["agent", "agents", "command", "commands"];
        let mut found = vec![places.config.clone()];
        found.extend(kinds.map(|name| places.config.join(name)));
        for directory in folders::from_root(instance.worktree(), instance.directory()) {
            let folder = directory.join(PROJECT_FOLDER);
            found.push(directory);
            found.extend(kinds.map(|name| folder.join(name)));
            found.extend([folder.join("plugin"), folder]);
        }
        found
    }
}

fn agents(loading: &Loading, instance: &Instance, settings: &Settings) -> Agents {
    let trust = |file: &TrustedFile| instance.trusted.contains(file);
    agent::load(place(loading, instance, settings, &trust))
}

fn commands(loading: &Loading, instance: &Instance, settings: &Settings, agents: &Agents) -> Commands {
    let trust = |file: &TrustedFile| instance.trusted.contains(file);
    agent::commands::load(place(loading, instance, settings, &trust), agents)
}

fn place<'a>(loading: &'a Loading, instance: &'a Instance, settings: &'a Settings, trust: &'a Trust<'a>) -> Place<'a> {
    Place { places: &loading.places, worktree: instance.worktree(), directory: instance.directory(), settings, trust }
}

fn sources(loading: &Loading, instance: &Instance, environment: &Environment) -> ConfigSources {
    let (worktree, directory) = (instance.worktree(), instance.directory());
    let counted = trust::files_that_count(worktree, directory);
    let (places, mut files) = (&loading.places, Vec::new());
    let own = |path: AbsPath| ConfigSource { exists: path.as_path().is_file(), path: path.to_string(), trusted: true, error: None };
    files.extend(SETTINGS_NAMES.map(|name| own(places.config.join(name))));
    for kind in ["agent", "command"] {
        files.extend(folders::definitions(&places.config, kind, None).into_iter().map(|(_, path)| own(path)));
    }
    for directory in folders::from_root(worktree, directory).into_iter().filter(|directory| *directory != places.config) {
        for path in SETTINGS_NAMES.map(|name| directory.join(name)) {
            if !counted.iter().any(|file| worktree.join(&file.path) == path) {
                files.push(ConfigSource { path: path.to_string(), exists: path.as_path().exists(), trusted: false, error: None });
            }
        }
    }
    files.extend(counted.iter().map(|file| ConfigSource {
        path: worktree.join(&file.path).to_string(),
        exists: true,
        trusted: instance.trusted.contains(file),
        error: None,
    }));
    if let Some(named) = environment.get(config::load::FILE_VARIABLE).filter(|named| !named.is_empty())
        && let Some(path) = AbsPath::expand(named)
    {
        files.push(own(path));
    }
    let loaded = loading.settings(instance, environment);
    let mistakes: Vec<Arc<config::Error>> = match loaded {
        Ok(settings) => {
            let agents = agents(loading, instance, &settings);
            let commands = commands(loading, instance, &settings, &agents);
            agents.broken.into_iter().chain(commands.broken).map(|broken| broken.error).collect()
        }
        Err(super::Error::Config(error)) => vec![Arc::new(error)],
        Err(_) => Vec::new(),
    };
    for error in mistakes {
        if let Some(file) = files.iter_mut().find(|file| error.file() == Some(&file.path)) {
            file.error = Some(error.to_string());
        }
    }
    let omitted = files.len().saturating_sub(MAX_LISTED) as u64;
    files.truncate(MAX_LISTED);
    ConfigSources { digest: trust::digest(&counted), files, omitted }
}
