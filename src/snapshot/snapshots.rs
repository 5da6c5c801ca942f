//! The public interface: checkpoints of edits, stored change sets, and reverts from planning to completion.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use polytree_protocol::id::SessionId;

use super::{
    apply::{Failure, Faults, Place},
    change::{Change, ChangeSet},
    edit::{Edit, kept, mode},
    follow::Following,
    journal::{Done, Journal, Recovered, Text},
    ledger::Limits,
    look,
    objects::Objects,
    pending::{LeftOver, Pending},
    plan::{self, Action, FilePlan, Held, Plan, Request},
    state::State,
};
use crate::{
    file::save::{
        MAX_BYTES,
        lock::{self, FileGuard},
    },
    find::Finder,
    git::{Checkout, objects::Id},
    overlay::{self, NotApplied, Overlay, Policy, TextUnknown},
    stdx::{paths::AbsPath, tasks::Tasks},
    store::Durability,
};

/// Why a revert failed. No file was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files are in conflict.
    #[error("nothing was changed, because files are in conflict")]
    Conflict(Plan),
    /// There is nothing to undo.
    #[error("there is nothing to undo")]
    Nothing(Plan),
    /// The store or the journal cannot be written.
    #[error("the revert cannot be prepared: {0}")]
    Io(#[from] io::Error),
    /// Fault injection.
    #[error("the process has ended")]
    Killed,
}

/// A completed revert.
#[derive(Debug)]
pub struct Reverted {
    /// The outcome.
    pub done: Done,
    /// To be finished as soon as the outcome is stored.
    pub journal: Journal,
}

/// The undo store of the daemon, shared by all projects.
pub struct Snapshots {
    pub(super) objects: Arc<Objects>,
    pub(super) journals: AbsPath,
    pub(super) pending: AbsPath,
    notes: AbsPath,
    finder: Arc<Finder>,
    overlay: Arc<Overlay>,
    tasks: Tasks,
    limits: Limits,
    pub(super) following: Mutex<HashMap<AbsPath, Weak<Following>>>,
    faults: Arc<Faults>,
}

impl Snapshots {
    /// Opens the store in the data directory. `notes` is the directory in which temporary files are recorded.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(
        data: &AbsPath,
        notes: AbsPath,
        durability: Durability,
        finder: Arc<Finder>,
        overlay: Arc<Overlay>,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let directory = data.join("snapshots");
        let objects = Arc::new(Objects::open(&directory.join("objects"), durability)?);
        Ok(Self {
            objects,
            journals: directory.join("journal"),
            pending: directory.join("pending"),
            notes,
            finder,
            overlay,
            tasks,
            limits: Limits::default(),
            following: Mutex::default(),
            faults: Arc::default(),
        })
    }

    /// With other limits and with fault injection.
    #[cfg(test)]
    pub(super) fn with(mut self, limits: Limits, faults: Faults) -> Self {
        (self.limits, self.faults) = (limits, Arc::new(faults));
        self
    }

    /// Tracks a checkout, which is required to see what commands change in it. Hold the value while commands may run.
    #[must_use]
    pub fn follow(&self, checkout: &Checkout) -> Arc<Following> {
        let mut all = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(following) = all.get(&checkout.worktree).and_then(Weak::upgrade) {
            return following;
        }
        all.retain(|_, following| following.strong_count() > 0);
        let following = Following::start(checkout, &self.finder, Arc::clone(&self.objects), self.limits, &self.tasks);
        all.insert(checkout.worktree.clone(), Arc::downgrade(&following));
        following
    }

    /// The tracked checkouts that contain one of these paths.
    fn followers(&self, paths: &[AbsPath]) -> Vec<Arc<Following>> {
        let all = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |root: &AbsPath| paths.iter().any(|path| path.is_within(root));
        all.iter().filter(|(root, _)| holds(root)).filter_map(|(_, following)| following.upgrade()).collect()
    }

    /// Stores the current content of a file, from an editor or from disk, before a tool changes it. The caller holds the
    /// file's lock.
    pub async fn before_edit(&self, path: &AbsPath) -> Edit {
        let followers = self.followers(std::slice::from_ref(path));
        for following in &followers {
            following.before(vec![path.clone()]).await;
        }
        let (objects, document, at) = (Arc::clone(&self.objects), self.overlay.get(path), path.clone());
        let looked = Tasks::spawn_blocking(move || {
            let seen = look::look(&at, MAX_BYTES);
            let mode = mode(&seen.state);
            let content = document.map(|document| document.text.as_bytes().to_vec()).or(seen.content);
            let before = match (seen.state, content) {
                (state @ (State::Link { .. } | State::Unknown { .. }), _) => state,
                (_, Some(content)) => kept(&objects, &content, mode),
                (state, None) => state,
            };
            (before, plan::missing_directories(&at))
        });
        let (before, new_directories) = looked.await.unwrap_or_else(|error| (State::unknown(error.to_string()), 0));
        Edit { path: path.clone(), before, new_directories, objects: Arc::clone(&self.objects), followers }
    }

    /// The change that an edit has made, where the tool does not tell. The caller holds the file's lock.
    pub async fn left(&self, edit: Edit) -> Option<Change> {
        let now = self.before_edit(&edit.path).await;
        for following in &edit.followers {
            following.after(vec![edit.path.clone()]).await;
        }
        let is_unknown = matches!((&edit.before, &now.before), (State::Unknown { .. }, State::Unknown { .. }));
        if is_unknown || edit.before.is_same(&now.before) {
            return None;
        }
        let new_directories = if edit.before == State::Absent { edit.new_directories } else { 0 };
        Some(Change { path: edit.path, before: edit.before, after: now.before, new_directories })
    }

    /// Notes a change that a tool call is about to make.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub async fn note(&self, label: serde_json::Value, set: ChangeSet) -> io::Result<Pending> {
        let directory = self.pending.clone();
        Tasks::spawn_blocking(move || Pending::write(&directory, label, &set)).await.map_err(io::Error::other)?
    }

    /// The changes that an earlier process was about to make. Call it at start-up, before anything changes files.
    pub async fn left_over(&self) -> Vec<LeftOver> {
        let directory = self.pending.clone();
        let found = Tasks::spawn_blocking(move || {
            let notes = Pending::all(&directory);
            Pending::sweep(&directory, &notes);
            notes
        });
        found.await.unwrap_or_default()
    }

    /// Stores a change set and returns its id.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn keep(&self, set: &ChangeSet) -> io::Result<Id> {
        let (objects, bytes) = (Arc::clone(&self.objects), set.encode()?);
        Tasks::spawn_blocking(move || objects.write(&bytes)).await.map_err(io::Error::other)?
    }

    /// A stored change set, with paths relative to the current `root` of the checkout; `None` if it was pruned.
    pub async fn changes(&self, root: &AbsPath, id: Id) -> Option<ChangeSet> {
        let (objects, root) = (Arc::clone(&self.objects), root.clone());
        Tasks::spawn_blocking(move || ChangeSet::decode(&root, &objects.read(id)?)).await.ok()?
    }

    /// The content of an object; `None` if it was pruned.
    pub async fn content(&self, id: Id) -> Option<Vec<u8>> {
        self.with_objects(move |objects| objects.read(id)).await.ok()?
    }

    /// Does something with the stored objects, on a thread that may block.
    ///
    /// # Errors
    /// When the daemon shuts down.
    pub async fn with_objects<T: Send + 'static>(&self, work: impl FnOnce(&Objects) -> T + Send + 'static) -> io::Result<T> {
        let objects = Arc::clone(&self.objects);
        Tasks::spawn_blocking(move || work(&objects)).await.map_err(io::Error::other)
    }

    /// The state and the content of a file, as an editor that has it open holds it, otherwise from disk.
    pub async fn now(&self, path: &AbsPath, policy: Policy) -> (State, Option<Vec<u8>>) {
        let document = match self.overlay.wait_for_text(path, policy.timeout).await {
            Ok(document) => document,
            Err(TextUnknown) => return (State::unknown("it is open in an editor whose text is not known yet"), None),
        };
        let path = path.clone();
        let seen = Tasks::spawn_blocking(move || {
            let seen = look::look(&path, MAX_BYTES);
            document.map_or(seen.clone(), |document| plan::of_text(&document, &seen))
        });
        seen.await.map_or_else(|error| (State::unknown(error.to_string()), None), |seen| (seen.state, seen.content))
    }

    /// What reverting these change sets would do. Changes no file.
    ///
    /// # Errors
    /// When the daemon shuts down.
    pub async fn preview(&self, sets: Vec<ChangeSet>, policy: Policy) -> Result<Plan, Error> {
        let held = self.held(&sets, policy).await;
        let objects = Arc::clone(&self.objects);
        let planned = Tasks::spawn_blocking(move || plan::plan(&sets, &held, &objects));
        Ok(planned.await.map_err(io::Error::other)?)
    }

    /// Reverts change sets of the checkout at `root`. Continues if the caller stops waiting.
    ///
    /// # Errors
    /// When files are in conflict, there is nothing to undo, or the journal cannot be written. No file was changed then.
    pub async fn revert(self: &Arc<Self>, root: &AbsPath, session: SessionId, request: Request, policy: Policy) -> Result<Reverted, Error> {
        let (this, root) = (Arc::clone(self), root.clone());
        let work = self.tasks.spawn("revert", async move { this.run(&root, session, request, policy).await });
        work.await.map_err(io::Error::other)?
    }

    async fn run(&self, root: &AbsPath, session: SessionId, request: Request, policy: Policy) -> Result<Reverted, Error> {
        let (paths, _kept) = (paths(&request.sets), self.objects.keep());
        let _guards = lock_all(&paths).await;
        let followers = self.followers(&paths);
        for following in &followers {
            following.before(paths.clone()).await;
        }
        let mut plan = self.preview(request.sets, policy).await?;
        if !request.partial && plan.conflicts().next().is_some() {
            return Err(Error::Conflict(plan));
        }
        if plan.is_empty() {
            return Err(if plan.conflicts().next().is_some() { Error::Conflict(plan) } else { Error::Nothing(plan) });
        }
        self.faults.at("planned").map_err(|_| Error::Killed)?;
        let (directory, text) = (self.journals.clone(), Text::new(root, request.label, &plan.files, &plan.uncovered));
        let mut journal = Tasks::spawn_blocking(move || Journal::write(&directory, text)).await.map_err(io::Error::other)??;
        self.faults.at("journal written").map_err(|_| Error::Killed)?;
        if !self.in_editors(&mut plan, session, policy, request.partial, &mut journal).await {
            journal.finish();
            return Err(Error::Conflict(plan));
        }
        let done = self.finish(root.clone(), plan.files, journal, false).await;
        for following in &followers {
            following.after(paths.clone()).await;
        }
        done
    }

    /// Asks editors to change the files that they hold. If one of them does not, the changes of the others are undone, and
    /// the result is false, unless a partial revert is wanted.
    async fn in_editors(&self, plan: &mut Plan, session: SessionId, policy: Policy, partial: bool, journal: &mut Journal) -> bool {
        let mut made = Vec::new();
        for (number, file) in plan.files.iter_mut().enumerate() {
            let Some(document) = file.document.clone().filter(|_| file.is_change()) else { continue };
            let text = self.text(&file.to).await;
            let edited = match &text {
                Some(text) => self.edit(&document, text, session.clone(), policy).await,
                None => Err("its content is not text".into()),
            };
            match edited {
                Ok(()) => {
                    journal.note(number);
                    made.push((document, file.path.clone()));
                }
                Err(reason) => file.refuse(Action::Conflict, reason),
            }
        }
        if partial || plan.conflicts().next().is_none() {
            return true;
        }
        for (before, path) in made {
            let Some(now) = self.overlay.get(&path) else { continue };
            if let Err(error) = self.edit(&now, &before.text, session.clone(), policy).await {
                tracing::warn!(%path, error, "an editor did not take back a change");
            }
        }
        false
    }

    async fn text(&self, state: &State) -> Option<Arc<str>> {
        let (id, _) = state.content()?;
        String::from_utf8(self.content(id).await?).ok().map(Into::into)
    }

    async fn edit(&self, document: &Arc<overlay::Document>, text: &Arc<str>, session: SessionId, policy: Policy) -> Result<(), String> {
        if *document.text == **text {
            return Ok(());
        }
        let (old, new) = (Arc::clone(document), Arc::clone(text));
        let edits = Tasks::spawn_blocking(move || overlay::difference(&old.text, &new)).await.map_err(|error| error.to_string())?;
        let edited = self.overlay.edit(document, text, edits, session, policy.timeout).await;
        edited.map(drop).map_err(|unapplied| {
            let why = match unapplied {
                NotApplied::Refused { message } => message.unwrap_or_else(|| "its text was changed meanwhile".into()),
                NotApplied::TimedOut => "it did not answer in time".into(),
                NotApplied::Disconnected => "it was closed".into(),
                NotApplied::TooLarge => "the change is too large to be sent".into(),
            };
            format!("it is open in an editor, which did not make the change: {why}")
        })
    }

    /// Writes the files on disk and stores the changes that this makes.
    async fn finish(&self, root: AbsPath, mut files: Vec<FilePlan>, mut journal: Journal, is_resumed: bool) -> Result<Reverted, Error> {
        let (objects, notes, faults) = (Arc::clone(&self.objects), self.notes.clone(), Arc::clone(&self.faults));
        let work = Tasks::spawn_blocking(move || {
            let place = Place { root: &root, notes: &notes, objects: &objects, is_resumed, faults: &faults };
            let killed = write(&place, &mut files, &mut journal).is_err();
            if killed {
                return Err(Error::Killed);
            }
            let changed = files.iter().filter(|file| file.is_change()).map(|file| Change {
                path: file.path.clone(),
                before: file.from.clone(),
                after: file.to.clone(),
                new_directories: if file.action == Action::Create { file.new_directories } else { 0 },
            });
            let set = ChangeSet { changes: changed.collect(), ..ChangeSet::new(root.clone()) };
            let changes = if set.changes.is_empty() { None } else { Some(objects.write(&set.encode().map_err(io::Error::from)?)?) };
            faults.at("written").map_err(|_| Error::Killed)?;
            let uncovered = journal.text.uncovered(&root);
            Ok(Reverted { done: Done { files, uncovered, changes }, journal })
        });
        work.await.map_err(io::Error::other)?
    }

    /// Completes the reverts that an earlier process did not finish. Call it at start-up, before anything changes files.
    /// If the directory of a revert does not exist now, its journal is kept for the next start.
    pub async fn recover(&self) -> Vec<Recovered> {
        // There are hardly ever any, and no thread is started to find none.
        if !std::fs::read_dir(&self.journals).is_ok_and(|mut entries| entries.next().is_some()) {
            return Vec::new();
        }
        let (directory, _kept) = (self.journals.clone(), self.objects.keep());
        let journals = Tasks::spawn_blocking(move || Journal::all(&directory)).await.unwrap_or_default();
        let mut recovered = Vec::new();
        for journal in journals {
            let Some(root) = AbsPath::new(&journal.text.root).filter(|root| root.as_path().is_dir()) else {
                tracing::warn!(root = journal.text.root, "the directory of an interrupted revert is not there");
                continue;
            };
            let files = journal.text.files.iter().enumerate().map(|(number, entry)| {
                let mut file = FilePlan {
                    path: entry.path(&root),
                    action: entry.action,
                    reason: entry.reason.clone(),
                    from: entry.from.clone(),
                    to: entry.to.clone(),
                    new_directories: entry.new_directories,
                    document: None,
                };
                let is_open = file.is_change() && entry.in_editor && !journal.is_done(number);
                if is_open && !look::look(&file.path, MAX_BYTES).state.is_same(&file.to) {
                    file.refuse(Action::Skip, "an editor was to change it when the daemon ended; see what it holds");
                }
                file
            });
            let (files, label) = (files.collect(), journal.text.label.clone());
            match self.finish(root, files, journal, true).await {
                Ok(Reverted { done, journal }) => recovered.push(Recovered { label, done, journal }),
                Err(error) => tracing::warn!(%error, "an interrupted revert cannot be brought to an end"),
            }
        }
        recovered
    }

    /// The open buffers of these files. Waits for texts that are not known yet.
    async fn held(&self, sets: &[ChangeSet], policy: Policy) -> BTreeMap<AbsPath, Held> {
        let mut held = BTreeMap::new();
        for path in paths(sets) {
            let found = match self.overlay.wait_for_text(&path, policy.timeout).await {
                Ok(None) => continue,
                Ok(document) => Held { document, is_untold: false },
                Err(TextUnknown) => Held { document: None, is_untold: true },
            };
            held.insert(path, found);
        }
        held
    }
}

/// Writes the files in order.
fn write(place: &Place<'_>, files: &mut [FilePlan], journal: &mut Journal) -> Result<(), Failure> {
    for (number, file) in files.iter_mut().enumerate() {
        if !file.is_change() || file.document.is_some() || journal.is_done(number) {
            continue;
        }
        place.faults.at("next file")?;
        let entry = journal.text.files[number].clone();
        match place.write(&file.path, &entry) {
            Ok(()) => {
                place.faults.at("file written")?;
                journal.note(number);
            }
            Err(Failure::Killed) => return Err(Failure::Killed),
            Err(Failure::Changed) => file.refuse(Action::Conflict, "it was changed by somebody else meanwhile"),
            Err(Failure::System(error)) => file.refuse(Action::Skip, format!("it could not be written: {error}")),
        }
    }
    Ok(())
}

fn paths(sets: &[ChangeSet]) -> Vec<AbsPath> {
    let mut paths: Vec<AbsPath> = sets.iter().flat_map(|set| set.changes.iter().map(|change| change.path.clone())).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Locks files in path order, which prevents deadlocks.
async fn lock_all(paths: &[AbsPath]) -> Vec<FileGuard> {
    let mut guards = Vec::with_capacity(paths.len());
    for path in paths {
        guards.push(lock::lock(path).await);
    }
    guards
}
