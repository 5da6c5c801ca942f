//! What a mode allows without a question, and whose rules allow a command. Pure.

use polytree_protocol::{
    permission::{Action, Rule},
    sandbox::Mode,
};

use super::rules::{Decision, Origin};

/// Whose rules allow something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The user's: a rule of the user's own, or an answer that is remembered.
    User,
    /// Only rules that are shipped with the program, for what looks and changes nothing.
    BuiltIn,
    /// A project's that the user trusts, at least in part.
    Project,
}

/// Whose rules allow all of it; `own` are the user's own rules for the agent in charge.
pub fn authority(decisions: &[Decision], own: &[Rule]) -> Authority {
    let is_users = |decision: &Decision| match &decision.rule {
        Some((origin, _)) if origin.is_users() || *origin == Origin::Grants => true,
        Some((Origin::Agent, rule)) => own.contains(rule),
        _ => false,
    };
    let is_projects = |decision: &Decision| matches!(&decision.rule, Some((Origin::Project, _)));
    if decisions.iter().any(is_projects) {
        Authority::Project
    } else if decisions.iter().any(is_users) {
        Authority::User
    } else {
        Authority::BuiltIn
    }
}

/// What is about to be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The permission's type.
    pub kind: &'a str,
    /// What is asked for.
    pub patterns: &'a [String],
    /// What the rules say of each.
    pub decisions: &'a [Decision],
    /// It is asked even if all rules allow it: a command line that is not understood, or a private place.
    pub force: bool,
    /// Some rule denies what a command could do.
    pub denies: bool,
}

/// How a mode answers instead of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may be done.
    Yes,
    /// The command may run inside the sandbox.
    Confined,
}

/// Files and directories of a project that hold settings and agents of polytree.
pub const OWN_NAMES: [&str; 3] = [".polytree", "polytree.json", "polytree.jsonc"];

/// Whether a path is one of polytree's own, or lies in one.
fn is_own(path: &str) -> bool {
    std::path::Path::new(path).components().any(|part| OWN_NAMES.iter().any(|name| part.as_os_str() == *name))
}

impl Request<'_> {
    /// What the mode says of something that would be asked for; `None`: the user is asked.
    pub fn answered_by(self, mode: Mode) -> Option<Answer> {
        let asks_on_purpose = |decision: &Decision| {
            decision.action == Action::Ask && matches!(&decision.rule, Some((origin, rule)) if origin.is_users() && rule.pattern != "*")
        };
        if self.decisions.iter().any(|decision| decision.action == Action::Deny || asks_on_purpose(decision)) {
            return None;
        }
        // A line that is not understood could do what is denied.
        if self.force && (self.kind != "bash" || self.denies) {
            return None;
        }
        // They decide what is allowed.
        if self.kind == "edit" && self.patterns.iter().any(|path| is_own(path)) {
            return None;
        }
        match (mode, self.kind) {
            (Mode::All, _) => Some(Answer::Yes),
            (Mode::Edits, "bash") => Some(Answer::Confined),
            // A path that is not absolute lies in the worktree.
            (Mode::Edits, "edit") if self.patterns.iter().all(|path| !std::path::Path::new(path).has_root()) => Some(Answer::Yes),
            (Mode::Edits | Mode::Ask, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rules::Rules, *};

    fn rule(permission: &str, pattern: &str, action: Action) -> Rule {
        Rule { permission: permission.to_owned(), pattern: pattern.to_owned(), action }
    }

    fn answer(mode: Mode, user: &[Rule], kind: &str, pattern: &str, force: bool) -> Option<Answer> {
        let rules = Rules::new(None).with(Origin::User, user);
        let patterns = [pattern.to_owned()];
        let decisions = [rules.decide(kind, pattern)];
        Request { kind, patterns: &patterns, decisions: &decisions, force, denies: rules.denies_a_command() }.answered_by(mode)
    }

    #[test]
    fn a_mode_answers_what_it_is_for_and_nothing_else() {
        let deny = [rule("bash", "rm *", Action::Deny)];
        let ask = [rule("bash", "git push *", Action::Ask), rule("edit", "*", Action::Ask), rule("edit", "docs/*", Action::Ask)];
        let (yes, confined) = (Some(Answer::Yes), Some(Answer::Confined));
        for (mode, user, kind, pattern, force, expected) in [
            (Mode::Ask, &[][..], "bash", "make", false, None),
            (Mode::Edits, &[], "edit", "polytree.json", false, None),
            (Mode::Edits, &[], "edit", "sub/.polytree/agent/x.md", false, None),
            (Mode::All, &[], "edit", "polytree.jsonc", false, None),
            (Mode::Edits, &[], "bash", "make", false, confined),
            (Mode::Edits, &[], "edit", "src/a", false, yes),
            (Mode::Edits, &[], "edit", "/etc/a", false, None),
            (Mode::Edits, &[], "external_directory", "/etc/*", false, None),
            (Mode::Edits, &[], "read", ".env", false, None),
            (Mode::Edits, &[], "sandbox", "make", false, None),
            (Mode::All, &[], "read", ".env", false, yes),
            (Mode::All, &[], "external_directory", "/etc/*", false, yes),
            (Mode::All, &[], "external_directory", "/w/.git/*", true, None),
            (Mode::Edits, &[], "bash", "$X", true, confined),
            (Mode::All, &[], "bash", "$X", true, yes),
            (Mode::All, &deny, "bash", "$X", true, None),
            (Mode::Edits, &deny, "bash", "$X", true, None),
            (Mode::All, &deny, "bash", "rm x", false, None),
            (Mode::All, &deny, "bash", "make", false, yes),
            (Mode::All, &ask, "bash", "git push x", false, None),
            (Mode::All, &ask, "edit", "src/a", false, yes),
            (Mode::All, &ask, "edit", "docs/a", false, None),
        ] {
            assert_eq!(answer(mode, user, kind, pattern, force), expected, "{mode:?} {user:?} {kind} {pattern} {force}");
        }
    }

    #[test]
    fn whose_rules_allow_it() {
        let (ls, make) = (rule("bash", "ls *", Action::Allow), rule("bash", "make *", Action::Allow));
        let of = |origin, rule: &Rule| Decision { action: Action::Allow, rule: Some((origin, rule.clone())) };
        for (decisions, own, expected) in [
            (vec![of(Origin::BuiltIn, &ls), of(Origin::Agent, &ls)], &[][..], Authority::BuiltIn),
            (vec![of(Origin::BuiltIn, &ls), of(Origin::User, &make)], &[], Authority::User),
            (vec![of(Origin::Grants, &make)], &[], Authority::User),
            (vec![of(Origin::Agent, &make)], std::slice::from_ref(&make), Authority::User),
            (vec![of(Origin::Project, &make), of(Origin::User, &ls)], &[], Authority::Project),
        ] {
            assert_eq!(authority(&decisions, own), expected, "{decisions:?}");
        }
    }
}
