//! Child sessions as turns start them.

use polytree_protocol::{
    id::{MessageId, SessionId},
    session::{PartInput, SessionPromptParams, TextInput},
};
use tokio::sync::oneshot;

use super::Prompt;
use crate::session::{Error, Sessions, mailbox::TurnEnd, shared::ChildPrompt};

impl Sessions {
    /// Prompts a child session. Returns the prompt, and where the end of its turn arrives.
    pub(in crate::session) async fn prompt_child(
        &self,
        child: &SessionId,
        prompt: ChildPrompt,
    ) -> Result<(MessageId, oneshot::Receiver<TurnEnd>), Error> {
        let ChildPrompt { text, agent, model, variant, mode, environment } = prompt;
        let params = SessionPromptParams {
            session_id: Some(child.clone()),
            parts: vec![PartInput::Text(TextInput { text, ..TextInput::default() })],
            agent: Some(agent),
            model,
            variant,
            mode,
            ..SessionPromptParams::default()
        };
        let prompt = Prompt { params, environment, digest: String::new(), steers: false };
        let submitted = self.submit(self.get(child).await?, prompt).await?;
        Ok((submitted.message_id, submitted.end))
    }
}
