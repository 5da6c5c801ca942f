//! What an editor shows becomes a text for the model: headed, bounded, and marked as what it is. Pure.

use std::fmt::Write as _;

use polytree_protocol::{
    buffer::TextRange,
    session::{ContextInput, ContextItem, ContextKind},
};

use crate::{
    session::Error,
    stdx::text::{ellipsis, prefix, suffix},
};

/// The most bytes of a text.
const MAX_TEXT: usize = 32 * 1024;
/// The most items, and the most characters of each.
const MAX_ITEMS: usize = 200;
const MAX_ITEM_CHARS: usize = 2000;

/// The text for the model.
pub fn shown(input: &ContextInput) -> Result<String, Error> {
    let missing = |field: &str| Error::Input(format!("a context of the kind {:?} needs `{field}`", input.kind.word()));
    let text = || input.text.as_deref().ok_or_else(|| missing("text"));
    let items = || if input.items.is_empty() { Err(missing("items")) } else { Ok(list(&input.items)) };
    match input.kind {
        ContextKind::Selection => {
            let path = input.path.as_deref().ok_or_else(|| missing("path"))?;
            let lines = input.range.map_or_else(|| "a part".to_owned(), |range| lines(&range));
            Ok(format!("The user has selected {lines} of {path} in the editor:\n{}", block("selection", text()?, prefix)))
        }
        ContextKind::Files => Ok(format!("Files that are open in the user's editor, the current one first:\n{}", items()?)),
        ContextKind::Diagnostics => Ok(format!("The user's editor reports:\n{}", items()?)),
        ContextKind::Changes => Ok(format!("The uncommitted changes in the repository:\n{}", block("changes", text()?, prefix))),
        ContextKind::Terminal => Ok(format!("The user's terminal shows:\n{}", block("terminal", text()?, suffix))),
    }
}

fn lines(range: &TextRange) -> String {
    let first = range.start.line + 1;
    // A range that ends at the begin of a line does not hold it.
    let last = range.end.line + u32::from(range.end.character > 0 || range.end.line == range.start.line);
    if first == last { format!("line {first}") } else { format!("lines {first} to {last}") }
}

fn block(name: &str, text: &str, cut: fn(&str, usize) -> &str) -> String {
    let kept = cut(text, MAX_TEXT);
    let note = match text.len() - kept.len() {
        0 => String::new(),
        rest => format!("\n({rest} bytes of it are left out.)"),
    };
    format!("<{name}>\n{kept}\n</{name}>{note}")
}

fn list(items: &[ContextItem]) -> String {
    let mut shown = String::new();
    for item in items.iter().take(MAX_ITEMS) {
        let severity = match item.severity {
            Some(1) => "error: ",
            Some(2) => "warning: ",
            Some(3) => "information: ",
            Some(4) => "hint: ",
            _ => "",
        };
        let text = item.text.as_deref().map(|text| ellipsis(text, MAX_ITEM_CHARS).replace('\n', "\n  ")).unwrap_or_default();
        let path = item.path.as_deref().unwrap_or_default();
        let place = item.range.map_or_else(String::new, |range| format!(":{}:{}", range.start.line + 1, range.start.character + 1));
        let colon = if path.is_empty() || (severity.is_empty() && text.is_empty()) { "" } else { ": " };
        let _ = writeln!(shown, "- {path}{place}{colon}{severity}{text}");
    }
    if items.len() > MAX_ITEMS {
        let _ = writeln!(shown, "({} more are left out.)", items.len() - MAX_ITEMS);
    }
    shown.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(input: Value) -> String {
        match shown(&serde_json::from_value(input).unwrap()) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_kind_says_what_it_is() {
        let range = |start: u32, end: u32| json!({ "start": { "line": start, "character": 2 }, "end": { "line": end, "character": 0 } });
        let items = json!([{ "path": "a.rs", "range": range(4, 4), "severity": 1, "text": "odd\ntype" }, { "text": "no file" }]);
        let inputs = [
            json!({ "kind": "selection", "path": "a.rs", "range": range(2, 5), "text": "let x;" }),
            json!({ "kind": "files", "items": [{ "path": "a.rs" }, { "path": "b.rs" }] }),
            json!({ "kind": "diagnostics", "items": items }),
            json!({ "kind": "changes", "text": "-a\n+b" }),
            json!({ "kind": "terminal", "text": "$ make" }),
            json!({ "kind": "terminal" }),
            json!({ "kind": "files" }),
        ];
        expect_test::expect![[r#"
            The user has selected lines 3 to 5 of a.rs in the editor:
            <selection>
            let x;
            </selection>
            Files that are open in the user's editor, the current one first:
            - a.rs
            - b.rs
            The user's editor reports:
            - a.rs:5:3: error: odd
              type
            - no file
            The uncommitted changes in the repository:
            <changes>
            -a
            +b
            </changes>
            The user's terminal shows:
            <terminal>
            $ make
            </terminal>
            a context of the kind "terminal" needs `text`
            a context of the kind "files" needs `items`
        "#]]
        .assert_eq(&inputs.map(|input| text(input) + "\n").concat());
    }

    #[test]
    fn all_of_it_is_bounded() {
        let long = format!("begin{}end", "ä".repeat(100_000));
        let shown = text(json!({ "kind": "terminal", "text": long }));
        assert!(
            shown.len() < MAX_TEXT + 200 && shown.contains("end\n</terminal>") && shown.ends_with("bytes of it are left out.)"),
            "{}",
            shown.len()
        );
        assert!(text(json!({ "kind": "changes", "text": long })).contains("begin"));
        let items: Vec<Value> = (0..1000).map(|_| json!({ "path": "a", "text": "x".repeat(5000) })).collect();
        let shown = text(json!({ "kind": "diagnostics", "items": items }));
        assert!(shown.len() < MAX_ITEMS * (MAX_ITEM_CHARS + 50) && shown.ends_with("(800 more are left out.)"), "{}", shown.len());
    }
}
