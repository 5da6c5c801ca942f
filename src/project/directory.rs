//! Resolves the `directory` of a request to its real path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::stdx::{
    disk,
    paths::{self, AbsPath},
};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Empty, relative, or not a path: the request is invalid.
    #[error("the directory {given:?} is not an absolute path; a leading ~ stands for the home directory")]
    NotAbsolute { given: String },
    /// Its real path is not Unicode.
    #[error("the real path of {given:?} is not valid Unicode")]
    NotText { given: String },
    /// It does not exist, or cannot be reached.
    #[error("there is no directory {given:?}")]
    Missing { given: String, source: io::Error },
    /// It is not a directory.
    #[error("{given:?} is not a directory")]
    NotADirectory { given: String },
}

/// The real path of an existing directory: absolute, or with a leading `~`.
///
/// # Errors
/// See [`Error`].
pub fn resolve(given: &str) -> Result<AbsPath, Error> {
    let missing = |source| Error::Missing { given: given.to_owned(), source };
    // By the operating system, not lexically: `..` after a symbolic link is the parent of its target.
    let real = fs::canonicalize(spelled(given)?).map_err(missing)?;
    if !fs::metadata(&real).map_err(missing)?.is_dir() {
        return Err(Error::NotADirectory { given: given.to_owned() });
    }
    if real.to_str().is_none() {
        return Err(Error::NotText { given: given.to_owned() });
    }
    AbsPath::new(real).ok_or_else(|| Error::NotAbsolute { given: given.to_owned() })
}

/// Like [`resolve`], and creates missing directories.
///
/// # Errors
/// See [`Error`]; `Missing` if it cannot be created.
pub fn resolve_or_create(given: &str) -> Result<AbsPath, Error> {
    let path = spelled(given)?;
    match fs::create_dir_all(&path) {
        Err(_) if path.exists() => {}
        Err(source) => return Err(Error::Missing { given: given.to_owned(), source }),
        Ok(()) => {}
    }
    resolve(given)
}

/// [`resolve`] on a thread that may block.
///
/// # Errors
/// See [`Error`].
pub async fn resolved(given: &str) -> Result<AbsPath, Error> {
    let text = given.to_owned();
    disk::run(given, move || resolve(&text)).await
}

/// [`resolve_or_create`] on a thread that may block.
///
/// # Errors
/// See [`Error`].
pub async fn resolved_or_created(given: &str) -> Result<AbsPath, Error> {
    let text = given.to_owned();
    disk::run(given, move || resolve_or_create(&text)).await
}

fn spelled(given: &str) -> Result<PathBuf, Error> {
    let path = match given.strip_prefix('~') {
        None => Some(PathBuf::from(given)),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            paths::home().map(|home| home.as_path().join(rest.trim_start_matches('/')))
        }
        // The home of another user is not supported.
        Some(_) => None,
    };
    path.filter(|path| Path::is_absolute(path) && !given.contains('\0')).ok_or_else(|| Error::NotAbsolute { given: given.to_owned() })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

    use proptest::prelude::*;

    use super::*;
    use crate::project::tests::support::Sandbox;

    #[test]
    fn what_is_no_directory() {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("file"), "").unwrap();
        symlink("circle", sandbox.path("circle")).unwrap();
        for given in ["", "a/b", ".", "..", "~nobody/x", "/tmp\0", "C:\\x"] {
            assert!(matches!(resolve(given), Err(Error::NotAbsolute { .. })), "{given:?}");
            assert!(matches!(resolve_or_create(given), Err(Error::NotAbsolute { .. })), "{given:?}");
        }
        for name in ["none", "none/..", "file/x", "circle", &"x".repeat(5000)] {
            let given = format!("{}/{name}", sandbox.root);
            assert!(matches!(resolve(&given), Err(Error::Missing { .. })), "{name:.20}");
        }
        let file = sandbox.path("file").to_string();
        assert!(matches!(resolve(&file), Err(Error::NotADirectory { .. })));
        assert!(matches!(resolve_or_create(&file), Err(Error::NotADirectory { .. })));
        let odd = sandbox.root.join(std::ffi::OsStr::from_bytes(b"\xff"));
        fs::create_dir(&odd).unwrap();
        symlink(&odd, sandbox.path("link")).unwrap();
        assert!(matches!(resolve(&sandbox.path("link").to_string()), Err(Error::NotText { .. })));
    }

    #[test]
    fn the_home_directory() {
        let home = paths::home().unwrap().real().unwrap();
        for given in ["~", "~/", "~//.", "~/../."] {
            let expected = if given.contains("..") { home.parent().unwrap() } else { home.clone() };
            assert_eq!(resolve(given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn the_parent_of_a_link_is_that_of_its_target() {
        let sandbox = Sandbox::new();
        let target = sandbox.make_directory("far/away");
        symlink(&target, sandbox.path("link")).unwrap();
        assert_eq!(resolve(&format!("{}/link/..", sandbox.root)).unwrap(), sandbox.path("far"));
    }

    #[test]
    fn makes_what_is_not_there() {
        let sandbox = Sandbox::new();
        let given = format!("{}/a/./b/", sandbox.root);
        assert_eq!(resolve_or_create(&given).unwrap(), sandbox.path("a/b"));
        assert_eq!(resolve_or_create(&given).unwrap(), sandbox.path("a/b"));
        assert_eq!(names(&sandbox), ["a"]);
    }

    fn names(sandbox: &Sandbox) -> Vec<String> {
        fs::read_dir(&sandbox.root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn any_spelling_is_the_same_directory(separators in prop::collection::vec("/(\\.?/|same/\\.\\./|self/){0,3}", 4)) {
            let sandbox = Sandbox::new();
            let deepest = sandbox.make_directory("one/two/three");
            for top in deepest.ancestors().take(4) {
                fs::create_dir(top.join("same")).unwrap();
                symlink(".", top.join("self")).unwrap();
            }
            let [a, b, c, d] = &separators[..] else { unreachable!() };
            let given = format!("{}{a}one{b}two{c}three{d}", sandbox.root);
            prop_assert_eq!(resolve(&given).unwrap(), deepest);
        }
    }
}
