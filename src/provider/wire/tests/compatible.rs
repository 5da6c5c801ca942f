//! Services that are compatible with Chat Completions, and their deviations.

use expect_test::{Expect, expect};

use crate::provider::{
    definition::Delta,
    model_server::{Answer, ModelServer},
    testing::{items, remote, request, settings},
    wire::tests::{OPENAI, shown},
};

async fn check(body: &str, expected: Expect) {
    let server = ModelServer::start().await;
    server.push(Answer::body(200, "text/event-stream", body));
    expected.assert_eq(&shown(&items(&remote(settings(&server, OPENAI)), request("m")).await));
}

fn choice(delta: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
}

const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn keep_alive_messages_and_empty_chunks() {
    let body = [
        "\u{feff}: OPENROUTER PROCESSING\r\n\r\n",
        "data: keep-alive\n\ndata:\n\nevent: ping\n\n",
        "data: {\"choices\":[]}\n\ndata: {}\n\n",
        &choice("{\"role\":\"assistant\"}"),
        "data: {\"choices\":[{\"index\":0,\"delta\":null}]}\n\n",
        "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"b\",\"tool_calls\":null,\"refusal\":null}}],\"error\":null,\"usage\":null}\n\n",
        STOP,
        "data: [DONE]",
    ]
    .concat();
    let expected = expect![[r#"
        text "a"
        text "b"
        finish stop: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}

#[tokio::test]
async fn thinking_in_all_its_fields() {
    let body = [
        &choice("{\"content\":\"\",\"reasoning_content\":\"deep\"}"),
        &choice("{\"reasoning\":\"seek\",\"reasoning_content\":null}"),
        &choice("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"mist\"}]}]}"),
        &choice("{\"content\":[{\"type\":\"text\",\"text\":\"ral\"}]}"),
        STOP,
    ]
    .map(ToString::to_string)
    .concat();
    let expected = expect![[r#"
        think "deep"
        think "seek"
        think "mist"
        text "ral"
        finish stop: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}

#[tokio::test]
async fn calls_without_indexes_ids_or_strings() {
    let body = [
        &choice("{\"tool_calls\":[{\"function\":{\"name\":\"read\",\"arguments\":{\"filePath\":\"a\"}}},{\"id\":7,\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"filePath\\\"\"}}]}"),
        &choice("{\"tool_calls\":[{\"function\":{\"arguments\":\":1}\"}}]}"),
        &choice("{\"tool_calls\":[{\"index\":\"4\",\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"list\",\"arguments\":null}}]}"),
        STOP,
    ]
    .map(ToString::to_string)
    .concat();
    let expected = expect![[r#"
        start call_* read
        start 7 read
        start x list
        done call_* read {"filePath":"a"}
        done 7 read {"filePath":1}
        done x list {}
        finish tool-calls: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}

#[tokio::test]
async fn ends_without_a_reason() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
    let expected = || {
        expect![[r#"
            text "a"
            finish other: input 3, cached 0, written 0, output 4, reasoning 0
        "#]]
    };
    check(&format!("{}{usage}", choice("{\"content\":\"a\"}")), expected()).await;
    check(&format!("{}{usage}data: [DONE]\n\n", choice("{\"content\":\"a\"}")), expected()).await;
    let groq = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}}\n\n";
    let expected = expect![[r#"
        text "a"
        finish stop: input 5, cached 0, written 0, output 6, reasoning 0
    "#]];
    check(&format!("{}{groq}", choice("{\"content\":\"a\"}")), expected).await;
}

#[tokio::test]
async fn errors_in_all_known_places() {
    for error in [
        "data: {\"error\":{\"message\":\"died\",\"code\":502}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\",\"error\":{\"message\":\"died\",\"code\":502}}]}\n\n",
        "event: error\ndata: {\"message\":\"died\",\"code\":502}\n\n",
        "data: {\"object\":\"error\",\"message\":\"died\",\"code\":502}\n\n",
        "{\"error\":{\"message\":\"died\",\"code\":502}}\n",
    ] {
        let expected = expect![[r#"
            text "a"
            error Stream { message: "died", retryable: true }
        "#]];
        check(&format!("{}{error}", choice("{\"content\":\"a\"}")), expected).await;
    }
    // The whole body of a response with status 200, over several lines.
    let expected = expect![[r#"
        error ContextOverflow { message: "This model's maximum context length is 10 tokens" }
    "#]];
    check("{\n  \"error\": {\"message\": \"This model's maximum context length is 10 tokens\"}\n}\n", expected).await;
}

#[tokio::test]
async fn an_answer_that_was_not_streamed() {
    let body = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"all at once"},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
    let expected = expect![[r#"
        text "all at once"
        finish stop: input 3, cached 0, written 0, output 4, reasoning 0
    "#]];
    check(body, expected).await;
}

#[tokio::test]
async fn a_line_without_an_end() {
    let body = format!("{}data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}", choice("{\"content\":\"a\"}"), "x".repeat(9 << 20));
    let server = ModelServer::start().await;
    server.push(Answer::body(200, "text/event-stream", &body).hang());
    let items = items(&remote(settings(&server, OPENAI)), request("m")).await;
    assert_eq!(items.len(), 2);
    let error = items[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("a piece of more than 8 MiB"), "{error}");
}

#[tokio::test]
async fn a_call_in_very_many_fragments_costs_linear_time() {
    let piece = choice("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"xxxxx\"}}]}");
    let first = choice("{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"write\",\"arguments\":\"\"}}]}");
    let server = ModelServer::start().await;
    server.push(Answer::body(200, "text/event-stream", &format!("{first}{}{STOP}", piece.repeat(100_000))));
    let items = items(&remote(settings(&server, OPENAI)), request("m")).await;
    assert!(matches!(&items[1], Ok(Delta::ToolCallDone { arguments, .. }) if arguments.len() == 500_000));
}

#[tokio::test]
async fn thinking_beside_an_empty_field() {
    let body = [
        choice("{\"reasoning_content\":\"\",\"reasoning\":\"a\"}"),
        choice("{\"reasoning\":\"\",\"reasoning_content\":\"b\",\"content\":\"\"}"),
        choice("{\"reasoning\":\"c\",\"reasoning_content\":\"c\",\"content\":\"x\"}"),
        STOP.to_owned(),
    ]
    .concat();
    let expected = expect![[r#"
        think "a"
        think "b"
        think "c"
        text "x"
        finish stop: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}

#[tokio::test]
async fn only_one_of_several_choices_is_read() {
    let other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"length\"}]}\n\n";
    let both = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}},{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n";
    let body = [&choice("{\"content\":\"a\"}"), other, both, other, STOP, other].map(ToString::to_string).concat();
    let expected = expect![[r#"
        text "a"
        text "b"
        finish stop: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}

#[tokio::test]
async fn arguments_as_an_object_before_fragments() {
    let body = [
        &choice("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"read\",\"arguments\":{}}}]}"),
        &choice("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":1}\"}},null,{}]}"),
        &choice("{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"list\",\"arguments\":\"null\"}}]}"),
        STOP,
    ]
    .map(ToString::to_string)
    .concat();
    let expected = expect![[r#"
        start a read
        start b list
        done a read {"a":1}
        done b list {}
        finish tool-calls: input 0, cached 0, written 0, output 0, reasoning 0
    "#]];
    check(&body, expected).await;
}
