//! The beginning of a body, as long as nothing in it is of the protocol: some services answer with a text, a web page or
//! a piece of JSON, and with status 200. Pure.

/// How much of a body is kept, in bytes.
const MAX_KEPT: usize = 64 * 1024;
/// The fields of an event stream; a line without a name is a comment.
const FIELDS: [&str; 5] = ["data", "event", "id", "retry", ""];

/// The beginning of a body.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    bytes: Vec<u8>,
    framed: bool,
}

impl Opening {
    /// Takes what has come; with `framed` something of the protocol has, and nothing is kept any longer.
    pub(crate) fn add(&mut self, bytes: &[u8], framed: bool) {
        self.framed |= framed;
        if self.framed {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(MAX_KEPT - self.bytes.len())]);
        }
    }

    /// Whether this could be all that will come: a text, a page, or JSON that is complete.
    pub(crate) fn could_be_all(&self) -> bool {
        let bytes = self.bytes.trim_ascii();
        match bytes.first() {
            None => false,
            Some(b'{' | b'[') => {
                matches!(bytes.last(), Some(b'}' | b']')) && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
            }
            Some(_) => self.text().is_some(),
        }
    }

    /// The text that stands where an answer should.
    pub(crate) fn text(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim_start_matches('\u{feff}').trim();
        let line = text.lines().next()?;
        let name = line.split(':').next().unwrap_or_default();
        let is_stream = FIELDS.contains(&name) || text == line && FIELDS.iter().any(|field| field.starts_with(line));
        (!is_stream && !text.starts_with(['{', '['])).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(text: &str) -> Opening {
        let mut opening = Opening::default();
        opening.add(text.as_bytes(), false);
        opening
    }

    #[test]
    fn a_text_is_known_from_a_stream() {
        for text in ["no healthy upstream", "<html>x</html>", "\u{feff}error code: 1020", "database is down\ndata: x"] {
            assert!(opening(text).text().is_some() && opening(text).could_be_all(), "{text}");
        }
        for text in ["", " \n", ": ping\n\n: ping", "data", "da", "event: x\n", "id\n", "retry: 5\n\n"] {
            assert!(opening(text).text().is_none() && !opening(text).could_be_all(), "{text}");
        }
    }

    #[test]
    fn json_could_be_all_when_it_is_complete() {
        assert!(opening("{\"detail\": \"no\"}\n").could_be_all() && opening("[{}]").could_be_all());
        assert!(!opening("{\"detail\": {}").could_be_all() && !opening("{\"a\"").could_be_all());
        assert_eq!(opening("{\"detail\": 1}").text(), None);
    }

    #[test]
    fn no_more_is_kept_than_is_needed() {
        let mut opening = Opening::default();
        for _ in 0..100 {
            opening.add(&[b'x'; 4096], false);
        }
        assert_eq!(opening.bytes.len(), MAX_KEPT);
        opening.add(b"", true);
        opening.add(b"more", false);
        assert_eq!((opening.bytes.capacity(), opening.text()), (0, None));
    }
}
