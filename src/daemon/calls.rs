//! Counts calls and their errors, and keeps the slowest calls. A fast call costs a few atomic operations and no
//! allocation.

use std::{
    cmp::Reverse,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use polytree_protocol::{
    diagnose::{DiagnosisCall, DiagnosisCalls},
    errors::ErrorKind,
};

use crate::stdx::time::now_ms;

const MAX_SLOWEST: usize = 20;
const MAX_AGE_MS: i64 = 60 * 60 * 1000;
/// Methods that wait for the end of a turn: their duration says nothing about the daemon.
const WAITING_METHODS: &[&str] = &["session.prompt", "session.command", "session.shell", "session.compact", "session.init"];

/// The calls of a daemon.
#[derive(Debug, Default)]
pub struct Calls {
    total: AtomicU64,
    failed: [AtomicU64; ErrorKind::ALL.len()],
    /// Only calls that take at least this many microseconds can be among the slowest.
    threshold: AtomicU64,
    // With their durations in microseconds. Locked for an insert or a copy of a few entries.
    slowest: Mutex<Vec<(u64, DiagnosisCall)>>,
}

impl Calls {
    /// A call begins. If the value is dropped without [`Call::end`], the call was cancelled.
    pub fn begin(&self, method: &'static str, connection: u64) -> Call<'_> {
        self.total.fetch_add(1, Ordering::Relaxed);
        Call { calls: self, method, connection, began: Instant::now(), outcome: Some(ErrorKind::Cancelled) }
    }

    /// A call was refused before it began.
    pub fn refused(&self, kind: ErrorKind) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.count(kind);
    }

    /// The counters, and the slowest calls of the last hour.
    #[must_use]
    pub fn diagnosis(&self) -> DiagnosisCalls {
        let counts = ErrorKind::ALL.iter().map(|kind| (kind.word().to_owned(), self.failed[*kind as usize].load(Ordering::Relaxed)));
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        self.tidy(&mut slowest, now_ms());
        DiagnosisCalls {
            total: self.total.load(Ordering::Relaxed),
            failed: counts.filter(|(_, count)| *count > 0).collect(),
            slowest: slowest.iter().map(|(_, call)| call.clone()).collect(),
        }
    }

    fn count(&self, kind: ErrorKind) {
        self.failed[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, method: &str, connection_id: u64, micros: u64, error: Option<ErrorKind>, ended: i64) {
        if let Some(kind) = error {
            self.count(kind);
        }
        if micros < self.threshold.load(Ordering::Relaxed) || WAITING_METHODS.contains(&method) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
        let duration_ms = micros as f64 / 1000.0;
        let error = error.map(|kind| kind.word().to_owned());
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.push((micros, DiagnosisCall { method: method.to_owned(), connection_id, duration_ms, ended, error }));
        self.tidy(&mut slowest, ended);
    }

    /// Removes calls that are too old or too fast.
    fn tidy(&self, slowest: &mut Vec<(u64, DiagnosisCall)>, now: i64) {
        slowest.retain(|(_, call)| now - call.ended < MAX_AGE_MS);
        slowest.sort_by_key(|(micros, _)| Reverse(*micros));
        slowest.truncate(MAX_SLOWEST);
        let threshold = if slowest.len() < MAX_SLOWEST { 0 } else { slowest.last().map_or(0, |(micros, _)| micros + 1) };
        self.threshold.store(threshold, Ordering::Relaxed);
    }
}

/// A call in progress.
#[derive(Debug)]
pub struct Call<'a> {
    calls: &'a Calls,
    method: &'static str,
    connection: u64,
    began: Instant,
    outcome: Option<ErrorKind>,
}

impl Call<'_> {
    /// The call has ended; `error` if it failed.
    pub fn end(mut self, error: Option<ErrorKind>) {
        self.outcome = error;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.calls.ended(self.method, self.connection, micros, self.outcome, now_ms());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_and_errors_are_counted() {
        let calls = Calls::default();
        calls.begin("a.b", 1).end(None);
        calls.begin("a.c", 2).end(Some(ErrorKind::NotFound));
        drop(calls.begin("a.d", 3));
        calls.refused(ErrorKind::MethodNotFound);
        calls.begin("session.prompt", 1).end(Some(ErrorKind::NotFound));
        let found = calls.diagnosis();
        let failed: Vec<_> = found.failed.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!((found.total, &failed[..]), (5, &[("cancelled", 1), ("method_not_found", 1), ("not_found", 2)][..]));
        let mut seen: Vec<_> = found.slowest.iter().map(|slow| (slow.method.as_str(), slow.error.as_deref())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [("a.b", None), ("a.c", Some("not_found")), ("a.d", Some("cancelled"))]);
    }

    #[test]
    fn every_error_kind_has_a_counter() {
        let calls = Calls::default();
        for kind in ErrorKind::ALL {
            calls.refused(*kind);
        }
        let failed = calls.diagnosis().failed;
        assert!(failed.len() == ErrorKind::ALL.len() && failed.values().all(|count| *count == 1), "{failed:?}");
    }

    #[test]
    fn old_calls_are_removed() {
        let (calls, now) = (Calls::default(), now_ms());
        for micros in 0..30 {
            calls.ended("a.b", 1, 1000 + micros, None, now - MAX_AGE_MS - 1);
        }
        calls.ended("a.b", 1, 1, None, now);
        // Their threshold is in effect until the next report.
        assert_eq!(calls.diagnosis().slowest.len(), 0);
        calls.ended("a.b", 1, 1, None, now);
        assert_eq!(calls.diagnosis().slowest.len(), 1);
    }

    proptest! {
        #[test]
        fn the_slowest_are_kept(durations in prop::collection::vec(0..1000u32, 0..100)) {
            let (calls, now) = (Calls::default(), now_ms());
            for micros in &durations {
                calls.ended("a.b", 1, u64::from(*micros), None, now);
            }
            let mut expected = durations;
            expected.sort_unstable_by_key(|micros| Reverse(*micros));
            expected.truncate(MAX_SLOWEST);
            let expected: Vec<f64> = expected.into_iter().map(|micros| f64::from(micros) / 1000.0).collect();
            prop_assert_eq!(calls.diagnosis().slowest.iter().map(|slow| slow.duration_ms).collect::<Vec<_>>(), expected);
        }
    }
}
