//! WebSocket framing: decodes messages from a client's stream and encodes those to it. The result does not depend on how
//! the stream is split into chunks. An announced length alone allocates nothing: an oversize message is skipped, and the
//! next one is found. soketto parses the frame headers.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use soketto::{
    Parsing,
    base::{Codec, Error, Header, OpCode},
};

use crate::serve::outbox::Encoder;

/// How many bytes of an oversize message are kept, to find the request's id.
const PREFIX_BYTES: usize = 4 * 1024;

/// The size limit of a frame that is skipped; a larger one closes the connection.
const MAX_SKIPPED_BYTES: usize = 1 << 30;

/// The minimum space for a read, in bytes.
const MIN_READ_BYTES: usize = 4 * 1024;

/// The capacity of the buffer when it is empty.
const IDLE_BUFFER_BYTES: usize = 64 * 1024;

/// Close codes of RFC 6455.
pub mod code {
    pub const NORMAL: u16 = 1000;
    /// The daemon shuts down.
    pub const GOING_AWAY: u16 = 1001;
    /// An invalid frame.
    pub const PROTOCOL: u16 = 1002;
    /// A message of an unsupported kind.
    pub const UNSUPPORTED: u16 = 1003;
    /// A text that is not UTF-8.
    pub const NOT_TEXT: u16 = 1007;
    /// The client is no longer allowed.
    pub const POLICY: u16 = 1008;
    /// A frame over the limit.
    pub const TOO_BIG: u16 = 1009;
}

/// A decoded item of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message; not checked for UTF-8 yet.
    Text(&'a [u8]),
    /// A binary message; its content is dropped.
    Binary,
    /// A text message over the limit: its beginning.
    TooLarge(&'a [u8]),
    /// A ping with its payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close frame, with its code if it has one.
    Close(Option<u16>),
    /// A violation of the protocol; the rest of the stream cannot be decoded.
    Broken(u16, &'static str),
}

/// An incomplete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    None,
    Text,
    Skipped,
}

#[derive(Debug)]
enum State {
    Header,
    /// A frame that is read completely.
    Frame(Header),
    /// Before the payload of a frame that makes its message too large: waits for enough of it for the beginning.
    Large(Header),
    Skip(usize),
    Broken,
}

/// An item by its position in the buffer.
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

/// Decodes a stream.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    codec: Codec,
    buffer: Vec<u8>,
    /// Everything before was returned.
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
        codec.set_max_data_size(MAX_SKIPPED_BYTES);
        Self { limit, codec, buffer: Vec::new(), start: 0, state: State::Header, message: Message::None, fragments: Vec::new() }
    }

    /// The buffer with free capacity; the next chunk of the stream is appended to it.
    pub fn space(&mut self) -> &mut Vec<u8> {
        // Consumed bytes are removed when this is cheap, so that a large message is not moved at each read.
        if self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.is_empty() {
            self.buffer.shrink_to(IDLE_BUFFER_BYTES);
        }
        // An incomplete message is read in larger chunks.
        self.buffer.reserve(MIN_READ_BYTES.max(self.buffer.len().min(IDLE_BUFFER_BYTES)));
        &mut self.buffer
    }

    /// The next item, if it is complete.
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
                        // Returned by the last call.
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
                    let wanted = header.payload_len().min(PREFIX_BYTES.saturating_sub(self.fragments.len()));
                    let range = self.start..self.start + wanted;
                    if range.end > self.buffer.len() {
                        self.state = State::Large(header);
                        return None;
                    }
                    self.start = range.end;
                    Codec::apply_mask(&header, &mut self.buffer[range.clone()]);
                    self.fragments.extend_from_slice(&self.buffer[range]);
                    self.fragments.truncate(PREFIX_BYTES);
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

    /// Decides how a frame is processed.
    fn begin(&mut self, header: Header) -> Option<Found> {
        if !header.is_masked() {
            return Some(Found::Broken(code::PROTOCOL, "frames of a client must be masked"));
        }
        let (opcode, length) = (header.opcode(), header.payload_len());
        let continues = opcode == OpCode::Continue;
        if !opcode.is_control() && continues == (self.message == Message::None) {
            return Some(Found::Broken(code::PROTOCOL, "unexpected fragment"));
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

    /// Processes a complete, unmasked frame.
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
        Error::PayloadTooLarge { .. } => (code::TOO_BIG, "the frame is too large"),
        Error::InvalidReservedBit(_) => (code::PROTOCOL, "a reserved bit is set"),
        Error::FragmentedControl | Error::InvalidControlFrameLen => (code::PROTOCOL, "a control frame must be short and unfragmented"),
        _ => (code::PROTOCOL, "unknown opcode"),
    };
    Found::Broken(code, reason)
}

/// The code in a close frame, or the code and reason of a violation. Codes that must not be sent, such as 1005, are
/// violations.
fn close_code(payload: &[u8]) -> Result<Option<u16>, (u16, &'static str)> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) if str::from_utf8(reason).is_ok() => Ok(Some(code)),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Err((code::NOT_TEXT, "the reason of a close frame is not UTF-8")),
            _ => Err((code::PROTOCOL, "invalid close code")),
        },
        _ => Err((code::PROTOCOL, "incomplete close code")),
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

/// Why a connection ends, for the client: a code and a reason.
pub type CloseReason = Arc<OnceLock<(u16, &'static str)>>;

/// Encodes our side of the stream: one frame per message, and a close frame at the end.
#[derive(Debug, Default)]
pub struct Frames {
    close_reason: CloseReason,
}

impl Frames {
    /// Closes with this reason, or normally if none is set.
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
