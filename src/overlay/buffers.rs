//! Who holds which text: for each file the clients that hold it, and for each client how much that is. No waiting, no
//! locks: the overlay's state as a plain value.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    document::{BUDGET, Document, Error, TEXT_LIMIT},
    questions::Editor,
};
use crate::stdx::paths::AbsPath;

/// What an entry costs beside its text and path, roughly, in bytes.
const ENTRY: usize = 256;

/// One client's hold on a file.
#[derive(Debug)]
pub struct Held {
    /// The number of the client's connection.
    connection: u64,
    /// What the client has announced last; none where that is not known.
    announced: Option<Arc<Document>>,
    /// What the client says its text is since an edit, where its own announcement of it is still to come.
    applied: Option<Arc<Document>>,
}

impl Held {
    /// The newest that is known of the client's text.
    pub fn newest(&self) -> Option<&Arc<Document>> {
        self.applied.as_ref().or(self.announced.as_ref())
    }

    /// The text that the client's next change is a change of.
    pub fn announced(&self) -> Option<Arc<Document>> {
        self.announced.clone()
    }

    fn cost(&self) -> usize {
        let path = self.announced.as_ref().map_or(0, |document| document.path.as_path().as_os_str().len());
        ENTRY + path + [&self.announced, &self.applied].into_iter().flatten().map(|document| document.text.len()).sum::<usize>()
    }
}

/// A client that holds texts.
#[derive(Debug, Default)]
struct Holder {
    bytes: usize,
    /// The client's spellings of the paths: what they lead to may change on the disk while the files are open.
    names: HashMap<AbsPath, AbsPath>,
    editor: Option<Arc<dyn Editor>>,
}

/// All that is held.
#[derive(Debug, Default)]
pub struct Holdings {
    /// By path; of each the one announced last stands last.
    files: BTreeMap<AbsPath, Vec<Held>>,
    holders: HashMap<u64, Holder>,
}

impl Holdings {
    /// The newest announcement of the file.
    pub fn newest(&self, path: &AbsPath) -> Option<&Held> {
        self.files.get(path)?.last()
    }

    /// The connection's own.
    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<&Held> {
        self.files.get(path)?.iter().find(|held| held.connection == connection)
    }

    /// The newest announcement of each file at or below the root.
    pub fn below<'a>(&'a self, root: &'a AbsPath) -> impl Iterator<Item = (&'a AbsPath, &'a Held)> {
        self.files
            .range(root.clone()..)
            .take_while(move |(path, _)| path.is_within(root))
            .filter_map(|(path, held)| Some((path, held.last()?)))
    }

    /// Whether there is room for the text in place of the one that the connection has announced before.
    pub fn check(&self, connection: u64, path: &AbsPath, document: Option<&Document>) -> Result<(), Error> {
        let text = document.map_or(0, |document| document.text.len());
        if text > TEXT_LIMIT {
            return Err(Error::TooLong);
        }
        let bytes = self.holders.get(&connection).map_or(0, |holder| holder.bytes);
        let before = self.of(connection, path).map_or(0, Held::cost);
        if bytes - before + ENTRY + path.as_path().as_os_str().len() + text > BUDGET {
            return Err(Error::TooMuch);
        }
        Ok(())
    }

    /// Takes what the connection announces anew; none where it holds a text that it has not told.
    pub fn set(&mut self, connection: u64, path: &AbsPath, announced: Option<Arc<Document>>) {
        self.take(connection, path);
        self.put(path, Held { connection, announced, applied: None });
    }

    /// Takes the next state of what the connection has announced. An edited text that was said to have a later version
    /// stays the newest.
    pub fn advance(&mut self, document: Arc<Document>) {
        let (connection, path) = (document.connection, document.path.clone());
        let applied = self.take(connection, &path).and_then(|held| held.applied).filter(|applied| applied.version > document.version);
        self.put(&path, Held { connection, announced: Some(document), applied });
    }

    /// Takes what the client's text is after an edit of what was the newest of it, at `from`. Nothing where the client has
    /// announced other things meanwhile: then it announces this too.
    pub fn set_applied(&mut self, from: i64, document: Document) {
        let (connection, path) = (document.connection, document.path.clone());
        let Some(entry) = self.files.get_mut(&path) else { return };
        let Some(held) = entry.iter_mut().find(|held| held.connection == connection) else { return };
        if held.newest().is_some_and(|newest| newest.version == from) {
            let before = held.cost();
            held.applied = Some(Arc::new(document));
            let after = held.cost();
            let holder = self.holders.entry(connection).or_default();
            holder.bytes = holder.bytes - before + after;
        }
    }

    /// Notes that the connection's text is not what is known of it, where it holds one.
    pub fn lose(&mut self, connection: u64, path: &AbsPath) {
        if self.take(connection, path).is_some() {
            self.put(path, Held { connection, announced: None, applied: None });
        }
    }

    /// Forgets the connection's text of the file; false when it holds none.
    pub fn remove(&mut self, connection: u64, path: &AbsPath) -> bool {
        if let Some(holder) = self.holders.get_mut(&connection) {
            holder.names.retain(|_, real| real != path);
        }
        self.take(connection, path).is_some()
    }

    /// Notes the client's spelling of a path.
    pub fn name(&mut self, connection: u64, named: &AbsPath, path: &AbsPath) {
        self.holders.entry(connection).or_default().names.insert(named.clone(), path.clone());
    }

    /// The path behind the client's spelling.
    pub fn named(&self, connection: u64, named: &AbsPath) -> Option<AbsPath> {
        self.holders.get(&connection)?.names.get(named).cloned()
    }

    /// Notes who makes edits for the connection.
    pub fn enter(&mut self, connection: u64, editor: Arc<dyn Editor>) {
        self.holders.entry(connection).or_default().editor = Some(editor);
    }

    /// Who makes edits for the connection.
    pub fn editor(&self, connection: u64) -> Option<Arc<dyn Editor>> {
        self.holders.get(&connection)?.editor.clone()
    }

    /// Forgets the connection.
    pub fn forget(&mut self, connection: u64) {
        self.holders.remove(&connection);
        self.files.retain(|_, known| {
            known.retain(|held| held.connection != connection);
            !known.is_empty()
        });
    }

    fn put(&mut self, path: &AbsPath, held: Held) {
        self.holders.entry(held.connection).or_default().bytes += held.cost();
        self.files.entry(path.clone()).or_default().push(held);
    }

    fn take(&mut self, connection: u64, path: &AbsPath) -> Option<Held> {
        let known = self.files.get_mut(path)?;
        let index = known.iter().position(|held| held.connection == connection)?;
        let held = known.remove(index);
        if known.is_empty() {
            self.files.remove(path);
        }
        if let Some(holder) = self.holders.get_mut(&connection) {
            holder.bytes -= held.cost();
        }
        Some(held)
    }

    /// How much is counted for a connection.
    #[cfg(test)]
    pub fn bytes(&self, connection: u64) -> usize {
        self.holders.get(&connection).map_or(0, |holder| holder.bytes)
    }
}
