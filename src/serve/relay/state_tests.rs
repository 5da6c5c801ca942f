//! A client and a sequence of daemons, each of which may be killed at any moment, around the relay's state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// What outlives a daemon.
#[derive(Default)]
struct World {
    /// The newest event's cursor; every number from 1 on is an event.
    newest: u64,
    /// How often the request with each id was executed.
    executed: BTreeMap<u64, usize>,
}

/// One daemon on one connection: it executes requests in order.
#[derive(Default)]
struct Daemon {
    incoming: VecDeque<String>,
    outgoing: VecDeque<String>,
    /// The next cursor for each subscription.
    subscriptions: BTreeMap<u64, u64>,
    last: u64,
}

impl Daemon {
    fn step(&mut self, world: &mut World) {
        let Some(text) = self.incoming.pop_front() else { return };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message {
            Value::Array(entries) => {
                let answers: Vec<Value> = entries.iter().filter_map(|entry| self.answer(entry, world)).map(|(answer, _)| answer).collect();
                self.outgoing.push_back(Value::Array(answers).to_string());
            }
            request => {
                if let Some((answer, greeting)) = self.answer(&request, world) {
                    self.outgoing.push_back(answer.to_string());
                    self.outgoing.extend(greeting);
                }
            }
        }
    }

    fn answer(&mut self, request: &Value, world: &mut World) -> Option<(Value, Option<String>)> {
        let id = request.get("id")?;
        if let Some(number) = id.as_u64() {
            *world.executed.entry(number).or_default() += 1;
        }
        let mut greeting = None;
        let result = match request["method"].as_str().unwrap() {
            "event.subscribe" => {
                self.last += 1;
                let since = request["params"].get("since").and_then(Value::as_u64).unwrap_or(world.newest);
                self.subscriptions.insert(self.last, since + 1);
                greeting = Some(event(self.last, since, "server.connected"));
                json!(self.last)
            }
            "event.unsubscribe" => {
                let number = request["params"]["subscription"].as_u64().unwrap();
                assert!(number <= self.last, "a number of another daemon: {number}");
                json!(self.subscriptions.remove(&number).is_some())
            }
            _ => json!("done"),
        };
        Some((json!({ "jsonrpc": "2.0", "id": id, "result": result }), greeting))
    }

    /// Queues every event that has not been sent.
    fn publish(&mut self, world: &World) {
        for (number, next) in &mut self.subscriptions {
            while *next <= world.newest {
                self.outgoing.push_back(event(*number, *next, "test"));
                *next += 1;
            }
        }
    }
}

fn event(subscription: u64, cursor: u64, kind: &str) -> String {
    json!({ "jsonrpc": "2.0", "method": "event",
        "params": { "subscription": subscription, "result": { "cursor": cursor, "type": kind, "properties": {} } } })
    .to_string()
}

/// What the client has received.
#[derive(Default)]
struct Client {
    next: u64,
    waiting: BTreeSet<u64>,
    cancelled: BTreeSet<u64>,
    unavailable: BTreeSet<u64>,
    /// Which requests open a subscription.
    opens: BTreeSet<u64>,
    ends: BTreeMap<u64, u64>,
    /// The newest cursor seen on each open subscription.
    open: BTreeMap<u64, Option<u64>>,
    closed: BTreeSet<u64>,
}

impl Client {
    fn read(&mut self, bytes: &[u8]) {
        for line in str::from_utf8(bytes).unwrap().lines() {
            match serde_json::from_str(line).unwrap() {
                Value::Array(answers) => answers.iter().for_each(|answer| self.answer(answer)),
                message if message.get("method").is_some() => self.event(&message),
                message => self.answer(&message),
            }
        }
    }

    fn answer(&mut self, answer: &Value) {
        let id = answer["id"].as_u64().unwrap_or_else(|| panic!("not the client's: {answer}"));
        assert!(self.waiting.remove(&id), "a second answer: {answer}");
        match answer["error"]["data"]["kind"].as_str() {
            None => {}
            Some("cancelled") => assert!(self.cancelled.contains(&id), "{answer}"),
            Some("unavailable") => drop(self.unavailable.insert(id)),
            Some(other) => panic!("{other}"),
        }
        if self.opens.contains(&id)
            && let Some(number) = answer["result"].as_u64()
        {
            assert!(!self.closed.contains(&number) && self.open.insert(number, None).is_none(), "used before: {answer}");
        }
        if let Some(number) = self.ends.remove(&id)
            && answer["error"].is_null()
        {
            self.open.remove(&number);
            self.closed.insert(number);
        }
    }

    fn event(&mut self, message: &Value) {
        let number = message["params"]["subscription"].as_u64().unwrap();
        let cursor = message["params"]["result"]["cursor"].as_u64().unwrap();
        let greeting = message["params"]["result"]["type"] == "server.connected";
        let seen = self.open.get_mut(&number).unwrap_or_else(|| panic!("not open: {message}"));
        match seen {
            None => assert!(greeting, "{message}"),
            Some(seen) => assert_eq!((greeting, cursor), (false, *seen + 1), "{message}"),
        }
        *seen = Some(cursor);
    }
}

#[derive(Debug, Clone)]
enum Action {
    Ask { method: usize, batch: bool },
    Cancel(usize),
    Unsubscribe { which: usize, batch: bool },
    Happen,
    DaemonWorks,
    ClientReads,
    Kill,
    GiveUp,
}

const ASKED: [(&str, &str); 6] = [
    ("session.list", "{}"),
    ("session.abort", r#"{"sessionID":"ses_1"}"#),
    ("session.submit", r#"{"messageID":"msg_1","parts":"a"}"#),
    ("session.submit", r#"{"parts":"a"}"#),
    ("event.subscribe", "{}"),
    ("event.subscribe", r#"{"since":0}"#),
];

/// Methods of [`ASKED`] that must never be executed twice.
const ONCE: [usize; 2] = [1, 3];

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..ASKED.len(), any::<bool>()).prop_map(|(method, batch)| Action::Ask { method, batch }),
        1 => (0..8usize).prop_map(Action::Cancel),
        3 => (0..4usize, any::<bool>()).prop_map(|(which, batch)| Action::Unsubscribe { which, batch }),
        3 => Just(Action::Happen),
        8 => Just(Action::DaemonWorks),
        8 => Just(Action::ClientReads),
        2 => Just(Action::Kill),
        1 => Just(Action::GiveUp),
    ]
}

struct Run {
    state: State,
    world: World,
    daemon: Daemon,
    client: Client,
    once: BTreeSet<u64>,
}

impl Run {
    fn new() -> Self {
        Self {
            state: State::new("relay:"),
            world: World::default(),
            daemon: Daemon::default(),
            client: Client::default(),
            once: BTreeSet::new(),
        }
    }

    fn say(&mut self, text: &str) {
        let (mut up, mut down) = (Outgoing::new(Framing::Lines), Outgoing::new(Framing::Lines));
        self.state.take_client(text, &mut up, &mut down);
        self.deliver(&up, &down);
    }

    fn deliver(&mut self, up: &Outgoing, down: &Outgoing) {
        self.daemon.incoming.extend(str::from_utf8(&up.bytes).unwrap().lines().map(str::to_owned));
        self.client.read(&down.bytes);
    }

    fn ask(&mut self, method: &str, params: &str) -> (u64, String) {
        self.client.next += 1;
        let id = self.client.next;
        self.client.waiting.insert(id);
        (id, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#))
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Ask { method, batch } => {
                let (name, params) = ASKED[method];
                let batch = batch && name != "event.subscribe";
                let (id, text) = self.ask(name, params);
                if ONCE.contains(&method) {
                    self.once.insert(id);
                }
                if name == "event.subscribe" {
                    self.client.opens.insert(id);
                }
                if batch {
                    let (_, second) = self.ask("session.list", "{}");
                    self.say(&format!("[{text},{second}]"));
                } else {
                    self.say(&text);
                }
            }
            Action::Cancel(which) => {
                // Without subscriptions, which a daemon may open anyway.
                let Some(id) = self.client.waiting.iter().filter(|id| !self.client.opens.contains(id)).nth(which).copied() else { return };
                self.client.cancelled.insert(id);
                self.say(&format!(r#"{{"jsonrpc":"2.0","method":"$/cancelRequest","params":{{"id":{id}}}}}"#));
            }
            Action::Unsubscribe { which, batch } => {
                let ending: BTreeSet<u64> = self.client.ends.values().copied().collect();
                let Some(number) = self.client.open.keys().filter(|number| !ending.contains(number)).nth(which).copied() else { return };
                let (id, text) = self.ask("event.unsubscribe", &format!(r#"{{"subscription":{number}}}"#));
                self.client.ends.insert(id, number);
                if batch { self.say(&format!("[{text}]")) } else { self.say(&text) }
            }
            Action::Happen => self.world.newest += 1,
            Action::DaemonWorks => {
                self.daemon.step(&mut self.world);
                self.daemon.publish(&self.world);
            }
            Action::ClientReads => self.read(),
            Action::Kill | Action::GiveUp => {
                self.daemon = Daemon::default();
                let (mut up, mut down) = (Outgoing::new(Framing::Lines), Outgoing::new(Framing::Lines));
                self.state.lost(&mut down);
                if matches!(action, Action::GiveUp) {
                    self.state.give_up(&Error::unavailable("no daemon"), &mut down);
                    assert!(!self.state.waits());
                }
                self.state.resume(&mut up, &mut down);
                self.deliver(&up, &down);
            }
        }
    }

    fn read(&mut self) {
        let Some(text) = self.daemon.outgoing.pop_front() else { return };
        let (mut up, mut down) = (Outgoing::new(Framing::Lines), Outgoing::new(Framing::Lines));
        self.state.take_daemon(&text, &mut up, &mut down);
        self.deliver(&up, &down);
    }

    fn finish(&mut self) {
        while !self.daemon.incoming.is_empty() || !self.daemon.outgoing.is_empty() {
            self.daemon.step(&mut self.world);
            self.daemon.publish(&self.world);
            while !self.daemon.outgoing.is_empty() {
                self.read();
            }
        }
        self.daemon.publish(&self.world);
        while !self.daemon.outgoing.is_empty() {
            self.read();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_every_request_has_one_answer_and_no_event_is_lost_or_doubled(actions in prop::collection::vec(action(), 0..120)) {
        let mut run = Run::new();
        for action in &actions {
            run.act(action);
        }
        run.finish();
        prop_assert!(run.client.waiting.is_empty(), "unanswered: {:?}", run.client.waiting);
        for id in &run.once {
            prop_assert!(run.world.executed.get(id).copied().unwrap_or(0) <= 1, "{id} was executed twice");
        }
        for (number, seen) in &run.client.open {
            prop_assert_eq!(*seen, Some(run.world.newest), "subscription {}", number);
        }
        prop_assert!(!run.state.waits());
        prop_assert_eq!(run.state.follows(), !run.client.open.is_empty());
        prop_assert_eq!(run.daemon.subscriptions.len(), run.client.open.len());
    }
}

/// The messages of a state to a daemon and to the client, line by line.
fn said(state: &mut State, with: impl FnOnce(&mut State, &mut Outgoing, &mut Outgoing)) -> String {
    let (mut daemon, mut client) = (Outgoing::new(Framing::Lines), Outgoing::new(Framing::Lines));
    with(state, &mut daemon, &mut client);
    let lines =
        |name: &str, bytes: &[u8]| str::from_utf8(bytes).unwrap().lines().map(|line| format!("{name} {line}\n")).collect::<String>();
    lines("daemon", &daemon.bytes) + &lines("client", &client.bytes)
}

#[test]
fn a_client_does_not_notice_another_daemon() {
    let mut state = State::new("relay:");
    let client = |state: &mut State, text: &str| said(state, |state, up, down| state.take_client(text, up, down));
    let daemon = |state: &mut State, text: &str| said(state, |state, up, down| state.take_daemon(text, up, down));
    client(&mut state, r#"{"jsonrpc":"2.0","id":1,"method":"server.initialize","params":{"clientInfo":{"name":"e"},"directory":"/a"}}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":1,"result":{"directory":"/real/a"}}"#);
    assert_eq!(state.directory(), Some("/real/a"));
    client(&mut state, r#"{"jsonrpc":"2.0","id":2,"method":"event.subscribe","params":{"types":["session.idle"]}}"#);
    // Only the first notification contains the cursor: the answer waits for it.
    assert_eq!(daemon(&mut state, r#"{"jsonrpc":"2.0","id":2,"result":41}"#), "");
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","id":2,"result":1}
        client {"jsonrpc":"2.0","method":"event","params":{"subscription":1,"result":{"cursor":7,"type":"server.connected"}}}
    "#]]
    .assert_eq(&daemon(
        &mut state,
        r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":41,"result":{"cursor":7,"type":"server.connected"}}}"#,
    ));
    client(&mut state, r#"{"jsonrpc":"2.0","id":"p","method":"session.prompt","params":{"messageID":"msg_1","parts":"a"}}"#);
    client(&mut state, r#"{"jsonrpc":"2.0","id":3,"method":"session.abort","params":{"sessionID":"ses_1"}}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":41,"result":{"cursor":9,"type":"session.idle"}}}"#);
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","id":3,"error":{"code":1009,"message":"the connection to the daemon was lost before it answered; whether the request was carried out is not known","data":{"kind":"unavailable","hint":"check the outcome before you send it again; a request with an id of your own is sent again automatically","retryAfter":500}}}
    "#]]
    .assert_eq(&said(&mut state, |state, _, down| state.lost(down)));
    expect_test::expect![[r#"
        daemon {"jsonrpc":"2.0","id":"relay:1","method":"server.initialize","params":{"clientInfo":{"name":"e"},"directory":"/a"}}
        daemon {"jsonrpc":"2.0","id":"relay:2","method":"event.subscribe","params":{"types":["session.idle"],"since":9}}
        daemon {"jsonrpc":"2.0","id":"p","method":"session.prompt","params":{"messageID":"msg_1","parts":"a"}}
    "#]]
    .assert_eq(&said(&mut state, State::resume));
    assert_eq!(daemon(&mut state, r#"{"jsonrpc":"2.0","id":"relay:1","result":{}}"#), "");
    assert_eq!(daemon(&mut state, r#"{"jsonrpc":"2.0","id":"relay:2","result":1}"#), "");
    assert_eq!(
        daemon(
            &mut state,
            r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":1,"result":{"cursor":9,"type":"server.connected"}}}"#
        ),
        ""
    );
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","method":"event","params":{"subscription":1,"result":{"cursor":12,"type":"session.idle"}}}
    "#]]
    .assert_eq(&daemon(
        &mut state,
        r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":1,"result":{"cursor":12,"type":"session.idle"}}}"#,
    ));
    // A subscription that cannot go on ends with the daemon's error, under the client's number.
    said(&mut state, |state, _, down| state.lost(down));
    said(&mut state, State::resume);
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","method":"event","params":{"subscription":1,"error":{"code":1011,"message":"expired"}}}
    "#]]
    .assert_eq(&daemon(&mut state, r#"{"jsonrpc":"2.0","id":"relay:4","error":{"code":1011,"message":"expired"}}"#));
    assert!(!state.follows());
}

#[test]
fn numbers_of_subscriptions_are_the_daemons_own_on_its_side() {
    let mut state = State::new("relay:");
    let client = |state: &mut State, text: &str| said(state, |state, up, down| state.take_client(text, up, down));
    let daemon = |state: &mut State, text: &str| said(state, |state, up, down| state.take_daemon(text, up, down));
    client(&mut state, r#"{"jsonrpc":"2.0","id":1,"method":"event.subscribe"}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":1,"result":41}"#);
    daemon(
        &mut state,
        r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":41,"result":{"cursor":7,"type":"server.connected"}}}"#,
    );
    expect_test::expect![[r#"
        daemon [{"jsonrpc":"2.0","id":2,"method":"session.list"},{"jsonrpc":"2.0","id":3,"method":"event.unsubscribe","params":{"subscription":41}},{"jsonrpc":"2.0","id":4,"method":"event.unsubscribe","params":{"subscription":0}}]
    "#]]
    .assert_eq(&client(&mut state, r#"[{"jsonrpc":"2.0","id":2,"method":"session.list"},{"jsonrpc":"2.0","id":3,"method":"event.unsubscribe","params":{"subscription":1}},{"jsonrpc":"2.0","id":4,"method":"event.unsubscribe","params":{"subscription":41}}]"#));
    daemon(
        &mut state,
        r#"[{"jsonrpc":"2.0","id":2,"result":[]},{"jsonrpc":"2.0","id":3,"result":true},{"jsonrpc":"2.0","id":4,"result":false}]"#,
    );
    assert!(!state.follows() && !state.waits());
    // Cancelled requests are not sent again.
    client(&mut state, r#"{"jsonrpc":"2.0","id":6,"method":"session.list"}"#);
    client(&mut state, r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":6}}"#);
    assert!(said(&mut state, |state, _, down| state.lost(down)).contains(r#""id":6,"error":{"code":-32800"#));
    assert_eq!(said(&mut state, State::resume), "");
    // The daemon refuses invalid messages.
    assert_eq!(client(&mut state, "no"), "daemon no\n");
    client(&mut state, r#"{"jsonrpc":"2.0","id":5,"method":"session.list"}"#);
    assert!(client(&mut state, r#"{"jsonrpc":"2.0","id":5,"method":"session.list"}"#).contains("still in flight"));
}

#[test]
fn announced_texts_are_asked_for_again() {
    let mut state = State::new("relay:");
    let client = |state: &mut State, text: &str| said(state, |state, up, down| state.take_client(text, up, down));
    let daemon = |state: &mut State, text: &str| said(state, |state, up, down| state.take_daemon(text, up, down));
    let open = |state: &mut State, id: u64, path: &str| {
        client(
            state,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"buffer.open","params":{{"path":"{path}","version":1,"text":"t"}}}}"#),
        )
    };
    for (id, path) in [(1, "a"), (2, "b"), (3, "refused"), (4, "pending")] {
        assert!(open(&mut state, id, path).starts_with("daemon "));
    }
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":1,"result":{"path":"/d/a","version":1}}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":2,"result":{"path":"/d/b","version":1}}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":3,"error":{"code":1008,"message":"too large"}}"#);
    client(&mut state, r#"{"jsonrpc":"2.0","method":"buffer.open","params":{"path":"c","directory":"/e","version":1,"text":"t"}}"#);
    client(&mut state, r#"{"jsonrpc":"2.0","id":5,"method":"buffer.close","params":{"path":"/d/b"}}"#);
    daemon(&mut state, r#"{"jsonrpc":"2.0","id":5,"result":true}"#);
    client(&mut state, r#"{"jsonrpc":"2.0","id":6,"method":"buffer.change","params":{"path":"a","version":2,"edits":[]}}"#);
    // Notifications without a subscription are passed on unchanged.
    let edit = r#"{"jsonrpc":"2.0","method":"event","params":{"result":{"cursor":0,"time":1,"type":"buffer.edit","properties":{}}}}"#;
    assert_eq!(daemon(&mut state, edit), format!("client {edit}\n"));
    assert!(state.follows(), "the next daemon must know them");
    assert!(said(&mut state, |state, _, down| state.lost(down)).contains(r#""id":6,"error":{"code":1009"#));
    let resumed = said(&mut state, State::resume);
    let time = resumed.split_once(r#""time":"#).unwrap().1.split_once(',').unwrap().0.to_owned();
    let mut lines: Vec<_> = resumed.lines().map(|line| line.replace(&time, "TIME")).collect();
    lines.sort();
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","method":"event","params":{"result":{"cursor":0,"time":TIME,"type":"buffer.reset","properties":{"paths":["a","c"]}}}}
        daemon {"jsonrpc":"2.0","id":"relay:1","method":"buffer.open","params":{"path":"/d/a","version":0}}
        daemon {"jsonrpc":"2.0","id":"relay:2","method":"buffer.open","params":{"path":"c","directory":"/e","version":0}}
        daemon {"jsonrpc":"2.0","id":4,"method":"buffer.open","params":{"path":"pending","version":1,"text":"t"}}"#]]
    .assert_eq(&lines.join("\n"));
    // Answers to the relay's own requests are not passed on.
    assert_eq!(daemon(&mut state, r#"{"jsonrpc":"2.0","id":"relay:1","result":{"path":"/d/a","version":0}}"#), "");
}

#[test]
fn a_search_ends_by_itself_or_with_its_daemon() {
    let mut state = State::new("relay:");
    let client = |state: &mut State, text: &str| said(state, |state, up, down| state.take_client(text, up, down));
    let daemon = |state: &mut State, text: &str| said(state, |state, up, down| state.take_daemon(text, up, down));
    let found = |number: u64, result: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"text.match","params":{{"subscription":{number},"result":{result}}}}}"#)
    };
    for (id, theirs) in [(1, 41), (2, 42)] {
        client(&mut state, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"text.subscribe","params":{{"pattern":"a"}}}}"#));
        let opened = daemon(&mut state, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{theirs}}}"#));
        assert_eq!(opened, format!("client {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{id}}}\n"), "nothing need come before the answer");
    }
    let item = r#"{"type":"match","path":"end","line":1,"column":1,"text":"a","submatches":[]}"#;
    assert_eq!(daemon(&mut state, &found(41, item)), format!("client {}\n", found(1, item)));
    let end = r#"{"type":"end","files":1,"matches":1,"truncated":false,"unreadable":0,"elapsed":1}"#;
    assert_eq!(daemon(&mut state, &found(41, end)), format!("client {}\n", found(1, end)));
    // The ended one is dropped, the other gets an error, and neither is opened again.
    expect_test::expect![[r#"
        client {"jsonrpc":"2.0","method":"text.match","params":{"subscription":2,"error":{"code":1009,"message":"the connection to the daemon was lost before the subscription ended","data":{"kind":"unavailable","hint":"open it again","retryAfter":500}}}}
    "#]]
    .assert_eq(&said(&mut state, |state, _, down| state.lost(down)));
    assert_eq!(said(&mut state, State::resume), "");
    assert!(!state.follows() && !state.waits());
}
