//! Follows a prompt through its events: when its turn begins and ends, what it used, and its outcome. Pure.

use polytree_protocol::{
    events::EventPayload,
    id::{MessageId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageErrorName, PromptState, Tokens},
};

/// The state of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not stored yet.
    Sent,
    /// Queued behind the turn of another prompt.
    Queued,
    /// Its turn runs.
    Running,
    /// Its turn has ended, or it was removed from the queue.
    Ended,
    /// Its session was deleted.
    Deleted,
}

/// Follows one prompt.
#[derive(Debug)]
pub struct Follow {
    pub session: SessionId,
    pub prompt: MessageId,
    /// Its state.
    pub stage: Stage,
    asked: i64,
    answers: Vec<AssistantMessage>,
}

impl Follow {
    /// The initial state, before the prompt is sent.
    #[must_use]
    pub fn new(session: SessionId, prompt: MessageId) -> Self {
        Self { session, prompt, stage: Stage::Sent, asked: 0, answers: Vec::new() }
    }

    /// Processes an event. Events must be in order.
    pub fn note(&mut self, event: &EventPayload) {
        match event {
            EventPayload::MessageUpdated(updated) => match &updated.info {
                Message::User(message) if message.id == self.prompt && message.state == PromptState::Cancelled => self.stage = Stage::Ended,
                Message::User(message) if message.id == self.prompt && self.stage == Stage::Sent => {
                    self.stage = Stage::Running;
                    self.asked = message.time.created;
                }
                Message::Assistant(message) if message.parent_id == self.prompt => {
                    match self.answers.iter_mut().find(|known| known.id == message.id) {
                        Some(known) => *known = message.clone(),
                        None => self.answers.push(message.clone()),
                    }
                }
                _ => {}
            },
            EventPayload::SessionQueueUpdated(queue) if queue.session_id == self.session => match self.stage {
                // The event that it is queued is committed with the prompt, before any event of its turn.
                Stage::Running if queue.queue.contains(&self.prompt) && self.answers.is_empty() => self.stage = Stage::Queued,
                Stage::Queued if !queue.queue.contains(&self.prompt) => self.stage = Stage::Running,
                _ => {}
            },
            // One of these also ends each earlier turn.
            EventPayload::SessionIdle(idle) if idle.session_id == self.session && self.stage == Stage::Running => self.stage = Stage::Ended,
            EventPayload::SessionDeleted(deleted) if deleted.info.id == self.session => self.stage = Stage::Deleted,
            _ => {}
        }
    }

    /// Whether a message is an answer to the prompt, and not a summary of the conversation.
    #[must_use]
    pub fn is_answer(&self, message: &MessageId) -> bool {
        self.answers.iter().any(|answer| answer.id == *message && !answer.summary)
    }

    /// The last answer.
    #[must_use]
    pub fn last(&self) -> Option<&AssistantMessage> {
        self.answers.last()
    }

    /// The number of model calls.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.answers.len()
    }

    /// The error of the turn, without those of retried answers.
    #[must_use]
    pub fn error(&self) -> Option<&MessageError> {
        self.last()?.error.as_ref()
    }

    /// Whether the turn was aborted.
    #[must_use]
    pub fn was_aborted(&self) -> bool {
        self.error().is_some_and(|error| error.name == MessageErrorName::MessageAbortedError)
            || (self.stage == Stage::Ended && self.answers.is_empty())
    }

    /// The usage of the turn as a list of facts; `None` if no model was called.
    #[must_use]
    pub fn usage(&self) -> Option<Vec<String>> {
        let last = self.last()?;
        let mut words = vec![last.agent.clone(), format!("{}/{}", last.provider_id, last.model_id)];
        let tokens = self.tokens();
        let input = tokens.input + tokens.cache.read + tokens.cache.write;
        let output = tokens.output + tokens.reasoning;
        if input + output > 0 {
            let cached = if tokens.cache.read > 0 { format!(" ({} cached)", count(tokens.cache.read)) } else { String::new() };
            words.push(format!("{} tokens in{cached}, {} out", count(input), count(output)));
        }
        let cost: f64 = self.answers.iter().map(|answer| answer.cost).sum();
        if cost > 0.0 {
            words.push(format!("${cost:.4}"));
        }
        if let Some(end) = last.time.completed.filter(|_| self.asked > 0) {
            let tenths = (end - self.asked).max(0) / 100;
            words.push(format!("{}.{} s", tenths / 10, tenths % 10));
        }
        Some(words)
    }

    fn tokens(&self) -> Tokens {
        self.answers.iter().fold(Tokens::default(), |mut sum, answer| {
            sum.input += answer.tokens.input;
            sum.output += answer.tokens.output;
            sum.reasoning += answer.tokens.reasoning;
            sum.cache.read += answer.tokens.cache.read;
            sum.cache.write += answer.tokens.cache.write;
            sum
        })
    }
}

/// A number with separators: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
