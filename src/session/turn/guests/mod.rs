//! What takes part in a turn beside its loop. A new guest is a file here and a line in [`join`].

mod children;
mod compact;
mod plan;
mod review;
mod schema;
mod steer;
pub mod structured;

use super::state::{Guest, Turn};
use crate::session::Error;

/// The guests of a turn, in the order in which they are asked.
pub(super) fn join(turn: &Turn) -> Result<Vec<Box<dyn Guest>>, Error> {
    let guests = [
        Some(compact::join(turn)),
        plan::join(turn),
        structured::join(turn)?,
        Some(steer::join(turn)),
        Some(children::join()),
        Some(review::join()),
    ];
    Ok(guests.into_iter().flatten().collect())
}
