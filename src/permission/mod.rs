//! May it: rules that are pure, questions that wait durably, and the answers that are remembered.

pub(crate) mod broker;
pub(crate) mod pattern;
pub(crate) mod rules;
mod store;

pub use broker::{Answer, Broker, Error, OpenQuestion, Question, Settled, grant_rule, oldest_open};
pub use pattern::Pattern;
