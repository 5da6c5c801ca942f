//! The files with whole outputs of tools, which are kept for a time.

use std::{
    collections::HashSet,
    fs, io,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::stdx::{paths::AbsPath, retention::Item};

/// A kept file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    path: AbsPath,
    modified: SystemTime,
}

/// The kept files of all projects. `needed`: the paths of those that stay, as do those that were written after `since`, in
/// milliseconds since 1970.
pub fn files(outputs: &AbsPath, needed: &HashSet<String>, since: i64) -> Vec<Item<KeptFile>> {
    let mut found = Vec::new();
    for project in fs::read_dir(outputs).into_iter().flatten().flatten() {
        for entry in fs::read_dir(project.path()).into_iter().flatten().flatten() {
            let Some(path) = AbsPath::new(entry.path()) else { continue };
            // Of the entry itself: links are not followed.
            let Ok(metadata) = entry.metadata() else { continue };
            let Some(modified) = metadata.modified().ok().filter(|_| metadata.is_file()) else { continue };
            let used = modified.duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            let is_needed = used >= since || needed.contains(&path.to_string());
            found.push(Item { what: KeptFile { path, modified }, bytes: metadata.len(), used, is_needed });
        }
    }
    found
}

/// Removes a file, unless it was written since it was found; returns whether it did.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(file: &KeptFile) -> io::Result<bool> {
    let is_same = fs::symlink_metadata(&file.path).and_then(|now| now.modified()).is_ok_and(|modified| modified == file.modified);
    if is_same {
        fs::remove_file(&file.path)?;
    }
    Ok(is_same)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_files_of_projects_are_found_and_only_unchanged_ones_removed() {
        let directory = tempfile::tempdir().unwrap();
        let outputs = AbsPath::new(directory.path()).unwrap();
        fs::create_dir_all(outputs.join("prj_1/directory")).unwrap();
        fs::write(outputs.join("stray.txt"), "x").unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1000);
        for name in ["one.txt", "two.txt", "needed.txt"] {
            fs::write(outputs.join("prj_1").join(name), "12345").unwrap();
            fs::File::options().write(true).open(outputs.join("prj_1").join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        fs::write(outputs.join("prj_1/new.txt"), "12345").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("one.txt", outputs.join("prj_1/link.txt")).unwrap();
        let needed = HashSet::from([outputs.join("prj_1/needed.txt").to_string()]);
        let mut found = files(&outputs, &needed, 2_000_000);
        found.sort_by(|one, other| one.what.path.cmp(&other.what.path));
        let seen: Vec<_> = found
            .iter()
            .map(|item| (item.what.path.as_path().file_name().unwrap().to_str().unwrap(), item.bytes, item.is_needed))
            .collect();
        assert_eq!(seen, [("needed.txt", 5, true), ("new.txt", 5, true), ("one.txt", 5, false), ("two.txt", 5, false)]);
        fs::write(outputs.join("prj_1/two.txt"), "written meanwhile").unwrap();
        assert_eq!([2, 3].map(|place: usize| remove(&found[place].what).unwrap()), [true, false]);
        assert!(!outputs.join("prj_1/one.txt").as_path().exists() && outputs.join("prj_1/two.txt").as_path().exists());
        assert!(files(&outputs.join("missing"), &needed, 0).is_empty());
    }
}
