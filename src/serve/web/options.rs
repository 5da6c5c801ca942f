//! The options of a listener, parsed and checked.

use polytree_protocol::listen::ServerListenParams;

use super::host::{Host, Origin};
use crate::{daemon::listeners::Error, stdx::paths::AbsPath};

/// The options of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Allowed origins, in addition to the listener's own.
    pub origins: Vec<Origin>,
    /// Allowed hosts, in addition to loopback.
    pub hosts: Vec<Host>,
    /// Empty, or a path with a leading and without a trailing slash.
    pub base_path: String,
    /// Trust the `X-Forwarded-*` headers.
    pub trust_forwarded: bool,
    /// The files of certificate and key.
    pub tls: Option<(AbsPath, AbsPath)>,
}

pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> Error {
    Error::Invalid { field, reason: reason.into(), hint: None }
}

impl Options {
    /// Parses the params of `server.listen` except the address.
    ///
    /// # Errors
    /// `Invalid`, with the field.
    pub fn read(params: &ServerListenParams) -> Result<Self, Error> {
        let list = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
        let origins = list(&params.allow_origins).iter().map(|text| origin(text)).collect::<Result<_, _>>()?;
        let hosts = list(&params.allow_hosts).iter().map(|text| host(text)).collect::<Result<_, _>>()?;
        let base_path = base_path(params.base_path.as_deref().unwrap_or_default())?;
        let tls = match (&params.certificate, &params.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((file("certificate", certificate)?, file("key", key)?)),
            (Some(_), None) => return Err(invalid("key", "the certificate needs its private key")),
            (None, Some(_)) => return Err(invalid("certificate", "the key needs its certificate")),
        };
        Ok(Self { origins, hosts, base_path, trust_forwarded: params.trust_forwarded.unwrap_or_default(), tls })
    }
}

fn origin(text: &str) -> Result<Origin, Error> {
    Origin::parse(text).ok_or_else(|| match text {
        "*" | "null" => invalid("allowOrigins", format!("`{text}` would allow every page of the web; list the origins")),
        _ => invalid("allowOrigins", format!("`{text}` is not an origin such as https://app.example or http://localhost:3000")),
    })
}

fn host(text: &str) -> Result<Host, Error> {
    Host::parse(text)
        .ok_or_else(|| invalid("allowHosts", format!("`{text}` is not a host such as tree.example, tree.example:8443 or [fd00::1]")))
}

fn file(field: &'static str, text: &str) -> Result<AbsPath, Error> {
    AbsPath::expand(text).ok_or_else(|| invalid(field, format!("`{text}` is not an absolute path")))
}

/// A normalized path. A base path needs no escapes, so that it can be used in headers unchanged.
pub(super) fn base_path(text: &str) -> Result<String, Error> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let sound = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(sound)) {
        return Ok(path.to_owned());
    }
    Err(invalid("basePath", format!("`{text}` is not a path such as /polytree, of letters, digits and -._~")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut ServerListenParams)) -> Result<Options, String> {
        let mut params = ServerListenParams::default();
        change(&mut params);
        Options::read(&params).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_understood() {
        assert_eq!(read(|_| {}), Ok(Options::default()));
        let options = read(|params| {
            params.allow_origins = Some(vec!["https://a.example".into()]);
            params.allow_hosts = Some(vec!["tree.example".into()]);
            params.base_path = Some("/a/b/".into());
            params.certificate = Some("/c.pem".into());
            params.key = Some("/k.pem".into());
        })
        .unwrap();
        assert_eq!((options.base_path.as_str(), options.origins.len(), options.hosts.len()), ("/a/b", 1, 1));
        assert_eq!(options.tls.unwrap().0, AbsPath::new("/c.pem").unwrap());
        assert_eq!(read(|params| params.base_path = Some("/".into())).unwrap().base_path, "");
    }

    #[test]
    fn what_is_refused_says_why() {
        let origins = |text: &str| read(|params| params.allow_origins = Some(vec![text.into()])).unwrap_err();
        assert!(origins("*").contains("every page of the web"));
        assert!(origins("null").contains("every page of the web"));
        assert!(origins("a.example").starts_with("`allowOrigins`: `a.example` is not an origin"));
        assert!(read(|params| params.allow_hosts = Some(vec!["http://a".into()])).unwrap_err().contains("is not a host"));
        for odd in ["polytree", "/a//b", "/a b", "/../a", "//a", "/a?b", "/a%20"] {
            assert!(read(|params| params.base_path = Some(odd.into())).unwrap_err().contains("is not a path"), "{odd}");
        }
        assert_eq!(read(|params| params.certificate = Some("/c".into())).unwrap_err(), "`key`: the certificate needs its private key");
        assert_eq!(read(|params| params.key = Some("/c".into())).unwrap_err(), "`certificate`: the key needs its certificate");
        let relative = read(|params| {
            params.certificate = Some("c".into());
            params.key = Some("/k".into());
        });
        assert_eq!(relative.unwrap_err(), "`certificate`: `c` is not an absolute path");
    }
}
