//! The store: what is kept, and the transactions that change it. A call here is a named transaction with its rules, or
//! commits a unit of facts and events. Everything in and out is plain data, and nothing here looks at a file of the user:
//! what a rule needs to know of the disk is handed in.
//!
//! The rules are written over the traits in `rows`, once for every database; `sqlite` implements them.

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
