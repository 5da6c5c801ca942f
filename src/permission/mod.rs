//! May it: rules that are pure, questions that wait durably, and the answers that are remembered.

pub(crate) mod broker;
pub(crate) mod mode;
pub(crate) mod pattern;
pub(crate) mod rules;
mod store;

pub use broker::{Answer, Broker, Error, OpenQuestion, Question, Settled, asked_in, grant_rule, open_of};
pub use pattern::Pattern;
