//! The handlers of `process.*`.

use std::sync::Arc;

use polytree_protocol::{
    id::ProcessId,
    methods::{ProcessEnd, ProcessList, ProcessRead},
    process::{ProcessInfo, ProcessOutput},
};

use super::{family, is_below};
use crate::{
    api::select,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    tool::background::Background,
};

/// The most bytes of an answer.
const MAX_READ: usize = 1024 * 1024;

impl Handler for ProcessList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<ProcessInfo>, Error> {
        let narrowing = select::narrowing(&params).await?;
        let family = family(&context, params.session_id.as_ref()).await?;
        let all = context.daemon.processes.list().into_iter();
        Ok(all
            .filter(|(_, scope)| params.project_id.as_ref().is_none_or(|wanted| Some(wanted) == scope.project_id.as_ref()))
            .filter(|(_, scope)| is_below(scope.directory.as_deref().unwrap_or_default(), narrowing.as_deref()))
            .map(|(process, _)| process.info())
            .filter(|info| family.as_ref().is_none_or(|family| family.contains(&info.session_id)))
            .collect())
    }
}

impl Handler for ProcessRead {
    async fn handle(context: Context, params: Self::Params) -> Result<ProcessOutput, Error> {
        let limit = params.limit.map_or(MAX_READ, |limit| usize::try_from(limit).unwrap_or(MAX_READ).min(MAX_READ));
        let piece = find(&context, &params.id)?.read(Some(params.offset.unwrap_or_default()), limit);
        Ok(ProcessOutput { text: piece.text, offset: piece.offset, next: piece.next })
    }
}

impl Handler for ProcessEnd {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let process = find(&context, &params.id)?;
        let was_running = process.is_running();
        process.ending.cancel();
        process.ended().await;
        Ok(was_running)
    }
}

fn find(context: &Context, id: &ProcessId) -> Result<Arc<Background>, Error> {
    context.daemon.processes.get(id).ok_or_else(|| Error::not_found("background command", id))
}
