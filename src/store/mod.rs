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

pub(crate) use copies::{Conversation, Copied};
pub(crate) use error::{Error, Fault};
pub(crate) use events::After;
pub(crate) use filter::Filter;
pub(crate) use identity::{Sighting, Stamp};
pub use owner::{LockState, Owner, OwnerKind, Ownership, Room};
pub(crate) use projects::{Answer, Ask, Evidence, Known, LINKED, LinkedCheckout, ProjectChange, ProjectFacts, Seen};
pub(crate) use prompts::{
    Admitted, NewPrompt, Origin,
    order::{Undone, in_order, undone, without_undone},
};
pub(crate) use questions::{
    Answered, Asked, Replied, Reply,
    inquiries::{Inquired, InquiryReply},
};
pub(crate) use queue::{QueueChange, QueueChanged};
pub(crate) use record::{Extent, Page, Record, Scope};
pub(crate) use rows::{
    CheckoutId, Inquiry, InquiryEnd, KnownProject, Needed, Place, PlaceKind, ProjectPlace, Question, Review, SeenFiles, SessionQuery,
    StoredCheckout, UsageQuery,
};
pub(crate) use sessions::{Created, Messages};
pub(crate) use settle::{Cause, Settled, WaitsFor, end_part, new_answer};
pub(crate) use sqlite::{Durability, ReadersState, aside, check, size};
pub(crate) use transaction::Store;
pub(crate) use unit::{Revert, SessionChange, Unit};

use rows::{Asker, Rows, StoredInquiry, StoredQuestion};
use transaction::Transaction;
