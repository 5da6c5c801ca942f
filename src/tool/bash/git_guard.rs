//! What the git that a command starts is told beside its settings: programs that an unknown repository names are not run
//! unless a person has looked at the command or trusts the project. Settings of the user's own stay in force.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::commands::Analysis;
use crate::{
    git::program::setting_variables,
    git::settings::{RepositorySetting, parts, settings_of_repositories},
    stdx::paths::AbsPath,
};

/// A setting for git: the key and what it is.
pub(super) type Setting = (OsString, OsString);

/// Shows a difference as git itself would, in the place of a program that is to show it.
const PLAIN_DIFF: &str = r#"f() { git --no-pager diff --no-index --no-ext-diff --no-textconv -- "$2" "$5"; :; }; f"#;

/// Commands of git that change nothing. Of others the repository's hooks, filters and helpers are a part: a commit without
/// them is another one, and a rule of the user's own has allowed it with them.
const READING: &[&str] = &[
    "blame",
    "branch",
    "cat-file",
    "check-ignore",
    "describe",
    "diff",
    "for-each-ref",
    "grep",
    "log",
    "ls-files",
    "ls-tree",
    "merge-base",
    "name-rev",
    "reflog",
    "remote",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-ref",
    "status",
    "tag",
    "version",
    "whatchanged",
];

/// How the commands of a line use git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Not by its name.
    None,
    /// Only to look.
    Reads,
    /// Also to change something.
    Writes,
}

/// How a line uses git.
pub(super) fn uses_git(analysis: &Analysis) -> Use {
    let mut found = if analysis.understood { Use::None } else { Use::Writes };
    for command in &analysis.commands {
        let name = command.words.first().and_then(|word| word.rsplit('/').next());
        if name != Some("git") {
            continue;
        }
        let reads = subcommand(&command.words[1..]).is_some_and(|word| READING.contains(&word));
        found = if reads && found != Use::Writes { Use::Reads } else { Use::Writes };
    }
    found
}

/// The word of git's that says what it does, behind options with and without a value of their own.
fn subcommand(words: &[String]) -> Option<&str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--config-env" | "--exec-path" => drop(words.next()),
            option if option.starts_with('-') => {}
            name => return Some(name),
        }
    }
    None
}

/// What git is told for a line that uses it in these directories.
pub(super) async fn settings(usage: Use, directories: Vec<AbsPath>, worktree: &AbsPath, is_free: bool) -> Vec<Setting> {
    let mut told: Vec<Setting> = vec![("core.fsmonitor".into(), "false".into())];
    if usage == Use::None || is_free {
        return told;
    }
    // A directory that looks like a bare repository may be a part of what was cloned.
    if !is_bare(worktree) {
        told.push(("safe.bareRepository".into(), "explicit".into()));
    }
    let repository = settings_of_repositories(directories).await;
    told.extend(overrides(&repository, usage));
    if usage == Use::Reads && !repository.contains_key(OsStr::new("core.hookspath")) {
        told.push(("core.hooksPath".into(), "/dev/null".into()));
    }
    told
}

/// Whether the session itself is in a bare repository.
fn is_bare(worktree: &AbsPath) -> bool {
    let there = |name: &str| worktree.join(name).as_path().exists();
    !there(".git") && there("HEAD") && there("objects")
}

/// In the place of each program that a repository names: what the user names, else something harmless.
fn overrides(repository: &BTreeMap<OsString, RepositorySetting>, usage: Use) -> Vec<Setting> {
    let mut told = Vec::new();
    for (key, setting) in repository {
        let Some((section, name, variable)) = parts(key) else { continue };
        let last = setting.values.last().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(harmless) = harmless(&section, &name, &variable, &last, usage) else { continue };
        told.push((key.clone(), harmless.into()));
        told.extend(setting.own.iter().map(|own| (key.clone(), own.clone())));
    }
    told
}

/// What stands in the place of a program, for keys that name one.
fn harmless(section: &str, name: &[u8], variable: &str, value: &str, usage: Use) -> Option<&'static str> {
    let reads = usage == Use::Reads;
    Some(match (section, variable) {
        ("core", "fsmonitor") => "false",
        ("core", "hookspath") if reads => "/dev/null",
        ("core", "pager") | ("interactive", "difffilter") | ("diff", "textconv") => "cat",
        ("core" | "sequence", "editor") => "false",
        ("core", "askpass") => "",
        ("core", "alternaterefscommand") | ("gc", "recentobjectshook") => "true",
        ("diff", "external") if name.is_empty() => PLAIN_DIFF,
        ("diff", "command") => PLAIN_DIFF,
        ("pager", _) | ("difftool" | "mergetool" | "browser" | "man" | "guitool", "cmd" | "path") => "false",
        // An alias cannot hide a command of git's own, and this one is not run.
        ("alias", _) if value.trim_start().starts_with('!') => "",
        ("submodule", "update") if value.trim_start().starts_with('!') => "checkout",
        ("protocol", "allow") if name == b"ext" || name.is_empty() => "never",
        ("trailer", "command" | "cmd") => "",
        ("core", "sshcommand") if reads => "ssh",
        ("core", "gitproxy") if reads => "none",
        ("filter", "clean" | "smudge" | "process") | ("credential", "helper") if reads => "",
        ("filter", "required") if reads => "false",
        ("merge", "driver") if reads => "false",
        ("gpg", "program") if reads => match name {
            b"ssh" => "ssh-keygen",
            b"x509" => "gpgsm",
            _ => "gpg",
        },
        ("remote", "uploadpack") if reads => "git-upload-pack",
        ("remote", "receivepack") if reads => "git-receive-pack",
        _ => return None,
    })
}

/// The variables that tell git all this, behind what the client's own say.
pub(super) fn variables(client: &BTreeMap<String, String>, told: &[Setting]) -> Vec<(OsString, OsString)> {
    let count = client.get("GIT_CONFIG_COUNT").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    let mut variables = setting_variables(count, told.iter().map(|(key, value)| (key, value)));
    if told.iter().any(|(key, _)| key.eq_ignore_ascii_case("core.hooksPath")) {
        // Reading only: an object that is missing would be fetched by a program that the repository names.
        variables.push(("GIT_NO_LAZY_FETCH".into(), "1".into()));
    }
    // What stands there counts more than the numbered ones.
    if let Some(parameters) = client.get("GIT_CONFIG_PARAMETERS").filter(|parameters| !parameters.trim().is_empty()) {
        let mut text = OsString::from(parameters);
        for (key, value) in told {
            text.push(" ");
            text.push(quoted(key));
            text.push("=");
            text.push(quoted(value));
        }
        variables.push(("GIT_CONFIG_PARAMETERS".into(), text));
    }
    variables
}

/// A text in quotes, as git quotes it for itself.
fn quoted(text: &OsStr) -> OsString {
    let bytes = text.as_encoded_bytes();
    let mut quoted = OsString::from("'");
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\'' | b'!')) {
        quoted.push(piece(bytes, from, at));
        quoted.push(if *byte == b'!' { r"'\!'" } else { r"'\''" });
        from = at + 1;
    }
    quoted.push(piece(bytes, from, bytes.len()));
    quoted.push("'");
    quoted
}

#[cfg(unix)]
fn piece(bytes: &[u8], from: usize, to: usize) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(&bytes[from..to])
}

#[cfg(not(unix))]
fn piece(bytes: &[u8], from: usize, to: usize) -> String {
    String::from_utf8_lossy(&bytes[from..to]).into_owned()
}

#[cfg(all(test, unix))]
#[path = "git_guard_tests.rs"]
mod tests;
