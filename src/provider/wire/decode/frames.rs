//! Bytes of an answer become frames: events of an event stream, or lines of JSON. Pure.
//!
//! Guarantees: the same bytes give the same frames however they are split; what is held between two pushes never grows
//! beyond [`MAX_FRAME`] and the length of the frames before it, at most [`MAX_ANSWER`]; a byte is looked at a bounded
//! number of times, so that a long line costs linear time.
//! Being our own is what makes this possible: the readers of genai and of the event-stream crates hold a line without
//! an end in memory for as long as it goes on, and genai copies it again with each piece that arrives.
//!
//! Liberal in what it takes, because services are careless: lines end with LF, CR LF or CR; the blank after `data:` may
//! be missing; comments and unknown fields are skipped; bytes that are no UTF-8 become U+FFFD; JSON may stand on a line
//! without `data:`, or be the whole body where a service answers without streaming; the last frame needs no empty line
//! behind it.

use crate::provider::definition::MAX_ANSWER;

/// The longest frame that carries something new, in bytes. The Responses protocol repeats at its end what came before, so
/// a frame may be longer by the length of the frames before it.
pub(crate) const MAX_FRAME: usize = 8 * 1024 * 1024;

/// How frames are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Events, each ended by an empty line.
    Events,
    /// A JSON value on each line.
    Lines,
}

impl Framing {
    /// The media type of an answer that is divided so.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame<'a> {
    /// The event's name, where it has one.
    pub(crate) event: Option<&'a str>,
    /// What it carries.
    pub(crate) data: &'a str,
}

/// Why there are no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A frame is longer than [`MAX_FRAME`] and all frames before it.
    TooLong,
}

/// Whether a frame was the last one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    More,
    /// The rest is not looked at.
    Enough,
}

/// Takes bytes, gives frames.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    /// Nothing but white space has come.
    fresh: bool,
    /// The whole body is one JSON value.
    whole: bool,
    /// The last byte was a CR: an LF after it belongs to it.
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

    /// Takes the next bytes, and hands each frame that they complete to `each`.
    pub(crate) fn push<E: From<Broken>>(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<Wanted, E>,
    ) -> Result<Wanted, E> {
        if self.fresh {
            bytes = self.begin(bytes);
        }
        if self.whole {
            return self.hold(bytes).map(|()| Wanted::More).map_err(E::from);
        }
        loop {
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                return self.hold(bytes).map(|()| Wanted::More).map_err(E::from);
            };
            self.hold(&bytes[..end]).map_err(E::from)?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if self.end_line(each)? == Wanted::Enough {
                return Ok(Wanted::Enough);
            }
        }
    }

    /// The body has ended: hands over what is complete but for its end.
    pub(crate) fn end<E: From<Broken>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Wanted, E>) -> Result<Wanted, E> {
        if self.whole {
            self.data = std::mem::take(&mut self.line);
            self.has_data = true;
        } else if !self.line.is_empty() && self.end_line(each)? == Wanted::Enough {
            return Ok(Wanted::Enough);
        }
        self.dispatch(each)
    }

    /// Skips what may stand before the first frame, and sees whether there will be frames at all.
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

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.line.extend_from_slice(bytes);
        let limit = MAX_FRAME + self.framed.min(MAX_ANSWER);
        if self.line.len() + self.data.len() > limit { Err(Broken::TooLong) } else { Ok(()) }
    }

    fn end_line<E: From<Broken>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Wanted, E>) -> Result<Wanted, E> {
        match (self.framing, self.line.first()) {
            (Framing::Lines, None) => return Ok(Wanted::More),
            (Framing::Lines, Some(_)) | (_, Some(b'{' | b'[')) => {
                std::mem::swap(&mut self.data, &mut self.line);
                self.has_data = true;
            }
            (_, None) => {}
            (_, Some(_)) => {
                self.field();
                self.line.clear();
                return Ok(Wanted::More);
            }
        }
        self.line.clear();
        self.dispatch(each)
    }

    /// Takes a line of an event.
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

    fn dispatch<E: From<Broken>>(&mut self, each: &mut impl FnMut(Frame<'_>) -> Result<Wanted, E>) -> Result<Wanted, E> {
        if !self.has_data {
            self.event.clear();
            return Ok(Wanted::More);
        }
        self.framed += self.data.len();
        let data = String::from_utf8_lossy(&self.data);
        let event = Some(self.event.as_str()).filter(|event| !event.is_empty());
        let wanted = each(Frame { event, data: &data })?;
        drop(data);
        self.event.clear();
        self.data.clear();
        self.has_data = false;
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(framing: Framing, pieces: &[&[u8]]) -> Result<Vec<(Option<String>, String)>, Broken> {
        let mut frames = Frames::new(framing);
        let mut seen = Vec::new();
        let mut each = |frame: Frame<'_>| {
            seen.push((frame.event.map(str::to_owned), frame.data.to_owned()));
            Ok::<_, Broken>(Wanted::More)
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
    fn events_as_services_write_them() {
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
    fn a_line_without_an_end_is_given_up() {
        let piece = vec![b'x'; 1 << 20];
        for framing in [Framing::Events, Framing::Lines] {
            let mut given_up = Frames::new(framing);
            let pushed = (0..=MAX_FRAME >> 20).try_for_each(|_| given_up.push(&piece, &mut |_| Ok::<_, Broken>(Wanted::More)).map(|_| ()));
            assert_eq!(pushed, Err(Broken::TooLong), "{framing:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
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
