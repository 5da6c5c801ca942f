//! One prompt until the model stops. [`run`] repeats steps, [`next`] decides what follows each of them, and guests take
//! part at the points that [`state::Guest`] names.

mod answer;
mod arguments;
mod calls;
mod compact;
mod failure;
mod guests;
mod model_call;
mod next;
mod repeats;
mod request;
mod retries;
mod run;
mod state;
mod steering;
mod step;
mod stream;
mod subtask;
mod title;
mod tools;

pub(super) use compact::has_answers;
pub(super) use guests::structured::Form;
pub(super) use request::history::NOT_SENT;
pub(super) use run::run;
pub(super) use state::{Fresh, Open, Outcome, Start};
pub(super) use steering::Steering;
