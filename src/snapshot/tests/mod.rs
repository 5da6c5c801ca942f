//! Changes by tools, commands, editors and people, taken back and made again, in directories of every kind.

mod commands;
mod editors;
mod moves;
mod random;
mod reverts;
mod support;
