//! The stream of a remote model in our terms. A stream ends with `Finish` or with an error: one that simply stops is
//! a broken connection, never a success.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use genai::chat::{ChatStream, ChatStreamEvent, StopReason};

use super::{
    definition::{Delta, Error, FinishReason},
    remote_calls::Calls,
    remote_error,
    remote_notes::Observer,
};

/// Deltas out of genai's events and what the observer noted beside them.
pub(super) struct DeltaStream {
    events: ChatStream,
    observer: Observer,
    /// The address as messages may name it.
    service: String,
    calls: Calls,
    ready: VecDeque<Result<Delta, Error>>,
    ended: bool,
}

impl DeltaStream {
    pub(super) fn new(events: ChatStream, observer: Observer, service: String) -> Self {
        Self { events, observer, service, calls: Calls::default(), ready: VecDeque::new(), ended: false }
    }

    fn take(&mut self, event: Option<genai::Result<ChatStreamEvent>>) {
        match event {
            Some(Ok(ChatStreamEvent::Chunk(chunk))) => {
                self.take_signatures();
                self.ready.push_back(Ok(Delta::Text(chunk.content)));
            }
            Some(Ok(ChatStreamEvent::ReasoningChunk(chunk))) => {
                self.take_signatures();
                self.ready.push_back(Ok(Delta::Reasoning(chunk.content)));
            }
            Some(Ok(ChatStreamEvent::ToolCallChunk(_))) => {
                self.take_signatures();
                self.take_fragments();
            }
            Some(Ok(ChatStreamEvent::Start | ChatStreamEvent::ThoughtSignatureChunk(_) | ChatStreamEvent::Heartbeat)) => {}
            Some(Ok(ChatStreamEvent::End(_))) => self.finish(),
            // The last marker may be missing, or the connection may break after all has been said.
            None if self.is_complete() => self.finish(),
            None => self.fail(remote_error::cut(&self.service)),
            Some(Err(error)) => match remote_error::translate(error, &self.service) {
                Error::Connection { .. } if self.is_complete() => self.finish(),
                error => self.fail(error),
            },
        }
    }

    fn is_complete(&self) -> bool {
        self.observer.notes().finish.is_some()
    }

    fn take_signatures(&mut self) {
        let signatures = std::mem::take(&mut self.observer.notes().signatures);
        self.ready.extend(signatures.into_iter().map(|signature| Ok(Delta::ReasoningSignature(signature))));
    }

    fn take_fragments(&mut self) {
        let fragments = std::mem::take(&mut self.observer.notes().fragments);
        for fragment in fragments {
            self.ready.extend(self.calls.add(fragment).map(Ok));
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        self.take_signatures();
        self.take_fragments();
        let has_calls = !self.calls.is_empty();
        self.ready.extend(self.calls.finish().into_iter().map(Ok));
        let (finish, tokens) = {
            let mut notes = self.observer.notes();
            (notes.finish.take(), notes.tokens)
        };
        self.ready.push_back(Ok(Delta::Finish { reason: finish_reason(finish, has_calls), tokens }));
    }

    fn fail(&mut self, error: Error) {
        self.ended = true;
        self.ready.push_back(Err(error));
    }
}

/// What the service's word means. Some services say `stop` after calls, and some announce calls that never came.
fn finish_reason(word: Option<String>, has_calls: bool) -> FinishReason {
    let reason = match word.map(StopReason::from) {
        Some(StopReason::Completed(_) | StopReason::StopSequence(_)) => FinishReason::Stop,
        Some(StopReason::ToolCall(_)) => FinishReason::ToolCalls,
        Some(StopReason::MaxTokens(_)) => FinishReason::Length,
        Some(StopReason::ContentFilter(_)) => FinishReason::ContentFilter,
        Some(StopReason::Other(_)) | None => FinishReason::Other,
    };
    match reason {
        FinishReason::Stop | FinishReason::Other if has_calls => FinishReason::ToolCalls,
        FinishReason::ToolCalls if !has_calls => FinishReason::Stop,
        reason => reason,
    }
}

impl Stream for DeltaStream {
    type Item = Result<Delta, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(delta) = this.ready.pop_front() {
                return Poll::Ready(Some(delta));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.events).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(event) => this.take(event),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        let reason = |word: &str, has_calls| finish_reason(Some(word.to_owned()), has_calls).word();
        for (word, has_calls, expected) in [
            ("stop", false, "stop"),
            ("end_turn", false, "stop"),
            ("stop_sequence", false, "stop"),
            ("stop", true, "tool-calls"),
            ("tool_use", true, "tool-calls"),
            ("tool_calls", false, "stop"),
            ("length", true, "length"),
            ("max_tokens", false, "length"),
            ("model_context_window_exceeded", false, "length"),
            ("content_filter", false, "content-filter"),
            ("refusal", false, "content-filter"),
            ("pause_turn", false, "other"),
        ] {
            assert_eq!(reason(word, has_calls), expected, "{word}");
        }
        assert_eq!(finish_reason(None, false), FinishReason::Other);
        assert_eq!(finish_reason(None, true), FinishReason::ToolCalls);
    }
}
