//! Which project a directory is: one pure decision over what was found on disk and what the registry remembers.
//!
//! A repository's id travels with it in its id file. Where there is none (only read so far, or not writable) the
//! registry remembers the common directory by device, inode and real path. Each remembered place also keeps what the
//! id file said when the decision was made, so that the same evidence always leads to the same answer.

use polytree_protocol::id::ProjectId;

use crate::stdx::paths::AbsPath;

/// What tells one directory from another that stands at the same path later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system; may change when it is mounted again.
    pub device: u64,
    /// The number on it, which is given again after a deletion; 0 where there are none.
    pub inode: u64,
    /// When it was created, in nanoseconds since 1970, where the file system keeps that.
    pub born: Option<i64>,
}

/// A directory as it was seen: where, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its real path.
    pub path: AbsPath,
    /// Which directory it was.
    pub stamp: Stamp,
}

impl Sighting {
    /// Whether both are of one directory, possibly renamed in between.
    ///
    /// With a time of birth, inode and birth say which directory it is, and either the device or the path may have
    /// changed. Without one the inode may have been given to another directory, so everything must agree.
    #[must_use]
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

/// All that bears on a repository's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The id file's valid content.
    pub file: Option<ProjectId>,
    /// What the registry remembers of this very directory.
    pub here: Option<Remembered>,
    /// Whether the id in the file is known to be in use by another repository that still exists.
    pub file_is_taken: bool,
    /// The project that the main checkout was while it was outside git.
    pub plain: Option<ProjectId>,
}

/// An earlier decision about the same directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What was decided.
    pub project: ProjectId,
    /// What the id file said then.
    pub file: Option<ProjectId>,
}

/// Which project it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The one it was.
    Keep(ProjectId),
    /// The one that its id file names: seen for the first time, or moved here.
    Adopt(ProjectId),
    /// The one it was before `git init`.
    Convert(ProjectId),
    /// One that never was before: a new repository, or a copy.
    Mint,
}

/// Decides which project a repository is.
#[must_use]
pub fn decide(evidence: Evidence) -> Decision {
    let Evidence { file, here, file_is_taken, plain } = evidence;
    match (file, here) {
        (file, Some(here)) if here.file == file => Decision::Keep(here.project),
        (Some(_), _) if file_is_taken => Decision::Mint,
        (Some(id), _) => Decision::Adopt(id),
        // Its id file was taken away; nothing else has changed.
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
        assert_eq!(case(None, Some((1, None)), false, None), Decision::Keep(id(1)), "read before, or not writable");
        assert_eq!(case(Some(1), Some((1, Some(1))), false, None), Decision::Keep(id(1)), "same place");
        assert_eq!(case(Some(1), None, false, None), Decision::Adopt(id(1)), "moved, or brought by another daemon");
        assert_eq!(case(Some(1), None, true, None), Decision::Mint, "copied");
        assert_eq!(case(Some(1), Some((2, Some(1))), true, None), Decision::Keep(id(2)), "a copy, read again");
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
        /// What was decided is remembered with what it was decided from, and then stays.
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

        /// An id in use elsewhere is never given to a second repository that was not it before.
        #[test]
        fn a_taken_id_is_not_shared(file in 0..3u128, plain in some_id()) {
            let evidence = Evidence { file: Some(id(file)), here: None, file_is_taken: true, plain: plain.map(id) };
            prop_assert_eq!(decide(evidence), Decision::Mint);
        }
    }

    #[test]
    fn a_directory_is_known_again() {
        let seen = |path: &str, device, inode, born| Sighting { path: AbsPath::new(path).unwrap(), stamp: Stamp { device, inode, born } };
        let first = seen("/a", 1, 5, Some(7));
        assert!(first.is_same(&seen("/b", 1, 5, Some(7))), "renamed");
        assert!(first.is_same(&seen("/a", 2, 5, Some(7))), "mounted again");
        assert!(!first.is_same(&seen("/b", 2, 5, Some(7))), "a snapshot of the file system");
        assert!(!first.is_same(&seen("/a", 1, 5, Some(8))), "the inode was given again");
        assert!(!first.is_same(&seen("/a", 1, 6, Some(7))), "another directory in its place");
        let first = seen("/a", 1, 5, None);
        assert!(first.is_same(&seen("/a", 1, 5, None)));
        assert!(!first.is_same(&seen("/b", 1, 5, None)), "cannot be told from a new one");
    }
}
