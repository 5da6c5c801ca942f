//! `polytree sessions revert` and `unrevert`.

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::Message,
    methods::{SessionGet, SessionMessages, SessionRevert, SessionUnrevert},
    revert::{RevertAction, RevertedFile, SessionRevertParams, SessionUnrevertParams},
    session::{Session, SessionGetParams, SessionMessagesParams},
};

use crate::{
    cli::{
        args::{SessionsRevertArgs, SessionsUnrevertArgs},
        client::{Daemon, Exit, Failure},
        render::{
            sanitize,
            style::{FAINT, paint},
        },
        screen::Screen,
    },
    session::in_order,
};

/// Undoes a session from a message on.
///
/// # Errors
/// What the daemon answers.
pub async fn revert(args: SessionsRevertArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let SessionsRevertArgs { session, to, preview, partial } = args;
    let message_id = match to {
        Some(message) => message,
        None => last_prompt(daemon, &session).await?,
    };
    let params = SessionRevertParams { session_id: session, message_id, preview, partial, ..SessionRevertParams::default() };
    let session = daemon.request::<SessionRevert>(&params).await.inspect_err(|failure| show_conflicts(failure, screen))?;
    show(&session, screen)?;
    if !preview {
        screen.status(&paint(FAINT, &format!("take it back: polytree sessions unrevert {}", session.id)));
    }
    Ok(Exit::Done)
}

/// Takes back an undo.
///
/// # Errors
/// What the daemon answers.
pub async fn unrevert(args: SessionsUnrevertArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let SessionsUnrevertArgs { session, preview, partial } = args;
    let params = SessionUnrevertParams { session_id: session, preview, partial, ..SessionUnrevertParams::default() };
    let session = daemon.request::<SessionUnrevert>(&params).await.inspect_err(|failure| show_conflicts(failure, screen))?;
    show(&session, screen)?;
    if !preview {
        screen.status(&paint(FAINT, "the undo was taken back"));
    }
    Ok(Exit::Done)
}

/// The last prompt that is not undone.
async fn last_prompt(daemon: &Daemon, session: &SessionId) -> Result<MessageId, Failure> {
    let params = SessionGetParams { session_id: session.clone(), ..SessionGetParams::default() };
    let undone = daemon.request::<SessionGet>(&params).await?.revert;
    let params = SessionMessagesParams { session_id: session.clone(), ..SessionMessagesParams::default() };
    let messages = in_order(daemon.request::<SessionMessages>(&params).await?);
    let before = messages.iter().take_while(|message| undone.as_ref().is_none_or(|undone| *message.info.id() != undone.message_id));
    let prompts = before.filter(|message| matches!(message.info, Message::User(_)));
    let last = prompts.last().map(|message| message.info.id().clone());
    last.ok_or_else(|| Failure::Failed("the session has no prompt to undo".to_owned(), None))
}

fn show(session: &Session, screen: &mut Screen) -> Result<(), Failure> {
    let Some(revert) = &session.revert else { return Ok(()) };
    for file in &revert.files {
        screen.styled(&(line(file) + "\n"))?;
    }
    for path in &revert.uncovered {
        let reason = revert.reasons.get(path).map(|reason| paint(FAINT, &format!("  {}", sanitize::line(reason)))).unwrap_or_default();
        screen.styled(&format!("not covered  {}{reason}\n", sanitize::line(path)))?;
    }
    if revert.files.is_empty() && revert.uncovered.is_empty() {
        screen.status("no file is affected");
    }
    Ok(())
}

/// Names the files because of which nothing was changed.
fn show_conflicts(failure: &Failure, screen: &mut Screen) {
    let Failure::Refused(error) = failure else { return };
    let files = error.data.as_ref().and_then(|data| data.get("files")).cloned().unwrap_or_default();
    for file in serde_json::from_value::<Vec<RevertedFile>>(files).unwrap_or_default() {
        screen.status(&line(&file));
    }
}

fn line(file: &RevertedFile) -> String {
    let action = match file.action {
        RevertAction::Restore => "restore",
        RevertAction::Create => "create",
        RevertAction::Delete => "delete",
        RevertAction::Merge => "merge",
        RevertAction::Skip => "skip",
        RevertAction::Conflict => "conflict",
    };
    let reason = file.reason.as_deref().map(|reason| paint(FAINT, &format!("  {}", sanitize::line(reason)))).unwrap_or_default();
    format!("{action:11}  {}{reason}", sanitize::line(&file.path))
}
