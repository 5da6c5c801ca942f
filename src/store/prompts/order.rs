//! The order of a conversation. Messages are stored as they arrive, and a prompt may arrive while an earlier one is being
//! answered. Pure.

use std::collections::{HashMap, HashSet};

use polytree_protocol::{
    id::{MessageId, PartId},
    message::{Message, MessageWithParts, PromptState},
    part::Part,
};

/// Every prompt with its answers below it, in the order in which the prompts were taken up; those that wait come last. A
/// prompt that is answered with another one stands before it. A prompt that was cancelled stays where it was sent.
pub(crate) fn in_order(messages: Vec<MessageWithParts>) -> Vec<MessageWithParts> {
    let mut prompts: HashMap<MessageId, usize> = HashMap::new();
    // Where the conversation stood when a prompt was taken up.
    let mut begun: Vec<Option<usize>> = Vec::new();
    let mut joined: Vec<(usize, MessageId)> = Vec::new();
    let mut exchanges: Vec<Vec<MessageWithParts>> = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let exchange = match &message.info {
            Message::User(user) => {
                prompts.insert(user.id.clone(), exchanges.len());
                joined.extend(user.answered_with.clone().map(|with| (exchanges.len(), with)));
                begun.push(matches!(user.state, PromptState::Queued | PromptState::Running).then_some(usize::MAX));
                None
            }
            Message::Assistant(answer) => prompts.get(&answer.parent_id).copied(),
        };
        match exchange {
            Some(exchange) => {
                if exchanges[exchange].len() == 1 {
                    begun[exchange] = Some(index);
                }
                exchanges[exchange].push(message);
            }
            None if matches!(message.info, Message::User(_)) => exchanges.push(vec![message]),
            // Its prompt is not in this list.
            None => {
                begun.push(Some(index));
                exchanges.push(vec![message]);
            }
        }
    }
    for (exchange, with) in joined {
        begun[exchange] = prompts.get(&with).and_then(|with| begun[*with]);
    }
    let mut last = 0;
    let mut ordered: Vec<(usize, Vec<MessageWithParts>)> = Vec::with_capacity(exchanges.len());
    for (begun, exchange) in begun.into_iter().zip(exchanges) {
        let place = begun.unwrap_or(last);
        if place != usize::MAX {
            last = place;
        }
        ordered.push((place, exchange));
    }
    ordered.sort_by_key(|(place, _)| *place);
    ordered.into_iter().flat_map(|(_, exchange)| exchange).collect()
}

/// What a revert undoes of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Undone {
    /// Whole messages, in order.
    pub messages: Vec<MessageWithParts>,
    /// Parts of the message before them, in order.
    pub parts: Vec<Part>,
}

impl Undone {
    /// All parts, in order.
    pub fn all_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().chain(self.messages.iter().flat_map(|message| &message.parts))
    }
}

/// What a revert to this message, or to this part of it, undoes; `None` if it is not in the conversation. What a tool call
/// that stays has changed stays too.
pub(crate) fn undone(messages: Vec<MessageWithParts>, first: &MessageId, part: Option<&PartId>) -> Option<Undone> {
    let mut messages = in_order(messages);
    let index = messages.iter().position(|message| message.info.id() == first)?;
    let mut messages = messages.split_off(index);
    let Some(part) = part else { return Some(Undone { messages, parts: Vec::new() }) };
    let mut kept = messages.remove(0).parts;
    let index = kept.iter().position(|other| other.id() == part)?;
    let mut parts = kept.split_off(index);
    let calls = kept.iter().filter_map(|part| if let Part::Tool(call) = part { Some(&call.call_id) } else { None });
    let calls: HashSet<&String> = calls.collect();
    parts.retain(|part| !matches!(part, Part::Patch(patch) if patch.call_id.as_ref().is_some_and(|call| calls.contains(call))));
    Some(Undone { messages, parts })
}

/// The conversation without what a revert to this message, or to this part of it, undoes.
pub(crate) fn without_undone(messages: Vec<MessageWithParts>, first: &MessageId, part: Option<&PartId>) -> Vec<MessageWithParts> {
    let Some(undone) = undone(messages.clone(), first, part) else { return messages };
    let gone: HashSet<&MessageId> = undone.messages.iter().map(|message| message.info.id()).collect();
    let parts: HashSet<&PartId> = undone.parts.iter().map(Part::id).collect();
    let mut kept = messages;
    kept.retain(|message| !gone.contains(message.info.id()));
    kept.iter_mut().for_each(|message| message.parts.retain(|part| !parts.contains(part.id())));
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `P1` is a prompt, `a1` an answer to it, `Q1` a prompt that waits, `R1` one whose turn has begun, `S1` one that is
    /// answered with the prompt 9.
    fn ordered(messages: &str) -> String {
        let message = |word: &str| {
            let (kind, number) = word.split_at(1);
            let (ses, id) = ("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", |number: usize| format!("msg_{number:026}"));
            let number: usize = number.parse().unwrap();
            let tokens = json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
            let state = match kind {
                "Q" => "queued",
                "R" => "running",
                _ => "answered",
            };
            let info = if kind == "a" {
                json!({ "role": "assistant", "id": MessageId::from_ulid(crate::stdx::ids::next()), "sessionID": ses,
                    "parentID": id(number), "time": { "created": 1 }, "agent": word, "mode": "m", "providerID": "p", "modelID": "m",
                    "path": { "cwd": "/", "root": "/" }, "cost": 0.0, "tokens": tokens })
            } else {
                json!({ "role": "user", "id": id(number), "sessionID": ses, "time": { "created": 1 }, "state": state, "agent": word,
                    "answeredWith": (kind == "S").then(|| id(9)), "model": { "providerID": "p", "modelID": "m" } })
            };
            MessageWithParts { info: serde_json::from_value(info).unwrap(), parts: Vec::new(), cursor: 0 }
        };
        let name = |message: &MessageWithParts| match &message.info {
            Message::User(user) => user.agent.clone(),
            Message::Assistant(answer) => answer.agent.clone(),
        };
        in_order(messages.split(' ').map(message).collect()).iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_conversation_is_in_the_order_in_which_it_was_held() {
        assert_eq!(ordered("P1 a1 a1 P2 a2"), "P1 a1 a1 P2 a2");
        assert_eq!(ordered("P1 P2 a1 a1 a2"), "P1 a1 a1 P2 a2", "the second one waited");
        assert_eq!(ordered("P1 a1 P2 P3 a3 a2"), "P1 a1 P3 a3 P2 a2", "the third one entered the turn of the first");
        assert_eq!(ordered("P1 Q2 a1 R3"), "P1 a1 Q2 R3", "those without an answer come last");
        assert_eq!(ordered("P1 P2 a1 P3 a3"), "P1 a1 P2 P3 a3", "the second one was cancelled");
        assert_eq!(ordered("P1 P2 S3 P9 a1 a9 a2"), "P1 a1 S3 P9 a9 P2 a2", "the third one entered the turn with the last one");
        assert_eq!(ordered("P1 P2 S3 a1 a2"), "P1 a1 P2 a2 S3", "the one that it entered with is on the next page");
        assert_eq!(ordered("a9 P1 a1"), "a9 P1 a1", "its prompt is on the page before");
    }
}
