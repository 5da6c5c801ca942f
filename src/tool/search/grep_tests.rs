//! Searching real files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    sync::Arc,
    time::{Duration, SystemTime},
};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::tool::{
    definition::{AnyTool, erase},
    test_host::{Answer, Place},
};

fn tool() -> Arc<dyn AnyTool> {
    erase(Grep)
}

fn age(place: &Place, path: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - seconds);
    File::options().write(true).open(place.worktree.join(path)).unwrap().set_modified(time).unwrap();
}

async fn check(place: &Place, input: serde_json::Value, expected: Expect) {
    let text = match place.call(&tool(), input).await {
        Ok(output) => output.output,
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&place.neutral(&text));
}

#[tokio::test]
async fn matches_by_file() {
    let place = Place::new();
    place.write("src/old.rs", "fn one() {}\r\nlet x = 1;\nfn two() {}\n");
    place.write("a:b.md", "fn in a file with a colon");
    place.write(".hidden", "fn hidden");
    place.write(".git/config", "fn git");
    place.write("ignored.rs", "fn ignored");
    place.write(".gitignore", "ignored.rs");
    place.write("binary", b"fn x\n\0\n");
    place.write("wide.txt", b"\xFF\xFEf\0n\0 \0w\0");
    for (path, seconds) in [("src/old.rs", 9), ("a:b.md", 1), (".hidden", 5), ("wide.txt", 7)] {
        age(&place, path, seconds);
    }
    check(
        &place,
        json!({ "pattern": "fn \\w" }),
        expect![[r"
        Found 5 matches

        TREE/a:b.md:
          Line 1: fn in a file with a colon

        TREE/.hidden:
          Line 1: fn hidden

        TREE/wide.txt:
          Line 1: fn w

        TREE/src/old.rs:
          Line 1: fn one() {}
          Line 3: fn two() {}"]],
    )
    .await;
    assert_eq!(place.host.kinds(), ["grep", "read"]);
    check(
        &place,
        json!({ "pattern": "fn", "include": "*.rs" }),
        expect![[r"
        Found 2 matches

        TREE/src/old.rs:
          Line 1: fn one() {}
          Line 3: fn two() {}"]],
    )
    .await;
    check(
        &place,
        json!({ "pattern": "^(let|fn) .*[;}]$", "path": "src" }),
        expect![[r"
        Found 3 matches

        TREE/src/old.rs:
          Line 1: fn one() {}
          Line 2: let x = 1;
          Line 3: fn two() {}"]],
    )
    .await;
    check(
        &place,
        json!({ "pattern": "fn", "path": "ignored.rs" }),
        expect![[r"
        Found 1 match

        TREE/ignored.rs:
          Line 1: fn ignored"]],
    )
    .await;
    check(&place, json!({ "pattern": "--nothing" }), expect!["No files found"]).await;
}

#[tokio::test]
async fn errors_show_where() {
    let place = Place::new();
    check(
        &place,
        json!({ "pattern": "a(b" }),
        expect![[r"
        error: the pattern is no valid regular expression. regex parse error:
            a(b
             ^
        error: unclosed group
        To search for the characters themselves put a backslash before each of . * + ? ( ) [ ] { } | ^ $ and the backslash."]],
    )
    .await;
    let error = place.call(&tool(), json!({ "pattern": "a\\nb" })).await.unwrap_err().to_string();
    assert!(error.contains("line by line"), "{error}");
    check(&place, json!({ "pattern": "a", "path": "none" }), expect!["error: TREE/none does not exist."]).await;
    check(&place, json!({ "pattern": "" }), expect!["error: the pattern is empty; every line would match"]).await;
    assert!(place.host.asks().is_empty());
}

#[tokio::test]
async fn caps_on_matches_and_lines() {
    let place = Place::new();
    for number in 0..30 {
        place.write(&format!("f{number:02}"), "hit\n".repeat(7));
        age(&place, &format!("f{number:02}"), number);
    }
    let output = place.call(&tool(), json!({ "pattern": "hit" })).await.unwrap();
    assert_eq!(output.metadata, json!({ "matches": 100, "truncated": true }));
    assert_eq!(output.output.matches("  Line").count(), 100);
    assert_eq!(output.output.matches("/f").count(), 15);
    assert!(output.output.contains("/f14:") && !output.output.contains("/f15:"));
    place.write("long", "y".repeat(5000));
    let output = place.call(&tool(), json!({ "pattern": "yy" })).await.unwrap().output;
    assert!(output.ends_with(&format!("Line 1: {}... [bytes 1 to 2000 of the 5000 of this line]", "y".repeat(2000))), "{output}");
}

#[tokio::test]
async fn what_may_not_be_read_is_not_shown() {
    let place = Place::new();
    place.write(".env", "KEY=secret");
    place.write("code", "KEY");
    place.host.answer("read", Answer::DenyContaining(".env"));
    check(
        &place,
        json!({ "pattern": "KEY" }),
        expect![[r"
        Found 1 match

        TREE/code:
          Line 1: KEY

        (Matches in 1 files are not shown because a rule forbids reading them.)"]],
    )
    .await;
    place.host.answer("read", Answer::Reject);
    assert!(matches!(place.call(&tool(), json!({ "pattern": "KEY" })).await, Err(ToolError::Rejected { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed() {
    let place = Place::new();
    fs::write(place.outside.join("x"), "secret").unwrap();
    std::os::unix::fs::symlink(place.outside.join("x"), place.worktree.join("x")).unwrap();
    std::os::unix::fs::symlink(&place.outside, place.worktree.join("d")).unwrap();
    check(&place, json!({ "pattern": "secret" }), expect!["No files found"]).await;
    place.host.answer("external_directory", Answer::Deny);
    assert!(matches!(place.call(&tool(), json!({ "pattern": "secret", "path": "d" })).await, Err(ToolError::Denied(_))));
}

#[tokio::test]
async fn an_aborted_call_ends() {
    let place = Place::new();
    place.write("f", "x");
    place.context.cancel.cancel();
    for path in [".", "f"] {
        assert_eq!(place.call(&tool(), json!({ "pattern": "x", "path": path })).await, Err(ToolError::Aborted));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn as_a_plain_search_finds(files in prop::collection::btree_map("([ab]/){0,2}[abc]\\.txt", "[xy\n]{0,12}", 0..10)) {
        let place = Place::new();
        for (path, text) in &files {
            place.write(path, text);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let output = runtime.block_on(place.call(&tool(), json!({ "pattern": "xy" }))).unwrap().output;
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in place.neutral(&output).lines() {
            if let Some(path) = line.strip_prefix("TREE/") {
                path.trim_end_matches(':').clone_into(&mut current);
            } else if let Some(line) = line.strip_prefix("  Line ") {
                found.entry(current.clone()).or_default().push(line.to_owned());
            }
        }
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, text) in &files {
            for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains("xy")) {
                expected.entry(path.clone()).or_default().push(format!("{}: {line}", index + 1));
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_search_ends_at_its_deadline() {
    let place = Place::new();
    place.write("huge", format!("needle\n{}", "x".repeat(100_000)));
    let checked = walk::place(&place.context, None).await.unwrap();
    let found = |deadline| {
        let (context, stop) = (&place.context, Stop::at(deadline));
        let (hits, _) = find(context, &checked, None, &Hidden::default(), &query("needle").unwrap(), &stop).unwrap();
        (stop.is_late(), hits.len())
    };
    let now = Instant::now();
    while Instant::now() == now {}
    assert_eq!(found(now), (true, 0));
    assert_eq!(found(Instant::now() + TIMEOUT), (false, 1));
}

#[tokio::test]
async fn what_an_editor_holds_is_searched_in_place_of_the_disk() {
    let place = Place::new();
    place.write("saved", "old needle");
    place.write("other", "needle");
    place.write(".gitignore", "*.log");
    for (path, text) in [("saved", "one\nnew needle"), ("new/file", "needle in nothing"), ("x.log", "needle"), (".git/x", "needle")] {
        let path = place.worktree.join(path);
        place.context.overlay.announce(crate::overlay::Document { path, version: 1, text: text.into(), connection: 1 });
    }
    age(&place, "saved", 1);
    age(&place, "other", 2);
    let expected = expect![[r"
        Found 3 matches

        TREE/new/file:
          Line 1: needle in nothing

        TREE/saved:
          Line 2: new needle

        TREE/other:
          Line 1: needle"]];
    check(&place, json!({ "pattern": "needle" }), expected).await;
    for input in [json!({ "pattern": "needle", "path": "new/file" }), json!({ "pattern": "needle", "include": "new/*" })] {
        let expected = expect![[r"
            Found 1 match

            TREE/new/file:
              Line 1: needle in nothing"]];
        check(&place, input, expected).await;
    }
    place.host.answer("read", Answer::DenyContaining("new/file"));
    let output = place.call(&tool(), json!({ "pattern": "needle" })).await.unwrap().output;
    assert!(!output.contains("nothing") && output.contains("Matches in 1 files are not shown"), "{output}");
}

#[tokio::test]
async fn of_a_long_line_the_part_around_the_match_is_shown() {
    let place = Place::new();
    for (name, around, start) in [("min.js", "x", 8745), ("u.txt", "ü", 17_745)] {
        place.write(name, format!("{}NEEDLE=42;{}", around.repeat(9000), around.repeat(9000)));
        let output = place.call(&erase(Grep), json!({ "pattern": "NEEDLE", "path": name })).await.unwrap().output;
        let (line, shown) = output.split_once("Line 1: ...").unwrap();
        assert!(line.contains("Found 1 match") && shown.contains(&format!("{around}NEEDLE=42;{around}")), "{output}");
        let length = 10 + 18_000 * around.len();
        assert!(shown.ends_with(&format!("... [bytes {start} to {} of the {length} of this line]", start + 1999)), "{output}");
    }
}

#[tokio::test]
async fn an_include_may_be_a_name_with_brackets() {
    let place = Place::new();
    for path in ["app/[slug]/page.tsx", "app/[...all]/page.tsx", "api/{id}/page.tsx", "app/s/page.tsx"] {
        place.write(path, "needle");
    }
    for (include, found) in [("app/[slug]/*.tsx", 2), ("app/[...all]/page.tsx", 1), ("api/{id}/**", 1), ("", 4), (" ", 4)] {
        let output = place.call(&erase(Grep), json!({ "pattern": "needle", "include": include })).await.unwrap().output;
        assert_eq!(output.matches("Line 1:").count(), found, "{include}: {output}");
    }
}
