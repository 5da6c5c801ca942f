//! The open directories of the daemon: opened at first use, looked at again at each use, closed when idle. Also makes
//! the workspaces of turns, so that changed settings count at the next prompt.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use polytree_protocol::{
    auth::{AuthEntry, KeyText},
    events::{EventPayload, ProjectInfo},
    id::ProjectId,
    project::Project,
    provider::{ModelRefreshResult, ProviderListResult},
};

use super::{Error, Instance, models::DirectoryModels, registry};
use crate::{
    agent::{self, Agents},
    config::{
        Loader, Places, Settings, instructions,
        trust::{self, TrustedFile},
    },
    event::{Events, Scope},
    find::Finder,
    git::{
        layout::{self, Location},
        refs,
    },
    overlay::{Overlay, Policy},
    provider::{Keys, Network, NetworkSettings, PUBLISHED_AT, Pool, Recordings, URL_VARIABLE},
    sandbox::{self, Sandbox},
    session::{self, Workspace, Workspaces},
    stdx::{
        idle::IdlePool,
        paths::{self, AbsPath},
        tasks::Tasks,
        time::now_ms,
    },
    storage::{Database, Write},
    tool::{self, context::Environment, definition::AnyTool, output::OutputLimits},
};

/// How many directories are open at most; beyond it the one that was not used for longest is closed.
const MAX_OPEN: usize = 512;

/// In a list, a project whose files cannot be read in this time has none that wait for trust.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many projects are looked at side by side.
const LOOKS: usize = 8;

/// How exact the time of a project's last use is.
const TOUCH_MS: i64 = 1000;

/// The projects that the daemon knows, and the directories that are open.
pub struct Projects {
    pub(super) database: Arc<Database>,
    events: Arc<Events>,
    pub(super) places: Places,
    pub(super) loader: Loader,
    pub(super) models: Arc<Pool>,
    recordings: Recordings,
    tools: Vec<Arc<dyn AnyTool>>,
    overlay: Arc<Overlay>,
    finder: Arc<Finder>,
    sandbox: Arc<Sandbox>,
    pub(super) open: IdlePool<AbsPath, Instance>,
}

impl Projects {
    /// Nothing is open yet.
    #[must_use]
    pub fn new(database: Arc<Database>, events: Arc<Events>, places: Places, overlay: Arc<Overlay>, finder: Arc<Finder>) -> Self {
        Self {
            database,
            events,
            loader: Loader::new(),
            sandbox: Arc::new(Sandbox::new(&places.data, &[&places.config, &places.runtime])),
            models: Arc::new(Pool::new(&places.data)),
            places,
            recordings: Recordings::default(),
            tools: tool::builtin(),
            overlay,
            finder,
            open: IdlePool::new(MAX_OPEN),
        }
    }

    /// What commands are confined by.
    #[must_use]
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Records or replays the calls of clients that say nothing about it as these variables do.
    #[must_use]
    pub fn with_recordings(mut self, environment: &Environment) -> Self {
        self.recordings = Recordings::new(environment);
        self
    }

    /// Opens a directory (a real path) for a mere read: nothing is written to it.
    ///
    /// # Errors
    /// When the directory has gone or the store fails.
    pub async fn look(&self, directory: &AbsPath) -> Result<Arc<Instance>, Error> {
        self.enter(directory, Use::Read).await
    }

    /// Opens a directory in which something begins: the project's id is written into the repository.
    ///
    /// # Errors
    /// When the directory has gone or the store fails.
    pub async fn claim(&self, directory: &AbsPath) -> Result<Arc<Instance>, Error> {
        let instance = self.enter(directory, Use::Begin).await?;
        self.touch(&instance).await?;
        Ok(instance)
    }

    /// Notes that the project was used, for the order of lists; at most once a second.
    async fn touch(&self, instance: &Instance) -> Result<(), Error> {
        let now = now_ms();
        if now - instance.project.time.updated < TOUCH_MS {
            return Ok(());
        }
        let id = instance.project.id.clone();
        self.database.write::<_, Error>(move |write| Ok(registry::touch(write, &id, now).map(drop)?)).await
    }

    async fn enter(&self, directory: &AbsPath, purpose: Use) -> Result<Arc<Instance>, Error> {
        let path = directory.clone();
        let location = Tasks::spawn_blocking(move || layout::locate(&path))
            .await
            .map_err(|_| Error::Directory("the directory could not be looked at".into()))?;
        let location = location.map_err(|source| Error::Unseen { directory: directory.clone(), source })?;
        let wanted = location.clone();
        let found = self.database.read::<_, Error>(move |connection| {
            let Some(seen) = registry::find(connection, &wanted)? else { return Ok(None) };
            let trusted = trusted_files(connection, &seen.project.id)?;
            Ok(Some((seen, trusted)))
        });
        let (seen, trusted) = match found.await? {
            Some(found) if purpose == Use::Read || found.0.project.claimed => found,
            _ => self.remember(directory, location.clone(), purpose).await?,
        };
        let now = Arc::new(Instance::new(directory.clone(), location, seen.project, seen.checkout, trusted));
        Ok(self.open.get_or_insert(directory, |known| *known == *now, |_| Arc::clone(&now)))
    }

    async fn remember(
        &self,
        directory: &AbsPath,
        location: Location,
        purpose: Use,
    ) -> Result<(registry::Seen, HashSet<TrustedFile>), Error> {
        let files = look_for_files(location.worktree().clone(), directory.clone()).await;
        let (events, directory) = (Arc::clone(&self.events), directory.to_string());
        self.database
            .write(move |write| {
                let seen = match purpose {
                    Use::Read => registry::peek(write, &location, now_ms())?,
                    Use::Begin => registry::claim(write, &location, now_ms())?,
                };
                if seen.changed {
                    tell(write, &events, &seen.project, directory, &files)?;
                }
                let trusted = trusted_files(write, &seen.project.id)?;
                Ok((seen, trusted))
            })
            .await
    }

    /// Closes directories that nobody has used since the given time (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.open.drop_idle(since);
    }

    /// All known projects, most recently used first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Project>, Error> {
        let known = self.database.read::<_, Error>(|connection| {
            let known = registry::list(connection)?.into_iter();
            known.map(|project| Ok((trusted_files(connection, &project.id)?, project))).collect::<Result<Vec<_>, Error>>()
        });
        let described = known.await?.into_iter().map(|(trusted, project)| async move {
            let files = tokio::time::timeout(PATIENCE, self.files_of(&project, None)).await.unwrap_or_default();
            project.to_wire(trust::pending(&files, &trusted))
        });
        Ok(futures::stream::iter(described).buffered(LOOKS).collect().await)
    }

    /// The files that count for the project: in its main checkout, in its directories that are open, and in `directory`,
    /// which is given with its checkout.
    async fn files_of(&self, project: &registry::KnownProject, directory: Option<(AbsPath, AbsPath)>) -> Vec<TrustedFile> {
        let mut places = vec![(project.worktree.clone(), project.worktree.clone())];
        places.extend(directory);
        let open = self.open.list().into_iter().map(|pooled| pooled.value);
        let own = open.filter(|instance| instance.project.id == project.id);
        places.extend(own.map(|instance| (instance.worktree().clone(), instance.directory().clone())));
        let look = move || {
            let mut files: Vec<TrustedFile> = Vec::new();
            for file in places.iter().flat_map(|(worktree, directory)| trust::files_that_count(worktree, directory)) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            files
        };
        Tasks::spawn_blocking(look).await.unwrap_or_default()
    }

    /// A known project.
    ///
    /// # Errors
    /// [`Error::UnknownProject`].
    pub async fn get(&self, id: &ProjectId) -> Result<registry::KnownProject, Error> {
        let wanted = id.clone();
        let found = self.database.read::<_, Error>(move |connection| Ok(registry::get(connection, &wanted)?)).await?;
        found.ok_or_else(|| Error::UnknownProject(id.clone()))
    }

    /// The project as clients see it from this directory, with the files that wait for trust.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn describe(&self, instance: &Arc<Instance>) -> Result<Project, Error> {
        let project = self.get(&instance.project.id).await?;
        let files = files_that_count(instance).await;
        Ok(project.to_wire(trust::pending(&files, &instance.trusted)))
    }

    /// Initialises a git repository in the directory, unless it is in one.
    ///
    /// # Errors
    /// When git cannot.
    pub async fn init_git(&self, directory: &AbsPath) -> Result<(), Error> {
        let location = layout::locate(directory).map_err(|error| Error::Directory(format!("{directory}: {error}")))?;
        if !location.is_git() {
            refs::init(directory).await?;
        }
        Ok(())
    }

    /// Names the project; an empty name takes it away.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename(&self, instance: &Instance, name: String) -> Result<(), Error> {
        self.change(instance, move |write, id| registry::rename(write, id, &name, now_ms())).await
    }

    /// Trusts the project's files as they are now, or takes all trust away.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trust(&self, instance: &Arc<Instance>, trusted: bool) -> Result<(), Error> {
        let files: Vec<(String, String)> = files_that_count(instance).await.into_iter().map(|file| (file.path, file.digest)).collect();
        self.change(instance, move |write, id| if trusted { registry::trust(write, id, &files) } else { registry::distrust(write, id) })
            .await
    }

    async fn change(
        &self,
        instance: &Instance,
        change: impl FnOnce(&Write<'_>, &ProjectId) -> Result<Option<registry::KnownProject>, registry::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let files = self.files_of(&instance.project, Some((instance.worktree().clone(), instance.directory().clone()))).await;
        let (events, id, directory) = (Arc::clone(&self.events), instance.project.id.clone(), instance.directory().to_string());
        self.database
            .write(move |write| {
                let project = change(write, &id)?.ok_or_else(|| Error::UnknownProject(id.clone()))?;
                tell(write, &events, &project, directory, &files)
            })
            .await
    }

    /// The settings of the directory as they are now, for a client with the given variables.
    ///
    /// # Errors
    /// When a settings file is at fault.
    pub fn settings(&self, instance: &Instance, environment: &Environment) -> Result<Arc<Settings>, Error> {
        Ok(self.loader.load(
            &self.places,
            instance.worktree(),
            instance.directory(),
            &|file| instance.trusted.contains(file),
            environment,
        )?)
    }

    /// The providers and models of the directory, and of the model servers that run on this machine. `everything`: also
    /// those that only a fetched catalogue knows.
    ///
    /// # Errors
    /// When a settings file is at fault.
    pub async fn providers(&self, instance: &Instance, environment: &Environment, everything: bool) -> Result<ProviderListResult, Error> {
        let settings = self.settings(instance, environment)?;
        Ok(DirectoryModels::new(&self.models, &settings, environment, everything).list_with_local().await)
    }

    /// Where the keys of providers come from: in a directory, or by the user's own settings.
    ///
    /// # Errors
    /// When a settings file or the key store is at fault.
    pub fn keys(&self, instance: Option<&Instance>, environment: &Environment) -> Result<Vec<AuthEntry>, Error> {
        let settings = match instance {
            Some(instance) => self.settings(instance, environment)?,
            None => self.loader.load_user(&self.places, environment)?,
        };
        Ok(DirectoryModels::new(&self.models, &settings, environment, false).keys()?)
    }

    /// The stored keys, to keep them out of what is shown; none where the store cannot be read.
    #[must_use]
    pub fn stored_keys(&self) -> Arc<Keys> {
        self.models.keys.keys().unwrap_or_default()
    }

    /// Stores a provider's key; removes it where there is none. Tells whether anything has changed.
    ///
    /// # Errors
    /// When it is no key, or the store cannot be used.
    pub async fn store_key(&self, provider: String, key: Option<KeyText>) -> Result<bool, Error> {
        let pool = Arc::clone(&self.models);
        let store = move || match key {
            Some(key) => pool.keys.set(&provider, key.expose()).map(|()| true),
            None => pool.keys.remove(&provider),
        };
        match Tasks::spawn_blocking(store).await {
            Ok(stored) => Ok(stored?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The process ends: nobody will read the answer.
            Err(_) => std::future::pending().await,
        }
    }

    /// Fetches the catalogue of models anew, from where the client's environment or the user's own settings say.
    ///
    /// # Errors
    /// When it cannot be fetched or kept; the one that counted before still does.
    pub async fn refresh_models(&self, environment: &Environment) -> Result<ModelRefreshResult, Error> {
        let url = match environment.get(URL_VARIABLE) {
            Some(url) => Some(url.clone()),
            None => self.loader.load_user(&self.places, environment)?.config.models_url.clone(),
        };
        let network = Network::new(&NetworkSettings::default(), environment);
        Ok(self.models.cache.refresh(url.as_deref().unwrap_or(PUBLISHED_AT), network).await?)
    }

    /// What a turn in the directory would work with now.
    ///
    /// # Errors
    /// When a settings file is at fault.
    pub fn workspace(&self, instance: &Instance, environment: &Environment) -> Result<Arc<Workspace>, Error> {
        let is_trusted = |file: &TrustedFile| instance.trusted.contains(file);
        let (worktree, directory) = (instance.worktree(), instance.directory());
        let settings = self.loader.load(&self.places, worktree, directory, &is_trusted, environment)?;
        let Agents { list: agents, user_rules: agent_rules } = agent::load(&self.places, worktree, directory, &settings, &is_trusted)?;
        let texts = instructions::discover(&self.places, worktree, directory, &settings, environment);
        let config = &settings.config;
        Ok(Arc::new(Workspace {
            project_id: instance.project.id.clone(),
            directory: directory.clone(),
            worktree: worktree.clone(),
            git: instance.location.is_git(),
            agents,
            default_agent: config.default_agent.clone(),
            agent_rules,
            user_rules: settings.user_rules.clone(),
            project_rules: settings.project_rules.clone(),
            tool_switches: config.tools.clone().into_iter().collect(),
            tools: self.tools.clone(),
            instructions: texts.into_iter().map(|instruction| instruction.text).collect(),
            models: Arc::new(DirectoryModels::new(&self.models, &settings, environment, false).with_recordings(
                &self.recordings,
                &settings,
                directory,
            )),
            overlay: Arc::clone(&self.overlay),
            recent: self.finder.recent(&instance.project.id),
            buffers: Policy::from(&config.buffer),
            mode: config.mode.unwrap_or_default(),
            sandbox: Arc::clone(&self.sandbox),
            sandbox_settings: Arc::new(sandbox::Settings::new(&config.sandbox)),
            environment: Arc::clone(environment),
            // One for each project: what one has printed is nothing for the others.
            output_directory: self.places.data.join("output").join(instance.project.id.as_str()),
            unfinished: self.places.data.join("unfinished"),
            device: paths::device(directory),
            output_limits: OutputLimits::new(config.tool_output.max_lines, config.tool_output.max_bytes),
        }))
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
        self.workspace(&instance, environment).map_err(of_session)
    }

    async fn follow(&self, checkouts: Vec<i64>) -> Result<bool, session::Error> {
        let look = self.database.read::<_, Error>(move |connection| {
            let mut moved = Vec::new();
            for id in checkouts.into_iter().map(registry::CheckoutId) {
                moved.extend(registry::moved_checkout(connection, id)?.map(|path| (id, path)));
            }
            Ok(moved)
        });
        let moved = look.await.map_err(of_session)?;
        if moved.is_empty() {
            return Ok(false);
        }
        let follow = self.database.write::<_, Error>(move |write| {
            for (id, path) in &moved {
                tracing::info!(%path, "a worktree was moved");
                registry::follow_checkout(write, *id, path)?;
            }
            Ok(true)
        });
        follow.await.map_err(of_session)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Begin,
}

pub(super) fn trusted_files(connection: &rusqlite::Connection, id: &ProjectId) -> Result<HashSet<TrustedFile>, Error> {
    let trust = registry::trusted(connection, id)?;
    let files = trust.files.into_iter().filter(|_| trust.trusted);
    Ok(files.map(|(path, digest)| TrustedFile { path, digest }).collect())
}

async fn files_that_count(instance: &Instance) -> Vec<TrustedFile> {
    look_for_files(instance.worktree().clone(), instance.directory().clone()).await
}

async fn look_for_files(worktree: AbsPath, directory: AbsPath) -> Vec<TrustedFile> {
    Tasks::spawn_blocking(move || trust::files_that_count(&worktree, &directory)).await.unwrap_or_default()
}

/// Tells of a project; `files` are those that count for it.
fn tell(
    write: &mut Write<'_>,
    events: &Arc<Events>,
    project: &registry::KnownProject,
    directory: String,
    files: &[TrustedFile],
) -> Result<(), Error> {
    let pending = trust::pending(files, &trusted_files(write, &project.id)?);
    let scope = Scope { directory: Some(directory), project_id: Some(project.id.clone()), session_id: None };
    events.append(write, &scope, &EventPayload::ProjectUpdated(ProjectInfo { info: project.to_wire(pending) }))?;
    Ok(())
}
