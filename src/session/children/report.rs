//! How the work of a child session ended, and what its parent is told. Pure.

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageErrorName, MessageWithParts},
    part::{Part, ToolPart, ToolState},
    task::TaskStatus,
};

use crate::stdx::text::{one_line, prefix};

/// So many of the last tool calls are named where the work was cut off.
const MAX_CALLS: usize = 20;
const MAX_CALL: usize = 200;

/// How the work on a prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub status: TaskStatus,
    /// Why it is not finished.
    pub reason: Option<String>,
    /// The last message; of work that is not finished all that was said.
    pub text: String,
    /// The tool calls, in order.
    pub calls: Vec<String>,
}

impl Report {
    /// Work that has given nothing.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { status: TaskStatus::Failed, reason: Some(reason.into()), text: String::new(), calls: Vec::new() }
    }

    /// The work on a prompt, in a conversation whose messages are in order. `cut` says why it was ended from outside.
    pub fn new(messages: &[MessageWithParts], prompt: &MessageId, cut: Option<String>) -> Self {
        let begin = messages.iter().position(|message| message.info.id() == prompt).unwrap_or(messages.len());
        let answers: Vec<(&AssistantMessage, &[Part])> = messages[begin..]
            .iter()
            .filter_map(|message| match &message.info {
                Message::Assistant(answer) if !answer.summary => Some((answer, message.parts.as_slice())),
                _ => None,
            })
            .collect();
        let Some((last, parts)) = answers.last().copied() else {
            return Self::failed(cut.unwrap_or_else(|| "it had not begun".to_owned()));
        };
        let calls = answers.iter().flat_map(|(_, parts)| tools(parts)).map(call).collect();
        let end = text(parts);
        let Some(reason) = cut.or_else(|| unfinished(last, parts, &end)) else {
            return Self { status: TaskStatus::Finished, reason: None, text: end, calls };
        };
        // An attempt that failed was made again.
        let said = answers.iter().filter(|(answer, _)| answer.error.is_none() || answer.id == last.id).map(|(_, parts)| text(parts));
        let text = said.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
        let status = if text.is_empty() && calls.is_empty() { TaskStatus::Failed } else { TaskStatus::Partial };
        Self { status, reason: Some(reason), text, calls }
    }

    /// What the model reads of it, with at most so many bytes of what was said.
    pub fn written(&self, session: &SessionId, limit: usize) -> String {
        let status = match self.status {
            TaskStatus::Running => "running",
            TaskStatus::Finished => "finished",
            TaskStatus::Partial => "partial",
            TaskStatus::Failed => "failed",
        };
        let mut text = format!("<task_result task_id=\"{session}\" status=\"{status}\">\n");
        if let Some(reason) = &self.reason {
            text.push_str(&format!("The job is not done: {reason}. To continue it, call the tool task with this task_id.\n"));
            if !self.text.is_empty() {
                text.push_str("What the agent has said:\n");
            }
        }
        let said = prefix(&self.text, limit);
        text.push_str(said);
        if said.len() < self.text.len() {
            text.push_str(&format!("\n[{} bytes left out here]", self.text.len() - said.len()));
        }
        if self.reason.is_some() && !self.calls.is_empty() {
            let begin = self.calls.len().saturating_sub(MAX_CALLS);
            text.push_str(&format!("\nThe tools that it has called{}:", if begin > 0 { " last" } else { "" }));
            self.calls[begin..].iter().for_each(|call| text.push_str(&format!("\n- {call}")));
        }
        text + "\n</task_result>"
    }
}

fn text(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| if let Part::Text(part) = part { Some(part.text.as_str()) } else { None });
    texts.collect::<String>().trim().to_owned()
}

fn tools(parts: &[Part]) -> impl Iterator<Item = &ToolPart> {
    parts.iter().filter_map(|part| if let Part::Tool(part) = part { Some(part) } else { None })
}

fn call(part: &ToolPart) -> String {
    let failed = if matches!(part.state, ToolState::Error(_)) { " (failed)" } else { "" };
    one_line(&format!("{} {}", part.tool, part.subject.as_deref().unwrap_or_default()), MAX_CALL) + failed
}

/// Why work that ended by itself is not finished.
fn unfinished(last: &AssistantMessage, parts: &[Part], end: &str) -> Option<String> {
    if let Some(error) = &last.error {
        return Some(why(error));
    }
    if last.time.completed.is_none() {
        return Some("it waits for an answer of the user".to_owned());
    }
    if last.finish.as_deref() == Some("tool-calls") {
        let is_rejected =
            |part: &ToolPart| matches!(&part.state, ToolState::Error(state) if state.error.starts_with("the user rejected this tool call"));
        let rejected = tools(parts).find(|part| is_rejected(part));
        return Some(rejected.map_or_else(
            || "it has used all the steps that its agent may take".to_owned(),
            |part| format!("the user rejected its call of {}", call(part).trim_end_matches(" (failed)")),
        ));
    }
    end.is_empty().then(|| "it ended without a word".to_owned())
}

fn why(error: &MessageError) -> String {
    match error.name {
        MessageErrorName::MessageAbortedError => "it was aborted".to_owned(),
        MessageErrorName::MessageInterruptedError => "the daemon ended while it worked".to_owned(),
        _ => error.data.message.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PROMPT: &str = "msg_01ARZ3NDEKTSV4RRFFQ69G5FA0";
    const SESSION: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";

    fn user(id: &str) -> Value {
        json!({ "info": { "role": "user", "id": id, "sessionID": SESSION, "time": { "created": 0 }, "agent": "a",
            "model": { "providerID": "p", "modelID": "m" } }, "parts": [], "cursor": 0 })
    }

    /// An answer with a finish or an error, of texts and, marked with `!`, tools.
    fn answer(number: usize, end: &str, said: &[&str]) -> Value {
        let id = format!("msg_01ARZ3NDEKTSV4RRFFQ69G5FA{number}");
        let place = |kind: &str| json!({ "type": kind, "id": "prt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": SESSION, "messageID": id });
        let part = |text: &&str| {
            let Some(tool) = text.strip_prefix('!') else {
                let mut part = place("text");
                part["text"] = json!(text);
                return part;
            };
            let mut part = place("tool");
            part["callID"] = json!("c");
            part["tool"] = json!(tool);
            part["subject"] = json!("it");
            part["state"] = if tool == "no" {
                json!({ "status": "error", "input": {}, "error": "the user rejected this tool call", "time": { "start": 0 } })
            } else {
                json!({ "status": "completed", "input": {}, "output": "o", "title": "t", "metadata": {}, "time": { "start": 0, "end": 1 } })
            };
            part
        };
        let mut info = json!({ "role": "assistant", "id": id, "sessionID": SESSION, "parentID": PROMPT, "time": { "created": 0, "completed": 1 },
            "agent": "a", "mode": "a", "providerID": "p", "modelID": "m", "path": { "cwd": "/", "root": "/" }, "cost": 0.0,
            "tokens": { "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } } });
        if end.ends_with("Error") {
            info["error"] = json!({ "name": end, "data": { "message": "the service is away." } });
        } else {
            info["finish"] = json!(end);
        }
        json!({ "info": info, "parts": said.iter().map(part).collect::<Vec<_>>(), "cursor": 0 })
    }

    fn report(answers: &[(&str, &[&str])], cut: Option<&str>) -> String {
        let before = [user("msg_01ARZ3NDEKTSV4RRFFQ69G5FA8"), answer(9, "stop", &["before"])];
        let answers = answers.iter().enumerate().map(|(number, (end, said))| answer(number + 1, end, said));
        let messages: Vec<MessageWithParts> =
            before.into_iter().chain([user(PROMPT)]).chain(answers).map(|m| serde_json::from_value(m).unwrap()).collect();
        let report = Report::new(&messages, &MessageId::parse(PROMPT).unwrap(), cut.map(str::to_owned));
        let status = serde_json::to_value(report.status).unwrap();
        format!("{}|{}|{}|{}", status.as_str().unwrap(), report.reason.unwrap_or_default(), report.text, report.calls.join(","))
    }

    #[test]
    fn the_end_is_told_as_it_was() {
        let late = Some("it took too long");
        for (answers, cut, expected) in [
            (&[("tool-calls", &["let me see", "!read"][..]), ("stop", &["done"])][..], None, "finished||done|read it"),
            (&[("tool-calls", &["let me see", "!no"])], None, "partial|the user rejected its call of no it|let me see|no it (failed)"),
            (&[("tool-calls", &["!read"])], None, "partial|it has used all the steps that its agent may take||read it"),
            (&[("MessageAbortedError", &["half"])], None, "partial|it was aborted|half|"),
            (&[("tool-calls", &["one", "!read"]), ("ServiceError", &[])], None, "partial|the service is away|one|read it"),
            (&[("ServiceError", &["no"]), ("stop", &["yes"])], None, "finished||yes|"),
            (&[("ServiceError", &["no"]), ("MessageInterruptedError", &["yes"])], None, "partial|the daemon ended while it worked|yes|"),
            (&[("ServiceError", &[])], None, "failed|the service is away||"),
            (&[("stop", &[" "])], None, "failed|it ended without a word||"),
            (&[("MessageAbortedError", &["half"])], late, "partial|it took too long|half|"),
            (&[], None, "failed|it had not begun||"),
            (&[], late, "failed|it took too long||"),
        ] {
            // Any other name stands for an error of the service.
            let answers: Vec<(&str, &[&str])> =
                answers.iter().map(|(end, said)| (if *end == "ServiceError" { "UnknownError" } else { *end }, *said)).collect();
            assert_eq!(report(&answers, cut), expected);
        }
    }

    #[test]
    fn what_the_model_reads_is_bounded_and_says_how_to_go_on() {
        let session = SessionId::parse(SESSION).unwrap();
        let finished =
            Report { status: TaskStatus::Finished, reason: None, text: "it is so".to_owned(), calls: vec!["read it".to_owned()] };
        assert_eq!(
            finished.written(&session, 100),
            format!("<task_result task_id=\"{SESSION}\" status=\"finished\">\nit is so\n</task_result>")
        );
        assert!(finished.written(&session, 5).contains("it is\n[3 bytes left out here]"));
        let calls = (0..30).map(|number| format!("read {number}")).collect();
        let partial = Report { status: TaskStatus::Partial, reason: Some("it was aborted".to_owned()), text: String::new(), calls };
        let text = partial.written(&session, 100);
        assert!(text.contains("The job is not done: it was aborted. To continue it, call the tool task with this task_id."), "{text}");
        assert!(text.contains("called last:\n- read 10\n") && !text.contains("read 9\n"), "{text}");
    }
}
