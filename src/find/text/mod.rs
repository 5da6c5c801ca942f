//! Searches the contents of files with ripgrep's libraries: parsing patterns, selecting files, and searching on several
//! threads. Unsaved text of editors is searched in place of the files.

mod error;
mod excerpt;
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
    error::Error,
    excerpt::window,
    file::Line,
    filter::Filter,
    ordered::find,
    path_pattern::PathPattern,
    query::{Options, Query},
    search::{Collect, Place, Stop, Targets, search, unsaved},
    slots::{SearchSlots, StreamSlot},
    stream::stream,
};
