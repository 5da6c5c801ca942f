//! The files that are open in the client. Their texts are not kept: the next daemon gets the files without their texts,
//! and the client is asked to announce them again, so that nothing uses outdated files meanwhile.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::{Value, json};

/// The params of `buffer.*` that identify a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The client's spelling.
    pub path: String,
    directory: Option<String>,
}

/// The open files.
#[derive(Debug, Default)]
pub struct Buffers {
    /// With the real path, if the daemon has returned it.
    open: BTreeMap<Named, Option<String>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    directory: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Opened<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

impl Named {
    /// The identity in the params; the text is ignored.
    pub fn of(params: Option<&str>) -> Option<Self> {
        let params: Params<'_> = serde_json::from_str(params?).ok()?;
        Some(Self { path: params.path.into_owned(), directory: params.directory.map(Cow::into_owned) })
    }
}

impl Buffers {
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The client has opened a file; `result` is the daemon's answer, if the client asked for one.
    pub fn opened(&mut self, named: Named, result: Option<&str>) {
        let real = result.and_then(|result| serde_json::from_str::<Opened<'_>>(result).ok()).map(|opened| opened.path.into_owned());
        self.open.insert(named, real);
    }

    /// The client has closed a file, by either name.
    pub fn closed(&mut self, named: &Named) {
        let real = self.open.remove(named).flatten().unwrap_or_else(|| named.path.clone());
        self.open.retain(|_, other| other.as_ref() != Some(&real));
    }

    /// The params to open each file without its text.
    pub fn untold(&self) -> impl Iterator<Item = Value> {
        self.open.iter().map(|(named, real)| match real {
            Some(real) => json!({ "path": real, "version": 0 }),
            None => json!({ "path": named.path, "directory": named.directory, "version": 0 }),
        })
    }

    /// The client's spellings.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.open.keys().map(|named| named.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(params: &str) -> Named {
        Named::of(Some(params)).unwrap()
    }

    #[test]
    fn a_file_is_closed_by_any_of_its_names() {
        let mut buffers = Buffers::default();
        let shown = |buffers: &Buffers| buffers.paths().collect::<Vec<_>>();
        buffers.opened(named(r#"{"path":"a","version":1,"text":"x\ud83d\ude00"}"#), Some(r#"{"path":"/d/a","version":1}"#));
        buffers.opened(named(r#"{"path":"a","directory":"/e"}"#), Some(r#"{"path":"/e/a","version":1}"#));
        buffers.opened(named(r#"{"path":"link"}"#), Some(r#"{"path":"/d/a","version":2}"#));
        buffers.opened(named(r#"{"path":"b"}"#), None);
        assert_eq!(shown(&buffers), ["a", "a", "b", "link"]);
        buffers.closed(&named(r#"{"path":"/d/a"}"#));
        assert_eq!(shown(&buffers), ["a", "b"]);
        buffers.closed(&named(r#"{"path":"a","directory":"/e"}"#));
        buffers.closed(&named(r#"{"path":"b"}"#));
        assert!(buffers.is_empty());
        assert_eq!(Named::of(Some(r#"{"path":1}"#)), None);
    }
}
