//! Explains failed connections and what to do: unknown host, refused connection, proxy, untrusted certificate. The
//! libraries report nested errors; only the inner ones are used, because the outer ones repeat the URL, which may
//! contain a key.

use std::error::Error as _;

use crate::provider::{definition::Error, http::network};

const TRUST_HINT: &str = "if that is right, name the authority's certificate (a PEM file) in options.ca of the provider in the settings, or in SSL_CERT_FILE or NODE_EXTRA_CA_CERTS";
const PROXY_HINT: &str =
    "put user and password into the proxy's address, as in http://user:password@host:3128, or set options.proxy to \"none\"";

/// Converts an error of a request. `service` is the address for messages.
pub(crate) fn unreachable(error: &reqwest::Error, service: &str) -> Error {
    let mut chain = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        chain.push(inner.to_string());
        cause = inner.source();
    }
    if error.is_builder() {
        let cause = chain.pop().unwrap_or_else(|| "unknown cause".to_owned());
        return Error::Request { message: format!("the request to {service} cannot be made: {cause}") };
    }
    let is_here = error.url().and_then(reqwest::Url::host_str).is_some_and(network::is_loopback);
    explain(&chain, error.is_connect(), error.is_timeout(), is_here, service)
}

/// `chain` are the causes from the outermost to the innermost.
fn explain(chain: &[String], is_connect: bool, is_timeout: bool, is_here: bool, service: &str) -> Error {
    let cause = chain.last().map_or("unknown cause", String::as_str);
    let contains = |word: &str| chain.iter().any(|text| text.contains(word));
    let misconfigured = |message: String, hint: &str| Error::Network { message, hint: Some(hint.to_owned()) };
    if let Some(reason) = chain.iter().find_map(|text| Some(text.split_once("invalid peer certificate: ")?.1)) {
        let (why, hint) = if reason.starts_with("UnknownIssuer") {
            ("its certificate comes from an authority that is not known here (unknown issuer)".to_owned(), TRUST_HINT)
        } else if reason.contains("not valid for name") || reason.starts_with("NotValidForName") {
            (format!("its certificate is for another name ({reason})"), "check the base URL of the provider")
        } else if reason.contains("expired") || reason.starts_with("Expired") {
            (format!("its certificate has expired ({reason})"), "check the clock of this machine, then tell whoever runs the service")
        } else if reason.contains("not valid yet") || reason.starts_with("NotValidYet") {
            (format!("its certificate is not valid yet ({reason})"), "check the clock of this machine")
        } else {
            (format!("its certificate is not accepted ({reason})"), TRUST_HINT)
        };
        return misconfigured(format!("{service} is not trusted: {why}"), hint);
    }
    if contains("proxy authorization required") {
        return misconfigured(format!("the proxy on the way to {service} asks for a user and a password"), PROXY_HINT);
    }
    if contains("InvalidContentType") {
        let hint = "if it serves plain HTTP, begin the base URL of the provider with http://";
        return misconfigured(format!("{service} does not speak TLS"), hint);
    }
    if contains("dns error") && !contains("tunnel error") {
        let hint = "check the base URL of the provider, and whether this machine is on the network".to_owned();
        return Error::Unreachable { message: format!("could not reach {service}: no such host ({cause})"), hint: Some(hint) };
    }
    if is_here && is_connect && contains("refused") && !contains("tunnel error") {
        let hint = "is the server running? Start it, or check the host and port in the base URL of the provider".to_owned();
        return Error::Unreachable { message: format!("could not reach {service}: {cause}"), hint: Some(hint) };
    }
    let message = if contains("tunnel error: unsuccessful") {
        format!("the proxy on the way did not connect to {service}")
    } else if is_connect && is_timeout {
        format!("could not reach {service}: no connection in time")
    } else if is_connect {
        format!("could not reach {service}: {cause}")
    } else {
        format!("the connection to {service} broke: {cause}")
    };
    Error::Connection { message }
}

/// The error if a proxy answers in place of the service, as it does without TLS.
pub(crate) fn refused_by_proxy(service: &str) -> Error {
    Error::Network {
        message: format!("the proxy on the way to {service} asks for a user and a password"),
        hint: Some(PROXY_HINT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_message() {
        let messages: String = [
            &["client error (Connect)", "dns error", "failed to lookup address information: Name or service not known"][..],
            &["client error (Connect)", "tcp connect error", "Connection refused (os error 111)"],
            &["client error (Connect)", "invalid peer certificate: UnknownIssuer"],
            &["client error (Connect)", "invalid peer certificate: certificate not valid for name \"m.test\"; certificate is only valid for a.test"],
            &["client error (Connect)", "invalid peer certificate: certificate expired: verification time 2 (UNIX), but certificate is not valid after 1 (1 seconds ago)"],
            &["client error (Connect)", "invalid peer certificate: BadSignature"],
            &["client error (Connect)", "received corrupt message of type InvalidContentType"],
            &["client error (Connect)", "tunnel error: proxy authorization required"],
            &["client error (Connect)", "tunnel error: unsuccessful"],
            &[],
        ]
        .iter()
        .map(|chain| {
            let chain: Vec<_> = chain.iter().map(|text| (*text).to_owned()).collect();
            match explain(&chain, true, false, true, "https://m.test") {
                Error::Unreachable { message, hint } => format!("{message}\n  unreachable: {:.40}\n", hint.unwrap_or_default()),
                Error::Network { message, hint } => format!("{message}\n  {:.40}\n", hint.unwrap_or_default()),
                error => format!("{error}\n"),
            }
        })
        .collect();
        expect_test::expect![[r#"
            could not reach https://m.test: no such host (failed to lookup address information: Name or service not known)
              unreachable: check the base URL of the provider, and 
            could not reach https://m.test: Connection refused (os error 111)
              unreachable: is the server running? Start it, or chec
            https://m.test is not trusted: its certificate comes from an authority that is not known here (unknown issuer)
              if that is right, name the authority's c
            https://m.test is not trusted: its certificate is for another name (certificate not valid for name "m.test"; certificate is only valid for a.test)
              check the base URL of the provider
            https://m.test is not trusted: its certificate has expired (certificate expired: verification time 2 (UNIX), but certificate is not valid after 1 (1 seconds ago))
              check the clock of this machine, then te
            https://m.test is not trusted: its certificate is not accepted (BadSignature)
              if that is right, name the authority's c
            https://m.test does not speak TLS
              if it serves plain HTTP, begin the base 
            the proxy on the way to https://m.test asks for a user and a password
              put user and password into the proxy's a
            the proxy on the way did not connect to https://m.test
            could not reach https://m.test: unknown cause
        "#]]
        .assert_eq(&messages);
        // A remote server may be restarting.
        let refused = ["tcp connect error".to_owned(), "Connection refused (os error 111)".to_owned()];
        assert!(matches!(explain(&refused, true, false, false, "https://m.test"), Error::Connection { .. }));
    }
}
