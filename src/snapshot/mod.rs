//! Undo of what a session did to files.
//!
//! Before a tool changes a file, its content is stored ([`Snapshots::before_edit`]). Around a command, the files of the
//! checkout are compared before and after ([`Following::begin`]): clean tracked files are known from git's index, and
//! other files are copied into the store when their stat data changes. The user's repository is never written.
//!
//! Changes form a [`ChangeSet`], which is stored under an id. [`Snapshots::revert`] undoes change sets: a file that still
//! is what the session left gets its old content, a file that was changed since is merged three-way if that is clean, and
//! any other file is left alone and reported. All files are checked before the first is written, and the plan is in a
//! journal on disk before that, so the next process completes a revert that a killed one has begun (it rolls forward). A
//! revert itself produces a change set; reverting that one is `unrevert`.
//!
//! A change that a tool call is about to make is noted on disk until the conversation has it ([`Pending`]).

mod apply;
mod change;
mod edit;
mod follow;
mod index;
mod journal;
mod ledger;
mod look;
mod objects;
mod pending;
mod plan;
mod retention;
mod snapshots;
mod state;
mod undo;

pub use change::{Change, ChangeSet, Uncovered};
pub use edit::Edit;
pub use follow::{Following, Running};
pub use journal::{Done, Journal, Recovered};
pub use objects::{IMAGE_GONE, Object, Objects};
pub use pending::{LeftOver, Pending};
pub use plan::{Action, FilePlan, Plan, Request};
pub use snapshots::{Error, Reverted, Snapshots};
pub use state::{Mode, State};

#[cfg(all(test, unix))]
mod tests;
