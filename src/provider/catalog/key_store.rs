//! The key store: the file `auth.json` in the data directory, readable by its owner only. Its metadata is checked at
//! each use, so that a new key takes effect at the next prompt. Entries of unknown kinds are preserved.

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

/// The size limit of the file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The length limit of a key, in bytes.
const MAX_KEY_BYTES: usize = 16 * 1024;
/// The length limit of a provider's id, in bytes.
const MAX_ID_BYTES: usize = 100;

/// Why a key cannot be stored or read. Messages contain no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or the provider id is invalid.
    #[error("{0}")]
    Invalid(&'static str),
    /// The file cannot be read or written.
    #[error("the key store {path} cannot be used: {source}")]
    File { path: AbsPath, source: io::Error },
    /// The content is not valid.
    #[error("the key store {path} is damaged: line {line} is no JSON as it is expected; mend or remove it")]
    Content { path: AbsPath, line: usize },
    /// There is no data directory.
    #[error("there is no key store")]
    None,
}

pub type Keys = BTreeMap<String, Secret>;

/// The file `auth.json` of a data directory.
#[derive(Debug, Default)]
pub struct KeyStore {
    path: Option<AbsPath>,
    // Locked while the file is read or replaced, so that changes are sequential.
    known: Mutex<Option<(Stamp, Arc<Keys>)>>,
}

impl KeyStore {
    /// The store of this data directory; the file need not exist. The default store is empty.
    pub fn new(data: &AbsPath) -> Self {
        Self { path: Some(data.join("auth.json")), known: Mutex::default() }
    }

    /// The current keys. Reads only the metadata of an unchanged file.
    pub fn keys(&self) -> Result<Arc<Keys>, Error> {
        let Some(path) = &self.path else { return Ok(Arc::default()) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = SystemTime::now();
        let Some(stamp) = Stamp::of(path.as_path()) else {
            *known = None;
            // A broken symbolic link is an error.
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

    /// Stores or replaces the key of a provider.
    ///
    /// # Errors
    /// When the key is invalid, or the file cannot be read or written; then nothing changes.
    pub fn set(&self, provider: &str, key: &str) -> Result<(), Error> {
        let key = parse_key(key)?;
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

    /// Removes the key of a provider; false if there was none.
    ///
    /// # Errors
    /// When the file cannot be read or written; then nothing changes.
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
    // The parser's message could contain a part of a key.
    serde_json::from_slice(&bytes).map_err(|error| Error::Content { path: path.clone(), line: error.line() })
}

fn key(entry: &Value) -> Option<Secret> {
    (entry["type"] == "api").then(|| entry["key"].as_str().and_then(|key| parse_key(key).ok()))?
}

/// A key must be valid in a header.
fn parse_key(text: &str) -> Result<Secret, Error> {
    let key = Secret::new(text).ok_or(Error::Invalid("the key is empty"))?;
    if key.expose().len() > MAX_KEY_BYTES {
        return Err(Error::Invalid("the key is longer than 16 KiB"));
    }
    if key.expose().chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Error::Invalid("the key holds blanks, line ends or other characters that no key has"));
    }
    Ok(key)
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

#[cfg(test)]
#[path = "key_store_tests.rs"]
mod tests;
