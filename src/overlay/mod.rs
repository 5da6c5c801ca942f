//! Text that an editor holds and has not saved: what a client has announced last is what everything here reads, before
//! the disk. Nothing of it is ever stored.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::stdx::paths::AbsPath;

/// A text as a client has announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file that it will be saved to, a real path as far as it exists.
    pub path: AbsPath,
    /// The client's number for this state of the text; it grows with each change.
    pub version: i64,
    /// The text.
    pub text: Arc<str>,
    /// The number of the connection whose text it is.
    pub connection: u64,
}

/// All announced texts. Where several clients hold the same file, the newest announcement counts.
#[derive(Debug, Default)]
pub struct Overlay {
    // By path; of each the one announced last stands last. Held for a look-up or an insert, never across an await.
    documents: RwLock<BTreeMap<AbsPath, Vec<Arc<Document>>>>,
}

impl Overlay {
    /// The newest text that any client has announced for the file.
    #[must_use]
    pub fn get(&self, path: &AbsPath) -> Option<Arc<Document>> {
        self.documents.read().unwrap_or_else(PoisonError::into_inner).get(path)?.last().cloned()
    }

    /// The text that this connection has announced for the file.
    #[must_use]
    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<Arc<Document>> {
        let documents = self.documents.read().unwrap_or_else(PoisonError::into_inner);
        documents.get(path)?.iter().find(|document| document.connection == connection).cloned()
    }

    /// The newest text of each announced file at or below `root`, in the order of their paths.
    #[must_use]
    pub fn below(&self, root: &AbsPath) -> Vec<Arc<Document>> {
        let documents = self.documents.read().unwrap_or_else(PoisonError::into_inner);
        documents.values().filter_map(|known| known.last()).filter(|document| document.path.is_within(root)).cloned().collect()
    }

    /// Takes a text in place of the one that the connection has announced for the same file before.
    pub fn announce(&self, document: Document) {
        let mut documents = self.documents.write().unwrap_or_else(PoisonError::into_inner);
        let known = documents.entry(document.path.clone()).or_default();
        known.retain(|other| other.connection != document.connection);
        known.push(Arc::new(document));
    }

    /// Forgets the connection's text of the file; false when it has announced none.
    pub fn close(&self, connection: u64, path: &AbsPath) -> bool {
        let mut documents = self.documents.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = documents.get_mut(path) else { return false };
        let before = known.len();
        known.retain(|document| document.connection != connection);
        let found = known.len() < before;
        if known.is_empty() {
            documents.remove(path);
        }
        found
    }

    /// Forgets all texts of a connection that has ended.
    pub fn forget(&self, connection: u64) {
        let mut documents = self.documents.write().unwrap_or_else(PoisonError::into_inner);
        documents.retain(|_, known| {
            known.retain(|document| document.connection != connection);
            !known.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, connection: u64, text: &str) -> Document {
        Document { path: AbsPath::new(path).unwrap(), version: 1, text: text.into(), connection }
    }

    fn text(overlay: &Overlay, path: &str) -> Option<String> {
        overlay.get(&AbsPath::new(path).unwrap()).map(|document| document.text.to_string())
    }

    #[test]
    fn the_newest_announcement_counts() {
        let overlay = Overlay::default();
        overlay.announce(document("/a/b", 1, "one"));
        overlay.announce(document("/a/b", 2, "two"));
        assert_eq!(text(&overlay, "/a/b").as_deref(), Some("two"));
        overlay.announce(document("/a/b", 1, "one again"));
        assert_eq!(text(&overlay, "/a/b").as_deref(), Some("one again"));
        assert!(overlay.close(1, &AbsPath::new("/a/b").unwrap()));
        assert!(!overlay.close(1, &AbsPath::new("/a/b").unwrap()));
        assert_eq!(text(&overlay, "/a/b").as_deref(), Some("two"));
        overlay.forget(2);
        assert_eq!(text(&overlay, "/a/b"), None);
    }

    #[test]
    fn below_is_by_whole_names() {
        let overlay = Overlay::default();
        for path in ["/a", "/a/b", "/a/b/c", "/ab"] {
            overlay.announce(document(path, 1, path));
        }
        let below = overlay.below(&AbsPath::new("/a").unwrap());
        assert_eq!(below.iter().map(|document| document.text.to_string()).collect::<Vec<_>>(), ["/a", "/a/b", "/a/b/c"]);
    }
}
