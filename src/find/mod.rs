//! Finding things in a project: text in its files.
//! Everything here sees the same files, those of `file::ignore_rules`,
//! and the text that editors hold unsaved before that on the disk.

pub mod text;
