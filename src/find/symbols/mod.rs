//! Symbols of projects by their names, without a language server: what tree-sitter finds in the files as they are, or
//! as an editor holds them. The index of a directory is made at the first query, kept up to date while queries come,
//! bounded, and dropped when nobody has asked for a while.

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

use tokio::sync::Semaphore;

pub use self::{
    decode::Position,
    kind::SymbolKind,
    project::{Partial, SymbolsState},
    search::Hit,
};
use self::{
    project::{Budget, Project},
    rank::Query,
    search::Wanted,
    table::{File, Files},
    unsaved::Unsaved,
};
use crate::{
    git::Checkout,
    overlay::Overlay,
    stdx::{idle::IdlePool, memory, paths::AbsPath, tasks::Tasks},
};

/// The limit for the symbols of one directory.
const BUDGET: Budget = Budget { symbols: 500_000, bytes: 48 * 1024 * 1024 };
/// The limit for all symbols together; those that were not used for longest are dropped.
const MAX_BYTES: usize = 96 * 1024 * 1024;
/// How many queries are answered at once; others wait, since each uses all processors.
const MAX_QUERIES: usize = 4;

/// The search failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fault of the program.
    #[error("the search for symbols failed")]
    Failed(#[source] tokio::task::JoinError),
    /// The daemon ends.
    #[error("the daemon is ending")]
    Ended,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory, in a checkout whose symbols are kept together.
    pub checkout: Checkout,
    /// Only in this file or below this directory.
    pub path: Option<AbsPath>,
    /// The name or a part of it.
    pub query: String,
    /// Only these kinds, by their numbers; none means all.
    pub kinds: Vec<u8>,
    /// At most so many.
    pub limit: usize,
}

/// The symbols of all directories that somebody has asked for lately.
pub struct Symbols {
    overlay: Arc<Overlay>,
    tasks: Tasks,
    /// By the roots. Their size bounds them, not their number.
    projects: IdlePool<AbsPath, Project>,
    unsaved: Arc<Unsaved>,
    searching: Arc<Semaphore>,
}

impl Symbols {
    /// No symbols yet. Reading ends with the tasks' token.
    #[must_use]
    pub fn new(overlay: Arc<Overlay>, tasks: Tasks) -> Self {
        Self {
            overlay,
            tasks,
            projects: IdlePool::new(usize::MAX),
            unsaved: Arc::default(),
            searching: Arc::new(Semaphore::new(MAX_QUERIES)),
        }
    }

    /// The symbols that fit, best first. Dropping the future ends the search, though not the reading of the index.
    ///
    /// Texts that editors have announced count in place of the files. While the index is made, it waits for at most
    /// three seconds and then answers with what is there. Changes on the disk count at once where [`Symbols::changed`]
    /// has told of them, and otherwise when a check has seen them, which while queries come happens once a second.
    ///
    /// # Errors
    /// [`Error`].
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
            let wanted = Wanted {
                query: Query::new(crate::stdx::text::prefix(&request.query, rank::MAX_QUERY), is_all),
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

    /// Files or directories were made, changed or removed: the next query knows.
    pub fn changed(&self, paths: &[AbsPath]) {
        for project in self.projects.list() {
            paths.iter().for_each(|path| project.value.changed(path));
        }
    }

    /// Anything at or below the directory may have changed: the next query looks first.
    pub fn invalidate(&self, directory: &AbsPath) {
        for project in self.projects.list() {
            project.value.invalidate(directory);
        }
    }

    /// Drops the symbols of directories that nobody has asked for since this time, in milliseconds since 1970.
    pub fn close_idle(&self, before: i64) {
        if self.projects.drop_idle(before) > 0 {
            drop(Tasks::spawn_blocking(memory::give_back));
        }
    }

    /// How the symbols of each directory stand, by path.
    #[must_use]
    pub fn state(&self) -> Vec<SymbolsState> {
        let mut states: Vec<_> = self.projects.list().into_iter().map(|project| project.value.standing(project.used)).collect();
        states.sort_by(|one, other| one.root.cmp(&other.root));
        states
    }

    /// The files of the index that holds the directory.
    async fn prepared(&self, request: &Request) -> Files {
        let Checkout { worktree, directory, .. } = &request.checkout;
        let mut project = self.project(worktree);
        project.prepare().await;
        let mut files = project.files();
        // What the walk over the checkout does not enter, somebody may yet work in: then it has an index of its own.
        if directory != worktree && below(&files, directory).is_empty() {
            project = self.project(directory);
            project.prepare().await;
            files = project.files();
        }
        // The one that was just used is held here, so it stays.
        self.projects.shrink_to(MAX_BYTES, Project::bytes);
        files
    }

    fn project(&self, root: &AbsPath) -> Arc<Project> {
        let make = |_: &[_]| Project::new(root.clone(), BUDGET, self.tasks.token().child_token());
        self.projects.get_or_insert(root, |_| true, make)
    }
}

/// Those at or below a directory: they stand together in the order of paths.
fn below<'a>(files: &'a [Arc<File>], directory: &AbsPath) -> &'a [Arc<File>] {
    let rest = &files[files.partition_point(|file| file.path < *directory)..];
    &rest[..rest.partition_point(|file| file.path.is_within(directory))]
}

/// The files with those that editors hold in their places.
fn merged(files: &[Arc<File>], announced: Vec<Arc<File>>) -> Vec<Arc<File>> {
    let is_announced = |file: &&Arc<File>| announced.binary_search_by(|other| other.path.cmp(&file.path)).is_ok();
    let mut merged: Vec<_> = files.iter().filter(|file| !is_announced(file)).cloned().collect();
    merged.extend(announced);
    merged.sort_by(|one, other| one.path.cmp(&other.path));
    merged
}
