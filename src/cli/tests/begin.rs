//! How `polytree run` begins: what it says before the turn, and prompts that are sent again.

use expect_test::expect;
use serde_json::{Value, json};

use super::fake::{Person, Reply, assistant, error, event, id, idle, part, play, ses, session, told, turn, user, with};
use crate::cli::Exit;

fn done(prompt: &Value) -> Vec<Value> {
    vec![told(assistant("BA", prompt, Some(4200), Value::Null)), idle()]
}

fn project(pending: &[&str]) -> Value {
    json!({ "id": id("prj", "AA"), "worktree": "/work/app", "trusted": true, "pending": pending, "time": { "created": 1, "updated": 1 } })
}

#[tokio::test]
async fn files_that_wait_for_trust_are_told_in_one_line() {
    for (pending, told) in [
        (&["polytree.json"][..], "polytree.json waits for trust: polytree trust --list\n"),
        (&["polytree.json", ".polytree/agent/a.md"], "polytree.json and .polytree/agent/a.md wait for trust: polytree trust --list\n"),
        (&["polytree.json", "b", "c\u{1b}[8m"], "polytree.json and 2 other files wait for trust: polytree trust --list\n"),
        (&[], "build ·"),
    ] {
        let script = with(move |method: &str, _: &Value| (method == "project.current").then(|| (Ok(project(pending)), vec![])), turn(done));
        let seen = play(&["run", "go"], Person::default(), script).await;
        assert!(seen.err.starts_with(told), "{}", seen.err);
        assert_eq!(seen.params("project.current")[0]["directory"], "/work/app");
    }
}

#[tokio::test]
async fn without_a_session_here_the_last_one_of_the_project_is_named() {
    let script = |elsewhere: Value| {
        move |method: &str, params: &Value| -> Reply {
            match method {
                "session.list" => (Ok(if params["scope"] == "project" { elsewhere.clone() } else { json!([]) }), vec![]),
                _ => (Err(error(-32601, "method_not_found", method)), vec![]),
            }
        }
    };
    let mut other = session("AB", "Fix the\u{1b}[8m parser");
    other["time"]["updated"] = json!(crate::stdx::time::now_ms());
    let seen = play(&["run", "-c", "go"], Person::default(), script(json!([other]))).await;
    expect![[r#"
        error: there is no session in this directory to go on with
        hint: the last session of this project is "Fix the parser", just now, in /work/app
          polytree run -s ses_01ARZ3NDEKTSV4RRFFQ69G5FAB …
    "#]]
    .assert_eq(&seen.err);
    let seen = play(&["run", "-c", "go"], Person::default(), script(json!([]))).await;
    assert!(seen.exit == Exit::Failed && seen.err.ends_with("hint: leave out --continue to begin one\n"), "{}", seen.err);
}

#[tokio::test]
async fn whoever_attaches_an_image_for_a_model_that_sees_none_is_told() {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("shot.png");
    std::fs::write(&image, "x").unwrap();
    let models = |sees: bool| {
        let model = json!({
            "id": "small", "name": "S", "attachment": sees, "reasoning": false, "temperature": true, "tool_call": true,
            "cost": { "input": 0, "output": 0 }, "limit": { "context": 0, "output": 0 },
        });
        json!({ "providers": [{ "id": "local", "name": "L", "env": [], "api": "openai", "models": { "small": model } }], "default": {}, "connected": ["local"] })
    };
    for (sees, line) in
        [(false, vec!["run", "look", "--file", image.to_str().unwrap()]), (true, vec!["run", "look", "--file", image.to_str().unwrap()])]
    {
        let script = with(move |method: &str, _: &Value| (method == "provider.list").then(|| (Ok(models(sees)), vec![])), turn(done));
        let seen = play(&line, Person::default(), script).await;
        let told = seen.err.starts_with("warning: local/small does not support images: such attachments are not sent\n");
        assert_eq!((told, seen.exit), (!sees, Exit::Done), "{}", seen.err);
    }
    let seen = play(&["run", "look"], Person::default(), turn(done)).await;
    assert!(seen.params("provider.list").is_empty());
}

/// A session with an answered prompt and one that came meanwhile.
fn with_a_prompt_that_is(state: &str) -> impl super::fake::Script {
    let (first, second) = (json!(id("msg", "PA")), json!(id("msg", "PB")));
    let mut waiting = user(&second);
    waiting["state"] = json!(state);
    let messages = json!([
        { "info": user(&first), "cursor": 1, "parts": [part("text", "CA", "PA", json!({ "text": "one" }))] },
        { "info": waiting, "cursor": 1, "parts": [
            part("text", "CB", "PB", json!({ "text": "two" })),
            part("text", "CC", "PB", json!({ "text": "added", "synthetic": true })),
            part("file", "CD", "PB", json!({ "mime": "text/plain", "filename": "a", "url": "file:///a" })),
        ] },
        { "info": assistant("BA", &first, Some(2), Value::Null), "cursor": 1, "parts": [part("text", "CE", "BA", json!({ "text": "first" }))] },
    ]);
    with(move |method: &str, _: &Value| (method == "session.messages").then(|| (Ok(messages.clone()), vec![])), turn(done))
}

#[tokio::test]
async fn a_cancelled_prompt_is_sent_again() {
    let seen = play(&["run", "-c", "--again"], Person::default(), with_a_prompt_that_is("cancelled")).await;
    assert_eq!(seen.exit, Exit::Done, "{}", seen.err);
    let sent = seen.params("session.submit")[0];
    assert_eq!(
        sent["parts"],
        json!([{ "type": "text", "text": "two" }, { "type": "file", "mime": "text/plain", "filename": "a", "url": "file:///a" }])
    );
    assert_eq!((&sent["agent"], &sent["model"]["modelID"]), (&json!("build"), &json!("small")));
    // What may still have its turn is not sent twice.
    let seen = play(&["run", "-c", "--again"], Person::default(), with_a_prompt_that_is("queued")).await;
    assert_eq!((seen.exit, seen.params("session.submit").len()), (Exit::Failed, 0), "{}", seen.err);
    let seen = play(&["run", "--again"], Person::default(), turn(done)).await;
    assert_eq!((seen.exit, seen.methods()), (Exit::Usage, String::new()), "{}", seen.err);
}

#[tokio::test]
async fn answers_stand_below_their_prompts() {
    let session_id = ses();
    let shown = async |status: &str| {
        let seen = play(&["sessions", "show", &session_id], Person::default(), with_a_prompt_that_is(status)).await;
        seen.out.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>()
    };
    expect![[r#"

        > one

        first

        > two

          attached: a (text/plain)

          cancelled; send again: polytree run -s ses_01ARZ3NDEKTSV4RRFFQ69G5FAA --again
    "#]]
    .assert_eq(&shown("cancelled").await);
    assert!(shown("queued").await.contains("\n  waits for its turn\n"));
}

#[tokio::test]
async fn whoever_waits_in_the_queue_is_told_that_the_prompt_was_cancelled() {
    let script = with(
        |method: &str, params: &Value| {
            if method != "session.submit" {
                return None;
            }
            let prompt = &params["messageID"];
            let queue = |ids: Value| event("session.queue.updated", json!({ "sessionID": ses(), "queue": ids }));
            let mut cancelled = user(prompt);
            cancelled["state"] = json!("cancelled");
            let events = vec![told(user(prompt)), queue(json!([prompt])), queue(json!([])), told(cancelled)];
            Some((Ok(json!({ "sessionID": ses(), "messageID": prompt, "queued": true })), events))
        },
        turn(done),
    );
    let seen = play(&["run", "--session", &ses(), "go"], Person::default(), script).await;
    expect![[r"
        the session is busy: the prompt waits for its turn
        error: the prompt was cancelled before its turn began
        hint: to send it again: polytree run -s ses_01ARZ3NDEKTSV4RRFFQ69G5FAA --again
    "]]
    .assert_eq(&seen.err);
    assert_eq!(seen.exit, Exit::Failed);
}
