//! Serialises items as JSON, in the thread that finds them.

use std::io::Write as _;

use serde::Serialize;

use super::{
    excerpt::{column, excerpt_of},
    file::Line,
};

/// A writer for the items of one file.
pub struct Items {
    path: Vec<u8>,
}

impl Items {
    pub fn new(path: &str) -> Self {
        let mut this = Self { path: Vec::with_capacity(path.len() + 2) };
        put(&mut this.path, path);
        this
    }

    pub fn write(&self, line: &Line<'_>, to: &mut Vec<u8>) {
        let excerpt = excerpt_of(line.bytes, line.matches.unwrap_or_default());
        to.extend_from_slice(if line.matches.is_some() { br#"{"type":"match","path":"# } else { br#"{"type":"context","path":"# });
        to.extend_from_slice(&self.path);
        field(to, "line", line.number);
        if let Some(first) = line.matches.map(|matches| matches.first().map_or(0, |first| first.start)) {
            field(to, "column", column(line.bytes, first));
        }
        to.extend_from_slice(br#","text":"#);
        put(to, &excerpt.text);
        if line.matches.is_some() {
            to.extend_from_slice(br#","submatches":"#);
            put(to, &excerpt.submatches);
            if excerpt.before > 0 {
                field(to, "before", excerpt.before as u64);
            }
        }
        if excerpt.after > 0 {
            field(to, "after", excerpt.after as u64);
        }
        if excerpt.lossy {
            to.extend_from_slice(br#","lossy":true"#);
        }
        to.push(b'}');
    }
}

fn field(to: &mut Vec<u8>, name: &str, value: u64) {
    // Writing to memory cannot fail.
    let _ = write!(to, r#","{name}":{value}"#);
}

fn put<T: Serialize + ?Sized>(to: &mut Vec<u8>, value: &T) {
    // Strings and numbers can always be serialised.
    let _ = serde_json::to_writer(to, value);
}

#[cfg(test)]
mod tests {
    use polytree_protocol::text::TextItem;

    use super::*;

    #[test]
    fn items_match_the_contract() {
        let long = format!("{}end", "x".repeat(10_000));
        let check = |bytes: &[u8], places: Option<&[(usize, usize)]>| {
            let matches: Option<Vec<_>> = places.map(|places| places.iter().map(|&(from, to)| from..to).collect());
            let matches = matches.as_deref();
            let mut json = Vec::new();
            Items::new("di r/\"n\u{1}ame").write(&Line { number: 7, bytes, matches }, &mut json);
            let item: TextItem = serde_json::from_slice(&json).unwrap();
            assert_eq!(serde_json::to_string(&item).unwrap(), String::from_utf8(json).unwrap());
            assert_eq!(matches!(item, TextItem::Match(_)), matches.is_some());
        };
        check(b"a \"word\"\t", Some(&[(3, 7)]));
        check(b"", Some(&[]));
        check("ä word".as_bytes(), Some(&[(3, 7)]));
        check(b"\xFF word", Some(&[(2, 6), (6, 6)]));
        check(long.as_bytes(), Some(&[(5000, 5002)]));
        check(long.as_bytes(), None);
    }
}
