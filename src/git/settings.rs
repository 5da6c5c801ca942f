//! What repositories set for git, beside what the user and the system set: a repository that came in an archive may name
//! programs there. Asks git, which runs none of them for it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    path::{git_bytes, os_string},
    program::{Answer, Git},
};
use crate::stdx::paths::AbsPath;

/// So many repositories are looked at, submodules included.
const MOST: usize = 32;

/// A key that a repository sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositorySetting {
    /// What the repositories say; the last one counts.
    pub values: Vec<OsString>,
    /// What the user and the system say, weakest first.
    pub own: Vec<OsString>,
}

/// The settings of the repositories that the directories are in, and of their submodules, by key as git spells it.
/// Where there is no repository, or git cannot say, there are none.
pub async fn settings_of_repositories(directories: Vec<AbsPath>) -> BTreeMap<OsString, RepositorySetting> {
    let (mut queue, mut seen) = (directories, Vec::new());
    let mut settings: BTreeMap<OsString, RepositorySetting> = BTreeMap::new();
    let mut own: BTreeMap<OsString, Vec<OsString>> = BTreeMap::new();
    while let Some(directory) = queue.pop() {
        if seen.contains(&directory) || seen.len() == MOST {
            continue;
        }
        let git = Git::new(&directory);
        let list = git.ask(&["config", "--list", "--show-scope", "-z"]);
        // Links to submodules, in which git runs itself; a pathspec for all of the checkout.
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
                // Of every directory they are the same.
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

/// The section, the name in the middle, and the variable of a key: of `filter.a.b.clean` these are `filter`, `a.b` and
/// `clean`. git spells section and variable in lower case.
#[must_use]
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
