//! The handlers of `session.*`.

mod compact;
mod hunk;
mod revert;
mod usage;

use std::{collections::BTreeMap, path::Path};

use polytree_protocol::{
    id::SessionId,
    message::MessageWithParts,
    methods::{
        SessionAbort, SessionChildren, SessionCreate, SessionDelete, SessionGet, SessionList, SessionMessage, SessionMessages,
        SessionPrompt, SessionStatusGet, SessionSubmit, SessionUpdate,
    },
    session::{Session, SessionCreateParams, SessionPromptParams, SessionScope, SessionStatus, SessionSubmitParams, SessionSubmitResult},
};

use super::select;
use crate::{
    project::{Instance, directory},
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::{self, NewSession, Prompt, SessionEdit, SessionQuery, Submitted, TurnEnd},
};

/// The longest text that is searched for in conversations, in characters.
const MAX_TEXT: usize = 500;
/// The longest list of sessions.
const MAX_SESSIONS: u32 = 1000;

impl Handler for SessionCreate {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let instance = select::claimed(&context, &params).await?;
        create(&context, &instance, params).await
    }
}

async fn create(context: &Context, instance: &Instance, params: SessionCreateParams) -> Result<Session, Error> {
    let digest = select::digest(&params);
    let new = NewSession {
        id: params.id,
        project_id: instance.project.id.clone(),
        directory: instance.directory().to_string(),
        place: instance.place(),
        parent_id: params.parent_id,
        task: None,
        title: params.title,
        agent: params.agent,
        model: params.model,
        mode: params.mode,
        permission: params.permission.unwrap_or_default(),
        branch: instance.checkout.branch().await,
        hidden: params.hidden == Some(true),
        digest,
    };
    Ok(context.daemon.sessions.create(new).await?)
}

impl Handler for SessionList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Session>, Error> {
        let scope = params.scope.unwrap_or_default();
        let limit = params.limit.unwrap_or(100);
        if limit == 0 || limit > MAX_SESSIONS {
            return Err(Error::invalid_params(format!("`limit` must be from 1 to {MAX_SESSIONS}, not {limit}")));
        }
        let (project_id, directory) = match scope {
            SessionScope::All => (None, None),
            SessionScope::Directory | SessionScope::Project => match &params.project_id {
                // The project alone is enough, also when its directory is gone.
                Some(project) if params.directory.is_none() && scope == SessionScope::Project => {
                    (Some(context.daemon.projects.get(project).await?.id), None)
                }
                _ => {
                    let instance = select::instance(&context, &params).await?;
                    (Some(instance.project.id.clone()), Some(instance.directory().to_string()))
                }
            },
        };
        if let Some(text) = &params.text
            && !(2..=MAX_TEXT).contains(&text.chars().count())
        {
            return Err(Error::invalid_params(format!("`text` must have from 2 to {MAX_TEXT} characters, not {}", text.chars().count())));
        }
        let query = SessionQuery {
            project_id,
            directory,
            scope,
            search: params.search,
            roots: params.roots == Some(true),
            archived: params.archived,
            text: params.text,
            hidden: false,
            limit: limit as usize,
            before: params.before,
        };
        Ok(context.daemon.sessions.list(query).await?)
    }
}

impl Handler for SessionGet {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        select::session(&context, &params, &params.session_id).await
    }
}

impl Handler for SessionUpdate {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        select::session(&context, &params, &params.session_id).await?;
        let update = SessionEdit {
            title: params.title,
            archived: params.archived,
            agent: params.agent,
            model: params.model,
            variant: params.variant,
            mode: params.mode,
            permission: params.permission,
        };
        let environment = context.connection.environment();
        match context.daemon.sessions.update(&params.session_id, update, &environment).await {
            Ok(session) => Ok(session),
            Err(error) => {
                let session = context.daemon.sessions.get(&params.session_id).await?;
                Err(with_untrusted_agent(&context, &session.directory, error).await)
            }
        }
    }
}

impl Handler for SessionDelete {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        select::session(&context, &params, &params.session_id).await?;
        context.daemon.sessions.delete(&params.session_id).await?;
        Ok(true)
    }
}

impl Handler for SessionChildren {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Session>, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.children(&params.session_id).await?)
    }
}

impl Handler for SessionMessages {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<MessageWithParts>, Error> {
        select::session(&context, &params, &params.session_id).await?;
        if params.limit == Some(0) {
            return Err(Error::invalid_params("`limit` must be at least 1"));
        }
        Ok(context.daemon.sessions.messages(&params.session_id, params.limit, params.before).await?)
    }
}

impl Handler for SessionMessage {
    async fn handle(context: Context, params: Self::Params) -> Result<MessageWithParts, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.message(&params.session_id, &params.message_id).await?)
    }
}

impl Handler for SessionPrompt {
    async fn handle(context: Context, params: Self::Params) -> Result<MessageWithParts, Error> {
        let submitted = submit(&context, params).await?;
        last_message(&context, submitted).await
    }
}

/// The last message of a turn, once it has ended.
async fn last_message(context: &Context, submitted: Submitted) -> Result<MessageWithParts, Error> {
    match submitted.end.await {
        Ok(TurnEnd::Message(message)) => Ok(context.daemon.sessions.message(&submitted.session_id, &message).await?),
        Ok(TurnEnd::Deleted) => Err(Error::cancelled("the session was deleted while its turn ran")),
        Ok(TurnEnd::Unstored(error)) => Err(Error::unavailable(format!("the turn could not be stored: {error}"))
            .retry_after(1000)
            .hint("check the disk and the data directory")),
        // The daemon ends: the turn is marked or waits, and the client finds it after the restart.
        Err(_) => Err(Error::unavailable("the daemon is shutting down").retry_after(1000)),
    }
}

impl Handler for SessionSubmit {
    async fn handle(context: Context, params: Self::Params) -> Result<SessionSubmitResult, Error> {
        let SessionSubmitParams {
            session_id,
            parts,
            message_id,
            model,
            agent,
            system,
            tools,
            variant,
            options,
            format,
            mode,
            directory,
            project_id,
        } = params;
        let params = SessionPromptParams {
            session_id,
            parts,
            message_id,
            model,
            agent,
            system,
            tools,
            variant,
            options,
            format,
            mode,
            directory,
            project_id,
        };
        let submitted = submit(&context, params).await?;
        Ok(SessionSubmitResult { session_id: submitted.session_id, message_id: submitted.message_id, queued: submitted.queued })
    }
}

/// Stores a prompt, in a new session where none is named.
async fn submit(context: &Context, params: SessionPromptParams) -> Result<Submitted, Error> {
    let _busy = context.daemon.sessions.enter()?;
    let digest = select::digest(&params);
    let (session, is_new) = match &params.session_id {
        Some(id) => (select::session(context, &params, id).await?, false),
        None => match known(context, &params, &digest).await? {
            Some(id) => (context.daemon.sessions.get(&id).await?, false),
            None => {
                let instance = select::claimed(context, &params).await?;
                (create(context, &instance, SessionCreateParams::default()).await?, true)
            }
        },
    };
    let prompt = Prompt { params, environment: context.connection.environment(), digest, steers: false };
    let directory = session.directory.clone();
    let submitted =
        if is_new { submit_first(context, session, prompt).await } else { context.daemon.sessions.submit(session, prompt).await };
    match submitted {
        Ok(submitted) => Ok(submitted),
        Err(error) => Err(with_untrusted_agent(context, &directory, error).await),
    }
}

/// The error, with a hint where the agent is perhaps defined in a file that waits for trust.
async fn with_untrusted_agent(context: &Context, directory: &str, error: session::Error) -> Error {
    let file = match &error {
        session::Error::UnknownAgent { name, .. } => untrusted_agent(context, directory, name).await,
        _ => None,
    };
    match file {
        Some(file) => {
            Error::from(error).hint(format!("{file} waits for trust: `polytree trust --list` shows it, `polytree trust` lets it be used"))
        }
        None => error.into(),
    }
}

/// The file of the project that has no effect before it is trusted, and in which the agent may be defined.
async fn untrusted_agent(context: &Context, directory: &str, name: &str) -> Option<String> {
    let directory = directory::resolved(directory).await.ok()?;
    let instance = context.daemon.projects.look(&directory).await.ok()?;
    let pending = context.daemon.projects.describe(&instance).await.ok()?.pending;
    let stem = |file: &&String| Path::new(file).file_stem().is_some_and(|stem| stem == name || stem == "polytree");
    // A file of that name is the better guess than the settings.
    pending.iter().filter(stem).min_by_key(|file| Path::new(file).file_stem().is_some_and(|stem| stem != name)).cloned()
}

/// Stores the first prompt of a session that was made for it. Nothing is stored when it fails, so the session goes too.
async fn submit_first(context: &Context, session: Session, prompt: Prompt) -> Result<Submitted, session::Error> {
    let sessions = &context.daemon.sessions;
    let (made, again) = (session.id.clone(), prompt.params.message_id.is_some().then(|| prompt.clone()));
    let error = match sessions.submit(session, prompt).await {
        Ok(submitted) => return Ok(submitted),
        Err(error) => error,
    };
    if let Err(error) = sessions.delete(&made).await {
        tracing::warn!(%error, session = %made, "a session without a prompt could not be removed");
    }
    // The same prompt, sent at the same time, may have been faster and have made a session of its own.
    if let (session::Error::Conflict(_), Some(prompt)) = (&error, again)
        && let Some(message) = &prompt.params.message_id
        && let Some(id) = sessions.find_prompt(message, &prompt.digest).await?
    {
        return sessions.submit(sessions.get(&id).await?, prompt).await;
    }
    Err(error)
}

/// The session that the same prompt, sent before, has created.
async fn known(context: &Context, params: &SessionPromptParams, digest: &str) -> Result<Option<SessionId>, Error> {
    match &params.message_id {
        Some(message) => Ok(context.daemon.sessions.find_prompt(message, digest).await?),
        None => Ok(None),
    }
}

impl Handler for SessionAbort {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.abort(&params.session_id).await?)
    }
}

impl Handler for SessionStatusGet {
    async fn handle(context: Context, params: Self::Params) -> Result<BTreeMap<String, SessionStatus>, Error> {
        let narrowing = select::narrowing(&params).await?;
        let family = family(&context, params.session_id.as_ref()).await?;
        let mut found = BTreeMap::new();
        for (id, status) in context.daemon.sessions.statuses() {
            if family.as_ref().is_some_and(|family| !family.contains(&id)) {
                continue;
            }
            let Ok(session) = context.daemon.sessions.get(&id).await else { continue };
            if is_below(&session.directory, narrowing.as_deref())
                && params.project_id.as_ref().is_none_or(|wanted| *wanted == session.project_id)
            {
                found.insert(id.to_string(), status);
            }
        }
        Ok(found)
    }
}

/// Whether a directory is the narrowing one or below it.
pub(super) fn is_below(directory: &str, narrowing: Option<&str>) -> bool {
    narrowing.is_none_or(|above| Path::new(directory).starts_with(above))
}

/// A session and its descendants.
pub(super) async fn family(context: &Context, session: Option<&SessionId>) -> Result<Option<Vec<SessionId>>, Error> {
    let Some(session) = session else { return Ok(None) };
    context.daemon.sessions.get(session).await?;
    let mut family = vec![session.clone()];
    let mut next = 0;
    while let Some(id) = family.get(next).cloned() {
        family.extend(context.daemon.sessions.children(&id).await?.into_iter().map(|child| child.id));
        next += 1;
    }
    Ok(Some(family))
}
