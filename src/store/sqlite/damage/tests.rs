//! Damaged stores, and those that are only foreign, newer or in use.

use super::*;
use crate::store::{
    Durability, aside,
    sqlite::{Database, SqliteRows},
};

/// What happens to a store.
type Accident = dyn Fn(&Place);

struct Place {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    /// A properly closed store with enough rows that most of its pages are full.
    async fn new(rows: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let database = Database::open_alone(&path, Durability::Process).unwrap();
        fill(&database, rows).await.unwrap();
        database.close();
        Self { directory, path }
    }

    fn open(&self) -> Result<Database, Error> {
        Database::open_alone(&self.path, Durability::Process)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Overwrites pages of the store's file; the first page is 1.
    fn overwrite(&self, first: usize, count: usize) {
        let mut bytes = fs::read(&self.path).unwrap();
        bytes[(first - 1) * 4096..(first - 1 + count) * 4096].fill(0xa5);
        fs::write(&self.path, bytes).unwrap();
    }
}

async fn fill(database: &Database, rows: usize) -> Result<(), Error> {
    database
        .write(move |write| {
            for row in 0..rows {
                write.connection.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", (format!("test{row}"), "x".repeat(1000)))?;
            }
            Ok(())
        })
        .await
}

async fn rows(database: &Database) -> Result<u64, Error> {
    database
        .read(|rows: &SqliteRows<'_>| {
            Ok(rows.connection.query_row("SELECT count(*) FROM meta WHERE value LIKE 'x%'", [], |row| row.get(0))?)
        })
        .await
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_replaced_by_a_new_one() {
    const TEXT: &[u8] = b"this is not a database, but a text of some length. ";
    let cases: [(&str, &Accident); 6] = [
        ("a text", &|place| fs::write(&place.path, TEXT.repeat(400)).unwrap()),
        ("a short text", &|place| fs::write(&place.path, "lost").unwrap()),
        ("cut", &|place| {
            let bytes = fs::read(&place.path).unwrap();
            fs::write(&place.path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("its header", &|place| {
            let mut bytes = fs::read(&place.path).unwrap();
            bytes[..100].fill(0x5a);
            fs::write(&place.path, bytes).unwrap();
        }),
        ("one page", &|place| place.overwrite(2, 1)),
        ("its middle", &|place| place.overwrite(40, 2)),
    ];
    for (name, accident) in cases {
        let place = Place::new(300).await;
        accident(&place);
        let spoilt = fs::read(&place.path).unwrap();
        let database = place.open().unwrap_or_else(|error| panic!("{name}: {error}"));
        let aside = database.set_aside().unwrap_or_else(|| panic!("{name}: it was not seen")).clone();
        assert_eq!(fs::read(&aside.path).unwrap(), spoilt, "{name}");
        assert_eq!(aside::all(&place.path), std::slice::from_ref(&aside.path), "{name}");
        assert_eq!(rows(&database).await.unwrap(), 0, "{name}");
        fill(&database, 1).await.unwrap();
        database.close();
        let again = place.open().unwrap();
        assert_eq!((again.set_aside(), rows(&again).await.unwrap()), (None, 1), "{name}: the next start keeps the new one");
    }
}

#[tokio::test]
async fn a_log_is_set_aside_with_its_store_and_a_crash_is_not_damage() {
    let place = Place::new(10).await;
    let database = place.open().unwrap();
    fill_more(&database).await;
    // As after a crash.
    let copy = place.directory.path().join("copy.db");
    for suffix in ["", "-wal"] {
        fs::copy(beside(&place.path, suffix), beside(&copy, suffix)).unwrap();
    }
    let log = fs::read(beside(&copy, "-wal")).unwrap();
    let copied = Place { path: copy, directory: tempfile::tempdir().unwrap() };
    let died = copied.open().unwrap();
    assert_eq!((died.set_aside(), rows(&died).await.unwrap()), (None, 11));
    drop(died);
    // The file was truncated: SQLite would delete the log.
    fs::write(&copied.path, "").unwrap();
    fs::write(beside(&copied.path, "-wal"), &log).unwrap();
    let fresh = copied.open().unwrap();
    let aside = fresh.set_aside().unwrap();
    assert_eq!(fs::read(beside(&aside.path, "-wal")).unwrap(), log);
}

async fn fill_more(database: &Database) {
    database
        .write(|write| Ok(write.connection.execute("INSERT INTO meta (key, value) VALUES ('more', 'xx')", []).map(drop)?))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_foreign_newer_or_locked_store_is_reported_and_left_alone() {
    let change = |sql: &'static str| {
        move |place: &Place| Connection::open(&place.path).unwrap().execute_batch(&format!("PRAGMA journal_mode = DELETE; {sql}")).unwrap()
    };
    let other = |place: &Place| {
        fs::remove_file(&place.path).unwrap();
        Connection::open(&place.path).unwrap().execute_batch("CREATE TABLE moz_places (id); PRAGMA user_version = 2;").unwrap();
    };
    let cases: [(&str, Box<Accident>); 3] = [
        ("another application", Box::new(other)),
        ("another application", Box::new(change("PRAGMA application_id = 252006674;"))),
        ("has version 999", Box::new(change("PRAGMA user_version = 999;"))),
    ];
    for (text, make) in cases {
        let place = Place::new(1).await;
        make(&place);
        let before = fs::read(&place.path).unwrap();
        let error = place.open().err().unwrap();
        assert!(error.to_string().contains(text) && error.is_unavailable() && error.hint().is_some(), "{error}");
        assert_eq!((fs::read(&place.path).unwrap(), place.names()), (before, vec!["store.db".to_owned()]), "{text}");
    }
    for mode in ["WAL", "DELETE"] {
        let place = Place::new(1).await;
        let holder = Connection::open(&place.path).unwrap();
        holder.execute_batch(&format!("PRAGMA journal_mode = {mode}; BEGIN EXCLUSIVE;")).unwrap();
        let error = place.open().err().unwrap();
        assert!(matches!(error, Error::Locked { .. }) && error.is_unavailable() && error.hint().is_some(), "{mode}: {error}");
        assert!(aside::all(&place.path).is_empty());
        holder.execute_batch("ROLLBACK").unwrap();
        drop(holder);
        assert_eq!(rows(&place.open().unwrap()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn after_damage_nothing_is_written_and_the_next_start_sets_the_store_aside() {
    // Too large to be checked when it is opened.
    let place = Place::new(6000).await;
    assert!(fs::metadata(&place.path).unwrap().len() > SMALL_STORE_BYTES);
    place.overwrite(700, 300);
    let database = place.open().unwrap();
    assert_eq!(database.set_aside(), None);
    database.write(|write| Ok(write.connection.execute_batch("INSERT INTO session_deleted VALUES ('s')")?)).await.unwrap();
    let error = rows(&database).await.unwrap_err();
    assert!(error.is_damage() && error.is_unavailable(), "{error}");
    database.wait_for_damage().await;
    for _ in 0..2 {
        let refused = fill(&database, 1).await.unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    }
    assert!(database.damage().is_some());
    database.close();
    let again = place.open().unwrap();
    assert!(again.set_aside().is_some() && rows(&again).await.unwrap() == 0);
    assert!(!suspect_file(&place.path).exists());
}

#[tokio::test]
async fn checking_a_store_in_use_finds_damage_before_a_read_does() {
    let place = Place::new(6000).await;
    let whole = place.open().unwrap();
    whole.check_integrity().await.unwrap();
    assert_eq!(whole.damage(), None);
    whole.close();
    place.overwrite(700, 300);
    let database = place.open().unwrap();
    database.check_integrity().await.unwrap_err();
    assert!(fill(&database, 1).await.unwrap_err().is_damage());
}

#[tokio::test]
async fn a_suspected_store_that_is_intact_is_kept() {
    let place = Place::new(5).await;
    fs::write(suspect_file(&place.path), "a page could not be read").unwrap();
    let database = place.open().unwrap();
    assert_eq!((database.set_aside(), rows(&database).await.unwrap()), (None, 5));
    assert!(!suspect_file(&place.path).exists(), "it is looked at once");
}
