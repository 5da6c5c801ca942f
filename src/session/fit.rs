//! How long an answer may be so that it fits into the model's context beside the prompt: services that check refuse the
//! request otherwise, each time. Pure.

use polytree_protocol::message::{Message, MessageWithParts};

use super::history;
use crate::provider::definition::{AssistantContent, Media, ModelMessage, ModelRequest, UserContent};

/// No tokenizer makes much more of a text than a token for so many bytes.
const BYTES_OF_TOKEN: u64 = 3;
/// What an image or a document counts, whatever its size: more than most services take for one.
const TOKENS_OF_MEDIA: u64 = 2_000;
/// What stands around each message and each tool.
const TOKENS_AROUND: u64 = 8;
/// Where there is less room than this, the service shall say so: a shorter answer helps nobody.
const LEAST: u64 = 1_024;

/// The longest answer to ask for, in tokens: `wanted`, or what the context has room for.
pub(super) fn longest_answer(wanted: u64, request: &ModelRequest, past: &[MessageWithParts]) -> u64 {
    let context = request.info.limit.context;
    if context == 0 {
        return wanted;
    }
    let room = context.saturating_sub(prompt(request, past));
    wanted.min(room.max(LEAST.min(context)))
}

/// How many tokens the prompt has at most, about: what the service counted last, and an estimate of what has come since.
fn prompt(request: &ModelRequest, past: &[MessageWithParts]) -> u64 {
    let counted = past.iter().enumerate().rev().find_map(|(place, message)| {
        let Message::Assistant(info) = &message.info else { return None };
        let used = &info.tokens;
        let count = used.input + used.cache.read + used.cache.write + used.output + used.reasoning;
        let is_same = info.provider_id == request.model.provider_id && info.model_id == request.model.model_id;
        (info.error.is_none() && !info.summary && is_same && count > 0).then_some((place, count))
    });
    if let Some((place, count)) = counted {
        let since = history::to_model(&past[place..], &request.model);
        // The answer itself has been counted.
        let since = since.iter().filter(|message| !matches!(message, ModelMessage::Assistant(_)));
        return count + since.map(tokens).sum::<u64>();
    }
    let system: u64 = request.system.iter().map(|text| text_tokens(text)).sum();
    let tools = request
        .tools
        .iter()
        .map(|tool| TOKENS_AROUND + text_tokens(&tool.name) + text_tokens(&tool.description) + text_tokens(&tool.parameters.to_string()));
    system + tools.sum::<u64>() + request.messages.iter().map(tokens).sum::<u64>()
}

fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_OF_TOKEN)
}

fn media_tokens(media: &[Media]) -> u64 {
    media.len() as u64 * TOKENS_OF_MEDIA
}

fn tokens(message: &ModelMessage) -> u64 {
    let user = |content: &UserContent| match content {
        UserContent::Text(text) => text_tokens(text),
        UserContent::Media(_) => TOKENS_OF_MEDIA,
    };
    let assistant = |content: &AssistantContent| match content {
        AssistantContent::Text(text) | AssistantContent::Reasoning { text, .. } => text_tokens(text),
        AssistantContent::ToolCall { name, input, .. } => TOKENS_AROUND + text_tokens(name) + text_tokens(&input.to_string()),
    };
    TOKENS_AROUND
        + match message {
            ModelMessage::User(content) => content.iter().map(user).sum::<u64>(),
            ModelMessage::Assistant(content) => content.iter().map(assistant).sum(),
            ModelMessage::Tool(results) => {
                results.iter().map(|result| TOKENS_AROUND + text_tokens(&result.output) + media_tokens(&result.media)).sum()
            }
        }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::{
        message::Tokens,
        provider::{ModelLimit, ModelRef},
    };
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        provider::{catalog::unknown_model, definition::ToolSpec},
        session::answer::new_answer,
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
        assert_eq!(most(4_096, &"x".repeat(90_000)), LEAST);
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
}
