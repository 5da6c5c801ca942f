//! Search in a project.

pub mod symbols;
