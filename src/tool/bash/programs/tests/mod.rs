//! What is decided about whole command lines, by the tool itself but for running them.

mod lines;
mod plan;
mod properties;
#[cfg(unix)]
mod stored;
#[cfg(unix)]
mod witness;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use polytree_protocol::{
    id::{MessageId, SessionId},
    permission::{Action, Rule},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    permission::rules::{Origin, Rules},
    stdx::paths::AbsPath,
    tool::{
        bash::{Bash, ask::BashArgs},
        context::{Ask, Host, ToolContext},
        definition::{Tool as _, ToolError},
        file_times::FileTimes,
        guard::Guard,
        private::PrivatePlaces,
    },
};

/// Decides by rules, remembers what was asked, and lets nothing run.
struct Judge {
    rules: Rules,
    asked: Mutex<Vec<(Action, Ask)>>,
}

#[async_trait]
impl Host for Judge {
    async fn ask(&self, _: &ToolContext, ask: Ask) -> Result<(), ToolError> {
        let action = self.rules.evaluate_all(&ask.kind, ask.patterns.iter().map(String::as_str), ask.force);
        let quiet = ask.quiet.iter().map(|quiet| self.rules.evaluate_quiet(&ask.kind, quiet));
        let action = quiet.fold(action, crate::permission::rules::stricter);
        let is_command = ask.kind == "bash";
        self.asked.lock().unwrap().push((action, ask));
        // A question is answered with yes, so that the next one is seen too; the command itself never runs.
        if action == Action::Deny || is_command { Err(ToolError::Aborted) } else { Ok(()) }
    }

    fn rules(&self) -> Rules {
        self.rules.clone()
    }
}

/// A worktree, and beside it a directory and a home.
pub(super) struct Place {
    top: tempfile::TempDir,
}

/// What was decided about a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    action: Action,
    /// The kinds of what was asked or denied.
    kinds: Vec<String>,
    /// What "always" would grant, of all questions.
    always: Vec<String>,
}

impl Place {
    pub(super) fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        for directory in ["work/sub/deep", "work/.git", "work/secret", "other", "home/.ssh", "output", "unfinished"] {
            std::fs::create_dir_all(top.path().join(directory)).unwrap();
        }
        for file in [
            "work/a.txt",
            "work/a.py",
            "work/x.sh",
            "work/build.sh",
            "work/.env",
            "work/sub/b.txt",
            "work/Cargo.lock",
            "work/secret/key",
            "other/s",
            "home/.npmrc",
            "home/.ssh/id",
            "home/notes",
        ] {
            std::fs::write(top.path().join(file), "x\n").unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../other", top.path().join("work/link")).unwrap();
            std::os::unix::fs::symlink(".env", top.path().join("work/innocent")).unwrap();
        }
        Self { top }
    }

    fn remove_secrets(&self) {
        for file in [".env", "innocent", "link"] {
            let _ = std::fs::remove_file(self.top.path().join("work").join(file));
        }
    }

    fn path(&self, name: &str) -> AbsPath {
        AbsPath::new(self.top.path().join(name)).unwrap().real().unwrap()
    }

    /// What the tool decides; `rules` in the order in which the last one counts.
    pub(super) async fn judge(&self, rules: &[Rule], line: &str) -> Verdict {
        let rules = crate::tool::test_host::shipped_rules().with(Origin::User, rules);
        let host = Arc::new(Judge { rules, asked: Mutex::default() });
        let worktree = self.path("work");
        let environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("HOME".to_owned(), self.path("home").to_string()),
            ("CHECKOUT".to_owned(), worktree.to_string()),
            ("OUTSIDE".to_owned(), self.path("other").to_string()),
        ]);
        let context = ToolContext {
            session_id: SessionId::from_ulid(ulid::Ulid::nil()),
            message_id: MessageId::from_ulid(ulid::Ulid::nil()),
            call_id: "call".to_owned(),
            agent: "build".to_owned(),
            directory: worktree.clone(),
            worktree,
            output_directory: self.path("output"),
            unfinished: self.path("unfinished"),
            device: None,
            output_limits: crate::tool::context::OutputLimits::default(),
            cancel: CancellationToken::new(),
            guard: Arc::new(Guard { private: PrivatePlaces::new([], self.path("output"), &environment), ..Guard::default() }),
            environment: Arc::new(environment),
            file_times: Arc::new(FileTimes::default()),
            overlay: Arc::default(),
            buffers: crate::overlay::Policy::default(),
            recent: Arc::default(),
            sandbox: None,
            processes: None,
            host: host.clone(),
        };
        let args = json!({ "command": line, "description": "Test" });
        let _ = Bash.run(&context, serde_json::from_value::<BashArgs>(args).unwrap()).await;
        let asked = std::mem::take(&mut *host.asked.lock().unwrap());
        let action = asked.iter().map(|(action, _)| *action).fold(Action::Allow, crate::permission::rules::stricter);
        let open = || asked.iter().filter(|(action, _)| *action != Action::Allow);
        let always = open().flat_map(|(_, ask)| ask.always.clone()).collect();
        Verdict { action, kinds: open().map(|(_, ask)| ask.kind.to_string()).collect(), always }
    }
}

/// Rules as settings have them: a word for a kind, or patterns with words, in order.
pub(super) fn rules(settings: &str) -> Vec<Rule> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
    let action = |word: &Value| match word.as_str() {
        Some("allow") => Action::Allow,
        Some("deny") => Action::Deny,
        _ => Action::Ask,
    };
    let entries = settings.as_array().unwrap().iter().map(|entry| {
        let text = |at: usize| entry[at].as_str().unwrap().to_owned();
        Rule { permission: text(0), pattern: text(1), action: action(&entry[2]) }
    });
    entries.collect()
}
