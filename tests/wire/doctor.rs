//! `polytree doctor` with and without a running daemon. It starts and creates nothing.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
};

use expect_test::expect;
use serde_json::{Value, json};

use super::support::{
    client::Client,
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
async fn doctor(fixture: &Fixture, arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_polytree"));
    command.arg("doctor").args(arguments).current_dir(fixture.path("repo")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).envs(fixture.environment()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The page with masks for what differs from run to run: directories, ids, and numbers with their units.
fn masked(fixture: &Fixture, page: &str) -> String {
    let home = fixture.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let mut text = String::new();
    for line in page.replace(&home, "HOME").lines() {
        let words: Vec<String> = line.split_whitespace().map(mask).collect();
        let line = match words.first().map_or("", String::as_str) {
            label @ ("disk" | "git" | "shell" | "sandbox" | "memory" | "calls") => format!("  {label} …"),
            "listens" => "  listens HOME/run/….sock".to_owned(),
            // The width of columns depends on masked values.
            _ => line[..line.len() - line.trim_start().len()].to_owned() + &words.join(" "),
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn mask(word: &str) -> String {
    const UNITS: &[&str] = &["ms", "s", "min", "B", "KiB", "MiB", "GiB"];
    if word.starts_with("ses_") || word.starts_with("per_") {
        return format!("{}_…", &word[..3]);
    }
    let (bare, comma) = word.strip_suffix(',').map_or((word, ""), |bare| (bare, ","));
    if UNITS.contains(&bare) {
        return format!("UNIT{comma}");
    }
    let mut masked = String::new();
    for character in word.chars() {
        match character {
            '0'..='9' if masked.ends_with('#') => {}
            '0'..='9' => masked.push('#'),
            other => masked.push(other),
        }
    }
    masked.replace("#.#", "#").replace("#.#", "#")
}

#[tokio::test]
async fn without_a_daemon_it_creates_nothing() {
    let fixture = Fixture::new().await;
    for name in ["data", "run"] {
        std::fs::remove_dir(fixture.path(name)).unwrap();
    }
    std::fs::set_permissions(fixture.path("config"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (code, page, err) = doctor(&fixture, &[]).await;
    expect![[r#"
        polytree #: no daemon runs; the next command starts one

        Daemon
          data HOME/data

        Settings
          file HOME/config/polytree.json
          model test/main ready
          provider test ready
          provider offline ready
          providers # others no key; `polytree models` shows what they need

        Machine
          config HOME/config mode #
          data HOME/data does not exist yet
          runtime HOME/run does not exist yet
          disk …
          git …
          shell …
          sandbox …

        All is well.
    "#]]
    .assert_eq(&masked(&fixture, &page));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!fixture.path("data").exists() && !fixture.path("run").exists());
}

#[tokio::test]
async fn an_error_is_an_exit_code() {
    let fixture = Fixture::new().await;
    // A daemon corrects the modes of its directories; `doctor` without a daemon reports them.
    assert!(Client::start(&fixture).end().await.success());
    for name in ["config", "data"] {
        std::fs::set_permissions(fixture.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(fixture.path("config/polytree.json"), "{ \"model\": 1 }").unwrap();
    let (code, page, _) = doctor(&fixture, &[]).await;
    expect![[r#"
        polytree #: no daemon runs; the next command starts one

        Daemon
          data HOME/data

        Store
          database # UNIT, # UNIT in its log
          rows # sessions, # messages, # parts, # events; # UNIT of events
          outputs # UNIT in # files
          undo # UNIT in # files
          logs # UNIT in # file
          check ok

        Settings
          HOME/config/polytree.json:#:#: `model`: found #, expected a string

        Machine
          config HOME/config mode #
          data HOME/data mode #
          runtime HOME/run mode #
          disk …
          git …
          shell …
          sandbox …

        error: the settings are invalid: HOME/config/polytree.json:#:#: `model`: found #, expected a string
        hint: correct the file; until then prompts are refused, everything else works
        error: the data directory HOME/data is open to other users (mode #)
        hint: `chmod #` it
        warning: the config directory HOME/config is open to other users (mode #)
        hint: `chmod #` it
    "#]]
    .assert_eq(&masked(&fixture, &page));
    assert_eq!(code, 1);
    assert_eq!(std::fs::metadata(fixture.path("data")).unwrap().permissions().mode() & 0o777, 0o755, "the mode is not changed");
    let database = fixture.path("data/polytree.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    std::fs::write(&database, bytes).unwrap();
    let (code, line, _) = doctor(&fixture, &["--json"]).await;
    let report: Value = serde_json::from_str(&line).unwrap();
    let ids: Vec<&str> = report["advice"].as_array().unwrap().iter().map(|advice| advice["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"store.broken") || ids.contains(&"store.unreadable"), "{ids:?}");
    assert_eq!((code, report.get("pid"), line.lines().count()), (1, None, 1));
}

#[tokio::test]
async fn with_a_daemon_it_shows_work_and_questions() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let mut client = Client::start(&fixture);
    client.call("server.initialize", json!({ "clientInfo": { "name": "editor\u{1b}[2J", "version": "1.2" } })).await;
    let session = client.session().await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    fixture.models.arrived(1).await;
    let other = client.session().await;
    client.subscribe(json!({ "sessionID": other })).await;
    let ask = json!({ "command": "rm -rf x", "description": "x" });
    fixture.models.push(Answer::openai_calls(&[("c", "bash", ask)]));
    client.call("session.submit", json!({ "sessionID": other, "parts": "2" })).await;
    client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    client.call("log.write", json!({ "service": "test", "level": "error", "message": "it broke" })).await;
    let (code, page, err) = doctor(&fixture, &[]).await;
    expect![[r#"
        polytree # runs as process # for # UNIT (standalone)

        Daemon
          data HOME/data
          listens HOME/run/….sock
          memory …
          calls …
          log level info; # error, # warnings

        Clients
          # stdio editor # # UNIT # subscription, # requests HOME/repo
          # local this command # UNIT # subscriptions, # request HOME/repo

        Sessions at work
          ses_… busy for # UNIT calls test/main for # UNIT HOME/repo
          ses_… waits for an answer for # UNIT bash for # UNIT HOME/repo

        Open questions
          per_… bash for # UNIT HOME/repo

        Projects
          HOME/repo not trusted # open just now

        Store
          database # UNIT, # UNIT in its log
          rows # sessions, # messages, # parts, # events; # UNIT of events
          outputs # UNIT in # files
          undo # UNIT in # files
          logs # UNIT in # file

        Settings
          file HOME/config/polytree.json
          model test/main ready
          provider test ready
          provider offline ready
          providers # others no key; `polytree models` shows what they need

        Machine
          config HOME/config mode #
          data HOME/data mode #
          runtime HOME/run mode #
          disk …
          git …
          shell …
          sandbox …

        Last warnings and errors
          just now error it broke connection=# service="test" extra=""

        All is well.
    "#]]
    .assert_eq(&masked(&fixture, &page));
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, line, _) = doctor(&fixture, &["--json"]).await;
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((report["pid"].as_u64(), report["sessions"].as_array().unwrap().len()), (Some(client.pid().into()), 2));
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_reported() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.call("server.info", json!({})).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(client.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let (code, line, _) = doctor(&fixture, &["--json"]).await;
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, &report["advice"][0]["id"]), (1, &json!("daemon.silent")), "{report:#}");
    assert_eq!((&report["owner"]["holder"]["pid"], report["store"].get("check")), (&json!(client.pid()), None));
    assert_eq!(client.call("server.info", json!({})).await["pid"], client.pid(), "it goes on");
}
