//! The branch that a checkout is on, as its `HEAD` says.

use std::{fs::File, io::Read as _};

use crate::stdx::paths::AbsPath;

/// `HEAD` holds one name; more is not from git.
const MOST_BYTES: u64 = 4096;

/// What a checkout is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch, by its short name.
    Branch(String),
    /// A commit, and no branch.
    Detached(String),
}

impl Head {
    /// Reads it from the checkout's git directory; `None` where it does not say, as in the middle of being written or in a
    /// repository that keeps its references elsewhere.
    #[must_use]
    pub fn read(git_dir: &AbsPath) -> Option<Self> {
        let path = git_dir.join("HEAD");
        let metadata = path.as_path().symlink_metadata().ok()?;
        if metadata.is_symlink() {
            // As old git made it.
            return Self::parse(&format!("ref: {}", std::fs::read_link(&path).ok()?.to_str()?));
        }
        if !metadata.is_file() {
            return None;
        }
        let mut text = String::new();
        File::open(&path).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        Self::parse(text.trim_end())
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("ref:") {
            Some(name) => {
                let name = name.trim_start();
                // What reftable repositories have there for old programs.
                (name != "refs/heads/.invalid").then(|| Self::Branch(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()))
            }
            None => (text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self::Detached(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let branch = |name: &str| Some(Head::Branch(name.to_owned()));
        assert_eq!(Head::parse("ref: refs/heads/main"), branch("main"));
        assert_eq!(Head::parse("ref:refs/heads/a/b"), branch("a/b"));
        assert_eq!(Head::parse("ref: refs/heads/.invalid"), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Head::parse(commit), Some(Head::Detached(commit.to_owned())));
        assert_eq!((Head::parse(""), Head::parse("ref"), Head::parse(&commit[1..])), (None, None, None));
    }
}
