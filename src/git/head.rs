//! Parses `HEAD`: the branch or commit that is checked out.

use std::{fs, path::Path};

use super::small_file;

/// The content of `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// The full name of a reference, usually a branch, with or without commits.
    Reference(String),
    /// A commit without a branch.
    Detached(String),
}

impl Head {
    /// Reads `HEAD` in a git directory; `None` if the file is incomplete, as while it is being written, or if the
    /// repository does not store references as files.
    pub fn read(git_dir: &Path) -> Option<Self> {
        text(git_dir).as_deref().and_then(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("ref:").map(str::trim) {
            // The placeholder of repositories with reftables.
            Some("refs/heads/.invalid") => None,
            Some(name) => Some(Self::Reference(name.to_owned())),
            None => is_commit(text).then(|| Self::Detached(text.to_owned())),
        }
    }

    /// The short name of the branch.
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Reference(name) => name.strip_prefix("refs/heads/"),
            Self::Detached(_) => None,
        }
    }
}

/// The text of `HEAD` without the line end. A symbolic link, as old versions of git created it, is returned as `ref:
/// …`.
pub(super) fn text(git_dir: &Path) -> Option<String> {
    let path = git_dir.join("HEAD");
    if let Ok(target) = fs::read_link(&path) {
        return target.to_str().filter(|name| name.starts_with("refs/")).map(|name| format!("ref: {name}"));
    }
    small_file::one_line(&path)
}

/// Whether the text is a possible `HEAD`, including the placeholder of reftables.
pub(super) fn is_plausible(text: &str) -> bool {
    match text.strip_prefix("ref:") {
        Some(name) => name.trim_start().starts_with("refs/"),
        None => is_commit(text),
    }
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let branch = |text: &str| Head::parse(text).unwrap().branch().map(str::to_owned);
        assert_eq!(branch("ref: refs/heads/main").as_deref(), Some("main"));
        assert_eq!(branch("ref:refs/heads/a/b").as_deref(), Some("a/b"));
        assert_eq!(branch("ref: refs/remotes/origin/a"), None);
        assert_eq!(Head::parse("ref: refs/heads/.invalid"), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Head::parse(commit), Some(Head::Detached(commit.to_owned())));
        assert_eq!(branch(commit), None);
        assert_eq!((Head::parse(""), Head::parse("ref"), Head::parse(&commit[1..])), (None, None, None));
    }
}
