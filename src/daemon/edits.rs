//! Passes changed files on to the symbol index.

use std::{path::Path, sync::Arc};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{self, Events, Filter},
    find::symbols::Symbols,
    stdx::paths::AbsPath,
};

/// The fields of an event that are used here.
#[derive(Deserialize)]
struct Edit {
    directory: Option<String>,
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    path: String,
}

/// Follows the event log until the daemon shuts down.
pub(super) async fn tell(events: Arc<Events>, symbols: Arc<Symbols>, token: CancellationToken) {
    let follow = async {
        loop {
            let filter = Filter::new(None, None, None, Some(vec!["file.edited".to_owned(), "file.changed".to_owned()]));
            let error = match events.follow(None, filter).await {
                Ok(mut edits) => loop {
                    match edits.next().await {
                        Ok(edits) => symbols.changed(&edits.iter().filter_map(|edit| path(edit.get())).collect::<Vec<_>>()),
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
            // After an overflow it subscribes again; a query finds the missed changes when it checks the files.
            if !matches!(error, event::Error::CursorExpired { .. }) {
                return;
            }
        }
    };
    tokio::select! {
        () = token.cancelled() => {}
        () = follow => {}
    }
}

/// The changed file.
fn path(event: &str) -> Option<AbsPath> {
    let edit: Edit = serde_json::from_str(event).ok()?;
    let directory = edit.directory.as_deref().and_then(AbsPath::new);
    match directory {
        Some(directory) => Some(directory.join(Path::new(&edit.properties.path))),
        None => AbsPath::new(edit.properties.path),
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn paths_of_events() {
        let path = |event: &str| path(event).map(|path| path.to_string());
        assert_eq!(path(r#"{"type":"file.edited","directory":"/a","properties":{"path":"/a/b"}}"#).as_deref(), Some("/a/b"));
        assert_eq!(
            path(r#"{"type":"file.changed","directory":"/a","properties":{"path":"b/c","event":"add"}}"#).as_deref(),
            Some("/a/b/c")
        );
        assert_eq!(path(r#"{"type":"file.changed","properties":{"path":"b"}}"#), None);
        assert_eq!(path("{}"), None);
    }
}
