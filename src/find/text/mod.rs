//! Searching the contents of files, as ripgrep does and with its parts: which pattern, in which files, one file at a
//! time, and all of a directory on several threads. What an editor holds unsaved is searched in place of the disk.

mod cut;
mod error;
mod file;
mod filter;
mod item;
mod literal;
mod ordered;
mod path_pattern;
mod query;
mod search;
mod slots;
mod stream;

#[cfg(test)]
mod tests;

pub use self::{
    cut::window,
    error::Error,
    file::Line,
    filter::Filter,
    ordered::{Found, find},
    path_pattern::PathPattern,
    query::{Options, Query},
    search::{Collect, Place, Stop, StopOnDrop, Summary, Targets, search, unsaved},
    slots::{SearchSlot, SearchSlots, StreamSlot},
    stream::{Chunk, stream},
};
