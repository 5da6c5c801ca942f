//! The key store: the file `auth.json` of the data directory, readable by its user alone. Its metadata is checked at every
//! use, so that a new key is used at the next prompt. Entries of unknown kinds are kept as they are.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde_json::{Map, Value, json};

use crate::{
    config::files::Stamp,
    provider::secret::Secret,
    stdx::{paths::AbsPath, private_file, secrets::redact::redact},
};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The longest key, in bytes.
const MAX_KEY: usize = 16 * 1024;
/// The longest id of a provider, in bytes.
const MAX_ID: usize = 100;

/// Why a key cannot be stored or read. No message shows one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is to be stored is no key, or not for a provider.
    #[error("{0}")]
    Invalid(&'static str),
    /// The file cannot be read or written.
    #[error("the key store {path} cannot be used: {source}")]
    File {
        path: AbsPath,
        /// What the system said.
        source: io::Error,
    },
    /// Something else stands in it.
    #[error("the key store {path} is damaged: line {line} is no JSON as it is expected; mend or remove it")]
    Content { path: AbsPath, line: usize },
    /// There is no data directory here.
    #[error("there is no key store")]
    None,
}

/// Keys by provider.
pub type Keys = BTreeMap<String, Secret>;

/// The file `auth.json` of a data directory.
#[derive(Debug, Default)]
pub struct KeyStore {
    path: Option<AbsPath>,
    // Held while the file is read or replaced: one change after the other.
    known: Mutex<Option<(Stamp, Arc<Keys>)>>,
}

impl KeyStore {
    /// The store of this data directory, whether it is there or not. The default one holds nothing.
    #[must_use]
    pub fn new(data: &AbsPath) -> Self {
        Self { path: Some(data.join("auth.json")), known: Mutex::default() }
    }

    /// The current keys. Reads only the file's metadata where nothing has changed.
    ///
    /// # Errors
    /// When there is a file that cannot be used.
    pub fn keys(&self) -> Result<Arc<Keys>, Error> {
        let Some(path) = &self.path else { return Ok(Arc::default()) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = SystemTime::now();
        let Some(stamp) = Stamp::of(path.as_path()) else {
            *known = None;
            // A dangling link is an error.
            return if path.as_path().is_symlink() { entries(path).map(|_| Arc::default()) } else { Ok(Arc::default()) };
        };
        if let Some((read, keys)) = &*known
            && *read == stamp
        {
            return Ok(Arc::clone(keys));
        }
        *known = None;
        let keys: Keys = entries(path)?.iter().filter_map(|(id, entry)| Some((id.clone(), key(entry)?))).collect();
        let keys = Arc::new(keys);
        if stamp.is_settled(begun) {
            *known = Some((stamp, Arc::clone(&keys)));
        }
        Ok(keys)
    }

    /// Stores a provider's key in the place of what was stored for it.
    ///
    /// # Errors
    /// When it is no key, or the file cannot be read or written; then nothing has changed.
    pub fn set(&self, provider: &str, key: &str) -> Result<(), Error> {
        let key = sound_key(key)?;
        if !is_id(provider) {
            return Err(Error::Invalid("the provider's id must be 1 to 100 letters, digits, `-`, `_`, `.` or `/`"));
        }
        if redact(provider, [key.expose()]) != provider {
            return Err(Error::Invalid("the provider's id looks like a key: are the two mixed up?"));
        }
        self.change(|entries| {
            entries.insert(provider.to_owned(), json!({ "type": "api", "key": key.expose() }));
            true
        })
        .map(drop)
    }

    /// Removes what is stored for a provider; tells whether anything was.
    ///
    /// # Errors
    /// When the file cannot be read or written; then nothing has changed.
    pub fn remove(&self, provider: &str) -> Result<bool, Error> {
        self.change(|entries| entries.shift_remove(provider).is_some())
    }

    fn change(&self, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<bool, Error> {
        let path = self.path.as_ref().ok_or(Error::None)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = entries(path)?;
        let changed = change(&mut entries);
        if changed {
            *known = None;
            let mut text = format!("{:#}", Value::Object(entries));
            text.push('\n');
            private_file::replace(path, text.as_bytes()).map_err(|source| Error::File { path: path.clone(), source })?;
        }
        Ok(changed)
    }
}

fn entries(path: &AbsPath) -> Result<Map<String, Value>, Error> {
    let bytes = private_file::read(path, MAX_BYTES).map_err(|source| Error::File { path: path.clone(), source })?;
    let Some(bytes) = bytes.filter(|bytes| !bytes.trim_ascii().is_empty()) else { return Ok(Map::new()) };
    // What the parser says could show a part of a key.
    serde_json::from_slice(&bytes).map_err(|error| Error::Content { path: path.clone(), line: error.line() })
}

fn key(entry: &Value) -> Option<Secret> {
    (entry["type"] == "api").then(|| entry["key"].as_str().and_then(|key| sound_key(key).ok()))?
}

/// A key must fit into a header.
fn sound_key(text: &str) -> Result<Secret, Error> {
    let key = Secret::new(text).ok_or(Error::Invalid("the key is empty"))?;
    if key.expose().len() > MAX_KEY {
        return Err(Error::Invalid("the key is longer than 16 KiB"));
    }
    if key.expose().chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Error::Invalid("the key holds blanks, line ends or other characters that no key has"));
    }
    Ok(key)
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

#[cfg(test)]
#[path = "key_store_tests.rs"]
mod tests;
