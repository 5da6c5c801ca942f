//! The analysis against bash itself: whenever the denied command did run, it must not have been allowed.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use polytree_protocol::permission::Action;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    all_but,
    generator::{DENIED, lines, soup},
    judge,
};
use crate::stdx::{
    paths::AbsPath,
    process::{Group, SharedOutput, command},
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
        let program = directory.path().join("bin").join(DENIED);
        std::fs::write(&program, format!("#!/bin/sh\n: > '{}'\n", directory.path().join("trace").display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the line and tells whether the stub ran.
    async fn ran(&self, line: &str) -> bool {
        let trace = self.path().join("trace");
        let _ = std::fs::remove_file(&trace);
        let mut command = command("bash", &AbsPath::new(self.path().join("work")).unwrap());
        command
            .arg("-c")
            .arg(line)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path().join("bin").display()))
            .env("HOME", self.path());
        let mut output = SharedOutput::of(&mut command).unwrap();
        let mut group = Group::spawn(command).unwrap();
        let all = async {
            // The end of the output comes when background processes have ended too.
            while output.read(&mut [0; 4096]).await.unwrap() > 0 {}
            group.wait().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
        group.kill();
        trace.exists()
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

const COUNT: usize = 150;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// Without running it: a line that contains the denied command in a place where it runs is never plainly allowed.
    #[test]
    fn a_denied_command_is_never_allowed(line in lines("/opt/bin")) {
        prop_assert_ne!(judge(&all_but(DENIED), &line), Action::Allow);
    }

    #[test]
    fn nothing_panics(line in soup()) {
        judge(&all_but(DENIED), &line);
    }
}
