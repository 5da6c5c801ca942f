//! The rules, and attempts to get around them.

use hyper::header::HeaderName;

use super::*;
use crate::stdx::paths::AbsPath;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

struct Fixture {
    guard: Guard,
    token: String,
    _directory: tempfile::TempDir,
}

fn fixture(options: &Options, address: &str, delay: Duration) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let tokens = TokenFile::new(&AbsPath::new(directory.path()).unwrap());
    let token = tokens.current().unwrap().reveal().to_owned();
    Fixture { guard: Guard::new(options, address.parse().unwrap(), tokens, delay), token, _directory: directory }
}

fn look(options: &Options, address: &str, list: &[(&str, &str)]) -> Result<(), Refusal> {
    let headers = headers(list);
    let view = ClientView::see(&headers, &"/".parse().unwrap(), false, "127.0.0.1".parse().unwrap(), options.trust_forwarded);
    fixture(options, address, Duration::ZERO).guard.look(&view, &headers)
}

#[test]
fn the_host_is_ours() {
    let plain = Options::default();
    for host in ["localhost:1", "127.0.0.1:4096", "[::1]:4096", "LOCALHOST"] {
        assert_eq!(look(&plain, "127.0.0.1", &[("host", host)]), Ok(()), "{host}");
    }
    // The last one is DNS rebinding: the name of another site that resolves to this machine.
    for host in ["", "evil.example", "localhost.evil.example:4096", "10.0.0.5", "rebound.evil.example:4096"] {
        assert_eq!(look(&plain, "127.0.0.1", &[("host", host)]), Err(Refusal::Host), "{host}");
    }
    assert_eq!(look(&plain, "127.0.0.1", &[]), Err(Refusal::Host));
    assert_eq!(look(&plain, "127.0.0.1", &[("host", "localhost"), ("host", "localhost")]), Err(Refusal::Host));
    assert_eq!(look(&plain, "10.0.0.5", &[("host", "10.0.0.5:4096")]), Ok(()), "its own address");
    assert_eq!(look(&plain, "0.0.0.0", &[("host", "0.0.0.0:4096")]), Err(Refusal::Host));
    let named = Options { hosts: vec![Host::parse("tree.example:8443").unwrap()], ..Options::default() };
    assert_eq!(look(&named, "0.0.0.0", &[("host", "tree.example:8443")]), Ok(()));
    assert_eq!(look(&named, "0.0.0.0", &[("host", "tree.example")]), Err(Refusal::Host));
}

#[test]
fn the_origin_is_allowed() {
    let plain = Options::default();
    let at = |origin| look(&plain, "127.0.0.1", &[("host", "localhost:4096"), ("origin", origin)]);
    assert_eq!(at("http://localhost:4096"), Ok(()));
    for origin in ["http://localhost:3000", "https://localhost:4096", "http://127.0.0.1:4096", "http://evil.example", "null", "", "file://"]
    {
        assert_eq!(at(origin), Err(Refusal::Origin), "{origin}");
    }
    let two = [("host", "localhost:1"), ("origin", "http://localhost:1"), ("origin", "http://evil.example")];
    assert_eq!(look(&plain, "127.0.0.1", &two), Err(Refusal::Origin));
    let named = Options { origins: vec![Origin::parse("https://app.example").unwrap()], ..Options::default() };
    assert_eq!(look(&named, "127.0.0.1", &[("host", "localhost"), ("origin", "https://app.example")]), Ok(()));
    assert_eq!(look(&named, "127.0.0.1", &[("host", "localhost"), ("origin", "https://app.example.evil")]), Err(Refusal::Origin));
}

#[test]
fn a_proxy_is_believed_when_there_is_one() {
    let proxied = [
        ("host", "127.0.0.1:4096"),
        ("x-forwarded-host", "tree.example"),
        ("x-forwarded-proto", "https"),
        ("origin", "https://tree.example"),
    ];
    let mut options = Options { hosts: vec![Host::parse("tree.example").unwrap()], ..Options::default() };
    assert_eq!(look(&options, "127.0.0.1", &proxied), Err(Refusal::Origin));
    options.trust_forwarded = true;
    assert_eq!(look(&options, "127.0.0.1", &proxied), Ok(()));
    options.hosts.clear();
    assert_eq!(look(&options, "127.0.0.1", &proxied), Err(Refusal::Host), "a proxy cannot add names");
}

#[tokio::test]
async fn the_token_comes_in_three_ways() {
    let Fixture { guard, token, _directory } = fixture(&Options::default(), "127.0.0.1", Duration::ZERO);
    let ask = async |list: &[(&str, &str)], query: &str| guard.ask(&headers(list), query).await.map(drop);
    let bearer = format!("Bearer {token}");
    let protocols = format!("polytree.v1, polytree.token.{token}");
    assert_eq!(ask(&[("authorization", &bearer)], "").await, Ok(()));
    assert_eq!(ask(&[("authorization", &format!("bearer  {token}"))], "").await, Ok(()));
    assert_eq!(ask(&[("sec-websocket-protocol", &protocols)], "").await, Ok(()));
    assert_eq!(ask(&[], &format!("directory=%2Fa&token={token}")).await, Ok(()));
    assert_eq!(ask(&[("authorization", "Basic YTpi")], &format!("token={token}")).await, Ok(()));
    for query in ["", "token", "tokens=x", "directory=token"] {
        let expected = if query == "token" { Refusal::WrongToken } else { Refusal::NoToken };
        assert_eq!(ask(&[], query).await, Err(expected), "{query}");
    }
    assert_eq!(ask(&[("authorization", "Bearer x")], &format!("token={token}")).await, Err(Refusal::WrongToken), "the first way is used");
    assert_eq!(ask(&[("sec-websocket-protocol", "polytree.v1")], "").await, Err(Refusal::NoToken));
}

#[tokio::test]
async fn a_replaced_token_counts_at_once() {
    let Fixture { guard, token, _directory } = fixture(&Options::default(), "127.0.0.1", Duration::ZERO);
    let query = format!("token={token}");
    let admitted = guard.ask(&HeaderMap::new(), &query).await.unwrap();
    assert!(guard.holds(&admitted));
    guard.tokens.replace().unwrap();
    assert!(!guard.holds(&admitted));
    assert_eq!(guard.ask(&HeaderMap::new(), &query).await, Err(Refusal::WrongToken));
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_wait_and_the_right_one_does_not() {
    let Fixture { guard, token, _directory } = fixture(&Options::default(), "127.0.0.1", Duration::from_secs(1));
    let (none, right) = (HeaderMap::new(), format!("token={token}"));
    let began = tokio::time::Instant::now();
    let wrong = futures::future::join_all((0..20).map(|_| guard.ask(&none, "token=x")));
    let (wrong, right) = tokio::join!(wrong, async {
        let admitted = guard.ask(&none, &right).await;
        (admitted.is_ok(), began.elapsed())
    });
    assert_eq!(right, (true, Duration::ZERO));
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(wrong.iter().filter(|answer| **answer == Err(Refusal::WrongToken)).count(), 16);
    assert_eq!(wrong.iter().filter(|answer| **answer == Err(Refusal::TooManyWrong)).count(), 4);
}
