//! What one command with known words does: which commands it runs in turn, which files it reads and writes, and what
//! "always" may grant for it. Pure; the programs stand in tables as data.

mod arity;
mod code;
mod command;
mod effects;
mod find;
mod grants;
mod history;
mod identity;
mod inner;
mod input;
mod languages;
mod listing;
mod operands;
mod options;
mod place;
mod selection;
mod shells;
mod special;
mod table;
mod unknown;
mod walk;
mod word;

#[cfg(test)]
mod tests;

pub(in crate::tool) use command::effects;
pub use effects::Dialect;
pub(in crate::tool) use effects::{Effects, Given, Inner, program_name};
pub(in crate::tool) use listing::printed_names;
pub use place::{Access, Anchor, Bound, PathUse, Rest};
pub(in crate::tool) use place::{Place, environment_variable, listed, redirection};
pub(in crate::tool) use word::{Argument, quoted, spelled};
pub use word::{Extent, Found};
