//! Model calls that are tried again: what clients are told, and how long is waited.

use std::time::Duration;

use polytree_protocol::{
    id::MessageId,
    message::MessageError,
    part::{Created, Part, RetryPart},
    session::{SessionStatus, StatusRetry},
};

use super::state::Turn;
use crate::{
    session::{Error, ids},
    stdx::time::now_ms,
};

pub(super) fn retry_part(turn: &Turn, message: &MessageId, attempt: u32, error: &MessageError) -> RetryPart {
    RetryPart {
        id: ids::part_id(),
        session_id: turn.session.id.clone(),
        message_id: message.clone(),
        attempt,
        error: error.clone(),
        without_attachments: false,
        time: Created { created: now_ms() },
    }
}

pub(super) async fn put(turn: &Turn, part: Part) -> Result<(), Error> {
    Ok(turn.shared.store.commit(turn.unit().part(part)).await?)
}

/// Tells clients of the retry and waits for it; false when the turn was aborted meanwhile.
pub(super) async fn wait_for_retry(turn: &Turn, message: &MessageId, attempt: u32, error: &MessageError, wait: u64) -> Result<bool, Error> {
    let part = Part::Retry(retry_part(turn, message, attempt, error));
    let next = now_ms() + i64::try_from(wait).unwrap_or(i64::MAX / 2);
    let retry = SessionStatus::Retry(StatusRetry { attempt, message: error.data.message.clone(), next });
    let unit = turn.unit().part(part);
    let unit = if let Some(status) = turn.shared.statuses.set(&turn.session.id, retry) { unit.status(status) } else { unit };
    turn.shared.store.commit(unit).await?;
    tokio::select! {
        () = turn.tasks.token().cancelled() => return Ok(false),
        () = tokio::time::sleep(Duration::from_millis(wait)) => {}
    }
    if let Some(status) = turn.shared.statuses.set(&turn.session.id, SessionStatus::Busy) {
        turn.shared.store.commit(turn.unit().status(status)).await?;
    }
    Ok(true)
}

/// A number from 0 to 1 that keeps many sessions from trying again at the same moment.
#[expect(clippy::cast_precision_loss, reason = "16 bits fit")]
pub(super) fn jitter() -> f64 {
    (crate::stdx::ids::next().0 & 0xffff) as f64 / 65_536.0
}
