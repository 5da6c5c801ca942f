//! The index against the disk, against git, and against a naive search.

mod indexes;
mod queries;
mod support;
mod truth;
