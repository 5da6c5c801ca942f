//! Stored messages become what a model reads. Pure.

use polytree_protocol::{
    id::PartId,
    message::{AssistantMessage, Message, MessageErrorName, MessageWithParts, PromptState},
    part::{Attachment, FilePart, Part, RunningChild, ToolState},
    provider::ModelRef,
    todo::Todo,
};

use super::visible::{Summary, Visible, visible};
use crate::provider::definition::{AssistantContent, Media, ModelMessage, ToolResult, UserContent};

/// The history for the given model: thinking, and what a provider attached to calls, is sent back only to the model of
/// the provider from which it came.
/// Begins with the last summary; failed answers are left out, except what an aborted one had already said.
pub fn to_model(messages: &[MessageWithParts], model: &ModelRef) -> Vec<ModelMessage> {
    let Visible { summary, messages, is_begun } = visible(messages);
    let mut history: Vec<ModelMessage> = Vec::new();
    if let Some(summary) = &summary {
        history.push(ModelMessage::User(vec![UserContent::Text(summarised(summary))]));
    }
    let refused = messages.iter().rposition(|message| has_refused_attachments(message, model));
    for (index, message) in messages.into_iter().enumerate() {
        if Some(index) == refused {
            leave_out_attachments(&mut history);
        }
        match &message.info {
            // It was removed from the queue before a model read it.
            Message::User(prompt) if prompt.state == PromptState::Cancelled => {}
            Message::User(_) => {
                let mut content: Vec<UserContent> = message.parts.iter().filter_map(|part| user_content(part, &message.parts)).collect();
                if content.is_empty() {
                    continue;
                }
                if is_begun && index == 0 {
                    content.push(UserContent::Text(BEGUN.to_owned()));
                }
                push_user(&mut history, content);
            }
            Message::Assistant(info) => {
                let given = given(&message.parts);
                if !given.is_empty() {
                    push_user(&mut history, given);
                } else if is_kept(info) {
                    push_answer(&mut history, &message.parts, info.provider_id == model.provider_id && info.model_id == model.model_id);
                }
            }
        }
    }
    history
}

const BEGUN: &str = "<system-reminder>\nWork on this request has begun: the summary above says what was done and what comes next. Continue from there and do not begin again.\n</system-reminder>";

const PRUNED: &str = "[This output was removed to save space. Call the tool again if it is still needed.]";

/// What the id of a call begins with that does a job of a prompt; the rest is the id of the part.
const CALL_OF: &str = "subtask_";

/// The call that does the job of a part.
pub fn call_of(part: &PartId) -> String {
    format!("{CALL_OF}{part}")
}

/// The part whose job a call does.
pub fn part_of(call: &str) -> Option<&str> {
    call.strip_prefix(CALL_OF)
}

/// The jobs of a prompt, with what came of them. No model has made these calls, so the model reads them as text.
fn given(parts: &[Part]) -> Vec<UserContent> {
    let text = |part: &Part| {
        let Part::Tool(part) = part else { return None };
        part_of(&part.call_id)?;
        let (input, result) = match &part.state {
            ToolState::Completed(state) if state.time.compacted.is_some() => (&state.input, PRUNED),
            ToolState::Completed(state) => (&state.input, state.output.as_str()),
            ToolState::Error(state) => (&state.input, state.error.as_str()),
            ToolState::Pending(_) | ToolState::Running(_) => return None,
        };
        let field = |name: &str| input[name].as_str().unwrap_or_default();
        let (agent, prompt) = (field("subagent_type"), field("prompt"));
        Some(UserContent::Text(format!("The user had the agent {agent:?} do this job:\n\n{prompt}\n\nWhat came of it:\n\n{result}")))
    };
    parts.iter().filter_map(text).collect()
}

/// Whether an answer is sent back to the model: all but failed ones, and what those that broke off had said.
pub fn is_kept(info: &AssistantMessage) -> bool {
    info.error.as_ref().is_none_or(|error| {
        matches!(
            error.name,
            MessageErrorName::MessageAbortedError | MessageErrorName::MessageInterruptedError | MessageErrorName::MessageOutputLengthError
        )
    })
}

/// A summary, with the state that goes with it.
fn summarised(summary: &Summary) -> String {
    let mut text = format!(
        "<conversation-summary>\nThe conversation before this point was replaced by this summary.\n\n{}\n</conversation-summary>",
        summary.text()
    );
    let Some(state) = summary.state else { return text };
    if !state.todos.is_empty() {
        let todo = |todo: &Todo| format!("- [{}] {} ({} priority)\n", todo.status, todo.content, todo.priority);
        text.push_str(&format!("\n\n<task-list>\n{}</task-list>", state.todos.iter().map(todo).collect::<String>()));
    }
    if !state.children.is_empty() {
        let child = |child: &RunningChild| format!("- {}: {}\n", child.session_id, child.title);
        let children: String = state.children.iter().map(child).collect();
        text.push_str(&format!("\n\n<running-tasks>\nThese were running then. Do not start them again.\n{children}</running-tasks>"));
    }
    text
}

/// Whether this is an answer for which that model's service was asked again without attachments.
fn has_refused_attachments(message: &MessageWithParts, model: &ModelRef) -> bool {
    let Message::Assistant(info) = &message.info else { return false };
    info.provider_id == model.provider_id
        && info.model_id == model.model_id
        && message.parts.iter().any(|part| matches!(part, Part::Retry(retry) if retry.without_attachments))
}

/// Puts a sentence in the place of each image and document; false where there are none.
pub fn leave_out_attachments(history: &mut [ModelMessage]) -> bool {
    let sentence = |media: &Media| {
        let name = media.filename.as_deref().unwrap_or("without a name");
        format!("[An attachment ({name}, {}) was left out: the model service refused it.]", media.mime)
    };
    let mut any = false;
    for message in history {
        match message {
            ModelMessage::User(content) => {
                for piece in content {
                    if let UserContent::Media(media) = piece {
                        *piece = UserContent::Text(sentence(media));
                        any = true;
                    }
                }
            }
            ModelMessage::Tool(results) => {
                for result in results {
                    for media in std::mem::take(&mut result.media) {
                        result.output.push('\n');
                        result.output.push_str(&sentence(&media));
                        any = true;
                    }
                }
            }
            ModelMessage::Assistant(_) => {}
        }
    }
    any
}

/// Beside a file that is not sent stands a text that says so, whose metadata names the file's part by this key.
pub const NOT_SENT: &str = "notSent";

fn user_content(part: &Part, beside: &[Part]) -> Option<UserContent> {
    match part {
        Part::Text(part) if !part.text.is_empty() => Some(UserContent::Text(part.text.clone())),
        Part::File(part) => {
            let says_so =
                |other: &Part| matches!(other, Part::Text(text) if text.metadata.as_ref().is_some_and(|m| m[NOT_SENT] == part.id.as_str()));
            if beside.iter().any(says_so) { None } else { media(part).map(UserContent::Media) }
        }
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

/// Two user messages in a row happen after a failure; services want them as one.
fn push_user(history: &mut Vec<ModelMessage>, content: Vec<UserContent>) {
    match history.last_mut() {
        Some(ModelMessage::User(last)) => last.extend(content),
        _ => history.push(ModelMessage::User(content)),
    }
}

fn push_answer(history: &mut Vec<ModelMessage>, parts: &[Part], same_model: bool) {
    let mut content = Vec::new();
    let mut results = Vec::new();
    for part in parts {
        match part {
            Part::Text(part) if !part.text.is_empty() => content.push(AssistantContent::Text(part.text.clone())),
            Part::Reasoning(part) if same_model => {
                let signature = part.metadata.as_ref().and_then(|metadata| metadata["signature"].as_str()).map(str::to_owned);
                content.push(AssistantContent::Reasoning { text: part.text.clone(), signature });
            }
            Part::Tool(part) => {
                let (input, output, is_error, attachments): (_, _, _, &[Attachment]) = match &part.state {
                    ToolState::Completed(state) if state.time.compacted.is_some() => (state.input.clone(), PRUNED.to_owned(), false, &[]),
                    ToolState::Completed(state) => (state.input.clone(), state.output.clone(), false, &state.attachments),
                    ToolState::Error(state) => (state.input.clone(), state.error.clone(), true, &[]),
                    // Every call needs a result, also one that never came to run.
                    ToolState::Pending(_) | ToolState::Running(_) => continue,
                };
                let metadata = if same_model { part.metadata.clone() } else { None };
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Thinking, text and a call of the model `p/m`.
    fn answer() -> MessageWithParts {
        let place = json!({"id": "prt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "messageID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"});
        let part = |fields: Value| {
            let mut part = place.clone();
            part.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            part
        };
        let state =
            json!({"status": "completed", "input": {}, "output": "o", "title": "t", "metadata": {}, "time": {"start": 0, "end": 1}});
        let message = json!({
            "info": {"role": "assistant", "id": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "parentID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAW", "time": {"created": 0}, "agent": "build", "mode": "build", "providerID": "p",
                "modelID": "m", "path": {"cwd": "/", "root": "/"}, "cost": 0.0,
                "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}},
            "parts": [
                part(json!({"type": "reasoning", "text": "hm", "metadata": {"signature": "s"}, "time": {"start": 0}})),
                part(json!({"type": "text", "text": "yes"})),
                part(json!({"type": "tool", "callID": "c", "tool": "read", "state": state, "metadata": {"id": "c"}})),
            ],
            "cursor": 0,
        });
        serde_json::from_value(message).unwrap()
    }

    #[test]
    fn thinking_goes_back_only_to_its_model() {
        for (provider_id, model_id, same) in [("p", "m", true), ("p", "other", false), ("other", "m", false)] {
            let model = ModelRef { provider_id: provider_id.to_owned(), model_id: model_id.to_owned() };
            let history = to_model(&[answer()], &model);
            let ModelMessage::Assistant(content) = &history[0] else { panic!("{history:?}") };
            let thinks = content.iter().any(|piece| matches!(piece, AssistantContent::Reasoning { signature: Some(_), .. }));
            let attached = content.iter().any(|piece| matches!(piece, AssistantContent::ToolCall { metadata: Some(_), .. }));
            assert_eq!((thinks, attached), (same, same), "{model}");
        }
    }
}
