//! Counts the requests in flight of a connection, and the messages that wait to be written. Atomic counters, so the cost is
//! negligible.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use crate::stdx::time::now_ms;

/// The counters of one connection.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicUsize,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// When the queue last became non-empty, or a message was last taken from it, in milliseconds since 1970.
    moved: AtomicI64,
}

impl Traffic {
    /// Counts a request until the value is dropped.
    #[must_use]
    pub fn request(self: &Arc<Self>) -> UnderWay {
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Counts a waiting message of this size until the value is dropped.
    #[must_use]
    pub fn message(self: &Arc<Self>, bytes: usize) -> Waiting {
        if self.messages.fetch_add(1, Ordering::Relaxed) == 0 {
            self.moved.store(now_ms(), Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Waiting { traffic: Arc::clone(self), bytes }
    }

    /// The number of requests in flight.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of waiting messages, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// For how many milliseconds no waiting message was taken; 0 if none waits.
    #[must_use]
    pub fn stalled_ms(&self) -> u64 {
        if self.messages.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        u64::try_from(now_ms() - self.moved.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct UnderWay(Arc<Traffic>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message that waits to be written.
#[derive(Debug)]
pub struct Waiting {
    traffic: Arc<Traffic>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.traffic.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.traffic.messages.fetch_sub(1, Ordering::Relaxed);
        self.traffic.moved.store(now_ms(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted_until_its_end() {
        let traffic = Arc::new(Traffic::default());
        let request = traffic.request();
        let messages = [10, 20].map(|bytes| traffic.message(bytes));
        assert_eq!((traffic.requests(), traffic.waiting()), (1, (2, 30)));
        traffic.moved.store(now_ms() - 5000, Ordering::Relaxed);
        assert!(traffic.stalled_ms() >= 5000);
        let [first, second] = messages;
        drop((first, request));
        assert_eq!((traffic.requests(), traffic.waiting()), (0, (1, 20)));
        assert!(traffic.stalled_ms() < 5000, "something was taken");
        drop(second);
        assert_eq!((traffic.waiting(), traffic.stalled_ms()), ((0, 0), 0));
    }
}
