//! Tells of changed settings, providers, agents and references while somebody follows a directory. While nobody does,
//! nothing is watched and nothing is read.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use polytree_protocol::{
    events::{DirectoryInfo, EventPayload},
    id::ProjectId,
};
use tokio::sync::watch;

use crate::{
    find::watch::{Notice, Watcher},
    git::{
        layout::GitLayout,
        standing::{Standing, standing},
    },
    project::{Effects, Instance, Projects},
    stdx::{disk, paths::AbsPath, tasks::Tasks},
    store::Store,
    tool::context::Environment,
};

/// Changes within this time are told once.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The timeout of the first look.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often is looked where the system cannot watch.
const POLL: Duration = Duration::from_secs(5);
/// The most directories that are watched for one follower.
const MAX_WATCHES: usize = 256;

/// What somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `config.changed`, `provider.changed`, `agent.changed`.
    Settings,
    /// `vcs.changed`.
    References,
}

/// The directories that are followed.
pub struct Followers {
    projects: Arc<Projects>,
    store: Arc<Store>,
    tasks: Tasks,
    // Held for a look-up or an insert.
    open: Mutex<HashMap<(AbsPath, Topic), Weak<Following>>>,
    /// Something that is not a file of the user's has changed: a key, the catalogue, trust.
    pokes: watch::Sender<()>,
}

/// Keeps a directory followed.
#[derive(Debug)]
pub struct Following {
    tasks: Tasks,
    ready: watch::Receiver<bool>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Followers {
    /// Followers run below `tasks`.
    pub fn new(projects: Arc<Projects>, store: Arc<Store>, tasks: Tasks) -> Self {
        Self { projects, store, tasks, open: Mutex::default(), pokes: watch::Sender::new(()) }
    }

    /// What is followed is looked at now.
    pub fn poke(&self) {
        self.pokes.send_replace(());
    }

    /// Follows a directory until the value is dropped. Every change after this call is told.
    pub async fn follow(&self, instance: &Arc<Instance>, environment: &Environment, topic: Topic) -> Arc<Following> {
        let following = self.following(instance, environment, topic);
        let mut ready = following.ready.clone();
        // A file system may not answer; then changes are told from when it does.
        let _ = tokio::time::timeout(READY_TIMEOUT, ready.wait_for(|ready| *ready)).await;
        following
    }

    fn following(&self, instance: &Arc<Instance>, environment: &Environment, topic: Topic) -> Arc<Following> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, following| following.strong_count() > 0);
        let key = (instance.directory().clone(), topic);
        if let Some(following) = open.get(&key).and_then(Weak::upgrade) {
            return following;
        }
        let (sender, ready) = watch::channel(false);
        let tasks = self.tasks.child();
        let follower = Follower {
            projects: Arc::clone(&self.projects),
            store: Arc::clone(&self.store),
            project: instance.project.id.clone(),
            directory: instance.directory().clone(),
            environment: Arc::clone(environment),
            topic,
            watcher: Watcher::new().ok(),
        };
        drop(tasks.clone().spawn("follower", follower.run(sender, self.pokes.subscribe(), tasks.clone())));
        let following = Arc::new(Following { tasks, ready });
        open.insert(key, Arc::downgrade(&following));
        following
    }
}

struct Follower {
    projects: Arc<Projects>,
    store: Arc<Store>,
    project: ProjectId,
    directory: AbsPath,
    environment: Environment,
    topic: Topic,
    watcher: Option<Watcher>,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Settings(Box<Effects>),
    References(Option<Standing>),
    /// The directory is gone.
    Unknown,
}

impl Follower {
    async fn run(self, ready: watch::Sender<bool>, mut pokes: watch::Receiver<()>, tasks: Tasks) {
        // Watched first, so that no change comes between.
        let mut watches = self.watch().await;
        let mut state = self.look().await;
        ready.send_replace(true);
        loop {
            tokio::select! {
                () = tasks.token().cancelled() => return,
                poked = pokes.changed() => if poked.is_err() { return },
                () = self.changed(&watches) => {
                    tokio::select! {
                        () = tasks.token().cancelled() => return,
                        () = tokio::time::sleep(DEBOUNCE) => {}
                    }
                    self.drain();
                }
            }
            watches = self.watch().await;
            let now = self.look().await;
            self.tell(&state, &now).await;
            state = now;
        }
    }

    /// Waits until a file may have changed.
    async fn changed(&self, watches: &HashMap<i32, Interest>) {
        let Some(watcher) = &self.watcher else { return tokio::time::sleep(POLL).await };
        let mut notices = Vec::new();
        loop {
            watcher.ready().await;
            watcher.drain(&mut notices);
            let concerns = |notice: &Notice| match notice {
                Notice::Name { watch, name, .. } => watches.get(watch).is_some_and(|interest| interest.concerns(name)),
                Notice::Ended(watch) => watches.contains_key(watch),
                Notice::Overflow => true,
            };
            if notices.drain(..).any(|notice| concerns(&notice)) {
                return;
            }
        }
    }

    fn drain(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.drain(&mut Vec::new());
        }
    }

    async fn instance(&self) -> Option<Arc<Instance>> {
        self.projects.look(&self.directory).await.ok()
    }

    /// Watches what there is now.
    async fn watch(&self) -> HashMap<i32, Interest> {
        let (Some(watcher), Some(instance)) = (&self.watcher, self.instance().await) else { return HashMap::new() };
        let (topic, projects) = (self.topic, Arc::clone(&self.projects));
        let directories = disk::run(self.directory.clone(), move || match topic {
            Topic::Settings => settings_folders(&projects, &instance),
            Topic::References => instance.location.git().map(reference_folders).unwrap_or_default(),
        });
        let mut watches = HashMap::new();
        for (directory, interest) in directories.await.into_iter().take(MAX_WATCHES) {
            if let Ok(watch) = watcher.add(directory.as_path()) {
                watches.insert(watch, interest);
            }
        }
        watches
    }

    async fn look(&self) -> State {
        let Some(instance) = self.instance().await else { return State::Unknown };
        match self.topic {
            Topic::Settings => State::Settings(Box::new(self.projects.effects(&instance, &self.environment).await)),
            Topic::References => State::References(match instance.location.git() {
                Some(layout) => standing(instance.directory(), layout).await.ok(),
                None => None,
            }),
        }
    }

    async fn tell(&self, before: &State, now: &State) {
        let directory = self.directory.to_string();
        let info = || DirectoryInfo { directory: directory.clone() };
        let mut payloads = Vec::new();
        match (before, now) {
            (State::Settings(before), State::Settings(now)) => {
                if before.settings != now.settings {
                    payloads.push(EventPayload::ConfigChanged(info()));
                }
                if before.providers != now.providers {
                    payloads.push(EventPayload::ProviderChanged(info()));
                }
                if before.agents != now.agents {
                    payloads.push(EventPayload::AgentChanged(info()));
                }
            }
            (before, now) if before == now => {}
            _ if self.topic == Topic::References => payloads.push(EventPayload::VcsChanged(info())),
            _ => payloads.extend([
                EventPayload::ConfigChanged(info()),
                EventPayload::ProviderChanged(info()),
                EventPayload::AgentChanged(info()),
            ]),
        }
        if payloads.is_empty() {
            return;
        }
        let payloads = payloads.into_iter().map(|payload| (directory.clone(), payload)).collect();
        if let Err(error) = self.store.announce(self.project.clone(), payloads).await {
            tracing::warn!(%error, "a change could not be announced");
        }
    }
}

/// Which names in a watched directory count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    All,
    /// The settings in a directory that has other files too.
    Settings,
    /// A git directory: everything but what every command writes.
    Git,
}

impl Interest {
    fn concerns(self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Settings => name.starts_with(b"polytree.json") || name == b".polytree" || name == b"agent",
            Self::Git => !name.ends_with(b".lock") && name != b"index" && name != b"objects" && name != b"COMMIT_EDITMSG",
        }
    }
}

fn settings_folders(projects: &Projects, instance: &Instance) -> Vec<(AbsPath, Interest)> {
    let folders = projects.settings_folders(instance);
    let mut found = Vec::new();
    for folder in folders {
        let is_own =
            ["agent", "command", "plugin"].iter().any(|name| folder.as_path().ends_with(name)) && !instance.directory().is_within(&folder);
        if is_own {
            found.extend(below(&folder).into_iter().map(|folder| (folder, Interest::All)));
        } else {
            let interest = if folder.as_path().ends_with(".polytree") { Interest::All } else { Interest::Settings };
            found.push((folder, interest));
        }
    }
    found
}

fn reference_folders(layout: &GitLayout) -> Vec<(AbsPath, Interest)> {
    let (own, common) = (layout.git_dir.clone(), layout.common_dir.clone());
    let mut found = vec![(common.join("worktrees"), Interest::All), (common.join("reftable"), Interest::Git)];
    found.extend(below(&common.join("refs")).into_iter().map(|folder| (folder, Interest::Git)));
    found.extend([(own, Interest::Git), (common, Interest::Git)]);
    found
}

/// A folder and those below it, without following links.
fn below(folder: &AbsPath) -> Vec<AbsPath> {
    let mut found = vec![folder.clone()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned().filter(|_| found.len() < MAX_WATCHES) {
        next += 1;
        let entries = std::fs::read_dir(folder.as_path()).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(folders.map(|entry| folder.below(Path::new(&entry.file_name()))));
    }
    found
}
