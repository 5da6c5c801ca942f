//! Projects: one identity for all worktrees, and settings that apply from the next call on.

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::Answer,
};

#[tokio::test]
async fn worktrees_share_a_project_and_clones_do_not() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    fixture.git(".", &["clone", "-q", "repo", "clone"]);
    let mut client = Client::start(&fixture);
    let mut project = async |directory: &str| client.call("project.init", json!({ "directory": fixture.path(directory) })).await;
    let (main, linked, clone) = (project("repo").await, project("linked").await, project("clone").await);
    assert_eq!(main["id"], linked["id"]);
    assert_ne!(main["id"], clone["id"]);
    assert_eq!(linked["worktree"], fixture.path("repo").to_str().unwrap());
    assert_eq!(fixture.git("repo", &["status", "--porcelain"]), "", "the user's tree is not touched");
    let paths = client.call("path.get", json!({ "directory": fixture.path("linked") })).await;
    assert_eq!(paths["worktree"], fixture.path("linked").to_str().unwrap());
    let session = client.call("session.create", json!({ "directory": fixture.path("linked") })).await;
    let listed = client.call("session.list", json!({ "directory": fixture.path("repo") })).await;
    assert_eq!(listed[0]["id"], session["id"], "the project's sessions, in all its worktrees");
    let here = client.call("session.list", json!({ "directory": fixture.path("repo"), "scope": "directory" })).await;
    assert_eq!(here, json!([]));
    let wrong = client.refused("session.get", json!({ "sessionID": session["id"], "directory": fixture.path("clone") })).await;
    assert_eq!(wrong["data"]["kind"], "not_found");
}

#[tokio::test]
async fn a_mere_read_writes_nothing_and_a_move_changes_nothing() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let id_file = fixture.path("repo/.git/polytree-id");
    let before = client.call("project.current", json!({})).await;
    client.call("session.list", json!({})).await;
    assert!(!id_file.exists());
    let session = client.session().await;
    assert_eq!(std::fs::read_to_string(&id_file).unwrap().trim(), before["id"]);
    std::fs::rename(fixture.path("repo"), fixture.path("moved")).unwrap();
    let gone = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!(gone["missing"], true);
    let refused = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x" })).await;
    assert_eq!((&refused["data"]["kind"], refused["data"]["directory"].is_string()), (&json!("not_found"), true));
    client.call("session.messages", json!({ "sessionID": session })).await;
    let after = client.call("project.current", json!({ "directory": fixture.path("moved") })).await;
    assert_eq!(after["id"], before["id"]);
    let moved = client.call("session.get", json!({ "sessionID": session })).await;
    assert_eq!(moved["directory"], fixture.path("moved").to_str().unwrap());
    fixture.models.push(Answer::openai_text("here"));
    assert_eq!(text(&client.prompt(&session, "x").await), "here");
}

#[tokio::test]
async fn every_spelling_is_the_same_directory_and_bad_ones_are_refused() {
    let fixture = Fixture::new().await;
    std::os::unix::fs::symlink(fixture.path("repo"), fixture.path("alias")).unwrap();
    std::fs::create_dir(fixture.path("plain")).unwrap();
    let mut client = Client::start_in(&fixture, "plain");
    let repo = fixture.path("repo").to_str().unwrap().to_owned();
    let expected = client.call("project.current", json!({ "directory": repo })).await["id"].clone();
    for spelling in
        [format!("{repo}/"), format!("{repo}/../repo/."), fixture.path("alias").to_str().unwrap().to_owned(), "~/repo".to_owned()]
    {
        assert_eq!(client.call("path.get", json!({ "directory": spelling })).await["directory"], repo, "{spelling}");
        assert_eq!(client.call("project.current", json!({ "directory": spelling })).await["id"], expected, "{spelling}");
    }
    for (directory, code) in [("repo", -32602), ("", -32602), ("/no/such/place", 1001)] {
        assert_eq!(client.refused("project.current", json!({ "directory": directory })).await["code"], code, "{directory:?}");
    }
    let file = fixture.path("repo/a.txt");
    assert_eq!(client.refused("project.current", json!({ "directory": file })).await["code"], 1001);
    // The default directory is where the client has started the process; a directory outside git is a project, too.
    let plain = client.call("project.current", json!({})).await;
    assert_eq!((plain["worktree"].as_str().unwrap(), plain.get("vcs")), (fixture.path("plain").to_str().unwrap(), None));
}

#[tokio::test]
async fn projects_are_made_named_and_listed_by_use() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let made = client.call("project.init", json!({ "directory": fixture.path("new/deep"), "git": true })).await;
    assert_eq!(made["vcs"], "git");
    assert!(fixture.path("new/deep/.git").is_dir());
    client.subscribe(json!({ "types": ["project.updated"] })).await;
    let named = client.call("project.update", json!({ "directory": fixture.path("new/deep"), "name": "Deep" })).await;
    assert_eq!(named["name"], "Deep");
    assert_eq!(client.event_of("project.updated").await["properties"]["info"]["name"], "Deep");
    std::fs::remove_dir_all(fixture.path("new")).unwrap();
    let list = client.call("project.list", json!({})).await;
    let deep = list.as_array().unwrap().iter().find(|project| project["id"] == made["id"]).unwrap();
    assert_eq!(deep["missing"], true);
}

#[tokio::test]
async fn settings_are_read_at_each_call_and_an_error_is_never_kept() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    std::fs::write(fixture.path("config/polytree.json"), "{\n  \"modle\": \"test/main\"\n}").unwrap();
    let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x" })).await;
    assert_eq!((&error["code"], &error["data"]["line"]), (&json!(1013), &json!(2)), "{error}");
    assert!(error["message"].as_str().unwrap().contains("model"), "it names the nearest key: {error}");
    for (method, params) in [
        ("session.get", json!({ "sessionID": session })),
        ("session.list", json!({})),
        ("session.messages", json!({ "sessionID": session })),
    ] {
        client.call(method, params).await;
    }
    assert_eq!(client.refused("config.get", json!({})).await["code"], 1013);
    fixture.settings(&json!({}));
    fixture.models.push(Answer::openai_text("mended"));
    assert_eq!(text(&client.prompt(&session, "x").await), "mended");
    let shown = client.call("config.get", json!({})).await;
    assert!(!shown.to_string().contains("secret-key"), "{shown}");
    let providers = client.call("provider.list", json!({})).await;
    assert!(!providers.to_string().contains("secret-key"));
    assert!(providers["connected"].as_array().unwrap().contains(&json!("test")), "{providers}");
}

#[tokio::test]
async fn agents_and_tools_are_listed() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let agents = client.call("agent.list", json!({})).await;
    let names: Vec<&Value> = agents.as_array().unwrap().iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["build", "plan", "general"]);
    let tools = client.call("tool.list", json!({})).await;
    let mut names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["id"].as_str().unwrap()).collect();
    names.sort_unstable();
    let all = [
        "bash",
        "edit",
        "glob",
        "grep",
        "list",
        "patch",
        "process",
        "question",
        "read",
        "task",
        "todoread",
        "todowrite",
        "webfetch",
        "write",
    ];
    assert_eq!(names, all);
    let session = client.session().await;
    let error = client.refused("session.prompt", json!({ "sessionID": session, "parts": "x", "agent": "biuld" })).await;
    assert!(error["message"].as_str().unwrap().contains("build"), "{error}");
    let error = client
        .refused("session.prompt", json!({ "sessionID": session, "parts": "x", "model": { "providerID": "test", "modelID": "mian" } }))
        .await;
    assert!(error["message"].as_str().unwrap().contains("main"), "{error}");
}

#[tokio::test]
async fn lists_and_events_name_the_files_that_wait_for_trust() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("repo/below")).unwrap();
    std::fs::write(fixture.path("repo/polytree.json"), "{}").unwrap();
    std::fs::write(fixture.path("repo/below/polytree.json"), "{}").unwrap();
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["project.updated"] })).await;
    client.session().await;
    assert_eq!(client.event_of("project.updated").await["properties"]["info"]["pending"], json!(["polytree.json"]));
    assert_eq!(client.call("project.list", json!({})).await[0]["pending"], json!(["polytree.json"]));
    // Open directories count, too.
    client.call("project.current", json!({ "directory": fixture.path("repo/below") })).await;
    let both = json!(["polytree.json", "below/polytree.json"]);
    assert_eq!(client.call("project.list", json!({})).await[0]["pending"], both);
    let trust = json!({ "trusted": true, "directory": fixture.path("repo/below") });
    client.call("project.trust", trust).await;
    let trusted = |info: &Value| info["trusted"] == true && info.get("pending").is_none();
    client.event(|event| trusted(&event["properties"]["info"])).await;
    assert!(trusted(&client.call("project.list", json!({})).await[0]));
    std::fs::write(fixture.path("repo/polytree.json"), "{ }").unwrap();
    assert_eq!(client.call("project.list", json!({})).await[0]["pending"], json!(["polytree.json"]), "a changed file waits again");
    client.call("project.trust", json!({ "trusted": false })).await;
    client.event(|event| event["properties"]["info"]["trusted"] == false && event["properties"]["info"]["pending"].is_array()).await;
}

#[tokio::test]
async fn a_session_follows_its_worktree_when_git_moves_it() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["worktree", "add", "--quiet", "-b", "w", "../w"]);
    let mut client = Client::start(&fixture);
    std::fs::create_dir(fixture.path("w/deep")).unwrap();
    let place = |name: &str| fixture.path(name).canonicalize().unwrap().display().to_string();
    let top = client.call("session.create", json!({ "directory": place("w") })).await["id"].clone();
    let deep = client.call("session.create", json!({ "directory": place("w/deep"), "parentID": top })).await["id"].clone();

    fixture.git("repo", &["worktree", "move", "../w", "../w2"]);
    let listed = client.call("session.list", json!({ "scope": "all" })).await;
    let directories: Vec<&str> = listed.as_array().unwrap().iter().map(|session| session["directory"].as_str().unwrap()).collect();
    assert_eq!(directories, [place("w2/deep"), place("w2")]);
    assert!(listed.as_array().unwrap().iter().all(|session| session.get("missing").is_none()), "{listed}");

    // Another worktree at the old path does not affect a session of the moved one; a new process finds it, too.
    fixture.git("repo", &["worktree", "move", "../w2", "../w3"]);
    fixture.git("repo", &["worktree", "add", "--quiet", "-b", "other", "../w2"]);
    client.end().await;
    let mut client = Client::start(&fixture);
    let found = client.call("session.get", json!({ "sessionID": deep })).await;
    assert_eq!((found["directory"].as_str().unwrap(), found.get("missing")), (place("w3/deep").as_str(), None));
    fixture.models.push(Answer::openai_text("hi"));
    assert_eq!(text(&client.prompt(top.as_str().unwrap(), "hello").await), "hi");
    assert_eq!(client.call("session.children", json!({ "sessionID": top })).await[0]["directory"], place("w3/deep"));

    // A worktree with the name of a removed one is another worktree.
    fixture.git("repo", &["worktree", "remove", "--force", "../w3"]);
    fixture.git("repo", &["worktree", "add", "--quiet", "-b", "next", "../else/w"]);
    let gone = client.call("session.get", json!({ "sessionID": top })).await;
    assert_eq!(gone["missing"], true, "{gone}");
}

#[tokio::test]
async fn a_pipe_in_a_git_directory_holds_up_only_what_needs_it() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    for (number, name) in ["HEAD", "index", "config", "commondir", "packed-refs", "polytree-id", "info/exclude"].into_iter().enumerate() {
        let directory = format!("other{number}");
        fixture.git(".", &["clone", "--quiet", "repo", &directory]);
        let pipe = fixture.path(&format!("{directory}/.git/{name}"));
        let _ = std::fs::remove_file(&pipe);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let place = json!({ "directory": fixture.path(&directory) });
        let status = client.send("file.status", place.clone()).await;
        let session = client.call("session.create", place).await["id"].as_str().unwrap().to_owned();
        for _ in 0..2 {
            fixture.models.push(Answer::openai_text("hi"));
            assert_eq!(text(&client.prompt(&session, "hello").await), "hi", "{name}");
        }
        let answer = status.answer().await;
        if ["index", "config", "packed-refs", "info/exclude"].contains(&name) {
            assert_eq!(answer["error"]["data"]["kind"], "invalid_state", "{name}: {answer}");
        }
    }
}
