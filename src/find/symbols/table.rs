//! The symbols of one file in compact form: rows of numbers, and one string that contains each distinct name once.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Instant};

use super::{
    decode::{Position, Positions, decode, is_handwritten},
    extract::Extractor,
    kind::SymbolKind,
    language::Language,
    nest::{Symbol, nest},
    stamp::Stamp,
};
use crate::{find::listing, stdx::paths::AbsPath};

/// The limit of symbols in one file; files with more are generated.
const MAX_SYMBOLS: usize = 20_000;

/// The state of a file when it was read.
#[derive(Debug)]
pub(super) struct File {
    pub path: AbsPath,
    pub stamp: Option<Stamp>,
    /// The time just before reading.
    pub read: Instant,
    pub symbols: FileSymbols,
}

impl File {
    pub fn of_text(path: AbsPath, text: &str, extractor: &mut Extractor) -> Self {
        let symbols = FileSymbols::of_text(&path, text, extractor);
        Self { path, stamp: None, read: Instant::now(), symbols }
    }

    pub fn of_bytes(path: AbsPath, stamp: Stamp, read: Instant, bytes: &[u8], extractor: &mut Extractor) -> Self {
        let symbols = decode(bytes).map(|text| FileSymbols::of_text(&path, &text, extractor)).unwrap_or_default();
        Self { path, stamp: Some(stamp), read, symbols }
    }

    /// The approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.path.as_path().as_os_str().len()
            + self.symbols.rows.len() * size_of::<Row>()
            + self.symbols.text.len()
            + 64
    }
}

/// Files, sorted by path.
pub(super) type Files = Arc<Vec<Arc<File>>>;

/// The symbols of a file, sorted by their start.
#[derive(Debug, Default)]
pub(super) struct FileSymbols {
    rows: Box<[Row]>,
    text: Box<str>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    /// The characters of the name, see [`listing::characters`].
    characters: u32,
    name: u32,
    container: u32,
    start: Position,
    end: Position,
    name_start: Position,
    name_length: u16,
    container_length: u16,
    kind: SymbolKind,
    is_top: bool,
}

/// A symbol of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    row: &'a Row,
    text: &'a str,
}

impl<'a> Entry<'a> {
    pub fn name(self) -> &'a str {
        part(self.text, self.row.name, self.row.name_length)
    }

    pub fn container(self) -> Option<&'a str> {
        (self.row.container_length > 0).then(|| part(self.text, self.row.container, self.row.container_length))
    }

    pub fn kind(self) -> SymbolKind {
        self.row.kind
    }

    pub fn characters(self) -> u32 {
        self.row.characters
    }

    pub fn is_top(self) -> bool {
        self.row.is_top
    }

    pub fn range(self) -> Range<Position> {
        self.row.start..self.row.end
    }

    /// The range of the name, which is on one line.
    pub fn name_range(self) -> Range<Position> {
        let start = self.row.name_start;
        // A name is far shorter than `u32::MAX`.
        let length = u32::try_from(self.name().encode_utf16().count()).unwrap_or(u32::MAX);
        start..Position { line: start.line, character: start.character.saturating_add(length) }
    }
}

fn part(text: &str, start: u32, length: u16) -> &str {
    text.get(start as usize..start as usize + usize::from(length)).unwrap_or_default()
}

impl FileSymbols {
    /// The symbols of a text; empty for unknown languages, generated text, and on a timeout.
    fn of_text(path: &AbsPath, text: &str, extractor: &mut Extractor) -> Self {
        let Some(language) = Language::of(path.as_path(), text).filter(|_| is_handwritten(text)) else { return Self::default() };
        match extractor.tags(language, text) {
            Some(tags) => Self::pack(nest(tags, text, language), text),
            None => {
                tracing::debug!(%path, "parsing timed out; skipping the file's symbols");
                Self::default()
            }
        }
    }

    fn pack(mut found: Vec<Symbol>, text: &str) -> Self {
        found.truncate(MAX_SYMBOLS);
        let positions = Positions::new(text, found.iter().flat_map(|one| [one.range.start, one.range.end, one.name.start]).collect());
        let mut names = Names::default();
        let rows = found.iter().map(|one| {
            let word = &text[one.name.start as usize..one.name.end as usize];
            let (name, name_length) = names.intern(word);
            let (container, container_length) = one.container.as_deref().map_or((0, 0), |container| names.intern(container));
            Row {
                characters: listing::characters(word.as_bytes()),
                name,
                container,
                start: positions.of(one.range.start),
                end: positions.of(one.range.end),
                name_start: positions.of(one.name.start),
                name_length,
                container_length,
                kind: one.kind,
                is_top: one.is_top,
            }
        });
        Self { rows: rows.collect(), text: names.text.into() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn get(&self, index: usize) -> Option<Entry<'_>> {
        self.rows.get(index).map(|row| Entry { row, text: &self.text })
    }

    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.rows.iter().map(|row| Entry { row, text: &self.text })
    }
}

/// The distinct names in one string.
#[derive(Default)]
struct Names {
    text: String,
    offsets: HashMap<Box<str>, u32>,
}

impl Names {
    fn intern(&mut self, name: &str) -> (u32, u16) {
        let name = crate::stdx::text::prefix(name, usize::from(u16::MAX));
        // Names are parts of a text of at most one MiB, each at most once.
        let (end, length) = (u32::try_from(self.text.len()).unwrap_or(u32::MAX), u16::try_from(name.len()).unwrap_or(u16::MAX));
        if let Some(offset) = self.offsets.get(name) {
            return (*offset, length);
        }
        self.text.push_str(name);
        self.offsets.insert(name.into(), end);
        (end, length)
    }
}
