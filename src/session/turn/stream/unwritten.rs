//! The changes of an answer that are not committed yet. The store's writer takes all of them when it is free, so that one
//! commit holds everything that has arrived. The turn is woken when a commit fails, not for each one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polytree_protocol::{events::PartDelta, id::MessageId};
use tokio::sync::Notify;

use super::fold::Change;
use crate::store::{Error, Scope, Store, Unit};

/// Above this much unwritten text the stream waits for the store (back-pressure), in bytes.
const CAPACITY: usize = 256 * 1024;
/// What a change without text counts.
const CHANGE_BYTES: usize = 200;

/// How soon the store should take the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Not,
    Delta,
    Now,
}

struct Gathered {
    changes: Vec<Change>,
    /// What was requested of the store since it last took the changes.
    asked: Asked,
    /// Writes that are queued or being committed.
    under_way: usize,
    failure: Option<Error>,
    /// The stream waits for a commit.
    is_awaited: bool,
}

struct Shared {
    // Held to add a change, to take them all, or to note an end; never across an await.
    gathered: Mutex<Gathered>,
    failed: Notify,
    /// A write has ended, and that is awaited.
    ended: Notify,
}

impl Shared {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write in progress. It ends when this is dropped, also by a closed store.
struct UnderWay {
    shared: Arc<Shared>,
    result: Result<(), Error>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut gathered = self.shared.gathered();
        gathered.under_way -= 1;
        let failure = std::mem::replace(&mut self.result, Ok(())).err();
        let has_failed = failure.is_some();
        gathered.failure = gathered.failure.take().or(failure);
        let is_awaited = std::mem::take(&mut gathered.is_awaited);
        drop(gathered);
        if has_failed {
            self.shared.failed.notify_one();
        }
        if is_awaited {
            self.shared.ended.notify_one();
        }
    }
}

/// The changes of one answer on their way to the store.
pub(super) struct Unwritten<'a> {
    store: &'a Store,
    scope: &'a Scope,
    message: &'a MessageId,
    shared: Arc<Shared>,
}

impl<'a> Unwritten<'a> {
    pub fn new(store: &'a Store, scope: &'a Scope, message: &'a MessageId) -> Self {
        let gathered = Gathered { changes: Vec::new(), asked: Asked::Not, under_way: 0, failure: None, is_awaited: false };
        let shared = Arc::new(Shared { gathered: Mutex::new(gathered), failed: Notify::new(), ended: Notify::new() });
        Self { store, scope, message, shared }
    }

    /// Adds what `change` pushes; returns whether the buffer is full. Deltas alone may wait for further ones; all else is
    /// committed at once, with everything before it. Fails if an earlier write has failed.
    pub fn add(&self, change: impl FnOnce(&mut Vec<Change>)) -> Result<bool, Error> {
        let mut gathered = self.shared.gathered();
        if let Some(error) = gathered.failure.take() {
            return Err(error);
        }
        change(&mut gathered.changes);
        let is_full = gathered.is_full();
        let wanted = match gathered.changes.as_slice() {
            [] => Asked::Not,
            changes if is_full || changes.iter().any(|change| !matches!(change, Change::Append { .. })) => Asked::Now,
            _ => Asked::Delta,
        };
        if wanted > gathered.asked {
            gathered.asked = wanted;
            gathered.under_way += 1;
            drop(gathered);
            self.write(wanted);
        }
        Ok(is_full)
    }

    /// Waits until a write fails. Cancel-safe.
    pub async fn failure(&self) -> Error {
        loop {
            if let Some(error) = self.shared.gathered().failure.take() {
                return error;
            }
            self.shared.failed.notified().await;
        }
    }

    /// Waits until more can be added. Cancel-safe.
    pub async fn room(&self) -> Result<(), Error> {
        self.until(|gathered| !gathered.is_full()).await
    }

    /// Waits until everything is committed.
    pub async fn written(&self) -> Result<(), Error> {
        self.until(|gathered| gathered.under_way == 0).await
    }

    async fn until(&self, is_so: impl Fn(&Gathered) -> bool) -> Result<(), Error> {
        loop {
            {
                let mut gathered = self.shared.gathered();
                if let Some(error) = gathered.failure.take() {
                    return Err(error);
                }
                if is_so(&gathered) {
                    return Ok(());
                }
                gathered.is_awaited = true;
            }
            self.shared.ended.notified().await;
        }
    }

    fn write(&self, asked: Asked) {
        let (shared, scope, message) = (Arc::clone(&self.shared), self.scope.clone(), self.message.clone());
        let gather = move || {
            let changes = {
                let mut gathered = shared.gathered();
                gathered.asked = Asked::Not;
                std::mem::take(&mut gathered.changes)
            };
            unit(&scope, &message, changes)
        };
        let mut under_way = UnderWay { shared: Arc::clone(&self.shared), result: Err(Error::Closed) };
        let done = move |result| {
            under_way.result = result;
            drop(under_way);
        };
        self.store.commit_later(asked != Asked::Now, gather, done);
    }
}

impl Gathered {
    fn is_full(&self) -> bool {
        let size = |change: &Change| if let Change::Append { text, .. } = change { text.len() } else { CHANGE_BYTES };
        self.changes.iter().map(size).sum::<usize>() >= CAPACITY
    }
}

/// A longer text would be sent as a reference, which clients cannot append.
const MAX_DELTA: usize = 32 * 1024;

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(MAX_DELTA));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The changes as a unit of facts and events.
fn unit(scope: &Scope, message_id: &MessageId, changes: Vec<Change>) -> Unit {
    let session_id = scope.session_id.clone().unwrap_or_default();
    changes.into_iter().fold(Unit::new(scope), |unit, change| match change {
        Change::Put(part) => unit.part(part),
        Change::End { part, bytes } => unit.ended_part(part, bytes),
        Change::Append { id, field, text } => pieces(&text).fold(unit, |unit, piece| {
            unit.delta(PartDelta {
                session_id: session_id.clone(),
                message_id: message_id.clone(),
                part_id: id.clone(),
                field: field.into(),
                delta: piece.to_owned(),
            })
        }),
    })
}

#[cfg(test)]
mod tests {
    use polytree_protocol::{
        id::{PartId, SessionId},
        part::{Part, TextPart},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Events, Filter},
        stdx::ids,
        store::Durability,
    };

    struct House {
        _directory: tempfile::TempDir,
        store: Arc<Store>,
        events: Arc<Events>,
        scope: Scope,
        message: MessageId,
        part: PartId,
    }

    impl House {
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(&directory.path().join("store.db"), Durability::Process).unwrap());
            let events = Events::open(Arc::clone(&store));
            let (session_id, message, part) =
                (SessionId::from_ulid(ids::next()), MessageId::from_ulid(ids::next()), PartId::from_ulid(ids::next()));
            let rows = format!(
                "INSERT INTO session (id, project_id, checkout_id, path, updated, created_with, data) VALUES ('{session_id}', '', 0, '', 0, '', '');
                 INSERT INTO message (id, session_id, data) VALUES ('{message}', '{session_id}', '');"
            );
            store.execute(&rows).await.unwrap();
            let scope = Scope { session_id: Some(session_id), ..Scope::default() };
            Self { _directory: directory, store, events, scope, message, part }
        }

        fn put(&self, text: &str) -> Change {
            let (id, session_id, message_id) = (self.part.clone(), self.scope.session_id.clone().unwrap(), self.message.clone());
            let text = text.to_owned();
            Change::Put(Part::Text(TextPart { id, session_id, message_id, text, synthetic: false, time: None, metadata: None }))
        }

        fn append(&self, text: &str) -> Change {
            Change::Append { id: self.part.clone(), field: "text", text: text.to_owned() }
        }

        async fn told(&self) -> Vec<String> {
            let page = self.events.list(0, 1000, Filter::default()).await.unwrap();
            let texts = page.records.iter().map(|record| {
                let properties: serde_json::Value = serde_json::from_str(&record.properties).unwrap();
                let text = &properties.pointer("/part/text").unwrap_or(&properties["delta"]);
                format!("{} {}", record.kind, text.as_str().unwrap())
            });
            texts.collect()
        }
    }

    #[tokio::test]
    async fn what_comes_until_the_store_is_free_is_written_together_and_in_order() {
        let house = House::new().await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let mut hold = Box::pin(house.store.hold(true, held));
        assert!(futures::poll!(&mut hold).is_pending());
        let unwritten = Unwritten::new(&house.store, &house.scope, &house.message);
        unwritten.add(|changes| changes.extend([house.put(""), house.append("a")])).unwrap();
        unwritten.add(|changes| changes.push(house.append("b"))).unwrap();
        assert_eq!(unwritten.shared.gathered().under_way, 1, "the first write takes all of it");
        unwritten.add(|changes| changes.push(house.put("ab"))).unwrap();
        release.send(()).unwrap();
        unwritten.written().await.unwrap();
        hold.await.unwrap();
        assert_eq!(house.told().await, ["message.part.updated ", "message.part.delta ab", "message.part.updated ab"]);
    }

    #[tokio::test]
    async fn every_delta_is_written_whether_or_not_one_before_it_is_done() {
        let house = House::new().await;
        let unwritten = Unwritten::new(&house.store, &house.scope, &house.message);
        unwritten.add(|changes| changes.push(house.put(""))).unwrap();
        let mut expected = String::new();
        for number in 0..100 {
            let text = format!("{number} ");
            unwritten.add(|changes| changes.push(house.append(&text))).unwrap();
            expected.push_str(&text);
            if number % 10 == 0 {
                unwritten.written().await.unwrap();
            }
        }
        unwritten.written().await.unwrap();
        assert_eq!(house.told().await, ["message.part.updated ".to_owned(), format!("message.part.delta {expected}")]);
    }

    #[tokio::test]
    async fn more_than_enough_is_written_at_once_and_a_failure_is_told_at_once() {
        let house = House::new().await;
        let unwritten = Unwritten::new(&house.store, &house.scope, &house.message);
        let is_full = unwritten.add(|changes| changes.extend([house.put(""), house.append(&"x".repeat(CAPACITY))])).unwrap();
        assert!(is_full);
        unwritten.room().await.unwrap();
        assert!(!unwritten.add(|changes| changes.push(house.append("y"))).unwrap());
        unwritten.written().await.unwrap();
        // Told without being asked, of a commit and of a closed store.
        let nowhere = Change::Append { id: PartId::from_ulid(ids::next()), field: "text", text: "z".to_owned() };
        unwritten.add(|changes| changes.push(nowhere)).unwrap();
        assert!(matches!(unwritten.failure().await, Error::Engine { .. }));
        house.store.close();
        unwritten.add(|changes| changes.push(house.append("late"))).unwrap();
        assert!(matches!(unwritten.failure().await, Error::Closed));
        unwritten.written().await.unwrap();
    }

    proptest! {
        #[test]
        fn pieces_are_short_and_make_the_whole(length in 0..100_000usize, wide: bool) {
            let text = if wide { "\u{20ac}" } else { "x" }.repeat(length);
            prop_assert!(pieces(&text).all(|piece| piece.len() <= MAX_DELTA));
            prop_assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }
}
