//! What each method does. A handler checks, asks the owner of the matter, awaits its answer, and owns no work:
//! dropping it at any await is harmless. The table of methods is expanded here once; a row without a handler
//! does not compile.

mod convert;
mod inline;
mod select;

pub mod auth;
pub mod buffer;
pub mod config;
pub mod copies;
pub mod daemon;
pub mod diagnose;
pub mod event;
pub mod file;
pub mod find;
pub mod listen;
pub mod permission;
pub mod project;
pub mod queue;
pub mod session;
pub mod symbol;
pub mod text;

use std::sync::Arc;

use polytree_protocol::methods;

use crate::{
    daemon::Daemon,
    rpc::{
        Registry, Rpc,
        handler::{Handler, SubscriptionHandler},
    },
    stdx::tasks::Tasks,
};

/// Is shown every method once.
pub trait Visitor<A = Daemon> {
    /// A method with one answer.
    fn visit<M: Handler<A>>(&mut self);
    /// A method whose answer is followed by notifications.
    fn subscription<M: SubscriptionHandler<A>>(&mut self);
}

macro_rules! visit_row {
    ($visitor:ident, call, $name:ident) => {
        $visitor.visit::<methods::$name>()
    };
    ($visitor:ident, subscription, $name:ident) => {
        $visitor.subscription::<methods::$name>()
    };
}

macro_rules! visit_rows {
    ($(#[doc = $summary:literal] $kind:ident $name:ident = $wire:literal ($params:ty) -> $result:ty, $verb:tt $path:literal, retry $retry:ident;)*) => {
        /// Shows the visitor every row of the table, in its order.
        pub fn visit_all(visitor: &mut impl Visitor) {
            $(visit_row!(visitor, $kind, $name);)*
        }
    };
}

polytree_protocol::for_each_method!(visit_rows);

impl Visitor for Registry<Daemon> {
    fn visit<M: Handler>(&mut self) {
        self.method::<M>();
    }

    fn subscription<M: SubscriptionHandler>(&mut self) {
        self.subscribe::<M>();
    }
}

/// The methods of the contract, served by the daemon. Subscriptions run below `tasks`.
#[must_use]
pub fn rpc(daemon: Arc<Daemon>, tasks: &Tasks) -> Rpc {
    let (calls, clients, life) = (Arc::clone(&daemon.calls), Arc::clone(&daemon.clients), Arc::clone(&daemon.life));
    let mut registry = Registry::new(daemon);
    visit_all(&mut registry);
    registry.finish(tasks, calls, clients, life)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Notifications(usize);

    impl Visitor for Notifications {
        fn visit<M: Handler>(&mut self) {}

        fn subscription<M: SubscriptionHandler>(&mut self) {
            let row = methods::METHODS.iter().find(|row| row.name == M::NAME).unwrap();
            assert_eq!(row.notification(), Some(M::NOTIFICATION), "{}", M::NAME);
            self.0 += 1;
        }
    }

    #[test]
    fn notifications_have_the_names_that_the_table_says() {
        let mut notifications = Notifications(0);
        visit_all(&mut notifications);
        assert!(notifications.0 >= 2);
    }
}
