//! The live end of the log: a ring buffer of bounded size with the newest records, and a `watch` channel that wakes
//! followers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Record;

/// The capacity of the ring, in bytes.
const RING_CAPACITY_BYTES: usize = 1024 * 1024;
/// How much one read returns, in bytes.
const MAX_CHUNK_BYTES: usize = 256 * 1024;

struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    /// Every committed record after this cursor is in the ring.
    floor: u64,
}

/// The live end of the log.
pub(super) struct Bus {
    // Held for a push or a copy of some references, never across an await.
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    ended: CancellationToken,
}

impl Bus {
    pub fn new(newest: u64) -> Self {
        Self {
            ring: Mutex::new(Ring { records: VecDeque::new(), bytes: 0, floor: newest }),
            newest: watch::Sender::new(newest),
            ended: CancellationToken::new(),
        }
    }

    /// Adds a committed record and wakes followers. Calls come in the order of the cursors.
    pub fn publish(&self, record: Arc<Record>) {
        let cursor = record.cursor;
        {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.bytes += record.size();
            ring.records.push_back(record);
            while ring.bytes > RING_CAPACITY_BYTES {
                let Some(oldest) = ring.records.pop_front() else { break };
                ring.bytes -= oldest.size();
                ring.floor = oldest.cursor;
            }
        }
        self.newest.send_replace(cursor);
    }

    /// Changes with every new record; the value is the newest cursor.
    pub fn wakeups(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Completes when [`Bus::end`] was called.
    pub fn ended(&self) -> impl Future<Output = ()> {
        self.ended.clone().cancelled_owned()
    }

    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// The number of records in the ring, and roughly their bytes.
    pub fn size(&self) -> (usize, usize) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.records.len(), ring.bytes)
    }

    /// The next records after the cursor, at most one chunk; `None` when they have left the ring.
    pub fn after(&self, cursor: u64) -> Option<Vec<Arc<Record>>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor < ring.floor {
            return None;
        }
        let start = ring.records.partition_point(|record| record.cursor <= cursor);
        let mut bytes = 0;
        Some(
            ring.records
                .range(start..)
                .take_while(|record| {
                    let first = bytes == 0;
                    bytes += record.size();
                    first || bytes <= MAX_CHUNK_BYTES
                })
                .cloned()
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Scope;

    #[test]
    fn a_read_returns_the_records_after_any_cursor() {
        for count in 0..70u64 {
            let bus = Bus::new(0);
            for number in 1..=count {
                let (kind, properties) = ("session.idle".to_owned(), "{}".to_owned());
                bus.publish(Arc::new(Record { cursor: number * 2, kind, scope: Scope::default(), properties, time: 0 }));
            }
            for cursor in 0..=2 * count + 1 {
                let found: Vec<u64> = bus.after(cursor).unwrap().iter().map(|record| record.cursor).collect();
                let expected: Vec<u64> = (1..=count).map(|number| number * 2).filter(|other| *other > cursor).collect();
                assert_eq!(found, expected, "{cursor} of {count}");
            }
        }
    }
}
