//! What is kept for a time only: in the background, by `server.gc`, and by `polytree gc`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts},
    command::polytree,
    fixture::Fixture,
    model_server::Answer,
};

const OLD: &str = "one\ntwo\nthree\n";
/// Limits that nothing fits into.
const NOTHING_FITS: [&str; 3] = ["output_bytes", "snapshot_bytes", "archived_bytes"];

/// A fixture whose settings allow every tool and keep nothing.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let storage: Value = NOTHING_FITS.iter().map(|key| ((*key).to_owned(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    fixture.settings(&json!({ "permission": "allow", "storage": storage, "tool_output": { "max_lines": 10 } }));
    fixture
}

/// A turn that changes `a.txt` and prints more than the model reads; its prompt.
async fn turn(fixture: &Fixture, client: &mut Client, session: &str, new: &str) -> Value {
    fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_calls(&[("c2", "write", json!({ "filePath": "a.txt", "content": new }))]));
    fixture.models.push(Answer::openai_calls(&[("c3", "bash", json!({ "command": "seq 1000" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let answer = client.prompt(session, "go").await;
    answer["info"]["parentID"].clone()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// The files with outputs, and those with contents for undo.
fn kept(fixture: &Fixture) -> (usize, usize) {
    (files(&fixture.path("data/output")).len(), files(&fixture.path("data/snapshots/objects")).len())
}

/// The number of removed things by kind.
fn removed(result: &Value) -> Vec<(String, u64)> {
    let kinds = result["kinds"].as_array().unwrap();
    kinds.iter().map(|kind| (kind["kind"].as_str().unwrap().to_owned(), kind["removed"]["count"].as_u64().unwrap())).collect()
}

fn counts(numbers: [u64; 4]) -> Vec<(String, u64)> {
    ["outputs", "snapshots", "events", "archived"].map(str::to_owned).into_iter().zip(numbers).collect()
}

/// The next daemon, which follows no directory: what one follows needs the contents of its files.
async fn restart(fixture: &Fixture, client: Client) -> Client {
    assert!(client.end().await.success());
    Client::start(fixture)
}

async fn archive(client: &mut Client, session: &str) {
    client.call("session.update", json!({ "sessionID": session, "archived": true })).await;
}

#[tokio::test]
async fn a_dry_run_tells_what_goes_and_then_it_goes() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let (session, old) = (client.session().await, client.session().await);
    let prompt = turn(&fixture, &mut client, &session, "changed\n").await;
    turn(&fixture, &mut client, &old, "again\n").await;
    archive(&mut client, &old).await;
    let mut client = restart(&fixture, client).await;
    let there = kept(&fixture);
    assert!(there.0 == 2 && there.1 >= 4, "{there:?}");

    let dry = client.call("server.gc", json!({ "dryRun": true })).await;
    assert_eq!((removed(&dry), &dry["dryRun"]), (counts([2, there.1 as u64, 0, 1]), &json!(true)), "{dry}");
    assert!(
        dry["kinds"].as_array().unwrap().iter().all(|kind| kind["removed"]["count"] == 0 || kind["removed"]["bytes"].as_u64() > Some(0))
    );
    assert_eq!((kept(&fixture), client.call("session.list", json!({})).await.as_array().unwrap().len()), (there, 2), "nothing has gone");

    client.subscribe(json!({})).await;
    let done = client.call("server.gc", json!({})).await;
    assert_eq!(removed(&done), removed(&dry), "{done}");
    assert_eq!((kept(&fixture), client.event_of("session.deleted").await["properties"]["info"]["id"].clone()), ((0, 0), json!(old)));
    assert_eq!(client.refused("session.get", json!({ "sessionID": old })).await["data"]["kind"], "not_found");
    assert_eq!(removed(&client.call("server.gc", json!({})).await), counts([0; 4]));
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert!(messages.as_array().unwrap().len() > 1, "sessions that are not archived stay, however large");

    // A revert says what has become of the contents, and changes nothing.
    let revert = client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await["revert"].clone();
    let path = fixture.path("repo/a.txt").display().to_string();
    assert!(revert["uncovered"].as_array().unwrap().contains(&json!(path)), "{revert}");
    assert!(revert["reasons"][&path].as_str().unwrap().contains("was removed"), "{revert}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "again\n");
    client.call("session.diff", json!({ "sessionID": session })).await;
}

#[tokio::test]
async fn what_a_running_turn_and_an_undo_need_stays() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let undone = client.session().await;
    let prompt = turn(&fixture, &mut client, &undone, "changed\n").await;
    client.call("session.revert", json!({ "sessionID": undone, "messageID": prompt })).await;
    archive(&mut client, &undone).await;

    // This turn has changed a file, and waits for a person.
    let running = client.session().await;
    client.subscribe(json!({ "sessionID": running })).await;
    fixture.settings(&json!({ "permission": { "*": "allow", "bash": { "*": "allow", "touch *": "ask" } },
        "storage": { "output_bytes": 1, "snapshot_bytes": 1, "archived_bytes": 1 }, "tool_output": { "max_lines": 10 } }));
    fixture.models.push(Answer::openai_calls(&[("d1", "write", json!({ "filePath": "b.txt", "content": "b\n" }))]));
    fixture.models.push(Answer::openai_calls(&[("d2", "bash", json!({ "command": "seq 1000" }))]));
    fixture.models.push(Answer::openai_calls(&[("d3", "bash", json!({ "command": "touch made" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": running, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    archive(&mut client, &running).await;

    let before = kept(&fixture);
    let result = client.call("server.gc", json!({})).await;
    assert_eq!(removed(&result).last().unwrap().1, 0, "neither session goes: {result}");
    assert_eq!(kept(&fixture), before, "{result}");
    client.call("permission.reply", json!({ "sessionID": running, "permissionID": asked["id"], "response": "once" })).await;
    let prompt = turn.result().await["info"]["parentID"].clone();
    client.call("session.unrevert", json!({ "sessionID": undone })).await;
    assert_eq!(fs::read_to_string(fixture.path("repo/a.txt")).unwrap(), "changed\n");
    client.call("session.revert", json!({ "sessionID": running, "messageID": prompt })).await;
    assert!(!fixture.path("repo/b.txt").exists() && !fixture.path("repo/made").exists());
    let result = client.call("server.gc", json!({})).await;
    assert_eq!(removed(&result).last().unwrap().1, 1, "nothing needs the first one any more: {result}");
    client.call("session.unrevert", json!({ "sessionID": running })).await;
    assert_eq!(fs::read_to_string(fixture.path("repo/b.txt")).unwrap(), "b\n");
    let mut client = restart(&fixture, client).await;
    let result = client.call("server.gc", json!({})).await;
    assert_eq!((removed(&result).last().unwrap().1, kept(&fixture)), (1, (0, 0)), "nor the second one: {result}");
}

/// Sets the time of files back.
fn age(files: &[PathBuf], days: u64) {
    for file in files {
        let long_ago = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        fs::File::options().append(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
}

#[tokio::test]
async fn files_go_by_their_age() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow", "tool_output": { "max_lines": 10 } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    let mut client = restart(&fixture, client).await;
    let (outputs, objects) = (files(&fixture.path("data/output")), files(&fixture.path("data/snapshots/objects")));
    for (outputs_age, objects_age, expected) in [(6, 29, [0, 0]), (8, 29, [1, 0]), (8, 31, [0, objects.len() as u64])] {
        age(&outputs.iter().filter(|file| file.exists()).cloned().collect::<Vec<_>>(), outputs_age);
        age(&objects, objects_age);
        let result = client.call("server.gc", json!({})).await;
        assert_eq!(removed(&result), counts([expected[0], expected[1], 0, 0]), "{outputs_age} and {objects_age} days: {result}");
    }
}

#[tokio::test]
async fn two_at_once_remove_everything_once() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    let mut client = restart(&fixture, client).await;
    let objects = kept(&fixture).1 as u64;
    let (one, two) = (client.send("server.gc", json!({})).await, client.send("server.gc", json!({})).await);
    let (one, two) = (removed(&one.result().await), removed(&two.result().await));
    let sum: Vec<u64> = one.iter().zip(&two).map(|((_, one), (_, two))| one + two).collect();
    assert_eq!(sum, [1, objects, 0, 0]);
}

#[tokio::test]
async fn a_kill_in_between_leaves_whole_sessions_and_the_rest_for_the_next_time() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    let export = client.call("session.export", json!({ "sessionID": session })).await;
    let length = export["messages"].as_array().unwrap().len();
    for round in 0..4 {
        let directory = fixture.path("data/output/prj_more");
        fs::create_dir_all(&directory).unwrap();
        for number in 0..500 {
            fs::write(directory.join(format!("{number}.txt")), "output").unwrap();
        }
        for _ in 0..10 {
            let copy = client.call("session.import", json!({ "session": export })).await["id"].as_str().unwrap().to_owned();
            archive(&mut client, &copy).await;
        }
        // The kill comes at another point each time: with the request, and after the first, third and sixth deletion.
        client.subscribe(json!({ "types": ["session.deleted"] })).await;
        let _gone = client.send("server.gc", json!({})).await;
        for _ in 0..[0, 1, 3, 6][round] {
            client.event_of("session.deleted").await;
        }
        client.kill().await;
        client = Client::start(&fixture);
        let sessions = client.call("session.list", json!({})).await;
        for left in sessions.as_array().unwrap() {
            let messages = client.call("session.messages", json!({ "sessionID": left["id"] })).await;
            assert_eq!(messages.as_array().unwrap().len(), length, "a session goes whole or not at all");
        }
        let left = sessions.as_array().unwrap().len() as u64 - 1;
        let result = client.call("server.gc", json!({})).await;
        assert_eq!((removed(&result).last().unwrap().1, kept(&fixture)), (left, (0, 0)), "{result}");
    }
    client.end().await;
    let (_, report, _) = polytree(&fixture, &["doctor", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["store"]["check"], "ok", "{report}");
}

#[tokio::test]
async fn on_a_full_disk_files_go_first_and_the_rest_when_there_is_room() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    archive(&mut client, &session).await;
    client.end().await;
    let mut client = Client::start_without_signal(&fixture);
    client.call("session.list", json!({})).await;
    client.limit_files(Some(0));
    let result = client.call("server.gc", json!({})).await;
    assert_eq!(kept(&fixture), (0, 0), "{result}");
    let errors: Vec<bool> = result["kinds"].as_array().unwrap().iter().map(|kind| kind["error"].is_string()).collect();
    assert_eq!((errors, removed(&result)[3].1), (vec![false, false, false, true], 0), "{result}");
    client.call("session.get", json!({ "sessionID": session })).await;
    client.limit_files(None);
    let result = client.call("server.gc", json!({})).await;
    assert_eq!(removed(&result), counts([0, 0, 0, 1]), "{result}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_user_must_not_remove_is_reported_and_the_rest_goes() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let fixture = fixture().await;
    let uid = rustix::process::geteuid()
        .is_root()
        .then(|| std::env::var("POLYTREE_TEST_UID").ok().and_then(|uid| uid.parse().ok()).unwrap_or(65534));
    let [mine, locked] = ["data/output/prj_mine", "data/output/prj_locked"].map(|name| fixture.path(name));
    for directory in [&mine, &locked] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("output.txt"), "12345").unwrap();
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    let all = ["", "config", "config/polytree.json", "data", "data/output", "data/output/prj_mine", "data/output/prj_locked", "run"];
    all.iter().filter_map(|name| Some((name, uid?))).for_each(|(name, uid)| chown(fixture.path(name), Some(uid), Some(uid)).unwrap());
    fs::create_dir(fixture.path("plain")).unwrap();
    let mut client = Client::start_as(&fixture, "plain", uid);
    let result = client.call("server.gc", json!({})).await;
    let outputs = &result["kinds"][0];
    assert_eq!(
        (&outputs["removed"], &outputs["kept"]),
        (&json!({ "count": 1, "bytes": 5 }), &json!({ "count": 1, "bytes": 5 })),
        "{result}"
    );
    assert!(outputs["error"].as_str().unwrap().contains("ermission denied"), "{result}");
    assert!(!mine.join("output.txt").exists() && locked.join("output.txt").exists());
    client.end().await;
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn the_event_log_and_the_database_become_smaller() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "storage": { "log_bytes": 2000, "archived_bytes": 1 } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hello"));
    client.prompt(&session, "go").await;
    let mut export = client.call("session.export", json!({ "sessionID": session })).await;
    for part in export["messages"][0]["parts"].as_array_mut().unwrap() {
        part["text"] = "x".repeat(6 << 20).into();
    }
    let large = client.call("session.import", json!({ "session": export })).await["id"].as_str().unwrap().to_owned();
    archive(&mut client, &large).await;
    let size = || fs::metadata(fixture.path("data/polytree.db")).unwrap().len();
    let result = client.call("server.gc", json!({})).await;
    assert!(size() < 1 << 20, "{}: {result}", size());
    assert!(
        result["kinds"][2]["removed"]["count"].as_u64() > Some(5) && result["kinds"][2]["kept"]["bytes"].as_u64() <= Some(4000),
        "{result}"
    );
    assert!(result["databaseAfter"].as_u64() < result["databaseBefore"].as_u64(), "{result}");
    let refused = client.refused("event.list", json!({ "since": 1 })).await;
    assert_eq!(refused["data"]["kind"], "cursor_expired");
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_command_works_with_and_without_a_running_daemon() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    archive(&mut client, &session).await;
    client.end().await;
    let there = kept(&fixture);
    let (code, out, err) = polytree(&fixture, &["gc", "--dry-run"]).await;
    assert_eq!((code, kept(&fixture)), (0, there), "{err}");
    let expected = format!("contents for undo  would remove {} files, ", there.1);
    assert!(out.contains("tool outputs       would remove 1 file, ") && out.contains(&expected), "{out}");
    assert!(out.contains("archived sessions  would remove 1 session, ") && out.contains("keeps 0 sessions, 0 B"), "{out}");
    // A daemon runs now.
    let (one, two) = tokio::join!(polytree(&fixture, &["gc", "--json"]), polytree(&fixture, &["gc", "--json"]));
    let counted = |out: &str| removed(&serde_json::from_str(out).unwrap()).into_iter().map(|(_, count)| count).collect::<Vec<_>>();
    assert_eq!((one.0, two.0), (0, 0), "{} {}", one.2, two.2);
    let sum: Vec<u64> = counted(&one.1).iter().zip(counted(&two.1)).map(|(one, two)| one + two).collect();
    assert_eq!((sum, kept(&fixture)), (vec![1, there.1 as u64, 0, 1], (0, 0)));
    fixture.settings(&json!({ "storage": { "archived_days": -1 } }));
    let (code, _, err) = polytree(&fixture, &["gc"]).await;
    assert!(code == 1 && err.contains("storage.archived_days"), "{code}: {err}");
}

#[tokio::test]
async fn without_snapshots_nothing_is_kept_and_a_revert_says_so() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow", "snapshot": false }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let prompt = turn(&fixture, &mut client, &session, "changed\n").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let patches: Vec<Value> = messages.as_array().unwrap().iter().flat_map(|message| parts(message, "patch")).cloned().collect();
    let path = fixture.path("repo/a.txt").display().to_string();
    assert!(patches.iter().all(|patch| patch["files"] == json!([])) && patches[0]["uncovered"] == json!([path]), "{patches:?}");
    let stored: Vec<String> = files(&fixture.path("data/snapshots/objects")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(!stored.iter().any(|text| text == OLD || text == "changed\n"), "no content is stored: {stored:?}");
    let revert = client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await["revert"].clone();
    assert!(revert["reasons"][&path].as_str().unwrap().contains("`snapshot` is off"), "{revert}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "changed\n");
}

#[tokio::test]
async fn an_undone_hunk_can_be_kept_until_the_model_is_told_and_later_ones_are_still_named() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    turn(&fixture, &mut client, &session, "changed\n").await;
    let all = json!({ "sessionID": session });
    let hunk = client.call("hunk.undo", all.clone()).await[0]["hunkID"].clone();
    let mut client = restart(&fixture, client).await;
    client.call("server.gc", json!({})).await;
    let path = fixture.path("repo/a.txt");
    assert_eq!(fs::read_to_string(&path).unwrap(), OLD);
    client.call("hunk.keep", json!({ "sessionID": session, "hunkID": hunk })).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "changed\n");

    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "next").await;
    let mut client = restart(&fixture, client).await;
    client.call("server.gc", json!({})).await;
    assert_eq!(kept(&fixture).1, 0);
    let hunks = client.call("hunk.list", all.clone()).await;
    assert_eq!((&hunks[0]["path"], &hunks[0]["state"], &hunks[0]["before"]), (&json!(path), &json!("kept"), &Value::Null), "{hunks}");
    let error = client.refused("hunk.undo", json!({ "sessionID": session, "hunkID": hunks[0]["hunkID"] })).await;
    assert!(error["data"]["files"][0]["reason"].as_str().unwrap().contains("was removed"), "{error}");
    let diff = client.call("session.diff", all).await;
    assert_eq!((diff[0]["path"].as_str(), diff[0]["patch"].as_str()), (path.to_str(), Some("")), "{diff}");
}
