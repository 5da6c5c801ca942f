//! One daemon per data directory, for all clients, even if its files are removed.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use polytree::store::{LockState, Ownership};
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;

use super::support::{
    client::Client,
    command::{command, command_of, ended, polytree, signal},
    fixture::Fixture,
};

/// The daemon's process, from the lock file of the fixture's data directory.
fn pid(fixture: &Fixture) -> Option<u32> {
    match Ownership::lock_state(&fixture.path("data")) {
        LockState::Owned(owner) => owner.map(|owner| owner.pid),
        LockState::Free(_) => None,
    }
}

/// Waits until a condition is true, for at most a minute.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_alive(pid: u32) -> bool {
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()).is_ok()
        && std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A command with only these environment variables.
fn sparse(fixture: &Fixture, variables: &[(&str, PathBuf)]) -> Command {
    let mut command = command(fixture, &["sessions", "list"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

#[cfg(unix)]
#[tokio::test]
async fn other_variables_and_spellings_lead_to_the_same_daemon() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new().await;
    let [home, link, elsewhere] = ["home", "link", "elsewhere"].map(|name| fixture.path(name));
    std::fs::create_dir(&home).unwrap();
    std::fs::create_dir_all(home.join(".local/share")).unwrap();
    symlink("home", &link).unwrap();
    symlink(fixture.path("data"), home.join(".local/share/polytree")).unwrap();
    let long = fixture.path(&format!("home/{}/{}", "x".repeat(60), "y".repeat(60)));
    let data = fixture.path("data");
    let ways: [&[(&str, PathBuf)]; 6] = [
        &[("HOME", home.clone())],
        &[("HOME", home.clone()), ("XDG_RUNTIME_DIR", fixture.path("run"))],
        &[("HOME", link.clone())],
        &[("HOME", home.clone()), ("POLYTREE_DATA_DIR", data.clone())],
        &[("HOME", home.clone()), ("POLYTREE_DATA_DIR", link.join(".local/share/polytree")), ("POLYTREE_RUNTIME_DIR", elsewhere)],
        &[("HOME", home), ("POLYTREE_DATA_DIR", data), ("POLYTREE_RUNTIME_DIR", long)],
    ];
    for first in [0, 1, 2, 5] {
        let (code, _, err) = ended(sparse(&fixture, ways[first]).output().await.unwrap());
        assert_eq!(code, 0, "{first}: {err}");
        let daemon = pid(&fixture).expect("a daemon runs");
        for way in ways {
            let (code, _, err) = ended(sparse(&fixture, way).output().await.unwrap());
            assert_eq!((code, pid(&fixture)), (0, Some(daemon)), "{first}, {way:?}: {err}");
        }
        assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
        assert_eq!(pid(&fixture), None);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_that_is_removed_is_made_again() {
    let fixture = Fixture::new().await;
    polytree(&fixture, &["sessions", "list"]).await;
    let daemon = pid(&fixture).unwrap();
    for case in ["the file", "its directory", "its directory, which cannot be made again"] {
        if case == "the file" {
            for entry in std::fs::read_dir(fixture.path("run")).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
        } else {
            std::fs::remove_dir_all(fixture.path("run")).unwrap();
        }
        if case.contains("cannot") {
            std::fs::write(fixture.path("run"), "").unwrap();
            // The other processes use another directory.
            let environment = [("POLYTREE_RUNTIME_DIR", fixture.path("run2"))];
            let output = command(&fixture, &["sessions", "list"]).envs(environment).output().await.unwrap();
            assert_eq!(ended(output).0, 0, "{case}");
            let output = command(&fixture, &["stop"]).envs([("POLYTREE_RUNTIME_DIR", fixture.path("run2"))]).output().await.unwrap();
            assert!(ended(output).2.contains(&format!("stopped process {daemon}")));
            continue;
        }
        let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
        assert_eq!((code, pid(&fixture)), (0, Some(daemon)), "{case}: {err}");
    }
    assert_eq!(pid(&fixture), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_daemon_whose_data_directory_is_removed_takes_nothing_and_leaves() {
    for case in ["removed", "renamed", "removed with its socket", "its database removed", "its database replaced"] {
        let fixture = Fixture::new().await;
        polytree(&fixture, &["sessions", "list"]).await;
        let first = pid(&fixture).unwrap();
        let mut client = Client::relay(&fixture, &[]);
        let session = client.session().await;
        let store = fixture.path("data").join("polytree.db");
        if case == "renamed" {
            std::fs::rename(fixture.path("data"), fixture.path("old")).unwrap();
        } else if case == "its database removed" {
            std::fs::remove_file(&store).unwrap();
        } else if case == "its database replaced" {
            std::fs::copy(&store, fixture.path("backup.db")).unwrap();
            std::fs::rename(fixture.path("backup.db"), &store).unwrap();
        } else {
            std::fs::remove_dir_all(fixture.path("data")).unwrap();
        }
        if case.contains("socket") {
            std::fs::remove_dir_all(fixture.path("run")).unwrap();
        }
        let refused = client.refused("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
        let data = &refused["data"];
        // It may have detected the removal and exited: then the next one does not have the session.
        let is_told = data["kind"] == "unavailable" && data["retryAfter"].is_u64();
        assert!(is_told || data["kind"] == "not_found", "{case}: {refused}");
        until(case, || !is_alive(first)).await;
        let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
        assert_eq!(code, 0, "{case}: {err}");
        assert_ne!(pid(&fixture).unwrap(), first);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stop_reaches_a_daemon_whose_data_directory_is_removed() {
    let fixture = Fixture::new().await;
    polytree(&fixture, &["sessions", "list"]).await;
    let daemon = pid(&fixture).unwrap();
    std::fs::remove_dir_all(fixture.path("data")).unwrap();
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    until("it stops", || !is_alive(daemon)).await;
}

#[tokio::test]
async fn a_daemon_that_was_stopped_comes_back_when_an_editor_asks_for_something() {
    for mode in [&["stop"][..], &["stop", "--now"]] {
        let fixture = Fixture::new().await;
        let mut editor = Client::relay(&fixture, &[]);
        let session = editor.session().await;
        editor.subscribe(json!({})).await;
        let first = pid(&fixture).unwrap();
        assert_eq!(polytree(&fixture, mode).await.0, 0);
        // Longer than the relay's poll interval.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(pid(&fixture), None, "{mode:?}");
        // Its subscription continues with the next daemon.
        editor.call("session.update", json!({ "sessionID": session, "title": "again" })).await;
        assert_eq!(editor.event_of("session.updated").await["properties"]["info"]["title"], "again");
        assert_ne!(pid(&fixture), Some(first));
    }
}

/// A copy of the executable that can be removed.
fn copy(fixture: &Fixture) -> PathBuf {
    let path = fixture.path("polytree");
    std::fs::copy(env!("CARGO_BIN_EXE_polytree"), &path).unwrap();
    path
}

#[tokio::test]
async fn a_relay_answers_and_ends_although_no_daemon_can_start() {
    for follows in [false, true] {
        let fixture = Fixture::new().await;
        let executable = copy(&fixture);
        let mut editor = Client::relay_of(&executable, &fixture);
        editor.session().await;
        if follows {
            editor.subscribe(json!({})).await;
        }
        let daemon = pid(&fixture).unwrap();
        remove(&executable);
        signal(daemon, Signal::KILL);
        for _ in 0..2 {
            let began = Instant::now();
            let refused = editor.refused("session.list", json!({})).await;
            assert_eq!((&refused["data"]["kind"], refused["data"]["retryAfter"].is_u64()), (&json!("unavailable"), true), "{refused}");
            assert!(refused["message"].as_str().unwrap().contains("cannot be started"), "{refused}");
            assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        }
        let began = Instant::now();
        assert!(editor.end().await.success());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// Skipped if mounts are not permitted.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn settings_that_are_read_only_are_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new().await;
    std::fs::set_permissions(fixture.path("config"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = if rustix::process::geteuid().is_root() { "unshare --mount" } else { "unshare --map-root-user --mount" };
    let mount = format!("{place} sh -c 'mount --bind config config && mount -o remount,ro,bind config && {{}}'");
    let shell = |line: String| {
        let mut shell = command_of(Path::new("/bin/sh"), &fixture, &["-c", &line, env!("CARGO_BIN_EXE_polytree")]);
        shell.current_dir(fixture.path(""));
        async move { ended(shell.output().await.unwrap()) }
    };
    if shell(mount.replace("{}", "true")).await.0 != 0 {
        return;
    }
    let executable = env!("CARGO_BIN_EXE_polytree");
    let (code, out, err) = shell(mount.replace("{}", &format!("cd repo && \"{executable}\" models --standalone"))).await;
    assert!(code == 0 && out.contains("test/main"), "{code}: {out}{err}");
}
