//! Where the paths that a command line names lead on this disk: `cd` as bash does it, file name patterns, symlinks.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use super::commands::{Anchor, PathUse, Rest};
use crate::{stdx::paths::AbsPath, tool::private::PrivatePlaces};

/// More matches of a pattern than this are not looked at.
const MAX_MATCHES: usize = 2_000;

/// Of a tree with more files than this, links are not looked at.
const MAX_LINKED_ENTRIES: usize = 50_000;

/// Where a command runs and what needs no permission.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// Where the command starts; a real path.
    pub directory: &'a AbsPath,
    /// Everything below these is free to use, but for what git keeps in the first, the worktree; real paths.
    pub inside: &'a [&'a AbsPath],
    /// The home directory of the user who runs it.
    pub home: Option<AbsPath>,
    /// What is asked about wherever it lies.
    pub private: &'a PrivatePlaces,
    /// The environment of the user who runs it.
    pub variables: &'a BTreeMap<String, String>,
}

/// A place that a path may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// As it is written, made absolute.
    pub named: AbsPath,
    /// Without symlinks.
    pub real: AbsPath,
    /// Only the directory is known; what is meant lies below it.
    pub is_below: bool,
}

/// The directories that a path starts from; none where only running would tell.
pub(super) fn bases(usage: &PathUse, surroundings: &Surroundings<'_>) -> Vec<AbsPath> {
    match &usage.anchor {
        Anchor::Directory(moves) => after_moves(moves, surroundings),
        Anchor::Home => surroundings.home.iter().cloned().collect(),
        Anchor::Top => surroundings.inside.first().map(|top| (*top).clone()).into_iter().collect(),
        Anchor::Variable(name) => {
            surroundings.variables.get(name).filter(|value| is_plain(value)).and_then(AbsPath::new).into_iter().collect()
        }
        Anchor::Unknown => Vec::new(),
    }
}

/// Whether a shell takes a value for one word, also without quotes.
fn is_plain(value: &str) -> bool {
    !value.contains(|c: char| c.is_whitespace() || matches!(c, '*' | '?' | '[' | '\\'))
}

/// Every place that the path may name, as far as that is known.
pub(super) fn targets(usage: &PathUse, surroundings: &Surroundings<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for base in bases(usage, surroundings) {
        let (named, real) = (base.join(&usage.path), resolve(&base, &usage.path, 0));
        match &usage.rest {
            None | Some(Rest::Into(_)) => targets.push(Target { named, real, is_below: false }),
            Some(Rest::Unknown(_) | Rest::Found(_)) => targets.push(Target { named, real, is_below: true }),
            Some(Rest::Pattern(pattern)) => {
                let found = matches(&named, pattern);
                if found.is_empty() || found.len() >= MAX_MATCHES {
                    targets.push(Target { named, real, is_below: true });
                }
                targets.extend(found.into_iter().map(|named| Target { real: resolve(&named, "", 0), named, is_below: false }));
            }
        }
    }
    targets
}

/// What a file name pattern of bash matches below a directory.
fn matches(directory: &AbsPath, pattern: &str) -> Vec<AbsPath> {
    let mut found = vec![directory.clone()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let glob = globset::GlobBuilder::new(part).literal_separator(true).backslash_escape(true).build();
        // Classes such as `[[:alpha:]]` are not known here, and braces mean nothing to bash.
        let is_other = ["[:", "[=", "[.", "{"].iter().any(|mark| part.contains(mark));
        let matcher = glob.ok().filter(|_| !is_other).map(|glob| glob.compile_matcher());
        let takes_hidden = part.starts_with('.');
        let mut next = Vec::new();
        for place in &found {
            if !part.contains(['*', '?', '[']) {
                next.extend(Some(place.join(part)).filter(|path| std::fs::symlink_metadata(path).is_ok()));
                continue;
            }
            let Ok(entries) = std::fs::read_dir(place) else { continue };
            for entry in entries.flatten().take(MAX_MATCHES) {
                let name = entry.file_name();
                let is_hidden = name.as_encoded_bytes().starts_with(b".");
                // A pattern that cannot be read matches everything.
                if is_hidden == takes_hidden && matcher.as_ref().is_none_or(|matcher| matcher.is_match(&name)) {
                    next.push(place.join(&name));
                }
            }
        }
        next.truncate(MAX_MATCHES);
        found = next;
    }
    found
}

/// Where some `cd`s may lead, as bash remembers it: `..` takes the last name away, also that of a symlink. One that names
/// no directory now may fail or may not.
fn after_moves(moves: &[String], surroundings: &Surroundings<'_>) -> Vec<AbsPath> {
    let mut places = vec![surroundings.directory.clone()];
    for step in moves {
        let mut next = Vec::new();
        for place in places {
            let target = match (step.strip_prefix('~'), &surroundings.home) {
                (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
                _ => place.join(step),
            };
            let physical = resolve(&place, step, 0);
            let certain = target.as_path().is_dir();
            if !certain {
                // Where the remembered name does not work, bash asks the system.
                next.extend((physical != target && !step.starts_with('~')).then_some(physical));
                next.push(place);
            }
            next.push(target);
        }
        next.dedup();
        next.truncate(16);
        places = next;
    }
    places
}

/// Where links below a directory lead to, and links in the directories that these lead to; `None` where there are too many
/// files to look at.
pub(super) fn linked(root: &AbsPath, surroundings: &Surroundings<'_>) -> Option<Vec<AbsPath>> {
    let (mut open, mut places, mut left) = (vec![root.clone()], Vec::new(), MAX_LINKED_ENTRIES);
    while let Some(directory) = open.pop() {
        for entry in ignore::WalkBuilder::new(&directory).standard_filters(false).follow_links(false).build().flatten() {
            left -= 1;
            if left == 0 {
                return None;
            }
            let Some(link) = AbsPath::new(entry.path()).filter(|_| entry.path_is_symlink()) else { continue };
            let place = link.real_or_nearest();
            let is_known = places.contains(&place);
            if is_known || place.is_within(root) {
                continue;
            }
            if place.as_path().is_dir() && surroundings.inside.iter().any(|inside| place.is_within(inside)) {
                open.push(place.clone());
            }
            places.push(place);
        }
    }
    Some(places)
}

/// Follows a path as the system does: `..` after a symlink means the parent of where it leads.
pub(super) fn resolve(base: &AbsPath, path: &str, depth: usize) -> AbsPath {
    let mut current = base.clone();
    for component in Path::new(path).components() {
        match component {
            Component::RootDir | Component::Prefix(_) => current = AbsPath::new(path_root(path)).unwrap_or(current),
            Component::CurDir => {}
            Component::ParentDir => {
                let real = current.real_or_nearest();
                current = real.parent().unwrap_or(real);
            }
            Component::Normal(name) => {
                let next = current.join(name);
                current = match std::fs::read_link(&next) {
                    Ok(target) if depth < 40 => resolve(&current.real_or_nearest(), &target.to_string_lossy(), depth + 1),
                    _ => next,
                };
            }
        }
    }
    current.real_or_nearest()
}

fn path_root(path: &str) -> &Path {
    Path::new(path).ancestors().last().unwrap_or(Path::new("/"))
}
