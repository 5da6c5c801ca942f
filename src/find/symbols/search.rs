//! Finds the best symbols of many files on all processors.

use std::{collections::BinaryHeap, ops::Range, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    decode::Position,
    kind::SymbolKind,
    rank::{Query, Rank, Scratch},
    table::File,
};
use crate::stdx::paths::AbsPath;

/// The smallest number of symbols that is worth a thread.
const MIN_SYMBOLS_PER_THREAD: usize = 20_000;
const MAX_THREADS: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub name: String,
    pub kind: SymbolKind,
    /// The name of its container.
    pub container: Option<String>,
    pub path: AbsPath,
    pub range: Range<Position>,
    pub name_range: Range<Position>,
}

#[derive(Debug)]
pub(super) struct SymbolQuery {
    pub query: Query,
    /// A bit set of kind numbers.
    pub kinds: u32,
    pub limit: usize,
}

/// A match with its file and row; among equal ranks the first one in file order is better.
type Candidate = (Rank, usize, usize);

/// The best symbols of the files, best first; incomplete if the token is cancelled.
pub(super) fn search(files: &[Arc<File>], wanted: &SymbolQuery, token: &CancellationToken) -> Vec<Hit> {
    let total: usize = files.iter().map(|file| file.symbols.len()).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(total / MIN_SYMBOLS_PER_THREAD).max(1);
    let chunks = chunks(files, total.div_ceil(threads).max(1));
    let mut best: Vec<Candidate> = std::thread::scope(|scope| {
        let (first, others) = chunks.split_first().map_or((0..0, &[][..]), |(first, others)| (first.clone(), others));
        let others: Vec<_> = others.iter().map(|chunk| scope.spawn(|| best_of(files, chunk.clone(), wanted, token))).collect();
        let mut best = best_of(files, first, wanted, token);
        for other in others {
            match other.join() {
                Ok(found) => best.extend(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        best
    });
    best.sort_unstable();
    best.truncate(wanted.limit);
    best.into_iter().filter_map(|(_, file, row)| hit(files.get(file)?, row)).collect()
}

/// Splits the files into ranges of about `size` symbols.
fn chunks(files: &[Arc<File>], size: usize) -> Vec<Range<usize>> {
    let (mut chunks, mut start, mut held) = (Vec::new(), 0, 0);
    for (index, file) in files.iter().enumerate() {
        held += file.symbols.len();
        if held >= size {
            chunks.push(start..index + 1);
            (start, held) = (index + 1, 0);
        }
    }
    if start < files.len() {
        chunks.push(start..files.len());
    }
    chunks
}

fn best_of(files: &[Arc<File>], chunk: Range<usize>, wanted: &SymbolQuery, token: &CancellationToken) -> Vec<Candidate> {
    let mut scratch = Scratch::default();
    let mut best: BinaryHeap<Candidate> = BinaryHeap::with_capacity(wanted.limit + 1);
    for index in chunk {
        if token.is_cancelled() {
            break;
        }
        let Some(file) = files.get(index) else { break };
        for (row, entry) in file.symbols.iter().enumerate() {
            if wanted.kinds & (1 << entry.kind().number()) == 0 {
                continue;
            }
            let worst = if best.len() < wanted.limit { None } else { best.peek().map(|(rank, ..)| *rank) };
            if let Some(rank) = wanted.query.rank(entry, worst, &mut scratch) {
                best.push((rank, index, row));
                if best.len() > wanted.limit {
                    best.pop();
                }
            }
        }
    }
    best.into_vec()
}

fn hit(file: &File, row: usize) -> Option<Hit> {
    let entry = file.symbols.get(row)?;
    Some(Hit {
        name: entry.name().to_owned(),
        kind: entry.kind(),
        container: entry.container().map(str::to_owned),
        path: file.path.clone(),
        range: entry.range(),
        name_range: entry.name_range(),
    })
}
