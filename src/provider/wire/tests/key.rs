//! A key is sent once, in one header, even if the settings repeat it.

use std::collections::BTreeMap;

use crate::provider::{
    model_server::{Answer, ModelServer, Recorded},
    secret::Secret,
    testing::{failure, remote, request, settings},
    wire::{ALL, protocol::Wire, remote::RemoteSettings, tests::ANTHROPIC},
};

const KEY: &str = "sk-secret-key";

/// The request with these headers from the settings, to the modified address.
async fn sent(wire: &'static dyn Wire, headers: &[(&str, &str)], address: impl FnOnce(String) -> String) -> Recorded {
    let server = ModelServer::start().await;
    server.push(Answer::body(400, "text/plain", "no"));
    let headers: BTreeMap<_, _> = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(value).unwrap())).collect();
    let settings = RemoteSettings { base_url: Some(address(server.url())), headers, ..settings(&server, wire) };
    failure(&remote(settings), request("m")).await;
    server.request()
}

/// The headers with the key, which is nowhere else.
fn shown(sent: &Recorded) -> Vec<(&str, &str)> {
    assert!(!sent.path.contains(KEY) && !sent.body.to_string().contains(KEY), "{sent:?}");
    let headers = sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, value)| value.contains(KEY) || *name == "authorization").collect()
}

#[tokio::test]
async fn in_the_header_of_the_protocol() {
    for (wire, expected) in ALL.iter().copied().zip([
        ("authorization", "Bearer sk-secret-key"),
        ("authorization", "Bearer sk-secret-key"),
        ("x-api-key", KEY),
        ("x-goog-api-key", KEY),
        ("authorization", "Bearer sk-secret-key"),
    ]) {
        assert_eq!(shown(&sent(wire, &[], |url| url).await), [expected], "{wire:?}");
        let in_address = sent(wire, &[], |url| format!("{url}?a=b%20c&key={KEY}")).await;
        assert_eq!(shown(&in_address), [expected], "{wire:?}");
        assert!(in_address.path.contains("?a=b+c") || in_address.path.contains("?a=b%20c"), "{in_address:?}");
        let as_password = sent(wire, &[], |url| url.replace("http://", &format!("http://me:{KEY}@"))).await;
        assert_eq!(shown(&as_password), [expected], "{wire:?}");
    }
}

#[tokio::test]
async fn in_a_header_of_the_settings() {
    for &wire in ALL {
        for header in [("Authorization", "Bearer sk-secret-key"), ("X-Api-Key", KEY), ("api-key", KEY), ("x-goog-api-key", KEY)] {
            let expected = [(header.0.to_ascii_lowercase(), header.1)];
            let sent = sent(wire, &[header], |url| format!("{url}?key={KEY}")).await;
            assert_eq!(shown(&sent), [(expected[0].0.as_str(), expected[0].1)], "{wire:?}");
        }
        // Another secret, for a proxy before the service, is sent beside the key.
        let beside = sent(wire, &[("x-proxy-token", "other")], |url| url).await;
        assert_eq!((shown(&beside).len(), beside.header("x-proxy-token")), (1, Some("other")), "{wire:?}");
    }
}

#[tokio::test]
async fn a_user_in_the_address_makes_no_second_authorization() {
    for &wire in ALL {
        let sent = sent(wire, &[("authorization", "Custom token")], |url| url.replace("http://", "http://me:pass@")).await;
        let authorizations = sent.headers.iter().filter(|(name, _)| name == "authorization");
        assert_eq!(authorizations.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["Custom token"], "{wire:?}");
    }
    // If the key has another header, the user is sent as `authorization`.
    let both = sent(ANTHROPIC, &[], |url| url.replace("http://", "http://me:pass@")).await;
    assert_eq!((both.header("authorization"), both.header("x-api-key")), (Some("Basic bWU6cGFzcw=="), Some(KEY)));
}
