//! The files that git has stored, as far as its index tells: those that are tracked now.

use super::{commands::Extent, places::Target};
use crate::{
    git::{index::Index, layout::locate, tracked::is_below},
    stdx::paths::AbsPath,
};

/// No question names more files than this.
const MAX_NAMES: usize = 20;

/// The names of tracked files that `may_matter`, as rules know them; `None` where the index cannot be read here.
pub(super) fn files(target: &Target, extent: Extent, worktree: &AbsPath, may_matter: impl Fn(&str) -> bool) -> Option<Vec<String>> {
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
    let paths = (0..index.len()).map(|entry| index.path(entry)).filter(|path| *path == below || is_below(path, below));
    let names = paths.map(|path| layout.worktree.join(&*String::from_utf8_lossy(path)).relative_to(worktree));
    Some(names.filter(|name| may_matter(name)).take(MAX_NAMES).collect())
}

fn existing_parent(path: &AbsPath) -> Option<AbsPath> {
    path.ancestors().skip(1).find(|place| place.as_path().is_dir())
}
