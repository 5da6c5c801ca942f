//! The first matches by path and line, in whatever order they are found. Matches beyond the limit are dropped, and
//! later files are skipped, so the limit bounds time and memory.

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

#[derive(Debug)]
pub struct Found {
    /// An opening bracket, and the items as JSON, each followed by a comma, sorted by path and line.
    pub items: Vec<u8>,
    pub summary: Summary,
}

/// Finds the first `limit` matches by path (compared by components) and line. The result is incomplete if the search
/// was stopped.
pub fn find(place: &Place, targets: &Targets, query: &Query, overlay: &Overlay, stop: &Stop, limit: u64) -> Found {
    find_within(place, targets, query, overlay, stop, Bounds { matches: limit, bytes: MAX_BYTES })
}

/// The same with explicit limits.
pub(super) fn find_within(place: &Place, targets: &Targets, query: &Query, overlay: &Overlay, stop: &Stop, bounds: Bounds) -> Found {
    let first = First { bounds, is_full: AtomicBool::new(false), kept: Mutex::default() };
    let searched = search(place, targets, query, overlay, stop, &first);
    let kept = first.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut items = Vec::with_capacity(kept.bytes.min(bounds.bytes) + 64);
    items.push(b'[');
    let mut found = Found { items, summary: Summary { truncated: false, ..searched } };
    for part in kept.parts.into_values() {
        part.append_to(bounds, &mut found);
    }
    found.summary.truncated |= searched.truncated;
    found
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub matches: u64,
    /// In bytes of JSON.
    pub bytes: usize,
}

struct First {
    bounds: Bounds,
    /// Whether a limit is reached. Usually it is not, and then `skips` needs no lock.
    is_full: AtomicBool,
    // Locked to insert the results of a file, or to compare a path.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By path, compared by components.
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
    /// The end of each item, and whether it is a match.
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
        // One match beyond the limit is kept, to know that the result is truncated.
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
    /// Appends as many items as the limits allow.
    fn append_to(self, bounds: Bounds, found: &mut Found) {
        let Found { items, summary } = found;
        if summary.truncated {
            return;
        }
        let remaining = bounds.bytes.saturating_sub(items.len());
        let mut end = 0;
        for (next, is_match) in self.ends {
            if next > remaining || (is_match && summary.matches == bounds.matches) {
                summary.truncated = true;
                break;
            }
            end = next;
            summary.matches += u64::from(is_match);
        }
        items.extend_from_slice(&self.json[..end]);
    }
}
