//! Paths and methods that need no token.

use super::support::{Web, body, limits};

#[tokio::test]
async fn the_page_is_public_and_is_sent_when_it_has_changed() {
    let web = Web::start().await;
    let (status, answer) = web.request("GET /", &[], "").await;
    assert_eq!(status, 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: DENY",
        "content-security-policy: ",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    assert!(!answer.contains(&web.token));
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    for known in [tag.clone(), format!("\"x\", W/{tag}")] {
        let (status, again) = web.request("GET /", &[&format!("If-None-Match: {known}")], "").await;
        assert_eq!((status, body(&again)), (304, ""));
    }
    assert_eq!(web.request("GET /", &["If-None-Match: \"x\""], "").await.0, 200);
    let (status, head) = web.request("HEAD /", &[], "").await;
    assert_eq!((status, body(&head)), (200, ""));
    web.stop().await;
}

#[tokio::test]
async fn paths_and_methods() {
    let web = Web::start().await;
    for (line, expected, allow) in [
        ("GET /healthz", 200, ""),
        ("HEAD /healthz", 200, ""),
        ("POST /healthz", 405, "GET, HEAD"),
        ("PUT /", 405, "GET, HEAD, POST"),
        ("DELETE /", 405, "GET, HEAD, POST"),
        ("GET /healthz/", 404, ""),
        ("GET /index", 404, ""),
        ("GET /..", 404, ""),
        ("GET //", 404, ""),
        ("POST /x", 404, ""),
    ] {
        let (status, answer) = web.request(line, &[], "").await;
        assert_eq!(status, expected, "{line}");
        assert_eq!(answer.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default(), allow, "{line}");
    }
    let (_, answer) = web.request("GET /healthz", &[], "").await;
    let told: Vec<&str> = answer.lines().filter(|line| !line.starts_with("date: ")).collect();
    assert_eq!(told, ["HTTP/1.1 200 OK", "connection: close", "content-length: 0", ""], "it says nothing else");
    web.stop().await;
}

#[tokio::test]
async fn everything_is_below_the_base_path() {
    let web = Web::with(limits(), |params| params.base_path = Some("/polytree/".into())).await;
    assert_eq!(web.url, format!("http://{}/polytree/", web.address));
    let get = async |line: &str| web.request(line, &[], "").await;
    assert_eq!(get("GET /polytree/").await.0, 200);
    assert_eq!(get("GET /polytree/healthz").await.0, 200);
    for other in ["GET /", "GET /healthz", "GET /polytreex", "GET /polytree/polytree/", "GET /Polytree/"] {
        assert_eq!(get(other).await.0, 404, "{other}");
    }
    let (status, answer) = get("GET /polytree").await;
    assert!(status == 308 && answer.contains("location: /polytree/\r\n"), "{answer}");
    for path in ["/polytree", "/polytree/"] {
        let mut socket = web.connect_to(&format!("{path}?token={}", web.token), &[]).await.unwrap().0;
        assert!(socket.ask(r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#).await.contains("result"));
    }
    assert_eq!(web.connect_to(&format!("/?token={}", web.token), &[]).await.err(), Some(404));
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;
    let lines = [web.bearer(), "Content-Type: application/json".to_owned()];
    assert_eq!(web.request("POST /polytree", &[&lines[0], &lines[1]], echo).await.0, 200);
    web.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let forwarded = ["X-Forwarded-Host: tree.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /at"];
    let origin = "Origin: https://tree.example";
    for (trust, page, foreign) in [(true, 200, 403), (false, 403, 403)] {
        let web = Web::with(limits(), |params| {
            params.allow_hosts = Some(vec!["tree.example".into()]);
            params.base_path = Some("/polytree".into());
            params.trust_forwarded = Some(trust);
        })
        .await;
        let all = [&forwarded[..], &[origin]].concat();
        assert_eq!(web.request("GET /polytree/", &all, "").await.0, page);
        let other = ["X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Origin: https://evil.example"];
        assert_eq!(web.request("GET /polytree/", &other, "").await.0, foreign);
        let (_, answer) = web.request("GET /polytree", &forwarded, "").await;
        let location = if trust { "location: /at/polytree/\r\n" } else { "location: /polytree/\r\n" };
        assert!(answer.contains(location), "{answer}");
        web.stop().await;
    }
}
