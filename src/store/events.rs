//! The event log: read by cursor, trimmed from its oldest end.

mod retention;

use std::collections::HashSet;

use polytree_protocol::events::EventPayload;
use polytree_protocol::id::ProjectId;

use super::{Error, Extent, Filter, Page, Rows, Scope, Store};

/// The result of reading after a cursor.
#[derive(Debug)]
pub enum After<T> {
    Found(T),
    /// The cursor is older than the log, or was never assigned. The log begins at the assigned one.
    Expired(u64),
}

fn is_expired(rows: &dyn Rows, since: u64, newest: u64) -> Result<Option<u64>, Error> {
    let Extent { oldest, newest: assigned } = rows.log_extent()?;
    // A cursor that was never assigned comes from another store, or from before a backup was restored: a follower would
    // wait for ever.
    let is_expired = since != 0 && (since < oldest || since > assigned.max(newest));
    Ok(is_expired.then_some(oldest))
}

/// Loads the current descendants of the filter's session; the filter learns later ones from their events.
fn resolve(rows: &dyn Rows, filter: &mut Filter) -> Result<(), Error> {
    filter.family = match &filter.session_id {
        Some(session) => rows.family_of(session)?,
        None => HashSet::new(),
    };
    Ok(())
}

impl Store {
    /// The newest cursor that may have been assigned.
    pub fn newest_cursor(&self) -> u64 {
        self.database().newest_cursor()
    }

    /// Reads the next events after `since` that match the filter, at most `limit`.
    pub async fn events(&self, since: u64, newest: u64, limit: usize, mut filter: Filter) -> Result<After<Page>, Error> {
        self.read(move |rows| {
            if let Some(oldest) = is_expired(rows, since, newest)? {
                return Ok(After::Expired(oldest));
            }
            resolve(rows, &mut filter)?;
            rows.events(since, newest, limit, &mut filter).map(After::Found)
        })
        .await
    }

    /// Resolves a filter for following from a cursor on.
    pub async fn begin_to_follow(&self, since: u64, newest: u64, mut filter: Filter) -> Result<After<Filter>, Error> {
        self.read(move |rows| {
            if let Some(oldest) = is_expired(rows, since, newest)? {
                return Ok(After::Expired(oldest));
            }
            resolve(rows, &mut filter)?;
            Ok(After::Found(filter))
        })
        .await
    }

    /// The next events for a follower, and its updated filter.
    pub async fn next_events(&self, since: u64, newest: u64, mut filter: Filter) -> Result<After<(Page, Filter)>, Error> {
        self.read(move |rows| {
            if let Some(oldest) = is_expired(rows, since, newest)? {
                return Ok(After::Expired(oldest));
            }
            let page = rows.events(since, newest, usize::MAX, &mut filter)?;
            Ok(After::Found((page, filter)))
        })
        .await
    }

    /// Emits events about a project's directories that change no stored state.
    pub async fn announce(&self, project: ProjectId, payloads: Vec<(String, EventPayload)>) -> Result<(), Error> {
        self.write(move |transaction| {
            for (directory, payload) in payloads {
                let scope = Scope { directory: Some(directory), project_id: Some(project.clone()), ..Scope::default() };
                transaction.emit(&scope, &payload)?;
            }
            Ok(())
        })
        .await
    }
}
