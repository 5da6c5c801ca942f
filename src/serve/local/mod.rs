//! The door for the user's own programs: a Unix socket of mode 0600 in a directory of mode 0700, or a named pipe.
//! Only the same user gets in. The first line that a client sends is its hello; from then on it is a connection
//! like any other.

mod address;
mod client;
mod hello;
mod server;

pub use address::{Address, Error};
pub use client::{Greeted, NotGreeted, connect, greet};
pub use hello::{Hello, Welcome};
pub use server::Listener;

/// Whether the other side is known to be this user.
#[cfg(unix)]
fn same_user(stream: &interprocess::local_socket::tokio::Stream) -> bool {
    use interprocess::local_socket::tokio::prelude::*;
    is_user(stream.peer_creds().ok().and_then(|peer| peer.euid()), rustix::process::geteuid().as_raw())
}

/// Not even root is anybody else.
#[cfg(unix)]
fn is_user(peer: Option<u32>, own: u32) -> bool {
    peer == Some(own)
}
