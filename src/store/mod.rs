//! The store: persistent state, and the transactions that change it. Each call is a named transaction with its rules,
//! or commits a unit of state changes and events. Input and output are plain data. Nothing here accesses the user's
//! files: facts about them are parameters.
//!
//! The rules are written once, over the traits in `rows`; `sqlite` implements these.

mod apply;
mod blob;
mod copies;
mod error;
mod events;
mod filter;
pub(crate) mod identity;
pub(crate) mod owner;
mod projects;
mod prompts;
mod questions;
mod queue;
mod record;
mod rows;
mod sessions;
mod settle;
mod sqlite;
mod transaction;
mod unit;
pub(crate) mod usage;

pub use copies::{Conversation, Copied};
pub use error::{Error, Fault};
pub use events::After;
pub use filter::Filter;
pub use identity::{Sighting, Stamp};
pub use owner::{Kind, Look, Owner, Ownership, Room};
pub use projects::{Answer, Ask, Evidence, Known, LINKED, LinkedCheckout, ProjectChange, Seen, Told};
pub use prompts::{Admitted, NewPrompt, Origin};
pub use queue::{QueueChange, QueueChanged};
pub use questions::{Answered, Asked, Replied, Reply};
pub use record::{Extent, Page, Record, Scope};
pub use rows::{CheckoutId, KnownProject, Place, PlaceKind, ProjectPlace, Question, SeenFiles, SessionQuery, StoredCheckout};
pub use sessions::{Created, Messages};
pub use settle::{Cause, Settled, end_part, new_answer};
pub use sqlite::{Durability, ReadersState, WriterState, aside, check, size};
pub use transaction::Store;
pub use unit::{SessionChange, Unit};

use rows::{Asker, Rows, StoredQuestion};
use transaction::Transaction;
