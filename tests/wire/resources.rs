//! Limited resources: file descriptors and memory.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use serde_json::json;

use polytree::{
    serve::local::{Hello, NotGreeted},
    stdx::paths::AbsPath,
};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn the_daemon_takes_all_descriptors_that_it_may_have_and_its_programs_do_not() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let mut client = Client::start_within(&fixture, "ulimit -Sn 200");
    let session = client.session().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", client.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1].min(65_536), "{line}");
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "ulimit -Sn; ulimit -Hn", "description": "x" }))]));
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "go").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let output = parts(&messages[1], "tool")[0]["state"]["output"].as_str().unwrap().to_owned();
    assert!(output.starts_with(&format!("200\n{}\n", numbers[1])), "{output}");
}

#[tokio::test]
async fn without_descriptors_prompts_are_refused_as_unavailable_and_nothing_is_mistaken() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("before"));
    client.prompt(&session, "1").await;
    let projects = client.call("project.list", json!({})).await.as_array().unwrap().len();
    client.exhaust_descriptors(true);
    for (method, params) in
        [("session.submit", json!({ "sessionID": session, "parts": "2" })), ("session.create", json!({})), ("project.current", json!({}))]
    {
        let refused = client.refused(method, params).await;
        assert_eq!(refused["data"]["kind"], "unavailable", "{method}: {refused}");
        assert!(refused["data"]["retryAfter"].is_number() && refused["data"]["hint"].as_str().unwrap().contains("ulimit"), "{refused}");
    }
    client.exhaust_descriptors(false);
    fixture.models.push(Answer::openai_text("after"));
    assert_eq!(text(&client.prompt(&session, "3").await), "after");
    assert_eq!(client.call("project.list", json!({})).await.as_array().unwrap().len(), projects, "no other project was taken for it");
}

/// The private dirty memory of the process, in MiB.
fn dirty(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn what_a_large_prompt_or_answer_took_is_given_back() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "auto": false } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("warm"));
    client.prompt(&session, "1").await;
    let before = dirty(client.pid());
    fixture.models.push(Answer::openai_text("short"));
    client.prompt(&session, &"z".repeat(29_000_000)).await;
    let until = Instant::now() + Duration::from_secs(30);
    while dirty(client.pid()) > before + 5 {
        assert!(Instant::now() < until, "{} MiB before, {} MiB half a minute later", before, dirty(client.pid()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn newcomers_leave_descriptors_for_those_that_are_here() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let mut client = Client::start_within(&fixture, "ulimit -n 64");
    let session = client.session().await;
    let hello = Hello::new(AbsPath::new(fixture.path("repo")).as_ref(), std::collections::BTreeMap::default());
    let mut others = Vec::new();
    let refused = loop {
        match Client::greet(&fixture, &hello).await {
            Ok(other) => others.push(other),
            Err(NotGreeted::Refused(error)) => break error,
            Err(error) => panic!("{error}"),
        }
        assert!(others.len() < 64, "nobody is refused");
    };
    assert!(others.len() > 10 && refused.hint().is_some_and(|hint| hint.contains("ulimit")), "{} {refused}", others.len());
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo ran", "description": "x" }))]));
    fixture.models.push(Answer::openai_text("done"));
    assert_eq!(text(&client.prompt(&session, "go").await), "done");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(parts(&messages[1], "tool")[0]["state"]["output"], "ran\n");
    drop(others);
    while Client::greet(&fixture, &hello).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_long_answer_took_is_given_back() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("warm"));
    client.prompt(&session, "1").await;
    let before = dirty(client.pid());
    let pieces = (0..200).map(|number| openai::text(&number.to_string().repeat(50_000 / 3)));
    let end = [openai::finish("stop"), openai::usage(10, 5), openai::DONE.to_owned()];
    fixture.models.push(Answer::sse(pieces.chain(end)));
    client.prompt(&session, "2").await;
    let until = Instant::now() + Duration::from_secs(30);
    while dirty(client.pid()) > before + 5 {
        assert!(Instant::now() < until, "{} MiB before, {} MiB half a minute later", before, dirty(client.pid()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
