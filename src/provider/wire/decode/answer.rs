//! The answer that decoders of all protocols build: deltas in the model's order, assembled calls, the usage, and the
//! finish reason. Pure.

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

/// An answer that is being decoded.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    ready: VecDeque<Delta>,
    /// The kind of the last text, and the state to continue it.
    channel: Channel,
    joiner: Joiner,
    calls: Calls,
    /// The bytes that decoders keep.
    kept: usize,
    choice: Option<u64>,
    reason: Option<FinishReason>,
    /// Content came together with the finish reason or after it.
    doubtful: bool,
    refused: bool,
    has_content: bool,
    /// Counts the pieces of the answer.
    progress: u64,
    /// JSON that is an error if nothing follows it.
    suspect: Option<Value>,
    /// The usage so far.
    pub(crate) tokens: Tokens,
}

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

    /// Ends the current block of thinking with its signature.
    pub(crate) fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.end_text();
            self.has_content = true;
            self.progress += 1;
            self.ready.push_back(Delta::ReasoningSignature(signature));
        }
    }

    /// Adds a refusal: text, and the finish reason.
    pub(crate) fn refusal(&mut self, text: Text) {
        self.refused |= !text.is_empty();
        self.text(text);
    }

    /// Adds a fragment of a call.
    pub(crate) fn fragment(&mut self, fragment: Fragment) {
        self.end_text();
        self.has_content = true;
        self.progress += u64::from(fragment != Fragment { index: fragment.index, ..Fragment::default() });
        self.ready.extend(self.calls.add(fragment));
    }

    /// Adds a complete call.
    pub(crate) fn call(&mut self, id: Option<String>, name: String, arguments: String, metadata: Option<Value>) {
        self.end_text();
        self.has_content = true;
        self.progress += 1;
        self.ready.push_back(self.calls.add_whole(id, name, arguments, metadata));
    }

    /// Ends the current text: half a character at its end becomes U+FFFD.
    pub(crate) fn end_text(&mut self) {
        self.ready.extend(self.joiner.rest().map(|half| self.channel.delta(half.to_string())));
    }

    /// Counts bytes that a decoder keeps.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.kept += bytes;
    }

    /// Whether the kept data exceeds the limit of an answer. Text is passed on and not kept.
    pub(crate) fn is_too_long(&self) -> bool {
        self.kept + self.calls.length() > MAX_ANSWER
    }

    /// Whether a choice with this index is read: only one is requested, and the first one to arrive is used.
    pub(crate) fn is_selected_choice(&mut self, choice: Option<u64>) -> bool {
        choice.is_none_or(|choice| *self.choice.get_or_insert(choice) == choice)
    }

    /// Sets the finish reason.
    pub(crate) fn set_reason(&mut self, reason: FinishReason) {
        self.progress += u64::from(self.reason.is_none());
        self.reason = Some(reason);
    }

    /// Whether there is a finish reason; then only the usage may be missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.reason.is_some()
    }

    /// Records that content came with the finish reason or after it: there may be more, as some services send a reason
    /// in every chunk.
    pub(crate) fn mark_end_uncertain(&mut self) {
        self.doubtful = true;
    }

    /// Whether more content may follow the finish reason.
    pub(crate) fn is_end_uncertain(&self) -> bool {
        self.doubtful
    }

    /// Whether there is any text or call.
    pub(crate) fn has_content(&self) -> bool {
        self.has_content
    }

    /// Stores JSON that is an error if nothing follows it.
    pub(crate) fn set_suspect(&mut self, value: Value) {
        self.suspect = Some(value);
    }

    /// The suspected error of an answer without content.
    pub(crate) fn take_suspect(&mut self) -> Option<Value> {
        self.suspect.take().filter(|_| !self.has_content)
    }

    /// Grows with each piece of the answer; pings and empty deltas do not count.
    pub(crate) fn progress(&self) -> u64 {
        self.progress + self.kept as u64
    }

    pub(crate) fn pop(&mut self) -> Option<Delta> {
        self.ready.pop_front()
    }

    /// Completes the answer.
    pub(crate) fn finish(&mut self) {
        self.end_text();
        let calls = self.calls.finish();
        let has_calls = !calls.is_empty();
        self.ready.extend(calls);
        // Some services send `stop` after calls, and some announce calls that never arrive.
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

/// Parses the finish reason of any protocol.
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
            answer.set_reason(reason(word));
            answer.finish();
            let last = std::iter::from_fn(|| answer.pop()).last();
            assert!(matches!(last, Some(Delta::Finish { reason, .. }) if reason.word() == expected), "{word}: {last:?}");
        }
    }

    #[test]
    fn a_refusal_is_text_and_a_reason() {
        let mut answer = Answer::default();
        answer.refusal("I cannot".to_owned().into());
        answer.set_reason(FinishReason::Stop);
        answer.finish();
        assert_eq!(answer.pop(), Some(Delta::Text("I cannot".to_owned())));
        assert_eq!(answer.pop(), Some(Delta::Finish { reason: FinishReason::ContentFilter, tokens: Tokens::default() }));
    }
}
