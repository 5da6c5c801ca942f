//! What a session has seen of each file, so that a change by someone else in between is noticed.
//! It lives in memory only: after a restart the model must read again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use blake3::Hash;

use crate::stdx::paths::AbsPath;

/// No session works with more files than this at a time.
const MAX_FILES: usize = 10_000;

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

/// The hash of the content of each file as one session last saw it, by real path.
#[derive(Debug, Default)]
pub struct FileTimes {
    // A plain mutex: it is held for a look-up only, never across an await.
    seen: Mutex<HashMap<AbsPath, Hash>>,
}

impl FileTimes {
    /// The session has now seen this content of the file.
    pub fn record(&self, real: &AbsPath, content: Hash) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_FILES && !seen.contains_key(real) {
            // Whatever is forgotten only has to be read again.
            seen.clear();
        }
        seen.insert(real.clone(), content);
    }

    /// Whether the session knows the file as it is now. Only the content counts: a touched file is still known.
    ///
    /// # Errors
    /// When the file was never read, or changed since.
    pub fn check(&self, real: &AbsPath, now: &Hash) -> Result<(), Stale> {
        match self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(real) {
            None => Err(Stale::NeverRead),
            Some(seen) if seen == now => Ok(()),
            Some(_) => Err(Stale::Changed),
        }
    }

    /// What the session last saw.
    pub fn last(&self, real: &AbsPath) -> Option<Hash> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(real).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_as_it_was_last_seen() {
        let path = AbsPath::new("/file").unwrap();
        let (one, two) = (blake3::hash(b"one"), blake3::hash(b"two"));
        let times = FileTimes::default();
        assert_eq!(times.check(&path, &one), Err(Stale::NeverRead));
        times.record(&path, one);
        assert_eq!((times.check(&path, &one), times.check(&path, &two)), (Ok(()), Err(Stale::Changed)));
        times.record(&path, two);
        assert_eq!(times.check(&path, &two), Ok(()));
    }
}
