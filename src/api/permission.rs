//! The handlers of `permission.*`.

use polytree_protocol::{
    methods::{PermissionGrants, PermissionList, PermissionReply, PermissionRevoke},
    permission::{Grant, Permission},
    session::Session,
};

use super::{
    select,
    session::{family, is_below},
};
use crate::rpc::{
    error::Error,
    handler::{Context, Handler},
};

impl Handler for PermissionList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Permission>, Error> {
        let narrowing = select::narrowing(&params).await?;
        let family = family(&context, params.session_id.as_ref()).await?;
        let open = context.daemon.broker.open().await?;
        Ok(open
            .into_iter()
            .filter(|question| family.as_ref().is_none_or(|family| family.contains(&question.permission.session_id)))
            .filter(|question| params.project_id.as_ref().is_none_or(|wanted| *wanted == question.project_id))
            .filter(|question| is_below(&question.directory, narrowing.as_deref()))
            .map(|question| question.permission)
            .collect())
    }
}

impl Handler for PermissionReply {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let _busy = context.daemon.sessions.enter_answer(&session.id)?;
        let settled = context.daemon.broker.reply(session.id.clone(), params.permission_id, params.response, params.message).await?;
        for settled in settled.into_iter().filter(|settled| settled.orphaned) {
            context.daemon.sessions.resume(&settled.session_id, context.connection.environment());
        }
        Ok(context.daemon.sessions.get(&session.id).await?)
    }
}

impl Handler for PermissionGrants {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Grant>, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.broker.grants(instance.project.id.clone()).await?)
    }
}

impl Handler for PermissionRevoke {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let instance = select::instance(&context, &params).await?;
        match context.daemon.broker.revoke(instance.project.id.clone(), params.id.clone()).await? {
            true => Ok(true),
            false => Err(Error::not_found("grant in this project", params.id)),
        }
    }
}
