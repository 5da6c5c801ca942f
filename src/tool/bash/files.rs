//! Which files a command line reads and writes, as far as the rules for reading and editing have something to say: a rule
//! for every file (`*`) that asks is answered by the rule that allows the command, one that denies is not, and a rule
//! for some files always counts.

use std::{collections::BTreeSet, path::Path};

use polytree_protocol::permission::Action;

use super::{
    commands::{Access, Analysis, Change, Extent, Found, PathUse, Rest},
    directories::is_harmless_device,
    git_uses::{self, Use},
    places::{Surroundings, Target, bases, linked, targets},
    stored,
};
use crate::{permission::rules::Rules, stdx::paths::AbsPath};

/// A tree with more entries than this is not looked through for files that rules ask about.
const MAX_ENTRIES: usize = 20_000;

/// What a line needs permission for besides its commands.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// Files whose reading has to be asked for.
    pub read: Vec<String>,
    /// Files whose changing has to be asked for.
    pub edit: Vec<String>,
    /// It may write what may not be written, or have options that are not seen: a person has to look at it.
    pub is_unclear: bool,
}

/// Looks at every path of the line.
pub(super) fn files(analysis: &Analysis, surroundings: &Surroundings<'_>, worktree: &AbsPath, rules: &Rules) -> Files {
    let mut look = Look { analysis, surroundings, worktree, rules, files: Files::default(), left: MAX_ENTRIES, seen: BTreeSet::new() };
    for usage in &analysis.paths {
        look.at(usage);
    }
    look.files.is_unclear |= analysis.option_globs.iter().any(|usage| look.may_be_option(usage));
    look.files
}

struct Look<'a> {
    analysis: &'a Analysis,
    surroundings: &'a Surroundings<'a>,
    worktree: &'a AbsPath,
    rules: &'a Rules,
    files: Files,
    left: usize,
    seen: BTreeSet<String>,
}

impl Look<'_> {
    fn at(&mut self, usage: &PathUse) {
        let found = targets(usage, self.surroundings);
        if found.is_empty() {
            self.unknown(usage);
        }
        if let Some(Rest::Found(what)) = &usage.rest {
            found.iter().for_each(|target| self.found(target, what, usage.access));
            return;
        }
        for target in &found {
            if is_harmless_device(&target.real) {
                continue;
            }
            match usage.access {
                Access::List => {}
                Access::Read if target.is_below => self.entries(usage, target),
                Access::Read => self.reads(target),
                Access::Deep { hidden } => self.below(target, hidden),
                Access::Write | Access::Destroy => {
                    self.writes(target, usage);
                    if usage.access == Access::Destroy && !target.is_below {
                        // What is moved away can be read under another name.
                        self.reads(target);
                    }
                }
                Access::Unsure => self.unsure(target),
            }
        }
    }

    /// A path that only running would tell may be any of the worktree.
    fn unknown(&mut self, usage: &PathUse) {
        match usage.access {
            Access::Read | Access::Deep { .. } => {
                let target = Target { named: self.worktree.clone(), real: self.worktree.clone(), is_below: true };
                self.below(&target, true);
            }
            Access::Write | Access::Destroy => {
                if self.rules.evaluate_quiet("edit", &usage.text) != Action::Allow {
                    self.files.edit.push(usage.text.clone());
                }
                self.may_write_any();
            }
            Access::List | Access::Unsure => {}
        }
    }

    /// The names by which rules know a file.
    fn names(&self, target: &Target) -> Vec<String> {
        let real = target.real.relative_to(self.worktree);
        let named = target.named.relative_to(self.worktree);
        if real == named { vec![real] } else { vec![real, named] }
    }

    fn reads(&mut self, target: &Target) {
        if target.real.as_path().is_dir() {
            return;
        }
        for name in self.names(target) {
            if !self.files.read.contains(&name) && self.rules.evaluate_quiet("read", &name) != Action::Allow {
                self.files.read.push(name);
            }
        }
    }

    fn writes(&mut self, target: &Target, usage: &PathUse) {
        let mut names = self.names(target);
        if usage.access == Access::Destroy && !target.is_below && target.real.as_path().is_dir() {
            // Of what the built-in rules ask for, the name tells it in any directory.
            let (is_read, is_changed) = (self.rules.has_narrow("read"), self.rules.has_narrow("edit"));
            if is_read || is_changed {
                let access = if is_read { Access::Destroy } else { Access::Write };
                self.found(target, &Found { hidden: true, ignored: true, ..Found::default() }, access);
            }
        } else if target.is_below || (usage.rest.is_none() && usage.path.is_empty()) {
            // The names of what is written there are not known.
            self.may_write_any();
        }
        if let Some(Rest::Into(put)) = usage.rest.as_ref().filter(|_| target.real.as_path().is_dir()) {
            names = names.iter().flat_map(|name| put.iter().map(move |put| joined(name, put))).collect();
        } else if target.is_below {
            names = names.iter().map(|name| joined(name, rest(usage))).collect();
        }
        for name in names {
            if !self.files.edit.contains(&name) && self.rules.evaluate_quiet("edit", &name) != Action::Allow {
                self.files.edit.push(name);
            }
        }
    }

    /// What is written is not known: where a rule speaks of some files, a person has to look at it.
    fn may_write_any(&mut self) {
        self.files.is_unclear |= self.rules.has_narrow("edit");
    }

    fn unsure(&mut self, target: &Target) {
        if target.is_below || std::fs::symlink_metadata(&target.named).is_err() {
            return;
        }
        self.reads(target);
        if !target.real.as_path().is_dir() {
            let names = self.names(target);
            self.files.is_unclear |= names.iter().any(|name| self.rules.decide("edit", name).action == Action::Deny);
        }
    }

    /// The files of a directory whose names begin as far as they are known.
    fn entries(&mut self, usage: &PathUse, target: &Target) {
        let known = match &usage.rest {
            Some(Rest::Unknown(known)) => known.as_str(),
            _ => "",
        };
        let Ok(entries) = std::fs::read_dir(&target.real) else { return };
        for entry in entries.flatten().take(MAX_ENTRIES) {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(known) {
                let (named, real) = (target.named.join(&name), target.real.join(&name).real_or_nearest());
                self.reads(&Target { named, real, is_below: false });
            }
        }
    }

    /// Every file below.
    fn below(&mut self, target: &Target, hidden: bool) {
        if !target.real.as_path().is_dir() {
            self.reads(target);
        } else if self.seen.insert(format!("{hidden} {}", target.real)) {
            for file in self.walk(target, hidden, hidden) {
                self.reads(&file);
            }
        }
    }

    /// What was found below, or is the target itself.
    fn found(&mut self, target: &Target, what: &Found, access: Access) {
        if matches!(access, Access::List | Access::Unsure) || !self.seen.insert(format!("{what:?} {access:?} {}", target.real)) {
            return;
        }
        if what.follows {
            let inside = |place: &AbsPath| self.surroundings.inside.iter().any(|inside| place.is_within(inside));
            let places = linked(&target.real, self.surroundings).unwrap_or_default();
            for place in places.into_iter().filter(inside).collect::<Vec<_>>() {
                let target = Target { named: place.clone(), real: place, is_below: true };
                self.found(&target, &Found { follows: false, ..what.clone() }, access);
            }
        }
        let pattern = what.name.as_deref().and_then(|name| globset::GlobBuilder::new(name).case_insensitive(true).build().ok());
        let pattern = pattern.map(|glob| glob.compile_matcher());
        if let Some(extent) = what.tracked {
            let may_be = |name: &str| pattern.as_ref().is_none_or(|pattern| Path::new(name).iter().any(|part| pattern.is_match(part)));
            self.stored(target, extent, what.differs, may_be);
            return;
        }
        let is_file = !target.real.as_path().is_dir();
        let files = if is_file { vec![Target { is_below: false, ..target.clone() }] } else { self.walk(target, what.hidden, what.ignored) };
        for file in files {
            // The directories on the way count too: what is done with one is done with what is in it.
            let below = file.named.relative_to(&target.real);
            if !is_file && pattern.as_ref().is_some_and(|pattern| !Path::new(&below).iter().any(|part| pattern.is_match(part))) {
                continue;
            }
            if access.changes() {
                self.changes(&file);
            }
            // What is moved away can be read under another name.
            if access != Access::Write {
                self.reads(&file);
            }
        }
    }

    /// What git has stored.
    fn stored(&mut self, target: &Target, extent: Extent, differs: bool, may_be: impl Fn(&str) -> bool) {
        let may_matter = |name: &str| may_be(name) && self.rules.may_restrict("read", name);
        let differs = differs && self.keeps_tracked();
        match stored::files(target, extent, differs, self.worktree, may_matter) {
            Some(names) => {
                for name in names {
                    if !self.files.read.contains(&name) && self.rules.evaluate_quiet("read", &name) != Action::Allow {
                        self.files.read.push(name);
                    }
                }
            }
            // It cannot be read here: what is there now has to do.
            None => self.below(target, true),
        }
    }

    /// Whether nothing in the line changes the index, or files that rules ask about.
    fn keeps_tracked(&self) -> bool {
        let is_free = |target: &Target| {
            let names = self.names(target);
            let is_file = !target.is_below && !target.real.as_path().is_dir();
            is_file && names.iter().all(|name| self.rules.evaluate_quiet("read", name) == Action::Allow)
        };
        let is_harmless = |change: &Change| {
            let found = targets(&change.path, self.surroundings);
            !found.is_empty() && found.iter().all(is_free)
        };
        self.analysis.changes.iter().all(is_harmless) && git_uses::usage(self.analysis, &git_uses::commands(self.analysis)) == Use::Looks
    }

    fn changes(&mut self, target: &Target) {
        for name in self.names(target) {
            if !self.files.edit.contains(&name) && self.rules.evaluate_quiet("edit", &name) != Action::Allow {
                self.files.edit.push(name);
            }
        }
    }

    /// The files below a directory.
    fn walk(&mut self, target: &Target, hidden: bool, ignored: bool) -> Vec<Target> {
        // What the line writes there may take a file out of hiding.
        let unhides = self.analysis.changes.iter().any(|change| change.path.text.ends_with("ignore"));
        let (hidden, ignored) = (hidden || unhides, ignored || unhides);
        let mut walk = ignore::WalkBuilder::new(&target.real);
        walk.hidden(!hidden)
            .ignore(!ignored)
            .git_ignore(!ignored)
            .git_exclude(!ignored)
            .git_global(false)
            .parents(!ignored)
            .follow_links(false);
        if !ignored {
            walk.add_custom_ignore_filename(".rgignore");
        }
        walk.filter_entry(|entry| entry.file_name() != ".git");
        let mut files = Vec::new();
        for entry in walk.build().flatten() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            if let Some(named) = AbsPath::new(entry.path()) {
                let is_link = entry.path_is_symlink();
                if is_link && !hidden {
                    continue;
                }
                let real = if is_link { named.real_or_nearest() } else { named.clone() };
                files.push(Target { named, real, is_below: false });
            }
        }
        files
    }

    /// Whether a file there has a name that a program takes for an option.
    fn may_be_option(&self, usage: &PathUse) -> bool {
        let bases = bases(usage, self.surroundings);
        let has_option = |directory: &AbsPath| {
            let entries = std::fs::read_dir(directory).ok();
            entries.is_none_or(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b"-")))
            })
        };
        bases.is_empty() || bases.iter().any(has_option)
    }
}

fn joined(directory: &str, name: &str) -> String {
    if directory == "." { name.to_owned() } else { Path::new(directory).join(name).to_string_lossy().into_owned() }
}

fn rest(usage: &PathUse) -> &str {
    match &usage.rest {
        Some(Rest::Pattern(_) | Rest::Unknown(_) | Rest::Found(_)) => usage.text.rsplit('/').next().unwrap_or_default(),
        Some(Rest::Into(_)) | None => "",
    }
}
