//! Listeners on loopback, reached by real sockets.
