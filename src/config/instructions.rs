//! Instructions for models: AGENTS.md or CLAUDE.md in the directory and its ancestors, a global one, and the files that
//! settings name. They are only text and need no trust, but a project cannot add files from outside the worktree.

use std::collections::HashSet;

use super::{
    Settings, files, folders, glob,
    places::{self, Environment, Places},
};
use crate::stdx::{encoding::TextFile, paths::AbsPath, text};

/// The file names. Only files with the first name that exists in any of the directories are used.
const NAMES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];
/// The limit of bytes that are used of a file.
const MAX_BYTES: usize = 64 * 1024;
/// The size limit of a file that is read.
const MAX_READ_BYTES: u64 = 16 * 1024 * 1024;
/// The limit of files in total.
const MAX_FILES: usize = 200;

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its file.
    pub path: AbsPath,
    /// The text below a line with its path.
    pub text: String,
}

/// The instructions for a directory of a worktree (both real paths), in order: local ones, nearest first; the user's own;
/// those that the settings name. Each file once, without empty and unreadable ones.
///
/// `may_read` decides for each file of the project, with its real path: a link to a file that tools would have to ask for,
/// or to git's own files, is not followed; the model gets a note about it.
#[must_use]
pub fn discover(
    places: &Places,
    worktree: &AbsPath,
    directory: &AbsPath,
    settings: &Settings,
    environment: &Environment,
    may_read: &dyn Fn(&AbsPath, &AbsPath) -> bool,
) -> Vec<Instruction> {
    let home = places::home(environment);
    let mut found: Vec<Found> = local(worktree, directory).into_iter().map(Found::of_project).collect();
    found.extend(global(places, home.as_ref()).map(Found::of_user));
    found.extend(named(worktree, directory, settings, home.as_ref()));
    let mut seen = HashSet::new();
    let unseen = found.into_iter().filter_map(|found| {
        let real = found.path.real().ok()?;
        seen.insert(real.clone()).then_some((found, real))
    });
    let checked = unseen.filter_map(|(found, real)| {
        if found.is_of_user || (may_read(&found.path, &real) && !is_of_git(&real)) {
            read(found.path, &real)
        } else {
            Some(left_out(found.path))
        }
    });
    checked.take(MAX_FILES).collect()
}

/// The instructions that hold for a file of the worktree and are not among those of `directory` (all real paths): those of
/// the directories around it, nearest first, each with the hash of its content. Links are not followed.
#[must_use]
pub fn nested(worktree: &AbsPath, directory: &AbsPath, file: &AbsPath) -> Vec<(Instruction, blake3::Hash)> {
    let is_file = |path: &AbsPath| std::fs::symlink_metadata(path.as_path()).is_ok_and(|found| found.is_file());
    let around = file.ancestors().skip(1).take_while(|around| around.is_within(worktree) && !directory.is_within(around));
    let named = around.filter_map(|around| NAMES.into_iter().map(|name| around.join(name)).find(is_file));
    let read = |path: AbsPath| {
        let (bytes, _) = files::read_regular(path.as_path(), MAX_READ_BYTES).ok()?;
        let real = path.clone();
        Some((read(path, &real)?, blake3::hash(&bytes)))
    };
    named.filter(|path| path != file && !is_of_git(path)).filter_map(read).take(MAX_FILES).collect()
}

/// A file with instructions.
struct Found {
    path: AbsPath,
    /// The user has named this file, not a path in the project.
    is_of_user: bool,
}

impl Found {
    fn of_user(path: AbsPath) -> Self {
        Self { path, is_of_user: true }
    }

    fn of_project(path: AbsPath) -> Self {
        Self { path, is_of_user: false }
    }
}

/// Whether it is one of git's own files: addresses in its settings may contain tokens.
fn is_of_git(real: &AbsPath) -> bool {
    real.as_path().components().any(|name| name.as_os_str().eq_ignore_ascii_case(".git"))
}

fn left_out(path: AbsPath) -> Instruction {
    let text = format!(
        "Instructions from {path} were left out: reading the file that it leads to is not allowed without asking the user. Read it with the read tool if you need it."
    );
    Instruction { text, path }
}

/// From the directory up to the worktree, nearest first.
fn upwards(worktree: &AbsPath, directory: &AbsPath) -> Vec<AbsPath> {
    let mut directories = folders::from_root(worktree, directory);
    directories.reverse();
    directories
}

fn local(worktree: &AbsPath, directory: &AbsPath) -> Vec<AbsPath> {
    let directories = upwards(worktree, directory);
    let occurrences = |name| {
        let paths = directories.iter().map(|directory| directory.join(name));
        paths.filter(|path| path.as_path().is_file() && stays_within(path, worktree, directory)).collect::<Vec<_>>()
    };
    NAMES.into_iter().map(occurrences).find(|paths| !paths.is_empty()).unwrap_or_default()
}

/// Within the worktree, or within the directory if that is elsewhere.
fn stays_within(path: &AbsPath, worktree: &AbsPath, directory: &AbsPath) -> bool {
    let fence = if directory.is_within(worktree) { worktree } else { directory };
    folders::stays_within(path, fence)
}

fn global(places: &Places, home: Option<&AbsPath>) -> Option<AbsPath> {
    let own = places.config.join("AGENTS.md");
    let other = home.map(|home| home.join(".claude/CLAUDE.md"));
    std::iter::once(own).chain(other).find(|path| path.as_path().is_file())
}

fn named(worktree: &AbsPath, directory: &AbsPath, settings: &Settings, home: Option<&AbsPath>) -> Vec<Found> {
    // Lists are replaced, not merged: only that of the highest layer is used.
    let Some(layer) = settings.layers.iter().rev().find(|layer| layer.config.instructions.is_some()) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in layer.config.instructions.iter().flatten() {
        let absolute = match (entry.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Some((home.clone(), rest)),
            (Some(_), None) => continue,
            _ => AbsPath::new(entry).and(AbsPath::new("/")).map(|root| (root, entry.trim_start_matches('/'))),
        };
        match absolute {
            Some((base, pattern)) if layer.origin.is_user() => found.extend(glob::expand(&base, pattern).into_iter().map(Found::of_user)),
            Some(_) => {}
            None => {
                let matches = upwards(worktree, directory).into_iter().flat_map(|base| glob::expand(&base, entry));
                found.extend(matches.filter(|path| stays_within(path, worktree, directory)).map(Found::of_project));
            }
        }
    }
    found
}

fn read(path: AbsPath, real: &AbsPath) -> Option<Instruction> {
    let (bytes, _) = files::read_regular(real.as_path(), MAX_READ_BYTES)
        .inspect_err(|error| tracing::warn!(%path, %error, "cannot read instructions"))
        .ok()?;
    let file = TextFile::decode(&bytes).inspect_err(|error| tracing::warn!(%path, %error, "cannot read instructions")).ok()?;
    let whole = file.shown(&file.text);
    let whole = whole.trim();
    if whole.is_empty() {
        return None;
    }
    let kept = text::prefix(whole, MAX_BYTES);
    let note = match whole.len() - kept.len() {
        0 => String::new(),
        rest => format!("\n\n(Only the first {} KiB of this file are shown; {rest} more bytes stand in it.)", MAX_BYTES / 1024),
    };
    let guess = file.note().map(|note| format!("\n\n({note})")).unwrap_or_default();
    Some(Instruction { text: format!("Instructions from {path}:\n\n{kept}{note}{guess}"), path })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::Loader, *};

    struct Fixture {
        directory: tempfile::TempDir,
        environment: Environment,
    }

    impl Fixture {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut fixture = Self { directory, environment: Environment::new() };
            fixture.environment.insert("HOME".to_owned(), fixture.root().join("home").to_string());
            std::fs::create_dir_all(fixture.root().join("w/a/b").as_path()).unwrap();
            for (path, text) in files {
                fixture.write(path, text);
            }
            fixture
        }

        fn root(&self) -> AbsPath {
            AbsPath::new(self.directory.path()).unwrap().real().unwrap()
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap().as_path()).unwrap();
            std::fs::write(path.as_path(), text.replace("ROOT", &self.root().to_string())).unwrap();
        }

        fn discover(&self) -> Vec<Instruction> {
            let places = Places { config: self.root().join("config"), data: self.root().join("data"), runtime: self.root().join("data") };
            let (worktree, directory) = (self.root().join("w"), self.root().join("w/a/b"));
            let settings: Arc<Settings> = Loader::new().load(&places, &worktree, &directory, &|_| true, &self.environment).unwrap();
            let may_read = |named: &AbsPath, real: &AbsPath| ![named, real].iter().any(|path| path.to_string().ends_with(".env"));
            discover(&places, &worktree, &directory, &settings, &self.environment, &may_read)
        }

        fn paths(&self) -> String {
            self.discover().iter().map(|found| found.path.relative_to(&self.root())).collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn the_first_name_that_exists_anywhere_is_taken_everywhere() {
        let mut files = vec![("w/AGENTS.md", "top"), ("w/a/CLAUDE.md", "other"), ("w/a/b/AGENTS.md", "near"), ("AGENTS.md", "above")];
        assert_eq!(Fixture::new(&files).paths(), "w/a/b/AGENTS.md w/AGENTS.md");
        files.retain(|(path, _)| !path.starts_with("w/") || path.contains("CLAUDE"));
        assert_eq!(Fixture::new(&files).paths(), "w/a/CLAUDE.md");
    }

    #[test]
    fn the_users_own_come_after() {
        let files = [("w/AGENTS.md", "x"), ("config/AGENTS.md", "x"), ("home/.claude/CLAUDE.md", "x")];
        assert_eq!(Fixture::new(&files).paths(), "w/AGENTS.md config/AGENTS.md");
        assert_eq!(Fixture::new(&files[2..]).paths(), "home/.claude/CLAUDE.md");
    }

    #[test]
    fn settings_name_more() {
        let fixture = Fixture::new(&[
            ("config/polytree.json", r#"{"instructions": ["docs/*.md", "RULES", "~/mine.md", "ROOT/else/**/*.txt", "w/none", "["]}"#),
            ("w/docs/one.md", "1"),
            ("w/docs/.two.md", "2"),
            ("w/docs/skip.txt", "3"),
            ("w/a/docs/three.md", "4"),
            ("w/RULES", "5"),
            ("w/a/b/RULES", "6"),
            ("home/mine.md", "7"),
            ("else/x/y.txt", "8"),
            ("else/z.txt", "9"),
        ]);
        assert_eq!(
            fixture.paths(),
            "w/a/docs/three.md w/docs/.two.md w/docs/one.md w/a/b/RULES w/RULES home/mine.md else/x/y.txt else/z.txt"
        );
    }

    #[test]
    fn a_project_does_not_lead_out() {
        let fixture = Fixture::new(&[
            ("config/polytree.json", r#"{"instructions": ["user.md"]}"#),
            ("w/polytree.json", r#"{"instructions": ["../../../secret.md", "../w/in.md", "../secret.md"]}"#),
            ("w/user.md", "x"),
            ("w/in.md", "x"),
            ("secret.md", "x"),
        ]);
        assert_eq!(fixture.paths(), "w/in.md");
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_worktree_are_skipped_and_files_come_once() {
        let fixture = Fixture::new(&[("secret.md", "x"), ("w/a/real.md", "x"), ("config/polytree.json", r#"{"instructions": ["*.md"]}"#)]);
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, fixture.root().join(name).as_path()).unwrap();
        link("../secret.md", "w/AGENTS.md");
        link("real.md", "w/a/CLAUDE.md");
        assert_eq!(fixture.paths(), "w/a/CLAUDE.md");
    }

    #[cfg(unix)]
    #[test]
    fn links_to_what_would_be_asked_for_are_told_and_not_followed() {
        let secret = "PASSWORD=hunter2";
        let fixture = Fixture::new(&[
            ("config/polytree.json", r#"{"instructions": ["docs/*.md", "~/own.md"]}"#),
            ("w/.env", secret),
            ("w/.git/config", secret),
            ("w/docs/fine.md", "fine"),
            ("home/real.env", "the user's own choice"),
        ]);
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, fixture.root().join(name).as_path()).unwrap();
        link(".env", "w/AGENTS.md");
        link("../.git/config", "w/a/AGENTS.md");
        link("../.env", "w/docs/link.md");
        link("real.env", "home/own.md");
        let texts: Vec<String> = fixture.discover().into_iter().map(|found| found.text).collect();
        assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
        assert_eq!(texts.iter().filter(|text| text.contains("were left out")).count(), 2, "{texts:?}");
        assert!(texts.iter().any(|text| text.ends_with("fine")) && texts.iter().any(|text| text.ends_with("own choice")));
    }

    #[test]
    fn texts_are_decoded_as_the_read_tool_does() {
        let fixture = Fixture::new(&[]);
        let at = fixture.root().join("w/AGENTS.md");
        for (bytes, shown, noted) in [
            (&b"\xEF\xBB\xBFgr\xC3\xBCn"[..], "grün", ""),
            (b"\xFF\xFEg\0r\0\xFC\0n\0", "grün", ""),
            (b"\xd6\xd0\xce\xc4\xd7\xa2\xca\xcd", "中文注释", "GBK"),
            (b"caf\xC3\xA9 na\xC3\xAFve \xFF", "café naïve \u{fffd}", "U+FFFD"),
        ] {
            std::fs::write(at.as_path(), bytes).unwrap();
            let found = fixture.discover();
            let (head, text) = found[0].text.split_once("\n\n").unwrap();
            assert!(head.ends_with("AGENTS.md:") && text.starts_with(shown) && text.contains(noted), "{text}");
            assert_eq!(text == shown, noted.is_empty());
        }
        std::fs::write(at.as_path(), b"\0\x01\x02").unwrap();
        assert!(fixture.discover().is_empty());
    }

    #[test]
    fn texts_are_headed_and_cut() {
        let fixture = Fixture::new(&[("w/AGENTS.md", "  hello \n"), ("w/a/AGENTS.md", " \n"), ("w/a/b/AGENTS.md", &"ä".repeat(40_000))]);
        let found = fixture.discover();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].text, format!("Instructions from {}:\n\nhello", fixture.root().join("w/AGENTS.md")));
        assert!(found[0].text.ends_with("ä\n\n(Only the first 64 KiB of this file are shown; 14464 more bytes stand in it.)"));
    }
}
