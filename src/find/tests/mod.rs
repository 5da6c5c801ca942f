//! The index against the disk, against git, and against a naive search.

mod files;
mod indexes;
mod queries;
mod support;
mod truth;
mod walker;
