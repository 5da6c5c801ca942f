//! Ends a turn before a step when a limit of `spend` in the settings is reached.

use polytree_protocol::{
    id::MessageId,
    message::{Message, MessageError, MessageErrorData, MessageErrorName, SpendLimit},
    usage::UsageBy,
};

use super::{
    next::{End, Next},
    state::{Step, Turn},
};
use crate::{
    provider::definition::FinishReason,
    session::Error,
    stdx::time::{day, now_ms},
    store::{UsageQuery, new_answer},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether a limit is reached: then an answer says so, and how the turn ends is returned.
pub(super) async fn before_step(turn: &Turn, last: &mut Option<MessageId>) -> Result<Option<End>, Error> {
    let Some((limit, spent, most)) = reached(turn).await? else { return Ok(None) };
    let what = match limit {
        SpendLimit::Session => "this session and its subagents have",
        SpendLimit::Day => "all sessions of today have",
    };
    let error = MessageError {
        name: MessageErrorName::SpendLimitError,
        data: MessageErrorData {
            message: format!("{what} cost ${spent:.2}, and the limit in the settings is ${most:.2}"),
            hint: Some("raise `spend` in your settings, or use a cheaper model in a new session".to_owned()),
            limit: Some(limit),
            spent: Some(spent),
            ..MessageErrorData::default()
        },
    };
    let checkout = &turn.workspace.checkout;
    let mut answer = new_answer(&turn.user, &checkout.directory.to_string(), &checkout.worktree.to_string());
    answer.parent_id = turn.prompt();
    *last = Some(answer.id.clone());
    turn.shared.store.commit(turn.unit().message(Message::Assistant(answer.clone()))).await?;
    let end = End::Failed(error);
    turn.close(Step::new(answer, FinishReason::Other), &Next::End(end.clone())).await?;
    Ok(Some(end))
}

/// The limit that is reached, what was spent, and what may be.
async fn reached(turn: &Turn) -> Result<Option<(SpendLimit, f64, f64)>, Error> {
    let store = &turn.shared.store;
    if let Some(most) = turn.workspace.spend.session {
        let mut root = turn.shared.stored(&turn.session.id).await?;
        while let Some(parent) = &root.parent_id {
            root = turn.shared.stored(parent).await?;
        }
        // With its descendants.
        if root.cost >= most {
            return Ok(Some((SpendLimit::Session, root.cost, most)));
        }
    }
    if let Some(most) = turn.workspace.spend.day {
        let now = now_ms();
        let today = day(now);
        let query = UsageQuery { by: UsageBy::Day, since: Some(now.div_euclid(DAY_MS) * DAY_MS), project: None, limit: 2 };
        let spent = store.usage(query).await?.into_iter().find(|total| total.key == today).map_or(0.0, |total| total.cost);
        if spent >= most {
            return Ok(Some((SpendLimit::Day, spent, most)));
        }
    }
    Ok(None)
}
