//! Searching the contents of files, as ripgrep does and with its parts: which pattern, in which files, one file at a
//! time, and all of a directory on several threads. What an editor holds unsaved is searched in place of the disk.

mod cut;
mod error;
mod file;
mod filter;
mod item;
mod literal;
mod ordered;
mod query;
mod search;
mod stream;
mod turns;
mod walk;

#[cfg(test)]
mod tests;

pub use self::{
    cut::window,
    error::Error,
    file::{FileSearcher, Line, Outcome, Source},
    filter::Filter,
    ordered::{Found, find},
    query::{Options, Query},
    search::{Place, Stop, StopOnDrop, Summary},
    stream::{Chunk, stream},
    turns::{StreamTurn, Turn, Turns},
    walk::{Entry, MOST_ENTRIES, PathPattern, modified, newest_first, walk},
};
