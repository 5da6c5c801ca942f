//! What was used: by day, project or model, and of the context of a session.

use polytree_protocol::{
    id::{MessageId, SessionId},
    usage::UsageTotal,
};

use crate::store::{Error, Store, UsageQuery};

impl Store {
    /// Totals: days newest first, others by cost.
    pub async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageTotal>, Error> {
        let mut totals = self.read(move |rows| rows.usage(&query)).await?;
        for total in &mut totals {
            // The sum of many floating-point numbers, rounded to the unit of amounts.
            total.cost = super::sum(total.cost, 0.0);
        }
        Ok(totals)
    }

    /// The tokens of a conversation at the end of its last answer, before this message, that the service has counted; 0 if
    /// there is none.
    pub async fn context_used(&self, session: SessionId, before: Option<MessageId>) -> Result<u64, Error> {
        self.read(move |rows| {
            let Some(answer) = rows.last_counted(&session, before.as_ref())? else { return Ok(0) };
            let tokens = answer.tokens;
            // After a summary the conversation consists of it.
            let read = if answer.summary { 0 } else { tokens.input.saturating_add(tokens.cache.read).saturating_add(tokens.cache.write) };
            Ok(read.saturating_add(tokens.output).saturating_add(tokens.reasoning))
        })
        .await
    }
}
