//! Reading real files.

use std::{
    fs::{self, File},
    sync::Arc,
    time::Instant,
};

use base64::Engine as _;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{lines::PAGE_BYTES, *};
use crate::tool::{
    definition::{AnyTool, erase},
    file_times::Stale,
    test_host::{Answer, Place},
};

fn tool() -> Arc<dyn AnyTool> {
    erase(Read)
}

async fn check(place: &Place, input: Value, expected: Expect) {
    let text = match place.call(&tool(), input).await {
        Ok(output) => output.output,
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&place.neutral(&text));
}

#[tokio::test]
async fn files_by_lines() {
    let place = Place::new();
    place.write("a.txt", "one\ntwo\r\n\nfour");
    place.write("empty", "");
    check(
        &place,
        json!({ "filePath": "a.txt" }),
        expect![[r"
        <path>TREE/a.txt</path>
        <type>file</type>
        <content>
        1: one
        2: two
        3: 
        4: four

        (End of file, 4 lines in total.)
        </content>"]],
    )
    .await;
    check(
        &place,
        json!({ "filePath": "a.txt", "offset": "2", "limit": 1 }),
        expect![[r"
        <path>TREE/a.txt</path>
        <type>file</type>
        <content>
        2: two

        (Lines 2 to 2 of 4. Go on with offset 3.)
        </content>"]],
    )
    .await;
    check(&place, json!({ "filePath": "a.txt", "offset": 5 }), expect!["error: offset 5 lies beyond the end of a.txt, which has 4 lines."])
        .await;
    check(
        &place,
        json!({ "filePath": "empty" }),
        expect![[r"
        <path>TREE/empty</path>
        <type>file</type>
        <content>

        (The file is empty.)
        </content>"]],
    )
    .await;
    check(&place, json!({ "filePath": "a.txt", "limit": "many" }), expect![[r#"error: The arguments of the tool `read` are not valid at `limit`: invalid type: string "many", expected a whole number that is not negative. Please call it again with arguments that satisfy its schema."#]]).await;
}

#[tokio::test]
async fn directories_by_names() {
    let place = Place::new();
    place.write("d/b.txt", "");
    place.write("d/a/x", "");
    fs::create_dir(place.worktree.join("void")).unwrap();
    check(
        &place,
        json!({ "filePath": "d" }),
        expect![[r"
        <path>TREE/d</path>
        <type>directory</type>
        <entries>
        a/
        b.txt

        (2 entries in total.)
        </entries>"]],
    )
    .await;
    check(
        &place,
        json!({ "filePath": "d", "limit": 1 }),
        expect![[r"
        <path>TREE/d</path>
        <type>directory</type>
        <entries>
        a/

        (Entries 1 to 1 of 2. Go on with offset 2.)
        </entries>"]],
    )
    .await;
    assert!(place.call(&tool(), json!({ "filePath": "void" })).await.unwrap().output.contains("is empty"));
    assert_eq!(place.call(&tool(), json!({ "filePath": "." })).await.unwrap().title, ".");
}

#[tokio::test]
async fn what_is_missing_or_no_text() {
    let place = Place::new();
    place.write("src/Config.rs", "");
    place.write("src/main.rs", "");
    place.write("program", b"\x7fELF\0\0");
    check(
        &place,
        json!({ "filePath": "src/config" }),
        expect![[r"
        error: TREE/src/config does not exist. Did you mean one of these?
        TREE/src/Config.rs"]],
    )
    .await;
    check(
        &place,
        json!({ "filePath": "src/mian.rs" }),
        expect![[r"
        error: TREE/src/mian.rs does not exist. Did you mean one of these?
        TREE/src/main.rs"]],
    )
    .await;
    check(&place, json!({ "filePath": "no/such" }), expect!["error: TREE/no/such does not exist. Neither does the directory TREE/no."])
        .await;
    check(&place, json!({ "filePath": "program" }), expect!["error: program is a binary file of 6 bytes and cannot be shown as text."])
        .await;
    assert!(!place.host.kinds().contains(&"external_directory".to_owned()));
}

#[tokio::test]
async fn images_are_attached() {
    let place = Place::new();
    let png = crate::file::image::tests::png(20, 20, 100);
    place.write("logo", &png);
    let output = place.call(&tool(), json!({ "filePath": "logo" })).await.unwrap();
    let attachment = &output.attachments[0];
    assert_eq!((attachment.mime.as_str(), attachment.filename.as_deref()), ("image/png", Some("logo")));
    let data = attachment.url.strip_prefix("data:image/png;base64,").unwrap();
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(data).unwrap(), png);
    place.write("big.pdf", [b"%PDF-1.7".as_slice(), &vec![0; 6 << 20]].concat());
    let error = place.call(&tool(), json!({ "filePath": "big.pdf" })).await.unwrap_err().to_string();
    assert!(error.contains("at most 5242880"), "{error}");
}

#[tokio::test]
async fn other_encodings_are_text_too() {
    let place = Place::new();
    for bytes in [&b"\xEF\xBB\xBFgr\xC3\xBCn\n"[..], b"gr\xFCn\n", b"\xFF\xFEg\0r\0\xFC\0n\0\n\0", b"\xFE\xFF\0g\0r\0\xFC\0n\0\n"] {
        place.write("f", bytes);
        let output = place.call(&tool(), json!({ "filePath": "f" })).await.unwrap().output;
        assert!(output.contains("\n1: grün\n\n(End"), "{output}");
    }
}

#[tokio::test]
async fn the_file_is_known_afterwards_however_little_was_shown() {
    let place = Place::new();
    let content = "line\n".repeat(100_000);
    place.write("f", &content);
    let output = place.call(&tool(), json!({ "filePath": "f" })).await.unwrap();
    assert!(output.output.contains("Lines 1 to 2000 of 100000. Go on with offset 2001"));
    assert!(output.output.len() < PAGE_BYTES);
    assert_eq!(output.metadata["truncated"], json!(true));
    let real = place.worktree.join("f");
    assert_eq!(place.context.file_times.check(&real, &blake3::hash(content.as_bytes())), Ok(()));
    assert_eq!(place.context.file_times.check(&real, &blake3::hash(b"other")), Err(Stale::Changed));
}

#[tokio::test]
async fn leave_is_asked_for_by_name() {
    let place = Place::new();
    place.write(".env", "KEY=1");
    place.host.answer("read", Answer::DenyContaining(".env"));
    assert!(matches!(place.call(&tool(), json!({ "filePath": ".env" })).await, Err(ToolError::Denied(_))));
    fs::write(place.outside.join("x"), "x").unwrap();
    place.host.clear();
    place.call(&tool(), json!({ "filePath": place.outside.join("x").to_string() })).await.unwrap();
    assert_eq!(place.host.kinds(), ["external_directory", "read"]);
    assert_eq!(place.host.asks()[1].patterns, [place.outside.join("x").to_string()]);
}

#[tokio::test]
async fn an_aborted_call_ends() {
    let place = Place::new();
    place.write("f", "x\n".repeat(10_000));
    place.context.cancel.cancel();
    assert_eq!(place.call(&tool(), json!({ "filePath": "f" })).await, Err(ToolError::Aborted));
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_refused_without_waiting() {
    let place = Place::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.worktree.join("pipe").as_path(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let error = place.call(&tool(), json!({ "filePath": "pipe" })).await.unwrap_err().to_string();
    assert!(error.contains("pipe and not a regular file"), "{error}");
}

#[tokio::test]
async fn of_a_huge_file_only_the_page_is_read() {
    let place = Place::new();
    place.write("huge", "line\n".repeat(30_000));
    // Sparse: a terabyte that takes no room, and longer to read than anybody waits.
    File::options().write(true).open(place.worktree.join("huge")).unwrap().set_len(1 << 40).unwrap();
    let began = Instant::now();
    let output = place.call(&tool(), json!({ "filePath": "huge", "offset": 20_000, "limit": 3 })).await.unwrap();
    assert!(output.output.contains("20000: line\n20001: line\n20002: line\n"), "{}", output.output);
    assert!(output.output.contains("Go on with offset 20003"), "{}", output.output);
    assert!(began.elapsed().as_secs() < 10);
    // Only a part was seen, so it may not be overwritten; it is too large for that anyway.
    assert!(place.context.file_times.last(&place.worktree.join("huge")).is_none());
}

#[tokio::test]
async fn a_line_that_goes_on_is_said_to() {
    let place = Place::new();
    place.write("long", format!("short\n{}\nshort\n{}", "x".repeat(9000), "y".repeat(2001)));
    let output = place.call(&tool(), json!({ "filePath": "long" })).await.unwrap();
    assert!(
        output
            .output
            .contains("(End of file, 4 lines in total.)\n(2 lines go on, the first of them line 2: they are cut after 2000 characters.")
    );
    assert_eq!(output.metadata["truncated"], true);
    let output = place.call(&tool(), json!({ "filePath": "long", "offset": 3 })).await.unwrap();
    assert!(output.output.contains("\n(Line 4 goes on: it is cut after 2000 characters."), "{}", output.output);
    let output = place.call(&tool(), json!({ "filePath": "long", "limit": 1 })).await.unwrap();
    assert!(!output.output.contains("cut after"), "{}", output.output);
}
