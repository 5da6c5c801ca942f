//! The handler of `session.compact`.

use polytree_protocol::{message::Message, methods::SessionCompact};

use super::{last_message, turn_error};
use crate::{
    api::select,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

impl Handler for SessionCompact {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        let submitted = context.daemon.sessions.compact(session, params.model, environment).await?;
        let summary = last_message(&context, submitted).await?;
        let error = if let Message::Assistant(answer) = summary.info { answer.error } else { None };
        let Some(failed) = error else { return Ok(true) };
        Err(turn_error("the conversation was not summarised", failed))
    }
}
