//! Messages over real HTTP on loopback.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde_json::json;

use crate::provider::{
    definition::{AssistantContent, Delta, FinishReason, ModelMessage, ToolResult},
    model_server::{Answer, ModelServer, anthropic},
    testing::{deltas, done, remote, request, settings, start, text_of},
    wire::tests::ANTHROPIC,
};

async fn played(answer: Answer) -> Vec<Delta> {
    let server = ModelServer::start().await;
    server.push(answer);
    deltas(&remote(settings(&server, ANTHROPIC)), request("m")).await
}

fn finish(reason: FinishReason, tokens: Tokens) -> Delta {
    Delta::Finish { reason, tokens }
}

fn message(blocks: impl IntoIterator<Item = Vec<String>>, reason: &str) -> Answer {
    let start = anthropic::start(
        &json!({"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}),
    );
    let end = anthropic::end(reason, &json!({"output_tokens": 12}));
    let ping = anthropic::event("ping", &json!({"type": "ping"}));
    Answer::sse([start, ping].into_iter().chain(blocks.into_iter().flatten()).chain(end))
}

fn tokens() -> Tokens {
    Tokens { input: 7, output: 12, reasoning: 0, cache: CacheTokens { read: 100, write: 20 } }
}

#[tokio::test]
async fn text_and_the_request_on_the_wire() {
    let server = ModelServer::start().await;
    server.push(message([anthropic::text(0, &["Hel", "lo"])], "end_turn"));
    let deltas = deltas(&remote(settings(&server, ANTHROPIC)), request("claude-x-high")).await;
    assert_eq!(deltas, [Delta::Text("Hel".to_owned()), Delta::Text("lo".to_owned()), finish(FinishReason::Stop, tokens())]);

    let sent = server.request();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.header("x-api-key"), Some("sk-secret-key"));
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("authorization"), None);
    let mark = json!({"type": "ephemeral"});
    let expected = json!({
        "model": "claude-x-high",
        "stream": true,
        "max_tokens": 500,
        "system": [{"type": "text", "text": "You are a test.", "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": mark}]}],
        "tools": [{"name": "read", "description": "reads", "input_schema": {"type": "object", "properties": {}}, "cache_control": mark}],
    });
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn thinking_with_its_signature_is_received_and_sent_back() {
    let server = ModelServer::start().await;
    let redacted = vec![anthropic::block(1, &json!({"type": "redacted_thinking", "data": "secret"})), anthropic::stop(1)];
    let blocks = [
        anthropic::thinking(0, &["let me ", "see"], "c2lnbmVk"),
        redacted,
        anthropic::thinking(2, &[], "b21pdHRlZA=="),
        anthropic::text(3, &["I read."]),
        anthropic::call(4, "toolu_1", "read", &["", "{\"file", "Path\":\"a\"}"]),
    ];
    server.push(message(blocks, "tool_use"));
    let remote = remote(settings(&server, ANTHROPIC));
    let first = deltas(&remote, request("m")).await;
    let expected = [
        Delta::Reasoning("let me ".to_owned()),
        Delta::Reasoning("see".to_owned()),
        Delta::ReasoningSignature("c2lnbmVk".to_owned()),
        Delta::ReasoningSignature("redacted:secret".to_owned()),
        Delta::ReasoningSignature("b21pdHRlZA==".to_owned()),
        Delta::Text("I read.".to_owned()),
        start("toolu_1", "read"),
        done("toolu_1", "read", "{\"filePath\":\"a\"}"),
        finish(FinishReason::ToolCalls, tokens()),
    ];
    assert_eq!(first, expected);

    server.push(message([anthropic::text(0, &["done"])], "end_turn"));
    let thinking =
        |text: &str, signature: &str| AssistantContent::Reasoning { text: text.to_owned(), signature: Some(signature.to_owned()) };
    let call = AssistantContent::ToolCall {
        call_id: "toolu_1".to_owned(),
        name: "read".to_owned(),
        input: json!({"filePath": "a"}),
        metadata: None,
    };
    let text = AssistantContent::Text("I read.".to_owned());
    let result =
        ToolResult { call_id: "toolu_1".to_owned(), name: "read".to_owned(), output: "no".to_owned(), is_error: true, media: vec![] };
    let mut next = request("m");
    let answer = vec![thinking("let me see", "c2lnbmVk"), thinking("", "redacted:secret"), thinking("", "b21pdHRlZA=="), text, call];
    next.messages.extend([ModelMessage::Assistant(answer), ModelMessage::Tool(vec![result])]);
    deltas(&remote, next).await;
    let body = server.requests().remove(1).body;
    let mark = json!({"type": "ephemeral"});
    let expected = json!([
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "let me see", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "secret"},
            {"type": "thinking", "thinking": "", "signature": "b21pdHRlZA=="},
            {"type": "text", "text": "I read."},
            {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"filePath": "a"}, "cache_control": mark},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "no", "is_error": true, "cache_control": mark}]},
    ]);
    assert_eq!(body["messages"], expected);
}

#[tokio::test]
async fn parallel_calls_and_calls_without_arguments() {
    let blocks = [anthropic::call(0, "a", "read", &["{\"x\":", "1}"]), anthropic::call(1, "b", "list", &[])];
    let deltas = played(message(blocks, "tool_use")).await;
    let expected = [
        start("a", "read"),
        start("b", "list"),
        done("a", "read", "{\"x\":1}"),
        done("b", "list", "{}"),
        finish(FinishReason::ToolCalls, tokens()),
    ];
    assert_eq!(deltas, expected);
}

#[tokio::test]
async fn a_call_truncated_by_the_limit_is_passed_on() {
    let mut block = anthropic::call(0, "a", "read", &["{\"x\": \"unfinis"]);
    block.pop();
    let deltas = played(message([block], "max_tokens")).await;
    assert_eq!(deltas, [start("a", "read"), done("a", "read", "{\"x\": \"unfinis"), finish(FinishReason::Length, tokens())]);
}

#[tokio::test]
async fn single_bytes_are_decoded() {
    let text = "grüße, 世界 🦀";
    for size in [1, 2, 5] {
        let deltas = played(message([anthropic::text(0, &[text])], "end_turn").trickle(size)).await;
        assert_eq!(text_of(&deltas), text);
        assert_eq!(deltas.last(), Some(&finish(FinishReason::Stop, tokens())));
    }
}

#[tokio::test]
async fn thinking_tokens_are_counted_separately() {
    let start = anthropic::start(&json!({"input_tokens": 5, "output_tokens": 1}));
    let end =
        anthropic::end("end_turn", &json!({"input_tokens": 5, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}}));
    let deltas = played(Answer::sse([start].into_iter().chain(anthropic::text(0, &["x"])).chain(end))).await;
    let tokens = Tokens { input: 5, output: 20, reasoning: 30, cache: CacheTokens::default() };
    assert_eq!(deltas.last(), Some(&finish(FinishReason::Stop, tokens)));
}

#[tokio::test]
async fn a_refusal_is_a_content_filter() {
    let deltas = played(message([], "refusal")).await;
    assert_eq!(deltas, [finish(FinishReason::ContentFilter, tokens())]);
}
