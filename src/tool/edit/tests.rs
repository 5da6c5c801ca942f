//! Edits of real files.

use std::{fs, sync::Arc};

use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tool::{
    definition::{AnyTool, erase},
    file_times::FileTimes,
    read::Read,
    test_host::{Answer, Place},
};

fn tool() -> Arc<dyn AnyTool> {
    erase(Edit)
}

fn edit(path: &str, old: &str, new: &str) -> Value {
    json!({ "filePath": path, "oldString": old, "newString": new })
}

async fn read(place: &Place, path: &str) {
    place.call(&erase(Read), json!({ "filePath": path })).await.unwrap();
}

#[tokio::test]
async fn an_edit_and_what_it_tells() {
    let place = Place::new();
    place.write("src/a.rs", "fn a() {\n    one();\n}\n");
    read(&place, "src/a.rs").await;
    let output = place.call(&tool(), edit("src/a.rs", "one", "two")).await.unwrap();
    assert_eq!(place.read("src/a.rs"), b"fn a() {\n    two();\n}\n");
    assert_eq!((output.title.as_str(), output.output.as_str()), ("src/a.rs", "Edited src/a.rs at line 2."));
    let ask = place.host.asks().pop().unwrap();
    assert_eq!((&*ask.kind, ask.patterns), ("edit", vec!["src/a.rs".to_owned()]));
    assert_eq!(ask.metadata["diff"], output.metadata["diff"]);
    expect![[r"
        --- src/a.rs
        +++ src/a.rs
        @@ -1,3 +1,3 @@
         fn a() {
        -    one();
        +    two();
         }
    "]]
    .assert_eq(output.metadata["diff"].as_str().unwrap());
    assert_eq!((&output.metadata["additions"], &output.metadata["deletions"]), (&json!(1), &json!(1)));
    assert_eq!(place.host.edited(), [place.worktree.join("src/a.rs")]);
}

#[tokio::test]
async fn errors_help_the_model() {
    let place = Place::new();
    place.write("a.txt", "one\ntwo\none\nthe third line\n");
    place.write("empty", "");
    place.write("binary", b"\0\x01");
    fs::create_dir(place.worktree.join("directory")).unwrap();
    let mut told = String::new();
    let mut tell = |result: Result<ToolOutput, ToolError>| {
        told.push_str(&result.unwrap_err().to_string());
        told.push('\n');
    };
    tell(place.call(&tool(), edit("a.txt", "two", "2")).await);
    read(&place, "a.txt").await;
    tell(place.call(&tool(), edit("a.txt", "one", "1")).await);
    tell(place.call(&tool(), edit("a.txt", "the thirds line", "3")).await);
    tell(place.call(&tool(), edit("a.txt", "x", "x")).await);
    tell(place.call(&tool(), edit("a.txt", "", "x")).await);
    tell(place.call(&tool(), edit("missing", "a", "x")).await);
    tell(place.call(&tool(), edit("directory", "a", "x")).await);
    place.write("a.txt", "changed");
    tell(place.call(&tool(), edit("a.txt", "changed", "x")).await);
    expect![[r"
        a.txt exists, and you have not read it in this session. Read it first, then make your change.
        oldString names more than one place in a.txt; they begin at lines 1, 3. Add lines before or after to oldString until it names one place, or set replaceAll to change all of them.
        oldString was not found in a.txt, even with differences in white space overlooked. The nearest text is at lines 4 to 4:
        4: the third line
         Read the file again and quote the text exactly as it stands there, without line numbers.
        oldString and newString are the same, so there is nothing to change.
        a.txt exists and is not empty. Give the text to replace in oldString, or use the write tool to replace the whole file.
        missing does not exist. To create it, leave oldString empty.
        directory cannot be changed: it is a directory
        a.txt was changed by someone else since you last read it. Read it again, then make your change to what is there now.
    "]]
    .assert_eq(&told);
    assert!(place.host.edited().is_empty());
    assert!(!place.host.kinds().contains(&"edit".to_owned()), "nobody is asked about what cannot be done");
}

#[tokio::test]
async fn an_empty_old_string_creates() {
    let place = Place::new();
    place.call(&tool(), edit("new/file", "", "a\n")).await.unwrap();
    assert_eq!(place.read("new/file"), b"a\n");
    place.write("empty", "");
    read(&place, "empty").await;
    place.call(&tool(), edit("empty", "", "b")).await.unwrap();
    assert_eq!(place.read("empty"), b"b");
}

#[tokio::test]
async fn a_touched_file_is_still_known() {
    let place = Place::new();
    place.write("a", "one");
    read(&place, "a").await;
    place.write("a", "one");
    place.call(&tool(), edit("a", "one", "two")).await.unwrap();
    // And what this session wrote itself is known, too.
    place.call(&tool(), edit("a", "two", "three")).await.unwrap();
    assert_eq!(place.read("a"), b"three");
}

#[tokio::test]
async fn parallel_edits_lose_nothing() {
    let place = Place::new();
    let lines: Vec<_> = (0..20).map(|number| format!("line {number} here")).collect();
    place.write("a", lines.join("\n"));
    read(&place, "a").await;
    let tool = tool();
    let calls = (0..20).map(|number| place.call(&tool, edit("a", &format!("line {number} here"), &format!("done {number}"))));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    let expected: Vec<_> = (0..20).map(|number| format!("done {number}")).collect();
    assert_eq!(String::from_utf8(place.read("a")).unwrap(), expected.join("\n"));
}

#[tokio::test]
async fn two_sessions_never_lose_an_edit() {
    let place = Place::new();
    place.write("a", "one\ntwo\n");
    let mut other = place.context.clone();
    other.file_times = Arc::new(FileTimes::default());
    read(&place, "a").await;
    erase(Read).call(&other, json!({ "filePath": "a" })).await.unwrap();
    let tool = tool();
    let (first, second) = tokio::join!(place.call(&tool, edit("a", "one", "1")), tool.call(&other, edit("a", "two", "2")));
    let text = String::from_utf8(place.read("a")).unwrap();
    match (first.is_ok(), second) {
        (true, Ok(_)) => assert_eq!(text, "1\n2\n"),
        (true, Err(error)) => {
            assert!(error.to_string().contains("Read it again"), "{error}");
            assert_eq!(text, "1\ntwo\n");
        }
        (false, _) => assert_eq!(text, "one\n2\n"),
    }
}

#[tokio::test]
async fn a_change_while_the_user_thinks_is_stale() {
    let place = Place::new();
    place.write("b", "one");
    read(&place, "b").await;
    let target = place.worktree.join("b");
    place.host.answer("edit", Answer::After(Arc::new(move || fs::write(&target, "one two").unwrap())));
    let error = place.call(&tool(), edit("b", "one", "1")).await.unwrap_err().to_string();
    assert!(error.contains("changed by someone else"), "{error}");
    assert_eq!(place.read("b"), b"one two");
    let target = place.worktree.join("b");
    place.host.answer("edit", Answer::After(Arc::new(move || fs::remove_file(&target).unwrap())));
    read(&place, "b").await;
    let error = place.call(&tool(), edit("b", "one", "1")).await.unwrap_err().to_string();
    assert!(error.contains("deleted"), "{error}");
    assert!(place.host.edited().is_empty());
}

#[tokio::test]
async fn a_read_only_file_is_left_alone() {
    let place = Place::new();
    place.write("a", "one");
    let mut permissions = fs::metadata(place.worktree.join("a")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(place.worktree.join("a"), permissions).unwrap();
    read(&place, "a").await;
    let error = place.call(&tool(), edit("a", "one", "1")).await.unwrap_err().to_string();
    assert!(error.contains("read-only"), "{error}");
    assert_eq!(place.read("a"), b"one");
}

#[tokio::test]
async fn characters_that_the_encoding_lacks() {
    let place = Place::new();
    place.write("a", b"gr\xFCn\r\nrot\r\n");
    read(&place, "a").await;
    let error = place.call(&tool(), edit("a", "rot", "→")).await.unwrap_err().to_string();
    assert!(error.contains("windows-1252") && error.contains('→') && error.contains("iconv"), "{error}");
    assert!(!error.contains("write tool"), "whoever writes what was shown of a wrong guess loses the text: {error}");
    place.call(&tool(), edit("a", "grün\nrot", "blau\nweiß")).await.unwrap();
    assert_eq!(place.read("a"), b"blau\r\nwei\xDF\r\n");
}

#[tokio::test]
async fn stray_bytes_and_legacy_letters_stay() {
    let place = Place::new();
    for (old, told) in [
        ([("naïve café → ok\n# ключ 日本\n").as_bytes(), b"bad \xff byte\nx = 1\n"].concat(), ""),
        ([("größe\n").as_bytes(), b"a\xc0\x80b \xed\xa0\xbd\xed\xb8\x80\nx = 1\n"].concat(), ""),
        (b"// \xd6\xd0\xce\xc4\xd7\xa2\xca\xcd\nx = 1\n".to_vec(), "GBK"),
    ] {
        place.write("a", &old);
        read(&place, "a").await;
        let output = place.call(&tool(), edit("a", "x = 1", "x = 'ж'")).await.unwrap();
        let letter: &[u8] = if told.is_empty() { "ж".as_bytes() } else { b"\xA7\xD8" };
        assert_eq!(place.read("a"), [&old[..old.len() - 2], b"'", letter, b"'\n"].concat());
        assert!(output.output.contains(told), "{}", output.output);
        assert!(!output.metadata["diff"].as_str().unwrap().contains('\u{10ffff}'));
    }
    place.write("a", b"caf\xC3\xA9 \xC3\xA8 \xFF x\n");
    read(&place, "a").await;
    let error = place.call(&tool(), edit("a", "café è \u{fffd} x", "y")).await.unwrap_err().to_string();
    assert!(error.contains("1: café è \u{fffd} x") && error.contains("the byte FF"), "{error}");
    let error = place.call(&tool(), edit("a", "x", "\u{10ffff}")).await.unwrap_err().to_string();
    assert!(error.contains("not changed"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_seen_is_named() {
    let place = Place::new();
    place.write("a", "total\u{a0}= 1\ncafe\u{301} = 2\nit\u{2019}s 3\nzero\u{200b}width\n");
    read(&place, "a").await;
    for (old, told) in [
        ("total = 1", "Line 1 differs in what cannot be seen: the file has U+00A0 (no-break space), oldString has U+0020 (space)."),
        ("caf\u{e9} = 2", "the file has U+0065 'e' U+0301 (combining mark), oldString has U+00E9 'é'"),
        ("it's 3", "the file has U+2019 (right single quotation mark)"),
        ("zerowidth", "the file has U+200B (zero width space)"),
    ] {
        let error = place.call(&tool(), edit("a", old, "x")).await.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("nearest text"), "{error}");
    }
}

#[tokio::test]
async fn a_search_without_end_is_aborted() {
    let place = Place::new();
    place.write("a", "a ".repeat(1_000_000));
    read(&place, "a").await;
    let cancel = place.context.cancel.clone();
    let tool = tool();
    let (result, ()) = tokio::join!(place.call(&tool, edit("a", &("a  ".repeat(300_000) + "b"), "x")), async {
        tokio::task::yield_now().await;
        cancel.cancel();
    });
    assert_eq!(result, Err(ToolError::Aborted));
}

/// Lines with any endings in any encoding: the n-th line is quoted loosely, and everything else must stay.
fn stored(lines: &[(String, bool)], encoding: Encoding) -> Vec<u8> {
    let parts = |(line, returns): &(String, bool)| [line.clone(), if *returns { "\r\n" } else { "\n" }.to_owned()];
    let text: String = lines.iter().flat_map(parts).collect();
    encoding.encode(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn all_other_bytes_stay(
        lines in prop::collection::vec(("[ \t]{0,3}[a-cü]{1,4}( [a-cü]{1,3})?[ ]{0,2}", any::<bool>()), 1..8),
        encoding in prop::sample::select(vec![Encoding::Utf8, Encoding::Utf8Mark, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Legacy(encoding_rs::WINDOWS_1252)]),
        at in 0..8usize,
    ) {
        // So that windows-1252 is recognised as such.
        let mut lines = lines;
        lines.push(("\u{fc}x".to_owned(), false));
        let at = at % lines.len();
        let marked = format!("mark{at} and end");
        lines[at].0 = format!("  {marked}  ");
        let bytes = stored(&lines, encoding);
        let place = Place::new();
        place.write("f", &bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            read(&place, "f").await;
            place.call(&tool(), edit("f", &format!("\t{}\n", marked.replace(' ', "  ")), "\tNEW\n")).await.unwrap();
        });
        lines[at].0 = "  NEW".to_owned();
        prop_assert_eq!(place.read("f"), stored(&lines, encoding));
    }
}

#[tokio::test]
async fn a_replacement_that_would_fill_the_memory_is_refused_before_it_is_made() {
    let place = Place::new();
    place.write("f", "a".repeat(4 * 1024 * 1024));
    read(&place, "f").await;
    // Made, it would have a tebibyte.
    let huge = json!({ "filePath": "f", "oldString": "a", "newString": "b".repeat(256 * 1024), "replaceAll": true });
    let error = place.call(&tool(), huge).await.unwrap_err().to_string();
    assert!(error.contains("more than"), "{error}");
    let many = json!({ "filePath": "f", "oldString": "a", "newString": "b", "replaceAll": true });
    let error = place.call(&tool(), many).await.unwrap_err().to_string();
    assert!(error.contains("times"), "{error}");
    assert_eq!(place.read("f").len(), 4 * 1024 * 1024);
    let fitting = json!({ "filePath": "f", "oldString": "aaaaaaaa", "newString": "bbbb", "replaceAll": true });
    place.call(&tool(), fitting).await.unwrap();
    assert_eq!(place.read("f").len(), 2 * 1024 * 1024);
}
