//! One conversation: its prompts, its queue, its turns. An idle session is a few rows of the store; while it works, a task
//! owns it, and others send commands to that task. A turn belongs to the session, not to the call that started it. What
//! clients see is stored before it is sent.

mod activity;
mod children;
mod copy;
mod diff;
mod error;
mod ids;
mod input;
mod mailbox;
mod patch;
mod progress;
mod queue;
mod recover;
mod revert;
mod review;
mod sampling;
mod sessions;
mod shared;
mod status;
mod submit;
mod task;
mod title;
mod turn;
mod workspace;

pub(crate) use activity::Load;
pub(crate) use copy::NewCopy;
pub(crate) use diff::Before;
pub(crate) use error::{Error, MAX_QUEUED};
pub(crate) use mailbox::TurnEnd;
pub(crate) use sessions::{NewSession, Sessions};
pub(crate) use submit::{Prompt, SessionEdit, Submitted};
pub(crate) use workspace::{Models, ResolvedModel, Workspace, Workspaces};

pub(crate) use crate::store::{Place, SessionQuery, UsageQuery, in_order, without_undone};
