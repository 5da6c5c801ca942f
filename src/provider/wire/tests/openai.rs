//! Chat Completions over real HTTP on loopback.

use polytree_protocol::message::{CacheTokens, Tokens};
use serde_json::{Value, json};

use crate::provider::{
    definition::{Delta, FinishReason},
    model_server::{Answer, ModelServer, openai},
    testing::{deltas, done, remote, request, settings, start, text_of},
    wire::tests::OPENAI,
};

fn finish(reason: FinishReason, input: u64, output: u64) -> Delta {
    Delta::Finish { reason, tokens: Tokens { input, output, ..Tokens::default() } }
}

async fn played(answer: Answer) -> Vec<Delta> {
    let server = ModelServer::start().await;
    server.push(answer);
    deltas(&remote(settings(&server, OPENAI)), request("m")).await
}

#[tokio::test]
async fn text_in_pieces_and_the_request_on_the_wire() {
    let server = ModelServer::start().await;
    let role = openai::chunk(&json!({"role": "assistant", "content": ""}), None);
    server.push(Answer::sse([
        role,
        openai::text("Hel"),
        openai::text("lo \n"),
        openai::finish("stop"),
        openai::usage(10, 5),
        openai::DONE.to_owned(),
    ]));
    let deltas = deltas(&remote(settings(&server, OPENAI)), request("m")).await;
    assert_eq!(deltas, [Delta::Text("Hel".to_owned()), Delta::Text("lo \n".to_owned()), finish(FinishReason::Stop, 10, 5)]);

    let sent = server.request();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some("Bearer sk-secret-key"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    let expected = json!({
        "model": "m",
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": 500,
        "messages": [{"role": "system", "content": "You are a test."}, {"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": {"name": "read", "description": "reads", "parameters": {"type": "object", "properties": {}}}}],
    });
    // Comparing objects ignores the order of keys.
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn model_names_are_sent_unchanged() {
    let server = ModelServer::start().await;
    let remote = remote(settings(&server, OPENAI));
    let names = ["foo-high", "gpt-5-low", "x-zero", "vendor::x", "a/b", "gpt-4o", "claude-3", "o3-mini-max", "open_router::a/b:free", "ü"];
    for name in names {
        server.push(Answer::openai_text("x"));
        deltas(&remote, request(name)).await;
    }
    let sent = server.requests();
    assert_eq!(sent.iter().map(|sent| sent.body["model"].as_str().unwrap()).collect::<Vec<_>>(), names);
    assert!(sent.iter().all(|sent| sent.path == "/v1/chat/completions" && sent.body.get("reasoning_effort").is_none()));
    // A second connection may be opened before the first is back in the pool.
    assert!(server.connections() <= 2, "connections are used again, but there were {}", server.connections());
}

#[tokio::test]
async fn base_addresses_with_and_without_a_slash() {
    for (suffix, expected) in [("", "/v1/chat/completions"), ("/", "/v1/chat/completions"), ("/x?a=b", "/v1/x/chat/completions?a=b")] {
        let server = ModelServer::start().await;
        server.push(Answer::openai_text("x"));
        let mut settings = settings(&server, OPENAI);
        settings.base_url = Some(format!("{}{suffix}", server.url()));
        deltas(&remote(settings), request("m")).await;
        assert_eq!(server.request().path, expected);
    }
}

#[tokio::test]
async fn no_key_means_no_header_and_own_headers_win() {
    let server = ModelServer::start().await;
    server.push(Answer::openai_text("x"));
    server.push(Answer::openai_text("x"));
    let mut settings = settings(&server, OPENAI);
    settings.api_key = None;
    deltas(&remote(settings.clone()), request("m")).await;
    let value = crate::provider::secret::Secret::new("Custom token").unwrap();
    settings.headers = [("Authorization".to_owned(), value.clone()), ("X-Team".to_owned(), value)].into();
    settings.api_key = crate::provider::secret::Secret::new("unused");
    deltas(&remote(settings), request("m")).await;
    let sent = server.requests();
    assert_eq!(sent[0].header("authorization"), None);
    assert_eq!(sent[1].header("authorization"), Some("Custom token"));
    assert_eq!(sent[1].header("x-team"), Some("Custom token"));
    assert_eq!(sent[1].headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
}

#[tokio::test]
async fn one_call_in_fragments() {
    let deltas = played(Answer::sse([
        openai::text("Let me see."),
        openai::call(0, "call_a", "read", ""),
        openai::arguments(0, "{\"file"),
        openai::arguments(0, "Path\":\"ä"),
        openai::arguments(0, ".rs\"}"),
        openai::finish("tool_calls"),
        openai::usage(7, 3),
        openai::DONE.to_owned(),
    ]))
    .await;
    let expected = [
        Delta::Text("Let me see.".to_owned()),
        start("call_a", "read"),
        done("call_a", "read", "{\"filePath\":\"ä.rs\"}"),
        finish(FinishReason::ToolCalls, 7, 3),
    ];
    assert_eq!(deltas, expected);
}

#[tokio::test]
async fn two_calls_interleaved_by_index() {
    let both =
        json!({"tool_calls": [{"index": 1, "function": {"arguments": "\"b\"}"}}, {"index": 0, "function": {"arguments": "\"a\"}"}}]});
    let deltas = played(Answer::sse([
        openai::call(0, "one", "read", "{\"x\":"),
        openai::call(1, "two", "glob", "{\"y\":"),
        openai::chunk(&both, None),
        openai::finish("tool_calls"),
        openai::DONE.to_owned(),
    ]))
    .await;
    let expected = [
        start("one", "read"),
        start("two", "glob"),
        done("one", "read", "{\"x\":\"a\"}"),
        done("two", "glob", "{\"y\":\"b\"}"),
        finish(FinishReason::ToolCalls, 0, 0),
    ];
    assert_eq!(deltas, expected);
}

#[tokio::test]
async fn invalid_arguments_and_ids_are_made_usable() {
    let deltas = played(Answer::sse([
        openai::call(0, "", "read", "{\"x\": nope"),
        openai::call(1, "same", "read", "{}"),
        openai::call(2, "same", "read", ""),
        openai::finish("stop"),
        openai::DONE.to_owned(),
    ]))
    .await;
    let dones: Vec<_> = deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::ToolCallDone { call_id, arguments, .. } => Some((call_id.clone(), arguments.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(dones.iter().map(|(_, arguments)| *arguments).collect::<Vec<_>>(), ["{\"x\": nope", "{}", "{}"]);
    assert!(dones[0].0.starts_with("call_") && dones[0].0.len() == 31, "{dones:?}");
    assert_eq!(dones[1].0, "same");
    assert!(dones[2].0.starts_with("call_"), "{dones:?}");
    assert_eq!(deltas.last(), Some(&finish(FinishReason::ToolCalls, 0, 0)));
}

#[tokio::test]
async fn a_call_and_its_finish_in_one_frame_and_extra_content() {
    let call = json!({"tool_calls": [{"index": 0, "id": "g", "type": "function",
        "function": {"name": "read", "arguments": "{}"}, "extra_content": {"google": {"thought_signature": "s"}}}]});
    let deltas = played(Answer::sse([openai::chunk(&call, Some("tool_calls")), openai::DONE.to_owned()])).await;
    let metadata = Some(json!({"extra_content": {"google": {"thought_signature": "s"}}}));
    let complete = Delta::ToolCallDone { call_id: "g".to_owned(), name: "read".to_owned(), arguments: "{}".to_owned(), metadata };
    assert_eq!(deltas, [start("g", "read"), complete, finish(FinishReason::ToolCalls, 0, 0)]);
}

#[tokio::test]
async fn reasoning_usage_and_limits() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 40}});
    let deltas = played(Answer::sse([
        openai::reasoning("let me "),
        openai::reasoning("think"),
        openai::text("yes"),
        openai::finish("length"),
        openai::usage_of(&usage),
        openai::DONE.to_owned(),
    ]))
    .await;
    let tokens = Tokens { input: 36, output: 10, reasoning: 40, cache: CacheTokens { read: 64, write: 0 } };
    let expected = [
        Delta::Reasoning("let me ".to_owned()),
        Delta::Reasoning("think".to_owned()),
        Delta::Text("yes".to_owned()),
        Delta::Finish { reason: FinishReason::Length, tokens },
    ];
    assert_eq!(deltas, expected);
}

#[tokio::test]
async fn single_bytes_are_decoded() {
    let text = "grüße, 世界 🦀 — \u{1F468}\u{200D}\u{1F469}";
    let frames = [
        ": a comment\n\n".to_owned(),
        openai::text(text),
        openai::call(0, "c", "read", "{\"x\":\"é\"}"),
        openai::finish("tool_calls"),
        openai::usage(1, 2),
        openai::DONE.to_owned(),
    ];
    for size in [1, 2, 3, 7] {
        let deltas = played(Answer::sse(&frames).trickle(size)).await;
        assert_eq!(text_of(&deltas), text);
        assert_eq!(deltas[1..], [start("c", "read"), done("c", "read", "{\"x\":\"é\"}"), finish(FinishReason::ToolCalls, 1, 2)]);
    }
}

#[tokio::test]
async fn line_ends_of_all_kinds() {
    let frames: Vec<_> =
        [openai::text("a"), openai::finish("stop"), openai::DONE.to_owned()].iter().map(|frame| frame.replace('\n', "\r\n")).collect();
    assert_eq!(played(Answer::sse(frames)).await, [Delta::Text("a".to_owned()), finish(FinishReason::Stop, 0, 0)]);
}

#[tokio::test]
async fn a_stream_without_its_end_marker_is_complete_after_a_reason() {
    let expected = [Delta::Text("a".to_owned()), finish(FinishReason::Stop, 3, 4)];
    assert_eq!(played(Answer::sse([openai::text("a"), openai::finish("stop"), openai::usage(3, 4)])).await, expected);
    assert_eq!(played(Answer::sse([openai::text("a"), openai::finish("stop"), openai::usage(3, 4)]).cut()).await, expected);
}

#[tokio::test]
async fn a_large_answer_is_cheap() {
    let pieces = 20_000;
    let frames = (0..pieces).map(|_| openai::text("word ")).chain([openai::finish("stop"), openai::DONE.to_owned()]);
    let deltas = played(Answer::sse(frames)).await;
    assert_eq!(deltas.len(), pieces + 1);
    assert_eq!(text_of(&deltas).len(), pieces * 5);
}

#[tokio::test]
async fn options_reach_the_body() {
    let server = ModelServer::start().await;
    server.push(Answer::openai_text("x"));
    let mut request = request("m");
    request.options = json!({"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": false}}).as_object().unwrap().clone();
    request.temperature = Some(0.5);
    deltas(&remote(settings(&server, OPENAI)), request).await;
    let body = server.request().body;
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(body["chat_template_kwargs"]["enable_thinking"], false);
    assert_eq!(body.get("temperature"), None::<&Value>, "the model takes none");
}
