//! Closes turns that could not close themselves: those of an earlier daemon, at the start, and those whose end could not
//! be stored.

use polytree_protocol::id::SessionId;

use super::{Error, shared::Shared};
use crate::{
    store::{Cause, Settled},
    tool,
};

/// At the start of a daemon. Returns the sessions that could not be closed because the store cannot be written now.
pub(super) async fn recover(shared: &Shared) -> Result<Vec<SessionId>, Error> {
    let (mut sessions, queued) = shared.store.left_over().await?;
    let permissions = shared.broker.open().await?.into_iter().map(|question| question.permission.session_id);
    let inquiries = shared.store.open_inquiries().await?.into_iter().map(|inquiry| inquiry.question.session_id);
    for id in permissions.chain(inquiries) {
        if !sessions.contains(&id) {
            sessions.push(id);
        }
    }
    for id in queued {
        shared.defer(&id);
    }
    let mut unsettled = Vec::new();
    for id in sessions {
        match settle(shared, &id, Cause::Restart).await {
            Ok(settled) => {
                for (waits_for, since) in settled.waiting {
                    shared.statuses.remember(&id, waits_for, since);
                }
            }
            // Everything can still be read.
            Err(Error::Storage(error)) if error.is_unavailable() => {
                tracing::warn!(%error, session = %id, "the unfinished turn of an earlier daemon cannot be closed yet");
                unsettled.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(unsettled)
}

/// Closes what is open in a session that has no running turn.
pub(super) async fn settle(shared: &Shared, id: &SessionId, cause: Cause) -> Result<Settled, Error> {
    // What changes nothing may run again beside a question that is taken up.
    let settled = shared.store.settle(id.clone(), cause, tool::reads_only).await?;
    if settled.left {
        shared.defer(id);
    }
    Ok(settled)
}
