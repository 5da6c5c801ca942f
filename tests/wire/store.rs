//! The data directory: one owner, private files, newer stores refused.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use polytree::store::{LockState, Ownership};

use super::support::{
    client::{Client, text},
    command::polytree,
    fixture::Fixture,
    model_server::Answer,
};

#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
fn run(fixture: &Fixture) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_polytree"))
        .args(["stdio", "--standalone"])
        .current_dir(fixture.path("repo"))
        .envs(fixture.environment())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_second_daemon_says_who_owns_the_directory() {
    let fixture = Fixture::new().await;
    let mut first = Client::start(&fixture);
    first.call("server.info", json!({})).await;
    let second = run(&fixture);
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&first.pid().to_string()), "{said}");
    first.kill().await;
    assert_eq!(run(&fixture).status.code(), Some(0), "a killed owner owns nothing");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_untouched() {
    let fixture = Fixture::new().await;
    assert!(Client::start(&fixture).end().await.success());
    let path = fixture.path("data/polytree.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 900;").unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let refused = run(&fixture);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("version 900"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn nothing_in_the_data_directory_is_for_others() {
    let fixture = Fixture::new().await;
    std::fs::set_permissions(fixture.path("data"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hi"));
    client.prompt(&session, "hello").await;
    client.call("log.write", json!({ "service": "test", "level": "warn", "message": "line\nbreak" })).await;
    client.end().await;
    let mut pending = vec![fixture.path("data"), fixture.path("run")];
    while let Some(path) = pending.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let others = metadata.permissions().mode() & 0o077;
        if metadata.is_dir() {
            assert_eq!(others, 0, "{}", path.display());
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(others, 0, "{}", path.display());
            let content = std::fs::read(&path).unwrap();
            assert!(!content.windows(10).any(|window| window == b"secret-key"), "a key in {}", path.display());
            assert!(
                path.extension().is_none_or(|extension| extension != "log")
                    || String::from_utf8_lossy(&content).lines().all(|line| !line.starts_with("break")),
                "a forged line"
            );
        }
    }
}

/// The names of damaged stores in the data directory.
fn set_aside(fixture: &Fixture) -> Vec<String> {
    let names = std::fs::read_dir(fixture.path("data")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains(".damaged-")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_everybody_is_told() {
    let fixture = Fixture::new().await;
    let store = fixture.path("data/polytree.db");
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    std::fs::write(&store, b"this is not a database, but a text of some length. ".repeat(400)).unwrap();
    let (_, page, _) = polytree(&fixture, &["doctor"]).await;
    assert!(page.contains("the store is damaged") && page.contains("polytree.db.damaged-TIME"), "{page}");

    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    let [name] = &set_aside(&fixture)[..] else { panic!("{err}") };
    assert!(code == 0 && err.contains("the store was damaged") && err.contains(name.as_str()), "{err}");
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 0 && !err.contains("damaged"), "it is said once: {err}");

    let mut client = Client::connect(&fixture).await;
    let report = client.call("server.diagnose", json!({})).await;
    let path = fixture.path("data").join(name).display().to_string();
    assert_eq!(report["store"]["setAside"][0]["path"], path.as_str());
    assert!(report["advice"].as_array().unwrap().iter().any(|advice| advice["id"] == "store.set_aside"), "{report}");
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hi"));
    assert_eq!(text(&client.prompt(&session, "hello").await), "hi", "the new store serves");
    let (code, page, _) = polytree(&fixture, &["doctor"]).await;
    assert!(code == 0 && page.contains(&path), "{page}");

    // A standalone daemon prints it in its client's process.
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    std::fs::write(&store, "no store").unwrap();
    let said = run(&fixture);
    assert!(said.status.success() && String::from_utf8_lossy(&said.stderr).contains("the store was damaged"), "{said:?}");
    assert_eq!(set_aside(&fixture).len(), 2);
}

#[tokio::test]
async fn damage_that_is_met_later_ends_the_daemon_and_the_next_begins_anew() {
    let fixture = Fixture::new().await;
    let store = fixture.path("data/polytree.db");
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    // Too large to be checked completely at the start.
    let fill = "PRAGMA journal_mode = DELETE;
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 8000)
        INSERT INTO todo (session_id, data) SELECT n, printf('%.1000c', 'x') FROM number;";
    rusqlite::Connection::open(&store).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {fill}")).unwrap();
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[4 << 20..5 << 20].fill(0xa5);
    std::fs::write(&store, bytes).unwrap();
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    while !matches!(Ownership::lock_state(&fixture.path("data")), LockState::Free(_)) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(set_aside(&fixture).is_empty(), "it is not renamed while it is in use");
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 0 && err.contains("the store was damaged"), "{err}");
}

#[tokio::test]
async fn a_store_of_another_program_or_in_use_is_left_alone() {
    let fixture = Fixture::new().await;
    let store = fixture.path("data/polytree.db");
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    let holder = rusqlite::Connection::open(&store).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 3 && err.contains("locked by another program") && err.contains("hint:"), "{code} {err}");
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);

    // Locked for longer than the timeout, while the daemon runs.
    let holder = rusqlite::Connection::open(&store).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut client = Client::connect(&fixture).await;
    let refused = client.refused("session.create", json!({})).await;
    assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
    assert!(refused["data"]["hint"].as_str().unwrap().contains("end the program"), "{refused}");
    holder.execute_batch("ROLLBACK").unwrap();
    client.session().await;
    drop(client);
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);

    holder.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA application_id = 252006674;").unwrap();
    drop(holder);
    let before = std::fs::read(&store).unwrap();
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 3 && err.contains("another application") && err.contains("hint:"), "{code} {err}");
    assert_eq!(std::fs::read(&store).unwrap(), before);
    assert!(set_aside(&fixture).is_empty());
}
