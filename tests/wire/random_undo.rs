//! Random changes by tools, commands and a user, reviewed, undone and made again, with a daemon that is killed anywhere
//! between. What is compared with is a plain map of contents: no file changes that the session did not write, no line of the
//! user is lost by an undo, and what is undone and made again is as it was.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    revert::World,
    support::{client::Client, fixture::Fixture, model_server::Answer},
};

/// Those that the session writes. There is a file at all but the last two.
const PATHS: [&str; 5] = ["a.txt", "b.txt", "d/c.txt", "n.txt", "e/f.txt"];
/// The user alone writes it.
const OTHER: &str = "other.txt";
const STEPS: usize = 24;

type Files = BTreeMap<String, String>;

struct Case {
    world: World,
    random: u64,
    line: usize,
    prompts: Vec<Value>,
    /// The answers of a turn that may be killed.
    script: Arc<Mutex<VecDeque<Answer>>>,
}

fn files(directory: &Path) -> Files {
    let read = |path: &&str| Some(((*path).to_owned(), fs::read_to_string(directory.join(path)).ok()?));
    PATHS.iter().chain([&OTHER]).filter_map(read).collect()
}

/// The lines that the user has written.
fn of_user(files: &Files) -> BTreeSet<String> {
    files.values().flat_map(|text| text.lines()).filter(|line| line.starts_with('u')).map(str::to_owned).collect()
}

impl Case {
    async fn new(directory: &'static str, seed: u64) -> Self {
        let fixture = Fixture::new().await;
        match directory {
            "repo" => {}
            "linked" => drop(fixture.git("repo", &["worktree", "add", "-q", "../linked"])),
            _ => fs::create_dir(fixture.path("plain")).unwrap(),
        }
        for (path, text) in [("a.txt", "1\n2\n3\n4\n"), ("b.txt", "1\n2\n3\n4\n5\n6\n7\n8\n"), ("d/c.txt", "1\n"), (OTHER, "u\n")] {
            let path = fixture.path(directory).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let script = Arc::<Mutex<VecDeque<Answer>>>::default();
        let of_rule = Arc::clone(&script);
        fixture.models.rule(move |request| if request.body["model"] == "main" { of_rule.lock().unwrap().pop_front() } else { None });
        let client = Client::start(&fixture);
        let world = World::in_session(fixture, client, directory).await;
        Self { world, random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, line: 0, prompts: Vec::new(), script }
    }

    /// A number below this one.
    fn any(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % below as u64).unwrap()
    }

    fn files(&self) -> Files {
        files(&self.world.path(""))
    }

    /// A text with some of its lines replaced, removed or added.
    fn edited(&mut self, text: &str, who: char) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..=self.any(2) {
            self.line += 1;
            let (at, line) = (self.any(lines.len() + 1), format!("{who}{}", self.line));
            match self.any(4) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 | 2 if at < lines.len() => lines[at] = line,
                _ => lines.insert(at, line),
            }
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn user(&mut self) {
        let all = [&PATHS[..], &[OTHER][..]].concat();
        let path = all[self.any(all.len())];
        let at = self.world.path(path);
        if self.any(6) == 0 && path != OTHER {
            let _ = fs::remove_file(at);
            return;
        }
        let text = fs::read_to_string(&at).unwrap_or_default();
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, self.edited(&text, 'u')).unwrap();
    }

    /// What the model does in a turn.
    fn calls(&mut self) -> Vec<(&'static str, Value)> {
        let path = PATHS[self.any(PATHS.len())];
        let text = fs::read_to_string(self.world.path(path));
        let new = self.edited(text.as_deref().unwrap_or_default(), 's');
        match self.any(3) {
            0 => {
                let read = text.is_ok().then(|| ("read", json!({ "filePath": path })));
                read.into_iter().chain([("write", json!({ "filePath": path, "content": new }))]).collect()
            }
            1 => {
                let other = PATHS[self.any(PATHS.len())];
                let rm = if other == path { String::new() } else { format!("rm -f {other};") };
                let line = format!("mkdir -p e d; {rm} printf '{}' > {path}", new.replace('\n', "\\n"));
                vec![("bash", json!({ "command": line }))]
            }
            _ => vec![("bash", json!({ "command": format!("rm -f {path}; echo s{} >> b.txt", self.line) }))],
        }
    }

    async fn turn(&mut self) {
        let calls = self.calls();
        self.world.turn("go", &calls).await;
        self.prompts = self.world.prompts().await;
    }

    /// A daemon that was killed, and the next one.
    async fn killed(&mut self) {
        self.world.client.kill_now();
        self.world.fixture.free().await;
        self.world.client = Client::start(&self.world.fixture);
    }

    /// The daemon is killed while a turn changes files, at some moment after the first of them has changed.
    async fn killed_turn(&mut self) {
        let calls = self.calls();
        let before = self.files();
        for (tool, input) in &calls {
            let id = format!("call_{}", ulid::Ulid::generate());
            self.script.lock().unwrap().push_back(Answer::openai_calls(&[(&id, tool, input.clone())]));
        }
        self.script.lock().unwrap().push_back(Answer::openai_text("done"));
        let params = json!({ "sessionID": self.world.session, "parts": "go" });
        let turn = self.world.client.send("session.prompt", params).await;
        let begun = std::time::Instant::now();
        while self.files() == before && begun.elapsed() < std::time::Duration::from_secs(2) {
            tokio::task::yield_now().await;
        }
        self.killed().await;
        drop(turn);
        self.script.lock().unwrap().clear();
        self.prompts = self.world.prompts().await;
    }

    /// Undoes the conversation from one of its prompts on, and may be makes it again.
    async fn revert(&mut self) {
        if self.prompts.is_empty() {
            return;
        }
        let any = self.any(self.prompts.len());
        let prompt = self.prompts[any].clone();
        let (is_partial, is_killed, is_again) = (self.any(2) == 0, self.any(3) == 0, self.any(2) == 0);
        let before = self.files();
        let params = json!({ "sessionID": self.world.session, "messageID": prompt, "partial": is_partial });
        let was_undone = self.session().await.is_some();
        let revert = self.world.client.send("session.revert", params).await;
        if is_killed {
            let begun = std::time::Instant::now();
            while self.files() == before && begun.elapsed() < std::time::Duration::from_millis(20) {
                tokio::task::yield_now().await;
            }
            self.killed().await;
        } else {
            let answer = revert.answer().await;
            let error = answer.get("error").map(|error| error["data"]["kind"].as_str().unwrap_or_default().to_owned());
            assert!(error.as_deref().is_none_or(|kind| ["conflict", "invalid_state"].contains(&kind)), "{answer}");
            if error.is_some() {
                assert_eq!(self.files(), before, "a refused undo changes nothing");
                return;
            }
        }
        self.check(&before);
        if is_again && !was_undone && self.session().await.is_some() {
            self.world.unrevert().await;
            assert_eq!(self.files(), before, "made again it is as it was");
        }
    }

    /// What is undone.
    async fn session(&mut self) -> Option<Value> {
        let session = json!({ "sessionID": self.world.session });
        self.world.client.call("session.get", session).await.get("revert").cloned()
    }

    async fn review(&mut self) {
        let session = json!({ "sessionID": self.world.session });
        let hunks = self.world.client.call("hunk.list", session).await.as_array().unwrap().clone();
        if hunks.is_empty() {
            return;
        }
        let hunk = &hunks[self.any(hunks.len())];
        let before = self.files();
        let decision = json!({ "sessionID": self.world.session, "hunkID": hunk["hunkID"] });
        if self.any(3) == 0 && hunk["state"] != "undone" {
            self.world.client.call("hunk.keep", decision).await;
            assert_eq!(self.files(), before, "to keep a hunk changes nothing");
            return;
        }
        let answer = self.world.client.send("hunk.undo", decision.clone()).await.answer().await;
        if answer.get("error").is_some() {
            assert_eq!(answer["error"]["data"]["kind"], "conflict", "{answer}");
            assert_eq!(self.files(), before);
            return;
        }
        self.check(&before);
        if hunk["state"] != "undone" {
            self.world.client.call("hunk.keep", decision).await;
            assert_eq!(self.files(), before, "put into the file again it is as it was");
        }
    }

    /// What an undo must not touch.
    fn check(&self, before: &Files) {
        let after = self.files();
        assert_eq!(after.get(OTHER), before.get(OTHER));
        let lost: Vec<String> = of_user(before).difference(&of_user(&after)).cloned().collect();
        assert_eq!(lost, [""; 0], "lines of the user, of {before:?} in {after:?}");
    }
}

async fn run(directory: &'static str, seed: u64) {
    let mut case = Case::new(directory, seed).await;
    for step in 0..STEPS {
        eprintln!("seed {seed}, step {step}");
        match case.any(10) {
            0..=3 => case.turn().await,
            4 | 5 => case.user(),
            6 => case.killed_turn().await,
            7 => case.review().await,
            _ => case.revert().await,
        }
    }
}

#[tokio::test]
async fn in_a_repository() {
    for seed in 1..=2 {
        run("repo", seed).await;
    }
}

#[tokio::test]
async fn in_a_linked_worktree() {
    for seed in 3..=4 {
        run("linked", seed).await;
    }
}

#[tokio::test]
async fn in_a_plain_directory() {
    for seed in 5..=6 {
        run("plain", seed).await;
    }
}
