//! The git settings of repositories, compared with those of the user and the system: a repository from an archive may
//! name programs there. Uses `git config`, which runs none of them.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    path::{git_bytes, os_string},
    program::{Answer, Git},
};
use crate::stdx::paths::AbsPath;

/// The limit of repositories that are read, including submodules.
const MAX_REPOSITORIES: usize = 32;

/// The values of a key that a repository sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositorySetting {
    /// The values in the repositories; the last one takes effect.
    pub values: Vec<OsString>,
    /// The values in the settings of the system and the user, in ascending precedence.
    pub own: Vec<OsString>,
}

/// The settings of the repositories of these directories and of their submodules, by key in git's spelling. A directory
/// without a repository, or in which git fails, has none.
pub async fn settings_of_repositories(directories: Vec<AbsPath>) -> BTreeMap<OsString, RepositorySetting> {
    let (mut queue, mut seen) = (directories, Vec::new());
    let mut settings: BTreeMap<OsString, RepositorySetting> = BTreeMap::new();
    let mut own: BTreeMap<OsString, Vec<OsString>> = BTreeMap::new();
    while let Some(directory) = queue.pop() {
        if seen.contains(&directory) || seen.len() == MAX_REPOSITORIES {
            continue;
        }
        let git = Git::new(&directory);
        let list = git.ask(&["config", "--list", "--show-scope", "-z"]);
        // Submodules, in which git runs itself; the pathspec selects the whole checkout.
        let links = git.ask(&["ls-files", "--stage", "-z", "--", ":/"]);
        let (list, links) = futures::future::join(list, links).await;
        let text = |answer: Result<Answer, super::Error>| answer.and_then(Answer::text).unwrap_or_default();
        let links = text(links);
        let links = links.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
        let links = links.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1));
        queue.extend(links.map(|path| directory.join(os_string(path))).filter(|path| path.as_path().is_dir()));
        for (scope, key, value) in entries(&text(list)) {
            match scope {
                b"local" | b"worktree" => settings.entry(os_string(key)).or_default().values.push(os_string(value)),
                // These are the same for every directory.
                b"global" | b"system" if seen.is_empty() => own.entry(os_string(key)).or_default().push(os_string(value)),
                _ => {}
            }
        }
        seen.push(directory);
    }
    for (key, setting) in &mut settings {
        setting.own = own.remove(key).unwrap_or_default();
    }
    settings
}

/// The entries of a list: scope, key and value. A key without a value means true.
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
    fn lists_are_parsed() {
        assert_eq!(entries(b"local\0a.b\nc\nd\0global\0x.y\0"), [(&b"local"[..], &b"a.b"[..], &b"c\nd"[..]), (b"global", b"x.y", b"true")]);
        assert_eq!(parts(OsStr::new("filter.a.b.Clean")), Some(("filter".to_owned(), b"a.b".to_vec(), "clean".to_owned())));
        assert_eq!(parts(OsStr::new("core.pager")), Some(("core".to_owned(), Vec::new(), "pager".to_owned())));
    }
}
