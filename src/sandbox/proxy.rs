//! The way from a command's network of its own to the domains that the settings name: a proxy for HTTP that listens inside
//! that network and connects outside of it. The name is judged, and then the address that it stands for.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream, lookup_host},
    time::timeout,
};

use crate::stdx::tasks::Tasks;

/// The longest head of a request.
const MAX_HEAD: usize = 32 * 1024;
/// How long a request may take to be said, and a connection to be made.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What may be reached.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Names of domains; `*.` before one means all below it.
    pub domains: Vec<String>,
    /// This machine's own servers.
    pub loopback: bool,
}

impl Allowed {
    /// Whether the name of a host may be reached at all.
    fn name(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        (self.loopback && is_here)
            || self.domains.iter().any(|domain| {
                let domain = domain.trim_end_matches('.').to_ascii_lowercase();
                match domain.strip_prefix("*.") {
                    Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                    None => host == domain,
                }
            })
    }

    /// Whether the address behind a name that may be reached is one that may be.
    fn address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_local = match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_multicast() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast(),
        };
        if address.is_loopback() { self.loopback } else { !is_local }
    }
}

/// Takes the listener that the helper hands over, and serves it until the tasks are cancelled.
pub async fn serve(helper: UnixStream, allowed: Allowed, tasks: Tasks) {
    let listener = match receive(&helper).await {
        Ok(listener) => listener,
        // The helper has said why it has ended.
        Err(error) => return tracing::debug!(%error, "no listener came from the sandbox"),
    };
    let allowed = Arc::new(allowed);
    loop {
        let accepted = tokio::select! {
            () = tasks.token().cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else { return };
        let (allowed, token) = (Arc::clone(&allowed), tasks.token().clone());
        drop(tasks.spawn("sandbox connection", async move {
            tokio::select! {
                () = token.cancelled() => {}
                served = one(client, &allowed) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection out of the sandbox");
                    }
                }
            }
        }));
    }
}

async fn receive(helper: &UnixStream) -> io::Result<TcpListener> {
    let descriptor = helper
        .async_io(Interest::READABLE, || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            recvmsg(helper, &mut [io::IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            let received = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            Ok(received)
        })
        .await?;
    let descriptor: OwnedFd = descriptor.ok_or(io::ErrorKind::UnexpectedEof)?;
    let listener = StdListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    host: String,
    port: u16,
    /// The head for the server; nothing where a tunnel is wanted.
    head: Option<Vec<u8>>,
}

async fn one(mut client: TcpStream, allowed: &Allowed) -> io::Result<()> {
    let (head, rest) = timeout(TIMEOUT, head(&mut client)).await??;
    let Some(wanted) = parse(&head) else {
        return refuse(&mut client, "400 Bad Request", "this is no request for a proxy").await;
    };
    let address = match target(&wanted, allowed).await {
        Ok(address) => address,
        Err(error) => return refuse(&mut client, "403 Forbidden", &error).await,
    };
    let mut server = match timeout(TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => return refuse(&mut client, "502 Bad Gateway", &format!("{} cannot be reached: {error}", wanted.host)).await,
        Err(_) => return refuse(&mut client, "504 Gateway Timeout", &format!("{} does not answer", wanted.host)).await,
    };
    match &wanted.head {
        Some(head) => server.write_all(head).await?,
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
    }
    server.write_all(&rest).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Where to connect: the first address of the name that is allowed. It is not asked for again, so that it cannot change.
async fn target(wanted: &Wanted, allowed: &Allowed) -> Result<SocketAddr, String> {
    let Wanted { host, port, .. } = wanted;
    if !allowed.name(host) {
        return Err(format!(
            "the sandbox does not allow the domain {host}; `sandbox.network.domains` in the settings names those that it does"
        ));
    }
    let found = timeout(TIMEOUT, lookup_host((host.as_str(), *port))).await.map_err(|_| format!("could not resolve {host} in time"))?;
    let mut found = found.map_err(|error| format!("could not resolve {host}: {error}"))?;
    found
        .find(|address| allowed.address(address.ip()))
        .ok_or_else(|| format!("the sandbox does not allow the address of {host}, which is on this machine or its link"))
}

async fn head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((bytes, rest));
        }
        if bytes.len() > MAX_HEAD {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn refuse(client: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    let body = format!("polytree: {why}\n");
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

fn parse(head: &[u8]) -> Option<Wanted> {
    let text = std::str::from_utf8(head).ok()?;
    let (first, fields) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n").unwrap_or((text.strip_suffix("\r\n\r\n")?, ""));
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Some(Wanted { host, port, head: None });
    }
    let rest = target.strip_prefix("http://")?;
    let (place, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority(place, Some(80))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    // One request each, for the host that was judged.
    let mut head = format!("{method} {slash}{path} {version}\r\nHost: {place}\r\nConnection: close\r\n");
    for field in fields.split("\r\n") {
        let name = field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !field.is_empty() && name != "host" && name != "connection" && !name.starts_with("proxy-") {
            head.push_str(field);
            head.push_str("\r\n");
        }
    }
    head.push_str("\r\n");
    Some(Wanted { host, port, head: Some(head.into_bytes()) })
}

/// The host and the port of `host:port`, without brackets.
fn authority(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    if text.contains('@') {
        return None;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (text, default?),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_domains_that_are_named() {
        let allowed = Allowed { domains: vec!["crates.io".to_owned(), "*.Example.org".to_owned(), "10.0.0.1".to_owned()], loopback: false };
        for (host, expected) in [
            ("crates.io", true),
            ("CRATES.IO.", true),
            ("static.crates.io", false),
            ("evilcrates.io", false),
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            ("evilexample.org", false),
            (".example.org", false),
            ("10.0.0.1", true),
            ("localhost", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(allowed.name(host), expected, "{host}");
        }
        assert!(Allowed { loopback: true, ..Allowed::default() }.name("127.0.0.1"));
    }

    #[test]
    fn what_a_name_stands_for_counts() {
        let strict = Allowed::default();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1"] {
            assert!(!strict.address(address.parse().unwrap()), "{address}");
        }
        let open = Allowed { loopback: true, ..Allowed::default() };
        assert!(open.address("::ffff:127.0.0.1".parse().unwrap()) && !open.address("169.254.169.254".parse().unwrap()));
        assert!(strict.address("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn requests_are_read_and_made_for_the_host_that_was_judged() {
        let wanted = |text: &str| parse(text.as_bytes());
        let tunnel = |host: &str, port| Some(Wanted { host: host.to_owned(), port, head: None });
        assert_eq!(wanted("CONNECT crates.io:443 HTTP/1.1\r\nHost: x\r\n\r\n"), tunnel("crates.io", 443));
        assert_eq!(wanted("CONNECT [::1]:80 HTTP/1.1\r\n\r\n"), tunnel("::1", 80));
        let plain = wanted("GET http://a.b:81/p?q HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: x\r\nAccept: y\r\n\r\n").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("a.b", 81));
        let head = String::from_utf8(plain.head.unwrap()).unwrap();
        assert_eq!(head, "GET /p?q HTTP/1.1\r\nHost: a.b:81\r\nConnection: close\r\nAccept: y\r\n\r\n");
        for odd in [
            "GET / HTTP/1.1\r\n\r\n",
            "CONNECT a HTTP/1.1\r\n\r\n",
            "GET http://u@a/ HTTP/1.1\r\n\r\n",
            "x\r\n\r\n",
            "GET https://a/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(wanted(odd), None, "{odd}");
        }
    }
}
