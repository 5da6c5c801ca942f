//! The handler of `session.compact`.

use polytree_protocol::{
    errors::ErrorKind,
    message::{Message, MessageErrorName as Name},
    methods::SessionCompact,
};

use super::last_message;
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
        let message = format!("the conversation was not summarised: {}", failed.data.message);
        let error = match failed.name {
            Name::MessageAbortedError => Error::cancelled(message),
            Name::ProviderAuthError => Error::new(ErrorKind::Credentials, message),
            Name::MessageInterruptedError | Name::RateLimitError | Name::OverloadedError | Name::ApiError => Error::unavailable(message),
            _ => Error::invalid_state(message),
        };
        Err(match failed.data.hint {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}
