//! Absolute paths. The daemon works in many directories at once, so it never uses relative paths or the process's current
//! directory.

use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
};

/// The device number of a path's file system; `None` if the path does not exist, or the platform has none.
#[must_use]
pub fn device(path: &AbsPath) -> Option<u64> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|metadata| metadata.dev())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// An absolute, lexically clean path: no `.`, no `..`, no trailing slash. It may not exist.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// `None` for a relative path. `..` is resolved lexically.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Option<Self> {
        let path = path.as_ref();
        path.is_absolute().then(|| Self(clean(path)))
    }

    /// Like [`AbsPath::new`], with `~` or `~/` at the start for the user's home.
    #[must_use]
    pub fn expand(text: &str) -> Option<Self> {
        match text.strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => Some(home()?.join(rest.trim_start_matches('/'))),
            _ => Self::new(text),
        }
    }

    /// Joins a relative path, or returns an absolute one; the result is clean.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> Self {
        Self(clean(&self.0.join(path)))
    }

    /// Joins names from directory listings, which need no cleaning.
    #[must_use]
    pub fn below(&self, names: &Path) -> Self {
        if names.as_os_str().is_empty() { self.clone() } else { Self(self.0.join(names)) }
    }

    /// The path with all symbolic links resolved.
    ///
    /// # Errors
    /// If it does not exist or cannot be reached.
    pub fn real(&self) -> io::Result<Self> {
        std::fs::canonicalize(&self.0).map(Self)
    }

    /// The real path of the nearest existing ancestor, with the rest joined: where a file would be created.
    #[must_use]
    pub fn real_or_nearest(&self) -> Self {
        let mut rest = Vec::new();
        let mut current = self.0.as_path();
        loop {
            if let Ok(real) = std::fs::canonicalize(current) {
                return Self(rest.iter().rev().fold(real, |path, name| path.join(name)));
            }
            match (current.parent(), current.file_name()) {
                (Some(parent), Some(name)) => {
                    rest.push(name);
                    current = parent;
                }
                _ => return self.clone(),
            }
        }
    }

    /// As a standard path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The parent directory; `None` at the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// Whether this is `directory` or below it, by components.
    #[must_use]
    pub fn is_within(&self, directory: &AbsPath) -> bool {
        self.0.starts_with(&directory.0)
    }

    /// The path relative to `directory`, with `/` between names, for display; absolute if it is outside.
    #[must_use]
    pub fn relative_to(&self, directory: &AbsPath) -> String {
        match self.0.strip_prefix(&directory.0) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => rest.to_string_lossy().replace('\\', "/"),
            Err(_) => self.to_string(),
        }
    }

    /// This directory and its ancestors, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = AbsPath> + '_ {
        self.0.ancestors().map(|path| Self(path.to_owned()))
    }
}

/// The user's home directory, from the environment.
#[must_use]
pub fn home() -> Option<AbsPath> {
    std::env::home_dir().and_then(AbsPath::new)
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Debug for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::AbsPath;

    #[test]
    fn one_spelling_for_each_directory() {
        for text in ["/a/b", "/a/b/", "/a/./b", "/a/c/../b", "//a//b", "/../a/b"] {
            assert_eq!(AbsPath::new(text).unwrap().to_string(), "/a/b", "{text}");
        }
        assert_eq!(AbsPath::new("a/b"), None);
        assert_eq!(AbsPath::new(""), None);
    }

    #[test]
    fn below_is_by_component() {
        let root = AbsPath::new("/a/b").unwrap();
        assert!(root.join("c").is_within(&root));
        assert!(!AbsPath::new("/a/bc").unwrap().is_within(&root));
        assert!(!root.join("../x").is_within(&root));
        assert_eq!(root.join("c/d").relative_to(&root), "c/d");
        assert_eq!(AbsPath::new("/x").unwrap().relative_to(&root), "/x");
    }
}
