//! Searching one file, in a buffer that is used again for the next one. Text in UTF-16 is told by its byte order mark,
//! files with NUL bytes are none of text, and an end that was asked for comes at the next piece that is read.

use std::{
    fs::File,
    io::{self, Read},
    ops::{ControlFlow, Range},
};

use grep_matcher::Matcher as _;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkFinish, SinkMatch};

use super::{cut::SHOWN_BYTES, query::Query};

/// A file up to this size is read at once; it is also how much of others is read at a time.
const PIECE: usize = 64 * 1024;
/// The size limit of a file for matches over several lines, for which it must be in memory as a whole.
const WHOLE_BYTES: u64 = 64 * 1024 * 1024;
/// How far after the lines of a match the pattern may look.
const LOOK_AHEAD: usize = 128;

/// What to search.
pub enum Source<'a> {
    /// A file of this size.
    File(&'a File, u64),
    /// A text that is no file's, or not yet.
    Text(&'a str),
}

/// What a search meets in a file.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The number, from 1.
    pub number: u64,
    /// The line without its ending; the lines, where the matches go over several.
    pub bytes: &'a [u8],
    /// The matches in it, none beyond what is shown of it; `None` in a line of context.
    pub matches: Option<&'a [Range<usize>]>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was searched.
    Searched,
    /// It is no text; what was met before that showed is not much worth.
    Binary,
}

/// Searches files, one after the other.
pub struct FileSearcher {
    matcher: RegexMatcher,
    searcher: Searcher,
    multiline: bool,
    buffer: Vec<u8>,
    matches: Vec<Range<usize>>,
}

impl FileSearcher {
    /// For one thread.
    #[must_use]
    pub fn new(query: &Query) -> Self {
        let (matcher, searcher) = (query.matcher(), query.searcher());
        Self { matcher, searcher, multiline: query.is_multiline(), buffer: Vec::new(), matches: Vec::new() }
    }

    /// Shows every line that the search meets, until that or `is_over` says that it is enough.
    ///
    /// # Errors
    /// When the file cannot be read or a line of it is too long.
    pub fn search(
        &mut self,
        source: &Source<'_>,
        is_over: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> io::Result<Outcome> {
        let mut meet = Meet {
            matcher: &self.matcher,
            matches: &mut self.matches,
            across: self.searcher.multi_line_with_matcher(&self.matcher),
            each,
            is_over,
            outcome: Outcome::Searched,
        };
        match source {
            Source::Text(text) if self.multiline || text.len() <= PIECE => {
                self.searcher.search_slice(&self.matcher, text.as_bytes(), &mut meet)?;
            }
            Source::Text(text) => {
                self.searcher.search_reader(&self.matcher, Bounded { source: text.as_bytes(), is_over }, &mut meet)?;
            }
            Source::File(file, size) => {
                if self.multiline && *size > WHOLE_BYTES {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                let mut file = Bounded { source: *file, is_over };
                let whole = if self.multiline { usize::try_from(WHOLE_BYTES).unwrap_or(usize::MAX) } else { PIECE };
                let size = usize::try_from(*size).unwrap_or(usize::MAX);
                if fill(&mut self.buffer, &mut file, size, whole)? {
                    self.searcher.search_slice(&self.matcher, &self.buffer, &mut meet)?;
                } else if self.multiline {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                } else {
                    self.searcher.search_reader(&self.matcher, self.buffer.as_slice().chain(file), &mut meet)?;
                }
            }
        }
        let outcome = meet.outcome;
        // One large file does not make all threads large for ever.
        self.buffer.truncate(0);
        self.buffer.shrink_to(4 * PIECE);
        Ok(outcome)
    }
}

/// Reads into the buffer until the end, or until there is more than `most`; tells whether that is all.
fn fill(buffer: &mut Vec<u8>, source: &mut impl Read, size: usize, most: usize) -> io::Result<bool> {
    buffer.clear();
    // One more than the file has, so that its end shows by itself: of a regular file a read comes short only there.
    let mut room = size.min(most) + 1;
    loop {
        let begin = buffer.len();
        buffer.resize(begin + room, 0);
        let read = loop {
            match source.read(&mut buffer[begin..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        buffer.truncate(begin + read);
        if read < room {
            return Ok(true);
        }
        if buffer.len() > most {
            return Ok(false);
        }
        // It has grown since its size was asked for.
        room = (most + 1 - buffer.len()).min(PIECE);
    }
}

/// Reads piece by piece until it is over.
struct Bounded<'a, R> {
    source: R,
    is_over: &'a dyn Fn() -> bool,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_over)() { Err(io::Error::other("the search is over")) } else { self.source.read(buffer) }
    }
}

/// Takes what the searcher finds.
struct Meet<'a> {
    matcher: &'a RegexMatcher,
    matches: &'a mut Vec<Range<usize>>,
    /// Whether matches go over several lines.
    across: bool,
    each: &'a mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    is_over: &'a dyn Fn() -> bool,
    outcome: Outcome,
}

impl Meet<'_> {
    fn meet(&mut self, line: Line<'_>) -> bool {
        !(self.is_over)() && (self.each)(line).is_continue()
    }

    /// Finds the places of the matches, which the searcher does not tell. `visible` is the length without the ending.
    fn locate(&mut self, buffer: &[u8], range: &Range<usize>, visible: usize) -> io::Result<()> {
        // Within a line the pattern must not see the line's ending, over several it must see what follows.
        let upto = if self.across { (range.end + LOOK_AHEAD).min(buffer.len()) } else { range.start + visible };
        self.matches.clear();
        let matches = &mut *self.matches;
        let found = self.matcher.find_iter_at(&buffer[..upto], range.start, |found| {
            let place = found.start() - range.start..found.end() - range.start;
            // What stands so far behind the first one is not shown.
            let is_near = matches.first().is_none_or(|first: &Range<usize>| place.start <= first.start + SHOWN_BYTES);
            let is_inside = found.start() < range.end || matches.is_empty();
            if is_near && is_inside {
                matches.push(place);
            }
            is_near && is_inside
        });
        found.map_err(io::Error::other)?;
        // Nothing, found behind everything, is only the end.
        if matches.len() > 1 && matches.last().is_some_and(|last| last.is_empty() && last.start >= range.len()) {
            matches.pop();
        }
        for found in matches {
            *found = found.start.min(visible)..found.end.min(visible);
        }
        Ok(())
    }
}

impl Sink for Meet<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let bytes = without_ending(found.bytes());
        self.locate(found.buffer(), &found.bytes_range_in_buffer(), bytes.len())?;
        let matches = std::mem::take(self.matches);
        let goes_on = self.meet(Line { number: found.line_number().unwrap_or(0), bytes, matches: Some(&matches) });
        *self.matches = matches;
        Ok(goes_on)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let bytes = without_ending(context.bytes());
        Ok(self.meet(Line { number: context.line_number().unwrap_or(0), bytes, matches: None }))
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.outcome = Outcome::Binary;
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, end: &SinkFinish) -> io::Result<()> {
        if end.binary_byte_offset().is_some() {
            self.outcome = Outcome::Binary;
        }
        Ok(())
    }
}

fn without_ending(line: &[u8]) -> &[u8] {
    let Some(line) = line.strip_suffix(b"\n") else { return line };
    line.strip_suffix(b"\r").unwrap_or(line)
}
