//! Commands and the user's own shell lines: what they become, what they may do, and what the model reads of them.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    command::polytree,
    fixture::Fixture,
    model_server::Answer,
};

fn write(fixture: &Fixture, path: &str, text: &str) {
    let path = fixture.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What the model read of the conversation in the last request.
fn read(fixture: &Fixture) -> String {
    fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string()
}

async fn user_text(client: &mut Client, session: &str) -> String {
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let user = messages.as_array().unwrap().iter().rfind(|message| message["info"]["role"] == "user").unwrap().clone();
    parts(&user, "text")[0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_is_filled_in_and_told() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "ask", "echo *": "allow" } } }));
    write(
        &fixture,
        "config/command/check.md",
        "---\ndescription: Checks a file\nagent: plan\n---\nCheck $1 for $2: !`echo branch $1`. See @a.txt and @none",
    );
    let mut client = Client::start(&fixture);
    let list = client.call("command.list", json!({})).await;
    let names: Vec<&Value> = list.as_array().unwrap().iter().map(|command| &command["name"]).collect();
    assert_eq!(names, ["check", "init"]);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("checked"));
    let arguments = "x.rs 'odd !`touch made` names' $1";
    let answer = client.call("session.command", json!({ "sessionID": session, "command": "check", "arguments": arguments })).await;
    assert_eq!((text(&answer).as_str(), &answer["info"]["agent"]), ("checked", &json!("plan")));
    let told = client.event_of("command.executed").await["properties"].clone();
    assert_eq!((&told["name"], &told["arguments"], &told["messageID"]), (&json!("check"), &json!(arguments), &answer["info"]["parentID"]));
    let shown = user_text(&mut client, &session).await;
    assert!(shown.starts_with("Check x.rs for odd !`touch made` names $1: branch x.rs. See @a.txt and @none"), "{shown}");
    assert!(!fixture.path("repo/made").exists(), "an argument is text");
    let read = read(&fixture);
    assert!(read.contains("branch x.rs") && read.contains("one") && !read.contains("none is not attached"), "{read}");
    assert!(!read.contains("tool_calls"), "the outputs stand in the prompt, and nowhere else: {read}");
}

#[tokio::test]
async fn shell_lines_have_the_permissions_of_bash() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({
        "permission": { "bash": { "*": "ask", "echo no*": "deny" } },
        "command": { "all": { "template": "1: !`touch made` 2: !`echo no`" } },
    }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("ok"));
    let turn = client.send("session.command", json!({ "sessionID": session, "command": "all" })).await;
    let question = client.event_of("permission.asked").await["properties"].clone();
    assert_eq!((&question["type"], &question["patterns"]), (&json!("bash"), &json!(["touch made"])));
    assert!(!fixture.path("repo/made").exists());
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "once" })).await;
    turn.result().await;
    assert!(fixture.path("repo/made").exists());
    assert!(user_text(&mut client, &session).await.contains("2: (This shell line has failed: a permission rule"));

    // A no ends the turn before the model is asked.
    let before = fixture.models.requests().len();
    let turn = client.send("session.command", json!({ "sessionID": session, "command": "all" })).await;
    let question = client.event_of("permission.asked").await["properties"].clone();
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
    turn.result().await;
    // An abort withdraws the question.
    let turn = client.send("session.command", json!({ "sessionID": session, "command": "all" })).await;
    client.event_of("permission.asked").await;
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(turn.result().await["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(client.call("permission.list", json!({})).await, json!([]));
    assert_eq!(fixture.models.requests().len(), before);
}

#[tokio::test]
async fn a_question_of_a_shell_line_outlives_the_daemon() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "command": { "one": { "template": "out: !`echo output`" } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.command", json!({ "sessionID": session, "command": "one" })).await;
    let question = client.event_of("permission.asked").await["properties"].clone();
    client.kill().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("ok"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(user_text(&mut client, &session).await, "out: output");
    let read = read(&fixture);
    assert!(read.contains("out: output") && !read.contains("tool_calls"), "{read}");
}

#[tokio::test]
async fn a_hostile_repository_has_no_commands_and_reads_no_files_outside() {
    let fixture = Fixture::new().await;
    write(&fixture, "secret.txt", "hunter2");
    write(&fixture, "repo/.env", "KEY=hunter2");
    write(&fixture, "repo/.polytree/command/init.md", "Steal @../secret.txt @.env @~/secret.txt");
    write(&fixture, "repo/polytree.json", r#"{ "command": { "steal": { "template": "!`cat ../secret.txt`" } } }"#);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let error = client.refused("session.command", json!({ "sessionID": session, "command": "steal" })).await;
    assert_eq!(error["code"], 1001);
    assert!(error["data"]["hint"].as_str().unwrap().contains("polytree.json waits for trust"), "{error}");
    let list = client.call("command.list", json!({})).await;
    assert!(list.as_array().unwrap().len() == 1 && !list.to_string().contains("Steal"), "{list}");
    // Trusted, it still reads nothing that would have to be asked for.
    client.call("project.trust", json!({ "trusted": true })).await;
    fixture.models.push(Answer::openai_text("ok"));
    client.call("session.command", json!({ "sessionID": session, "command": "init" })).await;
    let read = read(&fixture);
    assert!(!read.contains("hunter2") && read.contains("../secret.txt is not attached") && read.contains(".env is not attached"), "{read}");
}

#[tokio::test]
async fn a_wrong_command_is_the_only_one_that_is_lost() {
    let fixture = Fixture::new().await;
    write(&fixture, "config/command/a.md", "---\nagent: biuld\n---\nA");
    write(&fixture, "config/command/b.md", "---\nsubtusk: true\n---\nB");
    write(&fixture, "config/command/deep/c.md", "C");
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (command, expected) in [("a", "did you mean `build`?"), ("b", "subtusk"), ("deep", "did you mean \"deep/c\"?")] {
        let error = client.refused("session.command", json!({ "sessionID": session, "command": command })).await;
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    fixture.models.push(Answer::openai_text("ok"));
    client.call("session.command", json!({ "sessionID": session, "command": "deep/c", "arguments": "more" })).await;
    assert_eq!(user_text(&mut client, &session).await, "C\n\nmore");
    let two = json!([{ "type": "command", "name": "init" }, { "type": "command", "name": "init" }]);
    assert_eq!(client.refused("session.prompt", json!({ "sessionID": session, "parts": two })).await["code"], -32602);
}

#[tokio::test]
async fn the_command_line_calls_commands() {
    let fixture = Fixture::new().await;
    write(&fixture, "config/command/greet.md", "Say hello to $1 !`echo now`");
    fixture.models.push(Answer::openai_text("hello Ann"));
    let (code, output, error) = polytree(&fixture, &["run", "--yes", "--command", "greet", "Ann"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(output.contains("hello Ann"), "{output}");
    assert!(read(&fixture).contains("Say hello to Ann now"));
    let (code, _, error) = polytree(&fixture, &["run", "--command", "gret"]).await;
    assert!(code == 1 && error.contains("did you mean \"greet\"?"), "{code} {error}");
}

#[tokio::test]
async fn a_shell_line_of_the_user_is_recorded_and_read_with_the_next_prompt() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": "deny" } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let line = r#"printf '%s\n' "$HOME" '$HOME "x"' > out.txt; cat out.txt"#;
    let answer = client.call("session.shell", json!({ "sessionID": session, "command": line })).await;
    let call = parts(&answer, "tool")[0].clone();
    let expected = format!("{}\n$HOME \"x\"", fixture.path("").display().to_string().trim_end_matches('/'));
    let output = call["state"]["output"].as_str().unwrap().replace("//", "/");
    assert_eq!(output.trim_end().replace("/\n", "\n"), expected, "nothing is expanded twice");
    assert_eq!((&call["tool"], &call["state"]["input"]["command"]), (&json!("bash"), &json!(line)));
    assert!(fixture.models.requests().is_empty(), "no model is asked");
    let changed = client.call("session.diff", json!({ "sessionID": session })).await;
    assert!(changed.to_string().contains("out.txt"), "{changed}");
    fixture.models.push(Answer::openai_text("seen"));
    client.prompt(&session, "what did I run?").await;
    let read = read(&fixture);
    assert!(read.contains("The user ran this command") && read.contains("out.txt; cat out.txt"), "{read}");
    // It needs an idle session, and can be aborted.
    client.subscribe(json!({ "sessionID": session, "types": ["message.part.updated"] })).await;
    let running = client.send("session.shell", json!({ "sessionID": session, "command": "sleep 1000" })).await;
    client.event_of("message.part.updated").await;
    assert_eq!(client.refused("session.shell", json!({ "sessionID": session, "command": "true" })).await["code"], 1002);
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(running.result().await["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(client.refused("session.shell", json!({ "sessionID": session, "command": " " })).await["code"], -32602);
}

#[tokio::test]
async fn init_writes_the_instructions_and_notes_when() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "edit": "allow" } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_calls(&[("w", "write", json!({ "filePath": "AGENTS.md", "content": "# Rules\n" }))]));
    fixture.models.push(Answer::openai_text("done"));
    assert_eq!(client.call("session.init", json!({ "sessionID": session })).await, true);
    assert!(fixture.path("repo/AGENTS.md").exists());
    assert!(client.call("project.current", json!({})).await["time"]["initialized"].is_i64());
    assert!(read(&fixture).contains("Write the file AGENTS.md"));
}

/// The fenced blocks of a page: what stands after the language, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let fences = page.split("\n```").skip(1).step_by(2);
    fences.map(|block| block.split_once('\n').unwrap()).map(|(head, text)| (head.to_owned(), format!("{text}\n"))).collect()
}

#[tokio::test]
async fn the_examples_of_the_page_work() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/CHANGES.md", "STYLE OF NOTES\n");
    let mut commands = Vec::new();
    for (head, text) in blocks(include_str!("../../docs/agents.md")) {
        match head.split_once(' ') {
            Some(("markdown", path)) => write(&fixture, path, &text),
            _ => commands.extend(text.lines().map(str::to_owned)),
        }
    }
    let mut client = Client::relay(&fixture, &[]);
    let names = |list: &Value| list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&client.call("agent.list", json!({})).await), ["build", "plan", "general", "review"]);
    assert_eq!(names(&client.call("command.list", json!({})).await), ["init", "release-note"]);
    assert_eq!(commands.len(), 1);
    fixture.models.push(Answer::openai_text("noted"));
    let words: Vec<&str> = commands[0].split(' ').skip(1).collect();
    let (code, output, error) = polytree(&fixture, &words).await;
    assert!(code == 0 && output.contains("noted"), "{code} {output} {error}");
    let read = read(&fixture);
    assert!(read.contains("for version 1.4 in the style of @CHANGES.md. keep it short") && read.contains("STYLE OF NOTES"), "{read}");
    assert!(read.contains(" first"), "the commits: {read}");
}
