//! Where a checkout stands: its branch and commit, how far it is from its upstream, and the other checkouts.

use std::path::Path;

use super::{
    Error,
    head::Head,
    layout::GitLayout,
    program::{Answer, Git},
};
use crate::stdx::paths::AbsPath;

/// The most checkouts that are listed.
const MAX_CHECKOUTS: usize = 1000;

/// Where a checkout stands. Outside of a repository nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub branch: Option<String>,
    /// The commit; `None` before the first one.
    pub head: Option<String>,
    /// The short name of the branch that this one follows.
    pub upstream: Option<String>,
    /// Commits that the upstream lacks, and that it has more; `None` where the upstream is gone, or counting takes too long.
    pub distance: Option<(u64, u64)>,
    /// The checkouts of the repository with their branches.
    pub checkouts: Vec<(String, Option<String>)>,
}

/// Where the checkout of a directory stands.
///
/// # Errors
/// When git cannot be started or does not answer.
pub async fn standing(directory: &AbsPath, layout: &GitLayout) -> Result<Standing, Error> {
    let git = Git::new(directory);
    let list = match git.ask_briefly(&["worktree", "list", "--porcelain", "-z"]).await? {
        Answer::Yes(list) => list,
        // git before 2.36 has no `-z`.
        Answer::No | Answer::Failed(_) => git.ask_briefly(&["worktree", "list", "--porcelain"]).await?.text()?,
    };
    let records = records(&list);
    let is_here = |record: &&Record| Path::new(&record.path).canonicalize().is_ok_and(|path| path == layout.worktree.as_path());
    let here = records.iter().find(is_here).cloned().unwrap_or_default();
    let branch = match Head::read(layout.git_dir.as_path()) {
        Some(head) => head.branch().map(str::to_owned),
        // The repository does not store references as files.
        None => here.branch.clone(),
    };
    let mut standing = Standing { head: here.head, ..Standing::default() };
    if let Some(name) = &branch {
        (standing.upstream, standing.distance) = upstream(&git, name).await?;
    }
    standing.branch = branch;
    let listed = records.into_iter().filter(|record| !record.bare).take(MAX_CHECKOUTS);
    standing.checkouts = listed.map(|record| (record.path, record.branch)).collect();
    Ok(standing)
}

/// The upstream of a branch, and the distance to it.
async fn upstream(git: &Git, branch: &str) -> Result<(Option<String>, Option<(u64, u64)>), Error> {
    let reference = format!("refs/heads/{branch}");
    let of = |format: &'static str| [String::from("for-each-ref"), format!("--format={format}"), reference.clone()];
    let name = line(git.ask_briefly(&of("%(upstream:short)")).await?);
    if name.is_empty() {
        return Ok((None, None));
    }
    // Counting takes long where the two have little in common.
    let track = match git.ask_briefly(&of("%(upstream:track)")).await {
        Ok(track) => line(track),
        Err(Error::Timeout(_)) => return Ok((Some(name), None)),
        Err(error) => return Err(error),
    };
    Ok((Some(name), distance(&track)))
}

fn line(answer: Answer) -> String {
    let text = answer.text().unwrap_or_default();
    String::from_utf8_lossy(text.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned()
}

/// Reads `[ahead 1, behind 2]`; nothing means no distance.
fn distance(track: &str) -> Option<(u64, u64)> {
    let inside = track.trim_matches(['[', ']']);
    if inside == "gone" {
        return None;
    }
    let count = |word: &str| {
        let part = inside.split(", ").find_map(|part| part.strip_prefix(word));
        part.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    };
    Some((count("ahead "), count("behind ")))
}

#[derive(Debug, Clone, Default)]
struct Record {
    path: String,
    head: Option<String>,
    branch: Option<String>,
    bare: bool,
}

/// The records of `git worktree list --porcelain`, with NUL or line ends.
fn records(list: &[u8]) -> Vec<Record> {
    let separator = if list.contains(&0) { 0 } else { b'\n' };
    let mut records: Vec<Record> = Vec::new();
    for field in list.split(|byte| *byte == separator) {
        let field = String::from_utf8_lossy(field);
        let (key, value) = field.split_once(' ').unwrap_or((&field, ""));
        match (key, records.last_mut()) {
            ("worktree", _) => records.push(Record { path: value.to_owned(), ..Record::default() }),
            // The commit of a branch without commits is zero.
            ("HEAD", Some(record)) => record.head = Some(value.to_owned()).filter(|id| id.bytes().any(|byte| byte != b'0')),
            ("branch", Some(record)) => record.branch = Some(value.strip_prefix("refs/heads/").unwrap_or(value).to_owned()),
            ("bare", Some(record)) => record.bare = true,
            _ => {}
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says() {
        assert_eq!(distance(""), Some((0, 0)));
        assert_eq!(distance("[ahead 3]"), Some((3, 0)));
        assert_eq!(distance("[behind 2]"), Some((0, 2)));
        assert_eq!(distance("[ahead 3, behind 2]"), Some((3, 2)));
        assert_eq!(distance("[gone]"), None);
        for separator in ["\0", "\n"] {
            let text = "worktree /a b\nHEAD 12ab\nbranch refs/heads/x/y\n\nworktree /bare\nbare\n\nworktree /c\nHEAD 0000\ndetached\n\n"
                .replace('\n', separator);
            let records = records(text.as_bytes());
            assert_eq!(records.len(), 3);
            assert_eq!((&*records[0].path, records[0].head.as_deref(), records[0].branch.as_deref()), ("/a b", Some("12ab"), Some("x/y")));
            assert!(records[1].bare);
            assert_eq!((records[2].head.as_deref(), records[2].branch.as_deref()), (None, None));
        }
    }
}
