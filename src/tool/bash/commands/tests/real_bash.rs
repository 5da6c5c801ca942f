//! The analysis against bash itself: whenever the denied command did run, it must not have been allowed; and of a line that
//! was understood nothing runs and nothing is written but what was understood.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use polytree_protocol::permission::Action;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    Dialect, all_but, analyse,
    corpus::{attacks, harmless},
    generator::{DENIED, lines, soup},
    generator_hidden::hidden,
    judge,
};
use crate::{
    stdx::{
        paths::AbsPath,
        process::{Group, SharedOutput, command, find_program},
    },
    tool::bash::commands::SimpleCommand,
};

/// A directory with a program that leaves a trace when it runs.
struct Stub {
    directory: tempfile::TempDir,
}

impl Stub {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("stub").tempdir().unwrap();
        for name in ["bin", "work"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let stub = Self { directory };
        let leaves_a_trace = format!(": > '{}'\n", stub.path().join("trace").display());
        stub.program(&format!("bin/{DENIED}"), &leaves_a_trace);
        // What `cat` becomes where the search path is another one.
        for other in ["work/ev", "work/0", "work"] {
            for name in ["cat", "git", "ls"] {
                stub.program(&format!("{other}/{name}"), &leaves_a_trace);
            }
        }
        stub.file("work/payload", "a[$(zap)]\n");
        stub.file("work/f8", "a[$(zap)]\n");
        stub.file("work/payload.sh", "zap\n");
        stub
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        self.file(name, &format!("#!/bin/sh\n{script}"));
        std::fs::set_permissions(self.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the line and tells whether the stub ran.
    async fn ran(&self, line: &str) -> bool {
        let trace = self.path().join("trace");
        let _ = std::fs::remove_file(&trace);
        self.run(line, &format!("{}:/usr/bin:/bin", self.path().join("bin").display())).await;
        trace.exists()
    }

    async fn run(&self, line: &str, path: &str) {
        let bash = find_program("bash", None).unwrap();
        let mut command = command(bash, &AbsPath::new(self.path().join("work")).unwrap());
        command.arg("-c").arg(line).env_clear().env("PATH", path).env("HOME", self.path());
        let mut output = SharedOutput::of(&mut command).unwrap();
        let mut group = Group::spawn(command).unwrap();
        let all = async {
            // The end of the output comes when background processes have ended too.
            while output.read(&mut [0; 4096]).await.unwrap() > 0 {}
            group.wait().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
        group.kill();
    }
}

/// How many of the lines ran the stub.
async fn check(stub: &Stub, strategy: BoxedStrategy<String>, count: usize) -> usize {
    let rules = all_but(DENIED);
    let mut runner = TestRunner::deterministic();
    let mut ran = 0;
    for _ in 0..count {
        let line = strategy.new_tree(&mut runner).unwrap().current();
        let did_run = stub.ran(&line).await;
        ran += usize::from(did_run);
        let action = judge(&rules, &line);
        assert!(!did_run || action != Action::Allow, "this was allowed and ran the denied command:\n{line}");
    }
    ran
}

#[tokio::test]
async fn what_ran_was_not_allowed() {
    let stub = Stub::new();
    let ran = check(&stub, lines(&stub.path().join("bin").display().to_string()), COUNT).await;
    // The grammar is worth something only if most of its lines do run the command.
    assert!(ran * 2 > COUNT, "only {ran} of {COUNT} lines ran the command");
}

#[tokio::test]
async fn nonsense_that_ran_was_not_allowed() {
    let stub = Stub::new();
    let ran = check(&stub, soup(), COUNT).await;
    assert!(ran * 20 > COUNT, "only {ran} of {COUNT} lines ran the command");
}

#[tokio::test]
async fn what_is_hidden_and_ran_was_not_allowed() {
    let stub = Stub::new();
    let ran = check(&stub, hidden(), 2 * COUNT).await;
    assert!(ran > COUNT, "only {ran} of {} lines ran the command", 2 * COUNT);
}

#[tokio::test]
async fn attacks_of_the_list_are_real() {
    let stub = Stub::new();
    let mut ran = 0;
    let attacks = attacks();
    for attack in &attacks {
        let did_run = stub.ran(&attack.line).await;
        ran += usize::from(did_run);
        assert!(!did_run || attack.expected != Action::Allow, "this is allowed and ran the denied command:\n{}", attack.line);
    }
    assert!(ran * 2 > attacks.len(), "only {ran} of {} lines ran the command", attacks.len());
}

/// Each program of a line that was understood is a stub that writes its name down.
#[tokio::test]
async fn what_was_understood_does_what_it_was_understood_to_do() {
    let stub = Stub::new();
    let (log, work) = (stub.path().join("log"), stub.path().join("work"));
    let lines = harmless().chain(attacks().into_iter().map(|attack| attack.line)).chain(WRITING.iter().map(|line| (*line).to_owned()));
    let analysed: Vec<_> =
        lines.map(|line| (analyse(&line, Dialect::Bash), line)).filter(|(analysis, _)| !analysis.needs_a_person()).collect();
    let name_of = |command: &SimpleCommand| command.words[0].rsplit('/').next().unwrap().to_owned();
    for name in analysed.iter().flat_map(|(analysis, _)| &analysis.commands).map(name_of).chain(["zap".to_owned()]) {
        if !name.is_empty() && !name.contains(char::is_whitespace) {
            stub.program(&format!("stubs/{name}"), &format!("echo '{name}' >> '{}'\n", log.display()));
        }
    }
    for name in ["done", "a.txt", "a", "a.csv", "files.txt", "log", "f.rs", "sub/x"] {
        stub.file(&format!("work/{name}"), "one\ntwo\n");
    }
    let entries =
        || std::fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>();
    let mut programs = 0;
    for (analysis, line) in &analysed {
        let _ = std::fs::remove_file(&log);
        let before = entries();
        stub.run(line, &stub.path().join("stubs").display().to_string()).await;
        for name in std::fs::read_to_string(&log).unwrap_or_default().lines() {
            programs += 1;
            assert!(analysis.commands.iter().any(|command| name_of(command) == name), "{name} ran and is not in {analysis:#?}\n{line}");
        }
        for made in entries().difference(&before) {
            assert!(analysis.writes.iter().any(|write| write.text.ends_with(&format!(" {made}"))), "{made} was made:\n{line}");
            std::fs::remove_file(work.join(made)).unwrap();
        }
    }
    assert!(analysed.len() > 250 && programs > 250, "{} lines, {programs} programs", analysed.len());
}

/// Lines that write and are understood.
const WRITING: &[&str] = &[
    "echo a > made",
    "echo a >> made; ls > made2",
    "{ echo a; ls; } > made",
    "for i in 1 2; do echo $i; done > made",
    "if true; then echo a > made; fi",
    "f() { echo a > made; }; f",
    "f() { echo a; } > made; f",
    "(echo a) &> made",
    "ls 2> made",
    "ls >| made",
    "echo a 1<> made",
    "while read -r x; do echo \"$x\"; done < a.txt > made",
    "cat <<E > made\na\nE",
    "[[ -f a ]] > made",
    "echo a >& made",
    "> made",
    "A=$(echo a > made); echo $A",
    "eval 'echo a > made'",
    "bash -c 'echo a > made'",
    "trap 'echo a > made' EXIT",
];

const COUNT: usize = 150;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// Without running it: a line that contains the denied command in a place where it runs is never plainly allowed.
    #[test]
    fn a_denied_command_is_never_allowed(line in lines("/opt/bin")) {
        prop_assert_ne!(judge(&all_but(DENIED), &line), Action::Allow);
    }

    #[test]
    fn what_is_hidden_is_never_allowed(line in hidden()) {
        prop_assert_ne!(judge(&all_but(DENIED), &line), Action::Allow);
    }

    #[test]
    fn nothing_panics(line in soup()) {
        judge(&all_but(DENIED), &line);
    }
}
