//! The bash tool with a real shell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use polytree_protocol::{
    id::{MessageId, SessionId},
    permission::{Action, Rule},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Bash, BashArgs};
use crate::{
    permission::rules::{Origin, Rules, stricter},
    stdx::paths::AbsPath,
    tool::{
        context::{Ask, Host, ToolContext},
        definition::{Tool as _, ToolError, ToolOutput},
        file_times::FileTimes,
    },
};

/// Remembers what it is asked and told, and answers by rules; `ask` counts as a rejection.
struct Recorder {
    rules: Rules,
    asked: Mutex<Vec<Ask>>,
    output: Mutex<String>,
    /// Cancelled once the output contains this text.
    cancel_at: Option<(&'static str, CancellationToken)>,
}

#[async_trait]
impl Host for Recorder {
    async fn ask(&self, _: &ToolContext, ask: Ask) -> Result<(), ToolError> {
        let action = self.rules.evaluate_all(&ask.kind, ask.patterns.iter().map(String::as_str), ask.force);
        let action = ask.quiet.iter().map(|quiet| self.rules.evaluate_quiet(&ask.kind, quiet)).fold(action, stricter);
        self.asked.lock().unwrap().push(ask);
        match action {
            Action::Allow => Ok(()),
            Action::Ask => Err(ToolError::Rejected { message: None }),
            Action::Deny => Err(ToolError::Denied("no".to_owned())),
        }
    }

    fn rules(&self) -> Rules {
        self.rules.clone()
    }

    async fn output(&self, _: &ToolContext, text: String) {
        let mut output = self.output.lock().unwrap();
        output.push_str(&text);
        if let Some((mark, token)) = &self.cancel_at
            && output.contains(mark)
        {
            token.cancel();
        }
    }
}

struct Fixture {
    top: tempfile::TempDir,
    context: ToolContext,
    host: Arc<Recorder>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[("*", "*", Action::Allow)], None)
    }

    fn with(rules: &[(&str, &str, Action)], cancel_at: Option<&'static str>) -> Self {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            std::fs::create_dir(top.path().join(name)).unwrap();
            AbsPath::new(top.path().join(name)).unwrap().real().unwrap()
        };
        let cancel = CancellationToken::new();
        let rule = |(kind, pattern, action): &(&str, &str, Action)| Rule {
            permission: (*kind).to_owned(),
            pattern: (*pattern).to_owned(),
            action: *action,
        };
        let rules: Vec<Rule> = rules.iter().map(rule).collect();
        let host = Arc::new(Recorder {
            rules: crate::tool::test_host::shipped_rules().with(Origin::User, &rules),
            asked: Mutex::default(),
            output: Mutex::default(),
            cancel_at: cancel_at.map(|mark| (mark, cancel.clone())),
        });
        let worktree = path("work");
        let environment =
            BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("SECRET".to_owned(), "from the client".to_owned())]);
        let context = ToolContext {
            processes: None,
            session_id: SessionId::from_ulid(ulid::Ulid::nil()),
            message_id: MessageId::from_ulid(ulid::Ulid::nil()),
            call_id: "call".to_owned(),
            agent: "build".to_owned(),
            directory: worktree.clone(),
            worktree,
            output_directory: path("output"),
            unfinished: path("unfinished"),
            device: None,
            output_limits: crate::tool::context::OutputLimits::default(),
            cancel,
            environment: Arc::new(environment),
            guard: Arc::default(),
            file_times: Arc::new(FileTimes::default()),
            overlay: Arc::default(),
            buffers: crate::overlay::Policy::default(),
            recent: Arc::default(),
            sandbox: None,
            host: host.clone(),
        };
        Self { top, context, host }
    }

    async fn run(&self, command: &str) -> Result<ToolOutput, ToolError> {
        self.call(json!({ "command": command, "description": "Test" })).await
    }

    async fn call(&self, args: Value) -> Result<ToolOutput, ToolError> {
        Bash.run(&self.context, serde_json::from_value::<BashArgs>(args).unwrap()).await
    }

    /// Adds a variable of the client.
    fn set(&mut self, name: &str, value: &str) {
        let mut environment = (*self.context.environment).clone();
        environment.insert(name.to_owned(), value.to_owned());
        self.context.environment = Arc::new(environment);
    }

    fn streamed(&self) -> String {
        self.host.output.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn both_outputs_come_in_the_order_of_writing() {
    let fixture = Fixture::new();
    let output = fixture.run("for i in 1 2 3; do echo out$i; echo err$i >&2; done; printf end").await.unwrap();
    assert_eq!(output.output, "out1\nerr1\nout2\nerr2\nout3\nerr3\nend");
    assert_eq!(fixture.streamed(), output.output);
    assert_eq!(output.title, "Test");
    assert_eq!(output.metadata, json!({ "exit": 0, "description": "Test", "output": output.output, "truncated": false }));
}

#[tokio::test]
async fn a_failing_command_is_a_result() {
    let output = Fixture::new().run("echo no; exit 3").await.unwrap();
    assert_eq!((output.output.as_str(), &output.metadata["exit"]), ("no\n[exit code 3]\n", &json!(3)));
    let output = Fixture::new().run("kill -9 $$").await.unwrap();
    assert!(output.output.starts_with("[ended by signal: 9"), "{}", output.output);
    assert_eq!(output.metadata["exit"], Value::Null);
}

#[tokio::test]
async fn it_runs_in_the_directory_with_the_environment_of_the_client_and_no_input() {
    let fixture = Fixture::new();
    let output = fixture.run("pwd; echo $SECRET $TERM $PAGER $GIT_TERMINAL_PROMPT; cat; env | grep -c CARGO").await.unwrap();
    assert_eq!(output.output, format!("{}\nfrom the client dumb cat 0\n0\n[exit code 1]\n", fixture.context.directory));
    let output = fixture.call(json!({ "command": "mkdir -p a; pwd", "description": "", "workdir": "../work" })).await.unwrap();
    assert_eq!((output.output, output.title.as_str()), (format!("{}\n", fixture.context.directory), "mkdir -p a; pwd"));
    let error = fixture.call(json!({ "command": "pwd", "description": "", "workdir": "nowhere" })).await.unwrap_err();
    assert!(matches!(error, ToolError::Failed(text) if text.contains("nowhere")));
}

#[tokio::test]
async fn each_command_is_asked_about_and_directories_outside_come_first() {
    let fixture = Fixture::new();
    fixture.run("git status && rm ../output/x; ls | wc -l").await.unwrap();
    let asked = std::mem::take(&mut *fixture.host.asked.lock().unwrap());
    // What lies in the output directory is free.
    assert_eq!(asked.iter().map(|ask| &*ask.kind).collect::<Vec<_>>(), ["bash"]);
    assert_eq!(asked[0].patterns, ["git status", "rm ../output/x"]);
    assert_eq!(asked[0].quiet, ["ls", "wc -l"]);
    let bound = format!("[in {}] rm ../output/x", fixture.context.directory);
    assert_eq!(asked[0].always, ["git status *", bound.as_str()]);
    assert!(!asked[0].force);

    let fixture = Fixture::with(&[("bash", "*", Action::Allow)], None);
    let error = fixture.run("touch ../made; touch /usr/lib/x").await.unwrap_err();
    assert_eq!(error, ToolError::Rejected { message: None });
    let asked = fixture.host.asked.lock().unwrap();
    let own = fixture.top.path().canonicalize().unwrap().display().to_string();
    assert_eq!(asked.len(), 1);
    assert_eq!((&*asked[0].kind, &asked[0].patterns), ("external_directory", &vec![format!("{own}/*"), "/usr/lib/*".to_owned()]));
}

#[tokio::test]
async fn what_is_denied_does_not_run_wherever_it_stands() {
    let rules = [("*", "*", Action::Allow), ("bash", "touch *", Action::Deny)];
    for command in ["touch x", "echo $(touch x)", "sh -c 'touch x'", "t''ouch x", "/usr/bin/touch x", "echo a\ntouch x", "f() { touch x; }"]
    {
        let fixture = Fixture::with(&rules, None);
        assert_eq!(fixture.run(command).await.unwrap_err(), ToolError::Denied("no".to_owned()), "{command}");
        assert!(!fixture.context.directory.join("x").as_path().exists(), "{command}");
    }
    let fixture = Fixture::with(&rules, None);
    let error = fixture.run("A=touch; $A x").await.unwrap_err();
    assert_eq!(error, ToolError::Rejected { message: None });
    assert!(fixture.host.asked.lock().unwrap()[0].always.is_empty());
}

#[tokio::test]
async fn time_is_limited() {
    let fixture = Fixture::new();
    let start = Instant::now();
    let output = fixture.call(json!({ "command": "echo begun; sleep 60 | sleep 61", "description": "", "timeout": 300 })).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert!(output.output.starts_with("begun\n[The command was ended because it took longer than 300 ms."), "{}", output.output);
    assert_eq!(output.metadata["exit"], Value::Null);
}

#[tokio::test]
async fn who_ignores_the_request_to_end_is_ended_by_force() {
    let fixture = Fixture::new();
    let start = Instant::now();
    let command = "trap '' TERM; echo $$; while :; do sleep 1; done";
    let output = fixture.call(json!({ "command": command, "description": "", "timeout": 200 })).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let pid: i32 = output.output.lines().next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "it still runs");
}

#[tokio::test]
async fn an_abort_is_quick_and_takes_everything_with_it() {
    let fixture = Fixture::with(&[("*", "*", Action::Allow)], Some("begun"));
    let start = Instant::now();
    let error = fixture.run("trap '' TERM; echo begun; sleep 60; sleep 60").await.unwrap_err();
    assert_eq!(error, ToolError::Aborted);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(fixture.streamed(), "begun\n");
}

#[tokio::test]
async fn what_is_left_in_the_background_does_not_hold_the_call() {
    for command in ["echo $BASHPID; sleep 100 & echo $!", "sleep 100 > /dev/null 2>&1 & echo 0; echo $!"] {
        let fixture = Fixture::new();
        let start = Instant::now();
        let output = fixture.run(command).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(output.output.ends_with("left running in the background were ended.]\n"), "{}", output.output);
        assert_eq!(output.metadata["exit"], 0);
    }
}

#[tokio::test]
async fn a_flood_is_bounded_in_memory_and_kept_on_disk() {
    let fixture = Fixture::new();
    let output = fixture.run("yes | head -c 3000000; echo; echo the end").await.unwrap();
    assert!(output.output.len() < fixture.context.output_limits.bytes);
    assert_eq!(crate::tool::output::cap(&fixture.context, false, output.clone()).await, output, "it is not kept twice");
    assert!(output.output.starts_with("y\ny\n") && output.output.ends_with("\nthe end\n"));
    assert!(output.output.contains("All 3000009 bytes are in "));
    assert_eq!(output.metadata["truncated"], true);
    let path = output.metadata["outputPath"].as_str().unwrap();
    assert!(path.starts_with(&fixture.context.output_directory.to_string()));
    assert_eq!(std::fs::metadata(path).unwrap().len(), 3_000_009);
    let streamed = fixture.streamed();
    // The piece with which the limit is reached goes along.
    assert!(streamed.len() < 1_200_000 && streamed.contains("more output follows"), "{}", streamed.len());
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm() {
    let output = Fixture::new().run("printf 'a\\000b\\377c\\033[1mx'; printf '\\342'; sleep 0.05; printf '\\202\\254'").await.unwrap();
    assert_eq!(output.output, "ab\u{fffd}cx€");
}

#[tokio::test]
async fn a_command_that_looks_like_an_option_is_a_command() {
    let output = Fixture::new().run("-x 2> /dev/null || echo ran").await.unwrap();
    assert_eq!(output.output, "ran\n");
    assert!(Fixture::new().run("  ").await.is_err());
    assert!(Fixture::new().run("a\0b").await.is_err());
}

#[tokio::test]
async fn the_first_long_output_of_a_project_is_kept_and_named() {
    let mut fixture = Fixture::new();
    fixture.context.output_directory = fixture.context.output_directory.join("project/new");
    let output = fixture.run("seq 1 30000; exit 3").await.unwrap();
    let path = output.metadata["outputPath"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 30_000);
    assert!(output.output.contains(&format!("All 168894 bytes are in {path}.")), "{}", output.output);
    assert!(output.output.starts_with("1\n2\n") && output.output.ends_with("\n30000\n[exit code 3]\n"));
    assert!(output.output.lines().count() <= fixture.context.output_limits.lines);
    assert_eq!(crate::tool::output::cap(&fixture.context, false, output.clone()).await, output);
}

#[tokio::test]
async fn progress_is_given_as_its_last_state() {
    let fixture = Fixture::new();
    let output = fixture.run("for i in $(seq 1 500); do printf '\\rat %d' $i; done; printf '\\n\\033[32mok\\033[0m\\n'").await.unwrap();
    assert_eq!(output.output, "at 500\nok\n");
    assert!(fixture.streamed().starts_with("\rat 1\rat 2"), "clients that show it can draw it");
}

#[tokio::test]
async fn variables_that_say_where_git_was_do_not_reach_a_command() {
    let mut fixture = Fixture::new();
    let other = fixture.top.path().join("other");
    std::fs::create_dir(&other).unwrap();
    fixture.run("git init -q . && git init -q ../other").await.unwrap();
    fixture.set("GIT_DIR", other.join(".git").to_str().unwrap());
    fixture.set("GIT_WORK_TREE", other.to_str().unwrap());
    fixture.set("GIT_INDEX_FILE", other.join(".git/index").to_str().unwrap());
    let output = fixture.run("git rev-parse --show-toplevel; touch f; git add f; ls ../other/.git/index").await.unwrap();
    assert!(output.output.starts_with(&format!("{}\n", fixture.context.worktree)), "{}", output.output);
    assert!(output.output.contains("No such file") && fixture.context.worktree.join(".git/index").as_path().exists(), "{}", output.output);
}

#[tokio::test]
async fn no_editor_and_no_pager_waits_for_a_person() {
    let mut fixture = Fixture::new();
    for name in ["EDITOR", "VISUAL", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "PAGER", "GIT_PAGER", "MANPAGER"] {
        fixture.set(name, "sleep 60 #");
    }
    for (name, value) in [("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a"), ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a")] {
        fixture.set(name, value);
    }
    let begun = Instant::now();
    let output =
        fixture.run("git init -q . && printf '[core]\neditor = sleep 60 #\n' >> .git/config && git commit --allow-empty").await.unwrap();
    assert!(output.output.contains("problem with the editor") && output.output.ends_with("[exit code 1]\n"), "{}", output.output);
    let output = fixture
        .run("git commit -q --allow-empty -m one && git commit -q --amend; git tag -a v1; git rebase -i --root; git -p log --format=%s")
        .await
        .unwrap();
    assert!(output.output.ends_with("\none\n"), "{}", output.output);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_has_a_session_of_its_own_and_so_no_terminal() {
    let output =
        Fixture::new().run("read -r line < /proc/$$/stat; set -- $line; [ \"$6\" = $$ ] && [ \"$7\" = 0 ] && echo alone").await.unwrap();
    assert_eq!(output.output, "alone\n");
}

#[tokio::test]
async fn the_mask_of_the_client_holds() {
    for (mask, mode) in [("0077", "600"), ("0002", "664"), ("0027", "640")] {
        let mut fixture = Fixture::new();
        fixture.set(crate::tool::umask::VARIABLE, mask);
        let output = fixture.run("touch f; stat -c %a f; echo \"[$POLYTREE_UMASK]\"").await.unwrap();
        assert_eq!(output.output, format!("{mode}\n[]\n"));
    }
}

/// Ends a process, also where the test fails.
#[cfg(target_os = "linux")]
struct Ended(i32);

#[cfg(target_os = "linux")]
impl Drop for Ended {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(self.0).unwrap(), rustix::process::Signal::KILL);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn processes_that_leave_the_group_are_named() {
    let waits = "until [ -s pid ]; do sleep 0.01; done";
    for (command, limit) in [
        (format!("setsid sh -c 'echo $$ > pid; exec sleep 4000' & {waits}"), 60_000),
        (format!("(setsid sh -c 'sh -c \"echo \\$\\$ > pid; exec sleep 4000\" & exit' >/dev/null 2>&1 </dev/null); {waits}"), 60_000),
        (format!("setsid sh -c 'echo $$ > pid; exec sleep 4000' & {waits}; sleep 60"), 3000),
    ] {
        let fixture = Fixture::new();
        let output = fixture.call(json!({ "command": command, "timeout": limit })).await.unwrap();
        let pid = std::fs::read_to_string(fixture.context.worktree.join("pid")).unwrap().trim().parse().unwrap();
        let _ended = Ended(pid);
        let told = format!("[Still running, because they have left the process group of the command: {pid} (");
        assert!(output.output.contains(&told), "{command}: {}", output.output);
        assert_eq!(output.metadata["running"][0]["pid"], pid, "{command}");
        assert!(!output.output.contains("background were ended"), "{command}: {}", output.output);
    }
    let output = Fixture::new().run("true & wait; echo one").await.unwrap();
    assert_eq!((output.output.as_str(), output.metadata.get("running")), ("one\n", None));
}

#[tokio::test]
async fn a_timeout_of_nothing_is_the_usual_one() {
    let output = Fixture::new().call(json!({ "command": "sleep 0.1; echo done", "timeout": 0 })).await.unwrap();
    assert_eq!(output.output, "done\n");
}

#[tokio::test]
async fn an_abort_ends_a_flood_that_ignores_it() {
    let fixture = Fixture::with(&[("*", "*", Action::Allow)], Some("0123456789"));
    let begun = Instant::now();
    assert_eq!(fixture.run("trap '' TERM; yes 0123456789").await.unwrap_err(), ToolError::Aborted);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
