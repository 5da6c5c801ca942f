//! With a real server on loopback.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use polytree_protocol::permission::Rule;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    permission::rules::Origin,
    stdx::tasks::Tasks,
    tool::{
        definition::erase,
        test_host::{self, Place, shipped_rules},
    },
};

/// A server that gives these answers, one to each connection, and keeps what it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Server {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, tasks) = (Arc::<Mutex<Vec<String>>>::default(), Tasks::new());
        let (seen, token) = (Arc::clone(&asked), tasks.token().clone());
        let mut answers = VecDeque::from(answers);
        drop(tasks.spawn("server", async move {
            loop {
                let (mut stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = token.cancelled() => return,
                };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                match answers.pop_front() {
                    // It may have gone.
                    Some(answer) => drop(stream.write_all(&answer).await),
                    // Silence, until the test is over.
                    None => token.cancelled().await,
                }
            }
        }));
        Self { address, asked, tasks }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn page(kind: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", &format!("Content-Type: {kind}\r\n"), body)
}

/// A place whose user has named servers on this machine.
fn named() -> Place {
    let place = Place::new();
    place
        .host
        .add_rules(Origin::User, &[Rule { permission: "webfetch".into(), pattern: "http://127.0.0.1:*".into(), action: Action::Allow }]);
    place
}

async fn fetch(place: &Place, input: serde_json::Value) -> Result<ToolOutput, String> {
    place.call(&erase(WebFetch), input).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_page_is_given_in_the_format_that_was_asked_for() {
    let html = "<html><head><title>Docs</title></head><body><h2>Use</h2><p>Say <code>x</code> &amp; <a href=\"/y\">y</a></p><ul><li>one<li>two</ul></body>";
    let place = named();
    for (format, expected) in [
        (json!("markdown"), "# Docs\n\n## Use\n\nSay `x` & [y](/y)\n\n- one\n- two"),
        (json!(null), "# Docs\n\n## Use\n\nSay `x` & [y](/y)\n\n- one\n- two"),
        (json!("text"), "Docs\n\nUse\nSay x & y\none\ntwo"),
        (json!("html"), html),
    ] {
        let server = Server::start(vec![page("text/html; charset=utf-8", html)]).await;
        let output = fetch(&place, json!({ "url": server.url("/a?b#c"), "format": format })).await.unwrap();
        assert_eq!(output.output, expected, "{format}");
        assert_eq!((&output.metadata["status"], &output.metadata["contentType"]), (&json!(200), &json!("text/html")));
        assert!(server.asked.lock().unwrap()[0].starts_with("GET /a?b HTTP/1.1\r\n"), "the fragment stays here");
        assert_eq!(place.host.asks().last().unwrap().patterns, [server.url("/a?b")]);
        assert_eq!(place.host.asks().last().unwrap().always, [server.url("/*")]);
    }
}

#[tokio::test]
async fn the_charset_and_the_kind_are_respected() {
    let place = named();
    let latin = b"<meta charset=iso-8859-1><p>caf\xe9".to_vec();
    for (kind, body, format, expected) in [
        ("text/html", latin, "text", "café"),
        ("text/plain; charset=windows-1252", b"\x80 1".to_vec(), "markdown", "€ 1"),
        ("text/plain", "\u{feff}mark".as_bytes().to_vec(), "text", "mark"),
        ("application/json", b"{\"b\":1,\"a\":[2]}".to_vec(), "json", "{\n  \"b\": 1,\n  \"a\": [\n    2\n  ]\n}"),
        ("application/vnd.api+json", b"{}".to_vec(), "markdown", "{}"),
        ("", b"nobody says".to_vec(), "text", "nobody says"),
    ] {
        let server = Server::start(vec![page(kind, body)]).await;
        assert_eq!(fetch(&place, json!({ "url": server.url("/"), "format": format })).await.unwrap().output, expected, "{kind}");
    }
    for (kind, body, format, said) in [
        ("image/png", b"\x89PNG".to_vec(), "markdown", "is an image (image/png)"),
        ("application/zip", b"PK".to_vec(), "text", "application/zip, which is no text"),
        ("text/plain", b"a\0b".to_vec(), "text", "no text"),
        ("text/plain", b"no json".to_vec(), "json", "is no JSON"),
    ] {
        let server = Server::start(vec![page(kind, body)]).await;
        let error = fetch(&place, json!({ "url": server.url("/"), "format": format })).await.unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn limits_hold() {
    let place = named();
    let large = vec![b'x'; fetch::MAX_BODY + 1];
    let server = Server::start(vec![page("text/plain", &large)]).await;
    assert!(fetch(&place, json!({ "url": server.url("/") })).await.unwrap_err().contains("more than 5 MiB"));
    // Without a length it is counted.
    let endless = [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n".to_vec(), large].concat();
    let server = Server::start(vec![endless]).await;
    assert!(fetch(&place, json!({ "url": server.url("/") })).await.unwrap_err().contains("more than 5 MiB"));
    // A server that accepts and says nothing.
    let silent = Server::start(vec![]).await;
    assert!(fetch(&place, json!({ "url": silent.url("/"), "timeout": 1 })).await.unwrap_err().contains("longer than 1 s"));
    let server = Server::start(vec![answer("404 Not Found", "Content-Type: text/plain\r\n", "no such page")]).await;
    assert!(fetch(&place, json!({ "url": server.url("/") })).await.unwrap_err().contains("404 Not Found: no such page"));
    for (url, said) in [
        ("file:///etc/passwd", "scheme `file`"),
        ("ftp://example.org", "scheme `ftp`"),
        ("example.org", "is no URL"),
        ("http://me:secret@example.org/", "a name or a password"),
        ("data:text/plain,x", "scheme `data`"),
    ] {
        let error = fetch(&place, json!({ "url": url })).await.unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(place.host.kinds().len(), 4, "what cannot be fetched is not asked for");
}

#[tokio::test]
async fn private_addresses_need_a_rule_of_the_user_that_names_them() {
    let server = Server::start(vec![page("text/plain", "inside")]).await;
    let port = server.address.port();
    // Everything is allowed here, but nobody has named the host.
    let place = Place::new();
    for url in [
        server.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://100.64.0.1/".to_owned(),
    ] {
        let error = fetch(&place, json!({ "url": url, "timeout": 5 })).await.unwrap_err();
        assert!(error.contains("not one of the public internet"), "{url}: {error}");
    }
    assert!(server.asked.lock().unwrap().is_empty());
    assert_eq!(fetch(&named(), json!({ "url": server.url("/") })).await.unwrap().output, "inside");
}

#[test]
fn a_rule_names_a_host_only_by_its_whole_name() {
    let url = Url::parse("http://localhost:3000/x").unwrap();
    let rules = |origin, pattern: &str, action| {
        shipped_rules().with(origin, &[Rule { permission: "webfetch".into(), pattern: pattern.into(), action }])
    };
    for (origin, pattern, action, expected) in [
        (Origin::User, "http://localhost:3000/*", Action::Allow, true),
        (Origin::User, "http://localhost:*", Action::Ask, true),
        (Origin::User, "http://localhost*", Action::Allow, false),
        (Origin::User, "*", Action::Allow, false),
        (Origin::User, "http://*", Action::Allow, false),
        (Origin::User, "*localhost*", Action::Allow, false),
        (Origin::User, "http://localhost:3000/*", Action::Deny, false),
        (Origin::Project, "http://localhost:3000/*", Action::Allow, false),
        (Origin::Grants, "http://localhost:3000/*", Action::Allow, false),
    ] {
        assert_eq!(is_named(&rules(origin, pattern, action), &url), expected, "{origin:?} {pattern} {action:?}");
    }
}

#[tokio::test]
async fn redirects_are_bounded_and_judged_anew() {
    let redirect = |to: &str| answer("302 Found", &format!("Location: {to}\r\n"), "");
    let place = named();
    // Elsewhere on the same host: no second question.
    let server = Server::start(vec![redirect("/b#x"), page("text/plain", "b")]).await;
    let output = fetch(&place, json!({ "url": server.url("/a") })).await.unwrap();
    assert_eq!((output.output.as_str(), output.metadata["url"].as_str().unwrap()), ("b", server.url("/b").as_str()));
    assert_eq!(place.host.kinds().len(), 1);
    // To an address that nobody has named.
    for to in ["http://[::1]:1/", "http://localhost:1/", "http://169.254.169.254/"] {
        place.host.clear();
        let server = Server::start(vec![redirect(to)]).await;
        let error = fetch(&place, json!({ "url": server.url("/a") })).await.unwrap_err();
        assert!(error.contains("not one of the public internet"), "{error}");
        let asks = place.host.asks();
        assert_eq!((asks.len(), asks[1].metadata["redirectedFrom"].as_str()), (2, Some(server.url("/a").as_str())));
    }
    for to in ["file:///etc/passwd", "http://a:b@127.0.0.1/"] {
        let server = Server::start(vec![redirect(to)]).await;
        assert!(fetch(&place, json!({ "url": server.url("/a") })).await.unwrap_err().contains("it redirects to"));
    }
    let server = Server::start(vec![redirect("/again"); 10]).await;
    assert!(fetch(&place, json!({ "url": server.url("/a") })).await.unwrap_err().contains("more than 5 redirects"));
    assert_eq!(server.asked.lock().unwrap().len(), 6);
    // What a rule denies is not fetched, whoever leads there.
    place.host.answer("webfetch", test_host::Answer::DenyContaining("/secret"));
    place.host.add_rules(Origin::User, &[Rule { permission: "webfetch".into(), pattern: "*/secret".into(), action: Action::Deny }]);
    let server = Server::start(vec![redirect("/secret"), page("text/plain", "secret")]).await;
    assert!(fetch(&place, json!({ "url": server.url("/a") })).await.is_err());
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_hostile_page_is_converted_in_bounded_time() {
    let place = named();
    for body in
        ["<div>".repeat(500_000), "<b><font color=1><i><p>".repeat(100_000), "<table><td>".repeat(200_000), "<a href=x>".repeat(200_000)]
    {
        let server = Server::start(vec![page("text/html", &body)]).await;
        fetch(&place, json!({ "url": server.url("/") })).await.unwrap();
    }
}

#[tokio::test]
async fn an_abort_ends_it() {
    let place = named();
    let silent = Server::start(vec![]).await;
    let cancel = place.context.cancel.clone();
    let (tool, url) = (erase(WebFetch), silent.url("/"));
    let call = place.call(&tool, json!({ "url": url }));
    let (result, ()) = tokio::join!(call, async {
        while silent.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    assert_eq!(result, Err(ToolError::Aborted));
}
