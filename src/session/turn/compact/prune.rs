//! Old outputs of tools that are not sent to the model any more. They stay in the store. Pure.

use polytree_protocol::{
    message::{Message, MessageWithParts},
    part::{Part, ToolState},
};

use crate::session::turn::request::visible::{is_compaction, last_summary};

/// The last turns are not touched.
const KEPT_TURNS: usize = 2;
/// Nor are outputs of so many tokens before them.
const KEPT_TOKENS: usize = 40_000;
/// Less is not worth it: the service has to read the whole conversation anew, because its cache is of no use then.
const MIN_TOKENS: usize = 20_000;

/// Marks the outputs that are not sent any more; returns the parts that were changed. The conversation ends with the prompt
/// of a turn that is about to begin.
pub fn prune(messages: &mut [MessageWithParts], now: i64) -> Vec<Part> {
    let begin = last_summary(messages).map_or(0, |place| place + 1);
    let (mut turns, mut passed, mut freed) = (0, 0, 0);
    let mut old = Vec::new();
    'messages: for (place, message) in messages.iter().enumerate().skip(begin).rev() {
        if matches!(message.info, Message::User(_)) && !is_compaction(message) {
            turns += 1;
        }
        // The prompt that is about to be answered is none of the last turns.
        if turns <= KEPT_TURNS {
            continue;
        }
        for (index, part) in message.parts.iter().enumerate().rev() {
            let Part::Tool(part) = part else { continue };
            let ToolState::Completed(state) = &part.state else { continue };
            if state.time.compacted.is_some() {
                break 'messages;
            }
            let tokens = (state.output.len() + 2) / 4;
            passed += tokens;
            if passed > KEPT_TOKENS {
                freed += tokens;
                old.push((place, index));
            }
        }
    }
    if freed < MIN_TOKENS {
        return Vec::new();
    }
    for (place, index) in &old {
        if let Part::Tool(part) = &mut messages[*place].parts[*index]
            && let ToolState::Completed(state) = &mut part.state
        {
            state.time.compacted = Some(now);
        }
    }
    old.iter().rev().map(|(place, index)| messages[*place].parts[*index].clone()).collect()
}
