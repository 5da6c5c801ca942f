//! The difference of one file from the last commit, as a patch with all lines. For files on disk it is git's own diff;
//! text that git cannot diff, unsaved or in UTF-16, is compared here with the content in the commit.

use std::{ffi::OsString, io::Read as _};

use super::{Error, open, text_file::TextFile};
use crate::{
    git::{
        patch::{self, ALL_LINES},
        path::{git_bytes, os_string},
        program::{Answer, Git, is_missing_object},
        status_output::{self, Difference},
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// The size limit of content that is compared here, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The patch from the last commit to the file, or to the given text in its place; `None` if both are equal, or if
/// neither the last commit nor the index contains the file. `file` is a real path.
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
        // Removed from the index but still on disk. A former link or submodule has no lines to compare with.
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

/// The numbers of lines added and removed, from a blob to the file.
pub(super) async fn lines_between(git: &Git, old_id: &[u8], file: &AbsPath) -> Result<(u64, u64), Error> {
    let (old, file) = (git.blob(old_id).await?, file.clone());
    let count = move || patch::line_counts(&old, &content(&file)?);
    Ok(Tasks::spawn_blocking(count).await?.unwrap_or_default())
}

/// git's diff of one file.
struct Found {
    difference: Option<(Vec<u8>, Difference)>,
    patch: Vec<u8>,
}

impl Found {
    /// `None` if the old content is missing in a partial clone: a read never fetches.
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
            Answer::Failed(message) if is_missing_object(&message) => return Ok(None),
            answer => answer.text()?,
        };
        let end = output.windows(2).position(|pair| pair == [0, 0]).unwrap_or(output.len());
        let differences = status_output::differences(&output[..end]);
        let patch = output.get(end + 2..).unwrap_or_default().to_owned();
        Ok(Some(Self { difference: differences.into_iter().next(), patch }))
    }

    /// The patch, if it has hunks: mode changes and binary files have none.
    fn hunks(&self) -> Option<String> {
        let has_hunks = self.patch.windows(4).any(|window| window == b"\n@@ ");
        has_hunks.then(|| match std::str::from_utf8(&self.patch) {
            Ok(text) => text.to_owned(),
            // A patch is not binary, but a NUL far inside the file would make it look so.
            Err(_) => TextFile::decode(&self.patch)
                .map_or_else(|_| String::from_utf8_lossy(&self.patch).into_owned(), |patch| patch.shown(&patch.text)),
        })
    }
}

/// The base of the comparison: the last commit, or the empty tree before the first one.
async fn base(git: &Git) -> Result<OsString, Error> {
    let id = match git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await? {
        Answer::No => git.ask(&["hash-object", "-t", "tree", "--stdin"]).await?,
        answer => answer,
    };
    Ok(os_string(id.text()?.trim_ascii()))
}

/// The path of a new file in the last commit, if it is a rename, and its difference.
async fn origin(git: &Git, base: &OsString, path: &[u8]) -> Result<Option<(Vec<u8>, Difference)>, Error> {
    let options = ["diff", "--raw", "-z", "-M", "-l1000", "--no-abbrev", "--no-relative", "--ignore-submodules=all", "-O/dev/null"];
    let args: Vec<_> = options.iter().map(OsString::from).chain([base.clone(), OsString::from("--")]).collect();
    let mut differences = status_output::differences(&git.ask(&args).await?.text()?);
    Ok(differences.remove(path).and_then(|difference| Some((difference.from.clone()?, difference))))
}

/// The patch to a text that git cannot diff.
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
            // Fails before the first commit.
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
        // If git converts the line endings of this file, it would convert those of the saved text too.
        let is_converted = text.contains("\r\n")
            && converts
            && !old.contains("\r\n")
            && content(&file).is_some_and(|bytes| bytes.windows(2).any(|pair| pair == b"\r\n"));
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let new = if is_converted { text.replace("\r\n", "\n") } else { text.to_owned() };
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

/// The content as git stores it: the bytes of a file, or the target of a link.
fn content(file: &AbsPath) -> Option<Vec<u8>> {
    let Ok((file, _)) = open::regular(file) else {
        return std::fs::read_link(file).ok().map(|target| git_bytes(target.as_os_str()));
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}
