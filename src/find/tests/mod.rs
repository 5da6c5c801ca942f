//! Compares the index with the file system, with git, and with a naive search.

mod files;
mod indexes;
mod queries;
mod support;
mod truth;
mod walker;
