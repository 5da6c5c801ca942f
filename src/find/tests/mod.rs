//! The index against the disk, against git, and against a naive search.
