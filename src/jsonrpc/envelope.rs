//! Parses requests strictly by JSON-RPC 2.0. Params stay as they were sent; nothing is parsed twice.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

/// The largest number that can be an id: a double holds it exactly.
const MAX_ID: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer from 0 to 2^53-1.
    Number(u64),
    Text(Box<str>),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Id {
    /// Reads an id from JSON; `None` if it is not a valid one.
    pub fn parse(json: &str) -> Option<Self> {
        if json.starts_with('"') {
            return string(json).map(|text| Id::Text(text.into()));
        }
        let digits = json.bytes().all(|byte| byte.is_ascii_digit());
        json.parse().ok().filter(|number| digits && *number <= MAX_ID).map(Id::Number)
    }
}

/// A request, or a notification when it has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    pub id: Option<Id>,
    pub method: Cow<'a, str>,
    /// The params' JSON, where there are any.
    pub params: Option<&'a str>,
}

/// Why something is not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The request's id, if it is valid.
    pub id: Option<Id>,
    /// A lower-case fragment of a message.
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    Single(Result<Request<'a>, Invalid>),
    /// A batch; may be empty.
    Batch(Vec<Result<Request<'a>, Invalid>>),
    /// Not JSON: the parser's error with its position.
    NotJson(String),
}

pub fn parse(text: &str) -> Message<'_> {
    let text = text.trim_ascii();
    if text.starts_with('[') {
        return match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(entries) => Message::Batch(entries.into_iter().map(|entry| request(entry.get())).collect()),
            Err(error) => Message::NotJson(error.to_string()),
        };
    }
    match request(text) {
        // The members were not parsed, or not to the end: the text may not even be JSON.
        Err(invalid) if invalid.id.is_none() => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Message::Single(Err(invalid)),
            Err(error) => Message::NotJson(error.to_string()),
        },
        request => Message::Single(request),
    }
}

/// A member's value; unlike an `Option` it distinguishes `null` from an absent member.
#[derive(Default)]
struct Member<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    jsonrpc: Member<'a>,
    #[serde(borrow, default)]
    id: Member<'a>,
    #[serde(borrow, default)]
    method: Member<'a>,
    #[serde(borrow, default)]
    params: Member<'a>,
}

fn request(text: &str) -> Result<Request<'_>, Invalid> {
    if !text.starts_with('{') {
        return Err(Invalid { id: None, reason: "a request must be an object" });
    }
    let Ok(members) = serde_json::from_str::<Members<'_>>(text) else {
        return Err(Invalid { id: None, reason: "a member of the request occurs twice" });
    };
    let id = members.id.0.map(|id| Id::parse(id.get()));
    let invalid = |reason| Err(Invalid { id: id.clone().flatten(), reason });
    if members.jsonrpc.0.and_then(|version| string(version.get())).as_deref() != Some("2.0") {
        return invalid("`jsonrpc` must be \"2.0\"");
    }
    if id == Some(None) {
        return invalid("`id` must be a string or an integer from 0 to 9007199254740991");
    }
    let Some(method) = members.method.0.and_then(|method| string(method.get())) else {
        return invalid("`method` must be a string");
    };
    Ok(Request { id: id.flatten(), method, params: members.params.0.map(RawValue::get) })
}

/// The value of a JSON string; `None` for any other value.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    // The text is already known to be valid JSON, so a string without an escape needs no decoding.
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn show(request: &Result<Request<'_>, Invalid>) -> String {
        match request {
            Ok(request) => format!("{:?} {} {:?}", request.id, request.method, request.params),
            Err(invalid) => format!("invalid {:?} {}", invalid.id, invalid.reason),
        }
    }

    fn check(text: &str, expect: &Expect) {
        expect.assert_eq(&match parse(text) {
            Message::Single(request) => show(&request),
            Message::Batch(requests) => requests.iter().map(show).collect::<Vec<_>>().join("\n"),
            Message::NotJson(why) => format!("not JSON: {why}"),
        });
    }

    #[test]
    fn requests() {
        check(r#"{"jsonrpc":"2.0","id":1,"method":"a.b"}"#, &expect!["Some(Number(1)) a.b None"]);
        check(
            r#" {"method":"a\u002eb","params":{"x": [1]},"id":"é\n","jsonrpc":"2.0"} "#,
            &expect![[r#"Some(Text("é\n")) a.b Some("{\"x\": [1]}")"#]],
        );
        check(r#"{"jsonrpc":"2.0","method":"a","params":null,"extra":1}"#, &expect![[r#"None a Some("null")"#]]);
    }

    #[test]
    fn ids() {
        for id in ["null", "-1", "1.0", "1e3", "9007199254740992", "true", "[]", "{}"] {
            check(
                &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#),
                &expect!["invalid None `id` must be a string or an integer from 0 to 9007199254740991"],
            );
        }
        check(r#"{"jsonrpc":"2.0","id":9007199254740991,"method":"a"}"#, &expect!["Some(Number(9007199254740991)) a None"]);
        check(r#"{"jsonrpc":"2.0","id":"","method":"a"}"#, &expect![[r#"Some(Text("")) a None"#]]);
    }

    #[test]
    fn invalid_requests() {
        check(r#"{"id":1,"method":"a"}"#, &expect![[r#"invalid Some(Number(1)) `jsonrpc` must be "2.0""#]]);
        check(r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#, &expect![[r#"invalid Some(Number(1)) `jsonrpc` must be "2.0""#]]);
        check(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, &expect!["invalid Some(Number(1)) `method` must be a string"]);
        check(r#"{"jsonrpc":"2.0","id":1,"result":7}"#, &expect!["invalid Some(Number(1)) `method` must be a string"]);
        check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, &expect!["invalid None a member of the request occurs twice"]);
        check("{}", &expect![[r#"invalid None `jsonrpc` must be "2.0""#]]);
        check("7", &expect!["invalid None a request must be an object"]);
        check("", &expect!["not JSON: EOF while parsing a value at line 1 column 0"]);
        check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method"#, &expect!["not JSON: EOF while parsing a string at line 1 column 38"]);
        check(r#"{"jsonrpc":"2.0","id":1,"method":"a"} x"#, &expect!["not JSON: trailing characters at line 1 column 39"]);
    }

    #[test]
    fn batches() {
        check("[]", &expect![[""]]);
        check(
            r#"[1, {"jsonrpc":"2.0","id":1,"method":"a"}, []]"#,
            &expect![[r"
                invalid None a request must be an object
                Some(Number(1)) a None
                invalid None a request must be an object"]],
        );
        check("[1,", &expect!["not JSON: EOF while parsing a value at line 1 column 3"]);
    }

    #[test]
    fn deeply_nested_params_are_not_parsed() {
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(parse(&deep), Message::Single(Ok(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_json_or_reported(text in r#"[\[\]{}",:0-9a-z\\ ]{0,80}|\PC{0,40}"#) {
            let json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(json, !matches!(parse(&text), Message::NotJson(_)));
        }
    }
}
