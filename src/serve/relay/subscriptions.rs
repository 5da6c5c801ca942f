//! The client's subscriptions. Their numbers are the relay's own, which stay when another daemon assigns other numbers.
//! Each has the cursor of the last event that the client has received, from which it is resumed.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    /// The method that opened it.
    pub method: Box<str>,
    /// The method of its notifications.
    pub notification: Box<str>,
    /// The params that opened it.
    pub params: Map<String, Value>,
    /// The client has received everything up to this cursor. `None` if it cannot be resumed.
    pub cursor: Option<u64>,
    /// The daemon's number; `None` while it is being resumed.
    daemon: Option<u64>,
    /// It was resumed, so the client does not get the daemon's first notification.
    pub greeted: bool,
    /// It continues in another store: the client gets the daemon's first notification.
    pub renewed: bool,
    /// The client has closed it while it was being resumed.
    pub ending: bool,
}

/// All subscriptions of the client.
#[derive(Debug, Default)]
pub struct Subscriptions {
    last: u64,
    by_client: BTreeMap<u64, Subscription>,
    by_daemon: HashMap<u64, u64>,
}

impl Subscriptions {
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// Adds a subscription that the daemon has opened; returns the client's number.
    pub fn add(&mut self, method: &str, notification: &str, params: Map<String, Value>, cursor: Option<u64>, daemon: u64) -> u64 {
        self.last += 1;
        self.by_daemon.insert(daemon, self.last);
        let subscription = Subscription {
            method: method.into(),
            notification: notification.into(),
            params,
            cursor,
            daemon: Some(daemon),
            greeted: false,
            renewed: false,
            ending: false,
        };
        self.by_client.insert(self.last, subscription);
        self.last
    }

    /// The one with the daemon's number.
    pub fn of_daemon(&mut self, daemon: u64) -> Option<(u64, &mut Subscription)> {
        let client = *self.by_daemon.get(&daemon)?;
        Some((client, self.by_client.get_mut(&client)?))
    }

    /// The client has closed one that is being resumed; false for others.
    pub fn end_unopened(&mut self, client: u64) -> bool {
        match self.by_client.get_mut(&client) {
            Some(subscription) if subscription.daemon.is_none() && !subscription.ending => {
                subscription.ending = true;
                true
            }
            _ => false,
        }
    }

    /// The daemon's number; 0, which no daemon uses, if it is unknown.
    pub fn daemon_number(&self, client: u64) -> u64 {
        self.by_client.get(&client).and_then(|subscription| subscription.daemon).unwrap_or(0)
    }

    /// The daemon has resumed it.
    pub fn reopened(&mut self, client: u64, daemon: u64) -> Option<&mut Subscription> {
        let subscription = self.by_client.get_mut(&client)?;
        subscription.daemon = Some(daemon);
        subscription.greeted = !subscription.renewed;
        self.by_daemon.insert(daemon, client);
        Some(subscription)
    }

    /// If the cursor is beyond the end of the daemon's log, the store is another one, such as after the data directory was
    /// removed. The subscription then starts at the present end of that log, and the smaller cursor of its first notification
    /// shows this to the client. Returns the params to open it; `None` for other errors.
    pub fn start_over(&mut self, client: u64, error: &RawValue) -> Option<(Box<str>, Map<String, Value>)> {
        #[derive(Deserialize)]
        struct Refusal {
            data: Expired,
        }
        #[derive(Deserialize)]
        struct Expired {
            kind: String,
            oldest: u64,
        }
        let Refusal { data } = serde_json::from_str(error.get()).ok()?;
        let subscription = self.by_client.get_mut(&client)?;
        if data.kind != "cursor_expired" || subscription.cursor.is_none_or(|cursor| cursor < data.oldest) {
            return None;
        }
        (subscription.cursor, subscription.renewed) = (Some(0), true);
        let mut params = subscription.params.clone();
        params.remove("since");
        Some((subscription.method.clone(), params))
    }

    /// Removes the one with the client's number.
    pub fn remove(&mut self, client: u64) -> Option<Subscription> {
        let subscription = self.by_client.remove(&client)?;
        if let Some(daemon) = subscription.daemon {
            self.by_daemon.remove(&daemon);
        }
        Some(subscription)
    }

    /// The daemon has disconnected. Returns the subscriptions that cannot be resumed: number and notification.
    pub fn lost(&mut self) -> Vec<(u64, Box<str>)> {
        self.by_daemon.clear();
        self.by_client.retain(|_, subscription| !subscription.ending);
        self.by_client.values_mut().for_each(|subscription| subscription.daemon = None);
        let broken: Vec<_> = self.by_client.iter().filter(|(_, subscription)| subscription.cursor.is_none()).collect();
        let broken: Vec<_> = broken.into_iter().map(|(client, subscription)| (*client, subscription.notification.clone())).collect();
        broken.iter().for_each(|(client, _)| drop(self.by_client.remove(client)));
        broken
    }

    /// The requests to resume each: the client's number, the method and its params.
    pub fn reopening(&self) -> impl Iterator<Item = (u64, &str, Map<String, Value>)> {
        self.by_client.iter().map(|(client, subscription)| {
            let mut params = subscription.params.clone();
            if subscription.renewed {
                params.remove("since");
            } else {
                params.insert("since".to_owned(), subscription.cursor.into());
            }
            (*client, subscription.method.as_ref(), params)
        })
    }
}
