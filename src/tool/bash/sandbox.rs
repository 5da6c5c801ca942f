//! The sandbox of a command: which policy it runs with, what rules keep from it, and what the model is told when it comes
//! up against that.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    sync::Arc,
};

use polytree_protocol::{
    permission::Action,
    sandbox::{SandboxPolicy, SandboxReport, SandboxWord},
};
use serde_json::json;

use crate::{
    permission::{mode::OWN_NAMES, rules::Rules},
    sandbox::{Confined, Place, Unconfined, Verdict},
    stdx::{paths::AbsPath, text::ellipsis},
    tool::{
        context::{Approval, Ask, ToolContext},
        definition::ToolError,
        path::blocking,
    },
};

/// The maximum number of paths that the model is told.
const MAX_NAMED: usize = 10;

/// What programs say when the system refuses them something.
const REFUSALS: &[&str] = &[
    "permission denied",
    "operation not permitted",
    "read-only file system",
    "eacces",
    "eperm",
    "erofs",
    "could not resolve",
    "couldn't resolve",
    "name resolution",
    "network is unreachable",
    "network unreachable",
    "no address associated",
    "enotfound",
    "eai_again",
    "device or resource busy",
    "the sandbox does not allow",
    "response 403",
];

/// How programs end a line that tells of a refusal.
const ENDINGS: &[&str] = &[
    ": permission denied",
    ": operation not permitted",
    ": read-only file system",
    ": network is unreachable",
    ": temporary failure in name resolution",
];
/// What such a line may hold anywhere.
const CERTAIN: &[&str] = &[
    "could not resolve host",
    "the sandbox does not allow",
    "[errno 1] ",
    "[errno 13] ",
    "[errno 30] ",
    "eacces: ",
    "eperm: ",
    "erofs: ",
    "enotfound ",
    "eai_again ",
];
/// So many such lines, of so many characters, are given to clients.
const MAX_REFUSED: usize = 5;
const MAX_REFUSED_LINE: usize = 200;

/// What was allowed before, beside the command itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Granted {
    /// Patterns of directories outside.
    pub directories: Vec<String>,
    /// Files that may be read.
    pub read: Vec<String>,
    /// Files that may be written.
    pub edit: Vec<String>,
}

impl Granted {
    /// What still holds of a verdict on a path.
    fn over(&self, path: &str, verdict: Verdict) -> Verdict {
        let has = |paths: &[String]| paths.iter().any(|granted| granted == path);
        Verdict { hidden: verdict.hidden && !has(&self.read) && !has(&self.edit), fixed: verdict.fixed && !has(&self.edit) }
    }
}

/// How a command runs.
#[derive(Debug)]
pub(super) enum Execution {
    /// With everything that the user may do.
    Free,
    /// With a policy of which nothing can be enforced here, which is told.
    Unenforced(SandboxReport),
    /// In the sandbox.
    Confined(Box<Confined>),
}

impl Execution {
    /// What is told of it; nothing where it has no policy.
    pub(super) fn report(&self) -> Option<&SandboxReport> {
        match self {
            Self::Free => None,
            Self::Unenforced(report) => Some(report),
            Self::Confined(confined) => Some(&confined.report),
        }
    }
}

/// Asks for permission to run a command and decides how it runs. `outside` is the model's reason for running it without the
/// sandbox; `granted` is what was allowed before.
pub(super) async fn authorize(context: &ToolContext, ask: Ask, outside: Option<&str>, granted: Granted) -> Result<Execution, ToolError> {
    let Some(sandboxing) = &context.sandbox else {
        return context.host.ask(context, ask).await.map(|()| Execution::Free);
    };
    let abilities = sandboxing.sandbox.abilities().await;
    let can_confine = sandboxing.settings.can_have(abilities, SandboxPolicy::Workspace);
    let again = ask.clone();
    let policy = match context.host.ask_command(context, ask, can_confine).await? {
        Approval::User => return Ok(Execution::Free),
        Approval::ReadRules => SandboxPolicy::ReadOnly,
        Approval::Sandboxed => SandboxPolicy::Workspace,
    };
    if let Some(reason) = outside.map(str::trim).filter(|reason| !reason.is_empty()) {
        let report = abilities.report(policy, sandboxing.settings.wants());
        return ask_outside(context, again, &report, reason, false).await;
    }
    let allowed: Vec<AbsPath> = granted.directories.iter().filter_map(|pattern| AbsPath::new(pattern.strip_suffix("/*")?)).collect();
    let (sandboxing, worktree, environment) = (Arc::clone(sandboxing), context.worktree.clone(), Arc::clone(&context.environment));
    let (settings, outputs, guard) = (Arc::clone(&sandboxing.settings), context.output_directory.clone(), Arc::clone(&context.guard));
    let rules = context.host.rules();
    let confined = blocking(move || {
        let home = environment.get("HOME").and_then(AbsPath::new).or_else(crate::stdx::paths::home);
        let rules_key = key(&rules, policy, &granted);
        let judge = |path: &str| granted.over(path, verdict(&rules, policy, path));
        let place = Place {
            policy,
            settings: &sandboxing.settings,
            worktree: &worktree,
            private: guard.private.all(),
            home: home.as_ref(),
            search_path: environment.get("PATH").map(String::as_str),
            outputs: &outputs,
            outside: &allowed,
            own_names: &OWN_NAMES,
            rules: &judge,
            rules_key,
        };
        Ok(sandboxing.sandbox.confine(abilities, &place))
    })
    .await?;
    let report = abilities.report(policy, settings.wants());
    match confined {
        Ok(confined) => Ok(Execution::Confined(Box::new(confined))),
        // The rules have allowed it, and nothing here could do more; where that is not enough, settings say so.
        Err(Unconfined::Impossible) if policy == SandboxPolicy::ReadOnly && !settings.required => Ok(Execution::Unenforced(report)),
        Err(error) => ask_outside(context, again, &report, &error.to_string(), true).await,
    }
}

/// Asks for permission to run it without the sandbox; the question names the policy that stands in the way.
async fn ask_outside(context: &ToolContext, ask: Ask, report: &SandboxReport, reason: &str, force: bool) -> Result<Execution, ToolError> {
    let mut metadata = ask.metadata;
    metadata["sandbox"] = json!(report);
    metadata["reason"] = json!(reason);
    let title = format!("Outside the sandbox ({}): {}", word(report.policy), ask.title);
    let ask = Ask { kind: "sandbox".into(), force: force || ask.force, title, metadata, ..ask };
    context.host.ask(context, ask).await.map(|()| Execution::Free)
}

/// What the rules say of a file of the worktree, by its path in it.
fn verdict(rules: &Rules, policy: SandboxPolicy, path: &str) -> Verdict {
    let hidden = rules.evaluate("read", path) != Action::Allow;
    if policy != SandboxPolicy::Workspace {
        // Nothing is written at all.
        return Verdict { hidden, fixed: false };
    }
    let edit = rules.decide("edit", path);
    let fixed = match (edit.action, &edit.rule) {
        (Action::Deny, _) => true,
        (Action::Ask, Some((origin, rule))) if origin.is_users() => rule.pattern != "*",
        _ => false,
    };
    Verdict { hidden, fixed }
}

fn key(rules: &Rules, policy: SandboxPolicy, granted: &Granted) -> u64 {
    let mut hasher = DefaultHasher::new();
    (format!("{rules:?}"), policy, &granted.read, &granted.edit).hash(&mut hasher);
    hasher.finish()
}

/// The policy's name in settings and questions.
fn word(policy: SandboxPolicy) -> &'static str {
    match policy {
        SandboxPolicy::ReadOnly => "read-only",
        SandboxPolicy::Workspace => "workspace",
        SandboxPolicy::Off => "off",
    }
}

/// What git cannot make in a linked worktree, by which it says so.
const SHARED_REFERENCES: &str = "packed-refs.lock";

/// The lines of a command's output that tell of a refusal, which the sandbox may have caused. `exit` says whether the command
/// has failed; nothing where another command has determined the exit code, as in `make | tail`.
pub(super) fn refused(report: &SandboxReport, output: &str, exit: Option<bool>) -> Vec<String> {
    if report.policy == SandboxPolicy::Off || report.enforced.is_empty() || exit == Some(false) {
        return Vec::new();
    }
    let tells = |line: &&str| {
        let line = line.to_lowercase();
        let line = line.split(" (os error").next().unwrap_or_default().trim_end();
        match exit {
            Some(_) => REFUSALS.iter().any(|refusal| line.contains(refusal)),
            None => ENDINGS.iter().any(|ending| line.ends_with(ending)) || CERTAIN.iter().any(|text| line.contains(text)),
        }
    };
    output.lines().filter(tells).take(MAX_REFUSED).map(|line| ellipsis(line.trim(), MAX_REFUSED_LINE)).collect()
}

/// What the model is told of a command to which the sandbox may have refused something.
pub(super) fn note(report: &SandboxReport, output: &str) -> Option<String> {
    if report.policy == SandboxPolicy::Workspace && output.contains(SHARED_REFERENCES) {
        // Some of its commands do the rest and call that a success.
        return Some(
            "[git could not lock `packed-refs`, which all worktrees of the repository share and the sandbox `workspace` does not let be changed. A commit is made nevertheless; references and stashes that were to be deleted or packed are still there. Only if that matters, call bash again with `outside`: the reason, for which the user is asked.]"
                .to_owned(),
        );
    }
    let allows = match report.policy {
        _ if report.refused.is_empty() => return None,
        SandboxPolicy::ReadOnly => "it can read the worktree and the system, write only below $TMPDIR, and has no network",
        SandboxPolicy::Workspace => {
            "it can write only the worktree (but not git's settings and hooks) and below $TMPDIR, and has only the network that the settings allow"
        }
        SandboxPolicy::Off => return None,
    };
    // Where nothing can be hidden by a mount.
    let is_spared = report.policy == SandboxPolicy::Workspace && report.missing.contains(&SandboxWord::Read);
    let spared = if is_spared { ", and what it creates beside a hidden file can only be read by the next command" } else { "" };
    Some(format!(
        "[The command ran in the sandbox `{}`, which may be why it failed: {allows}{spared}. If it needs more, call bash again with the same command and `outside`: the reason, for which the user is asked.]",
        word(report.policy)
    ))
}

/// What was found after a command.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Files that it has changed and that were put back.
    restored: Vec<PathBuf>,
    /// Directories in which it has made a repository.
    repositories: Vec<PathBuf>,
    /// What could not be put back, and why.
    failure: Option<String>,
}

impl After {
    /// For clients.
    pub(super) fn tell(&self, report: &mut SandboxReport) {
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
        (report.restored, report.repositories) = (texts(&self.restored), texts(&self.repositories));
    }

    /// For the model.
    pub(super) fn note(&self) -> Option<String> {
        let restored = (!self.restored.is_empty()).then(|| {
            let makes = self.restored.iter().any(|path| path.ends_with(".git") || path.ends_with("worktrees"));
            let hint = if makes {
                " What `git init`, `git clone` or `git worktree add` made of it is therefore gone, although the command succeeded; call bash again with the same command and `outside`: the reason."
            } else {
                ""
            };
            format!(
                "[The command changed files by which programs are run, which the sandbox does not allow; they were put back as they were: {}.{hint}]",
                names(&self.restored)
            )
        });
        let failed = self.failure.as_ref().map(|error| {
            format!("[The command changed git's settings or hooks, and they could not be put back: {error}. Tell the user, who must look at them before git is used here.]")
        });
        let made = (!self.repositories.is_empty()).then(|| {
            format!("[The command created a repository in: {}. git in it may run programs: tell the user, who must look at its settings and hooks before git is used there.]", names(&self.repositories))
        });
        let notes: Vec<String> = restored.into_iter().chain(failed).chain(made).collect();
        (!notes.is_empty()).then(|| notes.join("\n"))
    }
}

/// Puts back what a command has changed and should not have, and looks for repositories that it has made.
pub(super) async fn restore(execution: Execution) -> After {
    let Execution::Confined(confined) = execution else { return After::default() };
    let after = blocking(move || {
        let (restored, failure) = match confined.restore() {
            Ok(restored) => (restored, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let after = After { restored, failure, repositories: confined.new_repositories() };
        // Its temporary directory goes with it.
        drop(confined);
        Ok(after)
    });
    after.await.unwrap_or_else(|error| After { failure: Some(error.to_string()), ..After::default() })
}

/// The first of these paths.
fn names(paths: &[PathBuf]) -> String {
    let named: Vec<String> = paths.iter().take(MAX_NAMED).map(|path| path.display().to_string()).collect();
    let more = paths.len().saturating_sub(MAX_NAMED);
    named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::permission::Rule;

    use super::*;
    use crate::{permission::rules::Origin, tool::test_host::shipped_rules};

    #[test]
    fn what_the_rules_say_of_files_holds_for_commands() {
        let rule =
            |permission: &str, pattern: &str, action| Rule { permission: permission.to_owned(), pattern: pattern.to_owned(), action };
        let user = [
            rule("read", "private/*", Action::Deny),
            rule("edit", "*", Action::Ask),
            rule("edit", "vendor/*", Action::Deny),
            rule("edit", "docs/*", Action::Ask),
        ];
        let rules = shipped_rules().with(Origin::User, &user);
        for (path, hidden, fixed) in [
            ("src/a", false, false),
            (".env", true, false),
            ("a/.env.local", true, false),
            ("a/.env.example", false, false),
            ("private/x", true, false),
            ("vendor/x", false, true),
            ("docs/x", false, true),
        ] {
            assert_eq!(verdict(&rules, SandboxPolicy::Workspace, path), Verdict { hidden, fixed }, "{path}");
            assert_eq!(verdict(&rules, SandboxPolicy::ReadOnly, path), Verdict { hidden, fixed: false }, "{path}");
        }
        let none = Granted::default();
        let some = Granted { read: vec![".env".to_owned()], ..Granted::default() };
        let first = key(&rules, SandboxPolicy::ReadOnly, &none);
        assert_ne!(first, key(&rules, SandboxPolicy::Workspace, &none));
        assert_ne!(first, key(&Rules::new(None), SandboxPolicy::ReadOnly, &none));
        assert_ne!(first, key(&rules, SandboxPolicy::ReadOnly, &some));
        let both = Verdict { hidden: true, fixed: true };
        assert_eq!(some.over(".env", both), Verdict { hidden: false, fixed: true });
        assert_eq!(some.over("other", both), both);
    }

    #[test]
    fn only_what_looks_like_a_refusal_is_explained() {
        let report = SandboxReport { policy: SandboxPolicy::Workspace, enforced: vec![SandboxWord::Write], ..SandboxReport::default() };
        let (denied, no_host) = ("touch: cannot touch '/x': Permission denied", "fatal: Could not resolve host: github.com");
        let found = |output: &str, exit| refused(&report, output, exit).join("|");
        for (output, exit, expected) in [
            (format!("a\n{denied}\nb"), Some(true), denied),
            (no_host.to_owned(), Some(true), no_host),
            ("2 tests failed".to_owned(), Some(true), ""),
            ("find: '/x': Permission denied".to_owned(), Some(false), ""),
            (format!("{denied}\nlast"), None, denied),
            (no_host.to_owned(), None, no_host),
            ("error: /x: Permission denied (os error 13)".to_owned(), None, "error: /x: Permission denied (os error 13)"),
            ("OSError: [Errno 30] Read-only file system: '/x'".to_owned(), None, "OSError: [Errno 30] Read-only file system: '/x'"),
            ("src/a.rs:3:    \"permission denied\",".to_owned(), None, ""),
        ] {
            assert_eq!(found(&output, exit), expected, "{output} {exit:?}");
        }
        assert_eq!(refused(&report, &format!("{denied}\n").repeat(100), Some(true)).len(), MAX_REFUSED);
        assert!(refused(&SandboxReport { enforced: Vec::new(), ..report.clone() }, denied, Some(true)).is_empty(), "no sandbox was there");
        assert_eq!(note(&report, denied), None);
        let explained = SandboxReport { refused: vec![denied.to_owned()], ..report.clone() };
        let told = note(&explained, denied).unwrap();
        assert!(told.contains("`workspace`") && !told.contains("next command"), "{told}");
        assert!(note(&SandboxReport { missing: vec![SandboxWord::Read], ..explained }, denied).unwrap().contains("next command"));
        assert!(
            note(&report, "error: Unable to create '/r/.git/packed-refs.lock': Read-only file system").unwrap().contains("packed-refs")
        );
    }
}
