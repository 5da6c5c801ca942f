//! Commands in the sandbox, with the real kernel, shell and tool chains, as an unprivileged user.

use std::{os::unix::fs::chown, path::Path};

use polytree::{
    sandbox::{self, Abilities, Sandbox},
    stdx::paths::AbsPath,
};
use polytree_protocol::sandbox::SandboxPolicy;
use serde_json::{Value, json};

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::Answer,
};

/// An unprivileged user (`nobody`, if `tests/run` has not created one); `None` if the tests are unprivileged.
pub fn somebody() -> Option<u32> {
    let uid = std::env::var("POLYTREE_TEST_UID").ok().and_then(|uid| uid.parse().ok()).unwrap_or(65534);
    rustix::process::geteuid().is_root().then_some(uid)
}

/// Changes the owner of everything below a path.
fn give(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid));
    }
}

/// A home, a client of a daemon in it, and a session.
pub struct Place {
    pub fixture: Fixture,
    client: Client,
    session: Value,
}

impl Place {
    /// A daemon of an unprivileged user, in a directory of the home, with these settings.
    pub async fn new(fixture: Fixture, directory: &str, settings: &Value) -> Self {
        Self::of(fixture, directory, settings, somebody()).await
    }

    /// The same as this user, or as that of the tests.
    pub async fn of(fixture: Fixture, directory: &str, settings: &Value, user: Option<u32>) -> Self {
        fixture.settings(settings);
        if let Some(user) = user {
            give(&fixture.path(""), user);
        }
        let mut client = Client::start_as(&fixture, directory, user);
        let session = client.session().await;
        client.subscribe(json!({ "sessionID": session })).await;
        Self { fixture, client, session: session.into() }
    }

    /// The state of a `bash` call with these arguments; questions are refused and counted.
    pub async fn call(&mut self, arguments: Value, more: Value) -> (Value, Vec<Value>) {
        self.fixture.models.push(Answer::openai_calls(&[("c", "bash", arguments)]));
        self.fixture.models.push(Answer::openai_text("done"));
        let mut params = json!({ "sessionID": self.session, "parts": "go" });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        let turn = self.client.send("session.prompt", params).await;
        let mut questions = Vec::new();
        loop {
            let event = self.client.event(|event| matches!(event["type"].as_str(), Some("permission.asked" | "session.idle"))).await;
            if event["type"] == "session.idle" {
                break;
            }
            let question = event["properties"].clone();
            let reply = json!({ "sessionID": self.session, "permissionID": question["id"], "response": "reject", "message": "no" });
            self.client.call("permission.reply", reply).await;
            questions.push(question);
        }
        turn.result().await;
        let messages = self.client.call("session.messages", json!({ "sessionID": self.session })).await;
        let calls = messages.as_array().unwrap().iter().rev().find_map(|message| parts(message, "tool").first().copied().cloned());
        (calls.unwrap()["state"].clone(), questions)
    }

    /// The output of a command, which must not cause a question.
    pub async fn run(&mut self, line: &str, more: Value) -> Value {
        let (state, questions) = self.call(json!({ "command": line, "description": "x", "timeout": 60_000 }), more).await;
        assert!(questions.is_empty(), "{line}: {questions:?}");
        assert_eq!(state["status"], "completed", "{line}: {state}");
        state
    }

    /// The sandbox in the daemon's report.
    pub async fn diagnosis(&mut self) -> Value {
        self.client.call("server.diagnose", json!({})).await["sandbox"].clone()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.fixture.path(name)).unwrap_or_default()
    }

    /// All files below the home except polytree's own, with contents, modes and times.
    fn tree(&self) -> Vec<String> {
        use std::os::unix::fs::MetadataExt as _;
        let mut waiting = vec![self.fixture.path("repo"), self.fixture.path("outside")];
        let mut found = Vec::new();
        while let Some(path) = waiting.pop() {
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            let content = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            found.push(format!("{} {:o} {} {} {content:?}", path.display(), metadata.mode(), metadata.mtime(), metadata.mtime_nsec()));
            if metadata.is_dir() {
                waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    }
}

pub fn output(state: &Value) -> &str {
    state["output"].as_str().unwrap()
}

/// Rules allow everything, so that only the kernel restricts commands.
pub fn unguarded() -> Value {
    json!({ "agent": { "plan": { "permission": { "bash": "allow", "external_directory": "ask" } } } })
}

/// Commands that try to write, to read hidden files, to connect, or to change files outside. `OUT` is a directory outside.
const ATTEMPTS: &str = r#"
echo x > made
echo x >> a.txt
touch made
touch a.txt
mkdir d
rm -rf a.txt sub
mv a.txt b.txt
cp a.txt b.txt
ln a.txt hard
ln -s a.txt soft
chmod 777 a.txt
chmod -R 000 .
truncate -s 0 a.txt
dd if=/dev/zero of=a.txt count=1
sed -i s/one/two/ a.txt
tee a.txt < /dev/null
sort -o a.txt a.txt
git commit --allow-empty -m x
git add -A
git config core.fsmonitor evil
git checkout -b other
git stash
git log --output=made
find . -name a.txt -delete
find . -maxdepth 0 -fprint made
/usr/bin/python3 -c "open('made', 'w').write('x')"
/usr/bin/python3 -c "import os; os.utime('a.txt', (0, 0))"
/usr/bin/python3 -c "import os; os.setxattr('a.txt', 'user.x', b'y')"
/usr/bin/python3 -c "import os; os.truncate('a.txt', 0)"
/usr/bin/python3 -c "import os; os.rename('sub', '../outside/sub')"
/usr/bin/python3 -c "import os; os.mkfifo('pipe')"
/usr/bin/python3 -c "open('../outside/secret', 'a').write('x')"
/usr/bin/python3 -c "import os; os.chmod('../outside/secret', 0o777)"
/usr/bin/python3 -c "import shutil; shutil.rmtree('../outside')"
/usr/bin/python3 -c "print(open('../outside/secret').read())"
/usr/bin/python3 -c "print(open('.env').read())"
/usr/bin/python3 -c "print(open('sub/.env.local').read())"
/usr/bin/python3 -c "print(open('link').read())"
/usr/bin/python3 -c "print(open('way/secret').read())"
/usr/bin/python3 -c "print(open('../data/auth.json').read())"
/usr/bin/python3 -c "print(open('../config/polytree.json').read())"
/usr/bin/python3 -c "import os; print(open('/proc/%d/environ' % os.getppid()).read())"
/usr/bin/python3 -c "print(open('/proc/self/environ').read())"
/usr/bin/python3 -c "import ctypes; print(ctypes.CDLL(None).mount(b'/', b'/mnt', None, 4096, None))"
/usr/bin/python3 -c "import socket; socket.create_connection(('127.0.0.1', PORT))"
/usr/bin/python3 -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', PORT))"
/usr/bin/python3 -c "import socket; s = socket.socket(socket.AF_UNIX); s.connect('../outside/socket')"
/usr/bin/python3 -c "import ctypes; s = ctypes.CDLL(None).syscall(0x40000029, 2, 1, 0); print('socket', s) if s >= 0 else None"
/usr/bin/python3 -c "import ctypes; s = ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(256)); print('ring', s) if s >= 0 else None"
/usr/bin/python3 -c "import os, signal; os.kill(os.getppid(), 0); os.kill(DAEMON, signal.SIGKILL)"
unshare -Urm sh -c "echo x > made"
unshare -Urn sh -c "cat ../outside/secret"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_looks_writes_reads_and_connects_nothing_whatever_runs() {
    let fixture = Fixture::new().await;
    let write = |name: &str, text: &str| {
        let path = fixture.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("repo/.env", "SECRET-ENV=1\n");
    write("repo/sub/.env.local", "SECRET-ENV=1\n");
    write("repo/sub/b.txt", "plain\n");
    write("outside/secret", "SECRET-OUTSIDE\n");
    write("data/auth.json", "{}");
    std::os::unix::fs::symlink(".env", fixture.path("repo/link")).unwrap();
    std::os::unix::fs::symlink("../outside", fixture.path("repo/way")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let udp = std::net::UdpSocket::bind(format!("127.0.0.1:{port}")).unwrap();
    udp.set_nonblocking(true).unwrap();
    let unix = std::os::unix::net::UnixListener::bind(fixture.path("outside/socket")).unwrap();
    unix.set_nonblocking(true).unwrap();
    let mut place = Place::new(fixture, "repo", &unguarded()).await;
    let daemon = place.client.call("server.info", json!({})).await["pid"].to_string();
    let before = place.tree();
    let plan = json!({ "agent": "plan" });
    let mut run = 0;
    for attempt in ATTEMPTS.trim().lines() {
        let line = attempt.replace("PORT", &port).replace("DAEMON", &daemon);
        let (state, _) = place.call(json!({ "command": line, "description": "x" }), plan.clone()).await;
        run += usize::from(state["status"] == "completed");
        let told = state.to_string();
        for secret in ["SECRET-", "secret-key", "socket 3", "ring 3", "POLYTREE_"] {
            assert!(!told.contains(secret), "{line}: {told}");
        }
        assert_eq!(place.tree(), before, "{line}: {told}");
    }
    assert!(listener.accept().is_err() && unix.accept().is_err() && udp.recv(&mut [0; 8]).is_err(), "something has connected");

    assert!(run > 20, "only {run} have got as far as the kernel");

    // Everything is unchanged.
    let temporary = python("import tempfile; tempfile.TemporaryFile().write(b\"x\")");
    for line in ["cat a.txt sub/b.txt", "git log --oneline", "git status --short", &temporary] {
        let state = place.run(line, plan.clone()).await;
        assert_eq!(
            (&state["metadata"]["sandbox"]["policy"], &state["metadata"]["exit"]),
            (&json!("read-only"), &json!(0)),
            "{line}: {state}"
        );
    }
    let state = place.run("cat a.txt sub/b.txt", plan).await;
    assert_eq!(output(&state), "one\ntwo\nthree\nplain\n");
}

/// Commands that can be confined do not cause questions.
pub fn edits() -> Value {
    json!({ "agent": "build", "mode": "edits" })
}

/// The effect of such a command cannot be derived from its text.
pub fn python(code: &str) -> String {
    format!("/usr/bin/python3 -c '{code}'")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_mode_for_edits_tool_chains_work_in_the_worktree() {
    let mut place = Place::new(Fixture::new().await, "repo", &json!({})).await;
    for line in [
        "echo new > made && cat made && chmod 600 made && touch -d yesterday made && mkdir -p deep/er && mv made deep/er/",
        "git add -A deep && git -c user.name=a -c user.email=a@b commit -qm second && git branch other && git stash list",
        "printf 'all:\\n\\techo built > out.txt\\n' > Makefile && make && cat out.txt",
        "echo 'int main(){return 0;}' > m.c && gcc -o m m.c && ./m",
        "echo '{\"name\": \"x\", \"version\": \"1.0.0\", \"scripts\": {\"build\": \"echo built > n.txt\"}}' > package.json && npm run build && npm install --offline",
        &python("import multiprocessing as m; m.Queue().put(1); import tempfile; tempfile.mkdtemp()"),
        &python("import socket as s; a = s.create_server((\"127.0.0.1\", 0)); s.create_connection(a.getsockname())"),
        "ps aux > /dev/null; df . > /dev/null; true",
        &python(
            "import os\nfor name in (\"XDG_CACHE_HOME\", \"GOCACHE\", \"PIP_CACHE_DIR\", \"npm_config_cache\", \"PNPM_HOME\"): os.makedirs(os.environ[name], exist_ok=True); open(os.environ[name] + \"/x\", \"w\")",
        ),
    ] {
        let state = place.run(line, edits()).await;
        assert_eq!(state["metadata"]["exit"], 0, "{line}: {state}");
        assert_eq!(state["metadata"]["sandbox"]["policy"], "workspace", "{line}");
    }
    assert_eq!((place.read("repo/out.txt"), place.read("repo/n.txt")), ("built\n".to_owned(), "built\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_mode_for_edits_nothing_else_is_read_written_or_reached() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("outside")).unwrap();
    std::fs::write(fixture.path("repo/.env"), "SECRET-ENV=1\n").unwrap();
    std::fs::create_dir(fixture.path("repo/vendor")).unwrap();
    std::fs::write(fixture.path("repo/vendor/v.txt"), "theirs\n").unwrap();
    let settings = json!({ "permission": { "edit": { "vendor/*": "deny" } } });
    let mut place = Place::new(fixture, "repo", &settings).await;
    let kept = ["repo/.git/config", "repo/.env", "repo/vendor/v.txt"];
    let before = kept.map(|name| place.read(name));
    for code in [
        r#"open("../outside/x", "w")"#,
        r#"import os; os.chmod("../outside", 0o777)"#,
        r#"import os; os.utime("..")"#,
        r#"print(open(".env").read())"#,
        r#"open(".env", "w")"#,
        r#"import os; os.remove(".env")"#,
        r#"open("vendor/v.txt", "w")"#,
        r#"open("vendor/new", "w")"#,
        r#"import os; os.chmod("vendor/v.txt", 0)"#,
        r#"import os; os.rename("vendor", "other")"#,
        r#"open(".git/config", "a").write("[core] fsmonitor = evil")"#,
        r#"import os; os.remove(".git/config")"#,
        r#"import os; os.rename(".git/config", "c")"#,
        r#"open(".git/hooks/post-checkout", "w").write("evil")"#,
        r#"import os; os.rename(".git/hooks", "h")"#,
        r#"import os; os.rename(".git", "gone")"#,
        r#"open(".git/polytree-id", "w").write("x")"#,
        r#"import os; os.remove(".git/polytree-id")"#,
        r#"import subprocess; subprocess.check_call(["git", "config", "core.fsmonitor", "evil"])"#,
        r#"import socket; socket.create_connection(("1.1.1.1", 80), 2)"#,
        r#"import socket; s = socket.socket(socket.AF_UNIX); s.connect("/var/run/docker.sock")"#,
        r#"print(open("../data/polytree.db", "rb").read(9))"#,
        r#"import os; print(open("/proc/%d/environ" % os.getppid()).read())"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
        assert!(!output(&state).contains("SECRET"), "{code}");
    }
    assert_eq!(kept.map(|name| place.read(name)), before);
    let names = |name: &str| std::fs::read_dir(place.fixture.path(name)).unwrap().count();
    assert_eq!((names("outside"), names("repo/vendor")), (0, 1));
    assert!(!place.fixture.path("repo/.git/hooks/post-checkout").exists());

    // Files that could execute programs are restored, and this is reported.
    let state = place.run(&python(r#"import os; os.mkdir(".polytree"); open("polytree.json", "w").write("{}")"#), edits()).await;
    assert!(output(&state).contains("put back") && output(&state).contains("polytree.json"), "{state}");
    assert!(!place.fixture.path("repo/polytree.json").exists() && !place.fixture.path("repo/.polytree").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_what_the_settings_name_and_nothing_else() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, came) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let read = stream.read(&mut [0; 4096]).unwrap();
            sender.send(read).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved").unwrap();
        }
    });
    let fetch = format!(r#"import urllib.request as u; print(u.urlopen("http://127.0.0.1:{port}/x").read())"#);
    let direct = format!(r#"import socket; socket.create_connection(("127.0.0.1", {port}), 2)"#);
    let by_proxy = format!(r#"import os; os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""; {fetch}"#);

    let settings = json!({ "sandbox": { "network": { "loopback": true } } });
    let mut place = Place::new(Fixture::new().await, "repo", &settings).await;
    let state = place.run(&python(&fetch), edits()).await;
    assert!(output(&state).contains("served") && came.try_recv().is_ok(), "{state}");
    assert_ne!(place.run(&python(&direct), edits()).await["metadata"]["exit"], 0);

    let settings = json!({ "sandbox": { "network": { "domains": ["crates.io"] } } });
    let mut place = Place::new(Fixture::new().await, "repo", &settings).await;
    for code in [&fetch, &direct, &by_proxy] {
        assert_ne!(place.run(&python(code), edits()).await["metadata"]["exit"], 0, "{code}");
    }
    assert!(came.try_recv().is_err(), "something has come through");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_the_sandbox_is_asked_and_names_the_policy_that_stands_in_the_way() {
    let mut place = Place::new(Fixture::new().await, "repo", &unguarded()).await;
    for (more, policy) in [(json!({ "agent": "plan" }), "read-only"), (edits(), "workspace")] {
        let line = python(r#"open("/var/made", "w")"#);
        let state = place.run(&line, more.clone()).await;
        assert!(output(&state).contains(&format!("the sandbox `{policy}`")) && output(&state).contains("`outside`"), "{state}");
        let refused = &state["metadata"]["sandbox"]["refused"];
        assert!(refused[0].as_str().unwrap().contains("/var/made") && refused.as_array().unwrap().len() == 1, "{state}");
        // The exit code is that of the last command of a line.
        let state = place.run(&format!("{line} 2>&1 | tail -1"), more.clone()).await;
        assert_eq!((&state["metadata"]["exit"], &state["metadata"]["sandbox"]["policy"]), (&json!(0), &json!(policy)));
        assert!(output(&state).contains("`outside`") && state["metadata"]["sandbox"]["refused"].is_array(), "{state}");
        let arguments = json!({ "command": line, "description": "x", "outside": "It writes below /var." });
        let (state, questions) = place.call(arguments, more).await;
        let [question] = &questions[..] else { panic!("{questions:?}") };
        assert_eq!((&question["type"], &question["metadata"]["sandbox"]["policy"]), (&json!("sandbox"), &json!(policy)));
        assert_eq!((&question["metadata"]["reason"], &state["status"]), (&json!("It writes below /var."), &json!("error")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_is_the_roots_and_weaker_than_what_the_user_says() {
    let settings = json!({ "permission": { "bash": { "rm *": "deny", "git push *": "ask" } } });
    let mut place = Place::new(Fixture::new().await, "repo", &settings).await;
    let call = |line: &str| json!({ "command": line, "description": "x" });
    let (_, questions) = place.call(call("touch made"), json!({})).await;
    assert_eq!(questions.len(), 1, "without a mode it is asked");
    let params = json!({ "sessionID": place.session, "mode": "all" });
    assert_eq!(place.client.call("session.update", params).await["mode"], "all");
    let updated = place.client.event_of("session.updated").await;
    assert_eq!(updated["properties"]["info"]["mode"], "all");
    let state = place.run("touch made", json!({})).await;
    assert!(state["metadata"].get("sandbox").is_none() && place.fixture.path("repo/made").exists(), "{state}");
    let (state, questions) = place.call(call("rm made"), json!({})).await;
    assert!(state["status"] == "error" && questions.is_empty(), "{state}");
    for line in ["git push origin", "X=$(cat a.txt); $X"] {
        let (_, questions) = place.call(call(line), json!({})).await;
        assert_eq!(questions.len(), 1, "{line}");
    }
    // The mode of a prompt applies only to its turn.
    let (_, questions) = place.call(call("touch other"), json!({ "mode": "ask" })).await;
    assert_eq!(questions.len(), 1);
    // No mode gives a read-only agent more permissions.
    let (state, _) = place.call(call("touch other"), json!({ "agent": "plan" })).await;
    assert_eq!(state["status"], "error");
    let refused = place.client.refused("session.create", json!({ "parentID": place.session, "mode": "ask" })).await;
    assert!(refused["message"].as_str().unwrap().contains("root"), "{refused}");
    let child = place.client.call("session.create", json!({ "parentID": place.session })).await["id"].clone();
    place.session = child;
    place.client.subscribe(json!({ "sessionID": place.session })).await;
    place.run("touch third", json!({ "agent": "build" })).await;
}

/// Runs a command with fewer abilities than the machine has; returns its output, and the files that were restored.
async fn with_less(abilities: Abilities, worktree: &AbsPath, data: &AbsPath, line: &str) -> (String, Vec<String>) {
    let sandbox = Sandbox::new(data, &[]).with_program(env!("CARGO_BIN_EXE_polytree"));
    let place = sandbox::Place {
        policy: SandboxPolicy::Workspace,
        settings: &sandbox::Settings::default(),
        worktree,
        private: &[],
        home: None,
        search_path: None,
        outputs: data,
        outside: &[],
        own_names: &[".polytree"],
        rules: &|path| sandbox::Verdict { hidden: path == ".env", fixed: false },
        rules_key: 0,
    };
    let confined = sandbox.confine(abilities, &place).unwrap();
    let (mut command, sender) = confined.command("/bin/bash".as_ref(), worktree).unwrap();
    command.args(["-c", "--", line]).env("HOME", worktree.as_path()).envs(confined.variables());
    let child = command.spawn().unwrap();
    drop(command);
    sender.send().await;
    let output = child.wait_with_output().await.unwrap();
    let restored = confined.restore().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (printed, restored.iter().map(|path| path.strip_prefix(worktree).unwrap().display().to_string()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_namespaces_secrets_stay_and_what_git_runs_is_put_back_or_mounted_by_bubblewrap() {
    let fixture = Fixture::new().await;
    let [worktree, data] = ["repo", "data"].map(|name| AbsPath::new(fixture.path(name)).unwrap());
    std::fs::write(fixture.path("repo/.env"), "SECRET-ENV\n").unwrap();
    fixture.git("repo", &["init", "-q", "nested"]);
    let nested = std::fs::read_to_string(fixture.path("repo/nested/.git/config")).unwrap();
    let found = Sandbox::new(&data, &[]).with_program(env!("CARGO_BIN_EXE_polytree")).abilities().await;
    assert!(found.can_confine(), "these tests need Landlock: {found:?}");
    let line = "exec 2>&1; cat a.txt; cat .env; echo x > made; git config core.fsmonitor evil; echo evil > .git/hooks/evil; mkdir .polytree; \
                echo evil > nested/.git/config; \
                echo x > ../outside; rm .git/HEAD; ln -s ../outside .git/HEAD; ln -s ../a.txt .git/COMMIT_EDITMSG.new; echo done";
    let [config, head] = ["config", "HEAD"].map(|name| std::fs::read_to_string(fixture.path("repo/.git").join(name)).unwrap());
    let mut ways = vec![Abilities { namespaces: false, bubblewrap: false, ..found }];
    ways.extend(found.bubblewrap.then_some(Abilities { namespaces: false, ..found }));
    for abilities in ways {
        let (printed, restored) = with_less(abilities, &worktree, &data, line).await;
        assert!(printed.contains("one\ntwo\nthree\n") && printed.ends_with("done\n"), "{printed}");
        assert!(!printed.contains("SECRET-ENV"), "{printed}");
        assert_eq!(std::fs::read_to_string(fixture.path("repo/.git/config")).unwrap(), config);
        assert_eq!(std::fs::read_to_string(fixture.path("repo/nested/.git/config")).unwrap(), nested);
        let compared = [".git/COMMIT_EDITMSG.new", ".git/HEAD", ".polytree", ".git/config", ".git/hooks", "nested/.git/config"];
        let expected = if abilities.bubblewrap { &compared[..3] } else { &compared[..] };
        assert_eq!(restored, expected, "{printed}");
        assert_eq!(std::fs::read_to_string(fixture.path("repo/.git/HEAD")).unwrap(), head);
        for (name, exists) in [("repo/made", true), ("repo/.git/hooks/evil", false), ("repo/.polytree", false), ("outside", false)] {
            assert_eq!(fixture.path(name).exists(), exists, "{name}: {printed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_machine_can_enforce_is_told() {
    let mut place = Place::new(Fixture::new().await, "repo", &json!({})).await;
    let sandbox = place.client.call("server.diagnose", json!({})).await["sandbox"].clone();
    assert!(sandbox["landlock"].as_u64().unwrap() >= 3 && sandbox["seccomp"] == true, "these tests need Landlock: {sandbox}");
    assert!(sandbox["policies"]["read-only"]["enforced"].as_array().unwrap().contains(&json!("read")), "{sandbox}");
}
