//! Agents from files: which count, what a wrong one does, and how a plan becomes work.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, openai},
};

fn write(fixture: &Fixture, path: &str, text: &str) {
    let path = fixture.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn files_of_a_project_count_when_it_is_trusted_and_the_nearest_wins() {
    let fixture = Fixture::new().await;
    write(&fixture, "config/agent/review.md", "---\ndescription: mine\nmodel: test/small\n---\nMine.");
    write(&fixture, "repo/.polytree/agents/review.md", "---\nmode: primary\ntools:\n  bash: off\n---\nOuter.");
    write(&fixture, "repo/below/.polytree/agent/review.md", "Nearest.");
    write(&fixture, "repo/.polytree/agent/build.md", "---\npermission: allow\n---\nDo whatever you want.");
    let mut client = Client::start(&fixture);
    let below = json!({ "directory": fixture.path("repo/below") });
    let agents = client.call("agent.list", below.clone()).await;
    let find = |agents: &Value, name: &str| agents.as_array().unwrap().iter().find(|agent| agent["name"] == name).unwrap().clone();
    assert_eq!(find(&agents, "review")["prompt"], "Mine.");
    assert_eq!(find(&agents, "build")["permission"], json!([]), "an untrusted project changes nothing");
    client.call("project.trust", json!({ "trusted": true, "directory": fixture.path("repo/below") })).await;
    let review = find(&client.call("agent.list", below.clone()).await, "review");
    assert_eq!((&review["prompt"], &review["description"], &review["mode"]), (&json!("Nearest."), &json!("mine"), &json!("primary")));
    assert_eq!((&review["model"]["modelID"], &review["tools"]["bash"]), (&json!("small"), &json!(false)));
    let files = ["config/agent/review.md", "repo/.polytree/agents/review.md", "repo/below/.polytree/agent/review.md"];
    assert_eq!(review["sources"], json!(files.map(|file| fixture.path(file))));
    // A change needs trust again.
    write(&fixture, "repo/below/.polytree/agent/review.md", "Changed.");
    assert_eq!(find(&client.call("agent.list", below).await, "review")["prompt"], "Outer.");
}

#[tokio::test]
async fn a_wrong_file_disables_its_agent_alone_and_the_error_names_what_was_meant() {
    let fixture = Fixture::new().await;
    write(&fixture, "config/agent/odd.md", "---\ndescription: d\ntools:\n  baash: false\n---\nOdd.");
    write(&fixture, "config/agent/bomb.md", &format!("---\na: &a [{}]\n---\n", "x,".repeat(100_000)));
    write(&fixture, "config/agent/fine.md", "Fine.");
    let mut client = Client::start(&fixture);
    assert_eq!(names(&client.call("agent.list", json!({})).await), ["build", "plan", "general", "fine"]);
    let session = client.session().await;
    let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x", "agent": "odd" })).await;
    assert_eq!(
        (&error["code"], &error["data"]["file"], &error["data"]["line"]),
        (&json!(1013), &json!(fixture.path("config/agent/odd.md")), &json!(3))
    );
    assert!(error["message"].as_str().unwrap().contains("did you mean `bash`?"), "{error}");
    let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x", "agent": "fien" })).await;
    assert!(error["message"].as_str().unwrap().contains("did you mean \"fine\"?"), "{error}");
    fixture.models.push(Answer::openai_text("works"));
    let answer = client.call("session.prompt", json!({ "sessionID": session, "parts": "x", "agent": "fine" })).await;
    assert_eq!(text(&answer), "works");
    let sources = client.call("config.sources", json!({})).await;
    let wrong = |name: &str| {
        sources["files"].as_array().unwrap().iter().any(|file| file["path"].as_str().unwrap().ends_with(name) && file["error"].is_string())
    };
    assert!(wrong("odd.md") && wrong("bomb.md") && !wrong("fine.md"), "{sources}");
    client.end().await;

    // The rules of a wrong file are never lost: nobody can use the agent that it is about.
    write(&fixture, "config/agent/strict.md", "---\nname: build\npermission: {edit: deny\n---\n");
    let mut client = Client::start(&fixture);
    assert_eq!(client.refused("session.prompt", json!({ "parts": "x" })).await["code"], 1013);
}

#[tokio::test]
async fn the_doctor_says_which_file_wins_and_which_is_wrong() {
    let fixture = Fixture::new().await;
    write(&fixture, "config/agent/review.md", "Mine.");
    write(&fixture, "config/agent/odd.md", "---\nmode: both\n---\n");
    write(&fixture, "config/command/lint.md", "Run the linter.");
    fixture.settings(&json!({ "agent": { "review": { "description": "d" } } }));
    let (code, page, _) = polytree(&fixture, &["doctor"]).await;
    let line = page.lines().find(|line| line.contains("agent review")).unwrap();
    let winner = line.find("config/agent/review.md").unwrap();
    assert!(line.find("over").unwrap() > winner && line.find("config/polytree.json").unwrap() > winner, "{line}");
    assert!(page.contains("command lint") && page.contains("odd.md:2:7"), "{page}");
    assert_eq!(code, 1, "a wrong file is a problem");
}

#[tokio::test]
async fn a_plan_is_shown_and_carried_out_after_a_yes() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let exit = |plan: &str| Answer::openai_calls(&[("p", "plan_exit", json!({ "plan": plan }))]);
    fixture.models.push(exit("1. Write b.txt"));
    fixture.models.push(exit("1. Write c.txt"));
    fixture.models.push(Answer::openai_calls(&[("w", "write", json!({ "filePath": "c.txt", "content": "done\n" }))]));
    fixture.models.push(Answer::openai_text("finished"));
    // No mode answers it.
    let prompt = json!({ "sessionID": session, "parts": "make it so", "agent": "plan", "mode": "all" });
    let turn = client.send("session.prompt", prompt).await;
    for (response, plan) in [("reject", "1. Write b.txt"), ("once", "1. Write c.txt")] {
        let question = client.event_of("permission.asked").await["properties"].clone();
        assert_eq!((&question["type"], &question["metadata"]["plan"]), (&json!("plan"), &json!(plan)));
        let mut reply = json!({ "sessionID": session, "permissionID": question["id"], "response": response });
        if response == "reject" {
            reply["message"] = json!("call it c");
        }
        client.call("permission.reply", reply).await;
    }
    let answer = turn.result().await;
    assert_eq!((text(&answer).as_str(), &answer["info"]["agent"]), ("finished", &json!("build")));
    assert_eq!(std::fs::read_to_string(fixture.path("repo/c.txt")).unwrap(), "done\n");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let agents: Vec<&Value> = messages.as_array().unwrap().iter().map(|message| &message["info"]["agent"]).collect();
    assert_eq!(agents, ["build", "plan", "plan", "build", "build"]);
    assert_eq!(client.call("session.get", json!({ "sessionID": session })).await["agent"], "build");
    let sent: Vec<Value> =
        fixture.models.requests().into_iter().map(|request| request.body).filter(|body| body["model"] == "main").collect();
    let tools = |body: &Value| body["tools"].to_string();
    assert!(tools(&sent[0]).contains("plan_exit") && !tools(&sent[0]).contains("\"write\""), "plan cannot change files");
    assert!(!tools(&sent[2]).contains("plan_exit") && tools(&sent[2]).contains("\"write\""));
    assert!(sent[1]["messages"].to_string().contains("call it c") && sent[2]["messages"].to_string().contains("Plan mode is off"));
}

#[tokio::test]
async fn nobody_but_a_person_approves_a_plan() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "plan": "allow", "edit": "allow" } }));
    fixture.models.push(Answer::openai_calls(&[("p", "plan_exit", json!({ "plan": "1. Write b.txt" }))]));
    fixture.models.push(Answer::openai_text("the plan"));
    let (code, output, _) = polytree(&fixture, &["run", "--yes", "--agent", "plan", "do it"]).await;
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("the plan"), "{output}");
    let mut client = Client::relay(&fixture, &[]);
    let sessions = client.call("session.list", json!({})).await;
    let messages = client.call("session.messages", json!({ "sessionID": sessions[0]["id"] })).await;
    assert!(messages.as_array().unwrap().iter().all(|message| message["info"]["agent"] == "plan"));
    assert_eq!(parts(&messages[1], "tool")[0]["state"]["status"], "error");
}

#[tokio::test]
async fn instructions_below_are_read_with_the_first_file_there() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/AGENTS.md", "TOP RULE");
    write(&fixture, "repo/lib/CLAUDE.md", "LIB RULE");
    write(&fixture, "repo/lib/deep/AGENTS.md", "DEEP RULE");
    write(&fixture, "repo/lib/deep/x.rs", "fn x() {}\n");
    write(&fixture, "repo/lib/y.rs", "fn y() {}\n");
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let read = |path: &str| Answer::openai_calls(&[("r", "read", json!({ "filePath": path }))]);
    for path in ["a.txt", "lib/deep/x.rs", "lib/y.rs"] {
        fixture.models.push(read(path));
    }
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "read them").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let loaded: Vec<Value> = messages
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| parts(message, "tool"))
        .map(|part| part["state"]["metadata"]["loaded"].clone())
        .collect();
    let files = json!(["repo/lib/deep/AGENTS.md", "repo/lib/CLAUDE.md"].map(|file| fixture.path(file)));
    assert_eq!(loaded, [Value::Null, files, Value::Null], "each once");
    let sent = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string();
    assert_eq!((sent.matches("TOP RULE").count(), sent.matches("DEEP RULE").count()), (1, 1));
    let heading = format!("Instructions from {}:", fixture.path("repo/lib/CLAUDE.md").display());
    assert!(sent.contains(&heading), "each is headed by its path");
}

#[tokio::test]
async fn a_turn_ends_before_the_step_that_would_exceed_what_may_be_spent() {
    let fixture = Fixture::new().await;
    // A step costs 1000 * 1 + 1000 * 2 dollars for a million tokens.
    let step = |answer: &str| {
        let frames = [openai::text(answer), openai::finish("stop"), openai::usage(1000, 1000)];
        Answer::sse(frames.into_iter().chain(["data: [DONE]\n\n".to_owned()]))
    };
    for (spend, limit, other_is_refused) in [("session", "session", false), ("day", "day", true)] {
        fixture.settings(&json!({ "spend": { spend: 0.004 } }));
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        if limit == "session" {
            for text in ["one", "two"] {
                fixture.models.push(step(text));
                client.prompt(&session, "go on").await;
            }
        }
        let answer = client.prompt(&session, "go on").await;
        let error = &answer["info"]["error"];
        assert_eq!((&error["name"], &error["data"]["limit"]), (&json!("SpendLimitError"), &json!(limit)), "{answer}");
        assert!((error["data"]["spent"].as_f64().unwrap() - 0.006).abs() < 0.001, "{error}");
        if limit == "session" {
            let refused = client.refused("session.compact", json!({ "sessionID": session })).await;
            assert!(refused["message"].as_str().unwrap().contains("the limit in the settings"), "{refused}");
        }
        let other = client.session().await;
        if !other_is_refused {
            fixture.models.push(Answer::openai_text("fine"));
            assert_eq!(text(&client.prompt(&other, "x").await), "fine");
        }
        client.end().await;
    }
}
