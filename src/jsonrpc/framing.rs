//! Decodes messages from a stream of bytes in one of two framings: one message per line, or `Content-Length` headers.
//! The first bytes decide which. The frames do not depend on how the stream is cut into chunks; an oversize message is
//! skipped without being buffered.

use std::ops::Range;

use super::{envelope::Id, id_finder::IdFinder};

/// The largest message, in bytes, in either direction.
pub const MESSAGE_LIMIT: usize = 32 * 1024 * 1024;

/// The largest block of headers, in bytes.
const HEADER_LIMIT: usize = 8 * 1024;

/// The smallest free capacity for a read, in bytes.
const READ_BYTES: usize = 64 * 1024;

const LENGTH_HEADER: &[u8] = b"content-length";
const HEADER_START: &[u8] = b"content-";

/// A byte order mark. Ignored at the beginning of a message or its headers.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How messages are delimited in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Lines,
    /// `Content-Length: N`, an empty line, then N bytes.
    Headers,
}

impl Framing {
    /// Appends the framed message. It must be one JSON value.
    pub fn encode(self, message: &str, to: &mut Vec<u8>) {
        match self {
            // A line break in JSON is white space between tokens: inside a string it would be escaped.
            Framing::Lines if message.as_bytes().contains(&b'\n') => {
                to.extend(message.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
                to.push(b'\n');
            }
            Framing::Lines => {
                to.extend_from_slice(message.as_bytes());
                to.push(b'\n');
            }
            Framing::Headers => {
                to.extend_from_slice(format!("Content-Length: {}\r\n\r\n", message.len()).as_bytes());
                to.extend_from_slice(message.as_bytes());
            }
        }
    }
}

/// A decoded piece of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message, not yet checked to be UTF-8 or JSON.
    Message(&'a [u8]),
    /// A message over the limit, with the id of the request if it has one.
    TooLarge(Option<&'a Id>),
    /// Headers without a valid length, or too long; decoding continues at the next `Content-Length`.
    BadHeaders,
    /// The stream ended inside a message.
    Truncated,
}

#[derive(Debug)]
enum Found {
    Message(Range<usize>),
    TooLarge,
    BadHeaders,
    Truncated,
}

enum Progress {
    Found(Found),
    More,
}

#[derive(Debug)]
enum State {
    /// Only white space so far, or too few bytes to decide the framing.
    Undecided,
    Line,
    /// Inside an oversize line.
    SkipLine,
    Headers(Block),
    Body(usize),
    /// Inside the body of an oversize message.
    SkipBody(u64),
    /// After invalid headers: searching for the next length header.
    Resync,
}

/// The headers read so far.
#[derive(Debug, Default)]
struct Block {
    bytes: usize,
    lines: usize,
    length: Option<u64>,
    bad: bool,
}

/// An incremental decoder: bytes in, frames out.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes before this index were returned.
    start: usize,
    /// There is no line feed before this index.
    scanned: usize,
    state: State,
    /// Reads the oversize message that is being skipped.
    finder: IdFinder,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MESSAGE_LIMIT)
    }
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), start: 0, scanned: 0, state: State::Undecided, finder: IdFinder::default() }
    }

    /// Changes the limit, for a stream whose first message has its own.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The framing, as soon as it is known.
    pub fn framing(&mut self) -> Option<Framing> {
        if matches!(self.state, State::Undecided) {
            self.decide()?;
        }
        match self.state {
            State::Undecided => None,
            State::Line | State::SkipLine => Some(Framing::Lines),
            _ => Some(Framing::Headers),
        }
    }

    /// The buffer, with free capacity: append the next chunk of the stream to it.
    pub fn space(&mut self) -> &mut Vec<u8> {
        // Returned bytes are dropped only when that moves few bytes, so that a large message is not moved at every
        // read.
        if self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 16 * READ_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The number of buffered bytes.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Whether no bytes are buffered.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next complete frame, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let found = self.find()?;
        Some(self.frame(found))
    }

    /// The rest, when the stream has ended and [`Decoder::next_frame`] returns `None`.
    pub fn last_frame(&mut self) -> Option<Frame<'_>> {
        let rest = self.start..self.buffer.len();
        let blank = self.buffer[rest.clone()].iter().all(u8::is_ascii_whitespace);
        self.start = self.buffer.len();
        let found = match std::mem::replace(&mut self.state, State::Undecided) {
            State::Undecided | State::Line if !blank => Found::Message(rest),
            State::Headers(block) if block.lines > 0 || !blank => Found::Truncated,
            State::Body(_) => Found::Truncated,
            State::SkipLine | State::SkipBody(_) => Found::TooLarge,
            _ => return None,
        };
        Some(self.frame(found))
    }

    fn frame(&self, found: Found) -> Frame<'_> {
        match found {
            Found::Message(range) => Frame::Message(&self.buffer[range]),
            Found::TooLarge => Frame::TooLarge(self.finder.id()),
            Found::BadHeaders => Frame::BadHeaders,
            Found::Truncated => Frame::Truncated,
        }
    }

    fn find(&mut self) -> Option<Found> {
        loop {
            match self.state {
                State::Undecided => self.decide()?,
                State::Line => {
                    if let Progress::Found(found) = self.line()? {
                        return Some(found);
                    }
                }
                State::SkipLine => {
                    let end = self.line_end();
                    self.skip(end.map_or(self.buffer.len(), |end| end + 1));
                    end?;
                    self.state = State::Line;
                    return Some(Found::TooLarge);
                }
                State::Headers(_) => {
                    if let Progress::Found(found) = self.header()? {
                        return Some(found);
                    }
                }
                State::Body(length) => {
                    let end = self.start.saturating_add(length);
                    if end > self.buffer.len() {
                        return None;
                    }
                    let body = self.start..end;
                    self.advance(end);
                    self.state = State::Headers(Block::default());
                    return Some(Found::Message(body));
                }
                State::SkipBody(left) => {
                    let here = self.buffer.len() - self.start;
                    let skipped = usize::try_from(left).map_or(here, |left| left.min(here));
                    self.skip(self.start + skipped);
                    let left = left - skipped as u64;
                    if left > 0 {
                        self.state = State::SkipBody(left);
                        return None;
                    }
                    self.state = State::Headers(Block::default());
                    return Some(Found::TooLarge);
                }
                State::Resync => self.resync()?,
            }
        }
    }

    fn advance(&mut self, to: usize) {
        self.start = to;
        self.scanned = to;
    }

    /// Skips a part of an oversize message.
    fn skip(&mut self, to: usize) {
        self.finder.take(&self.buffer[self.start..to]);
        self.advance(to);
    }

    /// The index of the next line feed.
    fn line_end(&mut self) -> Option<usize> {
        let from = self.scanned.max(self.start);
        self.scanned = self.buffer.len();
        let end = self.buffer[from..].iter().position(|&byte| byte == b'\n').map(|at| from + at);
        if let Some(end) = end {
            self.scanned = end;
        }
        end
    }

    /// Headers begin with `Content-`; everything else is decoded as lines, even if it is not JSON.
    fn decide(&mut self) -> Option<()> {
        let blank = self.buffer[self.start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.advance(self.start + blank);
        let seen = &self.buffer[self.start..];
        if seen.starts_with(BYTE_ORDER_MARK) {
            self.advance(self.start + BYTE_ORDER_MARK.len());
            return self.decide();
        }
        if BYTE_ORDER_MARK.starts_with(seen) {
            return None;
        }
        let common = seen.iter().zip(HEADER_START).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        if common == HEADER_START.len() {
            self.state = State::Headers(Block::default());
        } else if common < seen.len() {
            self.state = State::Line;
        } else {
            return None;
        }
        Some(())
    }

    fn line(&mut self) -> Option<Progress> {
        let end = self.line_end();
        let line = self.start..end.unwrap_or(self.buffer.len());
        let bytes = &self.buffer[line.clone()];
        let length = bytes.len() - usize::from(bytes.last() == Some(&b'\r'));
        if length > self.limit {
            self.finder = IdFinder::default();
            self.state = State::SkipLine;
            return Some(Progress::More);
        }
        let end = end?;
        let blank = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).iter().all(u8::is_ascii_whitespace);
        self.advance(end + 1);
        Some(if blank { Progress::More } else { Progress::Found(Found::Message(line.start..line.start + length)) })
    }

    fn header(&mut self) -> Option<Progress> {
        let end = self.line_end();
        let State::Headers(block) = &mut self.state else { return None };
        let next = end.map_or(self.buffer.len(), |end| end + 1);
        if block.bytes + (next - self.start) > HEADER_LIMIT {
            let from = self.start + HEADER_LIMIT + 1 - block.bytes;
            self.state = State::Resync;
            self.advance(from);
            return Some(Progress::Found(Found::BadHeaders));
        }
        let line = &self.buffer[self.start..end?];
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii();
        block.bytes += next - self.start;
        if !line.is_empty() {
            block.lines += 1;
            block.read(line);
            self.advance(next);
            return Some(Progress::More);
        }
        let (lines, length) = (block.lines, block.length.filter(|_| !block.bad));
        self.advance(next);
        match length {
            // Blank lines between two messages.
            _ if lines == 0 => self.state = State::Headers(Block::default()),
            None => {
                self.state = State::Resync;
                return Some(Progress::Found(Found::BadHeaders));
            }
            Some(length) => {
                let small = usize::try_from(length).ok().filter(|&length| length <= self.limit);
                self.finder = IdFinder::default();
                self.state = small.map_or(State::SkipBody(length), State::Body);
            }
        }
        Some(Progress::More)
    }

    fn resync(&mut self) -> Option<()> {
        let rest = &self.buffer[self.start..];
        let at = rest.windows(LENGTH_HEADER.len()).position(|window| window.eq_ignore_ascii_case(LENGTH_HEADER));
        // The end of this chunk may be the beginning of the header.
        let keep = at.unwrap_or(rest.len().saturating_sub(LENGTH_HEADER.len() - 1));
        self.advance(self.start + keep);
        at?;
        self.state = State::Headers(Block::default());
        Some(())
    }
}

impl Block {
    fn read(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            self.bad = true;
            return;
        };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if !name.eq_ignore_ascii_case(LENGTH_HEADER) {
            return;
        }
        let length = value
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| str::from_utf8(value).ok()?.parse().ok())
            .flatten()
            .filter(|length| self.length.is_none_or(|before| before == *length));
        self.bad |= length.is_none();
        self.length = length;
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
