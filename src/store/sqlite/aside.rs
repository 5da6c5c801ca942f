//! Sets a damaged store aside: its files are renamed, in the same directory, and nothing is deleted.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::stdx::time::{day, now_ms};
use crate::store::Error;

/// Separates the store's name from the time.
const INFIX: &str = ".damaged-";
/// The suffixes of the files that SQLite keeps beside a store. They are renamed before the store, so that it is still
/// recognised as damaged after a crash in between.
const SIDE_FILE_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A damaged store that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub path: PathBuf,
    /// What is damaged.
    pub problem: String,
}

/// The message about a store that was just set aside.
impl std::fmt::Display for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", notice(&self.path, Some(&self.problem)))
    }
}

/// The message about a damaged store that is now at `path`.
pub fn notice(path: &Path, problem: Option<&str>) -> String {
    let problem = problem.map_or_else(String::new, |problem| format!(" ({problem})"));
    format!("the store was damaged{problem} and is now {}; a new, empty one was started", path.display())
}

/// The path of a side file.
pub(super) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(suffix);
    name.into()
}

/// Renames the store to `NAME.damaged-TIME`, and its side files likewise, so that it can be opened there.
pub(super) fn set_aside(store: &Path, problem: &str) -> Result<SetAside, Error> {
    let target = free_name(store);
    for suffix in SIDE_FILE_SUFFIXES.into_iter().chain([""]) {
        let from = beside(store, suffix);
        match fs::rename(&from, beside(&target, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::File { path: from, source: error }),
            _ => {}
        }
    }
    tracing::error!(problem, path = %target.display(), "the store is damaged and was set aside");
    Ok(SetAside { path: target, problem: problem.to_owned() })
}

fn free_name(store: &Path) -> PathBuf {
    let now = now_ms();
    let seconds = now.div_euclid(1000).rem_euclid(86_400);
    let time = format!("{INFIX}{}T{:02}{:02}{:02}Z", day(now).replace('-', ""), seconds / 3600, seconds / 60 % 60, seconds % 60);
    let name = |number: u32| if number == 0 { beside(store, &time) } else { beside(store, &format!("{time}-{number}")) };
    let taken = |path: &PathBuf| SIDE_FILE_SUFFIXES.iter().chain([&""]).any(|suffix| beside(path, suffix).symlink_metadata().is_ok());
    (0..).map(name).find(|path| !taken(path)).expect("a directory holds fewer files than there are numbers")
}

/// The damaged stores that were set aside beside this one, the oldest first.
pub fn all(store: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (store.parent(), store.file_name()) else { return Vec::new() };
    let prefix = format!("{}{INFIX}", name.to_string_lossy());
    let is_one = |name: &str| name.starts_with(&prefix) && !SIDE_FILE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_one)).map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_store_are_renamed_together_and_never_over_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store.db");
        let mut expected = Vec::new();
        for number in 0..3 {
            for suffix in ["", "-wal", "-shm"] {
                fs::write(beside(&store, suffix), format!("{number}{suffix}")).unwrap();
            }
            let aside = set_aside(&store, "it is a text").unwrap();
            for suffix in ["", "-wal", "-shm"] {
                assert_eq!(fs::read_to_string(beside(&aside.path, suffix)).unwrap(), format!("{number}{suffix}"));
                assert!(!beside(&store, suffix).exists());
            }
            assert!(aside.to_string().contains("(it is a text)") && aside.to_string().contains(aside.path.to_str().unwrap()));
            expected.push(aside.path);
        }
        expected.sort();
        assert_eq!(all(&store), expected);
        fs::write(&store, "").unwrap();
        fs::write(beside(&store, "-wal"), "").unwrap();
        assert_eq!(all(&store), expected);
    }
}
