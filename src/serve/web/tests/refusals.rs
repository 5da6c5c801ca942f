//! Requests that are refused, and their answers.

use super::support::{Web, body};

#[tokio::test]
async fn without_the_token_nobody_comes_in() {
    let web = Web::start().await;
    let json = "Content-Type: application/json";
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":1}}"#;
    let (status, answer) = web.request("POST /", &[json], echo).await;
    assert_eq!(status, 401);
    assert!(answer.contains("www-authenticate: Bearer realm=\"polytree\""), "{answer}");
    for wrong in ["Authorization: Bearer x", "Authorization: Basic x", &format!("{}x", web.bearer()), "Cookie: token=x"] {
        assert_eq!(web.request("POST /", &[json, wrong], echo).await.0, 401, "{wrong}");
    }
    assert_eq!(web.request("POST /?token=x", &[json], echo).await.0, 401);
    for (path, headers) in [("/", vec![]), ("/?token=x", vec![]), ("/", vec![("sec-websocket-protocol", "polytree.v1, polytree.token.x")])]
    {
        assert_eq!(web.connect_to(path, &headers).await.err(), Some(401), "{path} {headers:?}");
    }
    // With it, in each of the three ways.
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":1}"#;
    assert_eq!(web.post(echo).await, (200, answer.to_owned()));
    let (status, text) = web.request(&format!("POST /?token={}", web.token), &[json], echo).await;
    assert_eq!((status, body(&text)), (200, answer));
    let bearer = format!("Bearer {}", web.token);
    let mut socket = web.connect_to("/", &[("authorization", &bearer)]).await.unwrap().0;
    assert_eq!(socket.ask(echo).await, answer);
    web.stop().await;
}

#[tokio::test]
async fn a_browser_brings_the_token_as_a_sub_protocol_and_is_answered_with_the_other() {
    let web = Web::start().await;
    let offered = format!("polytree.v1, polytree.token.{}", web.token);
    let (mut socket, response) = web.connect_to("/", &[("sec-websocket-protocol", &offered)]).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "polytree.v1");
    assert!(socket.ask(r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#).await.contains("result"));
    let (_, response) = web.connect_to(&format!("/?token={}", web.token), &[]).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"), "none was offered");
    web.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let web = Web::with(super::support::limits(), |params| params.allow_origins = Some(vec!["https://app.example".into()])).await;
    let (own, path) = (format!("http://{}", web.address), format!("/?token={}", web.token));
    let own_elsewhere = own.replace("http", "https");
    for (origin, expected) in [
        (own.as_str(), None),
        ("https://app.example", None),
        ("http://evil.example", Some(403)),
        ("http://localhost:1", Some(403)),
        ("null", Some(403)),
        (own_elsewhere.as_str(), Some(403)),
    ] {
        assert_eq!(web.connect_to(&path, &[("origin", origin)]).await.err(), expected, "{origin}");
        let header = format!("Origin: {origin}");
        let lines = [web.bearer(), "Content-Type: application/json".to_owned(), header];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (status, answer) = web.request("POST /", &lines, r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#).await;
        assert_eq!(status, expected.unwrap_or(200), "{answer}");
        // Only a page that may read the answer gets CORS headers.
        let told = answer.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
        assert_eq!(told, expected.is_none().then_some(origin));
        assert_eq!(web.request("GET /healthz", &[lines[2]], "").await.0, expected.unwrap_or(200));
    }
    let ask = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type"];
    let (status, answer) = web.request("OPTIONS /", &[&["Origin: https://app.example"], &ask[..]].concat(), "").await;
    assert_eq!(status, 204);
    assert!(answer.contains("access-control-allow-headers: authorization, content-type"), "{answer}");
    assert_eq!(web.request("OPTIONS /", &[&["Origin: https://evil.example"], &ask[..]].concat(), "").await.0, 403);
    assert_eq!(web.request("OPTIONS /", &[], "").await.0, 405);
    web.stop().await;
}

#[tokio::test]
async fn a_name_that_was_bent_to_us_is_refused() {
    let web = Web::with(super::support::limits(), |params| params.allow_hosts = Some(vec!["tree.example".into()])).await;
    let get = async |path: &str, host: &str| {
        let head = if host.is_empty() { String::new() } else { format!("Host: {host}\r\n") };
        super::support::status(&web.raw(&format!("GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n")).await)
    };
    for path in ["/", "/healthz", "/nothing"] {
        // The third is what a browser sends after DNS rebinding: the attacker's name, with our port.
        let port = web.address.port();
        for host in ["", "evil.example", &format!("rebound.example:{port}"), "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0"]
        {
            assert_eq!(get(path, host).await, 403, "{path} {host}");
        }
        let expected = if path == "/nothing" { 404 } else { 200 };
        for host in ["localhost", "127.0.0.1", "[::1]:9", "tree.example", "TREE.example:443"] {
            assert_eq!(get(path, host).await, expected, "{path} {host}");
        }
    }
    let path = format!("/?token={}", web.token);
    assert_eq!(web.connect_to(&path, &[("host", "evil.example")]).await.err(), Some(403));
    // Nor does it help to say that the page is one of that name's own.
    assert_eq!(web.connect_to(&path, &[("host", "evil.example"), ("origin", "http://evil.example")]).await.err(), Some(403));
    web.stop().await;
}

#[tokio::test]
async fn what_a_form_can_send_is_refused() {
    let web = Web::start().await;
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;
    let path = format!("POST /?token={}", web.token);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""] {
        assert_eq!(web.request(&path, &[&format!("Content-Type: {kind}")], echo).await.0, 415, "{kind}");
    }
    assert_eq!(web.request(&path, &[], echo).await.0, 415);
    assert_eq!(web.request(&path, &["Content-Type: Application/JSON; charset=utf-8"], echo).await.0, 200);
    assert_eq!(web.request(&path, &["Content-Type: application/json", "Content-Encoding: gzip"], echo).await.0, 415);
    web.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_none_is_told() {
    let web = Web::start().await;
    let data = web.house.data.to_string();
    for (directory, kind) in [("relative", "invalid_params"), ("", "invalid_params"), ("%2Fnot%2Fthere", "not_found")] {
        let path = format!("POST /?token={}&directory={directory}", web.token);
        let (status, answer) = web.request(&path, &["Content-Type: application/json"], "{}").await;
        assert_eq!(status, 400);
        assert!(body(&answer).contains(kind), "{answer}");
        assert_eq!(web.connect_to(path.trim_start_matches("POST "), &[]).await.err(), Some(400));
    }
    let path = format!("/?token={}&directory={data}", web.token);
    let _socket = web.connect_to(&path, &[]).await.unwrap();
    web.stop().await;
}
