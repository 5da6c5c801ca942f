//! `polytree sessions queue`, `steer` and `todo`.

use polytree_protocol::{
    export::SessionTodoParams,
    methods::{SessionQueue, SessionQueueMove, SessionQueueRemove, SessionQueueReplace, SessionQueueSteer, SessionSteer, SessionTodo},
    part::Part,
    queue::{
        QueuedPrompt, SessionQueueMoveParams, SessionQueueParams, SessionQueueRemoveParams, SessionQueueReplaceParams,
        SessionQueueSteerParams, SessionSteerParams,
    },
    session::{PartInput, TextInput},
};

use crate::{
    cli::{
        args::{SessionsQueueArgs, SessionsSteerArgs, SessionsTodoArgs},
        client::{Daemon, Exit, Failure},
        render::{
            sanitize,
            style::{FAINT, GOOD, paint},
            table,
        },
        screen::Screen,
    },
    stdx::text::ellipsis,
};

/// Changes the queue if asked to, then lists it.
///
/// # Errors
/// What the daemon answers; a prompt that does not wait.
pub async fn queue(args: SessionsQueueArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let SessionsQueueArgs { session: session_id, remove, moved, before, steer, replace, text, json } = args;
    let waits = match (&remove, &moved, replace, &steer) {
        (Some(message_id), ..) => {
            let (session_id, message_id) = (session_id.clone(), message_id.clone());
            daemon.request::<SessionQueueRemove>(&SessionQueueRemoveParams { session_id, message_id, ..Default::default() }).await?
        }
        (_, Some(message_id), ..) => {
            let (session_id, message_id) = (session_id.clone(), message_id.clone());
            daemon.request::<SessionQueueMove>(&SessionQueueMoveParams { session_id, message_id, before, ..Default::default() }).await?
        }
        (.., Some(message_id)) => {
            let (session_id, message_id) = (session_id.clone(), message_id.clone());
            daemon.request::<SessionQueueSteer>(&SessionQueueSteerParams { session_id, message_id, ..Default::default() }).await?
        }
        (.., Some(message_id), None) => {
            let (session_id, parts) = (session_id.clone(), vec![words(&text)]);
            daemon
                .request::<SessionQueueReplace>(&SessionQueueReplaceParams { session_id, message_id, parts, ..Default::default() })
                .await?;
            true
        }
        (None, None, None, None) => true,
    };
    if !waits {
        return Err(Failure::Failed(
            "this prompt does not wait".to_owned(),
            Some("`polytree sessions queue ID` lists those that do".to_owned()),
        ));
    }
    let queue = daemon.request::<SessionQueue>(&SessionQueueParams { session_id, ..Default::default() }).await?;
    if json {
        for prompt in &queue {
            screen.text(&(serde_json::to_string(prompt).map_err(Failure::Shape)? + "\n"))?;
        }
    } else if queue.is_empty() {
        screen.status(&paint(FAINT, "no prompts wait"));
    } else {
        let rows: Vec<Vec<String>> = queue.iter().map(row).collect();
        screen.styled(&table::render(&rows))?;
    }
    Ok(Exit::Done)
}

fn words(text: &[String]) -> PartInput {
    PartInput::Text(TextInput { text: text.join(" "), ..TextInput::default() })
}

/// Parts that the daemon has added are not shown.
fn row(prompt: &QueuedPrompt) -> Vec<String> {
    let text = prompt.parts.iter().filter_map(|part| match part {
        Part::Text(part) if !part.synthetic => Some(part.text.as_str()),
        Part::File(file) => Some(file.filename.as_deref().unwrap_or("a file")),
        _ => None,
    });
    let text = ellipsis(&sanitize::line(&text.collect::<Vec<_>>().join(" ")), 80);
    vec![prompt.message_id.to_string(), text, if prompt.steers { "enters the running turn" } else { "" }.to_owned()]
}

/// Tells the running turn something.
///
/// # Errors
/// What the daemon answers.
pub async fn steer(args: SessionsSteerArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let params = SessionSteerParams { session_id: args.session, parts: vec![words(&args.text)], ..Default::default() };
    let told = daemon.request::<SessionSteer>(&params).await?;
    screen.styled(&format!("{}\n", told.message_id))?;
    Ok(Exit::Done)
}

/// Shows the task list.
///
/// # Errors
/// What the daemon answers.
pub async fn todo(args: SessionsTodoArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let todos = daemon.request::<SessionTodo>(&SessionTodoParams { session_id: args.session, ..Default::default() }).await?;
    if todos.is_empty() && !args.json {
        screen.status(&paint(FAINT, "the session has no task list"));
    }
    for todo in &todos {
        if args.json {
            screen.text(&(serde_json::to_string(todo).map_err(Failure::Shape)? + "\n"))?;
            continue;
        }
        let text = sanitize::line(&todo.content);
        let line = match todo.status.as_str() {
            "completed" => format!("{} {text}", paint(GOOD, "[x]")),
            "in_progress" => format!("[-] {text}"),
            "cancelled" => paint(FAINT, &format!("[~] {text}")),
            _ => format!("[ ] {text}"),
        };
        screen.styled(&(line + "\n"))?;
    }
    Ok(Exit::Done)
}
