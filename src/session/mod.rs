//! One conversation: its prompts, its queue, its turns. A session at rest is a few rows of the store; while it works,
//! a task owns it and everybody else sends that task messages. A turn belongs to the session, never to the call that
//! started it. What a client has seen is in the store before it is sent.

mod activity;
mod answer;
mod calls;
mod changes;
mod choices;
mod circles;
mod copy;
mod error;
mod failure;
mod fit;
mod fold;
mod history;
mod host;
mod input;
mod mailbox;
mod progress;
mod recover;
mod schema;
mod sessions;
mod status;
mod step;
mod structured;
mod submit;
mod system;
mod task;
mod title;
mod turn;
mod unwritten;
mod workspace;

pub use activity::{Busy, Load};
pub use copy::NewCopy;
pub use error::Error;
pub use mailbox::MAX_QUEUED;
pub use progress::{Census, TurnNow, Working};
pub use sessions::{NewSession, Prompt, Sessions, Submitted, TurnEnd};
pub use workspace::{Models, ResolvedModel, Workspace, Workspaces};

pub use crate::store::{Place, SessionQuery};
