//! Searches a list of files on several threads, and passes the results to a [`Collect`].

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    file::{FileSearcher, Line, Outcome, Source},
    filter::Filter,
    query::Query,
};
use crate::{
    file::open,
    find::{
        files::{FileNumber, Files},
        listing::EntryKind,
        walk::Bounds,
    },
    git::ignore::is_visible,
    overlay::{Document, Overlay},
    stdx::paths::AbsPath,
};

/// More threads gain nothing: they wait for each other.
const MAX_THREADS: usize = 8;

/// Where to search, as real paths.
#[derive(Debug, Clone)]
pub struct Place {
    /// The base of relative paths.
    pub directory: AbsPath,
    /// The directory or file to search, within `directory`.
    pub from: AbsPath,
}

/// Cancels a search.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    is_dropped: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Cancels the search at a deadline.
    pub fn at(deadline: Instant) -> Self {
        Self { is_dropped: Arc::default(), deadline: Some(deadline) }
    }

    /// Whether the search is cancelled.
    pub fn is_set(&self) -> bool {
        self.is_dropped() || self.is_late()
    }

    /// Whether the caller has stopped waiting.
    fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed)
    }

    /// Whether the deadline has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    /// Cancels the search when the returned value is dropped.
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(Arc::clone(&self.is_dropped))
    }
}

/// Cancels a search on drop.
#[derive(Debug)]
pub struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of searched files.
    pub files: u64,
    /// The number of unreadable files and directories.
    pub unreadable: u64,
    /// The number of returned matches.
    pub matches: u64,
    /// Whether there are more.
    pub truncated: bool,
}

/// Receives the results of a search, from several threads.
pub trait Collect: Sync {
    /// The results of one file.
    type Part;

    /// Whether this file can be skipped.
    fn skips(&self, path: &Path) -> bool;

    /// Called at the first line of a file, with its number in the list, its path, and the path for clients.
    fn begin(&self, number: usize, path: &Path, shown: &str) -> Self::Part;

    /// Called for each line; breaks when this file has enough.
    fn line(&self, part: &mut Self::Part, line: &Line<'_>) -> ControlFlow<()>;

    /// Called at the end of a file with lines, which may be binary; breaks when the whole search has enough.
    fn end(&self, part: Self::Part, is_binary: bool) -> ControlFlow<()>;
}

/// The files to search, in order.
#[derive(Debug, Default)]
pub struct Targets {
    /// Files given by absolute paths; they come first.
    paths: Vec<PathBuf>,
    listed: Option<(Files, Vec<FileNumber>)>,
    /// The number of unreadable directories.
    unreadable: u64,
    /// The list was truncated by a limit.
    pub is_cut: bool,
}

impl Targets {
    pub fn of_paths(paths: Vec<PathBuf>, is_cut: bool) -> Self {
        Self { paths, is_cut, ..Self::default() }
    }

    /// The files that a filter accepts, with unsaved new files. `known` are the files of an index.
    pub fn select(place: &Place, filter: &Filter, overlay: &Overlay, known: Option<Files>, stop: &Stop) -> Self {
        let from = &place.from;
        if !from.as_path().is_dir() {
            return Self::of_paths(vec![from.as_path().to_owned()], false);
        }
        let walk = || Files::walk(from, Bounds::REPOSITORY, &|| stop.is_set()).ok();
        let Some(files) = known.or_else(walk) else { return Self { unreadable: 1, ..Self::default() } };
        let paths = unsaved(from, overlay, |path| filter.takes_at_any_depth(path));
        let unsaved: HashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let selected = files.select(|path, kind| match kind {
            EntryKind::Directory => filter.enters(path),
            EntryKind::File => filter.takes(path) && !unsaved.contains(path),
        });
        Self { unreadable: files.unreadable() as u64, is_cut: files.is_cut(), listed: Some((files, selected)), paths }
    }

    fn len(&self) -> usize {
        self.paths.len() + self.listed.as_ref().map_or(0, |(_, selected)| selected.len())
    }

    fn get(&self, number: usize) -> Option<Cow<'_, Path>> {
        if let Some(path) = self.paths.get(number) {
            return Some(Cow::Borrowed(path));
        }
        let (files, selected) = self.listed.as_ref()?;
        selected.get(number - self.paths.len()).map(|file| Cow::Owned(files.path(*file)))
    }
}

/// The unsaved new files in a directory that are not ignored.
pub fn unsaved(root: &AbsPath, overlay: &Overlay, takes: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let is_new = |path: &AbsPath| path.as_path().symlink_metadata().is_err() && takes(path.as_path()) && is_visible(root, path);
    overlay.below(root).into_iter().map(|document| document.path.clone()).filter(is_new).map(|path| path.as_path().to_owned()).collect()
}

/// Searches the files, approximately in order. The summary counts files only.
pub fn search<C: Collect>(place: &Place, targets: &Targets, query: &Query, overlay: &Overlay, stop: &Stop, collect: &C) -> Summary {
    let by_path = |document: Arc<Document>| (document.path.as_path().to_owned(), document);
    let run = Run {
        place,
        stop,
        collect,
        documents: overlay.below(&place.from).into_iter().map(by_path).collect(),
        unknown: overlay.unknown_below(&place.from).into_iter().map(|path| path.as_path().to_owned()).collect(),
        // `None` if it is a file, which is opened by its whole path.
        root: open::Root::new(&place.from).ok(),
        is_over: AtomicBool::new(false),
        files: AtomicU64::new(0),
        unreadable: AtomicU64::new(targets.unreadable),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut searcher = FileSearcher::new(query);
        while !run.is_over.load(Ordering::Relaxed) && !stop.is_set() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = targets.get(number) else { break };
            if run.visit(&mut searcher, number, &path).is_break() {
                run.is_over.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(targets.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    Summary { files: run.files.into_inner(), unreadable: run.unreadable.into_inner(), truncated: targets.is_cut, ..Summary::default() }
}

struct Run<'a, C> {
    place: &'a Place,
    stop: &'a Stop,
    collect: &'a C,
    /// Unsaved text by path.
    documents: HashMap<PathBuf, Arc<Document>>,
    /// Files that are open in an editor with unknown text: the outdated file is not searched.
    unknown: HashSet<PathBuf>,
    root: Option<open::Root>,
    is_over: AtomicBool,
    files: AtomicU64,
    unreadable: AtomicU64,
}

impl<C: Collect> Run<'_, C> {
    fn visit(&self, searcher: &mut FileSearcher, number: usize, path: &Path) -> ControlFlow<()> {
        if self.collect.skips(path) {
            return ControlFlow::Continue(());
        }
        if self.unknown.contains(path) {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return ControlFlow::Continue(());
        }
        if let Some(document) = self.documents.get(path) {
            return self.search(searcher, number, path, &Source::Text(&document.text));
        }
        match self.open(path) {
            Ok((file, size)) => self.search(searcher, number, path, &Source::File(&file, size)),
            // Symbolic links are not followed, and files that were removed since the walk are ignored.
            Err(open::Error::Moved) => ControlFlow::Continue(()),
            Err(open::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => ControlFlow::Continue(()),
            Err(_) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
        }
    }

    fn open(&self, path: &Path) -> Result<(File, u64), open::Error> {
        match (&self.root, path.strip_prefix(&self.place.from)) {
            (Some(root), Ok(relative)) => root.regular(relative),
            _ => {
                let path = AbsPath::new(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                open::regular(&path).map(|(file, metadata)| (file, metadata.len()))
            }
        }
    }

    fn search(&self, searcher: &mut FileSearcher, number: usize, path: &Path, source: &Source<'_>) -> ControlFlow<()> {
        let mut part = None;
        let searched = searcher.search(source, &|| self.stop.is_set(), &mut |line| {
            let part = part.get_or_insert_with(|| self.collect.begin(number, path, &shown(&self.place.directory, path)));
            self.collect.line(part, &line)
        });
        let count = if searched.is_ok() { &self.files } else { &self.unreadable };
        count.fetch_add(1, Ordering::Relaxed);
        if self.stop.is_dropped() {
            return ControlFlow::Break(());
        }
        let is_binary = matches!(searched, Ok(Outcome::Binary));
        part.map_or(ControlFlow::Continue(()), |part| self.collect.end(part, is_binary))
    }
}

/// The path for clients: relative to the directory, with `/` between names.
fn shown(directory: &AbsPath, path: &Path) -> String {
    let relative = path.strip_prefix(directory).unwrap_or(path).to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { relative.into_owned() } else { relative.replace(std::path::MAIN_SEPARATOR, "/") }
}
