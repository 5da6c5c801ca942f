//! What a session has seen of each file, so that a change by someone else in between is noticed.
//! It lives in memory only: after a restart the model must read again.

use std::{
    collections::HashMap,
    fs::Metadata,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use crate::stdx::paths::AbsPath;

/// No session works with more files than this at a time.
const MOST_FILES: usize = 10_000;

/// A file's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The hash of the whole content.
    pub hash: blake3::Hash,
    /// Length in bytes.
    pub length: u64,
    /// When it was last changed, by the file system's word.
    pub modified: Option<SystemTime>,
}

impl Stamp {
    /// The stamp of a file whose whole content is at hand.
    #[must_use]
    pub fn new(content: &[u8], metadata: &Metadata) -> Self {
        Self::from_hash(blake3::hash(content), metadata)
    }

    /// The stamp of a text that an editor holds: the same as that of a file with this content.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self { hash: blake3::hash(text.as_bytes()), length: text.len() as u64, modified: None }
    }

    /// The stamp of a file whose whole content has gone through a hasher.
    #[must_use]
    pub fn from_hash(hash: blake3::Hash, metadata: &Metadata) -> Self {
        Self { hash, length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Why a file may not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// This session has not read it.
    #[error("it was not read in this session yet")]
    NeverRead,
    /// Its content is not what this session last saw.
    #[error("it was changed since it was last read")]
    Changed,
}

/// The last look of one session at each file, by real path.
#[derive(Debug, Default)]
pub struct FileTimes {
    // A plain mutex: it is held for a look-up only, never across an await.
    seen: Mutex<HashMap<AbsPath, Stamp>>,
}

impl FileTimes {
    /// The session has now seen this state of the file.
    pub fn record(&self, real: &AbsPath, stamp: Stamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_FILES && !seen.contains_key(real) {
            // Whatever is forgotten only has to be read again.
            seen.clear();
        }
        seen.insert(real.clone(), stamp);
    }

    /// Whether the session knows the file as it is now. Only the content counts: a touched file is still known.
    ///
    /// # Errors
    /// When the file was never read, or changed since.
    pub fn check(&self, real: &AbsPath, now: &Stamp) -> Result<(), Stale> {
        match self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(real) {
            None => Err(Stale::NeverRead),
            Some(seen) if seen.hash == now.hash => Ok(()),
            Some(_) => Err(Stale::Changed),
        }
    }

    /// What the session last saw.
    #[must_use]
    pub fn last(&self, real: &AbsPath) -> Option<Stamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(real).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_content_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = AbsPath::new(directory.path().join("file")).unwrap();
        let stamp = |text: &str| {
            fs::write(&path, text).unwrap();
            Stamp::new(text.as_bytes(), &fs::metadata(&path).unwrap())
        };
        let times = FileTimes::default();
        assert_eq!(times.check(&path, &stamp("one")), Err(Stale::NeverRead));
        times.record(&path, stamp("one"));
        assert_eq!(times.check(&path, &stamp("one")), Ok(()));
        assert_eq!(times.check(&path, &stamp("two")), Err(Stale::Changed));
        times.record(&path, stamp("two"));
        assert_eq!(times.check(&path, &stamp("two")), Ok(()));
    }
}
