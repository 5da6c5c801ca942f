//! Times on the wire, and changes of the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The day in UTC, as `YYYY-MM-DD`, of a time in milliseconds since 1970.
#[must_use]
pub fn day(ms: i64) -> String {
    // Years begin in March here, so that the leap day is the last day of a year; an era of 400 years has 146,097 days.
    let days = ms.div_euclid(24 * 3600 * 1000) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400)
}

/// A duration in whole milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment on the wall clock and on the monotonic clock, which includes the time asleep.
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

    /// A moment for tests.
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

    /// By how many milliseconds the wall clock was changed between the moments; forward is positive. `None` if it is unknown.
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
