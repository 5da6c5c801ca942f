//! Child sessions that models start: one, several at once, in the background, again; what they may do, and how they end.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{
    client::{Client, parts, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, Recorded, openai},
};

/// The text of the first prompt of a request's conversation.
pub fn first_prompt(request: &Recorded) -> String {
    let messages = request.body["messages"].as_array().into_iter().flatten();
    messages.into_iter().find(|message| message["role"] == "user").map(|message| message["content"].to_string()).unwrap_or_default()
}

/// How many answers the model has given in the conversation.
fn answers(request: &Recorded) -> usize {
    request.body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "assistant").count()
}

/// In the conversation that begins with a text, the model answers so, one answer for each step.
pub fn says(fixture: &Fixture, begin: &'static str, said: impl IntoIterator<Item = Answer>) {
    let said: Vec<Answer> = said.into_iter().collect();
    fixture.models.rule(move |request| if first_prompt(request).contains(begin) { said.get(answers(request)).cloned() } else { None });
}

/// A call of the tool with a job for the agent `general`.
pub fn job(id: &str, prompt: &str) -> (String, Value) {
    (id.to_owned(), json!({ "description": format!("Do {prompt}"), "prompt": prompt, "subagent_type": "general" }))
}

pub fn calls(jobs: &[(String, Value)]) -> Answer {
    let calls: Vec<(&str, &str, Value)> = jobs.iter().map(|(id, input)| (id.as_str(), "task", input.clone())).collect();
    Answer::openai_calls(&calls)
}

fn with(mut job: (String, Value), field: &str, value: impl Into<Value>) -> (String, Value) {
    job.1[field] = value.into();
    job
}

pub fn bash(id: &str, command: &str) -> Answer {
    Answer::openai_calls(&[(id, "bash", json!({ "command": command, "description": "x" }))])
}

/// The last request of the conversation that begins with a text.
fn last_request(fixture: &Fixture, begin: &str) -> Value {
    fixture
        .models
        .requests()
        .into_iter()
        .rfind(|request| request.body["model"] == "main" && first_prompt(request).contains(begin))
        .unwrap()
        .body
}

fn tool_names(request: &Value) -> Vec<String> {
    request["tools"].as_array().into_iter().flatten().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

/// A session that needs no title, which would be another call of a model.
pub async fn titled(client: &mut Client) -> String {
    client.call("session.create", json!({ "title": "T" })).await["id"].as_str().unwrap().to_owned()
}

/// The tool parts of a session, in order.
pub async fn tools(client: &mut Client, session: &str) -> Vec<Value> {
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    messages.as_array().unwrap().iter().flat_map(|message| parts(message, "tool")).cloned().collect()
}

#[tokio::test]
async fn a_child_does_its_job_and_its_parent_reads_the_report() {
    let fixture = Fixture::new().await;
    says(&fixture, "ROOT", [calls(&[job("c", "FIND")]), Answer::openai_text("told")]);
    says(&fixture, "FIND", [Answer::openai_calls(&[("r", "read", json!({ "filePath": "a.txt" }))]), Answer::openai_text("three lines")]);
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    assert_eq!(text(&client.prompt(&session, "ROOT").await), "told");
    let part = tools(&mut client, &session).await.remove(0);
    let (state, metadata) = (part["state"].clone(), part["state"]["metadata"].clone());
    assert_eq!(
        (&state["status"], &metadata["status"], &part["subject"]),
        (&json!("completed"), &json!("finished"), &json!("Do FIND (@general)"))
    );
    assert_eq!((&metadata["agent"], &metadata["calls"], &metadata["model"]["modelID"]), (&json!("general"), &json!(1), &json!("main")));
    let child = metadata["sessionID"].as_str().unwrap();
    assert_eq!(state["output"], format!("<task_result task_id=\"{child}\" status=\"finished\">\nthree lines\n</task_result>"));
    assert!(last_request(&fixture, "ROOT")["messages"].to_string().contains("three lines"));
    let children = client.call("session.children", json!({ "sessionID": session })).await;
    assert_eq!((&children[0]["id"], &children[0]["title"]), (&json!(child), &json!("Do FIND (@general subagent)")));
    let task = &children[0]["task"];
    assert_eq!((&task["callID"], &task["messageID"], &task["caller"]), (&json!("c"), &part["messageID"], &json!("build")));
    assert_eq!(task["told"], true);
    // Two calls of the model for each, at a price of 1 and 2 for a million tokens.
    let of_child = json!({ "input": 20, "output": 10, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
    assert_eq!((&metadata["cost"], &metadata["tokens"]), (&json!(4e-5), &of_child));
    let root = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!((&root["cost"], &root["tokens"]["input"]), (&json!(8e-5), &json!(40)));
    let used = client.call("usage.list", json!({ "by": "model" })).await;
    assert_eq!(used[0]["cost"], json!(8e-5), "what a child has used is counted once: {used}");
    // The agent has tools of its own, and may start others.
    let offered = tool_names(&last_request(&fixture, "FIND"));
    assert!(offered.contains(&"task".to_owned()) && !offered.contains(&"todowrite".to_owned()), "{offered:?}");
    // What is offered names the agents.
    let root = last_request(&fixture, "ROOT");
    let tool = root["tools"].as_array().unwrap().iter().find(|tool| tool["function"]["name"] == "task").unwrap();
    let told = tool["function"]["description"].as_str().unwrap();
    assert!(told.contains("- general: ") && !told.contains("- build: ") && !told.contains("- plan: "), "{told}");
}

#[tokio::test]
async fn children_work_side_by_side_and_one_over_the_limit_is_refused() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "task": { "children": 9 } }));
    let names = ["J0", "J1", "J2", "J3", "J4", "J5", "J6", "J7", "J8", "J9"];
    let gates: HashMap<&str, Arc<Notify>> = names.iter().map(|name| (*name, Arc::default())).collect();
    for name in names {
        says(&fixture, name, [Answer::sse([openai::text(name), openai::finish("stop"), openai::DONE.to_owned()]).gate(0, &gates[name])]);
    }
    says(&fixture, "ROOT", [calls(&names.map(|name| job(name, name))), Answer::openai_text("end")]);
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "ROOT" })).await;
    // More than the calls of other tools that run at once.
    fixture.models.arrived(1 + 9).await;
    let first = tools(&mut client, &session).await;
    let running = first.iter().filter(|part| part["state"]["status"] == "running").count();
    assert_eq!(running, 9, "{first:#?}");
    gates.values().for_each(|gate| gate.notify_one());
    assert_eq!(text(&turn.result().await), "end");
    let last = tools(&mut client, &session).await;
    let refused: Vec<&Value> = last.iter().filter(|part| part["state"]["status"] == "error").collect();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0]["state"]["error"].as_str().unwrap().contains("9 are at work, which is the limit (setting `task.children`)"),
        "{}",
        refused[0]
    );
    for part in last.iter().filter(|part| part["state"]["status"] == "completed") {
        assert!(part["state"]["output"].as_str().unwrap().contains(part["callID"].as_str().unwrap()), "{part}");
    }
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
}

#[tokio::test]
async fn the_end_of_a_child_in_the_background_is_told_at_the_next_step() {
    let fixture = Fixture::new().await;
    let (child_gate, root_gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let list = Answer::openai_calls(&[("l", "list", json!({}))]).gate(0, &root_gate);
    let background = |id, name| with(job(id, name), "background", true);
    says(
        &fixture,
        "ROOT",
        [
            calls(&[background("c1", "SOON"), background("c2", "LATE")]),
            list,
            Answer::openai_text("bye"),
            Answer::openai_text("again"),
            Answer::openai_text("more"),
        ],
    );
    says(&fixture, "SOON", [Answer::openai_text("soon done")]);
    says(
        &fixture,
        "LATE",
        [Answer::sse([openai::text("late done"), openai::finish("stop"), openai::DONE.to_owned()]).gate(0, &child_gate)],
    );
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "ROOT" })).await;
    client.event(|event| event["type"] == "session.idle" && event["sessionID"] != session.as_str()).await;
    root_gate.notify_one();
    assert_eq!(text(&turn.result().await), "bye", "a turn does not wait for a child in the background");
    let sent = last_request(&fixture, "ROOT")["messages"].to_string();
    assert!(sent.contains("that you started in the background has ended: Do SOON") && sent.contains("soon done"), "{sent}");
    assert!(!sent.contains("late done"));
    let started = tools(&mut client, &session).await.remove(0)["state"].clone();
    assert_eq!(
        (&started["status"], &started["metadata"]["status"], &started["metadata"]["background"]),
        (&json!("completed"), &json!("running"), &json!(true))
    );
    // It may change files.
    let first = client.call("session.messages", json!({ "sessionID": session })).await[0]["info"]["id"].clone();
    let refused = client.refused("session.revert", json!({ "sessionID": session, "messageID": first })).await;
    assert_eq!(refused["data"]["kind"], "busy", "{refused}");
    child_gate.notify_one();
    client.event(|event| event["type"] == "session.idle" && event["sessionID"] != session.as_str()).await;
    assert_eq!(text(&client.prompt(&session, "and?").await), "again");
    assert!(last_request(&fixture, "ROOT")["messages"].to_string().contains("late done"));
    // It is told once, and stays in the conversation.
    assert_eq!(text(&client.prompt(&session, "and?").await), "more");
    let sent = last_request(&fixture, "ROOT")["messages"].to_string();
    assert_eq!((sent.matches("soon done").count(), sent.matches("late done").count()), (1, 1), "{sent}");
    let children = client.call("session.children", json!({ "sessionID": session })).await;
    assert!(children.as_array().unwrap().iter().all(|child| child["task"]["told"] == true && child["task"]["background"] == true));
}

#[tokio::test]
async fn a_child_goes_on_where_it_ended_and_unknown_ones_are_named() {
    let fixture = Fixture::new().await;
    says(&fixture, "FIND", [Answer::openai_text("first"), Answer::openai_text("second")]);
    fixture.models.rule(|request| {
        let (first, sent) = (first_prompt(request), request.body["messages"].to_string());
        if !first.contains("ROOT") {
            return None;
        }
        Some(match answers(request) {
            0 => calls(&[
                with(job("c0", "FIND"), "task_id", "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                with(job("c1", "FIND"), "subagent_type", "genral"),
                with(job("c2", "FIND"), "subagent_type", "build"),
            ]),
            1 => calls(&[job("c3", "FIND")]),
            2 => {
                let id = sent.split("task_id=\\\"").nth(1).unwrap();
                calls(&[with(job("c4", "more of it"), "task_id", &id[..30])])
            }
            _ => Answer::openai_text("end"),
        })
    });
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    assert_eq!(text(&client.prompt(&session, "ROOT").await), "end");
    let all = tools(&mut client, &session).await;
    let errors: Vec<&str> = all[..3].iter().map(|part| part["state"]["error"].as_str().unwrap()).collect();
    assert!(errors[0].contains("No child session of this one has the id ses_01ARZ3NDEKTSV4RRFFQ69G5FAV. There are none"), "{errors:#?}");
    assert!(errors[1].contains("\"genral\" does not exist") && errors[1].contains("Did you mean \"general\"?"), "{errors:#?}");
    assert!(errors[2].contains("\"build\" is for users only"), "{errors:#?}");
    let [first, second] = [&all[3], &all[4]].map(|part| part["state"].clone());
    assert_eq!(first["metadata"]["sessionID"], second["metadata"]["sessionID"]);
    assert!(second["output"].as_str().unwrap().contains("second"), "{second}");
    assert_eq!(second["metadata"]["cost"], json!(2e-5), "only what this call has used");
    assert_eq!(
        client.call("session.children", json!({ "sessionID": session })).await.as_array().unwrap().len(),
        1,
        "what could not start leaves nothing"
    );
    let sent = last_request(&fixture, "FIND")["messages"].to_string();
    assert!(sent.contains("first") && sent.contains("more of it"), "{sent}");
}

#[tokio::test]
async fn a_child_can_do_no_more_than_its_callers() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let write = || {
        Answer::openai_calls(&[
            ("w", "write", json!({ "filePath": "made", "content": "x" })),
            ("b", "bash", json!({ "command": "touch made", "description": "x" })),
            ("m", "bash", json!({ "command": "make it", "description": "x" })),
        ])
    };
    says(&fixture, "ROOT", [calls(&[job("c", "CHILD")]), Answer::openai_text("end")]);
    says(&fixture, "CHILD", [calls(&[job("d", "GRAND")]), write(), Answer::openai_text("no")]);
    says(&fixture, "GRAND", [write(), Answer::openai_text("no")]);
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    let prompt = json!({ "sessionID": session, "parts": "ROOT", "agent": "plan", "tools": { "grep": false }, "mode": "ask" });
    let turn = client.send("session.prompt", prompt).await;
    for name in ["Do GRAND", "Do CHILD"] {
        // The user allows everything, but plan asks for what does more than look.
        let asked = client.event_of("permission.asked").await["properties"].clone();
        assert!(asked["title"].as_str().unwrap().starts_with(&format!("{name} (@general subagent): ")), "{asked}");
        client
            .call(
                "permission.reply",
                json!({ "sessionID": asked["sessionID"], "permissionID": asked["id"], "response": "reject", "message": "no" }),
            )
            .await;
        let all = tools(&mut client, asked["sessionID"].as_str().unwrap()).await;
        let touched = all.iter().find(|part| part["subject"] == "touch made").unwrap();
        assert!(touched["state"]["error"].as_str().unwrap().contains("denies `edit`"), "{touched}");
    }
    assert_eq!(text(&turn.result().await), "end");
    assert!(!fixture.path("repo/made").exists());
    for name in ["CHILD", "GRAND"] {
        let offered = tool_names(&last_request(&fixture, name));
        assert!(["edit", "write", "grep"].iter().all(|tool| !offered.contains(&(*tool).to_owned())), "{name}: {offered:?}");
        assert!(offered.contains(&"read".to_owned()));
    }
    // In the agent that works the same child works.
    says(&fixture, "FREE", [calls(&[job("c", "WORK")]), Answer::openai_text("end")]);
    says(&fixture, "WORK", [write(), Answer::openai_text("made")]);
    let session = titled(&mut client).await;
    client.prompt(&session, "FREE").await;
    assert!(fixture.path("repo/made").exists());
}

#[tokio::test]
async fn questions_of_a_tree_are_asked_at_its_root_and_answered_there() {
    let fixture = Fixture::new().await;
    let both = |name: &str| {
        let command = json!({ "command": format!("echo {name} >> {name}"), "description": "x" });
        let below = job(
            "t",
            match name {
                "D1" => "D2",
                "D2" => "D3",
                _ => "none",
            },
        );
        let task = [("b", "bash", command), ("t", "task", below.1)];
        Answer::openai_calls(if name == "D3" { &task[..1] } else { &task })
    };
    says(&fixture, "ROOT", [calls(&[job("c", "D1")]), Answer::openai_text("end")]);
    for name in ["D1", "D2", "D3"] {
        says(&fixture, name, [both(name), Answer::openai_text(&format!("{name} is done"))]);
    }
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "ROOT" })).await;
    let mut asked = Vec::new();
    while asked.len() < 3 {
        asked.push(client.event_of("permission.asked").await["properties"].clone());
    }
    let open = client.call("permission.list", json!({ "sessionID": session })).await;
    assert_eq!(open.as_array().unwrap().len(), 3);
    let mut titles: Vec<&str> = asked.iter().map(|question| question["title"].as_str().unwrap()).collect();
    titles.sort_unstable();
    for (title, name) in titles.iter().zip(["D1", "D2", "D3"]) {
        assert!(title.starts_with(&format!("Do {name} (@general subagent): ")), "{title}");
    }
    assert!(!tool_names(&last_request(&fixture, "D3")).contains(&"task".to_owned()), "the depth has a limit");
    assert!(tool_names(&last_request(&fixture, "D2")).contains(&"task".to_owned()));
    for question in &asked {
        client
            .call("permission.reply", json!({ "sessionID": question["sessionID"], "permissionID": question["id"], "response": "once" }))
            .await;
    }
    assert_eq!(text(&turn.result().await), "end");
    for name in ["D1", "D2", "D3"] {
        assert_eq!(std::fs::read_to_string(fixture.path(&format!("repo/{name}"))).unwrap(), format!("{name}\n"));
    }
    let root = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!(root["cost"], json!(16e-5), "eight calls of the model in the whole tree");
    // A call deeper than the limit is refused, also if the model makes it all the same.
    let deepest = asked.iter().find(|question| question["title"].as_str().unwrap().starts_with("Do D3")).unwrap()["sessionID"].clone();
    fixture.models.push(calls(&[job("t", "D4")]));
    fixture.models.push(Answer::openai_text("so be it"));
    client.prompt(deepest.as_str().unwrap(), "deeper").await;
    assert_eq!(tools(&mut client, deepest.as_str().unwrap()).await.last().unwrap()["tool"], "invalid");
}

#[tokio::test]
async fn work_that_is_cut_off_is_partial_and_the_parent_goes_on() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "task": { "timeout": 300 } }));
    says(
        &fixture,
        "ROOT",
        [calls(&[job("c1", "ASKS"), job("c2", "FAILS"), job("c3", "HANGS"), job("c4", "ABORTED")]), Answer::openai_text("end")],
    );
    says(
        &fixture,
        "ASKS",
        [Answer::sse([
            openai::text("I run it"),
            openai::call(0, "b", "bash", &json!({ "command": "touch made", "description": "x" }).to_string()),
            openai::finish("tool_calls"),
            openai::DONE.to_owned(),
        ])],
    );
    says(&fixture, "FAILS", [Answer::json(400, &json!({ "error": { "message": "no such thing" } }))]);
    says(&fixture, "HANGS", [Answer::sse([openai::text("so far")]).hang()]);
    says(&fixture, "ABORTED", [bash("b", "touch made"), Answer::openai_text("never")]);
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "ROOT" })).await;
    for _ in 0..2 {
        let asked = client.event_of("permission.asked").await["properties"].clone();
        if asked["title"].as_str().unwrap().starts_with("Do ASKS") {
            client
                .call("permission.reply", json!({ "sessionID": asked["sessionID"], "permissionID": asked["id"], "response": "reject" }))
                .await;
        } else {
            client.call("session.abort", json!({ "sessionID": asked["sessionID"] })).await;
        }
    }
    assert_eq!(text(&turn.result().await), "end");
    let all = tools(&mut client, &session).await;
    let seen: Vec<(String, String, String)> = all
        .iter()
        .map(|part| {
            let metadata = &part["state"]["metadata"];
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (word(&part["state"]["status"]), word(&metadata["status"]), word(&metadata["reason"]))
        })
        .collect();
    let row = |state: &str, status: &str, reason: &str| (state.to_owned(), status.to_owned(), reason.to_owned());
    assert_eq!(seen[0], row("completed", "partial", "the user rejected its call of bash touch made"));
    assert_eq!((seen[1].0.as_str(), seen[1].1.as_str()), ("error", "failed"));
    assert!(seen[1].2.contains("no such thing"), "{:?}", seen[1]);
    assert_eq!(seen[2], row("completed", "partial", "it worked for longer than 0.3 seconds (setting `task.timeout`)"));
    assert_eq!(seen[3], row("completed", "partial", "it was aborted"));
    assert!(all[0]["state"]["output"].as_str().unwrap().contains("I run it"), "{}", all[0]);
    assert!(all[2]["state"]["output"].as_str().unwrap().contains("so far"), "{}", all[2]);
    assert!(!fixture.path("repo/made").exists());
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    assert_eq!(client.call("permission.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn the_jobs_of_a_prompt_are_done_before_the_model_answers() {
    let fixture = Fixture::new().await;
    says(&fixture, "What came of it?", [Answer::openai_text("both")]);
    says(&fixture, "ONE", [Answer::openai_text("one is done")]);
    says(&fixture, "TWO", [Answer::openai_text("two is done")]);
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    let part = |prompt: &str| json!({ "type": "subtask", "prompt": prompt, "description": "Do it", "agent": "general" });
    let mut second = part("TWO");
    second["model"] = json!({ "providerID": "test", "modelID": "main" });
    let prompt = json!({ "sessionID": session, "parts": [{ "type": "text", "text": "What came of it?" }, part("ONE"), second] });
    assert_eq!(text(&client.call("session.prompt", prompt).await), "both");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(
        (parts(&messages[0], "subtask").len(), parts(&messages[1], "tool").len(), messages[1]["info"]["finish"].clone()),
        (2, 2, json!("tool-calls"))
    );
    let request = last_request(&fixture, "What came of it?");
    let sent = request["messages"].to_string();
    assert!(sent.contains("one is done") && sent.contains("two is done") && sent.contains("The user had the agent"), "{sent}");
    assert!(
        !request["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool"),
        "no model has made these calls: {sent}"
    );
    for (agent, kind, told) in [("build", "invalid_params", "`primary`"), ("genral", "invalid_params", "genral")] {
        let mut wrong = part("x");
        wrong["agent"] = json!(agent);
        let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": [wrong] })).await;
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
        assert!(error["data"]["kind"] == kind || error["data"]["kind"] == "not_found", "{error}");
    }
}

#[tokio::test]
async fn the_command_line_names_the_child_that_asks() {
    let fixture = Fixture::new().await;
    says(&fixture, "ROOT", [calls(&[job("c", "FIND")]), Answer::openai_text("end")]);
    says(&fixture, "FIND", [bash("b", "touch made"), Answer::openai_text("made")]);
    let (code, out, err) = polytree(&fixture, &["run", "--yes", "ROOT"]).await;
    assert_eq!((code, out.as_str()), (0, "end\n"), "{err}");
    assert!(fixture.path("repo/made").exists());
    for told in ["task Do FIND (@general)", "bash touch made", "finished, 1 call"] {
        assert!(err.contains(told), "{told}: {err}");
    }
    assert!(err.contains("allowed:") && err.contains("Do FIND (@general subagent)"), "{err}");
}

#[tokio::test]
async fn the_example_of_the_documentation_is_understood() {
    let fixture = Fixture::new().await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/subagents.md")).unwrap();
    let example = page.split("```jsonc\n").nth(1).unwrap().split("```").next().unwrap();
    fixture.settings(&serde_json::from_str(example).unwrap());
    fixture.models.push(Answer::openai_text("ready"));
    let mut client = Client::start(&fixture);
    let session = titled(&mut client).await;
    client.prompt(&session, "ROOT").await;
    let request = last_request(&fixture, "ROOT");
    let tool = request["tools"].as_array().unwrap().iter().find(|tool| tool["function"]["name"] == "task").unwrap();
    assert!(tool["function"]["description"].as_str().unwrap().contains("- reviewer: Reviews a change"), "{tool}");
}
