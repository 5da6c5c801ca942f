//! What the decoders of all protocols write into: deltas in the model's order, with calls put together, the usage so
//! far, and why the answer ended. Pure.

use std::collections::VecDeque;

use polytree_protocol::message::Tokens;
use serde_json::Value;

use crate::provider::{
    definition::{Delta, FinishReason, MAX_ANSWER},
    wire::decode::{
        calls::{Calls, Fragment},
        text::{Joiner, Text},
    },
};

/// An answer in the making.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    ready: VecDeque<Delta>,
    /// The kind of text that came last, and what it may go on with.
    channel: Channel,
    joiner: Joiner,
    calls: Calls,
    /// How much decoders keep, in bytes.
    kept: usize,
    choice: Option<u64>,
    reason: Option<FinishReason>,
    /// Content has come together with the reason or after it.
    doubtful: bool,
    refused: bool,
    has_content: bool,
    /// How often something has come that belongs to the answer.
    progress: u64,
    /// What is an error if nothing follows it.
    suspect: Option<Value>,
    /// The usage so far.
    pub(crate) tokens: Tokens,
}

/// Kinds of text.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Channel {
    #[default]
    Text,
    Reasoning,
}

impl Channel {
    fn delta(self, text: String) -> Delta {
        match self {
            Self::Text => Delta::Text(text),
            Self::Reasoning => Delta::Reasoning(text),
        }
    }
}

impl Answer {
    pub(crate) fn text(&mut self, text: Text) {
        self.push_text(Channel::Text, text);
    }

    pub(crate) fn reasoning(&mut self, text: Text) {
        self.push_text(Channel::Reasoning, text);
    }

    /// The signature of the thinking so far.
    pub(crate) fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.end_text();
            self.has_content = true;
            self.progress += 1;
            self.ready.push_back(Delta::ReasoningSignature(signature));
        }
    }

    /// More of what the model says instead of an answer: text, and the reason for the end.
    pub(crate) fn refusal(&mut self, text: Text) {
        self.refused |= !text.is_empty();
        self.text(text);
    }

    /// A piece of a call.
    pub(crate) fn fragment(&mut self, fragment: Fragment) {
        self.end_text();
        self.has_content = true;
        self.progress += u64::from(fragment != Fragment { index: fragment.index, ..Fragment::default() });
        self.ready.extend(self.calls.add(fragment));
    }

    /// A call that came as a whole.
    pub(crate) fn call(&mut self, id: Option<String>, name: String, arguments: String, metadata: Option<Value>) {
        self.end_text();
        self.has_content = true;
        self.progress += 1;
        self.ready.push_back(self.calls.add_whole(id, name, arguments, metadata));
    }

    /// The text so far is complete: half a character at its end becomes U+FFFD.
    pub(crate) fn end_text(&mut self) {
        self.ready.extend(self.joiner.rest().map(|half| self.channel.delta(half.to_string())));
    }

    /// Counts bytes that a decoder keeps until the answer's end at the latest.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.kept += bytes;
    }

    /// Whether what is kept is longer than an answer may be. Text is handed on and not kept.
    pub(crate) fn is_too_long(&self) -> bool {
        self.kept + self.calls.length() > MAX_ANSWER
    }

    /// Whether a choice of this number is the one that is read: only one is ever asked for, and the first to come is taken.
    pub(crate) fn is_the_choice(&mut self, choice: Option<u64>) -> bool {
        choice.is_none_or(|choice| *self.choice.get_or_insert(choice) == choice)
    }

    /// The service has said why the answer ends.
    pub(crate) fn ends(&mut self, reason: FinishReason) {
        self.progress += u64::from(self.reason.is_none());
        self.reason = Some(reason);
    }

    /// Whether the service has said why the answer ends: then nothing is missing but perhaps the usage.
    pub(crate) fn is_complete(&self) -> bool {
        self.reason.is_some()
    }

    /// Content has come together with the reason for the end or after it: there may be more, as some services name a
    /// reason in every chunk.
    pub(crate) fn doubt_the_end(&mut self) {
        self.doubtful = true;
    }

    /// Whether more may come after the reason for the end.
    pub(crate) fn is_end_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Whether the model has said anything.
    pub(crate) fn has_content(&self) -> bool {
        self.has_content
    }

    /// Something has come that is an error if nothing follows it.
    pub(crate) fn suspect(&mut self, value: Value) {
        self.suspect = Some(value);
    }

    /// The error of an answer that has not begun.
    pub(crate) fn suspected(&mut self) -> Option<Value> {
        self.suspect.take().filter(|_| !self.has_content)
    }

    /// A number that grows with all that belongs to the answer; pings and empty deltas leave it as it is.
    pub(crate) fn progress(&self) -> u64 {
        self.progress + self.kept as u64
    }

    pub(crate) fn pop(&mut self) -> Option<Delta> {
        self.ready.pop_front()
    }

    /// The answer has ended well.
    pub(crate) fn finish(&mut self) {
        self.end_text();
        let calls = self.calls.finish();
        let has_calls = !calls.is_empty();
        self.ready.extend(calls);
        // Some services say `stop` after calls, and some announce calls that never came.
        let reason = match self.reason.unwrap_or(FinishReason::Other) {
            FinishReason::Stop | FinishReason::Other if has_calls => FinishReason::ToolCalls,
            FinishReason::Stop | FinishReason::Other if self.refused => FinishReason::ContentFilter,
            FinishReason::ToolCalls if !has_calls => FinishReason::Stop,
            reason => reason,
        };
        self.ready.push_back(Delta::Finish { reason, tokens: self.tokens });
    }

    fn push_text(&mut self, channel: Channel, text: Text) {
        if text.is_empty() {
            return;
        }
        self.has_content = true;
        if channel != self.channel {
            self.end_text();
            self.channel = channel;
        }
        let text = self.joiner.join(text);
        if !text.is_empty() {
            self.progress += 1;
            self.ready.push_back(channel.delta(text));
        }
    }
}

/// The meaning of a service's word for the end of an answer, in any protocol and spelling.
pub(crate) fn reason(word: &str) -> FinishReason {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "end_turn" | "stop_sequence" | "completed" | "complete" | "eos" | "eos_token" => FinishReason::Stop,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => FinishReason::ToolCalls,
        "length" | "max_tokens" | "max_output_tokens" | "max_length" | "model_length" | "model_context_window_exceeded" => {
            FinishReason::Length
        }
        "content_filter"
        | "content-filter"
        | "refusal"
        | "sensitive"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "image_safety"
        | "image_prohibited_content"
        | "language"
        | "model_armor"
        | "guardrail_intervened" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (word, has_calls, expected) in [
            ("stop", false, "stop"),
            ("end_turn", false, "stop"),
            ("stop_sequence", false, "stop"),
            ("STOP", true, "tool-calls"),
            ("tool_use", true, "tool-calls"),
            ("tool_calls", false, "stop"),
            ("length", true, "length"),
            ("MAX_TOKENS", false, "length"),
            ("model_context_window_exceeded", false, "length"),
            ("content_filter", false, "content-filter"),
            ("refusal", false, "content-filter"),
            ("SAFETY", false, "content-filter"),
            ("pause_turn", false, "other"),
        ] {
            let mut answer = Answer::default();
            if has_calls {
                answer.call(None, "read".to_owned(), "{}".to_owned(), None);
            }
            answer.ends(reason(word));
            answer.finish();
            let last = std::iter::from_fn(|| answer.pop()).last();
            assert!(matches!(last, Some(Delta::Finish { reason, .. }) if reason.word() == expected), "{word}: {last:?}");
        }
    }

    #[test]
    fn a_refusal_is_text_and_a_reason() {
        let mut answer = Answer::default();
        answer.refusal("I cannot".to_owned().into());
        answer.ends(FinishReason::Stop);
        answer.finish();
        assert_eq!(answer.pop(), Some(Delta::Text("I cannot".to_owned())));
        assert_eq!(answer.pop(), Some(Delta::Finish { reason: FinishReason::ContentFilter, tokens: Tokens::default() }));
    }
}
