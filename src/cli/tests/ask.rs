//! Questions of `polytree run`, and what a person answers.

use expect_test::expect;
use serde_json::{Value, json};

use super::fake::{Person, Reply, assistant, event, id, idle, play, question, replied, session, text, told, turn, with};
use crate::cli::Exit;

fn done(prompt: &Value) -> Vec<Value> {
    vec![told(assistant("BA", prompt, Some(4200), Value::Null)), idle()]
}

/// A turn in which a command waits for leave; the answer decides how it goes on.
fn asking(commands: &'static [(&'static str, &'static str)]) -> impl super::fake::Script {
    let mut open: Vec<&str> = commands.iter().map(|(letters, _)| *letters).collect();
    let mut prompt = Value::Null;
    let script = turn(move |_| commands.iter().map(|(letters, command)| event("permission.asked", question(letters, command))).collect());
    with(
        move |method: &str, params: &Value| -> Option<Reply> {
            if method == "session.submit" {
                prompt = params["messageID"].clone();
            }
            if method != "permission.reply" {
                return None;
            }
            let answered = commands.iter().find(|(letters, _)| params["permissionID"] == id("per", letters)).unwrap().0;
            open.retain(|letters| *letters != answered);
            let mut events = vec![replied(answered, params["response"].as_str().unwrap())];
            if open.is_empty() {
                events.extend(text("CA", "BA", &["The end."]));
                events.extend(done(&prompt));
            }
            Some((Ok(session("AA", "A title")), events))
        },
        script,
    )
}

#[tokio::test]
async fn questions_are_answered_at_the_terminal() {
    let person = Person { types: vec![Some("x"), Some("y"), Some("use make check")], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, asking(&[("DA", "make"), ("DB", "make all\nrm -rf /")])).await;
    expect![[r#"
        ? bash
            make
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead:   y       allow this once
          a       allow this in this project from now on: make *
          n       refuse; the turn ends
          n TEXT  refuse and tell the model TEXT; so does a sentence of several words
          [y]es, [a]lways, [n]o, or what to do instead: ? bash
            make all
            rm -rf /
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead: 
        The end.

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.out);
    // With a message for the model the turn goes on.
    assert_eq!(seen.exit, Exit::Done);
    let replies: Vec<_> =
        seen.params("permission.reply").iter().map(|params| format!("{} {}", params["response"], params["message"])).collect();
    assert_eq!(replies, [r#""once" null"#, r#""reject" "use make check""#]);
}

#[tokio::test]
async fn a_refusal_is_an_exit_code() {
    for (line, person, response) in [
        (vec!["run", "go"], Person { types: vec![Some("no")], ..Person::at_terminal() }, "reject"),
        (vec!["run", "go"], Person { types: vec![None], ..Person::at_terminal() }, "reject"),
        (vec!["run", "go"], Person::default(), "reject"),
        (vec!["run", "go", "--yes"], Person::default(), "once"),
        (vec!["run", "go", "--yes"], Person::at_terminal(), "once"),
        (vec!["run", "go"], Person { types: vec![Some("a")], ..Person::at_terminal() }, "always"),
    ] {
        let seen = play(&line, person, asking(&[("DA", "make")])).await;
        assert_eq!(seen.params("permission.reply")[0]["response"], response, "{line:?} {}", seen.out);
        assert_eq!(seen.exit, if response == "reject" { Exit::Refused } else { Exit::Done }, "{line:?}");
    }
}

#[tokio::test]
async fn yes_is_no_answer_to_what_a_rule_may_deny() {
    let mut doubtful = question("DA", "$A x");
    doubtful["metadata"]["denies"] = json!(["rm *"]);
    let mut prompt = Value::Null;
    let script = with(
        move |method: &str, params: &Value| -> Option<Reply> {
            if method == "session.submit" {
                prompt = params["messageID"].clone();
            }
            let events = [vec![replied("DA", "reject")], text("CA", "BA", &["Then not."]), done(&prompt)].concat();
            (method == "permission.reply").then(|| (Ok(session("AA", "A title")), events))
        },
        turn(move |_| vec![event("permission.asked", doubtful.clone())]),
    );
    let seen = play(&["run", "go", "--yes"], Person::default(), script).await;
    assert_eq!(seen.params("permission.reply")[0]["response"], "reject");
    assert!(seen.err.starts_with("refused: bash: $A x\n"), "{}", seen.err);
    assert_eq!(seen.exit, Exit::Done);
}

#[tokio::test]
async fn without_a_terminal_the_refusal_is_told() {
    let seen = play(&["run", "go"], Person::default(), asking(&[("DA", "make")])).await;
    expect![[r#"
        refused: bash: make
        hint: there is no terminal to ask; to allow it, use --yes, or this in your settings:
          {"permission":{"bash":{"make *":"allow"}}}
        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.err);
    assert_eq!(seen.out, "The end.\n");
}

#[tokio::test]
async fn somebody_else_answers_first() {
    let script = turn(|prompt| {
        let mut events = vec![event("permission.asked", question("DA", "make")), replied("DA", "once")];
        events.extend(text("CA", "BA", &["Made."]));
        events.extend(done(prompt));
        events
    });
    let seen = play(&["run", "go"], Person::at_terminal(), script).await;
    expect![[r#"
        ? bash
            make
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead: 
        allowed elsewhere: bash: make

        Made.

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.out);
    assert_eq!((seen.exit, seen.params("permission.reply").len()), (Exit::Done, 0));
}

#[tokio::test]
async fn questions_that_were_open_before_are_asked_too() {
    let script = with(
        |method: &str, _: &Value| (method == "permission.list").then(|| (Ok(json!([question("DA", "make")])), vec![])),
        asking(&[("DA", "make")]),
    );
    let person = Person { types: vec![Some("y")], ..Person::at_terminal() };
    let seen = play(&["run", "--continue", "go"], person, script).await;
    assert_eq!((seen.exit, seen.params("permission.reply").len()), (Exit::Done, 1), "{}", seen.out);
    assert_eq!(
        seen.methods(),
        "session.list project.current event.subscribe permission.list question.list session.submit permission.reply"
    );
    assert_eq!(seen.params("session.list")[0], &json!({ "scope": "directory", "directory": "/work/app" }));
}

#[tokio::test]
async fn ctrl_c_takes_an_open_question_back() {
    let mut prompt = Value::Null;
    let script = with(
        move |method: &str, params: &Value| match method {
            "session.submit" => {
                prompt = params["messageID"].clone();
                None
            }
            "session.abort" => {
                let aborted = json!({ "name": "MessageAbortedError", "data": { "message": "the turn was aborted" } });
                Some((Ok(json!(true)), vec![replied("DA", "aborted"), told(assistant("BA", &prompt, Some(1100), aborted)), idle()]))
            }
            _ => None,
        },
        turn(|_| vec![event("permission.asked", question("DA", "make"))]),
    );
    let person = Person { interrupts_at: vec!["what to do instead"], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, script).await;
    expect![[r#"
        ? bash
            make
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead: 
        aborting (Ctrl-C again to exit at once)

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 0.1 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
        aborted; the session is kept: polytree run -s ses_01ARZ3NDEKTSV4RRFFQ69G5FAA …
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.exit, Exit::Interrupted);
}

#[tokio::test]
async fn a_word_of_assent_never_refuses() {
    for (typed, response, message) in
        [("sure", "once", Value::Null), ("yes please", "once", Value::Null), ("n use make check", "reject", json!("use make check"))]
    {
        let person = Person { types: vec![Some(typed)], ..Person::at_terminal() };
        let seen = play(&["run", "go"], person, asking(&[("DA", "make")])).await;
        let reply = seen.params("permission.reply")[0];
        assert_eq!((&reply["response"], &reply["message"]), (&json!(response), &message), "{typed}");
    }
}

#[tokio::test]
async fn what_is_not_certain_is_explained_and_asked_again() {
    let person = Person { types: vec![Some("?"), Some("yes, but only once a day"), Some("y")], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, asking(&[("DA", "make")])).await;
    expect![[r#"
        ? bash
            make
          always would allow: make *
          [y]es, [a]lways, [n]o, or what to do instead:   y       allow this once
          a       allow this in this project from now on: make *
          n       refuse; the turn ends
          n TEXT  refuse and tell the model TEXT; so does a sentence of several words
          [y]es, [a]lways, [n]o, or what to do instead:   y       allow this once
          a       allow this in this project from now on: make *
          n       refuse; the turn ends
          n TEXT  refuse and tell the model TEXT; so does a sentence of several words
          [y]es, [a]lways, [n]o, or what to do instead: 
        The end.

        build · local/small · 1,200 tokens in, 34 out · $0.0012 · 3.2 s
        ses_01ARZ3NDEKTSV4RRFFQ69G5FAA
    "#]]
    .assert_eq(&seen.out);
    assert_eq!(seen.params("permission.reply").len(), 1);
}

#[tokio::test]
async fn a_long_change_is_shown_whole_before_it_is_allowed() {
    let lines: String = (1..=300).map(|line| format!("+line {line}\n")).collect();
    let mut asked = question("DA", "");
    asked["type"] = json!("edit");
    asked["title"] = json!("Create a.txt");
    asked["patterns"] = json!(["a.txt"]);
    asked["metadata"] = json!({ "diff": format!("--- a.txt\n+++ a.txt\n@@ -0,0 +1,300 @@\n{lines}") });
    let mut prompt = Value::Null;
    let script = with(
        move |method: &str, params: &Value| -> Option<Reply> {
            if method == "session.submit" {
                prompt = params["messageID"].clone();
            }
            let events = [vec![replied("DA", "once")], done(&prompt)].concat();
            (method == "permission.reply").then(|| (Ok(session("AA", "A title")), events))
        },
        turn(move |_| vec![event("permission.asked", asked.clone())]),
    );
    let person = Person { types: vec![Some("v"), Some("y")], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, script).await;
    let (before, after) = seen.out.split_once("[v]iew all, or what to do instead: ").unwrap();
    assert!(before.contains("+line 199\n") && !before.contains("+line 200\n") && before.contains("… 101 more lines"), "{before}");
    assert!(after.contains("+line 1\n") && after.contains("+line 300\n") && !after.contains("more lines"), "{after}");
    assert_eq!((seen.exit, seen.params("permission.reply").len()), (Exit::Done, 1));
}

/// A turn in which the model asks; the answer decides how it goes on.
fn inquiring() -> impl super::fake::Script {
    let item = json!({ "header": "Store", "question": "Which?", "options": [{ "label": "SQLite", "description": "one file" }, { "label": "Postgres", "description": "" }] });
    let asked = json!({ "id": id("que", "QA"), "sessionID": super::fake::ses(), "messageID": id("msg", "BA"), "callID": "c", "questions": [item], "time": { "created": 1 } });
    let mut prompt = Value::Null;
    let script = turn(move |_| vec![event("question.asked", asked.clone())]);
    with(
        move |method: &str, params: &Value| -> Option<Reply> {
            if method == "session.submit" {
                prompt = params["messageID"].clone();
            }
            if !["question.reply", "question.reject"].contains(&method) {
                return None;
            }
            let outcome = if method == "question.reply" { "answered" } else { "rejected" };
            let replied = json!({ "sessionID": super::fake::ses(), "questionID": id("que", "QA"), "outcome": outcome, "answers": params.get("answers") });
            let mut events = vec![event("question.replied", replied)];
            events.extend(text("CA", "BA", &["The end."]));
            events.extend(done(&prompt));
            Some((Ok(session("AA", "A title")), events))
        },
        script,
    )
}

#[tokio::test]
async fn a_question_of_the_model_is_answered_at_the_terminal() {
    let person = Person { types: vec![Some("7"), Some("2")], ..Person::at_terminal() };
    let seen = play(&["run", "go"], person, inquiring()).await;
    assert!(
        seen.out.contains("? Store: Which?\n   1  SQLite  one file\n   2  Postgres\n  1-2, [n]o answer:   choose by number, from 1 to 2"),
        "{}",
        seen.out
    );
    assert_eq!(seen.params("question.reply")[0]["answers"], json!([["Postgres"]]));
    assert_eq!(seen.exit, Exit::Done);

    let seen = play(&["run", "go"], Person { types: vec![Some("n")], ..Person::at_terminal() }, inquiring()).await;
    assert!(seen.params("question.reject")[0].get("message").is_none());
    assert_eq!(seen.exit, Exit::Done);
}

#[tokio::test]
async fn without_a_person_the_model_is_told_so() {
    for line in [&["run", "go"][..], &["run", "--yes", "go"]] {
        let seen = play(line, Person::default(), inquiring()).await;
        assert!(seen.params("question.reject")[0]["message"].as_str().unwrap().contains("no person"), "{line:?}");
        assert!(seen.err.contains("not answered: question: Store"), "{}", seen.err);
        assert_eq!(seen.exit, Exit::Done, "{line:?}");
    }
}
