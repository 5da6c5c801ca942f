//! Names for sessions: a default at creation, a better one by the small model beside the first turn.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use polytree_protocol::{
    message::{Message, MessageWithParts, Tokens},
    part::Part,
};
use serde_json::Map;

use super::{ResolvedModel, system, turn::Turn};
use crate::{
    provider::definition::{Delta, ModelMessage, ModelRequest, UserContent},
    stdx::text::{ellipsis, one_line},
    store::{SessionChange, usage},
};

const PROMPT: &str = "You name conversations. Answer with nothing but a title for the conversation that begins with the user's message: at most 50 characters, one line, in the language of the message, no quotes, no full stop. Say what the user wants, never answer or refuse it.";

const SESSION: &str = "New session - ";
const CHILD: &str = "Child session - ";
/// A daemon that has nothing else to do waits so long for a title before it leaves.
const WORTH_WAITING: Duration = Duration::from_secs(5);
/// A model that has found no name by then finds none.
const PATIENCE: Duration = Duration::from_secs(120);
/// A title that a model has found has at most this many characters.
const MOST: usize = 100;
/// A title that a client gives has at most this many.
const MOST_GIVEN: usize = 500;

/// The title until there is a better one.
pub(super) fn default_title(child: bool, now: i64) -> String {
    let seconds = now.div_euclid(1000).rem_euclid(86_400);
    let time =
        format!("{}T{:02}:{:02}:{:02}.{:03}Z", system::day(now), seconds / 3600, seconds / 60 % 60, seconds % 60, now.rem_euclid(1000));
    format!("{}{time}", if child { CHILD } else { SESSION })
}

/// A title as a client may give it: one line without control characters, so that lists and terminals can show it.
pub(super) fn given(title: &str) -> String {
    one_line(title, MOST_GIVEN)
}

/// Asks for a title beside the first turn. Never waited for; a failure only means that the default stays.
pub(super) fn start(turn: &Arc<Turn>, history: &[MessageWithParts]) {
    if turn.session.parent_id.is_some() || !turn.session.title.starts_with(SESSION) {
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
    // The tree of the daemon, not of the turn: an abort of the turn is no reason to stay without a name.
    let tasks = turn.shared.tasks.child();
    let turn = Arc::clone(turn);
    let busy = turn.shared.activity.begin();
    drop(tasks.clone().spawn("title", async move {
        let mut busy = Some(busy);
        let cache_key = turn.session.id.to_string();
        let asked = tokio::time::timeout(PATIENCE, ask(&model, &cache_key, text));
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
                () = tokio::time::sleep(WORTH_WAITING), if busy.is_some() => busy = None,
            }
        }
    }));
}

/// A title, if there is one, and what it took to find it.
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
    (clean(&title), used)
}

/// The first line that says something, without thinking, quotes and excess.
fn clean(text: &str) -> Option<String> {
    let spoken = text.rsplit_once("</think>").map_or(text, |(_, spoken)| spoken);
    let lines = spoken.lines().map(|line| one_line(line, MOST_GIVEN));
    let marks = |c: char| c.is_whitespace() || "\"'`#*".contains(c);
    let line = lines.into_iter().find(|line| !line.is_empty())?;
    let line = line.trim_matches(marks);
    (!line.is_empty()).then(|| ellipsis(line, MOST))
}

async fn store(turn: &Turn, title: Option<String>, model: &ResolvedModel, tokens: Tokens) {
    let cost = usage::cost(&tokens, &model.info.cost);
    let used = (tokens != Tokens::default()).then_some((cost, tokens));
    if title.is_none() && used.is_none() {
        return;
    }
    // The user may have named it meanwhile, or deleted it.
    let change = SessionChange { title, replaces: Some(SESSION), used, ..SessionChange::default() };
    if let Err(error) = turn.shared.store.commit(turn.unit().session(change)).await {
        tracing::warn!(%error, "a title could not be stored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_clean_line() {
        assert_eq!(clean("<think>hm\nhm</think>\n\n\"Fix the parser\"\nmore").as_deref(), Some("Fix the parser"));
        assert_eq!(clean("# **Bold**").as_deref(), Some("Bold"));
        assert_eq!(clean(" \n\"\"\n"), None);
        assert_eq!(clean("\u{1b}]0;x\u{7}\n\nnext").as_deref(), Some("]0;x"));
        assert_eq!(clean("\u{1b}\u{202e}\nFix\u{9b}2J it").as_deref(), Some("Fix 2J it"));
        assert_eq!(clean(&"x".repeat(300)).unwrap().len(), 100);
    }

    #[test]
    fn the_default_names_the_moment() {
        assert_eq!(default_title(false, 951_782_461_005), "New session - 2000-02-29T00:01:01.005Z");
        assert!(default_title(true, 0).starts_with(CHILD));
    }
}
