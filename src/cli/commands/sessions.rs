//! `polytree sessions`: list, show, fork, compact, delete; queue, revert, export and import are next door.

use polytree_protocol::{
    export::SessionForkParams,
    methods::{SessionCompact, SessionDelete, SessionFork, SessionGet, SessionList, SessionMessages},
    session::{
        Session, SessionCompactParams, SessionDeleteParams, SessionGetParams, SessionListParams, SessionMessagesParams, SessionScope,
    },
};

use super::{created::created, export, queue, revert};
use crate::{
    cli::{
        args::{SessionsCommand, SessionsCompactArgs, SessionsDeleteArgs, SessionsForkArgs, SessionsListArgs, SessionsShowArgs},
        client::{Daemon, Exit, Failure},
        input::Input,
        render::{
            sanitize,
            style::{FAINT, STRONG, WARNING, paint},
            table, transcript,
        },
        screen::Screen,
    },
    session::in_order,
    stdx::{paths::AbsPath, text::ellipsis, time::now_ms},
};

/// Runs the command.
///
/// # Errors
/// Errors of the daemon, and questions without a terminal.
pub async fn run(
    command: SessionsCommand,
    daemon: &Daemon,
    screen: &mut Screen,
    input: &mut Input,
    directory: &AbsPath,
) -> Result<Exit, Failure> {
    match command {
        SessionsCommand::List(args) => list(args, daemon, screen, directory).await,
        SessionsCommand::Show(args) => show(args, daemon, screen).await,
        SessionsCommand::Fork(args) => fork(args, daemon, screen).await,
        SessionsCommand::Compact(args) => compact(args, daemon, screen).await,
        SessionsCommand::Revert(args) => revert::revert(args, daemon, screen).await,
        SessionsCommand::Unrevert(args) => revert::unrevert(args, daemon, screen).await,
        SessionsCommand::Queue(args) => queue::queue(args, daemon, screen).await,
        SessionsCommand::Steer(args) => queue::steer(args, daemon, screen).await,
        SessionsCommand::Todo(args) => queue::todo(args, daemon, screen).await,
        SessionsCommand::Export(args) => export::export(args, daemon, screen).await,
        SessionsCommand::Import(args) => export::import(args, daemon, screen, directory).await,
        SessionsCommand::Delete(args) => delete(args, daemon, screen, input).await,
    }
}

async fn list(args: SessionsListArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let params = SessionListParams {
        scope: Some(if args.all { SessionScope::All } else { SessionScope::Project }),
        search: args.search,
        limit: Some(args.limit),
        directory: Some(directory.to_string()),
        ..SessionListParams::default()
    };
    let sessions = daemon.request::<SessionList>(&params).await?;
    if args.json {
        for session in &sessions {
            screen.text(&(serde_json::to_string(session).map_err(Failure::Shape)? + "\n"))?;
        }
        return Ok(Exit::Done);
    }
    if sessions.is_empty() {
        let place = if args.all { "no sessions" } else { "no sessions in this project (--all lists those of all projects)" };
        screen.status(&paint(FAINT, place));
        return Ok(Exit::Done);
    }
    let now = now_ms();
    // Directories are shown only if there are several.
    let with_place = args.all || sessions.iter().any(|session| session.directory != directory.to_string());
    let rows: Vec<Vec<String>> = sessions.iter().map(|session| row(session, with_place, now)).collect();
    screen.styled(&table::render(&rows))?;
    if sessions.len() == args.limit as usize {
        screen.status(&paint(FAINT, &format!("the {} last used; --limit shows more", args.limit)));
    }
    Ok(Exit::Done)
}

fn row(session: &Session, with_place: bool, now: i64) -> Vec<String> {
    let mut title = ellipsis(&sanitize::line(&session.title), 60);
    if session.parent_id.is_some() {
        title.push_str(&paint(FAINT, " (of a subagent)"));
    }
    if session.time.archived.is_some() {
        title.push_str(&paint(FAINT, " (archived)"));
    }
    let mut row = vec![session.id.to_string(), paint(FAINT, &table::ago(session.time.updated, now)), title];
    if with_place {
        let gone = if session.missing { " (gone)" } else { "" };
        row.push(paint(FAINT, &format!("{}{gone}", sanitize::line(&session.directory))));
    }
    row
}

async fn show(args: SessionsShowArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let session =
        daemon.request::<SessionGet>(&SessionGetParams { session_id: args.session.clone(), ..SessionGetParams::default() }).await?;
    let messages =
        daemon.request::<SessionMessages>(&SessionMessagesParams { session_id: args.session, ..SessionMessagesParams::default() }).await?;
    if args.json {
        screen.text(&(serde_json::to_string(&session).map_err(Failure::Shape)? + "\n"))?;
        for message in &messages {
            screen.text(&(serde_json::to_string(message).map_err(Failure::Shape)? + "\n"))?;
        }
        return Ok(Exit::Done);
    }
    screen.styled(&transcript::heading(&session, now_ms(), screen.width))?;
    let styled = screen.out.colour;
    for message in &in_order(messages) {
        screen.styled(&transcript::message(message, styled, screen.width))?;
    }
    Ok(Exit::Done)
}

async fn fork(args: SessionsForkArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let params = SessionForkParams { session_id: args.session, message_id: args.before, ..SessionForkParams::default() };
    created(&daemon.request::<SessionFork>(&params).await?, screen)
}

async fn compact(args: SessionsCompactArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let params = SessionCompactParams { session_id: args.session, model: args.model, ..SessionCompactParams::default() };
    daemon.request::<SessionCompact>(&params).await?;
    let show = format!("the conversation was summarised; read it: polytree sessions show {}", params.session_id);
    screen.status(&paint(FAINT, &show));
    Ok(Exit::Done)
}

async fn delete(args: SessionsDeleteArgs, daemon: &Daemon, screen: &mut Screen, input: &mut Input) -> Result<Exit, Failure> {
    let mut sessions = Vec::new();
    // All are checked before the first one is deleted.
    for id in args.sessions {
        if sessions.iter().any(|known: &Session| known.id == id) {
            continue;
        }
        sessions.push(daemon.request::<SessionGet>(&SessionGetParams { session_id: id, ..SessionGetParams::default() }).await?);
    }
    if !args.yes {
        let Some(typed) = input.typed.as_mut().filter(|_| screen.can_ask()) else {
            return Err(Failure::Usage("there is no terminal to ask at: --yes deletes without asking".to_owned()));
        };
        for session in &sessions {
            screen.status(&format!("  {}  {}", session.id, sanitize::line(&session.title)));
        }
        let what = if sessions.len() == 1 { "this session".to_owned() } else { format!("these {} sessions", sessions.len()) };
        screen.status_piece(&format!(
            "{} Delete {what} for good, with children and messages? [y/{}] ",
            paint(WARNING.bold(), "?"),
            paint(STRONG, "N")
        ));
        let answer = typed.line().await;
        screen.line_was_typed();
        if !answer.is_some_and(|answer| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")) {
            screen.status("nothing was deleted");
            return Ok(Exit::Interrupted);
        }
    }
    let mut failed = None;
    for session in &sessions {
        match daemon
            .request::<SessionDelete>(&SessionDeleteParams { session_id: session.id.clone(), ..SessionDeleteParams::default() })
            .await
        {
            Ok(_) => screen.styled(&format!("deleted {}  {}\n", session.id, sanitize::line(&session.title)))?,
            // A child is deleted with its parent.
            Err(Failure::Refused(error)) if error.kind() == Some("not_found") => {}
            Err(failure) => {
                screen.status(&failure.shown());
                failed.get_or_insert(failure.exit());
            }
        }
    }
    Ok(failed.unwrap_or(Exit::Done))
}
