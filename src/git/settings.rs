//! What repositories set for git, beside what the user and the system set: a repository that came in an archive may name
//! programs there. Asks git, which runs none of them for it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    Error,
    path::{git_bytes, os_string},
    program::{Answer, Git},
};
use crate::stdx::paths::AbsPath;

/// The limit of repositories that are looked at, submodules included.
const MAX_REPOSITORIES: usize = 32;

/// A key that a repository sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositorySetting {
    /// What the repositories say; the last one counts.
    pub values: Vec<OsString>,
    /// What the user and the system say, weakest first.
    pub own: Vec<OsString>,
}

/// The settings of some repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositorySettings {
    /// By key as git spells it.
    pub keys: BTreeMap<OsString, RepositorySetting>,
    /// The names of the hooks that git would run, but for those in a directory that `core.hooksPath` names.
    pub hooks: Vec<String>,
    /// Why these may not be all settings that count, or why git would work elsewhere.
    pub doubts: Vec<String>,
}

/// The settings of the repositories that the directories are in, and of their submodules. Where there is no repository,
/// there are none.
pub async fn settings_of_repositories(directories: Vec<AbsPath>) -> RepositorySettings {
    let (mut queue, mut seen) = (directories, Vec::new());
    let mut found = RepositorySettings::default();
    let mut own: BTreeMap<OsString, Vec<OsString>> = BTreeMap::new();
    while let Some(directory) = queue.pop() {
        if seen.contains(&directory) {
            continue;
        }
        if seen.len() == MAX_REPOSITORIES {
            found.doubts.push(format!("there are more than {MAX_REPOSITORIES} repositories to look at"));
            break;
        }
        let git = Git::new(&directory);
        // Settings are listed for bare repositories too: listing runs nothing.
        let list = git.ask_briefly(&["-c", "safe.bareRepository=all", "config", "--list", "--show-scope", "-z"]);
        // Links to submodules, in which git runs itself; a pathspec for all of the checkout.
        let links = git.ask(&["ls-files", "--stage", "-z", "--", ":/"]);
        let places = git.ask_briefly(&["-c", "safe.bareRepository=all", "rev-parse", "--git-common-dir"]);
        let (list, links, places) = futures::future::join3(list, links, places).await;
        let list = match list {
            Ok(Answer::Failed(message)) => {
                found.doubts.push(format!("the settings in {directory} cannot be read: {message}"));
                Vec::new()
            }
            // Without git nothing of it runs.
            Err(Error::NoProgram(_)) => Vec::new(),
            Err(error) => {
                found.doubts.push(format!("the settings in {directory} cannot be read: {error}"));
                Vec::new()
            }
            Ok(answer) => answer.text().unwrap_or_default(),
        };
        let text = |answer: Result<Answer, Error>| answer.and_then(Answer::text).unwrap_or_default();
        let links = text(links);
        let links = links.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
        let links = links.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1));
        queue.extend(links.map(|path| directory.join(os_string(path))).filter(|path| path.as_path().is_dir()));
        let mut moves_tree = false;
        for (scope, key, value) in entries(&list) {
            match scope {
                b"local" | b"worktree" => {
                    moves_tree |= key == b"core.worktree";
                    found.keys.entry(os_string(key)).or_default().values.push(os_string(value));
                }
                // Of every directory they are the same.
                b"global" | b"system" if seen.is_empty() => own.entry(os_string(key)).or_default().push(os_string(value)),
                _ => {}
            }
        }
        if moves_tree && is_tree_elsewhere(&git, &directory).await {
            found.doubts.push(format!("core.worktree leads out of {directory}"));
        }
        let git_dir = text(places);
        if !git_dir.is_empty() && !own.contains_key(OsStr::new("core.hookspath")) {
            add_hooks(&directory.join(os_string(git_dir.trim_ascii_end())), &mut found.hooks);
        }
        seen.push(directory);
    }
    for (key, setting) in &mut found.keys {
        setting.own = own.remove(key).unwrap_or_default();
    }
    found
}

/// Whether the top of the work tree is another directory than the one that holds `.git`.
async fn is_tree_elsewhere(git: &Git, directory: &AbsPath) -> bool {
    let top = git.ask_briefly(&["rev-parse", "--show-toplevel"]).await.and_then(Answer::text).unwrap_or_default();
    let top = AbsPath::new(os_string(top.trim_ascii_end())).map(|top| top.real_or_nearest());
    let mut holder = Some(directory.real_or_nearest());
    while let Some(place) = holder.take_if(|place| !place.join(".git").as_path().exists()) {
        holder = place.parent();
    }
    // Inside of a git directory there is no work tree, and git says so when it needs one.
    top.is_some() && top != holder
}

/// Hooks of a git directory that git would run.
fn add_hooks(git_dir: &AbsPath, hooks: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(git_dir.join("hooks")) else { return };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_none() && is_executable(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !hooks.contains(name))
        .collect();
    names.sort_unstable();
    hooks.append(&mut names);
}

fn is_executable(path: &std::path::Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    let is_executable = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let is_executable = true;
    metadata.is_file() && is_executable
}

/// The entries of a list: scope, key and value. A key without a value is a switch that is on.
fn entries(list: &[u8]) -> Vec<(&[u8], &[u8], &[u8])> {
    let mut fields = list.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
        let end = entry.iter().position(|byte| *byte == b'\n');
        let (key, value) = end.map_or((entry, &b"true"[..]), |end| (&entry[..end], &entry[end + 1..]));
        entries.push((scope, key, value));
    }
    entries
}

/// The section, subsection and variable of a key: for `filter.a.b.clean` these are `filter`, `a.b` and `clean`. Section
/// and variable are converted to lower case.
pub fn parts(key: &OsStr) -> Option<(String, Vec<u8>, String)> {
    let key = git_bytes(key);
    let first = key.iter().position(|byte| *byte == b'.')?;
    let last = key.iter().rposition(|byte| *byte == b'.')?;
    let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    Some((word(&key[..first]), key.get(first + 1..last).unwrap_or_default().to_vec(), word(&key[last + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(entries(b"local\0a.b\nc\nd\0global\0x.y\0"), [(&b"local"[..], &b"a.b"[..], &b"c\nd"[..]), (b"global", b"x.y", b"true")]);
        assert_eq!(parts(OsStr::new("filter.a.b.Clean")), Some(("filter".to_owned(), b"a.b".to_vec(), "clean".to_owned())));
        assert_eq!(parts(OsStr::new("core.pager")), Some(("core".to_owned(), Vec::new(), "pager".to_owned())));
    }
}
