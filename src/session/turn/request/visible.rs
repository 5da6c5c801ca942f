//! The part of a conversation that a model reads: all of it, or the last summary and what is kept beside it. Pure.

use polytree_protocol::{
    id::MessageId,
    message::{AssistantMessage, Message, MessageWithParts},
    part::{CompactionPart, CompactionState, Part},
};

/// What a model reads of a conversation.
#[derive(Debug, Default)]
pub struct Visible<'a> {
    /// The last summary, which stands for everything that is not in `messages`.
    pub summary: Option<Summary<'a>>,
    /// In order: the tail that was kept, and what came after the summary.
    pub messages: Vec<&'a MessageWithParts>,
    /// The first message is a prompt whose answers so far are only in the summary.
    pub is_begun: bool,
}

/// A summary, as the model reads it.
#[derive(Debug)]
pub struct Summary<'a> {
    pub message: &'a MessageWithParts,
    pub state: Option<&'a CompactionState>,
}

impl Summary<'_> {
    /// The text, without that of attempts that failed.
    pub fn text(&self) -> String {
        let parts = &self.message.parts;
        let begin = parts.iter().rposition(|part| matches!(part, Part::Retry(_))).map_or(0, |last| last + 1);
        let texts = parts[begin..].iter().filter_map(|part| if let Part::Text(part) = part { Some(part.text.as_str()) } else { None });
        texts.collect::<String>().trim().to_owned()
    }
}

/// The visible part of a conversation whose messages are in order.
pub fn visible(messages: &[MessageWithParts]) -> Visible<'_> {
    let Some(place) = last_summary(messages) else {
        return Visible { messages: messages.iter().filter(|message| !is_compaction(message)).collect(), ..Visible::default() };
    };
    let parent = parent(&messages[place]).and_then(|parent| position(&messages[..place], parent));
    let part = part(&messages[place]).or_else(|| parent.and_then(|parent| part(&messages[parent])));
    let tail = part.and_then(|part| part.tail_start_id.as_ref()).and_then(|first| position(&messages[..place], first));
    let parent = parent.filter(|parent| !is_compaction(&messages[*parent]));
    let kept = match (tail, parent) {
        (Some(tail), _) => tail..place,
        (None, Some(parent)) => parent..parent + 1,
        (None, None) => 0..0,
    };
    let shown = messages[kept].iter().chain(&messages[place + 1..]).filter(|message| !is_compaction(message));
    Visible {
        summary: Some(Summary { message: &messages[place], state: part.map(|part| &part.state) }),
        messages: shown.collect(),
        is_begun: tail.is_none() && parent.is_some(),
    }
}

/// The place of the last summary that was completed.
pub fn last_summary(messages: &[MessageWithParts]) -> Option<usize> {
    messages
        .iter()
        .rposition(|message| answer(message).is_some_and(|info| info.summary && info.error.is_none() && info.time.completed.is_some()))
}

/// Whether a message is a summary, or a prompt that asks for one and nothing else.
pub fn is_compaction(message: &MessageWithParts) -> bool {
    match &message.info {
        Message::User(_) => part(message).is_some(),
        Message::Assistant(info) => info.summary,
    }
}

pub fn answer(message: &MessageWithParts) -> Option<&AssistantMessage> {
    if let Message::Assistant(info) = &message.info { Some(info) } else { None }
}

fn parent(message: &MessageWithParts) -> Option<&MessageId> {
    answer(message).map(|info| &info.parent_id)
}

fn position(messages: &[MessageWithParts], id: &MessageId) -> Option<usize> {
    messages.iter().position(|message| message.info.id() == id)
}

fn part(message: &MessageWithParts) -> Option<&CompactionPart> {
    message.parts.iter().find_map(|part| if let Part::Compaction(part) = part { Some(part) } else { None })
}
