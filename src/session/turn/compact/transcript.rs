//! A conversation as text, for the model that summarises it. Pure.

use std::fmt::Write as _;

use polytree_protocol::{
    message::{Message, MessageWithParts, PromptState},
    part::{Part, ToolState},
};

use crate::{
    session::turn::request::{
        history::is_kept,
        visible::{Visible, answer},
    },
    stdx::text::{prefix, suffix},
};

/// How much of each output, each input, and each file that was attached is shown, in bytes.
const PIECE_BYTES: usize = 2_000;
/// The same where the conversation is too long otherwise.
const SHORT_PIECE_BYTES: usize = 300;

const REQUEST: &str = "Summarise the conversation above, as your instructions say.";

/// What the model is asked: the conversation in at most about so many bytes. Of one that is longer, outputs are shortened
/// first, and then the oldest messages are left out, but for an earlier summary.
pub fn transcript(head: &Visible, limit: usize) -> String {
    let earlier = head.summary.as_ref().map(|summary| format!("<earlier-summary>\n{}\n</earlier-summary>\n\n", summary.text()));
    let earlier = earlier.unwrap_or_default();
    let room = limit.saturating_sub(earlier.len() + REQUEST.len() + 100);
    let written = |piece: usize| head.messages.iter().map(|message| written(message, piece)).collect::<Vec<String>>();
    let mut messages = written(PIECE_BYTES);
    if size(&messages) > room {
        messages = written(SHORT_PIECE_BYTES);
    }
    let (mut size, mut first) = (size(&messages), 0);
    while size > room && first + 1 < messages.len() {
        size -= messages[first].len();
        first += 1;
    }
    let mut text = earlier + "<conversation>\n";
    if first > 0 {
        let _ = writeln!(text, "[{first} earlier messages are left out]\n");
    }
    let last = messages.len().saturating_sub(1);
    for (place, message) in messages.iter().enumerate().skip(first) {
        // One message alone may be too long.
        text.push_str(&if place == last { shortened(message, room) } else { message.clone() });
    }
    text + "</conversation>\n\n" + REQUEST
}

fn size(messages: &[String]) -> usize {
    messages.iter().map(String::len).sum()
}

fn written(message: &MessageWithParts, piece: usize) -> String {
    let is_user = matches!(message.info, Message::User(_));
    // A model never read it.
    if matches!(&message.info, Message::User(prompt) if prompt.state == PromptState::Cancelled) {
        return String::new();
    }
    if answer(message).is_some_and(|info| !is_kept(info)) {
        return String::new();
    }
    let mut text = String::new();
    for part in &message.parts {
        match part {
            Part::Text(part) if part.text.trim().is_empty() => {}
            Part::Text(part) if part.synthetic => block(&mut text, "attached", &shortened(&part.text, piece)),
            Part::Text(part) => block(&mut text, if is_user { "user" } else { "agent" }, &part.text),
            Part::File(part) if part.url.starts_with("data:") => {
                block(&mut text, "attached", &format!("{} ({})", part.filename.as_deref().unwrap_or("a file"), part.mime));
            }
            Part::Tool(part) => {
                let (input, output) = match &part.state {
                    ToolState::Completed(state) if state.time.compacted.is_some() => (&state.input, None),
                    ToolState::Completed(state) => (&state.input, Some(("result", &state.output))),
                    ToolState::Error(state) => (&state.input, Some(("error", &state.error))),
                    ToolState::Pending(_) | ToolState::Running(_) => continue,
                };
                block(&mut text, &format!("call of {}", part.tool), &shortened(&input.to_string(), piece));
                if let Some((kind, output)) = output {
                    block(&mut text, kind, &shortened(output, piece));
                }
            }
            _ => {}
        }
    }
    text
}

fn block(text: &mut String, kind: &str, content: &str) {
    let _ = write!(text, "[{kind}]\n{}\n\n", content.trim_end());
}

/// The text, or its begin and its end where it has more bytes.
fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let (begin, end) = (prefix(text, bytes / 4 * 3), suffix(text, bytes / 4));
    format!("{begin}\n[… {} bytes …]\n{end}", text.len() - begin.len() - end.len())
}
