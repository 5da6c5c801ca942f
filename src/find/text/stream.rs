//! Streams matches as they are found, in chunks of bounded size, with back-pressure.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::value::RawValue;

use super::{
    file::Line,
    item::Items,
    query::Query,
    search::{Collect, Place, Stop, Summary, Targets, search},
};
use crate::overlay::Overlay;

/// The size at which a chunk is sent; the rest of a file is sent at its end.
const CHUNK_BYTES: usize = 16 * 1024;

/// Items of one file, in line order.
#[derive(Debug, Default)]
pub struct Chunk {
    json: Vec<u8>,
    ends: Vec<usize>,
}

impl Chunk {
    pub fn items(&self) -> impl Iterator<Item = &RawValue> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).filter_map(|(begin, &end)| serde_json::from_slice(&self.json[begin..end]).ok())
    }
}

/// Searches, and passes each chunk to `send`, which may block, and returns whether to continue.
pub fn stream(
    place: &Place,
    targets: &Targets,
    query: &Query,
    overlay: &Overlay,
    stop: &Stop,
    limit: u64,
    send: &(dyn Fn(Chunk) -> bool + Sync),
) -> Summary {
    let all = Streaming { limit, matches: AtomicU64::new(0), is_truncated: AtomicBool::new(false), send };
    let searched = search(place, targets, query, overlay, stop, &all);
    Summary { matches: all.matches.into_inner().min(limit), truncated: all.is_truncated.into_inner() || searched.truncated, ..searched }
}

struct Streaming<'a> {
    limit: u64,
    matches: AtomicU64,
    is_truncated: AtomicBool,
    send: &'a (dyn Fn(Chunk) -> bool + Sync),
}

struct Part {
    items: Items,
    chunk: Chunk,
}

impl Streaming<'_> {
    fn flush(&self, part: &mut Part) -> ControlFlow<()> {
        let chunk = std::mem::take(&mut part.chunk);
        if chunk.ends.is_empty() || (self.send)(chunk) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl Collect for Streaming<'_> {
    type Part = Part;

    fn skips(&self, _: &Path) -> bool {
        false
    }

    fn begin(&self, _: usize, _: &Path, shown: &str) -> Part {
        Part { items: Items::new(shown), chunk: Chunk::default() }
    }

    fn line(&self, part: &mut Part, line: &Line<'_>) -> ControlFlow<()> {
        if line.matches.is_some() && self.matches.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.is_truncated.store(true, Ordering::Relaxed);
            return ControlFlow::Break(());
        }
        part.items.write(line, &mut part.chunk.json);
        part.chunk.ends.push(part.chunk.json.len());
        if part.chunk.json.len() >= CHUNK_BYTES { self.flush(part) } else { ControlFlow::Continue(()) }
    }

    fn end(&self, mut part: Part, _: bool) -> ControlFlow<()> {
        self.flush(&mut part)?;
        if self.is_truncated.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
