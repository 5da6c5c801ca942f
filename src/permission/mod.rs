//! May it: rules that are pure, questions that wait durably, and the answers that are remembered.

pub(crate) mod broker;
pub(crate) mod inquiries;
pub(crate) mod mode;
pub(crate) mod pattern;
pub(crate) mod rules;

pub use broker::{Answer, Broker, Error, grant_rule};
pub use inquiries::{Inquirer, InquiryError};
pub use pattern::Pattern;
pub use rules::granted_as;

pub(crate) use crate::store::{Inquiry, InquiryEnd, Question, Reply};
