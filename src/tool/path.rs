//! The one place that turns a path which the model wrote into a file. Symlinks are resolved, permission is asked for what
//! lies outside the worktree, and the result can only be opened as what was checked.

use std::{ffi::OsString, io, path::Component, sync::Arc};

use serde_json::json;

use super::{
    context::{Ask, ToolContext},
    definition::ToolError,
    path_lookalike::{self, Found},
};
use crate::stdx::{
    paths::{AbsPath, home},
    tasks::Tasks,
};

/// What is going to be done at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading, listing or searching.
    Read,
    /// Changing or creating.
    Write,
}

/// What people are told of a private place.
const PRIVATE: &str = "where keys or polytree's own files are kept";

/// A path whose place is permitted; rules about its name are the tool's own question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    named: AbsPath,
    real: AbsPath,
    shown: String,
    patterns: Vec<String>,
    note: Option<String>,
}

impl Checked {
    /// The absolute path as the model meant it; symlinks may be in it.
    pub fn named(&self) -> &AbsPath {
        &self.named
    }

    /// The path without symlinks: the only one to open.
    pub fn real(&self) -> &AbsPath {
        &self.real
    }

    /// For people: relative to the worktree, absolute outside of it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What rules are judged by: the real file, and the name that leads to it where that differs.
    pub fn patterns(&self) -> Vec<String> {
        self.patterns.clone()
    }

    /// Makes sure that the path still leads where it did when the question about it was asked.
    ///
    /// # Errors
    /// When it leads elsewhere.
    pub async fn unmoved(&self) -> Result<(), ToolError> {
        let (named, real) = (self.named.clone(), self.real.clone());
        blocking(move || unmoved(&named, &real)).await
    }

    /// What the model must know: another name was taken than the one it wrote.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// Resolves the path and asks for permission where it leads outside.
///
/// # Errors
/// When the path cannot be resolved, or permission is refused.
pub async fn check(context: &ToolContext, text: &str, purpose: Purpose) -> Result<Checked, ToolError> {
    let named = absolute(context, text)?;
    let last = text.rsplit(['/', std::path::MAIN_SEPARATOR]).next().unwrap_or_default();
    if purpose == Purpose::Write && matches!(last, "" | "." | "..") {
        return Err(ToolError::failed(format!(
            "{text} names a directory. Give the path of a file; directories are made with their files."
        )));
    }
    // What only an editor has yet is not on the disk.
    let is_announced = context.overlay.get(&named).is_some();
    let (from, worktree) = (named.clone(), context.worktree.clone());
    let guard = Arc::clone(&context.guard);
    let (named, note, several, real, folder, special) = blocking(move || {
        let none = |path| Found { path, notes: Vec::new(), several: None };
        let Found { path: named, notes, several } = if is_announced { none(from) } else { path_lookalike::find(&from) };
        let note = (!notes.is_empty()).then(|| notes.join(" "));
        let failed = format!("{named} cannot be resolved");
        let real = resolve(&named).map_err(|error| ToolError::failed(format!("{failed}: {error}")))?;
        let folder = if real.as_path().is_dir() { real.clone() } else { real.parent().unwrap_or_else(|| real.clone()) };
        let special = if guard.private.holds(&real) || guard.private.holds(&named) {
            Some(PRIVATE)
        } else {
            (purpose == Purpose::Write && is_git_internal(&real, &worktree)).then_some("inside the repository's git directory")
        };
        Ok((named, note, several, real, folder, special))
    })
    .await?;
    let protected = special.is_some();
    let kept = purpose == Purpose::Read && real.is_within(&context.output_directory);
    if protected || !(kept || real.is_within(&context.worktree)) {
        let verb = if purpose == Purpose::Read { "Read" } else { "Change" };
        let place = special.unwrap_or("outside the worktree");
        // Of what is private, the file itself is asked about.
        let pattern = if special == Some(PRIVATE) && folder != real {
            real.to_string()
        } else {
            format!("{}/*", folder.to_string().trim_end_matches('/'))
        };
        // What "always" grants must not be more than what the person was shown.
        let broad =
            folder.parent().is_none() || context.worktree.is_within(&folder) || !folder.as_path().is_dir() || is_wild(&folder.to_string());
        context
            .ask(Ask {
                kind: "external_directory".into(),
                patterns: vec![pattern.clone()],
                always: if protected || broad { Vec::new() } else { vec![pattern] },
                force: protected,
                title: format!("{verb} {real}, {place}"),
                metadata: json!({ "filePath": real.to_string(), "directory": folder.to_string() }),
                ..Ask::default()
            })
            .await?;
        let (again, expected) = (named.clone(), real.clone());
        blocking(move || unmoved(&again, &expected)).await?;
    }
    if let Some(several) = several {
        return Err(ToolError::Failed(several));
    }
    let shown = real.relative_to(&context.worktree);
    let mut patterns = vec![shown.clone()];
    let other = named.relative_to(&context.worktree);
    if other != shown {
        patterns.push(other);
    }
    Ok(Checked { named, real, shown, patterns, note })
}

/// Makes sure that a path still leads where it led when permission was asked for: what was put in its place meanwhile was
/// never shown.
///
/// # Errors
/// When it leads elsewhere.
pub fn unmoved(named: &AbsPath, real: &AbsPath) -> Result<(), ToolError> {
    if resolve(named).is_ok_and(|now| now == *real) {
        return Ok(());
    }
    Err(ToolError::failed(format!(
        "{named} no longer leads to {real}, as it did when permission was asked for. Nothing was done; call the tool again if it is still needed."
    )))
}

/// Runs blocking work on the pool for it.
///
/// # Errors
/// What the work says.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ToolError> + Send + 'static) -> Result<T, ToolError> {
    Tasks::spawn_blocking(work).await.unwrap_or_else(|error| Err(ToolError::failed(format!("the tool failed unexpectedly: {error}"))))
}

fn absolute(context: &ToolContext, text: &str) -> Result<AbsPath, ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::failed("the path is empty; give a path relative to the working directory or an absolute one"));
    }
    if text.contains('\0') {
        return Err(ToolError::failed("the path contains a NUL character"));
    }
    let Some(rest) = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Ok(context.directory.join(text));
    };
    let home = context.environment.get("HOME").and_then(AbsPath::new).or_else(home);
    let home = home.ok_or_else(|| ToolError::failed("the home directory is not known; give an absolute path"))?;
    Ok(home.join(rest.trim_start_matches('/')))
}

/// The path with every symlink resolved, also where the end of it, or the end of a link, does not exist yet:
/// where a file would be created.
///
/// # Errors
/// When links lead in a circle.
pub fn resolve(path: &AbsPath) -> io::Result<AbsPath> {
    let mut left: Vec<OsString> = Vec::new();
    let push_all = |left: &mut Vec<OsString>, path: &std::path::Path| {
        let names = path.components().rev().filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
        left.extend(names.map(|component| component.as_os_str().to_owned()));
    };
    push_all(&mut left, path.as_path());
    let mut real = path.ancestors().last().unwrap_or_else(|| path.clone());
    let mut links = 0;
    while let Some(name) = left.pop() {
        let next = real.join(&name);
        if name == ".." {
            real = next;
            continue;
        }
        match std::fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                if links > 40 {
                    return Err(io::Error::other("too many symbolic links"));
                }
                let target = std::fs::read_link(&next)?;
                if target.is_absolute() {
                    real = AbsPath::new(&target).and_then(|target| target.ancestors().last()).unwrap_or(real);
                }
                push_all(&mut left, &target);
            }
            // What cannot be looked at cannot be opened either: the opening will tell.
            _ => real = next,
        }
    }
    Ok(real)
}

/// A path as a person reads it: relative to `directory` where it is absolute.
pub(super) fn shortened(path: &str, directory: &AbsPath) -> String {
    AbsPath::new(path).map_or_else(|| path.to_owned(), |path| path.relative_to(directory))
}

/// Whether a name would be a wildcard in a permission rule.
pub(super) fn is_wild(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether the path is the worktree's `.git` or below it, or below the git directory that a `.git` file names:
/// files there can make git run any program.
pub(super) fn is_git_internal(real: &AbsPath, worktree: &AbsPath) -> bool {
    let below = real.as_path().strip_prefix(worktree).ok();
    let named_git = below.is_some_and(|rest| rest.components().any(|name| name.as_os_str().eq_ignore_ascii_case(".git")));
    named_git || git_directory(worktree).is_some_and(|directory| real.is_within(&directory))
}

fn git_directory(worktree: &AbsPath) -> Option<AbsPath> {
    let text = std::fs::read_to_string(worktree.join(".git")).ok()?;
    resolve(&worktree.join(text.strip_prefix("gitdir:")?.trim())).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        file::open,
        tool::test_host::{Answer, Place},
    };

    #[tokio::test]
    async fn inside_needs_no_leave_and_outside_does() {
        let place = Place::new();
        place.write("src/a.rs", "a");
        fs::create_dir(place.outside.join("sub")).unwrap();
        symlink(&place.outside, place.worktree.join("out")).unwrap();
        symlink(place.outside.join("not/yet"), place.worktree.join("dangling")).unwrap();
        symlink("src", place.worktree.join("in")).unwrap();
        let cases = [
            ("src/a.rs", Purpose::Read, "src/a.rs", None),
            ("./src/../src/a.rs", Purpose::Write, "src/a.rs", None),
            ("in/a.rs", Purpose::Write, "src/a.rs", None),
            ("in/new/b.rs", Purpose::Write, "src/new/b.rs", None),
            ("out/x", Purpose::Read, "OUT/x", Some("OUT/*")),
            ("out/sub", Purpose::Read, "OUT/sub", Some("OUT/sub/*")),
            ("dangling", Purpose::Write, "OUT/not/yet", Some("OUT/not/*")),
            ("../outside/x", Purpose::Read, "OUT/x", Some("OUT/*")),
            (".git/config", Purpose::Read, ".git/config", None),
            (".git/config", Purpose::Write, ".git/config", Some("TREE/.git/*")),
            ("sub/.GIT/hooks/x", Purpose::Write, "sub/.GIT/hooks/x", Some("TREE/sub/.GIT/hooks/*")),
            (".gitignore", Purpose::Write, ".gitignore", None),
        ];
        for (text, purpose, shown, pattern) in cases {
            place.host.clear();
            let fill = |text: &str| text.replace("OUT", &place.outside.to_string()).replace("TREE", &place.worktree.to_string());
            let checked = check(&place.context, text, purpose).await.unwrap();
            assert_eq!(checked.shown(), fill(shown), "{text}");
            let asked: Vec<_> = place.host.asks().into_iter().flat_map(|ask| ask.patterns).collect();
            assert_eq!(asked, pattern.map(fill).into_iter().collect::<Vec<_>>(), "{text}");
        }
    }

    #[tokio::test]
    async fn rules_see_both_names_of_a_link() {
        let place = Place::new();
        place.write("prod.txt", "secret");
        symlink("prod.txt", place.worktree.join(".env")).unwrap();
        let checked = check(&place.context, ".env", Purpose::Read).await.unwrap();
        assert_eq!(checked.patterns(), ["prod.txt", ".env"]);
    }

    #[tokio::test]
    async fn names_that_look_the_same_are_taken_and_told() {
        let place = Place::new();
        place.write("Gro\u{308}\u{df}e/a\u{a0}b", "x");
        let checked = check(&place.context, "Gr\u{f6}\u{df}e/a b", Purpose::Write).await.unwrap();
        assert_eq!((checked.shown(), checked.patterns().len()), ("Gro\u{308}\u{df}e/a\u{a0}b", 1));
        assert!(checked.note().unwrap().contains("no-break space"));
        let checked = check(&place.context, "Gr\u{f6}\u{df}e/new", Purpose::Write).await.unwrap();
        assert_eq!(checked.shown(), "Gro\u{308}\u{df}e/new");
        place.write("Gro\u{308}\u{df}e/a\u{2009}b", "y");
        for purpose in [Purpose::Read, Purpose::Write] {
            let error = check(&place.context, "Gr\u{f6}\u{df}e/a b", purpose).await.unwrap_err().to_string();
            assert!(error.contains("several names"), "{error}");
        }
        // What is in a place outside is not told to one who may not look there.
        for name in ["c\u{a0}d", "c\u{2009}d"] {
            fs::write(place.outside.join(name), "x").unwrap();
        }
        place.host.answer("external_directory", Answer::Deny);
        let asked = place.outside.join("c d").to_string();
        assert!(matches!(check(&place.context, &asked, Purpose::Read).await, Err(ToolError::Denied(_))));
    }

    #[tokio::test]
    async fn a_directory_is_not_written() {
        let place = Place::new();
        for text in ["new/", "a/b//", "~/x/", "new/.", "new/.."] {
            let error = check(&place.context, text, Purpose::Write).await.unwrap_err().to_string();
            assert!(error.contains("names a directory"), "{error}");
            check(&place.context, text, Purpose::Read).await.unwrap();
        }
        assert_eq!(fs::read_dir(&place.worktree).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_git_directory_elsewhere_is_protected_too() {
        let place = Place::new();
        place.write("meta/HEAD", "ref: refs/heads/main");
        place.write(".git", "gitdir: meta\n");
        check(&place.context, "meta/config", Purpose::Read).await.unwrap();
        assert!(place.host.asks().is_empty());
        check(&place.context, "meta/config", Purpose::Write).await.unwrap();
        check(&place.context, ".git", Purpose::Write).await.unwrap();
        assert_eq!(place.host.asks().len(), 2);
    }

    #[tokio::test]
    async fn kept_outputs_are_read_freely_and_not_written() {
        let place = Place::new();
        let file = place.context.output_directory.join("x.txt").to_string();
        check(&place.context, &file, Purpose::Read).await.unwrap();
        assert!(place.host.asks().is_empty());
        check(&place.context, &file, Purpose::Write).await.unwrap();
        assert_eq!(place.host.asks().len(), 1);
    }

    #[tokio::test]
    async fn refusals_and_nonsense() {
        let place = Place::new();
        place.host.answer("external_directory", Answer::Deny);
        assert!(matches!(check(&place.context, "/etc/passwd", Purpose::Read).await, Err(ToolError::Denied(_))));
        symlink("b", place.worktree.join("a")).unwrap();
        symlink("a", place.worktree.join("b")).unwrap();
        for text in ["", " ", "a\0b", "a", "a/x"] {
            assert!(matches!(check(&place.context, text, Purpose::Read).await, Err(ToolError::Failed(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_path_that_leads_elsewhere_after_the_answer_is_not_used() {
        use serde_json::json;
        for (kind, tool, mut input) in [
            ("read", "read", json!({ "filePath": "way/a" })),
            ("edit", "write", json!({ "filePath": "way/new", "content": "x" })),
            ("list", "list", json!({ "path": "way" })),
            ("glob", "glob", json!({ "pattern": "*", "path": "way" })),
            ("grep", "grep", json!({ "pattern": "x", "path": "way" })),
        ] {
            let place = Place::new();
            place.write("one/a", "x");
            place.write("two/a", "x");
            symlink("one", place.worktree.join("way")).unwrap();
            let way = place.worktree.join("way");
            place.host.answer(
                kind,
                Answer::After(Arc::new(move || {
                    fs::remove_file(&way).unwrap();
                    symlink("two", &way).unwrap();
                })),
            );
            let tool = crate::tool::builtin().into_iter().find(|known| known.name() == tool).unwrap();
            let error = tool.call(&place.context, input.take()).await.unwrap_err().to_string();
            assert!(error.contains("no longer leads to"), "{kind}: {error}");
            assert!(!place.worktree.join("one/new").as_path().exists() && !place.worktree.join("two/new").as_path().exists());
        }
    }

    #[tokio::test]
    async fn what_is_swapped_after_the_check_is_not_opened() {
        let place = Place::new();
        place.write("src/a", "inside");
        fs::write(place.outside.join("a"), "outside").unwrap();
        let checked = check(&place.context, "src/a", Purpose::Read).await.unwrap();
        assert!(open::regular(checked.real()).is_ok());
        fs::rename(place.worktree.join("src"), place.worktree.join("old")).unwrap();
        symlink(&place.outside, place.worktree.join("src")).unwrap();
        assert!(matches!(open::regular(checked.real()), Err(open::Error::Moved)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        File(String),
        Link(String, String),
    }

    fn path() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "b", "c", "..", ".", "WORK", "OUT"]);
        prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![path().prop_map(Step::File), (path(), path()).prop_map(|(at, to)| Step::Link(at, to))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_outside_is_reached_without_leave(steps in prop::collection::vec(step(), 0..12), texts in prop::collection::vec(path(), 1..6)) {
            let place = Place::new();
            // Names with WORK or OUT in front are absolute; all others are relative.
            let fill = |text: &str| match text.split_once('/') {
                Some(("WORK", rest)) => format!("{}/{rest}", place.worktree),
                Some(("OUT", rest)) => format!("{}/{rest}", place.outside),
                _ => text.to_owned(),
            };
            for root in [&place.worktree, &place.outside] {
                for step in &steps {
                    // Steps that make no sense (a parent that is a file, a name that is taken) are left out.
                    let (Step::File(at) | Step::Link(at, _)) = step;
                    let at = root.join(at);
                    if !(at.is_within(&place.worktree) || at.is_within(&place.outside)) || at == *root {
                        continue;
                    }
                    let Some(parent) = at.parent() else { continue };
                    let _ = fs::create_dir_all(&parent);
                    match step {
                        Step::File(_) => drop(fs::write(&at, "x")),
                        Step::Link(_, to) => drop(symlink(fill(to), &at)),
                    }
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for text in texts {
                place.host.clear();
                let Ok(checked) = runtime.block_on(check(&place.context, &fill(&text), Purpose::Read)) else { continue };
                let truth = fs::canonicalize(checked.named());
                if let Ok(truth) = &truth {
                    prop_assert_eq!(truth.as_path(), checked.real().as_path());
                }
                let asked = !place.host.asks().is_empty();
                prop_assert_eq!(asked, !checked.real().is_within(&place.worktree));
                if let Ok((file, _)) = open::regular(checked.real()) {
                    use std::os::unix::fs::MetadataExt as _;
                    // Links with `..` below what does not exist lead nowhere for the system and somewhere for us;
                    // what counts is that the place was judged and is the one that is opened.
                    let Ok(truth) = truth else { continue };
                    let (opened, known) = (file.metadata().unwrap(), fs::metadata(truth).unwrap());
                    prop_assert_eq!((opened.dev(), opened.ino()), (known.dev(), known.ino()));
                }
            }
        }
    }
}
