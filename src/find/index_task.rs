//! The task that maintains one index. It reads the tree, adds watches while it already answers requests, rereads
//! changed directories, and emits events for changes. Directories without a watch are polled before each answer.

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
    snapshot::{Snapshot, TreeRequest, Unreadable},
    touched::Gatherers,
    tree::{NO_WATCH, Node, Tree},
    walk::{self, Bounds, NoWatches},
    watch::{
        Event, Notice,
        table::{Purpose, WatchBudget, WatchTable},
    },
};
use crate::{
    file::names,
    git::{Checkout, head::Head, ignore},
    stdx::tasks::Tasks,
};

/// The debounce time: changes are collected for this long before they are read, unless there is a request.
const DEBOUNCE: Duration = Duration::from_millis(40);
/// How often directories without a watch are polled; less often if polling is slow.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest time between two polls for requests.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How many watches are added before requests are answered again.
const WATCH_BATCH: usize = 512;

pub struct IndexTask {
    checkout: Checkout,
    siblings: Vec<Weak<Mutex<Snapshot>>>,
    snapshot: Arc<Mutex<Snapshot>>,
    notifier: Notifier,
    gatherers: Arc<Gatherers>,
    table: Arc<WatchTable>,
    cancel: Arc<AtomicBool>,
    tree: Arc<Tree>,
    failure: Option<Unreadable>,
    dirty: Dirty,
    modified: BTreeSet<Vec<u8>>,
    changes: ChangeBatch,
    head: Option<Head>,
    is_head_changed: bool,
    outer_rules: Vec<(PathBuf, u64)>,
    /// The first directory that may still get a watch; `None` when all were tried.
    next_unwatched: Option<usize>,
    /// When to read collected changes, and when to emit events.
    refresh_at: Option<Instant>,
    emit_at: Option<Instant>,
    polled: Instant,
    poll_duration: Duration,
    /// The tree includes all changes before this time, in unwatched directories too.
    current_until: Instant,
    /// The number of directories without a watch.
    unwatched: usize,
}

impl IndexTask {
    pub fn new(
        checkout: Checkout,
        siblings: Vec<Weak<Mutex<Snapshot>>>,
        snapshot: Arc<Mutex<Snapshot>>,
        notifier: Notifier,
        gatherers: Arc<Gatherers>,
        budget: Arc<WatchBudget>,
    ) -> Self {
        let now = Instant::now();
        Self {
            checkout,
            siblings,
            snapshot,
            notifier,
            gatherers,
            table: Arc::new(WatchTable::new(budget)),
            cancel: Arc::default(),
            tree: Arc::default(),
            failure: None,
            dirty: Dirty::default(),
            modified: BTreeSet::new(),
            changes: ChangeBatch::new(now),
            head: None,
            is_head_changed: false,
            outer_rules: Vec::new(),
            next_unwatched: Some(0),
            refresh_at: None,
            emit_at: None,
            polled: now,
            poll_duration: Duration::ZERO,
            current_until: now,
            unwatched: 0,
        }
    }

    pub async fn run(mut self, mut requests: mpsc::UnboundedReceiver<TreeRequest>, token: CancellationToken) {
        let cancel = Arc::clone(&self.cancel);
        tokio::select! {
            () = token.cancelled() => {}
            () = self.serve(&mut requests) => {}
        }
        // Stops background reads too.
        cancel.store(true, Ordering::Relaxed);
    }

    async fn serve(&mut self, requests: &mut mpsc::UnboundedReceiver<TreeRequest>) {
        self.read_all().await;
        loop {
            let table = Arc::clone(&self.table);
            let next_poll = self.polled + POLL_INTERVAL.max(self.poll_duration * 50);
            tokio::select! {
                biased;
                // First, so that a stream of requests cannot starve them.
                () = at(self.emit_at) => self.emit().await,
                () = at(self.refresh_at) => self.refresh_dirty().await,
                request = requests.recv() => {
                    let Some(request) = request else { return };
                    let mut batch = vec![request];
                    while let Ok(request) = requests.try_recv() {
                        batch.push(request);
                    }
                    let since = batch.iter().map(|request| request.since).max();
                    self.bring_up_to_date(since.unwrap_or_else(Instant::now)).await;
                    let answer = self.failure.clone().map_or_else(|| Ok(Arc::clone(&self.tree)), Err);
                    for request in batch {
                        let _ = request.answer.send(answer.clone());
                    }
                }
                () = table.ready() => self.process_notices(),
                () = at(Some(next_poll)), if self.next_unwatched.is_none() && (self.unwatched > 0 || self.failure.is_some()) => {
                    self.poll(Duration::ZERO).await;
                    self.refresh_dirty().await;
                }
                // Last, so that everything else has priority.
                () = std::future::ready(()), if self.next_unwatched.is_some() => self.add_watches().await,
            }
        }
    }

    /// Runs blocking work, which is cancelled with the task.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> io::Result<T> {
        let cancel = Arc::clone(&self.cancel);
        Tasks::spawn_blocking(move || work(&cancel)).await.map_err(io::Error::other)
    }

    /// Reads the whole tree for the first time.
    async fn read_all(&mut self) {
        let checkout = self.checkout.clone();
        let siblings: Vec<Arc<Tree>> = self
            .siblings
            .iter()
            .filter_map(Weak::upgrade)
            .map(|other| Arc::clone(&other.lock().unwrap_or_else(PoisonError::into_inner).tree))
            .collect();
        let started = Instant::now();
        let read = self
            .blocking(move |cancel| {
                let (root, bounds) = (&checkout.worktree, Bounds::of(&checkout));
                let walked = walk::walk(root, b"", ignore::Rules::above(root), bounds, &NoWatches, &|| cancel.load(Ordering::Relaxed))?;
                let mut tree = refresh::remove_closed(Tree::new(walked.nodes, walked.cut), &walked.closed);
                for other in &siblings {
                    tree.share(other);
                }
                Ok((tree, ignore::outer_rule_files(root), checkout.git.as_ref().and_then(|git| Head::read(git.own.as_path()))))
            })
            .await;
        match read.and_then(|read: io::Result<_>| read) {
            Ok((tree, outer_rules, head)) => {
                tracing::debug!(root = %self.checkout.worktree, entries = tree.entries(), took = ?started.elapsed(), "indexed files");
                (self.outer_rules, self.head, self.current_until) = (outer_rules, head, started);
                self.install(tree);
            }
            Err(error) => self.set_failure(&error),
        }
        if let Some(git) = &self.checkout.git {
            let _ = self.table.add(&git.own, Purpose::Head);
            let _ = self.table.add(&git.common.join("info"), Purpose::Rules);
            // `HEAD` may have changed before it was watched.
            self.is_head_changed = true;
        }
    }

    fn set_failure(&mut self, error: &io::Error) {
        self.failure = Some(Unreadable(error.to_string()));
        self.gatherers.lost();
        self.tree = Arc::default();
        self.unwatched = 0;
        self.publish();
    }

    fn install(&mut self, tree: Tree) {
        if let Some(cut) = tree.cut
            && self.tree.cut.is_none()
        {
            tracing::warn!(root = %self.checkout.worktree, ?cut, entries = tree.entries(), "the file index is incomplete");
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

    /// Adds watches to the next directories, and checks whether they have changed since they were read.
    async fn add_watches(&mut self) {
        let Some(start) = self.next_unwatched else { return };
        let end = (start + WATCH_BATCH).min(self.tree.nodes().len());
        let (root, tree, table) = (self.checkout.worktree.clone(), Arc::clone(&self.tree), Arc::clone(&self.table));
        let watched = self
            .blocking(move |cancel| {
                let mut watched = Vec::new();
                for (place, node) in tree.nodes()[start..end].iter().enumerate().filter(|(_, node)| node.watch == NO_WATCH) {
                    if table.is_full() || cancel.load(Ordering::Relaxed) {
                        break;
                    }
                    let watch = walk::AddWatch::add_watch(&*table, &root, node.listing.directory());
                    watched.push((start + place, watch, walk::is_changed(&root, node)));
                }
                watched
            })
            .await;
        let tree = Arc::make_mut(&mut self.tree);
        for (place, watch, is_changed) in watched.unwrap_or_default() {
            let node = &mut tree.nodes_mut()[place];
            node.watch = watch;
            self.unwatched -= usize::from(watch != NO_WATCH);
            if is_changed {
                mark_dirty(&mut self.dirty, &node.listing);
            }
        }
        if !self.dirty.is_empty() {
            self.refresh_at.get_or_insert(Instant::now());
        }
        self.next_unwatched = Some(end).filter(|end| *end < self.tree.nodes().len() && !self.table.is_full());
        if self.next_unwatched.is_none() {
            if self.unwatched > 0 {
                tracing::info!(root = %self.checkout.worktree, unwatched = self.unwatched, "directories without a watch are polled");
            }
            self.publish();
        }
    }

    /// Processes the notices of the watches.
    fn process_notices(&mut self) {
        for notice in self.table.drain() {
            match notice {
                Notice::Overflow => self.on_overflow(),
                Notice::Ended(watch) => {
                    if let Some(Purpose::Directory(directory)) = self.table.ended(watch) {
                        self.gatherers.touched(&directory);
                        self.dirty.all.insert(directory);
                    }
                }
                Notice::Name { watch, name, event, is_directory } => match self.table.purpose(watch) {
                    Some(Purpose::Directory(directory)) => self.on_name(&directory, &name, event, is_directory),
                    Some(Purpose::Head) => self.is_head_changed |= name == b"HEAD",
                    Some(Purpose::Rules) if name == b"exclude" => {
                        self.dirty = Dirty::everything();
                        self.gatherers.lost();
                    }
                    Some(Purpose::Rules) | None => {}
                },
            }
        }
        if self.is_head_changed || !self.dirty.is_empty() || !self.modified.is_empty() {
            self.refresh_at.get_or_insert(Instant::now() + DEBOUNCE);
        }
    }

    /// Events were lost: everything must be read again.
    fn on_overflow(&mut self) {
        tracing::info!(root = %self.checkout.worktree, "too many files changed at once; reading all of them again");
        self.dirty = Dirty::everything();
        self.gatherers.lost();
        self.is_head_changed = true;
    }

    fn on_name(&mut self, directory: &[u8], name: &[u8], event: Event, is_directory: bool) {
        if ignore::is_rule_file(name) {
            self.dirty.all.insert(directory.to_vec());
            self.gatherers.touched(directory);
            if name == b".git" {
                return;
            }
        }
        let path = listing::child(directory, name);
        self.gatherers.touched(&path);
        match event {
            Event::Attributes => {}
            Event::Modified => drop(self.modified.insert(path)),
            Event::Appeared | Event::Disappeared => {
                self.dirty.names.insert(directory.to_vec());
                if is_directory {
                    // It may have replaced another directory, for which there is no other event.
                    self.dirty.all.insert(path);
                } else if event == Event::Appeared {
                    // A file that replaces another, as when editors save, counts as a modification.
                    self.modified.insert(path);
                }
            }
        }
    }

    /// Makes sure that the tree includes all changes before `since`.
    async fn bring_up_to_date(&mut self, since: Instant) {
        self.process_notices();
        if self.current_until < since {
            // While watches are being added, directories without one must always be polled.
            self.poll(if self.next_unwatched.is_some() { Duration::ZERO } else { MIN_POLL_INTERVAL }).await;
        }
        if !self.dirty.is_empty() || self.is_head_changed || self.failure.is_some() {
            self.refresh_dirty().await;
        }
    }

    /// Polls directories without a watch, unless that was done within this time.
    async fn poll(&mut self, within: Duration) {
        let is_time = self.polled.elapsed() >= POLL_INTERVAL;
        if self.polled.elapsed() < within || (!is_time && self.unwatched == 0) {
            return;
        }
        let started = Instant::now();
        let (root, tree, all_watched) = (self.checkout.worktree.clone(), Arc::clone(&self.tree), self.unwatched == 0);
        let polled = self
            .blocking(move |_| {
                let mut dirty = Dirty::default();
                for node in tree.nodes().iter().filter(|node| !all_watched && is_unwatched(&tree, node) && walk::is_changed(&root, node)) {
                    if node.watch == NO_WATCH {
                        mark_dirty(&mut dirty, &node.listing);
                    } else {
                        // Its watch may belong to a directory that was moved away.
                        dirty.all.insert(node.listing.directory().to_vec());
                    }
                }
                (dirty, is_time.then(|| ignore::outer_rule_files(&root)))
            })
            .await;
        let Ok((dirty, outer_rules)) = polled else { return };
        self.dirty.names.extend(dirty.names);
        self.dirty.all.extend(dirty.all);
        if let Some(outer_rules) = outer_rules
            && outer_rules != self.outer_rules
        {
            self.outer_rules = outer_rules;
            self.dirty = Dirty::everything();
            self.gatherers.lost();
        }
        self.is_head_changed |= self.table.is_full();
        (self.polled, self.poll_duration, self.current_until) = (Instant::now(), started.elapsed(), started);
    }

    /// Reads changed directories and collects the events.
    async fn refresh_dirty(&mut self) {
        self.refresh_at = None;
        if self.failure.is_some() {
            self.dirty = Dirty::everything();
        }
        let (dirty, modified) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.modified));
        if !dirty.is_empty() {
            self.reread(dirty, &modified).await;
        } else {
            for path in modified {
                if self.tree.what(&path) == Some(EntryKind::File) {
                    self.changes.add(path, FileEvent::Change);
                }
            }
        }
        if std::mem::take(&mut self.is_head_changed) {
            self.check_head().await;
        }
        if !self.changes.is_empty() && self.emit_at.is_none() {
            let delay = self.changes.delay();
            self.emit_at = Some(if delay < MIN_POLL_INTERVAL * 2 { Instant::now() } else { Instant::now() + delay });
        }
    }

    async fn reread(&mut self, dirty: Dirty, modified: &BTreeSet<Vec<u8>>) {
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
                // A directory whose watch has moved elsewhere must be read again.
                let moved = self.table.moved();
                if !moved.is_empty() {
                    moved.iter().for_each(|directory| self.gatherers.touched(directory));
                    self.dirty.all.extend(moved.into_iter().filter(|directory| tree.position(directory).is_some()));
                    self.refresh_at.get_or_insert(Instant::now());
                }
                self.install(tree);
                self.next_unwatched = (self.unwatched > 0 && !self.table.is_full()).then_some(0);
                if was_readable {
                    for (path, event) in changes {
                        self.changes.add(path, event);
                    }
                }
                for path in modified {
                    if before.what(path) == Some(EntryKind::File) && self.tree.what(path) == Some(EntryKind::File) {
                        self.changes.add(path.clone(), FileEvent::Change);
                    }
                }
            }
            Err(error) => {
                if was_readable {
                    let empty = Tree::default();
                    let mut gone = Vec::new();
                    self.tree.difference(&empty, |path, _| gone.push(path));
                    gone.into_iter().for_each(|path| self.changes.add(path, FileEvent::Unlink));
                }
                self.set_failure(&error);
            }
        }
    }

    async fn check_head(&mut self) {
        let Some(git_dir) = self.checkout.git.as_ref().map(|git| git.own.clone()) else { return };
        let Ok(Some(head)) = self.blocking(move |_| Head::read(git_dir.as_path())).await else { return };
        let branch = |head: &Option<Head>| head.as_ref().and_then(Head::branch).map(str::to_owned);
        let before = self.head.replace(head);
        // Between two detached commits there is no branch change.
        if before.is_some() && branch(&before) != branch(&self.head) {
            let root = self.checkout.worktree.clone();
            let payload = EventPayload::VcsBranchUpdated(BranchInfo { branch: branch(&self.head) });
            self.notifier.notify(&self.checkout.project, vec![(root, payload)]).await;
        }
    }

    async fn emit(&mut self) {
        let now = Instant::now();
        let events = self.changes.take(now).into_iter().map(|(path, event)| {
            let full = self.checkout.worktree.join(names::as_path(&path));
            // The event of a file has the scope of its directory, for clients that follow that directory.
            let is_whole_directory = self.tree.position(&path).is_some();
            let directory = if is_whole_directory { Some(full.clone()) } else { full.parent() };
            let payload = EventPayload::FileChanged(FileChangedInfo { path: full.to_string(), event });
            (directory.unwrap_or_else(|| self.checkout.worktree.clone()), payload)
        });
        let events: Vec<_> = events.collect();
        self.emit_at = (!self.changes.is_empty()).then(|| now + self.changes.delay());
        if !events.is_empty() {
            self.notifier.notify(&self.checkout.project, events).await;
        }
    }
}

/// Marks a changed directory as dirty: with its contents if it has ignore files, which may have changed.
fn mark_dirty(dirty: &mut Dirty, listing: &listing::Listing) {
    let holds_rules = listing.find(b".gitignore").is_some() || listing.find(b".ignore").is_some();
    let directories = if holds_rules { &mut dirty.all } else { &mut dirty.names };
    directories.insert(listing.directory().to_vec());
}

/// Whether a directory has no watch, or its parent has none, so that a replacement would go unnoticed.
fn is_unwatched(tree: &Tree, node: &Node) -> bool {
    let has_no_watch = |node: &Node| node.watch == NO_WATCH;
    has_no_watch(node) || listing::split(node.listing.directory()).is_some_and(|(parent, _)| tree.get(parent).is_none_or(has_no_watch))
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
