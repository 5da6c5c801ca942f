//! What is ignored: what the ignore files say about a path, directory by directory, by git's rules. Sees exactly what
//! ripgrep's walker sees, for those who read directories themselves because they read very many or look again at a few.
//!
//! Inside a repository the ignore files from its top downwards count. Elsewhere only those from the root of a walk
//! downwards do: an ignore file in the home directory, as people have who keep their settings in git, says nothing about
//! a project.

mod tails;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder, gitconfig_excludes_path},
};

use self::tails::Tails;
use crate::{
    git::small_file::{self, Links},
    stdx::paths::AbsPath,
};

/// Deeper nesting is no pattern of a person, and reading it takes a stack as deep.
const MAX_NESTED: usize = 32;
/// The size limit of an ignore file.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Whether a line of patterns nests its braces deeper than the library that reads it can bear.
#[must_use]
pub fn is_too_nested(patterns: &[u8]) -> bool {
    let mut depth = 0usize;
    patterns.iter().any(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'\n' => depth = 0,
            _ => {}
        }
        depth > MAX_NESTED
    })
}

/// Which of the names that decide about ignoring a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// `.ignore`
    pub ignore: bool,
    /// `.gitignore`
    pub git_ignore: bool,
    /// `.git`
    pub git: bool,
    /// `.jj`
    pub jj: bool,
}

impl Found {
    /// Nobody has looked: all may be there.
    pub const UNKNOWN: Self = Self { ignore: true, git_ignore: true, git: true, jj: true };

    /// Whether there is any of them.
    #[must_use]
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Notes a name of the directory.
    pub fn note(&mut self, name: &[u8]) {
        match name {
            b".ignore" => self.ignore = true,
            b".gitignore" => self.git_ignore = true,
            b".git" => self.git = true,
            b".jj" => self.jj = true,
            _ => {}
        }
    }
}

/// Whether a change of the file of this name changes what is ignored below its directory.
#[must_use]
pub fn decides(name: &[u8]) -> bool {
    matches!(name, b".ignore" | b".gitignore" | b".git" | b".jj")
}

/// The rules that hold in a directory: its own, and those of the directories above it.
#[derive(Debug)]
pub struct Rules {
    above: Option<Arc<Rules>>,
    ignore: Gitignore,
    git_ignore: Gitignore,
    exclude: Gitignore,
    /// What the names end with that git's files tell of.
    tails: Tails,
    /// The same for what also counts below the top of a repository.
    lasting: Tails,
    /// The top of a repository: what git's files above it say does not count.
    is_top: bool,
    base: Arc<Base>,
}

#[derive(Debug)]
struct Base {
    global: Gitignore,
    in_repository: bool,
    /// Some file above could not be read without harm, so none counts.
    off: bool,
}

impl Rules {
    /// The rules that hold for `root` before its own are read. Inside a repository the files above it count, elsewhere
    /// they do not, as [`super::walker`] explains.
    #[must_use]
    pub fn above(root: &AbsPath) -> Arc<Self> {
        let in_repository = root.ancestors().any(|directory| directory.join(".git").as_path().exists());
        let (global, _) = GitignoreBuilder::new(root).build_global();
        let start = Self::first(Base { global, in_repository, off: false });
        let mut above: Vec<AbsPath> = root.ancestors().skip(1).collect();
        above.reverse();
        let mut rules = Arc::clone(&start);
        for directory in &above {
            // Also outside of a repository one that cannot be read makes all of them doubtful.
            let Some(entered) = rules.enter(directory.as_path(), Found::UNKNOWN) else { return start.switched_off() };
            rules = entered;
        }
        if in_repository { rules } else { start }
    }

    /// No rules: where a file of rules could not be read without harm at the top itself.
    #[must_use]
    pub fn switched_off(&self) -> Arc<Self> {
        Self::first(Base { global: Gitignore::empty(), in_repository: self.base.in_repository, off: true })
    }

    fn first(base: Base) -> Arc<Self> {
        let empty = Gitignore::empty;
        let lasting = if base.global.is_empty() { Tails::default() } else { Tails::any() };
        let git = Tails::default();
        Arc::new(Self {
            above: None,
            ignore: empty(),
            git_ignore: empty(),
            exclude: empty(),
            tails: git,
            lasting,
            is_top: false,
            base: Arc::new(base),
        })
    }

    /// The rules inside a directory of this one; `None` where a file of rules there cannot be read without harm, so that
    /// nobody may enter it.
    #[must_use]
    pub fn enter(self: &Arc<Self>, directory: &Path, found: Found) -> Option<Arc<Self>> {
        if !found.is_any() {
            return Some(Arc::clone(self));
        }
        let read = |wanted: bool, path: PathBuf| if wanted { read(&path) } else { Ok(None) };
        let ignore = read(found.ignore, directory.join(".ignore")).ok()?;
        let git_ignore = read(found.git_ignore, directory.join(".gitignore")).ok()?;
        let git = if found.git { std::fs::metadata(directory.join(".git")).ok() } else { None };
        let exclude = match git.as_ref().and_then(|git| exclude_file(directory, git.is_file())) {
            Some(path) => read(true, path).ok()?,
            None => None,
        };
        let has_jj = || found.jj && directory.join(".jj").exists();
        let is_top = self.base.in_repository && (git.is_some() || has_jj());
        if self.base.off || (!is_top && ignore.is_none() && git_ignore.is_none() && exclude.is_none()) {
            return Some(Arc::clone(self));
        }
        let mut tails = Tails::default();
        [&git_ignore, &exclude].into_iter().flatten().for_each(|text| tails.add(text));
        let mut lasting = Tails::default();
        ignore.iter().for_each(|text| lasting.add(text));
        let compiled = |text: Option<Vec<u8>>| text.map_or_else(Gitignore::empty, |text| compile(directory, &text));
        Some(Arc::new(Self {
            above: Some(Arc::clone(self)),
            ignore: compiled(ignore),
            git_ignore: compiled(git_ignore),
            exclude: compiled(exclude),
            tails,
            lasting,
            is_top,
            base: Arc::clone(&self.base),
        }))
    }

    /// Whether there is any rule.
    #[must_use]
    pub fn speaks(&self) -> bool {
        !self.base.off && self.tails().any(|tails| !tails.is_empty())
    }

    /// Whether the rules may tell of a name in this directory: where they do not, it is not ignored.
    #[must_use]
    pub fn may_tell_of(&self, name: &[u8]) -> bool {
        self.tails().any(|tails| tails.may_match(name))
    }

    /// Of all files that have a say here: what stands above the top of a repository has none in it, but for `.ignore`.
    fn tails(&self) -> impl Iterator<Item = &Tails> {
        let mut above_top = false;
        std::iter::successors(Some(self), |rules| rules.above.as_deref()).flat_map(move |rules| {
            let git = (!above_top).then_some(&rules.tails);
            above_top |= rules.is_top;
            std::iter::once(&rules.lasting).chain(git)
        })
    }

    /// Whether a path in this directory is ignored.
    #[must_use]
    pub fn is_ignored(&self, path: &Path, is_directory: bool) -> bool {
        if self.base.off {
            return false;
        }
        // What is nearer counts more, and of files in different places `.ignore` counts most.
        let [mut ignore, mut git_ignore, mut exclude] = [Verdict::Silent; 3];
        let (mut level, mut above_top) = (Some(self), false);
        while let Some(rules) = level {
            ignore.unless_said(&rules.ignore, path, is_directory);
            if !above_top {
                git_ignore.unless_said(&rules.git_ignore, path, is_directory);
                exclude.unless_said(&rules.exclude, path, is_directory);
            }
            above_top |= rules.is_top;
            level = rules.above.as_deref();
        }
        let mut verdict = [ignore, git_ignore, exclude].into_iter().find(|verdict| *verdict != Verdict::Silent).unwrap_or(Verdict::Silent);
        verdict.unless_said(&self.base.global, path, is_directory);
        verdict == Verdict::Ignored
    }
}

/// Whether a walk below `root` would come by a file at this path if there was one.
#[must_use]
pub fn sees(root: &AbsPath, path: &AbsPath) -> bool {
    let Ok(relative) = path.as_path().strip_prefix(root) else { return false };
    let above = Rules::above(root);
    let mut rules = above.enter(root.as_path(), Found::UNKNOWN).unwrap_or_else(|| above.switched_off());
    let mut at = root.as_path().to_owned();
    let mut names = relative.components().peekable();
    while let Some(name) = names.next() {
        at.push(name);
        let is_directory = names.peek().is_some();
        if name.as_os_str() == ".git" || rules.is_ignored(&at, is_directory) {
            return false;
        }
        if is_directory {
            let Some(entered) = rules.enter(&at, Found::UNKNOWN) else { return false };
            rules = entered;
        }
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Silent,
    Ignored,
    Kept,
}

impl Verdict {
    fn unless_said(&mut self, rules: &Gitignore, path: &Path, is_directory: bool) {
        if *self == Self::Silent && !rules.is_empty() {
            *self = match rules.matched(path, is_directory) {
                Match::None => Self::Silent,
                Match::Ignore(_) => Self::Ignored,
                Match::Whitelist(_) => Self::Kept,
            };
        }
    }
}

/// The files outside of `root` that decide what is seen below it, with a mark that changes when one of them does.
#[must_use]
pub fn outside(root: &AbsPath) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<PathBuf> = root
        .ancestors()
        .skip(1)
        .flat_map(|directory| [".ignore", ".gitignore"].map(|name| directory.join(name).as_path().to_owned()))
        .collect();
    let git = root.ancestors().find_map(|top| Some((std::fs::metadata(top.join(".git")).ok()?.is_file(), top)));
    files.extend(git.and_then(|(is_file, top)| exclude_file(top.as_path(), is_file)));
    files.extend(gitconfig_excludes_path());
    files.into_iter().map(|path| (mark(&path), path)).map(|(mark, path)| (path, mark)).collect()
}

/// A number that changes when the file is written; 0 where there is none.
#[must_use]
pub fn mark(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    // Of nanoseconds the low half tells enough; the length tells of changes within one tick of the clock.
    1 | u64::try_from(time.as_nanos() & u128::from(u64::MAX)).unwrap_or(0).rotate_left(20) ^ metadata.len()
}

/// The repository's own file of rules: git looks for it where all checkouts share it.
fn exclude_file(top: &Path, is_file: bool) -> Option<PathBuf> {
    let git = top.join(".git");
    if !is_file {
        return Some(git.join("info/exclude"));
    }
    let line = |path: &Path| {
        let text = String::from_utf8(read(path).ok()??).ok()?;
        Some(text.lines().next()?.to_owned())
    };
    let git_dir = top.join(line(&git)?.strip_prefix("gitdir:")?.trim_start());
    let common = line(&git_dir.join("commondir")).map_or_else(|| git_dir.clone(), |common| git_dir.join(common));
    Some(common.join("info/exclude"))
}

/// The text of a file of rules; `None` where there is none.
///
/// # Errors
/// When it is no file of rules that can be read without harm.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match small_file::read(path, MAX_BYTES, Links::Follow) {
        Ok(text) if is_too_nested(&text) => Err(io::ErrorKind::InvalidData.into()),
        Ok(text) => Ok(Some(text)),
        // A file that is there and cannot be read hides what it says.
        Err(error) if std::fs::metadata(path).is_ok() => Err(error),
        Err(_) => Ok(None),
    }
}

fn compile(directory: &Path, text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(directory);
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        // As the walker does, which reads no further than text goes. A pattern that cannot be read is left out alone.
        let Ok(line) = std::str::from_utf8(line) else { break };
        let _ = builder.add_line(None, line.strip_suffix('\r').unwrap_or(line));
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
