//! The handlers of `permission.*`.

pub mod question;

use polytree_protocol::{
    id::SessionId,
    methods::{PermissionGrants, PermissionList, PermissionReply, PermissionRevoke},
    permission::{Grant, Permission, PermissionReplyParams, PermissionResponse},
    session::Session,
};

use super::{
    select,
    session::{family, is_below},
};
use crate::{
    permission::Reply,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

/// The most patterns of an `always`, and the longest of them.
const MAX_PATTERNS: usize = 1000;
const MAX_PATTERN_BYTES: usize = 64 * 1024;

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
        let reply = reply(session.id.clone(), params)?;
        let settled = context.daemon.broker.reply(reply).await?;
        for settled in settled.into_iter().filter(|settled| settled.orphaned) {
            context.daemon.sessions.resume(&settled.session_id, context.connection.environment());
        }
        Ok(context.daemon.sessions.get(&session.id).await?)
    }
}

fn reply(session: SessionId, params: PermissionReplyParams) -> Result<Reply, Error> {
    let PermissionReplyParams { permission_id: id, response, message, scope, always, .. } = params;
    if response != PermissionResponse::Always
        && let Some(field) = scope.map(|_| "scope").or(always.as_ref().map(|_| "always"))
    {
        return Err(Error::invalid_params(format!("`{field}` belongs to the response `always`")));
    }
    if let Some(patterns) = &always {
        if patterns.is_empty() {
            return Err(Error::invalid_params("`always` must name at least one pattern").hint("to allow it this one time answer `once`"));
        }
        if patterns.len() > MAX_PATTERNS {
            return Err(Error::invalid_params(format!("`always` must have at most {MAX_PATTERNS} patterns, not {}", patterns.len())));
        }
        if let Some(long) = patterns.iter().find(|pattern| pattern.len() > MAX_PATTERN_BYTES) {
            return Err(Error::invalid_params(format!("a pattern of `always` has {} bytes; the limit is {MAX_PATTERN_BYTES}", long.len())));
        }
    }
    Ok(Reply { session, id, response, message, scope: scope.unwrap_or_default(), always })
}

impl Handler for PermissionGrants {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Grant>, Error> {
        if let Some(id) = &params.session_id {
            let session = select::session(&context, &params, id).await?;
            return Ok(context.daemon.broker.grants_in(session.project_id, session.id).await?);
        }
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
