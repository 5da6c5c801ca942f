//! What models have cost, in rows that outlive their sessions.

use polytree_protocol::{
    id::{MessageId, ProjectId, SessionId},
    message::{AssistantMessage, CacheTokens, Message, Tokens},
    usage::{UsageBy, UsageTotal},
};
use rusqlite::params;

use super::{Result, SqliteRows, info};
use crate::store::rows::{Usage, UsageQuery, Used};

impl Usage for SqliteRows<'_> {
    fn add_usage(&mut self, used: &Used<'_>) -> Result<()> {
        let Used { time, project, model, prompts, cost, tokens } = *used;
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        self.connection.prepare_cached("INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?.execute(params![
            time,
            project.as_str(),
            model.to_string(),
            prompts,
            cost,
            count(tokens.input),
            count(tokens.output),
            count(tokens.reasoning),
            count(tokens.cache.read),
            count(tokens.cache.write)
        ])?;
        Ok(())
    }

    fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageTotal>> {
        let (key, order) = match query.by {
            UsageBy::Day => ("date(time / 1000, 'unixepoch')", "1 DESC"),
            UsageBy::Project => ("project_id", "2 DESC, 1"),
            UsageBy::Model => ("model", "2 DESC, 1"),
        };
        // `total` instead of `sum`: counts that services report may be too large to be added as integers.
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {key}, total(cost), total(prompts), total(input), total(output), total(reasoning), total(cache_read), total(cache_write)
             FROM usage WHERE (?1 IS NULL OR time >= ?1) AND (?2 IS NULL OR project_id = ?2) GROUP BY 1 HAVING {key} IS NOT NULL ORDER BY {order} LIMIT ?3"
        ))?;
        let project = query.project.as_ref().map(ProjectId::as_str);
        let rows = statement.query_map(params![query.since, project, query.limit], |row| {
            let count = |index: usize| row.get(index).map(whole);
            Ok(UsageTotal {
                key: row.get(0)?,
                cost: row.get(1)?,
                prompts: count(2)?,
                tokens: Tokens {
                    input: count(3)?,
                    output: count(4)?,
                    reasoning: count(5)?,
                    cache: CacheTokens { read: count(6)?, write: count(7)? },
                },
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn last_counted(&self, session: &SessionId, before: Option<&MessageId>) -> Result<Option<AssistantMessage>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT data FROM message WHERE session_id = ?1 AND parent_id IS NOT NULL AND NOT open
             AND (?2 IS NULL OR seq < (SELECT seq FROM message WHERE id = ?2)) ORDER BY seq DESC",
        )?;
        let mut rows = statement.query(params![session.as_str(), before.map(MessageId::as_str)])?;
        while let Some(row) = rows.next()? {
            if let Message::Assistant(answer) = info(self.connection, &row.get::<_, String>(0)?)? {
                let read = answer.tokens.input.saturating_add(answer.tokens.cache.read).saturating_add(answer.tokens.cache.write);
                if answer.error.is_none() && read > 0 {
                    return Ok(Some(answer));
                }
            }
        }
        Ok(None)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative; `as` saturates")]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use serde_json::json;

    #[test]
    fn what_an_older_store_has_used_is_counted_once() {
        let store = Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../migrations/0001_first.sql"),
            include_str!("../migrations/0002_project.sql"),
            include_str!("../migrations/0003_turn.sql"),
            include_str!("../migrations/0004_answers.sql"),
        ] {
            store.execute_batch(migration).unwrap();
        }
        let session =
            "INSERT INTO session (id, project_id, checkout_id, path, updated, created_with, data) VALUES (?1, 'p', 0, '', 0, '', '')";
        let message = |id: &str, session: &str, parent: Option<&str>, params: Option<&str>, data: serde_json::Value| {
            let sql = "INSERT INTO message (id, session_id, parent_id, params, data) VALUES (?1, ?2, ?3, ?4, ?5)";
            store.execute(sql, (id, session, parent, params, data.to_string())).unwrap();
        };
        let prompt = json!({ "time": { "created": 86_400_000 }, "model": { "providerID": "a", "modelID": "b" } });
        let tokens = json!({ "input": 10, "output": 20, "reasoning": 3, "cache": { "read": 4, "write": 5 } });
        let answer = json!({ "time": { "created": 86_400_001 }, "providerID": "a", "modelID": "b", "cost": 0.5, "tokens": tokens });
        for (id, params) in [("one", Some("digest")), ("copy", None)] {
            store.execute(session, [id]).unwrap();
            message(&format!("u_{id}"), id, None, params, prompt.clone());
            message(&format!("a_{id}"), id, Some(&format!("u_{id}")), None, answer.clone());
            message(
                &format!("b_{id}"),
                id,
                Some(&format!("u_{id}")),
                None,
                json!({ "time": { "created": 1 }, "providerID": "a", "modelID": "b" }),
            );
        }
        store.execute_batch(include_str!("../migrations/0005_usage.sql")).unwrap();
        let sums = "SELECT group_concat(DISTINCT model), sum(prompts), sum(cost), sum(input), sum(output), sum(reasoning), sum(cache_read), sum(cache_write), min(time) FROM usage";
        let sums: (String, u32, f64, u32, u32, u32, u32, u32, i64) = store
            .query_row(sums, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?))
            })
            .unwrap();
        assert_eq!(sums, ("a/b".to_owned(), 1, 0.5, 10, 20, 3, 4, 5, 86_400_000));
    }
}
