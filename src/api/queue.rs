//! The handlers of `session.queue`, `session.queue.*` and `session.steer`.

use polytree_protocol::{
    methods::{SessionQueue, SessionQueueMove, SessionQueueRemove, SessionQueueReplace, SessionQueueSteer, SessionSteer},
    queue::{QueuedMessage, QueuedPrompt},
    session::SessionPromptParams,
};

use super::select;
use crate::{
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::Prompt,
};

impl Handler for SessionQueue {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<QueuedPrompt>, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.queue(&params.session_id).await?)
    }
}

impl Handler for SessionQueueRemove {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.remove_queued(&params.session_id, &params.message_id).await?)
    }
}

impl Handler for SessionQueueMove {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.move_queued(&params.session_id, &params.message_id, params.before).await?)
    }
}

impl Handler for SessionQueueReplace {
    async fn handle(context: Context, params: Self::Params) -> Result<QueuedMessage, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        context.daemon.sessions.replace_queued(&session, &params.message_id, params.parts, &environment).await?;
        Ok(QueuedMessage { message_id: params.message_id })
    }
}

impl Handler for SessionQueueSteer {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.steer_queued(&params.session_id, &params.message_id).await?)
    }
}

impl Handler for SessionSteer {
    async fn handle(context: Context, params: Self::Params) -> Result<QueuedMessage, Error> {
        let _busy = context.daemon.sessions.enter()?;
        let session = select::session(&context, &params, &params.session_id).await?;
        let digest = format!("steer:{}", select::digest(&params));
        let params = SessionPromptParams { parts: params.parts, message_id: params.message_id, ..SessionPromptParams::default() };
        let prompt = Prompt { params, environment: context.connection.environment(), digest, steers: true };
        let submitted = context.daemon.sessions.submit(session, prompt).await?;
        Ok(QueuedMessage { message_id: submitted.message_id })
    }
}
