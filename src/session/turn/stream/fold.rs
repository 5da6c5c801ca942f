//! Deltas of a model become parts. Pure: no clock, no store; what comes out says what to write and to announce.

use polytree_protocol::{
    id::{MessageId, PartId, SessionId},
    part::{Part, ReasoningPart, Span, TextPart, ToolPart, ToolPending, ToolState},
};
use serde_json::{Value, json};

use crate::provider::definition::Delta;

/// A change of the message's parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The whole part, new or in a new state.
    Put(Part),
    /// What is appended to a part: to its `text`, or to `raw` of a call.
    Append { id: PartId, field: &'static str, text: String },
    /// The end of a part whose text was too long to keep in memory: the store has what was appended.
    End { part: Part, bytes: usize },
}

/// The longest text of a part that is kept in memory.
const MAX_HELD_BYTES: usize = 512 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub part_id: PartId,
    /// The provider's id of the call.
    pub call_id: String,
    pub name: String,
    /// The arguments as the model wrote them.
    pub arguments: String,
    /// What the provider wants back with the call.
    pub metadata: Option<Value>,
}

pub struct Fold {
    session_id: SessionId,
    message_id: MessageId,
    open: Option<Part>,
    /// How long the text of the open part is.
    length: usize,
    started: Vec<(String, String, PartId)>,
    /// Clients have seen something of the answer.
    pub has_spoken: bool,
    /// The model has written text other than white space.
    pub has_text: bool,
    pub calls: Vec<Call>,
    next_id: fn() -> PartId,
}

impl Fold {
    /// An empty answer; `next_id` makes the parts' ids.
    pub fn new(session_id: SessionId, message_id: MessageId, next_id: fn() -> PartId) -> Self {
        Self {
            session_id,
            message_id,
            open: None,
            length: 0,
            started: Vec::new(),
            has_spoken: false,
            has_text: false,
            calls: Vec::new(),
            next_id,
        }
    }

    /// Takes the next delta at the time `now`. `Finish` changes nothing here.
    pub fn push(&mut self, delta: Delta, now: i64, out: &mut Vec<Change>) {
        self.has_spoken |= !matches!(&delta, Delta::Finish { .. });
        self.has_text |= matches!(&delta, Delta::Text(text) if !text.trim_start().is_empty());
        match delta {
            Delta::Text(text) if text.is_empty() => {}
            Delta::Text(text) => {
                if !matches!(self.open, Some(Part::Text(_))) {
                    self.close(now, out);
                    let time = Some(Span { start: now, end: None });
                    let part = TextPart {
                        id: (self.next_id)(),
                        session_id: self.session_id.clone(),
                        message_id: self.message_id.clone(),
                        text: String::new(),
                        synthetic: false,
                        time,
                        metadata: None,
                    };
                    out.push(Change::Put(Part::Text(part.clone())));
                    self.open = Some(Part::Text(part));
                }
                self.append(text, out);
            }
            Delta::Reasoning(text) if text.is_empty() => {}
            Delta::Reasoning(text) => {
                self.open_reasoning(now, out);
                self.append(text, out);
            }
            Delta::ReasoningSignature(signature) => {
                self.open_reasoning(now, out);
                if let Some(Part::Reasoning(part)) = &mut self.open {
                    part.metadata = Some(json!({ "signature": signature }));
                }
                // A signature ends its reasoning: what follows is a new part with its own.
                self.close(now, out);
            }
            Delta::ToolCallStart { call_id, name } => {
                self.close(now, out);
                self.start_call(&call_id, &name, String::new(), None, out);
            }
            Delta::ToolCallArguments { call_id, text } => {
                if let Some((.., id)) = self.started.iter().find(|(known, ..)| *known == call_id) {
                    push_append(out, id.clone(), "raw", text);
                }
            }
            Delta::ToolCallDone { call_id, name, arguments, metadata } => {
                self.close(now, out);
                let part_id = self.start_call(&call_id, &name, arguments.clone(), metadata.clone(), out);
                self.calls.push(Call { part_id, call_id, name, arguments, metadata });
            }
            Delta::Finish { .. } => {}
        }
    }

    /// Ends the open text or reasoning part, exactly as it came.
    pub fn close(&mut self, now: i64, out: &mut Vec<Change>) {
        let Some(mut part) = self.open.take() else { return };
        match &mut part {
            Part::Text(text) => text.time = text.time.map(|time| Span { end: Some(now), ..time }),
            Part::Reasoning(reasoning) => reasoning.time.end = Some(now),
            _ => {}
        }
        let bytes = std::mem::take(&mut self.length);
        out.push(if bytes > MAX_HELD_BYTES { Change::End { part, bytes } } else { Change::Put(part) });
    }

    /// The calls that were begun: the provider's id, the tool, the part, the arguments as far as they came complete.
    pub fn started(&self) -> impl Iterator<Item = (&str, &str, &PartId, &str)> {
        self.started.iter().map(|(call_id, name, part)| {
            let arguments = self.calls.iter().find(|call| call.call_id == *call_id).map_or("", |call| call.arguments.as_str());
            (call_id.as_str(), name.as_str(), part, arguments)
        })
    }

    fn open_reasoning(&mut self, now: i64, out: &mut Vec<Change>) {
        if matches!(self.open, Some(Part::Reasoning(_))) {
            return;
        }
        self.close(now, out);
        let time = Span { start: now, end: None };
        let part = ReasoningPart {
            id: (self.next_id)(),
            session_id: self.session_id.clone(),
            message_id: self.message_id.clone(),
            text: String::new(),
            metadata: None,
            time,
        };
        out.push(Change::Put(Part::Reasoning(part.clone())));
        self.open = Some(Part::Reasoning(part));
    }

    fn append(&mut self, text: String, out: &mut Vec<Change>) {
        let (id, held) = match &mut self.open {
            Some(Part::Text(part)) => (part.id.clone(), &mut part.text),
            Some(Part::Reasoning(part)) => (part.id.clone(), &mut part.text),
            _ => return,
        };
        self.length += text.len();
        if self.length > MAX_HELD_BYTES {
            *held = String::new();
        } else {
            held.push_str(&text);
        }
        push_append(out, id, "text", text);
    }

    fn start_call(&mut self, call_id: &str, name: &str, raw: String, metadata: Option<Value>, out: &mut Vec<Change>) -> PartId {
        let known = self.started.iter().find(|(id, ..)| id == call_id).map(|(.., part)| part.clone());
        let id = known.unwrap_or_else(|| {
            let id = (self.next_id)();
            self.started.push((call_id.to_owned(), name.to_owned(), id.clone()));
            id
        });
        let input = serde_json::from_str(&raw).unwrap_or_default();
        out.push(Change::Put(Part::Tool(ToolPart {
            id: id.clone(),
            session_id: self.session_id.clone(),
            message_id: self.message_id.clone(),
            call_id: call_id.to_owned(),
            tool: name.to_owned(),
            subject: None,
            state: ToolState::Pending(ToolPending { input, raw }),
            metadata,
        })));
        id
    }
}

/// Deltas that arrived together are sent together.
fn push_append(out: &mut Vec<Change>, id: PartId, field: &'static str, text: String) {
    if let Some(Change::Append { id: last, text: so_far, .. }) = out.last_mut()
        && *last == id
    {
        so_far.push_str(&text);
        return;
    }
    out.push(Change::Append { id, field, text });
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::provider::definition::Delta::{Reasoning, ReasoningSignature, Text, ToolCallDone, ToolCallStart};

    fn check(deltas: Vec<Delta>, expected: &Expect) {
        let mut fold = Fold::new(SessionId::default(), MessageId::default(), || PartId::from_ulid(crate::stdx::ids::next()));
        let mut out = Vec::new();
        for (now, delta) in deltas.into_iter().enumerate() {
            fold.push(delta, i64::try_from(now).unwrap(), &mut out);
        }
        fold.close(99, &mut out);
        let mut ids = Vec::new();
        let lines: Vec<String> = out
            .iter()
            .map(|change| {
                let (id, text) = match change {
                    Change::Put(Part::Text(part)) => (&part.id, format!("text {:?} {:?}", part.text, part.time.unwrap())),
                    Change::Put(Part::Reasoning(part)) => {
                        (&part.id, format!("reasoning {:?} {:?} {:?}", part.text, part.metadata, part.time))
                    }
                    Change::Put(Part::Tool(part)) => (&part.id, format!("tool {} {} {:?}", part.call_id, part.tool, part.state)),
                    Change::Put(other) => (other.id(), format!("{other:?}")),
                    Change::Append { id, field: "text", text } => (id, format!("+ {text:?}")),
                    Change::Append { id, field, text } => (id, format!("+ {field} {text:?}")),
                    Change::End { part, bytes } => (part.id(), format!("end after {bytes} bytes")),
                };
                let number = ids.iter().position(|known| known == id).unwrap_or_else(|| {
                    ids.push(id.clone());
                    ids.len() - 1
                });
                format!("{number} {text}\n")
            })
            .collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn text_is_kept_exactly_and_appended_in_groups() {
        check(
            vec![Text(" a".into()), Text(String::new()), Text("b \n".into())],
            &expect![[r#"
                0 text "" Span { start: 0, end: None }
                0 + " ab \n"
                0 text " ab \n" Span { start: 0, end: Some(99) }
            "#]],
        );
    }

    #[test]
    fn thinking_then_two_calls() {
        check(
            vec![
                Reasoning("hm".into()),
                ReasoningSignature("sig".into()),
                ToolCallStart { call_id: "a".into(), name: "read".into() },
                ToolCallDone { call_id: "a".into(), name: "read".into(), arguments: r#"{"filePath":"x"}"#.into(), metadata: None },
                ToolCallDone { call_id: "b".into(), name: "list".into(), arguments: "{bro".into(), metadata: None },
            ],
            &expect![[r#"
                0 reasoning "" None Span { start: 0, end: None }
                0 + "hm"
                0 reasoning "hm" Some(Object {"signature": String("sig")}) Span { start: 0, end: Some(1) }
                1 tool a read Pending(ToolPending { input: {}, raw: "" })
                1 tool a read Pending(ToolPending { input: {"filePath": String("x")}, raw: "{\"filePath\":\"x\"}" })
                2 tool b list Pending(ToolPending { input: {}, raw: "{bro" })
            "#]],
        );
    }

    #[test]
    fn arguments_are_appended_while_they_are_written() {
        let arguments = |id: &str, text: &str| Delta::ToolCallArguments { call_id: id.into(), text: text.into() };
        check(
            vec![
                arguments("unknown", "x"),
                ToolCallStart { call_id: "a".into(), name: "read".into() },
                arguments("a", "{\"file"),
                arguments("a", "Path\""),
                ToolCallStart { call_id: "b".into(), name: "list".into() },
                arguments("b", "{}"),
                arguments("a", ":1}"),
                ToolCallDone { call_id: "a".into(), name: "read".into(), arguments: r#"{"filePath":1}"#.into(), metadata: None },
            ],
            &expect![[r#"
                0 tool a read Pending(ToolPending { input: {}, raw: "" })
                0 + raw "{\"filePath\""
                1 tool b list Pending(ToolPending { input: {}, raw: "" })
                1 + raw "{}"
                0 + raw ":1}"
                0 tool a read Pending(ToolPending { input: {"filePath": Number(1)}, raw: "{\"filePath\":1}" })
            "#]],
        );
    }

    #[test]
    fn a_long_text_is_not_held() {
        let mut fold = Fold::new(SessionId::default(), MessageId::default(), || PartId::from_ulid(crate::stdx::ids::next()));
        let mut out = Vec::new();
        for delta in [Text("x".repeat(MAX_HELD_BYTES)), Text("y".into()), Reasoning("short".into())] {
            fold.push(delta, 1, &mut out);
        }
        fold.close(2, &mut out);
        let Change::End { part: Part::Text(part), bytes } = &out[2] else { panic!("{:?}", out[2]) };
        assert_eq!((part.text.as_str(), *bytes), ("", MAX_HELD_BYTES + 1));
        assert!(part.time.unwrap().end.is_some());
        assert!(matches!(&out[5], Change::Put(Part::Reasoning(part)) if part.text == "short"), "{:?}", out[5]);
    }
}
