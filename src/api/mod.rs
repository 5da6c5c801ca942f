//! What each method does. A handler checks, asks the owner of the matter, awaits its answer, and owns no work:
//! dropping it at any await is harmless. The table of methods is expanded here once; a row without a handler
//! does not compile.

pub mod connection;
pub mod error;
pub mod handler;
pub mod sink;
pub mod traffic;

mod convert;
mod inline;
mod select;

pub mod auth;
pub mod buffer;
pub mod config;
pub mod daemon;
pub mod diagnose;
pub mod event;
pub mod file;
pub mod find;
pub mod listen;
pub mod permission;
pub mod project;
pub mod session;
pub mod symbol;
pub mod text;

use polytree_protocol::methods;

use crate::daemon::Daemon;
use handler::{Handler, SubscriptionHandler};

/// A door: it is shown every method once.
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
