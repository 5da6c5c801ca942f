//! The state of the relay, without I/O: decides what is passed on, what is sent again to the next daemon, and how the rest
//! is answered.

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

/// The subscription that continues from its cursor.
const RESUMABLE: &str = "event.subscribe";

/// Closes it.
const UNSUBSCRIBE: &str = "event.unsubscribe";

/// Its first notification.
const GREETING: &str = "server.connected";

/// The last notification of a subscription that ends by itself. Such a subscription has no cursor and cannot be resumed.
const END: &str = "end";

/// When a client may repeat a lost request, in milliseconds.
const RETRY_AFTER_MS: u64 = 500;

/// Messages for one side, in its framing.
#[derive(Debug)]
pub struct Outgoing {
    /// The framing.
    pub framing: Framing,
    /// The bytes to write.
    pub bytes: Vec<u8>,
}

impl Outgoing {
    pub fn new(framing: Framing) -> Self {
        Self { framing, bytes: Vec::new() }
    }

    /// Adds a message.
    pub fn push(&mut self, message: &str) {
        self.framing.encode(message, &mut self.bytes);
    }
}

/// The purpose of a request of the relay itself.
#[derive(Debug)]
enum OwnRequest {
    /// Resumes the client's subscription with this number.
    Reopen(u64),
    /// Its answer is ignored.
    Nothing,
}

/// The relay between one client and its daemons, one after the other.
#[derive(Debug)]
pub struct State {
    exchanges: Exchanges,
    subscriptions: Subscriptions,
    buffers: Buffers,
    /// Subscriptions whose answer is held back until their first notification, which contains the cursor to resume from. By
    /// the daemon's number.
    opening: HashMap<u64, Id>,
    /// The params of the client's `server.initialize`.
    introduction: Option<Box<str>>,
    /// The default directory that the client has set.
    directory: Option<String>,
    own_requests: HashMap<Id, OwnRequest>,
    next_errand: u64,
    /// The prefix of the relay's own request ids.
    prefix: String,
}

impl State {
    /// No client's request id may begin with `unique`.
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

    /// Whether requests are in flight.
    pub fn waits(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Whether the client has subscriptions or open files that a daemon must know.
    pub fn follows(&self) -> bool {
        !(self.subscriptions.is_empty() && self.buffers.is_empty())
    }

    /// The directory that the client has set with `server.initialize`.
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// Processes a message from the client.
    pub fn take_client(&mut self, text: &str, daemon: &mut Outgoing, client: &mut Outgoing) {
        match envelope::parse(text) {
            Message::Single(Ok(request)) => self.request(&request, text, daemon, client),
            Message::Batch(entries) => self.batch(&entries, text, daemon),
            // The daemon reports what is wrong with it.
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
            // It is closed as soon as it is open; the client receives nothing more of it.
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
                // A notification is never sent again.
                repeatable = false;
                continue;
            };
            let purpose = exchange::purpose(request);
            // Another daemon has other subscription numbers.
            repeatable &= exchange::repeatable(request) && !matches!(purpose, Purpose::Unsubscribe(_));
            if let Purpose::Unsubscribe(number) = purpose {
                self.subscriptions.end_unopened(number);
            }
            if let Some(rewritten) = self.rewritten(request, &purpose) {
                changed.push((index, rewritten));
            }
            // The daemon refuses a duplicate id.
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

    /// The request with the daemon's subscription number, if it differs.
    fn rewritten(&self, request: &Request<'_>, purpose: &Purpose) -> Option<String> {
        let Purpose::Unsubscribe(number) = purpose else { return None };
        let mut params = exchange::object(request.params)?;
        params.insert("subscription".to_owned(), self.subscriptions.daemon_number(*number).into());
        let id = answer::id(request.id.as_ref());
        Some(json!({ "jsonrpc": "2.0", "id": id, "method": request.method, "params": params }).to_string())
    }

    /// Processes a notification of the client.
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

    /// Processes a message from the daemon.
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
                    // The client has closed it meanwhile.
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

    /// Ends a subscription with an error.
    fn break_down(&mut self, number: u64, error: &RawValue, client: &mut Outgoing) {
        if let Some(subscription) = self.subscriptions.remove(number)
            && !subscription.ending
        {
            client.push(&incoming::breakdown(&subscription.notification, number, error.get()));
        }
    }

    /// The daemon has disconnected: answers all requests that cannot be repeated with an error.
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

    /// No daemon can be reached: answers all requests with an error. Subscriptions are kept, to be resumed later.
    pub fn give_up(&mut self, why: &Error, client: &mut Outgoing) {
        for exchange in self.exchanges.take_unless(|_| false) {
            self.settle(&exchange, why, client);
        }
    }

    fn settle(&mut self, exchange: &Exchange, why: &Error, client: &mut Outgoing) {
        let mut answers: Vec<String> = Vec::new();
        for member in &exchange.members {
            answers.push(match &member.purpose {
                // It ended with the daemon.
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

    /// The next daemon is connected: sends it the client's state and the waiting requests, and asks the client to announce its
    /// texts again.
    pub fn resume(&mut self, daemon: &mut Outgoing, client: &mut Outgoing) {
        if let Some(introduction) = &self.introduction {
            let params = serde_json::from_str(introduction).unwrap_or_default();
            self.send(daemon, OwnRequest::Nothing, "server.initialize", params);
        }
        // Before requests that might read them.
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

/// The error for requests in flight when the daemon disconnected.
fn gone() -> Error {
    Error::unavailable("the connection to the daemon was lost before it answered; whether the request was carried out is not known")
        .hint("check the outcome before you send it again; a request with an id of your own is sent again automatically")
        .retry_after(RETRY_AFTER_MS)
}

/// The error of a subscription that cannot be resumed.
fn cut_off() -> Error {
    Error::unavailable("the connection to the daemon was lost before the subscription ended")
        .hint("open it again")
        .retry_after(RETRY_AFTER_MS)
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
