//! Messages of a daemon: parsed as far as the relay needs, and rewritten with the client's subscription numbers.

use std::borrow::Cow;

use polytree_protocol::events::EventPayload;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{jsonrpc::envelope::Id, stdx::time::now_ms};

/// A message from the daemon.
#[derive(Debug)]
pub enum Incoming<'a> {
    Response(Response<'a>),
    /// The answers to a batch: their valid ids.
    Batch(Vec<Id>),
    /// A notification of a subscription.
    Notification {
        method: Cow<'a, str>,
        /// The daemon's subscription number.
        subscription: u64,
        /// Its content.
        result: Option<&'a RawValue>,
        /// Why the subscription has ended.
        error: Option<&'a RawValue>,
    },
    /// Anything else.
    Other,
}

/// An answer to one request.
#[derive(Debug)]
pub struct Response<'a> {
    /// `None` if it is `null` or invalid.
    pub id: Option<Id>,
    pub result: Option<&'a RawValue>,
    pub error: Option<&'a RawValue>,
}

impl Response<'_> {
    /// The result as a number, if it is one, like a subscription's.
    pub fn number(&self) -> Option<u64> {
        self.result?.get().parse().ok()
    }
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    subscription: u64,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Parses a message.
pub fn parse(text: &str) -> Incoming<'_> {
    if text.starts_with('[') {
        let answers = serde_json::from_str::<Vec<Members<'_>>>(text).unwrap_or_default();
        return Incoming::Batch(answers.iter().filter_map(|answer| Id::parse(answer.id?.get())).collect());
    }
    let Ok(members) = serde_json::from_str::<Members<'_>>(text) else { return Incoming::Other };
    match members.method {
        None => {
            Incoming::Response(Response { id: members.id.and_then(|id| Id::parse(id.get())), result: members.result, error: members.error })
        }
        Some(method) => match members.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok()) {
            Some(Params { subscription, result, error }) => Incoming::Notification { method, subscription, result, error },
            None => Incoming::Other,
        },
    }
}

/// The fields of an event that the relay needs.
#[derive(Debug, Default, Deserialize)]
pub struct Head<'a> {
    /// Its cursor.
    pub cursor: Option<u64>,
    /// Its type.
    #[serde(borrow, default, rename = "type")]
    pub kind: Cow<'a, str>,
}

/// The head of a notification's result; empty if that is not an event.
pub fn head(result: &RawValue) -> Head<'_> {
    serde_json::from_str(result.get()).unwrap_or_default()
}

/// An event of the relay itself, without a subscription.
pub fn told(payload: &EventPayload) -> String {
    let (kind, properties) = (payload.name(), payload.properties());
    let time = now_ms();
    // The type is from the table: letters and dots, without escapes.
    format!(
        r#"{{"jsonrpc":"2.0","method":"event","params":{{"result":{{"cursor":0,"time":{time},"type":"{kind}","properties":{properties}}}}}}}"#
    )
}

/// A subscription's notification with the client's number.
pub fn notification(method: &str, subscription: u64, result: &RawValue) -> String {
    let mut text = String::with_capacity(result.get().len() + 100);
    text.push_str(r#"{"jsonrpc":"2.0","method":""#);
    // The method is from the table: letters and dots, without escapes.
    text.push_str(method);
    text.push_str(r#"","params":{"subscription":"#);
    text.push_str(&subscription.to_string());
    text.push_str(r#","result":"#);
    text.push_str(result.get());
    text.push_str("}}");
    text
}

/// The last notification of a failed subscription.
pub fn breakdown(method: &str, subscription: u64, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"subscription":{subscription},"error":{error}}}}}"#)
}

/// A batch with some of its entries replaced; `None` if it is not a batch.
pub fn replace_entries(batch: &str, changed: &[(usize, String)]) -> Option<String> {
    let mut entries: Vec<&RawValue> = serde_json::from_str(batch).ok()?;
    let changed: Vec<(usize, &RawValue)> =
        changed.iter().map(|(index, text)| Some((*index, serde_json::from_str(text).ok()?))).collect::<Option<_>>()?;
    for (index, entry) in changed {
        *entries.get_mut(index)? = entry;
    }
    serde_json::to_string(&entries).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let Incoming::Response(response) = parse(r#"{"jsonrpc":"2.0","id":"a","result":7}"#) else { panic!() };
        assert_eq!((response.id.clone(), response.number()), (Some(Id::Text("a".into())), Some(7)));
        let Incoming::Response(Response { id: None, error: Some(_), .. }) =
            parse(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#)
        else {
            panic!()
        };
        let event =
            r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":3,"result":{"cursor":5,"type":"a","properties":{"cursor":9}}}}"#;
        let Incoming::Notification { method, subscription: 3, result: Some(result), error: None } = parse(event) else { panic!() };
        assert_eq!((head(result).cursor, head(result).kind.as_ref()), (Some(5), "a"));
        assert_eq!(notification(&method, 3, result), event);
        let Incoming::Batch(ids) = parse(r#"[{"id":1,"result":1},{"id":null,"error":{}},{"id":2,"result":1}]"#) else { panic!() };
        assert_eq!(ids, [Id::Number(1), Id::Number(2)]);
        assert!(matches!(parse(r#"{"method":"log","params":[]}"#), Incoming::Other));
        assert!(matches!(parse("no"), Incoming::Other));
    }

    #[test]
    fn entries_of_a_batch_are_replaced() {
        let changed = [(1, "{\"b\":2}".to_owned())];
        assert_eq!(replace_entries(r#"[{"a": 1}, {}, 3]"#, &changed).unwrap(), r#"[{"a": 1},{"b":2},3]"#);
        assert_eq!(replace_entries("{}", &changed), None);
    }
}
