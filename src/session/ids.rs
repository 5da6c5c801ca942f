//! Ids of new messages and parts.

use polytree_protocol::id::{MessageId, PartId};

use crate::stdx::ids::next;

pub(super) fn message_id() -> MessageId {
    MessageId::from_ulid(next())
}

pub(super) fn part_id() -> PartId {
    PartId::from_ulid(next())
}
