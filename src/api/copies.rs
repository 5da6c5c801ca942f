//! The handlers of `session.fork`, `session.export`, `session.import` and `session.todo`.

use polytree_protocol::{
    export::SessionExport,
    methods::{SessionExportGet, SessionFork, SessionImport, SessionTodo},
    session::Session,
    todo::Todo,
};

use super::select;
use crate::{
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::NewCopy,
};

impl Handler for SessionFork {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        select::session(&context, &params, &params.session_id).await?;
        // The same id for a fork of another session is another call.
        let digest = format!("{}:{}", params.session_id, select::digest(&params));
        let new = NewCopy { id: params.id, digest };
        Ok(context.daemon.sessions.fork(&params.session_id, params.message_id, new).await?)
    }
}

impl Handler for SessionExportGet {
    async fn handle(context: Context, params: Self::Params) -> Result<SessionExport, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.export(&params.session_id).await?)
    }
}

impl Handler for SessionImport {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let instance = select::claimed(&context, &params).await?;
        let new = NewCopy { digest: select::digest(&params), id: params.id };
        let (project, directory) = (instance.project.id.clone(), instance.directory().to_string());
        Ok(context.daemon.sessions.import(params.session, project, directory, instance.place(), new).await?)
    }
}

impl Handler for SessionTodo {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Todo>, Error> {
        select::session(&context, &params, &params.session_id).await?;
        Ok(context.daemon.sessions.todos(&params.session_id).await?)
    }
}
