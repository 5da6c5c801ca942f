//! One writer per file in the whole daemon: a change holds the lock of its file from reading it to having written it,
//! so two edits at once, by parallel calls or by other sessions, never lose one another.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::stdx::paths::AbsPath;

/// Held while a file is changed.
pub type FileGuard = OwnedMutexGuard<()>;

// A plain mutex: it is held for a look-up only, never across an await.
static LOCKS: LazyLock<Mutex<HashMap<AbsPath, Weak<AsyncMutex<()>>>>> = LazyLock::new(Mutex::default);

/// Waits for the file's lock. The path must be real, so that one file has one name.
pub async fn lock(real: &AbsPath) -> FileGuard {
    let lock = {
        let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        let held = locks.get(real).and_then(Weak::upgrade);
        held.unwrap_or_else(|| {
            locks.retain(|_, lock| lock.strong_count() > 0);
            let lock = Arc::default();
            locks.insert(real.clone(), Arc::downgrade(&lock));
            lock
        })
    };
    lock.lock_owned().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_file() {
        let (one, two) = (AbsPath::new("/file-lock/one").unwrap(), AbsPath::new("/file-lock/two").unwrap());
        let first = lock(&one).await;
        let _other = lock(&two).await;
        let mut waiting = Box::pin(lock(&one));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        let second = waiting.await;
        assert!(futures::poll!(Box::pin(lock(&one))).is_pending());
        drop(second);
        lock(&one).await;
    }
}
