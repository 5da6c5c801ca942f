//! The files by ripgrep's walker, with which the index and every search must agree.

use std::path::Path;

use ignore::{DirEntry, WalkBuilder};

use crate::{
    git::ignore::{MAX_BYTES, is_too_nested},
    stdx::paths::AbsPath,
};

/// Whether the ignore files of a directory can be read safely.
fn has_sound_rules(directory: &Path) -> bool {
    [".gitignore", ".ignore", ".git/info/exclude"].iter().all(|name| {
        let path = directory.join(name);
        match std::fs::metadata(&path) {
            Err(_) => true,
            Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_BYTES => false,
            Ok(_) => std::fs::read(&path).is_ok_and(|text| !is_too_nested(&text)),
        }
    })
}

/// A walker of `root` over all entries that `keep` accepts.
///
/// Inside a repository the ignore files from its root down apply. Elsewhere only those from `root` down: an ignore file
/// in the home directory does not apply to a project.
pub fn walker(root: &AbsPath, keep: impl Fn(&DirEntry) -> bool + Send + Sync + 'static) -> WalkBuilder {
    let in_repository = root.ancestors().any(|directory| directory.join(".git").as_path().exists());
    let sound = root.ancestors().all(|directory| has_sound_rules(directory.as_path()));
    let mut builder = WalkBuilder::new(root);
    builder
        .standard_filters(sound)
        .hidden(false)
        .parents(sound && in_repository)
        .require_git(in_repository)
        .follow_links(false)
        // Otherwise the rules of the user's global ignore file would be relative to the process's directory.
        .current_dir(root.as_path())
        .filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0 || (entry.file_name() != ".git" && keep(entry) && (!is_directory || has_sound_rules(entry.path())))
        });
    builder
}
