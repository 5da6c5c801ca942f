//! One conversation: its prompts, its queue, its turns. A session at rest is a few rows of the store; while it works,
//! a task owns it and everybody else sends that task messages. A turn belongs to the session, never to the call that
//! started it. What a client has seen is in the store before it is sent.

mod activity;
mod error;
mod ids;
mod input;
mod mailbox;
mod progress;
mod recover;
mod sampling;
mod sessions;
mod shared;
mod status;
mod submit;
mod task;
mod title;
mod turn;
mod workspace;

pub use activity::{Busy, Load};
pub use error::{Error, MAX_QUEUED};
pub use mailbox::TurnEnd;
pub use progress::{Census, TurnNow, Working};
pub use sessions::{NewSession, Sessions};
pub use submit::{Prompt, Submitted};
pub use workspace::{Models, ResolvedModel, Workspace, Workspaces};

pub use crate::store::{Place, SessionQuery};
