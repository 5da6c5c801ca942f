//! The overlay's state as a plain value, without locks: for each file the clients that have it open, and for each
//! client the bytes that count against its limit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    document::{CONNECTION_LIMIT, Document, Error, TEXT_LIMIT},
    edits::Editor,
};
use crate::stdx::paths::AbsPath;

/// The approximate overhead of a buffer beside its text and path, in bytes.
const BUFFER_OVERHEAD_BYTES: usize = 256;

/// A file that one client has open.
#[derive(Debug)]
pub struct Buffer {
    /// The number of the client's connection.
    connection: u64,
    /// The text that the client has announced last; `None` if it is not known.
    announced: Option<Arc<Document>>,
    /// The text after an edit that the client has applied but not announced yet.
    applied: Option<Arc<Document>>,
}

impl Buffer {
    /// The newest known text.
    pub fn newest(&self) -> Option<&Arc<Document>> {
        self.applied.as_ref().or(self.announced.as_ref())
    }

    /// The text to which the client's next change applies.
    pub fn announced(&self) -> Option<Arc<Document>> {
        self.announced.clone()
    }

    fn cost(&self) -> usize {
        let path = self.announced.as_ref().map_or(0, |document| document.path.as_path().as_os_str().len());
        BUFFER_OVERHEAD_BYTES
            + path
            + [&self.announced, &self.applied].into_iter().flatten().map(|document| document.text.len()).sum::<usize>()
    }
}

/// A client with open files.
#[derive(Debug, Default)]
struct Client {
    bytes: usize,
    /// The client's spellings of the paths, with the real path of each at the time of opening: symbolic links may
    /// change while a file is open.
    names: HashMap<AbsPath, AbsPath>,
    editor: Option<Arc<dyn Editor>>,
}

#[derive(Debug, Default)]
pub struct Buffers {
    /// By path; the newest announcement is the last element.
    files: BTreeMap<AbsPath, Vec<Buffer>>,
    clients: HashMap<u64, Client>,
}

impl Buffers {
    /// The newest announcement of the file.
    pub fn newest(&self, path: &AbsPath) -> Option<&Buffer> {
        self.files.get(path)?.last()
    }

    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<&Buffer> {
        self.files.get(path)?.iter().find(|buffer| buffer.connection == connection)
    }

    /// The newest announcement of each file at or below the root.
    pub fn below<'a>(&'a self, root: &'a AbsPath) -> impl Iterator<Item = (&'a AbsPath, &'a Buffer)> {
        self.files
            .range(root.clone()..)
            .take_while(move |(path, _)| path.is_within(root))
            .filter_map(|(path, buffer)| Some((path, buffer.last()?)))
    }

    /// Whether the text, in place of the connection's current one, is within the limits.
    pub fn check(&self, connection: u64, path: &AbsPath, document: Option<&Document>) -> Result<(), Error> {
        let text = document.map_or(0, |document| document.text.len());
        if text > TEXT_LIMIT {
            return Err(Error::TooLong);
        }
        let bytes = self.clients.get(&connection).map_or(0, |client| client.bytes);
        let before = self.of(connection, path).map_or(0, Buffer::cost);
        if bytes - before + BUFFER_OVERHEAD_BYTES + path.as_path().as_os_str().len() + text > CONNECTION_LIMIT {
            return Err(Error::TooMuch);
        }
        Ok(())
    }

    /// Replaces the connection's text of the file; `None` if it is not known.
    pub fn set(&mut self, connection: u64, path: &AbsPath, announced: Option<Arc<Document>>) {
        self.take(connection, path);
        self.put(path, Buffer { connection, announced, applied: None });
    }

    /// Stores the next version of an announced text. An applied edit with a later version stays the newest.
    pub fn advance(&mut self, document: Arc<Document>) {
        let (connection, path) = (document.connection, document.path.clone());
        let applied = self.take(connection, &path).and_then(|buffer| buffer.applied).filter(|applied| applied.version > document.version);
        self.put(&path, Buffer { connection, announced: Some(document), applied });
    }

    /// Stores the text after an applied edit of version `from`. Does nothing if that is no longer the newest version:
    /// then the client has announced other changes, and will announce this one too.
    pub fn set_applied(&mut self, from: i64, document: Document) {
        let (connection, path) = (document.connection, document.path.clone());
        let Some(entry) = self.files.get_mut(&path) else { return };
        let Some(buffer) = entry.iter_mut().find(|buffer| buffer.connection == connection) else { return };
        if buffer.newest().is_some_and(|newest| newest.version == from) {
            let before = buffer.cost();
            buffer.applied = Some(Arc::new(document));
            let after = buffer.cost();
            let client = self.clients.entry(connection).or_default();
            client.bytes = client.bytes - before + after;
        }
    }

    /// Marks the connection's text as unknown, if it has the file open.
    pub fn invalidate(&mut self, connection: u64, path: &AbsPath) {
        if self.take(connection, path).is_some() {
            self.put(path, Buffer { connection, announced: None, applied: None });
        }
    }

    /// Closes the file for the connection; false if it was not open.
    pub fn remove(&mut self, connection: u64, path: &AbsPath) -> bool {
        if let Some(client) = self.clients.get_mut(&connection) {
            client.names.retain(|_, real| real != path);
        }
        self.take(connection, path).is_some()
    }

    /// Stores the client's spelling of a path.
    pub fn name(&mut self, connection: u64, named: &AbsPath, path: &AbsPath) {
        self.clients.entry(connection).or_default().names.insert(named.clone(), path.clone());
    }

    /// The real path for the client's spelling.
    pub fn named(&self, connection: u64, named: &AbsPath) -> Option<AbsPath> {
        self.clients.get(&connection)?.names.get(named).cloned()
    }

    pub fn set_editor(&mut self, connection: u64, editor: Arc<dyn Editor>) {
        self.clients.entry(connection).or_default().editor = Some(editor);
    }

    pub fn editor(&self, connection: u64) -> Option<Arc<dyn Editor>> {
        self.clients.get(&connection)?.editor.clone()
    }

    pub fn remove_client(&mut self, connection: u64) {
        self.clients.remove(&connection);
        self.files.retain(|_, known| {
            known.retain(|buffer| buffer.connection != connection);
            !known.is_empty()
        });
    }

    fn put(&mut self, path: &AbsPath, buffer: Buffer) {
        self.clients.entry(buffer.connection).or_default().bytes += buffer.cost();
        self.files.entry(path.clone()).or_default().push(buffer);
    }

    fn take(&mut self, connection: u64, path: &AbsPath) -> Option<Buffer> {
        let known = self.files.get_mut(path)?;
        let index = known.iter().position(|buffer| buffer.connection == connection)?;
        let buffer = known.remove(index);
        if known.is_empty() {
            self.files.remove(path);
        }
        if let Some(client) = self.clients.get_mut(&connection) {
            client.bytes -= buffer.cost();
        }
        Some(buffer)
    }

    /// The bytes that count against a connection's limit.
    #[cfg(test)]
    pub fn bytes(&self, connection: u64) -> usize {
        self.clients.get(&connection).map_or(0, |client| client.bytes)
    }
}
