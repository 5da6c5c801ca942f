//! What the relay knows and decides, without any input or output: what is passed on, what is said again to a new
//! daemon, and what the client is told about the rest.

use std::collections::HashMap;

use polytree_protocol::{buffer::BufferResetInfo, events::EventPayload, method::MethodSpec};
use serde_json::{Value, json, value::RawValue};

use super::{
    buffers::Buffers,
    exchange::{self, Exchange, Exchanges, Member, Purpose},
    incoming::{self, Incoming, Response},
    subscriptions::Subscriptions,
};
use crate::{
    jsonrpc::{
        envelope::{self, Id, Message, Request},
        framing::Framing,
    },
    rpc::error::Error,
    serve::answer,
};

/// The subscription that goes on where it was.
const RESUMABLE: &str = "event.subscribe";

/// What ends it.
const UNSUBSCRIBE: &str = "event.unsubscribe";

/// The first notification of that subscription.
const GREETING: &str = "server.connected";

/// The last notification of a subscription that ends by itself. Such a one has no cursor and cannot go on elsewhere.
const END: &str = "end";

/// When a client may ask again for what was lost, in milliseconds.
const RETRY_AFTER: u64 = 500;

/// Bytes for one side, in its framing.
#[derive(Debug)]
pub struct Outgoing {
    /// How messages are told apart there.
    pub framing: Framing,
    /// What is to be written.
    pub bytes: Vec<u8>,
}

impl Outgoing {
    /// Nothing yet.
    pub fn new(framing: Framing) -> Self {
        Self { framing, bytes: Vec::new() }
    }

    /// Adds a message.
    pub fn push(&mut self, message: &str) {
        self.framing.encode(message, &mut self.bytes);
    }
}

/// What an answer to a request of the relay's own is for.
#[derive(Debug)]
enum OwnRequest {
    /// Opens the client's subscription of this number again.
    Reopen(u64),
    /// Nothing follows from it.
    Nothing,
}

/// The relay between one client and the daemons that it meets.
#[derive(Debug)]
pub struct State {
    exchanges: Exchanges,
    subscriptions: Subscriptions,
    buffers: Buffers,
    /// Subscriptions whose answer waits for their first notification, which tells where they begin: from there they can
    /// be opened again. By the daemon's number.
    opening: HashMap<u64, Id>,
    /// What the client introduced itself with.
    introduction: Option<Box<str>>,
    /// The default directory that the client has chosen since.
    directory: Option<String>,
    own_requests: HashMap<Id, OwnRequest>,
    next_errand: u64,
    /// Makes the ids of own_requests differ from the client's.
    prefix: String,
}

impl State {
    /// A relay that has seen nothing. `unique` must not occur at the beginning of a client's request ids.
    pub fn new(unique: &str) -> Self {
        Self {
            exchanges: Exchanges::default(),
            subscriptions: Subscriptions::default(),
            buffers: Buffers::default(),
            opening: HashMap::new(),
            introduction: None,
            directory: None,
            own_requests: HashMap::new(),
            next_errand: 0,
            prefix: unique.to_owned(),
        }
    }

    /// Whether the client waits for an answer.
    pub fn waits(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Whether the client follows events, or has announced texts that a daemon must know of.
    pub fn follows(&self) -> bool {
        !(self.subscriptions.is_empty() && self.buffers.is_empty())
    }

    /// The directory that the client has chosen with `server.initialize`.
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// Takes a message of the client.
    pub fn take_client(&mut self, text: &str, daemon: &mut Outgoing, client: &mut Outgoing) {
        match envelope::parse(text) {
            Message::Single(Ok(request)) => self.request(&request, text, daemon, client),
            Message::Batch(entries) => self.batch(&entries, text, daemon),
            // The daemon has the words for what is wrong with it.
            Message::Single(Err(_)) | Message::NotJson(_) => daemon.push(text),
        }
    }

    fn request(&mut self, request: &Request<'_>, text: &str, daemon: &mut Outgoing, client: &mut Outgoing) {
        let Some(id) = request.id.clone() else {
            self.notified(request);
            return daemon.push(text);
        };
        if self.exchanges.contains(&id) {
            return client.push(&failure(&id, &Error::invalid_request("a request with this id is still in flight")));
        }
        let purpose = exchange::purpose(request);
        if let Purpose::Unsubscribe(number) = purpose
            && self.subscriptions.end_unopened(number)
        {
            // As soon as it is open it is closed again; the client hears no more of it.
            return client.push(&success(&id, &json!(true)));
        }
        let rewritten = self.rewritten(request, &purpose);
        let text = rewritten.as_deref().unwrap_or(text);
        self.exchanges.add(vec![Member { id, purpose, cancelled: false }], false, text, exchange::repeatable(request));
        daemon.push(text);
    }

    fn batch(&mut self, entries: &[Result<Request<'_>, envelope::Invalid>], text: &str, daemon: &mut Outgoing) {
        let mut members: Vec<Member> = Vec::new();
        let mut repeatable = true;
        let mut changed = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let Ok(request) = entry else { continue };
            let Some(id) = request.id.clone() else {
                self.notified(request);
                // A notification is never executed twice.
                repeatable = false;
                continue;
            };
            let purpose = exchange::purpose(request);
            // The number of a subscription means something else to another daemon.
            repeatable &= exchange::repeatable(request) && !matches!(purpose, Purpose::Unsubscribe(_));
            if let Purpose::Unsubscribe(number) = purpose {
                self.subscriptions.end_unopened(number);
            }
            if let Some(rewritten) = self.rewritten(request, &purpose) {
                changed.push((index, rewritten));
            }
            // A repeated id is refused by the daemon.
            if !self.exchanges.contains(&id) && members.iter().all(|member| member.id != id) {
                members.push(Member { id, purpose, cancelled: false });
            }
        }
        let rewritten = (!changed.is_empty()).then(|| incoming::replace_entries(text, &changed)).flatten();
        let text = rewritten.as_deref().unwrap_or(text);
        if !members.is_empty() {
            self.exchanges.add(members, true, text, repeatable);
        }
        daemon.push(text);
    }

    /// The request in the daemon's numbers, where it differs.
    fn rewritten(&self, request: &Request<'_>, purpose: &Purpose) -> Option<String> {
        let Purpose::Unsubscribe(number) = purpose else { return None };
        let mut params = exchange::object(request.params)?;
        params.insert("subscription".to_owned(), self.subscriptions.daemon_number(*number).into());
        let id = answer::id(request.id.as_ref());
        Some(json!({ "jsonrpc": "2.0", "id": id, "method": request.method, "params": params }).to_string())
    }

    /// Takes what the client wants no answer to.
    fn notified(&mut self, request: &Request<'_>) {
        if request.method == "$/cancelRequest" {
            self.cancel(request.params);
        }
        match exchange::purpose(request) {
            Purpose::Open(named) => self.buffers.opened(named, None),
            Purpose::Close(named) => self.buffers.closed(&named),
            _ => {}
        }
    }

    fn cancel(&mut self, params: Option<&str>) {
        let id = exchange::object(params).and_then(|params| Id::parse(&params.get("id")?.to_string()));
        if let Some(member) = id.and_then(|id| self.exchanges.member(&id)) {
            member.cancelled = true;
        }
    }

    /// Takes a message of the daemon.
    pub fn take_daemon(&mut self, text: &str, daemon: &mut Outgoing, client: &mut Outgoing) {
        match incoming::parse(text) {
            Incoming::Response(response) => self.response(&response, text, daemon, client),
            Incoming::Batch(ids) => {
                if let Some(exchange) = ids.iter().find_map(|id| self.exchanges.take(id)) {
                    for member in exchange.members {
                        match member.purpose {
                            Purpose::Unsubscribe(number) => drop(self.subscriptions.remove(number)),
                            Purpose::Open(named) => self.buffers.opened(named, None),
                            Purpose::Close(named) => self.buffers.closed(&named),
                            _ => {}
                        }
                    }
                }
                client.push(text);
            }
            Incoming::Notification { method, subscription, result, error } => {
                self.notification(&method, subscription, result, error, client);
            }
            Incoming::Other => client.push(text),
        }
    }

    fn response(&mut self, response: &Response<'_>, text: &str, daemon: &mut Outgoing, client: &mut Outgoing) {
        let Some(id) = &response.id else { return client.push(text) };
        if let Some(own_request) = self.own_requests.remove(id) {
            return self.own_request(&own_request, response, daemon, client);
        }
        if let Some(Member { purpose: Purpose::Subscribe { method, .. }, .. }) = self.exchanges.member(id)
            && let Some(number) = response.number()
        {
            let resumable = method.as_ref() == RESUMABLE;
            self.opening.insert(number, id.clone());
            if !resumable {
                self.opened(number, None, client);
            }
            return;
        }
        let Some(exchange) = self.exchanges.take(id) else { return client.push(text) };
        for member in exchange.members {
            match (member.purpose, response.result) {
                (Purpose::Unsubscribe(number), Some(_)) => drop(self.subscriptions.remove(number)),
                (Purpose::Open(named), Some(result)) => self.buffers.opened(named, Some(result.get())),
                (Purpose::Close(named), Some(_)) => self.buffers.closed(&named),
                (Purpose::Introduce(params), Some(result)) => {
                    self.introduction = Some(params);
                    let told = serde_json::from_str::<Value>(result.get()).unwrap_or_default();
                    self.directory = told.get("directory").and_then(Value::as_str).map(ToOwned::to_owned);
                }
                _ => {}
            }
        }
        client.push(text);
    }

    /// Answers the client that its subscription is open.
    fn opened(&mut self, theirs: u64, cursor: Option<u64>, client: &mut Outgoing) {
        let Some(exchange) = self.opening.remove(&theirs).and_then(|id| self.exchanges.take(&id)) else { return };
        for member in exchange.members {
            let Purpose::Subscribe { method, params } = member.purpose else { continue };
            let ours = self.subscriptions.add(&method, notification_of(&method), params, cursor, theirs);
            client.push(&success(&member.id, &json!(ours)));
        }
    }

    fn own_request(&mut self, own_request: &OwnRequest, response: &Response<'_>, daemon: &mut Outgoing, client: &mut Outgoing) {
        let OwnRequest::Reopen(number) = *own_request else { return };
        match (response.number(), response.error) {
            (Some(theirs), _) => {
                if self.subscriptions.reopened(number, theirs).is_none_or(|subscription| subscription.ending) {
                    // The client has ended it meanwhile.
                    self.subscriptions.remove(number);
                    self.send(daemon, OwnRequest::Nothing, UNSUBSCRIBE, json!({ "subscription": theirs }));
                }
            }
            (None, Some(error)) => match self.subscriptions.start_over(number, error) {
                Some((method, params)) => self.send(daemon, OwnRequest::Reopen(number), &method, Value::Object(params)),
                None => self.break_down(number, error, client),
            },
            (None, None) => {}
        }
    }

    fn notification(&mut self, method: &str, number: u64, result: Option<&RawValue>, error: Option<&RawValue>, client: &mut Outgoing) {
        let head = result.map(incoming::head).unwrap_or_default();
        self.opened(number, head.cursor, client);
        let Some((ours, subscription)) = self.subscriptions.of_daemon(number) else { return };
        if subscription.cursor.is_some() {
            subscription.cursor = subscription.cursor.max(head.cursor);
        }
        subscription.renewed = false;
        if std::mem::take(&mut subscription.greeted) && head.kind == GREETING {
            return;
        }
        let is_over = subscription.cursor.is_none() && head.kind == END;
        match (result, error) {
            (Some(result), _) => client.push(&incoming::notification(method, ours, result)),
            (None, Some(error)) => self.break_down(ours, error, client),
            (None, None) => {}
        }
        if is_over {
            self.subscriptions.remove(ours);
        }
    }

    /// Ends a subscription with the error that it has met.
    fn break_down(&mut self, number: u64, error: &RawValue, client: &mut Outgoing) {
        if let Some(subscription) = self.subscriptions.remove(number)
            && !subscription.ending
        {
            client.push(&incoming::breakdown(&subscription.notification, number, error.get()));
        }
    }

    /// The daemon has gone: whatever cannot be asked again is answered.
    pub fn lost(&mut self, client: &mut Outgoing) {
        self.own_requests.clear();
        self.opening.clear();
        for (number, notification) in self.subscriptions.lost() {
            let error = serde_json::to_string(&answer::object(&cut_off())).unwrap_or_default();
            client.push(&incoming::breakdown(&notification, number, &error));
        }
        for exchange in self.exchanges.take_unless(Exchange::is_repeatable) {
            self.settle(&exchange, &gone(), client);
        }
    }

    /// No daemon can be reached: everything is answered. Subscriptions stay, to go on when there is one.
    pub fn give_up(&mut self, why: &Error, client: &mut Outgoing) {
        for exchange in self.exchanges.take_unless(|_| false) {
            self.settle(&exchange, why, client);
        }
    }

    fn settle(&mut self, exchange: &Exchange, why: &Error, client: &mut Outgoing) {
        let mut answers: Vec<String> = Vec::new();
        for member in &exchange.members {
            answers.push(match &member.purpose {
                // It has ended with the daemon.
                Purpose::Unsubscribe(number) => success(&member.id, &json!(self.subscriptions.remove(*number).is_some())),
                _ if member.cancelled => failure(&member.id, &Error::cancelled("the request was cancelled")),
                _ => failure(&member.id, why),
            });
        }
        if exchange.batch {
            client.push(&format!("[{}]", answers.join(",")));
        } else {
            answers.iter().for_each(|answer| client.push(answer));
        }
    }

    /// There is a daemon: says again what it must know, and what waits. The client is told what it must say again.
    pub fn resume(&mut self, daemon: &mut Outgoing, client: &mut Outgoing) {
        if let Some(introduction) = &self.introduction {
            let params = serde_json::from_str(introduction).unwrap_or_default();
            self.send(daemon, OwnRequest::Nothing, "server.initialize", params);
        }
        // Before anything that might read them.
        let open: Vec<_> = self.buffers.untold().collect();
        let paths: Vec<_> = self.buffers.paths().collect();
        for params in open {
            self.send(daemon, OwnRequest::Nothing, "buffer.open", params);
        }
        if !paths.is_empty() {
            client.push(&incoming::told(&EventPayload::BufferReset(BufferResetInfo { paths })));
        }
        let reopening: Vec<_> =
            self.subscriptions.reopening().map(|(number, method, params)| (number, method.to_owned(), params)).collect();
        for (number, method, params) in reopening {
            self.send(daemon, OwnRequest::Reopen(number), &method, Value::Object(params));
        }
        self.exchanges.texts().for_each(|text| daemon.push(text));
    }

    fn send(&mut self, daemon: &mut Outgoing, own_request: OwnRequest, method: &str, params: Value) {
        self.next_errand += 1;
        let id = format!("{}{}", self.prefix, self.next_errand);
        daemon.push(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string());
        self.own_requests.insert(Id::Text(id.into()), own_request);
    }
}

/// The method of the notifications of the subscription that this method opens.
fn notification_of(method: &str) -> &str {
    exchange::spec(method).and_then(MethodSpec::notification).unwrap_or(method)
}

/// The answer to what was under way when the daemon went.
fn gone() -> Error {
    Error::unavailable("the connection to the daemon was lost before it answered; whether the request was carried out is not known")
        .hint("look at what has become of it before you send it again; a request with an id of your own is sent again by itself")
        .retry_after(RETRY_AFTER)
}

/// The end of a subscription that another daemon cannot go on with.
fn cut_off() -> Error {
    Error::unavailable("the connection to the daemon was lost before the subscription had come to its end")
        .hint("open it again")
        .retry_after(RETRY_AFTER)
}

fn failure(id: &Id, error: &Error) -> String {
    error.log();
    answer::failure(Some(id), error).get().to_owned()
}

fn success(id: &Id, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": answer::id(Some(id)), "result": result }).to_string()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
