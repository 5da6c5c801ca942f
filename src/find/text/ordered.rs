//! The first matches by path and line, whichever order they are found in. What lies behind as many as are wanted is
//! dropped, and not searched any more, so the limit bounds time and memory.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    file::Line,
    item::Items,
    query::Query,
    search::{Collect, Place, Stop, Summary, Targets, search},
};
use crate::overlay::Overlay;

/// The size limit of a result, in bytes of JSON: less than fits into one message.
const MAX_BYTES: usize = 28 * 1024 * 1024;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// A bracket, and items as JSON with a comma behind each, ordered by path and line.
    pub items: Vec<u8>,
    /// How the search went.
    pub summary: Summary,
}

/// Searches for the first `limit` matches by path, name by name, and line. An unfinished result when it was stopped.
#[must_use]
pub fn find(place: &Place, targets: &Targets, query: &Query, overlay: &Overlay, stop: &Stop, limit: u64) -> Found {
    find_within(place, targets, query, overlay, stop, Bounds { matches: limit, bytes: MAX_BYTES })
}

/// The same with other bounds.
pub(super) fn find_within(place: &Place, targets: &Targets, query: &Query, overlay: &Overlay, stop: &Stop, bounds: Bounds) -> Found {
    let first = First { bounds, is_full: AtomicBool::new(false), kept: Mutex::default() };
    let searched = search(place, targets, query, overlay, stop, &first);
    let kept = first.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut items = Vec::with_capacity(kept.bytes.min(bounds.bytes) + 64);
    items.push(b'[');
    let mut found = Found { items, summary: Summary { truncated: false, ..searched } };
    for part in kept.parts.into_values() {
        part.give(bounds, &mut found);
    }
    found.summary.truncated |= searched.truncated;
    found
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many matches.
    pub matches: u64,
    /// How many bytes of JSON.
    pub bytes: usize,
}

struct First {
    bounds: Bounds,
    /// Whether there is anything behind which nothing is of interest: mostly not, and then nobody waits for the lock.
    is_full: AtomicBool,
    // Held while a file's part is put there or a path compared.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By path, name by name.
    parts: BTreeMap<PathBuf, Part>,
    matches: u64,
    bytes: usize,
    is_full: bool,
}

struct Part {
    path: PathBuf,
    items: Items,
    json: Vec<u8>,
    matches: u64,
    /// Where each item ends, and whether it is a match.
    ends: Vec<(usize, bool)>,
}

impl First {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collect for First {
    type Part = Part;

    fn skips(&self, path: &Path) -> bool {
        self.is_full.load(Ordering::Relaxed) && self.kept().parts.last_key_value().is_some_and(|(last, _)| path > last.as_path())
    }

    fn begin(&self, _: usize, path: &Path, shown: &str) -> Part {
        Part { path: path.to_owned(), items: Items::new(shown), json: Vec::new(), matches: 0, ends: Vec::new() }
    }

    fn line(&self, part: &mut Part, line: &Line<'_>) -> ControlFlow<()> {
        part.items.write(line, &mut part.json);
        part.json.push(b',');
        part.matches += u64::from(line.matches.is_some());
        part.ends.push((part.json.len(), line.matches.is_some()));
        let enough = part.matches > self.bounds.matches || part.json.len() > self.bounds.bytes;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(&self, mut part: Part, _: bool) -> ControlFlow<()> {
        part.json.shrink_to_fit();
        let mut kept = self.kept();
        kept.matches += part.matches;
        kept.bytes += part.json.len();
        kept.parts.insert(part.path.clone(), part);
        // One match more than is wanted tells that there are more.
        while let Some(last) = kept.parts.last_entry() {
            let (matches, bytes) = (last.get().matches, last.get().json.len());
            if kept.matches - matches <= self.bounds.matches && kept.bytes - bytes <= self.bounds.bytes {
                break;
            }
            kept.parts.pop_last();
            kept.matches -= matches;
            kept.bytes -= bytes;
        }
        if !kept.is_full && (kept.matches > self.bounds.matches || kept.bytes > self.bounds.bytes) {
            kept.is_full = true;
            self.is_full.store(true, Ordering::Relaxed);
        }
        ControlFlow::Continue(())
    }
}

impl Part {
    /// Appends so much of it as the bounds allow.
    fn give(self, bounds: Bounds, found: &mut Found) {
        let Found { items, summary } = found;
        if summary.truncated {
            return;
        }
        let room = bounds.bytes.saturating_sub(items.len());
        let mut end = 0;
        for (next, is_match) in self.ends {
            if next > room || (is_match && summary.matches == bounds.matches) {
                summary.truncated = true;
                break;
            }
            end = next;
            summary.matches += u64::from(is_match);
        }
        items.extend_from_slice(&self.json[..end]);
    }
}
