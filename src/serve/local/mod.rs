//! The door for the user's programs: a Unix socket with mode 0600 in a directory with mode 0700, or a named pipe. Only the
//! same user can connect. A client first sends a hello; then it is a connection like any other.

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
