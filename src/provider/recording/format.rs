//! The format of recordings: JSON lines, one per request to a model and one per answer. Values that differ between runs
//! are not compared; keys are never written; the session's directory is replaced by a placeholder, so that a recording
//! can be replayed in any checkout. Pure.

use std::borrow::Cow;

use polytree_protocol::provider::{Model, ModelRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    provider::{
        definition::{Delta, Error, ModelRequest},
        secret::Secret,
    },
    stdx::secrets::redact::{MASK, is_secret_name},
};

/// The version of the format.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The placeholder for the session's directory.
const DIRECTORY_PLACEHOLDER: &str = "⟨directory⟩";
/// How many characters of a difference are shown.
const MAX_SHOWN_CHARS: usize = 60;

/// A line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Line {
    /// Written when a daemon opens the file.
    Recording {
        /// The version of the format of the following lines.
        format: u32,
        /// The version of the daemon.
        version: String,
    },
    Request(Box<RequestLine>),
    Answer(AnswerLine),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestLine {
    /// Unique in the file.
    pub id: String,
    pub session: String,
    /// In milliseconds since 1970.
    pub time: i64,
    pub model: ModelRef,
    /// The model's description.
    pub info: Model,
    /// The system texts, if they have changed since the session's previous request. Not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Vec<String>>,
    /// The compared values except the messages.
    pub request: Map<String, Value>,
    /// How many messages are the same as in the session's previous request.
    pub kept: usize,
    /// The further messages.
    pub messages: Vec<Value>,
    /// A digest of the compared values, including messages.
    pub digest: String,
}

impl RequestLine {
    /// Whether the request has tools: turns and small jobs are tracked separately.
    pub fn has_tools(&self) -> bool {
        self.request.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnswerLine {
    pub id: String,
    /// The deltas, each with its time in milliseconds after the request.
    pub deltas: Vec<(u64, Delta)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The stream was dropped before its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

/// Removes secrets and the directory from recorded values.
#[derive(Debug, Clone, Default)]
pub struct Sanitizer {
    pub secrets: Vec<Secret>,
    pub directory: String,
}

impl Sanitizer {
    fn text(&self, text: &str) -> String {
        let clean = self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(text));
        if self.directory.len() > 1 { clean.replace(&self.directory, DIRECTORY_PLACEHOLDER) } else { clean }
    }

    /// Cleans every string in a value.
    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(list) => list.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key, self.value(value))).collect()),
            other => other,
        }
    }

    /// Cleans texts for writing.
    pub(crate) fn texts(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.text(text)).collect()
    }

    fn has_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| secret.redact(text.to_owned()) != text)
    }

    /// Cleans deltas for writing; a key that is split over several deltas is joined first.
    pub(crate) fn deltas(&self, deltas: Vec<(u64, Delta)>) -> Vec<(u64, Delta)> {
        let mut clean: Vec<(u64, Delta)> = Vec::with_capacity(deltas.len());
        let spoken: String = deltas.iter().filter_map(|(_, delta)| said(delta)).collect();
        let joins = self.has_secret(&spoken);
        for (time, delta) in deltas {
            // The complete call has all of its arguments, and a key could be split over the pieces.
            if matches!(delta, Delta::ToolCallArguments { .. }) {
                continue;
            }
            match (clean.last_mut(), delta) {
                (Some((_, Delta::Text(before))), Delta::Text(text)) | (Some((_, Delta::Reasoning(before))), Delta::Reasoning(text))
                    if joins =>
                {
                    before.push_str(&text);
                }
                (_, delta) => clean.push((time, delta)),
            }
        }
        clean.into_iter().map(|(time, delta)| (time, map(delta, |text| self.text(&text)))).collect()
    }

    /// Replaces the placeholder in a replayed delta.
    pub(crate) fn play(&self, delta: Delta) -> Delta {
        map(delta, |text| if text.contains(DIRECTORY_PLACEHOLDER) { text.replace(DIRECTORY_PLACEHOLDER, &self.directory) } else { text })
    }

    /// The compared values of a request: the rest, and the messages.
    pub(crate) fn stable(&self, request: &ModelRequest) -> (Map<String, Value>, Vec<Value>) {
        let ModelRequest { model, info: _, system: _, messages, tools, temperature, top_p, max_output_tokens, options, cache_key: _ } =
            request;
        let tools: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        let options = Value::Object(options.iter().map(|(key, value)| (key.clone(), hidden(key, value.clone()))).collect());
        let rest = json!({
            "model": model.to_string(),
            "tools": tools,
            "temperature": temperature,
            "topP": top_p,
            "maxOutputTokens": max_output_tokens,
            "options": options,
        });
        let Value::Object(rest) = self.value(rest) else { return (Map::new(), Vec::new()) };
        let message = |message| self.value(without_blobs(serde_json::to_value(message).unwrap_or_default()));
        (rest, messages.iter().map(message).collect())
    }
}

fn said(delta: &Delta) -> Option<&str> {
    if let Delta::Text(text) | Delta::Reasoning(text) = delta { Some(text) } else { None }
}

fn map(delta: Delta, change: impl Fn(String) -> String) -> Delta {
    match delta {
        Delta::Text(text) => Delta::Text(change(text)),
        Delta::Reasoning(text) => Delta::Reasoning(change(text)),
        Delta::ToolCallDone { call_id, name, arguments, metadata } => {
            Delta::ToolCallDone { call_id, name, arguments: change(arguments), metadata }
        }
        other => other,
    }
}

/// Masks values of fields that are named like a key.
fn hidden(key: &str, value: Value) -> Value {
    match value {
        Value::String(_) if is_secret_name(key) => Value::String(MASK.to_owned()),
        Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key.clone(), hidden(&key, value))).collect()),
        other => other,
    }
}

/// Replaces images and documents by digests.
fn without_blobs(value: Value) -> Value {
    match value {
        Value::Object(object) if object.contains_key("base64") && object.contains_key("mime") => {
            let bytes = object["base64"].as_str().unwrap_or_default();
            json!({ "mime": object["mime"], "base64Digest": blake3::hash(bytes.as_bytes()).to_hex().as_str(), "base64Length": bytes.len() })
        }
        Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key, without_blobs(value))).collect()),
        Value::Array(list) => list.into_iter().map(without_blobs).collect(),
        other => other,
    }
}

/// A digest of the compared values; independent of the order of keys.
pub(crate) fn digest(request: &Map<String, Value>, messages: &[Value]) -> String {
    let mut whole = json!({ "request": request, "messages": messages });
    whole.sort_all_objects();
    blake3::hash(whole.to_string().as_bytes()).to_hex().to_string()
}

/// The first difference of two values: its path and both values.
pub(crate) fn first_difference(one: &Value, other: &Value) -> Option<(String, String, String)> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            below(keys.map(|key| (Cow::Borrowed(key.as_str()), one.get(key), other.get(key))))
        }
        (Value::Array(one), Value::Array(other)) => {
            let places = 0..one.len().max(other.len());
            below(places.map(|place| (Cow::Owned(place.to_string()), one.get(place), other.get(place))))
        }
        (Value::String(one), Value::String(other)) if one != other => {
            let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
            let from = same.saturating_sub(MAX_SHOWN_CHARS / 3);
            Some((String::new(), excerpt(one, from), excerpt(other, from)))
        }
        _ if one == other => None,
        _ => Some((String::new(), excerpt(&one.to_string(), 0), excerpt(&other.to_string(), 0))),
    }
}

fn below<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Option<&'a Value>, Option<&'a Value>)>) -> Option<(String, String, String)> {
    let nothing = || "nothing".to_owned();
    for (key, one, other) in pairs {
        let found = match (one, other) {
            (Some(one), Some(other)) => first_difference(one, other),
            (Some(one), None) => Some((String::new(), excerpt(&one.to_string(), 0), nothing())),
            (None, Some(other)) => Some((String::new(), nothing(), excerpt(&other.to_string(), 0))),
            (None, None) => None,
        };
        if let Some((place, one, other)) = found {
            return Some((format!("/{key}{place}"), one, other));
        }
    }
    None
}

fn excerpt(text: &str, from: usize) -> String {
    let shown: String = text.chars().skip(from).take(MAX_SHOWN_CHARS).collect();
    let (before, after) = (if from > 0 { "…" } else { "" }, if text.chars().count() > from + MAX_SHOWN_CHARS { "…" } else { "" });
    format!("{:?}", format!("{before}{shown}{after}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::{
        definition::{FinishReason, Media, ModelMessage, UserContent},
        testing,
    };

    fn sanitizer() -> Sanitizer {
        Sanitizer { secrets: Secret::new("sk-secret-key").into_iter().collect(), directory: "/home/ann/project".to_owned() }
    }

    #[test]
    fn the_compared_values() {
        let mut request = testing::request("m");
        let image = Media { mime: "image/png".to_owned(), filename: None, base64: "AAAA".to_owned() };
        request.messages.push(ModelMessage::User(vec![
            UserContent::Text("in /home/ann/project/a the key is sk-secret-key".to_owned()),
            UserContent::Media(image),
        ]));
        request.options = json!({ "seed": 1, "nested": { "api_key": "other" } }).as_object().unwrap().clone();
        let (rest, messages) = sanitizer().stable(&request);
        let shown = json!([rest, messages]).to_string();
        for expected in ["⟨directory⟩/a the key is ***", "\"api_key\":\"***\"", "\"tools\":[\"read\"]", "base64Digest", "\"seed\":1"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        for absent in ["You are a test.", "ses_1", "sk-secret", "AAAA", "/home/ann"] {
            assert!(!shown.contains(absent), "{absent}: {shown}");
        }
        let elsewhere = Sanitizer { directory: "/srv/other".to_owned(), ..sanitizer() };
        let mut moved = request.clone();
        moved.system.clear();
        moved.cache_key = "ses_2".to_owned();
        moved.messages[1] = ModelMessage::User(vec![
            UserContent::Text("in /srv/other/a the key is sk-secret-key".to_owned()),
            UserContent::Media(Media { mime: "image/png".to_owned(), filename: Some("x.png".to_owned()), base64: "AAAA".to_owned() }),
        ]);
        let (other_rest, other_messages) = elsewhere.stable(&moved);
        assert_eq!(digest(&rest, &messages), digest(&other_rest, &other_messages));
    }

    #[test]
    fn a_split_key_is_masked_too() {
        let text = |text: &str| (1, Delta::Text(text.to_owned()));
        assert_eq!(sanitizer().deltas(vec![text("a sk-sec"), text("ret-key b")]), [text("a *** b")]);
        assert_eq!(sanitizer().deltas(vec![text("a sk-sec"), text("ond b")]), [text("a sk-sec"), text("ond b")]);
        let call = |arguments: &str| {
            let (call_id, name) = ("c".to_owned(), "read".to_owned());
            Delta::ToolCallDone { call_id, name, arguments: arguments.to_owned(), metadata: None }
        };
        let kept = sanitizer().deltas(vec![(0, call(r#"{"filePath":"/home/ann/project/x"}"#))]);
        assert_eq!(kept, [(0, call(r#"{"filePath":"⟨directory⟩/x"}"#))]);
        let elsewhere = Sanitizer { directory: "/srv".to_owned(), ..Sanitizer::default() };
        assert_eq!(elsewhere.play(kept[0].1.clone()), call(r#"{"filePath":"/srv/x"}"#));
    }

    #[test]
    fn lines_round_trip() {
        let finish = Delta::Finish { reason: FinishReason::ToolCalls, tokens: polytree_protocol::message::Tokens::default() };
        let error = Error::Status { status: 429, message: "slow".to_owned(), retry_after: Some(7) };
        for line in [
            Line::Recording { format: FORMAT_VERSION, version: "1".to_owned() },
            Line::Answer(AnswerLine { id: "a".to_owned(), deltas: vec![(3, finish)], error: None, dropped: false }),
            Line::Answer(AnswerLine { id: "a".to_owned(), deltas: Vec::new(), error: Some(error), dropped: true }),
        ] {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }

    #[test]
    fn the_first_difference() {
        let difference =
            |one: Value, other: Value| first_difference(&one, &other).map(|(place, one, other)| format!("{place} {one} {other}"));
        assert_eq!(difference(json!({"a": [1, {"b": "x"}]}), json!({"a": [1, {"b": "x"}]})), None);
        assert_eq!(difference(json!({"a": [1, {"b": "x"}]}), json!({"a": [1, {"b": "y"}]})), Some("/a/1/b \"x\" \"y\"".to_owned()));
        assert_eq!(difference(json!({"a": [1]}), json!({"a": [1, 2]})), Some("/a/1 nothing \"2\"".to_owned()));
        assert_eq!(difference(json!({"a": 1}), json!({"a": "1"})), Some("/a \"1\" \"\\\"1\\\"\"".to_owned()));
        let long = |word: &str| json!(format!("{}{word}{}", "x".repeat(500), "y".repeat(500)));
        let told = difference(long("one"), long("two")).unwrap();
        assert!(told.contains("one") && told.contains("two") && told.len() < 200, "{told}");
    }

    fn some_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn only_different_values_have_a_first_difference(one in some_value(), other in some_value()) {
            prop_assert_eq!(first_difference(&one, &other).is_none(), one == other);
            prop_assert_eq!(first_difference(&one, &one), None);
        }
    }
}
