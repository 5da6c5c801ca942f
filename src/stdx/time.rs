//! Time as the wire has it, and a clock that shows when the system clock is set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The day in UTC, as `YYYY-MM-DD`, of a time in milliseconds since 1970.
#[must_use]
pub fn day(ms: i64) -> String {
    ::time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).map_or_else(|_| String::new(), |time| time.date().to_string())
}

/// A duration in whole milliseconds, as the wire has it.
#[must_use]
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment on the wall clock and on the monotonic one, which counts the time asleep too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    wall: i64,
    steady: Option<i64>,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self { wall: now_ms(), steady: steady_ms() }
    }

    /// A moment that tests choose.
    #[cfg(test)]
    #[must_use]
    pub fn at(wall: i64, steady: Option<i64>) -> Self {
        Self { wall, steady }
    }

    /// The monotonic clock.
    #[cfg(test)]
    #[must_use]
    pub fn steady_ms(self) -> Option<i64> {
        self.steady
    }

    /// The wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(self) -> i64 {
        self.wall
    }

    /// By how many milliseconds the wall clock was moved from this moment to that one; forward is positive. `None` where
    /// the system does not tell.
    #[must_use]
    pub fn moved_until(self, then: Self) -> Option<i64> {
        Some((then.wall - self.wall) - (then.steady? - self.steady?))
    }
}

#[cfg(target_os = "linux")]
fn steady_ms() -> Option<i64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.checked_mul(1000)?.checked_add(time.tv_nsec / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn steady_ms() -> Option<i64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_825_600, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_830_297_599, "2027-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds * 1000), expected);
        }
    }

    #[test]
    fn a_moved_clock_is_seen_and_a_sleep_is_not() {
        let at = |wall, steady| Moment { wall, steady: Some(steady) };
        assert_eq!(at(1000, 50).moved_until(at(9000, 8050)), Some(0));
        assert_eq!(at(1000, 50).moved_until(at(1000, 8050)), Some(-8000));
        assert_eq!(at(1000, 50).moved_until(at(61_000, 50)), Some(60_000));
        assert_eq!(at(1000, 50).moved_until(Moment { wall: 1000, steady: None }), None);
        if let Some(moved) = Moment::now().moved_until(Moment::now()) {
            assert!(moved.abs() < 1000, "{moved}");
        }
    }
}
