//! Searches one file, with a reused buffer. UTF-16 is detected by its byte order mark, files with NUL bytes are binary,
//! and cancellation takes effect at the next chunk.

use std::{
    fs::File,
    io::{self, Read},
    ops::{ControlFlow, Range},
};

use grep_matcher::Matcher as _;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkFinish, SinkMatch};

use super::{excerpt::MAX_EXCERPT_BYTES, query::Query};

/// Files up to this size are read at once, others in chunks of it.
const CHUNK_BYTES: usize = 64 * 1024;
/// The size limit of a file in a multi-line search, which needs the whole file in memory.
const MAX_MULTILINE_BYTES: u64 = 64 * 1024 * 1024;
/// How many bytes after the lines of a match the pattern may look at.
const LOOK_AHEAD_BYTES: usize = 128;

pub enum Source<'a> {
    /// A file with its size.
    File(&'a File, u64),
    /// Unsaved text.
    Text(&'a str),
}

/// A line that a search has found.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The number, from 1.
    pub number: u64,
    /// The line without its terminator; several lines for a multi-line match.
    pub bytes: &'a [u8],
    /// The matches in the part that will be shown; `None` for a context line.
    pub matches: Option<&'a [Range<usize>]>,
}

/// The result of searching a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Searched,
    /// The file is binary; matches found before that are of little value.
    Binary,
}

/// Searches files sequentially.
pub struct FileSearcher {
    matcher: RegexMatcher,
    searcher: Searcher,
    multiline: bool,
    buffer: Vec<u8>,
    matches: Vec<Range<usize>>,
}

impl FileSearcher {
    pub fn new(query: &Query) -> Self {
        let (matcher, searcher) = (query.matcher(), query.searcher());
        Self { matcher, searcher, multiline: query.is_multiline(), buffer: Vec::new(), matches: Vec::new() }
    }

    /// Passes every found line to `each`, until that breaks or `is_over` returns true.
    pub fn search(
        &mut self,
        source: &Source<'_>,
        is_over: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> io::Result<Outcome> {
        let mut sink = MatchSink {
            matcher: &self.matcher,
            matches: &mut self.matches,
            spans_lines: self.searcher.multi_line_with_matcher(&self.matcher),
            each,
            is_over,
            outcome: Outcome::Searched,
        };
        match source {
            Source::Text(text) if self.multiline || text.len() <= CHUNK_BYTES => {
                self.searcher.search_slice(&self.matcher, text.as_bytes(), &mut sink)?;
            }
            Source::Text(text) => {
                self.searcher.search_reader(&self.matcher, Bounded { source: text.as_bytes(), is_over }, &mut sink)?;
            }
            Source::File(file, size) => {
                if self.multiline && *size > MAX_MULTILINE_BYTES {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                let mut file = Bounded { source: *file, is_over };
                let whole = if self.multiline { usize::try_from(MAX_MULTILINE_BYTES).unwrap_or(usize::MAX) } else { CHUNK_BYTES };
                let size = usize::try_from(*size).unwrap_or(usize::MAX);
                if fill(&mut self.buffer, &mut file, size, whole)? {
                    self.searcher.search_slice(&self.matcher, &self.buffer, &mut sink)?;
                } else if self.multiline {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                } else {
                    self.searcher.search_reader(&self.matcher, self.buffer.as_slice().chain(file), &mut sink)?;
                }
            }
        }
        let outcome = sink.outcome;
        // Release memory after a large file.
        self.buffer.truncate(0);
        self.buffer.shrink_to(4 * CHUNK_BYTES);
        Ok(outcome)
    }
}

/// Reads into the buffer until the end, or until it has more than `limit` bytes; returns whether the end was reached.
fn fill(buffer: &mut Vec<u8>, source: &mut impl Read, size: usize, limit: usize) -> io::Result<bool> {
    buffer.clear();
    // One byte more than the size, so that a short read, which happens only at the end of a regular file, detects the
    // end.
    let mut space = size.min(limit) + 1;
    loop {
        let begin = buffer.len();
        buffer.resize(begin + space, 0);
        let read = loop {
            match source.read(&mut buffer[begin..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        buffer.truncate(begin + read);
        if read < space {
            return Ok(true);
        }
        if buffer.len() > limit {
            return Ok(false);
        }
        // The file has grown.
        space = (limit + 1 - buffer.len()).min(CHUNK_BYTES);
    }
}

/// A reader that fails when the search is over.
struct Bounded<'a, R> {
    source: R,
    is_over: &'a dyn Fn() -> bool,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_over)() { Err(io::Error::other("the search is over")) } else { self.source.read(buffer) }
    }
}

/// Converts the searcher's results.
struct MatchSink<'a> {
    matcher: &'a RegexMatcher,
    matches: &'a mut Vec<Range<usize>>,
    /// Whether matches may span lines.
    spans_lines: bool,
    each: &'a mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    is_over: &'a dyn Fn() -> bool,
    outcome: Outcome,
}

impl MatchSink<'_> {
    fn report(&mut self, line: Line<'_>) -> bool {
        !(self.is_over)() && (self.each)(line).is_continue()
    }

    /// Finds the ranges of the matches, which the searcher does not report. `visible` is the length without the
    /// terminator.
    fn locate(&mut self, buffer: &[u8], range: &Range<usize>, visible: usize) -> io::Result<()> {
        // A single-line pattern must not see the line terminator; a multi-line pattern must see what follows.
        let upto = if self.spans_lines { (range.end + LOOK_AHEAD_BYTES).min(buffer.len()) } else { range.start + visible };
        self.matches.clear();
        let matches = &mut *self.matches;
        let found = self.matcher.find_iter_at(&buffer[..upto], range.start, |found| {
            let place = found.start() - range.start..found.end() - range.start;
            // Matches this far after the first one are not shown.
            let is_near = matches.first().is_none_or(|first: &Range<usize>| place.start <= first.start + MAX_EXCERPT_BYTES);
            let is_inside = found.start() < range.end || matches.is_empty();
            if is_near && is_inside {
                matches.push(place);
            }
            is_near && is_inside
        });
        found.map_err(io::Error::other)?;
        // An empty match at the very end is not a match of its own.
        if matches.len() > 1 && matches.last().is_some_and(|last| last.is_empty() && last.start >= range.len()) {
            matches.pop();
        }
        for found in matches {
            *found = found.start.min(visible)..found.end.min(visible);
        }
        Ok(())
    }
}

impl Sink for MatchSink<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let bytes = without_ending(found.bytes());
        self.locate(found.buffer(), &found.bytes_range_in_buffer(), bytes.len())?;
        let matches = std::mem::take(self.matches);
        let continues = self.report(Line { number: found.line_number().unwrap_or(0), bytes, matches: Some(&matches) });
        *self.matches = matches;
        Ok(continues)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let bytes = without_ending(context.bytes());
        Ok(self.report(Line { number: context.line_number().unwrap_or(0), bytes, matches: None }))
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
