//! Limits the answer so that prompt and answer fit into the model's context: some services refuse the request otherwise.
//! Pure.

use polytree_protocol::{
    message::{AssistantMessage, Message, MessageWithParts, PromptState, Tokens},
    part::{Part, ToolState},
    provider::ModelRef,
};
use serde_json::Value;

use super::{
    history::{self, is_kept},
    visible::{answer, last_summary, visible},
};
use crate::provider::definition::{AssistantContent, Media, ModelMessage, ModelRequest, UserContent};

/// An estimate on the safe side for all tokenizers.
pub const BYTES_PER_TOKEN: u64 = 3;
/// An upper bound of what most services count for an image or a document.
const TOKENS_PER_ATTACHMENT: u64 = 2_000;
/// The overhead of each message and each tool.
const TOKENS_PER_ITEM: u64 = 8;
/// With less room than this, the request is sent all the same and the service reports the overflow.
const MIN_ANSWER_TOKENS: u64 = 1_024;

/// The smallest thinking budget that services accept.
const MIN_THINKING_TOKENS: u64 = 1_024;

/// Sets the longest answer to `wanted` tokens, or to what fits into the context. A thinking budget that does not fit beside
/// it is lowered, or removed where little would remain.
pub fn fit(request: &mut ModelRequest, wanted: u64, past: &[MessageWithParts]) {
    request.max_output_tokens = wanted;
    let context = request.info.limit.context;
    if context == 0 {
        return;
    }
    let room = context.saturating_sub(prompt(request, past)).max(MIN_ANSWER_TOKENS.min(context));
    let answer = wanted.min(room);
    request.max_output_tokens = answer;
    let Some(budget) = request.options.get("thinking").and_then(|thinking| thinking.get("budget_tokens")?.as_u64()) else { return };
    // A budget smaller than the answer is part of it; a larger one is added to it.
    if budget < answer || budget.saturating_add(answer) <= room {
        return;
    }
    let lowered = (room - answer).max(answer / 2);
    if lowered < MIN_THINKING_TOKENS {
        request.options.remove("thinking");
    } else {
        request.options["thinking"]["budget_tokens"] = lowered.min(budget).into();
    }
}

/// About how many tokens the prompt has: what the service counted last, and an upper estimate of what was added since.
fn prompt(request: &ModelRequest, past: &[MessageWithParts]) -> u64 {
    let is_same = |info: &AssistantMessage| info.provider_id == request.model.provider_id && info.model_id == request.model.model_id;
    if let Some(count) = counted(past, &request.model, is_same) {
        return count;
    }
    let system: u64 = request.system.iter().map(|text| text_tokens(text)).sum();
    let tools = request
        .tools
        .iter()
        .map(|tool| TOKENS_PER_ITEM + text_tokens(&tool.name) + text_tokens(&tool.description) + json_tokens(&tool.parameters));
    system + tools.sum::<u64>() + request.messages.iter().map(tokens).sum::<u64>()
}

/// About how many tokens of the context a conversation takes: what a service counted last, of any model, and an upper estimate
/// of what was added since. Without a count instructions and tools are not included.
pub fn used(past: &[MessageWithParts], model: &ModelRef) -> u64 {
    counted(past, model, |_| true).unwrap_or_else(|| {
        let shown = visible(past);
        let summary = shown.summary.map_or(0, |summary| TOKENS_PER_ITEM + text_tokens(&summary.text()));
        summary + shown.messages.into_iter().map(stored_tokens).sum::<u64>()
    })
}

/// An upper estimate of the tokens of a stored message, without a copy of its texts.
fn stored_tokens(message: &MessageWithParts) -> u64 {
    let part = |part: &Part| match part {
        Part::Text(part) => text_tokens(&part.text),
        Part::Reasoning(part) => text_tokens(&part.text),
        Part::File(_) => TOKENS_PER_ATTACHMENT,
        Part::Tool(part) => {
            let (input, output, attachments) = match &part.state {
                ToolState::Completed(state) if state.time.compacted.is_some() => (&state.input, "", 0),
                ToolState::Completed(state) => (&state.input, state.output.as_str(), state.attachments.len() as u64),
                ToolState::Error(state) => (&state.input, state.error.as_str(), 0),
                ToolState::Pending(_) | ToolState::Running(_) => return 0,
            };
            let call = text_tokens(&part.tool) + json_tokens(input);
            3 * TOKENS_PER_ITEM + call + text_tokens(output) + attachments * TOKENS_PER_ATTACHMENT
        }
        _ => 0,
    };
    match &message.info {
        Message::User(prompt) if prompt.state == PromptState::Cancelled => 0,
        Message::Assistant(info) if !is_kept(info) => 0,
        _ => TOKENS_PER_ITEM + message.parts.iter().map(part).sum::<u64>(),
    }
}

/// The last count, of an answer of the right model, and an upper estimate of what was added since. What was counted before the
/// last summary does not count any more.
fn counted(past: &[MessageWithParts], model: &ModelRef, is_right: impl Fn(&AssistantMessage) -> bool) -> Option<u64> {
    let begin = last_summary(past).map_or(0, |place| place + 1);
    let (place, count) = past.iter().enumerate().skip(begin).rev().find_map(|(place, message)| {
        let info = answer(message)?;
        let count = total(&info.tokens)?;
        (info.error.is_none() && !info.summary && is_right(info)).then_some((place, count))
    })?;
    let since = history::to_model(&past[place..], model);
    // The answer itself is counted already.
    let since = since.iter().filter(|message| !matches!(message, ModelMessage::Assistant(_)));
    Some(count + since.map(tokens).sum::<u64>())
}

/// The tokens of a call in all, if the service has reported its input: some report the output only.
pub fn total(used: &Tokens) -> Option<u64> {
    let input = used.input + used.cache.read + used.cache.write;
    (input > 0).then_some(input + used.output + used.reasoning)
}

fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

/// Those of a value as JSON.
fn json_tokens(value: &Value) -> u64 {
    struct Length(u64);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // Neither a value nor this writer can fail.
    let _ = serde_json::to_writer(&mut length, value);
    length.0.div_ceil(BYTES_PER_TOKEN)
}

fn media_tokens(media: &[Media]) -> u64 {
    media.len() as u64 * TOKENS_PER_ATTACHMENT
}

/// An upper estimate of the tokens of a message.
pub fn tokens(message: &ModelMessage) -> u64 {
    let user = |content: &UserContent| match content {
        UserContent::Text(text) => text_tokens(text),
        UserContent::Media(_) => TOKENS_PER_ATTACHMENT,
    };
    let assistant = |content: &AssistantContent| match content {
        AssistantContent::Text(text) | AssistantContent::Reasoning { text, .. } => text_tokens(text),
        AssistantContent::ToolCall { name, input, .. } => TOKENS_PER_ITEM + text_tokens(name) + json_tokens(input),
    };
    TOKENS_PER_ITEM
        + match message {
            ModelMessage::User(content) => content.iter().map(user).sum::<u64>(),
            ModelMessage::Assistant(content) => content.iter().map(assistant).sum(),
            ModelMessage::Tool(results) => {
                results.iter().map(|result| TOKENS_PER_ITEM + text_tokens(&result.output) + media_tokens(&result.media)).sum()
            }
        }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::provider::ModelLimit;
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        provider::definition::{ToolSpec, unknown_model},
        store::new_answer,
    };

    fn request(context: u64, text: &str) -> ModelRequest {
        let mut info = unknown_model("m");
        info.limit = ModelLimit { context, output: 0 };
        ModelRequest {
            model: ModelRef::parse("p/m").unwrap(),
            info,
            system: vec!["s".repeat(3000)],
            messages: vec![ModelMessage::User(vec![UserContent::Text(text.to_owned())])],
            tools: vec![ToolSpec { name: "read".to_owned(), description: "d".repeat(3000), parameters: json!({ "x": "y".repeat(3000) }) }],
            temperature: None,
            top_p: None,
            max_output_tokens: 0,
            options: Map::new(),
            cache_key: String::new(),
        }
    }

    fn longest_answer(wanted: u64, request: &ModelRequest, past: &[MessageWithParts]) -> u64 {
        let mut request = request.clone();
        fit(&mut request, wanted, past);
        request.max_output_tokens
    }

    fn answered(input: u64, model: &str) -> MessageWithParts {
        let user = serde_json::from_value(json!({
            "id": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "time": { "created": 1 }, "agent": "build",
            "model": { "providerID": "p", "modelID": model },
        }));
        let mut answer = new_answer(&user.unwrap(), "/", "/");
        answer.tokens = Tokens { input, output: 50, ..Tokens::default() };
        MessageWithParts { info: Message::Assistant(answer), parts: Vec::new(), cursor: 0 }
    }

    #[test]
    fn answer_and_prompt_fit_into_the_context() {
        let most = |context, text: &str| longest_answer(32_000, &request(context, text), &[]);
        assert_eq!(most(0, "hi"), 32_000);
        assert_eq!(most(200_000, "hi"), 32_000);
        // Some 3,000 tokens of system text and tools.
        assert!((12_000..13_400).contains(&most(16_384, "hi")), "{}", most(16_384, "hi"));
        assert!(most(16_384, &"x".repeat(9000)) < most(16_384, "hi") - 2_900);
        // Where nothing fits, the service is asked all the same.
        assert_eq!(most(4_096, &"x".repeat(90_000)), MIN_ANSWER_TOKENS);
        assert_eq!(longest_answer(100, &request(16_384, "hi"), &[]), 100);
        assert_eq!(most(500, "hi"), 500);
    }

    #[test]
    fn what_the_service_has_counted_is_no_estimate() {
        let text = "x".repeat(90_000);
        assert_eq!(longest_answer(32_000, &request(40_000, &text), &[answered(20_000, "m")]), 40_000 - 20_050);
        // What another model has counted does not count here.
        assert!(longest_answer(32_000, &request(40_000, &text), &[answered(20_000, "other")]) < 8_000);
    }
    #[test]
    fn a_count_without_the_prompt_is_none() {
        let text = "x".repeat(90_000);
        let (uncounted, none) = (answered(0, "m"), longest_answer(32_000, &request(40_000, &text), &[]));
        assert_eq!(longest_answer(32_000, &request(40_000, &text), &[uncounted]), none);
    }

    #[test]
    fn a_thinking_budget_stays_within_the_room() {
        let fitted = |context: u64, used: u64, wanted: u64, budget: u64| {
            let mut request = request(context, "hi");
            request.options = json!({ "thinking": { "type": "enabled", "budget_tokens": budget } }).as_object().unwrap().clone();
            fit(&mut request, wanted, &[answered(used - 50, "m")]);
            let budget = request.options.get("thinking").map(|thinking| thinking["budget_tokens"].as_u64().unwrap());
            (request.max_output_tokens, budget)
        };
        // It is part of the answer, or has room beside it.
        assert_eq!(fitted(200_000, 1_000, 32_000, 16_000), (32_000, Some(16_000)));
        assert_eq!(fitted(200_000, 1_000, 8_000, 16_000), (8_000, Some(16_000)));
        // Some room is left beside the answer, or none.
        assert_eq!(fitted(200_000, 180_000, 8_000, 16_000), (8_000, Some(12_000)));
        assert_eq!(fitted(200_000, 190_000, 32_000, 16_000), (10_000, Some(5_000)));
        assert_eq!(fitted(200_000, 198_500, 32_000, 16_000), (1_500, None));
        assert_eq!(fitted(0, 1_000, 8_000, 16_000), (8_000, Some(16_000)));
    }
}
