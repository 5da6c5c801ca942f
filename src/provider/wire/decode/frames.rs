//! Splits the bytes of an answer into frames: server-sent events, or lines of JSON. Pure.
//!
//! Guarantees: frames do not depend on how the bytes are split; buffered data never exceeds [`MAX_FRAME_BYTES`] plus the
//! length of the frames before it, at most [`MAX_ANSWER`]; each byte is processed a bounded number of times, so that a
//! long line costs linear time. The readers of genai and of the event-stream crates do not guarantee this: they buffer
//! a line without an end without limit, and genai copies it again with each chunk.
//!
//! The parser is lenient, because services deviate from the standard: lines end with LF, CR LF or CR; the space after
//! `data:` may be missing; comments and unknown fields are skipped; invalid UTF-8 becomes U+FFFD; JSON may be on a line
//! without `data:`, or be the whole body of an answer without streaming; the last frame needs no empty line after it.

use crate::provider::definition::MAX_ANSWER;

/// The size limit of a frame with new content: larger than any call that a model can write within its output limit. The
/// Responses protocol repeats earlier content at its end, so a frame may be longer by the length of the frames before it.
pub(crate) const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events, each terminated by an empty line.
    Events,
    /// One JSON value per line.
    Lines,
}

impl Framing {
    /// The media type of answers with this framing.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame<'a> {
    /// The event's name.
    pub(crate) event: Option<&'a str>,
    pub(crate) data: &'a str,
}

/// Why decoding has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A frame is longer than [`MAX_FRAME_BYTES`] and all frames before it.
    TooLong,
}

/// Whether to continue after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Ignore the rest.
    Stop,
}

/// An incremental decoder.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    /// Only white space so far.
    fresh: bool,
    /// The whole body is one JSON value.
    whole: bool,
    /// The last byte was a CR, so a following LF belongs to the same line end.
    after_cr: bool,
    /// The line so far.
    line: Vec<u8>,
    event: String,
    data: Vec<u8>,
    has_data: bool,
    /// The length of the frames so far.
    framed: usize,
}

impl Frames {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            fresh: true,
            whole: false,
            after_cr: false,
            line: Vec::new(),
            event: String::new(),
            data: Vec::new(),
            has_data: false,
            framed: 0,
        }
    }

    /// Adds bytes, and passes each completed frame to `each`.
    pub(crate) fn push<E: From<FrameError>>(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        if self.fresh {
            bytes = self.begin(bytes);
        }
        if self.whole {
            return self.buffer_bytes(bytes).map(|()| Flow::Continue).map_err(E::from);
        }
        loop {
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                return self.buffer_bytes(bytes).map(|()| Flow::Continue).map_err(E::from);
            };
            self.buffer_bytes(&bytes[..end]).map_err(E::from)?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if self.end_line(each)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
    }

    /// Called at the end of the body: passes a frame that lacks only its terminator.
    pub(crate) fn end<E: From<FrameError>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Flow, E>) -> Result<Flow, E> {
        if self.whole {
            self.data = std::mem::take(&mut self.line);
            self.has_data = true;
        } else if !self.line.is_empty() && self.end_line(each)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.dispatch(each)
    }

    /// Skips white space and a byte order mark, and detects a body that is one JSON value.
    fn begin<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || [0xef, 0xbb, 0xbf].contains(byte);
        let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
        let bytes = &bytes[start..];
        if let Some(first) = bytes.first() {
            self.fresh = false;
            self.whole = self.framing != Framing::Lines && matches!(first, b'{' | b'[');
        }
        bytes
    }

    fn buffer_bytes(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.line.extend_from_slice(bytes);
        let limit = MAX_FRAME_BYTES + self.framed.min(MAX_ANSWER);
        if self.line.len() + self.data.len() > limit { Err(FrameError::TooLong) } else { Ok(()) }
    }

    fn end_line<E: From<FrameError>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Flow, E>) -> Result<Flow, E> {
        match (self.framing, self.line.first()) {
            (Framing::Lines, None) => return Ok(Flow::Continue),
            (Framing::Lines, Some(_)) | (_, Some(b'{' | b'[')) => {
                std::mem::swap(&mut self.data, &mut self.line);
                self.has_data = true;
            }
            (_, None) => {}
            (_, Some(_)) => {
                self.field();
                self.line.clear();
                return Ok(Flow::Continue);
            }
        }
        self.line.clear();
        self.dispatch(each)
    }

    /// Processes a line of an event.
    fn field(&mut self) {
        let colon = memchr::memchr(b':', &self.line).unwrap_or(self.line.len());
        let value = self.line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &self.line[..colon] {
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn dispatch<E: From<FrameError>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Flow, E>) -> Result<Flow, E> {
        if !self.has_data {
            self.event.clear();
            return Ok(Flow::Continue);
        }
        self.framed += self.data.len();
        let data = String::from_utf8_lossy(&self.data);
        let event = Some(self.event.as_str()).filter(|event| !event.is_empty());
        let flow = each(Frame { event, data: &data })?;
        drop(data);
        self.event.clear();
        self.data.clear();
        self.has_data = false;
        Ok(flow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(framing: Framing, pieces: &[&[u8]]) -> Result<Vec<(Option<String>, String)>, FrameError> {
        let mut frames = Frames::new(framing);
        let mut seen = Vec::new();
        let mut each = |frame: Frame<'_>| {
            seen.push((frame.event.map(str::to_owned), frame.data.to_owned()));
            Ok::<_, FrameError>(Flow::Continue)
        };
        for piece in pieces {
            frames.push(piece, &mut each)?;
        }
        frames.end(&mut each)?;
        Ok(seen)
    }

    fn data(text: &str) -> Vec<String> {
        frames(Framing::Events, &[text.as_bytes()]).unwrap().into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn events_in_all_forms() {
        assert_eq!(data("data: a\n\ndata:b\n\n: PROCESSING\n\nid: 3\ndata:  c\n\n"), ["a", "b", " c"]);
        assert_eq!(data("data: a\r\n\r\ndata: b\r\rdata: c"), ["a", "b", "c"]);
        assert_eq!(data("data: a\ndata: b\n\nevent: ping\n\ndata\n\n"), ["a\nb", ""]);
        assert_eq!(data("\u{feff}\n\ndata: a\n\n{\"error\":1}\ndata: b\n\n"), ["a", "{\"error\":1}", "b"]);
        assert_eq!(data(" {\"error\":\n {\"message\": \"no\"}}\n"), ["{\"error\":\n {\"message\": \"no\"}}\n"]);
        assert!(data("<html>\n<body>welcome: data</body>\n").is_empty());
        let named = frames(Framing::Events, &[b"event: x\ndata: 1\n\ndata: 2\n\n"]).unwrap();
        assert_eq!(named, [(Some("x".to_owned()), "1".to_owned()), (None, "2".to_owned())]);
    }

    #[test]
    fn lines_of_json() {
        let seen = frames(Framing::Lines, &[b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":", b"3}"]).unwrap();
        assert_eq!(seen.iter().map(|(_, data)| data.as_str()).collect::<Vec<_>>(), ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    }

    #[test]
    fn a_line_without_an_end_fails() {
        let piece = vec![b'x'; 1 << 20];
        for framing in [Framing::Events, Framing::Lines] {
            let mut given_up = Frames::new(framing);
            let pushed = (0..=MAX_FRAME_BYTES >> 20)
                .try_for_each(|_| given_up.push(&piece, &mut |_| Ok::<_, FrameError>(Flow::Continue)).map(|_| ()));
            assert_eq!(pushed, Err(FrameError::TooLong), "{framing:?}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let seen = frames(Framing::Events, &[b"event: \xffx\ndata: a\xf0\x9f", b"b\xc3\n\n"]).unwrap();
        assert_eq!(seen, [(Some("\u{fffd}x".to_owned()), "a\u{fffd}b\u{fffd}".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(text in "(data: ?|event: ?|: |\\{|ä|x|\r|\n|\r\n){0,60}", cuts in proptest::collection::vec(0_usize..200, 0..12)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            for framing in [Framing::Events, Framing::Lines] {
                prop_assert_eq!(frames(framing, &pieces), frames(framing, &[bytes]));
            }
        }
    }
}
