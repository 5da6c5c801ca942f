//! What is kept for a time only: the event log, archived sessions, and what sessions have outside of the database. It is
//! removed in small transactions, with a rest for other writers after each.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use polytree_protocol::{
    events::{EventPayload, SessionInfo},
    id::SessionId,
    permission::PermissionOutcome,
};

use crate::{
    stdx::{
        retention::{self, Clock, Item, Limit, Total},
        time::Moment,
    },
    store::{
        Error, Rows, Scope, Store,
        rows::{Needed, RetainedSession},
    },
};

/// The pages that a transaction takes from the end of the database: a megabyte.
const STEP_PAGES: u32 = 256;
/// After a transaction, other writers have this many times as long.
const REST: u32 = 3;
/// The shortest and the longest rest.
const RESTS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

impl Store {
    /// Ages everything by the time since `last`, the previous call of this process. Returns the newest cursor of the events
    /// over the largest age, and the clock for other things.
    pub async fn age(&self, last: Option<Moment>, now: Moment, max_age: i64) -> Result<(u64, Clock), Error> {
        self.write(move |transaction| {
            let old = transaction.rows.age_events(last, now, max_age)?;
            Ok((old, transaction.rows.clock(now.wall_ms())?))
        })
        .await
    }

    /// The clock by which other things than events age.
    pub async fn clock(&self, now: i64) -> Result<Clock, Error> {
        self.read(move |rows| rows.clock(now)).await
    }

    /// How many events are not after `old` or exceed the size.
    pub async fn events_over(&self, old: u64, max_bytes: Option<u64>) -> Result<Total, Error> {
        self.read(move |rows| rows.events_over(old, max_bytes)).await
    }

    /// Removes these events, the oldest first.
    pub async fn trim_events(&self, old: u64, max_bytes: Option<u64>) -> Result<Total, Error> {
        let mut removed = Total::default();
        loop {
            let began = Instant::now();
            let step = self.write(move |transaction| transaction.rows.trim_events(old, max_bytes)).await?;
            if step.count == 0 {
                return Ok(removed);
            }
            (removed.count, removed.bytes) = (removed.count + step.count, removed.bytes + step.bytes);
            self.rest(began.elapsed()).await;
        }
    }

    /// What sessions need of what is kept outside of the database.
    pub async fn needed(&self) -> Result<Needed, Error> {
        self.read(|rows| rows.needed()).await
    }

    /// The archived sessions with their sizes, and those over the limits, children before their parents. A session goes only
    /// if all its descendants do.
    pub async fn archived(&self, limit: Limit, clock: Clock) -> Result<(Total, Vec<Item<SessionId>>), Error> {
        let sessions = archived(&self.read(|rows| rows.retained(None)).await?);
        let mut items = Vec::with_capacity(sessions.len());
        // One read for each, so that other reads come in between.
        for mut session in sessions {
            let id = session.what.clone();
            session.bytes = self.read(move |rows| rows.messages_size(&id, None, None)).await?;
            items.push(session);
        }
        Ok((Total::of(&items), retention::over(items, limit, &clock)))
    }

    /// Deletes a session if it is archived, has no children, and nothing needs it.
    pub async fn remove_archived(&self, id: SessionId) -> Result<bool, Error> {
        loop {
            let (began, of) = (Instant::now(), id.clone());
            let removed = self.write(move |transaction| {
                let rows = &mut *transaction.rows;
                if is_removable(rows, &of)? { Ok(Some(rows.remove_events(&of)?)) } else { Ok(None) }
            });
            match removed.await? {
                None => return Ok(false),
                Some(0) => break,
                Some(_) => self.rest(began.elapsed()).await,
            }
        }
        let began = Instant::now();
        let removed = self.write(move |transaction| {
            let session = if is_removable(transaction.rows, &id)? { transaction.rows.session(&id)? } else { None };
            let Some(session) = session else { return Ok(false) };
            transaction.withdraw(&id, PermissionOutcome::Expired, |_| true)?;
            transaction.rows.hide_session(&id)?;
            transaction.emit(&Scope::of(&session), &EventPayload::SessionDeleted(SessionInfo { info: session }))?;
            Ok(true)
        });
        let removed = removed.await?;
        self.rest(began.elapsed()).await;
        self.purge().await?;
        Ok(removed)
    }

    /// Deletes what is left of sessions that were deleted.
    pub async fn purge(&self) -> Result<(), Error> {
        loop {
            let began = Instant::now();
            if !self.write(|transaction| transaction.rows.purge()).await? {
                return Ok(());
            }
            self.rest(began.elapsed()).await;
        }
    }

    /// The bytes of the free pages of the database, and of all its pages.
    pub async fn space(&self) -> Result<(u64, u64), Error> {
        self.read(|rows| rows.space()).await
    }

    /// Gives free pages back to the file system, if there are more than `most` among all pages (in percent).
    pub async fn free_pages(&self, most: u64) -> Result<(), Error> {
        let (free, all) = self.space().await?;
        if free * 100 <= all * most {
            return Ok(());
        }
        let mut before = free;
        while before > 0 {
            let began = Instant::now();
            let left = self.write(|transaction| {
                transaction.rows.free_pages(STEP_PAGES)?;
                Ok(transaction.rows.space()?.0)
            });
            let left = left.await?;
            if left >= before {
                // A store that was made by an early version cannot shrink.
                return Ok(());
            }
            before = left;
            self.rest(began.elapsed()).await;
        }
        self.database().checkpoint().await;
        Ok(())
    }

    /// Leaves time for others after a transaction that took so long, and until nothing waits for the writer.
    async fn rest(&self, took: Duration) {
        let (least, longest) = RESTS;
        let mut rest = (took * REST).clamp(least, longest);
        loop {
            tokio::time::sleep(rest).await;
            if self.state().0.waiting == 0 || rest >= longest {
                return;
            }
            rest *= 2;
        }
    }
}

/// Whether a session is archived, has no children, and nothing needs it.
fn is_removable(rows: &dyn Rows, id: &SessionId) -> Result<bool, Error> {
    let found = rows.retained(Some(id))?;
    let has_children = found.iter().any(|other| other.parent_id.as_ref() == Some(id));
    Ok(!has_children && found.iter().any(|other| other.id == *id && other.archived.is_some() && !other.is_needed))
}

/// The archived sessions, with those that must stay marked. The age of a session is that of its youngest descendant; of the
/// same age, children come before their parents.
fn archived(sessions: &[RetainedSession]) -> Vec<Item<SessionId>> {
    let by_id: HashMap<&SessionId, &RetainedSession> = sessions.iter().map(|session| (&session.id, session)).collect();
    let mut items: Vec<(usize, Item<SessionId>)> = Vec::new();
    let mut places: HashMap<&SessionId, usize> = HashMap::new();
    for session in sessions {
        let Some(archived) = session.archived else { continue };
        places.insert(&session.id, items.len());
        items.push((0, Item { what: session.id.clone(), bytes: 0, used: archived, is_needed: session.is_needed }));
    }
    for session in sessions {
        let (mut current, mut depth) = (session, 0);
        while let Some(parent) = current.parent_id.as_ref().and_then(|parent| by_id.get(parent)) {
            depth += 1;
            if let Some(place) = places.get(&parent.id) {
                let item = &mut items[*place].1;
                item.used = item.used.max(session.archived.unwrap_or(i64::MAX));
                item.is_needed |= session.is_needed || session.archived.is_none();
            }
            current = parent;
        }
        if let Some(place) = places.get(&session.id) {
            items[*place].0 = depth;
        }
    }
    items.sort_by_key(|(depth, _)| Reverse(*depth));
    items.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use polytree_protocol::session::{Session, SessionScope};
    use serde_json::json;

    use super::*;
    use crate::store::{Durability, Place, SessionQuery};

    #[test]
    fn a_session_goes_only_with_all_its_descendants() {
        let id = |number: u32| SessionId::parse(&format!("ses_{number:026}")).unwrap();
        let session = |number, parent: Option<u32>, archived, is_needed| RetainedSession {
            id: id(number),
            parent_id: parent.map(id),
            archived,
            is_needed,
        };
        let sessions = [
            session(1, None, Some(10), false),
            session(2, Some(1), Some(30), false),
            session(3, Some(2), Some(20), false),
            session(4, None, Some(10), false),
            session(5, Some(4), None, false),
            session(6, None, None, false),
            session(7, Some(6), Some(5), true),
            session(8, None, Some(10), false),
            session(9, Some(8), Some(10), false),
        ];
        let limit = Limit { age: Some(1), bytes: None };
        let gone = |now| {
            let over = retention::over(archived(&sessions), limit, &Clock { now, pauses: Vec::new() });
            over.into_iter().map(|item| item.what).collect::<Vec<_>>()
        };
        assert_eq!(gone(12), [id(9), id(8)]);
        assert_eq!(gone(22), [id(9), id(8), id(3)]);
        assert_eq!(gone(1000), [id(9), id(8), id(3), id(2), id(1)], "not those that are in use, and not archived ones of others");
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store.db"), Durability::Process).unwrap();
        (directory, store)
    }

    async fn session(store: &Store, number: u32, parent: Option<u32>, archived: Option<i64>) -> SessionId {
        let id = |number: u32| format!("ses_{number:026}");
        let tokens = json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
        let mut session = json!({ "id": id(number), "projectID": "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV", "directory": "/w", "missing": false,
            "title": "", "version": "1", "cost": 0.0, "tokens": tokens, "time": { "created": 1, "updated": 1 } });
        if let Some(parent) = parent {
            session["parentID"] = id(parent).into();
        }
        if let Some(archived) = archived {
            session["time"]["archived"] = archived.into();
        }
        let session: Session = serde_json::from_value(session).unwrap();
        store.create_session(session.clone(), Place { checkout_id: 1, path: String::new() }, String::new(), false).await.unwrap();
        session.id
    }

    #[tokio::test]
    async fn archived_sessions_go_by_age_unless_something_needs_them() {
        const DAY: i64 = 24 * 3600 * 1000;
        let (_directory, store) = store();
        let ids = [
            session(&store, 1, None, Some(0)).await,
            session(&store, 2, Some(1), Some(5 * DAY)).await,
            session(&store, 3, None, None).await,
            session(&store, 4, None, Some(0)).await,
            session(&store, 5, None, Some(0)).await,
        ];
        // The fourth one has a turn, the fifth an undo that can be taken back.
        store.database().execute(format!("INSERT INTO turn VALUES ('{}', 'msg_x')", ids[3])).await.unwrap();
        let revert = r#"{"messageID":"msg_01ARZ3NDEKTSV4RRFFQ69G5FAV","snapshot":"abc"}"#;
        let undone = format!("UPDATE session SET data = json_set(data, '$.revert', json('{revert}')) WHERE id = '{}'", ids[4]);
        store.database().execute(undone).await.unwrap();
        let over = async |days: i64| {
            let clock = Clock { now: days * DAY, pauses: Vec::new() };
            let (all, over) = store.archived(Limit::new(10, 0), clock).await.unwrap();
            assert_eq!(all.count, 4);
            over.into_iter().map(|item| item.what).collect::<Vec<_>>()
        };
        assert_eq!(over(10).await, []);
        assert_eq!(over(11).await, [], "a child was archived later");
        assert_eq!(over(16).await, [ids[1].clone(), ids[0].clone()]);
        let expected = Needed { changes: HashSet::from(["abc".to_owned()]), outputs: HashSet::new() };
        assert_eq!(store.needed().await.unwrap(), expected);
        let mut removed = Vec::new();
        // The parent goes only after its child.
        for place in [0, 2, 3, 4, 1, 0] {
            removed.push(store.remove_archived(ids[place].clone()).await.unwrap());
        }
        assert_eq!(removed, [false, false, false, false, true, true]);
        let query = || SessionQuery {
            scope: SessionScope::All,
            project_id: None,
            directory: None,
            search: None,
            roots: false,
            archived: None,
            text: None,
            hidden: false,
            limit: 10,
            before: None,
        };
        let listed = async || store.sessions(query()).await.unwrap().unwrap().into_iter().map(|session| session.id).collect::<HashSet<_>>();
        assert_eq!(listed().await, ids[2..].iter().cloned().collect());
        // A kill between two steps leaves hidden messages, which are in no list and go the next time.
        let message = format!("INSERT INTO message (id, session_id, data) SELECT 'm' || value, '{}', '' FROM json_each('[1,2,3]')", ids[2]);
        store.database().execute(message).await.unwrap();
        let hidden = ids[2].clone();
        store.write(move |transaction| transaction.rows.hide_session(&hidden)).await.unwrap();
        assert_eq!((listed().await, store.counts().await.unwrap().messages), (ids[3..].iter().cloned().collect(), 3));
        store.purge().await.unwrap();
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.sessions, counts.messages), (2, 0));
    }

    #[tokio::test]
    async fn events_go_in_small_steps_and_only_those_over_the_limits() {
        let (_directory, store) = store();
        let event = |bytes: u64, count: u64| {
            format!(
                "INSERT INTO event (time, type, total, properties) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 SELECT 1, 'x', (SELECT coalesce(max(total), 0) FROM event) + i * {bytes}, printf('%.*c', {bytes}, 'x') FROM n"
            )
        };
        store.database().execute(event(10, 2500)).await.unwrap();
        store.database().execute(event(300_000, 8)).await.unwrap();
        store.database().execute(event(100, 10)).await.unwrap();
        let over = store.events_over(0, Some(2000)).await.unwrap();
        assert_eq!(over, Total { count: 2508, bytes: 25_000 + 8 * 300_000 });
        let mut steps = Vec::new();
        loop {
            let step = store.write(|transaction| transaction.rows.trim_events(0, Some(2000))).await.unwrap();
            if step.count == 0 {
                break;
            }
            steps.push(step.count);
        }
        assert_eq!(steps, [1000, 1000, 504, 4], "at most a thousand, and about a megabyte");
        let extent = store.read(|rows| rows.log_extent()).await.unwrap();
        assert_eq!((extent.oldest, store.events_over(0, Some(2000)).await.unwrap()), (2508, Total::default()));
        assert_eq!(store.trim_events(2510, None).await.unwrap(), Total { count: 2, bytes: 200 }, "by age");
        assert_eq!(store.trim_events(0, Some(0)).await.unwrap().count, 8);
    }

    #[tokio::test]
    async fn a_store_gives_free_pages_back() {
        let (directory, store) = store();
        let size = || std::fs::metadata(directory.path().join("store.db")).unwrap().len();
        let fill = "INSERT INTO meta SELECT value, printf('%.*c', 50000, 'x') FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]')";
        store.database().execute(fill.to_owned()).await.unwrap();
        store.database().checkpoint().await;
        let full = size();
        assert!(full > 1_400_000, "{full}");
        store.database().execute("DELETE FROM meta WHERE key > 10".to_owned()).await.unwrap();
        store.free_pages(90).await.unwrap();
        assert_eq!(size(), full, "too little is free");
        let free = async || store.space().await.unwrap().0;
        let before = free().await;
        store.write(|transaction| transaction.rows.free_pages(64)).await.unwrap();
        assert_eq!(free().await, before - 64 * 4096, "a step is as long as it is asked for");
        store.free_pages(25).await.unwrap();
        assert!(size() < full / 2, "{}", size());
        assert_eq!(free().await, 0);
    }
}
