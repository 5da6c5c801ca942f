//! What the rules say about one request: allow, ask or deny. Pure.
//! Of all matching rules the last one wins, over all layers from the built-in ones to the session's grants; a deny of the
//! user is final, and no later layer lifts it.

use polytree_protocol::{
    permission::{Action, Rule},
    permission_config::PERMISSION_TYPES,
};

use super::pattern::Pattern;

/// Where a list of rules comes from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Shipped with the program.
    BuiltIn,
    /// The user's settings: a deny in here cannot be lifted by any other list.
    User,
    /// The project's settings, once the user trusts them.
    Project,
    /// What the user's own settings say about the agent in charge: a deny in here cannot be lifted either.
    UserAgent,
    /// The agent in charge.
    Agent,
    /// What was set for the session: a deny in here cannot be lifted either.
    Session,
    /// What the user has answered with "always".
    Grants,
}

impl Origin {
    /// Whether the user wrote the rules for themselves, so that no other list lifts a deny.
    pub fn is_users(self) -> bool {
        matches!(self, Self::User | Self::UserAgent | Self::Session)
    }
}

/// The rules that hold for one session, ready to be asked.
#[derive(Debug, Clone)]
pub struct Rules {
    home: Option<String>,
    rules: Vec<Compiled>,
    /// The rules of those above, each without any above it: what they ask for or deny is not allowed here either.
    above: Vec<Rules>,
}

#[derive(Debug, Clone)]
struct Compiled {
    origin: Origin,
    pattern: Pattern,
    rule: Rule,
}

/// What was decided, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The rule that decided, with its origin; `None` when no rule matches, which means ask.
    pub rule: Option<(Origin, Rule)>,
}

impl Decision {
    /// The stricter of two decisions, the first of equal ones.
    fn or_stricter(self, other: Self) -> Self {
        if stricter(self.action, other.action) == self.action { self } else { other }
    }

    /// Whether a rule with these words allows it, or it is not allowed.
    fn names(&self, words: &[String]) -> bool {
        let is_named = |pattern: &str| {
            let has = |word: &String| pattern.split_whitespace().any(|part| part.trim_end_matches(['*', '?']) == word);
            !words.is_empty() && words.iter().all(has)
        };
        self.action != Action::Allow || self.rule.as_ref().is_some_and(|(_, rule)| is_named(&rule.pattern))
    }
}

impl Rules {
    /// The rule that asks about everything; tools add theirs with [`Origin::BuiltIn`]. `home` is what a leading `~/` or
    /// `$HOME/` in a pattern stands for.
    pub fn new(home: Option<&str>) -> Self {
        let any = "*".to_owned();
        Self::none(home).with(Origin::BuiltIn, &[Rule { permission: any.clone(), pattern: any, action: Action::Ask }])
    }

    /// No rules at all.
    pub fn none(home: Option<&str>) -> Self {
        Self { home: home.map(str::to_owned), rules: Vec::new(), above: Vec::new() }
    }

    /// Nothing is more allowed than by these rules too.
    pub fn below(mut self, mut above: Self) -> Self {
        self.above.append(&mut above.above);
        self.above.push(above);
        self
    }

    fn all(&self) -> impl Iterator<Item = &Compiled> {
        std::iter::once(self).chain(&self.above).flat_map(|rules| &rules.rules)
    }

    /// Adds rules of one origin behind those of the same or a weaker origin; within an origin the order of adding is kept.
    /// What is granted holds for those above too.
    pub fn add(&mut self, origin: Origin, rules: &[Rule]) {
        if origin == Origin::Grants {
            self.above.iter_mut().for_each(|above| above.add(origin, rules));
        }
        let at = self.rules.partition_point(|compiled| compiled.origin <= origin);
        let home = self.home.as_deref();
        let compiled = rules.iter().map(|rule| Compiled { origin, pattern: Pattern::new(&rule.pattern, home), rule: rule.clone() });
        self.rules.splice(at..at, compiled);
    }

    /// Like [`Rules::add`], for building in one expression.
    pub fn with(mut self, origin: Origin, rules: &[Rule]) -> Self {
        self.add(origin, rules);
        self
    }

    /// What the rules say about one request, with the rule that decided.
    ///
    /// `kind` is the permission's type (`bash`, `edit`, ...), `pattern` what is asked for. For `bash` a rule that asks or
    /// denies also looks at the command without the directories before its name, so `/bin/rm x` does not get round `rm *`.
    pub fn decide(&self, kind: &str, pattern: &str) -> Decision {
        self.decide_as(kind, pattern, pattern)
    }

    /// The same for something that grants know by other names, each of which has to be granted; see [`granted_as`].
    pub fn decide_bound(&self, kind: &str, pattern: &str, names: &[String]) -> Decision {
        let decisions = names.iter().map(|name| self.decide_as(kind, pattern, name));
        decisions.reduce(Decision::or_stricter).unwrap_or_else(|| self.decide(kind, pattern))
    }

    /// Whether a rule names the command with these words, rather than allowing it among others, wherever the command runs;
    /// or it is not allowed. `granted` are its names for grants; see [`granted_as`].
    #[must_use]
    pub fn name_command(&self, command: &str, granted: &[String], words: &[String]) -> bool {
        let is_named = |name: &str| self.decide_as("bash", command, name).names(words);
        if granted.is_empty() { is_named(command) } else { granted.iter().all(|name| is_named(name)) }
    }

    fn decide_as(&self, kind: &str, pattern: &str, granted: &str) -> Decision {
        let above = self.above.iter().map(|rules| rules.decide_alone(kind, pattern, granted));
        above.fold(self.decide_alone(kind, pattern, granted), Decision::or_stricter)
    }

    /// Without those above.
    fn decide_alone(&self, kind: &str, pattern: &str, granted: &str) -> Decision {
        let bare = if kind == "bash" { without_directory(pattern) } else { None };
        let matches = |compiled: &&Compiled| {
            let Compiled { pattern: compiled_pattern, rule, origin } = compiled;
            let text = if *origin == Origin::Grants { granted } else { pattern };
            (rule.permission == "*" || rule.permission == kind)
                && (compiled_pattern.matches(text)
                    || (rule.action != Action::Allow && bare.is_some_and(|bare| compiled_pattern.matches(bare))))
        };
        let last_of = |origin| self.rules.iter().rev().filter(move |compiled| compiled.origin == origin).find(matches);
        let denied = [Origin::User, Origin::UserAgent, Origin::Session]
            .into_iter()
            .filter_map(last_of)
            .find(|compiled| compiled.rule.action == Action::Deny);
        let decisive = denied.or_else(|| self.rules.iter().rev().find(matches));
        match decisive {
            Some(compiled) => Decision { action: compiled.rule.action, rule: Some((compiled.origin, compiled.rule.clone())) },
            None => Decision { action: Action::Ask, rule: None },
        }
    }

    /// What the rules say about one request.
    pub fn evaluate(&self, kind: &str, pattern: &str) -> Action {
        self.decide(kind, pattern).action
    }

    /// What the rules say about several patterns of one request: one deny refuses all, else one ask asks for all.
    /// `force` turns allow into ask.
    pub fn evaluate_all<'a>(&self, kind: &str, patterns: impl IntoIterator<Item = &'a str>, force: bool) -> Action {
        let start = if force { Action::Ask } else { Action::Allow };
        patterns.into_iter().map(|pattern| self.evaluate(kind, pattern)).fold(start, stricter)
    }

    /// Whether a rule denies anything that a command could do.
    pub fn denies_a_command(&self) -> bool {
        const KINDS: [&str; 7] = ["*", "bash", "edit", "read", "external_directory", "webfetch", "sandbox"];
        self.all().any(|compiled| compiled.rule.action == Action::Deny && KINDS.contains(&compiled.rule.permission.as_str()))
    }

    /// What the rules say about something that nothing has to allow: what an allowed command does, or what does nothing by
    /// itself. A deny holds, and so does a rule that asks for it; one that asks for everything (`*`) does not count.
    pub fn evaluate_quiet(&self, kind: &str, pattern: &str) -> Action {
        let above = self.above.iter().map(|rules| rules.evaluate_quiet_alone(kind, pattern));
        above.fold(self.evaluate_quiet_alone(kind, pattern), stricter)
    }

    fn evaluate_quiet_alone(&self, kind: &str, pattern: &str) -> Action {
        let decision = self.decide_alone(kind, pattern, pattern);
        let is_for_all = |rule: &Rule| rule.action == Action::Ask && rule.pattern == "*";
        match decision.rule {
            Some((_, rule)) if is_for_all(&rule) => {
                let narrow = self.rules.iter().filter(|compiled| !is_for_all(&compiled.rule)).cloned().collect();
                let decision = Self { home: None, rules: narrow, above: Vec::new() }.decide(kind, pattern);
                decision.rule.map_or(Action::Allow, |(_, rule)| rule.action)
            }
            rule => rule.map_or(Action::Allow, |(_, rule)| rule.action),
        }
    }

    /// Whether some rule that asks or denies is about this, not counting those that ask about everything.
    pub fn may_restrict(&self, kind: &str, pattern: &str) -> bool {
        self.all().any(|compiled| {
            let rule = &compiled.rule;
            rule.action != Action::Allow
                && (rule.permission == "*" || rule.permission == kind)
                && !(rule.action == Action::Ask && rule.pattern == "*")
                && compiled.pattern.matches(pattern)
        })
    }

    /// The patterns of this kind that some rule denies: what is not understood could be any of them.
    pub fn denied(&self, kind: &str) -> impl Iterator<Item = &str> {
        let rules = self.all().map(|compiled| &compiled.rule);
        let denies = rules.filter(move |rule| rule.action == Action::Deny && (rule.permission == "*" || rule.permission == kind));
        denies.map(|rule| rule.pattern.as_str())
    }

    /// Whether rules, besides the built-in ones, ask for or deny some things of this kind and not others.
    #[must_use]
    pub fn has_narrow(&self, kind: &str) -> bool {
        self.all().any(|compiled| {
            let rule = &compiled.rule;
            compiled.origin != Origin::BuiltIn && rule.permission == kind && rule.action != Action::Allow && rule.pattern != "*"
        })
    }

    /// Whether everything of this kind is denied, so that a tool needs not even be offered.
    pub fn denies_all(&self, kind: &str) -> bool {
        let of_kind = |compiled: &&Compiled| compiled.rule.permission == "*" || compiled.rule.permission == kind;
        let denies = |compiled: &Compiled| compiled.rule.action == Action::Deny && compiled.rule.pattern == "*";
        self.above.iter().any(|above| above.denies_all(kind))
            || self.rules.iter().rev().find(of_kind).is_some_and(denies)
            || [Origin::User, Origin::Session]
                .into_iter()
                .any(|origin| self.rules.iter().rev().filter(|compiled| compiled.origin == origin).find(of_kind).is_some_and(denies))
    }
}

/// The most rules that a client may set, and the longest pattern of one, in bytes.
const MAX_RULES: usize = 500;
const MAX_PATTERN: usize = 4096;

/// Checks rules of a client: says what is wrong. One that could never match is refused, for a misspelt deny protects
/// nothing.
pub fn check(rules: &[Rule]) -> Result<(), String> {
    if rules.len() > MAX_RULES {
        return Err(format!("must have at most {MAX_RULES} rules, not {}", rules.len()));
    }
    for rule in rules {
        if rule.pattern.len() > MAX_PATTERN {
            return Err(format!("a pattern has {} bytes; the limit is {MAX_PATTERN}", rule.pattern.len()));
        }
        if !PERMISSION_TYPES.contains(&rule.permission.as_str()) {
            let name = crate::stdx::text::prefix(&rule.permission, 100);
            return Err(format!("there is no permission type {name:?}; known are {}", PERMISSION_TYPES.join(", ")));
        }
    }
    Ok(())
}

/// The stricter of two actions.
pub fn stricter(one: Action, other: Action) -> Action {
    match (one, other) {
        (Action::Deny, _) | (_, Action::Deny) => Action::Deny,
        (Action::Ask, _) | (_, Action::Ask) => Action::Ask,
        (Action::Allow, Action::Allow) => Action::Allow,
    }
}

/// The names by which grants know something that is asked for: of what is granted for one place only, the place is a part.
pub fn granted_as(metadata: &serde_json::Value, pattern: &str) -> Vec<String> {
    let names = metadata.get("bound").and_then(|bound| bound.get(pattern)).and_then(serde_json::Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// `rm x` for `/bin/rm x`; `None` when the command's name has no directory.
fn without_directory(command: &str) -> Option<&str> {
    let name_end = command.find(char::is_whitespace).unwrap_or(command.len());
    let slash = command[..name_end].rfind('/')?;
    Some(&command[slash + 1..])
}

#[cfg(test)]
mod tests {
    use polytree_protocol::permission::{Action, Rule};
    use proptest::prelude::*;

    use super::{Origin, Rules};

    fn rule(permission: &str, pattern: &str, action: Action) -> Rule {
        Rule { permission: permission.to_owned(), pattern: pattern.to_owned(), action }
    }

    fn bash(pattern: &str, action: Action) -> Rule {
        rule("bash", pattern, action)
    }

    #[test]
    fn the_last_match_wins_and_a_map_keeps_its_order() {
        let rules = Rules::new(None).with(Origin::User, &[bash("*", Action::Ask), bash("git status*", Action::Allow)]);
        assert_eq!(rules.evaluate("bash", "git status -s"), Action::Allow);
        assert_eq!(rules.evaluate("bash", "git push"), Action::Ask);
        let rules = Rules::new(None).with(Origin::User, &[bash("git status*", Action::Allow), bash("*", Action::Ask)]);
        assert_eq!(rules.evaluate("bash", "git status -s"), Action::Ask);
    }

    #[test]
    fn one_word_allows_everything() {
        let rules = Rules::new(None).with(Origin::User, &[rule("*", "*", Action::Allow)]);
        for kind in ["bash", "edit", "external_directory", "read", "mcp"] {
            assert_eq!(rules.evaluate(kind, "/x/.env"), Action::Allow, "{kind}");
        }
    }

    #[test]
    fn a_deny_of_the_user_is_final() {
        let deny = [bash("*", Action::Allow), bash("rm *", Action::Deny)];
        let rules = Rules::new(None)
            .with(Origin::Grants, &[bash("rm *", Action::Allow)])
            .with(Origin::User, &deny)
            .with(Origin::Agent, &[rule("*", "*", Action::Allow)]);
        assert_eq!(rules.evaluate("bash", "rm x"), Action::Deny);
        assert_eq!(rules.decide("bash", "rm x").rule, Some((Origin::User, deny[1].clone())));
        let rules = rules.with(Origin::User, &[bash("rm tmp/*", Action::Allow)]);
        assert_eq!(rules.evaluate("bash", "rm tmp/a"), Action::Allow);
        assert_eq!(rules.evaluate("bash", "rm a"), Action::Deny);
    }

    #[test]
    fn a_deny_of_the_session_is_final_and_its_allow_counts_after_the_agent() {
        let agent = [bash("make *", Action::Deny), rule("edit", "*", Action::Allow)];
        let session = [bash("make *", Action::Allow), rule("edit", "*", Action::Deny)];
        let rules = Rules::new(None)
            .with(Origin::Session, &session)
            .with(Origin::Agent, &agent)
            .with(Origin::Grants, &[rule("edit", "*", Action::Allow)]);
        assert_eq!((rules.evaluate("bash", "make x"), rules.evaluate("edit", "a")), (Action::Allow, Action::Deny));
        assert!(rules.denies_all("edit"));
        let rules = rules.with(Origin::User, &[bash("make *", Action::Deny)]);
        assert_eq!(rules.evaluate("bash", "make x"), Action::Deny, "an allow of the session lifts no deny of the user");
    }

    #[test]
    fn a_deny_of_the_project_can_be_lifted_by_what_comes_later() {
        let rules = Rules::new(None).with(Origin::Project, &[bash("rm *", Action::Deny)]);
        assert_eq!(rules.evaluate("bash", "rm x"), Action::Deny);
        assert_eq!(rules.with(Origin::Grants, &[bash("rm x", Action::Allow)]).evaluate("bash", "rm x"), Action::Allow);
    }

    #[test]
    fn a_directory_before_the_name_lifts_no_deny_and_earns_no_allow() {
        let rules = Rules::new(None).with(
            Origin::User,
            &[bash("*", Action::Ask), bash("ls *", Action::Allow), bash("./gradlew *", Action::Allow), bash("rm *", Action::Deny)],
        );
        assert_eq!(rules.evaluate("bash", "/bin/rm x"), Action::Deny);
        assert_eq!(rules.evaluate("bash", "./rm"), Action::Deny);
        assert_eq!(rules.evaluate("bash", "./ls x"), Action::Ask);
        assert_eq!(rules.evaluate("bash", "./gradlew build"), Action::Allow);
        assert_eq!(rules.evaluate("bash", "cat a/rm b"), Action::Ask);
    }

    #[test]
    fn several_patterns_are_judged_by_the_strictest() {
        let rules = Rules::new(None).with(Origin::User, &[bash("ls *", Action::Allow), bash("rm *", Action::Deny)]);
        assert_eq!(rules.evaluate_all("bash", ["ls"], false), Action::Allow);
        assert_eq!(rules.evaluate_all("bash", ["ls"], true), Action::Ask);
        assert_eq!(rules.evaluate_all("bash", ["ls", "cat x"], false), Action::Ask);
        assert_eq!(rules.evaluate_all("bash", ["cat x", "rm x"], true), Action::Deny);
    }

    #[test]
    fn what_nothing_has_to_allow_is_asked_only_by_a_rule_about_it() {
        let rules = Rules::new(None).with(Origin::User, &[bash("*", Action::Ask), bash("cd *", Action::Ask), bash("exit *", Action::Deny)]);
        assert_eq!(rules.evaluate_quiet("bash", "set -e"), Action::Allow);
        assert_eq!(rules.evaluate_quiet("bash", "cd a"), Action::Ask);
        assert_eq!(rules.evaluate_quiet("bash", "exit 1"), Action::Deny);
        assert_eq!(rules.denied("bash").collect::<Vec<_>>(), ["exit *"]);
        let rules = Rules::new(None).with(Origin::User, &[bash("*", Action::Deny)]);
        assert_eq!(rules.evaluate_quiet("bash", "set -e"), Action::Deny);
    }

    #[test]
    fn a_rule_names_a_command_by_its_words() {
        for (pattern, command, words, expected) in [
            ("*", "git push", &["push"][..], false),
            ("git *", "git push", &["push"], false),
            ("git p*", "git push", &["push"], false),
            ("git push*", "git push", &["push"], true),
            ("git push *", "git push origin", &["push"], true),
            ("git * push *", "git -C x push", &["push"], true),
            ("git push origin main", "git push origin main", &["push"], true),
            ("git remote *", "git remote update", &["remote", "update"], false),
            ("git remote update", "git remote update", &["remote", "update"], true),
            ("git *", "git", &[], false),
            ("ls *", "git push", &["push"], true),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let rules = Rules::new(None).with(Origin::User, &[bash(pattern, Action::Allow)]);
            assert_eq!(rules.name_command(command, &[], &words), expected, "{pattern} {command}");
        }
        assert!(Rules::new(None).with(Origin::User, &[rule("edit", "*.lock", Action::Deny)]).has_narrow("edit"));
        assert!(!Rules::new(None).with(Origin::User, &[rule("edit", "*", Action::Deny)]).has_narrow("edit"));
    }

    #[test]
    fn what_is_bound_to_a_place_is_granted_there_only() {
        let rules = Rules::new(None).with(Origin::Grants, &[bash("[in /w] make x", Action::Allow), bash("make y", Action::Allow)]);
        let metadata = serde_json::json!({ "bound": { "make x": ["[in /w] make x"], "make y": ["[in /w] make y"] } });
        let of =
            |pattern: &str, metadata: &serde_json::Value| rules.decide_bound("bash", pattern, &super::granted_as(metadata, pattern)).action;
        assert_eq!(of("make x", &metadata), Action::Allow);
        assert_eq!(of("make y", &metadata), Action::Ask, "a grant without a place");
        let two = serde_json::json!({ "bound": { "make x": ["[in /w] make x", "[in /w/sub] make x"] } });
        assert_eq!(of("make x", &two), Action::Ask);
        assert_eq!(of("make y", &serde_json::Value::Null), Action::Allow);
        let names = |places: &[&str]| {
            let rules = rules.clone().with(Origin::User, &[bash("*", Action::Allow)]);
            rules.name_command("make x", &places.iter().map(|place| format!("{place} make x")).collect::<Vec<_>>(), &["x".to_owned()])
        };
        assert!(names(&["[in /w]"]) && !names(&["[in /v]"]) && !names(&["[in /w]", "[in /v]"]));
        let rules = rules.with(Origin::User, &[bash("make *", Action::Allow)]);
        assert_eq!(rules.decide_bound("bash", "make x", &["[in /v] make x".to_owned()]).action, Action::Allow);
    }

    #[test]
    fn a_kind_that_is_denied_altogether_is_known() {
        let rules = Rules::new(None).with(Origin::User, &[rule("webfetch", "*", Action::Deny)]);
        assert!(rules.denies_all("webfetch"));
        assert!(!rules.denies_all("bash"));
        assert!(!rules.with(Origin::User, &[rule("webfetch", "https://a/*", Action::Allow)]).denies_all("webfetch"));
    }

    #[test]
    fn nothing_is_more_allowed_than_above() {
        let plan = [rule("edit", "*", Action::Deny), bash("*", Action::Ask), bash("ls *", Action::Allow)];
        let above = Rules::new(None).with(Origin::User, &[bash("make *", Action::Deny)]).with(Origin::Agent, &plan);
        let own = Rules::new(None).with(Origin::Agent, &[rule("*", "*", Action::Allow), bash("ls x", Action::Ask)]);
        let middle = Rules::new(None).with(Origin::Agent, &[rule("*", "*", Action::Allow), bash("ls y", Action::Deny)]).below(above);
        let rules = own.below(middle);
        for (kind, pattern, expected) in [
            ("edit", "a", Action::Deny),
            ("bash", "ls", Action::Allow),
            ("bash", "ls x", Action::Ask),
            ("bash", "ls y", Action::Deny),
            ("bash", "touch a", Action::Ask),
            ("bash", "make a", Action::Deny),
        ] {
            assert_eq!(rules.evaluate(kind, pattern), expected, "{kind} {pattern}");
        }
        assert!(rules.denies_all("edit") && !rules.denies_all("bash") && rules.denies_a_command() && rules.has_narrow("bash"));
        assert_eq!(rules.denied("bash").collect::<Vec<_>>(), ["make *", "ls y"]);
        assert_eq!((rules.evaluate_quiet("bash", "make x"), rules.evaluate_quiet("bash", "cd x")), (Action::Deny, Action::Allow));
        let granted = rules.with(Origin::Grants, &[bash("touch *", Action::Allow), bash("make *", Action::Allow)]);
        assert_eq!(granted.evaluate("bash", "touch a"), Action::Allow, "a grant holds for those above too");
        assert_eq!(granted.evaluate("bash", "make a"), Action::Deny);
    }

    fn rules_strategy() -> impl Strategy<Value = Vec<Rule>> {
        let action = prop_oneof![Just(Action::Allow), Just(Action::Ask), Just(Action::Deny)];
        prop::collection::vec(
            ("bash|edit|\\*", "[ab*? ]{0,4}", action).prop_map(|(kind, pattern, action)| rule(&kind, &pattern, action)),
            0..5,
        )
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_reading(user in rules_strategy(), project in rules_strategy(), grants in rules_strategy(), text in "[ab ]{0,4}") {
            let hit = |rule: &&Rule| (rule.permission == "*" || rule.permission == "bash") && super::Pattern::new(&rule.pattern, None).matches(&text);
            let all: Vec<Rule> = [vec![rule("*", "*", Action::Ask)], user.clone(), project.clone(), grants.clone()].concat();
            let last = all.iter().rfind(hit).map_or(Action::Ask, |rule| rule.action);
            let users = user.iter().rfind(hit).map(|rule| rule.action);
            let expected = if users == Some(Action::Deny) { Action::Deny } else { last };
            // The order of adding origins does not matter.
            let rules = Rules::new(None).with(Origin::Grants, &grants).with(Origin::Project, &project).with(Origin::User, &user);
            prop_assert_eq!(rules.evaluate("bash", &text), expected);
        }
    }
}
