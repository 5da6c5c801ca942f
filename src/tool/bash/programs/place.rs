//! Which paths a command names, as written: resolving them needs the file system and is done elsewhere.

use super::word::{Argument, Found, is_tame};

/// A path that a command or a redirection names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// What the path is relative to.
    pub anchor: Anchor,
    /// The path as far as it is known; the rest of the path is below it. Empty for the anchor itself.
    pub path: String,
    /// The last component as it was written where it is a file name pattern or a name whose end is not known.
    pub rest: Option<Rest>,
    /// What is done there.
    pub access: Access,
    /// As it was written, without quotes.
    pub text: String,
}

impl PathUse {
    /// Whether it is the directory of a command, and only running would tell which that is.
    #[must_use]
    pub fn is_unknown_place(&self) -> bool {
        self.anchor == Anchor::Unknown && self.access == Access::List && self.text == "." && self.rest.is_none()
    }
}

/// What of a path is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// A file name pattern of bash, which may span several directories.
    Pattern(String),
    /// Begins like this.
    Unknown(String),
    /// Everything that was found there, at any depth.
    Found(Found),
    /// The path is a file, or a directory in which files of these names are written.
    Into(Vec<String>),
}

/// What a path is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// The directory reached from the start by these `cd`s, each of which may have failed; a leading `~` is the home.
    Directory(Vec<String>),
    /// The user's home.
    Home,
    /// The top of the worktree.
    Top,
    /// The value of a variable that the line does not set.
    Variable(String),
    /// Only running would tell.
    Unknown,
}

/// Where a grant of a command holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The directory in which the command runs.
    pub directory: PathUse,
    /// The file that it runs; the grant holds as long as that stays the same.
    pub program: Option<PathUse>,
    /// It runs what files in the directory say.
    pub runs_files: bool,
    /// Only a grant for the very command covers it.
    pub is_exact: bool,
    /// The step of the line in which it runs.
    pub step: usize,
    /// Steps before this one may have happened by then.
    pub until: usize,
}

impl Bound {
    /// The directory alone.
    pub(in crate::tool) fn of(place: &Place) -> Self {
        Self::new(place, None, false)
    }

    /// Adds it to those of the same command: of two in one place only the times differ.
    pub(in crate::tool) fn add_to(self, bounds: &mut Vec<Self>) {
        let what = |bound: &Self| (bound.directory.clone(), bound.program.clone(), bound.runs_files, bound.is_exact);
        let own = what(&self);
        let is_same = |known: &&mut Self| what(known) == own;
        match bounds.iter_mut().find(is_same) {
            // The second time, what the command did the first time has happened too.
            Some(known) => (known.step, known.until) = (usize::MAX, known.until.max(self.until)),
            None => bounds.push(self),
        }
    }

    pub(super) fn new(place: &Place, program: Option<PathUse>, runs_files: bool) -> Self {
        Self { directory: here(place, Access::List), program, runs_files, is_exact: false, step: 0, until: 0 }
    }
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Names and sizes are seen, no content.
    List,
    /// The content is read.
    Read,
    /// Everything below it is read; with `hidden` also what ignore files and leading dots hide.
    Deep {
        /// Whether hidden and ignored files count.
        hidden: bool,
    },
    /// Something is made or changed.
    Write,
    /// Something may be lost.
    Destroy,
    /// A word that may be a path, which then may be read or written.
    Unsure,
}

impl Access {
    /// Whether something is certainly changed.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Destroy)
    }
}

/// The current directory at some point of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tool) struct Place {
    anchor: Anchor,
    /// What `pushd` has put aside.
    aside: Vec<Anchor>,
    /// What `{}` stands for in what `find` runs, and what a pipeline gives to `xargs`; nothing where that is not known.
    found: Vec<Argument>,
    /// The text that stands for it.
    mark: String,
}

impl Default for Place {
    fn default() -> Self {
        Self { anchor: Anchor::Directory(Vec::new()), aside: Vec::new(), found: Vec::new(), mark: "{}".to_owned() }
    }
}

impl Place {
    /// The directory is not known any more.
    pub(in crate::tool) fn lose(&mut self) {
        self.anchor = Anchor::Unknown;
    }

    /// The same place, in which `{}` stands for one of these.
    pub(in crate::tool) fn with_found(&self, found: Vec<Argument>) -> Self {
        Self { found, ..self.clone() }
    }

    /// The same place, in which this text stands for what was found.
    pub(super) fn with_mark(&self, mark: &str) -> Self {
        Self { mark: mark.to_owned(), ..self.clone() }
    }

    /// The text that stands for what was found.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// What `{}` stands for.
    pub(in crate::tool) fn found(&self) -> &[Argument] {
        &self.found
    }

    /// After `cd` or `pushd` with these arguments.
    pub(in crate::tool) fn follow(&mut self, arguments: &[Argument]) {
        let is_pushd = arguments.first().is_some_and(|name| name.text == "pushd");
        let mut targets = arguments.iter().skip(1).filter(|argument| argument.text == "-" || !argument.text.starts_with('-'));
        if is_pushd {
            self.aside.push(self.anchor.clone());
        }
        match (targets.next(), targets.next()) {
            (None, _) if !is_pushd => self.anchor = Anchor::Directory(vec!["~".to_owned()]),
            // With several arguments `cd` fails; `pushd` alone or with a number turns the stack.
            (Some(target), None) => self.enter(target),
            _ => self.lose(),
        }
    }

    /// After `popd` without arguments.
    pub(in crate::tool) fn pop(&mut self) {
        match self.aside.as_slice() {
            [before] => self.anchor = before.clone(),
            // One of several `pushd`s may have failed.
            _ => self.lose(),
        }
        self.aside.clear();
    }

    /// After `cd` to this one argument.
    pub(super) fn enter(&mut self, target: &Argument) {
        if target.tilde && target.holes.is_empty() && (target.text == "~" || target.text.starts_with("~/")) {
            self.anchor = Anchor::Directory(vec![target.text.clone()]);
            return;
        }
        if let [hole] = target.holes.as_slice()
            && hole.start == 0
            && target.glob.is_none()
        {
            let (raw, rest) = target.text.split_at(hole.end);
            let is_below = rest.is_empty() || rest.starts_with('/');
            match (raw, &mut self.anchor, environment_variable(raw)) {
                ("$HOME" | "${HOME}", anchor, _) if is_below => return *anchor = Anchor::Directory(vec![format!("~{rest}")]),
                ("$PWD" | "${PWD}" | "$(pwd)", Anchor::Directory(moves), _) if is_below => return moves.push(format!(".{rest}")),
                (_, anchor, Some(name)) if rest.is_empty() && !target.splits => return *anchor = Anchor::Variable(name.to_owned()),
                _ => {}
            }
        }
        match (target.literal(), &mut self.anchor) {
            (Some(path), _) if path == "-" || path.starts_with('+') || path.is_empty() => self.lose(),
            (Some(path), Anchor::Directory(moves)) if path.starts_with('~') => moves.push(format!("./{path}")),
            (Some(path), Anchor::Directory(moves)) => moves.push(path.to_owned()),
            (Some(path), _) if path.starts_with('/') => self.anchor = Anchor::Directory(vec![path.to_owned()]),
            _ => self.lose(),
        }
    }
}

/// The paths that an argument may be.
pub(in crate::tool) fn path_uses(argument: &Argument, place: &Place, access: Access) -> Vec<PathUse> {
    let whole = argument.holes.first().filter(|hole| **hole == (0..argument.text.len()));
    if whole.is_some() && argument.text.starts_with(['<', '>']) {
        // `<(x)` is a pipe from a command, which is judged separately.
        return Vec::new();
    }
    let found = argument.holes.first().filter(|hole| hole.start == 0 && argument.text[(*hole).clone()] == place.mark);
    let Some(hole) = found else { return vec![path_use(argument, place, access)] };
    if place.found.is_empty() {
        return vec![unknown("...", access)];
    }
    let rest = &argument.text[hole.end..];
    // A path may lead out of what was found.
    let may_leave = argument.holes.len() > 1 || argument.glob.is_some() || rest.split('/').any(|part| part == "..");
    let with_rest = |found: &Argument| match (found.literal(), &found.found) {
        (Some(text), _) if argument.holes.len() == 1 => path_use(&Argument::plain(&format!("{text}{rest}")), place, access),
        _ if may_leave => unknown("...", access),
        // With something behind it, a name is another one.
        (_, Some(what)) if !rest.is_empty() && !rest.starts_with('/') => {
            let end = rest.split('/').next().unwrap_or_default().to_lowercase();
            let name = what.name.as_ref().map(|name| format!("{name}{end}")).filter(|_| !end.contains(['*', '?', '[', '{', '\\']));
            path_use(&Argument { found: Some(Found { name, ..what.clone() }), ..found.clone() }, place, access)
        }
        _ => path_use(found, place, access),
    };
    place.found.iter().map(with_rest).collect()
}

/// The directories in which a file name pattern is looked for.
pub(in crate::tool) fn listed(argument: &Argument, place: &Place) -> Vec<PathUse> {
    let mut uses = path_uses(argument, place, Access::List);
    for usage in &mut uses {
        let Some(Rest::Pattern(pattern)) = &usage.rest else { continue };
        let before = pattern.trim_end_matches('/').rsplit_once('/').map(|(before, _)| before.to_owned());
        usage.rest = before.map(Rest::Pattern);
    }
    uses
}

fn path_use(argument: &Argument, place: &Place, access: Access) -> PathUse {
    let text = argument.text.as_str();
    let first_hole = argument.holes.first().filter(|hole| hole.start == 0);
    let (anchor, from) = match first_hole.map(|hole| (&text[hole.clone()], hole.end)) {
        Some(("$HOME" | "${HOME}", end)) => (Anchor::Home, end),
        Some(("$PWD" | "${PWD}" | "$(pwd)", end)) => (place.anchor.clone(), end),
        Some(("$(mktemp)" | "$(mktemp -d)", end)) if end == text.len() || text[end..].starts_with('/') => {
            (Anchor::Variable("TMPDIR".to_owned()), end)
        }
        Some((raw, end)) if end == text.len() || text[end..].starts_with('/') => match environment_variable(raw) {
            Some(name) => (Anchor::Variable(name.to_owned()), end),
            None => (Anchor::Unknown, 0),
        },
        Some(_) => (Anchor::Unknown, 0),
        None if argument.tilde && (text == "~" || text.starts_with("~/")) => (Anchor::Home, 1),
        None if argument.tilde && text.starts_with("~+/") => (place.anchor.clone(), 2),
        None if argument.tilde => (Anchor::Unknown, 0),
        None if text.starts_with('/') => (Anchor::Directory(Vec::new()), 0),
        None => (place.anchor.clone(), 0),
    };
    let hole = argument.holes.iter().map(|hole| hole.start).filter(|at| *at >= from).min();
    let glob = argument.glob.filter(|at| *at >= from);
    let unknown = hole.into_iter().chain(glob).min();
    let known = &text[from..unknown.unwrap_or(text.len())];
    let directory = known.rfind('/').map_or(0, |slash| slash + 1);
    let (path, rest) = match (unknown, hole) {
        (None, _) => (known, None),
        (Some(_), None) => (&known[..directory], Some(Rest::Pattern(text[from + directory..].to_owned()))),
        (Some(_), Some(_)) => {
            let unknown = || Rest::Unknown(known[directory..].to_owned());
            (&known[..directory], Some(argument.found.clone().map_or_else(unknown, Rest::Found)))
        }
    };
    let path = if from > 0 { path.trim_start_matches('/') } else { path };
    // What is not known may lead out of the directory before it.
    let may_leave = |hole: &std::ops::Range<usize>| hole.start >= from && !is_tame(&text[hole.clone()]);
    let is_used = !matches!(access, Access::List | Access::Unsure);
    if is_used && argument.found.is_none() && argument.holes.iter().any(may_leave) && (from > 0 || !known.is_empty()) {
        return self::unknown(text, access);
    }
    PathUse { anchor, path: path.to_owned(), rest, access, text: text.to_owned() }
}

/// The same path from the top of the worktree, as git counts it in `HEAD:path`.
pub(super) fn from_top(usage: PathUse) -> PathUse {
    match usage.anchor {
        Anchor::Directory(_) => PathUse { anchor: Anchor::Top, ..usage },
        _ => usage,
    }
}

/// The name of the variable, if it is written like those of the environment.
pub(in crate::tool) fn environment_variable(raw: &str) -> Option<&str> {
    let name = raw.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    // These change while the line runs.
    let is_own = matches!(name, "PWD" | "OLDPWD" | "DIRSTACK" | "OPTARG" | "HOME" | "PIPESTATUS") || name.starts_with("BASH");
    let is_one = !is_own && name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
    (is_one && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

/// The place itself.
pub(super) fn here(place: &Place, access: Access) -> PathUse {
    PathUse { anchor: place.anchor.clone(), path: String::new(), rest: None, access, text: ".".to_owned() }
}

/// A path that only running would tell.
pub(super) fn unknown(text: &str, access: Access) -> PathUse {
    PathUse { anchor: Anchor::Unknown, path: String::new(), rest: Some(Rest::Unknown(String::new())), access, text: text.to_owned() }
}

/// The path of a redirection, if it is one to a file that matters.
pub(in crate::tool) fn redirection(operator: &str, target: &Argument, place: &Place) -> Vec<PathUse> {
    let access = match operator.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "<" => Access::Read,
        "<<" | "<<-" | "<<<" => return Vec::new(),
        "<&" | ">&" if target.text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit()) => return Vec::new(),
        _ => Access::Write,
    };
    path_uses(target, place, access)
}
