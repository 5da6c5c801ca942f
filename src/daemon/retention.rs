//! Removes what is over the limits of the settings: hourly in the background, and when asked. Files go first, since they
//! make room on a full disk for the transactions that follow.

use std::{io, sync::Arc};

use polytree_protocol::{
    config::StorageConfig,
    gc::{GcKind, GcKindResult, GcTotal, ServerGcResult},
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Loader, Places},
    event::Events,
    session::Sessions,
    snapshot::Snapshots,
    stdx::{
        retention::{self, Clock, Item, Limit, Total},
        tasks::Tasks,
        time::now_ms,
    },
    store::{Needed, Store},
    tool::{
        context::Environment,
        kept::{self, KeptFile},
    },
};

/// How many files are removed before others get a turn.
const STEP_FILES: usize = 64;
/// Free pages of the database are given back from this share on (in percent): the log will need some of them again.
const FREE_PAGES: u64 = 25;

/// The limits of the settings.
#[derive(Debug, Clone, Copy)]
struct Limits {
    log: Limit,
    outputs: Limit,
    snapshots: Limit,
    archived: Limit,
}

impl Limits {
    fn new(storage: &StorageConfig) -> Self {
        let log = Limit::new(storage.log_days, 0);
        Self {
            // Of this size 0 is no exception.
            log: Limit { bytes: Some(storage.log_bytes), ..log },
            outputs: Limit::new(storage.output_days, storage.output_bytes),
            snapshots: Limit::new(storage.snapshot_days, storage.snapshot_bytes),
            archived: Limit::new(storage.archived_days, storage.archived_bytes),
        }
    }
}

/// Removes what is over the limits of the settings, one run at a time.
pub struct Retention {
    places: Places,
    store: Arc<Store>,
    events: Arc<Events>,
    sessions: Sessions,
    snapshots: Arc<Snapshots>,
    /// Its end ends a run between two steps.
    token: CancellationToken,
    running: Mutex<()>,
}

/// One run.
struct Run<'a> {
    of: &'a Retention,
    limits: Limits,
    is_dry: bool,
    /// Events up to this cursor are too old.
    old: u64,
    clock: Clock,
    /// What was used after this time may be in use now.
    since: i64,
}

impl Retention {
    pub(super) fn new(
        places: Places,
        store: Arc<Store>,
        events: Arc<Events>,
        sessions: Sessions,
        snapshots: Arc<Snapshots>,
        token: CancellationToken,
    ) -> Self {
        Self { places, store, events, sessions, snapshots, token, running: Mutex::default() }
    }

    /// Removes what is over the limits of the settings, as a client with these variables reads them; `is_dry` removes nothing.
    ///
    /// # Errors
    /// When the settings cannot be read. What cannot be removed is in the result.
    pub async fn collect(&self, environment: &Environment, is_dry: bool) -> Result<ServerGcResult, config::Error> {
        let limits = self.limits(environment)?;
        let _running = self.running.lock().await;
        let size = async || self.store.space().await.map_or(0, |(_, all)| all);
        let before = size().await;
        let kinds = self.begin(limits, is_dry).await.all().await;
        if !is_dry && let Err(error) = self.store.free_pages(0).await {
            tracing::warn!(%error, "the store could not be made smaller");
        }
        Ok(ServerGcResult { dry_run: is_dry, kinds, database_before: before, database_after: size().await })
    }

    /// The same in the background; `is_full`: all kinds, not only the events. Where the settings cannot be read nothing is
    /// removed: they might allow more than the defaults.
    pub async fn maintain(&self, environment: &Environment, is_full: bool) {
        let limits = match self.limits(environment) {
            Ok(limits) => limits,
            Err(error) => return tracing::warn!(%error, "nothing old is removed while the settings cannot be read"),
        };
        let Ok(_running) = self.running.try_lock() else { return };
        let run = self.begin(limits, false).await;
        let is_large = self.snapshots.size().is_some_and(|size| limits.snapshots.bytes.is_some_and(|limit| size > limit));
        let kinds = if is_full || is_large { run.all().await } else { vec![run.events().await] };
        for kind in kinds {
            if let Some(error) = kind.error {
                tracing::warn!(kind = ?kind.kind, error, "what is over the limits could not be removed");
            } else if kind.removed.count > 0 {
                tracing::info!(kind = ?kind.kind, count = kind.removed.count, bytes = kind.removed.bytes, "removed what was over the limits");
            }
        }
        if let Err(error) = self.store.free_pages(FREE_PAGES).await {
            tracing::warn!(%error, "the store could not be made smaller");
        }
    }

    fn limits(&self, environment: &Environment) -> Result<Limits, config::Error> {
        Ok(Limits::new(&Loader::new().load_user(&self.places, environment)?.config.storage))
    }

    async fn begin(&self, limits: Limits, is_dry: bool) -> Run<'_> {
        let (old, clock) = match self.events.age(limits.log.age.unwrap_or(i64::MAX)).await {
            Ok(aged) => aged,
            // On a full disk files can be removed all the same.
            Err(error) => {
                tracing::warn!(%error, "the age of events could not be stored");
                (0, self.store.clock(now_ms()).await.unwrap_or_default())
            }
        };
        let turns = self.sessions.working().into_iter().filter_map(|session| session.since);
        let since = turns.min().unwrap_or(i64::MAX).min(clock.now);
        Run { of: self, limits, is_dry, old, clock, since }
    }
}

impl Run<'_> {
    async fn all(&self) -> Vec<GcKindResult> {
        let needed = self.of.store.needed().await.map_err(|error| error.to_string());
        vec![self.outputs(&needed).await, self.snapshots(&needed).await, self.events().await, self.archived().await]
    }

    async fn outputs(&self, needed: &Result<Needed, String>) -> GcKindResult {
        let (directory, since) = (self.of.places.data.join("output"), self.since);
        let found = match needed {
            Ok(needed) => {
                let needed = needed.outputs.clone();
                Tasks::spawn_blocking(move || kept::files(&directory, &needed, since)).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.clone()),
        };
        self.files(GcKind::Outputs, found, self.limits.outputs, |file: &Item<KeptFile>| kept::remove(&file.what)).await
    }

    async fn snapshots(&self, needed: &Result<Needed, String>) -> GcKindResult {
        let found = match needed {
            Ok(needed) => self.of.snapshots.objects(needed.changes.clone(), self.since).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        let snapshots = Arc::clone(&self.of.snapshots);
        self.files(GcKind::Snapshots, found, self.limits.snapshots, move |object| snapshots.remove(object)).await
    }

    /// Removes files over the limits, some at a time.
    async fn files<T: Send + 'static>(
        &self,
        kind: GcKind,
        found: Result<Vec<Item<T>>, String>,
        limit: Limit,
        remove: impl Fn(&Item<T>) -> io::Result<bool> + Clone + Send + 'static,
    ) -> GcKindResult {
        let found = match found {
            Ok(found) => found,
            Err(error) => return GcKindResult { kind, error: Some(error), ..GcKindResult::default() },
        };
        let (all, mut over) = (Total::of(&found), retention::over(found, limit, &self.clock));
        let (mut removed, mut failed) = (Total::default(), None);
        if self.is_dry {
            removed = Total::of(&over);
            over.clear();
        }
        while !over.is_empty() && !self.of.token.is_cancelled() {
            let (step, remove): (Vec<Item<T>>, _) = (over.drain(..over.len().min(STEP_FILES)).collect(), remove.clone());
            let done = Tasks::spawn_blocking(move || {
                let (mut removed, mut failed) = (Total::default(), None);
                for item in step {
                    match remove(&item) {
                        Ok(true) => removed.add(item.bytes),
                        Ok(false) => {}
                        Err(error) => failed = Some(error.to_string()),
                    }
                }
                (removed, failed)
            });
            let Ok((step, error)) = done.await else { break };
            (removed.count, removed.bytes) = (removed.count + step.count, removed.bytes + step.bytes);
            failed = failed.or(error);
            tokio::task::yield_now().await;
        }
        GcKindResult { kind, removed: wire(removed), kept: wire(all.without(removed)), error: failed }
    }

    async fn events(&self) -> GcKindResult {
        let (store, bytes) = (&self.of.store, self.limits.log.bytes);
        let removed = if self.is_dry { store.events_over(self.old, bytes).await } else { store.trim_events(self.old, bytes).await };
        let rows = store.counts().await.unwrap_or_default();
        let mut kept = Total { count: rows.events, bytes: rows.event_bytes };
        let (removed, error) = split(removed);
        if self.is_dry {
            kept = kept.without(removed);
        }
        GcKindResult { kind: GcKind::Events, removed: wire(removed), kept: wire(kept), error }
    }

    async fn archived(&self) -> GcKindResult {
        // What a killed daemon has left of deleted sessions.
        if !self.is_dry
            && let Err(error) = self.of.store.purge().await
        {
            tracing::warn!(%error, "the messages of deleted sessions could not be removed");
        }
        let (all, over) = match self.of.store.archived(self.limits.archived, self.clock.clone()).await {
            Ok(found) => found,
            Err(error) => return GcKindResult { kind: GcKind::Archived, error: Some(error.to_string()), ..GcKindResult::default() },
        };
        let (mut removed, mut failed) = (Total::default(), None);
        for session in over {
            if self.is_dry {
                removed.add(session.bytes);
                continue;
            }
            if self.of.token.is_cancelled() {
                break;
            }
            match self.of.sessions.remove_archived(&session.what).await {
                Ok(true) => removed.add(session.bytes),
                Ok(false) => {}
                Err(error) => failed = Some(error.to_string()),
            }
        }
        GcKindResult { kind: GcKind::Archived, removed: wire(removed), kept: wire(all.without(removed)), error: failed }
    }
}

fn split(result: Result<Total, crate::store::Error>) -> (Total, Option<String>) {
    match result {
        Ok(total) => (total, None),
        Err(error) => (Total::default(), Some(error.to_string())),
    }
}

fn wire(total: Total) -> GcTotal {
    GcTotal { count: total.count, bytes: total.bytes }
}
