//! One prompt until the model stops: model calls and their tool calls in turn.

mod answer;
mod arguments;
mod calls;
mod failure;
mod guests;
mod repeats;
mod request;
mod run;
mod state;
mod step;
mod stream;
mod title;
mod tools;

pub(super) use guests::structured::Form;
pub(super) use request::history::NOT_SENT;
pub(super) use run::run;
pub(super) use state::{Fresh, Outcome, Start};
