//! A search below a directory on several threads: a walk that hands each file to whoever has come upon it. What is done
//! with the matches is a [`Collect`]'s affair.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ignore::{DirEntry, WalkState};

use super::{
    file::{FileSearcher, Line, Source},
    filter::Filter,
    query::Query,
};
use crate::{
    file::open,
    git::ignore::{sees, walker},
    overlay::{Document, Overlay},
    stdx::paths::AbsPath,
};

/// More threads than this only wait for each other.
const MOST_THREADS: usize = 8;

/// Where to search: real paths.
#[derive(Debug, Clone)]
pub struct Place {
    /// What paths are relative to.
    pub directory: AbsPath,
    /// The directory or file to search, in that directory or the same.
    pub from: AbsPath,
}

/// Ends a search wherever it is.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the search is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the search when the value is dropped.
    #[must_use]
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// Ends a search when it is dropped: whoever waits for one holds it.
#[derive(Debug)]
pub struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// How a search went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many files were searched.
    pub files: u64,
    /// How many could not be read.
    pub unreadable: u64,
    /// How many matches were given.
    pub matches: u64,
    /// Whether there are more.
    pub truncated: bool,
}

/// What is done with what a search meets. Files come in no order, and several at once.
pub trait Collect: Sync {
    /// What one file has brought so far.
    type Part;

    /// Whether nothing at or below the path is of interest.
    fn skips(&self, path: &Path) -> bool;

    /// A file with this path, and this path as it is shown, begins.
    fn begin(&self, path: &Path, shown: &str) -> Self::Part;

    /// A line was met in it; breaks when that is enough of this file.
    fn line(&self, part: &mut Self::Part, line: &Line<'_>) -> ControlFlow<()>;

    /// A file in which lines were met is over; breaks when that is enough of all.
    fn end(&self, part: Self::Part) -> ControlFlow<()>;
}

/// Goes through the place. In the summary only the files are counted.
pub fn search<C: Collect>(place: &Place, query: &Query, filter: &Filter, overlay: &Overlay, stop: &Stop, collect: &C) -> Summary {
    let documents = overlay.below(&place.from).into_iter().map(|document| (document.path.as_path().to_owned(), document)).collect();
    let mut run = Run {
        place,
        query,
        filter,
        stop,
        collect,
        documents,
        untold: overlay.untold_below(&place.from).into_iter().map(|path| path.as_path().to_owned()).collect(),
        new: HashSet::new(),
        root: None,
        files: AtomicU64::new(0),
        unreadable: AtomicU64::new(0),
    };
    run.go();
    Summary { files: run.files.into_inner(), unreadable: run.unreadable.into_inner(), ..Summary::default() }
}

struct Run<'a, C> {
    place: &'a Place,
    query: &'a Query,
    filter: &'a Filter,
    stop: &'a Stop,
    collect: &'a C,
    /// What editors hold, by path.
    documents: HashMap<PathBuf, Arc<Document>>,
    /// What editors hold and have not told: what the disk has of them is not searched in its place.
    untold: HashSet<PathBuf>,
    /// Those that were not on the disk when the search began, and are done.
    new: HashSet<PathBuf>,
    root: Option<open::Root>,
    files: AtomicU64,
    unreadable: AtomicU64,
}

impl<C: Collect> Run<'_, C> {
    fn go(&mut self) {
        let from = &self.place.from;
        let mut searcher = FileSearcher::new(self.query);
        if !from.as_path().is_dir() {
            if self.untold.contains(from.as_path()) {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
            } else if let Some(document) = self.documents.get(from.as_path()) {
                let _ = self.search(&mut searcher, from.as_path(), &Source::Text(&document.text));
            } else {
                let file = open::regular(from).map(|(file, metadata)| (file, metadata.len()));
                let _ = self.file(&mut searcher, from.as_path(), file);
            }
            return;
        }
        match open::Root::new(from) {
            Ok(root) => self.root = Some(root),
            Err(_) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if self.unsaved(&mut searcher).is_break() {
            return;
        }
        drop(searcher);
        let filter = self.filter.clone();
        let is_directory = |entry: &DirEntry| entry.file_type().is_some_and(|kind| kind.is_dir());
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let mut walker = walker(from, move |entry| !is_directory(entry) || filter.enters(entry.path()));
        let run = &*self;
        walker.threads(threads).build_parallel().run(|| {
            let mut searcher = FileSearcher::new(run.query);
            Box::new(move |entry| run.visit(&mut searcher, entry))
        });
    }

    /// Searches texts of files that are not on the disk yet.
    fn unsaved(&mut self, searcher: &mut FileSearcher) -> ControlFlow<()> {
        let new: Vec<_> = self.documents.values().filter(|document| document.path.as_path().symlink_metadata().is_err()).cloned().collect();
        for document in new {
            let path = document.path.as_path();
            self.new.insert(path.to_owned());
            if self.filter.takes_at_any_depth(path) && sees(&self.place.from, &document.path) && !self.collect.skips(path) {
                self.search(searcher, path, &Source::Text(&document.text))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn visit(&self, searcher: &mut FileSearcher, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        if self.stop.is_set() {
            return WalkState::Quit;
        }
        let Ok(entry) = entry else {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return WalkState::Continue;
        };
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_some_and(|kind| kind.is_dir()) {
            return if entry.depth() > 0 && self.collect.skips(path) { WalkState::Skip } else { WalkState::Continue };
        }
        if !kind.is_some_and(|kind| kind.is_file()) || !self.filter.takes(path) || self.collect.skips(path) {
            return WalkState::Continue;
        }
        if self.untold.contains(path) {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return WalkState::Continue;
        }
        let searched = match self.documents.get(path) {
            Some(_) if self.new.contains(path) => ControlFlow::Continue(()),
            Some(document) => self.search(searcher, path, &Source::Text(&document.text)),
            None => {
                // Names of a walk begin with where it has begun.
                let relative = path.strip_prefix(&self.place.from).unwrap_or(path);
                let file = self.root.as_ref().map(|root| root.regular(relative));
                file.map_or(ControlFlow::Continue(()), |file| self.file(searcher, path, file))
            }
        };
        if searched.is_break() { WalkState::Quit } else { WalkState::Continue }
    }

    fn file(&self, searcher: &mut FileSearcher, path: &Path, file: Result<(File, u64), open::Error>) -> ControlFlow<()> {
        match file {
            Ok((file, size)) => self.search(searcher, path, &Source::File(&file, size)),
            // What has gone since it was seen was not there.
            Err(open::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => ControlFlow::Continue(()),
            Err(_) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
        }
    }

    fn search(&self, searcher: &mut FileSearcher, path: &Path, source: &Source<'_>) -> ControlFlow<()> {
        let mut part = None;
        let searched = searcher.search(source, &|| self.stop.is_set(), &mut |line| {
            let part = part.get_or_insert_with(|| self.collect.begin(path, &shown(&self.place.directory, path)));
            self.collect.line(part, &line)
        });
        let count = if searched.is_ok() { &self.files } else { &self.unreadable };
        count.fetch_add(1, Ordering::Relaxed);
        if self.stop.is_set() {
            return ControlFlow::Break(());
        }
        part.map_or(ControlFlow::Continue(()), |part| self.collect.end(part))
    }
}

/// A path for clients: relative to the directory, with `/` between names.
fn shown(directory: &AbsPath, path: &Path) -> String {
    let relative = path.strip_prefix(directory).unwrap_or(path).to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { relative.into_owned() } else { relative.replace(std::path::MAIN_SEPARATOR, "/") }
}
