//! What is printed of a session that a command has created.

use polytree_protocol::session::Session;

use crate::cli::{
    client::{Exit, Failure},
    render::{
        sanitize,
        style::{FAINT, paint},
    },
    screen::Screen,
};

/// Prints a session that was created, and how to go on with it.
pub(super) fn created(session: &Session, screen: &mut Screen) -> Result<Exit, Failure> {
    screen.styled(&format!("{}  {}\n", session.id, sanitize::line(&session.title)))?;
    screen.status(&paint(FAINT, &format!("go on: polytree run -s {} \"…\"", session.id)));
    Ok(Exit::Done)
}
