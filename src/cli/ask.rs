//! Permission questions at the terminal: how one looks, and what a typed line means. Pure.

use std::collections::VecDeque;

use polytree_protocol::{
    id::PermissionId,
    permission::{Permission, PermissionResponse},
};
use serde_json::Value;

use super::{
    sanitize,
    style::{CODE, FAINT, STRONG, WARNING, diff, paint},
};

/// The most lines of a change that are shown before a person is asked.
const MOST_DIFF_LINES: usize = 200;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This one time.
    Once,
    /// From now on.
    Always,
    /// No; the model may be told what to do instead.
    Reject(Option<String>),
}

impl Answer {
    /// As the daemon is told.
    #[must_use]
    pub fn response(&self) -> PermissionResponse {
        match self {
            Answer::Once => PermissionResponse::Once,
            Answer::Always => PermissionResponse::Always,
            Answer::Reject(_) => PermissionResponse::Reject,
        }
    }
}

/// What a typed line means; `None` when that is not clear, and the person is asked again.
#[must_use]
pub fn parse(line: &str, question: &Permission) -> Option<Answer> {
    let text = line.trim();
    match text.to_lowercase().as_str() {
        "y" | "yes" => Some(Answer::Once),
        "a" | "always" if !question.always.is_empty() => Some(Answer::Always),
        "a" | "always" => None,
        "n" | "no" => Some(Answer::Reject(None)),
        // A slip of the finger is no instruction.
        short if short.chars().count() < 3 => None,
        _ => Some(Answer::Reject(Some(text.to_owned()))),
    }
}

/// The question as lines; `child` is the title of the child session that asks.
#[must_use]
pub fn question(question: &Permission, child: Option<&str>) -> String {
    let mut lines = vec![heading(question)];
    if let Some(child) = child {
        lines.push(paint(FAINT, &format!("  asked by the subagent {:?}", sanitize::line(child))));
    }
    let metadata = &question.metadata;
    let shown = |text: &str| sanitize::exact(text).lines().map(|line| format!("    {}", paint(CODE, line))).collect::<Vec<_>>();
    if let Some(command) = metadata.get("command").and_then(Value::as_str) {
        lines.extend(shown(command));
    } else if let Some(patch) = metadata.get("diff").and_then(Value::as_str).filter(|patch| !patch.is_empty()) {
        lines.extend(question.patterns.iter().flat_map(|pattern| shown(pattern)));
        lines.push(diff(patch, "    ", MOST_DIFF_LINES).trim_end().to_owned());
    } else {
        lines.extend(question.patterns.iter().flat_map(|pattern| shown(pattern)));
    }
    if !question.always.is_empty() {
        let patterns: Vec<String> = question.always.iter().map(|pattern| sanitize::exact(pattern)).collect();
        lines.push(paint(FAINT, &format!("  always would allow: {}", patterns.join(", "))));
    }
    lines.join("\n")
}

fn heading(question: &Permission) -> String {
    let title = sanitize::exact(&question.title).replace('\n', " ");
    format!("{} {} {title}", paint(WARNING.bold(), "?"), paint(STRONG, &format!("{}:", sanitize::line(&question.kind))))
}

/// What can be answered, without a line end.
#[must_use]
pub fn choices(question: &Permission) -> String {
    let choice = |key: &str, rest: &str| format!("[{}]{rest}", paint(STRONG, key));
    let always = if question.always.is_empty() { String::new() } else { format!("{}, ", choice("a", "lways")) };
    format!("  {}, {always}{}, or what to do instead: ", choice("y", "es"), choice("n", "o"))
}

/// The question in a few words, for a line about its answer.
#[must_use]
pub fn short(question: &Permission) -> String {
    format!("{}: {}", sanitize::line(&question.kind), crate::stdx::text::ellipsis(&sanitize::line(&question.title), 70))
}

/// Questions that wait; the first is the one that is asked.
#[derive(Debug, Default)]
pub struct Questions {
    waiting: VecDeque<Permission>,
}

impl Questions {
    /// Adds a question, unless it is known; true when it is the only one.
    pub fn add(&mut self, question: Permission) -> bool {
        if self.waiting.iter().any(|known| known.id == question.id) {
            return false;
        }
        self.waiting.push_back(question);
        self.waiting.len() == 1
    }

    /// The one that is asked.
    #[must_use]
    pub fn current(&self) -> Option<&Permission> {
        self.waiting.front()
    }

    /// Takes the one that is asked.
    pub fn take(&mut self) -> Option<Permission> {
        self.waiting.pop_front()
    }

    /// Takes out a question that needs no answer any more; true when it was the one that is asked.
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
        assert_eq!(parse(" Y ", &with), Some(Answer::Once));
        assert_eq!(parse("always", &with), Some(Answer::Always));
        assert_eq!(parse("a", &without), None);
        assert_eq!(parse("no", &with), Some(Answer::Reject(None)));
        assert_eq!(parse("use cargo instead", &with), Some(Answer::Reject(Some("use cargo instead".into()))));
        for unclear in ["", "  ", "u", "yy", "?"] {
            assert_eq!(parse(unclear, &with), None, "{unclear:?}");
        }
    }

    #[test]
    fn a_person_sees_exactly_what_is_asked() {
        let shown = |value: Value, child| anstream::adapter::strip_str(&question(&permission(&value), child)).to_string();
        expect![[r"
            ? bash: make all
                make all # \u{1b}[8m
                rm -rf \u{202e}x
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
