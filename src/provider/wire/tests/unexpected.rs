//! Invalid fields and events are ignored and never fail the answer.

use crate::provider::{
    definition::{Delta, Error},
    wire::{
        ALL,
        decode::{Fault, frames::Framing},
        protocol::Wire,
        tests::{ANTHROPIC, RESPONSES, event, shown, splits::decode},
    },
};

/// Text, given as between the quotes of a JSON string.
pub(crate) fn text_event(wire: &dyn Wire, raw: &str) -> String {
    event(wire, &wire.column().text.replace("$X", raw))
}

fn thinking_event(wire: &dyn Wire, raw: &str) -> String {
    event(wire, &wire.column().thinking.replace("$X", raw))
}

/// A call with its arguments, in fragments if the protocol streams them.
fn call_event(wire: &dyn Wire, pieces: [&str; 2]) -> String {
    wire.column().call.iter().map(|json| event(wire, &json.replace("$1", pieces[0]).replace("$2", pieces[1]))).collect()
}

/// The end of an answer with its usage.
pub(crate) fn end(wire: &dyn Wire) -> String {
    wire.column().end.iter().map(|json| event(wire, json)).collect()
}

/// The text, thinking, arguments of calls and counts of a successful answer.
pub(crate) fn decoded(wire: &dyn Wire, stream: &[u8]) -> (String, String, String, (u64, u64)) {
    let (deltas, fault) = decode(wire, [stream]);
    let all: Vec<_> = deltas.iter().cloned().map(Ok::<_, Error>).collect();
    assert_eq!(fault, None, "{wire:?}: {}\n{}", String::from_utf8_lossy(stream), shown(&all));
    let (mut text, mut thinking, mut arguments, mut counts) = (String::new(), String::new(), String::new(), (0, 0));
    for delta in deltas {
        match delta {
            Delta::Text(piece) => text.push_str(&piece),
            Delta::Reasoning(piece) => thinking.push_str(&piece),
            Delta::ToolCallDone { arguments: piece, .. } => arguments.push_str(&piece),
            Delta::Finish { tokens, .. } => counts = (tokens.input, tokens.output),
            Delta::ReasoningSignature(_) | Delta::ToolCallStart { .. } | Delta::ToolCallArguments { .. } => {}
        }
    }
    (text, thinking, arguments, counts)
}

#[test]
fn halves_of_characters_are_joined_or_replaced() {
    for &wire in ALL {
        for (first, second, expected) in [
            ("ok \\ud83d", "\\ude00 end", "ok 😀 end"),
            ("ok \\ud83d", " end", "ok \u{fffd} end"),
            ("ok", "\\ude00 end", "ok\u{fffd} end"),
            ("ok ", "end \\uD83D", "ok end \u{fffd}"),
        ] {
            let stream = [
                thinking_event(wire, first),
                thinking_event(wire, second),
                text_event(wire, first),
                text_event(wire, ""),
                text_event(wire, second),
                end(wire),
            ];
            let (text, thinking, _, counts) = decoded(wire, stream.concat().as_bytes());
            assert_eq!((text.as_str(), thinking.as_str(), counts), (expected, expected, (3, 2)), "{wire:?}");

            // In the string of the arguments, and in their own JSON.
            let pieces = [format!("{{\\\"a\\\":\\\"{first}"), format!("{second}\\\"}}")];
            let (_, _, arguments, _) = decoded(wire, (call_event(wire, [&pieces[0], &pieces[1]]) + &end(wire)).as_bytes());
            assert_eq!(arguments, format!("{{\"a\":\"{expected}\"}}"), "{wire:?}");
            let inner = pieces.map(|piece| piece.replace("\\u", "\\\\u"));
            let (_, _, arguments, _) = decoded(wire, (call_event(wire, [&inner[0], &inner[1]]) + &end(wire)).as_bytes());
            let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap();
            assert_eq!(arguments["a"], expected, "{wire:?}");
        }
        // Half a character before another kind of text stays with its own text.
        let (deltas, _) = decode(wire, [(thinking_event(wire, "a\\ud83d") + &text_event(wire, "b") + &end(wire)).as_bytes()]);
        let thinking: String =
            deltas.iter().map_while(|delta| if let Delta::Reasoning(text) = delta { Some(text.as_str()) } else { None }).collect();
        assert_eq!(thinking, "a\u{fffd}", "{wire:?}");
    }
}

#[test]
fn invalid_utf8_is_replaced() {
    for &wire in ALL {
        let stream = text_event(wire, "a~b") + &end(wire);
        let (before, after) = stream.split_once('~').unwrap();
        let stream = [before.as_bytes(), b"\xf0\x9f", after.as_bytes()].concat();
        assert_eq!(decoded(wire, &stream).0, "a\u{fffd}b", "{wire:?}");
    }
}

#[test]
fn the_last_of_equal_keys_counts() {
    for &wire in ALL {
        let twice = |json: String| {
            let fields = ["\"content\":", "\"text\":", "\"delta\":\"", "\"usage\":", "\"usageMetadata\":", "\"done\":", "\"eval_count\":"];
            fields.iter().fold(json, |json, field| json.replace(field, &format!("{}null,{field}", field.trim_end_matches('"'))))
        };
        let stream = twice(text_event(wire, "x")) + &twice(end(wire));
        assert!(stream.contains("null"));
        assert_eq!(decoded(wire, stream.as_bytes()), ("x".to_owned(), String::new(), String::new(), (3, 2)), "{wire:?}");
    }
}

#[test]
fn counts_in_any_form() {
    for &wire in ALL {
        for (three, expected) in [
            ("3.0", 3),
            ("\"3\"", 3),
            ("\"3.0\"", 3),
            ("-3", 0),
            ("NaN", 0),
            ("Infinity", 0),
            ("null", 0),
            ("{}", 0),
            ("\"three\"", 0),
            ("99999999999999999999", 0),
        ] {
            let stream = text_event(wire, "x") + &end(wire).replace(":3,", &format!(":{three},")).replace(":3}", &format!(":{three}}}"));
            let (text, _, _, counts) = decoded(wire, stream.as_bytes());
            assert_eq!((text.as_str(), counts), ("x", (expected, 2)), "{wire:?}: {three}");
        }
        for usage in ["null", "12", "\"none\"", "[]"] {
            let stream = text_event(wire, "x") + &end(wire).replace("{\"input_tokens\":3,\"output_tokens\":2}", usage);
            decoded(wire, stream.as_bytes());
        }
    }
}

#[test]
fn unknown_and_malformed_events() {
    let everywhere = [
        r#"{"type":"vendor.note","message":"queued, place 3","delta":"abc","usage":12,"content":"abc","index":"0","response":"abc","item":"abc"}"#,
        r#"{"type":"vendor.note","delta":{"text":"hm"},"content_block":7,"choices":[null],"candidates":"x","object":{},"error":null}"#,
        r#"{"type":7,"choices":{},"candidates":[null,{"content":"x"}],"usageMetadata":"x","tool_calls":[null],"promptFeedback":"x"}"#,
        "{}",
        "[]",
        "[null]",
        "null",
        "keep-alive",
    ];
    for &wire in ALL {
        for unusual in everywhere {
            let stream = event(wire, unusual) + &text_event(wire, "x") + &event(wire, unusual) + &end(wire);
            assert_eq!(decoded(wire, stream.as_bytes()).0, "x", "{wire:?}: {unusual}");
        }
        if wire.framing() == Framing::Events {
            let stream =
                format!("event: gateway_status\ndata: {{warming up}}\n\n{}event: x\ndata: {{\"a\n\n{}", text_event(wire, "x"), end(wire));
            assert_eq!(decoded(wire, stream.as_bytes()).0, "x", "{wire:?}");
        }
    }
    for &wire in ALL {
        for unusual in wire.column().unusual {
            let stream = text_event(wire, "x") + &event(wire, unusual) + &end(wire);
            assert_eq!(decoded(wire, stream.as_bytes()).0, "x", "{wire:?}: {unusual}");
        }
    }
}

#[test]
fn event_names_replace_missing_types() {
    for (wire, name) in [(ANTHROPIC, "content_block_delta"), (RESPONSES, "response.output_text.delta")] {
        let untyped = text_event(wire, "x").replacen(&format!("\"type\":\"{name}\""), "\"type\":null", 1);
        assert_eq!(decoded(wire, format!("event: {name}\n{untyped}{}", end(wire)).as_bytes()).0, "x", "{wire:?}");
    }
}

#[test]
fn events_without_an_empty_line_between_them() {
    for &wire in ALL {
        let stream = text_event(wire, "a").replace("\n\n", "\n") + &text_event(wire, "b") + &end(wire);
        assert_eq!(decoded(wire, stream.as_bytes()).0, "ab", "{wire:?}");
    }
}

#[test]
fn unescaped_control_characters() {
    for &wire in ALL {
        let stream = text_event(wire, "a\t\u{1}\u{2028}b\\x\\'") + &end(wire);
        assert_eq!(decoded(wire, stream.as_bytes()).0, "a\t\u{1}\u{2028}bx'", "{wire:?}");
    }
}

#[test]
fn responses_that_end_without_details() {
    let wire = RESPONSES;
    for (end, expected) in [
        (
            r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}"#,
            "content-filter",
        ),
        (r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":"max_output_tokens"}}"#, "length"),
        (r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":null}}"#, "length"),
        (r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{}}}"#, "length"),
        (r#"{"type":"response.incomplete","response":{"status":7,"incomplete_details":[7]}}"#, "length"),
        (r#"{"type":"response.incomplete","response":null}"#, "length"),
        (r#"{"type":"response.incomplete"}"#, "length"),
        (r#"{"type":"response.completed"}"#, "stop"),
        (r#"{"type":"response.completed","response":"x"}"#, "stop"),
        (r#"{"type":"response.done","response":{"status":"cancelled"}}"#, "other"),
    ] {
        let (deltas, fault) = decode(wire, [(text_event(wire, "x") + &event(wire, end)).as_bytes()]);
        assert_eq!((&deltas[0], fault), (&Delta::Text("x".to_owned()), None), "{end}");
        assert!(matches!(&deltas[1..], [Delta::Finish { reason, .. }] if reason.word() == expected), "{end}: {deltas:?}");
    }
    let (_, fault) = decode(wire, [event(wire, r#"{"type":"response.failed","response":null}"#).as_bytes()]);
    assert!(matches!(fault, Some(Fault::Said(_))), "{fault:?}");
}

#[test]
fn answers_without_streaming() {
    for &wire in ALL {
        let body = wire.column().unstreamed;
        assert_eq!(decoded(wire, body.as_bytes()), ("a\u{fffd}".to_owned(), String::new(), String::new(), (3, 2)), "{wire:?}");
    }
}

#[test]
fn arguments_as_text_as_an_object_or_not_at_all() {
    for &wire in ALL {
        for (arguments, expected) in [
            (r#"{"a": 1}"#, r#"{"a":1}"#),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            ("null", "{}"),
            (r#""null""#, "{}"),
            (r#""""#, "{}"),
            ("{}", "{}"),
            ("[]", "{}"),
        ] {
            let call = wire.column().whole_call.replace("$X", arguments);
            let stream = event(wire, &call) + &end(wire);
            assert_eq!(decoded(wire, stream.as_bytes()).2, expected, "{wire:?}: {arguments}");
        }
    }
}
