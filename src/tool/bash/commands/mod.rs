//! Which commands a shell command line would run, wherever they stand in it, and which paths it would touch. Pure.
//!
//! Two readers look at every line: one written here after the rules of bash, and tree-sitter's grammar. Only what both
//! take in the same way counts as understood; of everything else the parts are listed so that a rule can still refuse
//! them, and the line is marked so that a person is asked. A name that only running would tell is never guessed.

mod analysis;
mod builtins;
mod collect;
mod condition;
mod effects;
mod expand;
mod grammar;
mod names;
mod numbers;
mod parameter;
mod parser;
mod quiet;
mod scripts;
mod second_opinion;
mod syntax;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use super::programs::{Access, Anchor, Bound, Dialect, Extent, Found, PathUse, Rest};
pub use analysis::{Analysis, Change, SimpleCommand, Write};

/// Takes a command line apart.
#[must_use]
pub fn analyse(line: &str, dialect: Dialect) -> Analysis {
    let mut collector = collect::Collector::default();
    collector.line(line, dialect);
    let values = collector.values();
    if !values.is_empty() {
        collector = collector.again(values);
        collector.line(line, dialect);
    }
    collector.finish(line).with_wide_patterns()
}
