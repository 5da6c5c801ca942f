//! The beginning of a body that contains nothing of the protocol: some services answer with a text, a web page or JSON,
//! and with status 200. Pure.

/// How much of the body is kept.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// The fields of an event stream; a line with an empty name is a comment.
const FIELDS: [&str; 5] = ["data", "event", "id", "retry", ""];

/// The beginning of a body.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    bytes: Vec<u8>,
    framed: bool,
}

impl Opening {
    /// Adds received bytes. `framed`: a frame of the protocol was found, so nothing is kept any longer.
    pub(crate) fn add(&mut self, bytes: &[u8], framed: bool) {
        self.framed |= framed;
        if self.framed {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(MAX_KEPT_BYTES - self.bytes.len())]);
        }
    }

    /// Whether this may be the complete body: a text, a page, or complete JSON.
    pub(crate) fn may_be_complete(&self) -> bool {
        let bytes = self.bytes.trim_ascii();
        match bytes.first() {
            None => false,
            Some(b'{' | b'[') => {
                matches!(bytes.last(), Some(b'}' | b']')) && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
            }
            Some(_) => self.text().is_some(),
        }
    }

    /// The text in place of an answer.
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
    fn a_text_is_distinguished_from_a_stream() {
        for text in ["no healthy upstream", "<html>x</html>", "\u{feff}error code: 1020", "database is down\ndata: x"] {
            assert!(opening(text).text().is_some() && opening(text).may_be_complete(), "{text}");
        }
        for text in ["", " \n", ": ping\n\n: ping", "data", "da", "event: x\n", "id\n", "retry: 5\n\n"] {
            assert!(opening(text).text().is_none() && !opening(text).may_be_complete(), "{text}");
        }
    }

    #[test]
    fn json_may_be_the_body_when_it_is_complete() {
        assert!(opening("{\"detail\": \"no\"}\n").may_be_complete() && opening("[{}]").may_be_complete());
        assert!(!opening("{\"detail\": {}").may_be_complete() && !opening("{\"a\"").may_be_complete());
        assert_eq!(opening("{\"detail\": 1}").text(), None);
    }

    #[test]
    fn the_kept_size_is_bounded() {
        let mut opening = Opening::default();
        for _ in 0..100 {
            opening.add(&[b'x'; 4096], false);
        }
        assert_eq!(opening.bytes.len(), MAX_KEPT_BYTES);
        opening.add(b"", true);
        opening.add(b"more", false);
        assert_eq!((opening.bytes.capacity(), opening.text()), (0, None));
    }
}
