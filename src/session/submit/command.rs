//! Commands as prompts, and the user's own shell lines.

use polytree_protocol::{
    command::Command as Definition,
    id::SessionId,
    message::{PromptState, UserMessage},
    part::{Created, Part, TextPart},
    provider::ModelRef,
    session::{CommandInput, PartInput, Session},
};

use super::Submitted;
use crate::{
    session::{Error, Sessions, Workspace, ids, prompt::called::shell_metadata},
    stdx::time::now_ms,
    tool::context::Environment,
};

/// The longest shell line of the user.
const MAX_SHELL_BYTES: usize = 100 * 1024;

impl Workspace {
    /// The command of that name.
    pub(in crate::session) fn command(&self, name: &str) -> Result<&Definition, Error> {
        let found = self.commands.list.iter().find(|command| command.name == name);
        found.ok_or_else(|| match self.commands.broken.iter().find(|broken| broken.names.iter().any(|broken| broken == name)) {
            Some(broken) => Error::BrokenCommand { name: name.to_owned(), error: broken.error.clone() },
            None => Error::UnknownCommand {
                name: name.to_owned(),
                known: self.commands.list.iter().map(|command| command.name.clone()).collect(),
            },
        })
    }
}

/// The command among the parts of a prompt: what it says of agent and model counts before what the prompt says.
pub(super) fn among<'a>(workspace: &'a Workspace, parts: &[PartInput]) -> Result<Option<&'a Definition>, Error> {
    let mut commands = parts.iter().filter_map(|part| if let PartInput::Command(input) = part { Some(input) } else { None });
    let Some(CommandInput { name, .. }) = commands.next() else { return Ok(None) };
    if commands.next().is_some() {
        return Err(Error::Input("a prompt can call one command; send the others as prompts of their own".to_owned()));
    }
    workspace.command(name).map(Some)
}

impl Sessions {
    /// Runs a shell line of the user in a turn of its own, without asking; the model reads it with the next prompt.
    ///
    /// # Errors
    /// [`Error::Busy`], and if the line is empty or too long.
    pub async fn shell(&self, session: Session, line: String, agent: Option<String>, environment: Environment) -> Result<Submitted, Error> {
        let _busy = self.enter()?;
        let wrong = |message: &str| Error::Params { field: "command", message: message.to_owned() };
        if line.trim().is_empty() {
            return Err(wrong("is empty"));
        }
        if line.len() > MAX_SHELL_BYTES || line.contains('\0') {
            return Err(wrong("is longer than 100 KiB, or holds a zero byte"));
        }
        let workspace = self.workspace(&session, &environment).await?;
        let agent = workspace.agent(agent.as_deref().or(session.agent.as_deref()))?;
        let model = workspace.models.choose(None, agent.model.as_ref(), session.model.as_ref())?;
        let message = plain_prompt(&session.id, agent.name.clone(), model);
        let text = TextPart {
            id: ids::part_id(),
            session_id: session.id.clone(),
            message_id: message.id.clone(),
            text: "The user ran this command:".to_owned(),
            synthetic: true,
            time: None,
            metadata: Some(shell_metadata(&line)),
        };
        self.begin_when_idle(message, vec![Part::Text(text)], environment, workspace).await
    }
}

/// A prompt without wishes of its own.
pub(super) fn plain_prompt(session: &SessionId, agent: String, model: ModelRef) -> UserMessage {
    UserMessage {
        id: ids::message_id(),
        session_id: session.clone(),
        time: Created { created: now_ms() },
        state: PromptState::Queued,
        answered_with: None,
        agent,
        model,
        system: None,
        tools: None,
        variant: None,
        options: None,
        format: None,
        mode: None,
    }
}
