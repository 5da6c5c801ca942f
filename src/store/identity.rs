//! Decides which project a directory belongs to, from what was found on disk and what the registry has stored. Pure.
//!
//! A repository's id is stored in its id file and moves with it. Without an id file (the repository was only read so
//! far, or is not writable) the registry identifies the common git directory by device, inode and real path. It also
//! stores what the id file contained at the time of the decision, so that the same evidence always gives the same
//! result.

use polytree_protocol::id::ProjectId;

use crate::stdx::paths::AbsPath;

/// Identifies a directory, to detect another one at the same path later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system's device number; may change with each mount.
    pub device: u64,
    /// The inode number, which is reused after a deletion; 0 if the file system has none.
    pub inode: u64,
    /// The creation time in nanoseconds since 1970, if the file system stores it.
    pub born: Option<i64>,
}

/// A directory as it was found: its path and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub path: AbsPath,
    pub stamp: Stamp,
}

impl Sighting {
    /// Whether both are the same directory, possibly renamed.
    ///
    /// With a creation time, inode and creation time identify the directory, and either the device or the path may have
    /// changed. Without one the inode may have been reused, so everything must agree.
    pub fn is_same(&self, other: &Self) -> bool {
        let (one, two) = (self.stamp, other.stamp);
        let same_path = self.path == other.path;
        let same_device = one.device == two.device;
        if one.inode != two.inode || one.born != two.born {
            return false;
        }
        if one.born.is_some() && one.inode != 0 { same_device || same_path } else { same_device && same_path }
    }
}

/// All facts that decide a repository's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The id in the id file, if it is valid.
    pub file: Option<ProjectId>,
    /// The earlier decision about this directory.
    pub here: Option<Remembered>,
    /// Whether another existing repository uses the id in the file.
    pub file_is_taken: bool,
    /// The project that the main checkout had before `git init`.
    pub plain: Option<ProjectId>,
}

/// An earlier decision about the same directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub project: ProjectId,
    /// The content of the id file at that time.
    pub file: Option<ProjectId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Keep(ProjectId),
    /// The one in the id file: the directory is new here, or was moved.
    Adopt(ProjectId),
    /// The one it was before `git init`.
    Convert(ProjectId),
    /// A new one: a new repository, or a copy.
    Mint,
}

pub fn decide(evidence: Evidence) -> Decision {
    let Evidence { file, here, file_is_taken, plain } = evidence;
    match (file, here) {
        (file, Some(here)) if here.file == file => Decision::Keep(here.project),
        (Some(_), _) if file_is_taken => Decision::Mint,
        (Some(id), _) => Decision::Adopt(id),
        // Only the id file was removed.
        (None, Some(here)) => Decision::Keep(here.project),
        (None, None) => plain.map_or(Decision::Mint, Decision::Convert),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ulid::Ulid;

    use super::*;

    fn id(number: u128) -> ProjectId {
        ProjectId::from_ulid(Ulid(number))
    }

    fn remembered(project: u128, file: Option<u128>) -> Remembered {
        Remembered { project: id(project), file: file.map(id) }
    }

    #[test]
    fn each_case() {
        let case = |file: Option<u128>, here: Option<(u128, Option<u128>)>, file_is_taken, plain: Option<u128>| {
            let here = here.map(|(project, file)| remembered(project, file));
            decide(Evidence { file: file.map(id), here, file_is_taken, plain: plain.map(id) })
        };
        assert_eq!(case(None, None, false, None), Decision::Mint, "never seen");
        assert_eq!(case(None, Some((1, None)), false, None), Decision::Keep(id(1)), "opened before, or not writable");
        assert_eq!(case(Some(1), Some((1, Some(1))), false, None), Decision::Keep(id(1)), "same place");
        assert_eq!(case(Some(1), None, false, None), Decision::Adopt(id(1)), "moved, or brought by another daemon");
        assert_eq!(case(Some(1), None, true, None), Decision::Mint, "copied");
        assert_eq!(case(Some(1), Some((2, Some(1))), true, None), Decision::Keep(id(2)), "a copy, opened again");
        assert_eq!(case(Some(1), Some((2, Some(1))), false, None), Decision::Keep(id(2)), "a copy whose original went away");
        assert_eq!(case(Some(3), Some((2, None)), false, None), Decision::Adopt(id(3)), "another daemon wrote an id");
        assert_eq!(case(None, Some((1, Some(1))), false, None), Decision::Keep(id(1)), "the file was deleted");
        assert_eq!(case(None, None, false, Some(4)), Decision::Convert(id(4)), "git init");
        assert_eq!(case(Some(1), None, false, Some(4)), Decision::Adopt(id(1)), "a repository was put over a plain directory");
    }

    fn some_id() -> impl Strategy<Value = Option<u128>> {
        proptest::option::of(0..3u128)
    }

    proptest! {
        /// A stored decision is stable.
        #[test]
        fn deciding_again_changes_nothing(file in some_id(), here in proptest::option::of((0..3u128, some_id())), taken: bool, plain in some_id()) {
            let here = here.map(|(project, file)| remembered(project, file));
            let evidence = Evidence { file: file.map(id), here, file_is_taken: taken, plain: plain.map(id) };
            let project = match decide(evidence.clone()) {
                Decision::Keep(id) | Decision::Adopt(id) | Decision::Convert(id) => id,
                Decision::Mint => id(99),
            };
            for later_taken in [false, true] {
                let here = Some(Remembered { project: project.clone(), file: evidence.file.clone() });
                let again = decide(Evidence { here, file_is_taken: later_taken, ..evidence.clone() });
                prop_assert_eq!(again, Decision::Keep(project.clone()));
            }
        }

        /// An id in use is never shared with another repository.
        #[test]
        fn a_taken_id_is_not_shared(file in 0..3u128, plain in some_id()) {
            let evidence = Evidence { file: Some(id(file)), here: None, file_is_taken: true, plain: plain.map(id) };
            prop_assert_eq!(decide(evidence), Decision::Mint);
        }
    }

    #[test]
    fn a_directory_is_recognised() {
        let seen = |path: &str, device, inode, born| Sighting { path: AbsPath::new(path).unwrap(), stamp: Stamp { device, inode, born } };
        let first = seen("/a", 1, 5, Some(7));
        assert!(first.is_same(&seen("/b", 1, 5, Some(7))), "renamed");
        assert!(first.is_same(&seen("/a", 2, 5, Some(7))), "mounted again");
        assert!(!first.is_same(&seen("/b", 2, 5, Some(7))), "a snapshot of the file system");
        assert!(!first.is_same(&seen("/a", 1, 5, Some(8))), "the inode was reused");
        assert!(!first.is_same(&seen("/a", 1, 6, Some(7))), "another directory in its place");
        let first = seen("/a", 1, 5, None);
        assert!(first.is_same(&seen("/a", 1, 5, None)));
        assert!(!first.is_same(&seen("/b", 1, 5, None)), "cannot be told from a new one");
    }
}
