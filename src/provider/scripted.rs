//! A provider that plays a script, for tests, demos and recordings. Each request takes the next answer of the script;
//! requests without tools (titles, summaries) have separate answers, so that they do not affect the others.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use polytree_protocol::message::Tokens;
use serde::Deserialize;
use serde_json::Value;

use crate::provider::definition::{Delta, Error, FinishReason, ModelRequest, Provider};

/// The answer to requests without tools if the script has none.
const DEFAULT_TEXT: &str = "Scripted session";

/// Answers in order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// For requests with tools: one list of steps per request.
    pub(crate) calls: Vec<Vec<Step>>,
    /// For requests without tools; after them a fixed text.
    #[serde(default)]
    pub(crate) others: Vec<Vec<Step>>,
}

impl Script {
    /// A script for requests with tools.
    #[cfg(test)]
    pub(crate) fn new(calls: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self { calls: calls.into_iter().collect(), others: Vec::new() }
    }

    /// Parses a script: `{"calls": [[{"type": "text", "text": "Hello"}, ...], ...], "others": [...]}`.`{"calls":
    /// [[{"type": "text", "text": "Hello"}, ...], ...], "others": [...]}`.
    ///
    /// # Errors
    /// When the JSON is invalid; the message has line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// A step of an answer. Without `finish` or `error` at its end, an answer finishes with a suitable reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Step {
    /// Text, in one delta.
    Text {
        text: String,
    },
    /// Text, one delta for each word.
    Words {
        text: String,
    },
    Reasoning {
        text: String,
        #[serde(default)]
        signature: Option<String>,
    },
    Tool {
        name: String,
        /// A string is passed on unchanged, so that it may be invalid JSON.
        input: Value,
        /// Generated if absent.
        #[serde(default)]
        call_id: Option<String>,
    },
    Wait {
        milliseconds: u64,
    },
    /// Only for tests in Rust; files use `fail`.
    #[serde(skip)]
    Error(Error),
    /// An HTTP error status.
    Fail {
        status: u16,
        message: String,
        /// In milliseconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    Finish {
        /// `stop`, `tool-calls`, `length`, `content-filter` or `other`.
        reason: String,
        #[serde(default)]
        tokens: Tokens,
    },
}

impl Step {
    /// Text in one delta.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

#[derive(Default)]
struct State {
    calls: VecDeque<Vec<Step>>,
    others: VecDeque<Vec<Step>>,
}

#[derive(Default)]
pub(crate) struct Scripted {
    // Never held across an await.
    state: Mutex<State>,
}

impl Scripted {
    pub(crate) fn new(script: Script) -> Self {
        let state = State { calls: script.calls.into(), others: script.others.into() };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, has_tools: bool) -> Vec<Step> {
        let mut state = self.state();
        if has_tools {
            let exhausted = Error::Stream { message: "the script has no further answer".to_owned(), retryable: false };
            state.calls.pop_front().unwrap_or_else(|| vec![Step::Error(exhausted)])
        } else {
            state.others.pop_front().unwrap_or_else(|| vec![Step::text(DEFAULT_TEXT)])
        }
    }
}

impl Provider for Scripted {
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        let play = |play| async {
            match play {
                Play::Item(item) => return Some(item),
                Play::Wait(time) => tokio::time::sleep(time).await,
            }
            None
        };
        stream::iter(plays(self.next(!request.tools.is_empty()))).filter_map(play).boxed()
    }
}

enum Play {
    Item(Result<Delta, Error>),
    Wait(Duration),
}

/// Converts steps to actions. Calls are complete only at the end of the answer, as with any service.
fn plays(steps: Vec<Step>) -> Vec<Play> {
    let mut plays = Vec::new();
    let mut complete_calls = Vec::new();
    let item = |delta| Play::Item(Ok(delta));
    for step in steps {
        match step {
            Step::Text { text } => plays.push(item(Delta::Text(text))),
            Step::Words { text } => plays.extend(text.split_inclusive(' ').map(|word| item(Delta::Text(word.to_owned())))),
            Step::Reasoning { text, signature } => {
                plays.push(item(Delta::Reasoning(text)));
                plays.extend(signature.map(|signature| item(Delta::ReasoningSignature(signature))));
            }
            Step::Tool { name, input, call_id } => {
                let call_id = call_id.unwrap_or_else(|| format!("call_{}", ulid::Ulid::generate()));
                let arguments = input.as_str().map_or_else(|| input.to_string(), ToOwned::to_owned);
                plays.push(item(Delta::ToolCallStart { call_id: call_id.clone(), name: name.clone() }));
                complete_calls.push(item(Delta::ToolCallDone { call_id, name, arguments, metadata: None }));
            }
            Step::Wait { milliseconds } => plays.push(Play::Wait(Duration::from_millis(milliseconds))),
            Step::Error(error) => {
                plays.push(Play::Item(Err(error)));
                return plays;
            }
            Step::Fail { status, message, retry_after } => {
                plays.push(Play::Item(Err(Error::Status { status, message, retry_after })));
                return plays;
            }
            Step::Finish { reason, tokens } => {
                plays.append(&mut complete_calls);
                plays.push(item(Delta::Finish { reason: reason_of(&reason), tokens }));
                return plays;
            }
        }
    }
    let reason = if complete_calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
    plays.append(&mut complete_calls);
    plays.push(item(Delta::Finish { reason, tokens: Tokens::default() }));
    plays
}

fn reason_of(word: &str) -> FinishReason {
    let all = [FinishReason::Stop, FinishReason::ToolCalls, FinishReason::Length, FinishReason::ContentFilter];
    all.into_iter().find(|reason| reason.word() == word).unwrap_or(FinishReason::Other)
}

#[cfg(test)]
mod tests {
    use polytree_protocol::provider::ModelRef;
    use serde_json::json;

    use super::*;
    use crate::provider::definition::{ToolSpec, unknown_model};

    fn request(with_tools: bool) -> ModelRequest {
        let tool = ToolSpec { name: "read".to_owned(), description: String::new(), parameters: json!({}) };
        ModelRequest {
            model: ModelRef::parse("scripted/x").unwrap(),
            info: unknown_model("x"),
            system: Vec::new(),
            messages: Vec::new(),
            tools: with_tools.then_some(tool).into_iter().collect(),
            temperature: None,
            top_p: None,
            max_output_tokens: 0,
            options: serde_json::Map::new(),
            cache_key: String::new(),
        }
    }

    async fn answer(provider: &Scripted, with_tools: bool) -> Vec<Result<Delta, Error>> {
        provider.stream(request(with_tools)).collect().await
    }

    fn stop() -> Delta {
        Delta::Finish { reason: FinishReason::Stop, tokens: Tokens::default() }
    }

    #[tokio::test]
    async fn plays_a_script_file() {
        let script = Script::parse(
            r#"{"calls": [
                [{"type": "reasoning", "text": "hm", "signature": "s"}, {"type": "tool", "name": "read", "input": {"filePath": "a"}, "callId": "c1"},
                 {"type": "finish", "reason": "tool-calls", "tokens": {"input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}}}],
                [{"type": "words", "text": "all done"}],
                [{"type": "fail", "status": 429, "message": "slow", "retryAfter": 5}]
            ]}"#,
        );
        let provider = Scripted::new(script.unwrap());
        let tokens = Tokens { input: 1, output: 2, ..Tokens::default() };
        let (call_id, name) = ("c1".to_owned(), "read".to_owned());
        let expected = [
            Ok(Delta::Reasoning("hm".to_owned())),
            Ok(Delta::ReasoningSignature("s".to_owned())),
            Ok(Delta::ToolCallStart { call_id: call_id.clone(), name: name.clone() }),
            Ok(Delta::ToolCallDone { call_id, name, arguments: r#"{"filePath":"a"}"#.to_owned(), metadata: None }),
            Ok(Delta::Finish { reason: FinishReason::ToolCalls, tokens }),
        ];
        assert_eq!(answer(&provider, true).await, expected);
        assert_eq!(answer(&provider, false).await, [Ok(Delta::Text(DEFAULT_TEXT.to_owned())), Ok(stop())]);
        assert_eq!(answer(&provider, true).await, [Ok(Delta::Text("all ".to_owned())), Ok(Delta::Text("done".to_owned())), Ok(stop())]);
        let fail = Error::Status { status: 429, message: "slow".to_owned(), retry_after: Some(5) };
        assert_eq!(answer(&provider, true).await, [Err(fail)]);
        assert!(matches!(answer(&provider, true).await[..], [Err(Error::Stream { retryable: false, .. })]));
    }

    #[test]
    fn an_invalid_script_is_reported_with_its_position() {
        let error = Script::parse("{\n\"calls\": [[{\"type\": \"txt\"}]]}").unwrap_err();
        assert!(error.contains("unknown variant `txt`") && error.contains("line 2"), "{error}");
    }
}
