//! A project on a file system that hangs, like a network mount without its server, does not affect other projects.

use std::{fs::File, os::fd::AsRawFd as _, path::PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::Answer,
};

/// A FUSE mount over a directory, whose file server never reads a request.
struct Hung {
    path: PathBuf,
    /// Dropping it aborts hanging requests.
    _server: File,
}

impl Hung {
    /// `None` if mounts are not permitted; the tests of `stdx::disk` do not need one.
    fn over(path: PathBuf) -> Option<Self> {
        let server = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        mount("hung", &path, "fuse", MountFlags::empty(), &*options).ok()?;
        Some(Self { path, _server: server })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_project_on_a_hung_file_system_stops_nobody_else() {
    let fixture = Fixture::new().await;
    fixture.git(".", &["clone", "-q", "repo", "hung"]);
    fixture.git("hung", &["worktree", "add", "-q", "../linked"]);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Prompts that wait for the file system are answered, too, once it is unmounted.
    fixture.models.rule(|_| Some(Answer::openai_text("here")));
    let mut stuck = Vec::new();
    for directory in ["hung", "hung", "linked"] {
        stuck.push(client.call("session.create", json!({ "directory": fixture.path(directory) })).await["id"].clone());
    }
    let Some(hung) = Hung::over(fixture.path("hung")) else {
        eprintln!("not checked: a FUSE file system cannot be mounted here, which takes root and /dev/fuse");
        return;
    };
    let mut waiting = Vec::new();
    for _ in 0..4 {
        for method in ["project.current", "session.create", "config.get", "agent.list"] {
            waiting.push(client.send(method, json!({ "directory": fixture.path("hung") })).await);
        }
        for id in &stuck {
            waiting.push(client.send("session.prompt", json!({ "sessionID": id, "parts": "x" })).await);
        }
    }
    for number in 0..20 {
        let listed = client.call("session.list", json!({ "scope": "all" })).await;
        let missing = |id: &Value| listed.as_array().unwrap().iter().find(|listed| listed["id"] == *id).unwrap()["missing"].clone();
        assert_eq!((missing(&json!(session)), missing(&stuck[0])), (Value::Null, json!(true)));
        let projects = client.call("project.list", json!({})).await;
        let is_missing = |name: &str| {
            let path = fixture.path(name);
            projects.as_array().unwrap().iter().find(|project| project["worktree"] == path.to_str().unwrap()).unwrap()["missing"].clone()
        };
        assert_eq!((is_missing("repo"), is_missing("hung")), (Value::Null, json!(true)));
        assert_eq!(text(&client.prompt(&session, &format!("prompt {number}")).await), "here");
        client.session().await;
    }
    drop(hung);
    for call in waiting {
        call.answer().await;
    }
    let back = client.call("session.get", json!({ "sessionID": stuck[0] })).await;
    assert_eq!(back["missing"], Value::Null);
    client.end().await;
}
