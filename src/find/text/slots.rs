//! Limits concurrent searches. A search uses all processors, so searches that return one result share a few slots. A
//! streamed search may wait for a slow client and must not block others, so streams have separate limits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many searches run concurrently; others wait.
const MAX_CALLS: usize = 2;
/// The limit of streamed searches.
const MAX_STREAMS: usize = 64;
/// The limit of streamed searches per client.
const MAX_CLIENT_STREAMS: usize = 8;

#[derive(Debug)]
pub struct SearchSlots {
    calls: Arc<Semaphore>,
    // Counts by client. Locked to change a count.
    streams: Mutex<BTreeMap<u64, usize>>,
}

impl Default for SearchSlots {
    fn default() -> Self {
        Self { calls: Arc::new(Semaphore::new(MAX_CALLS)), streams: Mutex::default() }
    }
}

/// A slot for one search; released on drop.
#[derive(Debug)]
pub struct SearchSlot(#[expect(dead_code, reason = "it is only held")] Option<OwnedSemaphorePermit>);

/// A slot for one streamed search; released on drop.
#[derive(Debug)]
pub struct StreamSlot {
    slots: Arc<SearchSlots>,
    client: u64,
}

impl SearchSlots {
    pub async fn slot(&self) -> SearchSlot {
        // The semaphore is never closed.
        SearchSlot(Arc::clone(&self.calls).acquire_owned().await.ok())
    }

    /// A slot for a stream of a client.
    pub fn stream(self: &Arc<Self>, client: u64) -> Result<StreamSlot, usize> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.values().sum::<usize>() >= MAX_STREAMS {
            return Err(MAX_STREAMS);
        }
        let own = streams.entry(client).or_default();
        if *own >= MAX_CLIENT_STREAMS {
            return Err(MAX_CLIENT_STREAMS);
        }
        *own += 1;
        Ok(StreamSlot { slots: Arc::clone(self), client })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut streams = self.slots.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = streams.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                streams.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all_streams() {
        let slots = Arc::<SearchSlots>::default();
        let mut held: Vec<_> = (0..MAX_CLIENT_STREAMS).map(|_| slots.stream(1).unwrap()).collect();
        assert_eq!(slots.stream(1).unwrap_err(), MAX_CLIENT_STREAMS);
        held.extend((0..MAX_STREAMS - MAX_CLIENT_STREAMS).map(|number| slots.stream(2 + number as u64).unwrap()));
        assert_eq!(slots.stream(99).unwrap_err(), MAX_STREAMS);
        held.swap_remove(0);
        assert!(slots.stream(99).is_ok());
        drop(held);
        assert!(slots.streams.lock().unwrap().is_empty());
    }
}
