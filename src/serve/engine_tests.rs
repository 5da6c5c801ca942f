//! Complete exchanges over a pipe.

use std::{fmt::Write as _, sync::atomic::Ordering};

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::End;
use crate::serve::testing::Client;

/// Sends each line and records the line that comes back.
async fn check(lines: &[&str], expect: &Expect) {
    let mut client = Client::new();
    let mut transcript = String::new();
    for line in lines {
        let answer = client.ask(line).await;
        writeln!(transcript, "> {line}\n< {answer}").unwrap();
    }
    let (rest, end) = client.end().await;
    assert_eq!((rest, end), (Vec::new(), End::Input));
    expect.assert_eq(&transcript);
}

#[tokio::test]
async fn requests_and_refusals() {
    check(
        &[
            r#"{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":{"a":[1,"ä"]}}}"#,
            r#"{"jsonrpc":"2.0","id":"x","method":"test.echo"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"test.echo","params":["a"]}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"test.echo","params":{"valeu":1}}"#,
            r#"{"jsonrpc":"2.0","id":4,"method":"test.ecko"}"#,
            r#"{"jsonrpc":"2.0","id":5,"method":"$/echo"}"#,
            r#"{"id":6,"method":"test.echo"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"test.echo"}"#,
            r#"{"jsonrpc":"2.0","id":-1,"method":"test.echo"}"#,
            r#"{"jsonrpc":"2.0","id":7"#,
            "7",
            r#"{"jsonrpc":"2.0","id":8,"method":"test.panic"}"#,
            r#"{"jsonrpc":"2.0","id":9,"method":"test.stream","params":{"refuse":true}}"#,
            r#"{"jsonrpc":"2.0","id":10,"method":"event.unsubscribe","params":{"subscription":77}}"#,
        ],
        &expect![[r#"
            > {"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":{"a":[1,"ä"]}}}
            < {"jsonrpc":"2.0","id":1,"result":{"a":[1,"ä"]}}
            > {"jsonrpc":"2.0","id":"x","method":"test.echo"}
            < {"jsonrpc":"2.0","id":"x","result":null}
            > {"jsonrpc":"2.0","id":2,"method":"test.echo","params":["a"]}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"params must be an object: they are given by name, not by position","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":3,"method":"test.echo","params":{"valeu":1}}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"unknown field `valeu`, the nearest valid name is `value`; expected one of `value`","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":4,"method":"test.ecko"}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"unknown method `test.ecko`","data":{"kind":"method_not_found","hint":"the nearest method is `test.echo`"}}}
            > {"jsonrpc":"2.0","id":5,"method":"$/echo"}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"unknown method `$/echo`","data":{"kind":"method_not_found"}}}
            > {"id":6,"method":"test.echo"}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32600,"message":"`jsonrpc` must be \"2.0\"","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":null,"method":"test.echo"}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"`id` must be a string or an integer from 0 to 9007199254740991","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":-1,"method":"test.echo"}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"`id` must be a string or an integer from 0 to 9007199254740991","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":7
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not JSON: EOF while parsing an object at line 1 column 23","data":{"kind":"parse_error"}}}
            > 7
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":8,"method":"test.panic"}
            < {"jsonrpc":"2.0","id":8,"error":{"code":-32603,"message":"internal error; the daemon's log has the details","data":{"kind":"internal"}}}
            > {"jsonrpc":"2.0","id":9,"method":"test.stream","params":{"refuse":true}}
            < {"jsonrpc":"2.0","id":9,"error":{"code":1005,"message":"refused","data":{"kind":"invalid_state"}}}
            > {"jsonrpc":"2.0","id":10,"method":"event.unsubscribe","params":{"subscription":77}}
            < {"jsonrpc":"2.0","id":10,"result":false}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn batches() {
    check(
        &[
            "[]",
            "[1,{}]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":1}},{"jsonrpc":"2.0","method":"test.count"},{"jsonrpc":"2.0","id":2,"method":"nope"},{"jsonrpc":"2.0","id":1,"method":"test.count"},{"jsonrpc":"2.0","id":3,"method":"test.stream"}]"#,
            &format!("[{}]", vec!["{}"; 101].join(",")),
        ],
        &expect![[r#"
            > []
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"an empty batch","data":{"kind":"invalid_request"}}}
            > [1,{}]
            < [{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"`jsonrpc` must be \"2.0\"","data":{"kind":"invalid_request"}}}]
            > [{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":1}},{"jsonrpc":"2.0","method":"test.count"},{"jsonrpc":"2.0","id":2,"method":"nope"},{"jsonrpc":"2.0","id":1,"method":"test.count"},{"jsonrpc":"2.0","id":3,"method":"test.stream"}]
            < [{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"unknown method `nope`","data":{"kind":"method_not_found"}}},{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"a request with this id is still in flight","data":{"kind":"invalid_request"}}},{"jsonrpc":"2.0","id":3,"error":{"code":1005,"message":"subscriptions cannot be opened in a batch","data":{"kind":"invalid_state","hint":"send the request by itself"}}}]
            > [{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]
            < {"jsonrpc":"2.0","id":null,"error":{"code":1008,"message":"too many entries in one batch; the limit is 100","data":{"kind":"too_large","limit":100}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_runs_at_once_and_can_be_cancelled_in_parts() {
    let mut client = Client::new();
    client
        .send(r#"[{"jsonrpc":"2.0","id":1,"method":"test.wait","params":{"gate":"a"}},{"jsonrpc":"2.0","id":2,"method":"test.wait","params":{"gate":"b"}},{"jsonrpc":"2.0","method":"test.wait","params":{"gate":"a"}}]"#)
        .await;
    client.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":2}}"#).await;
    // Read after the above, so the cancelled part is over and the rest still waits.
    client.ask(r#"{"jsonrpc":"2.0","id":3,"method":"test.echo"}"#).await;
    client.app.open("a");
    let answer = client.receive().await;
    assert_eq!(answer[0], json!({"jsonrpc": "2.0", "id": 1, "result": true}));
    assert_eq!(answer[1]["error"]["code"], -32800);
    assert_eq!(answer.as_array().unwrap().len(), 2);
    client.end().await;
}

#[tokio::test]
async fn notifications_are_executed_without_an_answer() {
    let mut client = Client::new();
    for line in [
        r#"{"jsonrpc":"2.0","method":"test.count"}"#,
        r#"[{"jsonrpc":"2.0","method":"test.count"},{"jsonrpc":"2.0","method":"test.count"}]"#,
        r#"{"jsonrpc":"2.0","method":"test.count","params":[]}"#,
        r#"{"jsonrpc":"2.0","method":"nope"}"#,
        r#"{"jsonrpc":"2.0","method":"test.panic"}"#,
        r#"{"jsonrpc":"2.0","method":"test.stream"}"#,
        r#"{"jsonrpc":"2.0","method":"$/whatever"}"#,
        r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":{}}}"#,
        "",
    ] {
        client.send(line).await;
    }
    let app = client.app.clone();
    assert_eq!(client.end().await, (Vec::new(), End::Input));
    assert_eq!(app.counted.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn headers_are_answered_with_headers() {
    let mut client = Client::new();
    let request = "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"initialize\",\"params\":{}}";
    client.write(&format!("Content-Length: {}\r\n\r\n{request}", request.len())).await;
    client.write("Content-Type: x\r\n\r\nContent-Length: 2\r\n\r\n{}").await;
    let (lines, end) = client.end().await;
    assert_eq!(end, End::Input);
    let written = lines.join("\n");
    assert_eq!(written.matches("\r\n\r\n").count(), 3, "lines of headers end as the standard says");
    expect![[r#"
        Content-Length: 123

        {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"unknown method `initialize`","data":{"kind":"method_not_found"}}}Content-Length: 152

        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the headers of the message have no usable `Content-Length`","data":{"kind":"parse_error"}}}Content-Length: 123

        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"`jsonrpc` must be \"2.0\"","data":{"kind":"invalid_request"}}}"#]].assert_eq(&written.replace("\r\n", "\n"));
}

#[tokio::test]
async fn a_cancelled_request_is_answered_at_once_and_dropped() {
    let mut client = Client::new();
    client.request(1, "test.wait", &json!({"gate": "never"})).await;
    client.ask(r#"{"jsonrpc":"2.0","id":0,"method":"test.echo"}"#).await;
    let answer = client.ask(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#).await;
    expect![[r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"the request was cancelled","data":{"kind":"cancelled"}}}"#]]
        .assert_eq(&answer);
    assert_eq!(client.app.dropped.load(Ordering::SeqCst), 1);
    // The id is free again, and cancelling what is over does nothing.
    client.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#).await;
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#).await, r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    client.end().await;
}

#[tokio::test]
async fn an_id_in_flight_is_refused() {
    let mut client = Client::new();
    client.request(1, "test.wait", &json!({"gate": "a"})).await;
    client.request(1, "test.wait", &json!({"gate": "a"})).await;
    let refusal = client.receive().await;
    assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!(1), &json!(-32600)));
    client.app.open("a");
    assert_eq!(client.line().await, r#"{"jsonrpc":"2.0","id":1,"result":true}"#);
    client.end().await;
}

#[tokio::test]
async fn requests_in_flight_are_limited() {
    let mut client = Client::new();
    for id in 0..1024 {
        client.request(id, "test.wait", &json!({"gate": "a"})).await;
    }
    client.request(5000, "test.echo", &json!({})).await;
    expect![[r#"{"jsonrpc":"2.0","id":5000,"error":{"code":1014,"message":"too many requests at once on this connection; the limit is 1024","data":{"kind":"overloaded","retryAfter":1000,"limit":1024}}}"#]].assert_eq(&client.line().await);
    client.app.open("a");
    let mut ids = Vec::new();
    for _ in 0..1024 {
        ids.push(client.receive().await["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..1024));
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#).await, r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    client.end().await;
}

#[tokio::test]
async fn messages_are_limited_both_ways() {
    let mut client = Client::new();
    let large = "x".repeat(32 * 1024 * 1024);
    let refusal = client.ask(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{{"value":"{large}"}}}}"#)).await;
    expect![[r#"{"jsonrpc":"2.0","id":1,"error":{"code":1008,"message":"the message is too large; the limit is 33554432","data":{"kind":"too_large","limit":33554432}}}"#]].assert_eq(&refusal);
    let refusal = client.ask(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"test.large","params":{{"bytes":{}}}}}"#, large.len())).await;
    expect![[r#"{"jsonrpc":"2.0","id":2,"error":{"code":1008,"message":"the answer is too large; the limit is 33554432","data":{"kind":"too_large","hint":"ask for less at once","limit":33554432}}}"#]].assert_eq(&refusal);
    let answer =
        client.ask(&format!(r#"{{"jsonrpc":"2.0","id":3,"method":"test.large","params":{{"bytes":{}}}}}"#, large.len() - 100)).await;
    assert!(answer.len() > large.len() - 100);
    client.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    use tokio::io::AsyncWriteExt as _;
    let mut client = Client::new();
    client.output.write_all(b"{\"a\":\"\xff\"}\n").await.unwrap();
    expect![[r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not UTF-8: invalid utf-8 sequence of 1 bytes from index 6","data":{"kind":"parse_error"}}}"#]].assert_eq(&client.line().await);
    client.end().await;
}

#[tokio::test]
async fn subscriptions_are_limited_and_end_exactly() {
    let mut client = Client::new();
    let mut subscriptions = Vec::new();
    for id in 0..64 {
        client.request(id, "test.stream", &json!({})).await;
        subscriptions.push(client.receive().await["result"].as_u64().unwrap());
    }
    client.request(64, "test.stream", &json!({})).await;
    expect![[r#"{"jsonrpc":"2.0","id":64,"error":{"code":1014,"message":"too many subscriptions on this connection; the limit is 64","data":{"kind":"overloaded","retryAfter":1000,"limit":64}}}"#]].assert_eq(&client.line().await);
    client.request(65, "event.unsubscribe", &json!({"subscription": subscriptions[3]})).await;
    assert_eq!(client.receive().await["result"], true);
    client.request(66, "event.unsubscribe", &json!({"subscription": subscriptions[3]})).await;
    assert_eq!(client.receive().await["result"], false);
    // The slot is free as soon as the subscription's task has ended.
    loop {
        client.request(67, "test.stream", &json!({"count": 2})).await;
        let answer = client.receive().await;
        if answer["error"].is_null() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(client.receive().await["params"]["result"], 0);
    assert_eq!(client.line().await, r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":65,"result":1}}"#);
    client.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_unsubscribing_nothing_more_arrives() {
    for _ in 0..20 {
        let mut client = Client::new();
        client.request(1, "test.stream", &json!({"count": 1_000_000, "bytes": 100})).await;
        let subscription = client.receive().await["result"].clone();
        for number in 0..50 {
            assert_eq!(client.receive().await["params"]["result"][0], number);
        }
        client.request(2, "event.unsubscribe", &json!({"subscription": subscription})).await;
        let mut next = 50;
        loop {
            let message = client.receive().await;
            if message["id"] == 2 {
                assert_eq!(message["result"], true);
                break;
            }
            assert_eq!(message["params"]["result"][0], next);
            next += 1;
        }
        assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":3,"method":"test.echo"}"#).await, r#"{"jsonrpc":"2.0","id":3,"result":null}"#);
        assert_eq!(client.end().await, (Vec::new(), End::Input));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_waited_for() {
    let mut client = Client::new();
    client.request(1, "test.stream", &json!({"count": 3000, "bytes": 20_000})).await;
    assert_eq!(client.receive().await["id"], 1);
    for number in 0..3000 {
        // At most 1 MiB in the queue, one batch of it being written, the pipe, and what the reader holds.
        let ahead = client.app.sent.load(Ordering::SeqCst).saturating_sub(number);
        assert!(ahead < 70, "{ahead} events are ahead of the reader");
        assert_eq!(client.receive().await["params"]["result"][0], number);
    }
    client.end().await;
}

#[tokio::test]
async fn a_subscription_that_breaks_says_so() {
    let mut client = Client::new();
    client.request(1, "test.stream", &json!({"count": 1, "panic": true})).await;
    let mut transcript = String::new();
    for _ in 0..3 {
        writeln!(transcript, "{}", client.line().await).unwrap();
    }
    expect![[r#"
        {"jsonrpc":"2.0","id":1,"result":1}
        {"jsonrpc":"2.0","method":"event","params":{"subscription":1,"result":0}}
        {"jsonrpc":"2.0","method":"event","params":{"subscription":1,"error":{"code":-32603,"message":"internal error; the daemon's log has the details","data":{"kind":"internal"}}}}
    "#]].assert_eq(&transcript);
    client.end().await;
}

#[tokio::test]
async fn a_client_that_goes_takes_its_requests_with_it() {
    let mut client = Client::new();
    client.request(1, "test.stream", &json!({"count": 1_000_000})).await;
    client.request(2, "test.wait", &json!({"gate": "never"})).await;
    assert_eq!(client.receive().await["id"], 1);
    let Client { app, tasks, input, output, served } = client;
    drop((input, output));
    served.await.unwrap();
    assert_eq!(app.dropped.load(Ordering::SeqCst), 1);
    tasks.cancel();
    tasks.finished().await;
}

/// A line to send, and whether it is a request that deserves an answer with its id.
fn line(number: usize) -> impl Strategy<Value = (String, bool)> {
    let request = move |method: &'static str| json!({"jsonrpc": "2.0", "id": format!("r{number}"), "method": method}).to_string();
    prop_oneof![
        Just((request("test.echo"), true)),
        Just((request("test.panic"), true)),
        Just((request("nope"), true)),
        Just((format!("[{}]", request("test.count")), true)),
        Just((r#"{"jsonrpc":"2.0","method":"test.count"}"#.to_owned(), false)),
        r#"[\[\]{}",:0-9a-z ]{0,60}"#.prop_map(|garbage| (garbage, false)),
        any::<prop::sample::Index>().prop_map(move |cut| {
            let text = request("test.echo");
            (text[..cut.index(text.len())].to_owned(), false)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_gets_one_answer_whatever_surrounds_it(lines in (1usize..20).prop_flat_map(|count| (0..count).map(line).collect::<Vec<_>>())) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = runtime.block_on(async {
            let mut client = Client::new();
            // So that random input cannot select the framing.
            client.ask(r#"{"jsonrpc":"2.0","id":0,"method":"test.echo"}"#).await;
            for (line, _) in &lines {
                client.send(line).await;
            }
            let (answers, end) = client.end().await;
            assert_eq!(end, End::Input);
            answers
        });
        let mut answered: Vec<_> = answers
            .iter()
            .flat_map(|answer| match serde_json::from_str(answer).unwrap() {
                Value::Array(answers) => answers,
                answer => vec![answer],
            })
            .filter_map(|answer| answer["id"].as_str().map(str::to_owned))
            .collect();
        let mut expected: Vec<_> = lines.iter().enumerate().filter(|(_, (_, request))| *request).map(|(number, _)| format!("r{number}")).collect();
        answered.sort();
        expected.sort();
        prop_assert_eq!(answered, expected);
    }
}
