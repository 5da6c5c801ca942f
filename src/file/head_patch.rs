//! How one file differs from the last commit, as a patch with all its lines: what git itself says of the file on disk;
//! for text that git does not see, unsaved or in UTF-16, the same against what the commit holds.

use std::{ffi::OsString, io::Read as _};

use super::{Error, open, text_file::TextFile};
use crate::{
    git::{
        patch::{self, ALL_LINES},
        path::{git_bytes, os_string},
        program::{Answer, Git, is_promised},
        status_output::{self, Difference},
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// The size limit of a content that is compared here.
const MAX_BYTES: u64 = 64 << 20;

/// The patch from the last commit to the file, or to the text that is given in its place; `None` where both are the same
/// and where the last commit and git's index know nothing of the file. `file` is a real path.
///
/// # Errors
/// When git cannot read the repository.
pub(super) async fn against_head(file: &AbsPath, given: Option<&str>) -> Result<Option<String>, Error> {
    let (Some(parent), Some(name)) = (file.parent(), file.as_path().file_name()) else { return Ok(None) };
    if !parent.as_path().is_dir() {
        return Ok(None);
    }
    let Some(git) = Git::in_work_tree(&parent).await? else { return Ok(None) };
    let mut spec = OsString::from(":(literal)");
    spec.push(name);
    let base = base(&git).await?;
    let Some(found) = Found::ask(&git, &base, &[spec]).await? else { return Ok(None) };
    let origin = match &found.difference {
        Some((path, difference)) if difference.letter == b'A' => origin(&git, &base, path).await?,
        _ => None,
    };
    match (given, &found.difference) {
        (Some(text), _) => patch_to(&git, file, text, &found, origin).await,
        (None, None) => Ok(None),
        // Taken out of the index but still there. What was a link or a submodule has no lines to compare with.
        (None, Some((path, difference))) if difference.letter == b'D' => {
            if !difference.old_mode.starts_with(b"100") {
                return Ok(None);
            }
            let (old, file) = (git.blob(&difference.old_id).await?, file.clone());
            let path = path.clone();
            Ok(Tasks::spawn_blocking(move || content(&file).and_then(|new| patch::between(&path, &old, &path, &new))).await?)
        }
        (None, Some((path, _))) => {
            let Some((from, _)) = origin else { return Ok(found.hunks()) };
            let specs = [from.as_slice(), path.as_slice()].map(|path| {
                let mut spec = OsString::from(":(top,literal)");
                spec.push(os_string(path));
                spec
            });
            Ok(Found::ask(&git, &base, &specs).await?.and_then(|found| found.hunks()))
        }
    }
}

/// The lines that the file has more and less than a content that git keeps.
///
/// # Errors
/// When git cannot read the repository.
pub(super) async fn lines_between(git: &Git, old_id: &[u8], file: &AbsPath) -> Result<(u64, u64), Error> {
    let (old, file) = (git.blob(old_id).await?, file.clone());
    let count = move || patch::line_counts(&old, &content(&file)?);
    Ok(Tasks::spawn_blocking(count).await?.unwrap_or_default())
}

/// What git says of one file.
struct Found {
    difference: Option<(Vec<u8>, Difference)>,
    patch: Vec<u8>,
}

impl Found {
    /// `None` where the old content is elsewhere: nothing is fetched for a read.
    async fn ask(git: &Git, base: &OsString, specs: &[OsString]) -> Result<Option<Self>, Error> {
        let context = format!("-U{ALL_LINES}");
        let options = [
            "diff",
            "--raw",
            "--patch",
            "-z",
            "-M",
            "--no-abbrev",
            "--no-relative",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "-O/dev/null",
            "--ignore-submodules=all",
            &context,
        ];
        let args = options.iter().map(OsString::from).chain([base.clone(), OsString::from("--")]).chain(specs.iter().cloned());
        let output = match git.ask(&args.collect::<Vec<_>>()).await? {
            Answer::Failed(message) if is_promised(&message) => return Ok(None),
            answer => answer.text()?,
        };
        let end = output.windows(2).position(|pair| pair == [0, 0]).unwrap_or(output.len());
        let differences = status_output::differences(&output[..end]);
        let patch = output.get(end + 2..).unwrap_or_default().to_owned();
        Ok(Some(Self { difference: differences.into_iter().next(), patch }))
    }

    /// The patch, if it tells of lines: a changed mode has none, and of binary files git shows none.
    fn hunks(&self) -> Option<String> {
        let has_hunks = self.patch.windows(4).any(|window| window == b"\n@@ ");
        has_hunks.then(|| match std::str::from_utf8(&self.patch) {
            Ok(text) => text.to_owned(),
            // A patch is no binary file, but a NUL far inside of its file would make it look like one.
            Err(_) => TextFile::decode(&self.patch)
                .map_or_else(|_| String::from_utf8_lossy(&self.patch).into_owned(), |patch| patch.shown(&patch.text)),
        })
    }
}

/// What to compare with: the last commit, or nothing before the first one.
async fn base(git: &Git) -> Result<OsString, Error> {
    let id = match git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await? {
        Answer::No => git.ask(&["hash-object", "-t", "tree", "--stdin"]).await?,
        answer => answer,
    };
    Ok(os_string(id.text()?.trim_ascii()))
}

/// Where a new file was in the last commit, and what it was there.
async fn origin(git: &Git, base: &OsString, path: &[u8]) -> Result<Option<(Vec<u8>, Difference)>, Error> {
    let options = ["diff", "--raw", "-z", "-M", "-l1000", "--no-abbrev", "--no-relative", "--ignore-submodules=all", "-O/dev/null"];
    let args: Vec<_> = options.iter().map(OsString::from).chain([base.clone(), OsString::from("--")]).collect();
    let mut differences = status_output::differences(&git.ask(&args).await?.text()?);
    Ok(differences.remove(path).and_then(|difference| Some((difference.from.clone()?, difference))))
}

/// The patch to a text that git does not see.
async fn patch_to(
    git: &Git,
    file: &AbsPath,
    text: &str,
    found: &Found,
    origin: Option<(Vec<u8>, Difference)>,
) -> Result<Option<String>, Error> {
    let (old_path, new_path, old) = match (origin, &found.difference) {
        (Some((from, difference)), Some((path, _))) => (from, path.clone(), git.blob(&difference.old_id).await?),
        (_, Some((path, difference))) if difference.letter == b'A' => (path.clone(), path.clone(), Vec::new()),
        (_, Some((path, difference))) if difference.old_mode.starts_with(b"100") => {
            (path.clone(), path.clone(), git.blob(&difference.old_id).await?)
        }
        (_, Some(_)) => return Ok(None),
        (_, None) => {
            let mut name = OsString::from("./");
            name.push(file.as_path().file_name().unwrap_or_default());
            let tree = ["--literal-pathspecs", "ls-tree", "-z", "--full-name", "HEAD"].map(OsString::from);
            // Fails where there is no commit yet.
            let Answer::Yes(entry) = git.ask(&tree.into_iter().chain([name]).collect::<Vec<_>>()).await? else { return Ok(None) };
            let Some((id, path)) = tree_entry(&entry) else { return Ok(None) };
            (path.clone(), path, git.blob(&id).await?)
        }
    };
    let converts = !found.patch.windows(2).any(|pair| pair == b"\r\n");
    let (file, text) = (file.clone(), text.to_owned());
    let compare = move || {
        let old = TextFile::decode(&old).ok()?;
        let old = old.shown(&old.text);
        // Where git turns the line ends of this file, it would do so with the text when it is saved.
        let turned = text.contains("\r\n")
            && converts
            && !old.contains("\r\n")
            && content(&file).is_some_and(|bytes| bytes.windows(2).any(|pair| pair == b"\r\n"));
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let new = if turned { text.replace("\r\n", "\n") } else { text.to_owned() };
        patch::between(&old_path, old.as_bytes(), &new_path, new.as_bytes())
    };
    Ok(Tasks::spawn_blocking(compare).await?)
}

/// The id and path of a file in `git ls-tree -z`.
fn tree_entry(output: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let entry = output.split(|byte| *byte == 0).next()?.strip_prefix(b"100")?;
    let (head, path) = entry.split_at(entry.iter().position(|byte| *byte == b'\t')?);
    Some((head.rsplit(|byte| *byte == b' ').next()?.to_owned(), path[1..].to_owned()))
}

/// What git would keep of the file: its bytes, or where a link leads.
fn content(file: &AbsPath) -> Option<Vec<u8>> {
    let Ok((file, _)) = open::regular(file) else {
        return std::fs::read_link(file).ok().map(|target| git_bytes(target.as_os_str()));
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}
