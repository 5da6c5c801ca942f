//! Finds the id of a request that is too large to be buffered, at any position among its members and in constant
//! memory.

use super::envelope::Id;

/// The size limit of an id or member name, in bytes.
const ID_LIMIT: usize = 4 * 1024;

/// What is expected next in the request's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Name,
    Colon,
    Value,
}

/// Reads the bytes of one request and keeps its id. For text that is not JSON the result is arbitrary.
#[derive(Debug)]
pub struct IdFinder {
    /// The nesting depth of objects and arrays.
    depth: usize,
    in_string: bool,
    escaped: bool,
    expected: Expected,
    /// The current value is the id.
    is_id: bool,
    /// The name or id that is being read.
    token: Vec<u8>,
    id: Option<Id>,
    done: bool,
}

impl Default for IdFinder {
    fn default() -> Self {
        Self {
            depth: 0,
            in_string: false,
            escaped: false,
            expected: Expected::Name,
            is_id: false,
            token: Vec::new(),
            id: None,
            done: false,
        }
    }
}

impl IdFinder {
    /// Takes the next bytes of the request.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.done {
                return;
            }
            bytes = rest;
            if !self.in_string {
                self.outside(byte);
                continue;
            }
            self.inside(byte);
            if self.in_string && !self.escaped && !self.keeps() {
                // Most of a large message is strings, of which only the end matters.
                bytes = &bytes[memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())..];
            }
        }
    }

    /// The id, once it was read completely.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// Whether a member's name or the id is being read.
    fn keeps(&self) -> bool {
        self.depth == 1 && (self.expected == Expected::Name || self.is_id)
    }

    fn keep(&mut self, byte: u8) {
        if self.keeps() {
            if self.token.len() == ID_LIMIT {
                // Too long: truncated to an unclosed string, which is neither a name nor an id.
                self.token.truncate(1);
            } else {
                self.token.push(byte);
            }
        }
    }

    fn inside(&mut self, byte: u8) {
        self.keep(byte);
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                if self.depth == 1 && self.expected == Expected::Name {
                    let name = std::mem::take(&mut self.token);
                    self.is_id = serde_json::from_slice::<String>(&name).is_ok_and(|name| name == "id");
                    self.expected = Expected::Colon;
                }
            }
            _ => {}
        }
    }

    fn outside(&mut self, byte: u8) {
        match (byte, self.depth) {
            // White space, and a byte order mark at the beginning.
            (b' ' | b'\t' | b'\r' | b'\n', _) | (0xef | 0xbb | 0xbf, 0) => {}
            (b'"', 1..) => {
                self.in_string = true;
                self.keep(byte);
            }
            (b'{', 0) => self.depth = 1,
            // A batch, or not a request.
            (_, 0) => self.done = true,
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']' | b',', 1) => {
                if self.is_id {
                    self.id = str::from_utf8(&self.token).ok().and_then(Id::parse);
                }
                (self.expected, self.is_id) = (Expected::Name, false);
                self.token.clear();
                self.done = byte != b',' || self.id.is_some();
            }
            (b'}' | b']', _) => self.depth -= 1,
            (b':', 1) => self.expected = Expected::Value,
            _ => self.keep(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(text: &[u8], piece: usize) -> Option<Id> {
        let mut finder = IdFinder::default();
        text.chunks(piece).for_each(|piece| finder.take(piece));
        finder.id().cloned()
    }

    #[test]
    fn the_id_is_found_at_any_position() {
        let long = "x\\\"y\\\\".repeat(2000);
        for (text, expected) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"method":"a","params":{{"x":"{long}"}}}}"#), Some(Id::Number(7))),
            (format!(r#"{{"params":{{"id":1,"x":"{long}","y":[{{"id":2}}]}},"id":7,"jsonrpc":"2.0"}}"#), Some(Id::Number(7))),
            (format!("\u{feff} {{ \"params\" : [\"{long}\"] , \"id\" : \"ä\\n\" }} "), Some(Id::Text("ä\n".into()))),
            (format!(r#"{{"a":"{long}","\u0069d":3}}"#), Some(Id::Number(3))),
            (format!(r#"{{"a":"{long}","id":"a,b}}{{"}}"#), Some(Id::Text("a,b}{".into()))),
            (format!(r#"{{"{long}":1,"id":3}}"#), Some(Id::Number(3))),
            (format!(r#"{{"id":"{long}"}}"#), None),
            (format!(r#"{{"a":"{long}","method":"id","x":4}}"#), None),
            (format!(r#"{{"id":null,"a":"{long}"}}"#), None),
            (format!(r#"{{"id":[1],"a":"{long}"}}"#), None),
            (format!(r#"[{{"id":1,"a":"{long}"}}]"#), None),
            (format!(r#"{{"a":"{long}","id":12"#), None),
            (format!("{long}\"id\":1"), None),
        ] {
            for piece in [1, 7, 5000, text.len()] {
                assert_eq!(find(text.as_bytes(), piece), expected, "{text:.60} in pieces of {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in r#"[\[\]{}",:id0-9\\ ]{0,60}"#, piece in 1usize..20) {
            prop_assert_eq!(find(text.as_bytes(), piece), find(text.as_bytes(), 1000));
        }

        #[test]
        fn the_result_agrees_with_a_parser(before in "[a-z{}\\[\\],:]{0,20}", number in 0u64..1000, nested in any::<bool>()) {
            let params = serde_json::json!({ "id": before, "x": [before, { "id": 1 }] });
            let text = if nested { serde_json::json!({ "a": params, "id": number, "z": before }) } else { serde_json::json!({ "id": number }) };
            prop_assert_eq!(find(text.to_string().as_bytes(), 3), Some(Id::Number(number)));
        }
    }
}
