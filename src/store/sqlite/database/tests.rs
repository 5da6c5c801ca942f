//! The guarantees of writing and reading, and of a store that fails.

use rusqlite::Connection;

use super::*;
use crate::store::rows::Rows as _;

fn store() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open_alone(&directory.path().join("store.db"), Durability::Process).unwrap();
    (directory, database)
}

fn count(rows: &SqliteRows<'_>) -> Result<u64, Error> {
    Ok(rows.connection.query_row("SELECT count(*) FROM meta WHERE key LIKE 'test%'", [], |row| row.get(0))?)
}

fn insert(write: &SqliteRows<'_>, key: &str) -> Result<(), Error> {
    write.connection.execute("INSERT INTO meta (key, value) VALUES (?1, 1)", [key])?;
    Ok(())
}

#[tokio::test]
async fn a_failing_job_rolls_back_only_its_own_changes() {
    let (_directory, database) = store();
    let (announced, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let jobs = (0..20).map(|number| {
        let announced = announced.clone();
        database.write(move |write| {
            insert(write, &format!("test{number}"))?;
            write.after_commit(Box::new(move || announced.send(number).unwrap()));
            match number % 3 {
                0 => Err(Error::Closed),
                1 => panic!("a defect in a job"),
                _ => Ok(number),
            }
        })
    });
    let results: Vec<Result<i32, Error>> = futures::future::join_all(jobs).await;
    assert_eq!(results.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), [2, 5, 8, 11, 14, 17]);
    assert_eq!(database.read(count).await.unwrap(), 6);
    drop(announced);
    let mut order = Vec::new();
    while let Ok(number) = heard.try_recv() {
        order.push(number);
    }
    assert_eq!(order, [2, 5, 8, 11, 14, 17], "only committed jobs are announced, in order");
}

#[tokio::test]
async fn the_only_job_of_a_batch_rolls_back_its_changes_too() {
    let (_directory, database) = store();
    let announced = Arc::new(std::sync::atomic::AtomicU32::new(0));
    for number in 0..9 {
        let announced = Arc::clone(&announced);
        let result = database.write(move |write| {
            insert(write, &format!("test{number}"))?;
            write.after_commit(Box::new(move || {
                announced.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }));
            match number % 3 {
                0 => Err(Error::Closed),
                1 => panic!("a defect in a job"),
                _ => Ok(number),
            }
        });
        assert_eq!(result.await.is_ok(), number % 3 == 2, "{number}");
        assert_eq!(database.read(count).await.unwrap(), (number + 1) / 3, "{number}");
    }
    assert_eq!(announced.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(database.state().0.failure, None, "the store has not failed");
}

/// A store that delays deltas for longer than any test runs.
fn store_with_long_delay() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let database = Database::open_with_delay(&path, Durability::Process, Arc::new(|_| {}), Duration::from_secs(3600)).unwrap();
    (directory, database)
}

#[tokio::test]
async fn an_urgent_job_commits_the_deltas_before_it_without_delay() {
    let (_directory, database) = store_with_long_delay();
    for number in 0..3 {
        let mut delta = Box::pin(database.write_delta(move |w| insert(w, &format!("testdelta{number}"))));
        assert!(futures::poll!(&mut delta).is_pending());
        database.write(move |w| insert(w, &format!("test{number}"))).await.unwrap();
        delta.await.unwrap();
        assert_eq!(database.read(count).await.unwrap(), 2 * (number + 1));
    }
}

#[tokio::test]
async fn a_full_batch_and_a_close_commit_without_delay() {
    let (_directory, database) = store_with_long_delay();
    let mut deltas = Box::pin(futures::future::join_all((0..300).map(|n| database.write_delta(move |w| insert(w, &format!("test{n}"))))));
    assert!(futures::poll!(&mut deltas).is_pending());
    until(|| database.state().0 == WriterState { waiting: 44, ..WriterState::default() }).await;
    assert_eq!(database.read(count).await.unwrap(), 256);
    database.close();
    assert!(deltas.await.into_iter().all(|delta| delta.is_ok()));
}

#[tokio::test]
async fn every_delta_is_committed_with_and_without_a_timer() {
    let (_directory, database) = store();
    // In sequence: each arrives while the writer waits, with a timer or without.
    for number in 0..60 {
        database.write_delta(move |w| insert(w, &format!("test{number}"))).await.unwrap();
        if number % 20 == 0 {
            database.write(move |w| insert(w, &format!("testmore{number}"))).await.unwrap();
        }
    }
    assert_eq!(database.read(count).await.unwrap(), 63);
}

#[tokio::test]
async fn deltas_are_committed_and_a_close_flushes() {
    let (directory, database) = store();
    futures::future::join_all((0..1000).map(|n| database.write_delta(move |w| insert(w, &format!("test{n}"))))).await;
    assert_eq!(database.read(count).await.unwrap(), 1000);
    let late = database.write_delta(move |w| insert(w, "testlate"));
    database.close();
    late.await.unwrap_err();
    let again = Database::open_alone(&directory.path().join("store.db"), Durability::Power).unwrap();
    assert_eq!(again.read(count).await.unwrap(), 1000);
}

#[tokio::test]
async fn the_state_is_readable_while_all_jobs_hang() {
    let (_directory, database) = store();
    let gate = Arc::new(std::sync::Barrier::new(4));
    let reads: Vec<_> = (0..3)
        .map(|number| {
            let gate = Arc::clone(&gate);
            database.read(move |_| {
                if number < 2 {
                    gate.wait();
                }
                Ok(())
            })
        })
        .collect();
    let held = Arc::clone(&gate);
    let write = database.write(move |_| {
        held.wait();
        Ok(())
    });
    let mut work = Box::pin(async { futures::join!(futures::future::join_all(reads), write) });
    // The first poll queues the jobs; then the threads take them.
    assert!(futures::poll!(&mut work).is_pending());
    until(|| database.state().0.busy.is_some()).await;
    let mut late = Box::pin(database.write(|write| insert(write, "test")));
    assert!(futures::poll!(&mut late).is_pending());
    until(|| database.state().1.waiting == 1).await;
    let (writer, readers) = database.state();
    assert_eq!((writer.waiting, writer.failure, readers.busy.is_some()), (1, None, true));
    gate.wait();
    let (reads, write) = work.await;
    assert!(reads.iter().all(Result::is_ok) && write.is_ok() && late.await.is_ok());
    until(|| database.state() == Default::default()).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "timed out");
        tokio::task::yield_now().await;
    }
}
#[tokio::test]
async fn a_failed_commit_is_reported_until_the_next_success() {
    let (_directory, database) = store();
    // Ends the transaction behind the writer's back, so that the commit finds none.
    let _ = database.write(|write| Ok(write.connection.execute_batch("ROLLBACK")?)).await;
    until(|| database.state().0.failure.is_some_and(|failure| !failure.is_empty())).await;
    database.write(|write| insert(write, "test")).await.unwrap();
    until(|| database.state().0.failure.is_none()).await;
}

#[tokio::test]
async fn a_full_disk_fails_jobs_and_no_lost_job_is_confirmed() {
    let (_directory, database) = store();
    let limit: i64 = database
        .write(|write| {
            let pages: i64 = write.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            Ok(write.connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    let (announced, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // The writer is blocked until everything is queued, so that it is one batch.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hold = database.write(move |_| {
        let _ = held.recv();
        Ok(())
    });
    let jobs = (0..40).map(|number| {
        let announced = announced.clone();
        database.write(move |write| {
            insert(write, &format!("test{number}"))?;
            write.after_commit(Box::new(move || announced.send(number).unwrap()));
            if number % 10 == 5 {
                write
                    .connection
                    .execute("INSERT INTO meta (key, value) VALUES (?1, zeroblob(?2))", (format!("big{number}"), limit * 4096))?;
            }
            Ok(number)
        })
    });
    let jobs = futures::future::join_all(jobs);
    let (_, results) = tokio::join!(hold, async {
        let jobs = std::pin::pin!(jobs);
        // One poll queues each job.
        let (first, jobs) = match futures::future::select(jobs, std::future::ready(())).await {
            futures::future::Either::Left((results, _)) => (Some(results), None),
            futures::future::Either::Right(((), jobs)) => (None, Some(jobs)),
        };
        release.send(()).unwrap();
        match jobs {
            Some(jobs) => jobs.await,
            None => first.unwrap(),
        }
    });
    drop(announced);
    let stored: Vec<i32> = results.iter().filter_map(|result| result.as_ref().ok()).copied().collect();
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(Error::is_unavailable), "{results:?}");
    let mut order = Vec::new();
    while let Ok(number) = heard.try_recv() {
        order.push(number);
    }
    assert_eq!(order, stored, "announced is what was answered well");
    assert_eq!(database.read(count).await.unwrap(), stored.len() as u64, "and that is what is there");
    assert!(stored.contains(&39) && !stored.contains(&35), "{stored:?}");
    database.write(|write| insert(write, "testlast")).await.unwrap();
}

#[test]
fn a_newer_store_is_refused_and_left_untouched() {
    let (directory, database) = store();
    drop(database);
    let path = directory.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 999;").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Database::open_alone(&path, Durability::Process).err().unwrap();
    assert!(error.to_string().contains("version 999"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no log beside it");
}

#[cfg(unix)]
#[test]
fn other_users_cannot_read_the_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, _database) = store();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}
