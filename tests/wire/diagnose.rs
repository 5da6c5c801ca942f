//! The report of `server.diagnose` while the daemon works, waits and fails, and that it contains no secret.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::support::{
    client::Client,
    fixture::Fixture,
    model_server::{Answer, openai},
};

fn bash(command: &str) -> Answer {
    Answer::openai_calls(&[("call_1", "bash", json!({ "command": command, "description": "x" }))])
}

async fn diagnose(client: &mut Client) -> Value {
    let began = Instant::now();
    let report = client.call("server.diagnose", json!({})).await;
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    report
}

/// Polls until the report is as expected.
async fn until(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let report = diagnose(client).await;
        if fits(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "{report:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The ids of the advice, without those about the machine on which the tests run.
fn advice(report: &Value) -> Vec<&str> {
    let ids = report["advice"].as_array().unwrap().iter().map(|advice| advice["id"].as_str().unwrap());
    ids.filter(|id| !id.starts_with("disk.") && !id.starts_with("git.")).collect()
}

#[tokio::test]
async fn a_daemon_at_rest_tells_who_it_is() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.call("server.initialize", json!({ "clientInfo": { "name": "editor", "version": "1.2" } })).await;
    client.session().await;
    let report = diagnose(&mut client).await;
    let info = client.call("server.info", json!({})).await;
    for field in ["version", "protocolVersion", "pid", "started"] {
        assert_eq!(report[field], info[field], "{field}");
    }
    assert_eq!(report["owner"]["dataDirectory"], info["dataDirectory"]);
    assert_eq!(report["owner"]["start"], "standalone");
    assert_eq!(report["listeners"][0]["address"], info["listen"][0]);
    let [me] = report["clients"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert_eq!((&me["name"], &me["version"], &me["door"], &me["asks"]), (&json!("editor"), &json!("1.2"), &json!("stdio"), &json!(true)));
    assert_eq!((&me["directory"], &me["requests"]), (&json!(fixture.path("repo")), &json!(1)));
    let project = &report["projects"]["list"][0];
    assert_eq!((&project["worktree"], &project["open"]), (&json!(fixture.path("repo")), &json!([fixture.path("repo")])));
    assert_eq!((&report["sessions"], &report["children"], &report["questions"]["list"]), (&json!([]), &json!([]), &json!([])));
    assert_eq!((&report["store"]["rows"]["sessions"], &report["store"]["database"]["count"]), (&json!(1), &json!(1)));
    assert!(report["store"]["rows"]["newestCursor"].as_u64() > Some(0));
    assert_eq!((&report["settings"]["model"], report["settings"].get("modelError")), (&json!("test/main"), None));
    assert_eq!(advice(&report), [""; 0]);
    if cfg!(target_os = "linux") {
        let memory = &report["memory"];
        let known: u64 = memory["accounted"].as_array().unwrap().iter().map(|share| share["bytes"].as_u64().unwrap()).sum();
        assert_eq!(memory["resident"].as_u64().unwrap(), known + memory["rest"].as_u64().unwrap());
        assert!(known > 0 && memory["proportional"].as_u64() > Some(0), "{memory}");
    }
}

#[tokio::test]
async fn a_model_call_and_the_prompts_behind_it() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let first = client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    fixture.models.arrived(1).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await;
    let report = until(&mut client, |report| report["sessions"][0]["queued"] == 1).await;
    let [working] = report["sessions"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert_eq!(
        (&working["id"], &working["status"]["type"], &working["model"]["model"]),
        (&json!(session), &json!("busy"), &json!("test/main"))
    );
    assert_eq!((&working["messageID"], &working["directory"]), (&first["messageID"], &json!(fixture.path("repo"))));
    let times = [&working["since"], &working["model"]["since"], &working["sign"], &report["time"]].map(|time| time.as_i64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!((&report["queues"]["prompts"], &working["tools"]), (&json!(1), &json!([])));
    client.call("session.abort", json!({ "sessionID": session })).await;
    until(&mut client, |report| report["sessions"] == json!([])).await;
}

#[tokio::test]
async fn a_tool_and_the_program_that_it_runs() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    fixture.models.push(bash("echo hunter2-in-the-command; sleep 600 & echo started; wait"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let several = |report: &Value| !cfg!(target_os = "linux") || report["children"][0]["processes"].as_u64() >= Some(2);
    let report = until(&mut client, |report| report["children"] != json!([]) && several(report)).await;
    let [child] = report["children"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert_eq!((&child["program"], &child["sessionID"], &child["callID"]), (&json!("bash"), &json!(session), &json!("call_1")));
    assert!(!cfg!(target_os = "linux") || child["resident"].as_u64() > Some(100_000), "{child}");
    let tool = &report["sessions"][0]["tools"][0];
    assert_eq!((&tool["tool"], &tool["callID"], report["sessions"][0].get("model")), (&json!("bash"), &json!("call_1"), None));
    assert!(!report.to_string().contains("hunter2"), "without the command line");
    client.call("session.abort", json!({ "sessionID": session })).await;
    until(&mut client, |report| report["children"] == json!([])).await;
}

#[tokio::test]
async fn a_question_that_waits_also_after_a_restart() {
    let fixture = Fixture::new().await;
    fixture.models.push(bash("curl -H 'X-Key: hunter2' example.invalid"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let waits = |report: &Value| report["sessions"][0]["status"]["type"] == "waiting";
    let report = until(&mut client, waits).await;
    let question = &report["questions"]["list"][0];
    assert_eq!(
        (&question["type"], &question["sessionID"], &question["directory"]),
        (&json!("bash"), &json!(session), &json!(fixture.path("repo")))
    );
    assert_eq!(
        (&report["sessions"][0]["status"]["permissionID"], &report["sessions"][0]["tools"][0]["tool"]),
        (&question["id"], &json!("bash"))
    );
    assert!(!report.to_string().contains("hunter2"), "without the text of the question");
    client.terminate().await;
    let mut client = Client::start(&fixture);
    let report = diagnose(&mut client).await;
    assert!(waits(&report) && report["sessions"][0].get("since").is_none(), "{report:#}");
    assert_eq!(report["questions"]["list"][0]["sessionID"], json!(session));
}

fn sloth(report: &Value) -> &Value {
    report["clients"].as_array().unwrap().iter().find(|client| client["name"] == "sloth").unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_client_that_does_not_read() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let socket = client.call("server.info", json!({})).await["listen"][0].as_str().unwrap().to_owned();
    let mut slow = tokio::net::UnixStream::connect(socket).await.unwrap();
    let hello = json!({ "hello": { "directory": fixture.path("repo"), "protocolVersion": 1, "environment": {} } });
    let named = json!({ "jsonrpc": "2.0", "id": 1, "method": "server.initialize", "params": { "clientInfo": { "name": "sloth" } } });
    let follow = json!({ "jsonrpc": "2.0", "id": 2, "method": "event.subscribe" });
    slow.write_all(format!("{hello}\n{named}\n{follow}\n").as_bytes()).await.unwrap();
    let report = until(&mut client, |report| sloth(report)["subscriptions"] == 1 && sloth(report)["waitingBytes"] == 0).await;
    assert_eq!(sloth(&report)["door"], "local");
    // More than the socket buffers.
    fixture.models.push(Answer::sse([openai::text("x")]).hang());
    for _ in 0..60 {
        client.call("session.submit", json!({ "sessionID": session, "parts": "x".repeat(60_000) })).await;
    }
    let report = until(&mut client, |report| {
        let (slow, me) = (sloth(report), &report["clients"][0]);
        slow["stalledMs"].as_u64() > Some(200) && slow["waitingBytes"].as_u64() > Some(100_000) && me["stalledMs"].as_u64() < Some(200)
    })
    .await;
    assert!(report["queues"]["outboxBytes"].as_u64() >= sloth(&report)["waitingBytes"].as_u64(), "{report:#}");
    drop(slow);
    until(&mut client, |report| sloth(report).is_null() && report["queues"]["outboxBytes"] == 0).await;
}

#[tokio::test]
async fn calls_and_errors_are_counted() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let before = diagnose(&mut client).await;
    client.refused("session.gte", json!({})).await;
    client.refused("session.get", json!({ "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await;
    client.refused("session.get", json!({ "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await;
    client.refused("session.get", json!({ "session": 1 })).await;
    for (level, message) in
        [("error", "it broke at http://me:hunter2@host/"), ("warn", "odd\nAuthorization: Bearer hunter2"), ("info", "fine")]
    {
        client.call("log.write", json!({ "service": "test", "level": level, "message": message })).await;
    }
    let report = diagnose(&mut client).await;
    assert_eq!(report["calls"]["failed"], json!({ "method_not_found": 1, "not_found": 2, "invalid_params": 1 }));
    assert_eq!(report["calls"]["total"].as_u64().unwrap(), before["calls"]["total"].as_u64().unwrap() + 8);
    let slowest = report["calls"]["slowest"].as_array().unwrap();
    assert!(slowest.iter().map(|call| -call["durationMs"].as_f64().unwrap()).is_sorted(), "{slowest:?}");
    let failed = slowest.iter().find(|call| call["error"] == "not_found").unwrap();
    assert_eq!((&failed["method"], &failed["connectionID"]), (&json!("session.get"), &report["clients"][0]["id"]));
    assert_eq!((&report["log"]["errors"], &report["log"]["warnings"], &report["log"]["level"]), (&json!(1), &json!(1), &json!("info")));
    let lines: Vec<(&str, &str)> = report["log"]["last"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["level"].as_str().unwrap(), line["message"].as_str().unwrap()))
        .collect();
    assert_eq!(lines[0].0, "error");
    assert!(lines[0].1.starts_with("it broke at http://***@host/"), "{lines:?}");
    assert!(lines[1].1.contains("Bearer ***") && !lines[1].1.contains("hunter2"), "{lines:?}");
}

#[tokio::test]
async fn broken_settings_keep_nothing_from_being_told() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("config/polytree.json"), "{\n  \"modle\": \"hunter2\"\n}").unwrap();
    let mut client = Client::start(&fixture);
    let report = diagnose(&mut client).await;
    let settings = &report["settings"];
    assert_eq!((&settings["file"], &settings["line"]), (&json!(fixture.path("config/polytree.json")), &json!(2)));
    assert!(settings["error"].as_str().unwrap().contains("modle"), "{settings}");
    assert!(!report.to_string().contains("hunter2"), "values of settings are not told");
    assert_eq!(advice(&report), ["settings.invalid"]);
    assert_eq!(report["store"]["rows"]["sessions"], 0);
    // The report changes as soon as the settings are correct; a missing key is another problem.
    fixture.settings(&json!({ "model": "anthropic/claude-sonnet-4-5" }));
    let report = diagnose(&mut client).await;
    assert_eq!(advice(&report), ["model.unusable"]);
    assert!(report["settings"]["modelError"].as_str().unwrap().contains("ANTHROPIC_API_KEY"), "{report:#}");
    // A project's settings apply once they are trusted, and only in its directory.
    fixture.settings(&json!({}));
    std::fs::write(fixture.path("repo/polytree.json"), "{ odd").unwrap();
    assert_eq!(diagnose(&mut client).await["settings"].get("error"), None);
    client.call("project.trust", json!({ "trusted": true })).await;
    assert_eq!(diagnose(&mut client).await["settings"]["file"], json!(fixture.path("repo/polytree.json")));
    let elsewhere = client.call("server.diagnose", json!({ "directory": fixture.path("") })).await;
    assert_eq!(elsewhere["settings"].get("error"), None);
    assert_eq!(client.refused("server.diagnose", json!({ "directory": "/not/there" })).await["data"]["kind"], "not_found");
}

#[tokio::test]
async fn no_secret_is_told() {
    const SECRETS: &[&str] = &["env-hunter2-key", "secret-key", "url-hunter2", "header-hunter2", "plain-hunter2-env"];
    let fixture = Fixture::new().await;
    let models = json!({ "main": {}, "small": {} });
    let options = json!({ "baseURL": "http://me:url-hunter2@127.0.0.1:1/v1?key=url-hunter2", "apiKey": "secret-key", "headers": { "X-A": "header-hunter2" } });
    fixture.settings(&json!({ "provider": { "test": { "api": "openai", "options": options, "models": models }, "other": { "options": { "apiKey": "{env:MY_VALUE}" } } } }));
    let variables =
        [("ANTHROPIC_API_KEY", "env-hunter2-key"), ("MY_VALUE", "plain-hunter2-env"), ("AWS_SECRET_ACCESS_KEY", "env-hunter2-key")];
    let mut client = Client::start_with(&fixture, "repo", &variables);
    let session = client.session().await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    for message in ["with env-hunter2-key in it", "token=url-hunter2", "at http://a:header-hunter2@b/"] {
        client.call("log.write", json!({ "service": "test", "level": "error", "message": message })).await;
    }
    // Nothing listens there, so the call is retried, with the reason in the status.
    let report = until(&mut client, |report| report["sessions"][0]["status"]["type"] == "retry").await;
    assert!(report["sessions"][0]["status"]["message"].as_str().unwrap().contains("127.0.0.1"), "{report:#}");
    assert_eq!(report["log"]["errors"], 3);
    for secret in SECRETS {
        assert!(!report.to_string().contains(secret), "{secret} in {report:#}");
    }
    let provider = report["settings"]["providers"].as_array().unwrap().iter().find(|provider| provider["id"] == "anthropic").unwrap();
    assert_eq!((&provider["connected"], &provider["env"]), (&json!(true), &json!(["ANTHROPIC_API_KEY"])), "names are no secrets");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Another program locks the store for longer than the daemon waits.
    let thief = rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stuck = client.send("session.update", json!({ "sessionID": session, "title": "new" })).await;
    let report = until(&mut client, |report| report["queues"]["writerBusyMs"].as_u64() > Some(100)).await;
    assert_eq!((&report["store"]["rows"]["sessions"], report["store"].get("commitError")), (&json!(1), None), "reading goes on");
    assert!(stuck.answer().await.get("error").is_some());
    let report = until(&mut client, |report| report["store"].get("commitError").is_some()).await;
    assert!(advice(&report).contains(&"store.unwritable"), "{report:#}");
    drop(thief);
    client.call("session.update", json!({ "sessionID": session, "title": "new" })).await;
    let report = until(&mut client, |report| report["store"].get("commitError").is_none()).await;
    assert!(!advice(&report).contains(&"store.unwritable"), "{report:#}");
}
