//! Gathers changes of files for clients: each file once, with what happened to it in the end, and never more than a rate
//! limit allows. Beyond it directories are reported in place of the files in them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use polytree_protocol::find::FileEvent;

use super::listing;

/// The burst limit: how many changes are reported at once.
const MAX_BURST: usize = 500;
/// The rate limit after a burst, in changes for each second.
const PER_SECOND: u32 = 50;

/// Changes that were not reported yet.
#[derive(Debug)]
pub struct ChangeBatch {
    // By path relative to the root.
    changes: BTreeMap<Vec<u8>, FileEvent>,
    left: usize,
    counted: Instant,
}

impl ChangeBatch {
    /// No changes.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { changes: BTreeMap::new(), left: MAX_BURST, counted: now }
    }

    /// Notes a change.
    pub fn note(&mut self, path: Vec<u8>, event: FileEvent) {
        use FileEvent::{Add, Change, Unlink};
        let before = self.changes.get(&path).copied();
        let together = match (before, event) {
            // It came and went in between: nobody has missed anything.
            (Some(Add), Unlink) => None,
            (Some(Add), _) => Some(Add),
            (Some(Unlink), Add | Change) => Some(Change),
            (_, event) => Some(event),
        };
        match together {
            Some(event) => drop(self.changes.insert(path, event)),
            None => drop(self.changes.remove(&path)),
        }
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes what is to be reported now: files, or their directories where there are too many.
    pub fn take(&mut self, now: Instant) -> Vec<(Vec<u8>, FileEvent)> {
        let since = now.saturating_duration_since(self.counted);
        let more = since.as_millis() * u128::from(PER_SECOND) / 1000;
        if more > 0 {
            self.left = (self.left + usize::try_from(more).unwrap_or(MAX_BURST)).min(MAX_BURST);
            self.counted = now;
        }
        let changes = std::mem::take(&mut self.changes);
        if self.left == 0 {
            // Kept until there is room for one at least, but not file by file.
            self.changes = summary(changes, MAX_BURST);
            return Vec::new();
        }
        let told = summary(changes, self.left);
        self.left -= told.len();
        told.into_iter().collect()
    }

    /// How long to wait before the next time.
    #[must_use]
    pub fn pause(&self) -> Duration {
        if self.left > MAX_BURST / 10 { Duration::from_millis(50) } else { Duration::from_secs(1) }
    }
}

/// At most so many changes: those of files, else of their directories as deep as they can be told.
fn summary(changes: BTreeMap<Vec<u8>, FileEvent>, most: usize) -> BTreeMap<Vec<u8>, FileEvent> {
    if changes.len() <= most {
        return changes;
    }
    let depth = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    let deepest = changes.keys().map(|path| depth(path)).max().unwrap_or(0);
    for most_deep in (0..=deepest).rev() {
        let directories: BTreeMap<Vec<u8>, FileEvent> =
            changes.keys().map(|path| (directory(path, most_deep).to_vec(), FileEvent::Change)).collect();
        if directories.len() <= most {
            return directories;
        }
    }
    BTreeMap::from([(Vec::new(), FileEvent::Change)])
}

/// The directory of a path, at most so many names deep.
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
    fn a_file_is_told_once_for_what_happened_in_the_end() {
        use FileEvent::{Add, Change, Unlink};
        let start = Instant::now();
        let mut told = ChangeBatch::new(start);
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
            told.note(path.into(), event);
        }
        let expected = [("new", Add), ("old", Unlink), ("replaced", Change), ("same", Change)];
        assert_eq!(told.take(start), expected.map(|(path, event)| (path.as_bytes().to_vec(), event)));
        assert!(told.is_empty() && told.take(start).is_empty());
    }

    proptest! {
        #[test]
        fn a_flood_is_bounded_and_every_change_is_told_of(batches in prop::collection::vec((0..30_000usize, 0..2000u64), 1..6), spread in 1..3000usize) {
            let start = Instant::now();
            let (mut told, mut now, mut events) = (ChangeBatch::new(start), start, 0);
            for (files, pause) in batches {
                let paths: Vec<Vec<u8>> = (0..files).map(|n| format!("a/d{}/e{}/f{n}", n % 7, n % spread).into_bytes()).collect();
                for path in &paths {
                    told.note(path.clone(), FileEvent::Change);
                }
                now += Duration::from_millis(pause);
                let mut all = told.take(now);
                while !told.is_empty() {
                    now += told.pause();
                    all.extend(told.take(now));
                }
                events += all.len();
                for path in &paths {
                    prop_assert!(all.iter().any(|(known, _)| listing::is_within(path, known)), "{:?}", String::from_utf8_lossy(path));
                }
            }
            let most = MAX_BURST + usize::try_from(now.duration_since(start).as_secs() + 1).unwrap() * PER_SECOND as usize;
            prop_assert!(events <= most, "{events} events and not {most}");
        }
    }
}
