//! Permission questions at the terminal: how they are shown, and how a typed line is parsed. Pure.

use std::collections::VecDeque;

use polytree_protocol::{
    id::PermissionId,
    permission::{Permission, PermissionResponse},
};
use serde_json::{Map, Value, json};

use crate::{
    cli::render::{
        sanitize,
        style::{CODE, FAINT, STRONG, WARNING, diff, diff_lines, paint},
    },
    stdx::text::ellipsis,
};

/// The limit of shown lines of a change.
const MAX_DIFF_LINES: usize = 200;

/// A command with more lines may have scrolled off the screen when the question is shown.
const LONG_COMMAND_LINES: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Allow once.
    Once,
    /// Allow from now on.
    Always,
    /// Refuse, optionally with a message for the model.
    Reject(Option<String>),
}

impl Answer {
    /// The reply in its wire form.
    #[must_use]
    pub fn response(&self) -> PermissionResponse {
        match self {
            Answer::Once => PermissionResponse::Once,
            Answer::Always => PermissionResponse::Always,
            Answer::Reject(_) => PermissionResponse::Reject,
        }
    }
}

/// The meaning of a typed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Answer(Answer),
    /// Show the complete change first.
    View,
    /// Unclear: the possible answers are explained, and the question is asked again.
    Unclear,
}

/// Words that allow once.
const ASSENT: &[&str] = &["y", "yes", "yep", "yeah", "yup", "ok", "okay", "sure", "allow", "once"];
/// Phrases that allow once.
const ASSENT_PHRASES: &[&str] =
    &["yes please", "ok do it", "yes do it", "go ahead", "yes go ahead", "go on", "do it", "please do", "allow once"];
/// Words and phrases that refuse.
const REFUSAL: &[&str] = &[
    "n",
    "no",
    "nope",
    "nah",
    "never",
    "stop",
    "cancel",
    "reject",
    "refuse",
    "deny",
    "no thanks",
    "no thank you",
    "no way",
    "do not",
    "don't",
];

/// Parses a typed line. A word of assent never refuses, and a single word is never a reason: a reason is the text after
/// `n`, or has several words.
#[must_use]
pub fn parse(line: &str, question: &Permission) -> Typed {
    let text = line.trim();
    let words: Vec<String> =
        text.split(|c: char| c.is_whitespace() || ",.!;:".contains(c)).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let plain = words.join(" ");
    let plain = plain.as_str();
    let (first, reason) = text.split_once(|c: char| c.is_whitespace() || ",:;".contains(c)).unwrap_or((text, ""));
    let (first, reason) = (first.to_lowercase(), reason.trim());
    match plain {
        "a" | "always" if !question.always.is_empty() => Typed::Answer(Answer::Always),
        "v" | "view" | "view all" => Typed::View,
        _ if ASSENT.contains(&plain) || ASSENT_PHRASES.contains(&plain) => Typed::Answer(Answer::Once),
        _ if REFUSAL.contains(&plain) => Typed::Answer(Answer::Reject(None)),
        // An assent with a condition is unclear.
        _ if first == "always" || ASSENT.contains(&first.as_str()) => Typed::Unclear,
        _ if first == "n" || (first == "no" && text.get(2..).is_some_and(|rest| !rest.starts_with(char::is_whitespace))) => {
            Typed::Answer(Answer::Reject(Some(reason.to_owned()).filter(|reason| !reason.is_empty())))
        }
        _ if words.len() > 1 => Typed::Answer(Answer::Reject(Some(text.to_owned()))),
        _ => Typed::Unclear,
    }
}

/// The possible answers, in sentences.
#[must_use]
pub fn help(question: &Permission) -> String {
    let mut choices = vec![("y", "allow this once".to_owned())];
    if !question.always.is_empty() {
        choices.push(("a", format!("allow this in this project from now on: {}", exact_list(&question.always))));
    }
    choices.push(("n", "refuse; the turn ends".to_owned()));
    choices.push(("n TEXT", "refuse and tell the model TEXT; so does a sentence of several words".to_owned()));
    if is_cut(question) {
        choices.push(("v", "show the whole change first".to_owned()));
    }
    choices.iter().map(|(key, what)| format!("  {}  {what}", paint(STRONG, &format!("{key:6}")))).collect::<Vec<_>>().join("\n")
}

/// The lines of the question; `child` is the title of the asking child session.
#[must_use]
pub fn question(question: &Permission, child: Option<&str>) -> String {
    shown(question, child, MAX_DIFF_LINES)
}

/// The question with the complete change.
#[must_use]
pub fn whole(question: &Permission, child: Option<&str>) -> String {
    shown(question, child, usize::MAX)
}

fn shown(question: &Permission, child: Option<&str>, most: usize) -> String {
    let mut lines = vec![heading(question)];
    if let Some(child) = child {
        lines.push(paint(FAINT, &format!("  asked by the subagent {:?}", sanitize::line(child))));
    }
    let code = |text: &str| sanitize::exact(text).lines().map(|line| format!("    {}", paint(CODE, line))).collect::<Vec<_>>();
    let command = command(question);
    // The command replaces its own patterns, but not those of directories outside the project.
    if command.is_none() || question.kind != "bash" {
        lines.extend(question.patterns.iter().flat_map(|pattern| code(pattern)));
    }
    if let Some(command) = command {
        if question.kind != "bash" {
            lines.push(paint(FAINT, "  for the command:"));
        }
        lines.extend(code(command));
        let count = command.lines().count();
        if count > LONG_COMMAND_LINES {
            lines.push(paint(FAINT, &format!("  the command has {count} lines")));
        }
        let fact = |field: &str| question.metadata.get(field);
        if let Some(directory) = fact("workdir").and_then(Value::as_str) {
            lines.push(format!("  in {}", paint(CODE, &sanitize::exact(directory))));
        }
        let outside: Vec<String> =
            fact("directories").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(sanitize::exact).collect();
        if question.kind == "bash" && !outside.is_empty() {
            lines.push(format!("  it also works in {}", paint(CODE, &outside.join(", "))));
        }
        if fact("understood") == Some(&Value::Bool(false)) {
            lines.push(paint(WARNING, "  it cannot be told what this line runs"));
        }
        let description = sanitize::line(&question.title);
        if description != sanitize::line(command) && !description.is_empty() {
            lines.push(paint(FAINT, &format!("  described by the model as: {description}")));
        }
    } else if let Some(patch) = patch(question) {
        lines.push(diff(patch, "    ", most).trim_end().to_owned());
    }
    if let Some(plan) = plan(question) {
        lines.extend(sanitize::exact(plan).lines().map(|line| format!("    {line}")));
    }
    if !question.always.is_empty() {
        lines.push(paint(FAINT, &format!("  always would allow: {}", exact_list(&question.always))));
    }
    lines.join("\n")
}

/// The kind of the question, and the title if the program, not the model, has written it.
fn heading(question: &Permission) -> String {
    let mark = paint(WARNING.bold(), "?");
    if command(question).is_some() {
        return format!("{mark} {}", paint(STRONG, &sanitize::line(&question.kind)));
    }
    let title = sanitize::exact(&question.title).replace('\n', " ");
    format!("{mark} {} {title}", paint(STRONG, &format!("{}:", sanitize::line(&question.kind))))
}

/// The command of the question. If there is one, the title is the model's description of it.
fn command(question: &Permission) -> Option<&str> {
    question.metadata.get("command")?.as_str()
}

/// The plan that the question is about.
fn plan(question: &Permission) -> Option<&str> {
    question.metadata.get("plan")?.as_str().filter(|_| is_plan(question))
}

/// Whether it asks to carry out a plan.
#[must_use]
pub fn is_plan(question: &Permission) -> bool {
    question.kind == "plan"
}

fn patch(question: &Permission) -> Option<&str> {
    question.metadata.get("diff")?.as_str().filter(|patch| !patch.is_empty())
}

/// Whether the question shows only a part of its change.
fn is_cut(question: &Permission) -> bool {
    command(question).is_none() && patch(question).is_some_and(|patch| diff_lines(patch).len() > MAX_DIFF_LINES)
}

fn exact_list(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| sanitize::exact(pattern)).collect::<Vec<_>>().join(", ")
}

/// The prompt with the possible answers, without a line end.
#[must_use]
pub fn choices(question: &Permission) -> String {
    let choice = |key: &str, rest: &str| format!("[{}]{rest}, ", paint(STRONG, key));
    let always = if question.always.is_empty() { String::new() } else { choice("a", "lways") };
    let view = if is_cut(question) { choice("v", "iew all") } else { String::new() };
    format!("  {}{always}{}{view}or what to do instead: ", choice("y", "es"), choice("n", "o"))
}

/// A short form of the question, for a line about its answer: the command or the patterns, then the model's description.
#[must_use]
pub fn short(question: &Permission) -> String {
    let patterns = question.patterns.join(", ");
    let fact = match command(question) {
        Some(command) if question.kind == "bash" => command,
        _ if patterns.is_empty() => &question.title,
        _ => &patterns,
    };
    let fact = ellipsis(&sanitize::line(fact), 100);
    let description = command(question).map(|_| sanitize::line(&question.title)).filter(|title| !title.is_empty() && *title != fact);
    let description = description.map(|title| paint(FAINT, &format!(" ({})", ellipsis(&title, 40)))).unwrap_or_default();
    format!("{}: {fact}{description}", sanitize::line(&question.kind))
}

/// The message for the model if `--yes` does not answer.
pub const NOT_BY_YES: &str = "it cannot be told what this line would run, and a rule denies some commands; \
    write each command as it is, without variables, substitutions or scripts in its place";

/// The message for the model if nobody is there who could approve its plan.
pub const ONLY_THE_PLAN: &str = "nobody is there to approve the plan; do not carry it out, and give it as your answer";

/// Whether a rule might deny it, so that only the user may allow it.
#[must_use]
pub fn may_be_denied(question: &Permission) -> bool {
    question.metadata.get("denies").and_then(|denies| denies.as_array()).is_some_and(|denies| !denies.is_empty())
}

/// Settings that would avoid the question; `None` if no rule can allow it.
#[must_use]
pub fn rule(question: &Permission) -> Option<String> {
    // Settings know a command without the place for which it could be granted, and without quotes.
    let plain = |pattern: &str| {
        let command = pattern.strip_prefix("[in ").and_then(|rest| rest.split_once("] ")).map_or(pattern, |(_, command)| command);
        if question.kind == "bash" { without_quotes(command) } else { command.to_owned() }
    };
    let rules: Map<String, Value> = question.always.iter().map(|pattern| (plain(pattern), json!("allow"))).collect();
    (!rules.is_empty()).then(|| sanitize::exact(&json!({ "permission": { &question.kind: rules } }).to_string()))
}

/// The words of a command without their quotes.
fn without_quotes(command: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('\\', None) => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    text
}

/// The open questions; the first one is asked.
#[derive(Debug, Default)]
pub struct Questions {
    waiting: VecDeque<Permission>,
}

impl Questions {
    /// Adds a question, unless it is known; true if it is the only one.
    pub fn add(&mut self, question: Permission) -> bool {
        if self.waiting.iter().any(|known| known.id == question.id) {
            return false;
        }
        self.waiting.push_back(question);
        self.waiting.len() == 1
    }

    /// The question that is asked.
    #[must_use]
    pub fn current(&self) -> Option<&Permission> {
        self.waiting.front()
    }

    /// Removes the question that is asked.
    pub fn take(&mut self) -> Option<Permission> {
        self.waiting.pop_front()
    }

    /// Removes an answered question; true if it was the one that is asked.
    pub fn withdraw(&mut self, id: &PermissionId) -> bool {
        let current = self.current().is_some_and(|question| question.id == *id);
        self.waiting.retain(|question| question.id != *id);
        current
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn permission(value: &Value) -> Permission {
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let mut whole = json!({
            "id": format!("per_{ulid}"), "sessionID": format!("ses_{ulid}"), "messageID": format!("msg_{ulid}"), "callID": "c", "time": { "created": 1 },
            "type": "bash", "patterns": ["make all"], "always": ["make *"], "title": "make all", "metadata": {},
        });
        for (key, field) in value.as_object().unwrap() {
            whole[key] = field.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn answers() {
        let with = permission(&json!({}));
        let without = permission(&json!({ "always": [] }));
        let refused = |reason: Option<&str>| Typed::Answer(Answer::Reject(reason.map(str::to_owned)));
        for assent in [" Y ", "yes", "yep", "sure", "Sure!", "okay", "ok", "allow", "yes please", "Yes, please.", "go ahead", "do it"] {
            assert_eq!(parse(assent, &with), Typed::Answer(Answer::Once), "{assent:?}");
        }
        assert_eq!(parse("always", &with), Typed::Answer(Answer::Always));
        assert_eq!(parse("v", &with), Typed::View);
        for refusal in ["n", "no", "No!", "nope", "stop", "deny", "no thanks", "n "] {
            assert_eq!(parse(refusal, &with), refused(None), "{refusal:?}");
        }
        assert_eq!(parse("use cargo instead", &with), refused(Some("use cargo instead")));
        assert_eq!(parse("n use cargo", &with), refused(Some("use cargo")));
        assert_eq!(parse("no, use cargo", &with), refused(Some("use cargo")));
        // Without its first word it would mean the opposite.
        assert_eq!(parse("no tests, please", &with), refused(Some("no tests, please")));
        assert_eq!(parse("a better way is make", &with), refused(Some("a better way is make")));
        for unclear in ["", "  ", "u", "yy", "?", "help", "cargo", "yes but use cargo", "sure, if it is fast", "always ask"] {
            assert_eq!(parse(unclear, &with), Typed::Unclear, "{unclear:?}");
        }
        assert_eq!(parse("a", &without), Typed::Unclear);
        assert!(help(&with).contains("from now on: make *") && !help(&without).contains("from now on"));
        let bound = permission(&json!({ "always": ["[in /work, /work/s.sh = 1f0c] ./s.sh a", "ls *"] }));
        assert_eq!(rule(&bound).unwrap(), r#"{"permission":{"bash":{"./s.sh a":"allow","ls *":"allow"}}}"#);
        let quoted = permission(&json!({ "always": ["[in /work] git commit -m 'it'\\''s \"a\"' \"$x\"", "[in /work] > 'a b'"] }));
        assert_eq!(rule(&quoted).unwrap(), r#"{"permission":{"bash":{"git commit -m it's \"a\" $x":"allow","> a b":"allow"}}}"#);
    }

    #[test]
    fn what_is_answered_is_told_by_the_fact() {
        let bash = permission(&json!({ "title": "Tidy up", "metadata": { "command": "rm -rf build" }, "always": ["rm *"] }));
        let plain = |question: &Permission| anstream::adapter::strip_str(&short(question)).to_string();
        assert_eq!(plain(&bash), "bash: rm -rf build (Tidy up)");
        assert_eq!(rule(&bash).unwrap(), r#"{"permission":{"bash":{"rm *":"allow"}}}"#);
        let outside =
            json!({ "type": "external_directory", "patterns": ["/etc/*"], "title": "Tidy up", "metadata": { "command": "ls /etc" } });
        assert_eq!(plain(&permission(&outside)), "external_directory: /etc/* (Tidy up)");
        let edit = permission(&json!({ "type": "edit", "patterns": ["src/a.rs"], "title": "Edit a.rs", "always": [] }));
        assert_eq!((plain(&edit).as_str(), rule(&edit)), ("edit: src/a.rs", None));
    }

    #[test]
    fn a_long_change_can_be_seen_whole() {
        let lines: String = (0..300).map(|line| format!("+line {line}\n")).collect();
        let long = permission(&json!({ "type": "edit", "title": "Edit a", "metadata": { "diff": format!("@@ -0,0 +1,300 @@\n{lines}") } }));
        assert!(question(&long, None).contains("… 101 more lines") && !question(&long, None).contains("line 299"));
        assert!(whole(&long, None).contains("line 299") && !whole(&long, None).contains("more lines"));
        let plain = |question: &Permission| anstream::adapter::strip_str(&choices(question)).to_string();
        assert_eq!(plain(&long), "  [y]es, [a]lways, [n]o, [v]iew all, or what to do instead: ");
        assert_eq!(plain(&permission(&json!({}))), "  [y]es, [a]lways, [n]o, or what to do instead: ");
    }

    #[test]
    fn a_person_sees_exactly_what_is_asked() {
        let shown = |value: Value, child: Option<&str>| anstream::adapter::strip_str(&question(&permission(&value), child)).to_string();
        expect![[r"
            ? bash
                make all # \u{1b}[8m
                rm -rf \u{202e}x
              described by the model as: make all
              always would allow: make *"]]
        .assert_eq(&shown(json!({ "metadata": { "command": "make all # \u{1b}[8m\nrm -rf \u{202e}x" } }), None));
        expect![[r#"
            ? edit: Edit a.rs
              asked by the subagent "find it"
                src/a.rs
                @@ -1 +1 @@
                -a
                +b"#]]
        .assert_eq(&shown(
            json!({ "type": "edit", "title": "Edit a.rs", "patterns": ["src/a.rs"], "always": [], "metadata": { "diff": "--- a\n+++ a\n@@ -1 +1 @@\n-a\n+b\n" } }),
            Some("find it"),
        ));
        expect![[r"
            ? external_directory: /etc
                /etc/*
              always would allow: make *"]]
        .assert_eq(&shown(json!({ "type": "external_directory", "title": "/etc", "patterns": ["/etc/*"] }), None));
        expect![[r"
            ? bash
                rm -rf *
              in /work/a\u{202e}b
              it also works in /etc/*, /home/ann/.ssh/*
              it cannot be told what this line runs
              described by the model as: make all"]]
        .assert_eq(&shown(
            json!({ "always": [], "metadata": { "command": "rm -rf *", "workdir": "/work/a\u{202e}b", "directories": ["/etc/*", "/home/ann/.ssh/*"], "understood": false } }),
            None,
        ));
        // The question is about the directory; the command is its context.
        expect![[r"
            ? external_directory
                /etc/*
              for the command:
                ls /etc
              described by the model as: Look around
              always would allow: make *"]]
        .assert_eq(&shown(
            json!({ "type": "external_directory", "title": "Look around", "patterns": ["/etc/*"], "metadata": { "command": "ls /etc" } }),
            None,
        ));
    }

    #[test]
    fn questions_are_asked_one_after_the_other() {
        let id = |last: char| PermissionId::parse(&format!("per_01ARZ3NDEKTSV4RRFFQ69G5FA{last}")).unwrap();
        let make = |last: char| Permission { id: id(last), ..permission(&json!({})) };
        let mut questions = Questions::default();
        assert!(questions.add(make('A')));
        assert!(!questions.add(make('A')));
        assert!(!questions.add(make('B')));
        assert!(!questions.withdraw(&id('B')));
        assert!(questions.withdraw(&id('A')));
        assert!(questions.take().is_none());
    }
}
