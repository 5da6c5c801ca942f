//! The data directory: one owner, private files, newer stores refused.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::support::{client::Client, fixture::Fixture, model_server::Answer};

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
