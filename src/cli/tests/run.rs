//! `polytree run`.

use expect_test::expect;
use serde_json::{Value, json};

use super::fake::{
    Person, assistant, delta, error, event, id, idle, part, play, question, replied, ses, session, text, told, told_part, tool, turn, user,
    with,
};
use crate::cli::Exit;

fn done(prompt: &Value) -> Vec<Value> {
    vec![told(assistant("BA", prompt, Some(4200), Value::Null)), idle()]
}

/// A turn with everything in it.
fn rich(prompt: &Value) -> Vec<Value> {
    let mut events = vec![told_part(part("reasoning", "CA", "BA", json!({ "text": "", "time": { "start": 1 } })))];
    events.extend([delta("CA", "BA", "text", "I should look\nat the file"), delta("CA", "BA", "text", ".")]);
    events.extend(text("CB", "BA", &["I look at **the ", "file**."]));
    let read = json!({ "filePath": "/work/app/src/a.rs" });
    events.push(tool("CC", "BA", "read", "running", json!({ "input": read })));
    let make = json!({ "command": "make test" });
    events.push(tool("CD", "BA", "bash", "running", json!({ "input": make })));
    events.extend([delta("CD", "BA", "output", "one\ntw"), delta("CD", "BA", "output", "o\u{1b}[2J\n")]);
    events.push(tool("CC", "BA", "read", "completed", json!({ "input": read, "metadata": { "lines": 12 } })));
    let output: Vec<String> = (3..=25).map(|line| format!("{line}\n")).collect();
    events.push(delta("CD", "BA", "output", &output.concat()));
    events.push(tool("CD", "BA", "bash", "completed", json!({ "input": make, "output": "…", "metadata": { "exit": 2, "output": "…" } })));
    let change = json!({ "diff": "--- a\n+++ a\n@@ -1 +1 @@\n-old\n+new\n", "additions": 1, "deletions": 1 });
    events.push(tool(
        "CE",
        "BA",
        "edit",
        "completed",
        json!({ "input": { "filePath": "src/a.rs", "oldString": "old", "newString": "new" }, "metadata": change }),
    ));
    let retry = json!({ "type": "retry", "attempt": 1, "message": "the service is busy", "next": 0 });
    events.push(event("session.status", json!({ "sessionID": ses(), "status": retry })));
    events.push(told(assistant("BB", prompt, None, Value::Null)));
    events.extend(text("CF", "BB", &["Done:\n\n```rust\nfn a() {}\n```\n"]));
    events.push(told(assistant("BA", prompt, Some(2000), Value::Null)));
    events.push(told(assistant("BB", prompt, Some(4200), Value::Null)));
    events.push(idle());
    events
}

#[tokio::test]
async fn a_turn_on_a_terminal() {
    let seen = play(&["run", "fix", "it"], Person::at_terminal(), turn(rich)).await;
    expect![[r#"
        thinking: I should look
        at the file.

        I look at the file.

        ● read src/a.rs
        ● bash make test
          │ one
          │ two
          read src/a.rs: 12 lines
          bash make test:
          │ 3
          │ 4
          │ 5
          … 5 more lines
          │ 11
          │ 12
          │ 13
          │ 14
          │ 15
          │ 16
          │ 17
          │ 18
          │ 19
          │ 20
          │ 21
          │ 22
          │ 23
          │ 24
          │ 25
          exit code 2
        ● edit src/a.rs
          +1 -1
            @@ -1 +1 @@
            -old
            +new

        attempt 1 failed: the service is busy; trying again now

        Done:

          rust
            fn a() {}

        build · local/small · 2,400 tokens in, 68 out · $0.0024 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.exit, Exit::Done);
    assert_eq!(seen.methods(), "session.create project.current event.subscribe session.submit");
    assert_eq!(seen.params("session.submit")[0]["parts"], json!([{ "type": "text", "text": "fix it" }]));
    assert_eq!(seen.params("event.subscribe")[0]["sessionID"], ses());
}

#[tokio::test]
async fn only_the_answer_goes_through_a_pipe() {
    let person = Person { pipe: Some("a diff\n"), ..Person::default() };
    let seen = play(&["run", "review", "--model", "local/small", "--title", "T"], person, turn(rich)).await;
    expect![[r#"
        I look at **the file**.

        Done:

        ```rust
        fn a() {}
        ```
    "#]]
    .assert_eq(&seen.out);
    assert!(seen.err.contains("● read src/a.rs\n") && !seen.err.contains('\u{1b}'), "{}", seen.err);
    assert_eq!(seen.params("session.submit")[0]["parts"][0]["text"], "review\n\na diff\n");
    assert_eq!(seen.params("session.submit")[0]["model"]["modelID"], "small");
    assert_eq!(seen.params("session.create")[0]["title"], "T");
}

#[tokio::test]
async fn nothing_to_ask() {
    let seen = play(&["run"], Person::at_terminal(), turn(done)).await;
    assert_eq!((seen.exit, seen.methods()), (Exit::Usage, String::new()));
    assert!(seen.out.contains("error: nothing to ask"), "{}", seen.out);
}

fn abortable() -> impl super::fake::Script {
    let mut prompt = Value::Null;
    with(
        move |method: &str, params: &Value| match method {
            "session.submit" => {
                prompt = params["messageID"].clone();
                None
            }
            "session.abort" => {
                let aborted = json!({ "name": "MessageAbortedError", "data": { "message": "the turn was aborted" } });
                let state = json!({ "input": { "command": "sleep 99" }, "error": "aborted", "metadata": { "aborted": true } });
                let events = vec![tool("CB", "BA", "bash", "error", state), told(assistant("BA", &prompt, Some(1100), aborted)), idle()];
                Some((Ok(json!(true)), events))
            }
            _ => None,
        },
        turn(|_| {
            let mut events = text("CA", "BA", &["Wait."]);
            events.push(tool("CB", "BA", "bash", "running", json!({ "input": { "command": "sleep 99" } })));
            events
        }),
    )
}

#[tokio::test]
async fn ctrl_c_aborts_the_turn_and_keeps_the_session() {
    let person = Person { interrupts_at: vec!["sleep 99"], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, abortable()).await;
    expect![[r#"
        Wait.

        ● bash sleep 99

        aborting (Ctrl-C again to exit at once)

          bash sleep 99: aborted

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 0.1 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
        aborted; the session is kept: polytree run -s ses_01ARZ3NDEKTSV4RRFFQ69G5FAA …
    "#]]
    .assert_eq(&seen.out);
    assert_eq!((seen.exit, seen.params("session.abort").len()), (Exit::Interrupted, 1));
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_at_once() {
    let script = with(
        |method: &str, _: &Value| (method == "session.abort").then(|| (Ok(json!(true)), vec![])),
        turn(|_| vec![tool("CB", "BA", "bash", "running", json!({ "input": { "command": "sleep 99" } }))]),
    );
    let person = Person { interrupts_at: vec!["sleep 99", "aborting"], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, script).await;
    assert_eq!(seen.exit, Exit::Interrupted);
    assert!(seen.out.ends_with("aborting (Ctrl-C again to exit at once)\n"), "{}", seen.out);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_turn_quietly() {
    let person = Person { closes_at: Some("Wait."), ..Person::default() };
    let seen = play(&["run", "go"], person, abortable()).await;
    assert_eq!((seen.exit, seen.params("session.abort").len()), (Exit::Interrupted, 1));
    assert!(!seen.err.contains("error"), "{}", seen.err);
}

#[tokio::test]
async fn a_failing_model_is_told_with_its_hint() {
    let failed = json!({ "name": "ProviderAuthError", "data": { "message": "the key was refused\u{1b}[2J", "hint": "set LOCAL_KEY" } });
    let failing = move |prompt: &Value| vec![told(assistant("BA", prompt, Some(1000), failed.clone())), idle()];
    let seen = play(&["run", "go"], Person::default(), turn(failing)).await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Failed, ""));
    assert!(seen.err.ends_with("\nerror: the key was refused\nhint: set LOCAL_KEY\n"), "{}", seen.err);
}

#[tokio::test]
async fn a_refused_prompt_leaves_no_empty_session_behind() {
    let refusing = with(
        |method: &str, _: &Value| match method {
            "session.submit" => {
                let mut refused = error(1013, "config", "unknown key `modle`");
                refused["data"]["file"] = json!("/work/app/polytree.json");
                refused["data"]["line"] = json!(3);
                refused["data"]["hint"] = json!("did you mean `model`?");
                Some((Err(refused), vec![]))
            }
            "session.delete" => Some((Ok(json!(true)), vec![])),
            _ => None,
        },
        turn(done),
    );
    let seen = play(&["run", "--json", "go"], Person::default(), refusing).await;
    assert_eq!(seen.err, "error: /work/app/polytree.json:3: unknown key `modle`\nhint: did you mean `model`?\n");
    assert_eq!((seen.exit, seen.params("session.delete").len()), (Exit::Failed, 1));
    expect![[r#"
        {"type":"result","exitCode":1,"error":{"message":"unknown key `modle`","hint":"did you mean `model`?"}}
    "#]]
    .assert_eq(&seen.out);
}

#[tokio::test]
async fn json_has_every_event_and_a_result() {
    let seen = play(&["run", "--json", "go"], Person::default(), turn(|prompt| [text("CA", "BA", &["Hi"]), done(prompt)].concat())).await;
    let lines: Vec<Value> = seen.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    expect![[r#"message.updated message.updated message.part.updated message.part.delta message.part.updated message.updated session.idle result"#]]
        .assert_eq(&kinds.join(" "));
    expect![[
        r#"{"type":"result","sessionID":"ses_01ARZ3NDEKTSV4RRFFQ69G5FAA","messageID":"msg_01ARZ3NDEKTSV4RRFFQ69G5FBA","exitCode":0}"#
    ]]
    .assert_eq(&lines.last().unwrap().to_string());
    assert_eq!(seen.err, "");
}

#[tokio::test]
async fn a_lost_daemon_is_told() {
    let seen = play(&["run", "go"], Person::default(), turn(|_| vec![json!("hang up")])).await;
    assert_eq!(seen.exit, Exit::Unavailable);
    expect![[r#"
        error: the connection to the daemon was lost
        hint: the turn may go on: polytree sessions show ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.err);
}

#[tokio::test]
async fn a_queued_prompt_waits_for_its_own_turn() {
    let script = with(
        |method: &str, params: &Value| {
            if method != "session.submit" {
                return None;
            }
            let prompt = &params["messageID"];
            let queue = |ids: Value| event("session.queue.updated", json!({ "sessionID": ses(), "queue": ids }));
            let other = json!(id("msg", "XX"));
            let mut events = vec![told(assistant("YY", &other, None, Value::Null)), idle(), told(user(prompt)), queue(json!([prompt]))];
            events.extend(text("CX", "YY", &["of another prompt"]));
            events.extend([idle(), queue(json!([])), told(assistant("BA", prompt, None, Value::Null))]);
            events.extend(text("CA", "BA", &["Mine."]));
            events.extend(done(prompt));
            Some((Ok(json!({ "sessionID": ses(), "messageID": prompt, "queued": true })), events))
        },
        turn(done),
    );
    let seen = play(&["run", "--session", &ses(), "go"], Person::default(), script).await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Done, "Mine.\n"));
    assert!(seen.err.starts_with("the session is busy: the prompt waits for its turn\n"), "{}", seen.err);
}

#[tokio::test]
async fn long_texts_are_fetched_and_nothing_is_shown_twice() {
    let long = format!("{}END", "x".repeat(70_000));
    let whole = long.clone();
    let script = with(
        move |method: &str, _: &Value| {
            let text = part("text", "CA", "BA", json!({ "text": format!("Begin {whole} more"), "time": { "start": 1 } }));
            let answer = json!({ "info": assistant("BA", &json!(id("msg", "PP")), None, Value::Null), "parts": [text], "cursor": 6 });
            (method == "session.message").then(|| (Ok(answer), vec![]))
        },
        turn(move |prompt| {
            let at = |cursor: u64, mut event: Value| {
                event["cursor"] = cursor.into();
                event
            };
            let reference = json!({ "ref": "/delta", "bytes": long.len() });
            let mut left_out = delta("CA", "BA", "text", "");
            left_out["properties"]["delta"] = reference;
            let mut events = vec![
                at(3, told_part(part("text", "CA", "BA", json!({ "text": "", "time": { "start": 1 } })))),
                at(4, delta("CA", "BA", "text", "Begin ")),
                at(5, left_out),
                at(6, delta("CA", "BA", "text", " more")),
                at(7, delta("CA", "BA", "text", " and the rest")),
            ];
            events.extend(done(prompt));
            events
        }),
    );
    let seen = play(&["run", "go"], Person::default(), script).await;
    assert_eq!(seen.exit, Exit::Done, "{}", seen.err);
    assert_eq!(seen.out.replace(&"x".repeat(70_000), "…"), "Begin …END more and the rest\n");
}

#[tokio::test]
async fn a_child_works_and_asks() {
    let child = id("ses", "ZZ");
    let script = turn(move |prompt| {
        let mut info = session("ZZ", "look around");
        info["parentID"] = json!(ses());
        let mut call = tool("CZ", "ZM", "grep", "running", json!({ "input": { "pattern": "fn" } }));
        call["properties"]["part"]["sessionID"] = json!(child);
        let mut asked = question("DA", "make");
        asked["sessionID"] = json!(child);
        let task = json!({ "input": { "description": "look around" }, "subject": "look around" });
        let mut events = vec![tool("CA", "BA", "task", "running", task.clone()), event("session.created", json!({ "info": info })), call];
        events.extend([event("permission.asked", asked), replied("DA", "once"), tool("CA", "BA", "task", "completed", task)]);
        events.push(event("session.idle", json!({ "sessionID": child })));
        events.extend(done(prompt));
        events
    });
    let seen = play(&["run", "go"], Person::at_terminal(), script).await;
    expect![[r#"
        ● task look around
          ● grep fn

        ? bash
          asked by the subagent "look around"
            make
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead: 
        allowed elsewhere: bash: make

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.exit, Exit::Done);
}
