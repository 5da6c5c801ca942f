//! What may be kept, by age and by size. Pure.

/// The limits of one kind of data; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// The largest age, in milliseconds.
    pub age: Option<i64>,
    /// The largest size of all items together, in bytes.
    pub bytes: Option<u64>,
}

impl Limit {
    /// From settings, in which 0 means no limit.
    #[must_use]
    pub fn new(days: u32, bytes: u64) -> Self {
        Self { age: (days > 0).then(|| i64::from(days) * 24 * 3600 * 1000), bytes: (bytes > 0).then_some(bytes) }
    }
}

/// A time during which the system clock went on and nothing aged: it was set, or no daemon ran for more than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The system clock afterwards, in milliseconds since 1970.
    pub end: i64,
    /// How far the clock went without anything aging, in milliseconds; negative if it was set back.
    pub skipped: i64,
}

/// Tells ages. They do not grow when the system clock jumps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clock {
    /// In milliseconds since 1970.
    pub now: i64,
    pub pauses: Vec<Pause>,
}

impl Clock {
    /// The age of what has this time stamp, in milliseconds.
    #[must_use]
    pub fn age(&self, stamp: i64) -> i64 {
        // Backwards through the times between the pauses, to the one in which the stamp was made.
        let (mut end, mut skipped) = (self.now, 0i64);
        for pause in self.pauses.iter().rev() {
            if (pause.end..=end).contains(&stamp) {
                return self.now.saturating_sub(stamp).saturating_sub(skipped);
            }
            skipped = skipped.saturating_add(pause.skipped);
            end = pause.end.saturating_sub(pause.skipped);
        }
        if stamp > end {
            // It was made in a pause.
            skipped = self.pauses.iter().filter(|pause| pause.end > stamp).map(|pause| pause.skipped).sum();
        }
        self.now.saturating_sub(stamp).saturating_sub(skipped)
    }
}

/// A thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<T> {
    pub what: T,
    pub bytes: u64,
    /// When it was last used, in milliseconds since 1970.
    pub used: i64,
    /// It stays, whatever the limits say.
    pub is_needed: bool,
}

/// A number of things and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    pub count: u64,
    pub bytes: u64,
}

impl Total {
    #[must_use]
    pub fn of<T>(items: &[Item<T>]) -> Self {
        Self { count: items.len() as u64, bytes: items.iter().map(|item| item.bytes).sum() }
    }

    pub fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    /// What remains without those.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { count: self.count.saturating_sub(other.count), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// The items over the limits, those first that were used longest ago. Items of the same time keep their order.
#[must_use]
pub fn over<T>(mut items: Vec<Item<T>>, limit: Limit, clock: &Clock) -> Vec<Item<T>> {
    let mut left: u64 = items.iter().map(|item| item.bytes).sum();
    items.sort_by_key(|item| item.used);
    items.retain(|item| {
        let is_old = limit.age.is_some_and(|age| clock.age(item.used) > age);
        let is_over = !item.is_needed && (is_old || limit.bytes.is_some_and(|bytes| left > bytes));
        if is_over {
            left -= item.bytes;
        }
        is_over
    });
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;

    fn item(name: &str, bytes: u64, used: i64) -> Item<&str> {
        Item { what: name, bytes, used, is_needed: name.ends_with('!') }
    }

    fn names(items: Vec<Item<&str>>, limit: Limit, clock: &Clock) -> String {
        over(items, limit, clock).iter().map(|item| item.what).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_oldest_are_over_the_limits_and_what_is_needed_never_is() {
        let clock = Clock { now: 100 * DAY, pauses: Vec::new() };
        let items = || vec![item("c", 10, 98 * DAY), item("a", 10, 90 * DAY), item("b!", 10, 91 * DAY), item("d", 10, 99 * DAY)];
        assert_eq!(names(items(), Limit::default(), &clock), "");
        assert_eq!(names(items(), Limit { age: Some(10 * DAY), bytes: None }, &clock), "", "not older than the limit");
        assert_eq!(names(items(), Limit { age: Some(9 * DAY), bytes: None }, &clock), "a");
        assert_eq!(names(items(), Limit { age: Some(0), bytes: None }, &clock), "a c d");
        assert_eq!(names(items(), Limit { age: None, bytes: Some(40) }, &clock), "");
        assert_eq!(names(items(), Limit { age: None, bytes: Some(39) }, &clock), "a");
        assert_eq!(names(items(), Limit { age: None, bytes: Some(1) }, &clock), "a c d");
        assert_eq!(names(items(), Limit { age: Some(9 * DAY), bytes: Some(20) }, &clock), "a c", "what is too old counts first");
        assert_eq!(Limit::new(0, 0), Limit::default());
    }

    #[test]
    fn a_jump_of_the_clock_ages_nothing_that_was_there() {
        let year = 365 * DAY;
        let forward = Pause { end: 150 * DAY + year, skipped: year };
        let clock = Clock { now: forward.end + DAY, pauses: vec![forward] };
        let ages = [100 * DAY, forward.end - DAY, forward.end].map(|stamp| clock.age(stamp) / DAY);
        assert_eq!(ages, [51, 2 - 365, 1], "before it, in it, after it");
        let back = Pause { end: clock.now - year, skipped: -year };
        let clock = Clock { now: back.end + DAY, pauses: vec![forward, back] };
        assert_eq!(clock.age(100 * DAY) / DAY, 52);
        assert_eq!(clock.age(forward.end) / DAY, 2, "a stamp of the wrong clock");
        let (back, forward) = (Pause { end: 10 * DAY, skipped: -90 * DAY }, Pause { end: 101 * DAY, skipped: 90 * DAY });
        let clock = Clock { now: 105 * DAY, pauses: vec![back, forward] };
        assert_eq!([90, 10, 102].map(|stamp| clock.age(stamp * DAY) / DAY), [15, 5, 3], "set back, then set right");
    }
}
