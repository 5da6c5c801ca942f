//! What the git that a command starts is told beside its settings: programs that an unknown repository names are not run
//! unless a person has looked at the command or trusts the project. Settings of the user's own stay in force.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    git_keys::{harmless, programs},
    git_uses::{GitCommand, Kind, Use},
};
use crate::{
    git::program::setting_variables,
    git::settings::{RepositorySetting, RepositorySettings, parts, settings_of_repositories},
    stdx::paths::AbsPath,
};

/// A setting for git: the key and what it is.
pub(super) type Setting = (OsString, OsString);

/// The maximum number of programs of a repository that a question names.
const MAX_NAMED: usize = 8;

/// What has to be asked about the git of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// What stands in the question, each a sentence.
    pub reasons: Vec<String>,
    /// No rule can answer it.
    pub is_unclear: bool,
}

/// What a person has to know before git runs in an untrusted repository. `is_known`: it is certain where git runs;
/// `is_named`: whether a rule that names the command allows it, or it is asked anyway.
pub(super) fn question(
    commands: &[GitCommand],
    repository: &RepositorySettings,
    is_known: bool,
    is_named: impl Fn(&GitCommand) -> bool,
) -> Question {
    let mut reasons = repository.doubts.clone();
    reasons.extend((!is_known).then(|| "only running tells in which directory git works".to_owned()));
    let is_unclear = !reasons.is_empty();
    let programs = programs(repository);
    for command in commands.iter().filter(|command| command.kind != Kind::Looks) {
        if is_named(command) {
            continue;
        }
        if command.kind == Kind::Remote {
            reasons.push(format!("{} talks to a remote and no rule names it", command.name()));
        } else if !programs.is_empty() {
            let more = programs.len().saturating_sub(MAX_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = programs.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
            reasons.push(format!("the repository names programs for {} to run: {named}{more}", command.name()));
        }
    }
    reasons.dedup();
    Question { reasons, is_unclear }
}

/// The settings of the repositories that a line with git works in.
pub(super) async fn repositories(usage: Use, directories: Vec<AbsPath>) -> RepositorySettings {
    if usage == Use::None { RepositorySettings::default() } else { settings_of_repositories(directories).await }
}

/// What git is told for a line that uses it in these repositories.
pub(super) fn settings(usage: Use, repository: &RepositorySettings, worktree: &AbsPath) -> Vec<Setting> {
    let mut told: Vec<Setting> = vec![("core.fsmonitor".into(), "false".into())];
    if usage == Use::None {
        return told;
    }
    // A directory that looks like a bare repository may be a part of what was cloned.
    if !is_bare(worktree) {
        told.push(("safe.bareRepository".into(), "explicit".into()));
    }
    told.extend(overrides(&repository.keys, usage));
    if usage == Use::Looks && !repository.keys.contains_key(OsStr::new("core.hookspath")) {
        told.push(("core.hooksPath".into(), "/dev/null".into()));
    }
    let is_partial = |key: &OsString| key == "extensions.partialclone" || key.to_string_lossy().ends_with(".promisor");
    if usage == Use::Looks && repository.keys.keys().any(is_partial) {
        // An object that is missing would be fetched. A git before 2.45 does not know GIT_NO_LAZY_FETCH.
        told.push(("protocol.allow".into(), "never".into()));
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
        let Some(harmless) = harmless(&section, &name, &variable, &last, usage == Use::Looks) else { continue };
        told.push((key.clone(), harmless.into()));
        told.extend(setting.own.iter().map(|own| (key.clone(), own.clone())));
    }
    told
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
