//! The open directories of the daemon: opened at first use, checked at each use, closed when idle. Also creates the
//! workspaces of turns, so that changed settings take effect at the next prompt.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use polytree_protocol::{
    auth::{AuthEntry, KeyText},
    id::ProjectId,
    project::Project,
    provider::{ModelRefreshResult, ProviderListResult},
};

use super::{
    Error, Instance,
    loading::Loading,
    models::DirectoryModels,
    recognise::{self, Sight},
};
use crate::{
    config::{
        Places, Settings,
        trust::{self, TrustedFile},
    },
    find::Finder,
    git::{init, layout},
    overlay::Overlay,
    provider::{Keys, Network, NetworkSettings, PUBLISHED_AT, Recordings, URL_VARIABLE},
    sandbox::Sandbox,
    session::{self, Workspace, Workspaces},
    stdx::{disk, idle::IdlePool, paths::AbsPath, tasks::Tasks, time::now_ms},
    store::{CheckoutId, Known, KnownProject, ProjectChange, ProjectFacts, Seen, SeenFiles, Store},
    tool::context::Environment,
};

/// The limit of open directories; beyond it the least recently used one is closed.
const MAX_OPEN: usize = 512;

/// The timeout of reading the pending files of a project in a list; after it there are none.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// The precision of the time of a project's last use.
const LAST_USE_PRECISION_MS: i64 = 1000;

/// The known projects and the open directories.
pub struct Projects {
    pub(super) store: Arc<Store>,
    pub(super) loading: Arc<Loading>,
    pub(super) open: IdlePool<AbsPath, Instance>,
}

impl Projects {
    /// Without open directories.
    #[must_use]
    pub fn new(store: Arc<Store>, places: Places, overlay: Arc<Overlay>, finder: Arc<Finder>) -> Self {
        Self { store, loading: Arc::new(Loading::new(places, overlay, finder)), open: IdlePool::new(MAX_OPEN) }
    }

    /// The sandbox of commands.
    #[must_use]
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.loading.sandbox
    }

    /// Adds a tool that is known only at run time.
    #[cfg(test)]
    pub(crate) fn add_tool(&self, tool: Arc<dyn crate::tool::definition::AnyTool>) {
        self.loading.tools.lock().unwrap().push(tool);
    }

    /// Records or replays the calls of clients that say nothing about it as these variables do.
    #[must_use]
    pub fn with_recordings(mut self, environment: &Environment) -> Self {
        if let Some(loading) = Arc::get_mut(&mut self.loading) {
            loading.recordings = Recordings::new(environment);
        }
        self
    }

    /// Opens a directory (a real path) read-only.
    ///
    /// # Errors
    /// If the directory does not exist or the store fails.
    pub async fn look(&self, directory: &AbsPath) -> Result<Arc<Instance>, Error> {
        self.enter(directory, Use::Read).await
    }

    /// Opens a directory for work: the project's id is written into the repository.
    ///
    /// # Errors
    /// If the directory does not exist or the store fails.
    pub async fn claim(&self, directory: &AbsPath) -> Result<Arc<Instance>, Error> {
        let instance = self.enter(directory, Use::Begin).await?;
        self.touch(&instance).await?;
        Ok(instance)
    }

    /// Stores the time of the project's use, for the order of lists; at most once a second.
    async fn touch(&self, instance: &Instance) -> Result<(), Error> {
        let now = now_ms();
        if now - instance.project.time.updated < LAST_USE_PRECISION_MS {
            return Ok(());
        }
        Ok(self.store.touch_project(instance.project.id.clone(), now).await?)
    }

    async fn enter(&self, directory: &AbsPath, purpose: Use) -> Result<Arc<Instance>, Error> {
        let mut sight = recognise::see(directory).await?;
        let seen = match sight.find(&self.store).await? {
            Known::Exactly(seen) if purpose == Use::Read || seen.project.claimed => *seen,
            _ => self.remember(directory, &mut sight, purpose).await?,
        };
        let Seen { project, checkout, trusted, .. } = seen;
        let now = Arc::new(Instance::new(directory.clone(), sight.location, project, checkout, trusted_files(trusted)));
        Ok(self.open.get_or_insert(directory, |known| *known == *now, |_| Arc::clone(&now)))
    }

    async fn remember(&self, directory: &AbsPath, sight: &mut Sight, purpose: Use) -> Result<Seen, Error> {
        let (worktree, main) = (sight.location.worktree().clone(), sight.main_worktree().clone());
        let facts = facts(directory, &main, [(worktree, directory.clone())]).await;
        sight.remember(&self.store, purpose == Use::Begin, now_ms(), facts).await
    }

    /// Closes directories that were not used since the given time (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.open.drop_idle(since);
    }

    /// All known projects, most recently used first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Project>, Error> {
        let known = self.store.projects_with_trust().await?.into_iter().map(|(project, trusted)| async move {
            let (files, missing) = tokio::join!(files_in(self.places_of(&project, None)), is_missing(&project.worktree));
            project.to_wire(trust::pending(&files, &trusted_files(trusted)), missing)
        });
        Ok(futures::future::join_all(known).await)
    }

    /// The directories with files of the project that need trust, each with its checkout: the main checkout, the open
    /// directories, and `directory`.
    fn places_of(&self, project: &KnownProject, directory: Option<(AbsPath, AbsPath)>) -> Vec<(AbsPath, AbsPath)> {
        let mut places = vec![(project.worktree.clone(), project.worktree.clone())];
        places.extend(directory);
        let open = self.open.list().into_iter().map(|pooled| pooled.value);
        let own = open.filter(|instance| instance.project.id == project.id);
        places.extend(own.map(|instance| (instance.worktree().clone(), instance.directory().clone())));
        places
    }

    /// A known project.
    ///
    /// # Errors
    /// [`Error::UnknownProject`].
    pub async fn get(&self, id: &ProjectId) -> Result<KnownProject, Error> {
        self.store.project(id.clone()).await?.ok_or_else(|| Error::UnknownProject(id.clone()))
    }

    /// The project for clients in this directory, with its pending files.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn describe(&self, instance: &Arc<Instance>) -> Result<Project, Error> {
        let project = self.get(&instance.project.id).await?;
        let (main, directory) = (project.worktree.clone(), instance.directory().clone());
        let ProjectFacts { files, missing, .. } = facts(&directory, &main, [(instance.worktree().clone(), directory.clone())]).await;
        let files: Vec<TrustedFile> = files.into_iter().map(|(path, digest)| TrustedFile { path, digest }).collect();
        Ok(project.to_wire(trust::pending(&files, &instance.trusted), missing))
    }

    /// Initialises a git repository in the directory, unless it is in one.
    ///
    /// # Errors
    /// If git fails.
    pub async fn init_git(&self, directory: &AbsPath) -> Result<(), Error> {
        let path = directory.clone();
        let location = disk::run(directory, move || layout::locate(&path)).await;
        let location = location.map_err(|error| Error::Directory(format!("{directory}: {error}")))?;
        if !location.is_git() {
            init::init(directory).await?;
        }
        Ok(())
    }

    /// Sets the project's name; an empty one removes it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename(&self, instance: &Instance, name: String) -> Result<(), Error> {
        self.change(instance, ProjectChange::Name(name)).await
    }

    /// Notes that AGENTS.md was written or improved.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn initialized(&self, instance: &Instance) -> Result<(), Error> {
        self.change(instance, ProjectChange::Initialized).await
    }

    /// Trusts the present state of the project's files, or removes all trust. With a digest only files in that state.
    ///
    /// # Errors
    /// [`Error::Changed`], or when the store fails.
    pub async fn trust(&self, instance: &Arc<Instance>, trusted: bool, digest: Option<String>) -> Result<(), Error> {
        let change = if trusted {
            let (worktree, directory) = (instance.worktree().clone(), instance.directory().clone());
            let files = disk::run(instance.directory(), move || trust::files_that_count(&worktree, &directory)).await;
            if digest.is_some_and(|digest| digest != trust::digest(&files)) {
                return Err(Error::Changed);
            }
            ProjectChange::Trust(as_pairs(files))
        } else {
            ProjectChange::Distrust
        };
        self.change(instance, change).await
    }

    /// Forgets a project, and the outputs of its commands; false if it has sessions.
    ///
    /// # Errors
    /// [`Error::UnknownProject`], or when the store fails.
    pub async fn forget(&self, id: &ProjectId) -> Result<bool, Error> {
        let is_forgotten = self.store.forget_project(id.clone()).await?.ok_or_else(|| Error::UnknownProject(id.clone()))?;
        if is_forgotten {
            let outputs = self.loading.places.data.join("output").join(id.as_str());
            // There may be none.
            let _ = disk::run(&self.loading.places.data, move || std::fs::remove_dir_all(outputs.as_path())).await;
        }
        Ok(is_forgotten)
    }

    async fn change(&self, instance: &Instance, change: ProjectChange) -> Result<(), Error> {
        let (id, main) = (instance.project.id.clone(), instance.project.worktree.clone());
        let places = self.places_of(&instance.project, Some((instance.worktree().clone(), instance.directory().clone())));
        let facts = facts(instance.directory(), &main, places).await;
        let is_known = self.store.change_project(id.clone(), change, now_ms(), facts).await?;
        if is_known { Ok(()) } else { Err(Error::UnknownProject(id)) }
    }

    /// The current settings of the directory for a client with the given variables.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub async fn settings(&self, instance: &Arc<Instance>, environment: &Environment) -> Result<Arc<Settings>, Error> {
        let (loading, instance, environment) = (Arc::clone(&self.loading), Arc::clone(instance), Arc::clone(environment));
        disk::run(instance.directory().clone(), move || loading.settings(&instance, &environment)).await
    }

    /// The providers and models of the directory, and of model servers on this machine. `everything`: with those that are
    /// only in a fetched catalogue.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub async fn providers(
        &self,
        instance: &Arc<Instance>,
        environment: &Environment,
        everything: bool,
    ) -> Result<ProviderListResult, Error> {
        let settings = self.settings(instance, environment).await?;
        Ok(DirectoryModels::new(&self.loading.models, &settings, environment, everything).list_with_local().await)
    }

    /// The origins of the providers' keys, in a directory or by the user's own settings.
    ///
    /// # Errors
    /// If a settings file or the key store is invalid.
    pub async fn keys(&self, instance: Option<Arc<Instance>>, environment: &Environment) -> Result<Vec<AuthEntry>, Error> {
        let (loading, environment) = (Arc::clone(&self.loading), Arc::clone(environment));
        let place = instance.as_ref().map_or_else(|| loading.places.data.clone(), |instance| instance.directory().clone());
        disk::run(place, move || {
            let settings = match instance {
                Some(instance) => loading.settings(&instance, &environment)?,
                None => loading.user_settings(&environment)?,
            };
            Ok(DirectoryModels::new(&loading.models, &settings, &environment, false).keys()?)
        })
        .await
    }

    /// The stored keys, to redact them; none if they cannot be read.
    #[must_use]
    pub fn stored_keys(&self) -> Arc<Keys> {
        self.loading.models.keys.keys().unwrap_or_default()
    }

    /// Stores a provider's key, or removes it if `None`. Returns whether this changed anything.
    ///
    /// # Errors
    /// If the key is invalid, or the key store cannot be used.
    pub async fn store_key(&self, provider: String, key: Option<KeyText>) -> Result<bool, Error> {
        let pool = Arc::clone(&self.loading.models);
        let store = move || match key {
            Some(key) => pool.keys.set(&provider, key.expose()).map(|()| true),
            None => pool.keys.remove(&provider),
        };
        match Tasks::spawn_blocking(store).await {
            Ok(stored) => Ok(stored?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The process exits: the answer is not needed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Fetches the catalogue of models from the address in the client's environment or the user's own settings.
    ///
    /// # Errors
    /// If it cannot be fetched or stored; the previous one stays in use.
    pub async fn refresh_models(&self, environment: &Environment) -> Result<ModelRefreshResult, Error> {
        let url = match environment.get(URL_VARIABLE) {
            Some(url) => Some(url.clone()),
            None => {
                let (loading, environment) = (Arc::clone(&self.loading), Arc::clone(environment));
                let settings = disk::run(&self.loading.places.data, move || loading.user_settings(&environment)).await;
                settings?.config.models_url.clone()
            }
        };
        let network = Network::new(&NetworkSettings::default(), environment);
        Ok(self.loading.models.cache.refresh(url.as_deref().unwrap_or(PUBLISHED_AT), network).await?)
    }

    /// The current workspace of a turn in the directory.
    ///
    /// # Errors
    /// If a settings file is invalid.
    pub async fn workspace(&self, instance: &Arc<Instance>, environment: &Environment) -> Result<Arc<Workspace>, Error> {
        let (loading, instance, environment) = (Arc::clone(&self.loading), Arc::clone(instance), Arc::clone(environment));
        disk::run(instance.directory().clone(), move || loading.workspace(&instance, &environment)).await
    }
}

fn of_session(error: Error) -> session::Error {
    match error {
        Error::Config(error) => session::Error::Config(error),
        Error::Storage(error) => session::Error::Storage(error),
        Error::Unseen { directory, source } => session::Error::Unseen { directory, source },
        other => session::Error::Input(other.to_string()),
    }
}

#[async_trait]
impl Workspaces for Projects {
    async fn open(&self, directory: &AbsPath, environment: &Environment) -> Result<Arc<Workspace>, session::Error> {
        let instance = self.look(directory).await.map_err(of_session)?;
        self.touch(&instance).await.map_err(of_session)?;
        self.workspace(&instance, environment).await.map_err(of_session)
    }

    async fn follow(&self, checkouts: Vec<i64>, timeout: Duration) -> Result<bool, session::Error> {
        let linked = self.store.linked_worktrees(checkouts.into_iter().map(CheckoutId).collect()).await?;
        let looks = linked.into_iter().map(|linked| async move {
            let (id, common_dir) = (linked.checkout.id, linked.common_dir.clone());
            let path = disk::run_within(&common_dir, timeout, move || recognise::moved(&linked)).await.flatten()?;
            tracing::info!(%path, "a worktree was moved");
            Some((id, path))
        });
        let moved: Vec<_> = futures::future::join_all(looks).await.into_iter().flatten().collect();
        if moved.is_empty() {
            return Ok(false);
        }
        self.store.move_checkouts(moved).await?;
        Ok(true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Begin,
}

pub(super) fn trusted_files(files: SeenFiles) -> HashSet<TrustedFile> {
    files.into_iter().map(|(path, digest)| TrustedFile { path, digest }).collect()
}

fn as_pairs(files: Vec<TrustedFile>) -> Vec<(String, String)> {
    files.into_iter().map(|file| (file.path, file.digest)).collect()
}

/// The files in these directories that need trust, each once. A file system that times out has none.
async fn files_in(places: Vec<(AbsPath, AbsPath)>) -> Vec<TrustedFile> {
    // Separately: the worktrees of a project may be on different file systems.
    let looks = places.into_iter().map(|(worktree, directory)| {
        disk::run_within(directory.clone(), LIST_TIMEOUT, move || trust::files_that_count(&worktree, &directory))
    });
    let mut files: Vec<TrustedFile> = Vec::new();
    for file in futures::future::join_all(looks).await.into_iter().flatten().flatten() {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Whether a main checkout is missing. False after a timeout.
async fn is_missing(main: &AbsPath) -> bool {
    let path = main.clone();
    !disk::run_within(main, LIST_TIMEOUT, move || path.as_path().is_dir()).await.unwrap_or_default()
}

/// The facts about a project: the files of these directories, and whether the main checkout exists.
async fn facts(directory: &AbsPath, main: &AbsPath, places: impl Into<Vec<(AbsPath, AbsPath)>>) -> ProjectFacts {
    let (files, missing) = tokio::join!(files_in(places.into()), is_missing(main));
    ProjectFacts { directory: directory.to_string(), files: as_pairs(files), missing }
}
