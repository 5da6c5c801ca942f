//! Nothing lost, nothing twice, in order: also over a restart and for slow readers.

use std::sync::Arc;

use polytree_protocol::{
    events::{EventPayload, PartDelta, SessionOnly},
    id::{MessageId, PartId, SessionId},
};
use serde_json::Value;
use ulid::Ulid;

use crate::{
    event::{Error, Events, Filter},
    store::{Durability, Scope, Store, Unit},
};

fn store(directory: &tempfile::TempDir) -> Arc<Store> {
    Arc::new(Store::open(&directory.path().join("store.db"), Durability::Process).unwrap())
}

fn session(number: u128) -> SessionId {
    SessionId::from_ulid(Ulid::from(number))
}

async fn emit(store: &Store, events: &Events, session: &SessionId, size: usize) -> u64 {
    let scope = Scope { directory: Some("/work/a".into()), session_id: Some(session.clone()), ..Scope::default() };
    let payload = match size {
        0 => EventPayload::SessionIdle(SessionOnly { session_id: session.clone() }),
        _ => EventPayload::MessagePartDelta(PartDelta {
            session_id: session.clone(),
            message_id: MessageId::default(),
            part_id: PartId::default(),
            field: "text".into(),
            delta: "x".repeat(size),
        }),
    };
    store.commit(Unit::new(&scope).event(payload)).await.unwrap();
    events.newest()
}

fn cursors(events: &[Box<serde_json::value::RawValue>]) -> Vec<u64> {
    events.iter().map(|event| serde_json::from_str::<Value>(event.get()).unwrap()["cursor"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn no_event_is_lost_or_repeated_between_log_and_live_events_or_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut sent = Vec::new();
    {
        let store = store(&directory);
        let events = Events::open(Arc::clone(&store));
        for _ in 0..10 {
            sent.push(emit(&store, &events, &session(1), 0).await);
        }
    }
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let mut follower = events.follow(Some(sent[3]), Filter::default()).await.unwrap();
    let mut seen = cursors(&follower.next().await.unwrap());
    for _ in 0..5 {
        sent.push(emit(&store, &events, &session(1), 0).await);
        seen.extend(cursors(&follower.next().await.unwrap()));
    }
    assert!(sent.is_sorted());
    assert_eq!(seen, sent[4..]);
    assert_eq!(follower.position(), *sent.last().unwrap());
}

#[tokio::test]
async fn a_slow_reader_falls_back_to_the_log_and_gets_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let mut follower = events.follow(None, Filter::default()).await.unwrap();
    let mut last = 0;
    // Three times what the ring holds.
    for _ in 0..300 {
        last = emit(&store, &events, &session(1), 10_000).await;
    }
    let (mut bytes, mut count, mut previous) = (0, 0, 0);
    while follower.position() < last {
        for event in follower.next().await.unwrap() {
            let event: Value = serde_json::from_str(event.get()).unwrap();
            bytes += event["properties"]["delta"].as_str().unwrap().len();
            assert!(event["cursor"].as_u64().unwrap() > previous);
            previous = event["cursor"].as_u64().unwrap();
            count += 1;
        }
    }
    assert_eq!(bytes, 3_000_000);
    assert!(count < 300, "adjacent deltas were merged");
    assert_eq!(previous, last);
}

#[tokio::test]
async fn the_position_advances_past_filtered_events() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let wanted = Filter {
        session_id: Some(session(2)),
        directory: Some("/work".into()),
        types: Some(vec!["session.idle".into()]),
        ..Filter::default()
    };
    let elsewhere = Filter { directory: Some("/work/ab".into()), ..Filter::default() };
    let mut follower = events.follow(None, wanted).await.unwrap();
    emit(&store, &events, &session(1), 0).await;
    emit(&store, &events, &session(2), 5).await;
    let hit = emit(&store, &events, &session(2), 0).await;
    assert_eq!(cursors(&follower.next().await.unwrap()), [hit]);
    let page = events.list(0, 10, elsewhere).await.unwrap();
    assert!(page.records.is_empty());
    assert_eq!(page.cursor, hit);
}

#[tokio::test]
async fn a_position_before_the_trimmed_log_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(emit(&store, &events, &session(1), 1000).await);
    }
    let (old, _) = events.age(i64::MAX / 2).await.unwrap();
    store.trim_events(old, Some(20_000)).await.unwrap();
    let kept = events.list(0, 1000, Filter::default()).await.unwrap();
    assert!(kept.records.iter().map(|r| r.properties.len()).sum::<usize>() <= 21_000);
    assert_eq!(kept.cursor, *sent.last().unwrap());
    let Err(Error::CursorExpired { cursor, oldest }) = events.list(sent[0], 10, Filter::default()).await else { panic!("not expired") };
    assert_eq!(cursor, sent[0]);
    assert!(events.list(oldest, 10, Filter::default()).await.is_ok());
    assert!(events.follow(Some(sent[0]), Filter::default()).await.is_err());
}

#[tokio::test]
async fn no_cursor_is_reused_after_its_reservation_is_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let newest = {
        let store = store(&directory);
        let events = Events::open(Arc::clone(&store));
        // The first event reserves a block, and its transaction fails after it.
        let idle = EventPayload::SessionIdle(SessionOnly { session_id: session(1) });
        let nowhere = PartDelta {
            session_id: session(1),
            message_id: MessageId::default(),
            part_id: PartId::default(),
            field: "text".into(),
            delta: "x".into(),
        };
        store.commit(Unit::new(&Scope::default()).event(idle).delta(nowhere)).await.unwrap_err();
        let mut newest = 0;
        for _ in 0..10 {
            newest = emit(&store, &events, &session(1), 0).await;
        }
        // The events are deleted, as with their session.
        store.execute("DELETE FROM event").await.unwrap();
        newest
    };
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let next = emit(&store, &events, &session(1), 0).await;
    assert!(next > newest, "{next} was used before, up to {newest}");
}

#[tokio::test]
async fn a_cursor_of_another_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let events = Events::open(Arc::clone(&store));
    let given = emit(&store, &events, &session(1), 0).await;
    assert!(events.follow(Some(given), Filter::default()).await.is_ok());
    let foreign = given + 1_000_000;
    assert!(matches!(events.follow(Some(foreign), Filter::default()).await, Err(Error::CursorExpired { .. })));
    assert!(matches!(events.list(foreign, 10, Filter::default()).await, Err(Error::CursorExpired { .. })));
}
