//! Symbol search without a language server: definitions that tree-sitter finds in files and in unsaved text of editors.
//! The index of a directory is built by the first query, updated while there are queries, bounded in size, and dropped
//! when idle.

mod decode;
mod extract;
mod grammar;
mod kind;
mod language;
mod nest;
mod project;
mod rank;
mod read;
mod search;
mod stamp;
mod table;
mod unsaved;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use polytree_protocol::diagnose::DiagnosisSymbols;
use tokio::sync::Semaphore;

pub use self::{decode::Position, kind::SymbolKind, search::Hit};
use self::{
    project::{Budget, Project},
    rank::Query,
    search::SymbolQuery,
    table::{File, Files},
    unsaved::Unsaved,
};
use crate::{
    git::Checkout,
    overlay::Overlay,
    stdx::{idle::IdlePool, memory, paths::AbsPath, tasks::Tasks},
};

/// The limits of one directory's index.
const INDEX_BUDGET: Budget = Budget { symbols: 500_000, bytes: 48 * 1024 * 1024 };
/// The size limit of all indexes together; the least recently used ones are dropped.
const MAX_BYTES: usize = 96 * 1024 * 1024;
/// How many queries run concurrently; others wait, since each uses all processors.
const MAX_QUERIES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bug in the program.
    #[error("the search for symbols failed")]
    Failed(#[source] tokio::task::JoinError),
    #[error("the daemon is shutting down")]
    Ended,
}

#[derive(Debug, Clone)]
pub struct Request {
    /// The directory to search; a checkout has one index.
    pub checkout: Checkout,
    /// Only in this file or directory.
    pub path: Option<AbsPath>,
    /// The name, or a part of it.
    pub query: String,
    /// Only kinds with these numbers; empty means all.
    pub kinds: Vec<u8>,
    pub limit: usize,
}

/// The indexes of recently queried directories.
pub struct Symbols {
    overlay: Arc<Overlay>,
    tasks: Tasks,
    /// By root. Bounded by their size, not their number.
    projects: IdlePool<AbsPath, Project>,
    unsaved: Arc<Unsaved>,
    searching: Arc<Semaphore>,
}

impl Symbols {
    /// Reading stops when the token of `tasks` is cancelled.
    pub fn new(overlay: Arc<Overlay>, tasks: Tasks) -> Self {
        Self {
            overlay,
            tasks,
            projects: IdlePool::new(usize::MAX),
            unsaved: Arc::default(),
            searching: Arc::new(Semaphore::new(MAX_QUERIES)),
        }
    }

    /// The matching symbols, best first. Dropping the future stops the search, but not the reading of files.
    ///
    /// Unsaved text of editors replaces the files. While the index is being built, a query waits for at most three
    /// seconds and then returns partial results. Changes on disk are visible at once after [`Symbols::changed`],
    /// otherwise after the next check, which happens once a second while there are queries.
    pub async fn find(&self, request: Request) -> Result<Vec<Hit>, Error> {
        let token = self.tasks.token().child_token();
        let _guard = token.clone().drop_guard();
        let files = self.prepared(&request).await;
        let _searching = self.searching.acquire().await.map_err(|_| Error::Ended)?;
        let (overlay, unsaved) = (Arc::clone(&self.overlay), Arc::clone(&self.unsaved));
        let found = Tasks::spawn_blocking(move || {
            let scope = request.path.as_ref().unwrap_or(&request.checkout.directory);
            let announced = unsaved.below(&overlay, scope, &token);
            let is_all = request.kinds.is_empty();
            let kinds = request.kinds.iter().filter(|kind| **kind <= SymbolKind::HIGHEST).fold(0, |bits, kind| bits | 1 << kind);
            let wanted = SymbolQuery {
                query: Query::new(crate::stdx::text::prefix(&request.query, rank::MAX_QUERY_BYTES), is_all),
                kinds: if is_all { u32::MAX } else { kinds },
                limit: request.limit,
            };
            if announced.is_empty() {
                return search::search(below(&files, scope), &wanted, &token);
            }
            search::search(&merged(below(&files, scope), announced), &wanted, &token)
        });
        found.await.map_err(Error::Failed)
    }

    /// Files or directories were created, changed or removed; the next query sees it.
    pub fn changed(&self, paths: &[AbsPath]) {
        for project in self.projects.list() {
            paths.iter().for_each(|path| project.value.changed(path));
        }
    }

    /// Anything in the directory may have changed; the next query checks it first.
    pub fn invalidate(&self, directory: &AbsPath) {
        for project in self.projects.list() {
            project.value.invalidate(directory);
        }
    }

    /// Drops indexes that were not used since this time, in milliseconds since 1970.
    pub fn close_idle(&self, before: i64) {
        if self.projects.drop_idle(before) > 0 {
            drop(Tasks::spawn_blocking(memory::give_back));
        }
    }

    /// The state of all indexes, sorted by path.
    pub fn state(&self) -> Vec<DiagnosisSymbols> {
        let mut states: Vec<_> = self.projects.list().into_iter().map(|project| project.value.describe(project.used)).collect();
        states.sort_by(|one, other| one.directory.cmp(&other.directory));
        states
    }

    /// The files of the index that contains the directory.
    async fn prepared(&self, request: &Request) -> Files {
        let Checkout { worktree, directory, .. } = &request.checkout;
        let mut project = self.project(worktree);
        project.prepare().await;
        let mut files = project.files();
        // A directory that the walk of the checkout skips, such as an ignored one, gets an index of its own.
        if directory != worktree && below(&files, directory).is_empty() {
            project = self.project(directory);
            project.prepare().await;
            files = project.files();
        }
        // The index in use is referenced here, so it is not dropped.
        self.projects.shrink_to(MAX_BYTES, Project::bytes);
        files
    }

    fn project(&self, root: &AbsPath) -> Arc<Project> {
        let make = |_: &[_]| Project::new(root.clone(), INDEX_BUDGET, self.tasks.token().child_token());
        self.projects.get_or_insert(root, |_| true, make)
    }
}

/// The files in a directory, which are contiguous in the sorted list.
fn below<'a>(files: &'a [Arc<File>], directory: &AbsPath) -> &'a [Arc<File>] {
    let rest = &files[files.partition_point(|file| file.path < *directory)..];
    &rest[..rest.partition_point(|file| file.path.is_within(directory))]
}

/// The files, with unsaved text in place of files on disk.
fn merged(files: &[Arc<File>], announced: Vec<Arc<File>>) -> Vec<Arc<File>> {
    let is_announced = |file: &&Arc<File>| announced.binary_search_by(|other| other.path.cmp(&file.path)).is_ok();
    let mut merged: Vec<_> = files.iter().filter(|file| !is_announced(file)).cloned().collect();
    merged.extend(announced);
    merged.sort_by(|one, other| one.path.cmp(&other.path));
    merged
}
