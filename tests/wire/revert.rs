//! Undo of a conversation with the files that it changed.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    command::polytree,
    fixture::Fixture,
    model_server::Answer,
};

const OLD: &str = "one\ntwo\nthree\n";

/// A session in a repository, a linked worktree, or a plain directory.
pub struct World {
    pub fixture: Fixture,
    pub client: Client,
    pub session: String,
    directory: &'static str,
}

impl World {
    pub async fn new() -> Self {
        let fixture = Fixture::new().await;
        let client = Client::start(&fixture);
        Self::in_session(fixture, client, "repo").await
    }

    pub async fn in_session(fixture: Fixture, mut client: Client, directory: &'static str) -> Self {
        let created = client.call("session.create", json!({ "directory": fixture.path(directory), "mode": "all" })).await;
        let session = created["id"].as_str().unwrap().to_owned();
        Self { fixture, client, session, directory }
    }

    /// A turn in which the model makes these calls, one in each answer.
    pub async fn turn(&mut self, prompt: &str, calls: &[(&str, Value)]) -> Value {
        for (tool, input) in calls {
            let id = format!("call_{}", ulid::Ulid::generate());
            self.fixture.models.push(Answer::openai_calls(&[(&id, tool, input.clone())]));
        }
        self.fixture.models.push(Answer::openai_text("done"));
        self.client.prompt(&self.session, prompt).await
    }

    /// A turn that changes a line of `a.txt`.
    pub async fn edit(&mut self, old: &str, new: &str) {
        let edit = json!({ "filePath": "a.txt", "oldString": old, "newString": new });
        self.turn("edit", &[("read", json!({ "filePath": "a.txt" })), ("edit", edit)]).await;
    }

    pub async fn messages(&mut self) -> Vec<Value> {
        self.client.call("session.messages", json!({ "sessionID": self.session })).await.as_array().unwrap().clone()
    }

    /// The ids of the prompts.
    pub async fn prompts(&mut self) -> Vec<Value> {
        let messages = self.messages().await;
        messages.iter().filter(|message| message["info"]["role"] == "user").map(|message| message["info"]["id"].clone()).collect()
    }

    pub fn params(&self, message: &Value, over: &Value) -> Value {
        let mut params = json!({ "sessionID": self.session, "messageID": message });
        over.as_object().unwrap().iter().for_each(|(key, value)| params[key] = value.clone());
        params
    }

    pub async fn revert(&mut self, message: &Value) -> Value {
        let params = self.params(message, &json!({}));
        self.client.call("session.revert", params).await["revert"].clone()
    }

    pub async fn unrevert(&mut self) -> Value {
        self.client.call("session.unrevert", json!({ "sessionID": self.session })).await
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.fixture.path(self.directory).join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The name and action of each file.
    pub fn actions(&self, revert: &Value) -> Vec<(String, String)> {
        let files = revert["files"].as_array().unwrap();
        let name =
            |file: &Value| Path::new(file["path"].as_str().unwrap()).strip_prefix(self.path("")).unwrap().to_str().unwrap().to_owned();
        files.iter().map(|file| (name(file), file["action"].as_str().unwrap().to_owned())).collect()
    }
}

fn action(name: &str, action: &str) -> (String, String) {
    (name.to_owned(), action.to_owned())
}

/// What a revert must not touch in the repository.
fn repository(fixture: &Fixture) -> Vec<Vec<u8>> {
    let mut state: Vec<Vec<u8>> =
        ["HEAD", "index", "refs/heads/main"].iter().map(|name| fs::read(fixture.path("repo/.git").join(name)).unwrap()).collect();
    state.push(fixture.git("repo", &["stash", "list"]).into_bytes());
    state.push(fixture.git("repo", &["count-objects", "-v"]).into_bytes());
    state
}

#[tokio::test]
async fn edits_are_undone_and_made_again() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    let new = json!({ "filePath": "new/dir/b.txt", "content": "b\n" });
    world.turn("create", &[("write", new)]).await;
    let before = repository(&world.fixture);
    let messages = world.messages().await;
    let parts = messages.iter().flat_map(|message| message["parts"].as_array().unwrap().clone());
    let patches: Vec<Value> = parts.filter(|part| part["type"] == "patch").collect();
    assert_eq!(patches.len(), 2, "{messages:?}");
    assert_eq!(patches[0]["files"], json!([world.path("a.txt")]));
    assert_eq!(patches[1]["files"], json!([world.path("new/dir/b.txt")]));
    assert!(patches[0]["callID"].as_str().unwrap().starts_with("call_"));

    let prompts = world.prompts().await;
    let preview = world.params(&prompts[0], &json!({ "preview": true }));
    let preview = world.client.call("session.revert", preview).await;
    let expected = [action("a.txt", "restore"), action("new/dir/b.txt", "delete")];
    assert_eq!(world.actions(&preview["revert"]), expected);
    assert_eq!(preview["revert"]["preview"], true);
    assert_eq!((world.read("a.txt"), world.read("new/dir/b.txt")), ("one\n2\nthree\n".to_owned(), "b\n".to_owned()));
    assert_eq!(world.client.call("session.get", json!({ "sessionID": world.session })).await.get("revert"), None);

    // The last prompt, then the first one too.
    let revert = world.revert(&prompts[1]).await;
    assert_eq!((&revert["messageID"], world.actions(&revert)), (&prompts[1], vec![action("new/dir/b.txt", "delete")]));
    assert!(!world.path("new").exists() && world.read("a.txt").contains('2'));
    let again = world.params(&prompts[1], &json!({}));
    assert_eq!(world.client.refused("session.revert", again).await["data"]["kind"], "invalid_state");
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(world.actions(&revert), expected);
    assert_eq!(world.read("a.txt"), OLD);
    // Less of it, then none.
    let revert = world.revert(&prompts[1]).await;
    assert_eq!(revert["messageID"], prompts[1]);
    assert!(!world.path("new").exists());
    assert_eq!(world.read("a.txt"), "one\n2\nthree\n");
    assert_eq!(world.messages().await.len(), messages.len(), "nothing is removed yet");
    assert_eq!(world.unrevert().await.get("revert"), None);
    assert_eq!((world.read("a.txt"), world.read("new/dir/b.txt")), ("one\n2\nthree\n".to_owned(), "b\n".to_owned()));
    let none = json!({ "sessionID": world.session });
    assert_eq!(world.client.refused("session.unrevert", none).await["data"]["kind"], "invalid_state");
    assert_eq!(repository(&world.fixture), before);
}

#[tokio::test]
async fn the_next_prompt_removes_what_is_undone_and_the_model_does_not_read_it() {
    let mut world = World::new().await;
    world.turn("first", &[]).await;
    world.edit("two", "2").await;
    let prompts = world.prompts().await;
    world.revert(&prompts[1]).await;
    let session = world.session.clone();
    world.client.subscribe(json!({ "sessionID": session })).await;
    world.turn("other", &[]).await;
    let events = world.client.events_until("session.idle").await;
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "message.removed").count(), 4, "{kinds:?}");
    let (removed, updated) =
        (kinds.iter().rposition(|kind| *kind == "message.removed"), kinds.iter().position(|kind| *kind == "message.updated"));
    assert!(removed < updated);
    let texts: Vec<String> = world.messages().await.iter().map(text).collect();
    assert_eq!(texts, ["first", "done", "other", "done"]);
    let request = world.fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap();
    assert_eq!(request.body["messages"].as_array().unwrap().len(), 4);
    assert_eq!(world.client.call("session.get", json!({ "sessionID": session })).await.get("revert"), None);
    assert_eq!(world.read("a.txt"), OLD);
    let none = json!({ "sessionID": session });
    assert_eq!(world.client.refused("session.unrevert", none).await["data"]["kind"], "invalid_state");
}

#[tokio::test]
async fn a_partial_revert_keeps_the_earlier_parts() {
    let mut world = World::new().await;
    let write = |name: &str| json!({ "filePath": name, "content": name });
    world.fixture.models.push(Answer::openai_calls(&[("call_x", "write", write("x")), ("call_y", "write", write("y"))]));
    world.turn("both", &[("write", write("z"))]).await;
    let messages = world.messages().await;
    let answer = &messages[1];
    let call = |id: &str| {
        answer["parts"].as_array().unwrap().iter().find(|part| part["type"] == "tool" && part["callID"] == id).unwrap()["id"].clone()
    };
    // Before the first call there is nothing that could stay.
    let params = world.params(&answer["info"]["id"], &json!({ "partID": call("call_x"), "preview": true }));
    let preview = world.client.call("session.revert", params).await["revert"].clone();
    assert_eq!((&preview["messageID"], preview.get("partID")), (&messages[0]["info"]["id"], None));
    assert_eq!(world.actions(&preview).len(), 3);
    let params = world.params(&answer["info"]["id"], &json!({ "partID": call("call_y") }));
    let revert = world.client.call("session.revert", params).await["revert"].clone();
    assert_eq!((&revert["messageID"], &revert["partID"]), (&answer["info"]["id"], &call("call_y")));
    assert_eq!(world.actions(&revert), [action("y", "delete"), action("z", "delete")]);
    assert!(world.path("x").exists() && !world.path("y").exists() && !world.path("z").exists());
    world.turn("next", &[]).await;
    let after = world.messages().await;
    assert_eq!(after.len(), 4);
    let kept: Vec<&Value> = after[1]["parts"].as_array().unwrap().iter().map(|part| &part["type"]).collect();
    assert_eq!(kept, ["step-start", "tool", "patch"]);
    // What stayed can still be undone.
    let first = after[0]["info"]["id"].clone();
    let revert = world.revert(&first).await;
    assert_eq!(world.actions(&revert), [action("x", "delete")]);
}

#[tokio::test]
async fn what_the_user_changed_since_is_merged_or_left_alone() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    world.turn("create", &[("write", json!({ "filePath": "b.txt", "content": "b\n" }))]).await;
    let prompts = world.prompts().await;
    world.write("a.txt", "zero\none\n2\nthree\n");
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(world.actions(&revert), [action("a.txt", "merge"), action("b.txt", "delete")]);
    assert_eq!(world.read("a.txt"), format!("zero\n{OLD}"));
    world.unrevert().await;
    assert_eq!(world.read("a.txt"), "zero\none\n2\nthree\n");

    world.write("a.txt", "one\nmine\nthree\n");
    let params = world.params(&prompts[0], &json!({}));
    let error = world.client.refused("session.revert", params).await;
    assert_eq!(error["data"]["kind"], "conflict");
    assert_eq!(world.actions(&error["data"]), [action("a.txt", "conflict")]);
    assert!(error["data"]["files"][0]["reason"].is_string());
    assert_eq!((world.read("a.txt"), world.read("b.txt")), ("one\nmine\nthree\n".to_owned(), "b\n".to_owned()));
    assert_eq!(world.client.call("session.get", json!({ "sessionID": world.session })).await.get("revert"), None);
    let params = world.params(&prompts[0], &json!({ "partial": true }));
    let revert = world.client.call("session.revert", params).await["revert"].clone();
    assert_eq!(world.actions(&revert), [action("a.txt", "conflict"), action("b.txt", "delete")]);
    assert_eq!(world.read("a.txt"), "one\nmine\nthree\n");
    // Once the user has given way, the rest can be undone.
    world.write("a.txt", "one\n2\nthree\n");
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(world.read("a.txt"), OLD);
    assert!(world.actions(&revert).contains(&action("a.txt", "restore")));
    // A file that was created again since is not overwritten.
    world.write("b.txt", "mine\n");
    let error = world.client.refused("session.unrevert", json!({ "sessionID": world.session })).await;
    assert_eq!((&error["data"]["kind"], world.actions(&error["data"])), (&json!("conflict"), vec![action("b.txt", "conflict")]));
    assert_eq!((world.read("a.txt").as_str(), world.read("b.txt").as_str()), (OLD, "mine\n"));
    let partial = json!({ "sessionID": world.session, "partial": true });
    assert_eq!(world.client.call("session.unrevert", partial).await.get("revert"), None);
    assert_eq!((world.read("a.txt").as_str(), world.read("b.txt").as_str()), ("one\n2\nthree\n", "mine\n"));
}

#[tokio::test]
async fn it_works_in_a_linked_worktree_and_a_plain_directory_and_over_a_restart() {
    for directory in ["linked", "plain"] {
        let fixture = Fixture::new().await;
        match directory {
            "linked" => drop(fixture.git("repo", &["worktree", "add", "-q", "../linked"])),
            _ => {
                fs::create_dir(fixture.path("plain")).unwrap();
                fs::write(fixture.path("plain/a.txt"), OLD).unwrap();
            }
        }
        let client = Client::start(&fixture);
        let mut world = World::in_session(fixture, client, directory).await;
        world.edit("two", "2").await;
        let prompts = world.prompts().await;
        world.client.kill().await;
        world.client = Client::start(&world.fixture);
        let revert = world.revert(&prompts[0]).await;
        assert_eq!(world.actions(&revert), [action("a.txt", "restore")], "{directory}");
        assert_eq!(world.read("a.txt"), OLD);
        world.client.kill().await;
        world.client = Client::start(&world.fixture);
        world.unrevert().await;
        assert_eq!(world.read("a.txt"), "one\n2\nthree\n");
        world.revert(&prompts[0]).await;
        world.client.kill().await;
        world.client = Client::start(&world.fixture);
        world.turn("next", &[]).await;
        let texts: Vec<String> = world.messages().await.iter().map(text).collect();
        assert_eq!(texts, ["next", "done"], "{directory}");
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_said() {
    let mut world = World::new().await;
    let session = world.session.clone();
    world.turn("first", &[]).await;
    let prompts = world.prompts().await;
    let unknown = world.params(&json!("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"), &json!({}));
    assert_eq!(world.client.refused("session.revert", unknown).await["data"]["kind"], "not_found");
    let unknown = world.params(&prompts[0], &json!({ "partID": "prt_01ARZ3NDEKTSV4RRFFQ69G5FAV" }));
    assert_eq!(world.client.refused("session.revert", unknown).await["data"]["kind"], "not_found");
    // A conversation without changes can be undone too.
    let revert = world.revert(&prompts[0]).await;
    assert_eq!((&revert["messageID"], &revert["files"], &revert["uncovered"]), (&prompts[0], &json!([]), &json!([])));
    world.unrevert().await;

    world.client.subscribe(json!({ "sessionID": session })).await;
    world.fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "sleep 60" }))]));
    world.client.call("session.submit", json!({ "sessionID": session, "parts": "wait" })).await;
    world.client.event(|event| event["properties"]["part"]["state"]["status"] == "running").await;
    let params = world.params(&prompts[0], &json!({}));
    assert_eq!(world.client.refused("session.revert", params).await["data"]["kind"], "busy");
    world.client.call("session.abort", json!({ "sessionID": session })).await;
}

#[tokio::test]
async fn a_copy_does_not_undo_what_the_original_changed() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    let fork = world.client.call("session.fork", json!({ "sessionID": world.session })).await;
    world.session = fork["id"].as_str().unwrap().to_owned();
    let prompts = world.prompts().await;
    let revert = world.revert(&prompts[0]).await;
    assert_eq!((&revert["files"], &revert["uncovered"]), (&json!([]), &json!([world.path("a.txt")])));
    assert_eq!(world.read("a.txt"), "one\n2\nthree\n");
}

#[tokio::test]
async fn what_commands_changed_is_undone_too() {
    for directory in ["repo", "plain"] {
        let fixture = Fixture::new().await;
        fs::create_dir(fixture.path("plain")).unwrap();
        for (name, content) in [("a.txt", OLD), ("gone.txt", "gone\n"), ("untracked.txt", "u\n"), ("other.txt", "other\n")] {
            fs::write(fixture.path(directory).join(name), content).unwrap();
        }
        let client = Client::start(&fixture);
        let mut world = World::in_session(fixture, client, directory).await;
        let before = repository(&world.fixture);
        let line =
            "echo four >> a.txt; rm gone.txt; mkdir sub; echo s > sub/s; mv untracked.txt moved.txt; chmod +x other.txt; ln -s a.txt link";
        world.turn("command", &[("bash", json!({ "command": line }))]).await;
        let messages = world.messages().await;
        let patch = messages.iter().flat_map(|message| message["parts"].as_array().unwrap()).find(|part| part["type"] == "patch").unwrap();
        assert_eq!(patch.get("uncovered"), None, "{patch}");
        let prompts = world.prompts().await;
        let revert = world.revert(&prompts[0]).await;
        let mut expected = [
            action("a.txt", "restore"),
            action("gone.txt", "create"),
            action("link", "delete"),
            action("moved.txt", "delete"),
            action("other.txt", "restore"),
            action("sub/s", "delete"),
            action("untracked.txt", "create"),
        ];
        expected.sort();
        assert_eq!(world.actions(&revert), expected, "{directory}");
        assert_eq!(
            (world.read("a.txt").as_str(), world.read("gone.txt").as_str(), world.read("untracked.txt").as_str()),
            (OLD, "gone\n", "u\n")
        );
        assert!(!world.path("sub").exists() && !world.path("moved.txt").exists() && world.path("link").symlink_metadata().is_err());
        world.unrevert().await;
        assert_eq!((world.read("a.txt"), world.read("moved.txt")), (format!("{OLD}four\n"), "u\n".to_owned()));
        assert_eq!(repository(&world.fixture), before);
    }
}

#[tokio::test]
async fn a_command_that_is_aborted_is_undone() {
    let mut world = World::new().await;
    let session = world.session.clone();
    world.client.subscribe(json!({ "sessionID": session })).await;
    let line = "trap 'echo late > late.txt; exit 1' TERM; echo changed > a.txt; echo started; sleep 60 & wait";
    world.fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": line }))]));
    world.client.call("session.submit", json!({ "sessionID": session, "parts": "run" })).await;
    world.client.event(|event| event["properties"]["field"] == "output").await;
    world.client.call("session.abort", json!({ "sessionID": session })).await;
    world.client.event(|event| event["type"] == "session.status" && event["properties"]["status"]["type"] == "idle").await;
    assert_eq!(world.read("late.txt"), "late\n");
    let prompts = world.prompts().await;
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(
        (world.actions(&revert), &revert["uncovered"]),
        (vec![action("a.txt", "restore"), action("late.txt", "delete")], &json!([]))
    );
    assert_eq!(world.read("a.txt"), OLD);
}

#[tokio::test]
async fn what_a_command_may_have_changed_elsewhere_is_named() {
    let mut world = World::new().await;
    let elsewhere = world.fixture.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let call = json!({ "command": "echo x > x", "workdir": elsewhere });
    world.turn("command", &[("bash", call)]).await;
    assert!(elsewhere.join("x").exists());
    let prompts = world.prompts().await;
    let revert = world.revert(&prompts[0]).await;
    assert_eq!((&revert["files"], &revert["uncovered"]), (&json!([]), &json!([elsewhere])));
}

#[tokio::test]
async fn diffs_are_of_the_session_or_of_one_message() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    world.turn("more", &[("bash", json!({ "command": "echo four >> a.txt; echo b > b.txt" }))]).await;
    let prompts = world.prompts().await;
    let session = world.session.clone();
    let all = world.client.call("session.diff", json!({ "sessionID": session })).await;
    assert_eq!((all[0]["path"].as_str(), &all[0]["status"]), (world.path("a.txt").to_str(), &json!("modified")));
    assert_eq!(
        (&all[0]["added"], &all[0]["removed"], &all[1]["status"], &all[1]["added"]),
        (&json!(2), &json!(1), &json!("added"), &json!(1))
    );
    assert!(all[0]["patch"].as_str().unwrap().ends_with("@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+four\n"), "{all}");
    let one = world.params(&prompts[0], &json!({}));
    let one = world.client.call("session.diff", one).await;
    assert_eq!((one.as_array().unwrap().len(), &one[0]["added"]), (1, &json!(1)));
    let unknown = world.params(&json!("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"), &json!({}));
    assert_eq!(world.client.refused("session.diff", unknown).await["data"]["kind"], "not_found");
    world.revert(&prompts[1]).await;
    assert_eq!(world.client.call("session.diff", json!({ "sessionID": session })).await, one, "what is undone does not count");
}

#[tokio::test]
async fn a_session_is_undone_from_the_command_line() {
    let fixture = Fixture::new().await;
    let file = fixture.path("repo/b.txt");
    fixture.models.push(Answer::openai_calls(&[("call_1", "write", json!({ "filePath": "b.txt", "content": "b\n" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let (code, _, err) = polytree(&fixture, &["run", "--yes", "write it"]).await;
    assert_eq!(code, 0, "{err}");
    let (_, list, _) = polytree(&fixture, &["sessions", "list", "--json"]).await;
    let session: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let id = session["id"].as_str().unwrap();
    let expected = format!("delete       {}\n", file.display());
    let (code, out, err) = polytree(&fixture, &["sessions", "revert", id, "--preview"]).await;
    assert_eq!((code, out.as_str(), file.exists()), (0, expected.as_str(), true), "{err}");
    fs::write(&file, "mine\n").unwrap();
    let (code, out, err) = polytree(&fixture, &["sessions", "revert", id]).await;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("conflict") && err.contains("b.txt") && err.contains("partial"), "{err}");
    fs::write(&file, "b\n").unwrap();
    let (code, out, err) = polytree(&fixture, &["sessions", "revert", id]).await;
    assert_eq!((code, out.as_str(), file.exists()), (0, expected.as_str(), false), "{err}");
    let (code, _, err) = polytree(&fixture, &["sessions", "unrevert", id]).await;
    assert_eq!((code, file.exists()), (0, true), "{err}");
    assert_eq!(polytree(&fixture, &["sessions", "unrevert", id]).await.0, 1);
}
