//! What of a conversation is summarised, and what stays as it is. The cut is always before a prompt. Pure.

use polytree_protocol::{
    id::MessageId,
    message::{Message, MessageWithParts, PromptState},
    part::Part,
    provider::ModelRef,
};

use crate::session::turn::request::{
    fit::tokens,
    history::{is_kept, to_model},
    visible::{Visible, answer, is_compaction, last_summary, visible},
};

/// The metadata of the text of a message that is only made for the model.
pub const REMINDER: &str = "reminder";

/// How much of the end of a conversation is to stay as it is.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub turns: usize,
    pub tokens: u64,
}

/// What is to be done to a conversation.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the model reads now and will not read any more.
    pub head: Visible<'a>,
    /// The prompt with which the rest begins.
    pub tail_start: Option<MessageId>,
}

/// Plans a summary of a conversation whose messages are in order. `running` is the prompt that is being answered. `None`
/// where there is nothing to summarise but prompts.
pub fn plan<'a>(messages: &'a [MessageWithParts], running: Option<&MessageId>, keep: Keep, model: &ModelRef) -> Option<Plan<'a>> {
    let shown = visible(messages);
    let running = running.and_then(|id| messages.iter().position(|message| message.info.id() == id));
    let waits = running.filter(|place| !messages[place + 1..].iter().any(is_said));
    let starts = starts(messages, waits, keep, model);
    // Most turns first. Without any, the prompt of the running turn is kept all the same.
    let start = starts.into_iter().rev().map(Some).chain([None]).find(|start| {
        let mut head = head(&shown, messages, *start);
        head.any(is_said)
    })?;
    let head: Vec<&MessageWithParts> = head(&shown, messages, start).collect();
    let tail_start = start.map(|start| messages[start].info.id().clone());
    Some(Plan { head: Visible { summary: shown.summary, messages: head, is_begun: shown.is_begun }, tail_start })
}

/// The prompts before which the cut may be, the last one first.
fn starts(messages: &[MessageWithParts], waits: Option<usize>, keep: Keep, model: &ModelRef) -> Vec<usize> {
    let begin = last_summary(messages).map_or(0, |place| place + 1);
    let (mut starts, mut end, mut room) = (Vec::new(), messages.len(), keep.tokens);
    // A prompt that still waits for its answer costs nothing: it is sent in any case.
    if let Some(waits) = waits {
        starts.push(waits);
        end = waits;
    }
    for place in (begin..end).rev().filter(|place| is_prompt(&messages[*place])).take(keep.turns) {
        let size = to_model(&messages[place..end], model).iter().map(tokens).sum();
        let Some(left) = room.checked_sub(size) else { break };
        (room, end) = (left, place);
        starts.push(place);
    }
    starts
}

/// What the model reads now of the messages before `start`.
fn head<'a, 'b>(
    shown: &'b Visible<'a>,
    messages: &'a [MessageWithParts],
    start: Option<usize>,
) -> impl Iterator<Item = &'a MessageWithParts> + use<'a, 'b> {
    let end = start.map(|start| std::ptr::from_ref(&messages[start]));
    shown.messages.iter().copied().filter(move |message| end.is_none_or(|end| std::ptr::from_ref(*message) < end))
}

/// Whether this is an answer that says something.
pub fn is_said(message: &MessageWithParts) -> bool {
    answer(message).is_some_and(|info| !info.summary && is_kept(info)) && message.parts.iter().any(is_content)
}

fn is_content(part: &Part) -> bool {
    match part {
        Part::Text(part) => !part.text.is_empty(),
        Part::Tool(_) => true,
        _ => false,
    }
}

/// Whether a turn may begin with this message.
fn is_prompt(message: &MessageWithParts) -> bool {
    let is_reminder = |part: &Part| matches!(part, Part::Text(text) if text.metadata.as_ref().is_some_and(|data| data[REMINDER] == true));
    matches!(&message.info, Message::User(user) if user.state != PromptState::Cancelled)
        && !is_compaction(message)
        && !message.parts.iter().any(is_reminder)
}

#[cfg(test)]
mod tests;
