//! What the decoders of all protocols write into: deltas in the model's order, with calls put together, the usage so
//! far, and why the answer ended. Pure.

use std::collections::VecDeque;

use polytree_protocol::message::Tokens;
use serde_json::Value;

use super::{
    definition::{Delta, FinishReason},
    remote_calls::{Calls, Fragment},
};

/// An answer in the making.
#[derive(Debug, Default)]
pub(super) struct Answer {
    ready: VecDeque<Delta>,
    calls: Calls,
    reason: Option<FinishReason>,
    refused: bool,
    spoke: bool,
    /// How often something has come that belongs to the answer.
    progress: u64,
    /// The usage so far.
    pub(super) tokens: Tokens,
}

impl Answer {
    /// More text.
    pub(super) fn text(&mut self, text: String) {
        self.push(text, Delta::Text);
    }

    /// More thinking.
    pub(super) fn reasoning(&mut self, text: String) {
        self.push(text, Delta::Reasoning);
    }

    /// The signature of the thinking so far.
    pub(super) fn signature(&mut self, signature: String) {
        self.push(signature, Delta::ReasoningSignature);
    }

    /// More of what the model says instead of an answer: text, and the reason for the end.
    pub(super) fn refusal(&mut self, text: String) {
        self.refused = true;
        self.push(text, Delta::Text);
    }

    /// A piece of a call.
    pub(super) fn fragment(&mut self, fragment: Fragment) {
        self.spoke = true;
        self.progress += u64::from(fragment != Fragment { index: fragment.index, ..Fragment::default() });
        self.ready.extend(self.calls.add(fragment));
    }

    /// A call that came as a whole.
    pub(super) fn call(&mut self, id: Option<String>, name: String, arguments: String, metadata: Option<Value>) {
        self.spoke = true;
        self.progress += 1;
        self.ready.push_back(self.calls.add_whole(id, name, arguments, metadata));
    }

    /// The service has said why the answer ends.
    pub(super) fn ends(&mut self, reason: FinishReason) {
        self.progress += u64::from(self.reason.is_none());
        self.reason = Some(reason);
    }

    /// Whether the service has said why the answer ends: then nothing is missing but perhaps the usage.
    pub(super) fn is_complete(&self) -> bool {
        self.reason.is_some()
    }

    /// Whether the model has said anything.
    pub(super) fn has_spoken(&self) -> bool {
        self.spoke
    }

    /// A number that grows with all that belongs to the answer; pings and empty deltas leave it as it is.
    pub(super) fn progress(&self) -> u64 {
        self.progress
    }

    /// The next delta.
    pub(super) fn pop(&mut self) -> Option<Delta> {
        self.ready.pop_front()
    }

    /// The answer has ended well.
    pub(super) fn finish(&mut self) {
        let has_calls = !self.calls.is_empty();
        self.ready.extend(self.calls.finish());
        // Some services say `stop` after calls, and some announce calls that never came.
        let reason = match self.reason.unwrap_or(FinishReason::Other) {
            FinishReason::Stop | FinishReason::Other if has_calls => FinishReason::ToolCalls,
            FinishReason::Stop | FinishReason::Other if self.refused => FinishReason::ContentFilter,
            FinishReason::ToolCalls if !has_calls => FinishReason::Stop,
            reason => reason,
        };
        self.ready.push_back(Delta::Finish { reason, tokens: self.tokens });
    }

    fn push(&mut self, text: String, delta: impl FnOnce(String) -> Delta) {
        if !text.is_empty() {
            self.spoke = true;
            self.progress += 1;
            self.ready.push_back(delta(text));
        }
    }
}

/// What a service's word for the end of an answer means, in whatever protocol and spelling.
pub(super) fn reason(word: &str) -> FinishReason {
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
        answer.refusal("I cannot".to_owned());
        answer.ends(FinishReason::Stop);
        answer.finish();
        assert_eq!(answer.pop(), Some(Delta::Text("I cannot".to_owned())));
        assert_eq!(answer.pop(), Some(Delta::Finish { reason: FinishReason::ContentFilter, tokens: Tokens::default() }));
    }
}
