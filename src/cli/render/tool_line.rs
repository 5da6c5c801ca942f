//! A tool call in a few lines: its subject at the start, its result at the end. Pure; text of models and files is sanitized.

use polytree_protocol::part::{ToolCompleted, ToolPart, ToolState};
use serde_json::Value;

use super::{
    follow::count,
    sanitize,
    style::{BAD, CODE, FAINT, STRONG, WARNING, diff, paint},
};
use crate::stdx::text::ellipsis;

/// The limit of lines of a diff.
const MAX_DIFF_LINES: usize = 60;
/// The limit of lines of an error.
const MAX_ERROR_LINES: usize = 5;

/// Whether the call runs or has ended.
#[must_use]
pub fn has_started(state: &ToolState) -> bool {
    !matches!(state, ToolState::Pending(_))
}

/// `● read src/main.rs`, in at most `width` columns; for an invalid call, its tool and the reason.
#[must_use]
pub fn start(part: &ToolPart, width: usize) -> String {
    let (name, about) = bad_call(part).unwrap_or_else(|| (part.tool.clone(), about(part)));
    let room = width.saturating_sub(name.chars().count() + 4).max(16);
    let name = sanitize::line(&name);
    let about = ellipsis(&sanitize::line(&about), room);
    format!("{} {} {}", paint(CODE, "●"), paint(STRONG, &name), about).trim_end().to_owned()
}

/// The call's name and subject, for a result that is not directly below its start.
#[must_use]
pub fn label(part: &ToolPart) -> String {
    let (name, about) = bad_call(part).unwrap_or_else(|| (part.tool.clone(), about(part)));
    let about = ellipsis(&sanitize::line(&about), 40);
    format!("{} {about}", sanitize::line(&name)).trim_end().to_owned()
}

/// The tool of an invalid call, and the reason. Such a call has the tool `invalid`.
fn bad_call(part: &ToolPart) -> Option<(String, String)> {
    if part.tool != "invalid" {
        return None;
    }
    let input = input(&part.state);
    let (tool, error) = (input.get("tool")?.as_str()?, input.get("error")?.as_str()?);
    // Without the prefix with the name, and the part for the model.
    let reason = error.strip_prefix(&format!("The arguments of the tool `{tool}` are not valid")).unwrap_or(error);
    let reason = reason.strip_suffix(" Please call it again with arguments that satisfy its schema.").unwrap_or(reason);
    let reason = reason.trim_start_matches([':', ' ']);
    Some((format!("{tool} (bad call):"), reason.strip_suffix('.').unwrap_or(reason).to_owned()))
}

/// What the tool says; else the arguments.
fn about(part: &ToolPart) -> String {
    part.subject.clone().unwrap_or_else(|| match input(&part.state) {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    })
}

fn input(state: &ToolState) -> Value {
    match state {
        ToolState::Pending(_) => Value::Null,
        ToolState::Running(running) => running.input.clone(),
        ToolState::Completed(completed) => completed.input.clone(),
        ToolState::Error(failed) => failed.input.clone(),
    }
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// What came of a call that has ended: lines without indentation; none where there is nothing to say.
#[must_use]
pub fn result(state: &ToolState) -> Vec<String> {
    match state {
        ToolState::Completed(completed) => summary(completed).into_iter().collect(),
        ToolState::Error(failed) if failed.metadata.as_ref().is_some_and(|metadata| metadata["aborted"] == true) => {
            vec![paint(WARNING, "aborted")]
        }
        ToolState::Error(failed) => {
            let text = sanitize::text(&failed.error);
            let mut lines: Vec<String> = text.lines().take(MAX_ERROR_LINES).map(|line| paint(BAD, line)).collect();
            if text.lines().count() > MAX_ERROR_LINES {
                lines.push(paint(FAINT, "…"));
            }
            lines
        }
        ToolState::Pending(_) | ToolState::Running(_) => Vec::new(),
    }
}

fn summary(completed: &ToolCompleted) -> Option<String> {
    let metadata = &completed.metadata;
    let number = |name: &str| number(metadata, name);
    let plural = |number: u64, one: &str, more: &str| format!("{} {}", count(number), if number == 1 { one } else { more });
    let more = if metadata["truncated"] == true { ", and more" } else { "" };
    if let Some(status) = metadata["status"].as_str().filter(|_| metadata.get("sessionID").is_some()) {
        return Some(child(status, metadata));
    }
    if let Some(exit) = metadata.get("exit") {
        return match exit.as_i64() {
            Some(0) => None,
            Some(code) => Some(paint(WARNING, &format!("exit code {code}"))),
            None => Some(paint(WARNING, "ended without an exit code")),
        };
    }
    let text = if let (Some(added), Some(removed)) = (number("additions"), number("deletions")) {
        let new = if metadata["exists"] == false { "new file, " } else { "" };
        format!("{new}+{added} -{removed}")
    } else if let Some(matches) = number("matches") {
        plural(matches, "match", "matches") + more
    } else if let Some(files) = number("count") {
        plural(files, "file", "files") + more
    } else if let Some(lines) = number("lines") {
        plural(lines, "line", "lines")
    } else {
        return None;
    };
    Some(paint(FAINT, &text))
}

/// How the work of a child session ended.
fn child(status: &str, metadata: &Value) -> String {
    if metadata["background"] == true {
        return paint(FAINT, "works in the background");
    }
    let calls = match number(metadata, "calls") {
        Some(1) => ", 1 call".to_owned(),
        Some(calls) => format!(", {} calls", count(calls)),
        None => String::new(),
    };
    let cost = metadata["cost"].as_f64().filter(|cost| *cost > 0.0).map(|cost| format!(", ${cost:.4}")).unwrap_or_default();
    match metadata["reason"].as_str() {
        Some(reason) => paint(WARNING, &sanitize::line(&format!("{status}: {reason}{calls}{cost}"))),
        None => paint(FAINT, &sanitize::line(&format!("{status}{calls}{cost}"))),
    }
}

/// The call's change, as styled lines indented by `indent`.
#[must_use]
pub fn change(state: &ToolState, indent: &str) -> Option<String> {
    let ToolState::Completed(completed) = state else { return None };
    let patch = completed.metadata.get("diff")?.as_str()?;
    Some(diff(patch, indent, MAX_DIFF_LINES)).filter(|lines| !lines.is_empty())
}

/// The output of a command that was not streamed.
#[must_use]
pub fn output(part: &ToolPart) -> Option<&str> {
    match &part.state {
        ToolState::Completed(completed) => completed.metadata.get("output").and_then(Value::as_str).filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// A task list, one line per task.
#[must_use]
pub fn todos(todos: &[polytree_protocol::todo::Todo]) -> Vec<String> {
    let line = |todo: &polytree_protocol::todo::Todo| {
        let content = sanitize::line(&todo.content);
        match todo.status.as_str() {
            "completed" => paint(FAINT, &format!("[x] {content}")),
            "in_progress" => format!("[>] {}", paint(STRONG, &content)),
            "cancelled" => paint(FAINT.strikethrough(), &format!("[-] {content}")),
            _ => format!("[ ] {content}"),
        }
    };
    todos.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::tool::test_host::subject;

    fn part(tool: &str, state: Value) -> ToolPart {
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        serde_json::from_value(json!({
            "id": format!("prt_{ulid}"), "sessionID": format!("ses_{ulid}"), "messageID": format!("msg_{ulid}"), "callID": "c", "tool": tool, "state": state,
        }))
        .unwrap()
    }

    fn completed(tool: &str, input: Value, metadata: Value) -> String {
        let subject = subject(tool, &input, "/work/app");
        let mut part = part(
            tool,
            json!({ "status": "completed", "input": input, "output": "out\n", "title": "", "metadata": metadata, "time": { "start": 1 } }),
        );
        part.subject = subject;
        let lines: Vec<String> = std::iter::once(start(&part, 60)).chain(result(&part.state)).collect();
        anstream::adapter::strip_str(&lines.join(" -> ")).to_string() + "\n"
    }

    #[test]
    fn each_tool_says_what_it_is_about() {
        let task = &json!({ "content": "a", "status": "pending", "priority": "low" });
        let lines = [
            completed("read", json!({ "filePath": "/work/app/src/a.rs" }), json!({ "lines": 1 })),
            completed("read", json!({ "filePath": "/etc/b", "offset": 5, "limit": 6 }), json!({ "lines": 1200 })),
            completed(
                "edit",
                json!({ "filePath": "src/a.rs", "oldString": "", "newString": "x" }),
                json!({ "additions": 3, "deletions": 1, "diff": "" }),
            ),
            completed("write", json!({ "filePath": "a", "content": "" }), json!({ "additions": 3, "deletions": 0, "exists": false })),
            completed("bash", json!({ "command": "ls\n\u{1b}[2J -l" }), json!({ "exit": 2 })),
            completed("bash", json!({ "command": "true" }), json!({ "exit": 0 })),
            completed("bash", json!({ "command": "sleep 99" }), json!({ "exit": null })),
            completed("grep", json!({ "pattern": "fn", "path": "/work/app/src" }), json!({ "matches": 100, "truncated": true })),
            completed("glob", json!({ "pattern": "*.rs", "path": "/work/app" }), json!({ "count": 1 })),
            completed("list", json!({}), json!({ "count": 0 })),
            completed("todowrite", json!({ "todos": [task, task] }), json!({})),
            completed("mcp_thing", json!({ "query": "a very long question that does not fit on a line" }), json!({})),
            completed("mcp_thing", json!({}), json!({})),
            completed(
                "invalid",
                json!({ "tool": "bash", "error": "The arguments of the tool `bash` are not valid: missing field `command`. Please call it again with arguments that satisfy its schema." }),
                json!({}),
            ),
            completed("invalid", json!({ "tool": "shell", "error": "There is no tool `shell`. The tools are: read, write." }), json!({})),
        ];
        expect![[r#"
            ● read src/a.rs -> 1 line
            ● read /etc/b:5-10 -> 1,200 lines
            ● edit src/a.rs -> +3 -1
            ● write a -> new file, +3 -0
            ● bash ls -l -> exit code 2
            ● bash true
            ● bash sleep 99 -> ended without an exit code
            ● grep fn in src -> 100 matches, and more
            ● glob *.rs -> 1 file
            ● list . -> 0 files
            ● todowrite 2 tasks
            ● mcp_thing {"query":"a very long question that does not...
            ● mcp_thing
            ● bash (bad call): missing field `command`
            ● shell (bad call): There is no tool `shell`. The tools ...
        "#]]
        .assert_eq(&lines.concat());
    }

    #[test]
    fn failures_are_short() {
        let failed = |error: &str, metadata| {
            let part =
                part("read", json!({ "status": "error", "input": {}, "error": error, "metadata": metadata, "time": { "start": 1 } }));
            anstream::adapter::strip_str(&result(&part.state).join("|")).to_string()
        };
        assert_eq!(failed("1\n2\n3\n4\n5\n6", Value::Null), "1|2|3|4|5|…");
        assert_eq!(failed("x\u{1b}[0m", json!({})), "x");
        assert_eq!(failed("cut", json!({ "aborted": true })), "aborted");
    }
}
