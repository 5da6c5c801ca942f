//! What an answer has changed and the store has not taken yet. The writer takes all of it when it comes to it, so that a
//! commit holds what came until that moment; and nobody is woken to hear that a commit held: who adds looks then.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt as _;
use polytree_protocol::id::MessageId;

use super::{announce::Voice, fold::Change};
use crate::storage::{Database, Error, Write};

/// Above this much unwritten text the stream waits for the store, in bytes.
const MOST: usize = 256 * 1024;
/// What a change counts that is no text.
const CHANGE: usize = 200;

type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// How soon the store shall take what is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Not,
    /// When it takes deltas.
    Delta,
    /// At once.
    Now,
}

struct Gathered {
    changes: Vec<Change>,
    /// What the store was asked since it last took something.
    asked: Asked,
}

/// The changes of one answer on their way to the store.
pub(super) struct Unwritten<'a> {
    database: &'a Database,
    voice: &'a Voice,
    message: &'a MessageId,
    // Held to add a change or to take them all, never across an await.
    gathered: Arc<Mutex<Gathered>>,
    /// Oldest first: one that is being committed, and one that waits for it.
    writings: VecDeque<Writing<'a>>,
}

impl<'a> Unwritten<'a> {
    /// Nothing yet.
    pub fn new(database: &'a Database, voice: &'a Voice, message: &'a MessageId) -> Self {
        let gathered = Arc::new(Mutex::new(Gathered { changes: Vec::new(), asked: Asked::Not }));
        Self { database, voice, message, gathered, writings: VecDeque::new() }
    }

    /// Adds what `change` pushes. Deltas alone may wait for company; all else is committed at once, and what came before
    /// it with it. Fails where an earlier write has failed.
    pub fn add(&mut self, change: impl FnOnce(&mut Vec<Change>)) -> Result<(), Error> {
        let wanted = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut gathered.changes);
            let wanted = match gathered.changes.as_slice() {
                [] => Asked::Not,
                changes if is_full(changes) || changes.iter().any(|change| !matches!(change, Change::Append { .. })) => Asked::Now,
                _ => Asked::Delta,
            };
            let asked = gathered.asked;
            gathered.asked = asked.max(wanted);
            if wanted > asked { wanted } else { Asked::Not }
        };
        if wanted != Asked::Not {
            self.write(wanted);
        }
        self.look()
    }

    /// Whether so much waits that no more should be added.
    pub fn is_full(&self) -> bool {
        is_full(&self.gathered.lock().unwrap_or_else(PoisonError::into_inner).changes)
    }

    /// Waits until the oldest write under way is committed. Cancel-safe.
    pub async fn next(&mut self) -> Result<(), Error> {
        let Some(writing) = self.writings.front_mut() else { return Ok(()) };
        let written = writing.await;
        self.writings.pop_front();
        written
    }

    /// Waits until everything is committed.
    pub async fn finish(mut self) -> Result<(), Error> {
        while !self.writings.is_empty() {
            self.next().await?;
        }
        Ok(())
    }

    fn write(&mut self, asked: Asked) {
        let (gathered, voice, message) = (Arc::clone(&self.gathered), self.voice.clone(), self.message.clone());
        let job = move |write: &mut Write<'_>| {
            let changes = {
                let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                gathered.asked = Asked::Not;
                std::mem::take(&mut gathered.changes)
            };
            voice.changes(write, &message, changes)
        };
        let writing: Writing<'a> = match asked {
            Asked::Now => Box::pin(self.database.write(job)),
            _ => Box::pin(self.database.write_delta(job)),
        };
        self.writings.push_back(writing);
    }

    /// Forgets the writes that are done. Looking at one for the first time is what queues it.
    fn look(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        self.writings.retain_mut(|writing| match writing.now_or_never() {
            None => true,
            Some(written) => {
                result = std::mem::replace(&mut result, Ok(())).and(written);
                false
            }
        });
        result
    }
}

fn is_full(changes: &[Change]) -> bool {
    let size = |change: &Change| if let Change::Append { text, .. } = change { text.len() } else { CHANGE };
    changes.iter().map(size).sum::<usize>() >= MOST
}

#[cfg(test)]
mod tests {
    use polytree_protocol::{
        id::{PartId, SessionId},
        part::{Part, TextPart},
    };

    use super::*;
    use crate::{
        event::{Events, Filter, Scope},
        stdx::ids,
        storage::Durability,
    };

    struct House {
        _directory: tempfile::TempDir,
        database: Arc<Database>,
        voice: Voice,
        message: MessageId,
        part: PartId,
    }

    impl House {
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let database = Arc::new(Database::open(&directory.path().join("store.db"), Durability::Process).unwrap());
            let events = Events::open(Arc::clone(&database)).await.unwrap();
            let (session_id, message, part) =
                (SessionId::from_ulid(ids::next()), MessageId::from_ulid(ids::next()), PartId::from_ulid(ids::next()));
            let rows = format!(
                "INSERT INTO session (id, project_id, checkout_id, path, updated, created_with, data) VALUES ('{session_id}', '', 0, '', 0, '', '');
                 INSERT INTO message (id, session_id, data) VALUES ('{message}', '{session_id}', '');"
            );
            database.write::<_, Error>(move |write| Ok(write.execute_batch(&rows)?)).await.unwrap();
            let voice = Voice { events, session_id, scope: Scope::default() };
            Self { _directory: directory, database, voice, message, part }
        }

        fn put(&self, text: &str) -> Change {
            let (id, session_id, message_id) = (self.part.clone(), self.voice.session_id.clone(), self.message.clone());
            let text = text.to_owned();
            Change::Put(Part::Text(TextPart { id, session_id, message_id, text, synthetic: false, time: None, metadata: None }))
        }

        fn append(&self, text: &str) -> Change {
            Change::Append { id: self.part.clone(), text: text.to_owned() }
        }

        async fn told(&self) -> Vec<String> {
            let page = self.voice.events.list(0, 1000, Filter::default()).await.unwrap();
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
        let mut hold = Box::pin(house.database.write::<_, Error>(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        assert!(futures::poll!(&mut hold).is_pending());
        let mut unwritten = Unwritten::new(&house.database, &house.voice, &house.message);
        unwritten.add(|changes| changes.extend([house.put(""), house.append("a")])).unwrap();
        unwritten.add(|changes| changes.push(house.append("b"))).unwrap();
        assert_eq!(unwritten.writings.len(), 1, "the first write takes all of it");
        unwritten.add(|changes| changes.push(house.put("ab"))).unwrap();
        release.send(()).unwrap();
        unwritten.finish().await.unwrap();
        hold.await.unwrap();
        assert_eq!(house.told().await, ["message.part.updated ", "message.part.delta ab", "message.part.updated ab"]);
    }

    #[tokio::test]
    async fn every_delta_is_written_whether_or_not_one_before_it_is_done() {
        let house = House::new().await;
        let mut unwritten = Unwritten::new(&house.database, &house.voice, &house.message);
        unwritten.add(|changes| changes.push(house.put(""))).unwrap();
        let mut expected = String::new();
        for number in 0..100 {
            let text = format!("{number} ");
            unwritten.add(|changes| changes.push(house.append(&text))).unwrap();
            expected.push_str(&text);
            if number % 10 == 0 {
                unwritten.next().await.unwrap();
            }
        }
        unwritten.finish().await.unwrap();
        assert_eq!(house.told().await, ["message.part.updated ".to_owned(), format!("message.part.delta {expected}")]);
    }

    #[tokio::test]
    async fn more_than_enough_is_written_at_once_and_a_failure_is_told_to_who_adds_next() {
        let house = House::new().await;
        let mut unwritten = Unwritten::new(&house.database, &house.voice, &house.message);
        unwritten.add(|changes| changes.extend([house.put(""), house.append(&"x".repeat(MOST))])).unwrap();
        while unwritten.is_full() {
            unwritten.next().await.unwrap();
        }
        house.database.close();
        let failed = unwritten.add(|changes| changes.push(house.append("late"))).and(unwritten.finish().await);
        assert!(matches!(failed, Err(Error::Closed)), "{failed:?}");
    }
}
