//! Patches between two contents in memory, made by libgit2.

use std::path::Path;

use super::path::os_string;

/// A number of context lines that includes the whole file.
pub const ALL_LINES: u32 = 1_000_000_000;

/// The patch between two contents, with every line as context; `None` if they are equal or binary.
pub fn between(old_path: &[u8], old: &[u8], new_path: &[u8], new: &[u8]) -> Option<String> {
    let mut options = git2::DiffOptions::new();
    options.context_lines(ALL_LINES);
    let (old_path, new_path) = (os_string(old_path), os_string(new_path));
    let (old_path, new_path) = (Some(Path::new(&old_path)), Some(Path::new(&new_path)));
    let mut patch = git2::Patch::from_buffers(old, old_path, new, new_path, Some(&mut options)).ok()?;
    if patch.num_hunks() == 0 {
        return None;
    }
    Some(String::from_utf8_lossy(&patch.to_buf().ok()?).into_owned())
}

/// The numbers of added and removed lines; `None` if they cannot be counted.
pub fn line_counts(old: &[u8], new: &[u8]) -> Option<(u64, u64)> {
    let patch = git2::Patch::from_buffers(old, None, new, None, None).ok()?;
    let (_, added, removed) = patch.line_stats().ok()?;
    Some((added as u64, removed as u64))
}
