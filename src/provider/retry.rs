//! The retry policy for model requests. Pure: the caller sleeps and counts.

use crate::provider::definition::Error;

/// How often a failed request is retried, with exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// The delay before the first retry, in milliseconds; doubled at each further one.
    pub(crate) base_ms: u64,
    /// The upper limit of the backoff, in milliseconds; a time that the service asks for may be longer.
    pub(crate) cap_ms: u64,
    /// The limit of retries after the first request.
    pub(crate) attempts: u32,
}

/// If the service asks for a longer delay, there is no retry.
const MAX_RETRY_AFTER_MS: u64 = 60 * 60 * 1000;

impl Default for RetryPolicy {
    /// 2 s, doubling up to 30 s, 8 retries: about three minutes in all, enough for an overload or a restart of the
    /// service, and short enough for a waiting user.
    fn default() -> Self {
        Self { base_ms: 2_000, cap_ms: 30_000, attempts: 8 }
    }
}

/// A policy with short delays, for failures that a few attempts decide: an empty answer, a server that does not run.
const QUICK_POLICY: RetryPolicy = RetryPolicy { base_ms: 500, cap_ms: 2_000, attempts: 3 };
/// Retries for a server that does not run, or an unknown host.
const UNREACHABLE_RETRIES: u32 = 1;

/// Counts consecutive failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    all: u32,
    empty: u32,
    unreachable: u32,
}

impl Failures {
    pub fn count(&self) -> u32 {
        self.all
    }

    /// Counts a failure; returns the delay before the retry, in milliseconds, or `None` to give up. For `jitter` see
    /// [`decide`].
    pub fn add(&mut self, error: &Error, jitter: f64) -> Option<u64> {
        self.all += 1;
        let (policy, attempt) = match error {
            Error::Empty { .. } => {
                self.empty += 1;
                (QUICK_POLICY, self.empty)
            }
            Error::Unreachable { .. } => {
                self.unreachable += 1;
                (RetryPolicy { attempts: UNREACHABLE_RETRIES, ..QUICK_POLICY }, self.unreachable)
            }
            _ => (RetryPolicy::default(), self.all),
        };
        decide(policy, error, attempt, jitter)
    }
}

/// Whether a retry may help.
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

/// The delay before the retry, in milliseconds; `None` to give up.
///
/// `attempt` is the number of failures so far, from 1. `jitter` from 0 to 1 shortens the backoff by up to a tenth, so
/// that many sessions do not retry at the same time; a delay that the service asks for is never shortened.
pub(crate) fn decide(policy: RetryPolicy, error: &Error, attempt: u32, jitter: f64) -> Option<u64> {
    if attempt > policy.attempts || !is_retryable(error) {
        return None;
    }
    if let Error::Status { retry_after: Some(asked), .. } = error {
        return (*asked <= MAX_RETRY_AFTER_MS).then_some(*asked);
    }
    let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let wait = policy.base_ms.saturating_mul(factor).min(policy.cap_ms);
    // In thousandths, for integer arithmetic.
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
    fn delays_double_up_to_the_cap() {
        let waits: Vec<_> = (1..=9).map(|attempt| decide(RetryPolicy::default(), &status(503, None), attempt, 0.0)).collect();
        let expected = [2, 4, 8, 16, 30, 30, 30, 30].map(|seconds| Some(seconds * 1000));
        assert_eq!(waits[..8], expected);
        assert_eq!(waits[8], None);
    }

    #[test]
    fn a_delay_from_the_service_is_used() {
        let policy = RetryPolicy::default();
        assert_eq!(decide(policy, &status(429, Some(45_000)), 1, 1.0), Some(45_000));
        assert_eq!(decide(policy, &status(429, Some(0)), 3, 1.0), Some(0));
        assert_eq!(decide(policy, &status(429, Some(2 * MAX_RETRY_AFTER_MS)), 1, 0.0), None);
    }

    #[test]
    fn retryable_errors() {
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
    fn empty_and_unreachable_errors_use_the_quick_policy() {
        let tries = |error: &Error| {
            let mut failures = Failures::default();
            let waits: Vec<u64> = std::iter::from_fn(|| failures.add(error, 0.0)).collect();
            assert_eq!(failures.count() as usize, waits.len() + 1);
            waits
        };
        assert_eq!(tries(&Error::Unreachable { message: String::new(), hint: None }), [500]);
        assert_eq!(tries(&Error::Empty { message: String::new() }), [500, 1000, 2000]);
        assert_eq!(tries(&Error::Connection { message: String::new() }).len(), 8);
        // Failures of other kinds do not count.
        let mut failures = Failures::default();
        for _ in 0..5 {
            failures.add(&status(503, None), 0.0).unwrap();
        }
        assert_eq!(failures.add(&Error::Empty { message: String::new() }, 0.0), Some(500));
    }

    proptest! {
        #[test]
        fn backoff_stays_within_the_policy(base in 0_u64..1 << 40, cap in 0_u64..1 << 40, attempt in 1_u32..200, jitter in -1.0..2.0_f64) {
            let policy = RetryPolicy { base_ms: base, cap_ms: cap, attempts: 200 };
            let wait = decide(policy, &status(500, None), attempt, jitter).unwrap();
            prop_assert!(wait <= cap);
            prop_assert!(wait >= base.min(cap) - base.min(cap) / 10);
        }

        #[test]
        fn backoff_never_decreases(attempt in 1_u32..100) {
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
