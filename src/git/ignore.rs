//! Ignore rules, directory by directory, as git applies them. Gives the same result as ripgrep's walker, for code that
//! walks directories itself: large walks, and refreshes of a few directories.
//!
//! Inside a repository the ignore files from its root down apply. Elsewhere only those from the root of the walk down:
//! an ignore file in the home directory, which people have who keep their settings in git, does not apply to a project.

mod suffixes;

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

use self::suffixes::Suffixes;
use crate::{
    git::small_file::{self, Links},
    stdx::paths::AbsPath,
};

/// The limit of nested braces in a pattern. The parser recurses at each level.
const MAX_NESTED_BRACES: usize = 32;
/// The size limit of an ignore file, in bytes.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Whether a pattern nests braces too deeply for the parser of the `ignore` crate, which would overflow its stack.
pub fn is_too_nested(patterns: &[u8]) -> bool {
    let mut depth = 0usize;
    patterns.iter().any(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'\n' => depth = 0,
            _ => {}
        }
        depth > MAX_NESTED_BRACES
    })
}

/// Which of the names that affect ignore rules a directory contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    pub ignore: bool,
    pub git_ignore: bool,
    pub git: bool,
    pub jj: bool,
}

impl Found {
    /// The directory was not read; all of them may exist.
    pub const UNKNOWN: Self = Self { ignore: true, git_ignore: true, git: true, jj: true };

    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Adds a name in the directory.
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

/// Whether a change of a file with this name can change what is ignored in its directory.
pub fn is_rule_file(name: &[u8]) -> bool {
    matches!(name, b".ignore" | b".gitignore" | b".git" | b".jj")
}

/// The rules that apply in a directory: its own, and those of the directories above it.
#[derive(Debug)]
pub struct Rules {
    above: Option<Arc<Rules>>,
    ignore: Gitignore,
    git_ignore: Gitignore,
    exclude: Gitignore,
    /// The suffixes of names that may match `git_ignore` or `exclude`.
    suffixes: Suffixes,
    /// The same for the rules that also apply in repositories below.
    inherited: Suffixes,
    /// The root of a repository: git's ignore files above it do not apply.
    is_top: bool,
    base: Arc<Base>,
}

#[derive(Debug)]
struct Base {
    global: Gitignore,
    in_repository: bool,
    /// An ignore file above could not be read safely, so no rule applies.
    disabled: bool,
}

impl Rules {
    /// The rules that apply to `root` before its own are read. Inside a repository the files above it apply, elsewhere
    /// they do not.
    pub fn above(root: &AbsPath) -> Arc<Self> {
        let in_repository = root.ancestors().any(|directory| directory.join(".git").as_path().exists());
        let (global, _) = GitignoreBuilder::new(root).build_global();
        let start = Self::first(Base { global, in_repository, disabled: false });
        let mut above: Vec<AbsPath> = root.ancestors().skip(1).collect();
        above.reverse();
        let mut rules = Arc::clone(&start);
        for directory in &above {
            // Outside a repository too, an unreadable file puts all of them in doubt.
            let Some(entered) = rules.enter(directory.as_path(), Found::UNKNOWN) else { return start.without_rules() };
            rules = entered;
        }
        if in_repository { rules } else { start }
    }

    /// No rules at all, for a root whose ignore files cannot be read safely.
    pub fn without_rules(&self) -> Arc<Self> {
        Self::first(Base { global: Gitignore::empty(), in_repository: self.base.in_repository, disabled: true })
    }

    fn first(base: Base) -> Arc<Self> {
        let empty = Gitignore::empty;
        let inherited = if base.global.is_empty() { Suffixes::default() } else { Suffixes::any() };
        let git = Suffixes::default();
        Arc::new(Self {
            above: None,
            ignore: empty(),
            git_ignore: empty(),
            exclude: empty(),
            suffixes: git,
            inherited,
            is_top: false,
            base: Arc::new(base),
        })
    }

    /// The rules of a subdirectory; `None` if an ignore file there cannot be read safely, in which case the directory
    /// must be skipped.
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
        if self.base.disabled || (!is_top && ignore.is_none() && git_ignore.is_none() && exclude.is_none()) {
            return Some(Arc::clone(self));
        }
        let mut suffixes = Suffixes::default();
        [&git_ignore, &exclude].into_iter().flatten().for_each(|text| suffixes.add(text));
        let mut inherited = Suffixes::default();
        ignore.iter().for_each(|text| inherited.add(text));
        let compiled = |text: Option<Vec<u8>>| text.map_or_else(Gitignore::empty, |text| compile(directory, &text));
        Some(Arc::new(Self {
            above: Some(Arc::clone(self)),
            ignore: compiled(ignore),
            git_ignore: compiled(git_ignore),
            exclude: compiled(exclude),
            suffixes,
            inherited,
            is_top,
            base: Arc::clone(&self.base),
        }))
    }

    pub fn has_rules(&self) -> bool {
        !self.base.disabled && self.suffixes().any(|suffixes| !suffixes.is_empty())
    }

    /// Whether a rule may match this name. If false, it is certainly not ignored.
    pub fn may_match(&self, name: &[u8]) -> bool {
        self.suffixes().any(|suffixes| suffixes.may_match(name))
    }

    /// The suffixes of all files that apply here: of the files above the root of a repository only `.ignore`.
    fn suffixes(&self) -> impl Iterator<Item = &Suffixes> {
        let mut above_top = false;
        std::iter::successors(Some(self), |rules| rules.above.as_deref()).flat_map(move |rules| {
            let git = (!above_top).then_some(&rules.suffixes);
            above_top |= rules.is_top;
            std::iter::once(&rules.inherited).chain(git)
        })
    }

    /// Whether a path in this directory is ignored.
    pub fn is_ignored(&self, path: &Path, is_directory: bool) -> bool {
        if self.base.disabled {
            return false;
        }
        // Nearer files take precedence; among kinds, `.ignore` comes first.
        let [mut ignore, mut git_ignore, mut exclude] = [Verdict::Unmatched; 3];
        let (mut level, mut above_top) = (Some(self), false);
        while let Some(rules) = level {
            ignore.or_match(&rules.ignore, path, is_directory);
            if !above_top {
                git_ignore.or_match(&rules.git_ignore, path, is_directory);
                exclude.or_match(&rules.exclude, path, is_directory);
            }
            above_top |= rules.is_top;
            level = rules.above.as_deref();
        }
        let mut verdict =
            [ignore, git_ignore, exclude].into_iter().find(|verdict| *verdict != Verdict::Unmatched).unwrap_or(Verdict::Unmatched);
        verdict.or_match(&self.base.global, path, is_directory);
        verdict == Verdict::Ignored
    }
}

/// Whether a walk of `root` would find a file at this path if it existed.
pub fn is_visible(root: &AbsPath, path: &AbsPath) -> bool {
    let Ok(relative) = path.as_path().strip_prefix(root) else { return false };
    let above = Rules::above(root);
    let mut rules = above.enter(root.as_path(), Found::UNKNOWN).unwrap_or_else(|| above.without_rules());
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
    Unmatched,
    Ignored,
    Included,
}

impl Verdict {
    fn or_match(&mut self, rules: &Gitignore, path: &Path, is_directory: bool) {
        if *self == Self::Unmatched && !rules.is_empty() {
            *self = match rules.matched(path, is_directory) {
                Match::None => Self::Unmatched,
                Match::Ignore(_) => Self::Ignored,
                Match::Whitelist(_) => Self::Included,
            };
        }
    }
}

/// The ignore files outside `root` that apply to it, each with a value that changes when the file does.
pub fn outer_rule_files(root: &AbsPath) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<PathBuf> = root
        .ancestors()
        .skip(1)
        .flat_map(|directory| [".ignore", ".gitignore"].map(|name| directory.join(name).as_path().to_owned()))
        .collect();
    let git = root.ancestors().find_map(|top| Some((std::fs::metadata(top.join(".git")).ok()?.is_file(), top)));
    files.extend(git.and_then(|(is_file, top)| exclude_file(top.as_path(), is_file)));
    files.extend(gitconfig_excludes_path());
    files
        .into_iter()
        .map(|path| {
            let mark = change_mark(&path);
            (path, mark)
        })
        .collect()
}

/// A value that changes when the file is written; 0 if it does not exist.
pub fn change_mark(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    // The low 64 bits of the time suffice; the length detects changes within one tick of the clock.
    1 | u64::try_from(time.as_nanos() & u128::from(u64::MAX)).unwrap_or(0).rotate_left(20) ^ metadata.len()
}

/// The repository's `info/exclude`, which is in the common git directory.
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

/// The text of an ignore file; `None` if it does not exist.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match small_file::read(path, MAX_BYTES, Links::Follow) {
        Ok(text) if is_too_nested(&text) => Err(io::ErrorKind::InvalidData.into()),
        Ok(text) => Ok(Some(text)),
        // The file exists but its rules are unknown.
        Err(error) if std::fs::metadata(path).is_ok() => Err(error),
        Err(_) => Ok(None),
    }
}

fn compile(directory: &Path, text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(directory);
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        // Stops at the first line that is not UTF-8, as ripgrep's walker does. An invalid pattern is skipped.
        let Ok(line) = std::str::from_utf8(line) else { break };
        let _ = builder.add_line(None, line.strip_suffix('\r').unwrap_or(line));
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
