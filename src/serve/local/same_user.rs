//! Only the daemon's user may connect.

/// Whether the peer is known to be this user.
pub fn same_user(stream: &interprocess::local_socket::tokio::Stream) -> bool {
    use interprocess::local_socket::tokio::prelude::*;
    is_user(stream.peer_creds().ok().and_then(|peer| peer.euid()), rustix::process::geteuid().as_raw())
}

/// Not even root may connect.
pub fn is_user(peer: Option<u32>, own: u32) -> bool {
    peer == Some(own)
}
