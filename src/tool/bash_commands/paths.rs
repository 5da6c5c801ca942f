//! Which paths a command names, as written: resolving them needs the file system and is done elsewhere.

use super::expand::Argument;

/// A path that a command or a redirection names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// What the path is relative to.
    pub anchor: Anchor,
    /// The path as far as it is known; the rest of the path is below it. Empty for the anchor itself.
    pub path: String,
    /// Whether this is the whole path.
    pub whole: bool,
    /// What is done there.
    pub access: Access,
    /// As it was written, without quotes.
    pub text: String,
}

/// What a path is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// The directory reached from the start by these `cd`s, each of which may have failed; a leading `~` is the home.
    Directory(Vec<String>),
    /// The user's home.
    Home,
    /// Only running would tell.
    Unknown,
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed.
    Read,
    /// Something is made or changed.
    Write,
    /// Something may be lost.
    Destroy,
}

/// The current directory at some point of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(Anchor);

impl Default for Place {
    fn default() -> Self {
        Self(Anchor::Directory(Vec::new()))
    }
}

impl Place {
    /// Nobody knows where we are now.
    pub(super) fn lose(&mut self) {
        self.0 = Anchor::Unknown;
    }

    /// After `cd` or `pushd` with these arguments.
    pub(super) fn follow(&mut self, arguments: &[Argument]) {
        let target = arguments.iter().skip(1).find(|argument| argument.text == "-" || !argument.text.starts_with('-'));
        let home = target.filter(|target| target.tilde && target.holes.is_empty() && (target.text == "~" || target.text.starts_with("~/")));
        if let Some(home) = home {
            self.0 = Anchor::Directory(vec![home.text.clone()]);
            return;
        }
        match (target.and_then(Argument::literal), &mut self.0) {
            (Some(path), _) if path == "-" || path.starts_with('+') || path.is_empty() => self.lose(),
            (Some(path), Anchor::Directory(moves)) if path.starts_with('~') => moves.push(format!("./{path}")),
            (Some(path), Anchor::Directory(moves)) => moves.push(path.to_owned()),
            (Some(path), _) if path.starts_with('/') => self.0 = Anchor::Directory(vec![path.to_owned()]),
            _ => self.lose(),
        }
    }
}

/// The path in an argument.
pub(super) fn path_use(argument: &Argument, place: &Place, access: Access) -> PathUse {
    let text = argument.text.as_str();
    let first_hole = argument.holes.first().filter(|hole| hole.start == 0);
    let (anchor, from) = match first_hole.map(|hole| (&text[hole.clone()], hole.end)) {
        Some(("$HOME" | "${HOME}", end)) => (Anchor::Home, end),
        Some(("$PWD" | "${PWD}", end)) => (place.0.clone(), end),
        Some(_) => (Anchor::Unknown, 0),
        None if argument.tilde && (text == "~" || text.starts_with("~/")) => (Anchor::Home, 1),
        None if argument.tilde => (Anchor::Unknown, 0),
        None if text.starts_with('/') => (Anchor::Directory(Vec::new()), 0),
        None => (place.0.clone(), 0),
    };
    let unknown = argument.holes.iter().map(|hole| hole.start).chain(argument.glob).filter(|at| *at >= from).min();
    let known = &text[from..unknown.unwrap_or(text.len())];
    let path = match unknown {
        Some(_) => known.rfind('/').map_or("", |slash| &known[..=slash]),
        None => known,
    };
    let path = if from > 0 { path.trim_start_matches('/') } else { path };
    PathUse { anchor, path: path.to_owned(), whole: unknown.is_none(), access, text: text.to_owned() }
}

/// The paths among the arguments of a command; the first argument is its name.
pub(super) fn operands(name: &str, arguments: &[Argument], place: &Place) -> Vec<PathUse> {
    let (access, skipped) = match name {
        "cd" | "pushd" | "cat" | "head" | "tail" | "less" | "more" => (Access::Read, 0),
        "cp" | "mkdir" | "touch" | "ln" | "tee" | "install" => (Access::Write, 0),
        "chmod" | "chown" | "chgrp" => (Access::Write, 1),
        "rm" | "rmdir" | "mv" | "unlink" | "shred" | "truncate" => (Access::Destroy, 0),
        "dd" => return disk_dump(arguments, place),
        "git" | "make" => return change_directory_options(arguments, place),
        _ => return Vec::new(),
    };
    let mut uses = Vec::new();
    let mut options_end = false;
    let mut to_skip = skipped;
    for argument in &arguments[1..] {
        if !options_end && argument.text.starts_with('-') {
            options_end = argument.text == "--";
            if let Some(value) = option_path(argument) {
                uses.push(path_use(&value, place, access));
            }
        } else if to_skip > 0 {
            to_skip -= 1;
        } else {
            uses.push(path_use(argument, place, access));
        }
    }
    uses
}

/// The path in `--target-directory=/x`.
fn option_path(argument: &Argument) -> Option<Argument> {
    let (option, value) = argument.text.split_once('=')?;
    let is_path = option.starts_with("--") && value.starts_with(['/', '.']) && argument.is_literal();
    is_path.then(|| Argument::plain(value))
}

fn disk_dump(arguments: &[Argument], place: &Place) -> Vec<PathUse> {
    let uses = arguments[1..].iter().filter(|argument| argument.is_literal()).filter_map(|argument| {
        let (key, value) = argument.text.split_once('=')?;
        let access = match key {
            "of" => Access::Destroy,
            "if" => Access::Read,
            _ => return None,
        };
        Some(path_use(&Argument::plain(value), place, access))
    });
    uses.collect()
}

fn change_directory_options(arguments: &[Argument], place: &Place) -> Vec<PathUse> {
    let mut uses = Vec::new();
    let mut options = arguments[1..].iter();
    while let Some(option) = options.next().filter(|option| option.text.starts_with('-')) {
        if option.text == "-C"
            && let Some(directory) = options.next()
        {
            uses.push(path_use(directory, place, Access::Read));
        }
    }
    uses
}

/// The path of a redirection, if it is one to a file that matters.
pub(super) fn redirection(operator: &str, target: &Argument, place: &Place) -> Option<PathUse> {
    let access = match operator {
        "<" => Access::Read,
        "<<" | "<<-" | "<<<" => return None,
        "<&" | ">&" if target.text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit()) => return None,
        _ => Access::Write,
    };
    Some(path_use(target, place, access))
}
