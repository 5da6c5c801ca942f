//! Which files a command line reads and writes, as far as the rules for reading and editing have something to say: a rule
//! for every file (`*`) that asks is answered by the rule that allows the command, one that denies is not, and a rule
//! for some files always counts.

use std::{collections::BTreeSet, path::Path};

use polytree_protocol::permission::Action;

use super::{
    commands::{Access, Analysis, PathUse, Rest},
    directories::is_harmless_device,
    places::{Surroundings, Target, bases, targets},
};
use crate::{permission::rules::Rules, stdx::paths::AbsPath};

/// A tree with more entries than this is not looked through for files that rules ask about.
const ENTRIES: usize = 20_000;

/// What a line needs leave for besides its commands.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// Files whose reading has to be asked for.
    pub read: Vec<String>,
    /// Files whose changing has to be asked for.
    pub edit: Vec<String>,
    /// It may write what may not be written, or have options that nobody sees: a person has to look at it.
    pub is_unclear: bool,
}

/// Looks at every path of the line.
pub(super) fn files(analysis: &Analysis, surroundings: &Surroundings<'_>, worktree: &AbsPath, rules: &Rules) -> Files {
    let mut look = Look { surroundings, worktree, rules, files: Files::default(), left: ENTRIES, seen: BTreeSet::new() };
    for usage in &analysis.paths {
        look.at(usage);
    }
    look.files.is_unclear |= analysis.option_globs.iter().any(|usage| look.may_be_option(usage));
    look.files
}

struct Look<'a> {
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
        if target.is_below {
            names = names.iter().map(|name| Path::new(name).join(rest(usage)).to_string_lossy().into_owned()).collect();
        }
        for name in names {
            if !self.files.edit.contains(&name) && self.rules.evaluate_quiet("edit", &name) != Action::Allow {
                self.files.edit.push(name);
            }
        }
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
        for entry in entries.flatten().take(ENTRIES) {
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
            return;
        }
        if !self.seen.insert(format!("{hidden} {}", target.real)) {
            return;
        }
        let mut walk = ignore::WalkBuilder::new(&target.real);
        walk.hidden(!hidden)
            .ignore(!hidden)
            .git_ignore(!hidden)
            .git_exclude(!hidden)
            .git_global(false)
            .parents(!hidden)
            .follow_links(false);
        walk.filter_entry(|entry| entry.file_name() != ".git");
        for entry in walk.build().flatten() {
            if self.left == 0 {
                return;
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
                self.reads(&Target { named, real, is_below: false });
            }
        }
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

fn rest(usage: &PathUse) -> &str {
    match &usage.rest {
        Some(Rest::Pattern(_) | Rest::Unknown(_)) => usage.text.rsplit('/').next().unwrap_or_default(),
        None => "",
    }
}
