//! The request of each ability, the same for all protocols except for signatures and metadata.

use serde_json::{Value, json};

use crate::provider::{
    definition::{AssistantContent, Media, ModelMessage, ModelRequest, ToolResult, UserContent},
    testing,
    wire::{protocol::Wire, tests::Ability},
};

pub(crate) fn request(wire: &dyn Wire, ability: Ability) -> ModelRequest {
    let column = wire.column();
    let mut request = testing::request(column.model);
    request.info.attachment = true;
    request.info.documents = true;
    request.system = vec!["Be brief.".to_owned()];
    match ability {
        Ability::Text | Ability::Tool | Ability::Usage | Ability::Length | Ability::Refusal | Ability::ErrorInStream => {}
        Ability::ParallelCalls => {
            let calls = vec![call("one", "a", None), call("two", "b", None)];
            let results = vec![result("one", "text of a", false, None), result("two", "no such file", true, None)];
            request.messages.extend([ModelMessage::Assistant(calls), ModelMessage::Tool(results)]);
        }
        Ability::Image => {
            let seen = vec![UserContent::Text("what is this?".to_owned()), UserContent::Media(media("image/png", "a.png"))];
            let calls = vec![AssistantContent::Text("A square.".to_owned()), call("one", "b.png", None)];
            let results = vec![result("one", "an image", false, Some(media("image/png", "b.png")))];
            request.messages = vec![ModelMessage::User(seen), ModelMessage::Assistant(calls), ModelMessage::Tool(results)];
        }
        Ability::Document => {
            request.messages = vec![ModelMessage::User(vec![
                UserContent::Text("what does it say?".to_owned()),
                UserContent::Media(media("application/pdf", "a.pdf")),
            ])];
        }
        Ability::Thinking => {
            request.info.reasoning = true;
            let signature = column.signature.map(str::to_owned);
            let thinking = AssistantContent::Reasoning { text: "Let me see.".to_owned(), signature };
            let answer = vec![thinking, AssistantContent::Text("I read.".to_owned()), call("one", "a", column.metadata)];
            let results = vec![result("one", "text of a", false, None)];
            request.messages.extend([ModelMessage::Assistant(answer), ModelMessage::Tool(results)]);
        }
        Ability::Caching => {
            request.system.push("Today is Friday.".to_owned());
            request.messages.extend([
                ModelMessage::Assistant(vec![AssistantContent::Text("Hello.".to_owned())]),
                ModelMessage::User(vec![UserContent::Text("And now?".to_owned())]),
            ]);
        }
    }
    request
}

fn call(call_id: &str, path: &str, metadata: Option<Value>) -> AssistantContent {
    AssistantContent::ToolCall { call_id: call_id.to_owned(), name: "read".to_owned(), input: json!({ "filePath": path }), metadata }
}

fn result(call_id: &str, output: &str, is_error: bool, media: Option<Media>) -> ToolResult {
    let media = media.into_iter().collect();
    ToolResult { call_id: call_id.to_owned(), name: "read".to_owned(), output: output.to_owned(), is_error, media }
}

fn media(mime: &str, name: &str) -> Media {
    Media { mime: mime.to_owned(), filename: Some(name.to_owned()), base64: "AAAA".to_owned() }
}
