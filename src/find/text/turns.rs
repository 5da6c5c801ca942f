//! How many searches there are at once. A search takes every processor, so those that are waited for take turns; those
//! whose results are streamed wait for their clients, so they must not take the turns of others, and are counted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many searches run at once; others wait.
const CALLS: usize = 2;
/// How many streamed ones there may be in all.
const STREAMS: usize = 64;
/// How many streamed ones one client may have.
pub const STREAMS_OF_ONE: usize = 8;

/// The searches of a daemon.
#[derive(Debug)]
pub struct Turns {
    calls: Arc<Semaphore>,
    // By the client's number. Held to count up or down.
    streams: Mutex<BTreeMap<u64, usize>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { calls: Arc::new(Semaphore::new(CALLS)), streams: Mutex::default() }
    }
}

/// Leave to search until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is only held")] Option<OwnedSemaphorePermit>);

/// Leave to stream until it is dropped.
#[derive(Debug)]
pub struct StreamTurn {
    turns: Arc<Turns>,
    client: u64,
}

impl Turns {
    /// Waits for a turn.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed.
        Turn(Arc::clone(&self.calls).acquire_owned().await.ok())
    }

    /// Counts a stream for a client; how many it may have where that is too many.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn stream(self: &Arc<Self>, client: u64) -> Result<StreamTurn, usize> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.values().sum::<usize>() >= STREAMS {
            return Err(STREAMS);
        }
        let own = streams.entry(client).or_default();
        if *own >= STREAMS_OF_ONE {
            return Err(STREAMS_OF_ONE);
        }
        *own += 1;
        Ok(StreamTurn { turns: Arc::clone(self), client })
    }
}

impl Drop for StreamTurn {
    fn drop(&mut self) {
        let mut streams = self.turns.streams.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn no_client_takes_all_streams() {
        let turns = Arc::<Turns>::default();
        let mut held: Vec<_> = (0..STREAMS_OF_ONE).map(|_| turns.stream(1).unwrap()).collect();
        assert_eq!(turns.stream(1).unwrap_err(), STREAMS_OF_ONE);
        held.extend((0..STREAMS - STREAMS_OF_ONE).map(|number| turns.stream(2 + number as u64).unwrap()));
        assert_eq!(turns.stream(99).unwrap_err(), STREAMS);
        held.swap_remove(0);
        assert!(turns.stream(99).is_ok());
        drop(held);
        assert!(turns.streams.lock().unwrap().is_empty());
    }
}
