//! The other commands.

use expect_test::expect;
use serde_json::{Value, json};

use super::fake::{Person, Reply, Seen, assistant, error, id, part, play, session, user};
use crate::cli::Exit;

async fn ask(line: &[&str], person: Person, answers: Vec<(&'static str, Value)>) -> Seen {
    play(line, person, move |method: &str, _: &Value| -> Reply {
        match answers.iter().find(|(name, _)| *name == method) {
            Some((_, answer)) if answer.get("code").is_some() => (Err(answer.clone()), vec![]),
            Some((_, answer)) => (Ok(answer.clone()), vec![]),
            None => (Err(error(-32601, "method_not_found", method)), vec![]),
        }
    })
    .await
}

#[tokio::test]
async fn sessions_are_listed() {
    let now = crate::stdx::time::now_ms();
    let with = |letters, title, age: i64| {
        let mut session = session(letters, title);
        session["time"]["updated"] = json!(now - age * 60_000);
        session
    };
    let mut child = with("AB", "A child\u{1b}[2J", 61);
    child["parentID"] = json!(id("ses", "AA"));
    let list = json!([with("AA", "First", 1), child]);
    let seen = ask(&["sessions", "list", "--search", "i"], Person::default(), vec![("session.list", list.clone())]).await;
    expect![[r#"
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA  1 min ago  First
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAB  1 h ago    A child (of a subagent)
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.params("session.list")[0], &json!({ "scope": "project", "search": "i", "limit": 20, "directory": "/work/app" }));
    let seen = ask(&["sessions", "list", "--all", "--json"], Person::default(), vec![("session.list", list)]).await;
    assert_eq!((seen.out.lines().count(), &seen.params("session.list")[0]["scope"]), (2, &json!("all")));
    let seen = ask(&["sessions", "list"], Person::default(), vec![("session.list", json!([]))]).await;
    assert_eq!((seen.out.as_str(), seen.exit), ("", Exit::Done));
    assert!(seen.err.starts_with("no sessions in this project"));
}

#[tokio::test]
async fn a_conversation_is_shown() {
    let prompt = json!(id("msg", "PA"));
    let failed = json!({ "name": "APIError", "data": { "message": "busy", "hint": "wait" } });
    let make = json!({ "status": "completed", "input": { "command": "make" }, "output": "built\n", "title": "", "metadata": { "exit": 1, "output": "built\n" }, "time": { "start": 1 } });
    let messages = json!([
        { "info": user(&prompt), "cursor": 1, "parts": [
            part("text", "CA", "PA", json!({ "text": "make it\nnow\n" })),
            part("text", "CB", "PA", json!({ "text": "internal", "synthetic": true })),
            part("file", "CC", "PA", json!({ "mime": "text/plain", "filename": "a.rs", "url": "file:///a.rs" })),
        ] },
        { "info": assistant("BA", &prompt, Some(2), failed), "cursor": 1, "parts": [
            part("reasoning", "CD", "BA", json!({ "text": "hm\n", "time": { "start": 1 } })),
            part("text", "CE", "BA", json!({ "text": "I **make** it.\u{1b}[2J\n" })),
            part("tool", "CF", "BA", json!({ "callID": "c", "tool": "bash", "subject": "make", "state": make })),
        ] },
    ]);
    let answers = || vec![("session.get", session("AA", "A title")), ("session.messages", messages.clone())];
    let session_id = id("ses", "AA");
    let seen = ask(&["sessions", "show", &session_id], Person::at_terminal(), answers()).await;
    let shown = seen.out.lines().enumerate().filter(|(line, _)| *line != 1).map(|(_, line)| format!("{line}\n")).collect::<String>();
    expect![[r#"
        A title

        > make it
        > now

          attached: a.rs (text/plain)

        thinking: hm

        I make it.

        ● bash make
          │ built
          exit code 1

        error: busy
        hint: wait
    "#]]
    .assert_eq(&shown);
    let seen = ask(&["sessions", "show", "--json", &session_id], Person::default(), answers()).await;
    let lines: Vec<Value> = seen.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["title"], &lines[2]["parts"][2]["tool"]), (3, &json!("A title"), &json!("bash")));
}

#[tokio::test]
async fn sessions_are_deleted_only_when_that_is_wanted() {
    let session_id = id("ses", "AA");
    let answers = || vec![("session.get", session("AA", "A title")), ("session.delete", json!(true))];
    let typing = |line| Person { types: vec![Some(line)], ..Person::at_terminal() };
    let line = ["sessions", "delete", session_id.as_str()];
    for (person, exit, deleted) in [(typing("y"), Exit::Done, 1), (typing(""), Exit::Interrupted, 0), (Person::default(), Exit::Usage, 0)] {
        let seen = ask(&line, person, answers()).await;
        assert_eq!((seen.exit, seen.params("session.delete").len()), (exit, deleted), "{}", seen.out);
    }
    let seen = ask(&["sessions", "delete", "--yes", &session_id, &session_id], Person::default(), answers()).await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Done, "deleted ses_01ARZ3NDEKTSV4RRFFQ69G5FAA  A title\n"));
    let missing = vec![("session.get", error(1001, "not_found", "no session ses_…"))];
    let seen = ask(&["sessions", "delete", "--yes", &session_id], Person::default(), missing).await;
    assert_eq!((seen.exit, seen.err.as_str()), (Exit::Failed, "error: no session ses_…\n"));
}

#[tokio::test]
async fn models_say_what_is_missing() {
    let model = |context: u64, input: f64| {
        json!({
            "id": "m", "name": "M", "attachment": true, "reasoning": false, "temperature": true, "tool_call": true,
            "cost": { "input": input, "output": input * 5.0 }, "limit": { "context": context, "output": 0 },
        })
    };
    let provider =
        |id: &str, env: Value, models: Value| json!({ "id": id, "name": id.to_uppercase(), "env": env, "api": "openai", "models": models });
    let found = json!({
        "providers": [
            provider("far", json!(["FAR_KEY", "FAR_TOKEN"]), json!({ "big": model(1_048_576, 3.0) })),
            provider("local", json!([]), json!({ "a/b": model(131_072, 0.0), "tiny": model(0, 0.25) })),
        ],
        "default": { "local": "tiny" },
        "connected": ["local"],
        "used": { "providerID": "local", "modelID": "a/b" },
    });
    let seen = ask(&["models"], Person::default(), vec![("provider.list", found.clone())]).await;
    expect![[r#"
        local (LOCAL) connected
          local/a/b   131k context               images  used
          local/tiny                $0.25/$1.25  images  default
        far (FAR) not connected: set one of FAR_KEY, FAR_TOKEN, or run `polytree auth login far`
        Prices in US dollars for a million tokens, read and written.
    "#]]
    .assert_eq(&seen.out);
    let seen = ask(&["models", "--all", "--json"], Person::default(), vec![("provider.list", found)]).await;
    let lines: Vec<Value> = seen.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["used"].as_bool(), lines[1]["used"].as_bool()), (Some(true), Some(false)));
    assert_eq!(
        (lines.len(), &lines[1]["default"], &lines[2]["model"], &lines[2]["connected"]),
        (3, &json!(true), &json!("far/big"), &json!(false))
    );
}

#[tokio::test]
async fn models_of_servers_here_prices_and_problems_are_shown() {
    let model = json!({
        "id": "m", "name": "M", "attachment": false, "documents": true, "reasoning": true, "temperature": true, "tool_call": true,
        "cost": { "input": 2, "output": 10.5, "cache_read": 0.25 }, "limit": { "context": 1_050_000, "output": 128_000 },
    });
    let found = json!({
        "providers": [
            { "id": "groq", "name": "Groq", "env": ["GROQ_API_KEY"], "api": "openai", "key": "stored", "models": { "m": model } },
            { "id": "vllm", "name": "vLLM\u{1b}[8m", "env": [], "api": "openai", "local": true, "models": {} },
        ],
        "default": { "groq": "m" }, "connected": ["groq", "vllm"],
        "catalog": { "source": "fetched", "asOf": "2026-11-27", "url": "https://models.example/api.json" },
        "problems": ["the key store is damaged"],
    });
    let seen = ask(&["models"], Person::default(), vec![("provider.list", found.clone())]).await;
    expect![[r#"
        groq (Groq) connected by the stored key
          groq/m  1.0M context, 128k answer  $2/$10.5, cached $0.25  thinks, documents  default
        vllm (vLLM) runs on this machine; used when one of its models is named
          it serves no model
        Prices in US dollars for a million tokens, read and written; fetched on 2026-11-27 from https://models.example/api.json.
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.err, "warning: the key store is damaged\n");
    let seen = ask(&["models", "grok"], Person::default(), vec![("provider.list", found)]).await;
    assert_eq!((seen.exit, seen.params("provider.list")[0]["all"].clone()), (Exit::Usage, json!(true)));
    assert!(seen.err.contains("the nearest is `groq`"), "{}", seen.err);
}

#[tokio::test]
async fn a_key_is_handed_over_and_what_comes_before_it_is_told() {
    let providers = json!({ "providers": [{ "id": "groq", "name": "Groq", "env": [], "api": "openai", "models": {} }], "default": {}, "connected": [] });
    let keys = json!([{ "providerID": "groq", "name": "Groq", "keys": [{ "source": "environment", "variable": "GROQ_API_KEY" }, { "source": "stored" }] }]);
    let answers = || vec![("provider.list", providers.clone()), ("auth.set", json!(true)), ("auth.list", keys.clone())];
    let typed = Person { types: vec![Some("groq"), Some(" sk-typed ")], ..Person::at_terminal() };
    let seen = ask(&["auth", "login"], typed, answers()).await;
    assert_eq!(seen.params("auth.set")[0], &json!({ "providerID": "groq", "type": "api", "key": "sk-typed" }));
    assert!(seen.out.contains("GROQ_API_KEY in the environment is used before it") && !seen.out.contains("sk-typed"), "{}", seen.out);
    let piped = Person { pipe: Some("sk-piped\n"), ..Person::default() };
    let seen = ask(&["auth", "login", "groq"], piped, answers()).await;
    assert_eq!((seen.exit, &seen.params("auth.set")[0]["key"]), (Exit::Done, &json!("sk-piped")));
    let nothing = Person { types: vec![Some("groq"), None], ..Person::at_terminal() };
    let seen = ask(&["auth", "login"], nothing, answers()).await;
    assert_eq!((seen.exit, seen.params("auth.set").len()), (Exit::Interrupted, 0));
    let seen = ask(&["auth", "list"], Person::default(), vec![("auth.list", keys)]).await;
    assert_eq!(seen.out, "groq  Groq  GROQ_API_KEY in the environment  before the stored key\n");
}

fn project(top: &str, trusted: bool, pending: &[&str]) -> Value {
    json!({ "id": id("prj", "AA"), "worktree": top, "trusted": trusted, "pending": pending, "time": { "created": 1, "updated": 1 } })
}

#[tokio::test]
async fn trust_names_the_files() {
    let answers =
        || vec![("project.current", project("/work/app", false, &["polytree.json"])), ("project.trust", project("/work/app", true, &[]))];
    let seen = ask(&["trust"], Person::default(), answers()).await;
    assert_eq!(seen.out, "/work/app is trusted, and with it:\n  polytree.json\n");
    assert_eq!(seen.params("project.trust")[0], &json!({ "trusted": true, "directory": "/work/app" }));
    let seen = ask(&["trust", "--remove"], Person::default(), answers()).await;
    assert_eq!(seen.out, "/work/app is not trusted any more\n");
    assert_eq!(seen.params("project.trust")[0]["trusted"], false);
}

#[tokio::test]
async fn what_waits_for_trust_can_be_read_first() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("polytree.json"), "{\n  \"plugin\": [\"evil\u{1b}[8m\"]\n}\n").unwrap();
    let top = place.path().to_str().unwrap();
    let paths = json!({ "home": "/", "config": "/", "data": "/", "worktree": top, "directory": top });
    let answers = vec![("project.current", project(top, false, &["polytree.json", "gone.json"])), ("path.get", paths)];
    let seen = ask(&["trust", "--list"], Person::default(), answers).await;
    expect![[r#"
        TOP is not trusted

        polytree.json
            {
              "plugin": ["evil\u{1b}[8m"]
            }

        gone.json
            No such file or directory (os error 2)
    "#]]
    .assert_eq(&seen.out.replace(top, "TOP"));
    assert_eq!(seen.methods(), "project.current path.get");
}

#[tokio::test]
async fn a_daemon_that_does_not_serve_is_an_exit_code() {
    let seen = ask(&["models"], Person::default(), vec![("provider.list", error(1009, "unavailable", "shutting down"))]).await;
    assert_eq!((seen.exit, seen.err.as_str()), (Exit::Unavailable, "error: shutting down\n"));
}
