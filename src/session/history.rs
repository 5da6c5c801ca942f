//! Stored messages become what a model reads. Pure.

use polytree_protocol::{
    message::{Message, MessageErrorName, MessageWithParts},
    part::{Attachment, FilePart, Part, ToolState},
};

use crate::provider::definition::{AssistantContent, Media, ModelMessage, ToolResult, UserContent};

/// The history for a model of the given provider: thinking is sent back only to the provider that signed it.
/// Begins at the last summary; failed answers are left out, except what an aborted one had already said.
#[must_use]
pub fn to_model(messages: &[MessageWithParts], provider_id: &str) -> Vec<ModelMessage> {
    let start = messages
        .iter()
        .rposition(|message| matches!(&message.info, Message::Assistant(info) if info.summary && info.error.is_none()))
        .unwrap_or(0);
    let mut history: Vec<ModelMessage> = Vec::new();
    for message in &messages[start..] {
        match &message.info {
            Message::User(_) => {
                let content: Vec<UserContent> = message.parts.iter().filter_map(user_content).collect();
                if content.is_empty() {
                    continue;
                }
                // Two user messages in a row happen after a failure; services want them as one.
                match history.last_mut() {
                    Some(ModelMessage::User(last)) => last.extend(content),
                    _ => history.push(ModelMessage::User(content)),
                }
            }
            Message::Assistant(info) => {
                let kept = match &info.error {
                    None => true,
                    Some(error) => matches!(
                        error.name,
                        MessageErrorName::MessageAbortedError
                            | MessageErrorName::MessageInterruptedError
                            | MessageErrorName::MessageOutputLengthError
                    ),
                };
                if kept {
                    push_answer(&mut history, &message.parts, info.provider_id == provider_id);
                }
            }
        }
    }
    history
}

fn user_content(part: &Part) -> Option<UserContent> {
    match part {
        Part::Text(part) if !part.text.is_empty() => Some(UserContent::Text(part.text.clone())),
        Part::File(part) => media(part).map(UserContent::Media),
        _ => None,
    }
}

/// Text files and directories are sent as the synthetic text beside them.
fn media(part: &FilePart) -> Option<Media> {
    if part.mime.starts_with("text/") || part.mime == "application/x-directory" {
        return None;
    }
    data_url(&part.url, &part.mime, part.filename.as_deref())
}

fn data_url(url: &str, mime: &str, filename: Option<&str>) -> Option<Media> {
    let (_, base64) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(Media { mime: mime.to_owned(), filename: filename.map(str::to_owned), base64: base64.to_owned() })
}

fn push_answer(history: &mut Vec<ModelMessage>, parts: &[Part], same_provider: bool) {
    let mut content = Vec::new();
    let mut results = Vec::new();
    for part in parts {
        match part {
            Part::Text(part) if !part.text.is_empty() => content.push(AssistantContent::Text(part.text.clone())),
            Part::Reasoning(part) if same_provider => {
                let signature = part.metadata.as_ref().and_then(|metadata| metadata["signature"].as_str()).map(str::to_owned);
                content.push(AssistantContent::Reasoning { text: part.text.clone(), signature });
            }
            Part::Tool(part) => {
                let (input, output, is_error, attachments): (_, _, _, &[Attachment]) = match &part.state {
                    ToolState::Completed(state) => (state.input.clone(), state.output.clone(), false, &state.attachments),
                    ToolState::Error(state) => (state.input.clone(), state.error.clone(), true, &[]),
                    // Every call needs a result, also one that never came to run.
                    ToolState::Pending(_) | ToolState::Running(_) => continue,
                };
                let metadata = if same_provider { part.metadata.clone() } else { None };
                content.push(AssistantContent::ToolCall { call_id: part.call_id.clone(), name: part.tool.clone(), input, metadata });
                let media = attachments.iter().filter_map(|file| data_url(&file.url, &file.mime, file.filename.as_deref())).collect();
                results.push(ToolResult { call_id: part.call_id.clone(), name: part.tool.clone(), output, is_error, media });
            }
            _ => {}
        }
    }
    // Thinking alone is no answer.
    if content.iter().all(|piece| matches!(piece, AssistantContent::Reasoning { .. })) {
        return;
    }
    history.push(ModelMessage::Assistant(content));
    if !results.is_empty() {
        history.push(ModelMessage::Tool(results));
    }
}
