//! The door for the user's own programs: a Unix socket of mode 0600 in a directory of mode 0700, or a named pipe.
//! Only the same user gets in. The first line that a client sends is its hello; from then on it is a connection
//! like any other.

mod address;
mod client;
mod hello;
#[cfg(unix)]
mod same_user;
mod server;

pub use address::{Address, Error};
pub use client::{Greeted, NotGreeted, connect, greet};
pub use hello::{Hello, Welcome};
pub use server::Listener;
