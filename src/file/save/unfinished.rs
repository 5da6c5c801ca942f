//! Temporary files of writes that are under way. Each is noted in the data directory before it is made, so that those
//! which a killed process has left can be removed when the next one starts, without a search through anybody's files.

use std::{fs, io::Write as _};

use ulid::Ulid;

use crate::stdx::paths::AbsPath;

/// More notes are not looked at in one start.
const MAX_NOTES: usize = 10_000;
/// No path is longer.
const PATH_BYTES: u64 = 64 * 1024;

/// The name of a temporary file.
pub fn name(id: Ulid) -> String {
    format!(".polytree-{id}.tmp")
}

/// A note of a temporary file.
#[derive(Debug)]
pub struct Note(Option<AbsPath>);

impl Note {
    /// Notes the temporary file that is about to be made in a directory. Without a note it would merely stay after a kill,
    /// so that is all that happens where the note cannot be written.
    pub fn new(notes: &AbsPath, directory: &AbsPath, id: Ulid) -> Self {
        let at = notes.join(id.to_string());
        let write = || {
            let mut make = fs::DirBuilder::new();
            let mut options = fs::OpenOptions::new();
            #[cfg(unix)]
            {
                use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
                make.mode(0o700);
                options.mode(0o600);
            }
            make.recursive(true).create(notes)?;
            options.write(true).create_new(true).open(&at)?.write_all(directory.as_path().as_os_str().as_encoded_bytes())
        };
        Self(write().inspect_err(|error| tracing::warn!(%error, "a temporary file could not be noted")).is_ok().then_some(at))
    }

    /// The temporary file is gone, or has its own name now.
    pub fn done(self) {
        if let Some(at) = self.0 {
            // What stays is looked at again by the next start.
            let _ = fs::remove_file(at);
        }
    }
}

/// The notes that processes before this one have left. To be asked for before anything is written.
pub fn left(notes: &AbsPath) -> Vec<AbsPath> {
    let entries = fs::read_dir(notes).into_iter().flatten().flatten().take(MAX_NOTES);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).filter_map(|entry| AbsPath::new(entry.path())).collect()
}

/// Removes the temporary files that the notes tell of, and the notes. One whose directory cannot be reached now is kept
/// for another start.
pub fn remove(notes: &[AbsPath]) {
    for note in notes {
        match remove_one(note) {
            Ok(()) => drop(fs::remove_file(note)),
            Err(error) => tracing::warn!(%note, %error, "a temporary file of an interrupted write could not be removed"),
        }
    }
}

#[cfg(unix)]
fn remove_one(note: &AbsPath) -> std::io::Result<()> {
    use std::{ffi::OsStr, io::Read as _, os::unix::ffi::OsStrExt as _};

    use rustix::{
        fs::{AtFlags, FileType, statat, unlinkat},
        io::Errno,
    };

    use crate::file::open::system;

    let id = note.as_path().file_name().and_then(|name| Ulid::from_string(name.to_str()?).ok());
    let mut bytes = Vec::new();
    fs::File::open(note)?.take(PATH_BYTES).read_to_end(&mut bytes)?;
    // What is no note of ours, or was cut, names nothing that could be removed.
    let (Some(id), Some(path)) = (id, AbsPath::new(OsStr::from_bytes(&bytes))) else { return Ok(()) };
    // No link is followed on the way, and the name is one that only the writer of this note has ever used.
    let directory = system::open_directory(&path)?;
    let name = name(id);
    let found = match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        found => found?,
    };
    let me = rustix::process::geteuid();
    let is_ours = me.is_root() || found.st_uid == me.as_raw();
    if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && is_ours {
        unlinkat(&directory, &name, AtFlags::empty())?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn remove_one(_: &AbsPath) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_killed_write_has_left_is_removed_and_nothing_else() {
        let keep = tempfile::tempdir().unwrap();
        let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
        let (notes, project) = (root.join("notes"), root.join("project"));
        assert_eq!(left(&notes), []);
        for directory in ["project/sub", "elsewhere"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        symlink(root.join("elsewhere"), project.join("link")).unwrap();
        let make = |directory: &str| {
            let (id, at) = (Ulid::generate(), root.join(directory));
            let note = Note::new(&notes, &at, id);
            let _ = fs::write(at.join(name(id)), "half");
            (note, at.join(name(id)))
        };
        // Dropping a note without a word is what a kill does.
        let (gone, here) = (make("project/sub"), make("project"));
        let (through_link, unreachable) = (make("project/link"), make("not/mounted"));
        let done = make("project/sub");
        fs::rename(&done.1, project.join("sub/file")).unwrap();
        done.0.done();
        fs::remove_file(&gone.1).unwrap();
        // Not ours: a directory of that name, another name, a note of nonsense.
        let (directory, foreign) = (make("project"), project.join(name(Ulid::generate())));
        fs::remove_file(&directory.1).unwrap();
        fs::create_dir(&directory.1).unwrap();
        fs::write(&foreign, "theirs").unwrap();
        fs::write(notes.join("nonsense"), project.to_string()).unwrap();
        fs::write(notes.join(Ulid::generate().to_string()), "relative").unwrap();

        let found = left(&notes);
        assert_eq!(found.len(), 7);
        remove(&found);
        assert!(!here.1.as_path().exists());
        assert!(through_link.1.as_path().exists() && foreign.as_path().exists() && directory.1.as_path().is_dir());
        assert!(project.join("sub/file").as_path().exists());
        let kept: Vec<_> = left(&notes);
        assert_eq!(kept.len(), 2, "what cannot be reached now is tried again: {kept:?}");
        fs::create_dir_all(root.join("not/mounted")).unwrap();
        fs::write(&unreachable.1, "half").unwrap();
        remove(&kept);
        assert!(!unreachable.1.as_path().exists());
    }
}
