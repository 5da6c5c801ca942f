//! Whole commands against a daemon that plays a script over a real connection; what a person sees is the test.

mod ask;
mod begin;
mod commands;
mod doctor;
pub(crate) mod fake;
mod run;
