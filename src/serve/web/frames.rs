//! WebSocket frames as bytes: messages out of a client's stream, and ours into it. However the stream is cut into
//! chunks, the same comes out. Nothing is kept for a length that was only announced: an oversize message is skipped, and
//! the next one is found. The headers themselves are soketto's affair.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use soketto::{
    Parsing,
    base::{Codec, Error, Header, OpCode},
};

use crate::serve::outbox::Encoder;

/// How much of an oversize message is kept, to find the request's id in it.
const PREFIX: usize = 4 * 1024;

/// The longest frame that is skipped; whoever announces more is not worth the wait.
const SKIP_LIMIT: usize = 1 << 30;

/// How much room a read gets at least.
const READ: usize = 4 * 1024;

/// How much room is left for the next messages when all were taken.
const KEPT: usize = 64 * 1024;

/// Codes of RFC 6455 for the end of a connection.
pub mod code {
    /// Nothing more is to be said.
    pub const NORMAL: u16 = 1000;
    /// The daemon stops.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame that must not be.
    pub const PROTOCOL: u16 = 1002;
    /// A message of a kind that is not taken.
    pub const UNSUPPORTED: u16 = 1003;
    /// Text that is no UTF-8.
    pub const NOT_TEXT: u16 = 1007;
    /// The client may not be here any more.
    pub const POLICY: u16 = 1008;
    /// A frame that nobody would wait for.
    pub const TOO_BIG: u16 = 1009;
}

/// What a client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message; not yet known to be text.
    Text(&'a [u8]),
    /// A binary message, which is not kept.
    Binary,
    /// A text message over the limit, with its beginning.
    TooLarge(&'a [u8]),
    /// It wants this back.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong,
    /// It ends the connection, with its code where it gave one.
    Close(Option<u16>),
    /// It does not keep to the protocol; nothing after it can be understood.
    Broken(u16, &'static str),
}

/// A message of which the end is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    None,
    Text,
    Skipped,
}

#[derive(Debug)]
enum State {
    Header,
    /// A frame that is read as a whole.
    Frame(Header),
    /// Before the payload of a frame that makes its message too large: enough of it for the beginning is waited for.
    Large(Header),
    Skip(usize),
    Broken,
}

/// What was found, by its place.
enum Found {
    InBuffer(Range<usize>),
    InMessage,
    Binary,
    TooLarge,
    Ping(Range<usize>),
    Pong,
    Close(Range<usize>),
    Broken(u16, &'static str),
}

/// Takes bytes and gives what they say.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    codec: Codec,
    buffer: Vec<u8>,
    /// Everything before was given out.
    start: usize,
    state: State,
    message: Message,
    /// The fragments of a text message so far, or the beginning of an oversize one.
    fragments: Vec<u8>,
}

impl Decoder {
    /// A decoder for text messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let mut codec = Codec::new();
        codec.set_max_data_size(SKIP_LIMIT);
        Self { limit, codec, buffer: Vec::new(), start: 0, state: State::Header, message: Message::None, fragments: Vec::new() }
    }

    /// The buffer, with room: whatever is appended to it is the next chunk of the stream.
    pub fn space(&mut self) -> &mut Vec<u8> {
        // What was given out is dropped when that is cheap, so that a large message is not moved at every read.
        if self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT);
        }
        // A message that is under way is read in larger pieces.
        self.buffer.reserve(READ.max(self.buffer.len().min(KEPT)));
        &mut self.buffer
    }

    /// What came next, if it is there as a whole.
    pub fn next(&mut self) -> Option<Event<'_>> {
        Some(match self.find()? {
            Found::InBuffer(range) => Event::Text(&self.buffer[range]),
            Found::InMessage => Event::Text(&self.fragments),
            Found::Binary => Event::Binary,
            Found::TooLarge => Event::TooLarge(&self.fragments),
            Found::Ping(range) => Event::Ping(&self.buffer[range]),
            Found::Pong => Event::Pong,
            Found::Close(range) => match close_code(&self.buffer[range]) {
                Ok(code) => Event::Close(code),
                Err((code, reason)) => {
                    self.state = State::Broken;
                    Event::Broken(code, reason)
                }
            },
            Found::Broken(code, reason) => {
                self.state = State::Broken;
                Event::Broken(code, reason)
            }
        })
    }

    fn find(&mut self) -> Option<Found> {
        loop {
            match std::mem::replace(&mut self.state, State::Header) {
                State::Header => {
                    if self.message == Message::None && !self.fragments.is_empty() {
                        // Given out the last time.
                        self.fragments = Vec::new();
                    }
                    let header = match self.codec.decode_header(&self.buffer[self.start..]) {
                        Ok(Parsing::NeedMore(_)) => return None,
                        Ok(Parsing::Done { value, offset }) => {
                            self.start += offset;
                            value
                        }
                        Err(error) => return Some(broken(&error)),
                    };
                    if let Some(found) = self.begin(header) {
                        return Some(found);
                    }
                }
                State::Frame(header) => {
                    let range = self.start..self.start + header.payload_len();
                    if range.end > self.buffer.len() {
                        self.state = State::Frame(header);
                        return None;
                    }
                    self.start = range.end;
                    Codec::apply_mask(&header, &mut self.buffer[range.clone()]);
                    if let Some(found) = self.take(&header, range) {
                        return Some(found);
                    }
                }
                State::Large(header) => {
                    let wanted = header.payload_len().min(PREFIX.saturating_sub(self.fragments.len()));
                    let range = self.start..self.start + wanted;
                    if range.end > self.buffer.len() {
                        self.state = State::Large(header);
                        return None;
                    }
                    self.start = range.end;
                    Codec::apply_mask(&header, &mut self.buffer[range.clone()]);
                    self.fragments.extend_from_slice(&self.buffer[range]);
                    self.fragments.truncate(PREFIX);
                    self.message = if header.is_fin() { Message::None } else { Message::Skipped };
                    self.state = State::Skip(header.payload_len() - wanted);
                    return Some(Found::TooLarge);
                }
                State::Skip(left) => {
                    let skipped = left.min(self.buffer.len() - self.start);
                    self.start += skipped;
                    if left > skipped {
                        self.state = State::Skip(left - skipped);
                        return None;
                    }
                }
                State::Broken => {
                    self.state = State::Broken;
                    self.start = self.buffer.len();
                    return None;
                }
            }
        }
    }

    /// Decides what becomes of a frame.
    fn begin(&mut self, header: Header) -> Option<Found> {
        if !header.is_masked() {
            return Some(Found::Broken(code::PROTOCOL, "a client masks its frames"));
        }
        let (opcode, length) = (header.opcode(), header.payload_len());
        let continues = opcode == OpCode::Continue;
        if !opcode.is_control() && continues == (self.message == Message::None) {
            return Some(Found::Broken(code::PROTOCOL, "a fragment where none belongs"));
        }
        let is_text = opcode == OpCode::Text || continues && self.message == Message::Text;
        if opcode.is_control() || is_text && self.fragments.len() + length <= self.limit {
            self.state = State::Frame(header);
        } else if is_text {
            self.state = State::Large(header);
        } else {
            self.state = State::Skip(length);
            self.message = if header.is_fin() { Message::None } else { Message::Skipped };
            return (!continues).then_some(Found::Binary);
        }
        None
    }

    /// Takes a whole frame that is already unmasked.
    fn take(&mut self, header: &Header, range: Range<usize>) -> Option<Found> {
        match (header.opcode(), header.is_fin()) {
            (OpCode::Ping, _) => Some(Found::Ping(range)),
            (OpCode::Pong, _) => Some(Found::Pong),
            (OpCode::Close, _) => Some(Found::Close(range)),
            (OpCode::Text, true) => Some(Found::InBuffer(range)),
            (_, fin) => {
                self.fragments.extend_from_slice(&self.buffer[range]);
                self.message = if fin { Message::None } else { Message::Text };
                fin.then_some(Found::InMessage)
            }
        }
    }
}

fn broken(error: &Error) -> Found {
    let (code, reason) = match error {
        Error::PayloadTooLarge { .. } => (code::TOO_BIG, "a frame of that size is never read"),
        Error::InvalidReservedBit(_) => (code::PROTOCOL, "a reserved bit is set"),
        Error::FragmentedControl | Error::InvalidControlFrameLen => (code::PROTOCOL, "a control frame is short and whole"),
        _ => (code::PROTOCOL, "unknown opcode"),
    };
    Found::Broken(code, reason)
}

/// The code in a close frame; else what is wrong with it, as a code and words. Codes that are never sent, such as 1005, are
/// wrong.
fn close_code(payload: &[u8]) -> Result<Option<u16>, (u16, &'static str)> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) if str::from_utf8(reason).is_ok() => Ok(Some(code)),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Err((code::NOT_TEXT, "the reason of a close frame is not UTF-8")),
            _ => Err((code::PROTOCOL, "a code that is never sent in a close frame")),
        },
        _ => Err((code::PROTOCOL, "half a code in a close frame")),
    }
}

/// A text frame's bytes.
fn frame(opcode: OpCode, payload: &[u8], to: &mut Vec<u8>) {
    let mut header = Header::new(opcode);
    header.set_payload_len(payload.len());
    to.extend_from_slice(Codec::new().encode_header(&header));
    to.extend_from_slice(payload);
}

/// The bytes of a ping.
#[must_use]
pub fn ping() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(OpCode::Ping, &[], &mut bytes);
    bytes
}

/// The bytes of the answer to a ping.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(OpCode::Pong, payload, &mut bytes);
    bytes
}

/// Why a connection ends, as the client is told: a code and a word.
pub type CloseReason = Arc<OnceLock<(u16, &'static str)>>;

/// Our side of the stream: a message a frame, and a close frame at the end.
#[derive(Debug, Default)]
pub struct Frames {
    close_reason: CloseReason,
}

impl Frames {
    /// An encoder that closes with this reason, or normally where none was set.
    #[must_use]
    pub fn new(close_reason: CloseReason) -> Self {
        Self { close_reason }
    }
}

impl Encoder for Frames {
    fn message(&mut self, message: &str, to: &mut Vec<u8>) {
        frame(OpCode::Text, message.as_bytes(), to);
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let (code, reason) = self.close_reason.get().copied().unwrap_or((code::NORMAL, ""));
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        frame(OpCode::Close, &payload, to);
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
