//! A checkout with a session that changes files in it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::BufferEditInfo,
    config::Unanswered,
    id::{ProjectId, SessionId},
};

use crate::{
    find::Finder,
    git::{
        Checkout, layout,
        tests::support::{Sandbox, git},
    },
    overlay::{Delivery, Editor, Overlay, Policy, Reply, apply},
    snapshot::{Change, ChangeSet, Error, Following, Plan, Request, Reverted, Snapshots, apply::Faults, ledger::Limits},
    stdx::{ids, paths::AbsPath, tasks::Tasks},
    store::{Durability, Store},
};

pub const POLICY: Policy = Policy { timeout: Duration::from_secs(20), unanswered: Unanswered::Disk, diagnostics: Duration::ZERO };

/// In what the session works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Repository,
    Linked,
    Plain,
}

pub const KINDS: [Kind; 3] = [Kind::Repository, Kind::Linked, Kind::Plain];

pub struct World {
    _sandbox: Sandbox,
    pub root: AbsPath,
    pub data: AbsPath,
    pub overlay: Arc<Overlay>,
    pub snapshots: Arc<Snapshots>,
    pub following: Arc<Following>,
    pub checkout: Checkout,
    pub session: SessionId,
    pub finder: Arc<Finder>,
    pub tasks: Tasks,
}

/// Everything below a directory but its `.git`: content or target, and mode.
pub type Map = BTreeMap<String, (String, u32)>;

impl World {
    /// With these files, which a repository has committed.
    pub async fn new(kind: Kind, files: &[(&str, &str)]) -> Self {
        Self::limited(kind, files, Limits::default()).await
    }

    pub async fn limited(kind: Kind, files: &[(&str, &str)], limits: Limits) -> Self {
        let sandbox = Sandbox::new();
        let root = match kind {
            Kind::Plain => sandbox.make_directory("tree"),
            Kind::Repository => sandbox.repository("tree"),
            Kind::Linked => {
                let main = sandbox.repository("main");
                sandbox.linked(&main, "tree")
            }
        };
        let _ = fs::remove_file(root.join("file"));
        for (path, text) in files {
            write(&root, path, text);
            // What is as old as the index might have changed after it was written.
            let old = SystemTime::now() - Duration::from_secs(1000);
            fs::File::options().append(true).open(root.join(path)).unwrap().set_modified(old).unwrap();
        }
        if kind != Kind::Plain {
            git(&root, &["add", "-A"]);
            git(&root, &["commit", "--quiet", "--allow-empty", "-m", "files"]);
        }
        let data = sandbox.make_directory("data");
        let store = Arc::new(Store::open(data.join("store.db").as_path(), Durability::Process).unwrap());
        let tasks = Tasks::new();
        let finder = Arc::new(Finder::new(store, tasks.child()));
        let (overlay, location) = (Arc::<Overlay>::default(), layout::locate(&root).unwrap());
        let checkout = Checkout::new(ProjectId::from_ulid(ids::next()), root.clone(), &location);
        let snapshots = Arc::new(open(&data, &finder, &overlay, &tasks).with(limits, Faults::default()));
        let following = snapshots.follow(&checkout);
        following.looked().await;
        let session = SessionId::from_ulid(ids::next());
        Self { _sandbox: sandbox, root, data, overlay, snapshots, following, checkout, session, finder, tasks }
    }

    /// The daemon ends and starts again; it is to end where `kill` says.
    pub async fn restart(&mut self, kill: impl Fn(&str) -> bool + Send + Sync + 'static) {
        let faults = Faults { kill: Some(Box::new(kill)) };
        self.snapshots = Arc::new(open(&self.data, &self.finder, &self.overlay, &self.tasks).with(Limits::default(), faults));
        self.following = self.snapshots.follow(&self.checkout);
        self.following.looked().await;
    }

    /// A tool writes a file.
    pub async fn tool(&self, path: &str, text: &str) -> ChangeSet {
        let at = self.root.join(path);
        let edit = self.snapshots.before_edit(&at).await;
        let held = self.overlay.get(&at);
        match &held {
            Some(document) => {
                let (document, text): (_, Arc<str>) = (Arc::clone(document), text.into());
                let edits = crate::overlay::difference(&document.text, &text);
                self.overlay.edit(&document, &text, edits, self.session.clone(), POLICY.timeout).await.unwrap();
            }
            None => write(&self.root, path, text),
        }
        self.set(edit.done(text.into()).await.into_iter().collect()).await
    }

    /// A set of changes, kept and read again.
    async fn set(&self, changes: Vec<Change>) -> ChangeSet {
        let set = ChangeSet { changes, ..ChangeSet::new(self.root.clone()) };
        let id = self.snapshots.keep(&set).await.unwrap();
        let read = self.snapshots.changes(&self.root, id).await.unwrap();
        assert_eq!(read, set);
        read
    }

    /// A command runs.
    pub async fn command(&self, work: impl FnOnce(&AbsPath)) -> ChangeSet {
        let running = self.following.begin(self.session.clone()).await;
        work(&self.root);
        running.end().await
    }

    pub async fn preview(&self, sets: &[ChangeSet]) -> Plan {
        self.snapshots.preview(sets.to_vec(), POLICY).await.unwrap()
    }

    /// Takes sets back, and notes that at once.
    pub async fn revert(&self, sets: &[ChangeSet]) -> Result<Reverted, Error> {
        self.revert_part(sets, false).await
    }

    pub async fn revert_part(&self, sets: &[ChangeSet], partial: bool) -> Result<Reverted, Error> {
        let request = Request { sets: sets.to_vec(), partial, label: serde_json::json!("label") };
        self.snapshots.revert(&self.root, self.session.clone(), request, POLICY).await
    }

    /// What a revert has changed, as a set.
    pub async fn made(&self, reverted: Reverted) -> ChangeSet {
        let id = reverted.done.changes.unwrap();
        reverted.journal.finish();
        self.snapshots.changes(&self.root, id).await.unwrap()
    }

    pub fn map(&self) -> Map {
        map(&self.root)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }
}

fn open(data: &AbsPath, finder: &Arc<Finder>, overlay: &Arc<Overlay>, tasks: &Tasks) -> Snapshots {
    Snapshots::open(data, data.join("notes"), Durability::Process, Arc::clone(finder), Arc::clone(overlay), tasks.child()).unwrap()
}

pub fn write(root: &AbsPath, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn link(root: &AbsPath, path: &str, target: &str) {
    let _ = fs::remove_file(root.join(path));
    symlink(target, root.join(path)).unwrap();
}

pub fn chmod(root: &AbsPath, path: &str, mode: u32) {
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

pub fn map(root: &AbsPath) -> Map {
    let mut map = Map::new();
    add(root, root, &mut map);
    map
}

fn add(root: &AbsPath, directory: &AbsPath, map: &mut Map) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = directory.join(entry.unwrap().file_name());
        let metadata = path.as_path().symlink_metadata().unwrap();
        let name = path.relative_to(root);
        if name == ".git" {
            continue;
        }
        if metadata.is_dir() {
            map.insert(format!("{name}/"), (String::new(), 0));
            add(root, &path, map);
        } else if metadata.is_symlink() {
            map.insert(name, (fs::read_link(&path).unwrap().to_string_lossy().into_owned(), 0));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            map.insert(name, (text, metadata.permissions().mode() & 0o777));
        }
    }
}

/// What an editor does when it is asked to edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Edits,
    Saves,
    Refuses,
}

/// An editor with one open file.
#[derive(Debug)]
pub struct Client {
    number: u64,
    overlay: Arc<Overlay>,
    file: AbsPath,
    manner: Manner,
    text: Mutex<(String, i64)>,
}

impl Client {
    pub fn open(world: &World, number: u64, path: &str, text: &str, manner: Manner) -> Arc<Self> {
        let (overlay, file) = (Arc::clone(&world.overlay), world.root.join(path));
        let client = Arc::new(Self { number, overlay, file, manner, text: Mutex::new((text.to_owned(), 1)) });
        client.overlay.set_editor(number, Arc::clone(&client) as _);
        client.overlay.open(number, &client.file, &client.file, 1, Some(text.to_owned())).unwrap();
        client
    }

    fn held(&self) -> MutexGuard<'_, (String, i64)> {
        self.text.lock().unwrap()
    }

    pub fn text(&self) -> String {
        self.held().0.clone()
    }

    /// Somebody types.
    pub fn type_text(&self, text: &str) {
        let mut held = self.held();
        *held = (text.to_owned(), held.1 + 1);
        self.overlay.open(self.number, &self.file, &self.file, held.1, Some(text.to_owned())).unwrap();
    }

    pub fn close(&self) {
        self.overlay.forget(self.number);
    }
}

impl Editor for Client {
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Delivery> {
        let reply = |reply| self.overlay.reply(self.number, &edit.edit_id, reply).unwrap();
        if self.manner == Manner::Refuses {
            reply(Reply::Refused { message: Some("not now".into()) });
        } else {
            let mut held = self.held();
            *held = (apply(Some(&held.0), &edit.edits).unwrap(), held.1 + 1);
            let saved = self.manner == Manner::Saves;
            if saved {
                fs::write(&self.file, &held.0).unwrap();
            }
            reply(Reply::Applied { version: held.1, saved });
        }
        Box::pin(std::future::ready(Delivery::Sent))
    }
}
