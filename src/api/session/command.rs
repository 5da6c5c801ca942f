//! The handlers of `session.command`, `session.shell`, `session.init` and `command.list`.

use polytree_protocol::{
    command::{Command, SessionCommandParams},
    message::{AssistantMessage, Message, MessageWithParts},
    methods::{CommandList, SessionCommand, SessionInit, SessionShell},
    session::{CommandInput, PartInput, SessionPromptParams},
};

use super::{last_message, submit, turn_error};
use crate::{
    agent::commands::INIT,
    api::select,
    project::directory,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::Prompt,
};

impl Handler for SessionCommand {
    async fn handle(context: Context, params: Self::Params) -> Result<MessageWithParts, Error> {
        let SessionCommandParams { session_id, command, arguments, agent, model, variant, message_id, directory, project_id } = params;
        let input = CommandInput { name: command, arguments, ..CommandInput::default() };
        let params = SessionPromptParams {
            session_id,
            parts: vec![PartInput::Command(input)],
            message_id,
            model,
            agent,
            variant,
            directory,
            project_id,
            ..SessionPromptParams::default()
        };
        let submitted = submit(&context, params).await?;
        last_message(&context, submitted).await
    }
}

impl Handler for SessionShell {
    async fn handle(context: Context, params: Self::Params) -> Result<MessageWithParts, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let environment = context.connection.environment();
        let submitted = context.daemon.sessions.shell(session, params.command, params.agent, environment).await?;
        last_message(&context, submitted).await
    }
}

impl Handler for SessionInit {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let _busy = context.daemon.sessions.enter()?;
        let session = select::session(&context, &params, &params.session_id).await?;
        let instance = context.daemon.projects.look(&directory::resolved(&session.directory).await?).await?;
        let environment = context.connection.environment();
        let command = CommandInput { name: INIT.to_owned(), ..CommandInput::default() };
        let parts = vec![PartInput::Command(command)];
        let params = SessionPromptParams { parts, model: params.model, ..SessionPromptParams::default() };
        let prompt = Prompt { params, environment, digest: String::new(), steers: false, when_idle: true };
        let submitted = context.daemon.sessions.submit(session, prompt).await?;
        let last = last_message(&context, submitted).await?;
        if let Message::Assistant(AssistantMessage { error: Some(failed), .. }) = last.info {
            return Err(turn_error("AGENTS.md was not finished", failed));
        }
        context.daemon.projects.initialized(&instance).await?;
        Ok(true)
    }
}

impl Handler for CommandList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Command>, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.workspace(&instance, &context.connection.environment()).await?.commands.list.clone())
    }
}
