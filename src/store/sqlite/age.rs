//! The age of events, by a clock that is immune to jumps of the system clock: it counts the time during which daemons
//! were running, and at most a day for each pause. It is stored as the newest cursor at the beginning of each of its
//! days.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::cursors::{meta, set_meta};
use crate::{
    stdx::{
        retention::{Clock, Pause},
        time::Moment,
    },
    store::Error,
};

/// A day, in milliseconds.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// The largest jump that counts as a normal adjustment of the clock.
const CLOCK_ADJUSTMENT_MS: i64 = 60 * 1000;
/// The keys in `meta` of the last wall clock reading and of the counted time.
const WALL_KEY: &str = "age_wall";
const COUNT_KEY: &str = "age_count";
/// The key in `meta` of the pauses, as `[[end, skipped], …]`.
const PAUSES_KEY: &str = "age_pauses";
/// So many pauses are remembered.
const MAX_PAUSES: usize = 200;
/// The prefix of the keys of days in `meta`.
const DAY_KEY_PREFIX: &str = "age_day_";

/// The time since the last call. While a daemon runs, a jump of the system clock is detected and does not count; across
/// a restart it cannot be distinguished from a pause, so it counts as a day at most.
fn elapsed(last: Option<Moment>, stored: Option<i64>, now: Moment) -> i64 {
    let wall = match (last, stored) {
        (Some(last), _) => {
            let elapsed = now.wall_ms() - last.wall_ms();
            match last.moved_until(now) {
                Some(moved) if moved.abs() > CLOCK_ADJUSTMENT_MS => elapsed - moved,
                _ => elapsed,
            }
        }
        (None, Some(stored)) => now.wall_ms().saturating_sub(stored),
        (None, None) => 0,
    };
    wall.clamp(0, DAY_MS)
}

/// The time of other things than events, by the same clock.
pub(super) fn clock(connection: &Connection, now: i64) -> Result<Clock, Error> {
    let pauses: Option<String> = meta(connection, PAUSES_KEY)?;
    let pauses: Vec<(i64, i64)> = pauses.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    Ok(Clock { now, pauses: pauses.into_iter().map(|(end, skipped)| Pause { end, skipped }).collect() })
}

/// Notes that the system clock went on by `skipped` milliseconds in which nothing aged.
fn note_pause(connection: &Connection, now: i64, skipped: i64) -> Result<(), Error> {
    let mut pauses: Vec<(i64, i64)> = clock(connection, now)?.pauses.into_iter().map(|pause| (pause.end, pause.skipped)).collect();
    pauses.push((now, skipped));
    pauses.drain(..pauses.len().saturating_sub(MAX_PAUSES));
    set_meta(connection, PAUSES_KEY, serde_json::to_string(&pauses)?)?;
    Ok(())
}

/// Adds the time since `last`, the previous call of this process. Returns the newest cursor of the events older than
/// `max_age` milliseconds.
pub(super) fn advance(connection: &Connection, last: Option<Moment>, now: Moment, max_age: i64) -> Result<u64, Error> {
    let stored: Option<i64> = meta(connection, WALL_KEY)?;
    let elapsed = elapsed(last, stored, now);
    if let Some(before) = last.map(Moment::wall_ms).or(stored) {
        let skipped = now.wall_ms().saturating_sub(before).saturating_sub(elapsed);
        if skipped.abs() > CLOCK_ADJUSTMENT_MS {
            note_pause(connection, now.wall_ms(), skipped)?;
        }
    }
    let count = meta(connection, COUNT_KEY)?.unwrap_or(0) + elapsed;
    set_meta(connection, COUNT_KEY, count)?;
    set_meta(connection, WALL_KEY, now.wall_ms())?;
    let newest: i64 = connection.query_row("SELECT coalesce(max(cursor), 0) FROM event", [], |row| row.get(0))?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![day_key(count.div_euclid(DAY_MS)), newest])?;
    // The newest event at the beginning of that day, and all before it, are at least that old.
    let old = day_key((count - max_age).div_euclid(DAY_MS));
    if count < max_age {
        return Ok(0);
    }
    let find = "SELECT key, value FROM meta WHERE key >= ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1";
    let found: Option<(String, i64)> =
        connection.prepare_cached(find)?.query_row([DAY_KEY_PREFIX, &old], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((day, cursor)) = found else { return Ok(0) };
    connection.prepare_cached("DELETE FROM meta WHERE key >= ?1 AND key < ?2")?.execute([DAY_KEY_PREFIX, &day])?;
    Ok(u64::try_from(cursor).unwrap_or(0))
}

/// Sorts in the order of the days.
fn day_key(day: i64) -> String {
    format!("{DAY_KEY_PREFIX}{day:08}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * DAY_MS;
    const MINUTE: i64 = 60 * 1000;

    /// A log that gets one event before each call.
    struct Log {
        connection: Connection,
        now: Moment,
        last: Option<Moment>,
    }

    impl Log {
        fn new() -> Self {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(include_str!("migrations/0001_first.sql")).unwrap();
            Self { connection, now: Moment::at(50 * YEAR, Some(0)), last: None }
        }

        /// Lets `time` pass, moves the system clock by `jump` more, and calls `advance`.
        fn advance_by(&mut self, time: i64, jump: i64) -> u64 {
            let insert = "INSERT INTO event (time, type, total, properties) VALUES (0, 'x', 0, '')";
            self.connection.execute(insert, []).unwrap();
            let steady = self.now.steady_ms().map(|steady| steady + time);
            self.now = Moment::at(self.now.wall_ms() + time + jump, steady);
            let old = advance(&self.connection, self.last, self.now, 3 * DAY_MS).unwrap();
            self.last = Some(self.now);
            old
        }
    }

    #[test]
    fn events_age_by_elapsed_time() {
        let mut log = Log::new();
        let old: Vec<u64> = (0..12).map(|_| log.advance_by(DAY_MS / 2, 0)).collect();
        // Found at the first call of a day, in half-day steps: never before three days have passed.
        assert_eq!(old, [0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 5, 5]);
    }

    #[test]
    fn a_jump_of_the_clock_does_not_age_events() {
        for jump in [80 * YEAR, -40 * YEAR, 10 * DAY_MS, -DAY_MS] {
            let mut log = Log::new();
            log.advance_by(MINUTE, 0);
            assert_eq!(log.advance_by(MINUTE, jump), 0, "{jump}");
            for _ in 0..100 {
                assert_eq!(log.advance_by(MINUTE, 0), 0, "{jump}");
            }
            assert_eq!(log.advance_by(MINUTE, -jump), 0, "{jump}: set right again");
            // The next daemon, which has no earlier reading of the clock.
            for jump in [jump, -jump] {
                (log.last, log.now) = (None, Moment::at(log.now.wall_ms() + jump, Some(5)));
                assert_eq!(log.advance_by(MINUTE, 0), 0, "{jump}: over a restart");
            }
            // What was there before all jumps has aged by the counted time: over a restart a day at most.
            let age = clock(&log.connection, log.now.wall_ms()).unwrap().age(50 * YEAR);
            assert!((0..2 * DAY_MS).contains(&age), "{jump}: {age}");
        }
    }

    #[test]
    fn the_keys_of_trimmed_days_are_deleted() {
        let mut log = Log::new();
        for _ in 0..200 {
            log.advance_by(DAY_MS, 0);
        }
        let marks: u32 = log.connection.query_row("SELECT count(*) FROM meta WHERE key LIKE 'age_day_%'", [], |row| row.get(0)).unwrap();
        assert!(marks <= 5, "{marks}");
    }
}
