//! Collects file changes for clients: each file once, with its final event, within a rate limit. Beyond the limit
//! directories are reported in place of their files.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use polytree_protocol::find::FileEvent;

use super::listing;

/// The burst limit of the token bucket.
const MAX_BURST: usize = 500;
/// The rate limit after a burst, in events per second.
const EVENTS_PER_SECOND: u32 = 50;

/// Changes that are not reported yet.
#[derive(Debug)]
pub struct ChangeBatch {
    // By path relative to the root.
    changes: BTreeMap<Vec<u8>, FileEvent>,
    tokens: usize,
    refilled: Instant,
}

impl ChangeBatch {
    pub fn new(now: Instant) -> Self {
        Self { changes: BTreeMap::new(), tokens: MAX_BURST, refilled: now }
    }

    pub fn add(&mut self, path: Vec<u8>, event: FileEvent) {
        use FileEvent::{Add, Change, Unlink};
        let before = self.changes.get(&path).copied();
        let merged = match (before, event) {
            // Created and deleted between two reports: nothing to report.
            (Some(Add), Unlink) => None,
            (Some(Add), _) => Some(Add),
            (Some(Unlink), Add | Change) => Some(Change),
            (_, event) => Some(event),
        };
        match merged {
            Some(event) => drop(self.changes.insert(path, event)),
            None => drop(self.changes.remove(&path)),
        }
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes the changes to report now: files, or their directories if there are too many.
    pub fn take(&mut self, now: Instant) -> Vec<(Vec<u8>, FileEvent)> {
        let since = now.saturating_duration_since(self.refilled);
        let more = since.as_millis() * u128::from(EVENTS_PER_SECOND) / 1000;
        if more > 0 {
            self.tokens = (self.tokens + usize::try_from(more).unwrap_or(MAX_BURST)).min(MAX_BURST);
            self.refilled = now;
        }
        let changes = std::mem::take(&mut self.changes);
        if self.tokens == 0 {
            // Kept until there is a token, but in bounded memory.
            self.changes = summarise(changes, MAX_BURST);
            return Vec::new();
        }
        let reported = summarise(changes, self.tokens);
        self.tokens -= reported.len();
        reported.into_iter().collect()
    }

    /// How long to wait before the next report.
    pub fn delay(&self) -> Duration {
        if self.tokens > MAX_BURST / 10 { Duration::from_millis(50) } else { Duration::from_secs(1) }
    }
}

/// At most `limit` changes: the files, or their directories at the greatest depth that fits.
fn summarise(changes: BTreeMap<Vec<u8>, FileEvent>, limit: usize) -> BTreeMap<Vec<u8>, FileEvent> {
    if changes.len() <= limit {
        return changes;
    }
    let depth = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    let deepest = changes.keys().map(|path| depth(path)).max().unwrap_or(0);
    for max_depth in (0..=deepest).rev() {
        let directories: BTreeMap<Vec<u8>, FileEvent> =
            changes.keys().map(|path| (directory(path, max_depth).to_vec(), FileEvent::Change)).collect();
        if directories.len() <= limit {
            return directories;
        }
    }
    BTreeMap::from([(Vec::new(), FileEvent::Change)])
}

/// The directory of a path, truncated to `depth` components.
fn directory(path: &[u8], depth: usize) -> &[u8] {
    let parent = listing::split(path).map_or(&b""[..], |(parent, _)| parent);
    if depth == 0 {
        return b"";
    }
    let end = parent.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).nth(depth - 1);
    &parent[..end.unwrap_or(parent.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_reported_once_with_its_final_event() {
        use FileEvent::{Add, Change, Unlink};
        let start = Instant::now();
        let mut reported = ChangeBatch::new(start);
        for (path, event) in [
            ("new", Add),
            ("new", Change),
            ("temporary", Add),
            ("temporary", Unlink),
            ("replaced", Unlink),
            ("replaced", Add),
            ("old", Change),
            ("old", Unlink),
            ("same", Change),
            ("same", Change),
        ] {
            reported.add(path.into(), event);
        }
        let expected = [("new", Add), ("old", Unlink), ("replaced", Change), ("same", Change)];
        assert_eq!(reported.take(start), expected.map(|(path, event)| (path.as_bytes().to_vec(), event)));
        assert!(reported.is_empty() && reported.take(start).is_empty());
    }

    proptest! {
        #[test]
        fn the_rate_is_bounded_and_every_change_is_reported(batches in prop::collection::vec((0..30_000usize, 0..2000u64), 1..6), spread in 1..3000usize) {
            let start = Instant::now();
            let (mut reported, mut now, mut events) = (ChangeBatch::new(start), start, 0);
            for (files, delay) in batches {
                let paths: Vec<Vec<u8>> = (0..files).map(|n| format!("a/d{}/e{}/f{n}", n % 7, n % spread).into_bytes()).collect();
                for path in &paths {
                    reported.add(path.clone(), FileEvent::Change);
                }
                now += Duration::from_millis(delay);
                let mut all = reported.take(now);
                while !reported.is_empty() {
                    now += reported.delay();
                    all.extend(reported.take(now));
                }
                events += all.len();
                for path in &paths {
                    prop_assert!(all.iter().any(|(known, _)| listing::is_within(path, known)), "{:?}", String::from_utf8_lossy(path));
                }
            }
            let limit = MAX_BURST + usize::try_from(now.duration_since(start).as_secs() + 1).unwrap() * EVENTS_PER_SECOND as usize;
            prop_assert!(events <= limit, "{events} events and not {limit}");
        }
    }
}
