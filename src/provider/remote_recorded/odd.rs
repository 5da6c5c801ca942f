//! What is odd in a stream costs the field or the event that is odd, never the answer.

use super::{shown, splits::decode};
use crate::provider::{
    definition::{Delta, Error},
    remote_decode::Fault,
    remote_wire::Wire,
};

/// An event with JSON of its own.
pub(super) fn event(wire: Wire, json: &str) -> String {
    if wire == Wire::Ollama { format!("{json}\n") } else { format!("data: {json}\n\n") }
}

/// Text, as it stands between the quotes of a JSON string.
pub(super) fn said(wire: Wire, raw: &str) -> String {
    let json = match wire {
        Wire::OpenAi => format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{raw}"}}}}]}}"#),
        Wire::OpenAiResponses => format!(r#"{{"type":"response.output_text.delta","output_index":0,"delta":"{raw}"}}"#),
        Wire::Anthropic => format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{raw}"}}}}"#),
        Wire::Gemini => format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{raw}"}}]}}}}]}}"#),
        Wire::Ollama => format!(r#"{{"message":{{"content":"{raw}"}},"done":false}}"#),
    };
    event(wire, &json)
}

/// Thinking.
fn thought(wire: Wire, raw: &str) -> String {
    let json = match wire {
        Wire::OpenAi => format!(r#"{{"choices":[{{"index":0,"delta":{{"reasoning_content":"{raw}"}}}}]}}"#),
        Wire::OpenAiResponses => format!(r#"{{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"{raw}"}}"#),
        Wire::Anthropic => format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"thinking_delta","thinking":"{raw}"}}}}"#),
        Wire::Gemini => format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{raw}","thought":true}}]}}}}]}}"#),
        Wire::Ollama => format!(r#"{{"message":{{"thinking":"{raw}"}},"done":false}}"#),
    };
    event(wire, &json)
}

/// A call with its arguments, in pieces where the protocol has pieces.
fn called(wire: Wire, pieces: [&str; 2]) -> String {
    let [first, second] = pieces;
    let whole = pieces.concat();
    let events = match wire {
        Wire::OpenAi => vec![
            format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"write","arguments":"{first}"}}}}]}}}}]}}"#
            ),
            format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{second}"}}}}]}}}}]}}"#),
        ],
        Wire::OpenAiResponses => vec![
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"write"}}"#
                .to_owned(),
            format!(r#"{{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{first}"}}"#),
            format!(r#"{{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{second}"}}"#),
        ],
        Wire::Anthropic => vec![
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"write","input":{}}}"#.to_owned(),
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{first}"}}}}"#),
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{second}"}}}}"#),
        ],
        Wire::Gemini => {
            vec![format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"id":"c","name":"write","args":"{whole}"}}}}]}}}}]}}"#
            )]
        }
        Wire::Ollama => {
            vec![format!(r#"{{"message":{{"tool_calls":[{{"id":"c","function":{{"name":"write","arguments":"{whole}"}}}}]}}}}"#)]
        }
    };
    events.iter().map(|json| event(wire, json)).collect()
}

/// The end of an answer with its usage: the names of its counts are 3 and 2 where `usage` stands for itself.
pub(super) fn end(wire: Wire) -> String {
    let json = match wire {
        Wire::OpenAi => r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        Wire::OpenAiResponses => {
            r#"{"type":"response.completed","response":{"status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":2}}}"#
        }
        Wire::Anthropic => r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"output_tokens":2}}"#,
        Wire::Gemini => r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
        Wire::Ollama => r#"{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#,
    };
    let stop = if wire == Wire::Anthropic { event(wire, r#"{"type":"message_stop"}"#) } else { String::new() };
    event(wire, json) + &stop
}

/// The text, the thinking, the arguments of calls and the counts; nothing has failed.
pub(super) fn heard(wire: Wire, stream: &[u8]) -> (String, String, String, (u64, u64)) {
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
            Delta::ReasoningSignature(_) | Delta::ToolCallStart { .. } => {}
        }
    }
    (text, thinking, arguments, counts)
}

#[test]
fn halves_of_characters_are_joined_or_replaced() {
    for wire in Wire::ALL {
        for (first, second, expected) in [
            ("ok \\ud83d", "\\ude00 end", "ok 😀 end"),
            ("ok \\ud83d", " end", "ok \u{fffd} end"),
            ("ok", "\\ude00 end", "ok\u{fffd} end"),
            ("ok ", "end \\uD83D", "ok end \u{fffd}"),
        ] {
            let stream = [thought(wire, first), thought(wire, second), said(wire, first), said(wire, ""), said(wire, second), end(wire)];
            let (text, thinking, _, counts) = heard(wire, stream.concat().as_bytes());
            assert_eq!((text.as_str(), thinking.as_str(), counts), (expected, expected, (3, 2)), "{wire:?}");

            // In the text of the arguments, and in their own JSON.
            let pieces = [format!("{{\\\"a\\\":\\\"{first}"), format!("{second}\\\"}}")];
            let (_, _, arguments, _) = heard(wire, (called(wire, [&pieces[0], &pieces[1]]) + &end(wire)).as_bytes());
            assert_eq!(arguments, format!("{{\"a\":\"{expected}\"}}"), "{wire:?}");
            let inner = pieces.map(|piece| piece.replace("\\u", "\\\\u"));
            let (_, _, arguments, _) = heard(wire, (called(wire, [&inner[0], &inner[1]]) + &end(wire)).as_bytes());
            let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap();
            assert_eq!(arguments["a"], expected, "{wire:?}");
        }
        // Half a character before another kind of text stands at the end of its own.
        let (deltas, _) = decode(wire, [(thought(wire, "a\\ud83d") + &said(wire, "b") + &end(wire)).as_bytes()]);
        let thinking: String =
            deltas.iter().map_while(|delta| if let Delta::Reasoning(text) = delta { Some(text.as_str()) } else { None }).collect();
        assert_eq!(thinking, "a\u{fffd}", "{wire:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    for wire in Wire::ALL {
        let stream = said(wire, "a~b") + &end(wire);
        let (before, after) = stream.split_once('~').unwrap();
        let stream = [before.as_bytes(), b"\xf0\x9f", after.as_bytes()].concat();
        assert_eq!(heard(wire, &stream).0, "a\u{fffd}b", "{wire:?}");
    }
}

#[test]
fn the_last_of_equal_keys_counts() {
    for wire in Wire::ALL {
        let twice = |json: String| {
            let fields = ["\"content\":", "\"text\":", "\"delta\":\"", "\"usage\":", "\"usageMetadata\":", "\"done\":", "\"eval_count\":"];
            fields.iter().fold(json, |json, field| json.replace(field, &format!("{}null,{field}", field.trim_end_matches('"'))))
        };
        let stream = twice(said(wire, "x")) + &twice(end(wire));
        assert!(stream.contains("null"));
        assert_eq!(heard(wire, stream.as_bytes()), ("x".to_owned(), String::new(), String::new(), (3, 2)), "{wire:?}");
    }
}

#[test]
fn counts_in_any_form() {
    for wire in Wire::ALL {
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
            let stream = said(wire, "x") + &end(wire).replace(":3,", &format!(":{three},")).replace(":3}", &format!(":{three}}}"));
            let (text, _, _, counts) = heard(wire, stream.as_bytes());
            assert_eq!((text.as_str(), counts), ("x", (expected, 2)), "{wire:?}: {three}");
        }
        for usage in ["null", "12", "\"none\"", "[]"] {
            let stream = said(wire, "x") + &end(wire).replace("{\"input_tokens\":3,\"output_tokens\":2}", usage);
            heard(wire, stream.as_bytes());
        }
    }
}

#[test]
fn unknown_and_odd_events() {
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
    for wire in Wire::ALL {
        for odd in everywhere {
            let stream = event(wire, odd) + &said(wire, "x") + &event(wire, odd) + &end(wire);
            assert_eq!(heard(wire, stream.as_bytes()).0, "x", "{wire:?}: {odd}");
        }
        if wire != Wire::Ollama {
            let stream =
                format!("event: gateway_status\ndata: {{warming up}}\n\n{}event: x\ndata: {{\"a\n\n{}", said(wire, "x"), end(wire));
            assert_eq!(heard(wire, stream.as_bytes()).0, "x", "{wire:?}");
        }
    }
    for (wire, odd) in [
        (Wire::Anthropic, r#"{"type":"content_block_start","index":0,"content_block":{"text":""}}"#),
        (Wire::Anthropic, r#"{"type":"content_block_start","index":0,"content_block":"text"}"#),
        (Wire::Anthropic, r#"{"type":"message_start","message":"text"}"#),
        (Wire::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"","thought":null},null,"x"]}}]}"#),
        (Wire::Ollama, r#"{"message":"loading"}"#),
        (
            Wire::OpenAiResponses,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"tool_search_call","arguments":{"q":"x"}}}"#,
        ),
        (Wire::OpenAiResponses, r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"vendor_note","content":"abc"}}"#),
        (
            Wire::OpenAi,
            r#"{"choices":[{"index":0,"delta":{"content":"","tool_calls":[null]},"logprobs":{"content":[{"logprob":-Infinity}]}}]}"#,
        ),
        (Wire::OpenAi, r#"{"choices":[{"index":0,"delta":{"content":null,"refusal":"","function_call":null}}],"usage":{"cost":NaN}}"#),
    ] {
        let stream = said(wire, "x") + &event(wire, odd) + &end(wire);
        assert_eq!(heard(wire, stream.as_bytes()).0, "x", "{wire:?}: {odd}");
    }
}

#[test]
fn names_of_events_stand_in_for_their_types() {
    for (wire, name) in [(Wire::Anthropic, "content_block_delta"), (Wire::OpenAiResponses, "response.output_text.delta")] {
        let untyped = said(wire, "x").replacen(&format!("\"type\":\"{name}\""), "\"type\":null", 1);
        assert_eq!(heard(wire, format!("event: {name}\n{untyped}{}", end(wire)).as_bytes()).0, "x", "{wire:?}");
    }
}

#[test]
fn events_without_an_empty_line_between_them() {
    for wire in Wire::ALL {
        let stream = said(wire, "a").replace("\n\n", "\n") + &said(wire, "b") + &end(wire);
        assert_eq!(heard(wire, stream.as_bytes()).0, "ab", "{wire:?}");
    }
}

#[test]
fn characters_that_should_be_escaped() {
    for wire in Wire::ALL {
        let stream = said(wire, "a\t\u{1}\u{2028}b\\x\\'") + &end(wire);
        assert_eq!(heard(wire, stream.as_bytes()).0, "a\t\u{1}\u{2028}bx'", "{wire:?}");
    }
}

#[test]
fn responses_that_end_without_details() {
    let wire = Wire::OpenAiResponses;
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
        let (deltas, fault) = decode(wire, [(said(wire, "x") + &event(wire, end)).as_bytes()]);
        assert_eq!((&deltas[0], fault), (&Delta::Text("x".to_owned()), None), "{end}");
        assert!(matches!(&deltas[1..], [Delta::Finish { reason, .. }] if reason.word() == expected), "{end}: {deltas:?}");
    }
    let (_, fault) = decode(wire, [event(wire, r#"{"type":"response.failed","response":null}"#).as_bytes()]);
    assert!(matches!(fault, Some(Fault::Said(_))), "{fault:?}");
}

#[test]
fn answers_that_were_not_streamed() {
    for (wire, body) in [
        (
            Wire::OpenAi,
            r#"{"choices":[{"message":{"content":"?","content":"a\ud83d"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3.0,"completion_tokens":"2"}}"#,
        ),
        (
            Wire::OpenAiResponses,
            r#"{"object":"response","status":"completed","error":{},"output":[null,{"type":"message","content":[{"type":"output_text","text":"?","text":"a\ud83d"}]}],
            "usage":{"input_tokens":3.0,"output_tokens":"2"}}"#,
        ),
        (
            Wire::Anthropic,
            r#"{"type":"message","content":[{"type":"text","text":"?","text":"a\ud83d"},null],"stop_reason":"end_turn","usage":{"input_tokens":3.0,"output_tokens":"2"}}"#,
        ),
        (
            Wire::Gemini,
            r#"[{"candidates":[{"content":{"parts":[{"text":"?","text":"a\ud83d"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3.0,"candidatesTokenCount":"2"}}]"#,
        ),
        (Wire::Ollama, r#"{"message":{"content":"?","content":"a\ud83d"},"done":true,"prompt_eval_count":3.0,"eval_count":"2"}"#),
    ] {
        assert_eq!(heard(wire, body.as_bytes()), ("a\u{fffd}".to_owned(), String::new(), String::new(), (3, 2)), "{wire:?}");
    }
}

#[test]
fn arguments_as_text_as_an_object_or_not_at_all() {
    for wire in Wire::ALL {
        for (arguments, expected) in [
            (r#"{"a": 1}"#, r#"{"a":1}"#),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            ("null", "{}"),
            (r#""null""#, "{}"),
            (r#""""#, "{}"),
            ("{}", "{}"),
            ("[]", "{}"),
        ] {
            let call = match wire {
                Wire::OpenAi => {
                    format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"function":{{"name":"a","arguments":{arguments}}}}}]}}}}]}}"#)
                }
                Wire::OpenAiResponses => {
                    format!(
                        r#"{{"type":"response.output_item.done","item":{{"type":"function_call","name":"a","arguments":{arguments}}}}}"#
                    )
                }
                Wire::Anthropic => {
                    format!(
                        r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","name":"a","input":{arguments}}}}}"#
                    )
                }
                Wire::Gemini => {
                    format!(r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"a","args":{arguments}}}}}]}}}}]}}"#)
                }
                Wire::Ollama => format!(r#"{{"message":{{"tool_calls":[{{"function":{{"name":"a","arguments":{arguments}}}}}]}}}}"#),
            };
            let stream = event(wire, &call) + &end(wire);
            assert_eq!(heard(wire, stream.as_bytes()).2, expected, "{wire:?}: {arguments}");
        }
    }
}
