//! The offline model, step by step, with histories like those of sessions.

use expect_test::{Expect, expect};
use serde_json::Map;

use super::*;
use crate::provider::definition::ToolSpec;

fn request(messages: Vec<ModelMessage>) -> ModelRequest {
    let tool = |name: &str| ToolSpec { name: name.to_owned(), description: String::new(), parameters: json!({}) };
    ModelRequest {
        model: reference(),
        info: model(),
        system: vec!["You are an agent.".to_owned()],
        messages,
        tools: ["read", "glob", "grep", "edit", "bash", "list"].map(tool).to_vec(),
        temperature: None,
        top_p: None,
        max_output_tokens: 0,
        options: Map::new(),
        cache_key: String::new(),
    }
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![UserContent::Text(text.to_owned())])
}

fn result(name: &str, output: &str, is_error: bool) -> ToolResult {
    ToolResult { call_id: "c".to_owned(), name: name.to_owned(), output: output.to_owned(), is_error, media: Vec::new() }
}

/// Plays a turn: returns the next result for each call, until the model answers with text.
fn turn(said: &str, results: &[&str]) -> String {
    let mut request = request(vec![user("read something else"), ModelMessage::Tool(vec![result("read", "old", false)]), user(said)]);
    let mut results = results.iter();
    let mut transcript = String::new();
    loop {
        match next_step(&request) {
            Step::Say(text) => return format!("{transcript}{}\n", text.trim_end()),
            Step::Call(calls) => {
                let mut outputs = Vec::new();
                for call in calls {
                    transcript = format!("{transcript}-> {} {}\n", call.tool, call.input);
                    outputs.push(result(call.tool, results.next().expect("a result for each call"), false));
                }
                request.messages.push(ModelMessage::Assistant(Vec::new()));
                request.messages.push(ModelMessage::Tool(outputs));
            }
        }
    }
}

fn check(said: &str, results: &[&str], expected: &Expect) {
    expected.assert_eq(&turn(said, results));
}

#[test]
fn reads() {
    check(
        "read lines 2 to 3 of a.rs",
        &[
            "<path>/p/a.rs</path>\n<type>file</type>\n<content>\n2: fn main() {\n3: }\n\n(Lines 2 to 3 of 9. Go on with offset 4.)\n</content>",
        ],
        &expect![[r#"
            -> read {"filePath":"a.rs","offset":2,"limit":2}
            I read 2 lines of `a.rs`:

            ```
            fn main() {
            }
            ```
        "#]],
    );
}

#[test]
fn reads_other_output_too() {
    assert_eq!(turn("read f", &["<content>\n\n(The file is empty.)\n</content>"]).lines().last(), Some("`f` is empty."));
    let directory = turn("read d", &["<path>/p/d</path>\n<entries>\na/\nb.txt\n\n(2 entries in total.)\n</entries>"]);
    assert!(directory.ends_with("```\na/\nb.txt\n```\n"), "{directory}");
}

#[test]
fn finds_and_searches() {
    check(
        "find *.rs",
        &["/p/a.rs\n/p/b.rs\n"],
        &expect![[r#"
            -> glob {"pattern":"**/*.rs"}
            I found 2 files for `*.rs`:

            - `/p/a.rs`
            - `/p/b.rs`
        "#]],
    );
    check(
        "search for \"f(x)\" in *.rs",
        &["No files found"],
        &expect![[r#"
            -> grep {"pattern":"f\\(x\\)","include":"*.rs"}
            I found `f(x)` nowhere.
        "#]],
    );
}

#[test]
fn replaces_after_reading() {
    check(
        "replace every 'a' with 'b' in f.txt",
        &["1: a", "Edited f.txt at line 1."],
        &expect![[r#"
            -> read {"filePath":"f.txt"}
            -> edit {"filePath":"f.txt","oldString":"a","newString":"b","replaceAll":true}
            I replaced `a` with `b` in `f.txt`.

            Edited f.txt at line 1.
        "#]],
    );
}

#[test]
fn runs_commands() {
    check(
        "run echo hello",
        &["hello\n"],
        &expect![[r#"
            -> bash {"command":"echo hello","description":"Run echo hello"}
            `echo hello` says:

            ```
            hello
            ```
        "#]],
    );
}

#[test]
fn describes_changes() {
    check(
        "What changed?",
        &[" M src/a.rs\n?? new.txt\n", " src/a.rs | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n"],
        &expect![[r#"
            -> bash {"command":"git status --short","description":"List changed files"}
            -> bash {"command":"git diff --stat","description":"Count changed lines"}
            2 files have changed since the last commit (1 file changed, 1 insertion(+), 1 deletion(-)):

            ```
             M src/a.rs
            ?? new.txt
            ```
        "#]],
    );
    assert!(turn("what changed", &["(no output)", ""]).ends_with("Nothing has changed since the last commit.\n"));
}

#[test]
fn explains_with_and_without_a_readme() {
    check(
        "explain this project",
        &["/p/\n  README.md\n  src/\n", "<content>\n1: # Thing\n2: \n3: It does things.\n\n(End of file, 3 lines in total.)\n</content>"],
        &expect![[r#"
            -> list {"path":"."}
            -> read {"filePath":"README.md"}
            The README of this project begins:

            ```
            # Thing

            It does things.
            ```

            These are its files:

            ```
            /p/
              README.md
              src/
            ```
        "#]],
    );
    assert!(turn("explain the repo", &["/p/\n  src/\n    README.md\n"]).contains("no README at its top"));
}

#[test]
fn describes_itself() {
    let answer = turn("write a poem about rust", &[]);
    assert!(answer.starts_with("I do not understand \"write a poem about rust\". I am polytree's offline model"), "{answer}");
    for word in ["read FILE", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "polytree.json"] {
        assert!(answer.contains(word), "{word}");
    }
}

#[test]
fn reports_failures_and_missing_tools() {
    let mut request = request(vec![user("replace a with b in f"), ModelMessage::Tool(vec![result("read", "there is no such file", true)])]);
    assert_eq!(next_step(&request), Step::Say("That did not work. The tool `read` says: there is no such file".to_owned()));
    request.messages = vec![user("run ls")];
    request.tools.retain(|tool| tool.name != "bash");
    assert_eq!(next_step(&request), Step::Say("I would need the tool `bash` for that, and it is not available here.".to_owned()));
}

#[test]
fn titles_and_summaries() {
    let mut request = request(vec![
        user("<system-reminder>x</system-reminder>"),
        user("  please fix the\nparser, and then everything else that is broken. "),
    ]);
    request.tools.clear();
    assert_eq!(next_step(&request), Step::Say("please fix the parser, and then everything else".to_owned()));
    request.system = vec!["Write a summary of the conversation.".to_owned()];
    let Step::Say(summary) = next_step(&request) else { panic!() };
    assert!(summary.ends_with("- please fix the\n"), "{summary}");
    request.messages.clear();
    request.system.clear();
    assert_eq!(next_step(&request), Step::Say("New session".to_owned()));
}

#[tokio::test]
async fn streams_words_and_calls() {
    let deltas: Vec<_> = Offline.stream(request(vec![user("help")])).collect().await;
    let text: String =
        deltas.iter().flatten().filter_map(|delta| if let Delta::Text(text) = delta { Some(text.as_str()) } else { None }).collect();
    assert_eq!(text, answer::help());
    assert!(deltas.len() > 100);
    assert!(
        matches!(deltas.last(), Some(Ok(Delta::Finish { reason: FinishReason::Stop, tokens })) if tokens.output > 0 && tokens.input > 0)
    );
    let deltas: Vec<_> = Offline.stream(request(vec![user("what changed")])).collect().await;
    let kinds: Vec<_> = deltas.iter().flatten().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 5);
    assert!(matches!(&deltas[2], Ok(Delta::ToolCallDone { name, arguments, .. }) if name == "bash" && arguments.contains("git status")));
    assert!(matches!(deltas.last(), Some(Ok(Delta::Finish { reason: FinishReason::ToolCalls, .. }))));
}
