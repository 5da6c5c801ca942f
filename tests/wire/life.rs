//! The lifetime of a detached daemon: started on demand, only one at a time, and exits when idle.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use polytree::store::{LockState, Owner, OwnerKind, Ownership, Room};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncBufReadExt as _;

use super::support::{
    client::Client,
    command::{command, command_of, ended, polytree, signal},
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// The daemon of the fixture's home.
fn owner(fixture: &Fixture) -> Option<Owner> {
    match Ownership::lock_state(&fixture.path("data")) {
        LockState::Owned(owner) => Some(owner.expect("it has said who it is")),
        LockState::Free(_) => None,
    }
}

/// How often a daemon was started in the fixture's home.
fn starts(fixture: &Fixture) -> usize {
    let logs = std::fs::read_dir(fixture.path("data/log")).unwrap();
    logs.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap().matches("the daemon accepts clients").count()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_at_once_get_one_daemon() {
    for _ in 0..5 {
        let fixture = Fixture::new().await;
        let commands: Vec<_> = (0..8).map(|_| command(&fixture, &["sessions", "list"]).spawn().unwrap()).collect();
        for command in commands {
            let (code, _, err) = ended(command.wait_with_output().await.unwrap());
            assert_eq!(code, 0, "{err}");
        }
        assert_eq!(starts(&fixture), 1);
        assert_eq!(owner(&fixture).unwrap().kind, OwnerKind::Detached);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_has_nothing_of_whoever_started_it() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("held"), "").unwrap();
    #[expect(clippy::disallowed_methods, reason = "only a shell leaves descriptors open for the programs that it starts")]
    let output = tokio::process::Command::new("sh")
        .args(["-c", "exec 7<../held 9>>../held; exec \"$0\" sessions list", env!("CARGO_BIN_EXE_polytree")])
        .current_dir(fixture.path("repo"))
        .env_clear()
        .envs(fixture.environment())
        .envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("LC_ALL", "C"), ("XDG_SESSION_ID", "1")])
        .envs([("ANTHROPIC_API_KEY", "secret-key"), ("SSH_AUTH_SOCK", "/x"), ("POLYTREE_CONFIG_CONTENT", "{\"username\":\"secret-key\"}")])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    let pid = owner(&fixture).unwrap().pid;
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert_eq!(std::fs::read_link(process.join("cwd")).unwrap(), std::path::Path::new("/"));
    let stat = std::fs::read_to_string(process.join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[2], fields[3], fields[4]), (&*pid.to_string(), &*pid.to_string(), "0"), "group, session and terminal: {stat}");

    let mut names: Vec<String> = std::fs::read(process.join("environ"))
        .unwrap()
        .split(|byte| *byte == 0)
        .filter(|variable| !variable.is_empty())
        .map(|variable| String::from_utf8_lossy(variable).split('=').next().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    let expected = ["HOME", "LANG", "LC_ALL", "PATH", "POLYTREE_CONFIG_DIR", "POLYTREE_DATA_DIR", "POLYTREE_RUNTIME_DIR", "XDG_SESSION_ID"];
    assert_eq!(names, expected);

    // It closes the pipe just after its report, which can be visible on a busy machine.
    let home = fixture.path("data").display().to_string();
    let own = |target: &str| {
        target.starts_with(&home)
            || target.ends_with("/mountinfo")
            || ["socket:", "anon_inode:", "/dev/urandom"].iter().any(|kind| target.starts_with(kind))
    };
    let began = Instant::now();
    loop {
        let open = descriptors(&process);
        let is_foreign = |(number, target): &&(u32, String)| if *number < 3 { target != "/dev/null" } else { !own(target) };
        let Some((number, target)) = open.iter().find(is_foreign) else { break };
        assert!(began.elapsed() < Duration::from_secs(60), "descriptor {number} is {target}");
        tokio::task::yield_now().await;
    }
}

/// The open files of a process.
#[cfg(target_os = "linux")]
fn descriptors(process: &std::path::Path) -> Vec<(u32, String)> {
    let entries = std::fs::read_dir(process.join("fd")).unwrap().map(|entry| entry.unwrap());
    // It may have been closed meanwhile.
    let target = |entry: &std::fs::DirEntry| std::fs::read_link(entry.path()).ok().map(|target| target.display().to_string());
    entries.filter_map(|entry| Some((entry.file_name().to_str().unwrap().parse().unwrap(), target(&entry)?))).collect()
}

/// As in some containers: no visible process is the session's leader. Skipped if such a namespace cannot be created.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_starts_where_the_session_belongs_to_nobody() {
    let fixture = Fixture::new().await;
    let place = if rustix::process::geteuid().is_root() { "unshare --pid --fork" } else { "unshare --map-root-user --pid --fork" };
    let shell = |line: &str| {
        let mut shell = command_of(std::path::Path::new("/bin/sh"), &fixture, &["-c", line, env!("CARGO_BIN_EXE_polytree")]);
        async move { ended(shell.output().await.unwrap()) }
    };
    if shell(&format!("{place} true")).await.0 != 0 {
        return;
    }
    let (code, _, err) = shell(&format!("{place} \"$0\" sessions list")).await;
    assert_eq!((code, starts(&fixture)), (0, 1), "{err}");
}

#[tokio::test]
async fn an_idle_daemon_leaves() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "server": { "idle_timeout": 50 } }));
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    fixture.free().await;
    let sockets = std::fs::read_dir(fixture.path("run")).unwrap().count();
    assert_eq!((sockets, starts(&fixture)), (0, 1));
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(starts(&fixture), 2);
}

#[tokio::test]
async fn a_killed_daemon_is_replaced() {
    let fixture = Fixture::new().await;
    polytree(&fixture, &["sessions", "list"]).await;
    let first = owner(&fixture).unwrap().pid;
    signal(first, Signal::KILL);
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert_eq!(code, 0, "{err}");
    assert_ne!(owner(&fixture).unwrap().pid, first);
}

#[tokio::test]
async fn a_daemon_inside_a_command_ends_with_it_and_needs_the_place_for_itself() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("alone"));
    let (code, out, err) = polytree(&fixture, &["run", "--standalone", "hello"]).await;
    assert_eq!((code, out.as_str()), (0, "alone\n"), "{err}");
    assert_eq!(owner(&fixture), None);
    polytree(&fixture, &["sessions", "list"]).await;
    let (code, _, err) = polytree(&fixture, &["sessions", "list", "--standalone"]).await;
    let pid = owner(&fixture).unwrap().pid;
    assert!(code == 3 && err.contains(&format!("process {pid}")) && err.contains("polytree stop"), "{code}: {err}");
    assert_eq!(polytree(&fixture, &["stop", "--standalone"]).await.0, 2);
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_why() {
    let fixture = Fixture::new().await;
    let foreign = rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap();
    foreign.execute_batch("CREATE TABLE bookmarks (id)").unwrap();
    drop(foreign);
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("the daemon did not start: ") && err.contains("another application"), "{err}");
    assert_eq!(owner(&fixture), None);
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_without_leave_to_write_is_named() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let fixture = Fixture::new().await;
    // File modes do not restrict root, so another user runs the command.
    let is_root = rustix::process::geteuid().is_root();
    let uid = std::env::var("POLYTREE_TEST_UID").ok().and_then(|uid| uid.parse().ok()).unwrap_or(65534);
    if is_root {
        for name in ["", "config", "data", "run", "repo"] {
            chown(fixture.path(name), Some(uid), Some(uid)).unwrap();
        }
    }
    std::fs::set_permissions(fixture.path("data"), std::fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = if is_root {
        // The build directory may be accessible only to root.
        let executable = fixture.path("polytree");
        std::fs::copy(env!("CARGO_BIN_EXE_polytree"), &executable).unwrap();
        let mut command = command_of(&executable, &fixture, &["sessions", "list"]);
        command.uid(uid).gid(uid);
        command
    } else {
        command(&fixture, &["sessions", "list"])
    };
    let (code, _, err) = ended(command.output().await.unwrap());
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("daemon.lock") && err.contains("Permission denied"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_waits_for_turns_and_keeps_what_is_queued() {
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("half, "), openai::text("whole"), openai::finish("stop")]).gate(1, &gate));
    let running = command(&fixture, &["run", "go"]).spawn().unwrap();
    fixture.models.arrived(1).await;
    let mut client = Client::connect(&fixture).await;
    let session = client.call("session.list", json!({})).await[0]["id"].as_str().unwrap().to_owned();
    let queued = client.call("session.submit", json!({ "sessionID": session, "parts": "later" })).await;
    assert_eq!(queued["queued"], true);
    let waiting = client.send("session.prompt", json!({ "sessionID": session, "parts": "much later" })).await;

    let mut stop = command(&fixture, &["stop"]).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(stop.stderr.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("waiting for 1 turn…"));
    let refused = client.refused("session.submit", json!({ "sessionID": session, "parts": "no" })).await;
    assert_eq!((&refused["data"]["kind"], &refused["data"]["retryAfter"]), (&json!("unavailable"), &json!(1000)));
    assert!(refused["message"].as_str().unwrap().contains("no more prompts"), "{refused}");
    assert_eq!(client.call("session.status", json!({})).await[&session]["type"], "busy");
    assert!(stop.try_wait().unwrap().is_none());

    gate.notify_one();
    let (code, out, err) = ended(running.wait_with_output().await.unwrap());
    assert_eq!((code, out.as_str()), (0, "half, whole\n"), "{err}");
    assert_eq!(waiting.answer().await["error"]["data"]["kind"], "unavailable");
    assert!(stop.wait().await.unwrap().success());
    assert_eq!(owner(&fixture), None, "when it returns the daemon has gone");

    fixture.models.push(Answer::openai_text("to later"));
    fixture.models.push(Answer::openai_text("to much later"));
    fixture.models.push(Answer::openai_text("to now"));
    let (code, out, err) = polytree(&fixture, &["run", "--session", &session, "now"]).await;
    assert_eq!((code, out.as_str()), (0, "to now\n"), "what was queued went first: {err}");
}

#[tokio::test]
async fn stop_now_interrupts() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let running = command(&fixture, &["run", "go"]).spawn().unwrap();
    fixture.models.arrived(1).await;
    let mut client = Client::connect(&fixture).await;
    client.subscribe(json!({})).await;
    let began = Instant::now();
    let (code, _, err) = polytree(&fixture, &["stop", "--now"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(began.elapsed().as_secs_f32() < 2.0, "it took {:?}", began.elapsed());
    assert_eq!(owner(&fixture), None);
    // Subscribers have received the end.
    let error = client.event_of("session.error").await;
    assert_eq!(error["properties"]["error"]["name"], "MessageInterruptedError");
    client.ended().await;
    assert_ne!(ended(running.wait_with_output().await.unwrap()).0, 0);
    let (code, out, _) = polytree(&fixture, &["stop"]).await;
    let (again, _, err) = polytree(&fixture, &["stop", "--now"]).await;
    assert_eq!((code, out.as_str(), again), (0, "", 0));
    assert!(err.contains("no daemon runs for"), "{err}");
}

#[tokio::test]
async fn stop_ends_what_a_person_started_but_not_what_a_program_did() {
    let fixture = Fixture::new().await;
    let mut server = command(&fixture, &["serve"]).spawn().unwrap();
    let mut greeting = tokio::io::BufReader::new(server.stderr.take().unwrap()).lines();
    greeting.next_line().await.unwrap().unwrap();
    let (code, _, err) = polytree(&fixture, &["stop"]).await;
    assert!(code == 0 && err.contains(&format!("stopped process {}", server.id().unwrap())), "{err}");
    assert!(server.wait().await.unwrap().success());

    let mut client = Client::start(&fixture);
    client.call("server.info", json!({})).await;
    let (code, _, err) = polytree(&fixture, &["stop", "--now"]).await;
    assert!(code == 3 && err.contains(&client.pid().to_string()) && err.contains("--standalone"), "{err}");
    assert_eq!(client.refused("server.stop", json!({})).await["data"]["kind"], "invalid_state");
    assert!(client.end().await.success());
}

#[tokio::test]
async fn a_stop_leaves_questions_open() {
    let fixture = Fixture::new().await;
    polytree(&fixture, &["sessions", "list"]).await;
    let mut client = Client::connect(&fixture).await;
    let session = client.session().await;
    client.subscribe(json!({})).await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo ran >> log", "description": "x" }))]));
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    assert_eq!(client.call("server.stop", json!({})).await, json!({ "stopping": true, "running": 0 }));
    fixture.free().await;
    polytree(&fixture, &["sessions", "list"]).await;
    let mut client = Client::connect(&fixture).await;
    let open = client.call("permission.list", json!({})).await;
    client.subscribe(json!({})).await;
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": open[0]["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_polite_signal_aborts_the_turn_of_the_command_that_gets_it() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let child = command(&fixture, &["run", "go"]).spawn().unwrap();
    fixture.models.arrived(1).await;
    signal(child.id().unwrap(), Signal::TERM);
    let (code, _, err) = ended(child.wait_with_output().await.unwrap());
    assert_eq!(code, 130, "{err}");
    let mut client = Client::connect(&fixture).await;
    let sessions = client.call("session.list", json!({})).await;
    let messages = client.call("session.messages", json!({ "sessionID": sessions[0]["id"] })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageAbortedError");
}

#[tokio::test]
async fn an_older_client_leaves_the_place_to_the_newer_one_for_a_while() {
    let fixture = Fixture::new().await;
    polytree(&fixture, &["stop"]).await;
    let lock = |until: i64| {
        let owner = Owner { pid: 1, version: "0.0.1".into(), socket: "/x".into(), kind: OwnerKind::Detached };
        let ownership = Ownership::take(&fixture.path("data"), &owner).unwrap().unwrap();
        ownership.make_room(Room { version: "9.0.0".into(), until }).unwrap();
    };
    // The newer version does not start: the wait ends at the stored time.
    let now = polytree::stdx::time::now_ms();
    lock(now + 300);
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert!(polytree::stdx::time::now_ms() >= now + 300);
    assert_eq!(polytree(&fixture, &["stop"]).await.0, 0);
    // The newer version starts.
    lock(polytree::stdx::time::now_ms() + 5000);
    let mut older = command(&fixture, &["--log-level", "debug", "sessions", "list"]).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(older.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().unwrap().contains("waiting for a newer version to start") {}
    let newer = command(&fixture, &["sessions", "list"]).env("POLYTREE_PRETEND_VERSION", "9.0.0").output().await.unwrap();
    assert!(newer.status.success());
    while let Some(line) = lines.next_line().await.unwrap() {
        assert!(!line.contains("a daemon was started"), "{line}");
    }
    assert!(older.wait().await.unwrap().success());
    assert_eq!((owner(&fixture).unwrap().version.as_str(), starts(&fixture)), ("9.0.0", 2));
}
