//! The conversation that a model reads after a summary, for random histories.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    provider::definition::{AssistantContent, ModelMessage, UserContent},
    session::turn::compact::transcript::transcript,
    stdx::ids,
};

const SESSION: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// What happens in a session.
#[derive(Debug, Clone)]
enum Happens {
    /// A prompt of so many bytes.
    Prompt(usize),
    /// A prompt that was taken out of the queue.
    Cancelled,
    /// An answer with so many bytes of text and so many bytes of output for each call.
    Answer(usize, Vec<usize>),
    /// An answer that failed, with the name of its error.
    Failed(&'static str),
    /// A reminder that is not stored.
    Reminder,
    /// A summary is made, if there is anything to summarise: with so many turns and tokens kept, asked for or not.
    Summary { turns: usize, tokens: u64, asked: bool },
    /// A summary fails.
    FailedSummary,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1_usize..4000).prop_map(Happens::Prompt),
        1 => Just(Happens::Cancelled),
        6 => (0_usize..2000, prop::collection::vec(0_usize..6000, 0..4)).prop_map(|(text, calls)| Happens::Answer(text, calls)),
        1 => prop::sample::select(vec!["APIError", "MessageAbortedError", "ContextOverflowError"]).prop_map(Happens::Failed),
        1 => Just(Happens::Reminder),
        2 => (0_usize..4, 0_u64..6000, any::<bool>()).prop_map(|(turns, tokens, asked)| Happens::Summary { turns, tokens, asked }),
        1 => Just(Happens::FailedSummary),
    ]
}

fn model() -> ModelRef {
    ModelRef::parse("p/m").unwrap()
}

fn id() -> MessageId {
    MessageId::from_ulid(ids::next())
}

fn message(info: Value, message: &MessageId, parts: Vec<Value>) -> MessageWithParts {
    let place = |mut part: Value| {
        part["id"] = json!(polytree_protocol::id::PartId::from_ulid(ids::next()));
        (part["sessionID"], part["messageID"]) = (json!(SESSION), json!(message));
        part
    };
    let parts: Vec<Value> = parts.into_iter().map(place).collect();
    serde_json::from_value(json!({ "info": info, "parts": parts, "cursor": 0 })).unwrap()
}

fn user(text: &str, state: &str, part: Option<Value>) -> MessageWithParts {
    let id = id();
    let info = json!({ "role": "user", "id": id, "sessionID": SESSION, "time": { "created": 1 }, "state": state, "agent": "build",
        "model": { "providerID": "p", "modelID": "m" } });
    message(info, &id, vec![part.unwrap_or_else(|| json!({ "type": "text", "text": text }))])
}

fn answered(prompt: &MessageId, more: &Value, parts: Vec<Value>) -> MessageWithParts {
    let id = id();
    let tokens = json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
    let mut info = json!({ "role": "assistant", "id": id, "sessionID": SESSION, "parentID": prompt, "time": { "created": 1, "completed": 2 },
        "agent": "build", "mode": "build", "providerID": "p", "modelID": "m", "path": { "cwd": "/", "root": "/" }, "cost": 0.0, "tokens": tokens });
    info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message(info, &id, parts)
}

/// A session in the making.
#[derive(Default)]
struct Story {
    messages: Vec<MessageWithParts>,
    running: Option<MessageId>,
    summaries: usize,
    calls: usize,
}

impl Story {
    fn happens(&mut self, what: &Happens) {
        let number = self.messages.len();
        match what {
            Happens::Prompt(bytes) => {
                let prompt = user(&format!("prompt {number} {}", "p".repeat(*bytes)), "running", None);
                self.running = Some(prompt.info.id().clone());
                self.messages.push(prompt);
            }
            Happens::Cancelled => self.messages.push(user(&format!("prompt {number} cancelled"), "cancelled", None)),
            Happens::Reminder => {
                let part =
                    json!({ "type": "text", "text": format!("reminder {number}"), "synthetic": true, "metadata": { REMINDER: true } });
                self.messages.push(user("", "running", Some(part)));
            }
            Happens::Answer(text, calls) => {
                let Some(prompt) = &self.running else { return };
                let mut parts = vec![
                    json!({ "type": "text", "text": if *text > 0 { format!("answer {number} {}", "a".repeat(*text)) } else { String::new() } }),
                ];
                for output in calls {
                    self.calls += 1;
                    let state = if output % 7 == 0 {
                        json!({ "status": "error", "input": {}, "error": "no", "time": { "start": 0, "end": 1 } })
                    } else {
                        json!({ "status": "completed", "input": { "n": number }, "output": "o".repeat(*output), "title": "", "metadata": {}, "time": { "start": 0, "end": 1 } })
                    };
                    parts.push(json!({ "type": "tool", "callID": format!("call_{}", self.calls), "tool": "read", "state": state }));
                }
                self.messages.push(answered(prompt, &json!({}), parts));
            }
            Happens::Failed(name) => {
                let Some(prompt) = &self.running else { return };
                let error = json!({ "error": { "name": name, "data": { "message": "failed" } } });
                self.messages.push(answered(prompt, &error, vec![json!({ "type": "text", "text": format!("failed {number}") })]));
            }
            Happens::FailedSummary => {
                let Some(prompt) = &self.running else { return };
                let more = json!({ "summary": true, "error": { "name": "MessageAbortedError", "data": { "message": "failed" } } });
                let parts = vec![json!({ "type": "compaction", "auto": true }), json!({ "type": "text", "text": "half a summary" })];
                self.messages.push(answered(prompt, &more, parts));
            }
            Happens::Summary { turns, tokens, asked } => self.summarise(Keep { turns: *turns, tokens: *tokens }, *asked),
        }
    }

    fn summarise(&mut self, keep: Keep, asked: bool) {
        if asked {
            // Only an idle session takes it.
            self.running = None;
        }
        let running = self.running.clone();
        if !asked && running.is_none() {
            return;
        }
        if asked {
            self.messages.push(user("", "running", Some(json!({ "type": "compaction", "auto": false }))));
        }
        let Some(plan) = plan(&self.messages, running.as_ref(), keep, &model()) else {
            assert!(!visible(&self.messages).messages.into_iter().any(is_said), "nothing is summarised though something was said");
            if asked {
                self.messages.pop();
            }
            return;
        };
        let before = visible(&self.messages);
        // The head is what was visible, up to the cut; the cut is before a prompt.
        let tail: Vec<&MessageWithParts> = match &plan.tail_start {
            None => Vec::new(),
            Some(start) => {
                let place = self.messages.iter().position(|message| message.info.id() == start).unwrap();
                assert!(is_prompt(&self.messages[place]), "the cut is not before a prompt");
                self.messages[place..].iter().filter(|message| !is_compaction(message)).collect()
            }
        };
        let head = plan.head.messages.iter().map(|message| message.info.id());
        let shown: Vec<&MessageId> = head.chain(tail.iter().map(|message| message.info.id())).collect();
        let expected: Vec<&MessageId> = before.messages.iter().map(|message| message.info.id()).collect();
        assert_eq!(shown, expected, "head and tail are what was visible, in order");
        for limit in [usize::MAX, 3000, 0] {
            let text = transcript(&plan.head, limit);
            assert!(text.len() <= limit.max(1000), "{} for {limit}", text.len());
            assert_eq!(text.contains("<earlier-summary>\nsummary "), plan.head.summary.is_some());
        }
        // What is kept is bounded; the prompt that waits comes in any case.
        let waits = tail.iter().rposition(|message| Some(message.info.id()) == running.as_ref());
        let waits = waits.filter(|place| !tail[*place..].iter().any(|message| is_said(message)));
        let kept: Vec<MessageWithParts> = tail[..waits.unwrap_or(tail.len())].iter().map(|message| (*message).clone()).collect();
        let size: u64 = to_model(&kept, &model()).iter().map(tokens).sum();
        assert!(size <= keep.tokens, "{size} of {} tokens are kept", keep.tokens);

        let kept_text: Vec<ModelMessage> = to_model(&tail.iter().map(|message| (*message).clone()).collect::<Vec<_>>(), &model());
        let (tail_start, begun) = (plan.tail_start.clone(), plan.tail_start.is_none() && running.is_some());
        self.summaries += 1;
        let mut parts = vec![json!({ "type": "text", "text": format!("summary {}", self.summaries) })];
        let parent = if asked {
            let request = self.messages.last_mut().unwrap();
            let Part::Compaction(part) = &mut request.parts[0] else { panic!() };
            part.tail_start_id = tail_start;
            request.info.id().clone()
        } else {
            parts.insert(0, json!({ "type": "compaction", "auto": true, "tailStartID": tail_start }));
            running.unwrap()
        };
        self.messages.push(answered(&parent, &json!({ "summary": true }), parts));
        // The tail is read as it was, after the summary.
        let after = to_model(&self.messages, &model());
        let ModelMessage::User(first) = &after[0] else { panic!("{after:?}") };
        let mut rest = after.clone();
        match (&mut rest[0], first.len()) {
            (ModelMessage::User(content), 2..) => drop(content.remove(0)),
            _ => drop(rest.remove(0)),
        }
        if begun {
            assert_eq!(rest.len(), 1, "the prompt alone: {rest:?}");
        } else {
            assert_eq!(rest, kept_text, "the tail is not what it was");
        }
    }

    /// What every service wants of a conversation, and what is wanted of a summary.
    fn check(&self) {
        let history = to_model(&self.messages, &model());
        let mut open: Vec<String> = Vec::new();
        let mut seen = 0;
        for (place, message) in history.iter().enumerate() {
            match message {
                ModelMessage::Assistant(content) => {
                    assert!(open.is_empty(), "calls without results: {open:?}");
                    let call = |piece: &AssistantContent| {
                        if let AssistantContent::ToolCall { call_id, .. } = piece { Some(call_id.clone()) } else { None }
                    };
                    open = content.iter().filter_map(call).collect();
                }
                ModelMessage::Tool(results) => {
                    let results: Vec<String> = results.iter().map(|result| result.call_id.clone()).collect();
                    assert_eq!(results, std::mem::take(&mut open), "results without their calls");
                    // In the order in which they were made.
                    for id in results {
                        let number: usize = id.strip_prefix("call_").unwrap().parse().unwrap();
                        assert!(number > seen, "call {number} after {seen}");
                        seen = number;
                    }
                }
                ModelMessage::User(content) => {
                    assert!(open.is_empty(), "calls without results: {open:?}");
                    assert!(place == 0 || !matches!(history[place - 1], ModelMessage::User(_)), "two user messages in a row");
                    let is_summary =
                        |piece: &&UserContent| matches!(piece, UserContent::Text(text) if text.starts_with("<conversation-summary>"));
                    let count = content.iter().filter(is_summary).count();
                    assert_eq!(count, usize::from(place == 0 && self.summaries > 0), "the summary is read once, first");
                }
            }
        }
        assert!(open.is_empty(), "calls without results: {open:?}");
        let text = serde_json::to_string(&history).unwrap();
        assert!(!text.contains("half a summary"), "{text}");
        if self.summaries > 0 {
            assert!(text.contains(&format!("summary {}\\n</conv", self.summaries)), "{text}");
        }
        // The prompt that is being answered is read exactly once.
        let Some(running) = &self.running else { return };
        let prompt = self.messages.iter().find(|message| message.info.id() == running).unwrap();
        let Part::Text(prompt) = &prompt.parts[0] else { panic!() };
        assert_eq!(text.matches(&json!(prompt.text).to_string()).count(), 1, "{prompt:?}");
    }
}

proptest! {
    #[test]
    fn what_is_sent_after_a_summary_is_valid(events in prop::collection::vec(happens(), 0..40)) {
        let mut story = Story::default();
        for event in &events {
            story.happens(event);
            story.check();
        }
    }
}
