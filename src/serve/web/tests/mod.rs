//! Listeners on loopback with a small application behind them, reached by real sockets.

mod limits;
mod listeners;
mod pages;
mod posts;
mod refusals;
mod same_answers;
mod support;
mod websockets;
