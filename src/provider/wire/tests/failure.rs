//! Failures of remote models, over real HTTP on loopback: never silent, and without a key in the message.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::provider::{
    definition::{Delta, Error, Provider as _},
    model_server::{Answer, ModelServer, anthropic, openai},
    retry::is_retryable,
    secret::Secret,
    testing::{failure, remote, request, settings},
    wire::{
        ALL,
        protocol::Wire,
        remote::RemoteSettings,
        tests::{ANTHROPIC, GEMINI, OLLAMA, OPENAI, RESPONSES, event},
    },
};

async fn failed(wire: &'static dyn Wire, answer: Answer) -> (Vec<Delta>, Error) {
    let server = ModelServer::start().await;
    server.push(answer);
    failure(&remote(settings(&server, wire)), request("m")).await
}

fn text(text: &str) -> Delta {
    Delta::Text(text.to_owned())
}

#[tokio::test]
async fn a_cut_stream_is_a_broken_connection() {
    let start = anthropic::start(&json!({"input_tokens": 1}));
    let block = anthropic::text(0, &["a"]);
    let messages = || Answer::sse([start.as_str()].into_iter().chain(block.iter().map(String::as_str)));
    for (wire, answer) in [
        (OPENAI, Answer::sse([openai::text("a")]).cut()),
        // The body is complete, the answer is not.
        (OPENAI, Answer::sse([openai::text("a")])),
        // Within a frame, a character, a call.
        (OPENAI, Answer::sse([openai::text("a").as_str(), "data: {\"choices\":[{\"del"])),
        (OPENAI, Answer::sse([openai::text("a")]).bytes(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xc3")),
        (ANTHROPIC, messages()),
        (ANTHROPIC, messages().cut()),
    ] {
        let (deltas, error) = failed(wire, answer).await;
        assert_eq!(deltas, [text("a")]);
        assert!(matches!(error, Error::Connection { .. }) && is_retryable(&error), "{error:?}");
        assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
    }
    let (deltas, error) = failed(OPENAI, Answer::sse([openai::call(0, "a", "read", "{")])).await;
    assert_eq!(deltas.len(), 1, "a call that was cut is never complete");
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
}

#[tokio::test]
async fn errors_within_the_stream() {
    let overloaded = Answer::sse([anthropic::start(&json!({"input_tokens": 1})), anthropic::error("overloaded_error", "Overloaded")]);
    let (_, error) = failed(ANTHROPIC, overloaded).await;
    assert_eq!(error, Error::Stream { message: "Overloaded".to_owned(), retryable: true });

    let broken = openai::frame(&json!({"error": {"message": "backend died", "type": "server_error", "code": 502}}));
    let (deltas, error) = failed(OPENAI, Answer::sse([openai::text("a"), broken])).await;
    assert_eq!(deltas, [text("a")]);
    assert_eq!(error, Error::Stream { message: "backend died".to_owned(), retryable: true });

    let invalid = openai::frame(&json!({"error": {"message": "no such tool", "type": "invalid_request_error"}}));
    let (_, error) = failed(OPENAI, Answer::sse([invalid])).await;
    assert_eq!(error, Error::Stream { message: "no such tool".to_owned(), retryable: false });

    let (_, error) = failed(OPENAI, Answer::sse([openai::text("a").as_str(), "data: {this is not JSON}\n\n"])).await;
    assert!(matches!(&error, Error::Stream { retryable: false, .. }), "{error:?}");
}

#[tokio::test]
async fn statuses() {
    let body = |message: &str| json!({"error": {"message": message, "type": "x"}});
    let limited = Answer::json(429, &body("slow down")).header("retry-after", "7");
    let (_, error) = failed(OPENAI, limited).await;
    assert_eq!(error, Error::Status { status: 429, message: "slow down".to_owned(), retry_after: Some(7000) });

    let overloaded = Answer::json(529, &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}));
    let (_, error) = failed(ANTHROPIC, overloaded.header("retry-after-ms", "1500")).await;
    assert_eq!(error, Error::Status { status: 529, message: "Overloaded".to_owned(), retry_after: Some(1500) });

    let long = json!({"error": {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}});
    let (_, error) = failed(OPENAI, Answer::json(400, &long)).await;
    assert!(matches!(error, Error::ContextOverflow { .. }), "{error:?}");
    let (_, error) = failed(ANTHROPIC, Answer::json(400, &body("prompt is too long: 3 tokens > 2 maximum"))).await;
    assert!(matches!(error, Error::ContextOverflow { .. }), "{error:?}");

    let (_, error) = failed(OPENAI, Answer::body(502, "text/html", "<html>bad gateway</html>")).await;
    assert_eq!(error, Error::Status { status: 502, message: "the service answered with status 502".to_owned(), retry_after: None });

    let (_, error) = failed(OPENAI, Answer::body(307, "text/plain", "").header("location", "http://127.0.0.1:9/other")).await;
    assert!(error.to_string().contains("points to http://127.0.0.1:9/other"), "{error}");
}

#[tokio::test]
async fn keys_never_appear() {
    let answers = [
        Answer::json(401, &json!({"error": {"message": "Incorrect API key provided: sk-secret-key."}})),
        Answer::body(500, "text/plain", "debug: authorization: Bearer sk-secret-key"),
        Answer::sse([openai::frame(&json!({"error": {"message": "key sk-secret-key is out of credit"}}))]),
    ];
    for answer in answers {
        let (_, error) = failed(OPENAI, answer).await;
        assert!(error.to_string().contains("***"), "{error}");
        assert!(!format!("{error:?}").contains("sk-secret"), "{error:?}");
    }
    let server = ModelServer::start().await;
    server.push(Answer::body(500, "text/plain", "header was hunter22"));
    let headers = BTreeMap::from([("X-Api-Token".to_owned(), Secret::new("hunter22").unwrap())]);
    let settings = RemoteSettings { headers, ..settings(&server, OPENAI) };
    assert!(!format!("{settings:?}").contains("hunter22"));
    let (_, error) = failure(&remote(settings), request("m")).await;
    assert_eq!(error.to_string(), "header was ***");
}

#[tokio::test]
async fn a_silent_service_times_out() {
    let server = ModelServer::start().await;
    let impatient = || RemoteSettings { timeout_ms: 1000, ..settings(&server, OPENAI) };
    server.push(Answer::sse([openai::text("a")]).hang());
    let (deltas, error) = failure(&remote(impatient()), request("m")).await;
    assert_eq!(deltas, [text("a")]);
    assert!(matches!(&error, Error::Connection { message } if message.contains("sent nothing for too long")), "{error:?}");

    // Keep-alive messages extend the timeout: the pauses together are longer than it.
    let alive = || ": alive\n\n".to_owned();
    let frames = [openai::text("a"), alive(), alive(), alive(), openai::text("b"), openai::finish("stop")];
    server.push(Answer::sse(frames).pace(Duration::from_millis(300)));
    let deltas = crate::provider::testing::deltas(&remote(impatient()), request("m")).await;
    assert_eq!(deltas.len(), 3);
}

#[tokio::test]
async fn a_service_that_accepts_but_never_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = Some(format!("http://{}/v1", listener.local_addr().unwrap()));
    let server = ModelServer::start().await;
    let settings = RemoteSettings { base_url, timeout_ms: 100, ..settings(&server, OPENAI) };
    let (_, error) = failure(&remote(settings), request("m")).await;
    assert!(matches!(&error, Error::Connection { message } if message.contains("did not answer in time")), "{error:?}");
}

#[tokio::test]
async fn connection_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = ModelServer::start().await;
    let settings = RemoteSettings { base_url: Some(format!("http://me:secret@{address}/v1?key=hidden")), ..settings(&server, OPENAI) };
    let (_, error) = failure(&remote(settings), request("m")).await;
    assert!(
        matches!(&error, Error::Unreachable { message, hint: Some(hint) }
            if message.starts_with(&format!("could not reach http://{address}: ")) && hint.starts_with("is the server running?")),
        "{error:?}"
    );
    assert!(!error.to_string().contains("secret") && !error.to_string().contains("hidden"), "{error}");
}

#[tokio::test]
async fn invalid_addresses_and_headers_are_request_errors() {
    let server = ModelServer::start().await;
    let wrong = RemoteSettings { base_url: Some("localhost:1".to_owned()), ..settings(&server, OPENAI) };
    let (_, error) = failure(&remote(wrong), request("m")).await;
    assert!(matches!(error, Error::Request { .. }), "{error:?}");
    let headers = BTreeMap::from([("bad name".to_owned(), Secret::new("x").unwrap())]);
    let (_, error) = failure(&remote(RemoteSettings { headers, ..settings(&server, OPENAI) }), request("m")).await;
    assert!(matches!(error, Error::Request { .. }), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn dropping_the_stream_cancels_the_request() {
    let server = ModelServer::start().await;
    server.push(Answer::sse([openai::text("a")]).hang());
    let remote = remote(settings(&server, OPENAI));
    let mut stream = remote.stream(request("m"));
    assert_eq!(stream.next().await, Some(Ok(text("a"))));
    drop(stream);
    server.left(1).await;
}

#[tokio::test]
async fn responses_that_are_no_stream() {
    for &wire in ALL {
        let page = Answer::body(200, "text/html", "<!doctype html>\n<html><title>Log\n in</title>data: x</html>");
        let (_, error) = failed(wire, page.hang()).await;
        assert!(
            matches!(&error, Error::Network { message, hint: Some(_) } if message.ends_with("a web page instead of an answer of a model (\"Log in\")")),
            "{wire:?}: {error:?}"
        );
        let (_, error) = failed(wire, Answer::body(200, "text/plain", "no healthy upstream")).await;
        assert_eq!(error, Error::Stream { message: "no healthy upstream".to_owned(), retryable: true }, "{wire:?}");
        let (_, error) = failed(wire, Answer::body(200, "text/plain", "prompt is too long: 3 tokens > 2").hang()).await;
        assert!(matches!(error, Error::ContextOverflow { .. }), "{wire:?}: {error:?}");
        let (_, error) = failed(wire, Answer::json(200, &Value::Null)).await;
        assert_eq!(error, Error::Stream { message: "null".to_owned(), retryable: false }, "{wire:?}");
        // An empty response is a broken connection.
        let (_, error) = failed(wire, Answer::body(200, "text/event-stream", "")).await;
        assert!(matches!(error, Error::Connection { .. }), "{wire:?}: {error:?}");
    }
}

#[tokio::test]
async fn errors_of_every_shape_in_place_of_an_answer() {
    let raw = json!({"error": {"message": "insufficient credits"}}).to_string();
    let shapes = [
        json!({"detail": "credit balance is too low"}),
        json!({"detail": [{"msg": "insufficient balance"}]}),
        json!({"code": 1113, "message": "no"}),
        json!({"code": 1113, "msg": "no", "success": false}),
        json!({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}),
        json!({"error": "insufficient credits"}),
        json!({"errors": [{"message": "insufficient credits"}]}),
        json!({"message": "insufficient credits", "code": "x"}),
    ];
    let mut calls = Vec::new();
    for &wire in ALL {
        for body in &shapes {
            let framed = event(wire, &body.to_string());
            for answer in [Answer::json(200, body), Answer::json(200, body).hang(), Answer::sse([framed]).hang()] {
                calls.push(async move {
                    let (_, error) = failed(wire, answer).await;
                    assert!(matches!(error, Error::Quota { .. }), "{wire:?} {body}: {error:?}");
                });
            }
        }
    }
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn a_message_alone_is_an_error_if_nothing_follows() {
    let message = |wire| event(wire, r#"{"message":"insufficient credits"}"#);
    for &wire in ALL {
        let (_, error) = failed(wire, Answer::sse([message(wire)])).await;
        assert!(matches!(error, Error::Quota { .. }), "{wire:?}: {error:?}");
    }
    let server = ModelServer::start().await;
    server.push(Answer::sse([message(OPENAI), openai::text("a"), openai::finish("stop")]));
    assert_eq!(crate::provider::testing::deltas(&remote(settings(&server, OPENAI)), request("m")).await[0], text("a"));
}

#[tokio::test]
async fn a_finished_answer_ends_although_the_connection_stays_open() {
    let anthropic = |frames: &[Value]| Answer::sse(frames.iter().map(openai::frame));
    let text_event = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}});
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}});
    let piece = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}}]});
    let gemini = json!({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 7}});
    let with_the_last_word = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 7}});
    let ping = || ": still here\n\n".to_owned();
    let pinging = Answer::sse([openai::text("a"), openai::finish("stop"), openai::usage(1, 7)].into_iter().chain((0..100).map(|_| ping())));
    for (wire, answer) in [
        (OPENAI, Answer::sse([openai::text("a"), openai::finish("stop"), openai::usage(1, 7)]).hang()),
        (OPENAI, pinging.pace(Duration::from_millis(100))),
        (ANTHROPIC, anthropic(&[text_event, stop]).hang()),
        (GEMINI, anthropic(&[piece, gemini]).hang()),
        (GEMINI, anthropic(&[with_the_last_word]).hang()),
    ] {
        let server = ModelServer::start().await;
        server.push(answer);
        let since = tokio::time::Instant::now();
        let deltas = crate::provider::testing::deltas(&remote(settings(&server, wire)), request("m")).await;
        let tokens = deltas.last().map(|delta| if let Delta::Finish { tokens, .. } = delta { tokens.output } else { 0 });
        assert_eq!((&deltas[0], tokens), (&text("a"), Some(7)), "{wire:?}");
        assert!(since.elapsed() < Duration::from_secs(8), "{wire:?}: {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn a_reason_in_every_chunk_does_not_end_the_answer() {
    let gemini = |text: &str| openai::frame(&json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}));
    let server = ModelServer::start().await;
    server.push(Answer::sse([gemini("a"), gemini("b")]).pace(Duration::from_millis(3_300)));
    let deltas = crate::provider::testing::deltas(&remote(settings(&server, GEMINI)), request("m")).await;
    assert_eq!(crate::provider::testing::text_of(&deltas), "ab");
}

#[tokio::test]
async fn keep_alive_messages_are_not_progress() {
    let empty = || openai::frame(&json!({"choices": [{"index": 0, "delta": {"content": ""}}]}));
    let call =
        || openai::frame(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}}]}));
    let endless = |frame: &dyn Fn() -> String| Answer::sse((0..200).map(|_| frame())).pace(Duration::from_millis(50));
    let bytes = Answer::sse([format!("data: {}", "x".repeat(200))]).trickle(1).pace(Duration::from_millis(50));
    let server = ModelServer::start().await;
    let impatient = || RemoteSettings { timeout_ms: 500, ..settings(&server, OPENAI) };
    for answer in [endless(&|| ": ping\n\n".to_owned()), endless(&empty), endless(&call), bytes] {
        server.push(answer);
        let since = tokio::time::Instant::now();
        let (_, error) = failure(&remote(impatient()), request("m")).await;
        assert!(matches!(&error, Error::Connection { message } if message.contains("signs of life")), "{error:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
    // Any piece of the answer is progress.
    let slow = (0..20).map(|_| openai::call(0, "a", "read", "1")).chain([openai::finish("tool_calls")]);
    server.push(Answer::sse(slow).pace(Duration::from_millis(100)));
    assert_eq!(crate::provider::testing::deltas(&remote(impatient()), request("m")).await.len(), 3);
}

#[tokio::test]
async fn overflow_and_invalid_keys_are_recognised_in_every_protocol() {
    let openai =
        |code: &str, message: &str| json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}});
    let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    let google = |code: u16, status: &str, message: &str| json!({"error": {"code": code, "status": status, "message": message}});
    let long = "Your input exceeds the context window of this model. Please adjust your input and try again.";
    let fits = [
        (OPENAI, openai("context_length_exceeded", long)),
        (RESPONSES, openai("context_length_exceeded", long)),
        (ANTHROPIC, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        (
            GEMINI,
            google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        ),
        (OLLAMA, json!({"error": "the input length exceeds the context length"})),
    ];
    let keys = [
        (OPENAI, 401, openai("invalid_api_key", "Incorrect API key provided")),
        (RESPONSES, 401, openai("invalid_api_key", "Incorrect API key provided")),
        (ANTHROPIC, 401, anthropic("authentication_error", "invalid x-api-key")),
        (GEMINI, 400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")),
        (OLLAMA, 401, json!({"error": "unauthorized"})),
    ];
    assert_eq!((fits.len(), keys.len()), (ALL.len(), ALL.len()));
    for (wire, body) in fits {
        let (_, error) = failed(wire, Answer::json(400, &body)).await;
        assert!(matches!(error, Error::ContextOverflow { .. }), "{wire:?}: {error:?}");
    }
    for (wire, status, body) in keys {
        let (_, error) = failed(wire, Answer::json(status, &body)).await;
        assert!(matches!(error, Error::Credentials { .. }), "{wire:?}: {error:?}");
    }
    // In the stream, as with Responses.
    let frame = format!(
        "data: {}\n\n",
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "context_length_exceeded", "message": long}}})
    );
    let (_, error) = failed(RESPONSES, Answer::sse([frame])).await;
    assert!(matches!(error, Error::ContextOverflow { .. }), "{error:?}");
}

#[tokio::test]
async fn an_organisation_that_is_not_verified_gets_its_answer_without_summaries() {
    let server = ModelServer::start().await;
    let message = "Your organization must be verified to generate reasoning summaries.";
    server.push(Answer::json(400, &json!({"error": {"message": message, "param": "reasoning.summary", "code": "unsupported_value"}})));
    let done = json!({"type": "response.completed", "response": {"status": "completed", "output": []}});
    server.push(Answer::sse([openai::frame(&json!({"type": "response.output_text.delta", "delta": "a"})), openai::frame(&done)]));
    let mut request = request("m");
    request.info.reasoning = true;
    request.options = json!({"reasoning": {"effort": "high"}}).as_object().unwrap().clone();
    let deltas = crate::provider::testing::deltas(&remote(settings(&server, RESPONSES)), request).await;
    assert_eq!(deltas[0], text("a"));
    let asked: Vec<Value> = server.requests().into_iter().map(|request| request.body["reasoning"].clone()).collect();
    assert_eq!(asked, [json!({"summary": "auto", "effort": "high"}), json!({"effort": "high"})]);
}

#[tokio::test]
async fn calls_that_the_service_cannot_parse_are_retried() {
    let chunk = json!({"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed function call: read("}]});
    let (_, error) = failed(GEMINI, Answer::sse([openai::frame(&chunk)])).await;
    assert_eq!(error, Error::Stream { message: "Malformed function call: read( (MALFORMED_FUNCTION_CALL)".to_owned(), retryable: true });
}

#[tokio::test]
async fn a_protocol_without_a_key_sends_none() {
    for &wire in ALL {
        let server = ModelServer::start().await;
        server.push(Answer::json(404, &json!({"error": "model 'm' not found"})));
        let (_, error) = failure(&remote(RemoteSettings { api_key: None, ..settings(&server, wire) }), request("m")).await;
        assert_eq!(error, Error::ModelNotFound { message: "model 'm' not found".to_owned() });
        let sent = server.request();
        assert!(["authorization", "x-api-key", "x-goog-api-key"].iter().all(|name| sent.header(name).is_none()), "{wire:?}");
    }
}
