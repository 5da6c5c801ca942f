//! The decoder: examples, and the property that frames do not depend on chunks.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 40;

fn show(frame: Frame<'_>) -> String {
    match frame {
        Frame::Message(bytes) => format!("message {:?}", String::from_utf8_lossy(bytes)),
        Frame::TooLarge(id) => format!("too large {id:?}"),
        other => format!("{other:?}"),
    }
}

/// Feeds the stream in chunks of these sizes, then the rest at once, and lists the frames.
fn decode(stream: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut decoder = Decoder::new(LIMIT);
    let mut frames = Vec::new();
    let mut rest = stream;
    let mut cuts = cuts.iter();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(cuts.next().map_or(rest.len(), |&cut| cut.min(rest.len())));
        rest = after;
        decoder.space().extend_from_slice(chunk);
        while let Some(frame) = decoder.next_frame() {
            frames.push(show(frame));
        }
    }
    while let Some(frame) = decoder.last_frame() {
        frames.push(show(frame));
    }
    frames
}

fn check(stream: &str, expect: &Expect) {
    expect.assert_eq(&decode(stream.as_bytes(), &[]).join("\n"));
    let single = vec![1; stream.len()];
    expect.assert_eq(&decode(stream.as_bytes(), &single).join("\n"));
}

#[test]
fn lines() {
    check(
        "\r\n\n {\"a\":1}\r\n\n[2]\n  \n{\"b\":\n{\"last\":true}",
        &expect![[r#"
            message "{\"a\":1}"
            message "[2]"
            message "{\"b\":"
            message "{\"last\":true}""#]],
    );
}

#[test]
fn anything_else_is_decoded_as_lines() {
    check(
        "hello\n{}\n",
        &expect![[r#"
            message "hello"
            message "{}""#]],
    );
    check("contents\n", &expect![[r#"message "contents""#]]);
    check("cont", &expect![[r#"message "cont""#]]);
}

#[test]
fn a_long_line_is_skipped() {
    let long = "x".repeat(LIMIT);
    check(
        &format!("{long}\r\n{long}y\r\n{long}yy\n{{}}\n{long}yyyyy"),
        &expect![[r#"
            message "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            too large None
            too large None
            message "{}"
            too large None"#]],
    );
}

#[test]
fn headers() {
    check(
        "Content-Length: 2\r\n\r\n{}\r\nContent-Type: x; charset=utf-8\r\ncontent-length:4\n\n[1\n]Content-Length: 0\r\n\r\n",
        &expect![[r#"
            message "{}"
            message "[1\n]"
            message """#]],
    );
}

#[test]
fn a_large_body_is_skipped() {
    check(
        &format!("Content-Length: 50\r\n\r\n{}Content-Length: 2\r\n\r\n{{}}", "x".repeat(50)),
        &expect![[r#"
            too large None
            message "{}""#]],
    );
    check("Content-Length: 50\r\n\r\nxxx", &expect!["too large None"]);
}

#[test]
fn the_id_of_an_oversize_message_is_found_behind_everything_else() {
    let body = format!(r#"{{"params":{{"id":1,"x":"{}"}},"id":7}}"#, "x".repeat(LIMIT));
    check(
        &format!("{body}\n{{}}\n{body}"),
        &expect![[r#"
            too large Some(Number(7))
            message "{}"
            too large Some(Number(7))"#]],
    );
    check(
        &format!("Content-Length: {}\r\n\r\n{body}Content-Length: 100\r\n\r\n{}", body.len(), "x".repeat(100)),
        &expect![[r"
            too large Some(Number(7))
            too large None"]],
    );
}

#[test]
fn byte_order_marks_are_ignored() {
    check(
        "\u{feff}{\"a\":1}\n\u{feff}\r\n\u{feff}[2]\n",
        &expect![[r#"
            message "{\"a\":1}"
            message "\u{feff}[2]""#]],
    );
    check(
        "\r\n\u{feff}\u{feff}Content-Length: 2\r\n\r\n{}\u{feff}content-length: 5\r\n\r\n\u{feff}{}",
        &expect![[r#"
            message "{}"
            message "\u{feff}{}""#]],
    );
}

#[test]
fn after_bad_headers_the_next_length_is_found() {
    for bad in ["Content-Type: a\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: 1\r\ncontent-length: 2\n\n", "content-x\n\n"] {
        check(
            &format!("{bad}{{\"x\":1}}\r\nContent-Length: 2\r\n\r\n[]"),
            &expect![[r#"
                BadHeaders
                message "[]""#]],
        );
    }
    check(
        &format!("Content-Type: {}\r\n\r\nContent-Length: 2\r\n\r\n[]", "x".repeat(9000)),
        &expect![[r#"
            BadHeaders
            message "[]""#]],
    );
}

#[test]
fn an_incomplete_body_is_truncated() {
    check("Content-Length: 3\r\n\r\n{}", &expect!["Truncated"]);
    check("Content-Length: 3\r", &expect!["Truncated"]);
}

#[test]
fn encoded_messages_are_single_lines() {
    let mut bytes = Vec::new();
    Framing::Lines.encode("{\n\"a\": \"ä\"}", &mut bytes);
    Framing::Headers.encode("\"ä\"", &mut bytes);
    assert_eq!(String::from_utf8(bytes).unwrap(), "{ \"a\": \"ä\"}\nContent-Length: 4\r\n\r\n\"ä\"");
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[\\[{\"a1, \r\n]{0,60}".prop_map(String::into_bytes),
        "[a-z]{0,60}".prop_map(|body| format!("{{{body}}}\r\n").into_bytes()),
        "[a-z{}\n]{0,60}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()),
        (0u32..100).prop_map(|length| format!("content-length: {length}\n\n").into_bytes()),
        Just(b"Content-".to_vec()),
        Just(BYTE_ORDER_MARK.to_vec()),
        Just(b"\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn chunks_do_not_matter(pieces in prop::collection::vec(piece(), 0..8), cuts in prop::collection::vec(1usize..30, 0..60)) {
        let stream = pieces.concat();
        prop_assert_eq!(decode(&stream, &cuts), decode(&stream, &[]));
    }

    #[test]
    fn encoded_messages_decode_to_themselves(messages in prop::collection::vec("[{\\[][a-z\" ]{0,30}", 1..8), headers: bool, cuts in prop::collection::vec(1usize..30, 0..60)) {
        let framing = if headers { Framing::Headers } else { Framing::Lines };
        let mut stream = Vec::new();
        for message in &messages {
            framing.encode(message, &mut stream);
        }
        let expected: Vec<_> = messages.iter().map(|message| show(Frame::Message(message.as_bytes()))).collect();
        prop_assert_eq!(decode(&stream, &cuts), expected);
    }
}
