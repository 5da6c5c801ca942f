//! The files that git has stored, as far as its index tells: those that are tracked now.

use super::{commands::Extent, places::Target};
use crate::{
    git::{
        index::{Index, Stamp},
        layout::locate,
        objects::Id,
        tracked::is_below,
    },
    stdx::paths::AbsPath,
};

/// No question names more files than this.
const MAX_NAMES: usize = 20;

/// The names of tracked files that `may_matter`, as rules know them; `None` where the index cannot be read here. `differs`: only
/// those that differ from the index.
pub(super) fn files(
    target: &Target,
    extent: Extent,
    differs: bool,
    worktree: &AbsPath,
    may_matter: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let is_there = target.real.as_path().symlink_metadata().is_ok();
    // A word that is no file is a revision, looked at from where it stands.
    let place = if target.real.as_path().is_dir() { Some(target.real.clone()) } else { existing_parent(&target.real) };
    let Some(location) = place.and_then(|place| locate(&place).ok()) else { return Some(Vec::new()) };
    let Some(layout) = location.git() else { return Some(Vec::new()) };
    let bytes = match std::fs::read(layout.git_dir.join("index")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    };
    let index = Index::parse(bytes)?;
    let below = match extent {
        Extent::Below if is_there => target.real.relative_to(&layout.worktree),
        Extent::Below | Extent::All => ".".to_owned(),
    };
    let below = if below == "." { &[][..] } else { below.as_bytes() };
    let is_meant = |entry: &usize| index.path(*entry) == below || is_below(index.path(*entry), below);
    let files = (0..index.len()).filter(is_meant).map(|entry| (entry, layout.worktree.join(&*String::from_utf8_lossy(index.path(entry)))));
    let files = files.map(|(entry, file)| (entry, file.relative_to(worktree), file)).filter(|(_, name, _)| may_matter(name));
    let files = files.filter(|(entry, _, file)| !differs || !is_unchanged(&index, *entry, file));
    Some(files.map(|(_, name, _)| name).take(MAX_NAMES).collect())
}

/// Whether git takes the file for unchanged without looking at what it holds, and it is.
fn is_unchanged(index: &Index, entry: usize, file: &AbsPath) -> bool {
    let stamp = std::fs::symlink_metadata(file).ok().filter(std::fs::Metadata::is_file).and_then(|metadata| Stamp::of(&metadata));
    let is_same = stamp.is_some() && stamp == index.stamp(entry);
    is_same && std::fs::read(file).is_ok_and(|content| Some(Id::of(&content)) == index.id(entry).map(Id::from_bytes))
}

fn existing_parent(path: &AbsPath) -> Option<AbsPath> {
    path.ancestors().skip(1).find(|place| place.as_path().is_dir())
}
