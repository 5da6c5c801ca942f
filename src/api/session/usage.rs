//! The handlers of `session.defaults`, `session.context` and `usage.list`.

use polytree_protocol::{
    methods::{SessionContextGet, SessionDefaultsGet, UsageList},
    usage::{SessionContext, SessionDefaults, UsageTotal},
};

use crate::{
    api::select,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::UsageQuery,
};

/// The most totals of one answer.
const MAX_TOTALS: u32 = 1000;

impl Handler for SessionDefaultsGet {
    async fn handle(context: Context, params: Self::Params) -> Result<SessionDefaults, Error> {
        let session = match &params.session_id {
            Some(id) => Some(select::session(&context, &params, id).await?),
            None => None,
        };
        let directory = select::place(&context, &params, params.session_id.as_ref()).await?;
        Ok(context.daemon.sessions.defaults(session.as_ref(), &directory, &context.connection.environment()).await?)
    }
}

impl Handler for SessionContextGet {
    async fn handle(context: Context, params: Self::Params) -> Result<SessionContext, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.context(&session, &context.connection.environment()).await?)
    }
}

impl Handler for UsageList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<UsageTotal>, Error> {
        let project = match (&params.directory, &params.project_id) {
            (Some(_), _) => Some(select::instance(&context, &params).await?.project.id.clone()),
            (None, project) => project.clone(),
        };
        let query = UsageQuery { by: params.by, since: params.since, project, limit: MAX_TOTALS };
        Ok(context.daemon.sessions.usage(query).await?)
    }
}
