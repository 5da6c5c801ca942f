//! The handlers of `hunk.*`.

use polytree_protocol::{
    hunk::{Hunk, HunkState},
    methods::{HunkKeep, HunkList, HunkUndo},
};

use crate::{
    api::select,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

impl Handler for HunkList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Hunk>, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.hunks(&session, params.path.as_deref()).await?)
    }
}

impl Handler for HunkKeep {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Hunk>, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        let sessions = &context.daemon.sessions;
        Ok(sessions.decide(&session, HunkState::Kept, params.hunk_id, params.path, false, &environment).await?)
    }
}

impl Handler for HunkUndo {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Hunk>, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        let sessions = &context.daemon.sessions;
        Ok(sessions.decide(&session, HunkState::Undone, params.hunk_id, params.path, params.partial, &environment).await?)
    }
}
