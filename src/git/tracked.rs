//! The tracked files and subdirectories of each directory, from git's index. Pure.

use std::collections::HashMap;

use super::index::Index;

/// The tracked content of a directory.
#[derive(Debug, Default)]
pub struct Directory {
    /// Relative to the root of the checkout, with `/` between names; empty at the root.
    pub path: Vec<u8>,
    /// The entry numbers of its files, sorted by name.
    pub files: Vec<usize>,
    /// The names of its subdirectories with tracked files, sorted.
    directories: Vec<Vec<u8>>,
}

impl Directory {
    /// The offset of the file name in the paths of its files.
    pub fn name_start(&self) -> usize {
        self.path.len() + usize::from(!self.path.is_empty())
    }

    /// The entry number of the file with this name.
    pub fn file(&self, index: &Index, name: &[u8]) -> Option<usize> {
        let start = self.name_start();
        let found = self.files.binary_search_by(|file| index.path(*file)[start..].cmp(name)).ok()?;
        Some(self.files[found])
    }

    /// Whether the subdirectory of this name has tracked files.
    pub fn has_directory(&self, name: &[u8]) -> bool {
        self.directories.binary_search_by(|known| known[..].cmp(name)).is_ok()
    }
}

/// All directories with tracked files, in `below` recursively; `below` is relative to the root and empty for it.
pub fn directories(index: &Index, below: &[u8]) -> Vec<Directory> {
    let mut found: Vec<Directory> = Vec::new();
    let mut positions: HashMap<&[u8], usize> = HashMap::new();
    let mut last: Option<(&[u8], usize)> = None;
    for file in 0..index.len() {
        let path = index.path(file);
        if !is_below(path, below) {
            continue;
        }
        let directory = parent(path);
        let position = match last {
            Some((known, position)) if known == directory => position,
            _ => add(&mut found, &mut positions, directory, below),
        };
        last = Some((directory, position));
        found[position].files.push(file);
    }
    for directory in &mut found {
        directory.directories.sort_unstable();
    }
    found
}

/// Whether a path is in a directory, recursively; the root is empty.
pub fn is_below(path: &[u8], below: &[u8]) -> bool {
    below.is_empty() || path.strip_prefix(below).is_some_and(|rest| rest.starts_with(b"/"))
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

/// The position of a directory in `found`; adds it and its parents if it is new.
fn add<'a>(found: &mut Vec<Directory>, positions: &mut HashMap<&'a [u8], usize>, directory: &'a [u8], below: &[u8]) -> usize {
    let (mut path, mut first, mut inner): (&[u8], Option<usize>, Option<&[u8]>) = (directory, None, None);
    loop {
        let known = positions.get(path).copied();
        let position = known.unwrap_or(found.len());
        if known.is_none() {
            found.push(Directory { path: path.to_owned(), ..Directory::default() });
            positions.insert(path, position);
        }
        first = first.or(Some(position));
        if let Some(inner) = inner {
            let start = found[position].name_start();
            found[position].directories.push(inner[start..].to_owned());
        }
        if known.is_some() || path.len() <= below.len() {
            return first.unwrap_or(position);
        }
        inner = Some(path);
        path = parent(path);
    }
}
