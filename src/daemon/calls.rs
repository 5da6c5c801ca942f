//! How many calls there have been, how they ended, and which took longest. A call that is fast costs a few atomic
//! operations and allocates nothing.

use std::{
    cmp::Reverse,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use polytree_protocol::errors::ErrorKind;

use crate::stdx::time::now_ms;

/// How many of the slowest calls are kept.
const KEPT: usize = 20;
/// For how long they are of interest.
const INTEREST_MS: i64 = 60 * 60 * 1000;
/// These wait for the end of a turn by their nature, so their length says nothing about the daemon.
const WAITING: &[&str] = &["session.prompt", "session.command", "session.shell", "session.compact", "session.init"];

/// A call that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// The method.
    pub method: &'static str,
    /// The connection that it came by; 0 when it came by none.
    pub connection: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended: i64,
    /// Its error.
    pub error: Option<ErrorKind>,
}

/// The calls of a daemon.
#[derive(Debug, Default)]
pub struct Calls {
    total: AtomicU64,
    failed: [AtomicU64; ErrorKind::ALL.len()],
    /// Only what took longer than this can be among the slowest.
    threshold: AtomicU64,
    // Held for an insert or a copy of a few entries.
    slowest: Mutex<Vec<Slow>>,
}

impl Calls {
    /// A call begins. One that is dropped before its end was cancelled.
    pub fn begin(&self, method: &'static str, connection: u64) -> Call<'_> {
        self.total.fetch_add(1, Ordering::Relaxed);
        Call { calls: self, method, connection, began: Instant::now(), outcome: Some(ErrorKind::Cancelled) }
    }

    /// A call was refused before it began.
    pub fn refused(&self, kind: ErrorKind) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.count(kind);
    }

    /// How many there have been.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many failed, by kind; only kinds that occurred.
    #[must_use]
    pub fn failed(&self) -> Vec<(ErrorKind, u64)> {
        let counts = ErrorKind::ALL.iter().map(|kind| (*kind, self.failed[*kind as usize].load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The slowest of the last hour, the slowest first.
    #[must_use]
    pub fn slowest(&self) -> Vec<Slow> {
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        self.tidy(&mut slowest, now_ms());
        slowest.clone()
    }

    fn count(&self, kind: ErrorKind) {
        self.failed[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, slow: Slow) {
        if let Some(kind) = slow.error {
            self.count(kind);
        }
        if slow.micros < self.threshold.load(Ordering::Relaxed) || WAITING.contains(&slow.method) {
            return;
        }
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.push(slow);
        self.tidy(&mut slowest, slow.ended);
    }

    /// Forgets what is too old or too fast.
    fn tidy(&self, slowest: &mut Vec<Slow>, now: i64) {
        slowest.retain(|slow| now - slow.ended < INTEREST_MS);
        slowest.sort_by_key(|slow| Reverse(slow.micros));
        slowest.truncate(KEPT);
        let threshold = if slowest.len() < KEPT { 0 } else { slowest.last().map_or(0, |fastest| fastest.micros + 1) };
        self.threshold.store(threshold, Ordering::Relaxed);
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Call<'a> {
    calls: &'a Calls,
    method: &'static str,
    connection: u64,
    began: Instant,
    outcome: Option<ErrorKind>,
}

impl Call<'_> {
    /// It has ended, well or with an error.
    pub fn end(mut self, error: Option<ErrorKind>) {
        self.outcome = error;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.calls.ended(Slow { method: self.method, connection: self.connection, micros, ended: now_ms(), error: self.outcome });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(micros: u64, ended: i64) -> Slow {
        Slow { method: "a.b", connection: 1, micros, ended, error: None }
    }

    #[test]
    fn calls_are_counted_with_their_ends() {
        let calls = Calls::default();
        calls.begin("a.b", 1).end(None);
        calls.begin("a.c", 2).end(Some(ErrorKind::NotFound));
        drop(calls.begin("a.d", 3));
        calls.refused(ErrorKind::MethodNotFound);
        calls.begin("session.prompt", 1).end(Some(ErrorKind::NotFound));
        assert_eq!(calls.total(), 5);
        assert_eq!(calls.failed(), [(ErrorKind::MethodNotFound, 1), (ErrorKind::NotFound, 2), (ErrorKind::Cancelled, 1)]);
        let mut seen: Vec<_> = calls.slowest().iter().map(|slow| (slow.method, slow.error)).collect();
        seen.sort_unstable_by_key(|(method, _)| *method);
        assert_eq!(seen, [("a.b", None), ("a.c", Some(ErrorKind::NotFound)), ("a.d", Some(ErrorKind::Cancelled))]);
    }

    #[test]
    fn every_kind_has_its_counter() {
        let calls = Calls::default();
        for kind in ErrorKind::ALL {
            calls.refused(*kind);
        }
        assert!(calls.failed().iter().map(|(kind, count)| (*kind, *count)).eq(ErrorKind::ALL.iter().map(|kind| (*kind, 1))));
    }

    #[test]
    fn what_is_old_makes_room() {
        let calls = Calls::default();
        let now = now_ms();
        for micros in 0..30 {
            calls.ended(slow(1000 + micros, now - INTEREST_MS - 1));
        }
        calls.ended(slow(1, now));
        // The threshold of the old ones holds until somebody looks.
        assert_eq!(calls.slowest().len(), 0);
        calls.ended(slow(1, now));
        assert_eq!(calls.slowest(), [slow(1, now)]);
    }

    proptest! {
        #[test]
        fn the_slowest_are_kept(durations in prop::collection::vec(0..1000u64, 0..100)) {
            let (calls, now) = (Calls::default(), now_ms());
            for micros in &durations {
                calls.ended(slow(*micros, now));
            }
            let mut expected = durations;
            expected.sort_unstable_by_key(|micros| Reverse(*micros));
            expected.truncate(KEPT);
            prop_assert_eq!(calls.slowest().iter().map(|slow| slow.micros).collect::<Vec<_>>(), expected);
        }
    }
}
