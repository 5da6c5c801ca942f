//! The client side of the local socket, for the command line.

use std::io;

use interprocess::local_socket::tokio::prelude::*;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    address::Address,
    hello::{Hello, Welcome},
};
use crate::jsonrpc::peer::ErrorObject;

/// The size limit of a daemon's first line.
const MAX_WELCOME_BYTES: usize = 64 * 1024;

/// A connection whose hello was accepted.
pub struct Greeted {
    pub welcome: Welcome,
    pub input: Box<dyn AsyncRead + Unpin + Send>,
    pub output: Box<dyn AsyncWrite + Unpin + Send>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NotGreeted {
    /// The daemon refuses this client.
    #[error(transparent)]
    Refused(ErrorObject),
    /// No daemon listens, or it has disconnected.
    #[error("the daemon does not answer on its socket")]
    Silent(#[from] io::Error),
}

/// The first line of a daemon.
#[derive(Deserialize)]
#[serde(untagged)]
enum First {
    Welcome { welcome: Welcome },
    Refusal { error: ErrorObject },
}

/// Connects to the daemon, sends the hello, and waits for the welcome.
///
/// # Errors
/// [`NotGreeted`].
pub async fn greet(address: &Address, hello: &Hello) -> Result<Greeted, NotGreeted> {
    let (mut input, output) = connect(address, &Hello { welcome: true, ..hello.clone() }).await?;
    let mut read = Vec::with_capacity(256);
    let end = loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if read.len() > MAX_WELCOME_BYTES || input.read_buf(&mut read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let rest = io::Cursor::new(read.split_off(end + 1));
    match serde_json::from_slice(&read).map_err(io::Error::from)? {
        First::Welcome { welcome } => Ok(Greeted { welcome, input: Box::new(rest.chain(input)), output: Box::new(output) }),
        First::Refusal { error } => Err(NotGreeted::Refused(error)),
    }
}

/// Connects to the daemon and sends the hello; returns the input and the output. A refusal is the first line of the input.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` if no daemon listens, `PermissionDenied` if another user does.
pub async fn connect(
    address: &Address,
    hello: &Hello,
) -> io::Result<(impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static)> {
    let stream = LocalSocketStream::connect(address.name()?).await?;
    // The hello contains keys: no other user may listen at the address, even if all users can create directories there.
    #[cfg(unix)]
    if !super::same_user::same_user(&stream) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user listens on the socket"));
    }
    let (reader, mut writer) = split(stream);
    writer.write_all(format!("{}\n", hello.line()).as_bytes()).await?;
    writer.flush().await?;
    Ok((reader, writer))
}

/// Both directions. Shutting down the second ends the other side's input, unlike with the library's own halves.
#[cfg(unix)]
pub(super) fn split(stream: LocalSocketStream) -> (tokio::net::unix::OwnedReadHalf, tokio::net::unix::OwnedWriteHalf) {
    let LocalSocketStream::UdSocket(stream) = stream;
    tokio::net::UnixStream::from(stream).into_split()
}

/// Both directions.
#[cfg(windows)]
pub(super) fn split(stream: LocalSocketStream) -> (tokio::io::ReadHalf<LocalSocketStream>, tokio::io::WriteHalf<LocalSocketStream>) {
    tokio::io::split(stream)
}
