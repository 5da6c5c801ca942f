//! The client's requests that the daemon has not answered yet, and which of them may be sent to the next daemon. The text
//! of a request is kept only for this, with a limit.

use std::collections::{BTreeMap, HashMap};

use polytree_protocol::{
    method::{Kind, MethodSpec, Retry},
    methods::METHODS,
};
use serde_json::{Map, Value};

use super::buffers::Named;
use crate::jsonrpc::envelope::{Id, Request};

/// The size limit of a message that is kept.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// The limit of kept bytes in total; further requests are not sent again.
const MAX_TOTAL_BYTES: usize = 8 * 1024 * 1024;

/// What the relay does with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It is passed on.
    Call,
    /// It opens a subscription.
    Subscribe { method: Box<str>, params: Map<String, Value> },
    /// It closes the client's subscription with this number.
    Unsubscribe(u64),
    /// It opens a file.
    Open(Named),
    /// It closes a file.
    Close(Named),
    /// It initializes the connection; the JSON of the params is sent to the next daemon, too.
    Introduce(Box<str>),
}

/// One request of a message.
#[derive(Debug)]
pub struct Member {
    /// The client's id for it.
    pub id: Id,
    /// What to do with its answer.
    pub purpose: Purpose,
    /// The client has cancelled it.
    pub cancelled: bool,
}

/// A message without an answer so far.
#[derive(Debug)]
pub struct Exchange {
    /// Its requests: one, or the entries of a batch with an id.
    pub members: Vec<Member>,
    /// Whether it is a batch.
    pub batch: bool,
    /// The message, if it may be sent again.
    pub text: Option<Box<str>>,
}

impl Exchange {
    /// Whether it is sent to the next daemon: not if it is cancelled, or closes a subscription that ended with the daemon.
    pub fn is_repeatable(&self) -> bool {
        let over = |member: &Member| member.cancelled || matches!(member.purpose, Purpose::Unsubscribe(_));
        self.text.is_some() && !self.members.iter().all(over)
    }
}

/// All messages without an answer, in the order in which they were sent.
#[derive(Debug, Default)]
pub struct Exchanges {
    next: u64,
    held: usize,
    waiting: BTreeMap<u64, Exchange>,
    by_id: HashMap<Id, u64>,
}

impl Exchanges {
    /// Whether a request with this id is in flight.
    pub fn contains(&self, id: &Id) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a message. `repeatable`: whether it may be sent again.
    pub fn add(&mut self, members: Vec<Member>, batch: bool, text: &str, repeatable: bool) {
        let fits = text.len() <= MAX_KEPT_BYTES && self.held + text.len() <= MAX_TOTAL_BYTES;
        let text: Option<Box<str>> = (repeatable && fits).then(|| text.into());
        self.held += text.as_deref().map_or(0, str::len);
        for member in &members {
            self.by_id.insert(member.id.clone(), self.next);
        }
        self.waiting.insert(self.next, Exchange { members, batch, text });
        self.next += 1;
    }

    /// The request with this id.
    pub fn member(&mut self, id: &Id) -> Option<&mut Member> {
        let exchange = self.waiting.get_mut(self.by_id.get(id)?)?;
        exchange.members.iter_mut().find(|member| member.id == *id)
    }

    /// Removes the message of the request with this id.
    pub fn take(&mut self, id: &Id) -> Option<Exchange> {
        let exchange = self.waiting.remove(self.by_id.get(id)?)?;
        self.forget(&exchange);
        Some(exchange)
    }

    /// Removes all messages that `keep` selects, oldest first.
    pub fn take_unless(&mut self, mut keep: impl FnMut(&Exchange) -> bool) -> Vec<Exchange> {
        let numbers: Vec<u64> = self.waiting.iter().filter(|(_, exchange)| !keep(exchange)).map(|(number, _)| *number).collect();
        let taken: Vec<Exchange> = numbers.iter().filter_map(|number| self.waiting.remove(number)).collect();
        taken.iter().for_each(|exchange| self.forget(exchange));
        taken
    }

    /// The texts of all messages to send again, oldest first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.waiting.values().filter_map(|exchange| exchange.text.as_deref())
    }

    fn forget(&mut self, exchange: &Exchange) {
        self.held -= exchange.text.as_ref().map_or(0, |text| text.len());
        for member in &exchange.members {
            self.by_id.remove(&member.id);
        }
    }
}

/// What to do with the answer to a request, by its method.
pub fn purpose(request: &Request<'_>) -> Purpose {
    match request.method.as_ref() {
        "server.initialize" => Purpose::Introduce(request.params.unwrap_or("{}").into()),
        name if spec(name).is_some_and(|spec| spec.kind == Kind::Subscription) => {
            Purpose::Subscribe { method: name.into(), params: object(request.params).unwrap_or_default() }
        }
        "buffer.open" => Named::of(request.params).map_or(Purpose::Call, Purpose::Open),
        "buffer.close" => Named::of(request.params).map_or(Purpose::Call, Purpose::Close),
        name if name.ends_with(".unsubscribe") => {
            let number = object(request.params).and_then(|params| params.get("subscription").and_then(Value::as_u64));
            number.map_or(Purpose::Call, Purpose::Unsubscribe)
        }
        _ => Purpose::Call,
    }
}

/// Whether a request may be sent again if its answer was lost: if it only reads, or if it has an idempotency id.
pub fn repeatable(request: &Request<'_>) -> bool {
    match spec(&request.method).map(|spec| spec.retry) {
        Some(Retry::Read) => true,
        Some(Retry::Keyed) => object(request.params)
            .is_some_and(|params| ["id", "messageID"].iter().any(|key| params.get(*key).is_some_and(Value::is_string))),
        // An unknown method is one of a newer daemon.
        Some(Retry::Never) | None => false,
    }
}

/// The params, if they are an object.
pub fn object(params: Option<&str>) -> Option<Map<String, Value>> {
    serde_json::from_str(params?).ok()
}

/// The method in the table, if it is known.
pub fn spec(name: &str) -> Option<&'static MethodSpec> {
    METHODS.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::envelope::{self, Message};

    fn judge(method: &str, params: &str) -> (Purpose, bool) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let Message::Single(Ok(request)) = envelope::parse(&text) else { panic!("{text}") };
        (purpose(&request), repeatable(&request))
    }

    #[test]
    fn the_table_decides_what_is_sent_again() {
        assert_eq!(judge("session.list", "{}"), (Purpose::Call, true));
        assert_eq!(judge("session.prompt", r#"{"parts":"a"}"#), (Purpose::Call, false));
        assert_eq!(judge("session.prompt", r#"{"messageID":"msg_1","parts":"a"}"#), (Purpose::Call, true));
        assert_eq!(judge("session.create", r#"{"id":"ses_1"}"#), (Purpose::Call, true));
        assert_eq!(judge("session.create", r#"{"id":1}"#), (Purpose::Call, false));
        assert_eq!(judge("session.abort", r#"{"id":"x"}"#), (Purpose::Call, false));
        assert_eq!(judge("future.method", "{}"), (Purpose::Call, false));
        let subscribe = Purpose::Subscribe { method: "event.subscribe".into(), params: object(Some(r#"{"since":0}"#)).unwrap() };
        assert_eq!(judge("event.subscribe", r#"{"since":0}"#), (subscribe, true));
        assert_eq!(judge("event.unsubscribe", r#"{"subscription":7}"#), (Purpose::Unsubscribe(7), true));
        assert_eq!(judge("event.unsubscribe", r#"{"subscription":"7"}"#), (Purpose::Call, true));
        assert_eq!(judge("server.initialize", r#"{"directory":"/a"}"#), (Purpose::Introduce(r#"{"directory":"/a"}"#.into()), true));
    }

    fn call(number: u64) -> Vec<Member> {
        vec![Member { id: Id::Number(number), purpose: Purpose::Call, cancelled: false }]
    }

    #[test]
    fn what_is_held_has_a_limit_and_is_let_go() {
        let mut exchanges = Exchanges::default();
        exchanges.add(call(1), false, &"x".repeat(MAX_KEPT_BYTES + 1), true);
        assert_eq!(exchanges.texts().count(), 0);
        for number in 2..300 {
            exchanges.add(call(number), false, &"x".repeat(MAX_KEPT_BYTES), true);
        }
        assert_eq!(exchanges.texts().count(), MAX_TOTAL_BYTES / MAX_KEPT_BYTES);
        for number in 1..300 {
            assert!(exchanges.take(&Id::Number(number)).is_some());
        }
        assert!(exchanges.is_empty() && exchanges.held == 0 && exchanges.by_id.is_empty());
    }
}
