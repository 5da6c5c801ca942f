//! A name for the session, by the small model beside its first turn.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use polytree_protocol::{
    message::{Message, MessageWithParts, Tokens},
    part::Part,
};
use serde_json::Map;

use super::state::Turn;
use crate::{
    provider::definition::{Delta, ModelMessage, ModelRequest, UserContent},
    session::{ResolvedModel, title},
    store::{SessionChange, usage},
};

const PROMPT: &str = "You name conversations. Answer with nothing but a title for the conversation that begins with the user's message: at most 50 characters, one line, in the language of the message, no quotes, no full stop. Say what the user wants, never answer or refuse it.";

/// How long an otherwise idle daemon delays its shutdown for a title.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
const TITLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks for a title beside the first turn, which does not wait for it. On failure the default title stays.
pub(super) fn start(turn: &Arc<Turn>, history: &[MessageWithParts]) {
    if turn.session.parent_id.is_some() || !turn.session.title.starts_with(title::SESSION) {
        return;
    }
    let prompts: Vec<&MessageWithParts> = history.iter().filter(|message| matches!(message.info, Message::User(_))).collect();
    let [first] = prompts[..] else { return };
    let text: Vec<&str> = first
        .parts
        .iter()
        .filter_map(|part| if let Part::Text(part) = part { (!part.synthetic).then_some(part.text.as_str()) } else { None })
        .collect();
    let text = text.join("\n");
    if text.trim().is_empty() {
        return;
    }
    let small = turn.workspace.models.small(&turn.model.reference);
    let model = turn.workspace.models.resolve(&small).unwrap_or_else(|_| turn.model.clone());
    // A child of the daemon and not of the turn: aborting the turn does not stop it.
    let tasks = turn.shared.tasks.child();
    let turn = Arc::clone(turn);
    let busy = turn.shared.activity.begin();
    drop(tasks.clone().spawn("title", async move {
        let mut busy = Some(busy);
        let cache_key = turn.session.id.to_string();
        let asked = tokio::time::timeout(TITLE_TIMEOUT, ask(&model, &cache_key, text));
        tokio::pin!(asked);
        loop {
            tokio::select! {
                () = tasks.token().cancelled() => return,
                title = &mut asked => {
                    if let Ok((title, tokens)) = title {
                        store(&turn, title, &model, tokens).await;
                    }
                    return;
                }
                () = tokio::time::sleep(SHUTDOWN_GRACE), if busy.is_some() => busy = None,
            }
        }
    }));
}

/// A title, if the model gave one, and the tokens used.
async fn ask(model: &ResolvedModel, cache_key: &str, text: String) -> (Option<String>, Tokens) {
    let request = ModelRequest {
        model: model.reference.clone(),
        info: model.info.clone(),
        system: vec![PROMPT.to_owned()],
        messages: vec![ModelMessage::User(vec![UserContent::Text(crate::stdx::text::prefix(&text, 8000).to_owned())])],
        tools: Vec::new(),
        temperature: None,
        top_p: None,
        max_output_tokens: if model.info.reasoning { 1500 } else { 60 },
        options: Map::new(),
        cache_key: cache_key.to_owned(),
    };
    let mut deltas = model.provider.stream(request);
    let (mut title, mut used) = (String::new(), Tokens::default());
    while let Some(delta) = deltas.next().await {
        match delta {
            Ok(Delta::Text(text)) if title.len() < 4000 => title.push_str(&text),
            Ok(Delta::Finish { tokens, .. }) => used = tokens,
            Ok(_) => {}
            Err(error) => {
                tracing::info!(%error, "no title");
                return (None, used);
            }
        }
    }
    (title::clean(&title), used)
}

async fn store(turn: &Turn, title: Option<String>, model: &ResolvedModel, tokens: Tokens) {
    let cost = usage::cost(&tokens, &model.info.cost);
    let used = (tokens != Tokens::default()).then_some((cost, tokens));
    if title.is_none() && used.is_none() {
        return;
    }
    let used_by = Some(model.reference.clone());
    // Meanwhile the user may have renamed or deleted the session.
    let change = SessionChange { title, replaces: Some(title::SESSION), used, used_by, ..SessionChange::default() };
    if let Err(error) = turn.shared.store.commit(turn.unit().session(change)).await {
        tracing::warn!(%error, "a title could not be stored");
    }
}
