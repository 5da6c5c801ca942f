//! Which files and directories git tracks in each directory, from its index. Pure.

use std::collections::HashMap;

use super::index::Index;

/// What git tracks in a directory.
#[derive(Debug, Default)]
pub struct Directory {
    /// Relative to the top of the checkout, with `/` between names; empty at the top.
    pub path: Vec<u8>,
    /// The numbers of its files in the index, in the order of their names.
    pub files: Vec<usize>,
    /// The names of the directories in it below which something is tracked, in order.
    directories: Vec<Vec<u8>>,
}

impl Directory {
    /// Where the names of its files begin in their paths.
    pub fn name_start(&self) -> usize {
        self.path.len() + usize::from(!self.path.is_empty())
    }

    /// The number of the file of this name in the index.
    pub fn file(&self, index: &Index, name: &[u8]) -> Option<usize> {
        let start = self.name_start();
        let found = self.files.binary_search_by(|file| index.path(*file)[start..].cmp(name)).ok()?;
        Some(self.files[found])
    }

    /// Whether something is tracked below the directory of this name.
    pub fn has_directory(&self, name: &[u8]) -> bool {
        self.directories.binary_search_by(|known| known[..].cmp(name)).is_ok()
    }
}

/// Every directory at and below `below` in which something is tracked; `below` is relative to the top and empty for it.
/// None where nothing is.
pub fn directories(index: &Index, below: &[u8]) -> Vec<Directory> {
    let mut found: Vec<Directory> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut last: Option<(&[u8], usize)> = None;
    for file in 0..index.len() {
        let path = index.path(file);
        if !is_below(path, below) {
            continue;
        }
        let directory = parent(path);
        let place = match last {
            Some((known, place)) if known == directory => place,
            _ => add(&mut found, &mut places, directory, below),
        };
        last = Some((directory, place));
        found[place].files.push(file);
    }
    for directory in &mut found {
        directory.directories.sort_unstable();
    }
    found
}

/// Whether a path lies below a directory, which is empty for the top.
pub fn is_below(path: &[u8], below: &[u8]) -> bool {
    below.is_empty() || path.strip_prefix(below).is_some_and(|rest| rest.starts_with(b"/"))
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

/// The place of a directory, which is made with all above it where it is new.
fn add<'a>(found: &mut Vec<Directory>, places: &mut HashMap<&'a [u8], usize>, directory: &'a [u8], below: &[u8]) -> usize {
    let (mut path, mut first, mut inner): (&[u8], Option<usize>, Option<&[u8]>) = (directory, None, None);
    loop {
        let known = places.get(path).copied();
        let place = known.unwrap_or(found.len());
        if known.is_none() {
            found.push(Directory { path: path.to_owned(), ..Directory::default() });
            places.insert(path, place);
        }
        first = first.or(Some(place));
        if let Some(inner) = inner {
            let start = found[place].name_start();
            found[place].directories.push(inner[start..].to_owned());
        }
        if known.is_some() || path.len() <= below.len() {
            return first.unwrap_or(place);
        }
        inner = Some(path);
        path = parent(path);
    }
}
