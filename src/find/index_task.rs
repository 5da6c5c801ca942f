//! The task that keeps one index up to date. It reads the tree, watches its directories while it already answers, reads
//! again what has changed, and tells clients of the changes. Directories without a watch are polled before each answer.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use polytree_protocol::{
    events::{BranchInfo, EventPayload, FileChangedInfo},
    find::FileEvent,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    change_batch::ChangeBatch,
    listing::{self, EntryKind},
    notifier::Notifier,
    refresh::{self, Dirty, refresh},
    snapshot::{Question, Snapshot, Unreadable},
    tree::{Node, Tree, UNWATCHED},
    walk::{self, Bounds, Unwatched},
    watch::{
        Event, Notice,
        table::{Allowance, Table, Watched},
    },
};
use crate::{
    file::names,
    git::{Checkout, head::Head, ignore},
    stdx::tasks::Tasks,
};

/// The debounce: changes are gathered for this long before they are read, unless somebody asks.
const DEBOUNCE: Duration = Duration::from_millis(40);
/// How often directories without a watch are polled, or less where that takes long.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How soon they are polled again for a question.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// How many directories get a watch before questions are answered again.
const WATCH_BATCH: usize = 512;

pub struct IndexTask {
    checkout: Checkout,
    others: Vec<Weak<Mutex<Snapshot>>>,
    snapshot: Arc<Mutex<Snapshot>>,
    notifier: Notifier,
    table: Arc<Table>,
    cancel: Arc<AtomicBool>,
    tree: Arc<Tree>,
    failure: Option<Unreadable>,
    dirty: Dirty,
    written: BTreeSet<Vec<u8>>,
    changes: ChangeBatch,
    head: Option<Head>,
    is_head_changed: bool,
    outside: Vec<(PathBuf, u64)>,
    /// The directory before which all have been offered a watch.
    offered: Option<usize>,
    /// When to look at what was gathered, and when to tell.
    due: Option<Instant>,
    tell: Option<Instant>,
    looked: Instant,
    look_took: Duration,
    /// What had happened before this is in the tree, also where nobody watches.
    known: Instant,
    /// How many directories nobody watches.
    unwatched: usize,
}

impl IndexTask {
    pub fn new(
        checkout: Checkout,
        others: Vec<Weak<Mutex<Snapshot>>>,
        snapshot: Arc<Mutex<Snapshot>>,
        notifier: Notifier,
        allowance: Arc<Allowance>,
    ) -> Self {
        let now = Instant::now();
        Self {
            checkout,
            others,
            snapshot,
            notifier,
            table: Arc::new(Table::new(allowance)),
            cancel: Arc::default(),
            tree: Arc::default(),
            failure: None,
            dirty: Dirty::default(),
            written: BTreeSet::new(),
            changes: ChangeBatch::new(now),
            head: None,
            is_head_changed: false,
            outside: Vec::new(),
            offered: Some(0),
            due: None,
            tell: None,
            looked: now,
            look_took: Duration::ZERO,
            known: now,
            unwatched: 0,
        }
    }

    pub async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Question>, token: CancellationToken) {
        let cancel = Arc::clone(&self.cancel);
        tokio::select! {
            () = token.cancelled() => {}
            () = self.keep(&mut asked) => {}
        }
        // What still reads in the background stops too.
        cancel.store(true, Ordering::Relaxed);
    }

    async fn keep(&mut self, asked: &mut mpsc::UnboundedReceiver<Question>) {
        self.begin().await;
        loop {
            let table = Arc::clone(&self.table);
            let next_look = self.looked + POLL_INTERVAL.max(self.look_took * 50);
            tokio::select! {
                biased;
                // First, so that no stream of questions keeps them from ever happening.
                () = at(self.tell) => self.tell().await,
                () = at(self.due) => self.look_again().await,
                question = asked.recv() => {
                    let Some(question) = question else { return };
                    let mut questions = vec![question];
                    while let Ok(question) = asked.try_recv() {
                        questions.push(question);
                    }
                    let since = questions.iter().map(|question| question.since).max();
                    self.freshen(since.unwrap_or_else(Instant::now)).await;
                    let answer = self.failure.clone().map_or_else(|| Ok(Arc::clone(&self.tree)), Err);
                    for question in questions {
                        let _ = question.answer.send(answer.clone());
                    }
                }
                () = table.ready() => self.notice(),
                () = at(Some(next_look)), if self.offered.is_none() && (self.unwatched > 0 || self.failure.is_some()) => {
                    self.look(Duration::ZERO).await;
                    self.look_again().await;
                }
                // Last, so that it waits for everything else.
                () = std::future::ready(()), if self.offered.is_some() => self.offer().await,
            }
        }
    }

    /// Runs work that blocks. Also ends when the task does.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> io::Result<T> {
        let cancel = Arc::clone(&self.cancel);
        Tasks::spawn_blocking(move || work(&cancel)).await.map_err(io::Error::other)
    }

    /// Reads everything for the first time.
    async fn begin(&mut self) {
        let checkout = self.checkout.clone();
        let others: Vec<Arc<Tree>> = self
            .others
            .iter()
            .filter_map(Weak::upgrade)
            .map(|other| Arc::clone(&other.lock().unwrap_or_else(PoisonError::into_inner).tree))
            .collect();
        let began = Instant::now();
        let read = self
            .blocking(move |cancel| {
                let (root, bounds) = (&checkout.worktree, Bounds::of(&checkout));
                let walked = walk::walk(root, b"", ignore::Rules::above(root), bounds, &Unwatched, &|| cancel.load(Ordering::Relaxed))?;
                let mut tree = refresh::close(Tree::new(walked.nodes, walked.cut), &walked.closed);
                for other in &others {
                    tree.share(other);
                }
                Ok((tree, ignore::outside(root), checkout.git.as_ref().and_then(|git| Head::read(git.own.as_path()))))
            })
            .await;
        match read.and_then(|read: io::Result<_>| read) {
            Ok((tree, outside, head)) => {
                tracing::debug!(root = %self.checkout.worktree, entries = tree.entries(), took = ?began.elapsed(), "files are indexed");
                (self.outside, self.head, self.known) = (outside, head, began);
                self.take(tree);
            }
            Err(error) => self.fail(&error),
        }
        if let Some(git) = &self.checkout.git {
            let _ = self.table.add(&git.own, Watched::Head);
            let _ = self.table.add(&git.common.join("info"), Watched::Rules);
            // It may have changed before it was watched.
            self.is_head_changed = true;
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.failure = Some(Unreadable(error.to_string()));
        self.tree = Arc::default();
        self.unwatched = 0;
        self.publish();
    }

    /// Takes the next tree.
    fn take(&mut self, tree: Tree) {
        if let Some(cut) = tree.cut
            && self.tree.cut.is_none()
        {
            tracing::warn!(root = %self.checkout.worktree, ?cut, entries = tree.entries(), "the file index does not hold everything");
        }
        self.failure = None;
        self.unwatched = tree.unwatched();
        self.tree = Arc::new(tree);
        self.publish();
    }

    fn publish(&self) {
        let snapshot = Snapshot { tree: Arc::clone(&self.tree), watched: self.table.len() };
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Has the next directories watched, and looks whether they have changed since they were read.
    async fn offer(&mut self) {
        let Some(start) = self.offered else { return };
        let end = (start + WATCH_BATCH).min(self.tree.nodes().len());
        let (root, tree, table) = (self.checkout.worktree.clone(), Arc::clone(&self.tree), Arc::clone(&self.table));
        let offered = self
            .blocking(move |cancel| {
                let mut watched = Vec::new();
                for (place, node) in tree.nodes()[start..end].iter().enumerate().filter(|(_, node)| node.watch == UNWATCHED) {
                    if table.is_full() || cancel.load(Ordering::Relaxed) {
                        break;
                    }
                    let watch = walk::Enter::enter(&*table, &root, node.listing.directory());
                    watched.push((start + place, watch, walk::is_changed(&root, node)));
                }
                watched
            })
            .await;
        let tree = Arc::make_mut(&mut self.tree);
        for (place, watch, is_changed) in offered.unwrap_or_default() {
            let node = &mut tree.nodes_mut()[place];
            node.watch = watch;
            self.unwatched -= usize::from(watch != UNWATCHED);
            if is_changed {
                note_changed(&mut self.dirty, &node.listing);
            }
        }
        if !self.dirty.is_empty() {
            self.due.get_or_insert(Instant::now());
        }
        self.offered = Some(end).filter(|end| *end < self.tree.nodes().len() && !self.table.is_full());
        if self.offered.is_none() {
            if self.unwatched > 0 {
                tracing::info!(root = %self.checkout.worktree, unwatched = self.unwatched, "directories that cannot be watched are looked at when needed");
            }
            self.publish();
        }
    }

    /// Takes what the watches tell.
    fn notice(&mut self) {
        for notice in self.table.drain() {
            match notice {
                Notice::Overflow => self.overflowed(),
                Notice::Ended(watch) => {
                    if let Some(Watched::Directory(directory)) = self.table.ended(watch) {
                        self.dirty.all.insert(directory);
                    }
                }
                Notice::Name { watch, name, event, is_directory } => match self.table.purpose(watch) {
                    Some(Watched::Directory(directory)) => self.name(&directory, &name, event, is_directory),
                    Some(Watched::Head) => self.is_head_changed |= name == b"HEAD",
                    Some(Watched::Rules) if name == b"exclude" => self.dirty = Dirty::everything(),
                    Some(Watched::Rules) | None => {}
                },
            }
        }
        if self.is_head_changed || !self.dirty.is_empty() || !self.written.is_empty() {
            self.due.get_or_insert(Instant::now() + DEBOUNCE);
        }
    }

    /// Nobody knows what has happened.
    fn overflowed(&mut self) {
        tracing::info!(root = %self.checkout.worktree, "too many files changed at once; all are looked at again");
        self.dirty = Dirty::everything();
        self.is_head_changed = true;
    }

    fn name(&mut self, directory: &[u8], name: &[u8], event: Event, is_directory: bool) {
        if ignore::decides(name) {
            self.dirty.all.insert(directory.to_vec());
            if name == b".git" {
                return;
            }
        }
        let path = listing::child(directory, name);
        match event {
            Event::Written => drop(self.written.insert(path)),
            Event::Came | Event::Went => {
                self.dirty.names.insert(directory.to_vec());
                if is_directory {
                    // One may have taken the place of another, which nothing else would tell.
                    self.dirty.all.insert(path);
                } else if event == Event::Came {
                    // One that takes the place of another, as editors save, is a change of it.
                    self.written.insert(path);
                }
            }
        }
    }

    /// Makes sure that whatever had happened before a moment is known.
    async fn freshen(&mut self, since: Instant) {
        self.notice();
        if self.known < since {
            // As long as watches are being given out, what has none yet must not be missed.
            self.look(if self.offered.is_some() { Duration::ZERO } else { POLL_PAUSE }).await;
        }
        if !self.dirty.is_empty() || self.is_head_changed || self.failure.is_some() {
            self.look_again().await;
        }
    }

    /// Looks at what nobody watches, unless that was done within this time.
    async fn look(&mut self, within: Duration) {
        let is_time = self.looked.elapsed() >= POLL_INTERVAL;
        if self.looked.elapsed() < within || (!is_time && self.unwatched == 0) {
            return;
        }
        let began = Instant::now();
        let (root, tree, all_watched) = (self.checkout.worktree.clone(), Arc::clone(&self.tree), self.unwatched == 0);
        let looked = self
            .blocking(move |_| {
                let mut dirty = Dirty::default();
                for node in tree.nodes().iter().filter(|node| !all_watched && is_unsafe(&tree, node) && walk::is_changed(&root, node)) {
                    if node.watch == UNWATCHED {
                        note_changed(&mut dirty, &node.listing);
                    } else {
                        // Its watch may be on what has moved away.
                        dirty.all.insert(node.listing.directory().to_vec());
                    }
                }
                (dirty, is_time.then(|| ignore::outside(&root)))
            })
            .await;
        let Ok((dirty, outside)) = looked else { return };
        self.dirty.names.extend(dirty.names);
        self.dirty.all.extend(dirty.all);
        if let Some(outside) = outside
            && outside != self.outside
        {
            self.outside = outside;
            self.dirty = Dirty::everything();
        }
        self.is_head_changed |= self.table.is_full();
        (self.looked, self.look_took, self.known) = (Instant::now(), began.elapsed(), began);
    }

    /// Looks again at what has changed, and notes what is to be told of it.
    async fn look_again(&mut self) {
        self.due = None;
        if self.failure.is_some() {
            self.dirty = Dirty::everything();
        }
        let (dirty, written) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.written));
        if !dirty.is_empty() {
            self.read_again(dirty, &written).await;
        } else {
            for path in written {
                if self.tree.what(&path) == Some(EntryKind::File) {
                    self.changes.note(path, FileEvent::Change);
                }
            }
        }
        if std::mem::take(&mut self.is_head_changed) {
            self.look_at_head().await;
        }
        if !self.changes.is_empty() && self.tell.is_none() {
            let pause = self.changes.pause();
            self.tell = Some(if pause < POLL_PAUSE * 2 { Instant::now() } else { Instant::now() + pause });
        }
    }

    async fn read_again(&mut self, dirty: Dirty, written: &BTreeSet<Vec<u8>>) {
        let (checkout, old, table) = (self.checkout.clone(), Arc::clone(&self.tree), Arc::clone(&self.table));
        let was_readable = self.failure.is_none();
        let read = self
            .blocking(move |cancel| {
                let tree = refresh(&checkout.worktree, &old, &dirty, Bounds::of(&checkout), &*table, &|| cancel.load(Ordering::Relaxed))?;
                let mut changes = Vec::new();
                old.difference(&tree, |path, is_new| changes.push((path, if is_new { FileEvent::Add } else { FileEvent::Unlink })));
                Ok((tree, changes))
            })
            .await;
        match read.and_then(|read: io::Result<_>| read) {
            Ok((tree, changes)) => {
                let before = Arc::clone(&self.tree);
                // What came before its directories were all watched is watched by now, or is looked at.
                let moved = self.table.moved();
                if !moved.is_empty() {
                    self.dirty.all.extend(moved.into_iter().filter(|directory| tree.position(directory).is_some()));
                    self.due.get_or_insert(Instant::now());
                }
                self.take(tree);
                self.offered = (self.unwatched > 0 && !self.table.is_full()).then_some(0);
                if was_readable {
                    for (path, event) in changes {
                        self.changes.note(path, event);
                    }
                }
                for path in written {
                    if before.what(path) == Some(EntryKind::File) && self.tree.what(path) == Some(EntryKind::File) {
                        self.changes.note(path.clone(), FileEvent::Change);
                    }
                }
            }
            Err(error) => {
                if was_readable {
                    let empty = Tree::default();
                    let mut gone = Vec::new();
                    self.tree.difference(&empty, |path, _| gone.push(path));
                    gone.into_iter().for_each(|path| self.changes.note(path, FileEvent::Unlink));
                }
                self.fail(&error);
            }
        }
    }

    async fn look_at_head(&mut self) {
        let Some(git_dir) = self.checkout.git.as_ref().map(|git| git.own.clone()) else { return };
        let Ok(Some(head)) = self.blocking(move |_| Head::read(git_dir.as_path())).await else { return };
        let branch = |head: &Option<Head>| head.as_ref().and_then(Head::branch).map(str::to_owned);
        let before = self.head.replace(head);
        // From one commit to another there is no branch either way.
        if before.is_some() && branch(&before) != branch(&self.head) {
            let root = self.checkout.worktree.clone();
            let payload = EventPayload::VcsBranchUpdated(BranchInfo { branch: branch(&self.head) });
            self.notifier.notify(&self.checkout.project, vec![(root, payload)]).await;
        }
    }

    async fn tell(&mut self) {
        let now = Instant::now();
        let events = self.changes.take(now).into_iter().map(|(path, event)| {
            let full = self.checkout.worktree.join(names::as_path(&path));
            // A file's event happens in its directory, so that whoever follows that one is told.
            let is_whole_directory = self.tree.position(&path).is_some();
            let directory = if is_whole_directory { Some(full.clone()) } else { full.parent() };
            let payload = EventPayload::FileChanged(FileChangedInfo { path: full.to_string(), event });
            (directory.unwrap_or_else(|| self.checkout.worktree.clone()), payload)
        });
        let events: Vec<_> = events.collect();
        self.tell = (!self.changes.is_empty()).then(|| now + self.changes.pause());
        if !events.is_empty() {
            self.notifier.notify(&self.checkout.project, events).await;
        }
    }
}

/// A directory that is not as it was read: where it holds rules, those may be what changed.
fn note_changed(dirty: &mut Dirty, listing: &listing::Listing) {
    let holds_rules = listing.find(b".gitignore").is_some() || listing.find(b".ignore").is_some();
    let directories = if holds_rules { &mut dirty.all } else { &mut dirty.names };
    directories.insert(listing.directory().to_vec());
}

/// Whether nobody watches a directory, or nobody would tell that another has taken its place.
fn is_unsafe(tree: &Tree, node: &Node) -> bool {
    let is_unwatched = |node: &Node| node.watch == UNWATCHED;
    is_unwatched(node) || listing::split(node.listing.directory()).is_some_and(|(parent, _)| tree.get(parent).is_none_or(is_unwatched))
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
