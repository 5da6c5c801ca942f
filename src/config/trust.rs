//! The files of a project that need the user's trust before they are used, with a digest of each, so that a change of the
//! content ends the trust.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    io::{self, Read},
};

use super::{files, folders};
use crate::stdx::paths::AbsPath;

/// The names of settings files; the later one wins.
pub const SETTINGS_NAMES: [&str; 2] = ["polytree.json", "polytree.jsonc"];

/// The directory with a project's agents, commands and plugins, in any directory of the worktree.
pub const PROJECT_FOLDER: &str = ".polytree";

/// The size limit of a file that needs trust. A larger one is never used.
const MAX_COUNTED_BYTES: u64 = 16 * 1024 * 1024;

/// The folder of skills in it and in the user's, and the file that makes a folder a skill.
pub const SKILL_FOLDER: &str = "skill";
pub const SKILL_FILE: &str = "SKILL.md";

/// A file that needs trust, with a state of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedFile {
    /// The path relative to the worktree, with `/` between names.
    pub path: String,
    /// The BLAKE3 hash of path and content, in hexadecimal.
    pub digest: String,
}

impl Hash for TrustedFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// Decides whether a file in this state is trusted.
pub type Trust<'a> = dyn Fn(&TrustedFile) -> bool + 'a;

/// The digest of a file with this content.
///
/// # Errors
/// If the content cannot be read.
pub fn identify(worktree: &AbsPath, path: &AbsPath, content: impl Read) -> io::Result<TrustedFile> {
    let path = path.relative_to(worktree);
    let mut hasher = blake3::Hasher::new();
    // With the length of the path, so that another split of the same bytes has another digest.
    hasher.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
    hasher.update_reader(content)?;
    Ok(TrustedFile { digest: hasher.finalize().to_hex().to_string(), path })
}

/// All files of a directory of a worktree (both real paths) that need trust: settings from the worktree's root down to the
/// directory, and the agents, commands and plugins in the project folders there, in a fixed order. Files that lead out of
/// the worktree are never used, and left out.
#[must_use]
pub fn files_that_count(worktree: &AbsPath, directory: &AbsPath) -> Vec<TrustedFile> {
    let mut found = Vec::new();
    for directory in folders::from_root(worktree, directory) {
        found.extend(SETTINGS_NAMES.map(|name| directory.join(name)));
        let folder = directory.join(PROJECT_FOLDER);
        for kind in ["agent", "command"] {
            found.extend(folders::definitions(&folder, kind, Some(worktree)).into_iter().map(|(_, path)| path));
        }
        found.extend(folders::files(&folder.join("plugin"), Some(worktree)));
        let is_skill = |path: &AbsPath| path.as_path().file_name().is_some_and(|name| name == SKILL_FILE);
        found.extend(folders::files(&folder.join(SKILL_FOLDER), Some(worktree)).into_iter().filter(is_skill));
    }
    found.iter().filter_map(|path| digest_of(worktree, path)).collect()
}

fn digest_of(worktree: &AbsPath, path: &AbsPath) -> Option<TrustedFile> {
    if !folders::stays_within(path, worktree) {
        return None;
    }
    let (file, _) = files::open_regular(path.as_path()).ok()?;
    if file.metadata().ok()?.len() > MAX_COUNTED_BYTES {
        tracing::warn!(%path, "a project file has more than {MAX_COUNTED_BYTES} bytes and is not used");
        return None;
    }
    identify(worktree, path, file.take(MAX_COUNTED_BYTES))
        .inspect_err(|error| tracing::warn!(%path, %error, "cannot read a project file"))
        .ok()
}

/// A digest of these files in these states.
#[must_use]
pub fn digest(files: &[TrustedFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        // Of path and content, and of one length.
        hasher.update(file.digest.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The paths of new and changed files since trust was given, in order.
#[expect(clippy::implicit_hasher, reason = "one set in the whole daemon")]
#[must_use]
pub fn pending(files: &[TrustedFile], trusted: &HashSet<TrustedFile>) -> Vec<String> {
    files.iter().filter(|file| !trusted.contains(*file)).map(|file| file.path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn root(&self) -> AbsPath {
            AbsPath::new(self.0.path()).unwrap().real().unwrap()
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap().as_path()).unwrap();
            std::fs::write(path.as_path(), text).unwrap();
        }

        fn count(&self) -> Vec<TrustedFile> {
            let worktree = self.root().join("w");
            files_that_count(&worktree, &worktree.join("a/b"))
        }
    }

    fn fixture() -> Fixture {
        let fixture = Fixture(tempfile::tempdir().unwrap());
        for path in [
            "polytree.json",
            "w/polytree.json",
            "w/polytree.jsonc",
            "w/AGENTS.md",
            "w/.polytree/agent/x.md",
            "w/.polytree/agent/deep/y.md",
            "w/.polytree/agent/notes.txt",
            "w/.polytree/other/z.md",
            "w/a/.polytree/command/c.md",
            "w/a/b/polytree.json",
            "w/a/b/.polytree/plugin/p.js",
            "w/a/b/c/polytree.json",
            "w/other/polytree.json",
        ] {
            fixture.write(path, "{}");
        }
        fixture
    }

    #[test]
    fn what_counts_stands_between_root_and_directory() {
        let paths: Vec<_> = fixture().count().into_iter().map(|file| file.path).collect();
        assert_eq!(
            paths,
            [
                "polytree.json",
                "polytree.jsonc",
                ".polytree/agent/deep/y.md",
                ".polytree/agent/x.md",
                "a/.polytree/command/c.md",
                "a/b/polytree.json",
                "a/b/.polytree/plugin/p.js",
            ]
        );
    }

    #[test]
    fn new_and_changed_files_are_pending() {
        let fixture = fixture();
        let trusted: HashSet<_> = fixture.count().into_iter().collect();
        assert_eq!(pending(&fixture.count(), &trusted), Vec::<String>::new());
        fixture.write("w/polytree.json", "{ }");
        fixture.write("w/.polytree/agent/new.md", "{}");
        assert_eq!(pending(&fixture.count(), &trusted), ["polytree.json", ".polytree/agent/new.md"]);
    }

    #[test]
    fn the_digest_covers_path_and_content() {
        let root = AbsPath::new("/w").unwrap();
        let digest = |path: &str, content: &str| identify(&root, &root.join(path), content.as_bytes()).unwrap().digest;
        assert_eq!(digest("a", "bc"), digest("a", "bc"));
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
        assert_ne!(digest("a", "bc"), digest("a", "bd"));
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_worktree_do_not_count() {
        let fixture = fixture();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, fixture.root().join(name).as_path()).unwrap();
        let before = fixture.count();
        fixture.write("secret.md", "x");
        fixture.write("elsewhere/z.md", "x");
        link("../../../secret.md", "w/.polytree/agent/out.md");
        link("../../../elsewhere", "w/.polytree/agent/outer");
        link("../../polytree.json", "w/a/polytree.json");
        assert_eq!(fixture.count(), before);
        link("x.md", "w/.polytree/agent/inner.md");
        assert_eq!(fixture.count().len(), before.len() + 1);
    }
}
