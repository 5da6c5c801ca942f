//! How old events are, by a clock that a jump of the system's clock does not move: it counts the time that daemons have
//! seen pass. Kept as the event that was the newest at the beginning of each of its days.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{stdx::time::Moment, store::Error};

/// A day, in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;
/// A clock that is set right moves by less.
const SLACK: i64 = 60 * 1000;
/// Where a clock's reading and the count of days are kept.
const WALL: &str = "age_wall";
const COUNT: &str = "age_count";
/// How the names of days begin.
const MARK: &str = "age_day_";

/// How much time has passed from one look to the next. While a daemon runs, a jump of the clock is seen and does not count;
/// over a restart it cannot be told from a pause, and counts as a day at most.
fn passed(last: Option<Moment>, stored: Option<i64>, now: Moment) -> i64 {
    let wall = match (last, stored) {
        (Some(last), _) => {
            let passed = now.wall_ms() - last.wall_ms();
            match last.moved_until(now) {
                Some(moved) if moved.abs() > SLACK => passed - moved,
                _ => passed,
            }
        }
        (None, Some(stored)) => now.wall_ms().saturating_sub(stored),
        (None, None) => 0,
    };
    wall.clamp(0, DAY)
}

/// Notes that time has passed since `last`, where this process has looked before. Gives the newest cursor of those that
/// are older than `max_age` milliseconds.
///
/// # Errors
/// When the store fails.
pub(super) fn advance(connection: &Connection, last: Option<Moment>, now: Moment, max_age: i64) -> Result<u64, Error> {
    let count = read(connection, COUNT)?.unwrap_or(0) + passed(last, read(connection, WALL)?, now);
    write(connection, COUNT, count)?;
    write(connection, WALL, now.wall_ms())?;
    let newest: i64 = connection.query_row("SELECT coalesce(max(cursor), 0) FROM event", [], |row| row.get(0))?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![name(count.div_euclid(DAY)), newest])?;
    // What was the newest at the beginning of that day, and all before it, is at least so old.
    let old = name((count - max_age).div_euclid(DAY));
    if count < max_age {
        return Ok(0);
    }
    let find = "SELECT key, value FROM meta WHERE key >= ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1";
    let found: Option<(String, i64)> =
        connection.prepare_cached(find)?.query_row([MARK, &old], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((day, cursor)) = found else { return Ok(0) };
    connection.prepare_cached("DELETE FROM meta WHERE key >= ?1 AND key < ?2")?.execute([MARK, &day])?;
    Ok(u64::try_from(cursor).unwrap_or(0))
}

/// In the order of the days.
fn name(day: i64) -> String {
    format!("{MARK}{day:08}")
}

fn read(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

fn write(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute(params![key, value])
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * DAY;
    const MINUTE: i64 = 60 * 1000;

    /// A log to which one event is added before each look.
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

        /// Lets time pass, of which the clock shows `jump` more, and looks.
        fn look(&mut self, time: i64, jump: i64) -> u64 {
            let insert = "INSERT INTO event (time, type, total, properties) VALUES (0, 'x', 0, '')";
            self.connection.execute(insert, []).unwrap();
            let steady = self.now.steady_ms().map(|steady| steady + time);
            self.now = Moment::at(self.now.wall_ms() + time + jump, steady);
            let old = advance(&self.connection, self.last, self.now, 3 * DAY).unwrap();
            self.last = Some(self.now);
            old
        }
    }

    #[test]
    fn events_grow_old_by_the_time_that_passes() {
        let mut log = Log::new();
        let old: Vec<u64> = (0..12).map(|_| log.look(DAY / 2, 0)).collect();
        // Found at the first look of a day, at half-day steps: never before three days have passed.
        assert_eq!(old, [0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 5, 5]);
    }

    #[test]
    fn a_jump_of_the_clock_makes_nothing_old() {
        for jump in [80 * YEAR, -40 * YEAR, 10 * DAY, -DAY] {
            let mut log = Log::new();
            log.look(MINUTE, 0);
            assert_eq!(log.look(MINUTE, jump), 0, "{jump}");
            for _ in 0..100 {
                assert_eq!(log.look(MINUTE, 0), 0, "{jump}");
            }
            assert_eq!(log.look(MINUTE, -jump), 0, "{jump}: set right again");
            // The next daemon, which has not seen the clock before.
            for jump in [jump, -jump] {
                (log.last, log.now) = (None, Moment::at(log.now.wall_ms() + jump, Some(5)));
                assert_eq!(log.look(MINUTE, 0), 0, "{jump}: over a restart");
            }
        }
    }

    #[test]
    fn the_marks_of_days_that_are_gone_go_too() {
        let mut log = Log::new();
        for _ in 0..200 {
            log.look(DAY, 0);
        }
        let marks: u32 = log.connection.query_row("SELECT count(*) FROM meta WHERE key LIKE 'age_day_%'", [], |row| row.get(0)).unwrap();
        assert!(marks <= 5, "{marks}");
    }
}
