//! A separate home directory for each test: settings, data, and repositories of the real git.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use polytree::store::{LockState, Owner, OwnerKind, Ownership};
use serde_json::{Value, json};

use super::model_server::ModelServer;

/// A home directory, which is removed at the end.
pub struct Fixture {
    directory: tempfile::TempDir,
    /// The model service.
    pub models: ModelServer,
}

impl Fixture {
    /// A home with a repository `repo` with `a.txt`, and settings for the models `test/main` and `test/small`.
    pub async fn new() -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap(), models: ModelServer::start().await };
        for name in ["config", "data", "run", "repo"] {
            std::fs::create_dir(fixture.path(name)).unwrap();
        }
        std::fs::write(fixture.path("repo/a.txt"), "one\ntwo\nthree\n").unwrap();
        fixture.git("repo", &["init", "-q", "-b", "main"]);
        fixture.git("repo", &["add", "-A"]);
        fixture.git("repo", &["commit", "-qm", "first"]);
        fixture.settings(&json!({}));
        // Titles are requested beside the turn, and must not consume its answers.
        fixture.models.rule(|request| (request.body["model"] == "small").then(|| super::model_server::Answer::openai_text("A title")));
        fixture
    }

    /// Writes the user's settings: the test models, merged with the given ones.
    pub fn settings(&self, over: &Value) {
        let model = json!({ "limit": { "context": 100_000, "output": 4000 }, "cost": { "input": 1, "output": 2 } });
        let mut settings = json!({
            "model": "test/main",
            "small_model": "test/small",
            "provider": { "test": { "api": "openai", "options": { "baseURL": self.models.url(), "apiKey": "secret-key" }, "models": { "main": model, "small": model } } },
        });
        for (key, value) in over.as_object().unwrap() {
            settings[key] = value.clone();
        }
        std::fs::write(self.path("config/polytree.json"), settings.to_string()).unwrap();
    }

    /// A path below the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// Waits until no daemon owns the data directory.
    pub async fn free(&self) {
        let lock = std::fs::File::open(self.path("data/daemon.lock")).unwrap();
        let (sender, free) = tokio::sync::oneshot::channel();
        // The thread ends with the daemon, or with the test's process.
        std::thread::spawn(move || sender.send(lock.lock_shared()));
        tokio::time::timeout(std::time::Duration::from_secs(60), free).await.expect("the daemon stays").unwrap().unwrap();
    }

    /// Runs git in a directory below the home.
    pub fn git(&self, directory: &str, arguments: &[&str]) -> String {
        git(&self.path(directory), arguments)
    }

    /// The variables of a daemon in this home.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("HOME", self.path("")),
            ("POLYTREE_CONFIG_DIR", self.path("config")),
            ("POLYTREE_DATA_DIR", self.path("data")),
            ("POLYTREE_RUNTIME_DIR", self.path("run")),
            // Model servers on this machine must not affect tests.
            ("POLYTREE_LOCAL_SERVERS", "off".into()),
        ]
    }
}

impl Drop for Fixture {
    /// Stops the detached daemon in this home, if there is one.
    fn drop(&mut self) {
        let data = self.path("data");
        let begun = std::time::Instant::now();
        while let LockState::Owned(owner) = Ownership::lock_state(&data) {
            match owner {
                Some(Owner { kind: OwnerKind::Detached, pid, .. }) => {
                    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                    // It may have exited by itself.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
                // A child of the test, which is killed when its value is dropped.
                Some(_) => return,
                None => {}
            }
            if begun.elapsed() > std::time::Duration::from_secs(10) {
                eprintln!("a daemon is left over in {}", data.display());
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Runs git; panics with its output if it fails.
#[expect(clippy::disallowed_methods, reason = "tests run the real git")]
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
