//! The handler of `editor.open`.

use std::{path::Path, time::Duration};

use polytree_protocol::{diagnose::DiagnosisClient, editor::EditorOpenInfo, event::Event, events::EventPayload, methods::EditorOpen};
use serde_json::value::{RawValue, to_raw_value};

use super::{EventParams, Notification};
use crate::{
    api::select,
    file,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    stdx::{disk, paths::AbsPath, time::now_ms},
};

/// The timeout of telling an editor, which may have stopped reading.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Handler for EditorOpen {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        if let Some(range) = params.range
            && range.end < range.start
        {
            return Err(Error::invalid_params("`range` ends before its start"));
        }
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        let (checkout, given) = (instance.checkout.clone(), params.path.clone());
        let path = disk::run(instance.directory().clone(), move || file::existing(&checkout, &given)).await?;
        let message = message(EditorOpenInfo { path: path.to_string(), range: params.range })?;
        let mut told = false;
        for editor in context.daemon.clients.editors() {
            if works_in(&editor.describe(), instance.worktree()) {
                told |= tokio::time::timeout(TIMEOUT, editor.tell(message.clone())).await.unwrap_or(false);
            }
        }
        Ok(told)
    }
}

/// Whether the client's directory is in the worktree, or the worktree in its directory.
fn works_in(client: &DiagnosisClient, worktree: &AbsPath) -> bool {
    let directory = client.directory.as_deref().map(Path::new);
    directory.is_some_and(|directory| directory.starts_with(worktree) || worktree.as_path().starts_with(directory))
}

fn message(info: EditorOpenInfo) -> Result<Box<RawValue>, Error> {
    let payload = EventPayload::EditorOpen(info);
    let properties = serde_json::from_str(&payload.properties()).map_err(Error::internal)?;
    let kind = payload.name().to_owned();
    // It has no place in the log, and so no cursor to go on from.
    let event = Event { cursor: 0, time: now_ms(), kind, directory: None, project_id: None, session_id: None, properties };
    to_raw_value(&Notification { jsonrpc: "2.0", method: "event", params: EventParams { result: &event } }).map_err(Error::internal)
}
