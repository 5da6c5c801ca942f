//! The handlers of `buffer.*`: what a client holds open and has not saved. They have their effect in the order in which
//! the client sends them, before whatever it sends afterwards is looked at.

mod editor;

use std::{
    fmt,
    sync::{Arc, Weak},
};

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::{Buffer, BufferEditInfo},
    diagnostics::DiagnosticsSetParams,
    event::Event,
    events::EventPayload,
    method::Selects,
    methods::{BufferChange, BufferClose, BufferOpen, BufferReply, DiagnosticsSet},
};
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::select;
use crate::{
    jsonrpc::framing::MESSAGE_LIMIT,
    overlay::{Delivery, Editor, Reply, diagnostics::MAX_ITEMS},
    rpc::{
        connection::{Connection, Door},
        error::Error,
        handler::{Context, Handler},
    },
    stdx::{disk, paths::AbsPath, text::ellipsis, time::now_ms},
    tool::path,
};

/// The longest message of a diagnostic that is kept, and the longest name of who says it, in characters.
const MAX_MESSAGE: usize = 2000;
const MAX_SOURCE: usize = 100;

impl Handler for BufferOpen {
    const IN_ORDER: bool = true;

    async fn handle(context: Context, params: Self::Params) -> Result<Buffer, Error> {
        let connection = &context.connection;
        if connection.door() == Door::Http {
            return Err(Error::invalid_state("an HTTP request has no connection that could hold a text")
                .hint("open a WebSocket at the same address"));
        }
        let named = named(&context, &params, &params.path).await?;
        let real = resolved(&named).await?;
        if !connection.announces(&context.daemon.overlay, Arc::new(ConnectedEditor(Arc::downgrade(connection)))) {
            return Err(Error::cancelled("the connection is closed"));
        }
        let directory = select::directory(&context, &params).await;
        let answer = Buffer { path: real.to_string(), version: params.version };
        context.daemon.overlay.open(connection.id(), &named, &real, params.version, params.text)?;
        note_recent(&context, directory, real);
        Ok(answer)
    }
}

impl Handler for BufferChange {
    const IN_ORDER: bool = true;

    async fn handle(context: Context, params: Self::Params) -> Result<Buffer, Error> {
        let real = opened(&context, &params, &params.path).await?;
        let document = context.daemon.overlay.change(context.connection.id(), &real, params.version, &params.edits)?;
        Ok(Buffer { path: real.to_string(), version: document.version })
    }
}

impl Handler for BufferClose {
    const IN_ORDER: bool = true;

    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let real = opened(&context, &params, &params.path).await?;
        Ok(context.daemon.overlay.close(context.connection.id(), &real))
    }
}

impl Handler for DiagnosticsSet {
    const IN_ORDER: bool = true;

    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let DiagnosticsSetParams { version, mut items, .. } = params.clone();
        if items.len() > MAX_ITEMS {
            return Err(Error::invalid_params(format!("`items` must have at most {MAX_ITEMS} diagnostics, not {}", items.len())));
        }
        if let Some(item) = items.iter().find(|item| item.severity.is_some_and(|severity| !(1..=4).contains(&severity))) {
            return Err(Error::invalid_params(format!("`severity` must be from 1 to 4, not {}", item.severity.unwrap_or_default())));
        }
        for item in &mut items {
            item.message = ellipsis(&item.message, MAX_MESSAGE);
            item.source = item.source.take().map(|source| ellipsis(&source, MAX_SOURCE));
            // Of other kinds nothing is shown.
            item.code = item.code.take().filter(|code| code.is_number() || code.as_str().is_some_and(|code| code.len() <= MAX_SOURCE));
        }
        let real = opened(&context, &params, &params.path).await?;
        context.daemon.overlay.set_diagnostics(context.connection.id(), &real, version, items)?;
        Ok(true)
    }
}

impl Handler for BufferReply {
    const IN_ORDER: bool = true;

    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let reply = match (params.applied, params.version) {
            (true, Some(version)) => Reply::Applied { version, saved: params.saved.unwrap_or(false) },
            (true, None) => return Err(Error::invalid_params("`version` is missing: the number of the text with the edit made")),
            (false, _) => Reply::Refused { message: params.message },
        };
        context.daemon.overlay.reply(context.connection.id(), &params.edit_id, reply)?;
        Ok(true)
    }
}

/// Puts the file in front where files are found. Nothing waits for that.
fn note_recent(context: &Context, directory: Result<AbsPath, Error>, file: AbsPath) {
    let (daemon, Ok(directory)) = (Arc::clone(&context.daemon), directory) else { return };
    let tasks = daemon.tasks.clone();
    drop(tasks.spawn("recent file", async move {
        if let Ok(instance) = daemon.projects.look(&directory).await {
            daemon.finder.recent(&instance.project.id).note(instance.worktree(), &file);
        }
    }));
}

/// The path that the client means, as it spells it.
async fn named(context: &Context, params: &impl Selects, path: &str) -> Result<AbsPath, Error> {
    if params.project_id().is_some() {
        select::instance(context, params).await?;
    }
    if path.trim().is_empty() || path.contains('\0') {
        return Err(Error::invalid_params("`path` names no file"));
    }
    match AbsPath::expand(path) {
        Some(absolute) => Ok(absolute),
        None => Ok(select::directory(context, params).await?.join(path)),
    }
}

/// The file that tools will find there.
async fn resolved(named: &AbsPath) -> Result<AbsPath, Error> {
    let from = named.clone();
    let resolve = move || {
        let real = path::resolve(&from).map_err(|error| Error::invalid_params(format!("`path`: {from} cannot be resolved: {error}")))?;
        if real.as_path().is_dir() {
            return Err(Error::invalid_params(format!("`path`: {from} is a directory")));
        }
        if real.as_path().to_str().is_none() {
            return Err(Error::invalid_params(format!("`path`: the real path of {from} is not valid Unicode")));
        }
        Ok(real)
    };
    disk::run(named, resolve).await
}

/// The file that the client has opened under this name.
async fn opened(context: &Context, params: &impl Selects, path: &str) -> Result<AbsPath, Error> {
    let named = named(context, params, path).await?;
    match context.daemon.overlay.named(context.connection.id(), &named) {
        Some(real) => Ok(real),
        None => resolved(&named).await,
    }
}

/// Shows edits to the client of a connection.
struct ConnectedEditor(Weak<Connection>);

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: EventParams<'a>,
}

/// Without a subscription: it is told to the connection.
#[derive(Serialize)]
struct EventParams<'a> {
    result: &'a Event,
}

impl Editor for ConnectedEditor {
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Delivery> {
        Box::pin(async move {
            let session_id = Some(edit.session_id.clone());
            let payload = EventPayload::BufferEdit(edit);
            let Ok(properties) = serde_json::from_str(&payload.properties()) else { return Delivery::TooLarge };
            // It has no place in the log, and so no cursor to go on from.
            let event = Event {
                cursor: 0,
                time: now_ms(),
                kind: payload.name().to_owned(),
                directory: None,
                project_id: None,
                session_id,
                properties,
            };
            let notification = Notification { jsonrpc: "2.0", method: "event", params: EventParams { result: &event } };
            match to_raw_value(&notification) {
                Ok(message) if message.get().len() <= MESSAGE_LIMIT => match self.0.upgrade() {
                    Some(connection) if connection.tell(message).await.is_ok() => Delivery::Sent,
                    _ => Delivery::Disconnected,
                },
                _ => Delivery::TooLarge,
            }
        })
    }
}

impl fmt::Debug for ConnectedEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectedEditor")
    }
}
