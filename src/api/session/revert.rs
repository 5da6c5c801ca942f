//! The handlers of `session.revert`, `session.unrevert` and `session.diff`.

use polytree_protocol::{
    methods::{SessionDiff, SessionRevert, SessionUnrevert},
    revert::FileDiff,
    session::Session,
};

use crate::{
    api::select,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

impl Handler for SessionRevert {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        let to = Some((params.message_id, params.part_id));
        Ok(context.daemon.sessions.undo(&session, to, params.preview, params.partial, &environment).await?)
    }
}

impl Handler for SessionUnrevert {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        Ok(context.daemon.sessions.undo(&session, None, params.preview, params.partial, &environment).await?)
    }
}

impl Handler for SessionDiff {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<FileDiff>, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.diff(&session, params.message_id).await?)
    }
}
