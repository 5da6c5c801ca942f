//! Frames, complete and in chunks.

use proptest::prelude::*;

use super::*;

/// What a client sends.
fn sent(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn text(payload: &[u8]) -> Vec<u8> {
    sent(0x81, payload, [1, 2, 3, 4])
}

/// All items as text.
fn decode<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = Decoder::new(limit);
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.space().extend_from_slice(chunk);
        while let Some(event) = decoder.next() {
            seen.push(match event {
                Event::Text(bytes) => format!("text {}", String::from_utf8_lossy(bytes)),
                Event::TooLarge(bytes) => format!("large {}", String::from_utf8_lossy(bytes)),
                other => format!("{other:?}"),
            });
        }
    }
    seen
}

#[test]
fn messages_and_signs() {
    let mut stream = text(b"one");
    stream.extend(sent(0x01, b"tw", [9; 4]));
    stream.extend(sent(0x89, b"hi", [7; 4]));
    stream.extend(sent(0x80, b"o", [8; 4]));
    stream.extend(sent(0x82, &[0; 300], [5; 4]));
    stream.extend(sent(0x8a, b"", [5; 4]));
    stream.extend(text(&[b'x'; 126]));
    stream.extend(sent(0x88, &[0x03, 0xe8, b'b', b'y', b'e'], [1; 4]));
    let long = format!("text {}", "x".repeat(126));
    let expected = ["text one", "Ping([104, 105])", "text two", "Binary", "Pong", long.as_str(), "Close(Some(1000))"];
    assert_eq!(decode(1000, [stream.as_slice()]), expected);
    assert_eq!(decode(1000, stream.chunks(1)), expected);
}

#[test]
fn what_is_too_large_is_skipped_and_the_next_message_is_found() {
    let mut stream = text(&[b'a'; 10_000]);
    stream.extend(text(b"after"));
    // In fragments, of which the second exceeds the limit, with a pong between.
    stream.extend(sent(0x01, &[b'b'; 4], [1; 4]));
    stream.extend(sent(0x00, &[b'c'; 100], [2; 4]));
    stream.extend(sent(0x8a, b"", [5; 4]));
    stream.extend(sent(0x80, &[b'd'; 100], [3; 4]));
    stream.extend(text(b"last"));
    let (first, second) = (format!("large {}", "a".repeat(PREFIX_BYTES)), format!("large bbbb{}", "c".repeat(100)));
    assert_eq!(decode(50, stream.chunks(7)), [first.as_str(), "text after", second.as_str(), "Pong", "text last"]);
}

#[test]
fn memory_follows_what_has_come_and_not_what_was_announced() {
    let mut decoder = Decoder::new(32 << 20);
    decoder.space().extend_from_slice(&text(&vec![b'x'; 32 << 20])[..1000]);
    assert!(decoder.next().is_none());
    assert!(decoder.space().capacity() < 64 * 1024);
    let whole = text(&vec![b'x'; 1 << 20]);
    let mut decoder = Decoder::new(32 << 20);
    for chunk in whole.chunks(5000) {
        decoder.space().extend_from_slice(chunk);
    }
    assert!(matches!(decoder.next(), Some(Event::Text(text)) if text.len() == 1 << 20));
    assert!(decoder.space().capacity() <= IDLE_BUFFER_BYTES, "an idle connection has a small buffer");
}

#[test]
fn what_breaks_the_protocol_ends_it() {
    for (bytes, expected) in [
        (vec![0x81, 0x01, b'x'], "Broken(1002, \"frames of a client must be masked\")"),
        (sent(0xc1, b"x", [0; 4]), "Broken(1002, \"a reserved bit is set\")"),
        (sent(0x83, b"x", [0; 4]), "Broken(1002, \"unknown opcode\")"),
        (sent(0x09, b"x", [0; 4]), "Broken(1002, \"a control frame must be short and unfragmented\")"),
        (sent(0x89, &[0; 126], [0; 4]), "Broken(1002, \"a control frame must be short and unfragmented\")"),
        (sent(0x80, b"x", [0; 4]), "Broken(1002, \"unexpected fragment\")"),
        ([sent(0x01, b"x", [0; 4]), text(b"y")].concat(), "Broken(1002, \"unexpected fragment\")"),
        (vec![0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "Broken(1009, \"the frame is too large\")"),
    ] {
        let mut stream = bytes.clone();
        stream.extend(text(b"not read any more"));
        assert_eq!(decode(100, [stream.as_slice()]), [expected], "{bytes:?}");
    }
    assert_eq!(decode(9, [sent(0x88, &[], [0; 4]).as_slice()]), ["Close(None)"]);
    for (payload, expected) in [
        (&[0x03][..], "Broken(1002, \"incomplete close code\")"),
        (&[0x03, 0xed], "Broken(1002, \"invalid close code\")"),
        (&[0x03, 0xe7], "Broken(1002, \"invalid close code\")"),
        (&[0x07, 0xd0], "Broken(1002, \"invalid close code\")"),
        (&[0x03, 0xe8, 0xff], "Broken(1007, \"the reason of a close frame is not UTF-8\")"),
        (&[0x03, 0xf3, b'b', b'y', b'e'], "Close(Some(1011))"),
        (&[0x0b, 0xb8], "Close(Some(3000))"),
    ] {
        assert_eq!(decode(9, [sent(0x88, payload, [0; 4]).as_slice()]), [expected]);
    }
}

#[test]
fn our_frames() {
    let mut bytes = Vec::new();
    let close_reason = CloseReason::default();
    let mut frames = Frames::new(close_reason.clone());
    frames.message("hi", &mut bytes);
    frames.message(&"x".repeat(70_000), &mut bytes);
    assert_eq!(bytes[..4], [0x81, 2, b'h', b'i']);
    assert_eq!(bytes[4..14], [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    bytes.clear();
    close_reason.set((code::GOING_AWAY, "bye")).unwrap();
    frames.end(&mut bytes);
    assert_eq!(bytes, [0x88, 5, 0x03, 0xe9, b'b', b'y', b'e']);
    assert_eq!((ping(), pong(b"a")), (vec![0x89, 0], vec![0x8a, 1, b'a']));
}

proptest! {
    #[test]
    fn the_cut_into_chunks_changes_nothing(
        frames in prop::collection::vec((0u8..=255, prop::collection::vec(any::<u8>(), 0..200), any::<[u8; 4]>()), 0..12),
        cuts in prop::collection::vec(1usize..40, 1..60),
    ) {
        // Mostly valid frames.
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload, mask)| {
                let first = if *first < 200 { [0x81, 0x01, 0x00, 0x80, 0x82, 0x89, 0x8a, 0x02][usize::from(*first % 8)] } else { *first };
                sent(first, payload, *mask)
            })
            .collect();
        let whole = decode(150, [stream.as_slice()]);
        let (mut rest, mut chunks) = (stream.as_slice(), Vec::new());
        for &cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, left) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = left;
        }
        prop_assert_eq!(decode(150, chunks), whole);
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode(100, bytes.chunks(13));
    }
}
