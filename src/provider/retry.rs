//! When a failed model call is tried again, and how long to wait before. Pure: the caller sleeps and counts.

use crate::provider::definition::Error;

/// How often a failed call is tried again, and the waits between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// The wait before the first retry, in milliseconds; each further one doubles it.
    pub(crate) base_ms: u64,
    /// The longest wait that we choose ourselves; a service that names a time is believed beyond it.
    pub(crate) cap_ms: u64,
    /// The most retries after the first call.
    pub(crate) attempts: u32,
}

/// A longer time that a service asks for is not waited; the failure is told instead.
const MAX_RETRY_AFTER_MS: u64 = 60 * 60 * 1000;

impl Default for RetryPolicy {
    /// 2 s, doubling, at most 30 s, 8 retries: about three minutes in all, enough for an overload or a restart
    /// of the service, and short enough that a person is still there.
    fn default() -> Self {
        Self { base_ms: 2_000, cap_ms: 30_000, attempts: 8 }
    }
}

/// Short waits for failures that the first few tries decide: an empty answer, a server that does not run.
const QUICK: RetryPolicy = RetryPolicy { base_ms: 500, cap_ms: 2_000, attempts: 3 };
/// A server that does not run, or an unknown host, is tried once more.
const UNREACHABLE_RETRIES: u32 = 1;

/// The calls in a row that have failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    all: u32,
    empty: u32,
    unreachable: u32,
}

impl Failures {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.all
    }

    /// Counts a failure; gives how long to wait before the next try, in milliseconds, or `None` to give up. For `jitter`
    /// see [`decide`].
    pub fn add(&mut self, error: &Error, jitter: f64) -> Option<u64> {
        self.all += 1;
        let (policy, attempt) = match error {
            Error::Empty { .. } => {
                self.empty += 1;
                (QUICK, self.empty)
            }
            Error::Unreachable { .. } => {
                self.unreachable += 1;
                (RetryPolicy { attempts: UNREACHABLE_RETRIES, ..QUICK }, self.unreachable)
            }
            _ => (RetryPolicy::default(), self.all),
        };
        decide(policy, error, attempt, jitter)
    }
}

/// Whether trying the same call again may help.
#[must_use]
pub fn is_retryable(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
        Error::Connection { .. } | Error::Unreachable { .. } | Error::Empty { .. } => true,
        Error::Stream { retryable, .. } => *retryable,
        Error::Credentials { .. }
        | Error::Quota { .. }
        | Error::ModelNotFound { .. }
        | Error::ContentFilter { .. }
        | Error::Network { .. }
        | Error::ContextOverflow { .. }
        | Error::Request { .. } => false,
    }
}

/// How long to wait before the next try, in milliseconds; `None` to give up.
///
/// `attempt` counts the calls that have failed so far, from 1. `jitter` from 0 to 1 spreads our own waits by up to a
/// tenth downwards, so that many sessions do not return in step; a time that the service named is never shortened.
#[must_use]
pub(crate) fn decide(policy: RetryPolicy, error: &Error, attempt: u32, jitter: f64) -> Option<u64> {
    if attempt > policy.attempts || !is_retryable(error) {
        return None;
    }
    if let Error::Status { retry_after: Some(asked), .. } = error {
        return (*asked <= MAX_RETRY_AFTER_MS).then_some(*asked);
    }
    let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let wait = policy.base_ms.saturating_mul(factor).min(policy.cap_ms);
    // The jitter in thousandths, so that the arithmetic stays in integers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 first")]
    let thousandths = (jitter.clamp(0.0, 1.0) * 1000.0) as u64;
    Some(wait - wait / 10 * thousandths / 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> Error {
        Error::Status { status, message: String::new(), retry_after }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<_> = (1..=9).map(|attempt| decide(RetryPolicy::default(), &status(503, None), attempt, 0.0)).collect();
        let expected = [2, 4, 8, 16, 30, 30, 30, 30].map(|seconds| Some(seconds * 1000));
        assert_eq!(waits[..8], expected);
        assert_eq!(waits[8], None);
    }

    #[test]
    fn the_service_is_believed() {
        let policy = RetryPolicy::default();
        assert_eq!(decide(policy, &status(429, Some(45_000)), 1, 1.0), Some(45_000));
        assert_eq!(decide(policy, &status(429, Some(0)), 3, 1.0), Some(0));
        assert_eq!(decide(policy, &status(429, Some(2 * MAX_RETRY_AFTER_MS)), 1, 0.0), None);
    }

    #[test]
    fn what_is_tried_again() {
        let message = String::new;
        for code in [408, 409, 429, 500, 502, 503, 504, 529, 599] {
            assert!(is_retryable(&status(code, None)), "{code}");
        }
        for code in [400, 404, 405, 410, 413, 422] {
            assert!(!is_retryable(&status(code, None)), "{code}");
        }
        assert!(is_retryable(&Error::Connection { message: message() }));
        assert!(is_retryable(&Error::Stream { message: message(), retryable: true }));
        assert!(!is_retryable(&Error::Stream { message: message(), retryable: false }));
        assert!(!is_retryable(&Error::Credentials { message: message() }));
        assert!(!is_retryable(&Error::Quota { message: message() }));
        assert!(!is_retryable(&Error::ModelNotFound { message: message() }));
        assert!(!is_retryable(&Error::ContentFilter { message: message() }));
        assert!(!is_retryable(&Error::Network { message: message(), hint: None }));
        assert!(!is_retryable(&Error::ContextOverflow { message: message() }));
        assert!(!is_retryable(&Error::Request { message: message() }));
    }

    #[test]
    fn what_the_first_tries_tell_is_not_tried_for_minutes() {
        let tries = |error: &Error| {
            let mut failures = Failures::default();
            let waits: Vec<u64> = std::iter::from_fn(|| failures.add(error, 0.0)).collect();
            assert_eq!(failures.count() as usize, waits.len() + 1);
            waits
        };
        assert_eq!(tries(&Error::Unreachable { message: String::new(), hint: None }), [500]);
        assert_eq!(tries(&Error::Empty { message: String::new() }), [500, 1000, 2000]);
        assert_eq!(tries(&Error::Connection { message: String::new() }).len(), 8);
        // Failures of other kinds before it take no try away.
        let mut failures = Failures::default();
        for _ in 0..5 {
            failures.add(&status(503, None), 0.0).unwrap();
        }
        assert_eq!(failures.add(&Error::Empty { message: String::new() }, 0.0), Some(500));
    }

    proptest! {
        #[test]
        fn own_waits_stay_within_the_policy(base in 0_u64..1 << 40, cap in 0_u64..1 << 40, attempt in 1_u32..200, jitter in -1.0..2.0_f64) {
            let policy = RetryPolicy { base_ms: base, cap_ms: cap, attempts: 200 };
            let wait = decide(policy, &status(500, None), attempt, jitter).unwrap();
            prop_assert!(wait <= cap);
            prop_assert!(wait >= base.min(cap) - base.min(cap) / 10);
        }

        #[test]
        fn waits_never_shrink_with_attempts(attempt in 1_u32..100) {
            let policy = RetryPolicy { attempts: 200, ..RetryPolicy::default() };
            prop_assert!(decide(policy, &status(500, None), attempt, 0.5) <= decide(policy, &status(500, None), attempt + 1, 0.5));
        }

        #[test]
        fn gives_up_after_the_last_attempt(attempts in 0_u32..50, beyond in 1_u32..50) {
            let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
            prop_assert_eq!(decide(policy, &status(500, None), attempts + beyond, 0.0), None);
            prop_assert_eq!(decide(policy, &status(429, Some(1)), attempts + beyond, 0.0), None);
        }
    }
}
