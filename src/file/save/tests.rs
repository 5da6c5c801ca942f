//! Files put in place as a whole.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use super::{Ground, *};

/// Saves as a tool does, anywhere.
fn save(real: &AbsPath, bytes: &[u8], over: Over<'_>) -> Result<(), Error> {
    let keep = tempfile::tempdir().unwrap();
    let notes = AbsPath::new(keep.path()).unwrap().join("notes");
    let saved = super::save(real, bytes, over, Ground { root: None, notes: &notes, mask: None });
    assert_eq!(unfinished::left(&notes), [], "no note stays");
    saved
}

fn place() -> (tempfile::TempDir, AbsPath) {
    let directory = tempfile::tempdir().unwrap();
    let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
    (directory, root)
}

fn names(root: &AbsPath) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_file_with_its_parents() {
    let (_keep, root) = place();
    save(&root.join("a/b/c.txt"), b"hello", Over::Nothing).unwrap();
    assert_eq!(fs::read(root.join("a/b/c.txt")).unwrap(), b"hello");
    assert_eq!(names(&root.join("a/b")), ["c.txt"]);
}

#[test]
fn what_appeared_meanwhile_is_not_replaced() {
    let (_keep, root) = place();
    fs::write(root.join("file"), "theirs").unwrap();
    assert!(save(&root.join("file"), b"ours", Over::Nothing).is_err());
    assert_eq!(fs::read(root.join("file")).unwrap(), b"theirs");
    symlink("elsewhere", root.join("link")).unwrap();
    assert!(save(&root.join("link"), b"ours", Over::Nothing).is_err());
    assert_eq!(names(&root), ["file", "link"]);
}

#[test]
fn mode_is_kept_and_hard_links_are_separated() {
    let (_keep, root) = place();
    let (path, other) = (root.join("tool"), root.join("other"));
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
    fs::hard_link(&path, &other).unwrap();
    save(&path, b"new", Over::File(&fs::metadata(&path).unwrap())).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::read(&other).unwrap(), b"old");
    assert_eq!(names(&root), ["other", "tool"]);
}

#[test]
fn a_file_without_write_bits_is_read_only() {
    let (_keep, root) = place();
    let path = root.join("file");
    fs::write(&path, "old").unwrap();
    assert!(!is_read_only(&path, &fs::metadata(&path).unwrap()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(is_read_only(&path, &fs::metadata(&path).unwrap()));
}

#[test]
fn in_place_a_file_is_written_as_a_whole_or_stays() {
    let (_keep, root) = place();
    let path = root.join("file");
    for content in ["a long first content", "short", "", "longer again"] {
        fs::write(&path, "old content").unwrap();
        in_place(&path, content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

/// A file that cannot grow, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_failed_write_in_place_loses_nothing() {
    use std::io::{Read as _, Seek as _, Write as _};
    let flags = rustix::fs::MemfdFlags::ALLOW_SEALING | rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("full", flags).unwrap());
    file.write_all(b"old content").unwrap();
    rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::GROW).unwrap();
    file.rewind().unwrap();
    assert!(overwrite(&file, &[b'x'; 100_000]).is_err());
    let mut content = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "old content");
}

#[test]
fn a_parent_that_became_a_symlink_is_not_followed() {
    let (_keep, root) = place();
    fs::create_dir(root.join("outside")).unwrap();
    symlink(root.join("outside"), root.join("inside")).unwrap();
    assert!(save(&root.join("inside/file"), b"x", Over::Nothing).is_err());
    assert_eq!(names(&root.join("outside")), Vec::<String>::new());
}

#[test]
fn a_root_that_is_gone_is_not_made() {
    let (_keep, root) = place();
    let (project, notes) = (root.join("project"), root.join("notes"));
    let ground = Ground { root: Some(&project), notes: &notes, mask: None };
    assert!(super::save(&project.join("src/new"), b"x", Over::Nothing, ground).is_err());
    assert!(super::save(&project.join("new"), b"x", Over::Nothing, ground).is_err());
    assert_eq!(names(&root), Vec::<String>::new());
    fs::create_dir(&project).unwrap();
    super::save(&project.join("src/new"), b"x", Over::Nothing, ground).unwrap();
    assert_eq!(names(&project.join("src")), ["new"]);
}

#[test]
fn new_files_and_directories_have_the_mask_of_the_client() {
    let (_keep, root) = place();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o2755)).unwrap();
    let mode = |path: &AbsPath| format!("{:o}", fs::metadata(path).unwrap().mode() & 0o7777);
    for (mask, file, directory) in [(0o077, "600", "2700"), (0o002, "664", "2775"), (0o027, "640", "2750")] {
        let (path, notes) = (root.join(format!("{mask:o}/below/file")), root.join("notes"));
        let ground = Ground { root: None, notes: &notes, mask: Some(mask) };
        super::save(&path, b"x", Over::Nothing, ground).unwrap();
        let above = path.parent().unwrap();
        assert_eq!([mode(&path), mode(&above), mode(&above.parent().unwrap())], [file, directory, directory], "{mask:o}");
        // What was there keeps its own.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        super::save(&path, b"y", Over::File(&fs::metadata(&path).unwrap()), ground).unwrap();
        assert_eq!(mode(&path), "604");
    }
}

/// Where files without a name cannot be made, such as on some network file systems.
#[test]
fn with_a_temporary_name_it_is_the_same() {
    let (_keep, root) = place();
    let (path, notes) = (root.join("file"), root.join("notes"));
    let directory = system::open_directory(&root).unwrap();
    let save = |over, bytes: &[u8]| {
        let ground = Ground { root: None, notes: &notes, mask: None };
        let target = Target { real: &path, parent: &root, directory: &directory, name: OsStr::new("file"), over, ground };
        target.named(Mode::from_raw_mode(0o600), bytes)
    };
    assert!(save(Over::Nothing, b"one").is_ok());
    assert!(save(Over::Nothing, b"two").is_err());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(save(Over::File(&fs::metadata(&path).unwrap()), b"three").is_ok());
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777), (b"three".to_vec(), 0o640));
    assert_eq!(names(&root), ["file", "notes"]);
    assert_eq!(unfinished::left(&notes), []);
}

#[cfg(target_os = "linux")]
mod attributes {
    use rustix::fs::{XattrFlags, getxattr, setxattr};

    use super::*;

    /// The value of an attribute.
    fn attribute(path: &AbsPath, name: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 1000];
        let length = getxattr(path.as_path(), name, value.as_mut_slice()).ok()?;
        value.truncate(length);
        Some(value)
    }

    /// An access list: of the owner, one user, the group, the mask and all others.
    fn list(rights: [u16; 5]) -> Vec<u8> {
        let tags = [(1_u16, u32::MAX), (2, 1000), (4, u32::MAX), (16, u32::MAX), (32, u32::MAX)];
        let entries = tags.iter().zip(rights);
        let entries = entries.flat_map(|((tag, who), right)| [&tag.to_le_bytes()[..], &right.to_le_bytes(), &who.to_le_bytes()].concat());
        2_u32.to_le_bytes().into_iter().chain(entries).collect()
    }

    #[test]
    fn attributes_lists_and_capabilities_are_kept() {
        let (_keep, root) = place();
        let path = root.join("file");
        fs::write(&path, "old").unwrap();
        let set = |name: &str, value: &[u8]| setxattr(path.as_path(), name, value, XattrFlags::empty()).is_ok();
        let access = list([6, 6, 0, 6, 0]);
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // Not all file systems have all of these, and only root gives capabilities.
        let kept: Vec<_> = [
            ("user.note", &b"keep"[..]),
            ("user.empty", b""),
            ("user.long", &[7; 900]),
            ("system.posix_acl_access", &access),
            ("security.capability", &capability),
        ]
        .into_iter()
        .filter(|(name, value)| set(name, value))
        .collect();
        assert!(kept.len() >= 3, "{kept:?}");
        let mode = fs::metadata(&path).unwrap().mode();
        for content in ["one", "two"] {
            save(&path, content.as_bytes(), Over::File(&fs::metadata(&path).unwrap())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            for (name, value) in &kept {
                assert_eq!(attribute(&path, name).as_deref(), Some(*value), "{name}");
            }
            assert_eq!(fs::metadata(&path).unwrap().mode(), mode);
        }
    }

    #[test]
    fn a_list_of_the_directory_is_not_given_to_a_file_that_had_none() {
        let (_keep, root) = place();
        let path = root.join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        if setxattr(root.as_path(), "system.posix_acl_default", &list([7, 7, 7, 7, 7]), XattrFlags::empty()).is_err() {
            return;
        }
        save(&path, b"new", Over::File(&fs::metadata(&path).unwrap())).unwrap();
        assert_eq!(attribute(&path, "system.posix_acl_access"), None);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        save(&root.join("new"), b"new", Over::Nothing).unwrap();
        assert!(attribute(&root.join("new"), "system.posix_acl_access").is_some(), "a new file has the directory's");
    }
}

/// Nobody but root can give files away: an edit by somebody else must not take them from their owner or their group.
#[test]
fn a_file_of_somebody_else_keeps_its_owner_and_its_group() {
    const PLACE: &str = "POLYTREE_TEST_PLACE";
    let keep = tempfile::tempdir().unwrap();
    let body = || {
        let Some(place) = std::env::var_os(PLACE) else { return };
        let path = AbsPath::new(place).unwrap().join("file");
        save(&path, b"changed", Over::File(&fs::metadata(&path).unwrap())).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap(), metadata.uid(), metadata.gid()), (b"changed".to_vec(), 1, 54321));
    };
    if !rustix::process::geteuid().is_root() && std::env::var_os(PLACE).is_none() {
        // Without root there is nobody else to be.
        return;
    }
    let prepare = |command: &mut std::process::Command| {
        use std::os::unix::process::CommandExt as _;
        fs::set_permissions(keep.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(keep.path().join("file"), "first and longer").unwrap();
        fs::set_permissions(keep.path().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::chown(keep.path().join("file"), Some(1), Some(54321)).unwrap();
        command.uid(65534).gid(65534).env(PLACE, keep.path());
    };
    crate::project::tests::support::again("file::save::tests::a_file_of_somebody_else_keeps_its_owner_and_its_group", prepare, body);
}
