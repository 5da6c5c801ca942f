//! Tests with real files and directories.

mod changes;
mod hostile;
mod languages;
mod languages_more;
mod queries;
mod ranking;
mod unsaved;

use std::{fs, sync::Arc, time::Duration};

use polytree_protocol::id::ProjectId;
use tokio_util::sync::CancellationToken;

use super::{Hit, Request, Symbols, extract::Extractor, table::File};
use crate::{
    git::Checkout,
    overlay::Overlay,
    stdx::{ids, paths::AbsPath, tasks::Tasks},
};

/// A directory with files and its symbol search.
struct Place {
    _directory: tempfile::TempDir,
    root: AbsPath,
    overlay: Arc<Overlay>,
    symbols: Arc<Symbols>,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        let overlay = Arc::<Overlay>::default();
        let symbols = Arc::new(Symbols::new(Arc::clone(&overlay), Tasks::new()));
        let place = Self { _directory: directory, root, overlay, symbols };
        for (path, text) in files {
            place.write(path, text);
        }
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn request(&self, query: &str) -> Request {
        Request {
            checkout: Checkout {
                project: ProjectId::from_ulid(ids::next()),
                directory: self.root.clone(),
                worktree: self.root.clone(),
                git: None,
            },
            path: None,
            query: query.to_owned(),
            kinds: Vec::new(),
            limit: 50,
        }
    }

    async fn hits(&self, request: Request) -> Vec<Hit> {
        tokio::time::timeout(Duration::from_secs(60), self.symbols.find(request)).await.expect("it hangs").unwrap()
    }

    /// The results as `path name`, best first.
    async fn find(&self, query: &str) -> Vec<String> {
        self.listed(self.request(query)).await
    }

    async fn listed(&self, request: Request) -> Vec<String> {
        self.hits(request).await.into_iter().map(|hit| format!("{} {}", hit.path.relative_to(&self.root), hit.name)).collect()
    }
}

/// The symbols of a text in a file of this name.
fn file(name: &str, text: &str) -> File {
    File::of_text(AbsPath::new(format!("/{name}")).unwrap(), text, &mut Extractor::new(CancellationToken::new()))
}

/// A line for each symbol: `line kind container name`, lines from 1.
fn listing(name: &str, text: &str) -> String {
    use std::fmt::Write as _;
    let file = file(name, text);
    let mut lines = String::new();
    for entry in file.symbols.iter() {
        let (range, container) = (entry.range(), entry.container().map(|container| format!(" in {container}")).unwrap_or_default());
        writeln!(lines, "{}-{} {:?} {}{container}", range.start.line + 1, range.end.line + 1, entry.kind(), entry.name()).unwrap();
    }
    assert_names_are_in_their_ranges(&file, text);
    lines
}

/// The text of a range.
fn cut(text: &str, range: &std::ops::Range<super::Position>) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut cut = String::new();
    for number in range.start.line..=range.end.line {
        let units: Vec<u16> = lines[number as usize].encode_utf16().collect();
        let from = if number == range.start.line { range.start.character as usize } else { 0 };
        let to = if number == range.end.line { range.end.character as usize } else { units.len() };
        cut.push_str(&String::from_utf16(&units[from..to]).unwrap());
        if number < range.end.line {
            cut.push('\n');
        }
    }
    cut
}

fn assert_names_are_in_their_ranges(file: &File, text: &str) {
    for entry in file.symbols.iter() {
        assert_eq!(cut(text, &entry.name_range()), entry.name());
        let whole = cut(text, &entry.range());
        assert!(whole.contains(entry.name()), "{}: {whole:?}", entry.name());
        assert!(entry.range().start <= entry.name_range().start && entry.name_range().end <= entry.range().end, "{}", entry.name());
    }
}
