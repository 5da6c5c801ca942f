//! `polytree sessions export` and `import`.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use polytree_protocol::{
    export::{EXPORT_FORMAT, SessionExport, SessionImportParams, SessionTodoParams},
    id::SessionId,
    message::{Message, MessageWithParts, PromptState},
    methods::{SessionGet, SessionImport, SessionMessages, SessionTodo},
    session::{SessionGetParams, SessionMessagesParams},
};

use super::created::created;
use crate::{
    cli::{
        args::{ExportFormat, SessionsExportArgs, SessionsImportArgs},
        client::{Daemon, Exit, Failure},
        render::page,
        screen::Screen,
    },
    session::without_undone,
    stdx::paths::AbsPath,
};

/// How many messages are read at once.
const PAGE: u32 = 100;

/// Writes a conversation.
///
/// # Errors
/// What the daemon answers; a file that exists or cannot be written.
pub async fn export(args: SessionsExportArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let extension = args.output.as_deref().and_then(Path::extension).and_then(|extension| extension.to_str());
    let format = args.format.unwrap_or(match extension {
        Some("md" | "markdown") => ExportFormat::Markdown,
        Some("html" | "htm") => ExportFormat::Html,
        _ => ExportFormat::Json,
    });
    let export = read(args.session, daemon).await?;
    let text = match format {
        ExportFormat::Json => serde_json::to_string_pretty(&export).map_err(Failure::Shape)? + "\n",
        ExportFormat::Markdown => page::markdown(&export),
        ExportFormat::Html => page::html(&export),
    };
    match &args.output {
        None => screen.text(&text)?,
        Some(file) => {
            write(file, &text, args.force).map_err(|error| {
                let hint = (error.kind() == std::io::ErrorKind::AlreadyExists).then(|| "--force replaces it".to_owned());
                Failure::Failed(format!("{}: {error}", file.display()), hint)
            })?;
            screen.status(&format!("wrote {}", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// The conversation page by page: it may be longer than one answer. Without the turn that runs, prompts that wait, and what is
/// undone.
async fn read(id: SessionId, daemon: &Daemon) -> Result<SessionExport, Failure> {
    let mut session = daemon.request::<SessionGet>(&SessionGetParams { session_id: id.clone(), ..SessionGetParams::default() }).await?;
    let todos = daemon.request::<SessionTodo>(&SessionTodoParams { session_id: id.clone(), ..SessionTodoParams::default() }).await?;
    let mut messages: Vec<MessageWithParts> = Vec::new();
    let mut limit = PAGE;
    loop {
        let before = messages.first().map(|message| message.info.id().clone());
        let params = SessionMessagesParams { session_id: id.clone(), limit: Some(limit), before, ..SessionMessagesParams::default() };
        let page = match daemon.request::<SessionMessages>(&params).await {
            // These messages are long.
            Err(Failure::Refused(error)) if limit > 1 && error.kind() == Some("too_large") => {
                limit /= 2;
                continue;
            }
            page => page?,
        };
        let is_last = page.len() < limit as usize;
        messages.splice(0..0, page);
        if is_last {
            break;
        }
    }
    let is_open = |state| matches!(state, PromptState::Queued | PromptState::Running);
    let open: Vec<_> = messages
        .iter()
        .filter_map(|message| if let Message::User(user) = &message.info { is_open(user.state).then(|| user.id.clone()) } else { None })
        .collect();
    messages.retain(|message| match &message.info {
        Message::User(user) => !open.contains(&user.id),
        Message::Assistant(answer) => !open.contains(&answer.parent_id),
    });
    if let Some(revert) = session.revert.take() {
        messages = without_undone(messages, &revert.message_id, revert.part_id.as_ref());
    }
    Ok(SessionExport { format: EXPORT_FORMAT, session, messages, todos })
}

/// A conversation may hold what others must not read.
fn write(file: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(replace).create_new(!replace).truncate(replace);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

/// Creates a session from a file.
///
/// # Errors
/// What the daemon answers; a file that cannot be read or is no export.
pub async fn import(args: SessionsImportArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let mut text = String::new();
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::File::open(directory.join(&args.file)).and_then(|mut file| file.read_to_string(&mut text)).map(drop)
    };
    let shown = args.file.display();
    read.map_err(|error| Failure::Failed(format!("{shown}: {error}"), None))?;
    let session: SessionExport = serde_json::from_str(&text).map_err(|error| {
        Failure::Failed(format!("{shown}: {error}"), Some("expected a file that `polytree sessions export` wrote as JSON".to_owned()))
    })?;
    let params = SessionImportParams { session, directory: Some(directory.to_string()), ..SessionImportParams::default() };
    created(&daemon.request::<SessionImport>(&params).await?, screen)
}
